"""Numbers of requests tell nobody but their owner anything: [security] W10.

10,000 of them: make e2e NUMBERS=10000 PYTEST="-k numbers".  Whether the time
of an answer tells something: make bench-numbers.
"""
import concurrent.futures
import os
import random
import re
import uuid

import pytest

import client
from certlogon import CertClient, Maker
from schema import check_fault, check_rstrc

NOT_FOUND = 0x80094004
HIGHEST = 2 ** 31 - 1
COUNT = int(os.environ.get('NUMBERS', 300))
THREADS = 4


def csr(template, cn=None):
    return client.make_csr(client.ec_key(), cn, [cn] if cn else [], template)


@pytest.fixture(scope='module')
def owned(stack):
    """state -> numbers of one owner's requests."""
    who = stack.account('nu-' + uuid.uuid4().hex[:8],
                        groups=['users', 'web-admins'])
    made = {s: [] for s in ('issued', 'waiting', 'approved', 'denied',
                            'refused')}
    for i in range(3):
        name = 'n%d.demo.example' % i
        made['issued'].append(
            who.enroll(csr(stack.env['CS_TEMPLATE'], name)).request_id)
        for kind in 'waiting', 'approved', 'denied':
            made[kind].append(who.enroll(csr(
                stack.env['CS_TEMPLATE_APPROVAL'], name)).request_id)
        stack.ctl('request', 'approve', made['approved'][-1])
        stack.ctl('request', 'deny', made['denied'][-1])
        made['refused'].append(who.enroll(csr(
            stack.env['CS_TEMPLATE'], 'www.other.example')).request_id)
    assert all(len(set(v)) == 3 and None not in v for v in made.values())
    return who, made


@pytest.fixture(scope='module')
def others(stack, tmp_path_factory):
    """By password and by certificate."""
    who = lambda: stack.account('nu-' + uuid.uuid4().hex[:8],
                                groups=['users', 'web-admins'])
    maker = Maker(stack, tmp_path_factory.mktemp('certs'))
    pair = maker.issued(c=who())
    password = who()
    return {'password': lambda: client.Client(
        stack.env, password.user, password.password),
        'certificate': lambda: CertClient(stack.env, pair)}


def told(reply):
    """All that an answer says, but for our id of the call and its own."""
    check_fault(reply)
    text = re.sub(r'request [0-9a-f]{32}', 'request ID', reply.text)
    text = re.sub(r'urn:uuid:[0-9a-f-]{36}', 'urn:uuid', text)
    return re.sub(r'\d{4}-\d\d-\d\dT[0-9:.]+Z', 'TIME', text)


def ask_all(make, numbers):
    """What is told -> the numbers it is told of."""
    seen = {}

    def some(part):
        c = make()
        return [(told(c.query(str(n))), n) for n in part]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for answers in pool.map(some, [numbers[i::THREADS]
                                       for i in range(THREADS)]):
            for text, n in answers:
                seen.setdefault(text, []).append(n)
    return seen


def test_owner_is_told(owned):
    who, made = owned
    for kind in 'issued', 'waiting', 'approved':
        for n in made[kind]:
            check_rstrc(who.query(n))
    for kind in 'denied', 'refused':
        for n in made[kind]:
            r = who.query(n)
            check_fault(r)
            assert r.hresult != NOT_FOUND


@pytest.mark.parametrize('method', ['password', 'certificate'])
def test_nobody_else_is(owned, others, method):
    """Numbers of others, their neighbours, and any: one and the same fault."""
    real = [int(n) for v in owned[1].values() for n in v]
    near = {n + d for n in real for d in range(-4, 5)}
    near = {n for n in near if 0 < n <= HIGHEST}
    numbers = list(near | {1, HIGHEST} | {random.randint(1, HIGHEST)
                                          for _ in range(COUNT - len(near))})
    random.shuffle(numbers)
    seen = ask_all(others[method], numbers)
    assert len(seen) == 1, {t: v[:5] for t, v in seen.items()}
    text, = seen
    assert 'no request with this id' in text and set(real) <= set(seen[text])
    assert not [n for n in real if str(n) in text]
    r = others[method]().query(str(real[0]))
    assert r.hresult == NOT_FOUND and not r.request_id
    assert not r.findtext('.//e:BinaryResponse')
