"""Debian packages ("make deb"), put on hosts that have no compiler: what is in
each, and that it comes up as docs/operations.md says."""
import os
import pathlib
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
NAMES = ('countersign', 'countersign-signer', 'countersign-worker')
UNIT = 'lib/systemd/system/'

pytestmark = pytest.mark.skipif('SANITIZE' in os.environ, reason='of what is '
                                'shipped')

# An empty layer above this machine, gone with the namespace.
LAYER = '''
set -e
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay \\
    -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount --bind "$2" "$1/root/mnt"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
exec chroot "$1/root" sh -ec "$3"
'''


def run(*words, **kw):
    r = subprocess.run(words, text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **kw)
    assert r.returncode == 0, r.stdout
    return r.stdout


@pytest.fixture(scope='module')
def debs(tmp_path_factory):
    """name -> package, in a folder of their own."""
    out = tmp_path_factory.mktemp('debs')
    found = {}
    for line in run('make', '-s', 'deb', cwd=TOP).splitlines():
        name = pathlib.Path(line).name.split('_')[0]
        if name in NAMES:
            found[name] = pathlib.Path(shutil.copy(TOP / line, out))
    assert sorted(found) == sorted(NAMES)
    return found


def files(deb):
    """path -> (mode, owner)"""
    return {f[5][2:]: (f[0], f[1]) for f in (
        line.split() for line in run('dpkg-deb', '-c', deb).splitlines())}


def test_each_host_has_its_program_alone(debs):
    programs = {name: sorted(f for f in files(deb) if '/bin/' in f or
                             '/sbin/' in f) for name, deb in debs.items()}
    for dirs in programs.values():
        dirs[:] = [f for f in dirs if not f.endswith('/')]
    assert programs == {
        'countersign': ['usr/bin/countersign'],
        'countersign-signer': ['usr/sbin/countersign-signer'],
        'countersign-worker': ['usr/sbin/countersign-worker']}
    for name, deb in debs.items():
        section = 1 if name == 'countersign' else 8
        assert 'usr/share/man/man%d/%s.%d.gz' % (section, name, section) in \
            files(deb)


def test_nobody_but_root_can_change_them(debs):
    for deb in debs.values():
        for path, (mode, owner) in files(deb).items():
            assert owner == 'root/root', path
            assert mode[5] == mode[8] == '-' and 's' not in mode, path


def test_units_start_what_is_packed(debs, tmp_path):
    units = {}
    for deb in debs.values():
        run('dpkg-deb', '-x', deb, tmp_path)
    for unit in (tmp_path / UNIT).iterdir():
        units[unit.name] = unit.read_text()
        for line in units[unit.name].splitlines():
            if line.startswith('Exec'):
                program = line.partition('=')[2].split()[0]
                assert (tmp_path / program[1:]).exists(), line
    assert sorted(units) == ['countersign-publisher.service',
                             'countersign-signer@.service',
                             'countersign-worker.service']


def test_what_the_programs_need_comes_with_them(debs):
    for name, deb in debs.items():
        depends = run('dpkg-deb', '-f', deb, 'Depends')
        assert 'libssl3' in depends and 'libpq5' in depends
        assert ('libfcgi0ldbl' in depends) == (name == 'countersign-worker')
        if name != 'countersign':
            version = run('dpkg-deb', '-f', deb, 'Version').strip()
            assert 'countersign (= %s)' % version in depends


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can install')
def test_installed_and_set_up(debs, tmp_path):
    """From the packages to the three configurations, and away again: what
    people have made stays."""
    there = next(iter(debs.values())).parent
    if subprocess.run(['unshare', '-m', 'sh', '-c', LAYER, 'sh', tmp_path,
                       there, 'true'], capture_output=True).returncode != 0:
        pytest.skip('no layer above this machine')
    out = run('unshare', '-m', 'sh', '-c', LAYER, 'sh', tmp_path, there, '''
        dpkg -i /mnt/*.deb
        for u in signer worker publisher; do getent passwd countersign-$u; done
        countersign init /root/new --host pki.example.org --ca Demo \\
            --signers 1
        grep '^sql-dir' /root/new/etc/countersign.conf
        mv /root/new/keys/* /etc/countersign/keys
        dpkg -P countersign-worker countersign-signer countersign
        ls /etc/countersign/keys
        test ! -e /usr/bin/countersign''')
    for user in ('signer', 'worker', 'publisher'):
        assert ':/nonexistent:/usr/sbin/nologin' in next(
            line for line in out.splitlines()
            if line.startswith('countersign-%s:' % user))
    assert 'sql-dir = "/usr/share/countersign/sql"' in out
    assert out.rstrip().endswith('worker.key')
