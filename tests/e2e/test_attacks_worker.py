"""A hijacked worker: its CURVE key and its database role against a signer."""
import uuid

import pytest

import client
from ledgers import restart_signers
from schema import check_fault, check_rstrc
from wire import (ANONYMOUS, APPROVE, CERTIFICATE, DENY, ISSUE, OPERATOR,
                  PASSWORD, QUERY, Peer, ask, octets, seq, status, text)

PENDING, MALFORMED, UNAVAILABLE = 2, 4, 6


@pytest.fixture(scope='module')
def worker(stack):
    p = Peer(stack, 'worker')
    yield p
    p.close()


@pytest.fixture(scope='module')
def unheard(stack):
    """Waits less for what is answered by nobody perhaps."""
    p = Peer(stack, 'worker', patience=3)
    yield p
    p.close()


def waiting(stack):
    """Id of a request that waits for a manager."""
    r = client.Client(stack.env).enroll(client.make_csr(
        client.ec_key(), 'w.demo.example', [],
        stack.env['CS_TEMPLATE_APPROVAL']))
    n = int(r.findtext('.//e:RequestID'))
    rows = stack.sql('SELECT id, state FROM countersign.request '
                     'WHERE number = %s', n)
    assert rows[0][1] == 'pending'
    return bytes(rows[0][0])


@pytest.mark.parametrize('call', [APPROVE, DENY])
@pytest.mark.parametrize('method', [ANONYMOUS, PASSWORD, OPERATOR])
@pytest.mark.parametrize('account', ['', 'alice'])
def test_workers_decide_nothing(stack, unheard, call, method, account):
    """ESC7: whoever submits must not approve, and a worker submits."""
    ident = waiting(stack)
    verdict = seq(octets(ident), text('root'), text(''), text(''))
    answer = unheard.ask(ask(stack, call, method, account, verdict=verdict))
    assert answer is None or status(answer) == 3
    if answer is not None:
        assert b'may not use method' in answer[4].contents
    row = stack.sql('SELECT state, approved_by FROM countersign.request '
                    'WHERE id = %s', ident)[0]
    assert row == ('pending', None)


def test_no_client_certificate_beside_a_password(stack, worker):
    """A row would say that somebody had logged on with it."""
    demo = client.Client(stack.env)
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    cert = demo.enroll(csr).leaf
    a = worker.ask(ask(stack, ISSUE, PASSWORD, demo.user, csr, evidence=cert))
    assert status(a) == 3
    assert b'a client certificate, and method password' in a[4].contents


@pytest.mark.parametrize('call', [ISSUE, QUERY])
def test_a_client_certificate_is_its_account(stack, worker, call):
    """Whoever the worker says has come with it."""
    demo, other = client.Client(stack.env), stack.account(
        'evidence-%s' % uuid.uuid4().hex[:8], groups=['users'], cn='E')
    key = client.ec_key()
    r = demo.enroll(client.make_csr(key, template='User'))
    check_rstrc(r)
    csr = client.make_csr(key, template='User')

    def answer(account, cert):
        return worker.ask(ask(stack, call, CERTIFICATE, account, csr,
                              asked=int(r.request_id), evidence=cert))
    assert status(answer(demo.user, r.leaf)) == 1
    for account, cert, words in (
            (other.user, r.leaf, "is account %s's, not %s's" % (demo.user,
                                                               other.user)),
            (demo.user, b'', 'method certificate without a certificate')):
        a = answer(account, cert)
        assert status(a) == 3 and words in a[4].contents.decode()


@pytest.mark.parametrize('call', [ISSUE, QUERY])
def test_accounts_that_are_none(stack, worker, call):
    """Who was disabled fetches nothing either."""
    who = stack.account('none-%s' % uuid.uuid4().hex[:8], groups=['users'],
                        cn='N')
    csr = client.make_csr(client.ec_key(), template='User')
    number = int(who.enroll(csr).request_id)

    def answer(account):
        return worker.ask(ask(stack, call, PASSWORD, account, csr,
                              asked=number))
    assert status(answer(who.user)) == 1
    stack.ctl('account', 'disable', who.user)
    for account, words in ((who.user, b'is disabled'),
                           (who.user + '-x', b'does not exist')):
        a = answer(account)
        assert status(a) == 3 and words in a[4].contents


@pytest.mark.parametrize('method,account,words', [
    (ANONYMOUS, 'alice', 'anonymous, with an account'),
    (PASSWORD, '', 'not canonical'), (PASSWORD, 'Alice', 'not canonical'),
    (PASSWORD, 'LAB\\alice', 'not canonical'),
    (PASSWORD, 'alice@', 'not canonical')])
def test_names_of_nobody(stack, worker, method, account, words):
    """A row would have a name that no account has."""
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    a = worker.ask(ask(stack, ISSUE, method, account, csr))
    assert status(a) == MALFORMED and words in a[4].contents.decode()


