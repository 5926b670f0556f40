"""Renewing with certificates that a CA's key signed before the CA moved here:
to who logs on by other means they are requests for new ones, to nobody more."""
import uuid
from functools import partial

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU

import client
import renewals
from cakeys import put
from certlogon import CertClient, Maker
from earlier import (HELD, HELD_TOO, LOST, NAME, PEM,  # noqa: F401
                     PLAIN, elsewhere, hex_of, moved, sign_before)
from fcgi import fastcgi, framed
from ledgers import lines_of, own, restart_signers, root  # noqa: F401
from onetime import create
from policies import in_force, published
from renewals import (CONFLICT, EXPIRED, OTHER_KEY, REVOKED, UNTRUSTED, Held,
                      forged, refused, row)
from second_site import reload_nginx

DENIED, NO_GROUP, NO_SIGNATURE, BAD_NAMES = (
    0x80094011, 0x80094012, 0x80094809, 0x80094001)
OID = '1.3.6.1.4.1.99999.93.'
PRIOR = OID + '99'      # a template of before that has another name here
TEMPLATES = {
    'MvPlain': '', 'MvNext': 'supersedes = {"MvPlain"}',
    'MvWaits': 'approval = manager renewal-previous-approval = true',
    'MvSame': 'renewal-same-key = true',
    'MvGrace': 'renewal-grace = 30d renewal-max = 1',
    'MvSigned': 'ra-signatures = 1 ra-eku = {"1.3.6.1.4.1.99999.1"} '
    'renewal-previous-approval = true',
    'MvNobody': 'renewal-anonymous = true',
    'MvMachine': None, 'MvHost': None}
HOST = '''names = request name-rules = {"mv-hosts"} approval = manager
	approval-groups = {"nobody"} renewal-previous-approval = true
	renewal-key-based = true renewal-anonymous = true
	eku = {"server-authentication"}'''
MINE = '''names = account subject = {"common-name"}
	eku = {"client-authentication"} '''
MACHINE = '''names = account san = {"dns"}
	eku = {"client-authentication"}'''
POLICY = '''
name-rule "mv-hosts" { groups = {"users"} dns = {"*.mv.example"} }
'''
for _n, (_name, _more) in enumerate(TEMPLATES.items()):
    POLICY += '''
template "%s" {
	oid = "%s%d" ca = {"%s"} type = %s validity = 90d renewal = 10d
	enroll = {"users"} keys = {"ec:P-256"} key-usage = {"digital-signature"}
	providers = {"Microsoft Software Key Storage Provider"} hash = sha256
	%s
}
''' % (_name, OID, _n, NAME, 'machine' if _more is None else 'user',
       {'MvMachine': MACHINE, 'MvHost': HOST}.get(_name) or MINE + _more)
both = pytest.mark.parametrize('form', ['cmc', 'cms', 'bare'])


@pytest.fixture(scope='module')
def site(own, moved):  # noqa: F811
    with in_force(own, published(own) + POLICY):
        yield own


def at(site, which='CS_CES_URL'):
    return site.env[which].replace('Demo-CA', NAME)


@pytest.fixture(scope='module')
def demo(site):
    c = client.Client(dict(site.env, CS_CES_URL=at(site)))
    c.user = site.env['CS_USER']
    return c


def of_template(template):
    n = list(TEMPLATES).index(template) if template in TEMPLATES else None
    return client.template_v2(template if n is None else OID + str(n), 101, 3)


@pytest.fixture(scope='module')
def old(moved, demo):  # noqa: F811
    """Certificates as AD CS made them."""
    def make(template='MvPlain', c=None, ext=True, by=None,
             eku=EKU.CLIENT_AUTH, how={}, **kw):
        h = Held.__new__(Held)
        h.c, h.name, h.kw = c or demo, template, kw
        extensions = [x509.ExtendedKeyUsage([eku])]
        if kw.get('dns'):
            extensions.append(x509.SubjectAlternativeName(
                [x509.DNSName(d) for d in kw['dns']]))
        if ext:
            extensions.append(of_template(template) if ext is True else ext)
        h.key, h.der = sign_before(moved.cert, by or moved.key, *extensions,
                                   **how)
        return h
    return make


