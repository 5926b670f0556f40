#!/usr/bin/python3
"""make bench: enrollments through the real stack, as text and as one JSON
object a line in var/bench/results.json.

Needs a built tree; starts stacks of its own ("make run") under var/bench.
CPU is read from /proc for every process of the stack, children included.
Without --ca, --signers or --fsync-delay-ms every line of docs/performance.md
is measured, each on the stack it needs; with one of them that stack alone,
beside its limits.
"""
import argparse
import json
import os
import statistics
import time

import limits
import rig
from rig import PARTS, TOP, say

NAMES = {'ec:P-256': 'p256', 'ec:P-384': 'p384', 'rsa:2048': 'rsa2048',
         'rsa:3072': 'rsa3072', 'rsa:4096': 'rsa4096'}
CALM, CROWD, AFTER = 10, 10, 15     # seconds
SLICES = 3


def in_turn(name, *runs):
    """Each several times and in turn, so that what else the machine does
    falls on all alike: the rows of each.  A run takes a case's name's end."""
    rows = [[] for _ in runs]
    for i in range(SLICES):
        for k in sorted(range(len(runs)), reverse=i % 2 == 1):
            rows[k].append(runs[k]('-%s-%d' % (name, i + 1)))
    return rows


def spent(row):
    return sum(row['cpu_us'][p] for p in PARTS)


def rate(row):
    return row['per_second']


class Results:
    """The cases and ratios of a run, a line each; with keep those of another
    run before stay where this one has none of the name."""

    def __init__(self, path, keep=False):
        self.path, self.missed = path, []
        if not keep or not path.exists():
            path.write_text('')
        self.rows = [json.loads(x) for x in path.read_text().splitlines()]
        self.old = len(self.rows)

    def put(self, row):
        """Appends it; a case measured twice is told apart, so that a ratio
        says which of both it was computed from."""
        n, case = 1, row['case']
        while case != 'ratio' and self.find(row['case']):
            n += 1
            row['case'] = '%s-%d' % (case, n)
        name = row['case'], row.get('name')
        before = [r for r in self.rows[:self.old]
                  if (r['case'], r.get('name')) != name and
                  case not in r.get('from', [])]
        self.rows[:self.old] = before
        self.old = len(before)
        self.rows.append(row)
        self.path.write_text(''.join(json.dumps(r) + '\n'
                                     for r in self.rows))
        return row

    def medians(self, name, these, those, what, line, at_most=False):
        """The median of what these rows have over that of those."""
        top, base = (statistics.median(what(r) for r in rows)
                     for rows in (these, those))
        self.ratio(name, top / base, line, [r['case'] for r in these + those],
                   at_most)

    def find(self, case):
        """That case of this run, or None."""
        return next((r for r in self.rows[self.old:] if r['case'] == case),
                    None)

    def ratio(self, name, value, line, came_from, at_most=False):
        """value against the line to reach; came_from: the cases' names."""
        assert all(map(self.find, came_from)), came_from
        self.put({'case': 'ratio', 'name': name, 'value': round(value, 3),
                  'line': line, 'at_most': at_most, 'from': came_from})
        good = value <= line if at_most else value >= line
        if not good:
            self.missed.append(name)
        say('  = %-44s %9.2f  line %s %g%s' % (
            name, value, '<=' if at_most else '>=', line,
            '' if good else '  MISSED'))


