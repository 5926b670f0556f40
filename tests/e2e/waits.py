"""Waiting for what comes."""
import time

import client

SOON = 20       # seconds until a revocation must be everywhere


def wait_for(what, seconds=SOON):
    end = time.time() + seconds
    while time.time() < end:
        value = what()
        if value:
            return value
        time.sleep(0.25)
    raise AssertionError('not within %d s' % seconds)


def wait_issue(stack, csr, seconds=60):
    deadline = time.time() + seconds
    while True:
        r = client.Client(stack.env).enroll(csr)
        if r.fault is None and r.status == 200:
            return r
        assert time.time() < deadline, r.text
        time.sleep(0.3)
