"""The policy in force, and another for a while."""
import contextlib

import pytest

from client import NS


USER_OF_CA = '''
template "%s" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.1.77"
	version = "100.1"
	ca = {"%s"}
	type = user
	schema = 3
	validity = 90d
	renewal = 10d
	enroll = {"users"}
	names = account
	subject = {"common-name"}
	san = {"upn?", "email?"}
	keys = {"rsa:2048", "ec:P-256"}
	providers = {"Microsoft Software Key Storage Provider"}
	key-usage = {"digital-signature"}
	eku = {"client-authentication"}
}
'''


def published(stack):
    return bytes(stack.sql('SELECT body FROM countersign.policy '
                           'ORDER BY version DESC LIMIT 1')[0][0]).decode()


def publish(stack, text, ok=True):
    path = stack.dir / 'etc/policy-next.conf'
    path.write_text(text)
    return stack.ctl('policy', 'publish', str(path), ok=ok)


@contextlib.contextmanager
def in_force(stack, text):
    before = published(stack)
    publish(stack, text)
    try:
        yield stack
    finally:
        publish(stack, before)


def advertised(demo, name):
    for p in demo.policies().findall('.//p:policy'):
        if p.findtext('p:attributes/p:commonName', None, NS) == name:
            return [int(e.text) for e in p.find('.//p:revision', NS)]


@pytest.fixture
def policy_file(stack, tmp_path):
    before = published(stack)
    yield tmp_path / 'p.conf'
    (tmp_path / 'p.conf').write_text(before)
    stack.ctl('policy', 'publish', str(tmp_path / 'p.conf'))
