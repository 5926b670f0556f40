"""Ledgers of a deployment of their own, its signers and its database: what
happens in them, what is lost, and what is said of it."""
import contextlib
import json
import os
import signal
import subprocess

import psycopg
import pytest

import client
import wire
from conftest import own_stack
from ledger_edits import damages, pg
from revocation import ask, hex_serial
from schema import check_rstrc
from waits import wait_for

AGAIN = 0x800704D5
ISSUED, PENDING, UNAVAILABLE = 1, 2, 6     # see common/msg.h


@pytest.fixture(scope='module')
def own(request):
    """Of the test file that asks."""
    with own_stack(request.module.__name__) as s:
        yield s


@pytest.fixture(scope='module')
def root(own):
    """A superuser's connections: root(database)."""
    dsn = psycopg.conninfo.make_conninfo(own.env['CS_DSN'], user='postgres')

    def connect(db='countersign'):
        return psycopg.connect(dsn, dbname=db, autocommit=True)
    return connect


def csr(own, name, template='CS_TEMPLATE'):
    return client.make_csr(client.ec_key(), name, [name], own.env[template])


def issue(own, name, **kw):
    r = client.Client(own.env, **kw).enroll(csr(own, name))
    check_rstrc(r)
    return r.certificate


def pending(own, name):
    r = client.Client(own.env).enroll(csr(own, name, 'CS_TEMPLATE_APPROVAL'))
    check_rstrc(r)
    return r.request_id


def pending_twice(own, root, name):
    """Its row is refused at first: one ledger has the same request void and
    then again, under another number."""
    message = wire.ask(own, wire.ISSUE, wire.PASSWORD, own.env['CS_USER'],
                       csr(own, name, 'CS_TEMPLATE_APPROVAL'))
    peer = wire.Peer(own, 'worker')
    with root() as db:
        db.execute("""CREATE FUNCTION public.no() RETURNS trigger
            LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$""")
        db.execute('CREATE TRIGGER no BEFORE INSERT ON countersign.request '
                   'FOR EACH ROW EXECUTE FUNCTION public.no()')
        first = peer.ask(message)
        db.execute('DROP TRIGGER no ON countersign.request')
        db.execute('DROP FUNCTION public.no()')
    answer = peer.ask(message)
    peer.close()
    assert [wire.status(a) for a in (first, answer)] == [
        UNAVAILABLE, PENDING]
    return answer[5].native


def revoke(own, cert, reason, *more):
    own.ctl('cert', 'revoke', hex_serial(cert), '--reason', reason, *more)


def lines_of(path):
    """Not the one that a signer is writing."""
    text = path.read_bytes()
    return text[:text.rfind(b'\n') + 1].splitlines(keepends=True)


def entries(path):
    return [json.loads(line) for line in lines_of(path)]


def ledger_lines(own):
    return {d.name: lines_of(d / 'ledger')
            for d in sorted((own.dir / 'ledger').glob('*/'))}


def children(pid):
    out = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)],
                         capture_output=True, text=True).stdout
    return [int(p) for p in out.split()]


def dead(pid):
    try:
        return open('/proc/%d/stat' % pid).read().split(') ')[1][0] == 'Z'
    except FileNotFoundError:
        return True


def signers(own, not_these=()):
    """Process ids, when all are ready."""
    def ready():
        pids, log = own.pids('signer'), own.log('signer')
        return all(p not in not_these and not dead(p) and
                   'pid=%d event=ready' % p in log for p in pids) and pids
    return wait_for(ready)


def restart_signers(own):
    """Ended by TERM each signs a head; the supervisor starts them again."""
    pids = signers(own)
    for p in pids:
        os.kill(p, signal.SIGTERM)
    signers(own, pids)


