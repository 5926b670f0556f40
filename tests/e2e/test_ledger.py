"""Ledgers, signed heads, and a database from yesterday, in a deployment of
their own: it is restored from a backup, and its ledgers run out of space."""
import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
from airgap import cmc_status
from conftest import TOP, running
from ledger_edits import Edits, damages, pg, rehash
from schema import check_fault, check_rstrc
from test_revocation import (GOOD, REVOKED, ask, entry, fetch_crl,
                             hex_serial, wait_for)

EDITS = int(os.environ.get('EDITS', '40'))
SEED = int(os.environ.get('SEED', '7'))
AGAIN = 0x800704D5
ISSUED, PENDING, UNAVAILABLE = 1, 2, 6     # see common/msg.h


@pytest.fixture(scope='module')
def own():
    state = TOP / 'var/ledger'
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                   env={**os.environ, 'STATE': str(state)})
    with running(state) as s:
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
    import test_attacks_worker as wire      # which needs this file
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
    return wait_for(ready, 60)


def restart_signers(own):
    """Ended by TERM each signs a head; the supervisor starts them again."""
    pids = signers(own)
    for p in pids:
        os.kill(p, signal.SIGTERM)
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
            'SELECT count(*) FROM countersign.void_serial')[0][0], 40)


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
    time.sleep(1.5)         # what a signer writes when it has nothing to do
    return certs, ids


# Heads --------------------------------------------------------------------

def test_everything_is_in_the_chain(own, lived):
    entries = [json.loads(line) for f in (own.dir / 'ledger').glob('*/ledger')
               for line in open(f)]
    kinds = {e['type'] for e in entries}
    assert kinds >= {'start', 'head', 'intent', 'issued', 'done', 'denied',
                     'pending', 'void', 'crl', 'listed', 'revoked',
                     'released', 'responder', 'responder-issued',
                     'audit'}
    code, found = damages(own, own.conf, '--heads', own.dir / 'ledger/heads')
    assert code == 0, found
    assert own.sql('SELECT count(*) FROM countersign.revocation_event'
                   ) == [(0,)]


def test_heads_are_copied(own, lived):
    restart_signers(own)
    lines = (own.dir / 'ledger/heads').read_text().splitlines()
    heads = [json.loads(x) for x in lines]
    for d in (own.dir / 'ledger').glob('*/'):
        ledger = [json.loads(x) for x in open(d / 'ledger')]
        mine = [h for h in heads if h['ledger'] == d.name]
        assert len(mine) == len([e for e in ledger if e['type'] == 'head'])
        for h in mine:
            assert ledger[h['seq'] - 1]['hash'] == h['hash']
            assert ledger[h['seq'] - 1]['type'] == 'head'
        row, = own.sql('SELECT head FROM countersign.ledger_head '
                       'WHERE signer = %s', d.name)
        assert json.loads(row[0]) in mine


def test_a_ledger_of_nobody(own, lived, tmp_path):
    """Of a forged one that names no signer everything is found, its void
    serial numbers, too."""
    tmp_path.chmod(0o755)
    for name, lines in ledger_lines(own).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'ledger').write_bytes(b''.join(rehash([], [
            x.replace(b'"type":"start"', b'"type":"begun"') for x in lines])))
    code, found = damages(own, own.conf, *sorted(tmp_path.iterdir()))
    said = {(x['check'], x['text']) for x in found}
    assert code == 4 and ('chain', 'has no entry "start"') in said
    assert ('row', 'is not what the ledger says') in said


