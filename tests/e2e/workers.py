"""The stack's workers, started again with another configuration."""
import contextlib
import os
import re
import signal

import pytest
import requests

from waits import wait_for


def restart(stack):
    """Ended as systemd would; the supervisor starts them again."""
    before = stack.pids('worker')
    os.kill(before[0], signal.SIGTERM)
    wait_for(lambda: stack.pids('worker') not in ([], before))
    wait_for(lambda: requests.get(
        stack.env['CS_HOME_URL'] + 'status', timeout=300,
        verify=stack.env['CS_ROOT_PEM']).status_code == 200)


@contextlib.contextmanager
def patient(stack):
    """They pass over no signer that is only slow, as each is on a busy
    machine: nor do two sign then what one was asked for."""
    conf = stack.dir / 'etc/worker.conf'
    before = conf.read_text()
    conf.write_text(re.sub(r'(?m)^(try|total)-ms = .*\n', '', before) +
                    'try-ms = 20000\ntotal-ms = 25000\n')
    restart(stack)
    try:
        yield stack
    finally:
        conf.write_text(before)
        restart(stack)


@pytest.fixture(scope='module')
def patience(stack):
    with patient(stack):
        yield
