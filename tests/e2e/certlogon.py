"""Log-on with a client certificate."""
import datetime
import re
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU, NameOID

import client
from schema import check_rstrc


class CertClient(client.Client):
    """The same messages at the other addresses, without a UsernameToken."""

    def __init__(self, env, pair=None, headers=None):
        super().__init__(dict(env, CS_CEP_URL=env['CS_CEP_CERT_URL'],
                              CS_CES_URL=env['CS_CES_CERT_URL']), '', '')
        self.http.cert = pair
        self.http.headers.update(headers or {})
        self.base = re.match('https://[^/]*', env['CS_CEP_CERT_URL']).group()

    def header(self):
        return ''

    def whoami(self, **headers):
        return self.http.get(self.base + '/whoami', headers=headers,
                             timeout=300)


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


class Maker:
    """Certificates of the demo's own CA behind its back, and of others."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        ca = stack.dir / 'ca/Demo-CA'
        self.ca = x509.load_pem_x509_certificate(
            ca.with_suffix('.pem').read_bytes())
        self.ca_key = serialization.load_pem_private_key(
            ca.with_suffix('.key').read_bytes(),
            ca.with_suffix('.pass').read_bytes().strip())
        self.live = x509.load_pem_x509_certificate(
            open(stack.env['CS_CERT'], 'rb').read())

    def files(self, cert, key):
        """cert: a certificate or its PEM."""
        path = self.folder / uuid.uuid4().hex
        if not isinstance(cert, bytes):
            cert = cert.public_bytes(serialization.Encoding.PEM)
        path.with_suffix('.pem').write_bytes(cert)
        path.with_suffix('.key').write_bytes(pem_key(key))
        return str(path.with_suffix('.pem')), str(path.with_suffix('.key'))

    def make(self, issuer=None, issuer_key=None, serial=None, days=(-1, 1),
             eku=(EKU.CLIENT_AUTH,), is_ca=False, san=(), cn='demo'):
        key = client.ec_key()
        now = datetime.datetime.utcnow()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        issuer_key = issuer_key or self.ca_key
        b = x509.CertificateBuilder(
            (issuer or self.ca).subject, name, key.public_key(),
            serial or x509.random_serial_number(),
            now + datetime.timedelta(days=days[0]),
            now + datetime.timedelta(days=days[1]))
        b = b.add_extension(x509.BasicConstraints(is_ca, None), True)
        b = b.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer_key.public_key()), False)
        b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(
            key.public_key()), False)
        if eku:
            b = b.add_extension(x509.ExtendedKeyUsage(eku), False)
        if san:
            b = b.add_extension(x509.SubjectAlternativeName(san), False)
        return b.sign(issuer_key, hashes.SHA256()), key

    def forged(self, **kw):
        return self.files(*self.make(**kw))

    def authority(self, cn='Another CA'):
        key = client.ec_key()
        now = datetime.datetime.utcnow()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        b = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(),
            now - datetime.timedelta(days=1),
            now + datetime.timedelta(days=30))
        b = b.add_extension(x509.BasicConstraints(True, None), True)
        b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(
            key.public_key()), False)
        return b.sign(key, hashes.SHA256()), key

    def issued(self, template='User', c=None, **kw):
        """A real one, by password; its files."""
        key = client.ec_key()
        r = (c or client.Client(self.stack.env)).enroll(
            client.make_csr(key, template=template, **kw))
        check_rstrc(r)
        return self.files(r.certificate, key)


@pytest.fixture(scope='module')
def maker(stack, tmp_path_factory):
    return Maker(stack, tmp_path_factory.mktemp('certs'))


def fresh(stack, stem, **kw):
    """An account of its own for each run; a client by password."""
    return stack.account('%s-%s' % (stem, uuid.uuid4().hex[:8]), **kw)
