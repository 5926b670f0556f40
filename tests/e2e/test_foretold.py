"""What CEP offers CES accepts, and what "countersign explain" foretells
happens: the same rule in the same words, and in the row of the request."""
import json
import random
import re
import uuid

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

import client
import policies
from policies import in_force, published
from schema import check_fault, check_policies, check_rstrc

ARC = '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.6.'
RULES = '''
name-rule "ft-one" { groups = {"ft-one"} dns = {"*.ft.example"} cn = {"*"} }
name-rule "ft-two" { groups = {"ft-two"} email = {"@ft.example"}
	ip = {"10.0.0.0/8"} rdn = {"O=Ft", "OU=*"} }
'''
BASE = '''
template "%s" {
	oid = "%s" ca = {"%s"} validity = 1y enroll = {"ft-one", "ft-two"}
	providers = {"Microsoft Software Key Storage Provider"}
	keys = {"ec:P-256", "ec:P-384"} key-usage = {"digital-signature"}
	%s
}
'''
MINE = 'type = user eku = {"email-protection"} names = account '
ASKED = 'type = machine eku = {"server-authentication"} names = request '
# What it says, and of the accounts below those that can get it.
TEMPLATES = {
    'FtCn': (MINE + 'subject = {"common-name"}', 'bare full one two'),
    'FtUpn': (MINE + 'subject = {"common-name"} san = {"upn"}', 'full'),
    'FtUpnMaybe': (MINE + 'subject = {"common-name"} san = {"upn?"}',
                   'bare full one two'),
    'FtOnlyMaybe': (MINE + 'san = {"upn?", "email?"}', 'full one'),
    'FtPath': (MINE + 'subject = {"directory-path"}', 'full'),
    'FtRule': (ASKED + 'name-rules = {"ft-one"}', 'bare full one'),
    'FtRules': (ASKED + 'name-rules = {"ft-one", "ft-two"}',
                'bare full one two'),
    'FtWaits': (ASKED + 'name-rules = {"ft-two"} approval = manager',
                'full two'),
    'FtFree': (ASKED + 'approval = manager', 'bare full one two'),
    'FtLong-' + 'x' * 57: (ASKED + 'name-rules = {"ft-two"}', 'full two'),
}
ACCOUNTS = {
    'bare': dict(groups=['ft-one']),
    'full': dict(groups=['ft-one', 'ft-two'], upn='%s@ft.example',
                 email='%s@ft.example', dn='CN=Full,O=Ft'),
    'one': dict(groups=['ft-one'], email='%s@ft.example'),
    'two': dict(groups=['ft-two']),
}


def templates(stack, these, first=1):
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    return ''.join(BASE % (name, ARC + str(i), ca, more)
                   for i, (name, more) in enumerate(these.items(), first))


@pytest.fixture(scope='module')
def publish(stack):
    """Adds to the policy, which comes back at the end."""
    before = published(stack)
    with in_force(stack, before):
        yield lambda more: policies.publish(stack, before + more)


@pytest.fixture(scope='module')
def site(stack, publish):
    publish(RULES + templates(stack, {n: t for n, (t, _) in
                                      TEMPLATES.items()}))
    return stack


@pytest.fixture(scope='module')
def people(site):
    made = {}
    for n, kw in ACCOUNTS.items():
        name = 'ft-%s-%s' % (n, uuid.uuid4().hex[:6])
        kw = {k: v % name if k in ('upn', 'email') else v
              for k, v in kw.items()}
        made[n] = site.account(name, cn='Ft ' + n, **kw)
    return made


def offered(c):
    r = c.policies()
    check_policies(r)
    return {e.text for e in r.findall('.//p:attributes/p:commonName')}


def foretold(site, path, c, token, *more):
    path.write_bytes(token)
    r = site.ctl('--json', 'explain', '--user', c.user, '--method',
                 'password', '--csr', str(path), *more, ok=None)
    row, = json.loads(r.stdout)
    assert r.returncode == (row['outcome'] not in ('issued', 'pending'))
    return row


def happens(site, path, c, token, pkcs10=True, context=None):
    """Ask for it; what was foretold must be so, and stand in the row."""
    said = foretold(site, path, c, token,
                    *(['--template', context] if context else []))
    r = c.enroll(token, pkcs10=pkcs10, context=[
        ('CertificateTemplate', context)] if context else [])
    if r.fault is None:
        check_rstrc(r)
        assert said['outcome'] == ('issued' if r.leaf else 'pending'), said
        row, = site.ctl_json('request', 'show', r.request_id)
        assert (row['state'], row['template'], row['subject'], row['san']) \
            == tuple(said[k] for k in ('outcome', 'template', 'subject',
                                       'san'))
        return r
    check_fault(r)
    words, request = re.fullmatch(r'(.*) \(request ([0-9a-f]{32})\)',
                                  r.reason).groups()
    assert (said['text'], int(said['hresult'], 16)) == (words, r.hresult)
    assert said['outcome'] not in ('issued', 'pending')
    if r.request_id:
        row, = site.ctl_json('request', 'show', r.request_id)
        assert (row['id'], row['state'], row['message'], row['template']) == \
            (request, 'denied', words, said['template'])
        assert int(row['hresult'], 16) == r.hresult
    return r


