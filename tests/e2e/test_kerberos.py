"""Log-on by Kerberos: with a KDC of our own, as real clients do it."""
import concurrent.futures
import os
import re
import shutil
import socket
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import client
import realm
import tickets
from adfile import computer, entry
from earlier import as_if_it_came, key_of_ca, sign_before
from realm import authorization, self_signed, survives, whoami  # noqa: F401
from renewals import Held
from schema import check_policies, check_rstrc
from second_site import by_page


@pytest.fixture(scope='module')
def alice(krb):
    return krb.client('alice')


@pytest.fixture(scope='module')
def machine(krb):
    return krb.client('PC1$')


def row(krb, reply):
    r, = krb.stack.ctl_json('request', 'show', reply.request_id)
    return r


def user_csr():
    return client.make_csr(client.ec_key(), template='User')


# Each its own ---------------------------------------------------------------

@pytest.mark.parametrize('mutual', [True, False])
@pytest.mark.parametrize('mech', ['spnego', 'krb5'])
def test_enrollment(krb, mech, mutual):
    c = krb.client('alice', mech=mech, mutual=mutual)
    r = c.policies()
    check_policies(r)
    assert c.env['CS_CES_URL'] in [e.text for e in r.findall('.//p:uri')]
    assert 'User' in [e.text for e in r.findall('.//p:commonName')]
    r = c.enroll(user_csr())
    check_rstrc(r)
    assert r.certificate.subject.rfc4514_string() == 'CN=Alice'
    got = row(krb, r)
    assert got['account'] == 'alice@demo.example'
    assert got['method'] == 'kerberos'
    assert 'kerberos' in krb.line(got['id'])


def test_as_windows_offers(krb):
    """The first mechanism is Microsoft's number of Kerberos, NTLM the last;
    the client says that it knows of channel bindings."""
    t = krb.ticket().token(bindings=krb.bound, data=tickets.aware())
    both = [tickets.MS_KRB5, tickets.KRB5, tickets.NEGOEX, tickets.NTLM]
    for mechs in (both, both[1:], both[:2]):
        t = krb.ticket().token(bindings=krb.bound, data=tickets.aware())
        r = whoami(krb, authorization(tickets.spnego(t, mechs)))
        assert r.status_code == 200, r.text
        assert len(r.headers['WWW-Authenticate']) > len('Negotiate ') + 100


@pytest.mark.parametrize('scheme', ['Negotiate', 'negotiate', 'NEGOTIATE'])
def test_scheme(krb, scheme):
    """[RFC9110] 11.1: without regard to case."""
    header = authorization(krb.token()).replace('Negotiate', scheme)
    assert whoami(krb, header).status_code == 200


def test_delegation(krb):
    """cepces forwards a ticket that nobody wants: nothing is done with it."""
    check_rstrc(krb.client('alice', delegate=True).enroll(user_csr()))


def test_whoami(krb, alice):
    r = alice.send('GET', krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos',
                   headers={'Accept': 'application/json'})
    assert r.status_code == 200, r.text
    got = r.json()
    assert got['account'] == 'alice@demo.example'
    assert got['method'] == 'kerberos' and 'User' in [
        t['name'] for t in got['templates'] if t['enroll']]


@pytest.mark.parametrize('name', ['PC1$', 'host/pc1.demo.example'])
def test_a_machine(krb, name):
    """Both its names are one account: the certificate is the machine's."""
    c = krb.client(name, krb.kdc.dir / ('PC1$@' + realm.HOME))
    r = c.enroll(client.make_csr(client.ec_key(), template='Computer'))
    check_rstrc(r)
    assert row(krb, r)['account'] == 'pc1$@demo.example'
    assert r.certificate.subject.rfc4514_string() == 'CN=pc1.demo.example'


def test_members_of_a_domain(krb):
    """What "account import" makes of a directory is who has the tickets."""
    name = 'm' + os.urandom(4).hex()
    rid = int.from_bytes(os.urandom(3), 'big')
    text = entry(rid, name.capitalize(), ['users'], cn='Member') + \
        computer(rid + 1, name)
    text = re.sub('objectSid:.*\n', '', text)  # this KDC's tickets tell none
    krb.stack.ctl('account', 'import', '-', '--realm', realm.HOME, '--group',
                  'users', '--group', 'Domain Computers=computers',
                  input=text)

    def enroll(who, n, template):
        return krb.enroll(krb.token(ticket=dict(client=who, ad=dict(
            sid='S-1-5-21-1-2-3-%d' % n, sam=who))), template)
    for who, n, template, subject in (
            (name.capitalize(), rid, 'User', 'CN=Member'),
            (name.upper() + '$', rid + 1, 'Computer',
             'CN=%s.corp.test' % name)):
        r = enroll(who, n, template)
        check_rstrc(r)
        assert row(krb, r)['account'] == who.lower() + '@demo.example'
        assert r.certificate.subject.rfc4514_string() == subject
    krb.stack.ctl('account', 'import', '-', '--realm', realm.HOME, '--group',
                  'users', input=text.replace(
                      'userAccountControl: 512', 'userAccountControl: 514'))
    r = enroll(name.capitalize(), rid, 'User')
    assert r.fault is not None and 'disabled' in r.reason


