"""kill -9 of the signer and of PostgreSQL under load: no client holds a
certificate without a committed row, no serial twice, the ledger verifies."""
import concurrent.futures
import contextlib
import os
import random
import re
import signal
import threading
import time

import psycopg
import pytest

import client
import wire
from adfile import entry
from database import not_waited_for, standby_gone
from ledgers import children, dead
from policies import publish, published
from schema import check_fault, check_rstrc
from waits import wait_for, wait_issue


class Load:
    """Clients that enroll until told to stop and keep a journal."""

    def __init__(self, stack, clients=6):
        self.stack, self.stop = stack, threading.Event()
        self.journal, self.faults, self.broken = [], [], []
        self.csrs = [client.make_csr(client.ec_key(), 'crash%d.demo.example' %
                                     i, [], stack.env['CS_TEMPLATE'])
                     for i in range(clients)]
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.jobs = [self.pool.submit(self.run, c) for c in self.csrs]

    def run(self, csr):
        c = client.Client(self.stack.env)
        while not self.stop.is_set():
            try:
                r = c.enroll(csr)
            except Exception as e:  # a connection that nginx cut
                self.broken.append(repr(e))
                c = client.Client(self.stack.env)
                continue
            if r.leaf:
                self.journal.append(r.leaf)
            else:
                self.faults.append(r)

    def end(self):
        self.stop.set()
        for j in self.jobs:
            j.result(300)
        return self


def check_all(stack, load):
    assert load.journal
    rows = {bytes(r[0]): bytes(r[1]) for r in stack.sql(
        'SELECT serial, der FROM countersign.certificate')}
    ders = set(rows.values())
    for der in load.journal:
        assert der in ders, 'a client holds a certificate without a row'
    serials = [client.x509.load_der_x509_certificate(d).serial_number
               for d in load.journal]
    assert len(set(serials)) == len(serials)
    for f in load.faults:
        if f.status == 500:
            check_fault(f)
            assert f.hresult in (None, 0x800704D5), f.text
            assert 'again' in f.reason, f.text
        else:
            assert f.status in (502, 503, 504), f.status
    assert stack.ctl('ledger', 'verify', ok=None).returncode == 0, \
        stack.ctl('ledger', 'verify', ok=None).stdout


@pytest.mark.parametrize('part', ['signer', 'postgres', 'worker'])
def test_kill_under_load(stack, part):
    load = Load(stack)
    time.sleep(1)
    for _ in range(3):
        victims = stack.pids(part)
        if part == 'worker':
            victims = children(victims[0])[:1] or victims
        time.sleep(random.random())     # at any moment
        for v in random.sample(victims, random.randint(1, len(victims))):
            os.kill(v, signal.SIGKILL)
        time.sleep(2)
        wait_issue(stack, load.csrs[0])
    n = len(load.journal)
    wait_for(lambda: len(load.journal) > n)     # also after the restart
    load.end()
    check_all(stack, load)


