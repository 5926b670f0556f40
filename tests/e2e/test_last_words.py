"""Accounts, groups, secrets and blocked keys are what audit said of them last,
keys have their owners; reconcile makes the stricter of two words true."""
import base64
import hashlib

import pytest

import client
from conftest import own_stack
from ledger_edits import damages, pg
from ledgers import (change, counts, csr, issue, put_back, reconcile,
                     restart_signers, restore, root)
from revocation import hex_serial
from waits import wait_for


@pytest.fixture(scope='module')
def own():
    with own_stack('words') as s:
        yield s


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def key(own, verb, *args):
    own.ctl('key', verb, *args, '--note', 'of a test: x')


def group(own, name, verb, grp):
    own.ctl('account', 'group', name, verb, grp)


def secret(own, name):
    own.ctl('secret', 'create', '--template', own.env['CS_TEMPLATE_MACHINE'],
            '--dns', name)


def of_list(own, verb, path, *names):
    path.write_text(''.join(sha(n)[:20 if i % 2 else 64] + '\n'
                            for i, n in enumerate(names)))
    own.ctl('key', verb, '--file', str(path), '--note', 'n' * 700)


@pytest.fixture(scope='module')
def lived(own, root, tmp_path_factory):  # noqa: F811
    """What operators do to accounts and keys, each verb of it."""
    folder = tmp_path_factory.mktemp('lists')
    folder.chmod(0o755)
    for p in folder.parents:
        if p.name.startswith('pytest-'):
            p.chmod(0o755)
    for name in ('on', 'off', 'again', 'moved'):
        own.account(name, groups=['users', 'g-1'])
    own.account('bare')
    own.ctl('account', 'add', 'shut', '--no-password')
    own.ctl('account', 'disable', 'off')
    own.ctl('account', 'disable', 'again')
    own.ctl('account', 'enable', 'again')
    own.ctl('account', 'passwd', 'again', '--password-stdin', input='pass\n')
    group(own, 'moved', 'remove', 'g-1')
    group(own, 'moved', 'add', 'g-2')
    group(own, 'bare', 'add', 'g-3')
    group(own, 'bare', 'remove', 'g-3')
    group(own, 'bare', 'remove', 'never')
    with root() as db:
        db.execute("SELECT countersign.import_replace('{moved}')")
    for name in ('kept.demo.example', 'ended.demo.example'):
        secret(own, name)
    own.ctl('secret', 'revoke', 'ended.demo.example')
    secret(own, 'kept.demo.example')
    secret(own, 'made.demo.example')
    secret(own, 'anew.demo.example')
    for name in ('bad', 'good', 'twice'):
        key(own, 'block', sha(name))
    key(own, 'unblock', sha('good'))
    key(own, 'unblock', sha('twice'))
    key(own, 'block', sha('twice'))
    cert = issue(own, 'first.demo.example')
    key(own, 'block', '--cert', hex_serial(cert))
    key(own, 'unblock', '--cert', hex_serial(cert))
    names = ['key %d' % i for i in range(450)]
    of_list(own, 'block', folder / 'list', 'bad', *names)
    of_list(own, 'unblock', folder / 'less', *names[1:250])
    return cert


def test_nothing_is_found_in_what_operators_did(own, lived):
    assert damages(own, own.conf) == (0, [])
    restart_signers(own)
    assert damages(own, own.conf) == (0, [])
    said = counts(own)
    assert (said['accounts'], said['blocked keys'], said[
        'keys with an owner']) == own.sql(
            'SELECT (SELECT count(*) FROM countersign.account), '
            '(SELECT count(*) FROM countersign.blocked_key WHERE blocked), '
            '(SELECT count(*) FROM countersign.key_owner)')[0]
    assert said['accounts'] > 6 and said['blocked keys'] > 100


def test_long_remark(own, lived):
    """Of a row above 16 KiB a ledger has a hash, which names no key."""
    own.ctl('key', 'block', sha('long'), '--note', 'n' * 20000)
    (detail,), = own.sql('SELECT detail FROM countersign.audit '
                         "WHERE action = 'key block' AND detail LIKE %s",
                         sha('long') + '%')
    assert detail == sha('long') + ': ' + 'n' * 500
    (note,), = own.sql('SELECT note FROM countersign.blocked_key WHERE '
                       "spki_sha256 = decode(%s, 'hex')", sha('long'))
    assert note == 'n' * 20000
    assert damages(own, own.conf) == (0, [])