explained = partial(renewals.explained, ca=NAME)
refused_alike = partial(renewals.refused_alike, ca=NAME)


def test_its_template_is_another_cas_now(site, old, tmp_path):
    """As who leaves AD CS would have it: its CA comes along, and what was
    issued by its templates is followed by certificates of a new CA."""
    here, v1 = site.env['CS_CES_URL'], client.template_v1('User')
    h = old('User', ext=v1)
    told = explained(site, tmp_path, h.message(), '--user', h.c.user,
                     '--method', 'password', ca='Demo-CA', ok=True)
    assert (told['outcome'], told['renews']) == ('issued', None)
    r = h.renew(url=here)
    assert r.fault is None, r.reason
    assert r.certificate.issuer == Maker(site, tmp_path).ca.subject
    refused(old('User', ext=v1, how={'serial': LOST}).renew(url=here),
            REVOKED, 'is revoked')
    refused(h.renew(url=here.replace('UsernamePassword', 'Anonymous')),
            UNTRUSTED, 'not issued by a signer')


# Yes: as a new request --------------------------------------------------------

@both
def test_it_is_a_new_request(site, old, form, tmp_path):
    h = old()
    told = explained(site, tmp_path, h.message(form), '--user', h.c.user,
                     '--method', 'password', ok=True)
    assert (told['outcome'], told['renews']) == ('issued', None)
    r = h.renew(form, key=client.ec_key())
    show = row(site, r)
    assert (show['state'], show['account'], show['renews']) == (
        'issued', h.c.user, None)
    serial = r.certificate.serial_number
    assert site.sql(
        'SELECT renewals, chain_start, ca FROM '
        'countersign.certificate WHERE serial = %s',
        serial.to_bytes(16, 'big')) == [(0, None, NAME)]
    entries = [x for p in site.dir.glob('ledger/signer-*/*')
               for x in lines_of(p) if b'%x' % serial in x.lower()]
    assert entries and not any(b'renews' in x for x in entries)
    # Behind it all is as ever.
    after = h.after(h.renew(form))
    assert row(site, after.renew(form))['renews'] == after.serial


def test_same_key_and_the_old_form_of_templates(site, old):
    h = old(ext=client.template_v1('mvplain'))
    assert row(site, h.renew())['renews'] is None
    assert row(site, old('MvSame').renew())['state'] == 'issued'
    h = old('MvPlain')
    assert row(site, h.renew(template='MvNext'))['renews'] is None


@both
def test_it_gives_nobody_elses_names(site, old, form):
    """Whosever it was: the account gets what it gets without."""
    h = old(how=dict(cn='Administrator'))
    r = h.renew(form)
    assert row(site, r)['account'] == h.c.user
    new = client.Client(h.c.env).enroll(client.make_csr(
        client.ec_key(), template='MvPlain'))
    assert r.certificate.subject == new.certificate.subject


def test_it_gives_no_right(site, old, tmp_path):
    outsider = site.account('mv-%s' % uuid.uuid4().hex[:8], cn='Out')
    outsider.env = dict(site.env, CS_CES_URL=at(site))
    refused_alike(site, tmp_path, old(c=outsider), NO_GROUP,
                  'is in none of the groups')
    # Not even with a right to the names of a certificate of this service.
    evil = dict(cn='evil.example', dns=['evil.example'])
    refused_alike(site, tmp_path, old('MvHost', **evil), BAD_NAMES,
                  'evil.example')
    good = dict(cn='h.mv.example', dns=['h.mv.example'])
    refused_alike(site, tmp_path, old('MvHost', c=outsider, **good),
                  NO_GROUP, 'is in none of the groups')
    assert row(site, old('MvHost', **good).renew())['state'] == 'issued'
    refused_alike(site, tmp_path, old('MvSigned', eku=x509.ObjectIdentifier(
        '1.3.6.1.4.1.99999.1')), NO_SIGNATURE, 'the request has none')


