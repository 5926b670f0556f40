#!/usr/bin/python3
"""Breaks the running stack in every way we know, with a seed; then check.py
proves that nothing was lost.

    faults.py [--seed N] [--minutes M] [--state FOLDER] [--only a,b]
              [--signers N] [--processes N] [--threads N]
"""
import argparse
import collections
import faulthandler
import fcntl
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

from cryptography import x509

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from clients import (Approver, Enroller, Journal, ListReader,  # noqa: E402
                     Repeater, Revoker, World)
from cluster import Cluster  # noqa: E402
from members import Clerk, Member, kerberos  # noqa: E402
from programs import Programs  # noqa: E402
from servers import Servers  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
DISKS = {'a': 1200, 'b': 1200, 'log': 512}      # MiB
SIGNER_DISK = 96
CLIENTS = 6


# As which user -------------------------------------------------------------
#
# PostgreSQL refuses to run as root, and only root may mount: first the
# namespace with the small disks, then a user of another name in it.

def me(stage):
    return ['env', 'FAULTS_STAGE=' + stage, sys.executable, __file__,
            *sys.argv[1:]]


def as_user(stage):
    """This script again, where the numbers of user and group are others."""
    import pwd
    import grp
    return ['unshare', '--user',
            '--map-user=%d' % pwd.getpwnam('postgres').pw_uid,
            '--map-group=%d' % grp.getgrnam('postgres').gr_gid, *me(stage)]


def disks(args):
    return DISKS | {'disk-signer-%d' % (i + 1): SIGNER_DISK
                    for i in range(args.signers)}


def small_disks(args):
    state = args.state
    for d, mib in disks(args).items():
        (state / d).mkdir(exist_ok=True)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o',
                           'size=%dm,mode=700' % mib, 'tmpfs',
                           state / d]).returncode != 0:
            return False
    return True


def outer(args):
    lock_file = open(str(args.state) + '.lock', 'w')
    try:                # inherited by all that follows
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit('faults: already at work in %s' % args.state)
    os.set_inheritable(lock_file.fileno(), True)
    words = ['unshare', '--mount']
    if os.geteuid() != 0:
        words += ['--user', '--map-root-user']
    if subprocess.run([*words, 'true'], capture_output=True).returncode == 0:
        os.execvp(words[0], words + me('mount'))
    if os.geteuid() == 0:
        sys.exit('faults: cannot unshare, and PostgreSQL refuses root')
    shutil.rmtree(args.state, ignore_errors=True)
    set_up(args)
    run(args)


def mount(args):
    shutil.rmtree(args.state, ignore_errors=True)
    subprocess.run(as_user('setup'), check=True)
    if not small_disks(args):
        print('no small disks: what fills them is left out')
    words = as_user('run')
    os.execvp(words[0], words)


def set_up(args):
    """As "make run" does it; stopped again."""
    s = args.state
    s.mkdir(parents=True, exist_ok=True)
    (s / 'began').write_text(str(time.time()))
    env = dict(os.environ, STATE=str(s), SIGNERS=str(args.signers),
               RATE='100000', PROCESSES=str(args.processes),
               THREADS=str(args.threads), **kerberos(s))
    with open(s / 'setup.log', 'w') as log:
        p = subprocess.Popen([TOP / 'deploy/demo.sh', 'run'], env=env,
                             stdout=log, stderr=log, start_new_session=True)
        deadline = time.time() + 600
        while not (s / 'env').exists():
            if p.poll() is not None or time.time() > deadline:
                sys.exit('faults: set up failed: see %s/setup.log' % s)
            time.sleep(0.1)
        shutil.copy(s / 'env', s / 'fault.env')
        p.terminate()
        p.wait(300)


# What is done to it --------------------------------------------------------

