"""A database that is older than the ledgers: nothing is signed until reconcile
has put back what they know."""
import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
import wire
from airgap import cmc_status
from ledger_edits import damages, pg, rehash
from ledgers import (AGAIN, ISSUED, PENDING, csr, issue, ledger_lines, life,
                     lived, own, pending, pending_twice, reconcile,
                     restart_signers, restore, revoke, root, signers)
from revocation import GOOD, REVOKED, ask, entry, fetch_crl, hex_serial
from schema import check_fault, check_rstrc
from waits import wait_for


def secret(own, name):
    row, = own.ctl_json('secret', 'create', '--template',
                        own.env['CS_TEMPLATE_MACHINE'], '--dns', name)
    return row['secret']


def list_number(cert):
    return fetch_crl(cert).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number


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
    twice, thawed = [issue(own, '%s.demo.example' % n)
                     for n in ('twice', 'thawed')]
    revoke(own, thawed, 'certificateHold')
    waits = pending(own, 'waits.demo.example')
    wait_for(lambda: entry(held) and entry(thawed))
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
    for c in (old, new, twice):
        revoke(own, c, 'keyCompromise', '--note', 'found')
    own.ctl('cert', 'release', hex_serial(held), hex_serial(thawed))
    wait_for(lambda: entry(new) and entry(held) is None)
    assert ask(new).certificate_status == REVOKED
    number = list_number(new)
    rows = own.sql('SELECT count(*) FROM countersign.certificate')
    restart_signers(own)    # which have told all of that
    restore(own, root, dump)

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
    for n in 1, 2:
        wait_for(lambda: 'run countersign reconcile' in own.log(
            'signer-%d' % n))
    refused()
    finding, = [r for r in own.ctl_json('doctor', ok=1)
                if r['check'] == 'rollback' and r['result'] == 'fail'][:1]
    assert 'countersign reconcile' in finding['advice']
    assert damages(own, own.conf, code=4)
    # Revoked once more, by who sees that it is not: that stays.
    for c in (twice, thawed):
        revoke(own, c, 'superseded', '--note', 'once more')

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
    # Signers make a list, and responders, of which ledgers know first.
    wait_for(lambda: reconcile(own)[-1]['count'] == 0)

    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'yes.demo.example')).fault is None)
    assert own.sql('SELECT count(*) FROM countersign.certificate')[0][0] > \
        rows[0][0]
    for c in (twice, thawed):
        row, = own.ctl_json('cert', 'show', hex_serial(c))
        assert (row['revocation_reason'], row['revocation_note']) == (
            4, 'once more')
    for c in (old, new, twice, thawed, certs[0]):
        assert ask(c).certificate_status == REVOKED
    for c in (held, certs[2]):
        assert ask(c).certificate_status == GOOD
    wait_for(lambda: list_number(new) > number)
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
    restart_signers(own)
    wait_for(lambda: damages(own, own.conf, '--heads', own.dir /
                             'ledger/heads') == (0, []))
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
            stopped, = [r['text'] for r in reconcile(own)
                        if r['what'] == 'stopped']
            assert stopped == ('signer-9 found that gone: signers go on '
                               'with --apply')
        finally:
            reconcile(own, '--apply')
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'after.demo.example')).fault is None)
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
            told.result(timeout=300)
        assert db.execute(opened).fetchone() == (0,)
        db.execute(found, (ended,))
        assert db.execute(opened).fetchone() == (0,)
        # What is missing still is told.
        db.execute(found, (ended + 1,))
        assert db.execute(opened).fetchone() == (1,)
    reconcile(own, '--apply')
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'again.demo.example')).fault is None)


def test_numbers_of_changes_that_only_lists_tell(own, lived, root, tmp_path):
    """Reconcile gave them out: no revocation has them."""
    numbers = 'SELECT n, (SELECT max(change) FROM countersign.crl) FROM ' \
        'countersign.revocation_change'
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    (before, _), = own.sql(numbers)
    for n in range(3):
        with root() as db:
            db.execute("SELECT countersign.rollback_found('signer-9', 'gone')")
        reconcile(own, '--apply')
        wait_for(lambda: own.sql(numbers) == [(before + n + 1,) * 2])
    restart_signers(own)
    restore(own, root, dump)
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    reconcile(own, '--apply')
    (after, _), = own.sql(numbers)
    assert after > before + 3
    wait_for(lambda: own.sql(numbers)[0][1] == after)
    wait_for(lambda: damages(own, own.conf) == (0, []))
    cert = issue(own, 'numbered.demo.example')
    revoke(own, cert, 'superseded')
    wait_for(lambda: entry(cert))


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
                             'WHERE ended_at IS NULL') != [(0,)])
    # Signers that find it sign what they have; one without requests looks
    # every 30 s.
    wait_for(lambda: not [r for r in reconcile(own)
                          if r['what'] == 'unsigned tail'])
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
        csr(own, 'after.demo.example')).fault is None)
    # What was decided was there, though nobody says that it was committed.
    assert client.Client(own.env).query(decided).certificate is not None
    restart_signers(own)        # their heads had no copy in the database
    wait_for(lambda: damages(own, own.conf) == (0, []))


