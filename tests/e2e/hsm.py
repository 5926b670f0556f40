"""SoftHSM in a folder of its own, behind pkcs11-spy, which counts, and behind
a module of ours (tests/p11/fault.c), which breaks things while all runs."""
import os
import re
import subprocess

import client
from conftest import TOP, Stack
from run import Run
from schema import check_fault, check_rstrc
from waits import wait_for

SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'
SPY = '/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so'
PIN = '8273640915'
FAULT = (TOP / os.environ.get('BUILD', 'build') / 'fault.so').resolve()


def calls(text):
    """Name and text of each call in a log of pkcs11-spy."""
    parts = re.split(r'(?m)^\d+: (C_\w+)\n', text)
    return list(zip(parts[1::2], parts[2::2]))


class Hsm:
    def __init__(self, where, *labels):
        self.dir = where
        (self.dir / 'tokens').mkdir(parents=True)
        (self.dir / 'softhsm2.conf').write_text(
            'directories.tokendir = %s\nobjectstore.backend = file\n'
            'log.level = ERROR\n' % (self.dir / 'tokens'))
        self.faults = self.dir / 'faults'
        self.pin = self.dir / 'pin'
        self.spy = self.dir / 'spy.log'
        for f in (self.faults, self.spy):
            f.touch()
        self.pin.write_text(PIN)
        self.pin.chmod(0o600)
        self.env = dict(SOFTHSM2_CONF=self.dir / 'softhsm2.conf',
                        FAULT_MODULE=SOFTHSM, FAULT_FILE=self.faults,
                        PKCS11SPY=FAULT, PKCS11SPY_OUTPUT=self.spy)
        for label in labels:
            self.run_it('softhsm2-util', '--init-token', '--free', '--label',
                        label, '--pin', PIN, '--so-pin', '99887766')

    def run_it(self, *args, code=0, **kw):
        r = subprocess.run(
            args, text=True, capture_output=True, timeout=300,
            env=dict(os.environ, **{k: str(v) for k, v in self.env.items()}),
            **kw)
        if code is not None:
            assert r.returncode == code, (args, r.stdout, r.stderr)
        return r

    def fault(self, *lines):
        self.faults.write_text(''.join(line + '\n' for line in lines))

    def count(self, call):
        return sum(name == call for name, _ in calls(self.spy.read_text()))

    def objects(self, label='HSM'):
        return self.run_it('pkcs11-tool', '--module', SOFTHSM, '--token-label',
                           label, '--login', '--pin', PIN,
                           '--list-objects').stdout


RETRY = 0x800704D5


class Token(Hsm):
    """A token and its stack."""

    def __init__(self, state, kind, **variables):
        super().__init__(state / 'hsm', 'HSM')
        self.uri = 'pkcs11:token=HSM;object=issuing'
        self.run = Run(state, CA_KEY=kind, CA_TOKEN=self.uri, CA_MODULE=SPY,
                       CA_PIN_FILE=self.pin, **self.env, **variables)

    def ready(self):
        self.run.ready()
        self.stack = Stack(self.run.env_file)
        text = (self.stack.dir / 'log/setup.log').read_text()
        # The set-up of a hierarchy has the new key sign its request.
        self.by_hand = int('request: ' in text)
        return self

    @property
    def signer(self):
        return self.stack.pids('signer')[0]

    def enroll(self, name='t'):
        return client.Client(self.stack.env).enroll(client.make_csr(
            client.ec_key(), name + '.demo.example', [],
            self.stack.env['CS_TEMPLATE']))

    def refused(self):
        """The client is told to try again, and nothing else."""
        r = self.enroll()
        check_fault(r)
        assert r.hresult == RETRY and 'again' in r.reason
        assert 'token' not in r.reason.lower()

    def issues(self):
        r = wait_for(lambda: (r := self.enroll()).leaf and r)
        check_rstrc(r)
        return r.certificate

    def test(self, *changes, code=1):
        """countersign-signer -t with another configuration."""
        conf = self.stack.conf.parent / 'signer-1.conf'
        text = conf.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        other = self.dir / 'signer.conf'
        other.write_text(text)
        return self.run_it(self.stack.bin / 'countersign-signer', '-t', '-c',
                           other, code=code).stderr

    def ctl(self, *args, code=0):
        return self.run_it(*self.stack.ctl_words(), *args, code=code)

    def second(self):
        """Another CA in the same token."""
        if 'second' not in self.objects():
            self.ctl('ca', 'create', 'Second', '--no-root', '--module', SPY,
                     '--pin-file', self.pin, '--token',
                     'pkcs11:token=HSM;object=second')


# What breaks.  In the later ones the session ends first, so that the signer
# looks for the token again.
ENDS = 'C_SignInit 0xb3'
