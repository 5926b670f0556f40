"""What a message or a crash must not reach: hosts that the message names
([security] X3), and a second worker ([security] N10)."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import client
from conftest import START, TOP, Stack
from second_site import second_site
from waits import stand, wait_for
from workers import patient

BAIT = '192.0.2.80'


# Nothing leaves the host --------------------------------------------------------

class Namespace:
    """A network of its own: loopback, and a card that leads nowhere and
    counts what would have left."""

    def __init__(self, name):
        self.name = name

    def run(self, *words, **kw):
        return subprocess.run(['ip', 'netns', 'exec', self.name, *words],
                              check=True, text=True, capture_output=True,
                              timeout=300, **kw)

    def make(self):
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        for line in ('link set lo up',
                     'link add out type veth peer name nowhere',
                     'link set out arp off addrgenmode none',
                     'addr add 198.51.100.2/24 dev out',
                     'link set out up', 'link set nowhere up',
                     'route add default via 198.51.100.1 dev out'):
            self.run('ip', *line.split())

    def left(self):
        """Packets that would have left."""
        return int(self.run('cat',
                            '/sys/class/net/out/statistics/tx_packets').stdout)


@pytest.fixture
def alone():
    """A whole stack in a network namespace."""
    if os.geteuid() != 0 or shutil.which('ip') is None:
        pytest.skip('needs root and iproute2 to make a network namespace')
    ns = Namespace('countersign-%d' % os.getpid())
    try:
        ns.make()
    except subprocess.CalledProcessError:
        pytest.skip('network namespaces are forbidden here')
    state = TOP / 'var' / 'alone'
    env = state / 'env'
    env.unlink(missing_ok=True)
    p = subprocess.Popen(
        ['ip', 'netns', 'exec', ns.name, 'make', '-s', 'run',
         'STATE=%s' % state], cwd=TOP, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: p.poll() is not None or env.exists(), START)
        assert p.poll() is None
        yield ns, Stack(env)
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(300)
        subprocess.run(['ip', 'netns', 'del', ns.name], check=True)
        shutil.rmtree(state, ignore_errors=True)


def baits():
    """Run inside: messages that name a host in every way they can."""
    stack = Stack(sys.argv[2])
    demo = client.Client(stack.env)
    url = stack.env['CS_CES_URL']
    there = 'http://%s/x' % BAIT
    csr = client.make_csr(client.ec_key(), 'bait.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    good = client.envelope(client.RST, url, client.rst(csr, context=[
        ('cdc', BAIT), ('rmd', BAIT), ('certfile', r'\\%s\x' % BAIT)]),
        demo.header()).decode()
    xsi = ' xmlns:i="%s" i:schemaLocation="urn:x %s"' % (client.XSI, there)
    texts = [
        good, '<!DOCTYPE x SYSTEM "%s">%s' % (there, good),
        '<!DOCTYPE x PUBLIC "-" "%s">%s' % (there, good),
        '<!DOCTYPE x [<!ENTITY %% e SYSTEM "%s">%%e;]>%s' % (there, good),
        '<?xml-stylesheet type="text/xsl" href="%s"?>%s' % (there, good),
        good.replace('<s:Envelope', '<s:Envelope' + xsi, 1),
        good.replace('<s:Body', '<s:Body' + xsi, 1),
        good.replace('</s:Header>', '<xi:include xmlns:xi="http://www.w3.org/'
                     '2001/XInclude" href="%s"/></s:Header>' % there),
        good.replace('</s:Body>', '<xi:include xmlns:xi="http://www.w3.org/'
                     '2001/XInclude" href="%s"/></s:Body>' % there),
    ]
    for name in ('ReplyTo', 'FaultTo'):
        texts.append(good.replace('</s:Header>', '<a:%s><a:Address>%s'
                                  '</a:Address></a:%s></s:Header>' % (
                                      name, there, name)))
    answers = [demo.post(url, t.encode()).status for t in texts]
    assert demo.policies().status == 200
    print(answers)


def test_nothing_leaves_the_host(alone):
    ns, stack = alone
    before = ns.left()
    r = ns.run(sys.executable, __file__, 'baits', str(stack.env_file),
               env={**os.environ, 'no_proxy': '*'})
    assert set(re.findall(r'\d+', r.stdout)) <= {'200', '500', '400'}
    assert '500' in r.stdout
    assert ns.left() == before
    # The counter counts: this one leaves.
    with pytest.raises(subprocess.CalledProcessError):
        ns.run('curl', '-s', '--max-time', '1', 'http://%s/' % BAIT)
    assert ns.left() > before


# A request that kills ------------------------------------------------------------

class Poisoned(threading.Thread):
    """A worker that ends, like one that crashes, with each request."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        path.chmod(0o666)
        self.sock.listen(16)
        self.killed = 0
        self.start()

    def run(self):
        while True:
            c = self.sock.accept()[0]
            c.recv(65536)
            self.killed += 1
            c.close()


@pytest.fixture
def poisoned(stack, tmp_path):
    """The shipped site before three workers that die of everything: those,
    and the address of CEP there."""
    workers = [Poisoned(tmp_path / ('w%d' % i)) for i in range(3)]
    with second_site(stack, tmp_path, lambda site: re.sub(
            r'(?<=upstream countersign_worker \{)[^}]*', ''.join(
                'server unix:%s/w%d;' % (tmp_path, i) for i in range(3)),
            site)) as there:
        yield workers, there(stack.env['CS_CEP_URL'])


def test_a_request_that_kills_is_not_repeated(demo, poisoned):
    """The first worker that dies of a request is the last to see it."""
    workers, url = poisoned
    for n in range(1, 4):
        r = demo.post(url, client.envelope(
            client.GETPOLICIES, url, client.get_policies(), demo.header()))
        assert r.status == 503 and 'try again' in r.text
        assert int(r.http.headers['Retry-After']) > 0
        assert sum(w.killed for w in workers) == n


def killed_at_work(stack, demo):
    """The mark of a request and its answer, during which all workers die."""
    mark = 'killed-%s.demo.example' % os.urandom(4).hex()
    csr = client.make_csr(client.ec_key(), mark, [], stack.env['CS_TEMPLATE'])
    signers = stack.pids('signer')
    workers = children(stack.pids('worker')[0])
    got = []
    for pid in signers:
        stand(pid)
    try:
        t = threading.Thread(target=lambda: got.append(demo.enroll(csr)))
        t.start()
        time.sleep(3)       # by then a worker has it
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        t.join(300)
    finally:
        for pid in signers:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: demo.policies().status == 200)
    return mark, got[0]


def test_a_worker_killed_at_work(stack, demo):
    """The client is told to try again, and nothing was issued twice."""
    with patient(stack):
        for _ in range(5):
            mark, reply = killed_at_work(stack, demo)
            if reply.status != 500:
                break   # else others served it: it came late on a busy machine
    assert reply.status == 503 and 'try again' in reply.text
    rows = stack.sql('SELECT count(*) FROM countersign.request '
                     'WHERE subject LIKE %s', '%' + mark + '%')
    assert rows[0][0] <= 1


def children(pid):
    return [int(p) for p in pathlib.Path(
        '/proc/%d/task/%d/children' % (pid, pid)).read_text().split()]


if __name__ == '__main__' and sys.argv[1:2] == ['baits']:
    baits()
