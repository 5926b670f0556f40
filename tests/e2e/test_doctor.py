"""countersign doctor: things are broken one by one, and it says which."""
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading

import psycopg
import pytest

import client
from findings import conf, doctor, of, others_are_over, settled, site  # noqa: F401
from ledgers import children
from othercas import OtherCA, section
from policies import in_force, published
from ports import free_port
from scraped import scrape
from waits import wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]


def test_all_is_well(stack):
    rows = doctor(stack, code=0)
    seen = {r['check'] for r in rows if r['result'] == 'ok'}
    assert seen >= {'file', 'socket', 'database', 'setting', 'role', 'right',
                    'migration', 'trigger', 'clock', 'partition', 'queue',
                    'policy', 'expiry', 'crl', 'signer', 'web', 'worker'}
    for must in ('fsync', 'full_page_writes', 'synchronous_commit',
                 'data_checksums', 'countersign_signer', 'database'):
        assert any(r['object'] == must for r in rows), must
    text = stack.ctl('doctor').stdout
    assert '0 failures' in text.splitlines()[-1]
    files = len(list(TOP.glob('sql/*.sql')))
    done, = of(rows, 'migration', 'ok')
    assert done['text'].startswith('%d applied' % files)


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


def test_list_from_the_future(stack, admin):
    """Made when all clocks were wrong."""
    change = ("UPDATE countersign.crl SET this_update = this_update %s "
              "interval '1 day' WHERE ca = 'Demo-CA' AND number = %s RETURNING "
              'number')
    admin('ALTER TABLE countersign.crl DISABLE TRIGGER USER')
    try:
        (n,), = admin(change % ('+', '(SELECT max(number) FROM countersign.crl '
                                "WHERE ca = 'Demo-CA')")).fetchall()
        bad, = of(doctor(stack, code=1), 'crl', 'fail')
        admin(change % ('-', n))
    finally:
        admin('ALTER TABLE countersign.crl ENABLE TRIGGER USER')
    assert bad['object'] == 'Demo-CA' and 'counts from' in bad['text']


def test_key_readable_by_others(stack):
    key = stack.dir / 'keys/worker.key'
    key.chmod(0o440)
    try:
        bad, = of(doctor(stack, code=1), 'file', 'fail')
    finally:
        key.chmod(0o400)
    assert bad['object'] == str(key) and '0440' in bad['text']
    assert bad['advice'].startswith('chmod go= %s;' % key)


def test_key_of_another_user(stack, conf):
    """Whose configuration it is runs the program."""
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    worker, key = conf.parent / 'worker.conf', stack.dir / 'keys/worker.key'
    worker.chmod(0o644)
    os.chown(worker, 12345, 12345)
    bad = of(doctor(stack, conf=conf, code=1), 'file', 'fail')
    assert [b['object'] for b in bad] == [str(key)]
    assert re.fullmatch('chown [^ ]+ %s' % key, bad[0]['advice'])


def test_credential_of_systemd(stack, conf, tmp_path):
    """Owned by root, with an access control list for one user."""
    key = tmp_path / 'key'
    shutil.copy(stack.dir / 'keys/worker.key', key)
    entries = [(0x01, 4, -1), (0x02, 4, 12345), (0x04, 0, -1), (0x10, 4, -1),
               (0x20, 0, -1)]
    try:
        os.setxattr(key, 'system.posix_acl_access', struct.pack('<I', 2) +
                    b''.join(struct.pack('<HHi', *e) for e in entries))
    except OSError:
        pytest.skip('no access control lists here')
    assert key.stat().st_mode & 0o777 == 0o440
    worker = conf.parent / 'worker.conf'
    worker.write_text(worker.read_text().replace(
        str(stack.dir / 'keys/worker.key'), str(key)))
    row, = [r for r in doctor(stack, conf=conf) if r['object'] == str(key)]
    assert row['result'] == 'ok', row
    key.chmod(0o444)
    row, = [r for r in doctor(stack, conf=conf) if r['object'] == str(key)]
    assert row['result'] == 'fail'


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


