"""The migrations on a PostgreSQL of their own: what rows and functions hold,
and who is told of what."""
import concurrent.futures
import json
import os
import re
import subprocess
import time

import psycopg
import pytest
from psycopg import errors

from database import (  # noqa: F401
    BIN, TOP, migrate, owner, pg, put_certificate, put_request, serial_at,
    today, waits_for_lock)
from waits import wait_for

pytestmark = pytest.mark.skipif(not (BIN / 'postgres').exists(),
                                reason='no PostgreSQL 15')


def test_a_key_is_certified_for_one_account(pg):
    """Of two signers at once the second transaction waits, and is refused."""
    def put(db, account):
        put_certificate(db, serial_at(int(time.time()), os.urandom(13)),
                        account=account, key=key)

    def count(q, *p):
        return watch.execute('SELECT count(*) FROM ' + q, p).fetchone()[0]
    key, role = os.urandom(32), 'countersign_signer'
    with pg.connect(role) as a, pg.connect(role) as b, pg.connect() as watch, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        for s in a, b:
            s.execute("SELECT set_config('countersign.one_account', 'on', "
                      'false)')
        with a.transaction():
            put(a, 'ann')
            second = pool.submit(put, b, 'bob')
            waits_for_lock(watch, b.info.backend_pid)
        with pytest.raises(errors.UniqueViolation, match='another account'):
            second.result(300)
        put(b, 'ann')
        # What others write was issued long ago.
        b.execute('RESET countersign.one_account')
        put(b, 'bob')
        assert count('countersign.certificate WHERE spki_sha256 = %s',
                     key) == 3
        assert watch.execute(
            'SELECT account FROM countersign.key_owner WHERE spki_sha256 = '
            '%s', (key,)).fetchall() == [('ann',)]


def test_no_answer_is_kept_of_a_hold_that_ends(pg, owner):
    """Of a certificate of before nothing but the hold itself is here."""
    owner.execute("SELECT ca_register('Held', 'x', '{}')")
    owner.execute("SELECT crl_before_put('Held', 1, now(), '', "
                  "ARRAY['\\x0a', '\\x0b']::bytea[], '{1, 1}', '{6, 6}')")
    keep = ("SELECT countersign.ocsp_keep('Held', %s, 1::smallint, 6::smallint,"
            " now(), now() + interval '1 day', 'x')")
    with pg.connect('countersign_signer') as signer, \
            pg.connect('countersign_operator') as operator, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert signer.execute(keep, (b'\x0b',)).fetchone() == (True,)
        with operator.transaction():
            assert operator.execute(
                "SELECT countersign.earlier_release('Held', '\\x0a', NULL)"
            ).fetchone() == ('released',)
            kept = pool.submit(signer.execute, keep, (b'\x0a',))
            wait_for(lambda: kept.done() or owner.execute(
                'SELECT 1 FROM pg_stat_activity WHERE pid = %s AND '
                "wait_event_type = 'Lock'", (signer.info.backend_pid,)
            ).fetchone())
        assert kept.result(300).fetchone() == (False,)
    assert owner.execute("SELECT serial FROM ocsp WHERE ca = 'Held'"
                         ).fetchall() == [(b'\x0b',)]


def test_pages_of_audit(pg, owner):
    """1,000 rows or a MiB, each once and in order; nobody waits for a reader,
    and who is writing holds back what comes behind."""
    def page():
        nonlocal last
        rows = signer.execute('SELECT n, at FROM countersign.audit_after(%s, '
                              '%s)', last).fetchall()
        last = rows[-1] if rows else last
        got.extend(rows)
        return len(rows)

    note = "SELECT countersign.note('test', "
    last, got = (0, '-infinity'), []
    many = note + 'n::text) FROM generate_series(1, 2500) n'
    long = note + "repeat('x', 16000)) FROM generate_series(1, 100)"
    with pg.connect('countersign_signer') as signer, pg.connect() as other:
        signer.execute("SET statement_timeout = '120s'")
        while page():
            pass
        owner.execute(many)
        assert [page() for _ in range(4)] == [1000, 1000, 500, 0]
        owner.execute(long)
        owner.execute(note + "repeat('y', 3000000))")
        assert [page() for _ in range(3)] == [65, 36, 0]
        other.execute("SET lock_timeout = '60s'")
        with signer.transaction():
            other.execute(note + "'first')")
            assert page() == 1
            other.execute(note + "'reader in a transaction')")
        with other.transaction():
            other.execute(note + "'not yet')")
            owner.execute(note + "'overtakes')")
            assert page() == 0      # or it waits for what waits for it
        assert page() == 3 and page() == 0
    assert got == owner.execute('SELECT n, at FROM audit ORDER BY n, '
                                'at').fetchall()


