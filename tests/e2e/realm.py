"""A Kerberos KDC of a test's own, without root and without DNS, and clients
that log on with its tickets."""
import base64
import contextlib
import datetime
import hashlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

import client
import tickets
import workers
from policies import in_force, published
from ports import free_port
from waits import wait_for

SBIN = '/usr/sbin:/sbin:' + os.environ['PATH']
KDC, KDB, KADMIN = (shutil.which(p, path=SBIN) for p in (
    'krb5kdc', 'kdb5_util', 'kadmin.local'))
PRESENT = None not in (KDC, KDB, KADMIN) and shutil.which('kinit') is not None
HOME, ABROAD = 'DEMO.EXAMPLE', 'OTHER.EXAMPLE'

KRB5_CONF = '''
[libdefaults]
	default_realm = %(home)s
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	forwardable = true
	udp_preference_limit = 1
[realms]
	%(home)s = {
		kdc = 127.0.0.1:%(port)d
	}
	%(abroad)s = {
		kdc = 127.0.0.1:%(port)d
	}
[domain_realm]
	localhost = %(home)s
	other.example = %(home)s
'''
KDC_CONF = '''
[kdcdefaults]
	kdc_listen = 127.0.0.1:%(port)d
	kdc_tcp_listen = 127.0.0.1:%(port)d
[realms]
	%(home)s = {
		database_name = %(dir)s/home
		key_stash_file = %(dir)s/home.stash
		acl_file = %(dir)s/none
		supported_enctypes = aes256-cts:normal
		max_life = 1d
	}
	%(abroad)s = {
		database_name = %(dir)s/abroad
		key_stash_file = %(dir)s/abroad.stash
		acl_file = %(dir)s/none
		supported_enctypes = aes256-cts:normal
		max_life = 1d
	}
[logging]
	kdc = FILE:%(dir)s/kdc.log
	admin_server = FILE:%(dir)s/kdc.log
'''


