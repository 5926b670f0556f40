""""make run", as somebody types it."""
import os
import signal
import subprocess
import time

from conftest import TOP, read_env


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
        deadline = time.time() + 120
        while self.stamp() in (None, self.stale):
            assert self.p.poll() is None, self.text()
            assert time.time() < deadline, self.text()
            time.sleep(0.1)
        return read_env(self.env_file)

    def text(self):
        self.out.seek(0)
        return self.out.read()

    def supervisor(self):
        return int((self.state / 'run' / 'supervisor.pid').read_text())

    def stop(self, sig=signal.SIGINT):
        if self.p.poll() is None:
            os.killpg(self.p.pid, sig)
        return self.p.wait(30)
