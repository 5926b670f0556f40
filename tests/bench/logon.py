#!/usr/bin/python3
"""make bench-logon: does the time of a refusal tell whether a user exists?

Welch's t-test over interleaved samples ([security] X11): wrong passwords of
users that exist, that are disabled, and of names that nobody has, in random
order, over TLS.  |t| below 4.5 for every pair, or exit 1.  The result is one
JSON object a line at the end of var/bench/results.json.

Each connection comes from an address of its own in 127/8 and each name is
tried a few times only, so that no attempt is held back.
"""
import argparse
import concurrent.futures
import itertools
import json
import math
import random
import statistics
import subprocess
import sys
import time

import rig
import client  # noqa: E402
from addresses import at  # noqa: E402

TRIES = 8               # of one name; held back from 100 on
BLOCK = 100             # of one address; held back from 200 on
KINDS = ('wrong', 'disabled', 'unknown')
LINE = 4.5


def make_accounts(env, conf, n):
    """n accounts with the demo user's password, n disabled ones."""
    dsn = next(line.split('"')[1] for line in conf.read_text().splitlines()
               if line.startswith('database'))
    sql = ("SELECT count(countersign.account_add(name, false, name, NULL, NULL,"
           " NULL, NULL, NULL, '%s', '{users}')) FROM (SELECT '%s' || i AS name"
           " FROM generate_series(1, %d) i) x;")
    off = ("SELECT count(countersign.account_set_disabled('disabled' || i, "
           "true)) FROM generate_series(1, %d) i;" % n)
    hash_ = hash_of(env)
    for kind in ('wrong', 'disabled'):
        subprocess.run(['psql', '-q', '-o', '/dev/null', '-v',
                        'ON_ERROR_STOP=1', dsn], text=True, check=True,
                       input=sql % (hash_, kind, n))
    subprocess.run(['psql', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1',
                    dsn], text=True, check=True, input=off)


def hash_of(env):
    """An argon2id string like those of the command line."""
    import ctypes
    sodium = ctypes.CDLL('libsodium.so.23')
    assert sodium.sodium_init() != -1
    out = ctypes.create_string_buffer(128)
    password = env['CS_PASSWORD'].encode()
    assert sodium.crypto_pwhash_str(
        out, password, ctypes.c_ulonglong(len(password)),
        ctypes.c_ulonglong(2), ctypes.c_size_t(19 * 1024 * 1024)) == 0
    return out.value.decode()


def address(block):
    return '127.%d.%d.%d' % (16 + block // 62500, block // 250 % 250 + 1,
                             block % 250 + 1)


def run_block(stack, block, names):
    """The samples of one connection: (kind, seconds)."""
    out = []
    c = at(stack, address(block), '', '')
    c.policies()        # the handshake is nobody's sample
    url = stack.env['CS_CEP_URL']
    for kind, name in names:
        c.user, c.password = name, 'no such password'
        body = client.envelope(client.GETPOLICIES, url, client.get_policies(),
                               c.header())
        start = time.perf_counter()
        r = c.post(url, body)
        out.append((kind, time.perf_counter() - start))
        assert r.subcode == 'FailedAuthentication', r.text
    c.http.close()
    return out


def blocks(samples):
    """Who is tried in what order, BLOCK at a time."""
    count = itertools.count()
    names = [(kind, '%s%d' % (kind, 1 + i // TRIES)) for kind in KINDS
             for i in range(math.ceil(samples / len(KINDS)))]
    random.shuffle(names)
    return [(next(count), names[i:i + BLOCK])
            for i in range(0, len(names), BLOCK)]


def welch(a, b):
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    return (statistics.fmean(a) - statistics.fmean(b)) / math.sqrt(va + vb)


def gather(kinds, o, todo, run):
    """Seconds of each sample by kind; todo: the arguments of each run."""
    took = {kind: [] for kind in kinds}
    with concurrent.futures.ThreadPoolExecutor(o.connections) as pool:
        jobs = [pool.submit(run, *args) for args in todo]
        try:
            for n, job in enumerate(concurrent.futures.as_completed(jobs), 1):
                for kind, t in job.result():
                    took[kind].append(t)
                if n % 50 == 0 or n == len(jobs):
                    rig.say('%d of %d samples' % (
                        sum(map(len, took.values())), o.samples))
        finally:        # the first that fails ends it
            pool.shutdown(cancel_futures=True)
    return took


def measure(doc, case, kinds, prepare, run):
    """A benchmark of this sort, from its command line to its exit status.
    prepare gets a stack and the number of samples, and makes what is asked
    for: the arguments of each run."""
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument('--samples', type=int, default=100000)
    p.add_argument('--connections', type=int, default=8)
    o = p.parse_args()
    out = rig.TOP / 'var/bench'
    out.mkdir(parents=True, exist_ok=True)
    stack = rig.Stack(out / 'stack', {})
    try:
        took = gather(kinds, o, prepare(stack, o.samples), run)
    finally:
        stack.stop()
    log = ''.join(f.read_text() for f in
                  (stack.state / 'log').glob('worker*'))
    assert 'held back' not in log, 'some attempts were held back'
    sys.exit(report(case, took, out / 'results.json'))


def prepare(stack, samples):
    rig.say('making accounts')
    make_accounts(stack.env, stack.state / 'etc/countersign.conf',
                  math.ceil(samples / len(KINDS) / TRIES))
    return [(stack, *b) for b in blocks(samples)]


def report(case, took, results):
    """Print and record the t of each pair of kinds; what to exit with."""
    for kind in took:
        rig.say('%-9s %7d samples, mean %.3f ms, median %.3f ms' % (
            kind, len(took[kind]), 1e3 * statistics.fmean(took[kind]),
            1e3 * statistics.median(took[kind])))
    worst = 0
    for a, b in itertools.combinations(took, 2):
        t = welch(took[a], took[b])
        worst = max(worst, abs(t))
        rig.say("%s against %s: Welch's t = %+.2f" % (a, b, t))
        with open(results, 'a') as f:
            f.write(json.dumps({'case': case, 'of': [a, b],
                                't': round(t, 2), 'line': LINE,
                                'samples': sum(map(len, took.values()))})
                    + '\n')
    rig.say('below %.1f: %s' % (LINE, worst < LINE))
    return 0 if worst < LINE else 1


if __name__ == '__main__':
    measure(__doc__, 'logon-timing', KINDS, prepare, run_block)
