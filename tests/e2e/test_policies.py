"""CEP: what a caller is offered."""
import base64
import datetime

import pytest
from cryptography import x509

import client
from client import NS
from schema import XSI_NIL, check_fault, check_policies
from waits import wait_for


@pytest.fixture(scope='module')
def answer(demo):
    r = demo.policies()
    check_policies(r)
    return r


def names(reply):
    return [e.text for e in reply.findall('.//p:attributes/p:commonName')]


def policy(reply, name):
    for p in reply.findall('.//p:policy'):
        if p.findtext('p:attributes/p:commonName', None, NS) == name:
            return p
    raise AssertionError(name)


def attr(reply, name, path):
    return policy(reply, name).find('p:attributes/' + path, NS)


def test_headers(answer):
    assert answer.findtext('s:Header/a:Action') == \
        client.GETPOLICIES + 'Response'
    assert answer.findtext('s:Header/a:RelatesTo').startswith('urn:uuid:')
    stamp = answer.find('s:Header/o:Security/u:Timestamp')
    assert stamp is not None, 'message credentials need a timestamp back'
    fmt = '%Y-%m-%dT%H:%M:%S.%fZ'
    created = datetime.datetime.strptime(
        stamp.findtext('u:Created', None, NS), fmt)
    expires = datetime.datetime.strptime(
        stamp.findtext('u:Expires', None, NS), fmt)
    assert expires - created == datetime.timedelta(minutes=5)
    assert abs(datetime.datetime.utcnow() - created) < \
        datetime.timedelta(seconds=60)


def test_policy_id_is_stable(stack, answer, demo):
    pid = answer.findtext('.//p:policyID')
    assert pid[0] == '{' and pid[-1] == '}' and pid == pid.upper()
    assert stack.sql('SELECT policy_id FROM countersign.deployment') == [(pid,)]
    assert demo.policies().findtext('.//p:policyID') == pid


def test_templates_of_the_demo_user(stack, answer):
    got = names(answer)
    assert stack.env['CS_TEMPLATE'] in got
    assert len(set(got)) == len(got)


def test_cas_have_uris_and_certificate(stack, answer):
    for ca in answer.findall('p:cAs/p:cA') or \
            answer.findall('.//p:cAs/p:cA'):
        cert = x509.load_der_x509_certificate(base64.b64decode(
            ca.findtext('p:certificate', None, NS)))
        assert cert.extensions.get_extension_for_class(
            x509.BasicConstraints).value.ca
        uris = {(u.findtext('p:clientAuthentication', None, NS),
                 u.findtext('p:uri', None, NS))
                for u in ca.findall('p:uris/p:cAURI', NS)}
        assert ('4', stack.env['CS_CES_URL']) in uris
        for u in ca.findall('p:uris/p:cAURI', NS):
            assert u.find('p:renewalOnly', NS).text in ('true', 'false')
    refs = {e.text for e in answer.findall('.//p:cAReferenceID')}
    for e in answer.findall('.//p:cAReference'):
        assert e.text in refs


def test_oid_groups(answer):
    oids = {o.findtext('p:value', None, NS): (
        o.findtext('p:group', None, NS),
        o.findtext('p:defaultName', None, NS))
        for o in answer.findall('.//p:oIDs/p:oID')}
    assert oids['2.5.29.37'] == ('6', 'Enhanced Key Usage')
    assert oids['2.5.29.15'] == ('6', 'Key Usage')
    assert oids['1.3.6.1.5.5.7.3.1'] == ('7', 'Server Authentication')
    by_id = {o.findtext('p:oIDReferenceID', None, NS): o
             for o in answer.findall('.//p:oIDs/p:oID')}
    for p in answer.findall('.//p:policy'):
        o = by_id[p.findtext('p:policyOIDReference', None, NS)]
        assert o.findtext('p:group', None, NS) == '9'
        for arc in o.findtext('p:value', None, NS).split('.'):
            assert int(arc) < 2 ** 31


def test_flags_are_unsigned_numbers(answer):
    for p in answer.findall('.//p:policy'):
        for f in ('privateKeyFlags', 'subjectNameFlags', 'enrollmentFlags',
                  'generalFlags'):
            v = p.findtext('p:attributes/p:' + f, None, NS)
            assert 0 <= int(v) < 2 ** 32
        validity = [int(e.text) for e in p.find(
            'p:attributes/p:certificateValidity', NS)]
        assert validity[0] > validity[1] > 0


def test_enrollee_supplies_subject(stack, answer):
    t = stack.env['CS_TEMPLATE']
    assert int(attr(answer, t, 'p:subjectNameFlags').text) & 1
    assert attr(answer, t, 'p:permission/p:enroll').text == 'true'
    # Windows silently skips such a template at autoenrollment.
    assert attr(answer, t, 'p:permission/p:autoEnroll').text == 'false'


def extension_values(answer, name):
    oid = {o.findtext('p:oIDReferenceID', None, NS):
           o.findtext('p:value', None, NS)
           for o in answer.findall('.//p:oIDs/p:oID')}
    return {oid[e.findtext('p:oIDReference', None, NS)]: (
        e.findtext('p:critical', None, NS),
        base64.b64decode(e.findtext('p:value', None, NS)))
        for e in policy(answer, name).findall('.//p:extension', NS)}