def test_it_skips_no_approval(site, old):
    h = old('MvWaits')
    r = h.renew()
    assert r.fault is None and r.leaf is None
    site.ctl('request', 'approve', r.request_id, '--reason', 'x')
    show = site.ctl_json('request', 'show', r.request_id)[0]
    assert (show['state'], show['renews']) == ('issued', None)
    # Revoked while it waits.
    h = old('MvWaits')
    r = h.renew()
    site.ctl('cert', 'revoke', '--earlier', NAME, h.serial, '--reason',
             'keyCompromise')
    told = site.ctl('request', 'approve', r.request_id, '--reason', 'x',
                    ok=None)
    assert told.returncode != 0 and 'is revoked' in told.stderr
    assert site.ctl_json('request', 'show', r.request_id)[0]['state'] != \
        'issued'


def test_a_secret_is_spent(site, old):
    made = create(site, '%s.mv.example' % uuid.uuid4().hex[:8],
                  template='MvMachine')
    c = client.Client(dict(site.env, CS_CES_URL=at(site)), made['name'],
                      made['secret'])
    refused(old('MvPlain', c=c).renew(), NO_GROUP, 'is for template MvMachine')
    assert row(site, old('MvMachine', c=c).renew())['account'] == made['name']
    refused(old('MvMachine', c=c).renew(), DENIED, 'was used')


def test_logged_on_by_one_of_ours(site, old, tmp_path):
    """Who may ask for a new certificate so may send the old one along."""
    key = client.ec_key()
    r = client.Client(site.env).enroll(client.make_csr(key, template='User'))
    pair = Maker(site, tmp_path).files(r.certificate, key)
    c = CertClient(dict(site.env, CS_CES_CERT_URL=at(site,
                                                     'CS_CES_CERT_URL')),
                   pair)
    show = row(site, old(c=c).renew())
    assert (show['method'], show['renews']) == ('certificate', None)


# No ---------------------------------------------------------------------------

@both
def test_revoked(site, old, form, tmp_path):
    for serial in PLAIN, HELD:
        refused_alike(site, tmp_path, old(how=dict(serial=serial)), REVOKED,
                      'is revoked', form)
    h = old()
    # Under its number, but by another CA.
    site.ctl('cert', 'revoke', '--earlier', 'Demo-CA', h.serial, '--reason',
             'superseded')
    assert row(site, h.renew(form))['state'] == 'issued'
    site.ctl('cert', 'revoke', '--earlier', NAME, h.serial, '--reason',
             'certificateHold')
    refused_alike(site, tmp_path, h, REVOKED, 'is revoked', form)
    site.ctl('cert', 'release', '--earlier', NAME, h.serial)
    assert row(site, h.renew(form))['state'] == 'issued'


def test_a_hold_of_before_ends(site, old):
    h = old(how=dict(serial=HELD_TOO))
    refused(h.renew(), REVOKED, 'is revoked')
    site.ctl('cert', 'release', '--earlier', NAME, hex_of(HELD_TOO))
    assert row(site, h.renew())['state'] == 'issued'


@both
def test_its_time(site, old, form, tmp_path):
    refused_alike(site, tmp_path, old(how=dict(days=(-300, -1))), EXPIRED,
                  'renewal-grace is 0 s', form)
    # Somebody else still has the key.
    refused_alike(site, tmp_path, old(how=dict(days=(1, 65))), UNTRUSTED,
                  'was issued elsewhere since ca', form)
    h = old('MvGrace', how=dict(days=(-300, -1)))
    assert row(site, h.renew(form))['state'] == 'issued'
    refused_alike(site, tmp_path, old('MvGrace', how=dict(days=(-300, -31))),
                  EXPIRED, 'renewal-grace is', form)


@both
def test_its_template_and_key(site, old, form, tmp_path):
    refused_alike(site, tmp_path, old('MvNext'), CONFLICT,
                  'is of template MvNext, which', form, template='MvPlain')
    refused_alike(site, tmp_path, old(PRIOR), CONFLICT,
                  'is of template %s, which' % PRIOR, form,
                  template='MvPlain')
    for ext in False, x509.UnrecognizedExtension(
            x509.ObjectIdentifier('1.3.6.1.4.1.311.21.7'), b'\x04\x00'):
        refused_alike(site, tmp_path, old(ext=ext), CONFLICT,
                      'names no template', form)
    refused_alike(site, tmp_path, old('MvSame'), OTHER_KEY,
                  'renewal-same-key', form, key=client.ec_key())


