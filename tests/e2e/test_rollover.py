"""A second CA beside the first, and the next certificate and the next key of a
CA while clients go on enrolling.  In a deployment of its own: what is done here
cannot be undone."""
import base64
import os
import pathlib
import re
import subprocess
import threading

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

import client
from cakeys import give_key, http_url, put, sign
from conftest import TOP, own_stack
from hierarchy import Offline, ca_dir, openssl
from policies import USER_OF_CA, publish, published
from renewals import REVOKED, Held, refused
from revocation import http
from schema import check_policies, check_rstrc
from second_site import reload_nginx
from waits import wait_for
from workers import patient

DENIED = 0x80094011
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


@pytest.fixture(scope='module')
def own():
    """Its own state; kept when CS_OWN names one (quicker for writing)."""
    if 'CS_OWN' in os.environ:
        from conftest import Stack
        yield Stack(os.environ['CS_OWN'])
        return
    with own_stack('rollover') as s, patient(s):
        yield s


def fetch(url):
    r = http.get(url, timeout=300)
    assert r.status_code == 200, (url, r.status_code)
    return r.content


def access(cert, method):
    v = cert.extensions.get_extension_for_oid(
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    return [d.access_location.value for d in v if d.access_method == method]


def cdp(cert):
    return [n.value for p in cert.extensions.get_extension_for_class(
        x509.CRLDistributionPoints).value for n in p.full_name]


class Relying:
    """What relying parties do with openssl alone, in a folder."""

    def __init__(self, tmp, root):
        self.tmp, self.root = tmp, root

    def file(self, name, data):
        p = self.tmp / name
        p.write_bytes(data)
        return p

    def check(self, cert, n=''):
        """Fetch what the certificate points to; verify chain, lists, OCSP.
        Returns the issuing certificate."""
        leaf = self.file('leaf%s.pem' % n, cert.public_bytes(PEM))
        ca = x509.load_der_x509_certificate(fetch(access(
            cert, AuthorityInformationAccessOID.CA_ISSUERS)[0]))
        issuer = self.file('issuer%s.pem' % n, ca.public_bytes(PEM))
        lists = b''
        for url in cdp(cert) + cdp(ca):
            lists += x509.load_der_x509_crl(fetch(url)).public_bytes(PEM)
        crl = self.file('lists%s.pem' % n, lists)
        openssl('verify', '-x509_strict', '-crl_check_all', '-CRLfile', crl,
                '-CAfile', self.root, '-untrusted', issuer, leaf)
        url = access(cert, AuthorityInformationAccessOID.OCSP)[0]
        r = subprocess.run(
            ['openssl', 'ocsp', '-issuer', issuer, '-cert', leaf, '-url', url,
             '-CAfile', self.root, '-verify_other', issuer, '-no_nonce'],
            capture_output=True, text=True, timeout=300,
            env=dict(os.environ, no_proxy='*'))
        assert 'Response verify OK' in r.stderr, (r.stdout, r.stderr)
        assert ': good' in r.stdout, r.stdout
        return ca


def chain_verifies(reply, root, tmp, n=''):
    """With nothing but the answer's own certificates and the root."""
    bag = tmp / ('bag%s.p7b' % n)
    bag.write_bytes(reply.cmc)
    pem = openssl('pkcs7', '-inform', 'DER', '-in', bag, '-print_certs').stdout
    (tmp / ('bag%s.pem' % n)).write_text(pem)
    (tmp / ('c%s.pem' % n)).write_bytes(reply.certificate.public_bytes(PEM))
    openssl('verify', '-x509_strict', '-CAfile', root, '-untrusted',
            tmp / ('bag%s.pem' % n), tmp / ('c%s.pem' % n))
    return pem


def web_knows_cas(own):
    """nginx's map of CAs, and those whose certificates log on: the file of
    the demo, with its words as they are, but by the policy as it is now."""
    site, cas = own.dir / 'etc/site.conf', own.dir / 'tls/client-cas.pem'
    text = own.ctl('ca', 'site', '--client-cas', str(cas)).stdout
    lines, = re.findall(r'(?s)map \$cs_name .*?\n\}', text)
    put(own, site, re.sub(r'(?s)map \$cs_name .*?\n\}', lambda _: lines,
                          site.read_text()))
    reload_nginx(own)


# A second CA ---------------------------------------------------------------

@pytest.fixture(scope='module')
def second(own):
    """Another hierarchy, its key on signer 1 alone, with an address."""
    off = Offline(own, 'second-root')
    off.root('Second-Root', 'CN=Second Root', '--years', '15')
    base = http_url(own)
    own.ctl('ca', 'request', 'Second-CA', '--key', 'rsa:3072', '--subject',
            'CN=Second CA,O=Another')
    off.sign(ca_dir(own) / 'Second-CA.csr', 'CN=Second CA,O=Another',
             'second.pem', '--cdp', base + '/ca/Second-Root.crl', '--permit',
             'dns:demo.example', '--permit', 'email:demo.example', '--eku',
             'client-authentication', root='Second-Root')
    own.ctl('ca', 'install', 'Second-CA', off.path('second.pem'))
    own.ctl('ca', 'root-crl', off.path('Second-Root'), '-o',
            off.path('list.crl'))
    own.ctl('crl', 'install', 'Second-Root', off.path('list.crl'))
    policy = (own.dir / 'etc/policy.conf').read_text()
    section = re.search(r'(?ms)^ca "Demo-CA" \{.*?^\}\n', policy).group(0)
    publish(own, policy + section.replace('Demo-CA', 'Second-CA') +
            USER_OF_CA % ('SecondUser', 'Second-CA'))
    give_key(own, 'Second-CA', [1])
    web_knows_cas(own)
    off.url = own.env['CS_CES_URL'].replace('Demo-CA', 'Second-CA')
    wait_for(lambda: client.Client(own.env).enroll(
        client.make_csr(client.ec_key(), template='SecondUser'),
        url=off.url).leaf)
    return off


def second_csr():
    return client.make_csr(client.ec_key(), template='SecondUser')


def test_cep_shows_both(own, second):
    r = client.Client(own.env).policies()
    check_policies(r)
    cas = {}
    for ca in r.findall('.//p:cA'):
        uris = [u.text for u in ca.findall('.//p:uri', client.NS)]
        cert = x509.load_der_x509_certificate(base64.b64decode(
            ca.findtext('p:certificate', None, client.NS)))
        ref = ca.findtext('p:cAReferenceID', None, client.NS)
        cas[ref] = cert.subject.rfc4514_string()
        assert all(('Second-CA' if 'Second' in cas[ref] else 'Demo-CA') in u
                   for u in uris) and uris
    assert sorted(cas.values()) == ['CN=Demo-CA', 'CN=Second CA,O=Another']
    for p in r.findall('.//p:policy'):
        name = p.findtext('.//p:commonName', None, client.NS)
        refs = [x.text for x in p.findall('.//p:cAReference', client.NS)]
        assert [cas[x] for x in refs] == [
            'CN=Second CA,O=Another' if name == 'SecondUser' else
            'CN=Demo-CA'], name


def test_page_of_the_second(own, second):
    page = own.ctl('ca', 'page', '--ca', 'Second-CA', '--set',
                   'HTTP_URL=http://a.demo.example').stdout
    head = page.split('-->')[0]
    assert '\nca Second-CA\n' in head and \
        '\nhttp http://a.demo.example\n' in head
    ca, root = re.findall('(?s)-----BEGIN.*?END CERTIFICATE-----\n', head)
    assert root == pathlib.Path(second.path('Second-Root.pem')).read_text()
    assert ca == own.ctl('ca', 'export', 'Second-CA').stdout
    r = own.ctl('ca', 'page', '--ca', 'Third-CA', ok=None)
    assert r.returncode != 0 and r.stdout == '' and \
        'the policy has no ca Third-CA' in r.stderr


def test_a_template_moves(own, second, tmp_path):
    """Windows signs for the next certificate with the one of the first CA,
    and does so for ever if that is refused."""
    text = published(own)
    here = USER_OF_CA.replace('.1.77"', '.1.78"') + '\trenewal-anonymous = true'
    here = here.replace('}\n\trenewal-anonymous = true',
                        '\trenewal-anonymous = true\n}\n')
    publish(own, text + here % ('Moving', 'Demo-CA'))
    try:
        c, other = client.Client(own.env), own.account(
            'mover', groups=['users'], cn='Mover')
        one, two = Held(c, 'Moving'), Held(c, 'Moving')
        publish(own, text + here % ('Moving', 'Second-CA'))
        own.ctl('cert', 'revoke', two.serial, '--reason', 'superseded')
        for form in ('cmc', 'cms'):
            r = one.renew(form, url=second.url)
            assert r.fault is None, r.reason
            assert r.certificate.issuer.rfc4514_string() == \
                'CN=Second CA,O=Another'
            new = own.ctl_json('request', 'show',
                               r.findtext('.//e:RequestID'))[0]
            assert not new.get('renews'), new
        refused(two.renew(url=second.url), REVOKED, 'is revoked')
        refused(one.renew(c=other, url=second.url), DENIED,
                'is not of account')
        refused(one.renew(url=second.url.replace('UsernamePassword',
                                                 'Anonymous')), DENIED,
                'was issued elsewhere: log on')
        (tmp_path / 'r').write_bytes(one.message())
        assert 'Moving' in own.ctl(
            'explain', '--account', own.env['CS_USER'], '--ca', 'Second-CA',
            '--csr', str(tmp_path / 'r')).stdout
    finally:
        publish(own, text)


def test_a_ca_that_is_closed(own, second):
    """Without its section its list is made no more, and a revocation is told
    to nobody: doctor says so as long as a certificate lasts."""
    text = published(own)
    alone = re.sub(r'(?ms)^ca "Second-CA" \{.*?^\}\n', '', text)

    def found():
        return [r for r in own.ctl_json('doctor', ok=None)
                if (r['check'], r['object']) == ('ca', 'Second-CA')]
    assert not found()
    moved = '{"Second-CA"}', '{"Demo-CA"}'
    publish(own, text.replace(*moved))
    try:
        row, = found()
        assert row['result'] == 'ok' and re.match(
            'issues nothing; certificates of it last until 20', row['text'])
        publish(own, alone.replace(*moved))
        row, = found()
        assert row['result'] == 'fail' and re.search(
            r'the policy lacks it.* last until 20\d\d-', row['text'])
    finally:
        publish(own, text)
    assert not found()


def test_either_signer_is_asked_first(own, second, tmp_path):
    """Signer 2 has not the key and says so; no client sees it.  Whom a
    worker asks first goes by the request's key, which is a new one."""
    c = client.Client(own.env)
    for i in range(60):
        if i >= 8 and 'outcome=elsewhere' in own.log('signer-2'):
            break
        r = c.enroll(second_csr(), url=second.url)
        check_rstrc(r)
        assert r.certificate.issuer.rfc4514_string() == \
            'CN=Second CA,O=Another'
        chain_verifies(r, second.path('Second-Root.pem'), tmp_path)
    assert 'outcome=elsewhere' in own.log('signer-2')
    assert 'outcome=elsewhere' not in own.log('signer-1')


def test_what_certificates_of_both_point_to(own, second, tmp_path):
    c = client.Client(own.env)
    one = c.enroll(client.make_csr(client.ec_key(), 'both.demo.example', [],
                                   own.env['CS_TEMPLATE'])).certificate
    two = c.enroll(second_csr(), url=second.url).certificate
    assert [pathlib.Path(u).name for u in cdp(one) + cdp(two)] == [
        'Demo-CA.crl', 'Second-CA.crl']
    Relying(tmp_path, own.env['CS_ROOT_PEM']).check(one, 1)
    ca = Relying(tmp_path, second.path('Second-Root.pem')).check(two, 2)
    assert ca.extensions.get_extension_for_class(x509.NameConstraints).critical
    # each list knows its own alone
    serial = '%032X' % two.serial_number
    own.ctl('cert', 'revoke', serial, '--reason', 'superseded')

    def listed(name):
        crl = x509.load_der_x509_crl(fetch('%s/ca/%s.crl' % (
            http_url(own), name)))
        return crl.get_revoked_certificate_by_serial_number(
            two.serial_number) is not None
    wait_for(lambda: listed('Second-CA'))
    assert not listed('Demo-CA')


def test_cas_do_not_mix(own, second):
    c = client.Client(own.env)
    r = c.enroll(second_csr())
    assert r.leaf is None and 'SecondUser' in r.reason
    r = c.enroll(client.make_csr(client.ec_key(), 'mix.demo.example', [],
                                 own.env['CS_TEMPLATE']), url=second.url)
    assert r.leaf is None and own.env['CS_TEMPLATE'] in r.reason


def test_what_its_certificate_does_not_permit(own, second, tmp_path):
    """Names: not offered, and refused in the words of explain.  Purposes:
    not published."""
    c = own.account('outside', groups=['users'], cn='Outside',
                    email='outside@other.example')
    offered = [e.text for e in c.policies().findall(
        './/p:attributes/p:commonName')]
    assert 'User' in offered and 'SecondUser' not in offered
    csr = tmp_path / 'r.der'
    csr.write_bytes(second_csr())
    row, = own.ctl_json('explain', '--user', 'outside', '--csr', str(csr),
                        '--method', 'password', ok=1)
    assert row['text'] == 'e-mail address outside@other.example: outside ' \
        'the name constraints in the certificate of ca Second-CA'
    r = c.enroll(csr.read_bytes(), url=second.url)
    assert r.reason.startswith(row['text'] + ' (request')
    assert r.hresult == int(row['hresult'], 16) == 0x80094001
    policy = own.ctl('policy', 'show').stdout
    at = policy.index('template "SecondUser"')
    draft = tmp_path / 'p.conf'
    draft.write_text(policy[:at] + policy[at:].replace(
        'client-authentication', 'email-protection', 1))
    assert 'is none of the purposes in the certificate of ca Second-CA' in \
        own.ctl('policy', 'publish', str(draft), ok=1).stderr


def test_addresses_of_cas(own, second):
    """In any case, as with IIS; a name that is none is no address."""
    url = second.url
    other = url.replace('Second-CA', 'sECOND-ca').replace('_CES_', '_ces_')
    body = client.envelope(client.RST, url, client.rst(second_csr()),
                           client.Client(own.env).header())
    r = client.Client(own.env).post(other, body)
    assert r.leaf is not None, r.reason
    for name in 'Third-CA', '..', '%22', 'Demo-CA%00':
        r = client.Client(own.env).http.post(
            url.replace('Second-CA', name), data=body, timeout=300)
        assert r.status_code in (400, 404), (name, r.status_code)


def test_operator_at_the_second(own, second, tmp_path):
    csr = tmp_path / 'o.csr'
    csr.write_bytes(second_csr())
    for i in range(3):
        own.ctl('request', 'submit', '--account', 'demo', '--template',
                'SecondUser', '--csr', '-', '-o', '-',
                input=openssl('req', '-inform', 'DER', '-in', csr).stdout)
    shown = {r['name']: r for r in own.ctl_json('ca', 'show')}
    assert shown['Second-CA']['key'] == 'RSA 3072'


def test_cepces_at_the_second(own, second, tmp_path):
    """By its CES address: of a policy's CAs cepces 0.3.17 asks the one whose
    address comes first, whatever a template's cAReferences say."""
    pytest.importorskip('gssapi')
    script = TOP.parent / 'shared/clients/run-cepces'
    if not script.exists():
        pytest.skip('no ../shared/clients: cepces is not here')
    csr = tmp_path / 'c.csr'
    csr.write_bytes(client.make_csr(client.rsa_key(), 'demo', [],
                                    'SecondUser'))
    (tmp_path / 'c.pem').write_text(
        openssl('req', '-inform', 'DER', '-in', csr).stdout)
    r = subprocess.run(
        [script, 'UsernamePassword', 'SUBMIT', second.url,
         tmp_path / 'c.pem'], capture_output=True, text=True, timeout=300,
        env=dict(os.environ, CEP_USER=own.env['CS_USER'],
                 CEP_PASS=own.env['CS_PASSWORD'],
                 CACERT=own.env['CS_ROOT_PEM'], TYPE='Enrollment'))
    assert r.returncode == 0, r.stdout + r.stderr
    cert = x509.load_pem_x509_certificate(r.stdout.encode())
    assert cert.issuer.rfc4514_string() == 'CN=Second CA,O=Another'


# Roll-over ------------------------------------------------------------------

class Load:
    """Clients that enroll and renew without a pause; every refusal counts."""

    def __init__(self, stack, threads=3):
        self.stack, self.stop = stack, threading.Event()
        self.replies, self.errors = [], []
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(threads)]

    def run(self, nth):
        c, key, old = client.Client(self.stack.env), None, None
        n = 0
        while not self.stop.is_set():
            n += 1
            new = client.ec_key()
            csr = client.make_csr(new, 'l%d.demo.example' % nth, [],
                                  self.stack.env['CS_TEMPLATE'])
            try:
                if n % 3 == 0:
                    r = c.enroll(client.renewal_cmc(csr, new, key, old.leaf),
                                 False)
                else:
                    r = c.enroll(csr)
            except Exception as e:          # a lost connection counts, too
                self.errors.append(repr(e))
                continue
            if r.leaf is None:
                self.errors.append(r.reason or r.text)
                continue
            key, old = new, r
            self.replies.append(r)

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.wait(5)
        return self

    def wait(self, more):
        """So many more certificates."""
        want = len(self.replies) + more
        wait_for(lambda: len(self.replies) >= want or self.errors)

    def __exit__(self, *exc):
        if exc[0] is None:
            self.wait(10)
        self.stop.set()
        for t in self.threads:
            t.join(300)
        assert not self.errors, self.errors[:3]


