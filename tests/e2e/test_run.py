"""make run: what it leaves, what it comes back from, what it refuses."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest
import requests

import client
from conftest import TOP
from ports import free_port
from run import Run
from tickets import nobodys_keytab
from waits import wait_for


def processes(state):
    """Command lines that name the folder."""
    found = []
    for p in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = p.read_bytes().replace(b'\0', b' ').decode()
        except OSError:
            continue
        if '%s/' % state in line:
            found.append(line)
    return found


def until_gone(state):
    wait_for(lambda: not processes(state), said=lambda: processes(state))


@pytest.fixture(scope='module')
def state(tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'state'
    yield path
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP,
                   env=dict(os.environ, STATE=str(path)), check=True)
    assert not path.exists()


def enrolls(env, name):
    r = client.Client(env).enroll(client.make_csr(
        client.ec_key(), name + '.demo.example', [], env['CS_TEMPLATE']))
    assert r.fault is None and r.leaf, r.text
    return r


def test_stop_and_start_again(state):
    run = Run(state)
    first = run.ready()
    assert (state / 'env').stat().st_mode & 0o77 == 0
    enrolls(first, 'first')
    root = pathlib.Path(first['CS_ROOT_PEM']).read_bytes()
    run.stop()
    assert not run.env_file.exists()
    until_gone(state)

    run = Run(state)
    second = run.ready()
    assert second == first, 'same ports, same password'
    assert pathlib.Path(second['CS_ROOT_PEM']).read_bytes() == root
    enrolls(second, 'second')
    run.stop(signal.SIGTERM)
    until_gone(state)


def test_killed_run_is_cleaned_up(state):
    run = Run(state)
    env = run.ready()
    os.kill(run.supervisor(), signal.SIGKILL)
    run.stop(signal.SIGKILL)
    run = Run(state)
    again = run.ready()
    assert again['CS_CEP_URL'] == env['CS_CEP_URL']
    enrolls(again, 'killed')
    run.stop()
    until_gone(state)


def test_only_one_in_a_folder(state):
    run = Run(state)
    env = run.ready()
    other = Run(state)
    assert other.p.wait(300) != 0
    assert 'already running' in other.text()
    enrolls(env, 'other')
    run.stop()


def test_a_taken_port_is_given_up(state):
    run = Run(state)
    before = run.ready()
    run.stop()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', int(before['CS_HOME_URL'].rstrip('/')
                                 .rsplit(':')[-1])))
        s.listen()
        run = Run(state)
        after = run.ready()
        assert after['CS_CEP_URL'] != before['CS_CEP_URL']
        assert enrolls(after, 'moved')
        uris = client.Client(after).policies().findall('.//p:cAURI/p:uri')
        assert {u.text for u in uris} == {after['CS_CES_URL'],
                                          after['CS_CES_RENEWAL_URL']}
        run.stop()
        told = Run(state, HTTPS_PORT=s.getsockname()[1])
        assert told.p.wait(300) != 0
        assert 'in use' in told.text()
    # Nor one port for two parts.
    port = free_port()
    told = Run(state, HTTPS_PORT=port, SIGNER_PORT=port)
    assert told.p.wait(300) != 0
    assert 'SIGNER_PORT: port %d is in use' % port in told.text()


def test_ports_of_a_range(tmp_path):
    """Stacks that begin at the same time, each with ports of its own."""
    run = Run(tmp_path / 'state', PORTS='27000-27099')
    try:
        env = run.ready()
        ports = {int(p) for url in env.values()
                 for p in re.findall(r'https?://[^/]+:(\d+)/', url)}
        ports |= set(map(int, (run.state / 'ports').read_text().split()[:4]))
        assert len(ports) == 4 and ports <= set(range(27000, 27100))
    finally:
        run.stop()
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                   env=dict(os.environ, STATE=str(run.state)))


def test_another_host_name(state):
    """As the README has it: first make demo, then make run HOST=..."""
    run = Run(state)
    run.ready()
    run.stop()
    until_gone(state)
    run = Run(state, HOST='pki.demo.example')
    env = run.ready()
    assert env['CS_CEP_URL'].startswith('https://pki.demo.example:')
    assert '//pki.demo.example:' in (state / 'etc/policy.conf').read_text()
    assert '//localhost:' not in (state / 'etc/policy.conf').read_text()
    names = subprocess.run(
        ['openssl', 'x509', '-in', state / 'tls/server.pem', '-noout', '-ext',
         'subjectAltName'], capture_output=True, text=True, check=True).stdout
    assert 'DNS:pki.demo.example' in names
    run.stop()
    run = Run(state)
    assert run.ready()['CS_CEP_URL'] == env['CS_CEP_URL']
    run.stop()
    until_gone(state)
    run = Run(state, HOST='localhost')
    enrolls(run.ready(), 'back')
    run.stop()
    until_gone(state)


def test_kerberos(state, tmp_path):
    """Only for a state that is set up with it; nobody believes he has it."""
    file = tmp_path / 'http.keytab'
    file.write_bytes(nobodys_keytab(('HTTP/localhost@DEMO.EXAMPLE', 18, 1)))
    file.chmod(0o400)
    # root's demo runs as whose the checkout is, if that is another
    if os.getuid() == 0:
        os.chown(file, TOP.stat().st_uid, TOP.stat().st_gid)
        tmp_path.chmod(0o755)
    told = {'KERBEROS_KEYTAB': file, 'KERBEROS_REALM': 'DEMO.EXAMPLE'}
    if not (state / 'ports').exists():
        run = Run(state)
        run.ready()
        run.stop()
        until_gone(state)
    run = Run(state, **told)
    assert run.p.wait(300) != 0 and 'clean it first' in run.text()
    until_gone(state)
    run = Run(state.parent / 'kerberos', KERBEROS_BINDING='when-offered', **told)
    try:
        env = run.ready()
        assert 'realm = {"DEMO.EXAMPLE"}' in (
            run.state / 'etc/worker.conf').read_text()
        for url in 'CS_CEP_KERBEROS_URL', 'CS_CES_KERBEROS_URL':
            r = requests.post(env[url], verify=env['CS_ROOT_PEM'], timeout=300)
            assert r.status_code == 401
            assert r.headers['WWW-Authenticate'] == 'Negotiate'
            page = requests.get(env['CS_HOME_URL'], timeout=300,
                                verify=env['CS_ROOT_PEM']).text
            assert '>%s<' % env[url] in page
    finally:
        run.stop()
    until_gone(run.state)
    # What is told anew is not left aside without a word.
    for name, value, text in (
            ('REALM', 'demo.example', 'KERBEROS_REALM: not in'),
            ('KEYTAB', tmp_path / 'none', 'cannot read'),
            ('KEYTAB', '/etc/passwd', 'it is another')):
        run = Run(run.state, **{**told, 'KERBEROS_' + name: value})
        assert run.p.wait(300) != 0 and text in run.text()
        until_gone(run.state)


def test_where_namespaces_are_forbidden(tmp_path):
    """As in a chroot: the stack runs as postgres, with leave to enter a
    folder that is root's alone."""
    if os.getuid() != 0:
        pytest.skip('needs root')
    shim = tmp_path / 'bin' / 'unshare'
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\nexit 1\n')
    shim.chmod(0o755)
    closed = tmp_path / 'closed'
    closed.mkdir(mode=0o700)
    state = closed / 'state'
    run = Run(state, PATH='%s:%s' % (shim.parent, os.environ['PATH']))
    try:
        env = run.ready()
        enrolls(env, 'chroot')
        assert pathlib.Path(state / 'etc').stat().st_uid != 0
        r = subprocess.run(env['CS_CTL'].split() + ['doctor'],
                           capture_output=True, text=True)
        assert 'ermission denied' not in r.stdout + r.stderr, r.stdout
        assert r.returncode == 0, r.stdout
    finally:
        run.stop()
    until_gone(state)
    shutil.rmtree(closed)


def test_as_root_elsewhere(tmp_path):
    """Nobody but root may enter the folder, and its name is long."""
    if os.getuid() != 0:
        pytest.skip('needs root')
    state = tmp_path / ('long' * 30) / 'state'
    state.parent.mkdir(mode=0o700)
    run = Run(state)
    try:
        enrolls(run.ready(), 'long')
    finally:
        run.stop()
    until_gone(state)
    shutil.rmtree(state)
