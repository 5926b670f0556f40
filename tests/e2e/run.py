""""make run", as somebody types it."""
import os
import signal
import subprocess

from conftest import START, TOP, read_env
from waits import wait_for


class Run:
    """One "make run" in a folder of its own."""

    def __init__(self, state, **variables):
        self.state, self.env_file = state, state / 'env'
        self.stale = self.stamp()       # of a run that was killed
        self.out = open(state.parent / 'out', 'a+')
        self.p = subprocess.Popen(
            ['make', '-s', 'run', 'STATE=%s' % state, 'SIGNERS=1'] +
            ['%s=%s' % v for v in variables.items()], cwd=TOP,
            stdout=self.out, stderr=subprocess.STDOUT, start_new_session=True)

    def stamp(self):
        """When the file was written, or None."""
        try:
            return self.env_file.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def ready(self):
        wait_for(lambda: self.p.poll() is not None or
                 self.stamp() not in (None, self.stale), START, 0.1, self.text)
        assert self.p.poll() is None, self.text()
        return read_env(self.env_file)

    def text(self):
        self.out.seek(0)
        return self.out.read()

    def supervisor(self):
        return int((self.state / 'run' / 'supervisor.pid').read_text())

    def stop(self, sig=signal.SIGINT):
        if self.p.poll() is None:
            os.killpg(self.p.pid, sig)
        try:
            return self.p.wait(300)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.text() + subprocess.run(
                ['ps', '-eo', 'pid,ppid,pgid,etimes,stat,wchan:20,args'],
                capture_output=True, text=True).stdout)