def ca_cert(own, name):
    return x509.load_pem_x509_certificate(
        own.ctl('ca', 'export', name).stdout.encode())


def verify_all(load, own, tmp_path):
    """Every certificate, with what came with it, against the same root."""
    issuers = {}
    for i, r in enumerate(load.replies):
        name = r.certificate.issuer.rfc4514_string()
        issuers.setdefault(name, []).append(r)
    for name, replies in issuers.items():
        # as one file of each kind: openssl is asked once
        for i, r in enumerate(replies[:4] + replies[-4:]):
            chain_verifies(r, own.env['CS_ROOT_PEM'], tmp_path, i)
        bag = chain_verifies(replies[-1], own.env['CS_ROOT_PEM'], tmp_path)
        (tmp_path / 'chain.pem').write_text(bag)
        leaves = []
        for i, r in enumerate(replies):
            leaves.append(tmp_path / ('all%d.pem' % i))
            leaves[-1].write_bytes(r.certificate.public_bytes(PEM))
        openssl('verify', '-x509_strict', '-CAfile', own.env['CS_ROOT_PEM'],
                '-untrusted', tmp_path / 'chain.pem', *leaves)
    return issuers


def test_next_certificate_of_the_same_key(own, tmp_path):
    before = ca_cert(own, 'Demo-CA')
    with Load(own) as load:
        own.ctl('ca', 'rollover', 'Demo-CA', '--same-key')
        path = sign(own, 'Demo-CA', 'CN=Demo-CA', 'same.pem')
        load.wait(5)
        own.ctl('ca', 'install', 'Demo-CA', str(path), '--replace')
        load.wait(30)
    after = ca_cert(own, 'Demo-CA')
    assert after.serial_number != before.serial_number
    assert after.public_key().public_numbers() == \
        before.public_key().public_numbers()
    assert list(verify_all(load, own, tmp_path)) == ['CN=Demo-CA']
    # old and new certificate both travel
    bag = chain_verifies(load.replies[-1], own.env['CS_ROOT_PEM'], tmp_path)
    for c in before, after:
        assert c.public_bytes(PEM).decode().strip() in bag
    ca = wait_for(lambda: x509.load_der_x509_certificate(fetch(
        http_url(own) + '/ca/Demo-CA.cer')) == after)
    Relying(tmp_path, own.env['CS_ROOT_PEM']).check(
        load.replies[-1].certificate)
    # What was issued before does not begin before the CA.
    own.ctl('cert', 'check', '--all')
    r = own.ctl('ca', 'install', 'Demo-CA', str(path), '--replace', ok=None)
    assert r.returncode == 1 and 'has already' in r.stderr
    wait_for(lambda: 'has its next certificate' in own.log('signer-'))


