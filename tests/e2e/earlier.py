"""A CA that comes from elsewhere with its key and its last list."""
import contextlib
import datetime
import os
import re

import psycopg
import pytest
from asn1crypto import crl as acrl
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import client
from cakeys import give_key, put
from hierarchy import Offline
from ledger_edits import pg
from ledgers import own, root  # noqa: F401
from policies import USER_OF_CA, publish
from second_site import reload_nginx
from waits import wait_for

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
NAME = 'Moved-CA'
NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)
R = x509.ReasonFlags

# As AD CS, OpenSSL and others number them.
LOST, HELD, HELD_TOO, PLAIN, SMALL, ZERO, LONG = (
    0x7A0000012F5C0E1D2B3A495867, 0x61000000A2, 0x61000000A3,
    0x8F00000000000001, 1, 0, (1 << 158) + 7)
REVOKED_BEFORE = {
    LOST: (NOW - 90 * DAY, R.key_compromise),
    HELD: (NOW - 40 * DAY, R.certificate_hold),
    HELD_TOO: (NOW - 39 * DAY, R.certificate_hold),
    PLAIN: (NOW - 900 * DAY, None),
    SMALL: (NOW - 30 * DAY, R.aa_compromise),
    ZERO: (NOW - 31 * DAY, R.superseded),
    LONG: (NOW - 3 * DAY, R.privilege_withdrawn),
}


def hex_of(serial):
    s = '%X' % serial
    return s if len(s) % 2 == 0 else '0' + s


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


@contextlib.contextmanager
def as_if_it_came(stack, ca):
    """A CA that was made here, while the database says it brought a list."""
    with psycopg.connect(psycopg.conninfo.make_conninfo(
            stack.env['CS_DSN'], user='postgres'), autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute('INSERT INTO countersign.crl_before VALUES '
                   "(%s, 1, '2000-01-01', 0, sha256(''))", (ca,))
        try:
            yield
        finally:
            db.execute('DELETE FROM countersign.crl_before WHERE ca = %s',
                       (ca,))


def key_of_ca(path):
    """Of a CA in files: its certificate and its key."""
    return (x509.load_pem_x509_certificate(
        path.with_suffix('.pem').read_bytes()),
        serialization.load_pem_private_key(
            path.with_suffix('.key').read_bytes(),
            path.with_suffix('.pass').read_bytes().strip()))


def sign_before(ca, ca_key, *extensions, serial=None, days=(-300, 65),
                cn='OLD\\somebody'):
    """A key and its certificate, numbered as AD CS does."""
    key = client.ec_key()
    b = x509.CertificateBuilder(
        ca.subject, name(cn), key.public_key(),
        serial or int.from_bytes(b'\x61' + os.urandom(18), 'big'),
        NOW + days[0] * DAY, NOW + days[1] * DAY)
    for e in extensions:
        b = b.add_extension(e, False)
    return key, b.sign(ca_key, hashes.SHA256()).public_bytes(DER)


class Elsewhere:
    """A root and an issuing CA that were never here."""

    def __init__(self, folder):
        self.off = folder
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self.certify('Moved Root', self.root_key, 'Moved Root')
        self.cert = self.certify('Moved CA', self.key, 'Moved Root')
        folder.put('ca.pem', self.cert.public_bytes(PEM))
        folder.put('root.pem', self.root.public_bytes(PEM))
        folder.put('ca.key', self.key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    def certify(self, cn, key, issuer):
        return (x509.CertificateBuilder().subject_name(name(cn))
                .issuer_name(name(issuer)).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(NOW - 1000 * DAY)
                .not_valid_after(NOW + 3000 * DAY)
                .add_extension(x509.BasicConstraints(True, None), True)
                .add_extension(x509.KeyUsage(
                    True, False, False, False, False, True, True, False,
                    False), True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(
                    key.public_key()), False)
                .sign(self.root_key, hashes.SHA256()))

    def crl(self, revoked=REVOKED_BEFORE, number=41, key=None, by='Moved CA',
            since=NOW - DAY, extensions=(), entry=None):
        b = (x509.CertificateRevocationListBuilder().issuer_name(name(by))
             .last_update(since).next_update(since + 8 * DAY)
             # CA version and next publication, as AD CS has them
             .add_extension(x509.UnrecognizedExtension(
                 x509.ObjectIdentifier('1.3.6.1.4.1.311.21.1'),
                 b'\x02\x01\x00'), False))
        if number is not None:
            b = b.add_extension(x509.CRLNumber(number), False)
        for value, critical in extensions:
            b = b.add_extension(value, critical)
        for serial, (at, why) in revoked.items():
            e = (x509.RevokedCertificateBuilder().serial_number(serial or 99)
                 .revocation_date(at))
            if why is not None:
                e = e.add_extension(x509.CRLReason(why), False)
            if entry is not None:
                e = e.add_extension(*entry)
            b = b.add_revoked_certificate(e.build())
        return b.sign(key or self.key, hashes.SHA256()).public_bytes(DER)

    def numbered(self, der, to):
        """With other serial numbers: the builder refuses some."""
        crl = acrl.CertificateList.load(der)
        for entry in crl['tbs_cert_list']['revoked_certificates']:
            n = entry['user_certificate'].native
            entry['user_certificate'] = to.get(n, n)
        tbs = crl['tbs_cert_list'].dump(force=True)
        crl['signature'] = self.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        return crl.dump(force=True)

    def last(self):
        """The list that it comes with: one certificate had number 0, which
        crl() cannot say."""
        return self.numbered(self.crl(), {99: 0})

    def install(self, own, crl, ok=True, name_=NAME):
        self.off.put('last.crl', crl)
        return own.ctl('ca', 'import', name_, '--cert', self.off.path('ca.pem'),
                       '--key', self.off.path('ca.key'), '--chain',
                       self.off.path('root.pem'), '--crl',
                       self.off.path('last.crl'), ok=ok)


@pytest.fixture(scope='module')
def elsewhere(own):  # noqa: F811
    return Elsewhere(Offline(own, 'elsewhere'))


def enroll(own):  # noqa: F811
    return client.Client(own.env).enroll(
        client.make_csr(client.ec_key(), template='MovedUser'),
        url=own.env['CS_CES_URL'].replace('Demo-CA', NAME))


@pytest.fixture(scope='module')
def moved(own, elsewhere, root, tmp_path_factory):  # noqa: F811
    """The CA, here; .before and .after are databases of before and after."""
    dumps = tmp_path_factory.mktemp('dumps')
    dumps.chmod(0o777)
    elsewhere.before, elsewhere.after = dumps / 'before', dumps / 'after'
    pg(own, 'pg_dump', '-Fc', '-f', str(elsewhere.before), 'countersign')
    elsewhere.install(own, elsewhere.last())
    policy = (own.dir / 'etc/policy.conf').read_text()
    section = re.search(r'(?ms)^ca "Demo-CA" \{.*?^\}\n', policy).group(0)
    publish(own, policy + section.replace('Demo-CA', NAME) +
            USER_OF_CA % ('MovedUser', NAME))
    give_key(own, NAME)
    site = own.dir / 'etc/site.conf'
    put(own, site, site.read_text().replace(
        '"Demo-CA" "Demo-CA";', '"Demo-CA" "Demo-CA";\n\t"%s" "%s";' % (
            NAME, NAME)))
    reload_nginx(own)
    wait_for(lambda: enroll(own).leaf)
    elsewhere.issued = enroll(own).certificate
    pg(own, 'pg_dump', '-Fc', '-f', str(elsewhere.after), 'countersign')
    return elsewhere
