"""A stack of its own whose clock the test moves: all its programs, PostgreSQL
and nginx too, run under libfaketime and read the same offset from a file."""
import datetime
import os
import pathlib
import signal
import ssl
import subprocess
import time

from requests.adapters import HTTPAdapter

import client
from certlogon import CertClient
from conftest import START, TOP, Stack
from waits import wait_for

# The variant for programs with threads: the other one lets a thread see the
# unmoved time while a second one reads the offset anew.
LIBRARY = '/usr/$LIB/faketime/libfaketimeMT.so.1'


class MovedStack(Stack):
    def __init__(self, state, **variables):
        self.dir = pathlib.Path(state)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.file = self.dir / 'offset'
        self.environ = dict(
            os.environ, STATE=str(self.dir), LD_PRELOAD=LIBRARY,
            FAKETIME_TIMESTAMP_FILE=str(self.file), NO_FAKE_STAT='1',
            FAKETIME_CACHE_DURATION='0',
            FAKETIME_DONT_FAKE_MONOTONIC='1', **variables)
        self.days, self.p = 0, None
        self.write()

    def write(self):
        new = self.file.with_suffix('.new')
        new.write_text('%+d\n' % round(self.days * 86400))
        new.rename(self.file)

    def move(self, days):
        """All clocks at once, as when a machine wakes up."""
        self.days += days
        self.write()
        time.sleep(1.1)     # they read the file once in a second

    def now(self):
        return datetime.datetime.utcnow() + datetime.timedelta(self.days)

    def start(self):
        # libfaketime's semaphores are named by process: now and then one
        # that ends takes away another's that begins.
        for _ in range(3):
            if self.start_once():
                break
        else:
            raise AssertionError(self.output())
        super().__init__(self.dir / 'env')

    def start_once(self):
        (self.dir / 'env').unlink(missing_ok=True)
        self.log_file = open(self.dir.parent / 'moved.log', 'a+')
        self.p = subprocess.Popen(
            ['env', '--default-signal=INT', 'deploy/demo.sh', 'run'],
            cwd=TOP, env=self.environ, start_new_session=True,
            stdout=self.log_file, stderr=subprocess.STDOUT)
        wait_for(lambda: (self.dir / 'env').exists() or
                 self.p.poll() is not None, START, 0.1, self.output)
        if self.p.poll() is not None:
            assert 'ft_shm_init' in self.output(), self.output()
            return False
        return True

    def output(self):
        self.log_file.seek(0)
        return self.log_file.read()

    def stop(self):
        if self.p.poll() is None:
            os.killpg(self.p.pid, signal.SIGTERM)
        assert self.p.wait(300) is not None
        self.log_file.close()

    def run_ctl(self, words, **kw):
        return super().run_ctl(words, env=self.environ, **kw)

    def here(self, c):
        """The client lives at the moved time, too."""
        c.clock = self.now
        c.http.mount('https://', NoTime())
        return c

    def client(self, user=None, password=None):
        return self.here(client.Client(self.env, user, password))

    def by_certificate(self, pair):
        return self.here(CertClient(self.env, pair))

    def anonymous(self):
        c = self.here(client.Client(dict(
            self.env, CS_CES_URL=self.env['CS_CES_RENEWAL_URL'])))
        c.header = lambda: ''
        return c


class NoTime(HTTPAdapter):
    """Python's TLS has the true time: it looks at all of the web server's
    certificate but its dates, which are doctor's to check."""

    def init_poolmanager(self, *args, **kw):
        context = ssl.create_default_context()
        context.verify_flags |= 0x200000	# X509_V_FLAG_NO_CHECK_TIME
        super().init_poolmanager(*args, ssl_context=context, **kw)


DAYS, WINDOW = 60, 14


ARC = '1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.55.'


TEMPLATE = '''
template "%s" {
	oid = "%s" version = "100.1" ca = {"Demo-CA"} type = machine
	validity = %dd renewal = %dd autoenroll = {"life-machines"}
	names = account subject = {"dns"} san = {"dns"} %s
	keys = {"ec:P-256"} hash = sha256 key-usage = {"digital-signature"}
	eku = {"client-authentication", "server-authentication"}
	providers = {"Microsoft Software Key Storage Provider"}
}
'''


def template(name, n, more=''):
    return TEMPLATE % (name, ARC + str(n), DAYS, WINDOW, more)
