"""Two signers with one CA's key in a token: what one of them loses the other
serves, and a library that never comes back ends the one that called it."""
import os
import signal
import subprocess
import time

import pytest

from conftest import TOP
from hsm import ENDS, Token
from waits import wait_for

TIMEOUT = 5         # seconds: token-timeout of these signers


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    t = Token(tmp_path_factory.mktemp('pair') / 'state', 'ec:P-256',
              SIGNERS='2')
    try:
        t.ready()
        for conf in t.stack.conf.parent.glob('signer-*.conf'):
            conf.write_text('token-timeout = %ds\n' % TIMEOUT +
                            conf.read_text())
        for n in 1, 2:
            again(t, n)
        yield t
    finally:
        t.run.stop()
        subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                       env=dict(os.environ, STATE=str(t.run.state)))


@pytest.fixture(autouse=True)
def whole(pair):
    yield
    pair.fault()
    for n in 1, 2:
        signs(pair, n)
    rows = pair.stack.ctl_json('ledger', 'verify')
    assert not [r for r in rows if r['damaged']]


def pid(t, n):
    return int((t.stack.dir / 'run' / ('signer-%d.pid' % n)).read_text())


def log(t, n):
    return (t.stack.dir / 'log' / ('signer-%d.log' % n)).read_text()


def started(t, n, before):
    """Not the process of before, and ready."""
    wait_for(lambda: pid(t, n) != before and log(t, n).rsplit(
        'event=ready', 1)[-1].count('event=stop') == 0 and
        'pid=%d event=ready' % pid(t, n) in log(t, n))


def again(t, n):
    before = pid(t, n)
    os.kill(before, signal.SIGTERM)
    started(t, n, before)


def last_signer(t):
    return t.stack.sql('SELECT signer FROM countersign.request WHERE state = '
                       "'issued' ORDER BY decided_at DESC LIMIT 1")[0][0]


def signs(t, n):
    """That one issues something."""
    wait_for(lambda: t.enroll().leaf and last_signer(t) == 'signer-%d' % n)


def everybody_is_served(t, n):
    for _ in range(n):
        assert t.enroll().leaf


@pytest.mark.parametrize('lines', [
    [ENDS, 'C_GetSlotList 0x30'],           # CKR_DEVICE_ERROR
    ['C_Sign 0x32'],                        # CKR_DEVICE_REMOVED
], ids=' '.join)
def test_one_loses_its_token(pair, lines):
    lost = pid(pair, 1)
    signs(pair, 1)
    pair.fault('pid %d' % lost, *lines)
    # A worker that found it late once leaves it alone for some seconds.
    wait_for(lambda: everybody_is_served(pair, 2) or
             'away' in log(pair, 1).rsplit('event=ready', 1)[1])
    everybody_is_served(pair, 4)
    assert last_signer(pair) == 'signer-2'
    pair.fault(*lines)
    pair.refused()              # now the other has lost it, too
    pair.fault('pid %d' % pid(pair, 2), *lines)
    signs(pair, 1)              # and the first one has it back
    assert pid(pair, 1) == lost, 'nobody restarted it'


def test_a_signature_that_never_comes(pair):
    lost = pid(pair, 1)
    pair.fault('pid %d' % lost, 'C_Sign hang')
    while 'pid=%d' % lost in log(pair, 1) and pid(pair, 1) == lost:
        assert pair.enroll().leaf
        time.sleep(0.1)
    text = log(pair, 1)
    assert 'not come back within token-timeout' in text
    started(pair, 1, lost)
    # What it was to sign is void, and the client has one certificate.
    assert pair.stack.sql('SELECT count(*) FROM countersign.void_serial')[
        0][0] >= 1
    assert pair.stack.sql(
        'SELECT count(*) FROM countersign.certificate GROUP BY request_id '
        'HAVING count(*) > 1') == []


@pytest.mark.parametrize('line', [
    'C_OpenSession hang', 'C_Login hang', 'C_GetSlotList hang',
    # libp11's own session is the second: it waits for ever for a first one.
    'C_OpenSession 0xb1 next'])
def test_start(pair, line):
    pair.fault(line)
    t = time.time()
    error = pair.test()
    assert 'not come back within token-timeout' in error
    assert time.time() - t > TIMEOUT - 1
    pair.fault()
    assert 'configuration is good' in pair.test(code=0)


def test_start_beside_another(pair):
    before = pid(pair, 1)
    pair.fault('C_OpenSession hang')
    os.kill(before, signal.SIGTERM)
    wait_for(lambda: 'token-timeout' in log(pair, 1).rsplit(
        'event=stop', 1)[-1])
    everybody_is_served(pair, 3)
    pair.fault()
    started(pair, 1, before)


@pytest.mark.parametrize('value', ['0s', '11m', 'soon'])
def test_timeouts_refused(pair, value):
    assert 'token-timeout' in pair.test(
        ('token-timeout = %ds' % TIMEOUT, 'token-timeout = %s' % value))
