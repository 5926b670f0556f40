"""A domain of Active Directory, Samba's, on a machine that no one else sees:
"make test-ad" starts this in namespaces of its own (network, mounts,
processes), which take all with them when they end."""
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/e2e'))

import realm  # noqa: E402
from waits import wait_for  # noqa: E402

DC, WEB = '10.78.0.1', '10.78.0.2'
DOMAIN = 'corp.example.org'
REALM = DOMAIN.upper()
BASE = 'DC=corp,DC=example,DC=org'
HOST = 'pki.' + DOMAIN
# There are no others here.
ADMINISTRATOR, PASSWORD = 'Adm1n.pass', 'Us3r.pass'
PRESENT = all(shutil.which(p, path=realm.SBIN) for p in (
    'samba', 'samba-tool', 'ldbsearch', 'net', 'kinit', 'ldapsearch'))

HOSTS = '''127.0.0.1 localhost
%s dc1.%s dc1
%s %s
''' % (DC, DOMAIN, WEB, HOST)

KRB5_CONF = '''[libdefaults]
	default_realm = %(realm)s
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
[realms]
	%(realm)s = {
		kdc = dc1.%(domain)s
		kpasswd_server = dc1.%(domain)s
		pkinit_kdc_hostname = dc1.%(domain)s
		pkinit_anchors = FILE:%(dir)s/root.pem
		pkinit_pool = FILE:%(dir)s/ca.pem
	}
[domain_realm]
	.%(domain)s = %(realm)s
'''
# The controller's own: [kdc] is Heimdal's.
KDC_CONF = '''[libdefaults]
	default_realm = %(realm)s
	dns_lookup_kdc = false
[realms]
	%(realm)s = {
		kdc = %(dc)s
	}
[kdc]
	enable-pkinit = yes
	pkinit_identity = FILE:%(dir)s/dc1.pem,%(dir)s/dc1.key
	pkinit_anchors = FILE:%(dir)s/root.pem
	pkinit_pool = FILE:%(dir)s/ca.pem
'''


def alone():
    """Are we where nothing of the machine's is in the way?"""
    return os.geteuid() == 0 and os.getpid() == 1


def sh(*words):
    subprocess.run([str(w) for w in words], check=True)


def make_host(folder):
    """Addresses, names and folders of two hosts, in one."""
    sh('ip', 'link', 'set', 'lo', 'up')
    sh('ip', 'link', 'add', 'lan', 'type', 'bridge')
    sh('ip', 'link', 'set', 'lan', 'up')
    for a in DC, WEB:
        sh('ip', 'addr', 'add', a + '/24', 'dev', 'lan')
    (folder / 'hosts').write_text(HOSTS)
    sh('mount', '--bind', folder / 'hosts', '/etc/hosts')
    for d in ('/run/samba', '/var/lib/samba', '/var/cache/samba',
              '/var/log/samba'):
        os.makedirs(d, exist_ok=True)
        sh('mount', '-t', 'tmpfs', 'none', d)