class Bench:
    """One stack, and the cases that it is asked for."""

    def __init__(self, args, results, ca='ec:P-256', signers=1, delay=0,
                 place='.'):
        self.args, self.results, self.name = args, results, NAMES[ca]
        self.out = TOP / 'var/bench' / place
        self.out.mkdir(exist_ok=True)
        self.tag = ('-signers%d' % signers if signers > 1 else '') + \
            ('-fsync%gms' % delay if delay else '') + \
            ('-base' if place == 'base' else '')
        options = {'PROCESSES': str(args.workers), 'SIGNERS': str(signers),
                   'CA_KEY': ca}
        if delay:
            options['LD_PRELOAD'] = str(args.build / 'slowsync.so')
            options['SLOW_SYNC_MS'] = str(delay)
        say('a stack: CA %s, %d signers%s' % (
            ca, signers, ', fsync %g ms slower' % delay if delay else ''))
        self.stack = rig.Stack(self.out / 'stack', options)
        self.stack.recycle_wal()
        env = self.stack.env
        rig.message_files(self.out, env, 40)
        # Warm: caches, connections, the first partitions.
        rig.load(args.build / 'load', self.out, self.stack, {
            'url': env['CS_CES_URL'], 'body': 'enroll.xml', 'connections': 4,
            'seconds': 1, 'tokens': 'tokens-rsa2048'})
        self.costs = limits.raw_costs(self.name)
        results.put({'case': 'raw-' + self.name + self.tag,
                     'us': self.costs})
        # Of the cores that the signers have.
        raw = 1e6 / self.costs['sign-' + self.name] * min(signers,
                                                          os.cpu_count())
        results.put({'case': 'signatures-' + self.name + self.tag,
                     'per_second': round(raw, 1)})
        self.answers = results.put({    # each is signed twice
            'case': 'answers-' + self.name + self.tag,
            'per_second': round(raw / 2, 1)})
        say('raw costs, us each: %s' %
            '  '.join('%s %.4g' % kv for kv in self.costs.items()))

    def case(self, name, url, body, connections, who=None, **kw):
        """Run and record one case; kw goes to rig.load, as does who, whose
        CPU time it is: the stack's unless said."""
        kw = {'url': url, 'body': body, 'connections': connections,
              'seconds': self.args.seconds, **kw}
        res, cpu = rig.load(self.args.build / 'load', self.out,
                            who or self.stack, kw)
        row = self.results.put({
            'case': name, 'per_second': res['per_second'],
            'p50_ms': res['p50_ms'], 'p99_ms': res['p99_ms'],
            'p999_ms': res['p999_ms'], 'cpu_us': cpu,
            'failed': res['failed'], 'done': res['done'],
            'connections': connections, 'rss_mb': (who or self.stack).rss(),
            'rows': self.stack.rows()})
        say('%-34s %8.0f/s  p50 %7.2f  p99 %7.2f  p99.9 %7.2f ms  failed %d\n'
            '    CPU us each: %s\n    RSS MB: %s' % (
                name, row['per_second'], row['p50_ms'], row['p99_ms'],
                row['p999_ms'], row['failed'],
                '  '.join('%s %.0f' % kv for kv in cpu.items()),
                '  '.join('%s %.1f' % kv for kv in row['rss_mb'].items())))
        # What the generator left in the queue is not the next case's.
        time.sleep(connections / 400)
        if res['failed']:
            say('    first failure: %s' % res.get('first_failure'))
        return row

    def enroll(self, n, end='', **kw):
        return self.case('enroll-%s-userpass-c%d%s%s' % (
            self.name, n, self.tag, end), self.stack.env['CS_CES_URL'],
            'enroll.xml', n, expect='RequestedSecurityToken',
            tokens='tokens-rsa2048', **kw)

    def half(self, peak):
        """At half the peak, several times: a new database is vacuumed each
        minute, and the kernel writes out what is 30 s old."""
        rows = [self.case('enroll-%s-userpass-half-peak-c64-%d' % (
            self.name, i + 1), self.stack.env['CS_CES_URL'], 'enroll.xml', 64,
            expect='RequestedSecurityToken', tokens='tokens-rsa2048',
            rate=round(peak / 2)) for i in range(SLICES)]
        self.results.ratio(
            'p99 ms at half the peak',
            statistics.median(r['p99_ms'] for r in rows), 10,
            [r['case'] for r in rows], True)

    def raw_answers(self, end):
        """What one core could sign at this moment: each is signed twice."""
        us = limits.raw_costs(self.name)['sign-' + self.name]
        return self.results.put({
            'case': 'answers-' + self.name + self.tag + end,
            'per_second': round(1e6 / us / 2, 1)})

    def crypto(self, row):
        """The stack's CPU over the cryptography that it must do."""
        size = (self.out / 'enroll.xml').stat().st_size + 1200
        least = limits.floor(self.costs, self.name, 2 * size / 1024)
        bare = self.results.put({'case': 'cryptography-' + row['case'],
                                 'us': round(least, 1)})
        self.results.ratio('cpu-over-cryptography ' + row['case'],
                           spent(row) / least, 2.0, [row['case'], bare['case']],
                           True)

    def life(self):
        """Renewals and polls: their CPU time as a multiple of a new
        enrollment's."""
        rig.renewal_files(self.out, self.stack.env)
        rig.poll_files(self.out, self.stack.env)
        kinds = [('renew-%s-key-cmc-userpass' % k, 1.3, 'renew.xml',
                  'tokens-renewal-' + k) for k in ('same', 'new')]
        kinds += [('poll-%s-userpass' % k, 0.5, 'poll-%s.xml' % k, None)
                  for k in ('pending', 'approved', 'issued')]

        def run(name, _, body, tokens):
            return lambda end: self.case(
                name + '-c64' + end, self.stack.env['CS_CES_URL'], body, 64,
                expect='RequestedSecurityToken', tokens=tokens,
                seconds=self.args.seconds / 2)

        new, *others = in_turn(
            'life', lambda end: self.enroll(64, end, seconds=self.args.seconds / 2),
            *[run(*kind) for kind in kinds])
        for (name, line, *_), rows in zip(kinds, others):
            self.results.medians(name + ' cpu over enrollment', rows, new,
                                 spent, line, True)

    def forms(self):
        """Other requests, logons and handshakes, for the table only."""
        env, n = self.stack.env, 64
        rig.form_files(self.out, env)
        kw = {'expect': 'RequestedSecurityToken'}
        for name, body, tokens in (('p256-csr', 'enroll.xml', 'tokens-p256'),
                                   ('cmc', 'cmc.xml', 'tokens-cmc')):
            self.case('enroll-%s-%s-userpass-c%d' % (self.name, name, n),
                      env['CS_CES_URL'], body, n, tokens=tokens, **kw)
        self.case('enroll-%s-certificate-c%d' % (self.name, n),
                  env['CS_CES_CERT_URL'], 'enroll-cert.xml', n,
                  tokens='tokens-rsa2048-user', cert=env['CS_CERT'],
                  key=env['CS_KEY'], **kw)
        for mode in ('full', 'resume'):
            self.case('enroll-%s-userpass-%s-handshake-c%d' % (
                self.name, mode, n), env['CS_CES_URL'], 'enroll.xml', n,
                tokens='tokens-rsa2048', handshake=mode, **kw)

    def hello(self, name, message, answer_bytes):
        """nginx before a program that does nothing but answer so much."""
        there = limits.Hello(self.stack, self.args.build, answer_bytes,
                             self.args.workers)
        try:
            return self.case(name, there.url, message, 64, there,
                             expect='xxxx')
        finally:
            there.stop()

    def hello_enroll(self):
        """An enrollment's bytes, there and back."""
        return self.hello('hello-enroll-c64' + self.tag, 'enroll.xml',
                          rig.enroll_size(self.stack.env))

    def bare_inserts(self):
        """Rows that PostgreSQL takes of whoever has nothing else to do."""
        rate = limits.insert_rate(self.stack, self.args.seconds)
        self.results.put({'case': 'bare-insert' + self.tag,
                          'per_second': round(rate)})
        say('bare inserts, 50 rows each: %.0f rows/s' % rate)

    def over_raw(self, row):
        """What the CA key could sign at most, and what was signed."""
        self.results.ratio('RSA-3072 over raw signatures / 2',
                           row['per_second'] / self.answers['per_second'],
                           0.9, [row['case'], self.answers['case']])

    def cep(self):
        """GetPolicies against a program that does nothing."""
        env = self.stack.env
        row = self.case('cep-getpolicies-c64', env['CS_CEP_URL'], 'cep.xml',
                        64, expect='GetPoliciesResponse')
        bare = self.hello('hello-c64', 'cep.xml', rig.answer_size(env))
        self.results.ratio('cep over hello', row['per_second'] /
                           bare['per_second'], 0.7,
                           [row['case'], bare['case']])

    def budgets(self, top):
        """Enrollments over the budget of performance.md: with all of it as
        much dearer here as the cryptography is, and with what nginx and
        FastCGI cost here beneath a program that answers as much."""
        bare = self.hello_enroll()
        parts = bare['cpu_us']['nginx'] + bare['cpu_us']['hello']
        for name, least in (
                ('budget', limits.budget(self.costs)),
                ('budget by parts', limits.budget_by_parts(self.costs,
                                                           parts))):
            all_cores = os.cpu_count() * 1e6 / least
            self.results.put({'case': name, 'us': round(least, 1),
                              'per_second': round(all_cores, 1)})
            self.results.ratio('enroll per second over the ' + name,
                               top['per_second'] / all_cores, 0.6,
                               [top['case'], name])

    def memory(self):
        """Resident memory after 10,000 requests and after 50,000."""
        seen, done = {}, 0
        for goal in (10000, 50000):
            while done < goal:
                res, _ = rig.load(self.args.build / 'load', self.out,
                                  self.stack, {
                    'url': self.stack.env['CS_CES_URL'],
                    'body': 'enroll.xml', 'connections': 32, 'seconds': 2,
                    'tokens': 'tokens-rsa2048'})
                done += res['done']
                if not res['done']:
                    raise SystemExit('no progress')
            seen[goal] = self.stack.rss()
            say('after %d requests, RSS MB: %s' % (done, seen[goal]))
        self.results.put({'case': 'memory', 'rss_mb_10000': seen[10000],
                          'rss_mb_50000': seen[50000]})

    def start(self, connections, seconds, **kw):
        return rig.start_load(self.args.build / 'load', self.out, self.stack, {
            'url': self.stack.env['CS_CES_URL'], 'body': 'enroll.xml',
            'connections': connections, 'seconds': seconds,
            'expect': 'RequestedSecurityToken', 'tokens': 'tokens-rsa2048',
            **kw})

    def overloaded(self, rate):
        """Half the peak all the time, and meanwhile more than the site lets
        in; both generators' results, and when the crowd came and went in the
        seconds of the first."""
        calm = self.start(600, 240, rate=rate, series='yes')
        calm.stderr.readline()          # its clock starts
        began = time.monotonic()
        time.sleep(CALM)
        came = time.monotonic()
        crowd = rig.ended_load(self.start(3000, CROWD, obey='yes'))
        went = time.monotonic()
        time.sleep(AFTER)
        calm.terminate()
        res = rig.ended_load(calm)
        return res, crowd, came - began, went - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.stop()