def refuse_rollover(own):
    for args, words in (
            (['rollover', 'No-CA'], 'no ca'),
            (['rollover', 'Demo-CA', '--subject', 'CN=Demo-CA'],
             'has this subject'),
            (['rollover', 'Demo-CA', '--same-key', '--as', 'x'], 'excludes'),
            (['rollover', 'Demo-CA', '--key', 'rsa:2048'], '3072'),
            (['rollover', 'Demo-CA', '--as', 'Demo-CA', '--subject',
              'CN=x'], 'already'),
            (['activate', 'No-CA'], 'no ca or key'),
            (['activate', 'Demo-CA'], 'issues already')):
        r = own.ctl('ca', *args, ok=None)
        assert r.returncode in (1, 2) and words in r.stderr, (args, r.stderr)


@pytest.fixture(scope='module')
def rolled(own, tmp_path_factory):
    """The next key, step by step as the manual has them, under load."""
    tmp = tmp_path_factory.mktemp('rolled')
    refuse_rollover(own)
    me = own.account('rolled', groups=['users'], cn='Rolled',
                     upn='rolled@demo.example')
    key = client.ec_key()
    old = me.enroll(client.make_csr(key, template='User'))
    with Load(own) as load:
        own.ctl('ca', 'rollover', 'Demo-CA', '--key', 'ec:P-384')
        path = sign(own, 'Demo-CA-2', 'CN=Demo-CA-2', 'next.pem')
        own.ctl('ca', 'install', 'Demo-CA-2', str(path), '--of', 'Demo-CA')
        r = own.ctl('ca', 'activate', 'Demo-CA-2', ok=None)
        assert r.returncode == 1 and 'no signer has made' in r.stderr
        give_key(own, 'Demo-CA-2', [1], 'Demo-CA')
        load.wait(5)
        give_key(own, 'Demo-CA-2', [2], 'Demo-CA')
        wait_for(lambda: http.get(http_url(own) + '/ca/Demo-CA-2.crl')
                 .status_code == 200)
        own.ctl('ca', 'activate', 'Demo-CA-2')
        load.wait(40)
    # nginx cuts connections that it has just accepted: not under load
    web_knows_cas(own)
    return load, old, key, me, tmp