def test_chain_missing(stack, conf):
    signer = conf.parent / 'signer-1.conf'
    signer.write_text(signer.read_text().replace('.chain.pem', '.no.pem'))
    bad, = of(doctor(stack, conf=conf, code=1), 'file', 'fail')
    assert bad['object'].endswith('.no.pem')


def test_ledger_missing(stack, conf):
    """Nobody is told to make one: an old signer does not start on it."""
    signer = conf.parent / 'signer-1.conf'
    signer.write_text(re.sub('(?m)^ledger = "(.*)"', 'ledger = "\\1.lost"',
                             signer.read_text()))
    bad, = of(doctor(stack, conf=conf, code=1), 'file', 'fail')
    assert bad['object'].endswith('.lost')
    assert 'another name' in bad['advice']


def test_a_web_host_has_no_policy_file(stack, conf):
    lines = conf.read_text().splitlines()
    conf.write_text('\n'.join(x for x in lines if not x.startswith(
        'policy = ')) + '\n')
    assert not of(doctor(stack, conf=conf, code=0), 'policy', 'fail')
    for words in (['publish', str(stack.dir / 'etc/policy.conf')],
                  ['reenroll', 'WebServer'], ['diff']):
        r = stack.run_ctl(stack.ctl_words(conf) + ['policy', *words])
        assert r.returncode == 1 and 'policy is not set' in r.stderr


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
    ('ALTER TABLE countersign.audit DISABLE TRIGGER keep',
     'ALTER TABLE countersign.audit ENABLE TRIGGER keep', 'trigger',
     'keep on audit'),
    ('ALTER TRIGGER crl_check ON countersign.crl RENAME TO x',
     'ALTER TRIGGER x ON countersign.crl RENAME TO crl_check', 'trigger',
     'crl_check on crl'),
    ('ALTER ROLE countersign_signer SET synchronous_commit = off',
     'ALTER ROLE countersign_signer RESET synchronous_commit', 'setting',
     'countersign_signer'),
    ('ALTER ROLE countersign_signer SET default_transaction_read_only = true',
     'ALTER ROLE countersign_signer RESET default_transaction_read_only',
     'setting', 'countersign_signer'),
    ('ALTER ROLE countersign_operator SET default_transaction_read_only = on',
     'ALTER ROLE countersign_operator RESET default_transaction_read_only',
     'setting', 'default_transaction_read_only'),
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
        settled(stack)
    # A member of the owner has its rights, too.
    assert objekt in [b['object'] for b in bad], bad


@pytest.mark.parametrize('setting', [
    'statement_timeout=1', 'search_path=nowhere',
    'local_preload_libraries=nothing'])
def test_what_a_role_sets_for_all_of_its_name(stack, admin, setting):
    """One worker's log-on is enough to keep all workers out."""
    name, value = setting.split('=')
    admin('SET ROLE countersign_publisher')
    admin('ALTER ROLE countersign_publisher SET %s = %s' % (name, value))
    admin('RESET ROLE')
    try:
        bad = of(doctor(stack), 'setting', 'warn')
    finally:
        admin('ALTER ROLE countersign_publisher RESET ALL')
    assert [(b['object'], setting in b['text']) for b in bad] == [
        ('countersign_publisher', True)], bad


def test_notifications_that_nobody_reads(stack, admin):
    """Any role can notify, and listen without end; in a queue that is full
    nothing could be revoked."""
    def notify(n):
        worker.execute("SELECT pg_notify('x', n || repeat('x', 7900)) "
                       'FROM generate_series(1, %s) n', (n,))

    def usage():
        notify(10)      # whoever notifies cleans up
        return admin('SELECT pg_notification_queue_usage()').fetchone()[0]
    dsn = stack.env['CS_DSN'].replace('countersign_auditor',
                                      'countersign_worker')
    with psycopg.connect(dsn, autocommit=True) as worker:
        with psycopg.connect(dsn, autocommit=True) as stuck:
            stuck.execute('LISTEN x')
            stuck.execute('BEGIN')
            stuck.execute('SELECT 1')
            notify(12000)
            bad, = of(doctor(stack, code=0), 'queue', 'warn')
            assert bad['text'].startswith('is full to 1 %')
        wait_for(lambda: usage() < 0.005)
    assert of(doctor(stack), 'queue', 'ok')


