"""make test-ad: members of a domain of Active Directory, which Samba's
controller plays, enroll by Kerberos; as docs/operations.md sets it up."""
import os
import shutil
import subprocess

import pytest
import requests

import domain
from domain import DOMAIN, HOST, REALM, TOP, Client

import client
import tickets
from conftest import SHARED, running

TEMPLATES = '''
template "SmartcardLogon" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.1.91"
	version = "100.1"
	ca = {"Demo-CA"}
	type = user
	schema = 3
	validity = 1y
	renewal = 6w
	enroll = {"users"}
	names = account
	subject = {"common-name"}
	san = {"upn"}
	keys = {"rsa:2048"}
	providers = {"Microsoft Software Key Storage Provider"}
	hash = sha256
	key-usage = {"digital-signature", "key-encipherment"}
	eku = {"smart-card-logon", "client-authentication"}
	exportable = false
}
template "KerberosAuthentication" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.1.92"
	version = "100.1"
	ca = {"Demo-CA"}
	type = machine
	schema = 3
	validity = 1y
	renewal = 6w
	enroll = {"domain-controllers"}
	names = account
	subject = {"dns"}
	san = {"dns"}
	keys = {"rsa:2048"}
	providers = {"Microsoft Software Key Storage Provider"}
	hash = sha256
	key-usage = {"digital-signature", "key-encipherment"}
	eku = {"kdc-authentication", "server-authentication"}
	exportable = false
}
'''
GROUPS = ('--group', 'Domain Users=users', '--group',
          'Domain Computers=computers', '--group',
          'Domain Controllers=domain-controllers')


@pytest.fixture(scope='module')
def ad():
    if not domain.alone():
        pytest.skip('"make test-ad" has the namespaces for it')
    if not domain.PRESENT:
        pytest.skip('deploy/deps.sh ad installs what is missing')
    d = domain.Domain(TOP / 'var/ad')
    d.provision()
    d.start()
    d.user('alice')
    d.user('Bob', '--mail-address=bob@' + DOMAIN)
    d.computer('PC1')
    yield d
    d.stop()


@pytest.fixture(scope='module')
def stack(ad):
    """With the keytab of a service account; its CA and the root are RSA,
    since Samba's controller verifies no other signatures."""
    ad.user('svc-countersign')
    ad.tool('spn', 'add', 'HTTP/' + HOST, 'svc-countersign')
    weak = ad.keytab('HTTP/' + HOST, 'weak.keytab')
    ad.enctypes('set', 'svc-countersign', '24')
    ad.keytab('HTTP/' + HOST, 'http.keytab')
    state = TOP / 'var/ad-stack'
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                   env=dict(os.environ, STATE=str(state)))
    with running(state, HOST=HOST, KERBEROS_REALM=REALM, CA_KEY='rsa:2048',
                 KERBEROS_KEYTAB=str(ad.dir / 'http.keytab')) as s:
        s.weak = weak
        shutil.copy(s.env['CS_ROOT_PEM'], ad.dir / 'root.pem')
        shutil.copy(s.dir / 'ca/Demo-CA.pem', ad.dir / 'ca.pem')
        draft = s.dir / 'etc/policy-draft.conf'
        draft.write_text(draft.read_text() + TEMPLATES)
        s.ctl('policy', 'publish', str(draft))
        s.ctl('account', 'import', str(ad.export()), '--realm', REALM,
              *GROUPS)
        yield s


def whoami(stack, token):
    return requests.get(stack.env['CS_HOME_URL'] + 'whoami/kerberos',
                        verify=stack.env['CS_ROOT_PEM'], timeout=30, headers={
                            'Authorization': domain.realm.authorization(
                                token)})


def test_keytab(ad, stack):
    """Without enctypes Samba knows the service's RC4 key alone."""
    out = ad.run('klist', '-ke', ad.dir / 'http.keytab').stdout
    assert 'aes256' in out and 'arcfour' not in out
    out = ad.run('klist', '-ke', stack.weak).stdout
    assert 'arcfour' in out and 'aes' not in out
    r = stack.ctl('doctor', ok=None)
    assert 'has HTTP/%s' % HOST in r.stdout and r.returncode == 0, r.stdout


@pytest.mark.parametrize('typed, more, account', [
    ('alice', (), 'alice'), ('ALICE', (), 'alice'), ('Alice', ('-C',), 'alice'),
    ('bob', (), 'bob'), ('BOB', ('-C',), 'bob'),
    ('Alice@' + DOMAIN, ('-E', '-C'), 'alice'),
    ('PC1$', (), 'pc1$'), ('pc1$', (), 'pc1$'), ('PC1$', ('-C',), 'pc1$')])
