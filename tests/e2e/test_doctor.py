"""countersign doctor: things are broken one by one, and it says which."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import psycopg
import pytest

from test_versions import published

RESULTS = ('ok', 'skip', 'warn', 'fail')


def doctor(stack, *args, conf=None, code=None):
    r = subprocess.run(stack.ctl_words(conf) + ['doctor', '--json', *args], text=True,
                       capture_output=True, timeout=120)
    assert r.returncode in (0, 1), r.stderr
    if code is not None:
        assert r.returncode == code, r.stdout
    rows = json.loads(r.stdout)
    for row in rows:
        assert set(row) == {'result', 'check', 'object', 'text', 'advice'}
        assert row['result'] in RESULTS
        if row['result'] in ('warn', 'fail'):
            assert row['advice'], row
    assert r.returncode == any(row['result'] == 'fail' for row in rows)
    return rows


def of(rows, check, result):
    return [r for r in rows if r['check'] == check and r['result'] == result]


@pytest.fixture
def admin(stack):
    dsn = ' '.join(p if not p.startswith('user=') else 'user=postgres'
                   for p in stack.env['CS_DSN'].split())
    with psycopg.connect(dsn, autocommit=True) as c:
        yield c.execute


@pytest.fixture
def conf(stack, tmp_path):
    """The configuration, to be changed by a test."""
    shutil.copytree(stack.conf.parent, tmp_path / 'etc')
    return tmp_path / 'etc/countersign.conf'


def test_all_is_well(stack):
    rows = doctor(stack, code=0)
    seen = {r['check'] for r in rows if r['result'] == 'ok'}
    assert seen >= {'file', 'socket', 'database', 'setting', 'role', 'right',
                    'migration', 'clock', 'partition', 'policy', 'expiry',
                    'crl', 'signer', 'web', 'worker'}
    for must in ('fsync', 'full_page_writes', 'synchronous_commit',
                 'data_checksums', 'countersign_signer', 'database'):
        assert any(r['object'] == must for r in rows), must
    text = stack.ctl('doctor').stdout
    assert '0 failures' in text.splitlines()[-1]


def test_every_signer_and_worker_has_the_policy(stack):
    rows = of(doctor(stack), 'policy', 'ok')
    objects = [r['object'] for r in rows]
    signers = [s[0] for s in stack.sql('SELECT name FROM countersign.signer')]
    assert signers and set(signers) <= set(objects)
    workers = [o for o in objects if o.startswith('worker ')]
    assert workers
    for w in workers:
        assert 'signer by ' + w in objects
        assert os.path.exists('/proc/%s' % w.split()[1])


def test_key_readable_by_others(stack):
    key = stack.dir / 'keys/worker.key'
    key.chmod(0o440)
    try:
        bad, = of(doctor(stack, code=1), 'file', 'fail')
    finally:
        key.chmod(0o400)
    assert bad['object'] == str(key) and '0440' in bad['text']
    assert 'chmod' in bad['advice']


def test_folder_writable_by_others(stack):
    ca = stack.dir / 'ca'
    ca.chmod(0o770)
    try:
        bad, = of(doctor(stack, code=1), 'file', 'fail')
    finally:
        ca.chmod(0o700)
    assert bad['object'] == str(ca) and 'write' in bad['text']


def test_file_missing(stack, conf):
    worker = conf.parent / 'worker.conf'
    worker.write_text(worker.read_text().replace('worker.key', 'no.key'))
    bad = of(doctor(stack, conf=conf, code=1), 'file', 'fail')
    assert [b['object'].endswith('no.key') for b in bad] == [True]


def test_configuration_broken(stack, conf):
    worker = conf.parent / 'worker.conf'
    worker.write_text(worker.read_text() + '\nsurprise = 1\n')
    bad, = of(doctor(stack, conf=conf, code=1), 'config', 'fail')
    assert bad['object'] == str(worker) and 'surprise' in bad['text']


def test_no_worker_behind_the_socket(stack, conf, tmp_path):
    dead = tmp_path / 'dead'
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(dead))
    s.close()
    worker = conf.parent / 'worker.conf'
    text = worker.read_text().splitlines()
    worker.write_text('\n'.join(
        'socket = "%s"' % dead if line.startswith('socket =') else line
        for line in text) + '\n')
    bad, = of(doctor(stack, conf=conf, code=1), 'socket', 'fail')
    assert bad['object'] == str(dead) and 'worker' in bad['advice']


def test_installed_policy_differs(stack, conf):
    changed = conf.parent / 'policy.conf'
    changed.write_text(changed.read_text() + '# a word more\n')
    conf.write_text(conf.read_text().replace(
        str(stack.dir / 'etc/policy.conf'), str(changed)))
    bad, = of(doctor(stack, conf=conf, code=1), 'policy', 'fail')
    assert bad['object'] == str(changed) and 'diff' in bad['advice']


@pytest.mark.parametrize('sql,undo,check,objekt', [
    ('ALTER ROLE countersign_signer NOLOGIN',
     'ALTER ROLE countersign_signer LOGIN', 'role', 'countersign_signer'),
    ('ALTER ROLE countersign_worker CREATEDB',
     'ALTER ROLE countersign_worker NOCREATEDB', 'role',
     'countersign_worker'),
    ("ALTER ROLE countersign_worker VALID UNTIL '2020-01-01'",
     "ALTER ROLE countersign_worker VALID UNTIL 'infinity'", 'role',
     'countersign_worker'),
    ('GRANT countersign_owner TO countersign_worker',
     'REVOKE countersign_owner FROM countersign_worker', 'role',
     'countersign_worker'),
    ('GRANT INSERT ON countersign.certificate TO countersign_worker',
     'REVOKE INSERT ON countersign.certificate FROM countersign_worker',
     'right', 'countersign_worker on certificate'),
    ('ALTER ROLE countersign_signer SET synchronous_commit = off',
     'ALTER ROLE countersign_signer RESET synchronous_commit', 'setting',
     'countersign_signer'),
    ('ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf()',
     'ALTER SYSTEM RESET full_page_writes; SELECT pg_reload_conf()',
     'setting', 'full_page_writes'),
    ("UPDATE public.countersign_migration SET sha256 = 'x' || "
     "substr(sha256, 2) WHERE name = '001_schema.sql'", None,
     'migration', '001_schema.sql'),
])
def test_database(stack, admin, sql, undo, check, objekt):
    saved = admin('SELECT sha256 FROM public.countersign_migration '
                  "WHERE name = '001_schema.sql'").fetchone()[0]
    for part in sql.split('; '):
        admin(part)
    try:
        bad = of(doctor(stack, code=1), check, 'fail')
    finally:
        for part in (undo or '').split('; '):
            if part:
                admin(part)
        admin('UPDATE public.countersign_migration SET sha256 = %s '
              "WHERE name = '001_schema.sql'", (saved,))
    # A member of the owner has its rights, too.
    assert objekt in [b['object'] for b in bad], bad


def test_migration_missing(stack, conf, tmp_path):
    words = conf.read_text().splitlines()
    old = next(w for w in words if w.startswith('sql-dir')).split('"')[1]
    shutil.copytree(old, tmp_path / 'sql')
    (tmp_path / 'sql/998_more.sql').write_text('SELECT 1;\n')
    conf.write_text(conf.read_text().replace(old, str(tmp_path / 'sql')))
    bad, = of(doctor(stack, conf=conf, code=1), 'migration', 'fail')
    assert bad['object'] == '998_more.sql' and 'migrate' in bad['advice']


def test_database_away(stack, conf):
    conf.write_text(conf.read_text().replace('port=5432', 'port=5431'))
    rows = doctor(stack, conf=conf, code=1)
    assert of(rows, 'database', 'fail') and of(rows, 'policy', 'fail')
    assert of(rows, 'signer', 'ok')


def test_signer_stopped(stack):
    pid = stack.pids('signer-1')[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        rows = doctor(stack, code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    bad, = of(rows, 'signer', 'fail')
    assert bad['object'] == 'signer-1'
    assert of(rows, 'worker', 'ok')


def test_user(stack, demo, tmp_path):
    password = tmp_path / 'password'
    password.write_text(stack.env['CS_PASSWORD'] + '\n')
    password.chmod(0o400)
    user = ('--user', stack.env['CS_USER'], '--password-file', str(password))
    good, = of(doctor(stack, *user, code=0), 'client', 'ok')
    assert 'templates' in good['text']
    before = stack.sql('SELECT count(*) FROM countersign.certificate')[0][0]
    rows = doctor(stack, *user, '--template', stack.env['CS_TEMPLATE'],
                  '--name', 'doctor.demo.example', code=0)
    assert of(rows, 'enrollment', 'ok')
    after = stack.sql('SELECT count(*) FROM countersign.certificate')[0][0]
    assert after == before + 1
    rows = doctor(stack, *user, '--template', stack.env['CS_TEMPLATE'],
                  '--name', 'doctor.other.example', code=1)
    bad, = of(rows, 'enrollment', 'fail')
    assert 'doctor.other.example' in bad['text'] and '(request' in bad['text']
    password.chmod(0o600)
    password.write_text('wrong\n')
    bad, = of(doctor(stack, *user, code=1), 'client', 'fail')
    assert 'could not be authenticated' in bad['text']


def test_probe(stack, conf, tmp_path):
    """From the web server's door to a row, with nobody's password."""
    assert of(doctor(stack), 'enrollment', 'skip')
    before = stack.sql('SELECT count(*) FROM countersign.certificate')[0][0]
    for _ in range(2):
        rows = doctor(stack, '--probe', code=0)
        assert of(rows, 'client', 'ok')[0]['text'] == 'is offered 1 templates'
        assert of(rows, 'enrollment', 'ok')[0]['object'] == 'Probe'
    made = stack.sql(
        "SELECT not_after - not_before < interval '80 minutes', san FROM "
        "countersign.certificate WHERE template = 'Probe'")
    assert made == [(True, 'DNS:countersign-doctor.invalid')] * len(made)
    assert stack.sql('SELECT count(*) FROM countersign.certificate')[0][0] \
        == before + 2
    assert 'either' in stack.ctl('doctor', '--probe', '--user', 'x',
                                 '--password-file', 'y', ok=2).stderr


def test_probe_without_its_template(stack, tmp_path):
    before = published(stack)
    path = tmp_path / 'p.conf'
    path.write_text(before.replace('template "Probe"', 'template "Other"'))
    stack.ctl('policy', 'publish', str(path))
    try:
        bad, = of(doctor(stack, '--probe', code=1), 'client', 'fail')
        assert bad['text'] == 'no template Probe'
        assert 'countersign init' in bad['advice']
    finally:
        path.write_text(before)
        stack.ctl('policy', 'publish', str(path))


class Impostor(threading.Thread):
    """A server with a certificate of its own making."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
             'ec_paramgen_curve:P-256', '-nodes', '-keyout', folder / 'k',
             '-out', folder / 'c', '-subj', '/CN=localhost', '-addext',
             'subjectAltName=DNS:localhost'], check=True,
            capture_output=True)
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(folder / 'c', folder / 'k')
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.heard = b''
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
                with self.ctx.wrap_socket(s, server_side=True) as t:
                    t.settimeout(5)
                    self.heard += t.recv(65536)
            except OSError:
                if self.listener.fileno() == -1:
                    return


