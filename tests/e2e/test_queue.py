"""What cannot wait is served before what can, where a slow key makes a queue:
a signer that did not run finds more than it can sign at once.  And all of it
between the pages of a long list."""
import os
import re
import signal

import psycopg
import psycopg
import pytest
from asn1crypto import core

import client
import wire
from conftest import own_stack
from policies import publish, published
from renewals import ACCOUNT, COMMON, Held
from waits import stand, wait_for
from workers import patient

MANY = 28
ISSUED, PENDING, UNAVAILABLE = 1, 2, 6      # common/msg.h


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
        slow_commits(s)
        with patient(s):
            yield s


def slow_commits(stack):
    """Who waits is parsed beside a COMMIT, which takes its time wherever the
    test runs."""
    with psycopg.connect(psycopg.conninfo.make_conninfo(
            stack.env['CS_DSN'], user='postgres'), autocommit=True) as db:
        db.execute('CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql '
                   'AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$')
        db.execute('CREATE TRIGGER slow AFTER INSERT ON '
                   'countersign.certificate FOR EACH STATEMENT '
                   'EXECUTE FUNCTION slow()')


def unread(port):
    """Octets that came over one connection and that nobody has read."""
    with open('/proc/net/tcp') as f:
        rows = [line.split() for line in f][1:]
    return max((int(r[4].split(':')[1], 16) for r in rows
                if r[1].endswith(':%04X' % port) and r[3] == '01'), default=0)


def wave(stack, peer, messages):
    """All over one connection, to a signer that stands until the last one is
    there.  Names in the order of their answers, and what these say."""
    [signer] = stack.pids('signer')
    port = int(re.search(r'endpoint = "tcp://.*:(\d+)"', (
        stack.dir / 'etc/worker.conf').read_text())[1])
    stand(signer)
    try:
        names = {peer.send(m): name for name, m in messages.items()}
        wait_for(lambda: unread(port) >= sum(map(len, messages.values())),
                 every=0.01)
    finally:
        os.kill(signer, signal.SIGCONT)
    order, said = [], {}
    for _ in names:
        order.append(names[peer.receive()])
        said[order[-1]] = wire.status(core.SequenceOf.load(
            peer.receive(), spec=core.Any))
    return order, said


def test_who_cannot_wait(slow):
    """Sent last, and answered before half and two thirds of the others."""
    user = slow.account('queue', groups=['renewers'])
    demo = slow.env['CS_USER']
    pending = client.Client(slow.env).enroll(client.make_csr(
        client.ec_key(), 'queue.demo.example', ['queue.demo.example'],
        slow.env['CS_TEMPLATE_APPROVAL'])).request_id
    peer, orders = wire.Peer(slow, 'worker'), []

    def poll():
        return wire.ask(slow, wire.QUERY, wire.PASSWORD, demo,
                        asked=int(pending))
    waits = wire.status(peer.ask(poll()))
    assert waits == PENDING
    for n in range(8):
        tokens = [client.make_csr(client.ec_key(), name, [name],
                                  slow.env['CS_TEMPLATE']) for name in
                  ('n%d-%d.demo.example' % (n, i) for i in range(MANY))]
        held = Held(user, 'Soon')
        messages = {i: wire.ask(slow, wire.ISSUE, wire.PASSWORD, demo, t)
                    for i, t in enumerate(tokens)}
        messages['poll'] = poll()
        messages['renewal'] = wire.ask(slow, wire.ISSUE, wire.PASSWORD,
                                       held.c.user, held.message())
        order, said = wave(slow, peer, messages)
        assert said.pop('poll') == PENDING
        assert set(said.values()) <= {ISSUED, UNAVAILABLE}, said
        orders.append(order)
        assert order.index('poll') < MANY / 2, orders
        if order.index('renewal') < 2 * MANY / 3:
            break
    else:
        pytest.fail('never: %s' % orders)
    peer.close()


# The transaction of a list, by its session and its begin.
LIST = '''SELECT a.pid, a.xact_start FROM pg_stat_activity a
    JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory'
    AND l.classid = 71200104 WHERE a.xact_start IS NOT NULL'''


def test_a_long_list_lets_others_through(slow):
    """Asked when a list is being made, answered while it is the same one."""
    peer = wire.Peer(slow, 'worker')
    dsn = psycopg.conninfo.make_conninfo(slow.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as root:
        # No audit, no ledger: rows are all that a list is made of.
        root.execute('SET session_replication_role = replica')
        root.execute("INSERT INTO countersign.revoked SELECT name, '\\x41' || "
                     "substr(sha256(int4send(i)), 1, 15), now(), 1, "
                     "'infinity', 1 FROM countersign.ca, "
                     'generate_series(1, 60000) i')

        def making():
            return root.execute(LIST).fetchone()

        def let_through():
            root.execute('SELECT countersign.revocation_next(name) '
                         'FROM countersign.ca')
            csr = client.make_csr(client.ec_key(), 'long.demo.example',
                                  ['long.demo.example'],
                                  slow.env['CS_TEMPLATE'])
            message = wire.ask(slow, wire.ISSUE, wire.PASSWORD,
                               slow.env['CS_USER'], csr)
            begun = wait_for(making, every=0.001)
            assert wire.status(peer.ask(message)) == ISSUED
            return making() == begun
        wait_for(let_through)
        wait_for(lambda: root.execute('SELECT max(entries) FROM '
                                      'countersign.crl').fetchone()[0] > 59999)
    peer.close()
