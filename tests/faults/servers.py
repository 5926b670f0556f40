"""What is done to the two database servers, and to whole hosts."""
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import psycopg

import power
from clients import Signer
from cluster import PGBIN, TOP, send, spawn


class Servers:
    """A part of faults.Faults."""

    def slow_database(self, r):
        n = self.c.primary
        with psycopg.connect('host=%s dbname=countersign user=postgres' %
                             n.sock) as db:
            db.execute('LOCK TABLE countersign.%s IN ACCESS EXCLUSIVE MODE' %
                       r.choice(['request', 'certificate', 'revoked',
                                 'account', 'signer']))
            time.sleep(self.seconds(r, (1, 3), (1, 6)))

    def no_connections(self, r):
        """All of the server's are somebody else's."""
        held = []
        try:
            for _ in range(200):
                held.append(psycopg.connect(
                    'host=%s dbname=countersign user=countersign_auditor' %
                    self.c.primary.sock))
        except psycopg.Error:
            pass
        self.c.proxies['s' + self.c.primary.name].cut()
        time.sleep(self.seconds(r, (1, 2), (1, 4)))
        for h in held:
            h.close()
        return 1

    def kill_postgres(self, r):
        n = self.c.primary
        n.kill()
        time.sleep(r.uniform(0, 1))
        n.start()
        n.wait()
        self.c.in_sync()

    def kill_standby(self, r):
        n = self.c.standby
        n.kill()
        time.sleep(r.uniform(0, 2))
        n.start()
        self.c.in_sync()

    def stop_postgres(self, r):
        """Either of the two: the primary, or who its COMMITs wait for."""
        node = r.choice([self.c.primary, self.c.standby])
        pids = node.pids()
        self.count['stopped postgres, %s' % (
            'primary' if node.primary else 'standby')] += 1
        send(pids, signal.SIGSTOP)
        time.sleep(self.seconds(r, (2, 3), (10, 45)))
        send(pids, signal.SIGCONT)
        self.c.in_sync()

    def fail_over(self, r):
        """The primary is gone; the standby takes over; it comes back."""
        self.c.primary.kill()
        time.sleep(r.uniform(0, 1))
        self.c.rejoin(self.c.promote())
        self.c.in_sync()

    def zombie_primary(self, r):
        """The primary was only away and still thinks that it is one, until
        somebody fences it."""
        pids = self.c.primary.pids()
        send(pids, signal.SIGSTOP)
        try:
            time.sleep(r.uniform(0, 1))
            old = self.c.promote()
        finally:
            send(pids, signal.SIGCONT)
        end = time.time() + self.seconds(r, (1, 3), (2, 10))
        while time.time() < end:
            # A session that waits for the standby is told to stop waiting:
            # COMMIT with a warning, and a row that is nowhere else.
            self.give_up_waiting(old, 0.3)
        self.c.rejoin(old)
        self.c.in_sync()

    def zombie_stays(self, r):
        """The same, the first server of every list, and nobody comes for a
        minute: the signers must find the other one, which has a standby."""
        with self.w.policy:     # that command would meet it each time
            self.stay(r)

    def stay(self, r):
        if self.c.primary.name != 'a':
            self.fail_over(r)
        pids = self.c.primary.pids()
        if r.random() < 0.5:
            send(pids, signal.SIGSTOP)
        try:
            old = self.c.promote()
        finally:
            send(pids, signal.SIGCONT)
        third = self.receiver()
        if r.random() < 0.5:    # its session at the former primary stays
            time.sleep(r.uniform(0, 3))
            self.c.kill(r.choice(self.c.signers))
        before = self.rows()
        if not self.wait_for(lambda: self.rows() > before, 120):
            self.c.unexpected.append('nothing is issued beside a former '
                                     'primary')
        third.terminate()
        third.wait()
        self.c.rejoin(old)
        self.c.in_sync()

    def receiver(self):
        """A third host that keeps what the primary writes."""
        to = self.c.state / 'received'
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        return spawn([PGBIN + 'pg_receivewal', '-h',
                      str(self.c.primary.sock), '-U', 'postgres', '-D',
                      str(to), '--synchronous', '--no-loop'],
                     self.c.log('receiver'))

    def rows(self):
        try:
            return self.c.primary.sql(
                'SELECT count(*) FROM countersign.certificate')[0][0]
        except psycopg.Error:
            return 0

    def wait_for(self, f, seconds):
        """Whether it came true in that time."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            try:
                if f():
                    return True
            except psycopg.Error:
                pass
            time.sleep(0.2)
        return False

    def give_up_waiting(self, node, seconds):
        f = random.choice(['pg_cancel_backend', 'pg_terminate_backend'])
        try:
            time.sleep(seconds)
            return len(node.sql("SELECT %s(pid) FROM pg_stat_activity WHERE "
                                "wait_event = 'SyncRep'" % f))
        except psycopg.Error:
            return 0

    def standby_lost(self, r):
        """COMMIT waits; the wait is cancelled (WARNING 01000), and half of
        the time that server never comes back."""
        link, n = self.hold_standby(), 0
        for _ in range(r.randint(1, 4)):
            n += self.give_up_waiting(self.c.primary, r.uniform(0.3, 0.8))
        if r.random() < 0.5:
            self.lose_primary(link)
            self.count['rows that were on one server only'] += n
        link.heal()
        self.c.in_sync()
        return max(n, 1)

    def stop_at(self, name, point, work=lambda: None, seconds=15):
        """Whether a signer has come to a point of its work and stands; work
        is what may bring it there."""
        path = self.c.state / 'control' / name / 'point'
        self.rare.pop(name, None)
        self.aimed.add(name)
        self.arm(path, 'stop ' + point)
        self.let_go(name)       # it may stand at another one
        work()
        there = self.wait_for(lambda: not path.exists() and
                              self.c.is_stopped(name), seconds)
        path.unlink(missing_ok=True)
        self.aimed.discard(name)
        return there

    def let_go(self, name):
        send([self.c.pid(name)], signal.SIGCONT)

    def hold_standby(self):
        p = self.c.proxies['r' + self.c.primary.name]
        p.hold.update(up=True, down=True)
        return p

    def lose_primary(self, link):
        """And what it alone had: nothing that is held comes behind it."""
        self.c.primary.kill()
        link.cut()
        link.heal()
        self.c.rejoin(self.c.promote())

    def lost_commit(self, r):
        """The same, aimed: a signer is about to commit rows or a list when
        the standby is lost.  Whoever looks meanwhile sees what may not stay:
        the publisher, another signer that has the same message, and, every
        other time, the signer itself, which has given up the batch by then."""
        name = r.choice(self.c.signers)
        point = r.choice(['before-commit', 'list-signed'])
        message, n = self.repeater.begin()
        first = Signer(self.c, name)
        if not self.stop_at(name, point, lambda: point == 'before-commit' and
                            first.send(message)):
            self.let_go(name)
            first.close()
            return 0
        try:
            link = self.hold_standby()
        finally:
            self.let_go(name)
        gone = 0
        for _ in range(r.choice([10, 40])):
            gone += self.give_up_waiting(self.c.primary, 0.2)
        self.count['lost commits at ' + point] += gone > 0
        second = Signer(self.c, r.choice(self.c.signers))
        second.send(message)
        self.repeater.take(n, second)
        first.close()
        if r.random() < 0.7:
            self.lose_primary(link)
        link.heal()
        self.c.in_sync()
        return 1

    def lost_revocation(self, r):
        """The same of a revocation: the signer that is about to copy it into
        its ledger finds it on the primary alone, which is lost before the
        signer has looked whether it may stay, or while it does."""
        name = r.choice(self.c.signers)
        try:
            if not self.stop_at(name, 'list-begins'):
                return 0
            with self.w.desk:
                return self.revoke_and_lose(name, r.random() < 0.5)
        finally:
            self.let_go(name)
            self.c.in_sync()

    def revoke_and_lose(self, name, early):
        serial = self.w.take_held()
        if serial is None:
            return 0
        link, node = self.hold_standby(), self.c.primary
        command = threading.Thread(target=self.w.ctl, args=(
            'cert', 'revoke', serial, '--reason', 'superseded'))
        command.start()
        row = ('SELECT 1 FROM countersign.revocation_event WHERE '
               "serial = decode('%s', 'hex')" % serial)
        try:
            there = self.wait_for(lambda: node.sql(row) or
                                  self.give_up_waiting(node, 0.1) < 0, 10)
            if early:
                there = self.stop_at(name, 'revocations-read') and there
            else:
                self.let_go(name)
                for _ in range(5):
                    self.give_up_waiting(node, 0.3)
            self.lose_primary(link)
        finally:
            link.heal()
        self.c.in_sync()
        self.let_go(name)
        command.join()
        self.count['lost revocations, ' + (
            'another session' if early else 'not waited for')] += there
        return 1

    def taken_over(self, r):
        """F16: a signer is stopped, the database fails over, another process
        takes its name (on a host of its own: another ledger), and ends; the
        first one comes back and must not go on."""
        name = r.choice(self.c.signers)
        p = self.c.programs[name]
        epoch = self.epoch(name)
        p.held = True
        send([p.proc.pid], signal.SIGSTOP)
        try:
            self.c.primary.kill()
            self.c.rejoin(self.c.promote())
            self.c.in_sync()
            self.other_host(name, epoch)
        except BaseException:
            p.held = False      # nobody took it over
            raise
        finally:
            send([p.proc.pid], signal.SIGCONT)
        try:
            p.proc.wait(300)
        except subprocess.TimeoutExpired:
            self.c.unexpected.append('%s goes on after another process took '
                                     'its lease' % name)
        p.held = False

    def epoch(self, name):
        return self.c.primary.sql('SELECT epoch FROM countersign.signer '
                                  'WHERE name = %s', name)[0][0]

    def other_host(self, name, epoch):
        """A second process of that name, until it has the lease."""
        conf = self.c.state / 'etc' / ('fault-%s.conf' % name)
        other = self.c.state / ('disk-' + name) / 'other'
        other.mkdir(exist_ok=True, mode=0o700)
        port = self.c.ends[name]
        text = conf.read_text().replace(
            str(self.c.ledger(name)), str(other)).replace(
                ':%d"' % port, ':%d"' % self.c.spare[name])
        conf = conf.with_suffix('.other')
        conf.write_text(text)
        q = spawn([TOP / 'build/countersign-signer', '-c', conf],
                  self.c.log(name + '-other'),
                  dict(os.environ, **self.c.token_env()))
        deadline = time.time() + 300
        while self.epoch(name) == epoch:
            if q.poll() is not None or time.time() > deadline:
                self.c.unexpected.append('%s: nobody can take over' % name)
                break
            time.sleep(0.05)
        time.sleep(0.5)
        q.terminate()
        q.wait(300)

    # Whole hosts.

    def power_cut(self, r):
        """F19: what was not synced is lost, on one host or on all; a server
        that lost it may have to give way to the other."""
        c = self.c
        hosts = [*c.nodes, *c.signers]
        if r.random() < 0.6:
            hosts = r.sample(hosts, r.randint(1, len(hosts)))
        signers = [n for n in hosts if n in c.signers]
        nodes = [c.nodes[n] for n in hosts if n in c.nodes]
        for n in signers:
            c.programs[n].held = True
            c.kill(n)
        for n in nodes:
            n.kill()
        lost = 0
        for n in signers:
            c.programs[n].proc.wait()
            lost += power.cut(c.state / ('disk-' + n), c.state / 'undo' / n,
                              r)
        for n in nodes:
            lost += power.cut(n.data, n.undo, r)
        self.count['writes that a power cut took'] += lost
        for n in signers:
            c.programs[n].held = False
        if nodes == [c.primary] and r.random() < 0.5:
            c.rejoin(c.promote())
        for n in nodes:
            n.wait()            # and starts it
        c.in_sync()

    def restored(self, r):
        """F17: both servers are lost, and there is a backup, older than what
        was issued and revoked since.  Nobody may sign before all is back."""
        with self.w.policy:     # no ledger has its text
            self.restore(r, self.c, self.c.primary)

    def restore(self, r, c, p):
        backup = c.state / 'backup'
        shutil.rmtree(backup, ignore_errors=True)
        subprocess.run([PGBIN + 'pg_basebackup', '-h', str(p.sock), '-U',
                        'postgres', '-D', str(backup), '-c', 'fast', '-X',
                        'stream'], check=True, stdout=c.log('basebackup'),
                       stderr=subprocess.STDOUT)
        # Who lost nothing has nothing to notice.
        before = self.rows()
        if not self.wait_for(lambda: self.rows() > before, 60):
            return
        time.sleep(self.seconds(r, (3, 4), (5, 15)))
        # What is revoked is in a ledger a moment later; see docs/ledger.md.
        with self.w.desk:
            self.wait_for(lambda: not p.sql(
                'SELECT 1 FROM countersign.revocation_event LIMIT 1'), 300)
            self.wait_for(self.audit_told, 300)
            # Who was barred then is so again, and told so.
            self.w.journal.write('word', what='reconcile', gen=0, done=True)
            self.put_back(p, backup)
            self.reconcile()

    def audit_told(self):
        """What an operator did stands in a ledger, too."""
        last = self.c.primary.sql('SELECT max(n) FROM countersign.audit')[0][0]
        line = '"type":"audit","n":"%d",' % last
        return any(line in f.read_text() for f in self.c.state.glob(
            'disk-*/ledger/ledger*'))

    def put_back(self, p, backup):
        c, other = self.c, self.c.standby
        p.kill()
        other.kill()
        shutil.rmtree(p.data)
        power.forget(p.undo)
        shutil.copytree(backup, p.data)
        p.data.chmod(0o700)
        p.start()
        p.wait()
        c.basebackup(other, p)
        c.in_sync()

    def reconcile(self):
        found = ('SELECT 1 FROM countersign.rollback WHERE ended_at IS NULL')
        p = self.c.primary
        if not self.wait_for(lambda: p.sql(found), 300):
            self.c.unexpected.append('nobody sees that a backup was restored')
        before = self.rows()
        time.sleep(2)
        if self.rows() != before:
            self.c.unexpected.append('issued from an old database')
        ledgers = [x.parent for x in self.c.state.glob('disk-*/*/ledger')]
        deadline = time.time() + 600
        while time.time() < deadline:
            q = self.w.ctl('reconcile', '--apply', *map(str, ledgers))
            if q.returncode == 0 and not p.sql(found):
                return
            self.log.write('reconcile: %s\n' % q.stderr)
            time.sleep(1)
        self.c.unexpected.append('reconcile: ' + q.stdout + q.stderr)