def test_a_note_has_room_in_a_ledger(pg, owner):
    """A longer one would end each signer that copies the revocation."""
    owner.execute("SELECT ca_register('CA', '', '{}')")
    serial = put_certificate(owner, serial_at(int(time.time()), b'n' * 13))
    revoke = ("SELECT outcome FROM countersign.cert_revoke(ARRAY[%s::bytea], "
              "NULL, NULL, NULL, NULL, NULL, NULL, 6::smallint, repeat('x', "
              "%s), false)")
    release = "SELECT countersign.cert_release(%s, repeat('x', %s))"
    with pg.connect('countersign_operator') as db:
        for call, said in (revoke, 'revoked'), (release, 'released'):
            with pytest.raises(errors.CheckViolation, match='16384 octets'):
                db.execute(call, (serial, 16385))
            assert db.execute(call, (serial, 16384)).fetchone() == (said,)


def test_each_migration_has_its_number():
    """Two of one number would be put in order by their names."""
    numbers = [f.name[:3] for f in (TOP / 'sql').glob('*.sql')]
    assert len(numbers) == len(set(numbers))


def test_schema_in_one_piece():
    """For who reads it: what was made anew stands there once, as it is now."""
    made = subprocess.run(['make', '-s', 'schema'], cwd=TOP, text=True,
                          stdout=subprocess.PIPE, check=True)
    text = (TOP / made.stdout.split()[-1]).read_text()
    assert text.count('CREATE FUNCTION countersign.airgap_open(') == 1
    last = (TOP / 'sql/192_replaced.sql').read_text()
    last = last[last.index('FUNCTION airgap_open'):].split('$$')[1]
    assert last in text
    # Of tables that are made each month none.
    assert text.count('CREATE TABLE countersign.request') == 1


def test_second_migration_of_another_database(pg):
    """Roles belong to the cluster: a second deployment finds them there."""
    with pg.connect(db='postgres') as db:
        db.execute('CREATE DATABASE second')
    migrate(pg, 'second')
    with pg.connect() as a, pg.connect(db='second') as b:
        q = 'SELECT policy_id FROM countersign.deployment'
        one, two = (x.execute(q).fetchone()[0] for x in (a, b))
    assert one != two and len(one) == 38 and one == one.upper()


def test_issued_rows_are_kept(pg, owner):
    with pg.connect('countersign_signer') as db:
        rid = put_request(db, today(), 1)
        wait = put_request(db, today(), 2, state='pending')
        serial = put_certificate(db, serial_at(int(time.time())))
        for sql in ("UPDATE countersign.request SET account = 'bob'",
                    "UPDATE countersign.request SET token = 'x'",
                    'DELETE FROM countersign.request',
                    "UPDATE countersign.certificate SET der = 'x'",
                    'DELETE FROM countersign.certificate',
                    'TRUNCATE countersign.request'):
            with pytest.raises(errors.InsufficientPrivilege):
                db.execute(sql)
    for sql, args in (
            ("UPDATE request SET state = 'denied' WHERE id = %s", rid),
            ('DELETE FROM request WHERE id = %s', rid),
            ("UPDATE certificate SET der = 'x' WHERE serial = %s", serial),
            ('DELETE FROM certificate WHERE serial = %s', serial)):
        with pytest.raises(errors.RaiseException, match='rows are kept'):
            owner.execute(sql, (args,))
    for t in ('request', 'certificate', 'audit', 'policy', 'void_serial',
              'deployment'):
        with pytest.raises(errors.RaiseException, match='rows are kept'):
            owner.execute('TRUNCATE ' + t)
    with pytest.raises(errors.RaiseException):
        owner.execute("UPDATE deployment SET policy_id = 'x'")
    # What may change: a pending request, and revocation.
    owner.execute("UPDATE request SET state = 'denied', approved_by = 'x',"
                  " decision_id = id WHERE id = %s", (wait,))
    owner.execute('UPDATE certificate SET revoked_at = now() '
                  'WHERE serial = %s', (serial,))