class Faults(Programs, Servers):
    """Each method breaks something, waits, and repairs it; what is repaired
    by the programs themselves is left to them.  Returns how many injections
    it was, 1 if nothing is said, 0 when it could not be done."""

    def __init__(self, cluster, world, args):
        self.c, self.w, self.args = cluster, world, args
        self.count = collections.Counter()
        self.last = time.time()
        self.long = args.minutes >= 5
        self.log = open(cluster.state / 'faults.log', 'w')
        self.stop = threading.Event()
        self.policy = (cluster.state / 'etc/policy.conf').read_text()
        self.deltas = False     # the first new one has them again
        self.rare = {}          # signer -> where it dies one day
        self.aimed = set()      # signers that are to stop at a point
        self.cuts = self.answered = self.policies = 0

    def seconds(self, r, short, long):
        a, b = long if self.long else short
        return r.uniform(a, b)

    def inject(self, name, r):
        t = time.time()
        self.log.write('%.3f begins %s\n' % (t, name))
        n = getattr(self, name)(r)
        n = 1 if n is None else int(n)
        self.count[name] += n
        self.last = time.time()
        self.log.write('%.3f %.3f %s %d\n' % (t, self.last, name, n))
        self.log.flush()

    def breathe(self):
        """Connections are cut so often that on a busy machine nobody would
        be answered, and nothing be at stake: then once in a while not."""
        if self.answered != self.w.answered:
            self.answered, self.cuts = self.w.answered, 0
        self.cuts += 1
        if self.cuts > 40:
            self.wait_for(lambda: self.answered != self.w.answered, 3)
            self.cuts = 0

    def lane(self, names, seed, pause):
        r = random.Random(seed)
        deck = []
        while not self.stop.wait(r.uniform(*pause)):
            if names in (LIGHT, WIRE):
                self.breathe()
            if not deck:        # each of them, in another order each time
                deck = list(names)
                r.shuffle(deck)
            name = deck.pop()
            try:
                self.inject(name, r)
            except Exception:
                # A statement of ours that met another lane's fault.
                self.log.write('%s: %s\n' % (name, traceback.format_exc()))
                self.log.flush()


LIGHT = ['cut'] * 6 + ['delayed'] + ['doubled'] * 4 + ['swapped'] * 4 + [
    'end_session'] * 3 + ['kill_worker'] * 3 + ['kill_nginx', 'kill_operator']
WIRE = ['cut', 'doubled', 'swapped']
REPEATED = ['repeated']
CRASH = ['die_at'] * 10 + ['kill_signer'] * 2 + ['kill_workers',
                                                 'kill_publisher']
SICK = ['token'] * 3 + ['token_away', 'few_memory', 'few_memory', 'few_files',
                        'clock', 'ledger_eio', 'stranger', 'worker_revoked',
                        'wrong_signer', 'new_worker_key', 'new_policy']
HEAVY = ['kill_postgres', 'fail_over', 'zombie_primary', 'standby_lost',
         'standby_lost', 'lost_commit', 'lost_commit', 'lost_revocation',
         'taken_over', 'kill_standby', 'stop_postgres',
         'slow_database', 'no_connections', 'partition', 'partition',
         'stopped']
SLOW = ['restored', 'zombie_stays']     # half a minute each: in long rounds
# Only where there are small disks.
FULL = ['ledger_full', 'log_full', 'database_full', 'power_cut', 'power_cut']


def run(args):
    rc = 1
    try:
        rc = round_(args)
    finally:
        if rc != 0:
            keep(args)
    sys.exit(rc)


def round_(args):
    faulthandler.register(signal.SIGUSR1)   # where does it hang?
    c = Cluster(args.state)
    c.prepare()
    c.start()
    if not c.in_sync():
        sys.exit('faults: the standby does not follow')
    journal = Journal(args.state / 'journal')
    w = World(c, journal)
    text = args.state / 'edited.conf'
    text.write_text(with_deltas((args.state / 'etc/policy.conf').read_text()))
    w.ctl('policy', 'publish', str(text)).check_returncode()
    clerk = Clerk(w, CLIENTS)
    clerk.round()               # before the first fault: members there are
    threads = [Enroller(w, i) for i in range(CLIENTS)] + [
        clerk, Member(w, CLIENTS + 1), Member(w, CLIENTS + 2)]
    others = [Revoker(w), ListReader(w, args.state / 'lists')]
    approver = Approver(w)
    for t in [*threads, *others, approver]:
        t.start()
    f = Faults(c, w, args)
    f.repeater = Repeater(w)
    wait_first(journal)
    heavy = HEAVY + (FULL if os.path.ismount(args.state / 'log') else []) + (
        SLOW if f.long else [])
    lanes = {'repeated': (REPEATED, (0, 0.2)),
             'light': (LIGHT, (0.02, 0.15)),
             'crash': (CRASH, (0.2, 0.8)), 'sick': (SICK, (0.5, 2.0)),
             'heavy': (heavy, (0.2, 1.5))}
    if f.long:
        lanes.update({'wire 1': (WIRE, (0.02, 0.15)),
                      'wire 2': (WIRE, (0.02, 0.15))})
    if args.only:
        lanes = {'only': (args.only.split(','), (0.2, 1.0))}
    jobs = [threading.Thread(target=f.lane, args=(names, '%s %s' % (
        args.seed, lane), pause)) for lane, (names, pause) in lanes.items()]
    for j in jobs:
        j.start()
    time.sleep(args.minutes * 60)
    f.stop.set()
    for j in jobs:
        j.join()
    report = finish(args, c, w, f, threads, approver, others[1])
    rc = check(args, report)
    c.end()
    return rc


