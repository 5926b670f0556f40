"""Key exchange token and key archival: what a client sends, what is kept,
and what an operator gets back."""
import base64
import datetime
import hashlib
import os
import struct
import uuid

import pytest
from asn1crypto import algos, cms, core, x509 as ax
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID, ObjectIdentifier

import client
from client import NS, T
from schema import check_fault, check_rstrc
from test_agents import published, refused

ARC = '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.8.'
ARCHIVED_KEY = '1.3.6.1.4.1.311.21.13'
KEY_HASH = '1.3.6.1.4.1.311.21.21'
DER, PKCS8, NOENC = (serialization.Encoding.DER,
                     serialization.PrivateFormat.PKCS8,
                     serialization.NoEncryption())

TEMPLATE = '''
template "%s" {
	oid = "%s"
	version = "100.1"
	ca = {"%s"}
	type = user
	schema = 2
	validity = 1y
	renewal = 6w
	enroll = {"archivers"}
	names = account
	subject = {"common-name"}
	keys = {"rsa:2048", "ec:P-256"}
	providers = {"Microsoft Enhanced Cryptographic Provider v1.0"}
	key-usage = {"digital-signature", "key-encipherment"}
	eku = {"email-protection"}
	%s
}
'''


def recovery_agent(name):
    key = client.rsa_key(2048, name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(subject)
            .issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.ExtendedKeyUsage(
                [ObjectIdentifier('1.3.6.1.4.1.311.21.6')]), False)
            .sign(key, hashes.SHA256()))
    return key, cert


def in_policy(name, cert):
    lines = cert.public_bytes(serialization.Encoding.PEM).decode().split()
    body = ''.join(lines)[len('-----BEGINCERTIFICATE-----'):
                          -len('-----ENDCERTIFICATE-----')]
    return '\trecovery-agent "%s" { certificate = {%s} }\n' % (
        name, ', '.join('"%s"' % body[i:i + 60]
                        for i in range(0, len(body), 60)))


@pytest.fixture(scope='module')
def agents():
    return [recovery_agent('kra-%d' % i) for i in range(2)]


def with_archive(before, ca, agents):
    head = 'ca "%s" {\n' % ca
    assert head in before
    return before.replace(head, head + ''.join(
        in_policy('kra-%d' % i, c) for i, (_, c) in enumerate(agents))) + \
        TEMPLATE % ('Archived', ARC + '1', ca, 'archive-key = true')


@pytest.fixture(scope='module')
def policy(stack, agents, tmp_path_factory):
    before = published(stack)
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = with_archive(before, ca, agents)
    text += TEMPLATE % ('NotArchived', ARC + '2', ca, '')
    path = tmp_path_factory.mktemp('policy') / 'p.conf'
    path.write_text(text)
    stack.ctl('policy', 'publish', str(path))
    yield
    path.write_text(before)
    stack.ctl('policy', 'publish', str(path))


@pytest.fixture(scope='module')
def alice(stack, policy):
    name = 'ar-%s' % uuid.uuid4().hex[:8]
    return stack.account(name, groups=['archivers'], cn=name)


def ket(c):
    url = c.env['CS_CES_URL']
    return c.post(url, client.envelope(T + '/RST/KET', url, client.rst(
        None, request_type=T + '/KET', extra='<RequestKET/>'), c.header()))


def exchanged(reply):
    assert reply.fault is None, reply.text
    return x509.load_der_x509_certificate(base64.b64decode(reply.findtext(
        './/t:RequestedSecurityToken/t:KeyExchangeToken/'
        'o:BinarySecurityToken')))


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


def pkcs8(key):
    return key.private_bytes(DER, PKCS8, NOENC)


def bcrypt_ec(key):
    v = key.private_numbers()
    be = lambda x: x.to_bytes(32, 'big')
    return b'ECK2' + struct.pack('<I', 32) + be(v.public_numbers.x) + \
        be(v.public_numbers.y) + be(v.private_value)


# CMS -----------------------------------------------------------------------

CIPHERS = {'aes128_cbc': (16, 16), 'aes256_cbc': (32, 16),
           'tripledes_3key': (24, 8)}


