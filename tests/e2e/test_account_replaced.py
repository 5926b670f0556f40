"""Whom the directory has made anew, or given another's name: he gets nothing
of who was called so before."""
import concurrent.futures
import re
import time

import psycopg
from cryptography.hazmat.primitives import serialization

import client
from adfile import computer
from adload import account, load, own, verified    # noqa: F401
from certlogon import CertClient, pem_key
from renewals import Held
from waits import wait_for


def test_replaced(own, tmp_path):
    """A computer that was joined anew, and one that was called otherwise:
    whoever has the old one's certificate gets no other with it."""
    csr = tmp_path / 'r.der'
    csr.write_bytes(client.make_csr(client.ec_key(), None, [], 'Computer'))
    load(own, computer(1180, 'anew') + computer(1181, 'before'))
    for name in 'anew', 'before':
        own.ctl('account', 'group', name + '$@corp.test', 'add', 'web-admins')
        csr.write_bytes(client.make_csr(client.ec_key(), None, [],
                                        'Computer'))
        own.ctl('request', 'submit', '--account', name + '$@corp.test',
                '--template', 'Computer', '--csr', str(csr), '-o',
                str(tmp_path / name))
    own.ctl('account', 'passwd', 'anew$@corp.test', '--password-stdin',
            input='pass\n')
    text = computer(1190, 'anew') + computer(1181, 'after')
    rows = load(own, text, ok=1)
    assert {k: r['outcome'] for k, r in rows.items()} == {
        'anew$': 'conflict', 'after$': 'conflict'}
    r = load(own, text, '--replace', json_=False)
    assert '2 certificates revoked' in r.stderr and '2 replaced' in r.stderr
    assert load(own, text, '--replace') == load(own, text) == {}
    new, old, now = (account(own, n) for n in ('anew$', 'before$', 'after$'))
    assert new['sid'].endswith('-1190') and new['groups'] == ['computers']
    assert old['disabled'] and old['groups'] == [] and not old['sid']
    assert now['sid'].endswith('-1181') and now['dns'] == 'after.corp.test'
    assert own.sql('SELECT told FROM countersign.passwords_told() WHERE '
                   "account = 'anew$@corp.test'") == [('none',)]
    # Who comes under the old name is somebody else, and gets nothing of it.
    row = load(own, computer(1191, 'before'))['before$']
    assert row['outcome'] == 'enabled'
    assert all(c['revoked_at'] for c in own.ctl_json(
        'cert', 'list', '--account', 'before$@corp.test'))
    verified(own)


def test_what_waits_is_not_the_new_ones(own, tmp_path):
    """Approved, a request of whom the account was before would name the new
    one, and have the key of the old one."""
    csr, name = tmp_path / 'w.der', 'waits$@corp.test'

    def ask(who):
        csr.write_bytes(client.make_csr(client.ec_key(), 'krb.demo.example'))
        r = own.ctl('request', 'submit', '--account', who, '--csr', str(csr),
                    '--template', own.env['CS_TEMPLATE_APPROVAL'], ok=1)
        return re.search('request ([0-9]+) waits', r.stderr)[1]
    load(own, computer(1200, 'waits') + computer(1201, 'stays'))
    for who in name, 'stays$@corp.test':
        own.ctl('account', 'group', who, 'add', 'web-admins')
    number, other = ask(name), ask('stays$@corp.test')
    load(own, computer(1210, 'waits') + computer(1201, 'stays'), '--replace')
    own.ctl('account', 'group', name, 'add', 'web-admins')
    r = own.ctl('request', 'approve', number, ok=1)
    assert "another principal's" in r.stderr, r
    own.ctl('request', 'deny', number)
    own.ctl('request', 'approve', other)
    verified(own)


def revoked(own, held):
    c, = own.ctl_json('cert', 'show', held.serial)
    return c['revocation_reason'] == 4


def waits_for(own, table):
    """Sessions but those of signers, who look at tables at any time."""
    return own.sql(
        'SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND relation = '
        '%s::regclass AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE '
        "usename = 'countersign_signer')", 'countersign.' + table)


def replaced_meanwhile(own, text, who, look_again):
    """As while_replaced; None when on a busy machine the import has not waited
    so long for a lock."""
    dsn = psycopg.conninfo.make_conninfo(own.env['CS_DSN'], user='postgres')
    with concurrent.futures.ThreadPoolExecutor(2) as pool, \
            psycopg.connect(dsn) as second:
        with psycopg.connect(dsn) as first:
            first.execute('LOCK TABLE countersign.revoked IN SHARE MODE')
            ready = pool.submit(load, own, text, '--replace', ok=None,
                                json_=False)
            wait_for(lambda: waits_for(own, 'revoked'))
            held = Held(who, 'Computer')
            if not look_again:
                # In turn, and so before the second look.
                locked = pool.submit(second.execute, 'LOCK TABLE '
                                     'countersign.account')
                wait_for(lambda: locked.done() or waits_for(own, 'account'))
        if not look_again:
            locked.result()
            pids = wait_for(lambda: waits_for(own, 'account') or ready.done())
            if not ready.done():
                (pid,), = pids
                second.execute('SELECT pg_terminate_backend(%s)', [pid])
        r = ready.result()
    if 'lock timeout' in r.stderr:
        return None
    assert r.returncode == (0 if look_again else 3), r.stderr
    return held


def while_replaced(own, text, who, look_again):
    """A certificate that who gets when an import that takes his account away
    has looked at what there is to be revoked; does that look again?"""
    Held(who, 'Computer')       # there is something
    return wait_for(lambda: replaced_meanwhile(own, text, who, look_again))


def test_issued_while_it_is_replaced(own, tmp_path):
    """Whoever holds that is not the new one."""
    name = 'racer$@corp.test'
    load(own, computer(1230, 'racer'))
    who = client.Client(own.env, name, 'pass')

    def passwd():
        own.ctl('account', 'passwd', name, '--password-stdin', input='pass\n')
    passwd()
    assert revoked(own, while_replaced(own, computer(1240, 'racer'), who,
                                       True))
    time.sleep(8)
    passwd()
    text = computer(1250, 'racer')
    held = while_replaced(own, text, who, False)
    assert not revoked(own, held)
    at = tmp_path / 'racer.pem'
    at.write_bytes(held.cert.public_bytes(serialization.Encoding.PEM))
    at.with_suffix('.key').write_bytes(pem_key(held.key))
    c = CertClient(own.env, (str(at), str(at.with_suffix('.key'))))
    words = "racer$@corp.test was another principal's when"
    assert words in c.whoami().text
    r = held.renew(c=c)
    assert r.hresult == 0x80070005 and words in r.reason
    # Nor by another way in.
    passwd()
    r = held.renew()
    assert r.leaf is None and words in r.reason
    time.sleep(8)
    new = Held(who, 'Computer')
    r = new.renew()
    assert r.leaf is not None, r.reason
    # The next import finds it.
    assert load(own, text, '--replace') == {}
    assert revoked(own, held) and not revoked(own, new)
    verified(own)
