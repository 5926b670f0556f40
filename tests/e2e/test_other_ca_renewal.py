"""Renewing with certificates of another CA, whose renewals the policy lets in:
to who logs on by other means they are requests for new ones, to nobody more."""
import uuid

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU

import client
from certlogon import CertClient, Maker
from earlier import as_if_it_came, sign_before
from othercas import RENEWS, OtherCA, section
from policies import in_force, publish, published
from renewals import (CONFLICT, EXPIRED, OTHER_KEY, UNTRUSTED, Held, explained,
                      forged, refused, refused_alike, row)
from second_site import reload_nginx

DENIED, NO_GROUP, BAD_NAMES = 0x80094011, 0x80094012, 0x80094001
OID = '1.3.6.1.4.1.99999.94.'
TEMPLATES = {
    'OcPlain': '', 'OcNext': 'supersedes = {"OcPlain"}',
    'OcWaits': 'approval = manager renewal-previous-approval = true',
    'OcSame': 'renewal-same-key = true',
    'OcNobody': 'renewal-anonymous = true', 'OcHost': None}
MINE = '''names = account subject = {"common-name"}
	eku = {"client-authentication"} '''
HOST = '''names = request name-rules = {"oc-hosts"} approval = manager
	approval-groups = {"nobody"} renewal-previous-approval = true
	renewal-key-based = true renewal-anonymous = true
	eku = {"server-authentication"}'''
POLICY = '''
name-rule "oc-hosts" { groups = {"users"} dns = {"*.oc.example"} }
'''
for _n, (_name, _more) in enumerate(TEMPLATES.items()):
    POLICY += '''
template "%s" {
	oid = "%s%d" ca = {"Demo-CA"} type = user validity = 90d renewal = 10d
	enroll = {"users"} keys = {"ec:P-256"} key-usage = {"digital-signature"}
	providers = {"Microsoft Software Key Storage Provider"} hash = sha256
	%s
}
''' % (_name, OID, _n, HOST if _more is None else MINE + _more)
both = pytest.mark.parametrize('form', ['cmc', 'cms', 'bare'])
MAPS = 'map = subject-cn groups = {"users"}'


@pytest.fixture(scope='module')
def corp(tmp_path_factory):
    return OtherCA(tmp_path_factory.mktemp('corp'))


@pytest.fixture(scope='module')
def templates(stack):
    with in_force(stack, published(stack) + POLICY):
        yield stack


@pytest.fixture(scope='module')
def site(templates, corp):
    """It stays where it is, and is named for renewals alone."""
    with in_force(templates, published(templates) +
                  section(corp.cert, RENEWS)):
        yield templates


@pytest.fixture(scope='module')
def demo(stack):
    c = client.Client(stack.env)
    c.user = stack.env['CS_USER']
    return c


@pytest.fixture(scope='module')
def old(corp, demo):
    """Certificates as AD CS made them; the policy keeps its OIDs."""
    def make(template='OcPlain', c=None, by=None, oid=True, eku=(
            EKU.CLIENT_AUTH,), dns=(), how={}, **kw):
        h = Held.__new__(Held)
        h.c, h.name, h.kw = c or demo, template, dict(kw)
        extensions = [x509.ExtendedKeyUsage(eku)]
        if dns:
            h.kw['dns'] = list(dns)
            extensions.append(x509.SubjectAlternativeName(
                [x509.DNSName(d) for d in dns]))
        if oid:
            extensions.append(client.template_v2(OID + str(
                list(TEMPLATES).index(template)), 101, 3))
        h.key, h.der = sign_before(corp.cert, by or corp.key, *extensions,
                                   **how)
        return h
    return make


NOT_OURS = 'was not issued by ca Demo-CA'


# Yes: as a new request --------------------------------------------------------

@both
def test_it_is_a_new_request(site, old, form, tmp_path):
    h = old(how=dict(cn='Administrator'))
    told = explained(site, tmp_path, h.message(form), '--user', h.c.user,
                     '--method', 'password', ok=True)
    assert (told['outcome'], told['renews']) == ('issued', None)
    r = h.renew(form, key=client.ec_key())
    show = row(site, r)
    assert (show['state'], show['account'], show['renews']) == (
        'issued', h.c.user, None)
    assert site.sql('SELECT renewals, chain_start FROM '
                    'countersign.certificate WHERE serial = %s',
                    r.certificate.serial_number.to_bytes(16, 'big')) == [
        (0, None)]
    # The account gets what it gets without, whosever the old one was.
    new = h.c.enroll(client.make_csr(client.ec_key(), template='OcPlain'))
    assert r.certificate.subject == new.certificate.subject
    after = h.after(h.renew(form))
    assert row(site, after.renew(form))['renews'] == after.serial


