"""Logging on with a TLS client certificate: who gets in and who does not."""
import os
import re
import socket
import ssl
import subprocess
import uuid

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU

import client
from certlogon import CertClient, fresh, maker
from madeup import put_row  # noqa: F401
from policies import policy_file, published
from refusals import refused
from schema import check_fault, check_policies, check_rstrc
from second_site import reload_nginx
from waits import wait_for

UNTRUSTED, EXPIRED, REVOKED, DENIED = (
    0x800b0109, 0x800b0101, 0x80092010, 0x80070005)


@pytest.fixture(scope='module')
def user(stack):
    return CertClient(stack.env, (stack.env['CS_CERT'], stack.env['CS_KEY']))


def csr(stack, name='cert.demo.example', **kw):
    return client.make_csr(client.ec_key(), name,
                           template=stack.env['CS_TEMPLATE'], **kw)


def uris(reply):
    return [(int(u.findtext('p:clientAuthentication', None, client.NS)),
             u.findtext('p:uri', None, client.NS),
             u.findtext('p:renewalOnly', None, client.NS))
            for u in reply.findall('.//p:cAURI')]


def templates(reply):
    return {e.text for e in reply.findall('.//p:attributes/p:commonName')}


# Who gets in ------------------------------------------------------------------

def test_templates_and_addresses(stack, user, demo):
    by_cert, by_password = user.policies(), demo.policies()
    check_policies(by_cert)
    assert templates(by_cert) == templates(by_password)
    assert by_cert.findtext('.//p:policyID') == \
        by_password.findtext('.//p:policyID')
    # No message credentials, no timestamp back.
    assert by_cert.find('.//o:Security') is None
    assert (8, stack.env['CS_CES_CERT_URL'], 'false') in uris(by_cert)
    assert (4, stack.env['CS_CES_URL'], 'false') in uris(by_cert)
    assert (4, stack.env['CS_CES_URL'], 'false') in uris(by_password)
    assert not [u for u in uris(by_password) if u[0] == 8]


def test_no_password_no_password_address(stack, maker):
    name = 'certonly-' + uuid.uuid4().hex[:8]
    stack.ctl('account', 'add', name, '--no-password', '--cn', 'C',
              '--group', 'users')
    key = client.ec_key()
    (maker.folder / 'only.csr').write_bytes(x509.load_der_x509_csr(
        client.make_csr(key, 'x')).public_bytes(serialization.Encoding.PEM))
    stack.ctl('request', 'submit', '--account', name, '--template', 'User',
              '--csr', str(maker.folder / 'only.csr'), '-o',
              str(maker.folder / 'only.pem'))
    c = CertClient(stack.env, maker.files(
        (maker.folder / 'only.pem').read_bytes(), key))
    assert {u[0] for u in uris(c.policies())} <= {8, 1}


KEY_BASED = 'renewal-key-based = true'
ANONYMOUS = KEY_BASED + '\n\trenewal-anonymous = true'


def with_template(stack, policy_file, group, more):
    """The policy as it is, and a template of the test's own."""
    text = re.sub('\n\trenewal-(anonymous|key-based) = .*', '',
                  published(stack))
    text = re.sub('\ntemplate "Renewable" {.*?\n}\n', '', text, flags=re.S)
    policy_file.write_text(text + '''
template "Renewable" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.1.99"
	version = "100.1"
	ca = {"%s"}
	type = user
	schema = 3
	validity = 1y
	renewal = 6w
	enroll = {"%s"}
	names = request
	name-rules = {"web-hosts"}
	keys = {"rsa:2048", "ec:P-256"}
	providers = {"Microsoft Software Key Storage Provider"}
	hash = sha256
	key-usage = {"digital-signature"}
	eku = {"client-authentication"}
	renewal-previous-approval = true
	%s
}
''' % (stack.sql('SELECT name FROM countersign.ca LIMIT 1')[0][0], group,
       more))
    stack.ctl('policy', 'publish', str(policy_file))


