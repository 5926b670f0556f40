#!/usr/bin/python3
"""make bench-growth: does it cost more with 10,000,000 certificates?

Measures an empty table, fills it (fill.c), measures again: enrollments, polls,
a look-up by serial, an account's list, a revocation.  Text, and JSON lines in
var/bench/growth.json."""
import argparse
import json
import shlex
import statistics
import subprocess
import time

import bench
import rig
from limits import socket_dir
from rig import TOP, say

RUNS = 200              # of each command


def sql(stack, query, db='countersign'):
    return subprocess.run(
        ['psql', '-X', '-A', '-t', '-q', 'host=%s dbname=%s user=postgres' % (
            socket_dir(stack), db)], input=query, text=True, check=True,
        capture_output=True).stdout.strip()


def sizes(stack):
    """Bytes of heap, indexes and write-ahead log."""
    heap, index = sql(stack, '''SELECT sum(pg_table_size(inhrelid)),
        sum(pg_indexes_size(inhrelid)) FROM pg_inherits WHERE inhparent IN
        ('countersign.request'::regclass, 'countersign.certificate'::regclass)
        ''').split('|')
    wal = sql(stack, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
    return int(heap), int(index), int(wal)


def fill(args, b):
    """Half of the rows in each of two processes; seconds."""
    env, out = b.stack.env, b.out
    key, reply = rig.bench_enroll(env, env['CS_TEMPLATE'],
                                  'fill.demo.example')
    import client
    (out / 'fill.crt').write_bytes(reply.leaf)
    (out / 'fill.csr').write_bytes(client.make_csr(
        key, 'fill.demo.example', ['fill.demo.example'], env['CS_TEMPLATE']))
    ca = env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    cmd = [str(args.build / 'fill'), '--dsn',
           'host=%s dbname=countersign user=postgres' % socket_dir(b.stack),
           '--cert', str(out / 'fill.crt'), '--token', str(out / 'fill.csr'),
           '--ca-key', str(b.stack.state / 'ca' / (ca + '.key')),
           '--passphrase', str(b.stack.state / 'ca' / (ca + '.pass')),
           '--ca', ca, '--template', env['CS_TEMPLATE'],
           '--rows', str(args.rows)]
    # A fresh database makes partitions from the month before on.
    start = time.time()
    parts = [subprocess.Popen(cmd + ['--part', '%d/2' % i]) for i in (0, 1)]
    if any([p.wait() for p in parts]):
        raise SystemExit('fill failed')
    return time.time() - start


def settle(stack):
    """What autovacuum would do in the hours that such a number takes."""
    start = time.time()
    sql(stack, 'VACUUM (ANALYZE) countersign.request; '
        'VACUUM (ANALYZE) countersign.certificate; '
        'VACUUM (ANALYZE) countersign.key_owner; CHECKPOINT')
    return time.time() - start


def commands(stack):
    """p50 and p99 in ms of what an operator asks for."""
    ctl = shlex.split(stack.env['CS_CTL'])
    serials = sql(stack, "SELECT encode(serial, 'hex') FROM "
                  'countersign.certificate WHERE revoked_at IS NULL '
                  'ORDER BY serial DESC LIMIT %d' % (2 * RUNS)).split()
    account = sql(stack, 'SELECT account FROM countersign.certificate '
                  'ORDER BY serial LIMIT 1')
    todo = {
        'cert show': lambda i: ['cert', 'show', serials[i]],
        'request list --account': lambda i: ['request', 'list', '--account',
                                             account, '--limit', '20'],
        'cert revoke': lambda i: ['cert', 'revoke', serials[RUNS + i],
                                  '--reason', 'superseded'],
    }
    out = {}
    for name, words in todo.items():
        took = []
        for i in range(min(RUNS, len(serials) // 2)):
            start = time.perf_counter()
            subprocess.run(ctl + words(i), check=True, capture_output=True)
            took.append(1e3 * (time.perf_counter() - start))
        q = statistics.quantiles(took, n=100)
        out[name] = q[49], q[98]
    return out


def measure(b, results, when):
    """All that is compared; by name."""
    rate = b.enroll(64)
    rig.poll_files(b.out, b.stack.env)
    poll = b.case('poll-pending-userpass-c8-' + when,
                  b.stack.env['CS_CES_URL'], 'poll-pending.xml', 8,
                  expect='RequestedSecurityToken')
    asked = commands(b.stack)
    heap, index, wal = sizes(b.stack)
    row = {'case': 'growth-' + when, 'enroll_per_second': rate['per_second'],
           'poll_p99_ms': poll['p99_ms'], 'heap': heap, 'index': index,
           'wal': wal, 'rows': b.stack.rows(),
           **{k: {'p50_ms': round(v[0], 2), 'p99_ms': round(v[1], 2)}
              for k, v in asked.items()}}
    results.put(row)
    say(json.dumps(row))
    return row


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--rows', type=int, default=10000000)
    ap.add_argument('--seconds', type=float, default=10)
    ap.add_argument('--workers', type=int, default=2)
    ap.add_argument('--build', default=TOP / 'build')
    args = ap.parse_args()
    (TOP / 'var/bench').mkdir(parents=True, exist_ok=True)
    results = bench.Results(TOP / 'var/bench/growth.json')
    with bench.Bench(args, results) as b:
        b.enroll(64)            # the first rows of anything are slower
        empty = measure(b, results, 'empty')
        took = fill(args, b)
        say('filled in %.0f s, %.0f rows/s of each table' % (
            took, args.rows / took))
        vacuum = settle(b.stack)
        full = measure(b, results, 'full')
        rows = full['rows'] - empty['rows']
        say('each certificate: %.0f bytes of tables, %.0f of indexes, %.0f '
            'of WAL; vacuum %.0f s' % (
                (full['heap'] - empty['heap']) / rows,
                (full['index'] - empty['index']) / rows,
                (full['wal'] - empty['wal']) / rows, vacuum))
        results.put({'case': 'growth-cost', 'rows': rows, 'vacuum_s':
                     round(vacuum), 'fill_s': round(took),
                     **{k + '_bytes': round((full[k] - empty[k]) / rows)
                        for k in ('heap', 'index', 'wal')}})
        cases = ['growth-full', 'growth-empty']
        results.ratio('enroll, full over empty', full['enroll_per_second'] /
                      empty['enroll_per_second'], 0.9, cases)
        results.ratio('poll p99, full over empty', full['poll_p99_ms'] /
                      empty['poll_p99_ms'], 2, cases, True)
        for k in ('cert show', 'request list --account', 'cert revoke'):
            results.ratio(k + ' p99, full over empty', full[k]['p99_ms'] /
                          empty[k]['p99_ms'], 2, cases, True)


if __name__ == '__main__':
    main()
