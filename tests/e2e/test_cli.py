"""The command line, against the running deployment."""
import contextlib
import datetime
import json
import os
import pty
import re
import subprocess
import time
import uuid

import pytest
from cryptography import x509

import client
from schema import check_rstrc


@pytest.fixture(scope='module')
def issued(stack, demo):
    r = demo.enroll(client.make_csr(client.ec_key(), 'cli.demo.example', [],
                                    stack.env['CS_TEMPLATE']))
    check_rstrc(r)
    return r


def serial_of(reply):
    return '%032X' % reply.certificate.serial_number


def test_help_everywhere(stack):
    top = stack.ctl('--help').stdout
    for noun in ('init', 'ca', 'account', 'policy', 'request', 'cert', 'db',
                 'ledger', 'explain', 'doctor', 'ping'):
        assert noun in top
        assert stack.ctl(noun, '--help').stdout
    for sub in ('account add', 'account passwd', 'account disable',
                'account list', 'account group', 'policy check',
                'policy publish', 'policy show', 'policy diff',
                'request list', 'request show', 'cert list', 'cert show',
                'cert export', 'db migrate', 'ledger verify', 'ca create',
                'ca import', 'ca show', 'ca export'):
        assert stack.ctl(*sub.split(), '--help').stdout


@pytest.mark.parametrize('args,said,hint', [
    ('frobnicate', 'frobnicate: no such command', 'countersign --help'),
    ('cert', 'cert: which', 'countersign cert --help'),
    ('cert frobnicate', 'cert frobnicate: no such', 'countersign cert --help'),
    ('--jsn cert list', '--jsn: no option before', 'countersign --help'),
    ('cert show', 'too few arguments', 'cert show SERIAL'),
    ('ping signer-1', 'too many arguments: signer-1', ' ping\n'),
    ('-c /none ping', '/none: No such file', 'countersign init'),
    ('account enable a"b', 'user name: byte 0x22', 'account enable NAME'),
    ('account show a"b', 'user name: byte 0x22', 'account show NAME'),
    ('account list --after a"b', 'user name: byte 0x22', 'account list'),
    ('account group a add b"c', 'a group is 1 to 64', 'add|remove GROUP'),
    ('account passwd a"b --password-stdin', 'user name: byte 0x22', 'NAME'),
    ('request list --account a"b', 'user name: byte 0x22', 'request list'),
    ('cert list --account a"b', 'user name: byte 0x22', 'cert list'),
    ('explain --account a"b', 'user name: byte 0x22', 'explain'),
    ('ca create a"b', 'a ca name is 1 to 63', 'ca create NAME'),
    ('crl install a"b f', 'a ca name is 1 to 63', 'crl install NAME FILE'),
    ('request show abc', '32 hex digits or the number', 'request show ID'),
    ('request approve 0', '32 hex digits or the number', 'approve ID'),
    ('ca export Demo-CA --format x', '--format is pem, der or p7b, not x',
     'ca export NAME'),
    ('ca export Demo-CA --format der --chain', 'not a chain of 2', 'NAME'),
    ('secret create --dns x_ --template Computer', 'not a dns name: x_',
     'secret create'),
    ('crl publish --to=', '--to: WHERE is empty', 'crl publish'),
    ('ledger verify --heads=', '--heads: FILE is empty', 'ledger verify'),
    ('explain --account demo --ca Nope', '--ca needs --csr', 'explain'),
    ('doctor --connect /x', '--connect: not HOST:PORT: /x', 'doctor'),
    ('-c=/none ping', '/none: No such file', 'countersign init'),
    ('-c', '-c needs FILE', 'countersign --help'),
    ('-c=', '-c needs FILE', 'countersign --help'),
    ('cert revoke 12', '--reason is required', 'revoke [SERIAL...] [OPTIONS]'),
    ('report -o', '-o needs FILE', 'report [OPTIONS]'),
    ('cert list --limit 1 --limit 2', '--limit is given twice', 'cert list'),
    ('cert list --no-such', 'unknown option --no-such', 'cert list [OPTIONS]')])
def test_usage_errors(stack, args, said, hint):
    """What was typed is named, and where the right words are."""
    r = stack.ctl(*args.split(), ok=None)
    assert r.returncode == (1 if 'init' in hint else 2)
    assert said in r.stderr and hint in r.stderr and not r.stdout


