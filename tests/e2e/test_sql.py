"""The migrations on a PostgreSQL of their own: who may do what, partitions,
notifications.  Needs nothing built."""
import concurrent.futures
import datetime
import os
import time

import psycopg
import pytest
from psycopg import errors

from database import (  # noqa: F401
    BIN, TOP, migrate, owner, pg, put_certificate, put_request, serial_at,
    tables, today, waits_for_lock)
from waits import wait_for

ROLES = ['countersign_worker', 'countersign_signer', 'countersign_operator',
         'countersign_auditor', 'countersign_publisher']
UTC = datetime.timezone.utc

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


def test_second_migration_of_another_database(pg):
    """Roles belong to the cluster: a second deployment finds them there."""
    with pg.connect(db='postgres') as db:
        db.execute('CREATE DATABASE second')
    migrate(pg, 'second')
    with pg.connect() as a, pg.connect(db='second') as b:
        q = 'SELECT policy_id FROM countersign.deployment'
        one, two = (x.execute(q).fetchone()[0] for x in (a, b))
    assert one != two and len(one) == 38 and one == one.upper()


# What each role may do with each table besides reading.
WRITES = {'countersign_signer': {'request': {'INSERT'},
                                 'certificate': {'INSERT'},
                                 'void_serial': {'INSERT'},
                                 'crl': {'INSERT'}, 'crl_part': {'INSERT'},
                                 'responder': {'INSERT'},
                                 'exchange_key': {'INSERT'},
                                 'archived_key': {'INSERT'},
                                 'airgap_request': {'INSERT'}}}
READS = {
    'countersign_worker': {'deployment', 'ca', 'policy', 'account',
                           'account_group'},
    'countersign_signer': {'deployment', 'ca', 'policy', 'account_group',
                           'signer', 'request', 'certificate', 'void_serial',
                           'audit'},
    'countersign_operator': {'deployment', 'ca', 'policy', 'account_group',
                             'signer', 'request', 'certificate',
                             'void_serial', 'audit'},
    'countersign_auditor': {'deployment', 'ca', 'policy', 'account_group',
                            'signer', 'request', 'certificate',
                            'void_serial', 'audit'},
    'countersign_publisher': {'deployment', 'ca', 'policy', 'crl', 'crl_part',
                              'crl_above', 'crl_published', 'rollback',
                              'revocation_change', 'airgap_ca'},
}
# Of other tables it reads these columns alone.
COLUMNS = {'certificate': {'template', 'not_after', 'revoked_at'},
           'request': {'day', 'id', 'state', 'received_at'},
           'airgap_round': {'n', 'exported_at', 'imported_at'},
           'airgap_request': {'day', 'id', 'waits', 'answered'},
           'revocation_event': {'ca', 'at'},
           'account': {'name', 'disabled', 'sid'}}


for r in ROLES[:4]:
    READS[r] |= {'crl', 'crl_part', 'ocsp'}
READS['countersign_signer'] |= {'exchange_key', 'airgap_request'}
for r in ROLES[2:4]:
    READS[r] |= {'crl_above', 'crl_published', 'airgap_ca', 'airgap_round',
                 'airgap_part', 'airgap_request'}
for r in ROLES[1:4]:
    READS[r] |= {'revoked', 'revocation_change', 'responder',
                 'revocation_event', 'ledger_head', 'rollback',
                 'blocked_key', 'key_owner', 'released'}


@pytest.mark.parametrize('role', ROLES)
def test_privileges_are_exactly_these(owner, role):
    for t in tables(owner):
        for what in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
                     'REFERENCES', 'TRIGGER'):
            has = owner.execute('SELECT has_table_privilege(%s, %s, %s)', (
                role, 'countersign.' + t, what)).fetchone()[0]
            want = (t in READS[role] if what == 'SELECT' else
                    what in WRITES.get(role, {}).get(t, ()))
            assert has == want, (role, what, t)


def test_a_publisher_reads_no_request(owner):
    """It is on a web host."""
    rows = owner.execute(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c"
        " ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped"
        " AND c.relnamespace = 'countersign'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'v') AND has_column_privilege("
        "'countersign_publisher', c.oid, a.attnum, 'SELECT')").fetchall()
    whole = READS['countersign_publisher']
    assert {(t, c) for t, c in rows if t not in whole} == {
        (t, c) for t in COLUMNS for c in COLUMNS[t]}


@pytest.mark.parametrize('role', ROLES)
def test_nothing_can_be_made(owner, role):
    assert owner.execute(
        "SELECT has_schema_privilege(%(r)s, 'countersign', 'CREATE'),"
        " has_schema_privilege(%(r)s, 'public', 'CREATE'),"
        " has_schema_privilege(%(r)s, 'public', 'USAGE'),"
        " has_database_privilege(%(r)s, 'countersign', 'CREATE'),"
        " has_database_privilege(%(r)s, 'countersign', 'TEMPORARY')",
        {'r': role}).fetchone() == (False,) * 5
    assert owner.execute(
        'SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication,'
        ' rolbypassrls FROM pg_roles WHERE rolname = %s', (role,)
    ).fetchone() == (False,) * 5