class Realm:
    """Two realms that trust each other, and one KDC for both."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        words = {'home': HOME, 'abroad': ABROAD, 'dir': folder,
                 'port': free_port()}
        self.port, self.process, self.keys = words['port'], None, {}
        (self.dir / 'krb5.conf').write_text(KRB5_CONF % words)
        (self.dir / 'kdc.conf').write_text(KDC_CONF % words)
        self.env = {'KRB5_CONFIG': str(self.dir / 'krb5.conf'),
                    'KRB5_KDC_PROFILE': str(self.dir / 'kdc.conf'),
                    'KRB5CCNAME': 'FILE:' + str(self.dir / 'no-cc'),
                    'KRB5_CLIENT_KTNAME': str(self.dir / 'no-keytab')}

    def run(self, *args, ok=True, timeout=300, **kw):
        r = subprocess.run([str(a) for a in args], text=True, timeout=timeout,
                           capture_output=True, env={**os.environ, **self.env},
                           **kw)
        assert not ok or r.returncode == 0, (args, r.stdout, r.stderr)
        return r

    def admin(self, *commands, realm=HOME):
        r = self.run(KADMIN, '-r', realm, input='\n'.join(commands) + '\n')
        assert 'while ' not in r.stderr, r.stderr
        return r.stdout

    def start(self):
        for r in HOME, ABROAD:
            self.run(KDB, '-r', r, '-P', 'master', 'create', '-s')
        for r in HOME, ABROAD:
            # Who comes from abroad has a ticket for this one.
            self.admin('addprinc -pw trust krbtgt/%s@%s' % (HOME, ABROAD),
                       'addprinc -pw trust krbtgt/%s@%s' % (ABROAD, HOME),
                       realm=r)
        self.process = subprocess.Popen(
            [KDC, '-n', '-r', HOME, '-r', ABROAD, '-P', self.dir / 'pid'],
            env={**os.environ, **self.env}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

        def up():
            assert self.process.poll() is None
            return socket.socket().connect_ex(('127.0.0.1', self.port)) == 0
        wait_for(up, every=0.05)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(300)

    def principal(self, *names, realm=HOME):
        """Make them, with random keys; a keytab of all of them."""
        file = self.dir / (names[0].replace('/', '.') + '@' + realm)
        self.admin(*['addprinc -randkey "%s"' % n for n in names],
                   realm=realm)
        return self.extract(file, *names, realm=realm)

    def extract(self, file, *names, realm=HOME, fresh=False):
        """Keys into a keytab, next to those in it; fresh: new ones."""
        self.admin('ktadd %s -k %s %s' % (
            '' if fresh else '-norandkey', file,
            ' '.join('"%s"' % n for n in names)), realm=realm)
        return file

    def key(self, file):
        """The last key of a keytab and its version."""
        out = self.run('klist', '-K', '-k', '-t', file).stdout.splitlines()
        words = out[-1].split()
        return bytes.fromhex(words[-1].strip('()')[2:]), int(words[0])

    def kinit(self, principal, keytab, *more):
        """A new credential cache."""
        cc = self.dir / ('cc-' + os.urandom(6).hex())
        self.run('kinit', '-c', cc, '-k', '-t', keytab, *more, principal)
        return cc

    @contextlib.contextmanager
    def here(self, **more):
        """The library in this process reads our configuration."""
        before = {k: os.environ.get(k) for k in {**self.env, **more}}
        os.environ.update({**self.env, **more})
        try:
            yield
        finally:
            for k, v in before.items():
                os.environ.pop(k, None) if v is None else \
                    os.environ.update({k: v})


class KerberosClient(client.Client):
    """Each request brings a token of its own, made by the library.  mech:
    spnego or krb5; bindings: of this certificate (DER), or None."""

    def __init__(self, env, realm, cache, bindings, mech='spnego',
                 mutual=True, delegate=False, service='HTTP@localhost',
                 **variables):
        at = {n: env[n].replace('UsernamePassword', 'Kerberos')
              for n in ('CS_CEP_URL', 'CS_CES_URL')}
        super().__init__({**env, **at}, '', '')
        self.realm, self.cache, self.bindings = realm, cache, bindings
        self.mech, self.mutual, self.delegate = mech, mutual, delegate
        self.service, self.variables = service, variables

    def context(self):
        import gssapi
        f = gssapi.RequirementFlag
        name = gssapi.Name(self.service, gssapi.NameType.hostbased_service)
        bound = None if self.bindings is None else gssapi.raw.ChannelBindings(
            application_data=b'tls-server-end-point:' + self.bindings)
        return gssapi.SecurityContext(
            usage='initiate', name=name, channel_bindings=bound,
            creds=gssapi.Credentials(usage='initiate', store={
                'ccache': 'FILE:%s' % self.cache}),
            mech=gssapi.OID.from_int_seq(
                tickets.SPNEGO if self.mech == 'spnego' else tickets.KRB5),
            flags=[f.integrity] + [v for on, v in (
                (self.mutual, f.mutual_authentication),
                (self.delegate, f.delegate_to_peer)) if on])

    def token(self):
        """And the context, which reads the answer's."""
        with self.realm.here(**self.variables):
            c = self.context()
            return c, c.step()

    def header(self):
        return ''

    def send(self, method, url, **kw):
        """The answer, of which the token has been verified."""
        c, token = self.token()
        kw['headers'] = {**kw.get('headers', {}),
                         'Authorization': authorization(token)}
        r = self.http.request(method, url, timeout=300, **kw)
        self.verify(c, r)
        return r

    def verify(self, c, r):
        if r.status_code == 401:
            return
        if self.mech == 'krb5' and not self.mutual:
            assert 'WWW-Authenticate' not in r.headers
            return
        scheme, proof = r.headers['WWW-Authenticate'].split(' ')
        assert scheme == 'Negotiate'
        with self.realm.here():
            c.step(base64.b64decode(proof, validate=True))
        assert c.complete

    def post(self, url, data, content_type='application/soap+xml; '
             'charset=utf-8', **headers):
        r = client.Reply(self.send('POST', url, data=data, headers={
            'Content-Type': content_type, **headers}))
        # As there is none of the message (captures krb-*).
        assert r.tree is None or r.find('s:Header/o:Security') is None
        return r


def authorization(token):
    return 'Negotiate ' + base64.b64encode(token).decode()


