"""One-time secrets: one certificate from one template, once."""
import concurrent.futures
import time
import uuid

import pytest
from cryptography.hazmat.primitives import serialization

import client
from certlogon import CertClient, pem_key
from onetime import create
from schema import check_fault, check_policies, check_rstrc
from workers import patience  # noqa: F401

ENROLL_DENIED, TEMPLATE_DENIED = 0x80094011, 0x80094012


def host():
    return 'ot-%s.demo.example' % uuid.uuid4().hex[:8]


def login(stack, row):
    return client.Client(stack.env, row['name'], row['secret'])


def csr(stack, template=None, key=None):
    return client.make_csr(key or client.ec_key(), template=template or
                           stack.env['CS_TEMPLATE_MACHINE'])


def listed(stack, name):
    return [r for r in stack.ctl_json('secret', 'list')
            if r['name'] == name][0]


def issued(reply):
    check_rstrc(reply)
    return reply.certificate


def denied(reply, hresult, *words):
    check_fault(reply)
    assert reply.hresult == hresult, reply.reason
    for w in words:
        assert w in reply.reason, reply.reason


def certificates(stack, name):
    return stack.sql('SELECT count(*) FROM countersign.certificate '
                     'WHERE account = %s', name)[0][0]


def test_once(stack):
    name = host()
    row = create(stack, name)
    assert row['name'] == name
    assert len(row['secret'].replace('-', '')) == 26
    assert not set(row['secret']) & set('01loO')
    assert listed(stack, name)['state'] == 'good'
    who = login(stack, row)
    templates = who.policies()
    check_policies(templates)
    assert [e.text for e in templates.findall('.//p:commonName')] == \
        [stack.env['CS_TEMPLATE_MACHINE']]
    cert = issued(who.enroll(csr(stack)))
    assert cert.subject.rfc4514_string() == 'CN=' + name
    assert listed(stack, name)['state'] == 'used'
    assert listed(stack, name)['request'] == stack.sql(
        "SELECT encode(id, 'hex') FROM countersign.request WHERE account = %s"
        " AND state = 'issued'", name)[0][0]
    denied(who.enroll(csr(stack)), ENROLL_DENIED, 'was used', name)
    assert certificates(stack, name) == 1
    # The account lives on.
    assert name in stack.ctl('account', 'list').stdout


def test_nowhere_in_clear(stack):
    name = host()
    row = create(stack, name)
    login(stack, row).enroll(csr(stack))
    logs = ''.join(stack.log(p) for p in ('signer', 'worker', 'nginx'))
    assert row['secret'] not in logs
    assert row['secret'] not in str(stack.ctl_json('secret', 'list'))
    assert stack.sql('SELECT detail FROM countersign.audit WHERE detail '
                     'LIKE %s', '%' + name + '%')
    assert not stack.sql('SELECT FROM countersign.audit WHERE detail '
                         'LIKE %s', '%' + row['secret'] + '%')


def test_wrong_secret(stack):
    row = create(stack, host())
    who = client.Client(stack.env, row['name'], row['secret'][:-1] + '2'
                        if row['secret'][-1] != '2' else 'x')
    r = who.enroll(csr(stack))
    check_fault(r)
    assert r.subcode == 'FailedAuthentication'
    assert listed(stack, row['name'])['state'] == 'good'


def test_other_template(stack):
    who = login(stack, create(stack, host()))
    r = who.enroll(client.make_csr(client.rsa_key(), who.user, [],
                                   stack.env['CS_TEMPLATE']))
    denied(r, TEMPLATE_DENIED, 'is for template',
           stack.env['CS_TEMPLATE_MACHINE'])
    # A group does not widen what it is for.
    stack.ctl('account', 'group', who.user, 'add', 'users', 'web-admins')
    denied(who.enroll(csr(stack, 'User')), TEMPLATE_DENIED)
    # A refusal leaves it good.
    assert listed(stack, who.user)['state'] == 'good'
    issued(who.enroll(csr(stack)))


