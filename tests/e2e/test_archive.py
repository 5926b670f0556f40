"""Key exchange token and key archival: what a client sends, what is kept,
and what an operator gets back."""
import datetime
import hashlib
import os
import struct
import uuid

import psycopg
import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding  # noqa: F401

import client
from agents import refused
from archives import (ARC, DER, KEY_HASH, TEMPLATE, enveloped, exchanged, ket,
                      pkcs8, recover, recovery_agent, request, with_archive)
from client import NS
from madeup import put_row, serial  # noqa: F401
from policies import in_force, published
from schema import check_rstrc


@pytest.fixture(scope='module')
def agents():
    return [recovery_agent('kra-%d' % i) for i in range(2)]


@pytest.fixture(scope='module')
def policy(stack, agents):
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = with_archive(published(stack), ca, agents)
    text += TEMPLATE % ('NotArchived', ARC + '2', ca, '')
    with in_force(stack, text):
        yield


@pytest.fixture(scope='module')
def alice(stack, policy):
    name = 'ar-%s' % uuid.uuid4().hex[:8]
    return stack.account(name, groups=['archivers'], cn=name)


@pytest.fixture(scope='module')
def exchange(alice):
    return exchanged(ket(alice))


# Private keys, as the three worlds write them -----------------------------

def numbers(key):
    n = key.private_numbers()
    return n.public_numbers.n, n.public_numbers.e, n.d, n.p, n.q, n.dmp1, \
        n.dmq1, n.iqmp