def ctl(pg, folder, *args):
    """What the command line prints, where there is nothing but a database."""
    conf = folder / 'countersign.conf'
    conf.write_text('database = "host=%s dbname=countersign '
                    'user=countersign_operator"\nca-dir = "%s"\n'
                    'sql-dir = "%s"\n' % (pg.folder, folder, folder))
    program = TOP / os.environ.get('BUILD', 'build') / 'countersign'
    return subprocess.run([program, '-c', conf, *args], capture_output=True,
                          text=True, check=True).stdout


def test_report_has_every_template(pg, owner, tmp_path):
    """Not the first thirty without a word about the others."""
    # What others have registered is no certificate, and so no report's.
    der = subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
         'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null', '-subj',
         '/CN=CA', '-outform', 'DER'], check=True, capture_output=True).stdout
    owner.execute('UPDATE ca SET certificate = %s', (der,))
    owner.execute(
        'INSERT INTO certificate (serial, ca, request_id, account, template,'
        ' subject, san, not_before, not_after, spki_sha256, der) SELECT'
        " serial_time(now()) || '\\x02'::bytea || int4send(i), 'Many', '',"
        " 'ann', 'Many' || i, '', '', now(), now() + interval '1 day',"
        " sha256(int4send(-i)), '' FROM generate_series(1, 300) i")
    page = ctl(pg, tmp_path, 'report')
    assert {'Many%d' % i for i in range(1, 301)} <= set(
        re.findall('<td>(Many[0-9]+)</td>', page))


def test_metrics_do_not_read_all(owner):
    """Of certificates that end next year none is looked at: the index gets
    both ends."""
    program = TOP / os.environ.get('BUILD', 'build') / 'countersign'
    query = re.search(rb'SELECT template, d[.]days.*?GROUP BY 1, 2',
                      program.read_bytes())[0].decode()
    with owner.transaction():
        owner.execute('SET LOCAL enable_seqscan = off')
        plan = [r[0] for r in owner.execute('EXPLAIN ' + query)]
    conds = [x for x in plan if 'Index Cond' in x]
    assert conds and all('not_after < ' in x for x in conds), '\n'.join(plan)


@pytest.mark.parametrize('n,by', [(1, '--template'), (2, '--file')])
def test_a_crowd_is_revoked_in_steps(pg, owner, tmp_path, n, by):
    """Another revocation does not wait for all of them: no transaction has
    more than a thousand."""
    made = owner.execute(
        'INSERT INTO certificate (serial, ca, request_id, account, template,'
        ' subject, san, not_before, not_after, spki_sha256, der) SELECT'
        " serial_time(now()) || int4send(%s) || int4send(i), 'Crowd' || %s,"
        " '', 'ann', 'Crowd' || %s, '', '', now(), now() + interval '1 day',"
        " sha256(int4send(i) || int4send(%s)), '' "
        'FROM generate_series(1, 2500) i RETURNING encode(serial, \'hex\')',
        (n,) * 4).fetchall()
    (tmp_path / 'list').write_text(''.join(x + '\n' for x, in made))
    these = {'--template': 'crowd%d' % n, '--file': str(tmp_path / 'list')}

    def revoke(*args):
        rows = json.loads(ctl(pg, tmp_path, '--json', 'cert', 'revoke',
                              by, these[by], '--reason', 'superseded',
                              *args))
        assert len({r['serial'] for r in rows}) == len(rows) == 2500
        return {r['outcome'] for r in rows}

    def steps():
        return [r[0] for r in owner.execute(
            "SELECT count(*) FROM revoked WHERE ca = 'Crowd' || %s "
            'GROUP BY change ORDER BY change', (n,)).fetchall()]
    assert revoke('--dry-run') == {'would'}
    assert steps() == []
    assert revoke() == {'revoked'}
    assert steps() == [1000, 1000, 500]
    assert revoke() == {'already'}


DECIDE = ("UPDATE countersign.request SET state = %s, approved_by = 'boss',"
          " decision_id = id, serial = %s WHERE id = %s")