def test_rows_of_a_list_fit_into_a_ledger(own, lived):
    rows = own.sql("SELECT detail FROM countersign.audit WHERE detail LIKE "
                   "'%% keys of a list, %%' ORDER BY n")
    assert [r.split()[0] for r, in rows[:3]] == ['200', '200', '50']
    assert all(len(r) <= 16384 and r.endswith(': ' + 'n' * 500)
               for r, in rows)


ACCOUNT = 'UPDATE countersign.account SET '
KEY = "decode('%s', 'hex')"
MISSING = [
    (ACCOUNT + "disabled = false WHERE name = 'off'", 'account off',
     'was disabled, says audit, but is not', 'is disabled again'),
    (ACCOUNT + "disabled = true WHERE name = 'again'", 'account again',
     'was enabled, says audit, but is disabled',
     'stays disabled: enable it if it should not'),
    (ACCOUNT + "disabled = true WHERE name = 'on'", 'account on',
     'was enabled, says audit, but is disabled',
     'stays disabled: enable it if it should not'),
    ("INSERT INTO countersign.account_group VALUES ('moved', 'g-1')",
     'account moved', 'was taken out of group g-1, says audit, but is in it',
     'is taken out of group g-1 again'),
    ("DELETE FROM countersign.account_group WHERE account = 'on' AND "
     "name = 'g-1'", 'account on',
     'was put into group g-1, says audit, but is not in it',
     'stays out of group g-1: add it if it should not'),
    (ACCOUNT + "replaced_at = NULL WHERE name = 'moved'", 'account moved',
     'was given to another principal, says audit, but what the one before '
     'asked for counts', 'is given to another principal again: what was '
     'asked under its name is denied'),
    (ACCOUNT + "one_time_expires = now() + interval '1 d' WHERE name = "
     "'ended.demo.example'", 'account ended.demo.example',
     'has a secret that was revoked, says audit, but is good',
     'its secret is revoked again'),
    (ACCOUNT + "password = (SELECT password FROM countersign.account WHERE "
     "name = 'moved') WHERE name = 'again'", 'account again',
     'has another password than was set last, says audit',
     'has no password now: set it again'),
    (ACCOUNT + "password = (SELECT password FROM countersign.account WHERE "
     "name = 'moved') WHERE name = 'shut'", 'account shut',
     'has another password than was set last, says audit',
     'has no password now: set it again'),
    (ACCOUNT + "password = (SELECT password FROM countersign.account WHERE "
     "name = 'moved') WHERE name = 'kept.demo.example'",
     'account kept.demo.example',
     'has another secret than was made last, says audit',
     'its secret is revoked: make another'),
    ("DELETE FROM countersign.account_group WHERE account = 'bare'; "
     "DELETE FROM countersign.account WHERE name = 'bare'", 'account bare',
     'was added, says audit, but is not in the database',
     'is lost: add it again'),
    ('DELETE FROM countersign.blocked_key WHERE spki_sha256 = '
     + KEY % sha('bad'), 'key ' + sha('bad'),
     'was blocked, says audit, but is not', 'is blocked again'),
    ('UPDATE countersign.blocked_key SET blocked = false WHERE spki_sha256 = '
     + KEY % sha('key 0')[:20], 'key ' + sha('key 0')[:20],
     'was blocked, says audit, but is not', 'is blocked again'),
    ('UPDATE countersign.blocked_key SET blocked = true WHERE spki_sha256 = '
     + KEY % sha('good'), 'key ' + sha('good'),
     'was unblocked, says audit, but is blocked',
     'stays blocked: unblock it if it should not'),
    ('DELETE FROM countersign.blocked_key WHERE spki_sha256 = '
     + KEY % sha('good') + '; ' + ACCOUNT + "disabled = false WHERE "
     "name = 'off'", 'account off', 'was disabled, says audit, but is not',
     'is disabled again')]
TERM = ('has a secret for another template or until another time than it was '
        'made for, says audit')