@pytest.fixture
def stopped(own):
    """The supervisor sleeps, so that signers stay dead."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    os.kill(supervisor, signal.SIGSTOP)
    yield
    os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'up.demo.example')).fault is None, 60)


def as_signer(own, conf):
    """Run a signer until it ends; what it says at the end."""
    words = own.ctl_words()
    at = words.index('-c')
    words[at - 1] = words[at - 1] + '-signer'
    words[at + 1] = str(conf)
    r = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1, r.stderr
    return r.stderr


def test_cut_ledger_is_not_continued(own, lived, stopped):
    """A signer that would go on with an old copy."""
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    file = own.dir / 'ledger/signer-1/ledger'
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    try:
        # None at all; an empty one would be a damage to reconcile.
        file.rename(own.dir / 'away')
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'cut off or is an old copy' in said and not file.exists()
        (own.dir / 'away').rename(file)
        with open(file, 'r+b') as f:    # the same inode and owner
            f.truncate(len(b''.join(lines[:-3])))
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'cut off or is an old copy' in said
        # The whole file of another signer.
        with open(file, 'wb') as f:
            f.write((own.dir / 'ledger/signer-2/ledger').read_bytes())
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'that of signer signer-2' in said
    finally:
        file.write_bytes(whole)


def test_copy_that_cannot_be_written_stops_signing(own, lived, stopped,
                                                   tmp_path):
    conf = own.conf.parent / 'signer-1.conf'
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    other = own.conf.parent / 'signer-1-heads.conf'
    other.write_text(re.sub('head-file = .*', 'head-file = "/dev/full"',
                            conf.read_text()))
    shutil.copystat(conf, other)
    if os.geteuid() == 0:
        shutil.chown(other, conf.owner(), conf.group())
    try:
        said = as_signer(own, other)
        assert 'head-file /dev/full: No space left' in said
    finally:
        other.unlink()


# Audit that cannot be written ----------------------------------------------

@pytest.fixture
def only_one(own):
    """Signer 2 sleeps: everything goes to signer 1, which nobody starts
    again."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    one, other = signers(own)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(other, signal.SIGSTOP)
    yield one
    os.kill(other, signal.SIGCONT)
    os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'up.demo.example')).fault is None, 60)
    own.ctl('ledger', 'verify')


def refused(own, pid, name):
    """No certificate without a record."""
    before = own.sql('SELECT count(*) FROM countersign.certificate')
    r = client.Client(own.env).enroll(csr(own, name))
    check_fault(r)
    assert r.hresult in (None, AGAIN)
    wait_for(lambda: dead(pid))
    assert 'ledger: ' in re.findall(r'event=stop text="(.*?)"', own.log(
        'signer-1'))[-1]
    assert own.sql('SELECT count(*) FROM countersign.certificate') == before


def test_full_disk_stops_signing(own, lived, only_one):
    """RLIMIT_FSIZE: the write fails in the middle, as on a full disk."""
    size = (own.dir / 'ledger/signer-1/ledger').stat().st_size
    subprocess.run(['prlimit', '--pid', str(only_one),
                    '--fsize=%d' % (size + 100)], check=True)
    refused(own, only_one, 'full.demo.example')


def can_trace(pid):
    r = subprocess.run(['timeout', '1', 'strace', '-p', str(pid), '-e',
                        'trace=none'], capture_output=True, text=True)
    return 'ptrace' not in r.stderr


@pytest.mark.parametrize('error', ['EIO', 'ENOSPC'])
def test_failed_sync_stops_signing(own, lived, only_one, error):
    if not can_trace(only_one):
        pytest.skip('may not trace')
    tracer = subprocess.Popen(
        ['strace', '-f', '-p', str(only_one), '-e', 'trace=fdatasync', '-e',
         'inject=fdatasync:error=%s:when=1+' % error], stderr=subprocess.PIPE,
        text=True)
    try:
        assert 'attached' in tracer.stderr.readline()
        refused(own, only_one, 'sync.demo.example')
    finally:
        tracer.kill()
        tracer.wait()


# 1,000 random edits ---------------------------------------------------------

@pytest.fixture(scope='module')
def edits(own, root, lived, tmp_path_factory):
    restart_signers(own)
    time.sleep(1.5)
    e = Edits(own, root, tmp_path_factory.mktemp('edits'),
              random.Random(SEED))
    yield e
    e.db.close()
    e.conf.unlink()


def test_random_edits_are_found(edits):
    assert edits.verify() == (0, [])
    missed = []
    for n in range(EDITS):
        text = edits.one()
        code, found = edits.verify()
        if code != 4 or not found:
            missed.append((n, text))
        edits.restore()
    assert not missed, 'seed %d' % SEED
    assert edits.verify() == (0, [])


