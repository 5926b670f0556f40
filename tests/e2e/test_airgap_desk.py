"""What the two sides of an air gap know besides requests: each other's names,
blocked keys, and what is overdue."""
import hashlib
import re

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization

import client
from adfile import computer
from airgap import judged, refused
from keypairs import modulus_hash, twin
from waits import wait_for


@pytest.fixture
def owner(gap):
    """A superuser's connection, which no trigger stops."""
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute('SET search_path = countersign')
        yield db


def spki_hash(key):
    return hashlib.sha256(key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_vault_and_signers_have_names_of_their_own(gap, owner):
    def prefixes():
        return sorted(gap.sql('SELECT name, prefix FROM countersign.signer'))
    before = prefixes()
    refused(gap.run('init', '--vault', 'signer-1', vault=False, ok=None),
            'signer-1 is a signer with a network', '--vault')
    assert prefixes() == before
    gap.run('init', '--vault', 'vault', vault=False)
    assert prefixes() == before
    # Nor does a signer with a network start under the vault's name.
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'],
                                         user='countersign_signer')
    for above in None, 0:
        with psycopg.connect(dsn) as db, pytest.raises(
                psycopg.errors.RaiseException, match='is the vault'):
            db.execute('SELECT countersign.signer_lease(%s, %s)',
                       ('vault', above))
    assert owner.execute("SELECT apart, epoch FROM signer WHERE name = "
                         "'vault'").fetchall() == [(True, 0)]


def signers_know_the_blocked(gap):
    """They look every two seconds, and a round may take less."""
    n, = gap.sql('SELECT count(*) FROM countersign.blocked_key '
                 'WHERE blocked')[0]
    for log in (gap.dir / 'log').glob('signer-*.log'):
        said = re.findall(r'event=blocked text="(\d+) keys', log.read_text())
        if not said or int(said[-1]) != n:
            return False
    return True


def test_blocked_at_the_desk_after_it_was_asked_for(gap, gap_user):
    key, point, modulus = client.ec_key(), client.ec_key(), client.rsa_key()
    number, *more = [
        gap.pending(gap_user, gap.server('blocked.demo.example', key=k))
        for k in (key, point, modulus)]
    other = gap.pending(gap_user, gap.server('free.demo.example'))
    hashes = [spki_hash(twin(point)), modulus_hash(modulus)]
    for h in hashes:
        gap.ctl('key', 'block', h)
    gap.ctl('key', 'block', spki_hash(key), '--note', 'found on the street')
    wait_for(lambda: signers_know_the_blocked(gap))
    gap.round()
    assert [gap.poll(gap_user, n).leaf for n in more] == [None, None]
    for h in hashes:
        gap.ctl('key', 'unblock', h)
    wait_for(lambda: signers_know_the_blocked(gap))
    assert gap.poll(gap_user, other).leaf is not None
    assert gap.poll(gap_user, number).leaf is None
    r = gap.ask(gap_user, gap.server('blocked.demo.example', key=key))
    assert 'is blocked' in r.reason
    gap.ctl('key', 'unblock', spki_hash(key))
    gap.round()
    assert gap.poll(gap_user, number).leaf is not None


def reason(gap, number):
    """Why the certificate of this request is revoked, or None."""
    r, = gap.ctl_json('request', 'show', number)
    c, = gap.ctl_json('cert', 'show', r['serial'])
    return c['revocation_reason']


def test_blocked_while_it_was_across(gap, gap_user):
    """The vault has signed it already: it comes back revoked."""
    key, point, modulus = client.ec_key(), client.ec_key(), client.rsa_key()
    numbers = [gap.pending(gap_user, gap.server('late.demo.example', key=k))
               for k in (key, point, modulus)]
    other = gap.pending(gap_user, gap.server('free.demo.example'))
    gap.export()
    gap.sign()
    hashes = [spki_hash(key), spki_hash(twin(point)), modulus_hash(modulus)]
    for h in hashes:
        gap.ctl('key', 'block', h)
    gap.take()
    assert [reason(gap, n) for n in numbers + [other]] == [1, 1, 1, None]
    for h in hashes:
        gap.ctl('key', 'unblock', h)
    gap.round()     # and the vault knows
    gap.verify()


def test_replaced_meanwhile(gap, tmp_path):
    """What waits at the desk stays there; what was across comes back
    revoked."""
    csr = tmp_path / 'r.der'

    def load(rid, name='twice'):
        gap.ctl('account', 'import', '-', '--replace', '--group', 'users',
                input=computer(rid, name))
        gap.ctl('account', 'group', name + '$', 'add', 'web-admins')

    def ask(name='twice'):
        csr.write_bytes(gap.server('twice.demo.example'))
        r = gap.ctl('request', 'submit', '--account', name + '$', '--csr',
                    str(csr), '--template', 'VaultServer', ok=1)
        return re.search('request ([0-9]+) waits', r.stderr)[1]
    load(1300), load(1301, 'once')
    across, other = ask(), ask('once')
    gap.export()
    gap.sign()
    waits = ask()
    load(1310)
    gap.take()
    assert [reason(gap, n) for n in (across, other)] == [4, None]
    gap.round()
    r, = gap.ctl_json('request', 'show', waits)
    assert r['state'] == 'pending'
    gap.ctl('request', 'deny', waits)
    gap.verify()


def test_explain_knows_the_gap(gap, gap_user, tmp_path):
    """Pending where nobody must approve; and what cannot wait."""
    csr = tmp_path / 'r.der'
    csr.write_bytes(gap.server('foretold.demo.example'))
    ask = ['explain', '--csr', str(csr), '--user', gap_user.user]
    row, = gap.ctl_json(*ask)
    assert (row['ca'], row['outcome']) == ('Vault-CA', 'pending')
    assert 'air gap' in row['text']
    assert gap.ask(gap_user, csr.read_bytes()).leaf is None
    gap.round()