EXECUTES = {
    'countersign_worker': set(),
    'countersign_publisher': {'crl_publishing', 'migrations'},
    'countersign_auditor': {'renewal_chain', 'migrations',
                            'passwords_told', 'crl_publishing',
                            'names_told', 'ca_told', 'crl_above_told'},
    'countersign_signer': {'make_partitions', 'signer_lease', 'crl_stored',
                           'ocsp_keep', 'ocsp_forget', 'secret_lock',
                           'secret_use', 'exchange_wipe',
                           'ledger_head_put', 'rollback_found',
                           'revocations_told', 'audit_after'},
    'countersign_operator': {'names_told', 'ca_told', 'crl_above_told',
                             'account_set_names',
                             'import_begin', 'import_add', 'import_names',
                             'import_groups', 'import_disable',
                             'import_enable', 'import_replace',
                             'import_stragglers',
                             'account_add', 'account_set_password',
                             'account_set_disabled', 'account_set_group',
                             'ca_register', 'ca_replace', 'ca_activate',
                             'crl_above_put', 'crl_publishing',
                             'policy_publish', 'cert_revoke',
                             'cert_release', 'secret_create',
                             'secret_revoke', 'renewal_chain',
                             'key_recover', 'key_block',
                             'key_block_all', 'migrations', 'passwords_told',
                             'airgap_add_ca',
                             'airgap_vault', 'airgap_open', 'airgap_part_put',
                             'airgap_made', 'airgap_result', 'airgap_void',
                             'airgap_list_part', 'airgap_list',
                             'airgap_close'},
}


def test_functions(owner):
    """Nobody executes by default; definer's rights only with a fixed path."""
    rows = owner.execute(
        "SELECT oid, proname, proacl::text, prosecdef, proconfig FROM pg_proc"
        " WHERE pronamespace = 'countersign'::regnamespace").fetchall()
    assert rows
    for oid, name, acl, definer, config in rows:
        assert acl is not None and '{=' not in acl and ',=' not in acl, name
        assert any(c.startswith('search_path=countersign, pg_temp')
                   for c in config), name
        for role in ROLES:
            has = owner.execute("SELECT has_function_privilege(%s, %s::oid,"
                                " 'EXECUTE')", (role, oid)).fetchone()[0]
            assert has == (name in EXECUTES[role]), (role, name)


@pytest.mark.parametrize('sql', [
    "SELECT pg_advisory_lock(71200104, hashtext('CA'))",
    "SELECT pg_try_advisory_lock_shared(71200103, hashtext('signer-1'))",
    'SELECT pg_advisory_xact_lock(71200101)',
    "SELECT lo_from_bytea(0, 'x')", 'SELECT lo_create(0)',
    "SELECT pg_logical_emit_message(false, 'x', 'y')"])
def test_what_everybody_may(pg, sql):
    """No revocation list kept from being made, no disk filled."""
    for role in set(ROLES) - {'countersign_signer'}:
        with pg.connect(role) as db, \
                pytest.raises(errors.InsufficientPrivilege):
            db.execute(sql)


def test_signers_lock(pg):
    with pg.connect('countersign_signer') as db:
        for f in 'lock', 'xact_lock':
            assert db.execute('SELECT pg_try_advisory_%s(71200104, 1)' %
                              f).fetchone()[0]
        db.execute("SELECT pg_logical_emit_message(true, 'c', 'barrier')")


def test_only_workers_read_passwords(pg, owner):
    owner.execute("SELECT account_add('pw', false, 'P', NULL, NULL, NULL,"
                  " NULL, NULL, '$argon2id$x', '{users}')")
    with pg.connect('countersign_worker') as db:
        assert db.execute("SELECT password FROM countersign.account"
                          " WHERE name = 'pw'").fetchone()[0]
    for role in ROLES[1:4]:
        with pg.connect(role) as db:
            assert db.execute("SELECT cn FROM countersign.account"
                              " WHERE name = 'pw'").fetchone() == ('P',)
            for q in ('SELECT password FROM countersign.account',
                      'SELECT * FROM countersign.account'):
                with pytest.raises(errors.InsufficientPrivilege):
                    db.execute(q)


@pytest.mark.parametrize('sql', [
    'INSERT INTO countersign.policy VALUES (9, %s, %s, now(), \'x\')',
    'UPDATE countersign.policy SET body = %s WHERE body <> %s',
    'DELETE FROM countersign.policy WHERE sha256 <> %s AND body <> %s'])