def main_lines(args, results):
    """The lines that one signer with a P-256 key is to reach."""
    with Bench(args, results) as b:
        rows = {n: b.enroll(n) for n in args.connections}
        top = rows.get(64) or b.enroll(64)
        peak = top['per_second']
        results.ratio('enroll per second over 6,000', peak / 6000, 1,
                      [top['case']])
        b.budgets(top)
        results.ratio('enroll per second over 528 (adcs_python)',
                      peak / 528, 10, [top['case']])
        b.crypto(top)
        b.half(peak)
        b.cep()
        b.life()
        b.forms()
        again = b.enroll(64, '-again')
        # Long enough for every connection's turn, several times.
        many = b.enroll(2000, seconds=max(
            args.seconds, 10000 / again['per_second']))
        results.ratio('2,000 connections over 64', many['per_second'] /
                      again['per_second'], 0.8, [many['case'],
                                                 again['case']])
        results.ratio('failed with 2,000 connections', many['failed'], 0,
                      [many['case']], True)
        results.ratio('worker MB, 2,000 connections over 64',
                      many['rss_mb']['worker'] / again['rss_mb']['worker'],
                      1.2, [many['case'], again['case']], True)
        b.bare_inserts()
        if args.memory:
            b.memory()


def other_lines(args, results):
    """Those that need two stacks."""
    def run(b):
        return lambda end: b.enroll(64, end)

    with Bench(args, results, place='base') as b, \
            Bench(args, results, delay=2, place='other') as slow:
        results.medians('fsync 2 ms slower over none', *in_turn(
            'fsync', run(slow), run(b)), rate, 0.5)
    for ca, small in (('rsa:3072', 'RSA-3072'), ('rsa:4096', 'RSA-4096')):
        with Bench(args, results, ca) as b, \
                Bench(args, results, ca, 2, place='other') as two:
            more, one, raw = in_turn('signers', run(two), run(b),
                                     b.raw_answers)
        results.medians(small + ' over raw signatures / 2', one, raw, rate,
                        0.9)
        # The slower the key, the less of both cores is the other programs'.
        results.medians('2 signers over 1, ' + small, more, one, rate, 1.8)


