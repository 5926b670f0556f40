"""rate-per-minute: a wave of one template is told to come later, and what
cannot wait passes."""
import re

import pytest

import client
from policies import in_force, published
from renewals import ACCOUNT, COMMON, Held, alice, somebody  # noqa: F401

RETRY = 0x800704d5
WAVES = {'Plain': ('1y', ''), 'Short': ('30s', ''), 'Free': ('1y', None),
         'Waits': ('1y', 'approval = manager')}


@pytest.fixture(scope='module')
def site(stack):
    """Templates of which each signer grants one a minute."""
    before = published(stack)
    ca = re.search(r'^ca "([^"]+)"', before, re.M).group(1)
    text = ''.join(COMMON % (
        'Wave' + name, 900 + n, ca, ACCOUNT[0], validity,
        '1s' if validity[-1] == 's' else '6w',
        ACCOUNT[1] + ('' if more is None else 'rate-per-minute = 1 ' + more))
        for n, (name, (validity, more)) in enumerate(WAVES.items()))
    with in_force(stack, before + text):
        yield stack


def later(reply):
    assert reply.status == 500 and reply.hresult == RETRY, reply.reason
    assert 3 <= int(reply.http.headers['Retry-After']) <= 66
    return True


def rows(stack, account, template):
    return stack.sql('SELECT count(*) FROM countersign.request WHERE '
                     'account = %s AND template = %s', account, template)[0][0]


def csr(template):
    return client.make_csr(client.ec_key(), template=template)


def until_none_is_granted(alice, template):             # noqa: F811
    """All replies up to then.  A worker leaves a signer that was late once
    alone for some seconds, so that a few requests need not reach each."""
    replies = []
    while any(r.status == 200 for r in replies[-8:]) or not replies:
        replies += [alice.enroll(csr(template)) for _ in range(8)]
    return replies


def test_a_wave(site, alice):                           # noqa: F811
    held = Held(alice, 'WavePlain')
    replies = until_none_is_granted(alice, 'WavePlain')
    granted = [r for r in replies if r.status == 200]
    assert len(granted) < len(site.pids('signer'))
    assert all(later(r) for r in replies if r.status != 200)
    assert all('Retry-After' not in r.http.headers for r in granted)
    # They do not all come back at one time.
    assert len({r.http.headers['Retry-After'] for r in replies
                if r.status != 200}) > 1
    # Nothing is recorded of the others, and the log has the rule.
    assert rows(site, alice.user, 'WavePlain') == 1 + len(granted)
    assert 'template WavePlain: rate-per-minute is 1, the next in ' in \
        site.log('signer')
    # A renewal that can wait is like a new request ...
    assert later(held.renew())
    # ... and other templates have their own.
    for _ in range(5):
        assert alice.enroll(csr('WaveFree')).leaf


def test_what_ends_soon_passes(site, alice):            # noqa: F811
    held = Held(alice, 'WaveShort')
    until_none_is_granted(alice, 'WaveShort')
    assert later(alice.enroll(csr('WaveShort')))
    for _ in range(3):
        held = held.after(held.renew())
    assert later(alice.enroll(csr('WaveShort')))


def test_approvals_and_polls_pass(site, alice):         # noqa: F811
    first = alice.enroll(csr('WaveWaits'))
    assert first.fault is None
    number = first.findtext('.//e:RequestID')
    until_none_is_granted(alice, 'WaveWaits')
    assert later(alice.enroll(csr('WaveWaits')))
    for _ in range(3):
        assert alice.query(number).status == 200
    site.ctl('request', 'approve', number, '--reason', 'test')
    assert alice.query(number).leaf


def test_explain(site, alice):                          # noqa: F811
    rates = {r['template']: r['rate_per_minute'] for r in site.ctl_json(
        'explain', '--user', alice.user)}
    assert rates['WavePlain'] == 1 and rates['WaveFree'] == 0
