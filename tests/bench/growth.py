#!/usr/bin/python3
"""make bench-growth: does it cost more with 10,000,000 certificates?

Two stacks, one filled (fill.c), are asked in turn: enrollments, polls, a
look-up by serial, an account's list, a revocation.  Text, and JSON lines in
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
    """What an operator asks for: name -> words of its i-th run."""
    serials = sql(stack, "SELECT encode(serial, 'hex') FROM "
                  'countersign.certificate WHERE revoked_at IS NULL '
                  'ORDER BY serial DESC LIMIT %d' % (2 * RUNS)).split()
    account = sql(stack, 'SELECT account FROM countersign.certificate '
                  'ORDER BY serial LIMIT 1')
    return {
        'cert show': lambda i: ['cert', 'show', serials[i]],
        'request list --account': lambda i: ['request', 'list', '--account',
                                             account, '--limit', '20'],
        'cert revoke': lambda i: ['cert', 'revoke', serials[RUNS + i],
                                  '--reason', 'superseded'],
    }


def ask(stack, words):
    """ms of one command."""
    start = time.perf_counter()
    subprocess.run(shlex.split(stack.env['CS_CTL']) + words, check=True,
                   capture_output=True)
    return 1e3 * (time.perf_counter() - start)


def asked(results, full, empty):
    """Each command by turns of one, and the ratio of their p99."""
    todo = [(b, when, commands(b.stack)) for b, when in (
        (full, 'full'), (empty, 'empty'))]
    for name in todo[0][2]:
        took = {'full': [], 'empty': []}
        for i in range(RUNS):
            for b, when, words in todo:
                took[when].append(ask(b.stack, words[name](i)))
        rows = []
        for when, ms in took.items():
            q = statistics.quantiles(ms, n=100)
            rows.append(results.put({
                'case': '%s-%s' % (name.replace(' --', '-').replace(' ', '-'),
                                   when),
                'p50_ms': round(q[49], 2), 'p99_ms': round(q[98], 2)}))
            say(json.dumps(rows[-1]))
        results.ratio(name + ' p99, full over empty', rows[0]['p99_ms'] /
                      rows[1]['p99_ms'], 2, [r['case'] for r in rows], True)


def enroll(b):
    return lambda end: b.enroll(64, end)


def poll(b):
    rig.poll_files(b.out, b.stack.env)
    return lambda end: b.case(
        'poll-pending-userpass-c8' + b.tag + end, b.stack.env['CS_CES_URL'],
        'poll-pending.xml', 8, expect='RequestedSecurityToken')


def grow(args, results, b):
    """Fills it, and says what a certificate costs."""
    before, rows = sizes(b.stack), b.stack.rows()
    took = fill(args, b)
    say('filled in %.0f s, %.0f rows/s of each table' % (
        took, args.rows / took))
    vacuum = settle(b.stack)
    rows = b.stack.rows() - rows
    each = [(x - y) / rows for x, y in zip(sizes(b.stack), before)]
    say('each certificate: %.0f bytes of tables, %.0f of indexes, %.0f of '
        'WAL; vacuum %.0f s' % (*each, vacuum))
    results.put({'case': 'growth-cost', 'rows': rows, 'vacuum_s':
                 round(vacuum), 'fill_s': round(took), **{
                     k + '_bytes': round(v)
                     for k, v in zip(('heap', 'index', 'wal'), each)}})


def p99(row):
    return row['p99_ms']


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--rows', type=int, default=10000000)
    ap.add_argument('--seconds', type=float, default=10)
    ap.add_argument('--workers', type=int, default=2)
    ap.add_argument('--build', default=TOP / 'build')
    args = ap.parse_args()
    (TOP / 'var/bench').mkdir(parents=True, exist_ok=True)
    results = bench.Results(TOP / 'var/bench/growth.json')
    with bench.Bench(args, results, place='base') as empty, \
            bench.Bench(args, results) as full:
        grow(args, results, full)
        for b in full, empty:
            b.enroll(64)        # the first rows of anything are slower
        results.medians('enroll, full over empty', *bench.in_turn(
            'growth', enroll(full), enroll(empty)), bench.rate, 0.9)
        results.medians('poll p99, full over empty', *bench.in_turn(
            'growth', poll(full), poll(empty)), p99, 2, True)
        asked(results, full, empty)


if __name__ == '__main__':
    main()