@both
def test_not_of_this_ca(site, old, form, tmp_path):
    refused_alike(site, tmp_path, old(by=client.ec_key()), UNTRUSTED,
                  'was not issued by ca ' + NAME, form)
    refused_alike(site, tmp_path, old(by=Maker(site, tmp_path).ca_key),
                  UNTRUSTED, 'was not issued by ca ' + NAME, form)


@both
def test_of_a_ca_that_was_made_here(site, old, form, tmp_path):
    """It brought no list: each of its certificates has a row."""
    h, m = old(), Maker(site, tmp_path)
    h.name = 'User'
    h.key, h.der = sign_before(m.ca, m.ca_key, client.template_v1('User'))
    h.c = client.Client(site.env)
    r = h.renew(form)
    refused(r, UNTRUSTED, 'was not issued by ca Demo-CA')


@both
def test_no_key_of_its_own(site, old, form):
    h = old()
    r = h.renew(form, signer=client.ec_key())
    refused(r, r.hresult, '')
    assert r.hresult == 0x80090006


def ours(site, old):
    """One of a signer of this service."""
    h = old()
    h.der = client.Client(dict(site.env, CS_CES_URL=at(site))).enroll(
        client.make_csr(h.key, template='MvPlain')).leaf
    return h


@both
def test_a_row_that_is_lost(site, old, moved, form, tmp_path):  # noqa: F811
    """What a signer issued is none of before, though the database forgot."""
    h = ours(site, old)
    # Another number that was drawn then: there is no row of it.
    h.der = forged(h.der, h.key, serial=h.cert.serial_number ^ 1 << 20,
                   own_key=moved.key)
    refused_alike(site, tmp_path, h, UNTRUSTED, 'but no record of it is here',
                  form)


@both
def test_other_bytes_of_a_row(site, old, moved, form, tmp_path):  # noqa: F811
    h = old(how=dict(serial=ours(site, old).cert.serial_number))
    refused_alike(site, tmp_path, h, UNTRUSTED, 'was not issued by', form)


@both
def test_nobody_renews_it(site, old, form, tmp_path):
    """Without logging on nothing says whose it is."""
    c = client.Client(dict(site.env, CS_CES_URL=at(site,
                                                   'CS_CES_RENEWAL_URL')))
    c.header = lambda: ''
    for template, kw in (('MvNobody', {}), ('MvHost', dict(
            cn='h.mv.example', dns=['h.mv.example']))):
        h = old(template, c=c, **kw)
        r = h.renew(form)
        refused(r, UNTRUSTED, 'log on at another address')
        told = explained(site, tmp_path, h.message(form), '--method',
                         'anonymous')
        assert r.reason.startswith(told['text'])


@both
def test_at_addresses_that_only_renew(site, old, demo, form):
    text = published(site)
    uri = '/%s_CES_UsernamePassword/service.svc/CES"' % NAME
    only = text.replace(uri, uri + ' renewal-only = true')
    assert only != text
    with in_force(site, only):
        refused(old().renew(form), DENIED, 'address that does not only renew')
    # The worker knows of its own addresses, of which there may be others.
    url = at(site)
    for h, words in ((old(), b'log on at another address'),
                     (ours(site, old), b'BinarySecurityToken')):
        body = client.envelope(client.RST, url, client.rst(
            h.message(form), False), demo.header())
        out = fastcgi(site, framed(
            site, body, CS_SERVICE='ces', CS_CA=NAME, CS_URI=url,
            CS_RENEWAL_ONLY='on', CONTENT_LENGTH=str(len(body)),
            CONTENT_TYPE='application/soap+xml; charset=utf-8'))
        assert words in out, out