def test_signer_stopped_means_try_again(stack, demo):
    """A dead signer costs a time-out and no certificate."""
    csr = client.make_csr(client.ec_key(), 'stopped.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    pids = stack.pids('signer')
    for p in pids:
        os.kill(p, signal.SIGSTOP)
    try:
        r = demo.enroll(csr)
        check_fault(r)
        assert r.hresult == 0x800704D5 and 'again' in r.reason
    finally:
        for p in pids:
            os.kill(p, signal.SIGCONT)
    check_rstrc(wait_issue(stack, csr))


@pytest.mark.parametrize('part', ['signer', 'postgres'])
def test_down_means_try_again(stack, demo, part):
    """While a part is dead and nobody restarts it: "try again", and the same
    message later gives one certificate."""
    key = client.ec_key()
    csr = client.make_csr(key, 'down.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    message_id = 'urn:uuid:down-%s-%d' % (part, os.getpid())
    supervisor = int((stack.dir / 'run/supervisor.pid').read_text())
    check_rstrc(demo.enroll(client.make_csr(
        client.ec_key(), 'up.demo.example', [], stack.env['CS_TEMPLATE'])))
    os.kill(supervisor, signal.SIGSTOP)
    try:
        killed = stack.pids(part)
        sessions = [c for p in killed for c in children(p)]
        for p in killed:
            os.kill(p, signal.SIGKILL)
        # PostgreSQL's notice, and end.
        wait_for(lambda: all(map(dead, sessions)))
        for _ in range(2):
            r = demo.enroll(csr, message_id=message_id)
            check_fault(r)
            assert r.hresult in (None, 0x800704D5), r.text
            assert 'again' in r.reason
    finally:
        os.kill(supervisor, signal.SIGCONT)
    r = wait_for(lambda: (r := demo.enroll(
        csr, message_id=message_id)).fault is None and r)
    check_rstrc(r)
    again = demo.enroll(csr, message_id=message_id)
    assert again.leaf == r.leaf
    point = key.public_key().public_bytes(
        client.serialization.Encoding.X962,
        client.serialization.PublicFormat.UncompressedPoint)
    assert stack.sql('SELECT count(*) FROM countersign.certificate '
                     'WHERE position(%s::bytea IN der) > 0', point) == [(1,)]
    assert stack.ctl('ledger', 'verify').returncode == 0


@contextlib.contextmanager
def kept_out(stack, *signers):
    """Signers that run and have no session: one of each, it seems, is open."""
    import psycopg
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        for name in signers:
            wait_for(lambda: db.execute(
                'SELECT pg_try_advisory_lock(71200103, hashtext(%s))',
                [name]).fetchone()[0] or not db.execute(
                    'SELECT pg_terminate_backend(pid, 1000) FROM pg_locks '
                    "WHERE locktype = 'advisory' AND classid = 71200103 AND "
                    'objid = (hashtext(%s)::bigint & 4294967295)::oid',
                    [name]), every=0)
        yield


def test_a_signer_that_cannot_work(stack, demo):
    """Each key has a signer that is asked first.  When that one can do nothing,
    another one can: no key has to wait until it comes back."""
    csrs = [client.make_csr(client.ec_key(), 'cannot%d.demo.example' % i, [],
                            stack.env['CS_TEMPLATE']) for i in range(8)]
    with kept_out(stack, 'signer-2'):
        for csr in csrs:
            check_rstrc(demo.enroll(csr))


def test_no_signer_can_work(stack, demo):
    """An operator is told that, and not that something was denied."""
    csr = client.make_csr(client.ec_key(), 'nobody.demo.example', [],
                          stack.env['CS_TEMPLATE_APPROVAL'])
    number = demo.enroll(csr).request_id
    with kept_out(stack, 'signer-1', 'signer-2'):
        check_fault(r := demo.enroll(csr))
        assert r.hresult == 0x800704D5 and 'again' in r.reason
        for verdict in ('approve', 'deny'):
            r = stack.ctl('request', verdict, number, ok=3)
            assert 'no signer can decide now' in r.stderr
    wait_issue(stack, client.make_csr(client.ec_key(), 'next.demo.example', [],
                                      stack.env['CS_TEMPLATE']))
    stack.ctl('request', 'approve', number)
    check_rstrc(demo.query(number))


def test_what_was_told_stands_in_the_ledger(stack, demo):
    """A signer is killed behind its answer: should the database be restored
    before it comes back, its ledger alone knows what there was."""
    supervisor = int((stack.dir / 'run/supervisor.pid').read_text())
    csr = client.make_csr(client.ec_key(), 'told.demo.example', [],
                          stack.env['CS_TEMPLATE_APPROVAL'])
    os.kill(supervisor, signal.SIGSTOP)
    try:
        number = demo.enroll(csr).request_id
        for p in stack.pids('signer'):
            os.kill(p, signal.SIGKILL)
        ident, = stack.sql("SELECT encode(id, 'hex') FROM countersign.request "
                           'WHERE number = %s', int(number))[0]
        assert any('"type":"done"' in line and ident in line
                   for f in stack.dir.glob('ledger/*/ledger')
                   for line in f.open())
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_issue(stack, client.make_csr(client.ec_key(), 'next.demo.example', [],
                                      stack.env['CS_TEMPLATE']))


def test_policy_changed_in_between(stack, demo):
    """A new policy is in force everywhere once PostgreSQL has told of it:
    with the next request, or on a busy machine with one soon after."""
    csr = client.make_csr(client.ec_key(), 'edit.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    before = demo.enroll(csr)
    check_rstrc(before)
    publish(stack, published(stack) + '\n# edited\n')

    def changed():
        after = demo.enroll(csr)
        check_rstrc(after)
        hashes = stack.sql(
            'SELECT number, policy_hash FROM countersign.request WHERE number '
            '= ANY(%s)', [int(before.request_id), int(after.request_id)])
        return len({bytes(h) for _, h in hashes}) == 2
    wait_for(changed)


def test_operators_are_not_lied_to(stack):
    """What waits for a standby in vain is there and may be lost: PostgreSQL
    says so with a warning at COMMIT, and no command calls that a success."""
    import psycopg
    name = 'lied-%x' % time.time_ns()
    stack.account(name)
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        db.execute("""CREATE FUNCTION countersign.lie() RETURNS trigger
            LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'canceling wait';
            RETURN NULL; END $$""")
        try:
            db.execute('CREATE CONSTRAINT TRIGGER lie AFTER INSERT ON '
                       'countersign.audit DEFERRABLE INITIALLY DEFERRED '
                       'FOR EACH ROW EXECUTE FUNCTION countersign.lie()')
            for args in (['account', 'disable', name],
                         ['account', 'group', name, 'add', 'users'],
                         ['secret', 'create', '--template', 'Computer',
                          '--dns', name + '.demo.example']):
                r = stack.ctl(*args, ok=None)
                assert r.returncode != 0, args
                assert 'not durable: canceling wait' in r.stderr, r.stderr
        finally:
            db.execute('DROP TRIGGER IF EXISTS lie ON countersign.audit')
            db.execute('DROP FUNCTION countersign.lie()')
    stack.ctl('account', 'enable', name)


@pytest.mark.parametrize('what', ['refused', 'lost once', 'lost'])
def test_policy_whose_commit_fails(stack, demo, tmp_path, what):
    """Signers want file and row to be the same: neither or both, or a word
    about what to do."""
    import psycopg
    place, first = stack.dir / 'etc/policy.conf', tmp_path / 'first'
    old = place.read_text()
    new = old + '# %s %d\n' % (what, time.time_ns())
    text, conf = tmp_path / 'new.conf', tmp_path / 'countersign.conf'
    text.write_text(new)
    # Of somebody who has installed none yet.
    conf.write_text(re.sub('(?m)^policy = .*$', 'policy = "%s"' % first,
                           stack.conf.read_text()))
    for p in conf, text:
        p.chmod(0o644)
    tmp_path.chmod(0o777)
    tmp_path.parent.chmod(0o755)

    def row():
        return bytes(stack.sql('SELECT body FROM countersign.policy '
                               'ORDER BY version DESC LIMIT 1')[0][0]).decode()
    assert row() == old
    action = "RAISE 'not today'" if what == 'refused' else \
        'PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1)'
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        db.execute('CREATE SEQUENCE public.tries')
        db.execute("""CREATE FUNCTION public.late() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            IF nextval('public.tries') <= %d THEN %s; END IF;
            RETURN NULL; END $$""" % (1 if what == 'lost once' else 99,
                                      action))
        try:
            db.execute('CREATE CONSTRAINT TRIGGER late AFTER INSERT ON '
                       'countersign.policy DEFERRABLE INITIALLY DEFERRED '
                       'FOR EACH ROW EXECUTE FUNCTION public.late()')
            r = stack.ctl('policy', 'publish', str(text), ok=None)
            at_first = stack.run_ctl(stack.ctl_words(conf) + [
                'policy', 'publish', str(text)]) if what == 'refused' else None
        finally:
            db.execute('DROP TRIGGER IF EXISTS late ON countersign.policy')
            db.execute('DROP FUNCTION public.late()')
            db.execute('DROP SEQUENCE public.tries')
    if what == 'refused':
        for x in r, at_first:
            assert x.returncode != 0
            assert 'not today: nothing is published' in x.stderr
        assert place.read_text() == row() == old and not first.exists()
    elif what == 'lost once':       # asked for again
        assert r.returncode == 0, r.stderr
        assert place.read_text() == row() == new
    else:
        assert r.returncode != 0 and 'publish it again' in r.stderr
        assert place.read_text() == new and row() == old
    stack.ctl('policy', 'publish', str(text))
    assert place.read_text() == row() == new
    wait_issue(stack, client.make_csr(client.ec_key(), 'p.demo.example', [],
                                      stack.env['CS_TEMPLATE']))


def test_a_policy_that_may_be_lost(stack, tmp_path):
    """The connection ends while COMMIT waits for the standby: the row can be
    read, and is not published before it is durable."""
    import psycopg
    place = stack.dir / 'etc/policy.conf'
    old = place.read_text()
    text = tmp_path / 'policy.conf'
    text.write_text(old + '\n# may be lost %d\n' % time.time_ns())
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            r = not_waited_for(stack, db, pool, 'policy', 'publish',
                               str(text))
            assert r.returncode != 0
            assert 'publish it again' in r.stderr
    stack.ctl('policy', 'publish', str(text))
    assert place.read_text() == text.read_text()
    text.write_text(old)
    stack.ctl('policy', 'publish', str(text))


def test_an_import_that_may_be_lost(stack, tmp_path):
    """The same of a directory.  Whoever repeats it finds nothing to do, and
    is told so when that can be relied on."""
    file, name = tmp_path / 'domain.ldf', 'i%d' % os.getpid()
    file.write_text(entry(os.getpid(), name, ['users']))
    words = ['account', 'import', str(file), '--realm', 'LOST.TEST',
             '--group', 'users']
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            for _ in range(2):
                r = not_waited_for(stack, db, pool, *words)
                assert r.returncode != 0
                assert db.execute('SELECT count(*) FROM countersign.account '
                                  'WHERE name = %s',
                                  (name + '@lost.test',)).fetchone() == (1,)
    assert stack.ctl_json(*words) == []


def cancel_waits(db):
    """Of COMMITs, for a standby."""
    db.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
               "WHERE wait_event = 'SyncRep'")


def test_a_revocation_that_may_be_lost(stack, demo):
    """Its COMMIT was not waited for: no ledger has it before it is durable."""
    import psycopg
    serial = '%x' % demo.enroll(client.make_csr(
        client.ec_key(), 'lost.demo.example', [],
        stack.env['CS_TEMPLATE'])).certificate.serial_number

    def told():
        return any('"revoked"' in line and serial in line.lower()
                   for f in stack.dir.glob('ledger/*/ledger')
                   for line in f.open())
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            r = pool.submit(stack.ctl, 'cert', 'revoke', serial, '--reason',
                            'superseded', ok=3)
            end = time.time() + 15
            while time.time() < end:
                cancel_waits(db)
                time.sleep(0.1)
                assert not told()
            assert 'not durable' in r.result(300).stderr
    wait_for(told)


@pytest.mark.parametrize('template', ['CS_TEMPLATE', 'CS_TEMPLATE_APPROVAL'])
def test_what_may_be_lost_is_not_told(stack, demo, template):
    """A row whose wait for the standby was cancelled can be read.  Whoever
    asks again is not told of it before it is durable, nor of the number of
    one that waits for approval."""
    import psycopg
    name = 'wait%d.%s.demo.example' % (
        os.getpid(), template.replace('_', '-').lower())
    csr = client.make_csr(client.ec_key(), name, [], stack.env[template])
    mid = 'urn:uuid:wait-%d-%s' % (os.getpid(), template)
    row = ("SELECT count(*) FROM countersign.request WHERE state IN "
           "('issued', 'pending') AND (san LIKE '%%%s%%' OR subject LIKE "
           "'%%%s%%')" % (name, name))
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            first = pool.submit(client.Client(stack.env).enroll, csr,
                                message_id=mid)
            wait_for(lambda: db.execute(row).fetchone() != (0,) or
                     cancel_waits(db), every=0.1)
            for r in (first.result(300), demo.enroll(csr, message_id=mid)):
                check_fault(r)
                assert r.leaf is None and 'again' in r.reason
        wait_for(lambda: demo.enroll(csr, message_id=mid).fault is None)
        assert db.execute(row).fetchone() == (1,)


def test_an_approval_that_may_be_lost(stack, demo):
    """Nor is an operator told that a request is decided already."""
    import psycopg
    csr = client.make_csr(client.ec_key(), 'yes.demo.example', [],
                          stack.env['CS_TEMPLATE_APPROVAL'])
    number = demo.enroll(csr).request_id
    approve = ('request', 'approve', number)
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            first = pool.submit(stack.ctl, *approve, ok=None)
            wait_for(lambda: db.execute(
                'SELECT state FROM countersign.request WHERE number = %s',
                [number]).fetchone() == ('issued',) or cancel_waits(db),
                every=0.1)
            for r in (stack.ctl(*approve, ok=None), first.result(300)):
                assert r.returncode != 0 and 'already' not in r.stderr
    wait_for(lambda: 'is issued already' in stack.ctl(*approve,
                                                      ok=None).stderr)
    check_rstrc(demo.query(number))


def lock_waits(db):
    """Of signers, the session that waits for a lock; or None."""
    row = db.execute("SELECT pid FROM pg_stat_activity WHERE usename = "
                     "'countersign_signer' AND wait_event_type = 'Lock'"
                     ).fetchone()
    return row and row[0]


class TooLate(Exception):
    """The machine is busy: a signer has not waited so long for a lock."""


def until(what):
    """Within what a signer waits for a lock."""
    end = time.time() + 1.8
    while not (r := what()):
        if time.time() > end:
            raise TooLate
        time.sleep(0.01)
    return r


def session_that_ends(stack, pid, peers, poll, enroll):
    """A poll is answered; it comes once more, together with the other
    message, and between two of their statements the signer's session ends.
    The answers to these two."""
    dsn = stack.env['CS_DSN']
    lock = 'LOCK TABLE countersign.request IN ACCESS EXCLUSIVE MODE'
    with psycopg.connect(dsn, user='postgres', autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(4) as pool, \
            psycopg.connect(dsn, user='postgres') as one, \
            psycopg.connect(dsn, user='postgres') as two:
        one.execute(lock)
        first = pool.submit(peers[0].ask, poll)
        session = until(lambda: lock_waits(db))
        # Both come together, when the first is answered.
        later = [pool.submit(p.ask, m) for p, m in zip(peers[1:],
                                                       (enroll, poll))]
        second = pool.submit(two.execute, lock)
        time.sleep(0.5)
        one.rollback()
        if wire.status(first.result()) != 1:
            raise TooLate
        second.result()
        until(lambda: lock_waits(db) == session)
        os.kill(pid, signal.SIGSTOP)
        try:
            two.rollback()
            until(lambda: db.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND "
                "state = 'idle'", [session]).fetchone())
            db.execute('SELECT pg_terminate_backend(%s, 5000)', [session])
        finally:
            os.kill(pid, signal.SIGCONT)
        return [wire.status(x.result()) for x in later]


def test_a_session_that_nobody_looked_at(stack, demo):
    """The connection ends between two statements of one batch: the next one
    goes to another server, perhaps, and what that says is not told."""

    def csr(name):
        return client.make_csr(client.ec_key(), name, [],
                               stack.env['CS_TEMPLATE_APPROVAL'])
    number = demo.enroll(csr('polled.demo.example')).request_id
    stack.ctl('request', 'approve', number)
    pid = next(p for p in stack.pids('signer') if 'signer-1.conf' in open(
        '/proc/%d/cmdline' % p).read())
    peers = [wire.Peer(stack, 'worker') for _ in range(3)]

    def polled():
        return wire.ask(stack, wire.QUERY, wire.PASSWORD, demo.user,
                        asked=int(number))
    # Connected, so that what is sent is there at once.
    assert [wire.status(p.ask(polled())) for p in peers] == [1] * 3

    def once():
        poll = polled()
        enroll = wire.ask(stack, wire.ISSUE, wire.PASSWORD, demo.user,
                          csr('first.demo.example'))
        try:
            return session_that_ends(stack, pid, peers, poll, enroll)
        except TooLate:
            return None
    assert wait_for(once) == [6, 6]
    for p in peers:
        p.close()


def test_a_list_does_not_wait_for_others(stack, demo):
    """Somebody's transaction stays open, as while tables are repacked: what
    was revoked meanwhile is durable all the same, and gets listed."""
    import psycopg
    serial = '%x' % demo.enroll(client.make_csr(
        client.ec_key(), 'open.demo.example', [],
        stack.env['CS_TEMPLATE'])).certificate.serial_number
    with psycopg.connect(stack.env['CS_DSN'], user='postgres') as other, \
            psycopg.connect(stack.env['CS_DSN'], user='postgres',
                            autocommit=True) as db:
        other.execute('SELECT pg_current_xact_id()')
        stack.ctl('cert', 'revoke', serial, '--reason', 'superseded')
        wait_for(lambda: db.execute('SELECT count(*) FROM countersign.'
                                    'revocation_event').fetchone() == (0,))
        assert any(serial in line.lower() and '"revoked"' in line
                   for f in stack.dir.glob('ledger/*/ledger')
                   for line in f.open())
