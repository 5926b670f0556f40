"""Enrolling on behalf of others: who may, for whom, and proven how."""
import datetime
import time
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import client
from schema import check_fault, check_rstrc

AGENT_EKU = '1.3.6.1.4.1.311.20.2.1'
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
	templates = {"EoCard"}
	targets = {"eo-staff"}
	deny-targets = {"eo-admins", "eo-boss"}
}
'''


def template(ca, n, name, eku, enroll, more='', validity='1y', renewal='6w'):
    return BASE % dict(ca=ca, oid=ARC + str(n), name=name, eku=eku,
                       enroll=', '.join('"%s"' % g for g in enroll),
                       more=more, validity=validity, renewal=renewal)


def published(stack):
    return bytes(stack.sql('SELECT body FROM countersign.policy '
                           'ORDER BY version DESC LIMIT 1')[0][0]).decode()


RA = 'ra-signatures = %d ra-eku = {"enrollment-agent"}'


@pytest.fixture(scope='module')
def policy(stack, tmp_path_factory):
    """The policy with agents in it; the one before comes back at the end."""
    before = published(stack)
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = before + RULE
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
    path = tmp_path_factory.mktemp('policy') / 'p.conf'
    path.write_text(text)
    stack.ctl('policy', 'publish', str(path))
    yield
    path.write_text(before)
    stack.ctl('policy', 'publish', str(path))


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


def test_agent(stack, people, agent_cert):
    bob, agent = people['bob'], people['agent']
    r = agent.client.enroll(on_behalf(bob.name, 'EoCard', [agent_cert]),
                            pkcs10=False)
    check_rstrc(r)
    cert = r.certificate
    assert bob.name in cert.subject.rfc4514_string()
    assert agent.name not in cert.subject.rfc4514_string()
    sid = stack.sql('SELECT sid FROM countersign.account WHERE name = %s',
                    bob.name)[0][0]
    ext = [e.value.value for e in cert.extensions
           if e.oid.dotted_string == '1.3.6.1.4.1.311.25.2']
    assert len(ext) == 1 and ext[0].endswith(sid.encode())
    rows = stack.sql(
        'SELECT r.account, r.agent, c.account FROM countersign.request r '
        'JOIN countersign.certificate c ON c.serial = r.serial '
        'WHERE r.number = %s', int(r.request_id))
    assert rows == [(bob.name, agent.name, bob.name)]
    # The answer is the agent's to fetch, and nobody else's.
    assert agent.client.query(r.request_id).leaf == r.leaf
    check_fault(bob.client.query(r.request_id))
    check_fault(people['other'].client.query(r.request_id))


def test_agent_signature_alone(people, agent_cert):
    """One SignerInfo, as some brokers send; the PKCS#10 proves its key."""
    r = people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [agent_cert], ski=False), pkcs10=False)
    check_rstrc(r)
    assert people['bob'].name in r.certificate.subject.rfc4514_string()


def test_name_of_the_attribute_in_lower_case(people, agent_cert):
    """As certreq's documentation spells it."""
    r = people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [agent_cert], said='requestername'),
        pkcs10=False)
    check_rstrc(r)
    assert people['bob'].name in r.certificate.subject.rfc4514_string()


def test_key_of_another_target(people, agent_cert):
    """Whose key it is goes by whom the certificate is for."""
    agent, key = people['agent'].client, client.ec_key()
    for target, template in ('bob', 'EoCard'), ('bob', 'EoCard'):
        check_rstrc(agent.enroll(on_behalf(
            people[target].name, template, [agent_cert], key), pkcs10=False))
    for target in 'eo-third', None:
        who = target and Person(people['agent'].stack, target, ['eo-staff'])
        r = agent.enroll(on_behalf(
            who and who.name, 'EoCard' if who else 'EoOther', [agent_cert],
            key), pkcs10=False)
        refused(r, 0x80090003, 'certified for another account')


def test_signed_for_oneself(people, agent_cert):
    """The signatures that a template wants, and no other name."""
    r = people['agent'].client.enroll(
        on_behalf(None, 'EoOther', [agent_cert]), pkcs10=False)
    check_rstrc(r)
    assert people['agent'].name in r.certificate.subject.rfc4514_string()


def test_repeated_message(people, agent_cert):
    token = on_behalf(people['bob'].name, 'EoCard', [agent_cert])
    mid = 'urn:uuid:%s' % uuid.uuid4()
    first, second = [people['agent'].client.enroll(
        token, pkcs10=False, message_id=mid) for _ in range(2)]
    assert first.leaf is not None and first.leaf == second.leaf


def test_domain_and_user(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        'NOWHERE%5Cnobody', 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, 'nobody@nowhere', 'does not exist')


def test_without_eku(people):
    cert = people['agent'].certificate('EoPlain')
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [cert]), pkcs10=False),
        0x8009480B, AGENT_EKU)


def test_expired(people):
    cert = people['agent'].certificate('EoBrief')
    time.sleep(4.5)
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [cert]), pkcs10=False),
        0x800B0101, 'validity')


def test_revoked(stack, people):
    key = client.ec_key()
    r = people['agent'].client.enroll(client.make_csr(key,
                                                      template='EoAgent'))
    stack.ctl('cert', 'revoke', '%x' % r.certificate.serial_number,
              '--reason', 'keyCompromise')
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [(key, r.leaf)]), pkcs10=False),
        0x80092010, 'revoked')


def self_made(cert_der, key):
    """The agent's certificate as another CA would make it."""
    like = x509.load_der_x509_certificate(cert_der)
    now = datetime.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(like.subject)
         .issuer_name(like.issuer).public_key(key.public_key())
         .serial_number(like.serial_number)
         .not_valid_before(now - datetime.timedelta(hours=1))
         .not_valid_after(now + datetime.timedelta(days=1)))
    for e in like.extensions:
        b = b.add_extension(e.value, e.critical)
    return b.sign(client.rsa_key(2048, 'foreign'), hashes.SHA256()) \
        .public_bytes(serialization.Encoding.DER)


def test_foreign_ca(people, agent_cert):
    """Same issuer name, same serial number, same everything but the key."""
    key = client.rsa_key(2048, 'foreign-agent')
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [(key, self_made(agent_cert[1], key))]),
        pkcs10=False), 0x800B0109, 'not issued by')


def test_right_certificate_other_principal(people, agent_cert):
    refused(people['other'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, people['other'].name)


def test_stolen_by_a_stranger(people, agent_cert):
    refused(people['stranger'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, people['stranger'].name)


def test_name_only_in_additional_context(people, agent_cert):
    """Outside of the signature a name counts for nothing."""
    r = people['agent'].client.enroll(
        on_behalf(None, 'EoOther', [agent_cert]), pkcs10=False,
        context=[('RequesterName', people['bob'].name)])
    check_rstrc(r)
    assert people['agent'].name in r.certificate.subject.rfc4514_string()


def test_two_names(people, agent_cert):
    name = people['bob'].name
    refused(people['agent'].client.enroll(on_behalf(
        name + '&RequesterName=' + people['admin'].name, 'EoCard',
        [agent_cert]), pkcs10=False), 0x8007000D, 'RequesterName', 'twice')


def test_no_signature(people):
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', []), pkcs10=False),
        0x80094809, 'signatures')
    refused(people['agent'].client.enroll(client.make_csr(
        client.ec_key(), template='EoCard')), 0x80094809)


def test_too_few_signatures(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        None, 'EoTwo', [agent_cert]), pkcs10=False), 0x8009480A, '2', '1')
    # Two certificates of one person are still one.
    again = people['agent'].certificate('EoPlain')
    refused(people['agent'].client.enroll(on_behalf(
        None, 'EoTwo', [agent_cert, again], ski=False), pkcs10=False),
        0x8009480A)


def test_two_signatures(people, agent_cert):
    second = people['other'].certificate('EoAgent')
    check_rstrc(people['agent'].client.enroll(on_behalf(
        None, 'EoTwo', [agent_cert, second], ski=False), pkcs10=False))


def test_signer_without_policy(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        None, 'EoPolicy', [agent_cert]), pkcs10=False),
        0x8009480B, '1.3.6.1.4.1.99999.7')


@pytest.mark.parametrize('who', ['admin', 'boss', 'other'])
def test_protected_target(people, agent_cert, who):
    """By group, by name, and because agents never enroll for agents."""
    refused(people['agent'].client.enroll(on_behalf(
        people[who].name, 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, people[who].name, 'help-desk')


def test_target_of_no_rule(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        people['outside'].name, 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, people['outside'].name)


def test_template_of_no_rule(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoOther', [agent_cert]), pkcs10=False),
        0x80094009, 'EoOther')


def test_template_that_is_not_for_agents(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoPlain', [agent_cert]), pkcs10=False),
        0x80094806, 'EoPlain')


def test_disabled_target(stack, people, agent_cert):
    who = Person(stack, 'eo-gone', ['eo-staff'])
    stack.ctl('account', 'disable', who.name)
    refused(people['agent'].client.enroll(on_behalf(
        who.name, 'EoCard', [agent_cert]), pkcs10=False),
        0x80094009, 'disabled')


def test_cep_tells_the_requirements(people):
    for p in people['agent'].client.policies().findall('.//p:policy'):
        a = p.find('p:attributes', client.NS)
        if a.findtext('p:commonName', None, client.NS) == 'EoTwo':
            assert a.findtext('p:rARequirements/p:rASignatures', None,
                              client.NS) == '2'
            assert a.find('p:rARequirements/p:rAEKUs/p:oIDReference',
                          client.NS) is not None
            return
    pytest.fail('EoTwo is not offered')


@pytest.mark.parametrize('change,words', [
    (lambda t: t.replace(RULE, ''), 'esc3'),
    (lambda t: t.replace('templates = {"EoCard"}', 'templates = {"EoPlain"}'),
     'ra-signatures'),
    (lambda t: t.replace('templates = {"EoCard"}', 'templates = {"EoNone"}'),
     'not in this file'),
    (lambda t: t.replace('deny-targets = {"eo-admins", "eo-boss"}', ''),
     'deny-targets'),
    (lambda t: t.replace(RA % 1, 'ra-signatures = 1'), 'ra-eku')])
def test_linter(stack, policy, tmp_path, change, words):
    text = published(stack)
    assert change(text) != text
    (tmp_path / 'p.conf').write_text(change(text))
    r = stack.ctl('policy', 'check', str(tmp_path / 'p.conf'), ok=1)
    assert words in r.stdout + r.stderr


def test_explain(stack, people, agent_cert, tmp_path):
    """The words of the service, and for whom it would be."""
    agent, bob, path = people['agent'], people['bob'], tmp_path / 'r.der'
    path.write_bytes(on_behalf(bob.name, 'EoCard', [agent_cert]))
    row, = stack.ctl_json('explain', '--user', agent.name, '--csr', str(path))
    assert row['outcome'] == 'issued' and row['account'] == agent.name
    assert row['for_account'] == bob.name and bob.name in row['subject']
    for who in ('admin', 'outside'):
        token = on_behalf(people[who].name, 'EoCard', [agent_cert])
        path.write_bytes(token)
        reason = agent.client.enroll(token, pkcs10=False).reason
        row, = stack.ctl_json('explain', '--user', agent.name, '--csr',
                              str(path), ok=1)
        assert row['outcome'] == 'denied' and row['for_account'] is None
        assert row['text'] == reason.split(' (request')[0]
        assert row['hresult'] == '0x80094009'
