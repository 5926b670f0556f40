"""What cannot wait is served before what can, where a slow key makes a queue:
a signer that did not run finds more than it can sign at once."""
import os
import re
import signal
import threading
import time

import pytest

import client
from conftest import own_stack
from policies import publish, published
from renewals import ACCOUNT, COMMON, Held
from workers import patient

MANY = 28            # with two more a worker has all of them on their way


@pytest.fixture(scope='module')
def slow():
    """One signer, whose key is slow, and a template that ends soon: its
    certificates live for ten days, of which the clocks' slack is a part."""
    with own_stack('queue', CA_KEY='rsa:4096', SIGNERS='1',
                   PROCESSES='1') as s:
        text = published(s)
        ca = re.search(r'^ca "([^"]+)"', text, re.M).group(1)
        publish(s, text + COMMON % ('Soon', 990, ca, ACCOUNT[0], '60s', '1s',
                                    ACCOUNT[1]))
        with patient(s):
            yield s


class Wave:
    """New requests while the signer stands, then a poll and a renewal; the
    names of all in the order of their answers."""

    def __init__(self, stack, held, pending, n, pause):
        self.done, self.threads = [], []
        user = held.c.user, held.c.password
        tokens = [client.make_csr(client.ec_key(), 'n%d-%d.demo.example' % (
            n, i), ['n%d-%d.demo.example' % (n, i)], stack.env['CS_TEMPLATE'])
            for i in range(MANY)]
        renewal = held.message()
        # Connected before, so that what is sent is there at once.
        asking = [client.Client(stack.env) for _ in range(MANY + 1)]
        asking.append(client.Client(stack.env, *user))
        for c in asking:
            c.http.get(stack.env['CS_HOME_URL'])
        [signer] = stack.pids('signer')
        os.kill(signer, signal.SIGSTOP)
        try:
            for i, token in enumerate(tokens):
                self.start(i, asking[i].enroll, token)
            time.sleep(pause)
            self.start('poll', asking[MANY].query, pending)
            self.start('renewal', asking[-1].enroll, renewal, pkcs10=False)
            time.sleep(pause)
        finally:
            os.kill(signer, signal.SIGCONT)
        for t in self.threads:
            t.join(300)
        self.replies = dict(self.done)
        self.order = [name for name, _ in self.done]

    def start(self, name, ask, *args, **kw):
        def run():
            self.done.append((name, ask(*args, **kw)))
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()


def test_who_cannot_wait(slow):
    """Sent last, and answered before half and a third of the others.  A busy
    machine brings messages late: it has some tries, and with each more time,
    but by time of arrival none would do."""
    user = slow.account('queue', groups=['renewers'])
    pending = client.Client(slow.env).enroll(client.make_csr(
        client.ec_key(), 'queue.demo.example', ['queue.demo.example'],
        slow.env['CS_TEMPLATE_APPROVAL'])).request_id
    orders = []
    for n in range(8):
        wave = Wave(slow, Held(user, 'Soon'), pending, n, 0.8 * (n + 1))
        assert len(wave.replies) == MANY + 2
        assert wave.replies['poll'].request_id == pending
        late = [r for k, r in wave.replies.items()
                if k != 'poll' and r.leaf is None]
        assert all('again' in r.reason for r in late)
        orders.append(wave.order)
        if not late and wave.order.index('poll') < MANY / 2 and \
                wave.order.index('renewal') < 2 * MANY / 3:
            return
    pytest.fail('never: %s' % orders)