def test_impostor_hears_no_password(stack, tmp_path):
    password = tmp_path / 'password'
    password.write_text(stack.env['CS_PASSWORD'])
    password.chmod(0o400)
    server = Impostor(tmp_path)
    rows = doctor(stack, '--connect', '127.0.0.1:%d' % server.port, '--user',
                  stack.env['CS_USER'], '--password-file', str(password),
                  code=1)
    server.listener.close()
    bad = of(rows, 'web', 'fail')
    assert bad and 'certificate' in bad[0]['text']
    assert server.heard == b''
    assert not [r for r in rows if r['check'] == 'client']


def test_web_server_away(stack):
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
    rows = doctor(stack, '--connect', '127.0.0.1:%d' % port, code=1)
    assert 'refused' in of(rows, 'web', 'fail')[0]['text']


def test_usage(stack):
    for args in (['--user', 'x'], ['--template', 'x'], ['--name', 'x'],
                 ['--user', 'x', '--password-file', 'y', '--template', 'z',
                  '--name', 'a,DNS:b']):
        assert stack.ctl('doctor', *args, ok=2)


def test_status_is_for_this_host_alone(stack):
    """Through nginx: its location lets loopback addresses in, no others."""
    site = (stack.dir / 'etc/site.conf').read_text()
    part = site.split('location = /status', 1)[1].split('\n\t}', 1)[0]
    assert 'deny all;' in part
    assert site.count('CS_SERVICE status') == 1
