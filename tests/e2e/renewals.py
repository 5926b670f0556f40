"""Certificates that are renewed, and by which rules."""
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import client

UNTRUSTED = 0x800b0109
REVOKED = 0x80092010
EXPIRED = 0x800b0101
CONFLICT = 0x80094802
OTHER_KEY = 0x80094816
OTHER_NAMES = 0x80094806
COMMON = '''
template "%s" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.77.%d"
	ca = {"%s"} type = %s validity = %s renewal = %s
	keys = {"ec:P-256"} key-usage = {"digital-signature"}
	providers = {"Microsoft Software Key Storage Provider"} hash = sha256
	%s
}
'''


ACCOUNT = ('user', 'names = account subject = {"common-name"} '
           'eku = {"client-authentication"} enroll = {"renewers"} ')


REQUEST = ('machine', 'names = request name-rules = {"renew-hosts"} '
           'eku = {"server-authentication"} enroll = {"renew-enroll"} ')


RULES = '''
name-rule "renew-hosts" { groups = {"renew-rule"} dns = {"*.renew.example"} }
'''


@pytest.fixture(scope='module')
def somebody(site):
    """Makes an account in these groups; its name is its own."""
    made = []

    def make(*groups):
        name = 'renew%d.%x' % (len(made), int(time.time()))
        made.append(name)
        return site.account(name, groups=groups, cn='Renew %d' % len(made))
    return make


@pytest.fixture(scope='module')
def alice(somebody):
    return somebody('renewers')


class Held:
    """A certificate, its key, and whose it is."""

    def __init__(self, c, name, key=None, **kw):
        self.c, self.name = c, name
        self.key = key or client.ec_key()
        self.kw = kw
        r = c.enroll(client.make_csr(self.key, template=name, **kw))
        assert r.fault is None, r.reason
        self.der = r.leaf

    @property
    def cert(self):
        return x509.load_der_x509_certificate(self.der)

    @property
    def serial(self):
        return '%X' % self.cert.serial_number

    def csr(self, key=None, template=None, old=None, **kw):
        kw = dict(self.kw, **kw)
        return client.renewal_csr(
            key or self.key, self.der if old is None else old,
            template=template or self.name, **kw)

    def message(self, form='cmc', key=None, signer=None, **kw):
        key = key or self.key
        csr = self.csr(key, **kw)
        sign = signer or self.key
        if form == 'cmc':
            return client.renewal_cmc(csr, key, sign, self.der)
        return client.renewal_cms(csr, sign, self.der, bare=form == 'bare')

    def renew(self, form='cmc', c=None, url=None, **kw):
        return (c or self.c).enroll(self.message(form, **kw), pkcs10=False,
                                    url=url)

    def after(self, reply, key=None):
        """What the renewal gave."""
        assert reply.fault is None, reply.reason
        other = Held.__new__(Held)
        other.c, other.name, other.kw = self.c, self.name, self.kw
        other.key, other.der = key or self.key, reply.leaf
        return other


def refused(reply, hresult, words):
    assert reply.fault is not None, 'issued'
    assert reply.hresult == hresult, (hex(reply.hresult or 0), reply.reason)
    assert words in reply.reason, reply.reason


def row(site, reply):
    """What is known of the request that was granted."""
    assert reply.fault is None, reply.reason
    return site.ctl_json('request', 'show',
                         reply.findtext('.//e:RequestID'))[0]


def explained(site, folder, message, *how, ok=1, ca='Demo-CA'):
    path = folder / 'r.der'
    path.write_bytes(message)
    return site.ctl_json('explain', '--ca', ca, '--csr', str(path), *how,
                         ok=ok)[0]


def refused_alike(site, folder, h, hresult, words, form='cmc', ca='Demo-CA',
                  **kw):
    """By the service and by explain, which say the same."""
    message = h.message(form, **kw)
    r = h.c.enroll(message, pkcs10=False)
    refused(r, hresult, words)
    told = explained(site, folder, message, '--user', h.c.user, '--method',
                     'password', ca=ca)
    assert r.reason.startswith(told['text'])
    assert int(told['hresult'], 16) == hresult


def forged(old, key, serial=None, own_key=None):
    """The old certificate's names and number, by another CA."""
    o = x509.load_der_x509_certificate(old)
    b = (x509.CertificateBuilder().subject_name(o.subject)
         .issuer_name(o.issuer).not_valid_before(o.not_valid_before)
         .not_valid_after(o.not_valid_after).public_key(key.public_key())
         .serial_number(serial or o.serial_number))
    return b.sign(own_key or key, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER)