@pytest.mark.parametrize('args', [
    ['ledger', 'verify', ''], ['ca', 'show', ''], ['policy', 'check', ''],
    ['account', 'group', 'a', 'add', '']])
def test_empty_arguments(stack, args):
    """A variable that a script forgot to set."""
    assert 'argument %d is empty' % (len(args) - 2) in stack.ctl(
        *args, ok=2).stderr


def test_a_file_is_called_what_it_was_called(stack, tmp_path):
    path = str(tmp_path / 'none' / 'root.pem')
    r = stack.ctl('report', '-o', path, ok=1)
    assert path + ': create: No such file' in r.stderr


@pytest.mark.parametrize('args,text', [
    (('account', 'disable', 'nobody', '--note', 'left'), '--revoke'),
    (('ca', 'root-crl', '{}/Root', '-o', '{}/r.crl',
      '--reason', 'superseded'), '--revoke'),
    (('ca', 'create-root', '{}/Root', '--subject', 'CN=R',
      '--old-passphrase-file', 'f'), '--replaces'),
    (('ca', 'import', 'CA', '--cert', 'c.pem', '--airgap',
      '--passphrase-file', 'f'), '--key')])
def test_no_option_is_dropped(stack, tmp_path, args, text):
    """What would do nothing without another option is refused."""
    tmp_path.chmod(0o700)
    args = [a.format(tmp_path) for a in args]
    assert 'needs ' + text in stack.ctl(*args, ok=2).stderr


def test_into_all_groups_or_none(stack, admin):
    name = 'joins%d' % time.time_ns()
    stack.ctl('account', 'add', name, '--no-password', '--group', 'users')
    admin("ALTER TABLE countersign.account_group ADD CHECK (name <> 'broken') "
          'NOT VALID')
    try:
        r = stack.ctl('account', 'group', name, 'add', 'first', 'broken',
                      ok=1)
    finally:
        admin('ALTER TABLE countersign.account_group DROP CONSTRAINT '
              'account_group_name_check1')
    assert 'account_group_name_check1' in r.stderr
    row, = stack.ctl_json('account', 'show', name)
    assert row['groups'] == ['users']
    stack.ctl('account', 'group', name, 'add', 'first', 'second')
    stack.ctl('account', 'group', name, 'remove', 'users', 'first')
    row, = stack.ctl_json('account', 'show', name)
    assert row['groups'] == ['second']


def test_json_also_of_changes(stack, issued, tmp_path):
    """Whatever succeeds prints an array, or the document that it writes."""
    name = 'changed%d' % time.time_ns()
    for args in (['account', 'add', name, '--no-password'],
                 ['account', 'passwd', name, '--password-stdin'],
                 ['account', 'group', name, 'add', 'users'],
                 ['account', 'disable', name], ['account', 'enable', name]):
        row, = json.loads(stack.ctl('--json', *args,
                                    input='a password\n').stdout)
        assert row['name'] == name and row['outcome']
    key = os.urandom(32).hex()
    for verb in ('block', 'unblock'):
        assert stack.ctl_json('key', verb, key) == [
            {'name': key, 'outcome': verb + 'ed'}]
    s = serial_of(issued)
    stack.ctl('cert', 'revoke', s, '--reason', 'certificateHold')
    assert stack.ctl_json('cert', 'release', s.lower()) == [
        {'serial': s, 'outcome': 'released'}]
    out = str(tmp_path / 'c.pem')
    assert stack.ctl_json('cert', 'export', s, '-o', out) == [
        {'name': out, 'outcome': 'written'}]
    assert stack.ctl('--json', 'cert', 'export', s).stdout.startswith(
        '-----BEGIN')
    rows = stack.ctl_json('crl', 'publish', '--to', str(tmp_path))
    assert {r['ca'] for r in rows} >= {'Demo-CA', 'Demo-Root'}
    assert all(r['number'] > 0 and r['delta'] in (True, False) for r in rows)
    assert 'not --json' in stack.ctl('--json', 'crl', 'publish', '--watch',
                                     '--to', str(tmp_path), ok=2).stderr