def test_nobody_changes_the_policy(pg, owner, sql):
    owner.execute("SELECT policy_publish('some policy')")
    args = (b'\0' * 32, b'')
    for role in ROLES:
        with pg.connect(role) as db, \
                pytest.raises(errors.InsufficientPrivilege):
            db.execute(sql, args)
    if not sql.startswith('INSERT'):    # not even the owner
        with pytest.raises(errors.RaiseException, match='rows are kept'):
            owner.execute(sql, args)


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


def months(owner):
    """[(suffix, first day, first serial)] of the partitions there are."""
    rows = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND"
        " relname ~ '^request_[0-9]{6}$' ORDER BY 1").fetchall()
    out = []
    for (name,) in rows:
        start = datetime.datetime(int(name[8:12]), int(name[12:]), 1,
                                  tzinfo=UTC)
        out.append((name[8:], int(start.timestamp())))
    return out


def part_of(db, table, column, value):
    return db.execute(
        'SELECT tableoid::regclass::text FROM countersign.%s WHERE %s = %%s'
        % (table, column), (value,)).fetchone()[0].split('.')[-1]


def test_partition_boundaries(owner):
    found = months(owner)
    assert len(found) == 5
    now = datetime.datetime.now(UTC)
    assert found[1][0] == now.strftime('%Y%m')
    for i, (suffix, start) in enumerate(found):
        before = found[i - 1][0] if i else 'other'
        first, last = start // 86400, start // 86400 - 1
        rid = put_request(owner, first, 1000 + i)
        assert part_of(owner, 'request', 'id', rid) == 'request_' + suffix
        rid = put_request(owner, last, 2000 + i)
        assert part_of(owner, 'request', 'id', rid) == 'request_' + before
        # A unit of 1024 s that holds midnight belongs to the new month.
        low = serial_at(start)
        assert part_of(owner, 'certificate', 'serial',
                       put_certificate(owner, low)) == 'certificate_' + suffix
        prev = (int.from_bytes(low[:3], 'big') - 1).to_bytes(3, 'big')
        assert part_of(owner, 'certificate', 'serial',
                       put_certificate(owner, prev + b'\xff' * 13)
                       ) == 'certificate_' + before


def test_rows_outside_all_months_are_kept(owner):
    rid = put_request(owner, 65535, 300)
    assert part_of(owner, 'request', 'id', rid) == 'request_other'
    for serial in (b'\x01', b'\x7f' + b'\xff' * 15):
        put_certificate(owner, serial)
        assert part_of(owner, 'certificate', 'serial',
                       serial) == 'certificate_other'


@pytest.mark.parametrize('unix,units', [
    (1577836800, 0), (1577836800 + 1023, 0), (1577836800 + 1023.999, 0),
    (1577836800 + 1024, 1), (1796515200, 213553), (2**32, 2653447)])
def test_serial_time(owner, unix, units):
    got = owner.execute('SELECT serial_time(to_timestamp(%s))',
                        (unix,)).fetchone()[0]
    assert int.from_bytes(got, 'big') == 0x400000 + units
    assert len(got) == 3


def test_make_partitions(pg, owner):
    with pg.connect('countersign_signer') as db:
        make = 'SELECT countersign.make_partitions(%s)'
        assert db.execute(make, (3,)).fetchone()[0] == 0
        assert db.execute(make, (5,)).fetchone()[0] == 2
        assert db.execute(make, (5,)).fetchone()[0] == 0
    # A month with rows already: left where they are, the next is made.
    last = datetime.datetime.fromtimestamp(months(owner)[-1][1], UTC)
    wild = (last + datetime.timedelta(days=32)).replace(day=2)
    rid = put_request(owner, int(wild.timestamp()) // 86400, 400)
    with pg.connect('countersign_signer') as db:
        assert db.execute(make, (7,)).fetchone()[0] == 1
    assert part_of(owner, 'request', 'id', rid) == 'request_other'
    assert not owner.execute('SELECT to_regclass(%s)', (
        'certificate_' + wild.strftime('%Y%m'),)).fetchone()[0]
    assert len(months(owner)) == 8


def test_months_wait_for_nobody(pg, owner):
    """Somebody dumps the tables; who comes behind must not wait as long."""
    ahead = len(months(owner)) + 12
    make = 'SELECT countersign.make_partitions(%s)'
    with pg.connect('countersign_signer') as db:
        db.execute("SET lock_timeout = '20s'")
        with owner.transaction():
            owner.execute('SELECT count(*) FROM request').fetchone()
            assert db.execute(make, (ahead,)).fetchone()[0] == 0
        assert db.execute(make, (ahead,)).fetchone()[0] > 0


def test_partition_is_pruned(owner):
    plan = '\n'.join(r[0] for r in owner.execute(
        'EXPLAIN SELECT * FROM request WHERE day = %d AND id = $$x$$'
        % today()))
    assert plan.count('Scan') == 1


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
