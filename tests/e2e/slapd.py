"""OpenLDAP's server in a folder of its own, for lists."""
import base64
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import urllib.parse

import pytest

from ports import free_port
from waits import wait_for

SLAPD = shutil.which('slapd', path='/usr/sbin:/usr/lib/openldap:' +
                     os.environ['PATH'])


needs_slapd = pytest.mark.skipif(
    SLAPD is None or shutil.which('ldapsearch') is None,
    reason='slapd and ldap-utils are not installed')


BASE = 'ou=pki,dc=example'
WRITER = 'cn=writer,dc=example'
ROOT = 'cn=root,dc=example'
CONF = '''
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %(dir)s/pid
TLSCACertificateFile %(dir)s/cert.pem
TLSCertificateFile %(dir)s/cert.pem
TLSCertificateKeyFile %(dir)s/key.pem
authz-regexp "gidNumber=[0-9]+[+]uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth" "%(root)s"
database mdb
maxsize 67108864
suffix "dc=example"
rootdn "%(root)s"
rootpw rootsecret
directory %(dir)s/data
access to dn.subtree="%(base)s" by dn.exact="%(writer)s" write by * read
access to attrs=userPassword by anonymous auth by * none
access to * by * read
'''


TREE = '''dn: dc=example
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: %s
objectClass: person
cn: writer
sn: writer
userPassword: writersecret

dn: %s
objectClass: organizationalUnit
ou: pki

dn: ou=closed,dc=example
objectClass: organizationalUnit
ou: closed

dn: cn=Demo-CA,ou=closed,dc=example
objectClass: person
cn: Demo-CA
sn: nothing of a CA
''' % (WRITER, BASE)


class Directory:
    """The process, and how to ask it."""

    def __init__(self, folder, own):
        self.dir, self.own = folder, own
        self.port, self.tls = free_port(), free_port()
        self.socket = 'ldapi://' + urllib.parse.quote(
            str(folder / 's'), safe='')
        self.process = None

    def start(self):
        urls = '%s ldap://127.0.0.1:%d ldaps://127.0.0.1:%d' % (
            self.socket, self.port, self.tls)
        self.process = subprocess.Popen(
            [SLAPD, '-d', '0', '-f', self.dir / 'slapd.conf', '-h', urls],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.process.poll() is not None or
                 self.search('-b', '', '-s', 'base').returncode == 0)
        assert self.process.poll() is None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(300)

    def search(self, *args):
        return subprocess.run(
            ['ldapsearch', '-LLL', '-o', 'ldif-wrap=no', '-x', '-H',
             self.socket, *args], capture_output=True, text=True,
            env={**os.environ, 'LDAPNOINIT': '1'})

    def values(self, name, base=BASE):
        """Attributes of an entry: bytes by the name without ;binary."""
        r = self.search('-b', 'cn=%s,%s' % (name, base), '-s', 'base')
        found = {}
        for line in r.stdout.splitlines():
            if ';binary:: ' in line:
                key, value = line.split(';binary:: ')
                assert key not in found     # one value each
                found[key] = base64.b64decode(value)
        return found


@pytest.fixture(scope='module')
def directory(stack, tmp_path_factory):
    d = Directory(pathlib.Path(tmp_path_factory.mktemp('ldap')), stack)
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
         '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1',
         '-days', '2', '-keyout', d.dir / 'key.pem', '-out',
         d.dir / 'cert.pem'], check=True, capture_output=True)
    (d.dir / 'data').mkdir()
    (d.dir / 'slapd.conf').write_text(CONF % {
        'dir': d.dir, 'root': ROOT, 'base': BASE, 'writer': WRITER})
    subprocess.run([SLAPD, '-Tadd', '-f', d.dir / 'slapd.conf'], input=TREE,
                   text=True, check=True, capture_output=True)
    for p in [d.dir, *d.dir.parents]:
        if p.owner() == pwd.getpwuid(os.geteuid()).pw_name and p != p.parent:
            p.chmod(p.stat().st_mode | 0o055)
    d.start()
    yield d
    d.stop()


def publish(directory, url, *args, ok=True):
    return directory.own.ctl('crl', 'publish', '--to', url, *args, ok=ok)
