"""nginx keeps its connections to the workers open, and nothing of a request
is left in one for the next."""
import concurrent.futures
import re

import client
from second_site import reload_nginx
from waits import wait_for


def kept(stack):
    """Inodes of the connections that workers hold (the path is the one before
    it was renamed)."""
    path = re.search('server unix:([^;]*);',
                     (stack.dir / 'etc/site.conf').read_text()).group(1)
    rows = [line.split() for line in open('/proc/net/unix')]
    return {r[6] for r in rows if r[-1].startswith(path) and r[5] == '03'}


def policies(stack, **kw):
    return client.Client(stack.env, **kw).policies()


def test_a_connection_serves_many(stack):
    policies(stack)
    first = kept(stack)
    assert first
    for _ in range(20):
        assert policies(stack).fault is None
    assert kept(stack) & first


def test_also_without_a_body(stack, demo):
    url = stack.env['CS_CEP_URL']
    assert demo.http.get(url, timeout=300).status_code == 200
    first = kept(stack)
    assert first
    for _ in range(20):
        assert demo.http.get(url, timeout=300).status_code == 200
    assert kept(stack) & first


def test_also_with_a_body_that_is_not_read(stack, demo):
    """A connection that ends with an answer may meet the next request."""
    url = stack.env['CS_CEP_URL']
    # None that nginx ends soon, being old or having served a thousand.
    reload_nginx(stack)
    wait_for(lambda: not kept(stack))
    policies(stack)
    first = kept(stack)
    assert first
    for _ in range(20):
        assert demo.post(url, b'x' * 100000, 'text/plain').status == 415
        assert demo.http.get(url, data=b'x' * 100, timeout=300).ok
        assert demo.http.put(url, data=b'x', timeout=300).status_code in (
            403, 405)
    assert kept(stack) >= first


def test_nothing_is_left_for_the_next(stack, demo):
    url = stack.env['CS_CEP_URL']
    good = client.envelope(client.GETPOLICIES, url, client.get_policies(),
                           demo.header())
    for body, kind, status in (
            (b'x' * 200000, 'application/soap+xml', 500),   # CEP's limit
            (good, 'text/plain', 415),
            (good[:-1], 'application/soap+xml', 500),
            (good + b'<more/>', 'application/soap+xml', 500),
            (b'', 'application/soap+xml', 500)):
        assert demo.post(url, body, kind).status == status
        assert demo.http.get(url, timeout=300).status_code == 200
        assert policies(stack).fault is None
    assert policies(stack, password='wrong').fault is not None
    assert policies(stack).fault is None


def test_many_at_once_and_few_afterwards(stack):
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        replies = list(pool.map(lambda _: policies(stack), range(300)))
    assert all(r.fault is None for r in replies)
    assert 0 < len(kept(stack)) <= 64 * len(stack.pids('nginx'))