def one_stack(args, results):
    """The stack that was asked for, and its limits."""
    with Bench(args, results, args.ca or 'ec:P-256', args.signers or 1,
               args.fsync_delay_ms or 0) as b:
        for n in args.connections:
            row = b.enroll(n)
            b.crypto(row)
            if n == 64 and b.name == 'rsa3072':
                b.over_raw(row)
        b.hello_enroll()
        b.bare_inserts()
        if args.memory:
            b.memory()


def overload(args, results):
    """Who is told to come later, how soon, and when all is as before."""
    with Bench(args, results) as b:
        half = b.enroll(64)['per_second'] / 2
        res, crowd, came, went = b.overloaded(round(half))
    each = res['p99_ms_each_second']
    before = max(each[2:int(came)])
    back = next((i + 1 - went for i in range(int(went), len(each))
                 if 0 < each[i] <= before), float('inf'))
    row = results.put({
        'case': 'overload', 'p99_ms_each_second': each, 'came': came,
        'went': went, 'p99_ms_before': before, 'crowd': crowd, 'calm': res})
    say('p99 ms in each second: %s' % each)
    say('before %.1f; the crowd came after %.1f s and went after %.1f' % (
        before, came, went))
    for who, r in (('of the crowd', crowd), ('of the others', res)):
        say('%-14s %6d served, p99 %6.0f ms; %6d told 503, p50 %.1f p99 '
            '%.1f ms, %d without Retry-After; %d failed' % (
                who, r['done'], r['p99_ms'], r['later'], r['later_p50_ms'],
                r['later_p99_ms'], r['without_retry_after'], r['failed']))
        if r['failed']:
            say('    first failure: %s' % r['first_failure'])
    name = [row['case']]
    results.ratio('503s of the crowd', crowd['later'], 1, name)
    results.ratio('p99 ms of a 503', crowd['later_p99_ms'], 50, name, True)
    results.ratio('503s without Retry-After', crowd['without_retry_after'] +
                  res['without_retry_after'], 0, name, True)
    results.ratio('failed in overload', crowd['failed'] + res['failed'], 0,
                  name, True)
    results.ratio('seconds until the p99 is as before', max(back, 0), 10,
                  name, True)


