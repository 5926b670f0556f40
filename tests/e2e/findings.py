"""What doctor says of a deployment."""
import json
import shutil
import subprocess

import pytest

from second_site import reload_nginx
from waits import wait_for

RESULTS = ('ok', 'skip', 'warn', 'fail')


def doctor(stack, *args, conf=None, code=None):
    r = subprocess.run(stack.ctl_words(conf) + ['doctor', '--json', *args], text=True,
                       capture_output=True, timeout=300)
    assert r.returncode in (0, 1), r.stderr
    if code is not None:
        assert r.returncode == code, r.stdout
    rows = json.loads(r.stdout)
    for row in rows:
        assert set(row) == {'result', 'check', 'object', 'text', 'advice'}
        assert row['result'] in RESULTS
        if row['result'] in ('warn', 'fail'):
            assert row['advice'], row
    assert r.returncode == any(row['result'] == 'fail' for row in rows)
    return rows


def of(rows, check, result):
    return [r for r in rows if r['check'] == check and r['result'] == result]


def settled(stack):
    """What a signer found outlives its cause until it looks again, within
    seconds of being asked."""
    wait_for(lambda: not of(doctor(stack), 'signer', 'fail'),
             said=lambda: doctor(stack))


@pytest.fixture(scope='module', autouse=True)
def others_are_over(stack):
    settled(stack)


@pytest.fixture
def conf(stack, tmp_path):
    """The configuration, to be changed by a test."""
    shutil.copytree(stack.conf.parent, tmp_path / 'etc')
    return tmp_path / 'etc/countersign.conf'


@pytest.fixture
def site(stack):
    """nginx's file, as a text to change and load."""
    file = stack.dir / 'etc/site.conf'
    before = file.read_text()

    def load(text):
        file.write_text(text)
        reload_nginx(stack)
    yield before, load
    load(before)