def capi(key, alg=0xa400):
    n, e, d, p, q, dp, dq, qi = numbers(key)
    bits = key.key_size
    le = lambda v, k: v.to_bytes(k, 'little')
    half = bits // 16
    return (struct.pack('<BBHI', 7, 2, 0, alg) + b'RSA2' +
            struct.pack('<II', bits, e) + le(n, bits // 8) + le(p, half) +
            le(q, half) + le(dp, half) + le(dq, half) + le(qi, half) +
            le(d, bits // 8))


def bcrypt(key, full=False):
    n, e, d, p, q, dp, dq, qi = numbers(key)
    k = key.key_size // 8
    be = lambda v, size: v.to_bytes(size, 'big')
    out = (b'RSA3' if full else b'RSA2') + struct.pack(
        '<IIIII', key.key_size, 3, k, k // 2, k // 2)
    out += be(e, 3) + be(n, k) + be(p, k // 2) + be(q, k // 2)
    if full:
        out += be(dp, k // 2) + be(dq, k // 2) + be(qi, k // 2) + be(d, k)
    return out


def bcrypt_ec(key):
    v = key.private_numbers()
    be = lambda x: x.to_bytes(32, 'big')
    return b'ECK2' + struct.pack('<I', 32) + be(v.public_numbers.x) + \
        be(v.public_numbers.y) + be(v.private_value)


# CMS -----------------------------------------------------------------------


# Key exchange token --------------------------------------------------------

def test_ket(stack, exchange):
    assert exchange.extensions.get_extension_for_class(
        x509.ExtendedKeyUsage).value[0].dotted_string == \
        '1.3.6.1.4.1.311.21.5'
    ku = exchange.extensions.get_extension_for_class(x509.KeyUsage).value
    assert ku.key_encipherment and not ku.digital_signature
    assert exchange.public_key().key_size == 2048
    assert exchange.subject.rfc4514_string().endswith('-Xchg')
    life = exchange.not_valid_after - exchange.not_valid_before
    assert datetime.timedelta(days=7) <= life < datetime.timedelta(days=8)
    rows = stack.sql('SELECT c.account, c.template, r.state, c.der FROM '
                     'countersign.certificate c JOIN countersign.request r '
                     'ON r.serial = c.serial WHERE c.serial = '
                     "decode(%s, 'hex')", '%032x' % exchange.serial_number)
    assert len(rows) == 1 and rows[0][:3] == (
        '<exchange>', 'CAExchange', 'issued')
    assert bytes(rows[0][3]) == exchange.public_bytes(DER)


def test_ket_is_the_same_for_a_week(alice, exchange):
    r = ket(alice)
    assert exchanged(r) == exchange
    assert r.findtext('.//e:DispositionMessage') is None
    assert r.request_id is None


def made_up(exchange):
    """As the exchange certificate, but of the caller's own key."""
    key = client.rsa_key(2048, 'made-up')
    b = (x509.CertificateBuilder().subject_name(exchange.subject)
         .issuer_name(exchange.issuer).public_key(key.public_key())
         .serial_number(exchange.serial_number + 1)
         .not_valid_before(exchange.not_valid_before)
         .not_valid_after(exchange.not_valid_after))
    for e in exchange.extensions:
        b = b.add_extension(e.value, e.critical)
    return b.sign(key, hashes.SHA256()).public_bytes(DER)


@pytest.mark.parametrize('whose', ['nobody', 'user'])
def test_no_key_is_sealed_for_who_writes_rows(
        stack, alice, exchange, put_row, whose):  # noqa: F811
    """A signer's role reads requests: with a certificate of its own for this
    it would read the private keys in them, too."""
    if whose == 'nobody':
        der, words = made_up(exchange), 'made by no signer'
        put_row(exchange.public_bytes(DER), der)
    else:
        der, words = alice.enroll(client.make_csr(
            client.rsa_key(2048, 'own'), template='NotArchived')
            ).leaf, 'is none'
    dsn = psycopg.conninfo.make_conninfo(stack.env['CS_DSN'],
                                         user='countersign_signer')
    with psycopg.connect(dsn) as db:
        db.execute("INSERT INTO countersign.exchange_key SELECT %s, ca, "
                   "'sealed', not_after + interval '1 year' FROM "
                   'countersign.exchange_key LIMIT 1', (serial(der),))
    try:
        refused(ket(alice), 0x800b0109, words)
    finally:
        with psycopg.connect(psycopg.conninfo.make_conninfo(
                dsn, user='postgres')) as db:
            db.execute('SET session_replication_role = replica')
            db.execute('DELETE FROM countersign.exchange_key WHERE serial = '
                       '%s', (serial(der),))
    assert exchanged(ket(alice)) == exchange


def test_ledger_knows_it(stack, exchange):
    stack.ctl('ledger', 'verify')


# Archival ------------------------------------------------------------------

FORMS = {
    'capi': lambda k: capi(k), 'capi-signature': lambda k: capi(k, 0x2400),
    'bcrypt': lambda k: bcrypt(k), 'bcrypt-full': lambda k: bcrypt(k, True),
    'pkcs8': pkcs8}


@pytest.mark.parametrize('form', FORMS)
def test_round_trip(stack, alice, exchange, agents, tmp_path, form):
    key = client.rsa_key(2048, 'archived-' + form)
    r = alice.enroll(request(key, enveloped(exchange, FORMS[form](key))),
                     pkcs10=False)
    check_rstrc(r)
    for agent in agents:
        out = recover(stack, tmp_path, r.certificate, agent)
        assert oct(out.stat().st_mode & 0o077) == '0o0'
        back = serialization.load_pem_private_key(out.read_bytes(), None)
        assert back.private_numbers() == key.private_numbers()


@pytest.mark.parametrize('form', [pkcs8, bcrypt_ec])
def test_round_trip_ec(stack, alice, exchange, agents, tmp_path, form):
    key = client.ec_key()
    r = alice.enroll(request(key, enveloped(exchange, form(key))),
                     pkcs10=False)
    check_rstrc(r)
    out = recover(stack, tmp_path, r.certificate, agents[0])
    back = serialization.load_pem_private_key(out.read_bytes(), None)
    assert back.private_numbers() == key.private_numbers()


@pytest.mark.parametrize('kw', [
    {'cipher': 'aes128_cbc'}, {'cipher': 'tripledes_3key'},
    {'oaep': 'sha1'}, {'oaep': 'sha256'}], ids=str)
def test_ciphers(alice, exchange, kw):
    key = client.rsa_key(2048, 'archived-cipher')
    check_rstrc(alice.enroll(request(key, enveloped(
        exchange, pkcs8(key), **kw)), pkcs10=False))


@pytest.mark.parametrize('added', [True, False])
def test_hash_by_sha1(alice, exchange, added):
    key = client.rsa_key(2048, 'archived-cipher')
    check_rstrc(alice.enroll(request(key, enveloped(
        exchange, pkcs8(key)), hash_name='sha1', added=added), pkcs10=False))


def test_response_echoes_the_hash(alice, exchange):
    key = client.rsa_key(2048, 'archived-cipher')
    blob = enveloped(exchange, pkcs8(key))
    r = alice.enroll(request(key, blob), pkcs10=False)
    check_rstrc(r)
    oid = core.ObjectIdentifier(KEY_HASH).dump()
    assert oid in r.cmc and hashlib.sha256(blob).digest() in r.cmc


def test_with_passphrase_and_audit(stack, alice, exchange, agents, tmp_path):
    key = client.rsa_key(2048, 'archived-cipher')
    r = alice.enroll(request(key, enveloped(exchange, pkcs8(key))),
                     pkcs10=False)
    secret = tmp_path / 'pass'
    secret.write_text('open sesame\n')
    os.chmod(secret, 0o600)
    out = recover(stack, tmp_path, r.certificate, agents[1], True,
                  '--passphrase-file', str(secret))
    assert b'ENCRYPTED' in out.read_bytes()
    back = serialization.load_pem_private_key(out.read_bytes(),
                                              b'open sesame')
    assert back.private_numbers() == key.private_numbers()
    lines = stack.sql("SELECT detail FROM countersign.audit WHERE action = "
                      "'key recover' ORDER BY n DESC LIMIT 1")
    assert '%X' % r.certificate.serial_number in lines[0][0]
    assert alice.user in lines[0][0]


def test_recovery_refusals(stack, alice, exchange, agents, tmp_path):
    key = client.rsa_key(2048, 'archived-cipher')
    r = alice.enroll(request(key, enveloped(exchange, pkcs8(key))),
                     pkcs10=False)
    other = recover(stack, tmp_path, r.certificate, recovery_agent('kra-x'),
                    1)
    assert 'not encrypted to' in other.stderr
    plain = alice.enroll(client.make_csr(key, template='NotArchived'))
    none = recover(stack, tmp_path, plain.certificate, agents[0], 1)
    assert 'no archived key' in none.stderr
    mixed = recover(stack, tmp_path, r.certificate,
                    (agents[0][0], agents[1][1]), 1)
    assert 'agent-cert' in mixed.stderr


def test_never_in_the_clear(stack, alice, exchange):
    """What is stored opens with an agent's key and shows nothing without."""
    key = client.rsa_key(2048, 'archived-clear')
    r = alice.enroll(request(key, enveloped(exchange, pkcs8(key))),
                     pkcs10=False)
    check_rstrc(r)
    p = key.private_numbers().p.to_bytes(128, 'big')
    for part in ('signer', 'worker', 'postgres', 'nginx'):
        assert p.hex() not in stack.log(part).lower()
    with pytest.raises(Exception, match='permission denied'):
        stack.sql('SELECT body FROM countersign.archived_key')
    with pytest.raises(Exception, match='permission denied'):
        stack.sql('SELECT sealed FROM countersign.exchange_key')


# Refusals ------------------------------------------------------------------

SAME = 'cannot be decrypted or is not that of the request'


def test_no_key(alice):
    refused(alice.enroll(client.make_csr(client.rsa_key(),
                                         template='Archived')),
            0x80094804, 'Archived')
    key = client.ec_key()
    refused(alice.enroll(client.make_cmc(key, client.make_csr(
        key, template='Archived')), pkcs10=False), 0x80094804)


def test_unexpected_key(alice, exchange):
    key = client.rsa_key()
    refused(alice.enroll(request(key, enveloped(exchange, pkcs8(key)),
                                 'NotArchived'), pkcs10=False), 0x80094810)


@pytest.mark.parametrize('kw', [{'hashed': False}, {'attach': False},
                                {'hashed': b'other'}], ids=str)
def test_key_and_hash(alice, exchange, kw):
    key = client.rsa_key()
    refused(alice.enroll(request(key, enveloped(exchange, pkcs8(key)), **kw),
                         pkcs10=False), 0x8009400C, 'hash')


def flip(blob, where=-5):
    b = bytearray(blob)
    b[where] ^= 1
    return bytes(b)


WRONG = {
    'another-key': lambda x, k: enveloped(x, pkcs8(client.rsa_key(
        2048, 'another'))),
    'capi-other-modulus': lambda x, k: enveloped(x, flip(capi(k), 30)),
    'bcrypt-cut': lambda x, k: enveloped(x, bcrypt(k)[:-1]),
    'bcrypt-longer': lambda x, k: enveloped(x, bcrypt(k) + b'\0'),
    'garbage': lambda x, k: enveloped(x, os.urandom(1200)),
    'padding': lambda x, k: enveloped(x, pkcs8(k), pad=lambda n:
                                      b'\0' * (n - 1) + bytes([17])),
    'content': lambda x, k: flip(enveloped(x, pkcs8(k))),
    'primes': lambda x, k: enveloped(x, capi(k)[:20 + 256] + b'\3' +
                                     capi(k)[20 + 257:]),
    'wrong-exchange-key': lambda x, k: enveloped(recovery_agent('kra-x')[1],
                                                 pkcs8(k)),
}


def test_wrong_keys_look_alike(alice, exchange):
    key = client.rsa_key(2048, 'archived-wrong')
    reasons = set()
    for name, make in WRONG.items():
        if name == 'wrong-exchange-key':
            # Encrypted to somebody else's key under our certificate's name.
            other = recovery_agent('kra-x')[1]

            class Fake:
                serial_number = exchange.serial_number
                public_key = other.public_key
                public_bytes = exchange.public_bytes
            blob = enveloped(Fake, pkcs8(key))
        else:
            blob = make(exchange, key)
        r = alice.enroll(request(key, blob), pkcs10=False)
        refused(r, 0x8009400C, SAME)
        reasons.add(r.reason.split(' (request')[0])
    assert len(reasons) == 1


def test_unknown_exchange_certificate(alice, exchange):
    key = client.rsa_key()
    refused(alice.enroll(request(key, enveloped(
        exchange, pkcs8(key), serial=4711)), pkcs10=False),
        0x8009400C, 'unknown or too old')
    refused(alice.enroll(request(key, enveloped(
        recovery_agent('kra-y')[1], pkcs8(key))), pkcs10=False),
        0x8009400C, 'not encrypted to ca')


def test_cep_tells_the_cipher(alice):
    for p in alice.policies().findall('.//p:policy'):
        a = p.find('p:attributes', NS)
        if a.findtext('p:commonName', None, NS) == 'Archived':
            assert int(a.findtext('p:privateKeyFlags', None, NS)) & 1
            assert a.findtext('p:keyArchivalAttributes/'
                              'p:symmetricAlgorithmKeyLength', None,
                              NS) == '256'
            return
    pytest.fail('Archived is not offered')


@pytest.mark.parametrize('change,words', [
    (lambda t: t.replace('archive-key = true',
                         'archive-key = true approval = manager'),
     'cannot be with approval'),
    (lambda t: t.replace('archive-key = true', 'archive-key = true schema = 1')
     .replace('schema = 2', '', 1), ''),
    (lambda t: '\n'.join(x for x in t.split('\n')
                         if 'recovery-agent' not in x),
     'has no recovery-agent')])
def test_linter(stack, policy, tmp_path, change, words):
    text = published(stack)
    assert change(text) != text
    (tmp_path / 'p.conf').write_text(change(text))
    r = stack.ctl('policy', 'check', str(tmp_path / 'p.conf'), ok=1)
    assert words in r.stdout + r.stderr
