"""More than can be served: who is told to come later, and that others are
served."""
import concurrent.futures
import os
import re
import select
import signal
import socket
import ssl
import threading
import time
import urllib.parse

import pytest

import client
from second_site import second_site
from waits import stand
from workers import patience  # noqa: F401

CAP = 6
MORE = 8
SLOW = int(os.environ.get('SLOW', 300))


@pytest.fixture
def small(stack, tmp_path):
    """The shipped site with room for few requests at once."""
    def change(site):
        site, n = re.subn(r'(?<=limit_conn countersign_waits )\d+', str(CAP),
                          site)
        assert n == 3
        return site
    with second_site(stack, tmp_path, change) as there:
        yield there


def test_full_and_back(stack, demo, patience, small):  # noqa: F811
    """Nobody waits behind a full queue; once the signers are back those in
    it are served, and so is the next."""
    here = stack.env['CS_CES_URL']
    there, home = small(here), small(stack.env['CS_HOME_URL'])
    ocsp = small(re.search('"(http://[^"]*/ocsp)"', (
        stack.dir / 'etc/site.conf').read_text())[1]) + '/MAA='
    token = client.make_csr(client.ec_key(), 'overload.demo.example', [],
                            stack.env['CS_TEMPLATE'])

    def ask():
        c = client.Client(stack.env)
        return c.post(there, client.envelope(client.RST, here,
                                             client.rst(token), c.header()))
    signers = stack.pids('signer')
    with concurrent.futures.ThreadPoolExecutor(CAP + MORE) as pool:
        for pid in signers:
            stand(pid)
        try:
            asked = [pool.submit(ask) for _ in range(CAP + MORE)]
            done = concurrent.futures.as_completed(asked, timeout=300)
            told = [next(done).result() for _ in range(MORE)]
            # Told while those in front still wait.
            waiting = [a for a in asked if not a.done()]
            assert len(waiting) == CAP
            # Of the same queue, by plain HTTP.
            told.append(client.Reply(demo.http.get(ocsp, timeout=300)))
            t = time.monotonic()
            told.append(ask())
            t = time.monotonic() - t
            # What waits for no worker has its answer.
            r = demo.http.get(home, timeout=300)
            assert r.status_code == 200
        finally:
            for pid in signers:
                os.kill(pid, signal.SIGCONT)
        replies = [w.result() for w in waiting]
    assert all(r.status == 503 and 'try again' in r.text for r in told)
    after = {r.http.headers['Retry-After'] for r in told}
    assert after <= {'3', '7', '13', '23'} and len(after) > 1
    assert all(r.leaf for r in replies), [r.text for r in replies]
    assert ask().leaf
    print('refused in %.0f ms, with a new TLS connection' % (1000 * t))


class Slow:
    """One that sends the beginning of a request and then a byte a second."""

    def __init__(self, context, url, n):
        where = urllib.parse.urlsplit(url)
        self.sock = context.wrap_socket(socket.create_connection(
            ('127.0.0.1', where.port), 300,
            ('127.0.0.%d' % (2 + n % 200), 0)))
        head = 'POST %s HTTP/1.1\r\nHost: %s\r\n' % (where.path, where.netloc)
        if n % 2:
            head += 'X-Slow: '
        else:
            head += ('Content-Type: application/soap+xml\r\n'
                     'Content-Length: 20000\r\n\r\n<')
        self.sock.sendall(head.encode())

    def more(self):
        try:
            self.sock.sendall(b'a')
        except OSError:
            pass                # closed: see held

    def held(self):
        p = select.poll()
        p.register(self.sock, select.POLLIN)
        return not p.poll(0)


@pytest.fixture
def slow(stack, tmp_path):
    """The shipped site with a low rate, behind a balancer who says for whom
    he asks."""
    def change(site):
        site, n = re.subn(r'rate=\d+r/s', 'rate=1r/m', site)
        site, m = re.subn(r'burst=\d+ nodelay', 'burst=2 nodelay', site)
        assert (n, m) == (1, 3)
        return site + ('set_real_ip_from 127.0.0.1;\n'
                       'real_ip_header X-Real-IP;\n')
    with second_site(stack, tmp_path, change) as there:
        yield there


@pytest.mark.parametrize('same, other', [
    (['192.0.2.1'], ['192.0.2.2', '192.0.3.1']),
    (['2001:db8:7:1::1', '2001:db8:7:1:8::', '2001:db8:7:1:1:2:3:4',
      '2001:db8:7:1:ffff:ffff:ffff:ffff'],
     ['2001:db8:7:2::1', '2001:db8:8:1::1', '2001:db8:7::1']),
    (['2001:db8::1', '2001:db8::8:0:0:1', '2001:db8:0:0:1:2:3:4'],
     ['2001:db8:0:1::1', '2001:db9::1', '::1']),
    (['::ffff:192.0.2.7'], ['::ffff:192.0.2.8'])])
def test_rate_of_a_client(stack, slow, same, other):
    """Who has a network of IPv6 has more addresses than anybody can count."""
    c, url = client.Client(stack.env), slow(stack.env['CS_HOME_URL'])

    def get(address):
        return c.http.get(url + 'style.css',
                          headers={'X-Real-IP': address}).status_code
    assert [get(same[i % len(same)]) for i in range(6)] == [200] * 3 + [503] * 3
    for address in other:
        assert get(address) == 200


def test_slow_clients(stack, demo):
    """They wait in nginx, and nobody else for them."""
    url = stack.env['CS_CES_URL']
    context = ssl.create_default_context(cafile=stack.env['CS_ROOT_PEM'])
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # no tickets to read
    slow, times, over = [], [], threading.Event()

    def drip():
        while not over.wait(1):
            for s in slow[:]:
                s.more()
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for n in range(SLOW):
            slow.append(Slow(context, url, n))
        assert sum(s.held() for s in slow) >= SLOW // 2
        for n in range(20):
            t = time.monotonic()
            token = client.make_csr(client.ec_key(), 'quick.demo.example', [],
                                    stack.env['CS_TEMPLATE'])
            assert demo.enroll(token).leaf and demo.policies().fault is None
            times.append(time.monotonic() - t)
        # Those with a slow body are there still.
        assert all(s.held() for s in slow[::2])
    finally:
        over.set()
        dripping.join()
        for s in slow:
            s.sock.close()
    print('%d slow clients; the others %.0f ms, at most %.0f ms' % (
        SLOW, 1000 * sorted(times)[10], 1000 * max(times)))