def fitting(template, who):
    """A request that nobody could ask better."""
    kw = {}
    if TEMPLATES[template][0].startswith(ASKED):
        kw['san'] = [x509.DNSName('h.ft.example')
                     if 'ft-one' in ACCOUNTS[who]['groups'] and
                     'ft-one' in TEMPLATES[template][0] or
                     'name-rules' not in TEMPLATES[template][0]
                     else x509.RFC822Name('h@ft.example')]
    return client.make_csr(client.ec_key(), template=template, **kw)


@pytest.mark.parametrize('who', ACCOUNTS)
def test_offered(site, people, who, tmp_path):
    """By CEP, by explain and by whoami: what is granted, and no more."""
    c = people[who]
    can = {n for n, (_, whose) in TEMPLATES.items() if who in whose.split()}
    assert offered(c) == can
    rows = {r['template']: r for r in site.ctl_json(
        'explain', '--user', c.user, '--method', 'password')}
    assert {n for n in TEMPLATES if rows[n]['enroll']} == can
    assert all(rows[n]['text'] for n in TEMPLATES if n not in can)
    url = site.env['CS_HOME_URL'].rstrip('/') + '/whoami'
    told = c.post(url, client.envelope('urn:whoami', url, '<x/>',
                                       c.header()), Accept='application/json')
    assert {t['name'] for t in json.loads(told.text)['templates']
            if t['enroll']} == can
    for name in TEMPLATES:
        r = happens(site, tmp_path / 'r.der', c, fitting(name, who))
        assert (r.fault is None) == (name in can), r.reason


SUBJECT = [(NameOID.COMMON_NAME, 'a.ft.example'),
           (NameOID.COMMON_NAME, 'A. Name'), (NameOID.COMMON_NAME, '*'),
           (NameOID.ORGANIZATION_NAME, 'Ft'),
           (NameOID.ORGANIZATION_NAME, 'x' * 64),
           (NameOID.ORGANIZATIONAL_UNIT_NAME, 'Übung'),
           (NameOID.ORGANIZATIONAL_UNIT_NAME, '\u05d0\u202e\u05d1'),
           (NameOID.EMAIL_ADDRESS, 'j@ft.example')]
SAN = [x509.DNSName('b.ft.example'), x509.DNSName('B.FT.example'),
       x509.DNSName('b.other.example'), x509.DNSName('*.ft.example'),
       x509.DNSName('.'.join(['l' * 63] * 3 + ['ft', 'example'])),
       x509.RFC822Name('k@ft.example'), x509.RFC822Name('k@other.example'),
       x509.UniformResourceIdentifier('https://' + 'u' * 200 + '.example/'),
       x509.RegisteredID(x509.ObjectIdentifier('1.2.3'))]


def random_request(rng, names):
    """A token, whether it is a bare PKCS#10, and the message's template."""
    subject = x509.Name([x509.NameAttribute(*a) for a in
                         rng.sample(SUBJECT, rng.choice([0, 0, 1, 2]))])
    san = rng.sample(SAN, rng.choice([0, 1, 1, 2]))
    name = rng.choice(names)
    said = {'template': name}
    context = None
    how = rng.choice(['name', 'oid', 'context', 'both', 'two', 'no'])
    if how in ('oid', 'both'):
        oid = ARC + str(1 + names.index(name))
        said = {'extensions': [client.template_v2(
            oid, *rng.choice([(), (100, 0), (100, 7777)]))]}
    if how in ('context', 'both', 'two'):
        context = rng.choice(names) if how == 'two' else name
    if how in ('context', 'no'):
        said = {}
    key = rng.choice([client.ec_key, client.ec_key, lambda: client.ec_key(
        client.ec.SECP521R1), lambda: client.rsa_key(2048, 'foretold')])()
    csr = client.make_csr(key, None, subject=subject, san=san, **said)
    if rng.random() < .3:
        return client.make_cmc(key, csr), False, context
    return csr, True, context


@pytest.mark.parametrize('seed', range(4))
def test_random_requests(site, people, seed, tmp_path):
    rng = random.Random(seed)
    granted = 0
    for _ in range(25):
        token, pkcs10, context = random_request(rng, list(TEMPLATES))
        c = people[rng.choice(list(people))]
        r = happens(site, tmp_path / 'r.der', c, token, pkcs10, context)
        granted += r.fault is None
    assert granted, 'all were refused: nothing was compared'


def test_secret_of_a_template_that_changed(stack, publish, tmp_path):
    """Last, for it publishes other templates."""
    machine = ('type = machine eku = {"client-authentication"} '
               'names = account subject = {"dns"} ')
    secret = ['secret', 'create', '--template', 'FtOnce', '--dns',
              'ft%s.demo.example' % uuid.uuid4().hex[:6]]
    csr = lambda: client.make_csr(client.ec_key(), template='FtOnce')
    publish(templates(stack, {'FtOnce': machine}, 90))
    row, = stack.ctl_json(*secret)
    c = client.Client(stack.env, row['name'], row['secret'])
    assert offered(c) == {'FtOnce'}
    for more, words in (('approval = manager', 'needs approval'),
                        ('san = {"email"}', 'has no e-mail address')):
        publish(templates(stack, {'FtOnce': machine + more}, 90))
        assert offered(c) == set()
        r = happens(stack, tmp_path / 'r.der', c, csr())
        assert words in r.reason
        assert words in stack.ctl(*secret, ok=1).stderr
    publish(templates(stack, {'FtOnce': machine}, 90))
    assert happens(stack, tmp_path / 'r.der', c, csr()).leaf