def enveloped(cert, data, cipher='aes256_cbc', oaep=None, serial=None,
              pad=None):
    size, block = CIPHERS[cipher]
    cek, iv = os.urandom(size), os.urandom(block)
    n = block - len(data) % block
    data += bytes([n]) * n if pad is None else pad(n)
    alg = algorithms.TripleDES if block == 8 else algorithms.AES
    enc = Cipher(alg(cek), modes.CBC(iv)).encryptor()
    body = enc.update(data) + enc.finalize()
    if oaep is None:
        key = cert.public_key().encrypt(cek, padding.PKCS1v15())
        transport = {'algorithm': 'rsaes_pkcs1v15'}
    else:
        h = hashes.SHA1() if oaep == 'sha1' else hashes.SHA256()
        key = cert.public_key().encrypt(cek, padding.OAEP(
            padding.MGF1(h), h, None))
        transport = {'algorithm': 'rsaes_oaep', 'parameters': {
            'hash_algorithm': {'algorithm': oaep},
            'mask_gen_algorithm': {'algorithm': 'mgf1', 'parameters': {
                'algorithm': oaep}}}}
    issuer = ax.Certificate.load(cert.public_bytes(DER)).issuer
    info = cms.KeyTransRecipientInfo({
        'version': 'v0', 'rid': cms.RecipientIdentifier(
            'issuer_and_serial_number', {
                'issuer': issuer,
                'serial_number': serial or cert.serial_number}),
        'key_encryption_algorithm': transport, 'encrypted_key': key})
    return cms.ContentInfo({
        'content_type': 'enveloped_data', 'content': {
            'version': 'v0', 'recipient_infos': [cms.RecipientInfo(
                'ktri', info)],
            'encrypted_content_info': {
                'content_type': 'data',
                'content_encryption_algorithm': {
                    'algorithm': cipher, 'parameters': iv},
                'encrypted_content': body}}}).dump()


class Unsigned(core.Sequence):
    _fields = [('type', core.ObjectIdentifier),
               ('values', core.SetOf, {'spec': core.Any})]


def request(key, blob, template='Archived', hashed=None, attach=True,
            hash_name='sha256'):
    """CMC with the archived key in the first signer's unsigned attribute."""
    csr = client.make_csr(key, template=template)
    controls = []
    if hashed is not False:
        controls.append((KEY_HASH, core.OctetString(hashlib.new(
            hash_name, hashed or blob).digest()).dump()))
    data = client.pki_data(csr, controls)
    signer = client.ski_signer(key, data)
    if attach:
        attr = Unsigned({'type': ARCHIVED_KEY,
                         'values': [core.Any.load(blob)]}).dump()
        raw = signer.contents + b'\xa1' + length(len(attr)) + attr
        signer = cms.SignerInfo.load(b'\x30' + length(len(raw)) + raw)
    return client.signed_data(data, [signer])


def length(n):
    if n < 128:
        return bytes([n])
    b = n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([0x80 | len(b)]) + b


def recover(stack, tmp_path, cert, agent, ok=True, *more):
    key, agent_cert = agent
    name = uuid.uuid4().hex
    (tmp_path / (name + '.key')).write_bytes(key.private_bytes(
        serialization.Encoding.PEM, PKCS8, NOENC))
    os.chmod(tmp_path / (name + '.key'), 0o600)
    (tmp_path / (name + '.pem')).write_bytes(agent_cert.public_bytes(
        serialization.Encoding.PEM))
    out = tmp_path / (name + '.out')
    r = stack.ctl('key', 'recover', '%x' % cert.serial_number, '--agent-key',
                  str(tmp_path / (name + '.key')), '--agent-cert',
                  str(tmp_path / (name + '.pem')), '--out', str(out), *more,
                  ok=ok)
    return r if ok is not True else out


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


def test_hash_by_sha1(alice, exchange):
    key = client.rsa_key(2048, 'archived-cipher')
    check_rstrc(alice.enroll(request(key, enveloped(
        exchange, pkcs8(key)), hash_name='sha1'), pkcs10=False))


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