def test_json_of_a_disabled_account(stack, demo):
    """And of how many certificates it had; none of another account."""
    name = 'gone%d' % time.time_ns()
    who = stack.account(name, groups=['users'])
    for i in range(2):
        check_rstrc(who.enroll(client.make_csr(
            client.ec_key(), 'x', [], 'User')))
    assert stack.ctl_json('account', 'disable', name, '--revoke',
                          'privilegeWithdrawn') == [
        {'name': name, 'outcome': 'disabled', 'revoked': 2}]
    assert stack.ctl_json('account', 'disable', name) == [
        {'name': name, 'outcome': 'disabled', 'revoked': None}]


def test_json_of_a_submitted_request(stack, issued, tmp_path):
    """What waits and what is denied can be asked for by id and number."""
    csr = tmp_path / 'csr'
    csr.write_bytes(client.make_csr(client.ec_key(), 'sub.demo.example',
                                    ['sub.demo.example'],
                                    stack.env['CS_TEMPLATE_APPROVAL']))

    def submit(template, ok):
        r = stack.ctl('request', 'submit', '--account', stack.env['CS_USER'],
                      '--template', template, '--csr', str(csr), '--json',
                      ok=ok)
        return r, json.loads(r.stdout)
    r, (row,) = submit(stack.env['CS_TEMPLATE_APPROVAL'], 1)
    shown, = stack.ctl_json('request', 'show', row['id'])
    assert row['state'] == shown['state'] == 'pending'
    assert row['number'] == shown['number'] and row['hresult'] is None
    assert 'request %d waits' % row['number'] in r.stderr
    stack.ctl('request', 'deny', row['id'])
    r, (row,) = submit(stack.env['CS_TEMPLATE'], 1)
    shown, = stack.ctl_json('request', 'show', row['id'])
    assert row == {k: shown[k] for k in row} and row['state'] == 'denied'
    assert row['message'] and row['message'] in r.stderr


def on_terminal(stack, *args, **kw):
    """What is said on a terminal of standard error."""
    ours, theirs = pty.openpty()
    r = subprocess.run([*stack.ctl_words(), *args], stderr=theirs,
                       stdout=subprocess.PIPE, timeout=300, **kw)
    os.close(theirs)
    said = b''
    with contextlib.suppress(OSError):      # its end
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert r.returncode == 0, said
    return said.decode()


@pytest.mark.parametrize('args,shown', [
    ('ledger verify', r'ledgers, KiB: \d+ of \d+'),
    ('reconcile', r'ledgers, KiB: \d+ of \d+'),
    ('cert check --all', r'certificates: \d+'),
    ('secret create --csv -', r'secrets: 0 of 2'),
    ('doctor', r'files: 1 of \d.*signers: \d of \d.*\rweb server: (\d) of \1')])
def test_long_work_shows_progress(stack, issued, args, shown):
    """On a terminal alone, where nothing of it is left; programs see none."""
    args = args.split()
    more = dict(input=b''.join(b'p%d.demo.example,Computer\n' % (
        time.time_ns() + i) for i in range(2)))
    said = on_terminal(stack, *args, **more)
    line, left = said.rsplit('\r\x1b[K', 1)
    assert re.match('\r' + shown + '\x1b\\[K', line), said
    assert not re.search(shown, left)
    assert '\x1b' not in on_terminal(stack, '--json', *args, **more)
    plain = subprocess.run([*stack.ctl_words(), *args], capture_output=True,
                           timeout=300, **more)
    assert plain.returncode == 0 and not re.search(
        shown, plain.stderr.decode()), plain.stderr


def test_what_is_no_request_has_no_number(stack, tmp_path):
    csr = tmp_path / 'csr'
    csr.write_bytes(b'\x30\x00')
    r = stack.ctl('request', 'submit', '--account', stack.env['CS_USER'],
                  '--template', stack.env['CS_TEMPLATE'], '--csr', str(csr),
                  '--json', ok=1)
    row, = json.loads(r.stdout)
    assert (row['state'], row['number']) == ('malformed', None)
    assert row['hresult'] in r.stderr and 'request 0' not in r.stderr


def test_request_list_and_show(stack, issued):
    rows = stack.ctl_json('request', 'list', '--limit', '5')
    assert len(rows) <= 5
    assert any(str(r['number']) == issued.request_id for r in rows)
    for r in rows:
        assert {'id', 'number', 'account', 'template', 'state'} <= set(r)
    shown = stack.ctl('request', 'show', issued.request_id).stdout
    assert 'cli.demo.example' in shown and stack.env['CS_USER'] in shown