def test_a_name_that_is_none_here(krb):
    """Whom the import calls by his SID logs on as he is called there."""
    rid = int.from_bytes(os.urandom(3), 'big')
    krb.stack.ctl('account', 'import', '-', '--realm', realm.HOME, '--group',
                  'users', input=entry(rid, 'Jörg M', ['users'], cn='Jörg'))
    for sam in 'Jörg M', 'JÖRG M':
        r = krb.enroll(krb.token(ticket=dict(client=sam, ad=dict(
            sid='S-1-5-21-1-2-3-%d' % rid, sam=sam))))
        check_rstrc(r)
        assert row(krb, r)['account'] == 's-1-5-21-1-2-3-%d@demo.example' % rid
        assert r.certificate.subject.rfc4514_string() == 'CN=Jörg'
    r = krb.enroll(krb.token(ticket=dict(client='Jörg N', ad=dict(
        sid='S-1-5-21-1-2-4-%d' % rid, sam='Jörg N'))))
    assert r.hresult == 0x80070005


def test_cmc(krb, alice):
    key = client.rsa_key()
    r = alice.enroll(client.make_cmc(key, client.make_csr(
        key, template='User')), pkcs10=False)
    check_rstrc(r)
    assert row(krb, r)['method'] == 'kerberos'


def test_poll(krb, alice, machine):
    csr = client.make_csr(client.ec_key(), 'krb.demo.example',
                          template=krb.stack.env['CS_TEMPLATE_APPROVAL'])
    r = alice.enroll(csr)
    assert r.fault is None and r.leaf is None
    number = r.request_id
    assert alice.query(number).leaf is None
    assert machine.query(number).hresult == 0x80094004   # not its own
    krb.stack.ctl('request', 'approve', number)
    check_rstrc(alice.query(number))


@pytest.mark.parametrize('form', ['cmc', 'cms'])
def test_renewal(krb, alice, machine, form):
    held = Held(alice, 'User')
    r = held.renew(form)
    assert row(krb, r)['method'] == 'kerberos'
    # Nor does a ticket of somebody else's renew it.
    r = held.renew(form, c=machine)
    assert r.fault is not None and r.hresult


@pytest.mark.parametrize('form', ['cmc', 'cms'])
def test_renewal_of_before_the_ca_came(krb, machine, form):
    """As autoenrollment does when AD CS has moved here with its key."""
    held = Held.__new__(Held)
    held.c, held.name, held.kw = machine, 'Computer', {}
    held.key, held.der = sign_before(
        *key_of_ca(krb.stack.dir / 'ca/Demo-CA'), client.template_v2(
            '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.1.2',
            99, 1), cn='pc1.demo.example')
    with as_if_it_came(krb.stack, 'Demo-CA'):
        r = held.renew(form, key=client.ec_key())
        other = held.renew(form, c=krb.client('alice'))
    got = row(krb, r)
    assert (got['account'], got['method'], got['renews']) == (
        'pc1$@demo.example', 'kerberos', None)
    assert r.certificate.subject.rfc4514_string() == 'CN=pc1.demo.example'
    # The account counts, and the other's may not ask for this.
    assert 'is in none of the groups' in other.reason


def test_two_ways_are_one_account(krb):
    """Enrolled by password, renewed by Kerberos."""
    name = 'both@demo.example'
    krb.account(name, cn='Both', groups=['users'])
    krb.kdc.principal('both')
    held = Held(client.Client(krb.stack.env, name, 'correct horse'), 'User')
    r = held.renew(c=krb.client('both'))
    assert row(krb, r)['account'] == name


# Other programs -------------------------------------------------------------

def run_as(krb, principal, *args, **env):
    """A program that has a ticket."""
    cache = krb.client(principal).cache
    e = dict(os.environ, **krb.kdc.env, **env)
    e['KRB5CCNAME'] = 'FILE:%s' % cache
    return subprocess.run([str(a) for a in args], env=e, text=True,
                          capture_output=True, timeout=300)


