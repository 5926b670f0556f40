"""Revocation lists and OCSP, asked for as clients do it."""
import datetime
import hashlib

import psycopg
import pytest
import requests
from asn1crypto import core, ocsp as aocsp
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import (AuthorityInformationAccessOID,
                                   ExtendedKeyUsageOID, ExtensionOID)

import client

# What is signed counts from so long before: clocks may be slow.
EARLY = datetime.timedelta(minutes=10)

http = requests.Session()
http.trust_env = False


@pytest.fixture(scope='module')
def issue(stack):
    n = iter(range(1000))

    def one(account=None, **kw):
        c = account or client.Client(stack.env)
        r = c.enroll(client.make_csr(
            client.rsa_key(2048, c.user), cn='r%d.demo.example' % next(n),
            dns=['r.demo.example'], template=stack.env['CS_TEMPLATE']))
        assert r.leaf is not None, r.reason
        return r.certificate
    return one


@pytest.fixture
def root(stack):
    """A superuser, who sees what the others wait for."""
    dsn = psycopg.conninfo.make_conninfo(stack.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        yield db


def hex_serial(cert):
    """As openssl x509 -serial prints it."""
    s = '%X' % cert.serial_number
    return s if len(s) % 2 == 0 else '0' + s


def access(cert, method):
    return [d.access_location.value for d in cert.extensions.get_extension_for_oid(
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
        if d.access_method == method]


def cdp(cert):
    points = cert.extensions.get_extension_for_oid(
        ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    return points[0].full_name[0].value


def issuer_of(cert):
    url, = access(cert, AuthorityInformationAccessOID.CA_ISSUERS)
    r = http.get(url, timeout=300)
    assert r.status_code == 200
    return x509.load_der_x509_certificate(r.content)


def fetch_crl(cert):
    r = http.get(cdp(cert), timeout=300)
    assert r.status_code == 200
    assert r.headers['Content-Type'] == 'application/pkix-crl'
    crl = x509.load_der_x509_crl(r.content)
    assert crl.is_signature_valid(issuer_of(cert).public_key())
    return crl


def next_publish(crl):
    """When Windows begins to look for the next one."""
    ext = crl.extensions.get_extension_for_oid(
        x509.ObjectIdentifier('1.3.6.1.4.1.311.21.4'))
    assert not ext.critical
    at = core.UTCTime.load(ext.value.value, strict=True).native
    return at.replace(tzinfo=None)


def entry(cert):
    return fetch_crl(cert).get_revoked_certificate_by_serial_number(
        cert.serial_number)


def question(cert, hash_='sha1', serial=None, nonce=None, issuer=None):
    ca = issuer_of(cert)
    name = hashlib.new(hash_, ca.subject.public_bytes()).digest()
    key = hashlib.new(hash_, ca.public_key().public_bytes(
        serialization.Encoding.X962,
        serialization.PublicFormat.UncompressedPoint)).digest()
    tbs = {'request_list': [{'req_cert': {
        'hash_algorithm': {'algorithm': hash_, 'parameters': core.Null()},
        'issuer_name_hash': issuer or name, 'issuer_key_hash': key,
        'serial_number': cert.serial_number if serial is None else serial}}]}
    if nonce:
        tbs['request_extensions'] = [{
            'extn_id': 'nonce', 'extn_value': core.OctetString(nonce)}]
    return aocsp.OCSPRequest({'tbs_request': tbs}).dump()


def check_issued_by(cert, ca):
    assert cert.issuer.public_bytes() == ca.subject.public_bytes()
    ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes,
                           client.ec.ECDSA(cert.signature_hash_algorithm))


def post(cert, body, type_='application/ocsp-request'):
    url, = access(cert, AuthorityInformationAccessOID.OCSP)
    return http.post(url, data=body, headers={'Content-Type': type_},
                     timeout=300)


def ask(cert, **kw):
    """Ask, and check all that must hold for any good answer."""
    r = post(cert, question(cert, **kw))
    assert r.status_code == 200
    assert r.headers['Content-Type'] == 'application/ocsp-response'
    a = ocsp.load_der_ocsp_response(r.content)
    assert a.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
    responder, = a.certificates
    responder.public_key().verify(
        a.signature, a.tbs_response_bytes,
        client.ec.ECDSA(a.signature_hash_algorithm))
    check_issued_by(responder, issuer_of(cert))
    ext = responder.extensions
    assert list(ext.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.OCSP_SIGNING]
    ext.get_extension_for_class(x509.OCSPNoCheck)
    assert a.this_update == a.produced_at - EARLY < a.next_update
    return a


def status(cert, **kw):
    return ask(cert, **kw).certificate_status


def revoke(stack, cert, reason='keyCompromise', *more):
    return stack.ctl('cert', 'revoke', hex_serial(cert), '--reason', reason,
                     *more)


GOOD, REVOKED, UNKNOWN = (ocsp.OCSPCertStatus.GOOD,
                          ocsp.OCSPCertStatus.REVOKED,
                          ocsp.OCSPCertStatus.UNKNOWN)