def test_names(ad, stack, typed, more, account):
    r = Client(stack, ad, ad.log_on(typed, *more)).whoami()
    assert r.status_code == 200, r.text
    assert r.json()['account'] == '%s@%s' % (account, DOMAIN)


def test_enrollment(ad, stack):
    """The SID is the directory's."""
    c = Client(stack, ad, ad.log_on('PC1$'))
    r = c.enroll(client.make_csr(client.ec_key(), template='Computer'))
    assert r.leaf, r.text
    assert r.certificate.subject.rfc4514_string() == 'CN=pc1.' + DOMAIN
    assert ad.sid('PC1$').encode() in r.leaf


def test_as_windows_does(ad, stack):
    """Its mechanisms, in its order, and a token of the first one; NTLM where
    there is no ticket."""
    c = Client(stack, ad, ad.log_on('alice'), mech='krb5')
    mechs = [tickets.MS_KRB5, tickets.KRB5, tickets.NEGOEX, tickets.NTLM]
    r = whoami(stack, tickets.spnego(c.token()[1], mechs))
    assert r.status_code == 200, r.text
    assert r.headers['WWW-Authenticate'].startswith('Negotiate o')
    mechs = [tickets.NEGOEX, tickets.NTLM]
    for t in (tickets.NTLM_NEGOTIATE, tickets.spnego(
            tickets.NTLM_NEGOTIATE, mechs[1:])):
        r = whoami(stack, t)
        assert r.status_code == 401
        assert 'NTLM' in domain.line(stack, r.text)
    assert whoami(stack, tickets.spnego(b'NEGOEXTS' + bytes(
        88), mechs)).status_code == 401


# Who is somebody else --------------------------------------------------------

def test_not_whom_it_is_of(ad, stack):
    """Any user may make a computer; a userPrincipalName is what somebody
    wrote."""
    stack.ctl('account', 'add', 'evil@' + DOMAIN, '--no-password')
    ad.computer('EVIL')
    why = 'the ticket is of EVIL$'
    Client(stack, ad, ad.log_on('EVIL')).is_refused(why)
    ad.user('mallory')
    for name in 'evil', 'host/pc1.' + DOMAIN:
        ad.modify('mallory', userPrincipalName='%s@%s' % (name, REALM))
        r = Client(stack, ad, ad.log_on(name + '@' + REALM)).whoami()
        assert r.status_code == 403, r.text
        assert 'mallory' in r.text


@pytest.mark.parametrize('name', ['carol', 'PC2$'])
def test_made_anew(ad, stack, name):
    """Nor with a ticket that does not say so."""
    account = name.lower() + '@' + DOMAIN

    def make():
        ad.computer('PC2') if name == 'PC2$' else ad.user(name)
    make()
    stack.ctl('account', 'import', str(ad.export()), '--realm', REALM, *GROUPS)
    assert Client(stack, ad, ad.log_on(name)).whoami().json()[
        'account'] == account
    if name == 'PC2$':
        ad.tool('computer', 'delete', 'PC2')
    else:
        ad.tool('user', 'delete', name)
    make()
    Client(stack, ad, ad.log_on(name)).is_refused('its SID is')
    Client(stack, ad, ad.log_on(name, '--no-request-pac')).is_refused(
        'tells no SID')
    r = stack.ctl('account', 'import', str(ad.export()), '--realm', REALM,
                  *GROUPS, ok=1)
    assert 'conflict' in r.stdout
    stack.ctl('account', 'change', account, '--sid', ad.sid(name))
    assert Client(stack, ad, ad.log_on(name)).whoami().status_code == 200


def test_members_of_members(ad, stack):
    """Those whom the controller itself calls members."""
    for name, member in (('PKI Machines', 'Domain Computers'),
                         ('Staff', 'Bob'), ('Helpers', 'Staff')):
        ad.tool('group', 'add', name)
        ad.tool('group', 'addmembers', name, member)
    r = stack.ctl_json('account', 'import', str(ad.export()), '--realm',
                       REALM, '--dry-run', *GROUPS, '--group',
                       'PKI Machines=pki', '--group', 'Helpers=helpers')
    got = {(x['account'].split('@')[0], c) for x in r for c in x['changes']}
    assert ('bob', '+helpers') in got and ('pc1$', '+pki') in got
    assert ('alice', '+helpers') not in got and ('alice', '+pki') not in got
    # [MS-ADTS] 3.1.1.4.5.19
    said = ad.token_groups('Bob'), ad.token_groups('PC1$')
    assert ad.sid('Helpers') in said[0] and ad.sid('PKI Machines') in said[1]


