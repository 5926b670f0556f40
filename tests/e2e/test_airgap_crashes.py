"""Rounds over an air gap that break off at every step."""
import concurrent.futures
import subprocess
import time

from cryptography import x509

import client
from airgap import crl, list_of, refused, vault_copy
from bundle import Bundle, RESULT, VOID
from database import not_waited_for, standby_gone


def crash_once(gap, at, n):
    """A vault that breaks off at this step and goes on: None when it did not
    break off, or the serial numbers that are void."""
    conf, out = vault_copy(gap, 'crash'), gap.stick / 'crash-answer'
    out.unlink(missing_ok=True)
    words = ['sign', '--yes', '-o', out, gap.request]
    r = gap.run(*words, conf=conf, ok=None, crash_at=at)
    if r.returncode == 0:
        return None
    assert r.returncode in (-9, 137), (at, r.stdout, r.stderr)
    gap.run(*words, conf=conf)
    first = out.read_bytes()
    gap.run(*words, conf=conf)
    assert out.read_bytes() == first
    b = Bundle(first)
    assert [x[1][1][1] for x in b.all(RESULT)] == [b'\x01'] * n
    voids = {int.from_bytes(v[1][2][1], 'big') for v in b.all(VOID)}
    assert voids <= {e.serial_number for e in list_of(b)}
    certs = [x509.load_der_x509_certificate(x[1][10][1])
             for x in b.all(RESULT)]
    assert not voids & {c.serial_number for c in certs}
    return voids


def steps(run, done):
    """Crash before the first call, the second, ... until it goes through."""
    for at in range(1, 200):
        r = run(at)
        if r.returncode == 0:
            return at
        assert r.returncode in (-9, 137), (at, r.stdout, r.stderr)
        done(at)
    raise AssertionError('never done')


def test_crash_at_every_step(gap, gap_user):
    keys = [client.ec_key() for _ in range(3)]
    numbers = [gap.pending(gap_user, gap.server('c%d.demo.example' % i, key=k))
               for i, k in enumerate(keys)]
    seen = set()

    def look(at):
        seen.add(gap.request.read_bytes() if gap.request.exists() else b'')
    gap.request.unlink(missing_ok=True)
    assert steps(lambda at: gap.export(ok=None, crash_at=at), look) > 4
    final = gap.request.read_bytes()
    assert seen <= {b'', final}

    between, at = [], 1
    while (one := crash_once(gap, at, 3)) is not None:
        between += [at] if one else []
        at += 1
    assert at > 8 and between, 'no crash fell between intent and signature'
    # And one crash upon the other.
    gap.sign(ok=None, crash_at=between[0])
    assert steps(lambda at: gap.sign(ok=None, crash_at=at),
                 lambda at: None) > 5
    answer = gap.response.read_bytes()
    gap.sign()
    assert gap.response.read_bytes() == answer
    assert len(Bundle(answer).all(RESULT)) == 3

    def nothing(at):
        leaves = [gap.poll(gap_user, n).leaf is not None for n in numbers]
        assert all(leaves) or not any(leaves)

    def take(at):
        r = gap.take(ok=None, crash_at=at)
        if r.returncode == 1:       # the crash came behind the commit
            refused(r, 'replayed')
            r.returncode = 0
        return r
    assert steps(take, nothing) > 5
    for n, k in zip(numbers, keys):
        cert = gap.poll(gap_user, n).certificate
        assert cert.public_key().public_numbers() == k.public_key(
            ).public_numbers()
    rows = gap.sql('SELECT r.number, count(c) FROM countersign.request r '
                   'JOIN countersign.certificate c ON c.request_id = r.id '
                   'WHERE r.number = ANY (%s) GROUP BY 1',
                   [int(n) for n in numbers])
    assert sorted(rows) == sorted((int(n), 1) for n in numbers)
    assert gap.sql('SELECT count(*) FROM countersign.void_serial') > [(0,)]
    gap.verify()
    # The next round tells the vault of the rows of what is void.
    gap.round()
    gap.verify()


def test_killed_at_any_moment(gap, gap_user):
    numbers = [gap.pending(gap_user, gap.server('k%d.demo.example' % i))
               for i in range(6)]
    gap.export()
    gap.response.unlink(missing_ok=True)
    own = gap.ctl_words()
    at = own.index('-c') - 1
    for i in range(12):
        p = subprocess.Popen(own[:at] + [
            gap.env['CS_VAULT_SIGNER'], '-c', gap.env['CS_VAULT_CONF'],
            'airgap', 'sign', '--yes', '-o', str(gap.response),
            str(gap.request)], stdout=subprocess.DEVNULL)
        time.sleep(0.004 * i)
        p.kill()
        p.wait()
    gap.sign()
    b = Bundle(gap.response.read_bytes())
    gap.take()
    for n in numbers:
        assert gap.poll(gap_user, n).leaf is not None
    assert {int.from_bytes(v[1][2][1], 'big') for v in b.all(VOID)} <= {
        e.serial_number for e in crl(gap)}
    gap.verify()


def test_a_round_that_may_be_lost(gap, gap_user):
    """The connection ends while COMMIT waits for the standby: the round can be
    read, and is not put on the stick before it is durable."""
    import psycopg
    number = gap.pending(gap_user, gap.server('lost.demo.example'))
    out = gap.stick / 'may-be-lost'
    with psycopg.connect(gap.env['CS_DSN'], user='postgres',
                         autocommit=True) as db, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        with standby_gone(db):
            for _ in range(2):
                r = not_waited_for(gap, db, pool, 'airgap', 'export',
                                   str(out))
                assert r.returncode != 0, r.stdout
                assert not out.exists()
                assert gap.sql('SELECT count(*) FROM countersign.airgap_round '
                               'WHERE imported_at IS NULL') == [(1,)]
    gap.round()
    assert gap.poll(gap_user, number).leaf is not None
