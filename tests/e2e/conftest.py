"""Every test here drives the real stack: nginx, workers, signer, PostgreSQL,
as "make run" starts it, in a folder of its own.  CS_ENV names the env file of
a stack that runs already (quicker while writing tests)."""
import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SHARED = TOP.parent / 'shared'
# Runs side by side have a stack each; those of its tests' own are beside it.
STATE = TOP / os.environ.get('CS_TEST_STATE', 'var/e2e')
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
# What an assertion compared is told of helpers, too, not of tests alone.
pytest.register_assert_rewrite(*(f.stem for f in HERE.glob('*.py') if not
                                 f.stem.startswith(('test_', 'conftest'))))

import client  # noqa: E402
from second_site import ctl_words  # noqa: E402
from waits import wait_for  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What fails is told at once: the report comes when all have run."""
    report = (yield).get_result()
    if report.failed:
        capture = item.config.pluginmanager.getplugin('capturemanager')
        with capture.global_and_fixture_disabled():
            print('\nFAILED %s: %.300s' % (
                item.nodeid, call.excinfo.exconly().split('\n')[0]),
                file=sys.stderr, flush=True)


def read_env(path):
    return dict(part.split('=', 1) for line in open(path)
                for part in shlex.split(line) if '=' in part)


# Commands whose change PostgreSQL tells workers and signers, and those of
# theirs that change nothing.
TOLD = {'account', 'ca', 'policy', 'reconcile', 'secret'}
ONLY_LOOK = {'check', 'diff', 'export', 'list', 'page', 'show'}
SENDING = "FROM pg_stat_activity WHERE state = 'idle' AND usename IN (" \
    "'countersign_signer', 'countersign_worker') AND wait_event IS DISTINCT " \
    "FROM 'ClientRead'"


class Stack:
    """A running deployment and its command line."""

    def __init__(self, env_file):
        self.env_file = pathlib.Path(env_file)
        self.dir = self.env_file.parent
        self.env = read_env(env_file)

    def ctl_words(self, conf=None):
        """Program and options of the command line, perhaps with another
        configuration."""
        words = ctl_words(self.env)
        if conf is not None:
            words[words.index('-c') + 1] = str(conf)
        return words

    @property
    def bin(self):
        """Where the programs of this stack are."""
        words = self.ctl_words()
        return pathlib.Path(words[words.index('-c') - 1]).parent

    @property
    def conf(self):
        words = self.ctl_words()
        return pathlib.Path(words[words.index('-c') + 1])

    def ctl(self, *args, ok=True, input=None):
        """Run the command line; ok=None takes any exit code.  Behind a change
        everybody has been told of it."""
        r = self.run_ctl(shlex.split(self.env['CS_CTL']) + list(args),
                         input=input)
        words = [a for a in args if a != '--json'][:2]
        if TOLD & set(words[:1]) and not ONLY_LOOK & set(words[1:]):
            self.told()
        if ok is not None:
            # A text: pytest would cut a tuple, and with it what was wrong.
            assert r.returncode == (0 if ok is True else ok), '%s: %d\n%s%s' % (
                ' '.join(args), r.returncode, r.stdout, r.stderr)
        return r

    def told(self):
        """Waits until PostgreSQL has sent what was notified before: each of
        its processes does so when it has its turn, and until then workers and
        signers answer as before.  Two messages as long as a page of its queue
        come behind, so that the queue is empty when all have been read; what
        has been read is sent when its reader waits again.  Not for ever: a
        process with an open transaction reads nothing."""
        import psycopg
        dsn = psycopg.conninfo.make_conninfo(self.env['CS_DSN'],
                                             user='postgres')
        with contextlib.suppress(psycopg.OperationalError, AssertionError), \
                psycopg.connect(dsn, autocommit=True) as db:
            for c in 'ab':
                db.execute("NOTIFY countersign_nobody, '%s'" % (c * 7999))
            wait_for(lambda: db.execute(
                'SELECT pg_notification_queue_usage()').fetchone() == (0,) and
                db.execute('SELECT ' + SENDING).fetchone() is None, 20, 0.01)

    def run_ctl(self, words, **kw):
        return subprocess.run(words, capture_output=True, text=True,
                              timeout=300, **kw)

    def ctl_json(self, *args, **kw):
        import json
        return json.loads(self.ctl('--json', *args, **kw).stdout)

    def account(self, name, password='correct horse', groups=(), **attrs):
        """Make (once) an account to test with; returns a client for it."""
        args = ['account', 'add', name, '--password-stdin']
        for g in groups:
            args += ['--group', g]
        for k, v in attrs.items():
            if k == 'machine':
                args += ['--machine']
            else:
                args += ['--' + k, v]
        self.ctl(*args, input=password + '\n')
        return client.Client(self.env, name, password)

    def sql(self, query, *params):
        import psycopg
        with psycopg.connect(self.env['CS_DSN']) as c:
            return c.execute(query, params).fetchall()

    def pids(self, part):
        """Process ids of one part, from its pid files."""
        return [int(p.read_text()) for p in
                sorted((self.dir / 'run').glob(part + '*.pid'))]

    def log(self, part):
        return ''.join(p.read_text(errors='replace') for p in
                       sorted((self.dir / 'log').glob(part + '*')))


def clean(state):
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                   env=dict(os.environ, STATE=str(state)))


START = 600     # seconds: until all of a stack is set up and runs


def start(state, log, variables):
    """Returns when it is ready or has ended."""
    (state / 'env').unlink(missing_ok=True)
    p = subprocess.Popen(['make', '-s', 'run', 'STATE=%s' % state], cwd=TOP,
                         env=dict(os.environ, **variables),
                         stdout=open(log, 'w'), stderr=subprocess.STDOUT,
                         start_new_session=True)
    try:
        wait_for(lambda: (state / 'env').exists() or p.poll() is not None,
                 START, 0.1)
    except AssertionError:
        end(p)
        raise
    return p


@contextlib.contextmanager
def running(state, **variables):
    """A deployment of its own in this folder, as "make run" starts it."""
    log = TOP / 'var' / (state.name + '.log')
    log.parent.mkdir(exist_ok=True)
    p = start(state, log, variables)
    if p.poll() is not None and 'Address already in use' in log.read_text():
        # Another stack, begun at the same time, chose this port, too.
        clean(state)
        p = start(state, log, variables)
    try:
        assert p.poll() is None, 'make run ended: see %s' % log
        yield Stack(state / 'env')
    finally:
        end(p)


@contextlib.contextmanager
def own_stack(name, **variables):
    """A new deployment, for tests that would disturb others."""
    state = STATE.with_name('%s-%s' % (STATE.name, name))
    clean(state)
    with running(state, **variables) as s:
        yield s


def end(p):
    """Not SIGINT: a shell's background jobs, and all below, ignore it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(p.pid, signal.SIGTERM)
    try:
        p.wait(300)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        raise