@contextlib.contextmanager
def at_rest(own):
    """No signer runs: each has told everything and signed a head, and nobody
    writes into ledgers and tables but the test."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    pids = signers(own)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for p in pids:
            os.kill(p, signal.SIGTERM)
        wait_for(lambda: all(map(dead, pids)))
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
        signers(own, pids)


def make_void(own, root):
    """A certificate that was signed and whose row the database refuses."""
    with root() as db:
        db.execute('CREATE FUNCTION public.no() RETURNS trigger LANGUAGE '
                   "plpgsql AS $$ BEGIN RAISE 'no'; END $$")
        db.execute('CREATE TRIGGER no BEFORE INSERT ON countersign.request '
                   "FOR EACH ROW WHEN (NEW.subject ~ 'void') "
                   'EXECUTE FUNCTION public.no()')
        r = client.Client(own.env).enroll(csr(own, 'void.demo.example'))
        assert r.fault is not None
        db.execute('DROP TRIGGER no ON countersign.request')
        db.execute('DROP FUNCTION public.no()')
    # The next request of that signer settles it.
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'next.demo.example')) and own.sql(
            'SELECT count(*) FROM countersign.void_serial')[0][0])


def life(own, root, mark):
    """Some of everything that a signer writes down."""
    certs = [issue(own, '%s%d.demo.example' % (mark, i)) for i in range(5)]
    client.Client(own.env).enroll(client.make_csr(
        client.ec_key(), 'x', [], 'NoSuchTemplate'))
    ids = [pending(own, '%s%dwait.demo.example' % (mark, i)) for i in range(3)]
    own.ctl('request', 'approve', str(ids[0]), '--reason', 'known')
    own.ctl('request', 'deny', str(ids[1]), '--reason', 'unknown')
    revoke(own, certs[0], 'keyCompromise', '--note', 'lost')
    revoke(own, certs[1], 'certificateHold')
    revoke(own, certs[2], 'certificateHold')
    ask(certs[0])
    own.ctl('cert', 'release', hex_serial(certs[2]))
    revoke(own, certs[1], 'superseded')
    return certs, ids


@pytest.fixture(scope='module')
def lived(own, root):
    make_void(own, root)
    certs, ids = life(own, root, 'a')
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.'
                             'revocation_event') == [(0,)])
    restart_signers(own)    # what a signer writes when it has nothing to do
    return certs, ids


@pytest.fixture
def stopped(own):
    """The supervisor sleeps, so that signers stay dead."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    signers(own)        # those that the test before has ended
    os.kill(supervisor, signal.SIGSTOP)
    yield
    os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'up.demo.example')).fault is None)


def as_signer(own, conf):
    """Run a signer until it ends; what it says at the end."""
    words = own.ctl_words()
    at = words.index('-c')
    words[at - 1] = words[at - 1] + '-signer'
    words[at + 1] = str(conf)
    r = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert r.returncode == 1, r.stderr
    return r.stderr


def counts(own):
    return {r['check']: r['count'] for r in own.ctl_json('ledger', 'verify')}


def change(db, *statements):
    """Past the triggers, as the database's superuser."""
    db.execute('SET session_replication_role = replica')
    for s in statements:
        db.execute(s)


def restore(own, root, dump):  # noqa: F811
    with root('postgres') as db:
        db.execute('DROP DATABASE countersign WITH (FORCE)')
        db.execute('CREATE DATABASE countersign OWNER countersign_owner')
    pg(own, 'pg_restore', '-d', 'countersign', str(dump))


TABLES = ('account', 'account_group', 'blocked_key', 'key_owner')


@pytest.fixture
def put_back(own, root):  # noqa: F811
    with root() as db:
        change(db, 'BEGIN', *['CREATE TABLE public.was_%s AS TABLE '
                              'countersign.%s' % (t, t) for t in TABLES],
               'COMMIT')
        yield db
        change(db, 'BEGIN', *['DELETE FROM countersign.' + t
                              for t in reversed(TABLES)],
               *['INSERT INTO countersign.%s TABLE public.was_%s' % (t, t)
                 for t in TABLES],
               *['DROP TABLE public.was_' + t for t in TABLES], 'COMMIT')
    assert damages(own, own.conf) == (0, [])


def reconcile(own, *args, ok=True):
    return own.ctl_json('reconcile', *args, ok=ok)