@pytest.mark.parametrize('edit,thing,text', [m[:3] for m in MISSING])
def test_edits_that_a_backup_explains(own, lived, put_back, edit, thing,
                                      text):
    change(put_back, edit)
    row, = damages(own, own.conf, code=4)[1]
    assert (row['check'], row['object'], row['text']) == (
        'missing', thing, text)
    # What a signer of this moment wrote may have no head behind it yet.
    assert {r['what']: r['text'] for r in reconcile(own)
            if r['what'] != 'unsigned tail'} == {
        thing: text, 'missing': 'put it back with --apply'}


@pytest.mark.parametrize('edit,thing,text', [
    ("INSERT INTO countersign.account (name, cn) VALUES ('ghost', 'x')",
     'account ghost', 'is not in audit'),
    ("INSERT INTO countersign.account_group VALUES ('bare', 'web-admins')",
     'account bare', 'is in group web-admins, and audit does not say so'),
    ("INSERT INTO countersign.blocked_key (spki_sha256, blocked, who) VALUES "
     '(' + KEY % sha('strange') + ", true, 'x')", 'key ' + sha('strange'),
     'is blocked, and audit does not say so'),
    (ACCOUNT + "one_time_template = 'WebServer' WHERE name = "
     "'kept.demo.example'", 'account kept.demo.example', TERM),
    (ACCOUNT + "one_time_expires = one_time_expires + interval '1 d' WHERE "
     "name = 'kept.demo.example'", 'account kept.demo.example', TERM),
    (ACCOUNT + "one_time_expires = now(), one_time_template = 'WebServer' "
     "WHERE name = 'on'", 'account on', TERM),
    (ACCOUNT + "replaced_at = now() WHERE name = 'on'", 'account on',
     'was given to another principal, and audit does not say so'),
    ("UPDATE countersign.key_owner SET account = 'off'", 'key ',
     'belongs to an account that no certificate of it names'),
    ("INSERT INTO countersign.key_owner VALUES (sha256('x'), 'off')", 'key ',
     'belongs to an account that no certificate of it names'),
    ('DELETE FROM countersign.key_owner', 'certificate ',
     'its key has no owner')])
def test_edits_that_none_does(own, lived, put_back, edit, thing, text):
    change(put_back, edit)
    found = damages(own, own.conf, code=4)[1]
    assert found and {(x['check'], x['text']) for x in found} == {
        ('row', text)}
    assert found[0]['object'].startswith(thing)
    r = own.ctl('reconcile', '--apply', ok=1)
    assert 'damages that no backup explains' in r.stderr


@pytest.fixture
def spent(own, lived):
    own.ctl('request', 'submit', '--account', 'kept.demo.example',
            '--template', own.env['CS_TEMPLATE_MACHINE'], '--csr', '-',
            input=base64.b64encode(csr(
                own, 'kept.demo.example', 'CS_TEMPLATE_MACHINE')).decode())


def test_a_secret_that_was_used(own, spent, put_back):
    """The request's row is as if some seconds had passed before."""
    of = "WHERE account = 'kept.demo.example'"
    later = ("UPDATE countersign.request SET decided_at = decided_at %s "
             "interval '9 s' " + of)
    change(put_back, later % '+', ACCOUNT + 'one_time_used = NULL WHERE '
           "name = 'kept.demo.example'")
    found = damages(own, own.conf, code=4)[1]
    change(put_back, later % '-')
    assert ('account kept.demo.example', 'has a secret that was used, but is '
            'good') in {(x['object'], x['text']) for x in found}


def test_lists_of_before(own, lived, put_back):
    """Older rows tell how many keys, not which: they have the same time."""
    for verb, n in (('block', 'true'), ('unblock', 'false')):
        change(put_back, 'BEGIN', 'INSERT INTO countersign.blocked_key AS b '
               "(spki_sha256, blocked, who) SELECT sha256(('old ' || i)"
               "::bytea), %s, 'x' FROM generate_series(1, 5) i ON CONFLICT "
               '(spki_sha256) DO UPDATE SET blocked = %s, at = now()' % (n, n),
               "SELECT countersign.note('key %s', '5 keys of a list: old')"
               % verb, 'COMMIT')
        assert damages(own, own.conf) == (0, [])
    change(put_back, 'UPDATE countersign.blocked_key SET blocked = true '
           "WHERE spki_sha256 = sha256('old 3')")
    assert [x['text'] for x in damages(own, own.conf, code=4)[1]] == [
        'is blocked, and audit does not say so']


