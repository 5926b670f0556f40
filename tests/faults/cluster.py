"""The stack that faults.py breaks: the programs of "make run", with signers
that can be told where to die, two PostgreSQL nodes, and proxies of our own on
every connection that a network would carry."""
import asyncio
import concurrent.futures
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import psycopg

import power

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/e2e'))
import ports  # noqa: E402
PGBIN = '/usr/lib/postgresql/15/bin/'
FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'
SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'
PIN = '827364091526'


class Proxy:
    """One listener in front of one address: passes, holds, delays, cuts."""

    def __init__(self, loop, listen, target):
        self.loop, self.listen, self.target = loop, listen, target
        self.hold = {'up': False, 'down': False}
        self.delay = {'up': 0.0, 'down': 0.0}
        self.refuse = False
        self.swap = self.double = 0     # chunks to come that are mistreated
        self.open = set()
        asyncio.run_coroutine_threadsafe(self.start(), loop).result(10)

    async def start(self):
        if isinstance(self.listen, int):
            await asyncio.start_server(self.serve, '127.0.0.1', self.listen)
        else:
            await asyncio.start_unix_server(self.serve, str(self.listen))

    async def serve(self, r, w):
        if self.refuse:
            w.transport.abort()
            return
        try:
            if isinstance(self.target, int):
                r2, w2 = await asyncio.open_connection('127.0.0.1',
                                                       self.target)
            else:
                r2, w2 = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            w.transport.abort()
            return
        pair = (w, w2)
        self.open.add(pair)
        jobs = [asyncio.ensure_future(self.pump(r, w2, 'up')),
                asyncio.ensure_future(self.pump(r2, w, 'down'))]
        # A half-closed connection is of no use to either program.
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for j in jobs:
            j.cancel()
        for x in pair:
            x.transport.abort()
        self.open.discard(pair)

    async def pump(self, r, w, way):
        kept = None
        try:
            while data := await r.read(65536):
                if self.delay[way]:
                    await asyncio.sleep(self.delay[way])
                while self.hold[way]:
                    await asyncio.sleep(0.02)
                if self.swap > 0 and kept is None:
                    self.swap -= 1
                    kept = data
                    continue
                w.write(data)
                if kept is not None:
                    w.write(kept)
                    kept = None
                if self.double > 0:
                    self.double -= 1
                    w.write(data)
                await w.drain()
        except (OSError, asyncio.CancelledError):
            pass

    def call(self, f):
        done = threading.Event()

        def run():
            f()
            done.set()
        self.loop.call_soon_threadsafe(run)
        done.wait(10)

    def cut(self):
        """Reset every connection; returns how many there were."""
        n = len(self.open)
        self.call(lambda: [x.transport.abort() for p in list(self.open)
                           for x in p])
        return n

    def heal(self):
        self.hold.update(up=False, down=False)
        self.delay.update(up=0.0, down=0.0)
        self.refuse = False
        self.swap = self.double = 0


def descendants(pid):
    """pid and all below it, parents first."""
    kids = {}
    for p in os.listdir('/proc'):
        if p.isdigit():
            try:
                stat = open('/proc/%s/stat' % p).read()
            except OSError:
                continue
            kids.setdefault(int(stat.rsplit(')', 1)[1].split()[1]),
                            []).append(int(p))
    out = [pid]
    for p in out:
        out += kids.get(p, [])
    return out


def send(pids, sig):
    for p in pids:
        try:
            os.kill(p, sig)
        except ProcessLookupError:
            pass


# A child is killed when the thread that started it ends: it is always this
# one, which ends with the process.
spawner = concurrent.futures.ThreadPoolExecutor(1)


def die_with_us():
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def spawn(words, log, env=None):
    return spawner.submit(
        subprocess.Popen, words, env=env, stdin=subprocess.DEVNULL,
        stdout=log, stderr=subprocess.STDOUT,
        preexec_fn=die_with_us).result()


