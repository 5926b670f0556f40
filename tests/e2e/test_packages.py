"""Debian packages ("make deb"), put on hosts that have no compiler: what is in
each, and that it comes up as docs/operations.md says: what stands there under
"First set-up", all on one host, is run as it stands there."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
NAMES = ('countersign', 'countersign-signer', 'countersign-worker')
UNIT = 'lib/systemd/system/'
TEXT = (TOP / 'docs/operations.md').read_text()

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
        mkdir -p /run/systemd/system
        printf '#!/bin/sh\\necho systemctl "$@"\\n' >/usr/local/sbin/systemctl
        chmod 755 /usr/local/sbin/systemctl
        dpkg -i /mnt/*.deb | sed 's/^systemctl stop/too early: &/'
        dpkg -P countersign-worker countersign-signer countersign
        ls /etc/countersign/keys
        test ! -e /usr/bin/countersign''')
    for user in ('signer', 'worker', 'publisher'):
        assert ':/nonexistent:/usr/sbin/nologin' in next(
            line for line in out.splitlines()
            if line.startswith('countersign-%s:' % user))
    assert 'sql-dir = "/usr/share/countersign/sql"' in out
    # Not by an upgrade; but no CA key is used by what is no longer here.
    assert 'too early' not in out
    assert 'systemctl stop countersign-signer@*.service\n' in out
    assert 'systemctl stop countersign-worker.service ' \
        'countersign-publisher.service\n' in out
    assert out.rstrip().endswith('worker.key')


# A host of its own.
HOST = r'''
exec 2>&1
ip link set lo up
mount -t tmpfs none /run
mkdir /run/lock
echo 127.0.0.1 pki.example.org >>/etc/hosts
install -d -m 700 /media/root

as() { runuser -u "$@"; }
# "sudo -u countersign-signer countersign ..., here and later"
countersign() { (cd "${folder-/}"; as countersign-signer -- /usr/bin/countersign "$@"); }
until_() { for i in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep .1; done; "$@"; }
start() {	# what systemd would do of a unit
	u=/lib/systemd/system/$1.service
	val() { sed -n "s|^$1=||p" $u | sed "s|%i|$instance|g"; }
	for d in $(val StateDirectory); do
		install -d -o $(val User) -g $(val Group) \
		    -m $(val StateDirectoryMode) /var/lib/$d
	done
	for d in $(val RuntimeDirectory); do
		install -d -o $(val User) -g $(val Group) \
		    -m $(val RuntimeDirectoryMode) /run/$d
	done
	(umask $(val UMask); cd /; exec setpriv --reuid $(val User) \
	    --regid $(val Group) --clear-groups --no-new-privs \
	    --bounding-set=-all $(val ExecStart)) &
}

dpkg -i /mnt/*.deb
pg_createcluster -p 5432 15 countersign -- --data-checksums
pg=/etc/postgresql/15/countersign
pg_ctlcluster 15 countersign start
cd /
as postgres -- psql -c 'CREATE ROLE countersign_owner LOGIN CREATEROLE' \
    -c 'CREATE DATABASE countersign OWNER countersign_owner'
@INIT@
(
@MOVE@
)
cat >>$pg/pg_ident.conf <<END
@IDENT@
END
sed -i '1i @HBA@' $pg/pg_hba.conf
pg_ctlcluster 15 countersign reload
until_ countersign db migrate
as postgres -- psql -q -d countersign \
    -f /usr/share/countersign/sql/070_no_gifts.sql

install -d -o countersign-signer /srv/carry
folder=/srv/carry
cd $folder
@CA@
countersign policy check /etc/countersign/policy-draft.conf
countersign policy publish /etc/countersign/policy-draft.conf
instance=signer-1
start countersign-signer@
until_ countersign ping
start countersign-worker
until_ test -S /run/countersign/worker.sock

@LEAF@
@NGINX@
nginx
@SITE@
chown countersign-publisher /var/www/countersign/ca
start countersign-publisher
until_ test -s /var/www/countersign/ca/Example-Root.crl
echo DOCTOR
countersign doctor --probe
'''


def block(after):
    """The indented lines behind these words."""
    assert TEXT.count(after) == 1, after
    lines = TEXT.split(after)[1].split('\n\n', 1)[1].splitlines()
    end = next(i for i, line in enumerate(lines)
               if line and not line.startswith('       '))
    return '\n'.join(line[7:] for line in lines[:end])


def script():
    setup = TEXT.split('## First set-up\n')[1]
    init, = re.findall(r'`(countersign init /srv/countersign [^`]*)`', setup)
    # Of the two tables in the section behind it the first.
    hierarchy = re.findall(r'(?m)^\| (root|signer) \| `([^`]*)` \|$',
                           TEXT.split('## Root and issuing CA\n')[1])
    site = subprocess.run([TOP / 'deploy/site.sh'], text=True,
                          capture_output=True).stderr.split('For example\n')[1]
    part = {
        # "leave out --dsn-host"
        'INIT': re.sub(r'--ca NAME', '--ca Example-CA', re.sub(
            r'--dsn-host\s+\S+\s', '', init)).replace('\n', ' ').replace(
                'countersign', '/usr/bin/countersign', 1),
        'MOVE': block('All on one host (to begin with)'),
        'IDENT': block('In `pg_ident.conf`'),
        'HBA': re.search('`pg_hba.conf`: `([^`]*)`', setup)[1],
        'CA': '\n'.join(line if who == 'signer' else '/usr/bin/' + line
                        for who, line in hierarchy),
        'LEAF': block("8. nginx's certificate comes from the CA, too:"),
        'NGINX': block("for nginx, on the operator's host and then on the web"),
        'SITE': re.sub('(?m)^site.sh', '/usr/share/countersign/site.sh', site)}
    return re.sub('@([A-Z]+)@', lambda m: part[m[1]], HOST)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can install')
def test_first_setup(debs, tmp_path):
    there = next(iter(debs.values())).parent
    layer = ['unshare', '-m', '--net', '--pid', '--fork', '--kill-child', 'sh',
             '-c', LAYER, 'sh', tmp_path, there]
    if subprocess.run([*layer, 'true'], capture_output=True).returncode != 0:
        pytest.skip('no layer above this machine')
    (pathlib.Path(there) / 'script').write_text(script())
    r = subprocess.run([*layer, 'exec bash -e /mnt/script'], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=300)
    assert r.returncode == 0, r.stdout
    said = r.stdout.split('DOCTOR\n')[1]
    assert not re.search('(?m)^(fail|warn)', said), said
    assert re.search(r'(?m)^\d+ ok, \d+ skipped, 0 warnings, 0 failures$', said)
    assert re.search('(?m)^ok +enrollment', said), said
