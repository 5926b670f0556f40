"""Public keys that get no certificate: another account's, those on a list that
an operator loaded, a CA's; "explain" and the lint say it with the same words."""
import ctypes
import hashlib
import os
import signal
import time
import uuid

import psycopg
import pytest
from asn1crypto import core
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import client
from keypairs import modulus_hash, twin
from revocation import hex_serial
from schema import check_fault, check_rstrc
from waits import wait_for
from wire import ISSUE, PASSWORD, Peer, ask, status

BAD_KEY = 0x80090003
OTHERS = 'is certified for another account: make a new key'


def spki_sha256(key):
    return hashlib.sha256(key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def same(key):
    return key


@pytest.fixture(scope='module')
def people(stack):
    return [stack.account('key-' + uuid.uuid4().hex[:8],
                          groups=['web-admins', 'users', 'managers'])
            for _ in range(2)]


def csr(stack, key, template='CS_TEMPLATE', name='key.demo.example'):
    return client.make_csr(key, name, [name], stack.env[template])


def refused(r, words, key):
    check_fault(r)
    assert r.hresult == BAD_KEY and words in r.reason, r.reason
    assert spki_sha256(key) in r.reason


def explained(stack, who, token, folder, *args):
    path = folder / 'explained.csr'
    path.write_bytes(token)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    return stack.ctl_json('explain', '--user', who.user, '--csr', str(path),
                          *args, ok=1)[0]


def all_blocked(stack, who, keys, first, folder):
    """No request gets by with any of them, and the certificate of the first is
    found."""
    for key in keys:
        r = wait_for(lambda: (a := who.enroll(csr(stack, key))).fault
                     is not None and a)
        refused(r, 'is blocked', key)
        row = explained(stack, who, csr(stack, key), folder)
        assert row['text'] == r.reason.split(' (request', 1)[0]
    found = stack.ctl_json('cert', 'check', hex_serial(first), ok=1)
    assert [(x['rule'], x['text']) for x in found] == [
        ('key-blocked', 'public key %s is blocked' % spki_sha256(keys[0]))]


@pytest.mark.parametrize('form', ['pkcs10', 'cmc'])
def test_key_of_another_account(stack, people, form, tmp_path):
    first, second = people
    key = client.rsa_key()
    token = csr(stack, key)
    if form == 'cmc':
        token = client.make_cmc(key, token)

    def enroll(who):
        return who.enroll(token, pkcs10=form == 'pkcs10')
    check_rstrc(enroll(first))
    r = enroll(second)
    refused(r, OTHERS, key)
    assert first.user not in r.reason
    state, text = stack.sql(
        'SELECT state, message FROM countersign.request WHERE account = %s '
        'ORDER BY received_at DESC LIMIT 1', second.user)[0]
    assert state == 'denied' and OTHERS in text
    row = explained(stack, second, token, tmp_path)
    assert row['outcome'] == 'denied' and row['hresult'] == '0x80090003'
    assert row['text'] == text
    # The same account may have several certificates of a key.
    check_rstrc(enroll(first))


def test_renewal_with_the_same_key(stack, people):
    first, second = people
    key, name = client.rsa_key(), 'same.demo.example'
    old = first.enroll(csr(stack, key, 'CS_TEMPLATE_RENEWAL', name))
    check_rstrc(old)
    renewal = client.renewal_cmc(client.renewal_csr(
        key, old.leaf, cn=name, dns=[name],
        template=stack.env['CS_TEMPLATE_RENEWAL']), key, key, old.leaf)
    r = first.enroll(renewal, pkcs10=False)
    check_rstrc(r)
    assert r.leaf != old.leaf
    assert stack.sql('SELECT account FROM countersign.key_owner WHERE '
                     'spki_sha256 = %s', bytes.fromhex(spki_sha256(key))) == \
        [(first.user,)]


@pytest.mark.parametrize('curve', [ec.SECP256R1, ec.SECP384R1])
def test_other_point_of_another_account(stack, people, curve, tmp_path):
    first, second = people
    key = client.ec_key(curve)
    check_rstrc(first.enroll(csr(stack, key)))
    other = twin(key)
    r = second.enroll(csr(stack, other))
    refused(r, OTHERS, other)
    row = explained(stack, second, csr(stack, other), tmp_path)
    assert row['hresult'] == '0x80090003' and OTHERS in row['text']
    check_rstrc(first.enroll(csr(stack, other)))


@pytest.mark.parametrize('which', [same, twin])
def test_taken_while_it_waited(stack, people, which):
    """Pending requests are judged again when they are approved."""
    first, second = people
    key = client.ec_key()
    r = second.enroll(csr(stack, key, 'CS_TEMPLATE_APPROVAL'))
    check_rstrc(r)
    assert r.leaf is None
    check_rstrc(first.enroll(csr(stack, which(key))))
    told = stack.ctl('request', 'approve', r.request_id, ok=1).stderr
    assert OTHERS in told
    assert second.query(r.request_id).leaf is None


@pytest.mark.parametrize('which', [same, twin])
def test_two_accounts_in_one_batch(stack, people, which):
    """What the first of them gets has no row yet when the second is judged."""
    key = client.ec_key()
    keys = [key, which(key)]
    peers = [Peer(stack, 'worker') for _ in people]
    pid = stack.pids('signer')[0]
    # Both are connected before it stops.
    for peer, who in zip(peers, people):
        assert status(peer.ask(ask(stack, ISSUE, PASSWORD, who.user,
                                   csr(stack, client.ec_key())))) == 1
    os.kill(pid, signal.SIGSTOP)
    try:
        for peer, who, k in zip(peers, people, keys):
            message = ask(stack, ISSUE, PASSWORD, who.user, csr(stack, k))
            peer.zmq.zmq_send(peer.sock, os.urandom(16), 16, 2)
            assert peer.zmq.zmq_send(peer.sock, message, len(message), 0) > 0
    finally:
        os.kill(pid, signal.SIGCONT)
    outcome = []
    for peer in peers:
        buf = ctypes.create_string_buffer(1 << 18)
        assert peer.zmq.zmq_recv(peer.sock, buf, len(buf), 0) == 16
        n = peer.zmq.zmq_recv(peer.sock, buf, len(buf), 0)
        outcome.append(OTHERS.encode() in buf.raw[:n])
        peer.close()
    assert sorted(outcome) == [False, True]
    assert certificates(stack, keys) == 1


def certificates(stack, keys):
    return stack.sql('SELECT count(*) FROM countersign.certificate WHERE '
                     'spki_sha256 = ANY(%s)',
                     [bytes.fromhex(spki_sha256(k)) for k in keys])[0][0]


def receive(peer):
    buf = ctypes.create_string_buffer(1 << 18)
    wait_for(lambda: peer.zmq.zmq_recv(peer.sock, buf, len(buf), 0) == 16)
    n = peer.zmq.zmq_recv(peer.sock, buf, len(buf), 0)
    return core.SequenceOf.load(buf.raw[:n], spec=core.Any)


def test_two_signers_in_one_instant(stack, people):
    """Neither has the other's row to look at; the database lets one of them
    commit, and whoever is asked next says so."""
    peers = [Peer(stack, 'worker', signer=i) for i in range(2)]
    for peer, who in zip(peers, people):
        assert status(peer.ask(ask(stack, ISSUE, PASSWORD, who.user,
                                   csr(stack, client.ec_key())))) == 1
    waiting = ('SELECT count(*) FROM pg_locks WHERE NOT granted AND '
               "relation = 'countersign.key_owner'::regclass")

    def once():
        key = client.ec_key()
        messages = [ask(stack, ISSUE, PASSWORD, who.user, csr(stack, key))
                    for who in people]
        with psycopg.connect(stack.env['CS_DSN'], user='postgres') as db:
            db.execute('LOCK TABLE countersign.key_owner IN SHARE MODE')
            for peer, message in zip(peers, messages):
                peer.zmq.zmq_send(peer.sock, os.urandom(16), 16, 2)
                assert peer.zmq.zmq_send(peer.sock, message, len(message),
                                         0) > 0
            # For two seconds: on a busy machine they may not meet.
            end = time.time() + 1.8
            while time.time() < end and db.execute(
                    waiting).fetchone() != (2,):
                time.sleep(0.02)
        told = [status(receive(p)) for p in peers]
        # Denied: it came so late that there was a row to look at.
        return 1 in told and 3 not in told and (key, messages, told)
    key, messages, told = wait_for(once)
    lost = told.index(1) ^ 1
    # Elsewhere; or "try again", when the machine is too slow for all that.
    assert told[lost] in (9, 6)
    a = peers[lost ^ 1].ask(messages[lost])
    assert status(a) == 3 and OTHERS.encode() in a[4].contents
    assert certificates(stack, [key]) == 1
    # What the loser signed is on no way out: its number is void.
    assert status(peers[lost].ask(ask(
        stack, ISSUE, PASSWORD, people[lost].user,
        csr(stack, client.ec_key())))) == 1
    ident = core.SequenceOf.load(messages[lost], spec=core.Any)[2].contents
    assert stack.sql('SELECT count(*) FROM countersign.void_serial '
                     'WHERE request_id = %s', ident) == [(1,)]
    for p in peers:
        p.close()


def test_one_bad_row_of_a_batch(stack, people):
    """It does not take the others with it, nor has each of them to wait for a
    COMMIT of its own."""
    peer, who, n = Peer(stack, 'worker'), people[0], 14
    assert status(peer.ask(ask(stack, ISSUE, PASSWORD, who.user,
                               csr(stack, client.ec_key())))) == 1
    waiting = ('SELECT count(*) FROM pg_locks WHERE NOT granted AND '
               "relation = 'countersign.key_owner'::regclass")
    pid = stack.pids('signer')[0]

    def once():
        keys = [client.ec_key() for _ in range(n)]
        messages = [ask(stack, ISSUE, PASSWORD, who.user, csr(stack, k))
                    for k in keys]
        bad = bytes.fromhex(spki_sha256(keys[5]))
        with psycopg.connect(stack.env['CS_DSN'], user='postgres') as db:
            db.execute('LOCK TABLE countersign.key_owner IN SHARE MODE')
            os.kill(pid, signal.SIGSTOP)
            try:
                for m in messages:
                    peer.zmq.zmq_send(peer.sock, os.urandom(16), 16, 2)
                    assert peer.zmq.zmq_send(peer.sock, m, len(m), 0) > 0
                time.sleep(1)       # all of them are there when it goes on
            finally:
                os.kill(pid, signal.SIGCONT)
            wait_for(lambda: db.execute(waiting).fetchone() == (1,),
                     every=0.02)
            db.execute('INSERT INTO countersign.key_owner VALUES (%s, %s)',
                       (bad, people[1].user))
        try:
            told = [status(receive(peer)) for _ in messages]
        finally:
            with psycopg.connect(stack.env['CS_DSN'], user='postgres') as db:
                db.execute('SET session_replication_role = replica')
                db.execute('DELETE FROM countersign.key_owner WHERE '
                           'spki_sha256 = %s', (bad,))
        # A signer waits for two seconds: on a busy machine not long enough.
        return told.count(1) == n - 1 and keys
    keys = wait_for(once)
    peer.close()
    transactions, = stack.sql(
        'SELECT count(DISTINCT xmin::text) FROM countersign.certificate '
        'WHERE spki_sha256 = ANY(%s)',
        [bytes.fromhex(spki_sha256(k)) for k in keys])[0]
    assert transactions <= 6


# Lists -----------------------------------------------------------------------

def write(folder, *lines):
    path = folder / 'list'
    path.write_text(''.join(x + '\n' for x in lines))
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    return str(path)


def counted(stack, verb, path):
    row = stack.ctl_json('key', verb, '--file', path, '--note', 'a list')[0]
    return row['hashes'], row['changed']


def test_list_of_blocked_keys(stack, people, tmp_path):
    who, weak, lost = people[0], client.rsa_key(), client.ec_key()
    r = who.enroll(csr(stack, weak))
    check_rstrc(r)
    n = int(os.environ.get('BLOCKED', 40000))
    other = [hashlib.sha256(b'%d' % i).hexdigest() for i in range(n)]
    path = write(tmp_path, '# as openssl-blacklist has them', '',
                 modulus_hash(weak), spki_sha256(lost).upper() + ' lost',
                 *[h[:20] if i % 2 else h for i, h in enumerate(other)])
    try:
        assert counted(stack, 'block', path) == (n + 2, n + 2)
        assert counted(stack, 'block', path) == (n + 2, 0)
        all_blocked(stack, who, (weak, lost), r.certificate, tmp_path)
        # Each of them by its name: "ledger verify" holds the table to it.
        named = stack.sql('SELECT detail FROM countersign.audit WHERE action '
                          "= 'key block' AND detail LIKE '%%: a list'")
        named = {h for d, in named for h in d.split(': ')[0].split(', ')}
        assert named >= {spki_sha256(lost), modulus_hash(weak),
                         *[h[:20] if i % 2 else h
                           for i, h in enumerate(other)]}
        check_rstrc(who.enroll(csr(stack, client.ec_key())))
    finally:
        assert counted(stack, 'unblock', path) == (n + 2, n + 2)
    wait_for(lambda: who.enroll(csr(stack, weak)).fault is None)
    assert not [x for x in stack.ctl_json('key', 'list')
                if x['note'] == 'a list']
    assert not [x for x in stack.ctl_json('ledger', 'verify')
                if x['damaged'] and x['object'].startswith('key ')]


def test_other_point_of_a_blocked_key(stack, people, tmp_path):
    who, key = people[0], client.ec_key(ec.SECP384R1)
    r = who.enroll(csr(stack, key))
    check_rstrc(r)
    other = twin(key)
    stack.ctl('key', 'block', spki_sha256(other), '--note', 'n - d')
    try:
        all_blocked(stack, who, (key, other), r.certificate, tmp_path)
    finally:
        stack.ctl('key', 'unblock', spki_sha256(other))
    wait_for(lambda: who.enroll(csr(stack, key)).fault is None)


def test_modulus_of_a_blocked_certificate(stack, people):
    """Whoever knows the factors makes another key of them."""
    who, key = people[0], client.rsa_key()
    r = who.enroll(csr(stack, key))
    check_rstrc(r)
    n = key.private_numbers()
    e = 65539
    d = pow(e, -1, (n.p - 1) * (n.q - 1))
    other = rsa.RSAPrivateNumbers(
        n.p, n.q, d, d % (n.p - 1), d % (n.q - 1), n.iqmp,
        rsa.RSAPublicNumbers(e, n.public_numbers.n)).private_key()
    serial = hex_serial(r.certificate)
    assert stack.ctl('key', 'block', '--cert', serial).stdout.strip() == \
        spki_sha256(key)
    try:
        for k in key, other:
            refused(wait_for(lambda: (a := who.enroll(csr(stack, k))).fault
                             is not None and a), 'is blocked', k)
    finally:
        stack.ctl('key', 'unblock', '--cert', serial)
    assert not {x['spki_sha256'] for x in stack.ctl_json('key', 'list')} & {
        spki_sha256(key), modulus_hash(key)}


@pytest.mark.parametrize('line, words', [
    ('0123', 'neither 64 hex digits nor 20'), ('x' * 64, 'neither'),
    ('ab' * 31 + ' why', 'neither'), ('ab' * 200, 'neither')])
def test_nothing_is_taken_of_a_list_with_a_mistake(stack, tmp_path, line,
                                                   words):
    good = hashlib.sha256(os.urandom(8)).hexdigest()
    path = write(tmp_path, good, line)
    told = stack.ctl('key', 'block', '--file', path, ok=1).stderr
    assert ':2: ' in told and words in told
    assert good not in {x['spki_sha256'] for x in stack.ctl_json('key',
                                                                 'list')}


def test_mistakes(stack):
    assert 'No such file' in stack.ctl('key', 'block', '--file', '/nonexistent',
                                       ok=1).stderr
    for more in ('--file', '/dev/null', '--cert', '47'), (
            'ab' * 32, '--file', '/dev/null'):
        assert 'which key' in stack.ctl('key', 'block', *more, ok=2).stderr


def test_explain_knows_keys_of_cas(stack, people, tmp_path):
    pem = (stack.dir / 'ca/Demo-CA.key').read_bytes()
    word = (stack.dir / 'ca/Demo-CA.pass').read_bytes().rstrip(b'\n')
    key = serialization.load_pem_private_key(pem, word)
    for k in key, twin(key):
        r = people[0].enroll(csr(stack, k))
        check_fault(r)
        row = explained(stack, people[0], csr(stack, k), tmp_path)
        assert row['text'] == "public key is ca Demo-CA's" and \
            row['text'] in r.reason
