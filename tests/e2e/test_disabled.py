"""Accounts that are disabled with what they hold, while signers issue."""
import concurrent.futures
import time

import psycopg
import pytest
from cryptography import x509

import client
from revocation import ask, issue, root  # noqa: F401
from waits import wait_for


def test_disabled_account_loses_what_it_holds(stack, issue):
    name = 'leaver%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    cert = issue(user)
    r = stack.ctl('account', 'disable', name, '--revoke', 'nonsense',
                  ok=2)
    assert 'must be' in r.stderr
    assert not [a for a in stack.ctl_json('account', 'list')
                if a['name'] == name][0]['disabled']
    stack.ctl('account', 'disable', name, '--revoke',
              'cessationOfOperation')
    assert ask(cert).revocation_reason == \
        x509.ReasonFlags.cessation_of_operation
    assert user.enroll(client.make_csr(client.rsa_key(), cn='x')).fault \
        is not None


def test_issued_while_it_is_disabled(stack, issue):
    """Behind the look at what is to be revoked, and before the COMMIT."""
    name = 'stayer%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    certs = [issue(user)]
    dsn = psycopg.conninfo.make_conninfo(stack.env['CS_DSN'], user='postgres')

    def disabled():
        with psycopg.connect(dsn) as db:
            db.execute('LOCK TABLE countersign.revoked IN SHARE MODE')
            done = pool.submit(stack.ctl, 'account', 'disable', name,
                               '--revoke', 'keyCompromise', ok=None)
            wait_for(lambda: stack.sql(
                'SELECT FROM pg_locks WHERE NOT granted AND relation = '
                "'countersign.revoked'::regclass"))
            certs.append(issue(user))
        return done.result()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # It waits some seconds for a lock: on a busy machine not long enough.
        r = wait_for(lambda: 'lock timeout' not in (
            r := disabled()).stderr and r)
    assert r.returncode == 0, r.stderr
    assert '%d certificates revoked' % len(certs) in r.stderr
    for cert in certs:
        assert ask(cert).revocation_reason == x509.ReasonFlags.key_compromise


LASTING = """
CREATE TABLE public.go_on ();
CREATE FUNCTION public.last() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM public.go_on) LOOP
		%s;
	END LOOP;
	RETURN NULL;
END $$;
CREATE TRIGGER lasting AFTER INSERT ON countersign.certificate FOR EACH ROW
    WHEN (NEW.account = '%s') EXECUTE FUNCTION public.last();
"""


@pytest.fixture
def lasting(root):
    """lasting(name): the transactions with its certificates last, or do what
    is said, until go_on is called, which is what lasting() gives."""
    def go_on():
        root.execute('INSERT INTO public.go_on DEFAULT VALUES')

    def last(name, does='PERFORM pg_sleep(0.05)'):
        root.execute(LASTING % (does, name))
        return go_on
    yield last
    go_on()
    root.execute('DROP TRIGGER lasting ON countersign.certificate')
    root.execute('DROP FUNCTION public.last(); DROP TABLE public.go_on')


def test_a_transaction_that_lasts_while_it_is_disabled(
        stack, issue, root, lasting):
    """Nobody sees its rows yet: the command waits for its end."""
    def one(sql, *p):
        return root.execute(sql, p).fetchone()
    name = 'lasting%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    issue(user)
    go_on = lasting(name)
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        late = pool.submit(user.enroll, csr)
        wait_for(lambda: one("SELECT 1 FROM pg_stat_activity WHERE usename = "
                             "'countersign_signer' AND wait_event = "
                             "'PgSleep'"))
        began, = one('SELECT now()')
        done = pool.submit(stack.ctl, 'account', 'disable', name, '--revoke',
                           'keyCompromise')
        since = wait_for(lambda: one('SELECT now() FROM countersign.account '
                                     'WHERE disabled AND name = %s', name))
        # It has asked what there is, or looks for what it shall revoke.
        wait_for(lambda: done.done() or one(
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'countersign_"
            "operator' AND query_start > %s AND backend_start > %s", *since,
            began))
        go_on()
        late.result()
        assert '2 certificates revoked' in done.result().stderr
    assert stack.sql('SELECT revocation_reason FROM countersign.certificate '
                     'WHERE account = %s', name) == [(1,), (1,)]


def test_a_transaction_that_is_begun_anew(stack, issue, lasting):
    """What it failed of is over, and its account is disabled by now."""
    name = 'anew%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    issue(user)
    go_on = lasting(name, 'RAISE lock_not_available')
    seen = len(stack.log('signer'))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(user.enroll, client.make_csr(
            client.ec_key(), 'x.demo.example', [], stack.env['CS_TEMPLATE']))
        wait_for(lambda: 'event=commit' in stack.log('signer')[seen:])
        stack.ctl('account', 'disable', name)
        go_on()
        late.result()
    assert 'was disabled while its' in stack.log('signer')[seen:]
    assert stack.sql('SELECT count(*) FROM countersign.certificate WHERE '
                     'account = %s', name) == [(1,)]


def test_a_transaction_that_does_not_end(stack, issue, lasting):
    """The account is disabled; what is left to be done is said."""
    name = 'endless%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    issue(user)
    go_on = lasting(name)
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    disable = ['account', 'disable', name, '--revoke', 'keyCompromise']
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(user.enroll, csr)
        wait_for(lambda: stack.sql(
            "SELECT FROM pg_locks WHERE mode = 'RowExclusiveLock' AND "
            "relation = 'countersign.certificate'::regclass"))
        r = stack.ctl(*disable, ok=None)
        go_on()
        late.result()
    assert r.returncode == 3 and 'does not end for 30 seconds' in r.stderr
    assert stack.ctl_json('account', 'show', name)[0]['disabled']
    stack.ctl(*disable)
    assert {r for r, in stack.sql(
        'SELECT revocation_reason FROM countersign.certificate '
        'WHERE account = %s', name)} == {1}