def test_extensions_by_schema(answer):
    for name in names(answer):
        schema = int(attr(answer, name, 'p:policySchema').text)
        ext = extension_values(answer, name)
        assert '2.5.29.37' in ext and ext['2.5.29.15'][0] == 'true'
        hash_ref = attr(answer, name, 'p:hashAlgorithmOIDReference')
        alg_ref = attr(answer, name,
                       'p:privateKeyAttributes/p:algorithmOIDReference')
        if schema == 1:
            assert ext['1.3.6.1.4.1.311.20.2'][1] == client.bmp(name)
        else:
            info = client.TemplateInfo.load(ext['1.3.6.1.4.1.311.21.7'][1])
            assert info['major'].native == int(attr(
                answer, name, 'p:revision/p:majorRevision').text)
            assert '1.3.6.1.4.1.311.21.10' in ext
        if schema < 3:
            assert hash_ref.get(XSI_NIL) == 'true'
            assert alg_ref.get(XSI_NIL) == 'true'
        else:
            assert hash_ref.get(XSI_NIL) is None


def test_providers_are_named(answer):
    # Without a provider Windows makes a 1024-bit key whatever we ask for.
    for p in answer.findall('.//p:policy'):
        assert p.findtext('.//p:cryptoProviders/p:provider', None, NS)
        assert int(p.findtext('.//p:minimalKeyLength', None, NS)) >= 256


def test_not_changed(stack, demo):
    future = (datetime.datetime.utcnow() + datetime.timedelta(days=1)
              ).strftime('%Y-%m-%dT%H:%M:%SZ')
    r = demo.policies(last_update=future)
    check_policies(r)
    assert r.find('.//p:policiesNotChanged').text == 'true'
    for e in ('.//p:policies', './/p:GetPoliciesResponse/p:cAs',
              './/p:GetPoliciesResponse/p:oIDs'):
        assert r.find(e).get(XSI_NIL) == 'true'
    assert r.find('.//p:policyID').text
    assert r.find('.//p:nextUpdateHours').text == '8'


@pytest.mark.parametrize('when', [
    '0001-01-01T00:00:00', '2001-01-01T00:00:00Z',
    '2001-01-01T00:00:00.123+02:00', '20090-03-15-T09:38:46', 'rubbish'])
def test_old_last_update_gets_everything(demo, answer, when):
    r = demo.policies(last_update=when)
    check_policies(r)
    assert names(r) == names(answer)


def test_filter_by_oid(demo, answer):
    by_id = {o.findtext('p:oIDReferenceID', None, NS):
             o.findtext('p:value', None, NS)
             for o in answer.findall('.//p:oIDs/p:oID')}
    p = answer.findall('.//p:policy')[0]
    oid = by_id[p.findtext('p:policyOIDReference', None, NS)]
    r = demo.policies(oids=[oid])
    check_policies(r)
    assert names(r) == [p.findtext('p:attributes/p:commonName', None, NS)]
    r = demo.policies(oids=['1.2.3.4.5'])
    check_policies(r)
    assert names(r) == [] and r.find('.//p:policies').get(XSI_NIL) == 'true'


@pytest.mark.parametrize('client_version,server_version',
                         [(0, 0), (4, 4), (6, 0), (6, 6)])
def test_version_filters_hide_nothing_of_ours(demo, answer, client_version,
                                              server_version):
    r = demo.policies(client=client_version, server=server_version)
    check_policies(r)
    assert names(r) == names(answer)


def test_nothing_for_a_stranger(stack):
    c = stack.account('stranger', groups=[])
    r = c.policies()
    check_policies(r)
    assert names(r) == []
    for e in ('.//p:response/p:policies', './/p:GetPoliciesResponse/p:cAs',
              './/p:GetPoliciesResponse/p:oIDs'):
        assert r.find(e).get(XSI_NIL) == 'true'


def test_group_change_shows_at_once(stack):
    c = stack.account('climber', groups=[])
    assert names(c.policies()) == []
    # As soon as PostgreSQL has told the workers, who do not ask each time.
    stack.ctl('account', 'group', 'climber', 'add', 'web-admins')
    wait_for(lambda: stack.env['CS_TEMPLATE'] in names(c.policies()))
    stack.ctl('account', 'group', 'climber', 'remove', 'web-admins')
    wait_for(lambda: names(c.policies()) == [])


def test_wrong_password(stack):
    for who in (client.Client(stack.env, password='wrong'),
                client.Client(stack.env, 'nobody-here', 'wrong')):
        r = who.policies()
        check_fault(r)
        assert r.subcode == 'FailedAuthentication'


@pytest.mark.parametrize('body', [
    '<GetPolicies xmlns="%s"/>' % client.P,
    '<GetPolicies xmlns="%s"><requestFilter/></GetPolicies>' % client.P,
    '<Other xmlns="%s"/>' % client.P,
    ''])
def test_body_that_is_no_get_policies(demo, body):
    url = demo.env['CS_CEP_URL']
    r = demo.post(url, client.envelope(client.GETPOLICIES, url, body,
                                       demo.header()))
    check_fault(r)