def test_reconcile_makes_the_stricter_true(own, lived, root):  # noqa: F811
    """Signers are at work: with a database that one of them found old."""
    said = {}
    with root() as db:
        for edit, thing, text, done in MISSING[:-1]:
            change(db, edit)
            said.setdefault(thing, set()).add(done)
        db.execute("SELECT countersign.rollback_found('signer-1', 'a test')")
    told = reconcile(own, '--apply')
    for thing, done in said.items():
        assert {r['text'] for r in told if r['what'] == thing} == done | {
            t for _, o, t, _ in MISSING[:-1] if o == thing}
    row, = [r for r in told if r['what'] == 'accounts and keys']
    assert row['count'] == len(MISSING) - 1
    assert damages(own, own.conf) == (0, [])
    assert own.sql('SELECT name FROM countersign.account WHERE disabled '
                   'ORDER BY 1') == [('again',), ('off',), ('on',)]
    assert own.sql("SELECT name FROM countersign.account_group WHERE "
                   "account IN ('on', 'moved') ORDER BY 1") == [
                       ('g-2',), ('users',), ('users',)]
    listed = {x['spki_sha256'] for x in own.ctl_json('key', 'list')}
    assert {sha('bad'), sha('good'), sha('key 0')[:20]} <= listed
    # What operators do then is the last word.
    own.account('bare', groups=['g-4'])
    own.ctl('account', 'enable', 'again')
    own.ctl('account', 'enable', 'on')
    group(own, 'on', 'add', 'g-1')
    key(own, 'unblock', sha('good'))
    assert damages(own, own.conf) == (0, [])
    assert reconcile(own)[-1]['count'] == 0


def test_restored_from_an_old_backup(own, lived, root, tmp_path):  # noqa: F811
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    own.ctl('account', 'disable', 'moved')
    own.ctl('account', 'enable', 'off')
    group(own, 'on', 'remove', 'g-1')
    group(own, 'on', 'add', 'g-5')
    own.account('late', groups=['g-1'])
    key(own, 'block', sha('late "\\ key'))
    key(own, 'unblock', sha('twice'))
    own.ctl('secret', 'revoke', 'made.demo.example')
    secret(own, 'anew.demo.example')
    own.ctl('account', 'passwd', 'bare', '--password-stdin', input='new\n')
    restart_signers(own)
    restore(own, root, dump)
    # Numbers are given anew: the last word is the one after the restore.
    own.ctl('account', 'enable', 'on')
    group(own, 'on', 'remove', 'g-5')
    want = {
        'account moved': 'is disabled again',
        'account off': 'stays disabled: enable it if it should not',
        'account on': 'is taken out of group g-1 again',
        'account late': 'is lost: add it again',
        'account made.demo.example': 'its secret is revoked again',
        'account anew.demo.example': 'its secret is revoked: make another',
        'account bare': 'has no password now: set it again',
        'key ' + sha('late "\\ key'): 'is blocked again',
        'key ' + sha('twice'): 'stays blocked: unblock it if it should not'}
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    found = damages(own, own.conf, code=4)[1]
    assert {x['check'] for x in found} == {'missing'}
    # A signer's epoch is an old one until that one has a session again.
    assert {x['object'] for x in found if not x['object'].startswith(
        ('audit ', 'list ', 'head ', 'signer '))} == set(want)
    wait_for(lambda: not [r for r in reconcile(own)
                          if r['what'] == 'unsigned tail'])
    # Told only: nothing changes.
    assert own.sql("SELECT disabled FROM countersign.account WHERE "
                   "name = 'moved'") == [(False,)]
    told = reconcile(own, '--apply')
    assert want.items() <= {
        r['what']: r['text'] for r in told
        if r['text'] in want.values()}.items()
    row, = [r for r in told if r['what'] == 'accounts and keys']
    assert row['count'] == len(want)
    assert own.sql("SELECT disabled FROM countersign.account WHERE "
                   "name IN ('moved', 'off')") == [(True,), (True,)]
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'yes.demo.example')).fault is None)
    # Of a list that was put back the next one has the bytes.
    wait_for(lambda: damages(own, own.conf) == (0, []))
    assert reconcile(own)[-1]['count'] == 0
