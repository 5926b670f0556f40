"""A root's host, played in a folder of the stack's own user."""
import os
import pathlib
import shutil
import subprocess

from cryptography import x509


class Offline:
    """Runs "countersign ca" where a root would be: files alone."""

    def __init__(self, stack, name):
        self.stack = stack
        self.dir = stack.dir / name
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(mode=0o700)
        self.own(self.dir)

    def own(self, path):
        """The command line may run as another user than the tests."""
        st = self.stack.dir.stat()
        os.chown(path, st.st_uid, st.st_gid)
        return path

    def put(self, name, data, mode=0o600):
        p = self.dir / name
        p.write_bytes(data if isinstance(data, bytes) else data.encode())
        p.chmod(mode)
        return self.own(p)

    def path(self, name):
        return str(self.dir / name)

    def root(self, name='Root', subject=None, *more, ok=True):
        return self.stack.ctl(
            'ca', 'create-root', self.path(name), '--subject',
            subject or 'CN=%s,O=Test' % name, *more, ok=ok)

    def sign(self, csr, subject, out, *more, root='Root', ok=True):
        return self.stack.ctl(
            'ca', 'sign-subordinate', self.path(root), str(csr), '--subject',
            subject, '-o', self.path(out), *more, ok=ok)

    def cert(self, name):
        return x509.load_pem_x509_certificate((self.dir / name).read_bytes())


def openssl(*args, ok=True, input=None):
    r = subprocess.run(['openssl', *map(str, args)], capture_output=True,
                       text=True, timeout=300, input=input)
    if ok:
        assert r.returncode == 0, (args, r.stdout, r.stderr)
    return r


def ca_dir(stack):
    return pathlib.Path(stack.dir) / 'ca'