def positive(text):
    """Of something at least one: 0 would mean as if it were not given."""
    n = int(text)
    if n < 1:
        raise ValueError(text)
    return n


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--ca', choices=NAMES)
    ap.add_argument('--workers', type=positive, default=2,
                    help='processes')
    ap.add_argument('--signers', type=positive)
    ap.add_argument('--connections', type=lambda s: [positive(x) for x in
                                                     s.split(',')],
                    default=[1, 8, 64])
    ap.add_argument('--seconds', type=float, default=5)
    ap.add_argument('--fsync-delay-ms', type=float)
    ap.add_argument('--memory', action='store_true',
                    help='also resident memory at 10,000 and 50,000 requests')
    ap.add_argument('--overload', action='store_true',
                    help='half the peak, and 3,000 more for a while')
    ap.add_argument('--build', type=lambda s: (TOP / s).resolve(),
                    default=TOP / 'build')
    args = ap.parse_args()
    (TOP / 'var/bench').mkdir(parents=True, exist_ok=True)
    results = Results(TOP / 'var/bench/results.json')
    if args.overload:
        overload(args, results)
    elif args.ca or args.signers or args.fsync_delay_ms is not None:
        one_stack(args, results)
    else:
        main_lines(args, results)
        other_lines(args, results)
    say('lines missed: %s' % (', '.join(results.missed) or 'none'))
    say('written to var/bench/results.json')


if __name__ == '__main__':
    main()