def test_pending_is_decided_once(pg, owner):
    with pg.connect('countersign_signer') as db:
        rid, other, late = (put_request(db, today(), n, state='pending')
                            for n in (101, 102, 103))
        serial = serial_at(int(time.time()), b'p' * 13)
        put_certificate(db, serial, rid)

        def refused(words, *args, sql=DECIDE):
            with pytest.raises(errors.RaiseException, match=words):
                db.execute(sql, args)
        refused('without a certificate', 'issued', None, rid)
        refused('without a certificate', 'issued', serial, other)
        refused('with a serial', 'denied', serial, rid)
        refused('not a decision', 'pending', None, rid)
        refused('not a decision', rid, sql='UPDATE countersign.request SET'
                " state = 'denied' WHERE id = %s")
        owner.execute("SET session_replication_role = replica")
        owner.execute('UPDATE request SET expires_at = now() WHERE id = %s',
                      (late,))
        owner.execute('RESET session_replication_role')
        refused('expired', 'issued', serial, late)
        db.execute(DECIDE, ('denied', None, late))
        db.execute(DECIDE, ('issued', serial, rid))
        for done in rid, late:
            refused('rows are kept', 'denied', None, done)
            refused('rows are kept', 'issued', serial, done)
    with pytest.raises(errors.RaiseException, match='is kept'):
        owner.execute("UPDATE request SET token = 'x' WHERE id = %s", (other,))


RESULT = ('SELECT countersign.airgap_result(%(k)s, %(id)s, %(ca)s, %(to)s, 0,'
          " 'Issued', 'CN=x', '', 1, 0, %(serial)s, 0, 4102444800, %(key)s,"
          " 'der', 0, 'cmc', %(hash)s, 'vault', 1800000000000000)")


def test_air_gap(pg, owner):
    """Between export and import nobody decides, and nothing is left out."""
    key, sha = b'k' * 32, b'h' * 32
    owner.execute("SELECT ca_register('Far', 'x', '{}')")
    owner.execute("INSERT INTO account (name, cn) VALUES ('far', 'x')")
    with pg.connect('countersign_signer') as db, \
            pg.connect('countersign_operator') as op:
        one, two, off = (put_request(db, today(), n, state='pending')
                         for n in (201, 202, 203))
        owner.execute('SET session_replication_role = replica')
        owner.execute("UPDATE request SET ca = 'Far', account = 'far',"
                      " template = 'T' "
                      'WHERE id = ANY (%s)', ([one, two],))
        owner.execute('RESET session_replication_role')
        op.execute("SELECT countersign.airgap_add_ca('Far')")
        put = ('INSERT INTO countersign.airgap_request (day, id, spki_sha256,'
               " accounts, waits) VALUES (%s, %s, %s, 'a', %s)")
        db.execute(put, (today(), one, key, False))
        db.execute(put, (today(), two, key, True))

        def refused(words, sql, args, who=db):
            with pytest.raises(errors.RaiseException, match=words):
                who.execute(sql, args)
        serial = serial_at(int(time.time()), b'g' * 13)
        refused('other side of the gap', DECIDE, ('issued', serial, one))
        db.execute(DECIDE, ('pending', None, two))
        refused('not a decision', DECIDE, ('pending', None, two))
        judge = ('UPDATE countersign.airgap_request SET waits = %s, accounts ='
                 " accounts || 'b' WHERE id = %s")
        for other in "'z' || accounts", "''":
            refused('are kept', 'UPDATE countersign.airgap_request SET '
                    'accounts = %s WHERE id = %%s' % other, (two,))
        db.execute(judge, (False, two))
        refused('are kept', judge, (False, two))
        refused('are kept', judge, (True, one))
        assert owner.execute('SELECT state, approved_by FROM request '
                             'WHERE id = %s', (two,)).fetchone() == (
            'pending', 'boss')
        n, old, _, previous = op.execute(
            'SELECT * FROM countersign.airgap_open(10)').fetchone()
        assert not old and previous == bytes(32)
        op.execute('SELECT countersign.airgap_made(%s, %s)', (n, sha))
        assert op.execute('SELECT round, old FROM countersign.airgap_open(10)'
                          ).fetchone() == (n, True)
        for to in 'denied', 'issued':
            refused('other side of the gap', DECIDE, (
                to, serial if to == 'issued' else None, one))
        give = {'k': n, 'id': one, 'ca': 'Far', 'to': 'issued', 'key': key,
                'serial': serial, 'hash': sha}

        def result(**kw):
            return op.execute(RESULT, dict(give, **kw)).fetchone()[0]
        assert result(id=off) == 'is not in the round'
        assert result(k=n + 1) == 'is not in the round'
        assert 'public key' in result(key=b'o' * 32)
        assert 'another ca' in result(ca='CA')
        assert result() == 'ok'
        assert result() == 'is answered twice'
        close = 'SELECT countersign.airgap_close(%s, %s)'
        assert op.execute(close, (n, sha)).fetchone() == (1,)
        assert result(id=two, to='denied') == 'ok'
        assert op.execute(close, (n, sha)).fetchone() == (0,)
        assert op.execute('SELECT old, previous FROM '
                          'countersign.airgap_open(10)').fetchone() == (
            False, sha)
        refused('is kept', 'UPDATE countersign.airgap_round SET '
                'imported_at = NULL WHERE n = %s', (n,), owner)
        refused('are kept', 'UPDATE countersign.airgap_request SET '
                'answered = false WHERE id = %s', (one,), owner)
    rows = owner.execute('SELECT id, state, approved_by, serial FROM request '
                         'WHERE id = ANY (%s) ORDER BY id', ([one, two],)
                         ).fetchall()
    assert [tuple(r) for r in rows] == [
        (one, 'issued', 'airgap:vault', serial), (two, 'denied', 'boss',
                                                  None)]