@both
def test_explain_where_another_method_only_renews(site, old, form, tmp_path):
    """A signer does not see the address, but by which method it was."""
    text = published(site)
    at_ = text.index('uri "anonymous"', text.index('ca "%s"' % NAME))
    with in_force(site, text[:at_] + 'uri "kerberos" { uri = '
                  '"https://h.mv.example/" renewal-only = true }\n' +
                  text[at_:]):
        told = explained(site, tmp_path, old().message(form), '--user',
                         site.env['CS_USER'], '--method', 'kerberos')
        assert told['hresult'].lower().endswith('80094011')
        assert 'elsewhere: log on at an address that does not only renew' in \
            told['text']
    with in_force(site, text[:at_] + 'uri "kerberos" { uri = '
                  '"https://h.mv.example/" }\n' + text[at_:]):
        told = explained(site, tmp_path, old().message(form), '--user',
                         site.env['CS_USER'], '--method', 'kerberos', ok=True)
        assert told['outcome'] == 'issued'


def test_it_logs_nobody_on(site, old, moved, tmp_path):  # noqa: F811
    cas = site.dir / 'tls/client-cas.pem'
    put(site, cas, cas.read_text() + moved.cert.public_bytes(PEM).decode() +
        moved.root.public_bytes(PEM).decode())
    reload_nginx(site)
    h = old()
    c = CertClient(site.env, Maker(site, tmp_path).files(h.cert, h.key))
    for token, pkcs10 in ((h.message(), False), (client.make_csr(
            client.ec_key(), template='MvPlain'), True)):
        r = c.enroll(token, pkcs10=pkcs10,
                     url=at(site, 'CS_CES_CERT_URL'))
        assert r.fault is not None and r.leaf is None
        assert 'no record of it is here' in r.reason


def test_nobody_asks_for_others_with_it(site, old, demo):
    """An agent's request is none that renews, whatever it could get."""
    site.account('mv-target', groups=['mv-targets'], cn='Target')
    text = published(site) + """
template "MvAgent" {
	oid = "%s98" ca = {"%s"} type = user validity = 90d renewal = 10d
	enroll = {"users"} keys = {"ec:P-256"} key-usage = {"digital-signature"}
	providers = {"Microsoft Software Key Storage Provider"} hash = sha256
	names = account subject = {"common-name"} eku = {"enrollment-agent"}
}
agent-rule "mv" { agents = {"users"} templates = {"MvSigned"}
	targets = {"mv-targets"} deny-targets = {"mv-nobody"} }
""" % (OID, NAME)
    text = text.replace('{"1.3.6.1.4.1.99999.1"}', '{"enrollment-agent"}')
    with in_force(site, text):
        agent = client.ec_key()
        cert = demo.enroll(client.make_csr(agent, template='MvAgent')).leaf
        h = old('MvSigned')

        def ask(key, csr, *more):
            data = client.pki_data(csr, [client.reg_info(
                'CertificateTemplate=MvSigned&RequesterName=mv-target&')])
            by = ((agent, cert),) + more
            return demo.enroll(client.signed_data(
                data, [client.ski_signer(key, data)] + [
                    client.cert_signer(k, c, data) for k, c in by],
                [c for _, c in by]), pkcs10=False)
        r = ask(h.key, client.renewal_csr(h.key, h.der), (h.key, h.der))
        refused(r, 0x80094009, 'nobody renews on behalf of')
        key = client.ec_key()
        assert row(site, ask(key, client.make_csr(key)))['account'] == \
            'mv-target'


def test_it_signs_for_nobody_else(site, old, demo):
    """As an authority's it is unknown, whatever its purposes."""
    agent = old(eku=x509.ObjectIdentifier('1.3.6.1.4.1.311.20.2.1'))
    key = client.ec_key()
    csr = client.make_csr(key, template='MvPlain')
    r = demo.enroll(client.renewal_cmc(csr, key, agent.key, agent.der),
                    pkcs10=False)
    refused(r, UNTRUSTED, "signer's certificate was not issued by")


def test_it_needs_a_database_that_tells(site, old, root):  # noqa: F811
    """Nobody guesses whether it is revoked."""
    with root() as db:
        db.execute('REVOKE SELECT ON countersign.revoked '
                   'FROM countersign_signer')
        try:
            # Of others nothing more is asked.
            h = ours(site, old)
            assert row(site, h.renew())['renews'] == h.serial
            r = old().renew()
            assert r.fault is not None and r.leaf is None
        finally:
            db.execute('GRANT SELECT ON countersign.revoked '
                       'TO countersign_signer')
    restart_signers(site)
    assert row(site, old().renew())['state'] == 'issued'
