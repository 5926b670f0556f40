"""A PostgreSQL of a test's own with the migrations in it, and rows as signers
write them."""
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import psycopg
import pytest

from waits import past_midnight, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path('/usr/lib/postgresql/15/bin')


def as_user(*args):
    """PostgreSQL refuses root: then as the user postgres."""
    drop = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
    return (drop if os.geteuid() == 0 else []) + [str(a) for a in args]


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        subprocess.run(as_user(BIN / 'initdb', '-D', folder + '/data', '-U',
                               'owner', '-A', 'trust', '-E', 'UTF8',
                               '--locale=C.UTF-8', '--no-sync'),
                       check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            as_user(BIN / 'postgres', '-D', folder + '/data', '-k', folder,
                    '-c', 'listen_addresses=', '-c', 'fsync=off', '-c',
                    'autovacuum=off'),      # its locks come at any time
            stderr=open(folder + '/log', 'w'))
        wait_for(lambda: subprocess.run(
            [BIN / 'pg_isready', '-q', '-h', folder, '-U', 'owner', '-d',
             'postgres']).returncode == 0, every=0.05)

    def connect(self, role='owner', db='countersign'):
        return psycopg.connect(host=self.folder, user=role, dbname=db,
                               autocommit=True)


@contextlib.contextmanager
def cluster():
    folder = tempfile.mkdtemp(prefix='sql')
    if os.geteuid() == 0:
        shutil.chown(folder, 'postgres', 'postgres')
    c = Cluster(folder)
    try:
        with c.connect(db='postgres') as db:
            db.execute('CREATE DATABASE countersign')
        c.made = time.strftime('%Y%m', time.gmtime())
        migrate(c, 'countersign')
        yield c
    finally:
        c.process.terminate()
        c.process.wait(300)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='module')
def pg():
    past_midnight(180)          # it has all its months from one day
    with cluster() as c:
        yield c


def write_schema(path):
    """What all of sql/ makes, without the months' tables."""
    with cluster() as c:
        subprocess.run([BIN / 'pg_dump', '-Os', '-h', c.folder, '-U', 'owner',
                        '-n', 'countersign', '-T',
                        'countersign.(certificate|request)_(other|2*)', '-f',
                        path, 'countersign'], check=True)


def migrate(c, name):
    with c.connect(db=name) as db:      # as "db migrate" does
        db.execute('CREATE TABLE IF NOT EXISTS public.countersign_migration '
                   '(name text PRIMARY KEY, sha256 text NOT NULL, '
                   'at timestamptz NOT NULL DEFAULT now())')
    for f in sorted((TOP / 'sql').glob('[0-9]*.sql')):
        with c.connect(db=name) as db, db.transaction():
            db.execute(f.read_text())


@pytest.fixture
def owner(pg):
    with pg.connect() as db:
        db.execute('SET search_path = countersign')
        yield db


def tables(db):
    return [r[0] for r in db.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND "
        "relnamespace = 'countersign'::regnamespace")]


def put_request(db, day, n, state='issued', key=None, at=None):
    rid = day.to_bytes(2, 'big') + n.to_bytes(14, 'big')
    db.execute(
        'INSERT INTO countersign.request (day, id, replay_key, number, state,'
        ' received_at, decided_at, ca, account, method, worker, signer,'
        " client_address, policy_hash, message, token) VALUES (%s, %s, %s,"
        " %s, %s, to_timestamp(%s), now(), 'CA', 'ann', 4, 'w', 's', '::1', '',"
        " '', '')", (day, rid, key or rid, n + 1, state, at or time.time()))
    return rid


def put_certificate(db, serial, rid=b'', account='ann', key=b''):
    db.execute(
        'INSERT INTO countersign.certificate (serial, ca, request_id, account,'
        ' template, subject, san, not_before, not_after, spki_sha256, der)'
        " VALUES (%s, 'CA', %s, %s, 'User', '', '', now(), now(), %s, '')",
        (serial, rid, account, key))
    return serial


def today():
    return int(time.time()) // 86400


def serial_at(unix, tail=b'\0' * 13):
    return (0x400000 + (unix - 1577836800) // 1024).to_bytes(3, 'big') + tail


def waits_for_lock(db, pid):
    wait_for(lambda: db.execute(
        'SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s',
        (pid,)).fetchone() == ('Lock',), every=0.01)


def commit_waits(db, pool, other):
    """For a standby, until that is cancelled."""
    done = pool.submit(other.execute,
                       "SELECT pg_logical_emit_message(true, '', '')")
    pid = other.info.backend_pid
    wait_for(lambda: done.done() or db.execute(
        "SELECT FROM pg_stat_activity WHERE pid = %s AND "
        "wait_event = 'SyncRep'", (pid,)).fetchone() is not None, every=0.01)
    waits = not done.done()
    if waits:
        db.execute('SELECT pg_cancel_backend(%s)', (pid,))
    done.result()
    return waits


@contextlib.contextmanager
def standby_gone(db):
    """No COMMIT is durable meanwhile."""
    db.execute("ALTER SYSTEM SET synchronous_standby_names = 'none'")
    db.execute('SELECT pg_reload_conf()')
    try:
        # PostgreSQL hears of it in its own time.
        with psycopg.connect(db.info.dsn, autocommit=True) as other, \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            wait_for(lambda: commit_waits(db, pool, other), every=0)
        yield
    finally:
        db.execute('ALTER SYSTEM RESET synchronous_standby_names')
        db.execute('SELECT pg_reload_conf()')


def not_waited_for(stack, db, pool, *args):
    """An operator's command whose connection ends at its COMMIT."""
    r = pool.submit(stack.ctl, *args, ok=None)
    wait_for(lambda: r.done() or not db.execute(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE '
        "wait_event = 'SyncRep' AND usename = 'countersign_operator'"),
        every=0.1)
    return r.result()