def lists_told(own):
    """The highest number of a list that stands in a ledger, row or not."""
    return max(int(json.loads(x)['number']) for lines in
               ledger_lines(own).values() for x in lines
               if b'"type":"crl"' in x)


def test_a_list_of_which_only_the_number_is_told(own, root, lived, tmp_path):
    """Signed and perhaps published; its signer died before it wrote the row,
    and the database is an older one: no other list gets the number."""
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    cert = issue(own, 'number.demo.example')
    last, = own.sql('SELECT max(number) FROM countersign.crl')[0]
    with root() as db:
        db.execute('CREATE FUNCTION public.no() RETURNS trigger LANGUAGE '
                   "plpgsql AS $$ BEGIN RAISE 'no'; END $$")
        db.execute('CREATE TRIGGER no BEFORE INSERT ON countersign.crl '
                   'FOR EACH ROW EXECUTE FUNCTION public.no()')
    revoke(own, cert, 'superseded')
    wait_for(lambda: lists_told(own) > last)
    restore(own, root, dump)
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    wait_for(lambda: not [r for r in reconcile(own)
                          if r['what'] == 'unsigned tail'])
    told = lists_told(own)
    reconcile(own, '--apply')
    # Whichever signer makes the next one.
    assert own.sql("SELECT told FROM countersign.revocation_change "
                   "WHERE ca = 'Demo-CA'") == [(told,)]
    wait_for(lambda: entry(cert))
    assert list_number(cert) > told
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


def restart_with(own, name, old, new):
    """A signer, with another line in its configuration; None when it is
    ready."""
    conf = own.dir / 'etc' / (name + '.conf')
    assert old in conf.read_text()
    conf.write_text(conf.read_text().replace(old, new))
    pids = signers(own)
    os.kill(int((own.dir / 'run' / (name + '.pid')).read_text()),
            signal.SIGTERM)
    wait_for(lambda: len(set(signers(own)) & set(pids)) < len(pids))


def desk_of(own, signer, dbname):
    """An operator's configuration that knows one signer, one database."""
    other = {'signer-1': 'signer-2', 'signer-2': 'signer-1'}[signer]
    text = own.conf.read_text().replace("dbname='countersign'",
                                        "dbname='%s'" % dbname)
    begin = text.index('signer "%s"' % other)
    conf = own.conf.parent / (signer + '-desk.conf')
    # A key may have a brace in it.
    conf.write_text(text[:begin] + text[text.index('\n}', begin) + 2:])
    if os.geteuid() == 0:
        os.chown(conf, own.conf.stat().st_uid, own.conf.stat().st_gid)
    return own.ctl_words(conf)


def test_two_databases_that_went_on(own, root, lived, tmp_path):
    """Each with a signer and with managers; then there is one again."""
    numbers = [pending(own, 'split%d.demo.example' % i) for i in range(3)]
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    with root('postgres') as db:
        db.execute('CREATE DATABASE fork OWNER countersign_owner')
    pg(own, 'pg_restore', '-d', 'fork', str(dump))
    main, fork = "dbname='countersign'", "dbname='fork'"
    restart_with(own, 'signer-2', main, fork)
    here, there = desk_of(own, 'signer-1', 'countersign'), desk_of(
        own, 'signer-2', 'fork')

    def decide(desk, verb, number):
        r = subprocess.run([*desk, '--json', 'request', verb, str(number)],
                           capture_output=True, text=True, timeout=300)
        assert r.returncode == 0, r.stderr
        row, = json.loads(r.stdout)
        return row['serial']
    ours = [decide(here, verb, n) for verb, n in zip(
        ('deny', 'approve', 'approve'), numbers)]
    theirs = [decide(there, verb, n) for verb, n in zip(
        ('approve', 'approve', 'deny'), numbers)]
    restart_with(own, 'signer-2', fork, main)
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    with root('postgres') as db:
        db.execute('DROP DATABASE fork WITH (FORCE)')
    void = ['certificate ' + s.lower() for s in theirs if s is not None]
    told = reconcile(own)
    assert set(void) == {r['what'] for r in told if 'is to be void' in (
        r['text'] or '')}
    wait_for(lambda: not [r for r in reconcile(own)
                          if r['what'] == 'unsigned tail'])
    done = {r['what']: r['count'] for r in reconcile(own, '--apply')}
    assert done['certificates that are void now'] == 2
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'one.demo.example')).fault is None)
    # What this database had stands; of the other one all is on the list.
    rows = [own.ctl_json('request', 'show', str(n))[0] for n in numbers]
    assert [(r['state'], r['serial']) for r in rows] == [
        ('denied', None), ('issued', ours[1]), ('issued', ours[2])]
    cert = issue(own, 'list.demo.example')
    wait_for(lambda: {s for s in theirs if s is not None} <= {
        '%032X' % r.serial_number for r in fetch_crl(cert)})
    assert own.sql('SELECT count(*) FROM countersign.audit WHERE action IN '
                   "('request approve', 'request deny') AND detail ~ %s",
                   'request (%s) ' % '|'.join(map(str, numbers))) == [(6,)]
    assert damages(own, own.conf) == (0, [])
    # Also when they start anew.
    pids = signers(own)
    for p in pids:
        os.kill(p, signal.SIGTERM)
    signers(own, pids)
    assert client.Client(own.env).enroll(
        csr(own, 'again.demo.example')).fault is None