class Site:
    """The stack, told of a keytab and of whose tickets count."""

    def __init__(self, stack, kdc):
        self.stack, self.kdc = stack, kdc
        self.conf = stack.dir / 'etc/worker.conf'
        self.before = self.conf.read_text()
        self.plain = re.sub(r'(?m)^kerberos \{\n(.*\n)*?\}\n', '',
                            self.before)
        self.served = ssl.PEM_cert_to_DER_cert(re.search(
            '-----BEGIN.*?-----END CERTIFICATE-----', (
                stack.dir / 'tls/server.pem').read_text(), re.S)[0])
        self.bound = tickets.bindings(self.served)
        self.service = kdc.principal('HTTP/localhost')
        self.key, self.kvno = kdc.key(self.service)
        self.keytab = self.put('krb-http.keytab', self.service.read_bytes())
        self.certificate = self.put('krb-tls.pem', ssl.DER_cert_to_PEM_cert(
            self.served).encode())

    def put(self, name, data, mode=0o600):
        """A file that the worker may read, in the place of the one before."""
        file, new = self.stack.dir / 'etc' / name, \
            self.stack.dir / 'etc' / (name + '.new')
        new.write_bytes(data)
        new.chmod(mode)
        shutil.chown(new, self.conf.owner(), self.conf.group())
        new.replace(file)
        return file

    def section(self, **options):
        """worker.conf with these options; False: without the usual one."""
        usual = {'keytab': '"%s"' % self.keytab, 'realm': '{"%s"}' % HOME,
                 'certificate': '{"%s"}' % self.certificate}
        usual.update({k.replace('_', '-'): v for k, v in options.items()})
        return self.plain + 'kerberos {\n%s}\n' % ''.join(
            '\t%s = %s\n' % i for i in usual.items() if i[1] is not False)

    def test(self, text):
        """countersign-worker -t of this configuration."""
        words = self.stack.ctl_words()
        return subprocess.run(
            words[:words.index('-c') - 1] + [
                self.stack.bin / 'countersign-worker', '-t', '-c',
                self.put('krb-worker.conf', text.encode())],
            capture_output=True, text=True, timeout=300)

    def set(self, **options):
        """A worker that runs with these options."""
        self.use(self.section(**options))

    def use(self, text):
        r = self.test(text)
        assert r.returncode == 0, r.stderr
        self.put('worker.conf', text.encode(), self.conf.stat().st_mode)
        workers.restart(self.stack)

    def account(self, name, **kw):
        """Names are for ever; a stack may be used by several runs."""
        if not self.stack.sql('SELECT FROM countersign.account WHERE name '
                              '= %s', name):
            self.stack.account(name, **kw)

    def client(self, principal='alice', keytab=None, realm=HOME, **kw):
        """With a ticket of its own; its keytab is the principal's."""
        cache = self.kdc.kinit('%s@%s' % (principal, realm), keytab or (
            self.kdc.dir / (principal.replace('/', '.') + '@' + realm)))
        kw.setdefault('bindings', hashlib.sha256(self.served).digest())
        return KerberosClient(self.stack.env, self.kdc, cache, **kw)

    def ticket(self, client='alice', **kw):
        """One made by hand."""
        kw = {'key': self.key, 'kvno': self.kvno, 'client': client, **kw}
        return tickets.Ticket(**kw)

    def token(self, client='alice', ticket=None, **kw):
        """Of such a ticket; good unless the words say otherwise."""
        kw.setdefault('bindings', self.bound)
        return tickets.spnego(self.ticket(**{
            'client': client, **(ticket or {})}).token(**kw))

    def enroll(self, token=None, template='User', session=requests):
        """A request with this token."""
        url = self.stack.env['CS_CES_URL'].replace('UsernamePassword',
                                                   'Kerberos')
        return client.Reply(session.post(
            url, verify=self.stack.env['CS_ROOT_PEM'], timeout=300,
            data=client.envelope(client.RST, url, client.rst(client.make_csr(
                client.ec_key(), template=template))),
            headers={'Content-Type': 'application/soap+xml',
                     'Authorization': token and authorization(token)}))

    def children(self):
        """The worker's processes."""
        pid, = self.stack.pids('worker')
        with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
            return f.read().split()

    def line(self, text):
        """The worker's line of the request that this answer names."""
        ident = re.search('[0-9a-f]{32}', text)[0]
        return wait_for(lambda: next(
            (line for line in self.stack.log('worker').splitlines()
             if ident in line), None))


def with_address(stack):
    """The policy with an address for Kerberos."""
    text = published(stack)
    uri = stack.env['CS_CES_URL'].replace('UsernamePassword', 'Kerberos')
    if re.search(r'(?m)^\s*uri "kerberos"', text):
        return text
    return re.sub('(?m)^(ca "[^"]+" \\{\n)', '\\1\turi "kerberos" { uri '
                  '= "%s" priority = 1 }\n' % uri, text, 1)


@contextlib.contextmanager
def set_up(stack, folder):
    """Kerberos in the stack, and some who may log on."""
    kdc = Realm(folder)
    try:
        s = Site(stack, kdc.start())
        kdc.principal('alice')
        kdc.principal('PC1$', 'host/pc1.demo.example')
        s.account('alice@demo.example', cn='Alice', groups=[
            'users', 'web-admins'])
        s.account('pc1$@demo.example', machine=True, cn='pc1',
                  dns='pc1.demo.example', groups=['computers'])
        with in_force(stack, with_address(stack)):
            s.set()
            yield s
            s.use(s.before)
    finally:
        kdc.stop()


@pytest.fixture(autouse=True)
def survives(krb):
    """No request may cost a worker a process."""
    pids, before = krb.stack.pids('worker'), krb.children()
    yield
    if krb.stack.pids('worker') == pids:
        assert krb.children() == before


def whoami(krb, header=None, **kw):
    headers = {} if header is None else {'Authorization': header}
    return requests.get(krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos',
                        verify=krb.stack.env['CS_ROOT_PEM'], timeout=300,
                        headers={**headers, **kw})


def self_signed(hash_):
    key = client.ec_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(7)
            .not_valid_before(now).not_valid_after(
                now + datetime.timedelta(1)).sign(key, hash_)
            .public_bytes(serialization.Encoding.PEM))


UNKNOWN = bytes(range(32))      # a key that nobody has