def test_a_setting_that_was_changed(stack, demo, admin):
    """After a crash of such a database rows may be lost: no signer goes on,
    and each does once that is put right.  Who watches sees it before anybody
    asks for a certificate, and its end, too."""
    def up():
        series = scrape(stack)
        return {series['countersign_signer_database_up{signer="signer-%d"}' %
                       n] for n in range(1, len(stack.pids('signer-')) + 1)}

    def request():
        return demo.enroll(client.make_csr(
            client.ec_key(), 'setting.demo.example', ['setting.demo.example'],
            stack.env['CS_TEMPLATE']))
    assert request().leaf is not None
    admin('ALTER SYSTEM SET full_page_writes = off')
    admin('SELECT pg_reload_conf()')
    try:
        wait_for(lambda: up() == {0})
        bad = wait_for(lambda: len(bad := of(doctor(
            stack), 'signer', 'fail')) == len(stack.pids('signer-')) and bad)
        assert all('full_page_writes is off' in b['text'] for b in bad)
        for _ in range(3):
            r = request()
            assert r.leaf is None and r.hresult == 0x800704d5, r.reason
    finally:
        admin('ALTER SYSTEM RESET full_page_writes')
        admin('SELECT pg_reload_conf()')
    wait_for(lambda: up() == {1})
    settled(stack)
    assert request().leaf is not None


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
    away, = [r for r in rows if r['result'] == 'fail']
    assert away['check'] == 'database' and 'PostgreSQL' in away['advice']
    # Whoever that is: a web host's is countersign_publisher.
    assert 'countersign_operator' not in away['advice']
    assert of(rows, 'policy', 'skip') and of(rows, 'signer', 'ok')


def test_a_signer_says_what_it_waits_for(stack, conf, tmp_path):
    signer = conf.parent / 'signer-1.conf'
    signer.write_text(signer.read_text().replace('port=5432', 'port=5431'))
    log = tmp_path / 'log'
    with open(log, 'w') as f:
        p = subprocess.Popen([stack.bin / 'countersign-signer', '-c', signer],
                             stderr=f)
        try:
            wait_for(lambda: p.poll() is not None or
                     'event=waiting' in log.read_text())
            assert p.poll() is None
        finally:
            p.kill()
            p.wait()
    assert '5431' in log.read_text()


