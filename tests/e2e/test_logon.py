"""Guessing passwords is slow, and keeps nobody out who is known."""
import concurrent.futures
import itertools
import os
import re
import threading

from addresses import at
from refusals import refused
from waits import wait_for


def fresh(stack, name):
    name += os.urandom(4).hex()
    stack.account(name, groups=['users'])
    return name


def guess(stack, address, user, n):
    """n wrong passwords, some at the same time; the last refusal."""
    def some(first):
        c = at(stack, address, user, '')
        for i in range(first, n, 8):
            c.password = 'guess %d' % i
            f = refused(c.policies())
            assert f.subcode == 'FailedAuthentication'
        return f
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(some, range(min(n, 8))))[-1]


def words(f):
    return re.sub('[0-9a-f]{32}', '', f.reason), f.status, f.subcode


def test_a_user_is_guessed_at(stack):
    user = fresh(stack, 'guessed')
    home = at(stack, '127.1.2.5', user, 'correct horse')
    assert home.policies().fault is None
    wrong = guess(stack, '127.1.2.3', user, 110)
    for address in ('127.1.2.3', '127.1.2.4'):
        held = refused(at(stack, address, user, 'correct horse').policies())
        assert words(held) == words(wrong)
        assert (user + ': held back: too many wrong passwords for this user'
                in log_line(stack, held))
    for _ in range(4):               # whatever process serves it
        assert home.policies().fault is None


def test_a_logon_makes_up_for_mistakes(stack):
    user = fresh(stack, 'clumsy')
    home = at(stack, '127.1.4.5', user, 'correct horse')
    for _ in range(3):
        guess(stack, '127.1.4.5', user, 40)
        assert home.policies().fault is None


def test_names_that_are_none_are_counted_alike(stack):
    guess(stack, '127.1.3.3', 'nobody at all', 10)
    guess(stack, '127.1.3.3', 'nobody-guessed', 110)
    f = guess(stack, '127.1.3.3', 'nobody-guessed', 1)
    assert 'held back' in log_line(stack, f)


def test_a_network_guesses(stack, demo):
    """First logins from there wait; those known there, or elsewhere, do
    not."""
    newcomers, known = [fresh(stack, 'newcomer') for _ in range(5)], \
        fresh(stack, 'resident')
    here, guesses, over = '127.7.7.7', itertools.count(), threading.Event()
    resident = at(stack, here, known, 'correct horse')
    assert resident.policies().fault is None

    def spray(_):
        c = at(stack, here, '', 'guess')
        while not over.is_set():
            n = next(guesses)
            c.user = 'spray%d' % n
            refused(c.policies())

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        try:
            for k in range(6):
                pool.submit(spray, k)
            assert wait_for(lambda: any(
                'from this network' in line and here in line
                for line in stack.log('worker').splitlines()))
            # One may slip through when a guess was forgotten.
            for newcomer in newcomers:
                held = at(stack, here, newcomer, 'correct horse').policies()
                if held.fault is not None:
                    break
        finally:
            over.set()
    assert 'from this network' in log_line(stack, refused(held))
    for _ in range(4):
        assert resident.policies().fault is None
    assert at(stack, '127.7.7.8', newcomer,
              'correct horse').policies().fault is None
    assert demo.policies().fault is None


def log_line(stack, reply):
    """The worker's line of a refused request."""
    ident = re.search('[0-9a-f]{32}', reply.reason)[0]
    # It is written when the answer has left.
    return wait_for(lambda: next((line for line in stack.log(
        'worker').splitlines() if ident in line), None))