def test_next_key(own, rolled):
    load, _, _, _, tmp = rolled
    r = own.ctl('ca', 'rollover', 'Demo-CA-2', ok=None)
    assert r.returncode == 1 and 'is a key of ca Demo-CA' in r.stderr
    issuers = verify_all(load, own, tmp)
    assert sorted(issuers) == ['CN=Demo-CA', 'CN=Demo-CA-2']
    # one signer after the other, but no way back for one client
    last = issuers['CN=Demo-CA-2'][-1]
    bag = chain_verifies(last, own.env['CS_ROOT_PEM'], tmp)
    for name in 'Demo-CA', 'Demo-CA-2':
        assert ca_cert(own, name).public_bytes(PEM).decode().strip() in bag
    relying = Relying(tmp, own.env['CS_ROOT_PEM'])
    relying.check(issuers['CN=Demo-CA'][0].certificate, 'old')
    ca = relying.check(last.certificate, 'new')
    assert ca.subject.rfc4514_string() == 'CN=Demo-CA-2'
    assert cdp(last.certificate) == [http_url(own) + '/ca/Demo-CA-2.crl']
    r = client.Client(own.env).policies()
    shown = [x509.load_der_x509_certificate(base64.b64decode(x.text))
             .subject.rfc4514_string() for x in r.findall(
                 './/p:cA/p:certificate')]
    assert 'CN=Demo-CA-2' in shown and 'CN=Demo-CA' not in shown