HASH = '$argon2id$x'


def test_secrets_all_or_nothing(pg, owner):
    owner.execute("SELECT account_add('o.x.example', true, 'o', 'o.x.example',"
                  " NULL, NULL, NULL, NULL, %s, '{}')", (HASH,))
    later = int(time.time()) + 3600
    create = ('SELECT countersign.secret_create(%s, %s, %s::bigint[], %s)')

    def make(db, *names, expires=later):
        db.execute(create, (list(names), ['T'] * len(names),
                            [expires] * len(names), [HASH] * len(names)))
    with pg.connect('countersign_operator') as db:
        with pytest.raises(errors.RaiseException, match='not for secrets'):
            make(db, 'a.x.example', 'o.x.example')
        assert not owner.execute("SELECT FROM account WHERE name ="
                                 " 'a.x.example'").fetchall()
        make(db, 'a.x.example', 'b.x.example')
        make(db, 'c.x.example', expires=later - 7200)
        with pg.connect('countersign_signer') as s:
            def locked(*names):
                return [r[0] for r in s.execute(
                    'SELECT countersign.secret_lock(%s)', (list(names),))]
            every = ['b.x.example', 'a.x.example', 'c.x.example',
                     'o.x.example', 'nobody']
            assert locked(*every) == ['a.x.example', 'b.x.example']
            use = 'SELECT countersign.secret_use(%s, %s)'
            s.execute(use, ('a.x.example', b'1' * 16))
            assert locked(*every) == ['b.x.example']
            for name in 'a.x.example', 'o.x.example':
                with pytest.raises(errors.RaiseException, match='was used'):
                    s.execute(use, (name, b'2' * 16))
            db.execute("SELECT countersign.secret_revoke('b.x.example')")
            assert locked(*every) == []
            make(db, 'a.x.example')
            assert locked(*every) == ['a.x.example']
        # No ordinary password takes its place.
        assert db.execute("SELECT countersign.account_set_password("
                          "'a.x.example', %s)", (HASH,)).fetchone() == (False,)


def test_one_request_once(pg):
    with pg.connect('countersign_signer') as db:
        day = today()
        put_request(db, day, 10, key=b'k' * 16)
        with pytest.raises(errors.UniqueViolation):
            put_request(db, day, 10)
        with pytest.raises(errors.UniqueViolation):
            put_request(db, day, 11, key=b'k' * 16)
        # A refusal may be repeated: the policy may have changed.
        put_request(db, day, 12, state='denied', key=b'k' * 16)
        put_request(db, day, 13, state='denied', key=b'k' * 16)
        serial = put_certificate(db, serial_at(int(time.time()), b'x' * 13))
        with pytest.raises(errors.UniqueViolation):
            put_certificate(db, serial)


def test_signers_get_prefixes(pg):
    with pg.connect('countersign_signer') as db:
        lease = 'SELECT prefix, epoch FROM countersign.signer_lease(%s, %s)'
        one, two, again, look = (
            db.execute(lease, (n, held)).fetchone()
            for n, held in (('s1', 0), ('s2', 0), ('s1', 0), ('s1', None)))
        assert one[0] == again[0] != two[0]
        assert (one[1], again[1], look) == (1, 2, again)
        assert db.execute(lease, ('s1', 9)).fetchone()[1] == 10
        with pytest.raises(errors.InsufficientPrivilege):
            db.execute("UPDATE countersign.signer SET prefix = 1")