def test_request_list_pages(stack, demo, issued):
    for i in range(3):
        demo.enroll(client.make_csr(client.ec_key(), 'page%d.demo.example' % i,
                                    [], stack.env['CS_TEMPLATE']))
    everything = [r['id'] for r in stack.ctl_json('request', 'list',
                                                  '--limit', '1000')]
    assert len(set(everything)) == len(everything) >= 4


def test_request_list_of_some_minutes(stack, issued):
    """Who was it at eight?  Both ends belong to it."""
    rows = stack.ctl_json('request', 'list', '--limit', '100000')
    times = sorted({r['received_at'] for r in rows})
    at = times[len(times) // 2]
    want = [r['id'] for r in rows if r['received_at'] <= at]

    def listed(*args):
        return [r['id'] for r in stack.ctl_json('request', 'list', *args,
                                                '--limit', '100000')]
    # rows have parts of a second, which what is typed has not
    second = datetime.datetime.fromisoformat(at.rstrip('Z')) + \
        datetime.timedelta(seconds=1)
    until = second.strftime('%Y-%m-%dT%H:%M:%SZ')
    got = listed('--until', until)
    assert set(want) <= set(got) and got == [
        r['id'] for r in rows if r['received_at'] < until]
    assert listed('--until', until, '--since', until) == []
    assert listed('--until', '2020-01-01') == []
    first = listed('--until', until, '--after', got[0])
    assert first == got[1:]
    r = stack.ctl('request', 'list', '--since', '1d', '--until', '2d', ok=2)
    assert '--until is before --since' in r.stderr
    assert 'neither a time' in stack.ctl('request', 'list', '--until', 'x',
                                         ok=2).stderr


def test_cert_list_show_export(stack, issued, tmp_path):
    rows = stack.ctl_json('cert', 'list', '--account', stack.env['CS_USER'],
                          '--limit', '100000')
    assert any(int(r['serial'], 16) == issued.certificate.serial_number
               for r in rows)
    s = serial_of(issued)
    assert 'cli.demo.example' in stack.ctl('cert', 'show', s).stdout
    pem = stack.ctl('cert', 'export', s).stdout
    assert x509.load_pem_x509_certificate(
        pem.encode()) == issued.certificate
    out = tmp_path / 'c.der'
    stack.ctl('cert', 'export', s, '--format', 'der', '-o', str(out))
    assert out.read_bytes() == issued.leaf
    assert stack.ctl('cert', 'show', '00FF', ok=None).returncode == 1


def test_lists_by_name(stack):
    """A piece of any of its names, as it is: % stands for itself."""
    c = stack.account('namer', groups=['web-admins'])
    for names in (['named-first.demo.example', 'named-other.demo.example'],
                  ['named-last.demo.example']):
        assert c.enroll(client.make_csr(client.ec_key(), names[0], names,
                                        stack.env['CS_TEMPLATE'])).leaf
    assert not c.enroll(client.make_csr(
        client.ec_key(), 'named-wrong.other.example', [],
        stack.env['CS_TEMPLATE'])).leaf

    def found(kind, text, *more):
        return stack.ctl_json(kind, 'list', '--name', text, *more)
    for text, subject in (('NAMED-Other.demo', 'CN=named-first.demo.example'),
                          ('named-last', 'CN=named-last.demo.example')):
        assert [r['subject'] for r in found('cert', text)] == [subject]
        assert len(found('request', text, '--state', 'issued')) == 1
    assert [r['state'] for r in found('request', 'named-wrong')] == ['denied']
    assert len(found('cert', 'named-', '--account', 'namer')) == 2
    assert len(found('request', 'named-', '--limit', '2')) == 2
    for text in 'named%last', 'named_last', 'named-wrong':
        assert found('cert', text) == []


def test_accounts(stack):
    stack.account('clark', groups=['users', 'web-admins'], cn='Clark',
                  email='clark@demo.example')
    rows = {r['name']: r for r in stack.ctl_json('account', 'list')}
    assert rows['clark']['groups'] == ['users', 'web-admins']
    assert 'password' not in json.dumps(rows).lower().replace(
        'has_password', '')
    assert stack.ctl('account', 'add', 'clark', '--password-stdin',
                     input='x\n', ok=None).returncode == 1
    c = client.Client(stack.env, 'clark', 'second password')
    assert c.policies().fault is not None
    stack.ctl('account', 'passwd', 'clark', '--password-stdin',
              input='second password\n')
    assert c.policies().fault is None
    old = client.Client(stack.env, 'clark', 'correct horse')
    assert old.policies().fault is not None


def test_accounts_in_pages(stack):
    for i in range(5):
        stack.ctl('account', 'add', 'paged%d' % i, '--no-password', '--cn',
                  'Page Five' if i == 4 else 'x%d' % i, '--group', 'paged')
    page = 'account', 'list', '--group', 'paged', '--limit', '2'
    r = stack.ctl(*page)
    assert r.stderr == 'more: --after paged1\n'
    names, after = [], []
    while rows := stack.ctl_json(*page, *after):
        names += [r['name'] for r in rows]
        after = ['--after', names[-1]]
    assert names == ['paged%d' % i for i in range(5)]
    assert stack.ctl(*page, '--after', 'paged3').stderr == ''
    assert [r['name'] for r in stack.ctl_json(
        'account', 'list', '--name', 'ge FI')] == ['paged4']
    one = stack.ctl_json('account', 'show', 'PAGED4')
    assert one == stack.ctl_json('account', 'list', '--name', 'paged4')
    assert 'cn:         Page Five\n' in stack.ctl('account', 'show',
                                                  'paged4').stdout
    r = stack.ctl('account', 'show', 'paged5', ok=1)
    assert 'no account paged5' in r.stderr
    assert stack.ctl('account', 'list', '--limit', '0', ok=None
                     ).returncode == 2


@pytest.mark.parametrize('option,value,words', [
    ('--cn', '\u5f35' * 65, '1 to 64 visible'), ('--cn', '', '1 to 64'),
    ('--cn', 'a\u202eb', 'visible'), ('--dns', 'no host', 'host name'),
    ('--upn', 'nobody', 'user@'), ('--upn', 'jörg@a.example', 'ASCII'),
    ('--email', '@x', 'user@'),
    ('--dn', 'X=1', 'CN=User'), ('--dn', 'CN=' + 'x' * 65, 'CN=User'),
    ('--sid', 'S-2', 'S-1-5-21')])
def test_names_of_accounts(stack, option, value, words):
    """What no certificate could have; and what it has to look like."""
    r = stack.ctl('account', 'add', 'nowhere', '--no-password', option, value,
                  ok=2)
    assert option in r.stderr and words in r.stderr
    assert value[:1] in r.stderr


def test_no_password_of_nobody(stack):
    """Who is not there is told before anybody types one, twice."""
    assert 'no account nobody' in stack.ctl('account', 'passwd', 'nobody',
                                            ok=1).stderr


def test_longest_common_name(stack):
    """64 characters, however many octets they have, are a CN to the end."""
    name = '\u5f35' * 64
    stack.ctl('account', 'add', 'zhang', '--cn', name, '--password-stdin',
              '--group', 'users', input='correct horse\n')
    r = client.Client(stack.env, 'zhang', 'correct horse').enroll(
        client.make_csr(client.rsa_key(2048), template='User'))
    assert r.certificate.subject.rfc4514_string() == 'CN=' + name


def test_policy_check(stack, tmp_path):
    good = tmp_path / 'good.conf'
    good.write_text(stack.ctl('policy', 'show').stdout)
    stack.ctl('policy', 'check', str(good))
    bad = tmp_path / 'bad.conf'
    bad.write_text(good.read_text() + '\nsurprise = 1\n')
    r = stack.ctl('policy', 'check', str(bad), ok=None)
    assert r.returncode == 1
    assert 'surprise' in r.stdout + r.stderr


def test_policy_of_a_ca_that_is_not_there(stack, tmp_path):
    """Refused, not to be tried again: exit code 1."""
    path = tmp_path / 'policy.conf'
    path.write_text(stack.ctl('policy', 'show').stdout.replace(
        '"Demo-CA"', '"Demo-AC"'))
    r = stack.ctl('policy', 'publish', str(path), ok=1)
    assert 'ca Demo-AC' in r.stderr and 'ca show' in r.stderr


def test_policy_published_again(stack, tmp_path):
    """The text in force: no version, no row of audit."""
    def state():
        return stack.sql("SELECT (SELECT max(version) FROM countersign.policy)"
                         ", count(*) FROM countersign.audit "
                         "WHERE action LIKE 'policy%%'")
    text = tmp_path / 'policy.conf'
    text.write_text(stack.ctl('policy', 'show').stdout)
    before = state()
    row, = stack.ctl_json('policy', 'publish', str(text))
    assert row['version'] == before[0][0] and row['raised'] == []
    assert state() == before


def test_explain(stack, tmp_path):
    r = stack.ctl('explain', '--account', stack.env['CS_USER'])
    assert stack.env['CS_TEMPLATE'] in r.stdout
    assert r.stdout == stack.ctl('explain', '--user',
                                 stack.env['CS_USER']).stdout
    stack.ctl('explain', '--user', 'a', '--account', 'b', ok=2)
    csr = tmp_path / 'r.der'
    csr.write_bytes(client.make_csr(client.ec_key(), 'ex.demo.example', [],
                                    stack.env['CS_TEMPLATE']))
    r = stack.ctl('explain', '--user', stack.env['CS_USER'], '--csr', str(csr))
    assert 'ex.demo.example' in r.stdout
    csr.write_bytes(client.make_csr(client.ec_key(), 'ex.other.example', [],
                                    stack.env['CS_TEMPLATE']))
    r = stack.ctl('explain', '--user', stack.env['CS_USER'], '--csr', str(csr),
                  ok=1)
    assert 'ex.other.example' in r.stdout + r.stderr


def test_explain_type_and_secret(stack):
    rows = {r['template']: r for r in
            stack.ctl_json('explain', '--user', stack.env['CS_USER'])}
    machine = rows[stack.env['CS_TEMPLATE_MACHINE']]
    assert machine['type'] == 'machine' and 'certlm.msc' in machine['text']
    assert rows['User']['type'] == 'user' and rows['User']['text'] is None
    assert all(r['signatures'] == 0 for r in rows.values())


def test_explain_names_the_groups(stack):
    """What would help is told to operators, not to who was refused."""
    c = stack.account('lonely')
    rows = {r['template']: r['text'] for r in
            stack.ctl_json('explain', '--account', 'lonely', ok=1)}
    assert rows['User'].endswith('groups that may enroll: users')
    reason = c.enroll(client.make_csr(client.ec_key(), 'x.demo.example', [],
                                      'User')).reason
    assert 'may enroll (request' in reason
    stack.ctl('account', 'disable', 'lonely')
    assert all(r['text'] == 'account lonely is disabled' for r in
               stack.ctl_json('explain', '--account', 'lonely', ok=1))


def test_explain_says_what_ces_says(stack, tmp_path):
    """Same code, same words."""
    c = stack.account('asker', groups=['users'])
    csr = client.make_csr(client.ec_key(), 'ask.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    reason = c.enroll(csr).reason.split(' (request')[0]
    path = tmp_path / 'r.der'
    path.write_bytes(csr)
    r = stack.ctl('explain', '--user', 'asker', '--csr', str(path), ok=1)
    assert reason in ' '.join((r.stdout + r.stderr).split())


def test_ca_show_and_export(stack, tmp_path):
    import subprocess
    name = stack.sql('SELECT name FROM countersign.ca LIMIT 1')[0][0]
    assert name in stack.ctl('ca', 'show').stdout
    out = tmp_path / 'ca.p7b'
    stack.ctl('ca', 'export', name, '--format', 'p7b', '-o', str(out))
    r = subprocess.run(['openssl', 'pkcs7', '-inform', 'DER', '-in', out,
                        '-print_certs'], capture_output=True, text=True)
    if r.returncode:
        r = subprocess.run(['openssl', 'pkcs7', '-in', out, '-print_certs'],
                           capture_output=True, text=True)
    assert r.stdout.count('BEGIN CERTIFICATE') >= 1


def test_ledger_verify_finds_an_edit(stack, issued, tmp_path):
    r = stack.ctl('ledger', 'verify')
    assert r.returncode == 0
    import shutil
    src = next(p for p in (stack.dir / 'ledger').iterdir() if p.is_dir())
    copy = tmp_path / 'ledger'
    shutil.copytree(src, copy)
    file = copy / 'ledger'
    lines = file.read_bytes().splitlines(keepends=True)
    k = len(lines) // 2
    for edit in (lines[:k] + lines[k + 1:],
                 lines[:k] + [lines[k].replace(b'"type":"', b'"type":"x')] +
                 lines[k + 1:],
                 lines[:k] + [lines[k + 1], lines[k]] + lines[k + 2:]):
        file.write_bytes(b''.join(edit))
        assert stack.ctl('ledger', 'verify', str(copy),
                         ok=None).returncode == 4


def test_done_but_not_shown(stack, tmp_path):
    """Nobody shall think that nothing was done, or look for a secret."""
    def say(*args):
        with open('/dev/full', 'w') as full:
            r = subprocess.run([*stack.ctl_words(), *args], text=True,
                               stdout=full, stderr=subprocess.PIPE)
        assert r.returncode == 1
        return r.stderr
    name = 'unseen-%s.demo.example' % uuid.uuid4().hex[:8]
    assert 'the secrets are made and nobody has seen them: create them ' \
        'again' in say('secret', 'create', '--template',
                       stack.env['CS_TEMPLATE_MACHINE'], '--dns', name)
    cert = client.Client(stack.env).enroll(client.make_csr(
        client.ec_key(), name, [name], stack.env['CS_TEMPLATE'])).certificate
    serial = '%X' % cert.serial_number
    said = say('cert', 'revoke', serial, '--reason', 'superseded',
               '--dry-run')
    assert 'standard output: write\n' in said
    assert 'they are revoked' in say('cert', 'revoke', serial, '--reason',
                                     'superseded')
    assert stack.ctl_json('cert', 'show', serial)[0]['revocation_reason'] == 4
    account = 'unseen%d' % time.time_ns()
    assert 'what was asked for is done' in say(
        'account', 'add', account, '--no-password', '--json')
    csr = tmp_path / 'csr'
    csr.write_bytes(client.make_csr(client.ec_key(), name, [name],
                                    stack.env['CS_TEMPLATE']))
    said = say('request', 'submit', '--account', stack.env['CS_USER'],
               '--template', stack.env['CS_TEMPLATE'], '--csr', str(csr))
    serial = re.search('it is issued: cert export ([0-9A-F]+)', said)[1]
    assert stack.ctl('cert', 'export', serial)
    for args in (['--help'], ['--version'], ['cert', 'list', '--help'],
                 ['crl', 'publish', '--to', str(tmp_path)]):
        assert 'standard output: write' in say(*args)


def test_closed_streams(stack, tmp_path):
    """What is printed goes into no connection: a secret least of all."""
    log = stack.dir / 'log/postgres.log'
    before = log.stat().st_size
    words = stack.ctl_words()
    for args in ('account list', '--json account list',
                 'crl publish --to %s' % tmp_path, 'policy show', '--help'):
        r = subprocess.run(['sh', '-c', 'exec "$@" >&-', 'sh', *words,
                            *args.split()], stderr=subprocess.PIPE, text=True)
        assert r.returncode == 1, args
        assert 'standard output: ' in r.stderr, args
    for closed in '2>&-', '<&-', '<&- 2>&-':
        r = subprocess.run(['sh', '-c', 'exec "$@" ' + closed, 'sh', *words,
                            'account', 'list'], stdout=subprocess.PIPE)
        assert r.returncode == 0 and b'demo' in r.stdout, closed
    assert b'invalid frontend message' not in log.read_bytes()[before:]


@pytest.mark.parametrize('program,conf', [
    ('countersign-worker', 'worker.conf'),
    ('countersign-signer', 'signer-1.conf')])
def test_a_daemon_tests_its_key(stack, tmp_path, program, conf):
    text = (stack.conf.parent / conf).read_text()
    mine = tmp_path / conf
    for path, said in ((None, 'configuration is good'),
                       ('/none', '/none: No such file')):
        mine.write_text(text if path is None else re.sub(
            r'(?m)^key-file = .*', 'key-file = "%s"' % path, text))
        mine.chmod(0o600)
        r = subprocess.run([stack.bin / program, '-t', '-c', mine],
                           capture_output=True, text=True, timeout=300)
        assert r.returncode == (path is not None), r.stderr
        assert said in r.stdout + r.stderr
