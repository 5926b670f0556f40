"""Key archival: what Windows sends, and what a recovery agent opens."""
import base64
import datetime
import hashlib
import os
import uuid

from asn1crypto import cms, core, x509 as ax
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID, ObjectIdentifier

import client
from client import T

ARC = '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.8.'
ARCHIVED_KEY = '1.3.6.1.4.1.311.21.13'
KEY_HASH = '1.3.6.1.4.1.311.21.21'
ADD_ATTRIBUTES = '1.3.6.1.4.1.311.10.10.1'


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


def with_archive(before, ca, agents):
    head = 'ca "%s" {\n' % ca
    assert head in before
    return before.replace(head, head + ''.join(
        in_policy('kra-%d' % i, c) for i, (_, c) in enumerate(agents))) + \
        TEMPLATE % ('Archived', ARC + '1', ca, 'archive-key = true')


def ket(c):
    url = c.env['CS_CES_URL']
    return c.post(url, client.envelope(T + '/RST/KET', url, client.rst(
        None, request_type=T + '/KET', extra='<RequestKET/>'), c.header()))


def exchanged(reply):
    assert reply.fault is None, reply.text
    return x509.load_der_x509_certificate(base64.b64decode(reply.findtext(
        './/t:RequestedSecurityToken/t:KeyExchangeToken/'
        'o:BinarySecurityToken')))


def pkcs8(key):
    return key.private_bytes(DER, PKCS8, NOENC)


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


def hash_control(md, added):
    """Windows puts the hash among the attributes that a control adds; whoever
    reads [MS-WCCE] 3.1.1.4.3.6.1 makes a control of it."""
    value = core.OctetString(md).dump()
    if not added:
        return KEY_HASH, value
    attr = client.tlv(0x30, core.ObjectIdentifier(KEY_HASH).dump(),
                      client.tlv(0x31, value))
    return ADD_ATTRIBUTES, client.tlv(
        0x30, b'\2\1\0', client.tlv(0x30, b'\2\1\1'), client.tlv(0x31, attr))


def request(key, blob, template='Archived', hashed=None, attach=True,
            hash_name='sha256', added=True):
    """CMC with the archived key in the first signer's unsigned attribute."""
    csr = client.make_csr(key, template=template)
    controls = []
    if hashed is not False:
        controls.append(hash_control(hashlib.new(
            hash_name, hashed or blob).digest(), added))
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
