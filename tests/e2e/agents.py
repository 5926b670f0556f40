"""Enrollment agents, and whom they ask for."""
import datetime
import time
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import client
from policies import in_force, published
from schema import check_fault, check_rstrc

ARC = '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.9.'
SID = 'S-1-5-21-1004336348-1177238915-682003330-%d'
BASE = '''
template "%(name)s" {
	oid = "%(oid)s"
	version = "100.1"
	ca = {"%(ca)s"}
	type = user
	schema = 2
	validity = %(validity)s
	renewal = %(renewal)s
	enroll = {%(enroll)s}
	names = account
	subject = {"common-name"}
	san = {"upn?"}
	keys = {"rsa:2048", "ec:P-256"}
	providers = {"Microsoft Enhanced Cryptographic Provider v1.0"}
	key-usage = {"digital-signature"}
	eku = {"%(eku)s"}
	%(more)s
}
'''


RULE = '''
agent-rule "help-desk" {
	agents = {"agents", "eo-single"}
	templates = {"EoCard", "EoWait"}
	targets = {"eo-staff"}
	deny-targets = {"eo-admins", "eo-boss"}
}
domain "EO" {
	realm = "Eo.Example"
}
'''


def template(ca, n, name, eku, enroll, more='', validity='1y', renewal='6w'):
    return BASE % dict(ca=ca, oid=ARC + str(n), name=name, eku=eku,
                       enroll=', '.join('"%s"' % g for g in enroll),
                       more=more, validity=validity, renewal=renewal)


RA = 'ra-signatures = %d ra-eku = {"enrollment-agent"}'


@pytest.fixture(scope='module')
def policy(stack):
    """The policy with agents in it; the one before comes back at the end."""
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = published(stack) + RULE
    text += template(ca, 1, 'EoAgent', 'enrollment-agent', ['agents'])
    text += template(ca, 2, 'EoBrief', 'enrollment-agent', ['agents'],
                     validity='"3s"', renewal='"1s"')
    text += template(ca, 3, 'EoPlain', 'client-authentication',
                     ['agents', 'eo-staff'])
    text += template(ca, 4, 'EoCard', 'smart-card-logon',
                     ['agents', 'eo-staff', 'strangers'], RA % 1)
    text += template(ca, 5, 'EoTwo', 'client-authentication',
                     ['agents'], RA % 2)
    text += template(ca, 6, 'EoOther', 'client-authentication',
                     ['agents'], RA % 1)
    text += template(
        ca, 7, 'EoPolicy', 'client-authentication', ['agents'],
        RA % 1 + ' ra-policies = {"1.3.6.1.4.1.99999.7"}')
    text += template(ca, 8, 'EoWait', 'smart-card-logon', ['agents'],
                     RA % 1 + ' approval = manager')
    text += template(
        ca, 9, 'EoVouched', 'client-authentication', ['agents'],
        'ra-signatures = 1 ra-eku = {"client-authentication"}')
    text += template(
        ca, 10, 'EoSenior', 'enrollment-agent', ['agents'],
        'policies = {"1.3.6.1.4.1.99999.6 low", '
        '"1.3.6.1.4.1.99999.7 high"}')
    with in_force(stack, text):
        yield


class Person:
    def __init__(self, stack, name, groups, n=None):
        kw = {} if n is None else {'sid': SID % n}
        self.stack = stack
        # Names are for ever; a stack may be used by several runs.
        self.name = '%s-%s' % (name, uuid.uuid4().hex[:6])
        if name == 'eo-boss':
            self.name = name
            if stack.sql("SELECT FROM countersign.account WHERE name = %s",
                         name):
                self.client = client.Client(stack.env, name, 'correct horse')
                return
        self.client = stack.account(self.name, groups=groups, cn=self.name,
                                    upn=self.name + '@demo.example', **kw)

    def certificate(self, name):
        """A key and the certificate of this template."""
        key = client.rsa_key(2048, self.name + name)
        r = self.client.enroll(client.make_csr(key, template=name))
        check_rstrc(r)
        return key, r.leaf


@pytest.fixture(scope='module')
def people(stack, policy):
    n = int(time.time()) * 10
    return {
        'agent': Person(stack, 'eo-agent', ['agents'], n),
        'other': Person(stack, 'eo-other', ['agents'], n + 1),
        'bob': Person(stack, 'eo-bob', ['eo-staff'], n + 2),
        'admin': Person(stack, 'eo-admin', ['eo-staff', 'eo-admins']),
        'boss': Person(stack, 'eo-boss', ['eo-staff']),
        'outside': Person(stack, 'eo-outside', ['customers']),
        'stranger': Person(stack, 'eo-stranger', ['strangers']),
    }


@pytest.fixture(scope='module')
def agent_cert(people):
    return people['agent'].certificate('EoAgent')


def on_behalf(target, template, signers, key=None, context=None,
              name_values=(), ski=True, said='RequesterName'):
    """CMC with the subject's new key and these (key, certificate)."""
    key = key or client.ec_key()
    info = 'CertificateTemplate=%s&' % template
    if target is not None:
        info += '%s=%s&' % (said, target)
    data = client.pki_data(client.make_csr(key), [client.reg_info(info)] +
                           list(name_values))
    infos = [client.ski_signer(key, data)] if ski else []
    infos += [client.cert_signer(k, c, data) for k, c in signers]
    return client.signed_data(data, infos, [c for _, c in signers])


def refused(reply, hresult, *words):
    check_fault(reply)
    assert reply.hresult == hresult, (hex(reply.hresult), reply.reason)
    for w in words:
        assert w in reply.reason, reply.reason


def self_made(cert_der, key, serial=None):
    """The agent's certificate as another CA would make it."""
    like = x509.load_der_x509_certificate(cert_der)
    now = datetime.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(like.subject)
         .issuer_name(like.issuer).public_key(key.public_key())
         .serial_number(serial or like.serial_number)
         .not_valid_before(now - datetime.timedelta(hours=1))
         .not_valid_after(now + datetime.timedelta(days=1)))
    for e in like.extensions:
        b = b.add_extension(e.value, e.critical)
    return b.sign(client.rsa_key(2048, 'foreign'), hashes.SHA256()) \
        .public_bytes(serialization.Encoding.DER)