# Size, keys ------------------------------------------------------------------

def test_many_groups(ad, stack):
    """1,015 are the most that Windows itself can do."""
    ad.run('ldbadd', '-H', ad.dir / 'dc/private/sam.ldb', input=''.join(
        'dn: CN=group%d,CN=Users,%s\nobjectClass: group\n'
        'sAMAccountName: group%d\ngroupType: %d\nmember: CN=Bob,CN=Users,%s\n'
        '\n' % (i, domain.BASE, i, -2147483646 if i % 2 else -2147483644,
                domain.BASE) for i in range(1015)))
    c = Client(stack, ad, ad.log_on('bob'))
    n = len(c.token()[1])
    print('a token with 1,015 groups: %d bytes' % n)
    assert n > 8000 and c.whoami().status_code == 200


def test_keys(ad, stack):
    """A ticket is good as long as its key is in the keytab, however old."""
    old = Client(stack, ad, ad.log_on('alice'))
    assert old.whoami().status_code == 200
    ad.tool('user', 'setpassword', 'svc-countersign', '--newpassword=another')
    new = Client(stack, ad, ad.log_on('alice'))
    assert old.whoami().status_code == 200
    r = new.whoami()
    assert r.status_code == 401
    assert 'out of date' in domain.line(stack, r.text)
    ad.keytab('HTTP/' + HOST, 'http.keytab')
    assert old.whoami().status_code == new.whoami().status_code == 200
    # Another name of the same account has the same key.
    ad.tool('spn', 'add', 'HTTP/pki', 'svc-countersign')
    r = Client(stack, ad, ad.log_on('alice'), service='HTTP@pki').whoami()
    assert r.status_code == 200


def test_weak_key(ad, stack):
    ad.enctypes('set', 'svc-countersign', '4')
    try:
        r = Client(stack, ad, ad.log_on('alice')).whoami()
    finally:
        ad.enctypes('set', 'svc-countersign', '24')
    assert r.status_code == 401
    assert 'not with enctype rc4-hmac' in domain.line(stack, r.text)


# Clients ---------------------------------------------------------------------

def test_cepces(ad, stack, tmp_path):
    script = SHARED / 'clients/run-cepces'
    if not script.exists():
        pytest.skip('no ../shared/clients: cepces is not here')
    ad.keytab('PC1$', 'pc1.keytab')
    (tmp_path / 'der').write_bytes(client.make_csr(
        client.rsa_key(), 'pc1', [], 'Computer'))
    subprocess.run(['openssl', 'req', '-inform', 'DER', '-in', 'der', '-out',
                    'csr'], check=True, cwd=tmp_path)
    with ad.here(KEYTAB=str(ad.dir / 'pc1.keytab'), PRINCIPAL='PC1$$',
                 CACERT=stack.env['CS_ROOT_PEM']):
        r = ad.run(script, 'Kerberos', 'SUBMIT',
                   stack.env['CS_CEP_KERBEROS_URL'], tmp_path / 'csr',
                   ok=None, cwd=tmp_path)
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'BEGIN CERTIFICATE' in r.stdout


def certificate(c, folder, name, template):
    """name.pem and name.key"""
    key, csr = (folder / (name + e) for e in ('.key', '.csr'))
    subprocess.run(['openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes',
                    '-keyout', key, '-subj', '/CN=x', '-outform', 'DER',
                    '-out', csr], check=True, capture_output=True)
    r = c.enroll(csr.read_bytes(), context=[('CertificateTemplate', template)])
    assert r.leaf, r.text
    (folder / (name + '.pem')).write_text(
        domain.realm.ssl.DER_cert_to_PEM_cert(r.leaf))


def test_smart_card(ad, stack):
    """Certificates from here for the controller and for a user, who logs on
    to the domain with his; and with that here again."""
    ad.keytab('DC1$', 'dc1.keytab')
    dc = ad.kinit('DC1$', ad.dir / 'dc1.keytab')
    certificate(Client(stack, ad, dc), ad.dir, 'dc1',
                'KerberosAuthentication')
    certificate(Client(stack, ad, ad.log_on('bob')), ad.dir, 'bob',
                'SmartcardLogon')
    ad.stop()
    ad.start()
    cc = ad.dir / 'cc-card'
    ad.run('kinit', '-c', cc, '-X', 'X509_user_identity=FILE:%s,%s' % (
        ad.dir / 'bob.pem', ad.dir / 'bob.key'), 'bob',
        stdin=subprocess.DEVNULL)
    got = Client(stack, ad, cc).whoami().json()
    assert got['account'] == 'bob@' + DOMAIN
