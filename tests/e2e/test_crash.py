"""kill -9 of the signer and of PostgreSQL under load: no client holds a
certificate without a committed row, no serial twice, the ledger verifies."""
import concurrent.futures
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import client
from schema import check_fault, check_rstrc


def children(pid):
    out = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)],
                         capture_output=True, text=True).stdout
    return [int(p) for p in out.split()]


def wait_issue(stack, csr, seconds=60):
    deadline = time.time() + seconds
    while True:
        r = client.Client(stack.env).enroll(csr)
        if r.fault is None and r.status == 200:
            return r
        assert time.time() < deadline, r.text
        time.sleep(0.3)


class Load:
    """Clients that enroll until told to stop and keep a journal."""

    def __init__(self, stack, clients=6):
        self.stack, self.stop = stack, threading.Event()
        self.journal, self.faults, self.broken = [], [], []
        self.csrs = [client.make_csr(client.ec_key(), 'crash%d.demo.example' %
                                     i, [], stack.env['CS_TEMPLATE'])
                     for i in range(clients)]
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.jobs = [self.pool.submit(self.run, c) for c in self.csrs]

    def run(self, csr):
        c = client.Client(self.stack.env)
        while not self.stop.is_set():
            try:
                r = c.enroll(csr)
            except Exception as e:  # a connection that nginx cut
                self.broken.append(repr(e))
                c = client.Client(self.stack.env)
                continue
            if r.leaf:
                self.journal.append(r.leaf)
            else:
                self.faults.append(r)

    def end(self):
        self.stop.set()
        for j in self.jobs:
            j.result(60)
        return self


def check_all(stack, load):
    assert load.journal
    rows = {bytes(r[0]): bytes(r[1]) for r in stack.sql(
        'SELECT serial, der FROM countersign.certificate')}
    ders = set(rows.values())
    for der in load.journal:
        assert der in ders, 'a client holds a certificate without a row'
    serials = [client.x509.load_der_x509_certificate(d).serial_number
               for d in load.journal]
    assert len(set(serials)) == len(serials)
    for f in load.faults:
        if f.status == 500:
            check_fault(f)
            assert f.hresult in (None, 0x800704D5), f.text
            assert 'again' in f.reason, f.text
        else:
            assert f.status in (502, 503, 504), f.status
    assert stack.ctl('ledger', 'verify', ok=None).returncode == 0, \
        stack.ctl('ledger', 'verify', ok=None).stdout


@pytest.mark.parametrize('part', ['signer', 'postgres', 'worker'])
def test_kill_under_load(stack, part):
    load = Load(stack)
    time.sleep(1)
    for _ in range(3):
        victims = stack.pids(part)
        if part == 'worker':
            victims = children(victims[0])[:1] or victims
        time.sleep(random.random())     # at any moment
        for v in random.sample(victims, random.randint(1, len(victims))):
            os.kill(v, signal.SIGKILL)
        time.sleep(2)
        wait_issue(stack, load.csrs[0])
    n = len(load.journal)
    time.sleep(1)
    load.end()
    assert len(load.journal) > n, 'nothing is issued after the restart'
    check_all(stack, load)


def test_signer_stopped_means_try_again(stack, demo):
    """A dead signer costs a time-out and no certificate."""
    csr = client.make_csr(client.ec_key(), 'stopped.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    pids = stack.pids('signer')
    for p in pids:
        os.kill(p, signal.SIGSTOP)
    try:
        r = demo.enroll(csr)
        check_fault(r)
        assert r.hresult == 0x800704D5 and 'again' in r.reason
    finally:
        for p in pids:
            os.kill(p, signal.SIGCONT)
    check_rstrc(wait_issue(stack, csr))


@pytest.mark.parametrize('part', ['signer', 'postgres'])
def test_down_means_try_again(stack, demo, part):
    """While a part is dead and nobody restarts it: "try again", and the same
    message later gives one certificate."""
    key = client.ec_key()
    csr = client.make_csr(key, 'down.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    message_id = 'urn:uuid:down-%s-%d' % (part, os.getpid())
    supervisor = int((stack.dir / 'run/supervisor.pid').read_text())
    check_rstrc(demo.enroll(client.make_csr(
        client.ec_key(), 'up.demo.example', [], stack.env['CS_TEMPLATE'])))
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for p in stack.pids(part):
            os.kill(p, signal.SIGKILL)
        for _ in range(2):
            r = demo.enroll(csr, message_id=message_id)
            check_fault(r)
            assert r.hresult in (None, 0x800704D5), r.text
            assert 'again' in r.reason
    finally:
        os.kill(supervisor, signal.SIGCONT)
    deadline = time.time() + 60
    while (r := demo.enroll(csr, message_id=message_id)).fault is not None:
        assert time.time() < deadline, r.text
        time.sleep(0.3)
    check_rstrc(r)
    again = demo.enroll(csr, message_id=message_id)
    assert again.leaf == r.leaf
    point = key.public_key().public_bytes(
        client.serialization.Encoding.X962,
        client.serialization.PublicFormat.UncompressedPoint)
    assert stack.sql('SELECT count(*) FROM countersign.certificate '
                     'WHERE position(%s::bytea IN der) > 0', point) == [(1,)]
    assert stack.ctl('ledger', 'verify').returncode == 0


def test_policy_changed_in_between(stack, demo):
    """A new policy is in force with the next request, everywhere."""
    body = bytes(stack.sql('SELECT body FROM countersign.policy '
                           'ORDER BY version DESC LIMIT 1')[0][0])
    path = stack.dir / 'edited.conf'
    csr = client.make_csr(client.ec_key(), 'edit.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    before = demo.enroll(csr)
    check_rstrc(before)
    path.write_bytes(body + b'\n# edited\n')
    stack.ctl('policy', 'publish', str(path))
    after = demo.enroll(csr)
    check_rstrc(after)
    hashes = stack.sql(
        'SELECT number, policy_hash FROM countersign.request WHERE number '
        '= ANY(%s)', [int(before.request_id), int(after.request_id)])
    assert len({bytes(h) for _, h in hashes}) == 2