def test_same_key_and_what_supersedes(site, old):
    assert row(site, old('OcSame').renew())['state'] == 'issued'
    assert row(site, old().renew(template='OcNext'))['renews'] is None


def test_it_skips_no_approval(site, old):
    r = old('OcWaits').renew()
    assert r.fault is None and r.leaf is None
    site.ctl('request', 'approve', r.request_id, '--reason', 'x')
    show = site.ctl_json('request', 'show', r.request_id)[0]
    assert (show['state'], show['renews']) == ('issued', None)
    # Whom the policy names no longer when it is approved.
    r = old('OcWaits').renew()
    with in_force(site, published(site).replace(RENEWS, MAPS)):
        told = site.ctl('request', 'approve', r.request_id, '--reason', 'x',
                        ok=None)
        assert told.returncode != 0 and NOT_OURS in told.stderr


def test_what_is_revoked_here_is_anothers(site, old):
    """Which of its certificates it has revoked nobody here knows."""
    h = old()
    site.ctl('cert', 'revoke', '--earlier', 'Demo-CA', h.serial, '--reason',
             'keyCompromise')
    assert row(site, h.renew())['state'] == 'issued'


# No ---------------------------------------------------------------------------

def test_it_gives_no_right(site, old, tmp_path):
    outsider = site.account('oc-%s' % uuid.uuid4().hex[:8], cn='Out')
    refused_alike(site, tmp_path, old(c=outsider), NO_GROUP,
                  'is in none of the groups')
    evil = dict(cn='evil.example', dns=['evil.example'])
    refused_alike(site, tmp_path, old('OcHost', **evil), BAD_NAMES,
                  'evil.example')
    good = dict(cn='h.oc.example', dns=['h.oc.example'])
    refused_alike(site, tmp_path, old('OcHost', c=outsider, **good),
                  NO_GROUP, 'is in none of the groups')
    assert row(site, old('OcHost', **good).renew())['state'] == 'issued'


@both
def test_its_time_template_and_key(site, old, form, tmp_path):
    refused_alike(site, tmp_path, old(how=dict(days=(-300, -1))), EXPIRED,
                  'renewal-grace is 0 s', form)
    refused_alike(site, tmp_path, old(how=dict(days=(1, 65))), EXPIRED,
                  'not valid yet', form)
    refused_alike(site, tmp_path, old('OcNext'), CONFLICT,
                  'is of template OcNext, which', form, template='OcPlain')
    refused_alike(site, tmp_path, old(oid=False), CONFLICT,
                  'names no template', form)
    refused_alike(site, tmp_path, old('OcSame'), OTHER_KEY,
                  'renewal-same-key', form, key=client.ec_key())
    refused(old().renew(form, signer=client.ec_key()), 0x80090006, '')


@both
def test_another_key_under_its_name(site, old, form, tmp_path):
    refused_alike(site, tmp_path, old(by=client.ec_key()), UNTRUSTED,
                  NOT_OURS, form)


def ours(old):
    """One of a signer of this service."""
    h = old()
    h.der = h.c.enroll(client.make_csr(h.key, template='OcPlain')).leaf
    return h


def test_it_makes_none_of_ours(site, old, corp, tmp_path):
    """Neither what a row is of, nor what one was of that is lost."""
    number = ours(old).cert.serial_number
    h = old(how=dict(serial=number))
    refused_alike(site, tmp_path, h, UNTRUSTED, NOT_OURS)
    h = ours(old)
    h.der = forged(h.der, h.key, serial=number ^ 1 << 20, own_key=corp.key)
    refused_alike(site, tmp_path, h, UNTRUSTED, 'but no record of it is here')


def test_our_key_by_another_name(site, old, tmp_path):
    """A section with a certificate of our own key opens nothing."""
    m = Maker(site, tmp_path)
    h = old()
    h.key, h.der = sign_before(m.ca, m.ca_key, client.template_v2(
        OID + '0', 101, 3))
    with in_force(site, published(site) + section(m.ca, RENEWS, 'Ours')):
        refused_alike(site, tmp_path, h, UNTRUSTED, NOT_OURS)