def test_signer_stopped(stack):
    pid = stack.pids('signer-1')[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        rows = doctor(stack, code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    bad, = of(rows, 'signer', 'fail')
    assert bad['object'] == 'signer-1'
    assert 'countersign-signer -t -c %s' % (
        stack.conf.parent / 'signer-1.conf') in bad['advice']
    assert of(rows, 'worker', 'ok')


def test_the_operators_key_is_not_ours(stack, conf):
    """Whom nobody lets read it is not told to start signers."""
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    key = conf.parent / 'operator.key'
    shutil.copy(stack.dir / 'keys/operator.key', key)
    os.chown(key, 12345, 12345)
    key.chmod(0o400)
    conf.write_text(conf.read_text().replace(
        str(stack.dir / 'keys/operator.key'), str(key)))
    bad = of(doctor(stack, conf=conf, code=1), 'signer', 'fail')
    assert bad and all('as the user' in b['advice'] for b in bad)


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


def test_probe_without_its_template(stack):
    with in_force(stack, published(stack).replace('template "Probe"',
                                                  'template "Other"')):
        bad, = of(doctor(stack, '--probe', code=1), 'client', 'fail')
        assert bad['text'] == 'no template Probe'
        assert 'countersign init' in bad['advice']


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
                    t.settimeout(300)
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


class Silent:
    """Listens, and says nothing to anybody."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def test_web_server_says_nothing(stack):
    with Silent() as server:
        rows = doctor(stack, '--connect', '127.0.0.1:%d' % server.port, code=1)
    assert 'tls handshake: nothing came within 10 seconds' in [
        r['text'] for r in of(rows, 'web', 'fail')]


def test_an_answer_that_does_not_come(stack):
    """At the address of the CA's certificate."""
    text = published(stack)
    url = re.search(r'aia\s*=\s*\{?\s*"(http://[^"]*)"', text)[1]
    with Silent() as server:
        silent = 'http://127.0.0.1:%d/silent' % server.port
        with in_force(stack, text.replace(url, silent)):
            rows = doctor(stack, code=1)
    assert {r['text'] for r in of(rows, 'address', 'fail')
            if r['object'] == silent} == {
        'no answer: nothing came within 35 seconds'}


def test_worker_says_nothing(stack, site):
    """nginx tells so before doctor gives up."""
    text, load = site
    assert 'fastcgi_read_timeout 30s;' in text
    load(text.replace('fastcgi_read_timeout 30s;', 'fastcgi_read_timeout 2s;'))
    workers = children(stack.pids('worker')[0])
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        rows = doctor(stack, code=1)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert 'http status 503' in [r['text'] for r in of(rows, 'address', 'fail')]
    assert of(rows, 'worker', 'fail')[0]['text'] == 'no worker answers nginx'


def test_web_server_away(stack):
    rows = doctor(stack, '--connect', '127.0.0.1:%d' % free_port(), code=1)
    assert 'refused' in of(rows, 'web', 'fail')[0]['text']


def test_usage(stack):
    for args in (['--user', 'x'], ['--template', 'x'], ['--name', 'x'],
                 ['--user', 'x', '--password-file', 'y', '--template', 'z',
                  '--name', 'a,DNS:b']):
        assert stack.ctl('doctor', *args, ok=2)


def test_no_worker_seen_from_outside(stack, site):
    """Where nginx does not show the status, other addresses tell."""
    text, load = site
    gone = 'fastcgi_param CS_SERVICE status;', 'fastcgi_param CS_SERVICE cep;'
    for line in gone:
        assert line in text
    load(text.replace(gone[0], 'return 404;').replace(gone[1], 'return 503;'))
    bad = wait_for(lambda: of(doctor(stack), 'worker', 'fail'))
    assert 'no worker answers' in bad[0]['text']
    assert 'peers' in bad[0]['advice']


@pytest.mark.parametrize('location,address', [
    ('_CES_UsernamePassword', '_CES_UsernamePassword/service.svc/CES'),
    ('ADPolicyProvider_CEP_UsernamePassword', '_CEP_UsernamePassword'
     '/service.svc/CEP'),
    ('_CES_Certificate', '_CES_Certificate/service.svc/CES'),
    ('_CES_Anonymous', '_CES_Anonymous/service.svc/CES'),
    ('"^/ocsp', '/ocsp'), ('(cer|p7b)', '/ca/Demo-CA.cer')])
def test_a_location_is_missing(stack, site, location, address):
    """As in nginx's file of an older version: nothing else is wrong."""
    text, load = site
    lines = [line for line in text.splitlines() if location in line and
             line.split()[0] == 'location']
    assert len(lines) == 1, lines
    load(text.replace(lines[0], lines[0].replace('^/', '^/gone/')))
    bad = wait_for(lambda: of(doctor(stack), 'address', 'fail'))
    assert all(b['object'].endswith(address) for b in bad), bad
    assert all('404' in b['text'] and 'location' in b['advice'] or
               'publisher' in b['advice'] for b in bad)


@pytest.mark.parametrize('location,word,missing', [
    ('_CES_UsernamePassword', 'CS_AUTH password', 'CS_AUTH'),
    ('_CES_UsernamePassword', 'CS_CA $cs_ca', 'CS_CA'),
    ('_CES_Anonymous', 'CS_RENEWAL_ONLY on', 'CS_RENEWAL_ONLY')])
def test_a_location_lacks_a_word(stack, site, location, word, missing):
    """Each client gets 500 and nothing else, as for a fault, but no fault."""
    text, load = site
    head, tail = text.split(location, 1)
    line = '\t\tfastcgi_param %s;\n' % word
    assert line in tail.split('location', 1)[0]
    load(head + location + tail.replace(line, '', 1))
    bad = wait_for(lambda: of(doctor(stack), 'address', 'fail'))
    assert [location in b['object'] for b in bad] == [True], bad
    assert bad[0]['text'] == 'http status 500 without a fault'
    assert 'ca site' in bad[0]['advice'] and 'log' in bad[0]['advice']
    assert 'text="nginx passes no usable %s"' % missing in stack.log('worker')


def test_who_cannot_log_on(stack, site, tmp_path):
    """With a certificate of a CA that nginx has not been told of."""
    other = section(OtherCA(tmp_path).cert,
                    'map = san-upn\n\tgroups = {"users"}')
    with in_force(stack, published(stack) + other):
        said, = of(doctor(stack, code=1), 'web', 'fail')
    assert 'asks for no certificate of Corp:' in said['text']
    assert 'ca site --client-cas' in said['advice']
    before, load = site
    load(before.replace('ssl_verify_client optional_no_ca;', ''))
    said = wait_for(lambda: of(doctor(stack, code=0), 'web', 'warn'))
    assert ['names no CA' in r['text'] for r in said] == [True]


def test_room_for_the_ledger(stack, tmp_path):
    """What stops a signer is said where it can be seen."""
    small = tmp_path / 'small'
    small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs',
                       small], capture_output=True).returncode != 0:
        pytest.skip('needs a file system of its own')
    try:
        etc = tmp_path / 'etc'
        shutil.copytree(stack.conf.parent, etc)
        signer = etc / 'signer-1.conf'
        was = next(w for w in signer.read_text().splitlines()
                   if w.startswith('ledger = '))
        signer.write_text(signer.read_text().replace(
            was, 'ledger = "%s"' % small))
        bad, = of(doctor(stack, conf=etc / 'countersign.conf', code=1),
                  'disk', 'fail')
        assert bad['object'] == str(small) and 'room' in bad['advice']
    finally:
        subprocess.run(['umount', small], check=True)