def test_an_operator_asks(gap, tmp_path):
    path = gap.write(tmp_path / 'csr', gap.server('asked.demo.example'))
    refused(gap.ctl('request', 'submit', '--account', 'demo', '--template',
                    'VaultServer', '--ca', 'Vault-CA', '--csr', str(path),
                    ok=1), 'pending: request ', 'for the next round')
    gap.round()


def test_policy_that_a_desk_would_not_start_with(gap, tmp_path):
    text = gap.ctl('policy', 'show').stdout
    at = text.index('ca "Vault-CA" {\n') + len('ca "Vault-CA" {\n')
    path = tmp_path / 'p.conf'
    for line in 'ocsp = {"http://x.example/ocsp"}', 'crl-delta = 1d':
        path.write_text(text[:at] + line + '\n' + text[at:])
        r = gap.ctl('policy', 'publish', str(path), ok=1)
        assert 'behind an air gap' in r.stderr
    assert gap.ctl('policy', 'show').stdout == text


def test_vault_has_a_list_of_its_own(gap, gap_user):
    """Whatever the desk says, or is made to say."""
    key = client.ec_key()
    bad = gap.pending(gap_user, gap.server('bad.demo.example', key=key))
    gap.pending(gap_user, gap.server('good.demo.example'))
    gap.export()
    raw = gap.request.read_bytes()
    assert [s for s, _ in judged(gap, raw, 'free')] == [1, 1]
    conf = gap.vault_dir / 'signer.conf'
    text, blocked = conf.read_text(), gap.vault_dir / 'blocked'
    conf.write_text(text.replace('airgap {', 'airgap {\n\tblocked-keys = "%s"'
                                 % blocked))
    try:
        refused(gap.run('status', ok=None), 'blocked')
        for line in ('not a hash', spki_hash(key)[:-1], spki_hash(key) + '0',
                     spki_hash(key)[:-1] + 'x'):
            blocked.write_text('# list of May\n\n%s\n' % line)
            refused(gap.run('status', ok=None), 'line 3', '64 hex')
        blocked.write_text('# list of May\n%s\n\n  %s\tstolen\n%s\n%s' % (
            'ab' * 32, spki_hash(key).upper(), 'cd' * 10, 'cd' * 32))
        assert 'blocked keys 4' in gap.run('status').stdout
        gap.sign()
        gap.take()
    finally:
        conf.write_text(text)
    r = gap.poll(gap_user, bad)
    assert 'is blocked' in r.reason and r.leaf is None
    assert 'blocked keys 0' in gap.run('status').stdout


def findings(gap):
    rows = gap.ctl_json('doctor', ok=None)
    return {(r['check'], r['object'].split(' ')[0]): r for r in rows
            if r['check'] == 'airgap' or (
                r['check'] == 'crl' and r['object'].startswith('Vault-CA'))}


def test_doctor(gap, gap_user, owner):
    gap.round()
    f = findings(gap)
    assert {k: v['result'] for k, v in f.items() if 'Vault-CA-2' not in k} == {
        ('crl', 'Vault-CA'): 'ok', ('airgap', 'round'): 'ok',
        ('airgap', 'requests'): 'ok', ('airgap', 'revocations'): 'ok'}
    assert 'came back 0 hours ago' in f['airgap', 'round']['text']
    assert f['airgap', 'requests']['text'] == 'none waits'
    number = gap.pending(gap_user, gap.server('doc.demo.example'))
    gap.round()
    cert = gap.poll(gap_user, number).certificate
    waits = gap.pending(gap_user, gap.server('doc2.demo.example'))
    gap.ctl('cert', 'revoke', '%032X' % cert.serial_number, '--reason',
            'superseded')
    gap.export()
    f = findings(gap)
    assert 'left 0 hours ago' in f['airgap', 'round']['text']
    for what in 'requests', 'revocations':
        assert f['airgap', what]['text'].startswith('1 without an answer')
    # As if that were long ago.
    moved = [('airgap_round', 'exported_at', 'imported_at IS NULL'),
             ('request', 'received_at', 'number = %d' % int(waits)),
             ('revocation_event', 'at', "ca LIKE 'Vault-CA%'"),
             ('crl', 'next_update', "ca = 'Vault-CA'")]
    for sign in '-', '+':
        for table, column, which in moved:
            owner.execute("UPDATE %s SET %s = %s %s interval '8 days' "
                          'WHERE %s' % (table, column, column, sign, which))
        if sign == '-':
            f = findings(gap)
    assert {k: v['result'] for k, v in f.items() if 'Vault-CA-2' not in k} == {
        ('crl', 'Vault-CA'): 'warn', ('airgap', 'round'): 'warn',
        ('airgap', 'requests'): 'warn', ('airgap', 'revocations'): 'warn'}
    assert all('Vault-CA-2' in k or v['advice'] for k, v in f.items())
    gap.sign()
    gap.take()
    assert findings(gap)['airgap', 'revocations']['result'] == 'ok'
    gap.verify()


def test_doctor_on_a_list_that_has_ended(gap, owner):
    change = ("UPDATE crl SET next_update = next_update %s interval '20 days' "
              "WHERE ca = 'Vault-CA'")
    owner.execute(change % '-')
    f = findings(gap)['crl', 'Vault-CA']
    owner.execute(change % '+')
    assert f['result'] == 'fail' and 'play a round' in f['advice']
