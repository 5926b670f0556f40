"""SoftHSM in a folder of its own, behind pkcs11-spy, which counts, and behind
a module of ours (tests/p11/fault.c), which breaks things while all runs."""
import os
import re
import subprocess

from conftest import TOP

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
            args, text=True, capture_output=True, timeout=60,
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