@pytest.mark.parametrize('days', [-2, 2])
def test_an_id_of_another_day(stack, worker, days):
    """Its row would be where nobody looks for it."""
    demo = client.Client(stack.env)

    def answer(d):
        csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                              stack.env['CS_TEMPLATE'])
        return worker.ask(ask(stack, ISSUE, PASSWORD, demo.user, csr, days=d))
    assert status(answer(days // 2)) == 1    # clocks differ at midnight
    a = answer(days)
    assert status(a) == MALFORMED and b'of another day' in a[4].contents


@pytest.mark.parametrize('call', [ISSUE, QUERY])
def test_workers_are_no_operators(stack, worker, call):
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    a = worker.ask(ask(stack, call, OPERATOR, 'alice', csr, asked=7))
    assert status(a) == 3 and b'may not use method' in a[4].contents


def test_what_is_no_message(stack, worker):
    """The signer says so in its log, and goes on."""
    good = ask(stack, QUERY, PASSWORD, 'alice', asked=7, ahead=-90)
    assert status(worker.ask(good)) == 9
    before = stack.pids('signer')
    for junk in (b'\0', b'junk', good[:-1], good + b'\0', b'\x30' * 200000,
                 ask(stack, 0, PASSWORD, 'alice'),
                 ask(stack, QUERY, PASSWORD, 'a' * 200)):
        worker.send(junk)
        assert status(worker.ask(good)) == 9
    # Milliseconds that are no time in microseconds.
    assert status(worker.ask(ask(stack, QUERY, PASSWORD, 'alice', asked=7,
                                 ahead=9e15))) == 9
    assert stack.pids('signer') == before
    assert 'event=dropped text="worker worker: ask: ' in stack.log('signer')


@pytest.mark.parametrize('ahead', [-90, 90])
def test_of_another_time(stack, worker, ahead):
    """Nothing is done; whose clock is wrong another signer may know."""
    a = worker.ask(ask(stack, QUERY, PASSWORD, 'alice', asked=7, ahead=ahead))
    assert status(a) == 9


def test_nobody_queries(stack, worker):
    a = worker.ask(ask(stack, QUERY, ANONYMOUS, '', asked=7))
    assert status(a) == 3 and b'only renew' in a[4].contents


@pytest.mark.parametrize('exists', [True, False])
def test_refusals_fill_no_disk(stack, worker, exists):
    """[security] Z4: whoever says that he is asking."""
    who = 'refused-%d' % exists
    if exists:
        stack.ctl('account', 'add', who, '--no-password', '--cn', 'R')
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])

    def refused(account):
        a = worker.ask(ask(stack, ISSUE, PASSWORD, account, csr))
        assert status(a) == 3
        return a[4].contents.decode()
    why = refused(who)
    rows = 1
    while not (last := refused(who)).endswith('too often: not recorded'):
        assert last == why
        rows += 1
    assert last == why + '; refused too often: not recorded'
    assert rows >= 600 or not exists
    assert stack.sql('SELECT count(*) FROM countersign.request WHERE account '
                     '= %s', who)[0][0] == rows
    # Others', and what is none, are told and recorded as ever.
    if not exists:
        assert refused('nobody-else').endswith('not recorded')
        who = 'refused-others'
        stack.ctl('account', 'add', who, '--no-password', '--cn', 'R')
        assert 'too often' not in refused(who)


def test_one_account_does_not_fill_the_approvers_list(stack, worker):
    """[security] Z4: what waits has to be read by people."""
    def waits(account):
        csr = client.make_csr(key, 'x.demo.example', ['x.demo.example'],
                              stack.env['CS_TEMPLATE_APPROVAL'])
        return status(worker.ask(ask(stack, ISSUE, PASSWORD, account, csr)))
    much, once = ('waits-%s-%s' % (w, uuid.uuid4().hex[:8])
                  for w in ('much', 'once'))
    for who in much, once:
        stack.account(who, groups=['web-admins'])
    key, n = client.ec_key(), 0
    while n < 2000 and (last := waits(much)) == PENDING:
        n += 1
    assert last == UNAVAILABLE and n >= 600
    assert stack.sql('SELECT count(*) FROM countersign.request WHERE account '
                     '= %s', much)[0][0] == n
    key = client.ec_key()
    assert waits(once) == PENDING
    assert 'too many requests for approval of account ' + much in \
        stack.log('signer')


@pytest.fixture
def limited(stack):
    """Signers that let the worker ask for one template."""
    confs = sorted((stack.dir / 'etc').glob('signer-*.conf'))
    before = [c.read_text() for c in confs]

    def put(texts):
        for c, text in zip(confs, texts):
            c.write_text(text)
        restart_signers(stack)
    line = 'worker "worker" {\n'
    assert all(line in text for text in before)
    try:
        put([text.replace(line, line + '\ttemplates = {"%s"}\n' %
                          stack.env['CS_TEMPLATE']) for text in before])
        yield
    finally:
        put(before)


def test_templates_of_a_worker(stack, limited):
    """[security] Z8: it gets no more than what it is there for."""
    demo, name = client.Client(stack.env), 'limit.demo.example'

    def enroll(template):
        return demo.enroll(client.make_csr(client.ec_key(), name, [name],
                                           stack.env[template]))
    check_rstrc(enroll('CS_TEMPLATE'))
    words = 'worker worker may not ask for it'
    for template in 'CS_TEMPLATE_APPROVAL', 'CS_TEMPLATE_RENEWAL':
        r = enroll(template)
        check_fault(r)
        assert r.hresult == 0x80070005 and words in r.reason, r.reason
        state, why = stack.sql(
            'SELECT state, message FROM countersign.request WHERE account = '
            '%s ORDER BY received_at DESC LIMIT 1', demo.user)[0]
        assert state == 'denied' and words in why
