"""Waiting for what comes.  A green run waits no longer for long limits: they
are for a machine on which everything takes ten times as long."""
import os
import pathlib
import signal
import time

import client

SOON = 180      # seconds; on an idle machine what comes does so within a few


def wait_for(what, seconds=SOON, every=0.25, said=None):
    """What it returns when that is true; else what is said, perhaps."""
    end = time.time() + seconds
    while not (value := what()):
        if time.time() >= end:
            raise AssertionError('not within %d s%s' % (
                seconds, ': %s' % (said(),) if said else ''))
        time.sleep(every)
    return value


def stand(pid):
    """SIGSTOP, and every thread stands: one that is within a call when the
    signal comes may read once more."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(
        (t / 'stat').read_text().rsplit(') ', 1)[1].startswith('T')
        for t in pathlib.Path('/proc/%d/task' % pid).iterdir()), every=0.01)


def past_midnight(seconds):
    """For what takes so long and must lie within one day, or one month."""
    left = 86400 - time.time() % 86400
    if left < seconds:
        time.sleep(left)


def wait_issue(stack, csr):
    def issued():
        replies.append(client.Client(stack.env).enroll(csr))
        return replies[-1].fault is None and replies[-1].status == 200 and \
            replies[-1]
    replies = []
    return wait_for(issued, said=lambda: replies[-1].text)