def test_old_keys_certificates_go_on(own, rolled, tmp_path):
    """They log on, renew, and are revoked on the old key's list."""
    _, old, key, me, _ = rolled
    assert old.certificate.issuer.rfc4514_string() == 'CN=Demo-CA'
    new = client.ec_key()
    r = me.enroll(client.renewal_cmc(client.make_csr(new, template='User'),
                                     new, key, old.leaf), False)
    check_rstrc(r)
    assert r.certificate.issuer.rfc4514_string() == 'CN=Demo-CA-2'
    # log on with either, where TLS asks for a certificate
    for n, (k, c) in enumerate(((key, old), (new, r))):
        pem = tmp_path / ('c%d.pem' % n)
        pem.write_bytes(k.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()) + c.certificate.public_bytes(PEM))
        url = own.env['CS_CEP_CERT_URL']
        answer = requests.post(url, data=client.envelope(
            client.GETPOLICIES, url, client.get_policies()), cert=str(pem),
            headers={'Content-Type': 'application/soap+xml; charset=utf-8'},
            verify=own.env['CS_ROOT_PEM'], timeout=300)
        assert client.Reply(answer).findall('.//p:policy'), answer.text[:300]
    serial = '%032X' % old.certificate.serial_number
    own.ctl('cert', 'revoke', serial, '--reason', 'keyCompromise')

    def listed(name):
        crl = x509.load_der_x509_crl(fetch('%s/ca/%s.crl' % (
            http_url(own), name)))
        assert crl.is_signature_valid(ca_cert(own, name).public_key())
        return crl.get_revoked_certificate_by_serial_number(
            old.certificate.serial_number)
    wait_for(lambda: listed('Demo-CA'))
    assert listed('Demo-CA-2') is None
    leaf = tmp_path / 'revoked.pem'
    leaf.write_bytes(old.certificate.public_bytes(PEM))
    issuer = tmp_path / 'issuer.pem'
    issuer.write_bytes(ca_cert(own, 'Demo-CA').public_bytes(PEM))
    o = subprocess.run(
        ['openssl', 'ocsp', '-issuer', issuer, '-cert', leaf, '-url',
         http_url(own) + '/ocsp', '-CAfile', own.env['CS_ROOT_PEM'],
         '-verify_other', issuer, '-no_nonce'], capture_output=True,
        text=True, timeout=300, env=dict(os.environ, no_proxy='*'))
    assert 'revoked' in o.stdout and 'keyCompromise' in o.stdout, o