def with_deltas(policy):
    """Lists of what was revoked since the last complete one, too."""
    if 'crl-delta' in policy:
        return policy
    url = re.search(r'cdp = \{"(http[^"]*)\{key\}\.crl"\}', policy)[1]
    at = 'crl-overlap = 1d'
    assert policy.count(at) == 1
    return policy.replace(at, '%s\n\tcrl-delta = 2h\n\tcdp-delta = '
                          '{"%s{key}+.crl"}' % (at, url))


def wait_first(journal, seconds=600):
    deadline = time.time() + seconds
    while journal.n < 10:
        if time.time() > deadline:
            sys.exit('faults: nothing is issued before the first fault')
        time.sleep(0.2)


def finish(args, c, w, f, threads, approver, reader):
    """Everything is repaired; whoever waits must be told within 120 s."""
    for p in c.proxies.values():
        p.heal()
    for p in glob.glob(str(args.state / 'control/*/*')):
        if p.endswith(('point', 'eio')):
            os.unlink(p)
        elif p.endswith('eio.again'):
            c.unexpected.append('a ledger was trusted after a failure: ' + p)
    c.in_sync()
    t = time.time()
    w.stop.set()
    for th in [*threads, approver]:
        th.join(max(0.1, 150 - (time.time() - t)))
    waited = time.time() - t
    for n in w.busy.values():
        c.unexpected.append('operation %d has no final answer %.0f s after '
                            'the last fault' % (n, waited))
    # Intents whose end is not known are settled at the next start.
    for name in c.signers:
        c.kill(name, signal.SIGTERM)
    time.sleep(1)
    settle(c)
    w.done.set()
    reader.join()
    c.stop()
    return {'seed': args.seed, 'minutes': args.minutes,
            'injections': dict(f.count), 'waited': round(waited, 1),
            'began': float((args.state / 'began').read_text()),
            'last_fault': f.last, 'ended': time.time(),
            'unexpected': c.unexpected,
            'primary': c.primary.name,
            'nodes': {n: str(x.sock) for n, x in c.nodes.items()},
            'starts': {n: len(p.starts) for n, p in c.programs.items()}}


def settle(c, seconds=300):
    """All signers are up again, which settles what their ledgers have open."""
    deadline = time.time() + seconds
    for name in c.signers:
        while time.time() < deadline:
            p = c.programs[name]
            log = (c.state / 'log' / (name + '.log')).read_text(
                errors='replace')
            if 'pid=%d event=ready' % p.proc.pid in log:
                break
            time.sleep(0.2)
        else:
            c.unexpected.append(name + ' does not come up again')
    while not listed(c) and time.time() < deadline:
        time.sleep(0.5)
    time.sleep(3)               # until ListReader has seen it


def listed(c):
    """Is all that is revoked on a list that was published?"""
    there = set()
    for p in (c.state / 'web/ca').glob('*.crl'):
        there |= {r.serial_number
                  for r in x509.load_der_x509_crl(p.read_bytes())}
    return {int(s.hex(), 16) for s, in c.primary.sql(
        'SELECT serial FROM countersign.revoked')} <= there


def check(args, report):
    (args.state / 'report.json').write_text(json.dumps(report))
    return subprocess.run([sys.executable, TOP / 'tests/faults/check.py',
                           args.state]).returncode


def keep(args):
    """What the small disks hold, where it outlives them."""
    to = args.state / 'kept'
    shutil.rmtree(to, ignore_errors=True)
    for d in disks(args):
        shutil.copytree(args.state / d, to / d, symlinks=True,
                        ignore=shutil.ignore_patterns('data', 'filler'))
    print('kept in %s' % to)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--seed', default=os.environ.get('SEED') or None)
    p.add_argument('--minutes', type=float, default=float(
        os.environ.get('MINUTES') or 3))
    p.add_argument('--state', type=pathlib.Path,
                   default=TOP / 'var/faults')
    p.add_argument('--only')
    p.add_argument('--signers', type=int, default=int(
        os.environ.get('SIGNERS') or 2))
    p.add_argument('--processes', type=int, default=2)
    p.add_argument('--threads', type=int, default=12)
    args = p.parse_args()
    args.state = args.state.resolve()
    stage = os.environ.get('FAULTS_STAGE', 'outer')
    if stage == 'outer':
        if args.seed is None:
            args.seed = str(random.SystemRandom().randrange(10 ** 9))
            sys.argv += ['--seed', args.seed]
        print('SEED=%s MINUTES=%g' % (args.seed, args.minutes), flush=True)
    {'outer': outer, 'mount': mount, 'setup': set_up,
     'run': run}[stage](args)


if __name__ == '__main__':
    main()
