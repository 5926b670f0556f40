"""What is done to the programs, their connections, keys, memory and disks."""
import os
import re
import resource
import signal
import struct
import time

from clients import Signer, Stranger
from cluster import descendants, send

POINTS = ['before-intent', 'written', 'after-intent', 'signed',
          'before-commit', 'after-commit', 'before-answer']
# Nobody waits for these: when a file of its ledger ends; of a list; of what a
# crash has left, whose next start is to finish it.
RARE = ['turning', 'list-begins', 'revocations-read', 'list-told',
        'list-signed', 'list-stored', 'voided']
# Of the module in tests/p11; behind the first the session has ended, so that
# the signer looks for its token again.
ENDS = 'C_SignInit 0xb3'
TOKEN = [['C_Sign 0x32'], ['C_Sign 0xb3'], ['C_Sign 0x30 once'], ['flip'],
         ['slow 5'], [ENDS, 'C_OpenSession 0xe0'], [ENDS, 'C_Login 0xa4'],
         [ENDS, 'C_GetSlotList 0x30'], [ENDS, 'final-try'], [ENDS]]


class Programs:
    """A part of faults.Faults."""

    # Connections: many and cheap.

    def cut(self, r):
        """Every connection of one kind at once."""
        return self.c.proxies[r.choice(list(self.c.proxies))].cut() and 1

    def delayed(self, r):
        p = self.c.proxies[r.choice(list(self.c.proxies))]
        p.delay[r.choice(['up', 'down'])] = r.uniform(0.2, 2.0)
        time.sleep(r.uniform(0.3, 1.0))
        p.delay.update(up=0.0, down=0.0)

    def doubled(self, r):
        """Bytes of the link twice: CURVE ends such a connection."""
        p = self.c.proxies[r.choice(self.c.signers)]
        p.double = 1
        time.sleep(0.05)

    def swapped(self, r):
        p = self.c.proxies[r.choice(self.c.signers)]
        p.swap = 1
        time.sleep(0.05)

    def repeated(self, r):
        """One message several times, to whomever: F18."""
        return self.repeater.once(r.randint(2, 4))

    def end_session(self, r):
        """An administrator ends or cancels what a program does."""
        f = r.choice(['pg_terminate_backend', 'pg_cancel_backend'])
        rows = self.c.primary.sql(
            "SELECT %s(pid) FROM (SELECT pid FROM pg_stat_activity WHERE "
            "starts_with(usename, 'countersign_') ORDER BY random() LIMIT 1) x" % f)
        return len(rows)

    # Processes.

    def kill_worker(self, r):
        kids = descendants(self.c.pid('worker'))[1:]
        if kids:
            send([r.choice(kids)], signal.SIGKILL)
        return len(kids) and 1

    def kill_workers(self, r):
        self.c.kill('worker')

    def kill_nginx(self, r):
        kids = descendants(self.c.pid('nginx'))[1:]
        if kids:
            send([r.choice(kids)], signal.SIGKILL)
        return len(kids) and 1

    def kill_signer(self, r):
        self.c.kill(r.choice(self.c.signers))
        time.sleep(r.uniform(0.1, 0.6))

    def kill_publisher(self, r):
        self.c.kill('publisher')

    def kill_operator(self, r):
        """A command in the middle of what it does; who gave it gives it
        again."""
        with self.w.lock:
            running = [p for p in self.w.commands if p.poll() is None]
        for p in running:
            p.kill()
        return len(running)

    def die_at(self, r):
        """A signer at a certain point of its work, unless it is to stop at
        another one."""
        name, point = r.choice(self.c.signers), r.choice(POINTS)
        if name in self.aimed:
            return 0
        path = self.c.state / 'control' / name / 'point'
        if name in self.rare and not path.exists():
            self.count['at ' + self.rare[name]] += 1
        self.arm(path, point)
        deadline = time.time() + 5
        while path.exists() and time.time() < deadline:
            time.sleep(0.01)
            if name in self.aimed:
                return 0
        died = not path.exists()
        path.unlink(missing_ok=True)
        self.rare.pop(name, None)
        if r.random() < 0.7:
            self.rare[name] = r.choice(RARE)
            self.arm(path, self.rare[name])
        if died:
            self.count['at ' + point] += 1
        return died

    def arm(self, path, point):
        path.with_suffix('.new').write_text(point)
        path.with_suffix('.new').rename(path)

    def stopped(self, r):
        """SIGSTOP: it comes back and does not know that it was away."""
        name = r.choice([*self.c.signers, 'worker', 'nginx', 'publisher'])
        pids = descendants(self.c.pid(name))
        self.count['stopped ' + name] += 1
        send(pids, signal.SIGSTOP)
        time.sleep(self.seconds(r, (2, 4), (5, 32)))
        send(pids, signal.SIGCONT)

    def few_files(self, r):
        """No file descriptors left, then as many as before."""
        name = r.choice([*self.c.signers, 'worker'])
        pids = descendants(self.c.pid(name))
        for p in pids:
            try:
                old = resource.prlimit(p, resource.RLIMIT_NOFILE)
                n = len(os.listdir('/proc/%d/fd' % p)) \
                    if os.access('/proc/%d/fd' % p, os.R_OK) else 20
                resource.prlimit(p, resource.RLIMIT_NOFILE, (n, old[1]))
            except (OSError, PermissionError):
                return 0
        self.c.proxies[r.choice(self.c.signers)].cut()
        time.sleep(r.uniform(1, 2))
        for p in pids:
            try:
                resource.prlimit(p, resource.RLIMIT_NOFILE, old)
            except OSError:
                pass            # did not survive it

    def clock(self, r):
        """One signer's clock is wrong for a while; half of the time since it
        began, behind what it has asked the database."""
        name = r.choice(self.c.signers)
        folder = self.c.state / 'control' / name
        wrong = r.choice(['-3600', '+3600', '+315360000', '-120'])
        starts = r.random() < 0.5
        if starts:
            self.stop_at(name, 'start', lambda: self.c.kill(name), 10)
        (folder / 'time').write_text(wrong)
        if starts:
            self.let_go(name)
        time.sleep(self.seconds(r, (1, 2), (1, 6)))
        (folder / 'time').write_text('+0')

    def few_memory(self, r):
        """malloc fails now and then, in all of a program's threads: F15."""
        path = self.c.memory(r.choice([*self.c.signers, 'worker']))
        with open(path, 'r+b') as f:
            f.write(struct.pack('=I', r.choice([30, 300, 1000, 3000, 10000])))
            f.flush()
            time.sleep(self.seconds(r, (1, 2), (1, 4)))
            f.seek(0)
            f.write(bytes(4))

    # Keys.

    def token(self, r):
        """The hardware with the CA's key says no, or lies: F12."""
        path = self.c.state / 'control' / self.c.signers[-1] / 'token'
        path.write_text('\n'.join(r.choice(TOKEN)) + '\n')
        time.sleep(self.seconds(r, (1, 2), (1, 6)))
        path.write_text('')

    def token_away(self, r):
        """It is pulled out, and put in again; the program must notice."""
        control = self.c.state / 'control' / self.c.signers[-1] / 'token'
        tokens = self.c.state / 'hsm/tokens'
        away = tokens.with_name('away')
        tokens.rename(away)
        tokens.mkdir()
        control.write_text(ENDS + '\n')
        time.sleep(self.seconds(r, (1, 2), (1, 5)))
        tokens.rmdir()
        away.rename(tokens)
        control.write_text('')

    def change(self, name, f):
        """Another configuration, for a signer's next start; the process that
        ends for it."""
        conf = self.c.conf(name)
        text = f(conf.read_text())
        conf.with_suffix('.new').write_text(text)
        conf.with_suffix('.new').rename(conf)
        proc = self.c.programs[name].proc
        send([proc.pid], signal.SIGTERM)
        return proc

    def worker_revoked(self, r):
        """The worker is on no allow-list, at one signer or at both: F13."""
        names = r.choice([[n] for n in self.c.signers] + [self.c.signers])
        for n in names:
            ending = self.change(n, lambda t: t.replace(
                'worker "worker" {', 'worker "gone" {').replace(
                    key_of(t, 'worker'), self.c.curve_key()[0]))
        time.sleep(self.seconds(r, (1, 2), (1, 6)))
        if self.c.programs[n].proc is not ending:
            self.stranger(r, (self.c.state / 'keys/worker.key').read_text(
                ).strip(), n)
        old = self.c.public_key('worker')
        for n in names:
            self.change(n, lambda t: t.replace(
                'worker "gone" {', 'worker "worker" {').replace(
                    key_of(t, 'gone'), old))

    def wrong_signer(self, r):
        """A signer has another key than the workers know: F13."""
        name = r.choice(self.c.signers)
        new = self.c.state / 'keys/wrong.key'
        self.c.write_key(new, self.c.curve_key()[1])
        good = '/keys/%s.key"' % name
        self.change(name, lambda t: t.replace(good, '/keys/wrong.key"'))
        time.sleep(self.seconds(r, (1, 2), (1, 6)))
        self.change(name, lambda t: t.replace('/keys/wrong.key"', good))

    def new_worker_key(self, r):
        """The worker's key is replaced while all goes on, and the old one is
        worth nothing afterwards: F13."""
        key = self.c.state / 'keys/worker.key'
        old = self.c.public_key('worker')
        secret = key.read_text().strip()
        new, new_secret = self.c.curve_key()
        section = 'worker "next" {\n\tpublic-key = \'%s\'\n}\n' % new
        for n in self.c.signers:
            self.change(n, lambda t: t + section)
            time.sleep(1)
        self.c.write_key(key, new_secret)
        self.c.kill('worker', signal.SIGTERM)
        time.sleep(1)
        for n in self.c.signers:
            self.change(n, lambda t: t.replace(section, '').replace(old, new))
            time.sleep(1)
        self.stranger(r, secret)

    def stranger(self, r, secret=None, name=None):
        """Asks with a key that is on no list; nobody may answer."""
        name = name or r.choice(self.c.signers)
        peer = Stranger(self.c, name, secret or self.c.curve_key()[1])
        message, _ = self.repeater.message()
        if peer.ask(message) is not None:
            self.c.unexpected.append('%s answers a stranger' % name)
        peer.close()

    def new_policy(self, r):
        """Another policy, in the middle of all: F20.  Each has certificates
        of another length; each second one no delta lists: then a complete
        one comes."""
        path = self.c.state / 'edited.conf'
        with self.w.policy:
            self.deltas = not self.deltas
            text = self.policy if self.deltas else re.sub(
                r'\n\t(crl|cdp)-delta = .*', '', self.policy)
            self.policies += 1
            text = re.sub(r'^\tvalidity = 1y', '\tvalidity = %dd' % (
                100 + self.policies), text, flags=re.M)
            path.write_text('%s\n# %d\n' % (text, time.time_ns()))
            # One whose end is not known may have changed the file that
            # signers compare with what is published: until it succeeds
            # nobody signs.
            while self.w.ctl('policy', 'publish', str(path)).returncode != 0:
                time.sleep(0.5)

    # Disks.

    def fill(self, folder, seconds):
        path = folder / 'filler'
        with open(path, 'wb') as f:
            v = os.statvfs(folder)
            try:
                os.posix_fallocate(f.fileno(), 0, v.f_bavail * v.f_frsize)
            except OSError:
                pass
            try:                # the last pages
                while True:
                    os.write(f.fileno(), b'x' * 4096)
            except OSError:
                pass
        time.sleep(seconds)
        path.unlink()

    def ledger_full(self, r):
        self.fill(self.c.state / ('disk-' + r.choice(self.c.signers)),
                  self.seconds(r, (1, 2), (1, 5)))

    def log_full(self, r):
        self.fill(self.c.state / 'log', r.uniform(1, 2))

    def database_full(self, r):
        self.fill(self.c.state / self.c.primary.name,
                  self.seconds(r, (1, 2), (1, 5)))
        self.c.in_sync()

    def ledger_eio(self, r):
        """fdatasync fails: that signer must sign nothing after it."""
        name = r.choice(self.c.signers)
        path = self.c.state / 'control' / name / 'eio'
        path.touch()
        time.sleep(self.seconds(r, (1, 2), (1, 3)))
        path.unlink()

    # Network.

    def partition(self, r):
        """Worker | signer or program | database: one way, both, refused."""
        names = r.choice([[n] for n in self.c.signers] + [self.c.signers] +
                         [['sa', 'sb'], ['wa', 'wb']])
        ways = r.choice([['up'], ['down'], ['up', 'down']])
        refuse = r.random() < 0.3
        for n in names:
            p = self.c.proxies[n]
            p.refuse = refuse
            if refuse:
                p.cut()
            else:
                p.hold.update({w: True for w in ways})
        time.sleep(self.seconds(r, (1, 3), (5, 40)))
        for n in names:
            self.c.proxies[n].heal()


def key_of(conf, worker):
    """The public key that a signer's configuration has for it."""
    return re.search(r'worker "%s" {\s+public-key = \'([^\']+)\'' % worker,
                     conf)[1]
