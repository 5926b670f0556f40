"""What the two sides of an air gap refuse to take from the stick."""
import hashlib
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from airgap import change, head, item, judged, refused, vault_copy
from bundle import (Bundle, ITEM, ORDER, RESULT, VOID, WISH, integer, join,
                    split, tlv)


@pytest.fixture
def exported(gap, gap_user):
    """A bundle with two requests on the stick, and a vault to spoil; not of
    the first rounds."""
    while len(gap.ctl_json('airgap', 'status')) < 3:
        gap.round()
    gap.pending(gap_user, gap.server('one.demo.example'))
    gap.pending(gap_user, gap.server('two.demo.example'))
    gap.export()
    yield gap.request.read_bytes()
    gap.export()
    gap.sign()
    gap.take()


def test_refused_by_the_vault(gap, exported):
    bad = gap.stick / 'bad.bundle'

    def refuse(raw, *words, **kw):
        gap.write(bad, raw)
        refused(gap.run('sign', '--yes', '-o', gap.stick / 'none', bad,
                        ok=None, **kw), *words)
        assert not (gap.stick / 'none').exists()
    raw, key = exported, gap.desk_key
    n = int.from_bytes(Bundle(raw).records[0][1][4][1], 'big')
    refuse(raw[:-1], 'truncated')
    refuse(raw[:len(raw) // 2], 'truncated')
    refuse(b'', 'truncated')
    refuse(raw + b'\0', 'behind its end')
    flipped = bytearray(raw)
    flipped[raw.index(b'one.demo.example') + 1] ^= 1
    refuse(bytes(flipped), 'altered')
    foreign = Bundle(raw)
    other = ed25519.Ed25519PrivateKey.generate()
    refuse(foreign.signed_as_is(other), 'altered')
    foreign.head(2, 4, bytes(32))
    refuse(foreign.signed_as_is(other), 'foreign')
    refuse(change(raw, gap.vault_key), 'foreign')
    refuse(change(raw, key, head(1, 10, b'\x02')), 'responses')
    refuse(change(raw, key, head(0, 2, b'\x02')), 'head.version')
    refuse(change(raw, key, head(4, *split(integer(n + 1))[0])), 'too early')
    refuse(change(raw, key, head(4, *split(integer(n - 1))[0])), 'doubled')
    refuse(change(raw, key, head(4, *split(integer(n - 2))[0])), 'replayed')
    refuse(change(raw, key, head(5, 4, bytes(32))), 'does not follow')
    refuse(change(raw, key, head(3, 12, b'{X}')), 'another deployment')
    refuse(change(raw, key, head(7, 4, bytes(32))), 'goes by policy')
    # A vault whose clock is behind would deny each request, for good.
    refuse(change(raw, key, head(6, *split(integer(int(time.time()) + 900))
                                 [0])), "set this host's clock")
    refuse(change(raw, key, lambda b: b.records.insert(
        2, b.all(ITEM)[0])), 'is doubled')
    refuse(change(raw, key, item(0, 2, 12, b'Other-CA')), 'not on this host')
    refuse(change(raw, key, lambda b: b.records.insert(
        1, b.all(WISH)[0])), 'behind one of type')
    refuse(change(raw, key, lambda b: b.records.append(
        [VOID, [(4, bytes(16)), (12, b'Vault-CA'), (4, bytes(16))]])),
        'wrong place')
    refuse(change(raw, key, item(0, 0, 4, bytes(15))), 'item.id')
    # What the vault's ledger would keep, and no later list could be above.
    most = split(integer((1 << 63) - 1))[0]
    refuse(change(raw, key, lambda b: b.set(b.all(WISH)[0], 2, *most)),
           'wish.number', 'no numbers')
    refuse(change(raw, key, item(0, 4, *most)), 'item.receivedAt')
    refuse(change(raw, key, lambda b: b.records.insert(
        b.records.index(b.all(WISH)[0]), [ORDER, [
            (12, b'Vault-CA'), (2, b'\x01'), (4, b'\x01' * 16),
            (2, b'\x01'), (2, b'\x01'), most, (12, b'me'), (12, b'')]])),
        'order.notAfter')
    r = gap.run('sign', '-o', gap.stick / 'none', gap.request, ok=None)
    refused(r, 'nothing was signed')
    conf = vault_copy(gap, 'policy')
    with open(conf.parent / 'policy.conf', 'a') as f:
        f.write('\n# changed\n')
    refuse(raw, 'goes by policy', conf=conf)


def test_flipped_bits(gap, exported):
    """tests/unit/bundle_test.c flips every one of a small bundle."""
    step = len(exported) // 24
    for at in range(7, len(exported), step):
        raw = bytearray(exported)
        raw[at] ^= 1 << at % 8
        gap.write(gap.stick / 'bad.bundle', bytes(raw))
        refused(gap.run('show', gap.stick / 'bad.bundle', ok=None),
                'countersign-signer: ')


def test_vault_judges_by_itself(gap, exported):
    """A front desk that somebody took over."""
    raw, key = exported, gap.desk_key
    accounts = dict(Bundle(raw).all(ITEM)[0][1][10:11])
    [(_, account)] = Bundle(raw).all(ITEM)[0][1][10:11]
    fields = split(split(account)[0][1])

    def groups(*names):
        f = list(fields)
        f[-1] = (0x30, b''.join(tlv(12, n) for n in names))
        return tlv(0x30, join(f))

    def one(*how):
        [first, second] = judged(gap, change(raw, key, *how))
        assert second[0] == 1, 'the other request is none the worse'
        return first
    assert accounts
    assert one() == (1, 'Issued')
    s, text = one(item(0, 10, 0x30, groups(b'users')))
    assert s == 3 and 'none of the groups' in text
    s, text = one(item(0, 10, 0x30, groups(b'web-admins')),
                  item(0, 7, 12, b'VaultApproval'))
    assert s == 3 and 'template' in text            # the request names another
    s, text = one(item(0, 6, 12, b'nobody'))
    assert s == 3 and 'does not exist' in text
    s, text = one(item(0, 4, *split(integer(int(time.time()) + 4000))[0]))
    assert s == 3 and 'from now' in text
    s, text = one(item(0, 4, *split(integer(int(time.time()) - 9 * 86400))[0]))
    assert s == 3 and 'another day' in text
    # Dated back, id and all: by then a certificate that ended was valid.
    old = int(time.time()) - 40 * 86400
    s, text = one(item(0, 4, *split(integer(old))[0]), item(
        0, 0, 4, (old // 86400).to_bytes(2, 'big') + bytes(14)))
    assert s == 3 and 'days ago' in text
    s, text = one(item(0, 3, 2, b'\x08'))
    assert s == 3 and 'without a certificate' in text
    s, text = one(item(0, 8, 4, b'\x30\x00'))
    assert s == 3 and text
    refusal = lambda b: b.all(ITEM)[0][1].append((0x30, join([
        (4, bytes(16)), (12, b'demo'), (12, b'root'), (12, b''),
        (12, b'')])))
    s, text = one(refusal)
    assert s == 3 and 'its own' in text
    r = gap.run('sign', '--yes', '-o', gap.stick / 'deny-answer', '--deny',
                Bundle(raw).all(ITEM)[0][1][0][1].hex(), gap.request,
                conf=vault_copy(gap, 'deny'))
    assert 'denied       1' in r.stdout
    # Whoever mistypes an id wants something refused all the same.
    for wrong in '99', 'ab' * 16:
        refused(gap.run('sign', '--yes', '-o', gap.stick / 'no-answer',
                        '--deny', wrong, gap.request, ok=1),
                'no request in this bundle')
    row, = gap.ctl_json('airgap', 'export', str(gap.request))
    assert row['hash'] == hashlib.sha256(raw).hexdigest()
    assert row['hash'] in gap.run('show', gap.request).stdout


def test_an_id_that_has_its_certificate(gap, gap_user):
    """For the key that it was issued for, and no other."""
    gap.pending(gap_user, gap.server('had.demo.example'))
    gap.export()
    had = Bundle(gap.request.read_bytes()).all(ITEM)[0][1][0][1]
    gap.sign()
    gap.take()
    gap.pending(gap_user, gap.server('has.demo.example'))
    gap.export()
    [(status, text)] = judged(gap, change(gap.request.read_bytes(),
                                          gap.desk_key, item(0, 0, 4, had)))
    assert status == 3 and 'used for another request' in text
    gap.sign()
    gap.take()


def test_approval_is_needed_in_the_vault(gap, gap_user):
    number = gap.pending(gap_user, gap.server('a.demo.example', 'VaultApproval'))
    boss = gap.account('gap-boss2', groups=['managers'])
    gap.ctl('request', 'approve', number, '--as', boss.user)
    gap.export()
    raw, key = gap.request.read_bytes(), gap.desk_key

    def approval(*fields):
        def how(b):
            f = b.all(ITEM)[0][1]
            del f[11:]
            if fields:
                f.append((0x30, join([(4, bytes(16))] + [
                    (12, x) for x in fields])))
        return how
    assert judged(gap, raw) == [(1, 'Issued')]
    for how, words in ((approval(), 'approval'),
                       (approval(b'', b'root', b'', b''), 'none is named'),
                       (approval(b'demo', b'root', b'', b''),
                        'none of the groups'),
                       (approval(b'ghost', b'root', b'', b''),
                        'does not exist')):
        [(status, text)] = judged(gap, change(raw, key, how))
        assert status == 3 and words in text, text
    gap.sign()
    gap.take()
    assert gap.poll(gap_user, number).leaf is not None


def test_the_same_bytes_again(gap, gap_user):
    n = gap.pending(gap_user, gap.server('again.demo.example'))
    gap.export()
    first = gap.request.read_bytes()
    gap.pending(gap_user, gap.server('later.demo.example'))
    gap.request.unlink()
    assert 'yes' in gap.export().stdout
    assert gap.request.read_bytes() == first
    gap.sign()
    answer = gap.response.read_bytes()
    gap.response.unlink()
    assert 'the same answer again' in gap.sign().stdout
    assert gap.response.read_bytes() == answer
    there = {p.name for p in gap.stick.iterdir()}
    gap.request.unlink()
    gap.response.unlink()
    # A full one: nothing of a half bundle stays.
    refused(gap.export(ok=None, room=100), 'File too large', 'export writes')
    gap.export()
    refused(gap.sign(ok=None, room=len(answer) - 1), 'File too large',
            'sign the same bundle again')
    refused(gap.sign(ok=None, room=100), 'copy of', 'File too large')
    assert {p.name for p in gap.stick.iterdir()} == there - {
        'responses.bundle'}
    gap.sign()
    assert gap.response.read_bytes() == answer
    refused(gap.take(ok=None, room=100), 'copy of', 'File too large')
    # A stick that leads elsewhere.
    precious = gap.write(gap.vault_dir / 'precious', b'x')
    gap.response.unlink()
    gap.response.symlink_to(precious)
    refused(gap.sign(ok=None), 'is a link')
    refused(gap.sign('-o', '/dev/null', ok=None), 'is no file')
    refused(gap.run('export', '/dev/null', vault=False, ok=None), 'is no file')
    (gap.stick / 'requests.bundle.new').symlink_to(precious)
    refused(gap.export(ok=None), 'is a link')
    assert precious.read_bytes() == b'x'
    (gap.stick / 'requests.bundle.new').unlink()
    gap.response.unlink()
    gap.sign()
    # Doubled: another bundle for the round that is taken.
    gap.write(gap.stick / 'bad.bundle', change(first, gap.desk_key, head(
        6, *split(integer(1))[0])))
    refused(gap.run('sign', '--yes', gap.stick / 'bad.bundle', ok=None),
            'doubled')
    gap.take()
    refused(gap.take(ok=None), 'replayed')
    gap.round()
    gap.write(gap.request, first)
    refused(gap.sign(ok=None), 'is over', 'replayed')
    gap.write(gap.response, answer)
    refused(gap.take(ok=None), 'replayed')
    assert gap.poll(gap_user, n).leaf is not None


def test_refused_by_the_desk(gap, gap_user):
    numbers = [gap.pending(gap_user, gap.server('%d.demo.example' % i))
               for i in range(2)]
    gap.export()
    gap.sign()
    raw, key = gap.response.read_bytes(), gap.vault_key
    n = int.from_bytes(Bundle(raw).records[0][1][4][1], 'big')

    def refuse(bad, *words):
        gap.write(gap.response, bad)
        refused(gap.take(ok=None), *words)
        assert gap.poll(gap_user, numbers[0]).leaf is None

    def result(i, field, tag, content):
        return lambda b: b.set(b.all(RESULT)[i], field, tag, content)
    refuse(raw[:-40], 'truncated')
    refuse(raw + b'\x30\0', 'behind its end')
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 4
    refuse(bytes(flipped))
    refuse(change(raw, gap.desk_key), 'foreign')
    refuse(gap.request.read_bytes(), 'holds requests')
    refuse(change(raw, key, head(4, *split(integer(n + 1))[0])),
           'not exported here')
    refuse(change(raw, key, head(4, *split(integer(n - 1))[0])), 'replayed')
    refuse(change(raw, key, head(5, 4, bytes(32))), 'another bundle')
    refuse(change(raw, key, head(3, 12, b'{X}')), 'another deployment')
    refuse(change(raw, key, lambda b: b.records.remove(b.all(RESULT)[1])),
           'answers 1 requests', 'not at all')
    refuse(change(raw, key, lambda b: b.records.insert(
        2, b.all(RESULT)[0])), 'answered twice')
    refuse(change(raw, key, result(0, 0, 4, bytes(16))),
           'is not in the round')

    def swapped(b):
        one, two = b.all(RESULT)
        one[1][10], two[1][10] = two[1][10], one[1][10]
    refuse(change(raw, key, swapped), 'another public key')
    cert = Bundle(raw).all(RESULT)[0][1][10][1]
    refuse(change(raw, key, result(0, 10, 4, cert[:-1] + bytes([cert[-1] ^ 1])
                                   )), 'signed by no ca')
    refuse(change(raw, key, result(0, 10, 4, b'')), 'do not agree')
    gap.write(gap.response, raw)
    gap.take()
    for number in numbers:
        assert gap.poll(gap_user, number).leaf is not None
    gap.verify()