@pytest.fixture(scope='session')
def stack(tmp_path_factory):
    if 'CS_ENV' in os.environ:
        yield Stack(os.environ['CS_ENV'])
        return
    with running(STATE) as s:
        yield s


@pytest.fixture(scope='session')
def gap(tmp_path_factory):
    """A stack with a CA behind an air gap, for all that test it."""
    from airgap import Gap
    shim = tmp_path_factory.mktemp('shim') / 'crash.so'
    shim.parent.chmod(0o755)
    subprocess.run(['cc', '-shared', '-fPIC', '-D_GNU_SOURCE', '-o', shim,
                    TOP / 'tests/e2e/shim_crash.c', '-ldl'], check=True)
    with own_stack('airgap', AIRGAP='1', SIGNERS='1', PROCESSES='1',
                   THREADS='4') as s:
        yield Gap(s.env_file, shim)


@pytest.fixture(scope='session')
def gap_user(gap):
    """The demo user, before the air gap."""
    return client.Client(gap.env)


@pytest.fixture
def admin(stack):
    """What PostgreSQL's superuser executes."""
    import psycopg
    dsn = ' '.join(p if not p.startswith('user=') else 'user=postgres'
                   for p in stack.env['CS_DSN'].split())
    with psycopg.connect(dsn, autocommit=True) as c:
        yield c.execute


@pytest.fixture(scope='session')
def demo(stack):
    """The demo user."""
    return client.Client(stack.env)


@pytest.fixture(scope='module')
def krb(stack, tmp_path_factory):
    """The stack with a KDC, for all that log on by Kerberos."""
    import realm
    if not realm.PRESENT:
        pytest.skip('krb5-kdc, krb5-admin-server, krb5-user: not installed')
    pytest.importorskip('gssapi')
    with realm.set_up(stack, tmp_path_factory.mktemp('kdc')) as s:
        yield s


@pytest.fixture(scope='session')
def shared():
    """The captures of real clients; absent in a plain clone."""
    if not (SHARED / 'captures').is_dir():
        pytest.skip('no ../shared: captures of real clients are not here')
    return SHARED