@pytest.mark.parametrize('sql,table', [
    ("SELECT account_add('tell', false, 'T', NULL, NULL, NULL, NULL, NULL,"
     " NULL, '{g}')", 'account'),
    ("SELECT account_set_disabled('tell', true)", 'account'),
    ("SELECT account_set_password('tell', '$argon2id$y')", 'account'),
    ("SELECT account_set_group('tell', 'h', true)", 'account_group'),
    ("SELECT account_set_group('tell', 'h', false)", 'account_group'),
    ("SELECT ca_register('N', 'x', '{}')", 'ca'),
    ("SELECT policy_publish('new text')", 'policy')])
def test_changes_are_told(pg, sql, table):
    with pg.connect('countersign_worker') as db, \
            pg.connect('countersign_operator') as op:
        seen = []
        db.add_notify_handler(lambda n: seen.append(n.payload))
        db.execute('LISTEN countersign')
        op.execute('SET search_path = countersign')
        op.execute(sql)
        wait_for(lambda: db.execute('SELECT 1') and table in seen, every=0.02)
        assert op.execute('SELECT who FROM audit ORDER BY n DESC LIMIT 1'
                          ).fetchone() == ('countersign_operator',)


def test_operator_functions(pg):
    with pg.connect('countersign_operator') as op:
        def ask(q, *args):
            return op.execute('SELECT countersign.' + q, args).fetchone()[0]

        add = ("account_add(%s, false, 'X', %s, NULL, NULL, NULL, NULL,"
               ' NULL, %s)')
        ask(add, 'bob', 'b.example', ['a', 'b'])
        ask(add, 'bare', None, None)
        with pytest.raises(errors.UniqueViolation):
            ask(add, 'bob', None, [])
        with pytest.raises(errors.UniqueViolation):     # Certifried
            ask(add, 'eve', 'B.Example', [])
        ask(add, "o'brien", None, [])
        for bad in ('Bob', 'a b', '.a', 'a\n', 'x' * 129, '', 'ä', 'a"'):
            with pytest.raises(errors.CheckViolation):
                ask(add, bad, None, [])
        for bad in ('', 'a\nb', 'x' * 129):
            with pytest.raises(errors.CheckViolation):
                ask(add, 'carl', None, [bad])
        with pytest.raises(errors.CheckViolation):      # not a hash
            ask('account_set_password(%s, %s)', 'bob', 'secret')
        assert ask('account_set_disabled(%s, true)', 'bob') is True
        assert ask('account_set_disabled(%s, true)', 'none') is False
        assert ask("account_set_password(%s, '$argon2id$z')", 'none') is False
        assert ask('account_set_group(%s, %s, true)', 'none', 'g') is False
        one = ask('policy_publish(%s)', b'text one')
        assert ask('policy_publish(%s)', b'text one') == one
        assert ask('policy_publish(%s)', b'text two') == one + 1
        with pytest.raises(errors.UniqueViolation):
            ask("ca_register('Twice', 'x', '{}')")
            ask("ca_register('Twice', 'y', '{}')")
        with pytest.raises(errors.InsufficientPrivilege):
            ask("note('lie', 'lie')")
        with pytest.raises(errors.InsufficientPrivilege):
            op.execute("INSERT INTO countersign.audit (who, action, detail)"
                       " VALUES ('x', 'y', 'z')")


def test_two_signers_and_the_same_keys(pg, owner):
    """Both certify the same two keys at once, in another order: one waits for
    the other.  The third key holds the first one where it is."""
    one, two, held = (bytes([n]) * 32 for n in (1, 2, 3))

    def certify(db, signer, *keys):
        db.execute('INSERT INTO countersign.certificate (serial, ca,'
                   ' request_id, account, template, subject, san, not_before,'
                   ' not_after, spki_sha256, der) SELECT'
                   " %s || substr(key, 1, 8), 'CA', '', 'ann', 'User', '', '',"
                   " now(), now(), key, '' FROM unnest(%s) key",
                   (signer, list(keys)))
    with concurrent.futures.ThreadPoolExecutor() as pool, \
            pg.connect('countersign_signer') as a, \
            pg.connect('countersign_signer') as b, pg.connect() as c:
        for db in (a, b, c):
            db.execute('BEGIN')
        c.execute("INSERT INTO countersign.key_owner VALUES (%s, 'x')",
                  (held,))
        first = pool.submit(certify, a, b'a', one, held, two)
        waits_for_lock(owner, a.info.backend_pid)
        second = pool.submit(certify, b, b'b', two, one)
        waits_for_lock(owner, b.info.backend_pid)
        c.execute('ROLLBACK')
        first.result()
        a.execute('ROLLBACK')
        second.result()
        b.execute('ROLLBACK')