def test_refused_request_leaves_it_good(stack):
    who = login(stack, create(stack, host()))
    weak = client.make_csr(client.rsa_key(1024), template=stack.env[
        'CS_TEMPLATE_MACHINE'])
    assert who.enroll(weak).fault is not None
    broken = bytearray(csr(stack))
    broken[-3] ^= 1
    assert who.enroll(bytes(broken)).fault is not None
    assert listed(stack, who.user)['state'] == 'good'
    issued(who.enroll(csr(stack)))


def test_expired(stack):
    who = login(stack, create(stack, host(), expires='1s'))
    time.sleep(1.2)
    denied(who.enroll(csr(stack)), ENROLL_DENIED, 'expired', who.user)
    r = who.policies()
    check_policies(r)
    assert not r.findall('.//p:policy')
    assert listed(stack, who.user)['state'] == 'expired'
    assert certificates(stack, who.user) == 0


def test_revoked(stack):
    who = login(stack, create(stack, host()))
    stack.ctl('secret', 'revoke', who.user)
    r = who.enroll(csr(stack))
    check_fault(r)
    assert r.subcode == 'FailedAuthentication'
    assert certificates(stack, who.user) == 0
    stack.ctl('secret', 'revoke', stack.env['CS_USER'], ok=1)


@pytest.mark.parametrize('round', range(3))
def test_concurrent_use(stack, patience, round):  # noqa: F811
    """However many come at once, to whichever signer: one certificate."""
    row = create(stack, host())
    requests = [csr(stack) for _ in range(8)]
    clients = [login(stack, row) for _ in requests]
    # The argon2id is paid by then: they reach the signers together.
    for c in clients:
        assert c.policies().status == 200
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda x: x[0].enroll(x[1]),
                                zip(clients, requests)))
    good = [r for r in replies if r.status == 200]
    assert len(good) == 1
    for r in replies:
        if r is not good[0]:
            denied(r, ENROLL_DENIED, 'used')
    assert certificates(stack, row['name']) == 1
    signers = stack.sql('SELECT count(*) FROM countersign.void_serial v JOIN '
                        'countersign.request r ON r.id = v.request_id WHERE '
                        'r.account = %s', row['name'])
    assert signers == [(0,)], 'signed in vain'


def test_new_secret_for_the_same_machine(stack):
    name = host()
    first = create(stack, name)
    second = create(stack, name)
    assert first['secret'] != second['secret']
    assert login(stack, first).enroll(csr(stack)).fault is not None
    issued(login(stack, second).enroll(csr(stack)))
    issued(login(stack, create(stack, name)).enroll(csr(stack)))
    assert certificates(stack, name) == 2


def test_no_password_on_top(stack):
    name = create(stack, host())['name']
    stack.ctl('account', 'passwd', name, '--password-stdin',
              input='another one\n', ok=1)


@pytest.mark.parametrize('template,words', [
    ('User', 'is for users'), ('WebServer', 'takes names'),
    ('WebServerApproval', 'takes names'), ('Nope', 'no template')])
def test_templates_that_cannot_be(stack, template, words):
    name = host()
    r = stack.ctl('secret', 'create', '--template', template, '--dns', name,
                  ok=1)
    assert words in r.stderr
    assert name not in stack.ctl('account', 'list').stdout


@pytest.mark.parametrize('args', [
    [], ['--dns', 'a.b.example'],
    ['--dns', 'a.b.example', '--template', 'Computer', '--csv', 'x'], ['--dns', 'no_dns', '--template', 'Computer'],
    ['--dns', '*.b.example', '--template', 'Computer'],
    ['--dns', 'a.b.example', '--template', 'Computer', '--expires', '0s'],
    ['--dns', 'a.b.example', '--template', 'Computer', '--expires', 'soon']])
def test_mistakes(stack, args):
    assert stack.ctl('secret', 'create', *args, ok=None).returncode in (1, 2)


def test_ordinary_account_is_no_machine(stack):
    row = stack.sql("SELECT dns FROM countersign.account WHERE name = %s",
                    stack.env['CS_USER'])
    r = stack.ctl('secret', 'create', '--template', 'Computer', '--dns',
                  row[0][0], ok=1)
    assert 'ordinary account' in r.stderr