class Node:
    """One PostgreSQL, as primary or as standby of the other."""

    def __init__(self, cluster, name):
        self.c, self.name = cluster, name
        self.data = cluster.state / name / 'data'
        self.sock = cluster.sock / name
        self.sock.mkdir(mode=0o700, exist_ok=True)
        self.proc = None
        self.primary = False
        self.follows = None
        self.undo = cluster.folder('undo', name)

    def env(self):
        """What it has not synced is written down, where that is safe."""
        if not self.c.powered:
            return None
        return dict(os.environ, LD_PRELOAD=str(self.c.shim),
                    SHIM_DISK=str(self.c.state / self.name),
                    SHIM_UNDO=str(self.undo))

    def words(self):
        w = [PGBIN + 'postgres', '-D', str(self.data), '-k', str(self.sock),
             '-c', 'synchronous_standby_names=*', '-c', 'hot_standby=on',
             '-c', 'wal_sender_timeout=5s', '-c', 'wal_receiver_timeout=5s',
             '-c', 'wal_receiver_status_interval=1s',
             '-c', 'wal_retrieve_retry_interval=200ms',
             '-c', 'wal_keep_size=192MB', '-c', 'max_wal_size=128MB',
             '-c', 'max_connections=120', '-c', 'shared_buffers=64MB',
             '-c', 'log_checkpoints=off', '-c', 'checkpoint_timeout=60s']
        if self.follows is not None:
            w += ['-c', "primary_conninfo=host=%s user=postgres "
                  "application_name=%s" % (
                      self.c.sock / ('r' + self.follows.name), self.name)]
        return w

    def start(self):
        (self.data / 'standby.signal').unlink(missing_ok=True)
        if self.follows is not None:
            (self.data / 'standby.signal').touch()
        self.primary = self.follows is None
        self.proc = spawn(self.words(),
                          self.c.log('postgres-' + self.name), self.env())

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def pids(self):
        return descendants(self.proc.pid)

    def kill(self):
        """Everything at once, as a machine that lost its power."""
        if self.proc is None:
            return
        send(self.pids()[:1], signal.SIGSTOP)   # no new children
        pids = self.pids()
        send(pids, signal.SIGKILL)
        self.proc.wait()
        deadline = time.time() + 60
        while time.time() < deadline and any(
                os.path.exists('/proc/%d' % p) for p in pids):
            time.sleep(0.02)

    def sql(self, query, *params, db='countersign', user='postgres'):
        with psycopg.connect('host=%s dbname=%s user=%s connect_timeout=3' % (
                self.sock, db, user), autocommit=True) as c:
            r = c.execute(query, params)
            return r.fetchall() if r.description else []

    def surely(self, query, seconds=300):
        """Once more when it was ended, or the server is not up."""
        deadline = time.time() + seconds
        while True:
            try:
                return self.sql(query)
            except psycopg.Error:
                assert time.time() < deadline, self.name + ' does not come up'
                if not self.alive():
                    self.start()
                time.sleep(0.1)

    def wait(self):
        return self.surely('SELECT pg_is_in_recovery()')[0][0]


class Program:
    def __init__(self, name, words, env=None):
        self.name, self.words = name, words
        self.env = dict(os.environ, **(env or {}))
        self.proc = None
        self.held = False       # not to be started again now
        self.starts = []


