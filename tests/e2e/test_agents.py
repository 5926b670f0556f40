"""Enrolling on behalf of others: who may, for whom, and proven how."""
import os
import re
import time
import uuid

import pytest

import client
from agents import (RA, RULE, Person, agent_cert, on_behalf,  # noqa: F401
                    people, policy, refused, self_made, template)
from madeup import put_row  # noqa: F401
from policies import published
from schema import check_fault, check_rstrc

AGENT_EKU = '1.3.6.1.4.1.311.20.2.1'


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


@pytest.mark.parametrize('version', [3, 1])
def test_agent_signature_alone(people, agent_cert, version):
    """One SignerInfo, as some brokers send; the PKCS#10 proves its key.  What
    builds on Windows' CryptoAPI, as .NET Framework does, calls that 1."""
    signed = on_behalf(people['bob'].name, 'EoCard', [agent_cert], ski=False)
    r = people['agent'].client.enroll(signed.replace(
        b'\2\1\3', b'\2\1' + bytes([version]), 1), pkcs10=False)
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


def test_domain_of_the_policy(stack, people, agent_cert):
    """As Windows' wizard says it of somebody whom an import made; and his own
    log-on by password."""
    user = 'eo-jo-' + uuid.uuid4().hex[:6]
    who = stack.account(user + '@eo.example', groups=['eo-staff'])
    r = people['agent'].client.enroll(on_behalf(
        'EO%5C' + user.upper(), 'EoCard', [agent_cert]), pkcs10=False)
    check_rstrc(r)
    assert stack.sql('SELECT account FROM countersign.request WHERE number '
                     '= %s', int(r.request_id)) == [(who.user,)]
    for typed, known in (('eo\\' + user, True), ('EO\\' + user, True),
                         ('eo.example\\' + user, True),
                         ('e\\' + user, False), ('eo2\\' + user, False)):
        c = client.Client(stack.env, typed, who.password)
        assert (c.policies().fault is None) == known


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


def test_foreign_ca(people, agent_cert):
    """Same issuer name, same serial number, same everything but the key."""
    key = client.rsa_key(2048, 'foreign-agent')
    refused(people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [(key, self_made(agent_cert[1], key))]),
        pkcs10=False), 0x800B0109, 'not issued by')


def test_row_without_certificate(people, agent_cert, put_row):  # noqa: F811
    """What no CA has signed is no agent's, whoever wrote a row of it."""
    key = client.rsa_key(2048, 'made up')
    made_up = self_made(agent_cert[1], key, serial=int.from_bytes(
        b'\x11' + os.urandom(15), 'big'))
    put_row(agent_cert[1], made_up)
    r = people['agent'].client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [(key, made_up)]), pkcs10=False)
    refused(r, 0x800b0109, 'in the database was made by no signer')


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


def test_second_signer_is_no_authority(people, agent_cert):
    """Any certificate of a friend, or of the agent's computer."""
    plain = people['other'].certificate('EoPlain')
    refused(people['agent'].client.enroll(on_behalf(
        None, 'EoTwo', [agent_cert, plain]), pkcs10=False),
        0x8009480A, 'EoTwo', 'only 1', 'ra-eku')


@pytest.mark.parametrize('ski', [False, True])
def test_two_signatures(people, agent_cert, ski):
    """Windows signs with the new key as well."""
    second = people['other'].certificate('EoAgent')
    check_rstrc(people['agent'].client.enroll(on_behalf(
        None, 'EoTwo', [agent_cert, second], ski=ski), pkcs10=False))


def test_signer_without_policy(people, agent_cert):
    refused(people['agent'].client.enroll(on_behalf(
        None, 'EoPolicy', [agent_cert]), pkcs10=False),
        0x8009480B, '1.3.6.1.4.1.99999.7')


def test_signer_with_policy(people):
    """The one that is wanted is the second of two."""
    senior = people['agent'].certificate('EoSenior')
    check_rstrc(people['agent'].client.enroll(on_behalf(
        None, 'EoPolicy', [senior]), pkcs10=False))


def test_authority_that_is_no_agent(people):
    """Who may vouch for a request names nobody else in it."""
    plain, agent = people['agent'].certificate('EoPlain'), people['agent']
    check_rstrc(agent.client.enroll(on_behalf(None, 'EoVouched', [plain]),
                                    pkcs10=False))
    refused(agent.client.enroll(on_behalf(
        people['bob'].name, 'EoVouched', [plain]), pkcs10=False),
        0x8009480B, AGENT_EKU)


def test_behind_an_agent(people, agent_cert):
    """Signing beside one makes nobody an agent."""
    other = people['other']
    refused(other.client.enroll(on_behalf(
        people['bob'].name, 'EoCard', [other.certificate('EoPlain'),
                                       agent_cert]), pkcs10=False),
        0x80094009, 'is not that of account ' + other.name)


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


def test_an_approver_sees_who_asks(stack, people, agent_cert):
    """And who looks for what an agent has done finds it."""
    agent, bob = people['agent'], people['bob']
    r = agent.client.enroll(on_behalf(bob.name, 'EoWait', [agent_cert]),
                            pkcs10=False)
    number = r.findtext('.//e:RequestID')
    row, = stack.ctl_json('request', 'show', number)
    assert (row['account'], row['agent']) == (bob.name, agent.name)
    assert re.search('^agent: +%s$' % agent.name, stack.ctl(
        'request', 'show', number).stdout, re.M)
    for who in agent, bob:
        found = {r['number']: r for r in stack.ctl_json(
            'request', 'list', '--account', who.name)}
        assert found[int(number)]['agent'] == agent.name
    assert '%s, asked for by %s<' % (bob.name, agent.name) in stack.ctl(
        'report').stdout
    stack.ctl('request', 'approve', number, '--as', agent.name, ok=1)
    stack.ctl('request', 'approve', number, '--as', bob.name, ok=1)
    stack.ctl('request', 'approve', number)
    cert = agent.client.query(number).certificate
    assert bob.name in cert.subject.rfc4514_string()
    own = agent.client.enroll(client.make_csr(client.ec_key(),
                                              template='EoPlain'))
    row, = stack.ctl_json('request', 'show', own.findtext('.//e:RequestID'))
    assert row['agent'] is None


def test_disabled_authority(stack, people, agent_cert, tmp_path):
    """Whoever is disabled vouches for nobody, though his certificate is not
    revoked."""
    agent, who = people['agent'], Person(stack, 'eo-left', ['agents'])
    token = on_behalf(None, 'EoTwo', [agent_cert, who.certificate('EoAgent')])
    stack.ctl('account', 'disable', who.name)
    r = agent.client.enroll(token, pkcs10=False)
    refused(r, 0x80094009, who.name, 'disabled')
    path = tmp_path / 'r.der'
    path.write_bytes(token)
    row, = stack.ctl_json('explain', '--user', agent.name, '--csr', str(path),
                          ok=1)
    assert row['text'] == r.reason.split(' (request')[0]
    stack.ctl('account', 'enable', who.name)
    check_rstrc(agent.client.enroll(token, pkcs10=False))


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
    (lambda t: t.replace('{"EoCard", ', '{"EoPlain", '),
     'ra-signatures'),
    (lambda t: t.replace('{"EoCard", ', '{"EoNone", '),
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
