"""rate-per-minute: a wave of one template is told to come later, and what
cannot wait passes."""
import re
import time

import pytest

import client
from policies import in_force, published
from renewals import ACCOUNT, COMMON, Held, alice, somebody  # noqa: F401

RETRY = 0x800704d5
WAVES = {'Plain': ('1y', ''), 'Short': ('60s', ''), 'Free': ('1y', None),
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
    """All replies up to then.  Which signer is asked is chance, and a worker
    leaves one that was late once alone for some seconds."""
    replies, end = [], time.time() + 60
    while not replies or time.time() < end and any(
            r.status == 200 for r in replies[-16:]):
        replies += [alice.enroll(csr(template)) for _ in range(16)]
    return replies


def within_a_minute(what):
    """What it returns, when no signer granted another one meanwhile: a busy
    machine has some tries."""
    for _ in range(8):
        begun = time.time()
        found = what()
        if time.time() - begun < 55:
            return found
        time.sleep(65)
    pytest.fail('takes more than a minute')


def test_a_wave(site, alice):                           # noqa: F811
    def wave():
        before = rows(site, alice.user, 'WavePlain')
        held = Held(alice, 'WavePlain')
        replies = until_none_is_granted(alice, 'WavePlain')
        return (replies, held.renew(),
                rows(site, alice.user, 'WavePlain') - before)
    replies, renewal, written = within_a_minute(wave)
    granted = [r for r in replies if r.status == 200]
    assert len(granted) < len(site.pids('signer'))
    assert all(later(r) for r in replies if r.status != 200)
    assert all('Retry-After' not in r.http.headers for r in granted)
    # They do not all come back at one time.
    assert len({r.http.headers['Retry-After'] for r in replies
                if r.status != 200}) > 1
    # Nothing is recorded of the others, and the log has the rule.
    assert written == 1 + len(granted)
    assert 'template WavePlain: rate-per-minute is 1, the next in ' in \
        site.log('signer')
    # A renewal that can wait is like a new request ...
    assert later(renewal)
    # ... and other templates have their own.
    for _ in range(5):
        assert alice.enroll(csr('WaveFree')).leaf


def test_what_ends_soon_passes(site, alice):            # noqa: F811
    def wave():
        held, replies = Held(alice, 'WaveShort'), []
        until_none_is_granted(alice, 'WaveShort')
        replies.append(alice.enroll(csr('WaveShort')))
        for _ in range(3):
            replies.append(held.renew())
            if replies[-1].fault is None:
                held = held.after(replies[-1])
        return replies + [alice.enroll(csr('WaveShort'))]
    before, *renewals, after = within_a_minute(wave)
    assert later(before) and later(after)
    assert all(r.leaf for r in renewals), [r.reason for r in renewals]


def test_approvals_and_polls_pass(site, alice):         # noqa: F811
    def wave():
        first = alice.enroll(csr('WaveWaits'))
        until_none_is_granted(alice, 'WaveWaits')
        return first, alice.enroll(csr('WaveWaits'))
    first, last = within_a_minute(wave)
    assert first.fault is None and later(last)
    number = first.findtext('.//e:RequestID')
    for _ in range(3):
        assert alice.query(number).status == 200
    site.ctl('request', 'approve', number, '--reason', 'test')
    assert alice.query(number).leaf


def test_explain(site, alice):                          # noqa: F811
    rates = {r['template']: r['rate_per_minute'] for r in site.ctl_json(
        'explain', '--user', alice.user)}
    assert rates['WavePlain'] == 1 and rates['WaveFree'] == 0