class Cluster:
    def __init__(self, state):
        self.state = pathlib.Path(state)
        self.sock = pathlib.Path(tempfile.mkdtemp(prefix='csf'))
        self.env = dict(l.rstrip('\n').split('=', 1) for l in
                        open(self.state / 'fault.env'))
        self.env = {k: v.strip("'") for k, v in self.env.items()}
        # Names of inodes come back on other file systems.
        self.powered = os.path.ismount(self.state / 'a')
        self.shim = self.state / 'shim.so'
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.nodes = {n: Node(self, n) for n in 'ab'}
        self.programs = {}
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.unexpected = []

    def log(self, name):
        return open(self.state / 'log' / (name + '.log'), 'ab')

    def folder(self, *names):
        d = self.state.joinpath(*names)
        d.mkdir(parents=True, exist_ok=True)
        return d

    # Set up ---------------------------------------------------------------

    def prepare(self):
        s = self.state
        self.signers = sorted(p.stem for p in (s / 'etc').glob('signer-*.conf'))
        if not self.nodes['a'].data.exists():
            (s / 'a').mkdir(exist_ok=True)
            shutil.copytree(s / 'pg', self.nodes['a'].data)
        for n in self.nodes.values():
            if n.data.exists():
                n.data.chmod(0o700)
        self.proxies = {}
        for who in 'swr':       # signers, workers, replication
            for n, node in self.nodes.items():
                d = self.sock / (who + n)
                d.mkdir(mode=0o700)
                self.proxies[who + n] = Proxy(
                    self.loop, d / '.s.PGSQL.5432',
                    node.sock / '.s.PGSQL.5432')
        self.rewrite()
        self.make_token(self.signers[-1])

    def hosts(self, who):
        return ("host=%s port=5432,5432 target_session_attrs=read-write" %
                ','.join(str(self.sock / (who + n)) for n in 'ab'))

    def rewrite(self):
        """The configuration of "make run", with our addresses."""
        etc = self.state / 'etc'
        old = re.compile(r"host='[^']*' port=5432")
        for i, name in enumerate(self.signers):
            conf = etc / (name + '.conf')
            text = old.sub(self.hosts('s'), conf.read_text())
            # Files so small that some are full during a run.
            text = re.sub('ledger = .*', 'ledger = "%s"\nledger-segment = 1'
                          % self.ledger(name), text)
            (etc / ('fault-' + conf.name)).write_text(text)
            new = self.ledger(name)
            if not (new / 'ledger').exists():
                new.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copy(self.state / 'ledger' / name / 'ledger', new)
                (new / 'ledger').chmod(0o600)
        ends = {}
        for name in self.signers:
            m = re.search(r'tcp://127.0.0.1:(\d+)',
                          (etc / (name + '.conf')).read_text())
            ends[name] = int(m[1])
        # Nothing of that stack runs now, and its ports look free.
        ports.given.update(ends.values(), (
            int(p) for p in (self.state / 'ports').read_text().split()[:4]))
        self.fronts = {name: ports.free_port() for name in ends}
        self.spare = {name: ports.free_port() for name in ends}
        for conf, who in (('worker.conf', 'w'), ('countersign.conf', '')):
            text = old.sub(self.hosts(who), (etc / conf).read_text())
            for name, port in ends.items():
                if conf == 'worker.conf':
                    text = text.replace(':%d"' % port,
                                        ':%d"' % self.fronts[name])
                text = text.replace(str(self.state / 'ledger' / name),
                                    str(self.ledger(name)))
            (etc / ('fault-' + conf)).write_text(text)
        for name, port in ends.items():
            self.proxies[name] = Proxy(self.loop, self.fronts[name], port)
        self.ends = ends
        self.env['CS_CTL'] = '%s -c %s' % (
            TOP / 'build/countersign', etc / 'fault-countersign.conf')

    def ledger(self, name):
        return self.state / ('disk-' + name) / 'ledger'

    def start(self):
        subprocess.run(['cc', '-shared', '-fPIC', '-O2', '-o', self.shim,
                        TOP / 'tests/faults/shim.c', '-ldl'], check=True)
        a, b = self.nodes['a'], self.nodes['b']
        a.start()
        a.wait()
        self.basebackup(b, a)
        build = TOP / 'build'
        for name in self.signers:
            self.add(name, [
                TOP / 'build-faults/countersign-signer', '-c',
                self.conf(name)], self.signer_env(name))
        self.add('publisher', [
            build / 'countersign', '-c',
            self.state / 'etc/fault-countersign.conf', 'crl', 'publish',
            '--to', self.state / 'web/ca', '--watch'])
        self.add('worker', [build / 'countersign-worker', '-c',
                            self.conf('worker')], {
            'LD_PRELOAD': str(self.shim),
            'SHIM_MALLOC': str(self.memory('worker'))})
        self.add('nginx', ['nginx', '-e', self.state / 'log/nginx.log', '-c',
                           self.state / 'etc/nginx.conf'])
        self.supervisor = threading.Thread(target=self.supervise, daemon=True)
        self.supervisor.start()

    def signer_env(self, name):
        d = self.folder('control', name)
        (d / 'time').write_text('+0')
        (d / 'token').touch()
        env = {'FAILPOINT': d / 'point', 'FAILPOINT_SPY': d / 'spy',
               'SHIM_EIO': d / 'eio', 'SHIM_MALLOC': self.memory(name),
               'LD_PRELOAD': '%s %s' % (self.shim, FAKETIME),
               'FAKETIME_TIMESTAMP_FILE': d / 'time',
               'FAKETIME_NO_CACHE': 1, 'FAKETIME_DONT_RESET': 1,
               'DONT_FAKE_MONOTONIC': 1, 'FAKETIME_DONT_FAKE_MONOTONIC': 1,
               'FAULT_FILE': d / 'token', **self.token_env()}
        if self.powered:
            env.update(SHIM_DISK=self.state / ('disk-' + name),
                       SHIM_UNDO=self.folder('undo', name))
        return {k: str(v) for k, v in env.items()}

    def token_env(self):
        return {'FAULT_MODULE': SOFTHSM,
                'SOFTHSM2_CONF': str(self.state / 'hsm/softhsm2.conf')}

    def memory(self, name):
        """Of how many allocations one fails; the program has it mapped."""
        path = self.folder('control', name) / 'memory'
        if not path.exists():
            path.write_bytes(bytes(4))
        return path

    def conf(self, name):
        return self.state / 'etc' / ('fault-%s.conf' % name)

    def curve_key(self):
        """A new key of the link: (public, secret)."""
        zmq = ctypes.CDLL('libzmq.so.5')
        public, secret = (ctypes.create_string_buffer(41) for _ in range(2))
        assert zmq.zmq_curve_keypair(public, secret) == 0
        return public.value.decode(), secret.value.decode()

    def public_key(self, name):
        zmq = ctypes.CDLL('libzmq.so.5')
        public = ctypes.create_string_buffer(41)
        assert zmq.zmq_curve_public(public, (
            self.state / 'keys' / (name + '.key')).read_bytes()[:40]) == 0
        return public.value.decode()

    def write_key(self, path, secret):
        new = path.with_suffix('.new')
        new.unlink(missing_ok=True)
        new.write_text(secret + '\n')
        new.chmod(0o400)
        new.rename(path)

    def make_token(self, name):
        """The same key of the CA, for this signer in a token."""
        d = self.folder('hsm')
        (d / 'tokens').mkdir()
        (d / 'softhsm2.conf').write_text(
            'directories.tokendir = %s\nobjectstore.backend = file\n'
            'log.level = ERROR\n' % (d / 'tokens'))
        (d / 'pin').write_text(PIN)
        (d / 'pin').chmod(0o600)
        key = self.state / 'ca/Demo-CA'
        env = dict(os.environ, SOFTHSM2_CONF=str(d / 'softhsm2.conf'))
        log = self.log('token')
        for words in (
                ['openssl', 'pkcs8', '-topk8', '-nocrypt', '-in',
                 '%s.key' % key, '-passin', 'file:%s.pass' % key, '-out',
                 d / 'plain'],
                ['softhsm2-util', '--init-token', '--free', '--label', 'HSM',
                 '--pin', PIN, '--so-pin', PIN],
                ['softhsm2-util', '--import', d / 'plain', '--token', 'HSM',
                 '--label', 'issuing', '--id', '01', '--pin', PIN]):
            subprocess.run(words, env=env, check=True, stdout=log,
                           stderr=log)
        (d / 'plain').unlink()
        shutil.copytree(d / 'tokens', d / 'whole')
        text = re.sub(r'\tkey = .*\n\tpassphrase-file = .*\n',
                      '\tkey = "pkcs11:token=HSM;object=issuing"\n'
                      '\tmodule = "%s"\n\tpin-file = "%s"\n' % (
                          TOP / 'build/fault.so', d / 'pin'),
                      self.conf(name).read_text())
        self.conf(name).write_text(text)

    def basebackup(self, standby, primary):
        shutil.rmtree(standby.data, ignore_errors=True)
        power.forget(standby.undo)
        subprocess.run([PGBIN + 'pg_basebackup', '-h', str(primary.sock),
                        '-U', 'postgres', '-D', str(standby.data), '-c',
                        'fast', '-X', 'stream'], check=True,
                       stdout=self.log('basebackup'), stderr=subprocess.STDOUT)
        standby.follows = primary
        standby.start()
        standby.wait()

    # Programs -------------------------------------------------------------

    def add(self, name, words, env=None):
        p = Program(name, [str(w) for w in words], env)
        self.programs[name] = p
        self.spawn(p)
        return p

    def mend_token(self):
        """SoftHSM empties a file before it writes it anew: who is killed
        there would have no token for the rest of the round."""
        d = self.state / 'hsm'
        for f in (d / 'whole').rglob('*.object'):
            now = d / 'tokens' / f.relative_to(d / 'whole')
            if now.exists() and now.stat().st_size == 0:
                shutil.copyfile(f, now)

    def spawn(self, p):
        if p.name == self.signers[-1]:
            self.mend_token()
        if p.name == 'worker':
            (self.state / 'run/worker.sock').unlink(missing_ok=True)
        p.starts.append(time.time())
        p.proc = spawn(p.words, self.log(p.name), p.env)

    def supervise(self):
        while not self.stopping.is_set():
            with self.lock:
                for p in list(self.programs.values()):
                    if p.proc.poll() is not None and not p.held:
                        # its children, who may still hold its port
                        try:
                            os.killpg(p.proc.pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                        if len(p.starts) > 8 and \
                                time.time() - p.starts[-8] < 4:
                            time.sleep(0.5)
                        self.spawn(p)
            time.sleep(0.1)

    def pid(self, name):
        return self.programs[name].proc.pid

    def is_stopped(self, name):
        try:
            stat = open('/proc/%d/stat' % self.pid(name)).read()
        except OSError:
            return False
        return stat.rsplit(') ', 1)[1].startswith('T')

    def kill(self, name, sig=signal.SIGKILL):
        send([self.pid(name)], sig)

    def stop(self):
        self.stopping.set()
        self.supervisor.join()
        for name in ['nginx', 'worker', 'publisher', *self.signers]:
            p = self.programs[name].proc
            p.send_signal(signal.SIGCONT)
            p.terminate()
            try:
                p.wait(300)
            except subprocess.TimeoutExpired:
                self.unexpected.append(name + ' does not end')
                os.killpg(p.pid, signal.SIGKILL)

    def end(self):
        for n in self.nodes.values():
            if n.alive():
                send(n.pids(), signal.SIGCONT)
                n.proc.send_signal(signal.SIGINT)
                try:
                    n.proc.wait(300)
                except subprocess.TimeoutExpired:
                    n.kill()
        shutil.rmtree(self.sock, ignore_errors=True)

    # Database roles -------------------------------------------------------

    @property
    def primary(self):
        return next(n for n in self.nodes.values() if n.primary)

    @property
    def standby(self):
        return next(n for n in self.nodes.values() if not n.primary)

    def in_sync(self, seconds=300):
        """Waits until the standby follows, synchronously."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            for n in self.nodes.values():
                if not n.alive():
                    n.start()
            try:
                if self.primary.sql(
                        "SELECT 1 FROM pg_stat_replication "
                        "WHERE sync_state = 'sync' AND state = 'streaming'"):
                    return True
            except psycopg.Error:
                pass
            time.sleep(0.1)
        return False

    def promote(self):
        """The standby takes over; returns the former primary."""
        old, new = self.primary, self.standby
        # Who is in the way of what a standby replays has his query ended: a
        # promotion that waits would be over, and nobody would know that there
        # is another primary.
        new.surely('SELECT pg_promote(false) WHERE pg_is_in_recovery()')
        deadline = time.time() + 300
        while new.wait():
            assert time.time() < deadline
            time.sleep(0.05)
        new.follows, new.primary, old.primary = None, True, False
        return old

    def rejoin(self, node):
        """A former primary comes back as standby, and as nothing else."""
        node.kill()
        new = self.primary
        # The source must know its new timeline before it is compared with.
        new.surely('CHECKPOINT')
        r = subprocess.run(
            [PGBIN + 'pg_rewind', '-D', str(node.data), '--source-server',
             'host=%s user=postgres dbname=postgres' % new.sock],
            env=node.env(), stdout=self.log('rewind'),
            stderr=subprocess.STDOUT)
        node.follows = new
        if r.returncode != 0:
            self.basebackup(node, new)
        else:
            node.start()
            node.wait()