@both
def test_nobody_renews_it(site, old, form, tmp_path):
    """Without logging on nothing says whose it is."""
    c = client.Client(dict(site.env, CS_CES_URL=site.env[
        'CS_CES_RENEWAL_URL']))
    c.header = lambda: ''
    for template, kw in (('OcNobody', {}), ('OcHost', dict(
            cn='h.oc.example', dns=['h.oc.example']))):
        h = old(template, c=c, **kw)
        r = h.renew(form)
        refused(r, UNTRUSTED, 'log on at another address')
        told = explained(site, tmp_path, h.message(form), '--method',
                         'anonymous')
        assert r.reason.startswith(told['text'])


def test_at_addresses_that_only_renew(site, old):
    text = published(site)
    uri = '/Demo-CA_CES_UsernamePassword/service.svc/CES"'
    assert uri in text
    with in_force(site, text.replace(uri, uri + ' renewal-only = true')):
        refused(old().renew(), DENIED, 'was issued elsewhere: log on at')


def test_it_signs_for_nobody_else(site, old, demo):
    agent = old(eku=(x509.ObjectIdentifier('1.3.6.1.4.1.311.20.2.1'),))
    key = client.ec_key()
    csr = client.make_csr(key, template='OcPlain')
    r = demo.enroll(client.renewal_cmc(csr, key, agent.key, agent.der),
                    pkcs10=False)
    refused(r, UNTRUSTED, "signer's certificate was not issued by")


# What the policy says ---------------------------------------------------------

@both
def test_not_named_or_without_the_word(templates, corp, old, form, tmp_path):
    before = published(templates)
    named = section(corp.cert, RENEWS)
    text = before.replace(named, '')
    for words in None, MAPS, MAPS + ' renewals = false':
        more = '' if words is None else section(corp.cert, words)
        with in_force(templates, text + more):
            refused_alike(templates, tmp_path, old(), UNTRUSTED, NOT_OURS,
                          form)
    # Nor does a list that came for our own CA let another's in.
    with in_force(templates, text), as_if_it_came(templates, 'Demo-CA'):
        refused_alike(templates, tmp_path, old(), UNTRUSTED, NOT_OURS, form)


@pytest.fixture
def at_the_web_server(templates, corp):
    """nginx takes its certificates, whatever the policy says of them."""
    cas = templates.dir / 'tls/client-cas.pem'
    before = cas.read_bytes()
    cas.write_bytes(before + corp.pem.encode())
    reload_nginx(templates)
    yield
    cas.write_bytes(before)
    reload_nginx(templates)


def test_it_logs_nobody_on(site, old, tmp_path, at_the_web_server, corp):
    h = old(how=dict(cn=site.env['CS_USER']))
    c = CertClient(site.env, Maker(site, tmp_path).files(h.cert, h.key))
    asked = client.make_csr(client.ec_key(), template='OcPlain')
    for token, pkcs10 in (h.message(), False), (asked, True):
        r = c.enroll(token, pkcs10=pkcs10)
        refused(r, UNTRUSTED, 'client certificate')
    assert c.whoami().status_code == 403
    # With both words it does; as the account that the map finds, and by it.
    text = published(site)
    with in_force(site, text.replace(RENEWS, MAPS + ' ' + RENEWS)):
        show = row(site, c.enroll(h.message(), pkcs10=False))
        assert (show['method'], show['account'], show['renews']) == (
            'certificate', site.env['CS_USER'], None)
        out = site.account('oc-%s' % uuid.uuid4().hex[:8], cn='Out').user
        h = old(how=dict(cn=out))
        c = CertClient(site.env, Maker(site, tmp_path).files(h.cert, h.key))
        r = c.enroll(h.message(), pkcs10=False)
        assert r.fault is not None and 'may not name account' in r.reason
    with in_force(site, text.replace(RENEWS, MAPS)):
        h = old(how=dict(cn=site.env['CS_USER']))
        c = CertClient(site.env, Maker(site, tmp_path).files(h.cert, h.key))
        refused(c.enroll(h.message(), pkcs10=False), UNTRUSTED, NOT_OURS)
        assert c.enroll(asked).leaf


def test_policy_commands(site, corp, tmp_path):
    text = published(site)
    path = tmp_path / 'p.conf'
    path.write_text(text.replace(RENEWS, 'renewals = false'))
    told = site.ctl('policy', 'check', str(path), ok=None)
    assert told.returncode == 1
    assert 'trusted-ca Corp: map: must be' in told.stdout
    assert publish(site, path.read_text(), ok=None).returncode != 0
    path.write_text(text.replace(RENEWS, MAPS + ' ' + RENEWS))
    site.ctl('policy', 'check', str(path))
    told = site.ctl('policy', 'diff', str(path), ok=None).stdout
    assert '-\t' + RENEWS in told and '+\t' + MAPS in told, told
    assert RENEWS in site.ctl('policy', 'show').stdout