def test_csv(stack, tmp_path):
    names = [host() for _ in range(3)]
    path = tmp_path / 'hosts.csv'
    path.write_text('# our machines\n%s\n\n %s , Computer\r\n%s,,1h\n'
                    % tuple(names))
    rows = stack.ctl_json('secret', 'create', '--csv', str(path),
                          '--template', 'Computer')
    assert [r['name'] for r in rows] == names
    assert len({r['secret'] for r in rows}) == 3
    assert rows[2]['expires_at'] < rows[0]['expires_at']
    issued(login(stack, rows[1]).enroll(csr(stack)))


def test_csv_of_windows(stack):
    """A byte order mark, and fields between quotes."""
    names = [host(), host()]
    rows = stack.ctl_json(
        'secret', 'create', '--csv', '-', '--template', 'Computer',
        input='\ufeff"%s"\r\n"%s","Computer" ,"1h"\r\n' % tuple(names))
    assert [r['name'] for r in rows] == names
    r = stack.ctl('secret', 'create', '--csv', '-', '--template', 'Computer',
                  input='a\0b\0', ok=1)
    assert 'UTF-8' in r.stderr


@pytest.mark.parametrize('bad,words', [
    ('%s', 'line 2: no template'), ('%s,Nope', 'line 2: no template Nope'),
    ('not a name,Computer', 'line 2: not a dns name'),
    ('%s,Computer,1d,more', 'line 2: more than'),
    ('%s,Computer,tomorrow', 'line 2: "tomorrow" is not a duration'),
    (',Computer', 'line 2: no dns name'),
    ('demo.demo.example,Computer', 'account demo')])
def test_csv_all_or_nothing(stack, bad, words):
    first = host()
    text = first + ',Computer\n' + (bad % host() if '%s' in bad else bad)
    r = stack.ctl('secret', 'create', '--csv', '-', input=text, ok=1)
    assert words in r.stderr, r.stderr
    assert r.stdout == ''
    assert first not in stack.ctl('account', 'list').stdout
    twice = '%s,Computer\n%s,Computer' % (first, first.upper())
    r = stack.ctl('secret', 'create', '--csv', '-', input=twice, ok=1)
    assert 'twice' in r.stderr


def test_csv_of_thousands(stack):
    """Looked over as a whole before the first secret is made."""
    text = ''.join('m%d.demo.example,Computer\n' % i for i in range(20000))
    r = stack.ctl('secret', 'create', '--csv', '-', ok=1,
                  input=text + 'M777.demo.example,Computer\n')
    assert 'line 20001: m777.demo.example stands twice' in r.stderr
    text = ''.join('n%d.demo.example,Computer\n' % i for i in range(50001))
    r = stack.ctl('secret', 'create', '--csv', '-', input=text, ok=1)
    assert 'line 50001: more than 50000 secrets' in r.stderr


def test_renewal_lives_on(stack, tmp_path):
    """The secret is spent, the certificate is what the machine is now."""
    who, key, new = login(stack, create(stack, host())), client.ec_key(), \
        client.ec_key()
    old = who.enroll(csr(stack, key=key))
    cert = issued(old)
    pem = tmp_path / 'machine.pem'
    pem.write_bytes(pem_key(key) + cert.public_bytes(
        serialization.Encoding.PEM))
    machine = CertClient(stack.env, str(pem))
    # No other certificate, whether logged on by secret or certificate.
    for c in who, machine:
        denied(c.enroll(csr(stack)), ENROLL_DENIED, 'was used')
        denied(c.enroll(csr(stack, 'User')), TEMPLATE_DENIED)
    renewal = client.renewal_cmc(client.renewal_csr(
        new, old.leaf, template=stack.env['CS_TEMPLATE_MACHINE']),
        new, key, old.leaf)
    after = issued(machine.enroll(renewal, pkcs10=False))
    assert after.subject == cert.subject
    assert certificates(stack, who.user) == 2
    # A renewal that its key did not sign is none.
    forged = client.renewal_cmc(client.renewal_csr(
        new, old.leaf, template=stack.env['CS_TEMPLATE_MACHINE']),
        new, new, old.leaf)
    for c in who, machine:
        assert c.enroll(forged, pkcs10=False).fault is not None
    assert certificates(stack, who.user) == 2