def test_anonymous_address_only_where_allowed(stack, demo, policy_file):
    anonymous = stack.env['CS_CES_RENEWAL_URL']
    with_template(stack, policy_file, 'web-admins', '')
    assert 1 not in {u[0] for u in uris(demo.policies())}
    with_template(stack, policy_file, 'web-admins', ANONYMOUS)
    assert (1, anonymous, 'true') in uris(demo.policies())
    other = fresh(stack, 'noanon', groups=['computers'])
    assert 1 not in {u[0] for u in uris(other.policies())}


def test_enroll(stack, user):
    r = user.enroll(csr(stack))
    check_rstrc(r)
    row = stack.sql('SELECT r.method, r.account, r.evidence FROM '
                    'countersign.request r WHERE number = %s',
                    int(r.request_id))[0]
    live = x509.load_pem_x509_certificate(
        open(stack.env['CS_CERT'], 'rb').read())
    assert row[:2] == (8, 'demo')
    assert bytes(row[2]) == live.public_bytes(serialization.Encoding.DER)


def test_query_is_the_owners(stack, user, maker):
    number = user.enroll(csr(stack)).request_id
    check_rstrc(user.query(number))
    other = CertClient(stack.env, maker.issued(
        c=fresh(stack, 'other', groups=['users'], cn='Other')))
    check_fault(other.query(number))


def test_names_are_no_identity(stack, maker):
    """The account is the row's, whatever the certificate is called."""
    p = fresh(stack, 'posing', groups=['users'], cn='demo')
    c = CertClient(stack.env, maker.issued(c=p))
    assert c.whoami(Accept='application/json').json()['account'] == p.user
    assert stack.env['CS_TEMPLATE'] not in templates(c.policies())


def test_key_based_shows_only_its_templates(stack, user, maker, policy_file):
    url = user.base + '/KeyBasedRenewal_ADPolicyProvider_CEP_Certificate' \
        '/service.svc/CEP'
    ask = lambda: user.post(url, client.envelope(
        client.GETPOLICIES, url, client.get_policies()))
    with_template(stack, policy_file, 'web-admins', KEY_BASED)
    r = ask()
    check_policies(r)
    assert 'Renewable' in templates(r) and 'User' not in templates(r)
    held = CertClient(stack.env, maker.issued(
        'Renewable', cn='kb.demo.example'))
    # Who may not enroll any more may renew what he has, and nobody else.
    with_template(stack, policy_file, 'nobody', KEY_BASED)
    assert 'Renewable' not in templates(ask())
    user = held
    assert 'Renewable' in templates(ask())
    assert 'Renewable' not in templates(held.policies())


# Who does not -----------------------------------------------------------------

def test_no_certificate(stack):
    c = CertClient(stack.env)
    for r in (c.policies(), c.enroll(csr(stack))):
        check_fault(r)
        assert r.subcode == 'InvalidSecurity'
        assert 'none was sent' in r.reason


def test_no_certificate_but_a_password(stack):
    """The location says how one logs on, never the message."""
    c = CertClient(stack.env)
    c.header = lambda: client.security(stack.env['CS_USER'],
                                       stack.env['CS_PASSWORD'])
    r = c.policies()
    check_fault(r)
    assert 'none was sent' in r.reason


SPOOFS = {n: v for v in ['SUCCESS'] for n in [
    'CS-CLIENT-VERIFY', 'CS_CLIENT_VERIFY', 'Ssl-Client-Verify',
    'SSL_CLIENT_VERIFY', 'X-SSL-Client-Verify', 'Client-Verify']}


