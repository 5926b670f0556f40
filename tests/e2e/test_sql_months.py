"""Each month has tables of its own, for its requests and its certificates."""
import concurrent.futures
import datetime

import psycopg
import pytest

from database import (  # noqa: F401
    BIN, owner, pg, put_certificate, put_request, serial_at, today,
    waits_for_lock)

UTC = datetime.timezone.utc

pytestmark = pytest.mark.skipif(not (BIN / 'postgres').exists(),
                                reason='no PostgreSQL 15')


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


def test_partition_boundaries(pg, owner):
    found = months(owner)
    assert len(found) == 5
    assert found[1][0] == pg.made
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
        db.execute(make, (3,))      # a month may have ended since
        before = len(months(owner))
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
    assert len(months(owner)) == before + 3


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


def test_one_message_over_midnight(pg, owner):
    """Two signers that have it in the same instant; only near midnight, and
    neither what was denied nor what reconcile puts back."""
    day = today() + 1

    def put(db, n, seconds, key, state='issued'):
        put_request(db, day + seconds // 86400, n, state, key,
                    at=day * 86400 + seconds)
    with pg.connect('countersign_signer') as one, \
            pg.connect('countersign_signer') as two, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        for db in one, two:
            db.execute("SET countersign.one_account = 'on'")
        with one.transaction():
            put(one, 9001, -1, b'm' * 16)
            late = pool.submit(put, two, 9002, 1, b'm' * 16)
            waits_for_lock(owner, two.info.backend_pid)
        with pytest.raises(psycopg.errors.UniqueViolation,
                           match='other side of midnight'):
            late.result()
        put(two, 9003, 1, b'm' * 16, 'denied')
        put(two, 9004, 1, b'other' + b'm' * 11)
        for n, at in (9005, -3601), (9006, 3601):
            put(one, n, at, b'far' + b'm' * 13)
    put(owner, 9007, 2, b'm' * 16)