def test_a_repeated_request_is_one_signer_s(own, lived):
    """Both wrote it down, and one died: what is there is the other's."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    mine, other = (own.dir / 'ledger' / n / 'ledger' for n in
                   ('signer-1', 'signer-2'))
    pid = signers(own)[0]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: dead(pid))
        number = pending(own, 'both.demo.example')
        line = [x for x in open(other, 'rb') if b'"type":"pending"' in x][-1]
        entry = json.loads(line)
        row = bytearray(base64.b64decode(entry['request']))
        row[57] ^= 1            # the number
        line = line.replace(entry['request'].encode(), base64.b64encode(row))
        with open(mine, 'r+b') as f:
            lines = f.readlines()
            f.write(rehash(lines, [line])[-1])
    finally:
        os.kill(supervisor, signal.SIGCONT)
    signers(own, [pid])
    wait_for(lambda: [x for x in open(mine, 'rb') if b'"type":"void"' in x
                      and entry['id'].encode() in x])
    assert damages(own, own.conf) == (0, [])
    # Void here, committed there, and decided since.
    own.ctl('request', 'approve', number)
    assert damages(own, own.conf) == (0, [])


@pytest.fixture
def standing(own):
    """No signer goes on: what is copied stays what it was."""
    pids = signers(own)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_number_of_a_list_tried_twice(own, lived, standing, tmp_path):
    """Signed by one that never committed it, and then by another."""
    tmp_path.chmod(0o755)
    for d in (own.dir / 'ledger').glob('*/'):
        shutil.copytree(d, tmp_path / d.name)
    lists = {d: [x for x in open(d / 'ledger', 'rb') if b'"type":"crl"' in x]
             for d in sorted(tmp_path.iterdir())}
    tried = next(v for v in lists.values() if v)[-1]
    for d in lists:
        lines = open(d / 'ledger', 'rb').readlines()
        more = [re.sub(rb'"tbs":"..', b'"tbs":"' + x, tried)
                for x in (b'00', b'ff')]
        (d / 'ledger').write_bytes(b''.join(rehash(lines, more)))
    for dirs in (list(lists), list(lists)[::-1]):
        assert damages(own, own.conf, *dirs) == (0, [])


# A database from yesterday ---------------------------------------------------

def reconcile(own, *args, ok=True):
    return own.ctl_json('reconcile', *args, ok=ok)


def secret(own, name):
    row, = own.ctl_json('secret', 'create', '--template',
                        own.env['CS_TEMPLATE_MACHINE'], '--dns', name)
    return row['secret']


def as_owner(own, folder):
    if os.geteuid() == 0:
        subprocess.run(['chown', '-R', own.conf.owner(), folder], check=True)
        folder.parent.chmod(0o755)
    return [str(d) for d in sorted(folder.glob('*'))]


def not_signed(own, folder, cert):
    """Copies of the ledgers in which that certificate has another signature,
    every hash computed anew, and no head behind it."""
    der = cert.public_bytes(serialization.Encoding.DER)
    bad = der[:-1] + bytes([der[-1] ^ 1])
    for d in sorted((own.dir / 'ledger').glob('*/')):
        lines = (d / 'ledger').read_bytes().splitlines(keepends=True)
        at = [i for i, x in enumerate(lines) if b'"type":"issued"' in x and
              json.loads(x)['serial'] == '%032x' % cert.serial_number]
        if at:
            e = json.loads(lines[at[0]])
            row = base64.b64decode(e['row']).replace(
                hashlib.sha256(der).digest(), hashlib.sha256(bad).digest())
            for old, new in ((e['row'], row), (e['certificate'], bad)):
                lines[at[0]] = lines[at[0]].replace(
                    old.encode(), base64.b64encode(new))
            lines = rehash(lines[:at[0]], [
                x for x in lines[at[0]:] if b'"type":"head"' not in x])
        (folder / d.name).mkdir(parents=True)
        (folder / d.name / 'ledger').write_bytes(b''.join(lines))
    return as_owner(own, folder)


def test_restored_from_an_old_backup(own, root, lived, tmp_path):
    old = issue(own, 'old.demo.example')
    held = issue(own, 'held.demo.example')
    revoke(own, held, 'certificateHold')
    waits = pending(own, 'waits.demo.example')
    wait_for(lambda: entry(held))
    key = secret(own, 'once.demo.example')
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')

    # What the backup does not have.
    once = client.Client(own.env, 'once.demo.example', key)
    used = once.enroll(client.make_csr(client.ec_key(), template=own.env[
        'CS_TEMPLATE_MACHINE']))
    check_rstrc(used)
    certs, ids = life(own, root, 'b')
    own.ctl('request', 'approve', str(waits), '--reason', 'ticket 9')
    late = pending_twice(own, root, 'late.demo.example')
    again = pending_twice(own, root, 'again.demo.example')
    own.ctl('request', 'approve', str(again))
    new = issue(own, 'new.demo.example')
    for c in (old, new):
        revoke(own, c, 'keyCompromise', '--note', 'found')
    own.ctl('cert', 'release', hex_serial(held))
    wait_for(lambda: entry(new) and entry(held) is None)
    assert ask(new).certificate_status == REVOKED
    number = fetch_crl(new).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number
    rows = own.sql('SELECT count(*) FROM countersign.certificate')
    time.sleep(1.5)

    with root('postgres') as db:
        db.execute('DROP DATABASE countersign WITH (FORCE)')
        db.execute('CREATE DATABASE countersign OWNER countersign_owner')
    pg(own, 'pg_restore', '-d', 'countersign', str(dump))

    # Nobody signs, also not after a restart, and it is said why.
    def refused():
        r = client.Client(own.env).enroll(csr(own, 'no.demo.example'))
        check_fault(r)
        assert r.hresult in (None, AGAIN) and 'again' in r.reason
    refused()
    pids = signers(own)
    for p in pids:
        os.kill(p, signal.SIGKILL)
    signers(own, pids)
    assert 'run countersign reconcile' in own.log('signer-1')
    assert 'run countersign reconcile' in own.log('signer-2')
    refused()
    finding, = [r for r in own.ctl_json('doctor', ok=1)
                if r['check'] == 'rollback' and r['result'] == 'fail'][:1]
    assert 'countersign reconcile' in finding['advice']
    assert damages(own, own.conf, code=4)

    # Told first, changed then.
    told = reconcile(own)
    missing = [r for r in told if r['count'] is None]
    assert told[-1] == {'what': 'missing', 'count': len(missing),
                        'text': 'put it back with --apply'}
    assert 'certificate %032x' % new.serial_number in {
        r['what'] for r in missing}
    assert reconcile(own) == told

    # A row that no signer signed: renewals would believe it.
    forged = not_signed(own, tmp_path / 'forged', new)
    with root() as db:
        db.execute('DELETE FROM countersign.ledger_head')
    r = own.ctl('reconcile', '--apply', *forged, ok=1)
    assert ('certificate %032x is not signed' % new.serial_number in r.stderr
            and 'no signer wrote that' in r.stderr)
    done = {r['what']: r['count'] for r in reconcile(own, '--apply')
            if r['text'] == 'put back'}
    assert done['certificates'] >= 8 and done['decisions'] == 1
    assert reconcile(own)[-1]['count'] in (0, 1)    # the list is being made

    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'yes.demo.example')).fault is None, 60)
    assert own.sql('SELECT count(*) FROM countersign.certificate')[0][0] > \
        rows[0][0]
    for c in (old, new, certs[0]):
        assert ask(c).certificate_status == REVOKED
    for c in (held, certs[2]):
        assert ask(c).certificate_status == GOOD
    wait_for(lambda: fetch_crl(new).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number > number)
    assert entry(old) and entry(new) and entry(held) is None
    row, = own.ctl_json('cert', 'show', hex_serial(new))
    assert row['revocation_note'] == 'found'

    # Clients find what they waited for; what waits can still be decided.
    me = client.Client(own.env)
    r = me.query(waits)
    assert r.certificate is not None
    # No row and no ledger has that answer any more: it is signed anew.
    assert len(cmc_status(r.cmc)[0]['signer_infos']) == 1
    own.ctl('request', 'approve', str(late), '--reason', 'late')
    assert me.query(late).certificate is not None
    assert me.query(again).certificate is not None
    assert me.query(ids[1]).fault is not None
    r = once.enroll(client.make_csr(client.ec_key(), template=own.env[
        'CS_TEMPLATE_MACHINE']))
    assert r.fault is not None
    time.sleep(1.5)
    assert damages(own, own.conf, '--heads', own.dir / 'ledger/heads') == (
        0, [])
    assert reconcile(own)[-1] == {
        'what': 'missing', 'count': 0,
        'text': 'the database has everything'}


def test_what_another_signer_found_counts_at_once(own, root, lived):
    """One that lost nothing itself is at work, in a session of before."""
    def void():
        return sum(x.count(b'"type":"void"') for lines in
                   ledger_lines(own).values() for x in lines)
    issue(own, 'before.demo.example')
    rows = 'SELECT count(*) FROM countersign.certificate'
    with root() as db:
        before, was_void = db.execute(rows).fetchone(), void()
        db.execute("SELECT countersign.rollback_found('signer-9', 'gone')")
        try:
            for n in range(6):
                r = client.Client(own.env).enroll(csr(own, 'no%d.x' % n))
                check_fault(r)
                assert r.hresult in (None, AGAIN) and 'again' in r.reason
            assert db.execute(rows).fetchone() == before
        finally:
            reconcile(own, '--apply')
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'after.demo.example')).fault is None, 60)
    # Each looked when it was refused once.
    wait_for(lambda: void() > was_void)
    assert void() - was_void <= 2


def test_a_report_that_reconcile_was_before(own, lived, root):
    """Found before reconcile had put it back, and told behind it."""
    found = "SELECT countersign.rollback_found('signer-9', 'gone', %s)"
    opened = 'SELECT count(*) FROM countersign.rollback WHERE ended_at IS NULL'
    with root() as db:
        ended, = db.execute('SELECT count(*) FROM countersign.rollback '
                            'WHERE ended_at IS NOT NULL').fetchone()
        db.execute("SELECT countersign.rollback_found('signer-8', 'gone')")
        with root() as reconciling, \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            with reconciling.transaction():
                reconciling.execute("SELECT countersign.rollback_end('test')")
                told = pool.submit(db.execute, found, (ended,))
                time.sleep(0.5)
                assert not told.done()
            told.result(timeout=20)
        assert db.execute(opened).fetchone() == (0,)
        db.execute(found, (ended,))
        assert db.execute(opened).fetchone() == (0,)
        # What is missing still is told.
        db.execute(found, (ended + 1,))
        assert db.execute(opened).fetchone() == (1,)
    reconcile(own, '--apply')
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'again.demo.example')).fault is None, 60)


def ledger_lines(own):
    return {d.name: (d / 'ledger').read_bytes().splitlines(keepends=True)
            for d in sorted((own.dir / 'ledger').glob('*/'))}


def without_heads(own, folder, before, change=lambda line: line):
    """Copies of the ledgers: no head vouches for what came since."""
    for name, lines in ledger_lines(own).items():
        n = len(before[name])
        (folder / name).mkdir(parents=True)
        (folder / name / 'ledger').write_bytes(b''.join(rehash(
            lines[:n], [change(x) for x in lines[n:]
                        if b'"type":"head"' not in x])))
    return as_owner(own, folder)


def decided_elsewhere(own, name):
    """By another signer than the one to which it came: number and id."""
    import test_attacks_worker as wire      # which needs this file
    came, other = wire.Peer(own, 'worker', 0), wire.Peer(own, 'operator', 1)
    answer = came.ask(wire.ask(own, wire.ISSUE, wire.PASSWORD, own.env[
        'CS_USER'], csr(own, name, 'CS_TEMPLATE_APPROVAL')))
    assert wire.status(answer) == PENDING
    ident, = own.sql('SELECT id FROM countersign.request WHERE number = %s',
                     answer[5].native)[0]
    assert wire.status(other.ask(wire.ask(
        own, wire.APPROVE, wire.OPERATOR, '', verdict=wire.seq(
            wire.octets(ident), wire.text('root'), wire.text('known'),
            wire.text(''))))) == ISSUED
    for p in came, other:
        p.close()
    return answer[5].native, ident.hex().encode()


def without_done(ident):
    """As if the signer that it came to had died before it wrote that."""
    came = []

    def change(line):
        if ident not in line:
            return line
        if b'"type":"pending"' in line:
            came.append(line)
        elif b'"type":"done"' in line and came:
            came.clear()
            return line.replace(b'"type":"done"', b'"type":"none"')
        return line
    return change


def test_unsigned_tail(own, root, lived, tmp_path):
    """Account and template of a certificate stand in the ledger alone."""
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    before = ledger_lines(own)
    decided, ident = decided_elsewhere(own, 'decided.demo.example')
    cert = issue(own, 'tail.demo.example')
    with root('postgres') as db:
        db.execute('DROP DATABASE countersign WITH (FORCE)')
        db.execute('CREATE DATABASE countersign OWNER countersign_owner')
    pg(own, 'pg_restore', '-d', 'countersign', str(dump))
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)], 60)
    # Signers that find it sign what they have; one without requests looks
    # every 30 s.
    wait_for(lambda: not [r for r in reconcile(own)
                          if r['what'] == 'unsigned tail'], 60)
    with root() as db:
        db.execute('DELETE FROM countersign.ledger_head')
    serial = b'%032x' % cert.serial_number

    def boss(line):
        """Another account, as long as the one it was."""
        if serial not in line or b'"type":"i' not in line:
            return line
        e = json.loads(line)
        for k in 'request', 'row':
            if k in e:
                raw = base64.b64decode(e[k])
                line = line.replace(e[k].encode(), base64.b64encode(
                    raw.replace(b'\0\0\0\4demo', b'\0\0\0\4boss')))
        return line.replace(b'"account":"demo"', b'"account":"boss"')
    forged = without_heads(own, tmp_path / 'forged', before, boss)
    assert b'"account":"boss"' in b''.join(
        (pathlib.Path(d) / 'ledger').read_bytes() for d in forged)
    told = reconcile(own, *forged)
    assert {r['text'] for r in told if r['what'] == 'unsigned tail'}
    r = own.ctl('reconcile', '--apply', *forged, ok=1)
    assert 'stand behind the last signed head' in r.stderr, r.stderr
    assert '--trust-unsigned-tail' in r.stderr
    assert own.sql('SELECT count(*) FROM countersign.certificate '
                   'WHERE serial = %s', bytes.fromhex(serial.decode())) == [
                       (0,)]
    # Whoever knows where the copies come from.
    copies = without_heads(own, tmp_path / 'copies', before,
                           without_done(ident))
    done = reconcile(own, '--apply', '--trust-unsigned-tail', *copies)
    assert {r['what']: r['count'] for r in done}['certificates'] >= 1
    assert own.sql('SELECT account FROM countersign.certificate '
                   'WHERE serial = %s', bytes.fromhex(serial.decode())) == [
                       ('demo',)]
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'after.demo.example')).fault is None, 60)
    # What was decided was there, though nobody says that it was committed.
    assert client.Client(own.env).query(decided).certificate is not None
    wait_for(lambda: damages(own, own.conf) == (0, []))


def test_damage_is_not_reconciled(own, root, lived):
    with root() as db:
        db.execute('SET session_replication_role = replica')
        was = db.execute("SELECT serial, account FROM countersign.certificate "
                         "LIMIT 1").fetchone()
        db.execute("UPDATE countersign.certificate SET account = 'x' "
                   'WHERE serial = %s', (was[0],))
        r = own.ctl('reconcile', '--apply', ok=1)
        assert 'damages that no backup explains' in r.stderr
        db.execute('UPDATE countersign.certificate SET account = %s '
                   'WHERE serial = %s', (was[1], was[0]))


@pytest.mark.parametrize('change,back,objects', [
    ("UPDATE policy SET body = body || '#' WHERE version = 1",
     'UPDATE policy SET body = substr(body, 1, length(body) - 1) '
     'WHERE version = 1', ['policy 1']),
    ("INSERT INTO crl_part VALUES ('Demo-CA', 999, 0, 'x')",
     'DELETE FROM crl_part WHERE number = 999', ['list Demo-CA 999']),
    ("UPDATE deployment SET policy_id = policy_id || 'x'",
     "UPDATE deployment SET policy_id = rtrim(policy_id, 'x')", 2),
    ('ALTER TABLE deployment RENAME TO gone; CREATE TABLE deployment AS '
     'SELECT * FROM gone WITH NO DATA; GRANT SELECT ON deployment TO PUBLIC',
     'DROP TABLE deployment; ALTER TABLE gone RENAME TO deployment', 2)])
def test_rows_that_contradict(own, root, lived, change, back, objects):
    with root() as db:
        db.execute('SET session_replication_role = replica')
        db.execute('SET search_path = countersign')
        db.execute(change)
        found = damages(own, own.conf, code=4)[1]
        db.execute(back)
    assert len(found) == objects or [x['object'] for x in found] == objects


def test_reconcile_needs_every_ledger_and_quiet(own, lived):
    one = str(own.dir / 'ledger/signer-1')
    r = own.ctl('reconcile', one, ok=1)
    assert 'ledger of signer signer-2 is not here' in r.stderr
    own.ctl('reconcile', one, '--without', 'signer-2')
    r = own.ctl('reconcile', '--apply', ok=1)
    assert 'signers are at work' in r.stderr
    assert own.ctl('reconcile', '--nonsense', ok=2)


def test_a_request_that_came_elsewhere(own, lived, tmp_path):
    """One signer gave a request up, another took it, and the first decided it
    in the end: by that one's ledger alone its row is no damage."""
    asked, = own.sql("SELECT encode(id, 'hex') FROM countersign.request "
                      'WHERE number = %s' % lived[1][0])[0]
    waits, out, at = None, [], None
    for folder in sorted((own.dir / 'ledger').glob('signer-*')):
        lines = (folder / 'ledger').read_bytes().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines]
        mine = [i for i, e in enumerate(entries) if e.get('id') == asked]
        waits = next((lines[i] for i in mine
                      if entries[i]['type'] == 'pending'), waits)
        if not any(entries[i]['type'] == 'intent' for i in mine):
            continue
        for i, (line, e) in enumerate(zip(lines, entries)):
            if e['type'] == 'intent' and i in mine:
                at = len(out)
            if e['type'] == 'done' and at is None and asked in e['ids']:
                left = [x for x in e['ids'].split(',') if x != asked]
                line = line.replace(e['ids'].encode(), ','.join(left).encode())
                if not left:
                    continue
            if i not in mine or e['type'] != 'pending':
                out.append(line)
    e = json.loads(waits)
    row = bytearray(base64.b64decode(e['request']))
    row[-1] ^= 1
    out[at:at] = [
        waits.replace(e['request'].encode(), base64.b64encode(row)),
        b'{"seq":0,"prev":"","at":"%s","type":"void","id":"%s","ca":"%s",'
        b'"hash":""}\n' % tuple(e[k].encode() for k in ('at', 'id', 'ca'))]
    tmp_path.chmod(0o755)
    (tmp_path / 'ledger').write_bytes(b''.join(rehash([], out)))
    assert not [d for d in damages(own, own.conf, tmp_path)[1]
                if d['object'] == 'request ' + asked]


def test_heads_file_mistakes(own, lived, tmp_path):
    tmp_path.chmod(0o755)
    empty = tmp_path / 'none'
    empty.write_text('nothing\n')
    r = own.ctl('ledger', 'verify', '--heads', str(empty), ok=1)
    assert 'no heads of ledgers' in r.stderr
    line = (own.dir / 'ledger/heads').read_text().splitlines()[0]
    bad = tmp_path / 'bad'
    bad.write_text(line.replace('"seq":2,', '"seq":3,') + '\n' + line + '\n')
    assert any('audit key' in d['text'] for d in damages(
        own, own.conf, '--heads', bad, code=4)[1])