@pytest.mark.parametrize('with_cert', [False, True])
def test_headers_are_no_certificate(stack, maker, with_cert):
    live = open(stack.env['CS_CERT']).read()
    escaped = requests.utils.quote(live, safe='')
    headers = dict(SPOOFS)
    for n in list(SPOOFS):
        headers[n.replace('erify', 'ert').replace('ERIFY', 'ERT')] = escaped
    headers.update({'CS-AUTH': 'password', 'CS-CLIENT-CERT': escaped})
    other = maker.authority()
    pair = maker.forged(issuer=other[0], issuer_key=other[1]) \
        if with_cert else None
    c = CertClient(stack.env, pair, headers)
    r = c.policies()
    check_fault(r)
    assert ('not trusted' if with_cert else 'none was sent') in r.reason
    # And at the password port such headers are nothing at all.
    p = client.Client(stack.env, 'demo', 'wrong')
    p.http.headers.update(headers)
    refused(p.policies(), words='could not be authenticated')


def said(stack, pair):
    """What the three services say to this certificate."""
    c = CertClient(stack.env, pair)
    return [c.policies(), c.enroll(csr(stack))], c.whoami()


REFUSED = {
    'self-signed': (lambda m: m.authority(), UNTRUSTED, 'not trusted'),
    'other-ca': (lambda m: m.make(*m.authority()), UNTRUSTED, 'not trusted'),
    'other-ca-same-name': (
        lambda m: m.make(None, client.ec_key()), UNTRUSTED, 'not trusted'),
    'not-yet': (lambda m: m.make(days=(1, 2)), None, 'not yet valid'),
    'expired': (lambda m: m.make(days=(-3, -1)), None, 'expired'),
    'no-row': (lambda m: m.make(), DENIED, 'no record'),
    'other-bytes': (lambda m: m.make(serial=m.live.serial_number), DENIED,
                    'not the one that was issued'),
    'server-eku': (lambda m: m.make(eku=[EKU.SERVER_AUTH]), None,
                   'unsuitable certificate purpose'),
    'no-eku': (lambda m: m.make(eku=None), DENIED, 'client authentication'),
    'any-eku': (lambda m: m.make(eku=[EKU.ANY_EXTENDED_KEY_USAGE]), None,
                'unsuitable certificate purpose'),
    'ca': (lambda m: m.make(is_ca=True), DENIED, 'ca certificate'),
    'issuing-ca': (lambda m: (m.ca, m.ca_key), DENIED, 'ca certificate'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused(stack, maker, case):
    make, hresult, words = REFUSED[case]
    pair = maker.files(*make(maker))
    soap, who = said(stack, pair)
    assert who.status_code == 403 and words in who.text, who.text
    for r in soap:
        if hresult is None:  # nginx has a look first
            assert r.status == 403 and words in r.text
        else:
            refused(r, words=words)
    assert hresult is None or soap[1].hresult == hresult
    assert 'WWW-Authenticate' not in who.headers


def test_row_of_before(stack, maker, put_row):  # noqa: F811
    """What the CA's key signed before it was imported, and a row by which
    somebody with a signer's role says that it is an administrator's."""
    cert, key = maker.make(serial=int.from_bytes(
        b'\x1a\0\0\0\x02' + os.urandom(14), 'big'), days=(-30, 30))
    put_row(maker.live.public_bytes(serialization.Encoding.DER),
            cert.public_bytes(serialization.Encoding.DER))
    soap, who = said(stack, maker.files(cert, key))
    assert who.status_code == 403 and 'was made by no signer' in who.text
    for r in soap:
        refused(r, words='was made by no signer')
    assert soap[1].hresult == UNTRUSTED


def test_server_certificate_of_ours(stack, maker):
    """A row, but not a template that lets its holder log on."""
    pair = maker.issued(stack.env['CS_TEMPLATE'], cn='eku.demo.example')
    soap, who = said(stack, pair)
    assert who.status_code == 403 and 'unsuitable' in who.text
    assert [r.status for r in soap] == [403, 403]


def test_revoked(stack, maker):
    pair = maker.issued()
    c = CertClient(stack.env, pair)
    check_policies(c.policies())
    serial = x509.load_pem_x509_certificate(
        open(pair[0], 'rb').read()).serial_number
    number = c.enroll(csr(stack)).request_id
    stack.ctl('cert', 'revoke', '%x' % serial, '--reason', 'superseded')
    # The same connection, the same TLS session: the next request gets
    # nothing, whatever a worker remembers.
    for r in c.enroll(csr(stack)), c.query(number):
        assert refused(r, words='revoked').hresult == REVOKED
    # Looking is over when that is forgotten: certlogon.h.
    wait_for(lambda: c.policies().fault is not None and
             c.whoami().status_code != 200)
    refused(c.policies(), words='revoked')
    assert 'is revoked' in c.whoami().text


def answer(c, status):
    r = c.policies()
    return r if r.status == status else None


def test_disabled_account(stack, maker):
    p = fresh(stack, 'leaver', groups=['users'], cn='Leaver')
    c = CertClient(stack.env, maker.issued(c=p))
    check_policies(c.policies())
    # Each worker hears of it a moment later.
    stack.ctl('account', 'disable', p.user)
    refused(wait_for(lambda: answer(c, 500)), words=p.user + ' is disabled')
    stack.ctl('account', 'enable', p.user)
    check_policies(wait_for(lambda: answer(c, 200)))


# TLS sessions -----------------------------------------------------------------

def ask_raw(ctx, port, session=None, path='/whoami'):
    raw = socket.create_connection(('127.0.0.1', port), 300)
    with ctx.wrap_socket(raw, server_hostname='localhost',
                         session=session) as s:
        s.sendall(b'GET %s HTTP/1.1\r\nHost: localhost:%d\r\n'
                  b'Connection: close\r\n\r\n' % (path.encode(), port))
        data = b''
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        except ssl.SSLError:
            pass
        return data, s.session, s.session_reused


@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_sessions_do_not_cross(stack, version):
    """A session of the password port is no way past the handshake."""
    port = lambda n: int(re.search(r':(\d+)/', stack.env[n]).group(1))
    password, cert = port('CS_CEP_URL'), port('CS_CEP_CERT_URL')

    def context(with_cert):
        ctx = ssl.create_default_context(cafile=stack.env['CS_ROOT_PEM'])
        ctx.minimum_version = ctx.maximum_version = getattr(
            ssl.TLSVersion, version)
        if with_cert:
            ctx.load_cert_chain(stack.env['CS_CERT'], stack.env['CS_KEY'])
        return ctx
    for with_cert, words in (True, b'account    demo'), (
            False, b'none was sent'):
        ctx = context(with_cert)
        _, session, _ = ask_raw(ctx, password, path='/')
        assert ask_raw(ctx, password, session, '/')[2], 'nothing to test'
        data, _, reused = ask_raw(ctx, cert, session)
        assert not reused
        assert words in data
    # One of the port itself carries its own certificate along, and that one
    # is looked at again.
    ctx = context(True)
    _, session, _ = ask_raw(ctx, cert)
    data, _, reused = ask_raw(ctx, cert, session)
    assert b'account    demo' in data


# whoami -----------------------------------------------------------------------

def test_whoami_by_certificate(stack, user):
    r = user.whoami()
    assert r.status_code == 200
    assert r.headers['Content-Type'].startswith('text/plain')
    assert 'account    demo (user)' in r.text and 'web-admins' in r.text
    j = user.whoami(Accept='application/json').json()
    assert j['account'] == 'demo' and j['method'] == 'certificate'
    assert j['certificate']['template'] == 'User'
    assert sorted(j['groups']) == j['groups']
    assert {t['name'] for t in j['templates'] if t['enroll']} >= {'User'}


def whoami_by_password(stack, user, password, **headers):
    c = client.Client(stack.env, user, password)
    url = stack.env['CS_HOME_URL'] + 'whoami'
    return c.http.post(url, data=client.envelope(
        'urn:whoami', url, '', c.header()), headers=dict(
            {'Content-Type': 'application/soap+xml'}, **headers), timeout=300)


def test_whoami_by_password(stack):
    user = fresh(stack, 'curious', groups=['users'],
                 cn='Cu "rious" \\ ü').user
    r = whoami_by_password(stack, user, 'correct horse')
    assert r.status_code == 200 and 'proven by  password' in r.text
    assert re.search('refused    template %s: account %s is in none'
                     % (stack.env['CS_TEMPLATE'], user), r.text)
    j = whoami_by_password(stack, user, 'correct horse',
                           Accept='application/json').json()
    assert j['name'] == 'Cu "rious" \\ ü'
    why = {t['name']: t.get('why') for t in j['templates']}
    assert why['User'] is None
    assert 'none of the groups' in why[stack.env['CS_TEMPLATE']]


def test_whoami_refuses(stack):
    r = whoami_by_password(stack, 'demo', 'mistaken')
    assert r.status_code == 403 and 'WWW-Authenticate' not in r.headers
    assert 'could not be authenticated' in r.text
    assert 'mistaken' not in r.text and 'demo' not in r.text
    j = whoami_by_password(stack, 'nobody-here', 'wrong',
                           Accept='application/json').json()
    assert set(j) == {'error', 'request'} and len(j['request']) == 32
    s = client.Client(stack.env)
    url = stack.env['CS_HOME_URL'] + 'whoami'
    assert 'account' not in s.http.get(url).text
    assert s.http.post(url, data=b'user=demo').status_code == 415


# Another CA by an explicit rule -------------------------------------------------

@pytest.fixture
def trusted(stack, maker, policy_file):
    """Publishes a trusted-ca section and has nginx trust the CA too."""
    cert, key = maker.authority('Partner CA')
    bundle = stack.dir / 'tls/client-cas.pem'
    before = bundle.read_bytes()
    base = published(stack)

    def publish(section):
        pem = cert.public_bytes(serialization.Encoding.PEM).decode().split()
        lines = ', '.join('"%s"' % w for w in pem if len(w) > 20)
        policy_file.write_text(base + '\ntrusted-ca "Partner" {\n'
                               '\tcertificate = {%s}\n\t%s\n}\n' % (
                                   lines, section))
        stack.ctl('policy', 'publish', str(policy_file))
    bundle.write_bytes(before + cert.public_bytes(serialization.Encoding.PEM))
    reload_nginx(stack)
    publish.make = lambda **kw: CertClient(stack.env, maker.forged(
        issuer=cert, issuer_key=key, **kw))
    yield publish
    bundle.write_bytes(before)
    reload_nginx(stack)


def upn(value):
    raw = value.encode()
    return x509.OtherName(x509.ObjectIdentifier('1.3.6.1.4.1.311.20.2.3'),
                          b'\x0c' + bytes([len(raw)]) + raw)


def test_trusted_ca(stack, trusted):
    no_rule = trusted.make(san=[upn('demo@demo.example')])
    assert 'client certificate' in no_rule.whoami().text
    assert no_rule.whoami().status_code == 403
    trusted('map = san-upn\n\tgroups = {"web-admins"}')
    c = trusted.make(san=[upn('Demo@demo.EXAMPLE')], cn='somebody')
    j = c.whoami(Accept='application/json').json()
    assert j['account'] == 'demo' and j['certificate'] == {'ca': 'Partner'}
    check_rstrc(c.enroll(csr(stack)))
    for san, words in (
            ([upn('nobody@demo.example')], 'no account has san-upn'),
            ([upn('demo@demo.example'), upn('x@demo.example')],
             'exactly one san-upn'), ([], 'exactly one san-upn'),
            ([x509.DNSName('demo.demo.example')], 'exactly one san-upn')):
        r = refused(trusted.make(san=san).enroll(csr(stack)), DENIED, words)
    name = 'out-%s@demo.example' % uuid.uuid4().hex[:8]
    fresh(stack, 'outside', groups=['users'], upn=name)
    refused(trusted.make(san=[upn(name)]).policies(),
            words='may not name account outside')
    refused(trusted.make(san=[upn('demo@demo.example')], is_ca=True)
            .policies(), words='ca certificate')
    assert trusted.make(san=[upn('demo@demo.example')],
                        eku=None).whoami().status_code == 403


def test_trusted_ca_by_dns_and_cn(stack, trusted):
    trusted('map = san-dns\n\tgroups = {"computers"}')
    c = trusted.make(san=[x509.DNSName('demo.demo.example')])
    assert 'account    demo' in c.whoami().text
    trusted('map = subject-cn\n\tgroups = {"computers"}')
    assert 'account    demo' in trusted.make(cn='DEMO').whoami().text
    assert trusted.make(cn='webserver').whoami().status_code == 403


# Renewal address ----------------------------------------------------------------

def test_anonymous_address_takes_no_new_request(stack, demo):
    url = stack.env['CS_CES_RENEWAL_URL']
    r = demo.post(url, client.envelope(client.RST, url, client.rst(
        csr(stack))))
    refused(r, words='only renews')
    r = demo.post(url, client.envelope(client.RST, url, client.rst(
        None, request_type=client.E + '/QueryTokenStatus',
        extra='<RequestID xmlns="%s">1</RequestID>' % client.E)))
    refused(r, words='only renews')


# The real cepces ------------------------------------------------------------------

@pytest.fixture
def cepces(stack, shared):
    pytest.importorskip('gssapi')

    def run(operation, arg=None, cert=None, key=None, **env):
        e = dict(os.environ, CACERT=stack.env['CS_ROOT_PEM'],
                 CERTFILE=cert or stack.env['CS_CERT'],
                 KEYFILE=key or stack.env['CS_KEY'], **env)
        args = [shared / 'clients/run-cepces', 'Certificate', operation,
                stack.env['CS_CEP_CERT_URL']]
        return subprocess.run(args + ([arg] if arg else []), env=e,
                              capture_output=True, text=True, timeout=300)
    return run


def test_cepces(stack, cepces, maker, tmp_path):
    r = cepces('GET-SUPPORTED-TEMPLATES')
    assert r.returncode == 0, r.stderr
    assert stack.env['CS_TEMPLATE'] in r.stdout.split()
    req = x509.load_der_x509_csr(csr(stack, dns=['cert.demo.example']))
    (tmp_path / 'csr.pem').write_bytes(
        req.public_bytes(serialization.Encoding.PEM))
    r = cepces('SUBMIT', str(tmp_path / 'csr.pem'))
    assert r.returncode == 0, r.stdout + r.stderr
    got = x509.load_pem_x509_certificate(r.stdout.encode())
    assert got.public_key() is not None
    row = stack.sql('SELECT account FROM countersign.certificate WHERE '
                    'serial = %s', got.serial_number.to_bytes(16, 'big'))
    assert row == [('demo',)]
    bad = maker.forged()
    assert cepces('GET-SUPPORTED-TEMPLATES', cert=bad[0],
                  key=bad[1]).returncode not in (0, 5)


def test_cepces_pending(stack, cepces, tmp_path):
    """Submitted, approved and picked up with the certificate alone."""
    path = tmp_path / 'csr.pem'
    path.write_bytes(x509.load_der_x509_csr(client.make_csr(
        client.ec_key(), 'poll.demo.example', [],
        stack.env['CS_TEMPLATE_APPROVAL'])).public_bytes(
            serialization.Encoding.PEM))
    r = cepces('SUBMIT', str(path))
    assert r.returncode == 5, r.stdout + r.stderr   # WAITMORE
    cookie = r.stdout.split('\n')[1]
    number, uri = cookie.split(',')
    assert uri == stack.env['CS_CES_CERT_URL']
    r = cepces('POLL', cookie)
    assert r.returncode == 5 and cookie in r.stdout, r.stdout + r.stderr
    stack.ctl('request', 'approve', number)
    r = cepces('POLL', cookie)
    assert r.returncode == 0, r.stdout + r.stderr
    got = x509.load_pem_x509_certificate(r.stdout.encode())
    row = stack.ctl_json('request', 'show', number)[0]
    assert (row['method'], row['account']) == ('certificate', 'demo')
    assert int(row['serial'], 16) == got.serial_number
