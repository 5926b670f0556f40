#!/usr/bin/python3
"""make bench-numbers: does the time of an answer tell which requests exist?

Welch's t-test over interleaved samples ([security] W10): polls of another's
requests that wait, were approved, were issued at once, and of numbers that no
request has, in random order, over TLS.  |t| below 4.5 for every pair, or exit
1.  The result is one JSON object a line at the end of var/bench/results.json.
"""
import itertools
import random
import subprocess
import time

import rig
import client  # noqa: E402
import logon

EACH = 40               # requests of a kind
BLOCK = 200             # polls of a connection
KINDS = ('waiting', 'approved', 'issued', 'unknown')


def make_requests(env):
    """kind -> numbers of the demo user's requests."""
    owner = client.Client(env)
    made = {k: [] for k in KINDS}
    for i in range(EACH):
        for kind in KINDS[:3]:
            template = env['CS_TEMPLATE' if kind == 'issued' else
                           'CS_TEMPLATE_APPROVAL']
            r = owner.enroll(client.make_csr(client.ec_key(),
                                             'n%d.demo.example' % i, [],
                                             template))
            made[kind].append(r.request_id)
        subprocess.run(env['CS_CTL'].split() + [
            'request', 'approve', made['approved'][-1]], check=True,
            stdout=subprocess.DEVNULL)
    return made


def run_block(env, user, asks):
    """The samples of one connection: (kind, seconds)."""
    c, out, url = client.Client(env, *user), [], env['CS_CES_URL']
    c.query('1')        # the handshake is nobody's sample
    for kind, number in asks:
        body = client.envelope(client.RST, url, client.rst(
            None, request_type=client.E + '/QueryTokenStatus',
            extra='<RequestID xmlns="%s">%s</RequestID>' % (
                client.E, number)), c.header())
        start = time.perf_counter()
        r = c.post(url, body)
        out.append((kind, time.perf_counter() - start))
        assert r.hresult == 0x80094004, r.text
    c.http.close()
    return out


def blocks(made, samples):
    """Who asks what in which order; numbers that nobody has are fresh."""
    taken = {int(n) for v in made.values() for n in v}
    asks = [(k, random.choice(made[k])) for k in KINDS[:3]
            for _ in range(samples // len(KINDS))]
    unknown = (n for n in iter(lambda: random.randint(1, 2 ** 31 - 1), 0)
               if n not in taken)
    asks += [('unknown', n) for n in itertools.islice(
        unknown, samples // len(KINDS))]
    random.shuffle(asks)
    return [asks[i:i + BLOCK] for i in range(0, len(asks), BLOCK)]


def prepare(stack, samples):
    rig.say('making %d requests' % (3 * EACH))
    made = make_requests(stack.env)
    user = ('curious', 'correct horse')
    subprocess.run(stack.env['CS_CTL'].split() + [
        'account', 'add', user[0], '--password-stdin'], check=True,
        text=True, input=user[1] + '\n', stdout=subprocess.DEVNULL)
    return [(stack.env, user, b) for b in blocks(made, samples)]


if __name__ == '__main__':
    logon.measure(__doc__, 'numbers-timing', KINDS, prepare, run_block)