def intermediates(reply):
    """What a server would send along: roots are the client's own affair."""
    from asn1crypto import cms
    bag = cms.ContentInfo.load(reply.cmc)['content']['certificates']
    return b''.join(c.public_bytes(PEM) for c in (
        x509.load_der_x509_certificate(b.chosen.dump()) for b in bag)
        if c.issuer != c.subject)


def test_new_root(own, rolled, tmp_path):
    """Whoever trusts only the old root follows the cross certificate that
    answers carry; the new root alone is enough, too."""
    d = own.dir / 'root'
    own.ctl('ca', 'create-root', str(d / 'Demo-Root-2'), '--subject',
            'CN=Demo Root 2', '--replaces', str(d / 'Demo-Root'))
    own.ctl('ca', 'rollover', 'Demo-CA', '--as', 'Demo-CA-N')
    own.ctl('ca', 'sign-subordinate', str(d / 'Demo-Root-2'),
            str(ca_dir(own) / 'Demo-CA-N.csr'), '--subject', 'CN=Demo-CA-N',
            '--cdp', http_url(own) + '/ca/Demo-Root-2.crl', '-o',
            str(d / 'n.pem'))
    own.ctl('ca', 'install', 'Demo-CA-N', str(d / 'n.pem'), '--of', 'Demo-CA',
            '--also', str(d / 'Demo-Root-2-by-Demo-Root.pem'))
    own.ctl('ca', 'root-crl', str(d / 'Demo-Root-2'), '-o', str(d / 'n.crl'))
    own.ctl('crl', 'install', 'Demo-Root-2', str(d / 'n.crl'))
    r = own.ctl('crl', 'install', 'Demo-Root', str(d / 'n.crl'), ok=None)
    assert r.returncode == 1 and 'another issuer' in r.stderr
    r = own.ctl('crl', 'install', 'Demo-Root-2', str(d / 'n.crl'), ok=None)
    assert r.returncode == 1 and 'not newer' in r.stderr
    r = own.ctl('crl', 'install', 'Demo-CA', str(d / 'n.crl'), ok=None)
    assert r.returncode == 1 and 'made by signers' in r.stderr
    give_key(own, 'Demo-CA-N', [2])         # as if it were a CA of its own
    wait_for(lambda: 'ca Demo-CA-N: its key is not used' in
             own.log('signer-2'))
    give_key(own, 'Demo-CA-N', [1], 'Demo-CA')
    policy = (own.dir / 'etc/policy.conf').read_text()
    publish(own, policy.replace('{key}.crl', 'Demo-CA.crl'))
    r = own.ctl('ca', 'activate', 'Demo-CA-N', ok=None)
    assert r.returncode == 1 and '{key}' in r.stderr
    publish(own, policy)
    wait_for(lambda: http.get(http_url(own) + '/ca/Demo-CA-N.crl')
             .status_code == 200)
    own.ctl('ca', 'activate', 'Demo-CA-N')
    web_knows_cas(own)
    r = client.Client(own.env).enroll(client.make_csr(
        client.ec_key(), 'n.demo.example', [], own.env['CS_TEMPLATE']))
    assert r.certificate.issuer.rfc4514_string() == 'CN=Demo-CA-N'
    (tmp_path / 'between.pem').write_bytes(intermediates(r))
    (tmp_path / 'leaf.pem').write_bytes(r.certificate.public_bytes(PEM))
    for root in own.env['CS_ROOT_PEM'], d / 'Demo-Root-2.pem':
        openssl('verify', '-x509_strict', '-CAfile', root, '-untrusted',
                tmp_path / 'between.pem', tmp_path / 'leaf.pem')
    Relying(tmp_path, d / 'Demo-Root-2.pem').check(r.certificate)


def test_nothing_is_wrong_afterwards(own, rolled):
    """Ledger and database agree; doctor finds no fault."""
    r = own.ctl('ledger', 'verify', *map(str, sorted(
        (own.dir / 'ledger').glob('signer-*'))), ok=None)
    assert r.returncode == 0, r.stdout + r.stderr
    host = re.search(r'https://([^/]+)/', own.env['CS_CES_URL']).group(1)
    bad = [c for c in own.ctl_json('doctor', '--connect', host, ok=None)
           if c['result'] == 'fail']
    assert not bad, bad
    names = {r['ca'] for r in own.ctl_json('crl', 'show')}
    assert {'Demo-CA', 'Demo-CA-2', 'Demo-Root'} <= names
