"""The system calls and address families that the systemd units leave to the
programs are enough for them: a stack whose programs have no others."""
import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
UNITS = {'countersign-signer': 'countersign-signer@.service',
         'countersign-worker': 'countersign-worker.service',
         'countersign': 'countersign-publisher.service'}
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7fff0000
FAMILIES = 46       # AF_MAX

pytestmark = [
    pytest.mark.skipif('SANITIZE' in os.environ, reason='a sanitizer has '
                       'calls of its own'),
    pytest.mark.skipif(shutil.which('systemd-analyze') is None,
                       reason='no systemd-analyze')]


def expand(name):
    """A set of systemd's, such as @system-service, to its calls."""
    if not name.startswith('@'):
        return {name}
    text = subprocess.run(['systemd-analyze', 'syscall-filter', name],
                          check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(expand(w) for w in words
                         if w and not w.startswith('#')))


def sandbox(unit):
    """Calls and address families: the first line allows, each further one
    adds, or with ~ takes away."""
    calls, families = expand('@default'), set()
    for line in (TOP / 'deploy/systemd' / unit).read_text().splitlines():
        name, _, value = line.partition('=')
        if name == 'SystemCallFilter':
            less = value.startswith('~')
            words = set().union(*map(expand, value.lstrip('~').split()))
            calls = calls - words if less else calls | words
        elif name == 'RestrictAddressFamilies':
            families |= set(value.split())
    assert calls and families
    return {'calls': sorted(calls),
            'families': [int(getattr(socket, f)) for f in families]}


# As a program of the stack: the filters, then the real one ---------------------

class Compare(ctypes.Structure):
    _fields_ = [('arg', ctypes.c_uint), ('op', ctypes.c_int),
                ('a', ctypes.c_uint64), ('b', ctypes.c_uint64)]


def restrict(calls, families):
    lib = ctypes.CDLL('libseccomp.so.2')
    lib.seccomp_init.restype = ctypes.c_void_p
    number = lib.seccomp_syscall_resolve_name

    def add(ctx, action, name, *args):
        n = number(name.encode())
        if n >= 0:      # others are not of this machine
            r = lib.seccomp_rule_add_array(
                ctypes.c_void_p(ctx), ctypes.c_uint32(action), n, len(args),
                (Compare * len(args))(*args))
            assert r == 0, (name, r)
    ctx = lib.seccomp_init(ctypes.c_uint32(ALLOW))
    for f in set(range(FAMILIES)) - set(families):
        add(ctx, ERRNO | 97, 'socket', Compare(0, 4, f, 0))
    assert lib.seccomp_load(ctypes.c_void_p(ctx)) == 0
    ctx = lib.seccomp_init(ctypes.c_uint32(KILL))
    for name in calls:
        add(ctx, ALLOW, name)
    assert lib.seccomp_load(ctypes.c_void_p(ctx)) == 0


def main(file, program, args):
    name = pathlib.Path(program).name
    if name != 'countersign' or '--watch' in args:
        restrict(**json.loads(pathlib.Path(file).read_text())[name])
    os.execv(program, [program, *args])


# The test --------------------------------------------------------------------------

def by_ticket(stack, folder):
    """How often the worker was started again for it."""
    import realm
    if not realm.PRESENT:
        return 0
    folder.mkdir()
    with realm.set_up(stack, folder) as krb:
        r = krb.client('alice').send(
            'GET', stack.env['CS_HOME_URL'] + 'whoami/kerberos')
        assert r.status_code == 200, r.text
    return 2


def test_the_sandbox_is_wide_enough(tmp_path):
    import client
    from conftest import START, Stack, end
    from waits import wait_for
    build = (TOP / os.environ.get('BUILD', 'build')).resolve()
    tmp_path.chmod(0o755)
    rules = tmp_path / 'rules.json'
    rules.write_text(json.dumps({p: sandbox(u) for p, u in UNITS.items()}))
    for p in UNITS:
        (tmp_path / p).write_text('#!/bin/sh\nexec %s %s %s %s/%s "$@"\n' % (
            sys.executable, __file__, rules, build, p))
        (tmp_path / p).chmod(0o755)
    state = TOP / 'var/units'
    env = dict(os.environ, STATE=str(state), BUILD=str(tmp_path), SIGNERS='1',
               PROCESSES='1')
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True, env=env)
    with open(TOP / 'var/units.log', 'w') as log:
        run = subprocess.Popen(['deploy/demo.sh', 'run'], cwd=TOP, env=env,
                               stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: run.poll() is not None or (state / 'env').exists(),
                 START)
        assert run.poll() is None, (TOP / 'var/units.log').read_text()
        stack = Stack(state / 'env')
        for part in 'signer', 'worker', 'publisher':
            status = pathlib.Path('/proc/%d/status' % stack.pids(part)[0])
            assert 'Seccomp_filters:\t2' in status.read_text()
        stack.ctl('doctor', '--probe')
        r = client.Client(stack.env).enroll(client.make_csr(
            client.ec_key(), 'unit.demo.example', [], 'WebServer'))
        assert r.certificate, r.text
        stack.ctl('cert', 'revoke', '%X' % r.certificate.serial_number,
                  '--reason', 'superseded')
        told = by_ticket(stack, tmp_path / 'kdc')
        # None was killed for a call, nor when it ended.
        end(run)
        assert (TOP / 'var/units.log').read_text().count(
            'starting it again') == told
    finally:
        end(run)
        subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                       env=env)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