def test_place_of_the_heads(stack, conf):
    """Its signer would end with the next head."""
    signer = conf.parent / 'signer-1.conf'
    text = signer.read_text()
    gone = str(stack.dir / 'gone')
    signer.write_text(re.sub('head-file = .*', 'head-file = "%s/heads"' % gone,
                             text))
    bad, = of(doctor(stack, conf=conf, code=1), 'file', 'fail')
    assert bad['object'] == gone and 'make it' in bad['advice']
    signer.write_text(re.sub('head-file = .*', 'head-file = "/dev/null"',
                             text))
    assert not of(doctor(stack, conf=conf), 'file', 'fail')


def test_lists_are_where_clients_look(stack):
    def found(file, rows):
        return [r for r in rows if r['object'].endswith('/' + file.name)]

    def good_one():
        rows = doctor(stack)
        return next((f for f in (stack.dir / 'web/ca').glob('Demo-CA*.crl')
                     if [r['result'] for r in found(f, rows)] == ['ok']), None)
    # Other tests leave keys with lists of their own.
    file = wait_for(good_one)
    publisher, = stack.pids('publisher')
    os.kill(publisher, signal.SIGSTOP)
    try:
        good = file.read_bytes()
        file.write_bytes(b'0' + good[1:50])
        bad, = found(file, doctor(stack))
        # A list that is younger than a minute may be on its way.
        assert bad['result'] in ('fail', 'warn') and 'last' in bad['text']
        file.unlink()
        bad, = found(file, doctor(stack))
        assert bad['result'] == 'fail' and '404' in bad['text']
        assert 'publisher' in bad['advice']
    finally:
        file.write_bytes(good)
        file.chmod(0o644)
        os.kill(publisher, signal.SIGCONT)


def test_what_postgresql_gives_everybody(stack, admin):
    f = 'EXECUTE ON FUNCTION pg_advisory_lock(bigint)'
    admin('GRANT %s TO PUBLIC' % f)
    try:
        bad, = of(doctor(stack), 'right', 'warn')
    finally:
        admin('REVOKE %s FROM PUBLIC' % f)
    assert '070_no_gifts' in bad['advice']


def test_slow_answers_are_no_wrong_clock(stack):
    """A worker waits some seconds for signers that do not answer."""
    pids = stack.pids('signer-')
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        rows = doctor(stack, code=1)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    said = [r for r in rows if r['object'].startswith('signer by worker')]
    assert said and all(r['result'] == 'fail' and 'signer' in r['text']
                        for r in said), said
    assert not [r for r in rows if r['check'] == 'clock' and
                r['result'] != 'ok']
