"""The real certmonger, which makes the keys and requests, with the real
cepces of ../shared/clients below it: as Linux machines enroll, renew, wait and
are refused."""
import os
import shlex
import shutil
import subprocess

import pytest
from cryptography import x509

from waits import wait_for

pytest.importorskip('gssapi')
DAEMON = '/usr/lib/certmonger/certmonger-session'
# The one of the system wants to raise limits, which not everybody may.
BUS = '''<busconfig><type>session</type><listen>unix:path=%s</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>'''
HELPER = '''#!/bin/sh
export CEP_USER=%s CEP_PASS=%s CACERT=%s
csr=$HOME/csr-$$
printf '%%s' "$CERTMONGER_CSR" >"$csr"
exec %s UsernamePassword "$CERTMONGER_OPERATION" %s \\
    "${CERTMONGER_CA_COOKIE:-$csr}"
'''


class Certmonger:
    """A daemon of our own, on a bus of its own."""

    def __init__(self, folder, env):
        self.folder, self.env = folder, env

    def getcert(self, *args, ok=True):
        r = subprocess.run(['getcert', args[0], '-s', *args[1:]],
                           env=self.env, capture_output=True, text=True,
                           timeout=300)
        assert not ok or r.returncode == 0, r.stdout + r.stderr
        return r.stdout

    def status(self, name):
        return self.getcert('list', '-i', name)

    def settles(self, name, state):
        wait_for(lambda: 'status: %s\n' % state in self.status(name),
                 said=lambda: self.status(name))
        return self.status(name)

    def request(self, name, template, *args, state='MONITORING'):
        if '-d' not in args:
            args += ('-k', self.folder / (name + '.key'), '-f',
                     self.folder / (name + '.pem'))
        self.getcert('request', '-c', 'countersign', '-T', template, '-I',
                     name, *args)
        return self.settles(name, state)

    def certificate(self, name):
        pem = self.folder / (name + '.pem')
        return x509.load_pem_x509_certificate(
            pem.read_bytes() if pem.exists() else subprocess.run(
                ['certutil', '-L', '-d', self.folder / 'nssdb', '-n', name,
                 '-a'], capture_output=True, check=True).stdout)

    def is_renewed(self, name, old):
        try:
            return self.certificate(name) != old
        except (ValueError, subprocess.CalledProcessError):
            return False        # it is being written


@pytest.fixture(scope='module')
def monger(stack, shared, tmp_path_factory):
    if not os.path.exists(DAEMON) or shutil.which('dbus-daemon') is None:
        pytest.skip('certmonger is not here')
    folder = tmp_path_factory.mktemp('monger')
    (folder / '.config').mkdir()
    (folder / 'bus.conf').write_text(BUS % (folder / 'bus'))
    helper = folder / 'helper'
    helper.write_text(HELPER % tuple(shlex.quote(str(s)) for s in (
        stack.env['CS_USER'], stack.env['CS_PASSWORD'],
        stack.env['CS_ROOT_PEM'], shared / 'clients/run-cepces',
        stack.env['CS_CEP_URL'])))
    helper.chmod(0o755)
    env = dict(os.environ, HOME=str(folder),
               DBUS_SESSION_BUS_ADDRESS='unix:path=%s' % (folder / 'bus'))
    with open(folder / 'log', 'w') as log:
        start = lambda *words: subprocess.Popen(
            words, env=env, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT)
        bus = start('dbus-daemon', '--nofork',
                    '--config-file=%s' % (folder / 'bus.conf'))
        wait_for((folder / 'bus').exists)
        daemon = start(DAEMON, '-s', '-n', '-B')
        try:
            m = Certmonger(folder, env)
            wait_for(lambda: 'CA ' in m.getcert('list-cas', ok=False))
            m.getcert('add-ca', '-c', 'countersign', '-e', helper)
            yield m
        finally:
            for p in daemon, bus:
                p.terminate()
                p.wait(60)


NAME = ('-N', 'CN=linux.demo.example', '-D', 'linux.demo.example')
KEYS = {'rsa': (), 'ec': ('-G', 'ec', '-g', '384'), 'nss': None,
        'all': ('-A', '127.0.0.1', '-U', 'id-kp-serverAuth', '-u',
                'digitalSignature', '-L', 'a challenge')}


@pytest.mark.parametrize('key', KEYS)
def test_enrolls_and_renews(stack, monger, key):
    how = KEYS[key]
    if how is None:
        (monger.folder / 'nssdb').mkdir()
        how = ('-d', monger.folder / 'nssdb', '-n', key)
    monger.request(key, stack.env['CS_TEMPLATE'], *NAME, *how)
    serials = set()
    for again in 'resubmit', 'rekey':
        first = monger.certificate(key)
        san = first.extensions.get_extension_for_class(
            x509.SubjectAlternativeName)
        assert san.value.get_values_for_type(x509.DNSName) == [
            'linux.demo.example']
        serials.add(first.serial_number)
        monger.getcert(again, '-i', key)
        wait_for(lambda: monger.is_renewed(key, first),
                 said=lambda: monger.status(key))
        monger.settles(key, 'MONITORING')
    assert monger.certificate(key).serial_number not in serials
    assert monger.certificate(key).public_key() != first.public_key()


def test_names_of_the_account(stack, monger):
    """It adds the host's name and principals by itself."""
    monger.request('computer', stack.env['CS_TEMPLATE_MACHINE'])
    assert 'demo' in monger.certificate('computer').subject.rfc4514_string()


def test_waits_for_approval(stack, monger):
    monger.request('late', stack.env['CS_TEMPLATE_APPROVAL'], *NAME,
                   state='CA_WORKING')
    newest = max(stack.ctl_json('request', 'list', '--state', 'pending'),
                 key=lambda r: r['received_at'])
    stack.ctl('request', 'approve', str(newest['number']))
    monger.getcert('refresh', '-i', 'late')
    monger.settles('late', 'MONITORING')
    assert monger.certificate('late').subject.rfc4514_string() == \
        'CN=linux.demo.example'


def test_tells_why_not(stack, monger):
    said = monger.request('other', stack.env['CS_TEMPLATE'], '-N',
                          'CN=www.other.example', state='CA_REJECTED')
    assert 'www.other.example is not allowed by name rule' in said