class Domain(realm.Realm):
    """Its controller, and what an administrator does there."""

    def __init__(self, folder):
        os.environ['PATH'] = realm.SBIN
        self.dir, self.process = pathlib.Path(folder), None
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        words = {'realm': REALM, 'domain': DOMAIN, 'dc': DC, 'dir': self.dir}
        (self.dir / 'krb5.conf').write_text(KRB5_CONF % words)
        (self.dir / 'kdc.conf').write_text(KDC_CONF % words)
        self.conf = self.dir / 'dc/etc/smb.conf'
        self.env = {'KRB5_CONFIG': str(self.dir / 'krb5.conf'),
                    'KRB5CCNAME': 'FILE:%s/cc' % self.dir,
                    'KRB5_CLIENT_KTNAME': str(self.dir / 'no-keytab')}

    def provision(self):
        make_host(self.dir)
        self.run('samba-tool', 'domain', 'provision', '--realm=' + REALM,
                 '--domain=CORP', '--server-role=dc', '--host-name=dc1',
                 '--dns-backend=SAMBA_INTERNAL', '--host-ip=' + DC,
                 '--adminpass=' + ADMINISTRATOR,
                 '--targetdir=%s/dc' % self.dir,
                 '--option=interfaces=' + DC,
                 '--option=bind interfaces only=yes',
                 '--option=server services=ldap cldap kdc', timeout=120)
        self.env['SMB_CONF_PATH'] = str(self.conf)
        # What "samba_spnupdate" does later.
        self.tool('spn', 'add', 'ldap/dc1.' + DOMAIN, 'DC1$')
        self.tool('domain', 'passwordsettings', 'set', '--complexity=off',
                  '--history-length=0', '--min-pwd-age=0')

    def start(self):
        log = open(self.dir / 'dc.log', 'a')
        self.process = subprocess.Popen(
            ['samba', '-F', '--no-process-group', '-s', self.conf,
             '--debug-stdout', '-d', '1'], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, env={
                **os.environ, 'KRB5_CONFIG': str(self.dir / 'kdc.conf')})
        wait_for(lambda: self.open() == [88, 389], 60)

    def stop(self):
        """With its children, which go on for a moment."""
        super().stop()
        wait_for(lambda: self.open() == [], 30)

    @staticmethod
    def open():
        """Which of its ports are."""
        out = []
        for port in 88, 389:
            with contextlib.suppress(OSError), socket.create_connection(
                    (DC, port)):
                out.append(port)
        return out

    def tool(self, *words, **kw):
        return self.run('samba-tool', *words, **kw)

    def modify(self, name, **attributes):
        """Of an entry, by its sAMAccountName."""
        dn = re.search('(?m)^dn: (.*)', self.search(name).stdout)[1]
        self.run('ldbmodify', '-H', self.dir / 'dc/private/sam.ldb', input=(
            'dn: %s\nchangetype: modify\n' % dn + ''.join(
                'replace: %s\n%s: %s\n-\n' % (k, k, v)
                for k, v in attributes.items())))

    def search(self, name, *attributes):
        return self.run('ldbsearch', '-H', self.dir / 'dc/private/sam.ldb',
                        '(sAMAccountName=%s)' % name, *attributes)

    def sid(self, name):
        return re.search('objectSid: (.*)',
                         self.search(name, 'objectSid').stdout)[1]

    def token_groups(self, name):
        dn = re.search('(?m)^dn: (.*)', self.search(name).stdout)[1]
        return self.run('ldbsearch', '-H', self.dir / 'dc/private/sam.ldb',
                        '-s', 'base', '-b', dn, 'tokenGroups').stdout

    def user(self, name, *more):
        self.tool('user', 'create', name, PASSWORD, *more)

    def computer(self, name):
        """PC1 is PC1$, with a password and a DNS name."""
        self.tool('computer', 'create', name)
        self.tool('user', 'setpassword', name + '$',
                  '--newpassword=' + PASSWORD)
        self.tool('user', 'enable', name + '$')
        self.modify(name + '$', dNSHostName='%s.%s' % (name.lower(), DOMAIN))

    def keytab(self, principal, name):
        """Its keys, next to those that are there."""
        self.tool('domain', 'exportkeytab', self.dir / name,
                  '--principal=' + principal)
        return self.dir / name

    def enctypes(self, *words):
        self.run('net', 'ads', 'enctypes', *words, '-S', 'dc1.' + DOMAIN,
                 '-U', 'administrator%' + ADMINISTRATOR)

    def log_on(self, name, *more, password=PASSWORD):
        """A ticket for a password; a new cache."""
        cc = self.dir / ('cc-' + os.urandom(6).hex())
        self.run('kinit', '-c', cc, *more, name, input=password + '\n')
        return cc

    def export(self):
        """What docs/operations.md has an administrator do."""
        self.run('kinit', 'administrator', input=ADMINISTRATOR + '\n')
        r = self.run(
            'ldapsearch', '-LLL', '-H', 'ldap://dc1.' + DOMAIN, '-Y',
            'GSSAPI', '-N', '-E', 'pr=1000/noprompt', '-b', BASE,
            '(|(&(objectCategory=person)(objectClass=user))'
            '(objectCategory=computer)(objectCategory=group))', 'objectClass', 'sAMAccountName',
            'userAccountControl', 'cn', 'displayName', 'userPrincipalName',
            'dNSHostName', 'mail', 'objectSid', 'memberOf', 'primaryGroupID',
            'accountExpires', 'groupType')
        (self.dir / 'domain.ldf').write_text(r.stdout)
        return self.dir / 'domain.ldf'


class Client(realm.KerberosClient):
    """With a ticket of the domain."""

    def __init__(self, stack, domain, cache, **kw):
        served = realm.ssl.PEM_cert_to_DER_cert(re.search(
            '-----BEGIN.*?-----END CERTIFICATE-----', (
                stack.dir / 'tls/server.pem').read_text(), re.S)[0])
        kw.setdefault('service', 'HTTP@' + HOST)
        super().__init__(stack.env, domain, cache,
                         hashlib.sha256(served).digest(), **kw)

    def whoami(self):
        return self.send('GET', self.env['CS_HOME_URL'] + 'whoami/kerberos',
                         headers={'Accept': 'application/json'})

    def is_refused(self, why):
        r = self.whoami()
        assert r.status_code == 403 and why in r.text, r.text


def line(stack, text):
    """The worker's line of the request that this answer names."""
    ident = re.search('[0-9a-f]{32}', text)[0]
    return wait_for(lambda: next((x for x in stack.log('worker').splitlines()
                                  if ident in x), None), 5)