def curl(krb, *more):
    return run_as(krb, 'alice', 'curl', '-s', '-S', '--noproxy', '*',
                  '--cacert', krb.stack.env['CS_ROOT_PEM'], '--negotiate',
                  '-u', ':', '-D', '-', *more,
                  krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos')


def test_curl(krb):
    """That of Debian 12 sends no bindings."""
    r = curl(krb)
    assert re.search('(?m)^HTTP/[0-9.]+ 401', r.stdout), r
    assert 'channel binding' in krb.line(r.stdout)
    krb.set(channel_binding='"when-offered"')
    try:
        r = curl(krb)
        assert 'account    alice@demo.example' in r.stdout, r
        assert 'proven by  kerberos' in r.stdout
        assert not re.search('(?i)^(set-cookie|.*basic)', r.stdout, re.M)
        r = curl(krb, '--http2')
        assert 'HTTP/2 200' in r.stdout and 'alice@' in r.stdout, r
        # Who offers some must offer the right ones.
        for bound, status in ((krb.bound, 200), (bytes(16), 200),
                              (tickets.bindings(b'x'), 401)):
            r = whoami(krb, authorization(krb.token(bindings=bound)))
            assert r.status_code == status, r.text
        t = krb.token(bindings=bytes(16), data=tickets.aware())
        assert whoami(krb, authorization(t)).status_code == 401
    finally:
        krb.set()


def test_bindings_switched_off(krb):
    """A balancer in front ends TLS."""
    krb.set(channel_binding='"off"', certificate=False)
    try:
        for bound in bytes(16), tickets.bindings(b'x'):
            r = whoami(krb, authorization(krb.token(bindings=bound)))
            assert r.status_code == 200, r.text
        assert 'channel-binding is off: a log-on can be relayed' in \
            krb.stack.log('worker')
    finally:
        krb.set()


@pytest.fixture(scope='module')
def cepces(krb, shared):
    script = shared / 'clients/run-cepces'
    if not script.exists():
        pytest.skip('no ../shared/clients: cepces is not here')

    def run(operation, arg=None, principal='PC1$', **env):
        # It takes a dollar for something else.
        file = krb.kdc.dir / 'cepces.keytab'
        shutil.copy(krb.kdc.dir / (principal + '@' + realm.HOME), file)
        url = krb.stack.env['CS_CEP_URL'].replace(
            'UsernamePassword', 'Kerberos')
        return subprocess.run(
            [script, 'Kerberos', operation, url] + ([arg] if arg else []),
            env=dict(os.environ, **krb.kdc.env, KEYTAB=str(file),
                     PRINCIPAL=principal.replace('$', '$$'),
                     CACERT=krb.stack.env['CS_ROOT_PEM'], **env),
            capture_output=True, text=True, timeout=300)
    return run


def submit(krb, cepces, tmp_path, template, **kw):
    csr = client.make_csr(client.rsa_key(), 'krb.demo.example',
                          template=template)
    (tmp_path / 'csr.pem').write_bytes(x509.load_der_x509_csr(
        csr).public_bytes(serialization.Encoding.PEM))
    return cepces('SUBMIT', str(tmp_path / 'csr.pem'), **kw)


def test_cepces(krb, cepces, tmp_path):
    """As on a Linux machine in a domain: NAME$ from the host's keytab."""
    r = cepces('GET-SUPPORTED-TEMPLATES')
    assert r.returncode == 0 and 'Computer' in r.stdout.split(), r
    r = cepces('FETCH-ROOTS')
    assert r.returncode == 0 and 'BEGIN CERTIFICATE' in r.stdout, r
    r = submit(krb, cepces, tmp_path, 'Computer')
    assert r.returncode == 0, r
    cert = x509.load_pem_x509_certificate(r.stdout.encode())
    assert cert.subject.rfc4514_string() == 'CN=pc1.demo.example'


def test_cepces_polls(krb, cepces, tmp_path):
    r = submit(krb, cepces, tmp_path,
               krb.stack.env['CS_TEMPLATE_APPROVAL'], principal='alice')
    assert r.returncode == 5, r
    cookie = r.stdout.split('\n')[1]
    r = cepces('POLL', cookie, principal='alice')
    assert r.returncode == 5 and cookie in r.stdout, r
    krb.stack.ctl('request', 'approve', cookie.split(',')[0])
    r = cepces('POLL', cookie, principal='alice')
    assert r.returncode == 0 and 'BEGIN CERTIFICATE' in r.stdout, r


# Changes while all runs -----------------------------------------------------


@pytest.mark.parametrize('hash_', [hashes.SHA256(), hashes.SHA384(),
                                   hashes.SHA512()])
def test_a_new_certificate(krb, hash_):
    """Good as soon as it is in the file; the one before stays good, since
    nginx may serve it yet; another never is.  [RFC5929] 4.1: the hash is
    that of its signature."""
    pem = self_signed(hash_)
    der = x509.load_pem_x509_certificate(pem).public_bytes(
        serialization.Encoding.DER)
    new = tickets.bindings(der, hash_name=hash_.name)
    third = tickets.bindings(der + b'x', hash_name=hash_.name)

    def statuses():
        return [whoami(krb, authorization(krb.token(bindings=b))
                       ).status_code for b in (krb.bound, new, third)]
    old = krb.certificate.read_bytes()
    # Both processes have used the one before.
    for _ in range(8):
        assert statuses() == [200, 401, 401]
    krb.put(krb.certificate.name, pem)
    for _ in range(8):
        assert statuses() == [200, 200, 401]
    krb.put(krb.certificate.name, old)
    assert statuses()[0] == 200


def test_a_new_key(krb, alice):
    """ktadd makes the next version; what is out there stays good until the
    old one is taken away."""
    kdc, old = krb.kdc, krb.keytab.read_bytes()
    both = kdc.dir / 'both.keytab'
    both.write_bytes(old)
    ahead = krb.client('alice')
    kept, _ = ahead.token()             # its ticket is by the old key
    kdc.extract(both, 'HTTP/localhost', fresh=True)
    assert kdc.key(both)[1] == krb.kvno + 1
    # The KDC is ahead of the keytab.
    later = krb.client('alice')
    url = krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos'
    assert later.send('GET', url).status_code == 401
    krb.put(krb.keytab.name, both.read_bytes())
    for c in later, ahead:
        assert c.send('GET', url).status_code == 200
    new = kdc.dir / 'new.keytab'
    krb.put(krb.keytab.name, kdc.extract(
        new, 'HTTP/localhost').read_bytes())
    assert later.send('GET', url).status_code == 200
    assert ahead.send('GET', url).status_code == 401
    # As after a mistake: the reason is in the log, all is well afterwards.
    for broken in b'', b'\5\2', b'no keytab':
        krb.put(krb.keytab.name, broken)
        r = whoami(krb, authorization(krb.token()))
        krb.put(krb.keytab.name, both.read_bytes())
        assert r.status_code == 503, r.text
        assert 'key' in krb.line(r.text).lower()
    krb.put(krb.keytab.name, both.read_bytes())
    assert later.send('GET', url).status_code == 200


@pytest.mark.parametrize('key', ['rc4-hmac HTTP/localhost',
                                 'aes256-cts cifs/localhost'])
def test_a_new_key_that_may_not_be(krb, key):
    """What no worker starts with, none goes on with."""
    kdc, old = krb.kdc, krb.keytab.read_bytes()
    kind, name = key.split()
    if name != 'HTTP/localhost':
        kdc.principal(name)
    bad = kdc.extract(kdc.dir / 'bad.keytab', 'HTTP/localhost')
    kdc.admin('ktadd -k %s -e %s:normal %s' % (bad, kind, name))
    token = krb.client('alice').token()[1]
    try:
        krb.put(krb.keytab.name, bad.read_bytes())
        r = whoami(krb, authorization(token))
        assert r.status_code == 503 and 'AES' not in r.text
        assert name in krb.line(r.text)
    finally:    # the KDC has made others
        both = kdc.dir / 'after.keytab'
        both.write_bytes(old)
        krb.put(krb.keytab.name, kdc.extract(
            both, 'HTTP/localhost', fresh=True).read_bytes())
        both.unlink(), bad.unlink()
    assert krb.client('alice').send('GET', krb.stack.env['CS_HOME_URL'] +
                                    'whoami/kerberos').status_code == 200


def test_our_own_trouble(krb):
    """What no ticket can mend is no 401: clients would ask for a password."""
    cache, = (krb.stack.dir / 'run').glob('kerberos-0.replay')
    for path in krb.keytab, cache:
        away = path.with_name('away')
        path.rename(away)
        if path == cache:
            path.mkdir()
        try:
            r = whoami(krb, authorization(krb.token()))
        finally:
            if path == cache:
                path.rmdir()
            away.rename(path)
        assert r.status_code == 503 and 'WWW-Authenticate' not in r.headers
        assert 'kind=unavailable' in krb.line(r.text)
        assert whoami(krb, authorization(krb.token())).status_code == 200


def test_many_at_once(krb):
    """Good and bad ones in all threads of both processes."""
    def ask(n):
        good = n % 3 != 0
        bound = krb.bound if good else bytes(16)
        r = whoami(krb, authorization(krb.token(bindings=bound)))
        return r.status_code == (200 if good else 401)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(160)))


def test_the_page_sets_cepces_up(krb, shared, tmp_path):
    """As this machine's own account, from its keytab."""
    name = socket.gethostname().split('.')[0].upper() + '$'
    keytab = tmp_path / 'krb5.keytab'
    shutil.copy(krb.kdc.principal(name), keytab)
    krb.account(name.lower() + '@demo.example', machine=True, cn='this',
                dns='this.demo.example', groups=['computers'])
    r = by_page(krb.stack, shared, tmp_path, 'Kerberos',
                {'/etc/krb5.keytab': keytab}, **krb.kdc.env)
    assert r.returncode == 0 and 'Computer' in r.stdout.split(), r
