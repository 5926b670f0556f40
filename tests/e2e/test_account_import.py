"""Users and computers of Active Directory become accounts: repeated without
change, in all or nothing, and never against what an operator said."""
import json
import os
import pty
import subprocess
import time

import pytest

import client
from adfile import BASE, computer, entry, group, put
from adload import (  # noqa: F401
    GROUPS, REALM, account, audit, load, own, verified)
from ledger_edits import damages
from ledgers import change, put_back, reconcile, restart_signers, root

ALICE = dict(userPrincipalName='alice@corp.test', mail='alice@corp.test',
             displayName='Alice Example')


def test_new_accounts(own):
    text = '# extended LDIF\nversion: 1\n\n' + entry(
        1104, 'Alice', ['users', 'Sales, EMEA'], cn='Ålice Example',
        **ALICE) + computer(1105, 'pc1') + entry(
        1106, 'old', ['users'], uac=514) + put(
        'dn', 'OU=Staff,' + BASE) + put('objectClass', 'organizationalUnit')
    before = audit(own)
    assert load(own, text, '--dry-run') == load(own, text)
    assert load(own, text) == {}
    assert account(own, 'old') is None
    a = account(own, 'alice')
    assert a == {'name': 'alice@corp.test', 'machine': False,
                 'disabled': False, 'cn': 'Ålice Example', 'dns': None,
                 'upn': 'alice@corp.test', 'email': 'alice@corp.test',
                 'dn': 'CN=Ålice Example,OU=Staff,DC=corp,DC=test',
                 'sid': 'S-1-5-21-1-2-3-1104', 'groups': ['users'],
                 'created_at': a['created_at']}
    pc = account(own, 'pc1$')
    assert pc['machine'] and pc['dns'] == 'pc1.corp.test'
    assert pc['groups'] == ['computers']
    # Two rows each, and none for a second import that changes nothing.
    assert audit(own) == before + 4
    rows = own.sql('SELECT action, detail FROM countersign.audit '
                   'WHERE n > %s ORDER BY n', before)
    assert rows[:2] == [('account import', 'alice@corp.test groups users'),
                        ('account import', 'pc1$@corp.test groups computers')]
    verified(own)


def test_for_people(own):
    text = entry(1110, 'bob', ['users', 'VPN']) + computer(1111, 'pc2')
    r = load(own, text, '--dry-run', json_=False)
    assert r.stdout.splitlines()[0].split() == ['ACCOUNT', 'OUTCOME',
                                                'CHANGES', 'NOTES']
    assert r.stdout.splitlines()[1].split() == ['bob@corp.test', 'added',
                                                '+users', '-']
    assert r.stderr == ('2 users and computers, 2 added\nnobody in the file is '
                        'in web-admins: is that its name?\ngroups that are not '
                        'imported: Domain Users, VPN\n')
    assert account(own, 'bob') is None


def test_groups_of_the_policy(own):
    """Without --group those that the policy names."""
    text = entry(1112, 'carl', ['Users', 'WEB-ADMINS', 'VPN'])
    r = own.ctl_json('account', 'import', '-', '--dry-run', '--realm', REALM,
                     input=text)
    assert r[0]['changes'] == ['+users', '+web-admins']


def test_names_of_others(own):
    """[security] ESC10: www is in no directory, and approvers are few."""
    text = computer(1114, 'evil', cn='DC1').replace(
        'evil.corp.test', 'www.corp.test') \
        + entry(1115, 'eve', ['approvers', 'CN=users,OU=evil,' + BASE])
    r = {x['account']: x for x in own.ctl_json(
        'account', 'import', '-', '--dry-run', '--realm', REALM, input=text)}
    row = r['evil$@corp.test']
    assert row['outcome'] == 'added' and 'dns is left out' in row['notes'][0]
    assert row['notes'][1] == "cn is left out: it is not the computer's: DC1"
    r = own.ctl('account', 'import', '-', '--dry-run', '--group',
                'CN=users,OU=Groups,%s=users' % BASE, input=text)
    assert '+' not in r.stdout and 'approvers' in r.stderr


def test_members_of_members(own):
    """As in a log-on to Windows; the primary group, too."""
    text = entry(1120, 'ella', ['Staff']) + entry(1121, 'finn', ['Friends']) \
        + computer(1122, 'm1') \
        + group(2001, 'Staff', ['Helpers']) \
        + group(2002, 'Helpers', ['web-admins', 'CN=Users,CN=Builtin,' + BASE,
                                  'Staff']) \
        + group(2003, 'web-admins') \
        + group(2004, 'Friends', ['web-admins'], type_=2) \
        + group(515, 'Domänencomputer', ['Machines'], folder='CN=Users') \
        + group(2005, 'Machines') \
        + group(545, 'Users', type_=-2147483643, folder='CN=Builtin')
    words = ('--dry-run', '--group', 'users', '--group', 'web-admins',
             '--group', 'Machines=machines')
    rows = load(own, text, *words)
    assert rows['ella']['changes'] == ['+web-admins']
    assert rows['finn']['changes'] == []
    assert rows['m1$']['changes'] == ['+machines']
    r = load(own, text.replace('groupType', 'x'), *words, json_=False)
    assert '+' not in r.stdout
    assert '7 groups have no groupType: ask for it' in r.stderr
    ring = ''.join(group(3000 + i, 'r%d' % i, ['r%d' % j for j in (
        (i + 1) % 1100, (i + 7) % 1100)]) for i in range(1100))
    rows = load(own, entry(1123, 'gwen', ['r5', 'users']) + entry(
        1124, 'hugo', ['users']) + ring, *words, ok=1)
    assert rows['gwen']['changes'] == [] and rows['gwen']['notes'] == [
        'groups stay as they are: it is in too many']
    assert rows['hugo']['changes'] == ['+users']


def test_a_second_group(own):
    """Whoever makes one of the same name stops no more than that group: who
    is disabled in the directory is, whatever there is beside."""
    load(own, entry(1290, 'zora', ['users', 'web-admins']) +
         entry(1291, 'zeno', ['users']))
    text = entry(1290, 'zora', ['CN=users,OU=evil,' + BASE], uac=514) + entry(
        1291, 'zeno', ['users', 'web-admins']) + entry(1292, 'zoe', ['users'])
    r = load(own, text, json_=False, ok=1)
    assert ('two groups are called users: CN=users,OU=evil,%s and CN=users,'
            'OU=Groups,%s; nobody is put into users, or taken out: name one '
            'with --group DN=users\n' % (BASE, BASE)) in r.stderr
    assert account(own, 'zora')['disabled']
    assert account(own, 'zora')['groups'] == ['users']
    assert account(own, 'zeno')['groups'] == ['users', 'web-admins']
    assert account(own, 'zoe')['groups'] == []
    words = ('--group', 'CN=users,OU=Groups,%s=users' % BASE, '--group',
             'web-admins')
    assert load(own, text, *words)['zoe']['changes'] == ['+users']
    assert account(own, 'zora')['groups'] == []
    # Nobody is left in the right one.
    text = entry(1292, 'zoe', ['CN=web-admins,OU=evil,' + BASE]) + group(
        2090, 'web-admins')
    r = load(own, text, '--group', 'web-admins', json_=False, ok=1)
    assert 'two groups are called web-admins' in r.stderr
    assert account(own, 'zoe')['groups'] == []
    verified(own)


def test_without_a_realm(own):
    """A UPN that nobody has is that of whom the domain calls so."""
    rows = load(own, entry(1113, 'Dora') + entry(
        1116, 'eve', userPrincipalName='dora@corp.test'), '--dry-run',
        realm=None, ok=1)
    assert rows['dora']['outcome'] == 'added'
    assert rows['eve']['outcome'] == 'conflict'
    assert rows['eve']['notes'] == ['its upn is that of dora, too']


def test_enrollment(own, tmp_path):
    """A password it has not; what it may enroll for is as with others."""
    load(own, entry(1120, 'erin', ['users'], userPrincipalName='e@corp.test')
         + computer(1121, 'pc3') + entry(
             1122, "O'Brien", ['users'],
             userPrincipalName="Sean.O'Brien@corp.test"))
    offered = {r['template'] for r in own.ctl_json('explain', '--user',
                                                   'erin@corp.test')}
    assert 'User' in offered
    csr = tmp_path / 'r.der'
    der = client.make_csr(client.ec_key(), 'x', [], 'User')
    assert client.Client(own.env, 'erin@corp.test', 'x').enroll(
        der).subcode == 'FailedAuthentication'
    for who, template in (('erin@corp.test', 'User'),
                          ("CORP.test\\O'BRIEN", 'User'),
                          ('pc3$@corp.test', 'Computer')):
        csr.write_bytes(client.make_csr(client.ec_key(), None, [], template))
        own.ctl('request', 'submit', '--account', who, '--template', template,
                '--csr', str(csr), '-o', str(tmp_path / (template + '.pem')))
    names = {r['account']: r['san'] for r in own.ctl_json('cert', 'list')}
    assert 'e@corp.test' in names['erin@corp.test']
    assert "Sean.O'Brien@corp.test" in names["o'brien@corp.test"]
    assert 'DNS:pc3.corp.test' in names['pc3$@corp.test']
    load(own, entry(1120, 'erin', ['users'], uac=514) + computer(1121, 'pc3'))
    r = own.ctl('request', 'submit', '--account', 'erin@corp.test',
                '--template', 'User', '--csr', str(csr), ok=1)
    assert 'disabled' in r.stderr
    verified(own)


def test_what_the_directory_changes(own):
    def frank(*groups, rid=1130, **more):
        return entry(rid, 'frank', groups, **more)
    load(own, frank('users', userPrincipalName='frank@corp.test'))
    row = load(own, frank('web-admins', cn='Frank B',
                          userPrincipalName='fb@corp.test'))['frank']
    assert row['outcome'] == 'changed' and row['changes'] == [
        'cn: frank -> Frank B', 'upn: frank@corp.test -> fb@corp.test',
        'dn: CN=frank,OU=Staff,DC=corp,DC=test -> '
        'CN=Frank B,OU=Staff,DC=corp,DC=test', '+web-admins', '-users']
    # What is not in the file at all was not asked for.
    text = frank('web-admins', cn='Frank B')
    assert load(own, text) == {}
    assert account(own, 'frank')['upn'] == 'fb@corp.test'
    row = load(own, frank(uac=514, cn='Frank B'))['frank']
    assert row['outcome'] == 'disabled' and row['changes'] == ['-web-admins']
    assert account(own, 'frank')['disabled']
    assert load(own, frank(uac=514, cn='Frank B')) == {}
    assert load(own, text)['frank']['outcome'] == 'enabled'
    # Nor logs on there who has expired; a later day, or none, is no end.
    over = frank('web-admins', cn='Frank B',
                 accountExpires='132000000000000000')
    assert load(own, over)['frank']['outcome'] == 'disabled'
    assert load(own, over) == {}
    never = over.replace('132000000000000000', '9223372036854775807')
    assert load(own, never)['frank']['outcome'] == 'enabled'
    # Another principal of the same name.
    row = load(own, frank(rid=9130), ok=1)['frank']
    assert row['outcome'] == 'conflict' and 'another sid' in row['notes'][0]
    own.ctl('account', 'change', 'frank@corp.test', '--sid',
            'S-1-5-21-1-2-3-9130')
    assert load(own, frank('web-admins', rid=9130, cn='Frank B')) == {}
    verified(own)


def test_what_an_operator_said_stands(own):
    text = entry(1140, 'gina', ['users'], mail='g@corp.test')
    load(own, text)
    name = 'gina@corp.test'
    own.ctl('account', 'disable', name)
    own.ctl('account', 'group', name, 'remove', 'users')
    own.ctl('account', 'group', name, 'add', 'web-admins')
    own.ctl('account', 'change', name, '--email', 'other@corp.test',
            '--dn', '')
    before = audit(own)
    row = load(own, text)['gina']
    assert row == {
        'account': name, 'outcome': 'kept', 'changes': [], 'notes': [
            'email is another in the directory: an operator set it',
            'dn is another in the directory: an operator set it',
            'stays disabled: an operator disabled it',
            'stays out of group users: an operator took it out']}
    assert audit(own) == before
    row = load(own, text, '--take-over')['gina']
    assert row['changes'] == [
        'email: other@corp.test -> g@corp.test',
        'dn: - -> CN=gina,OU=Staff,DC=corp,DC=test', '+users', '-web-admins']
    assert account(own, name)['disabled']
    own.ctl('account', 'enable', name)
    # The directory is stricter.
    off = entry(1140, 'gina', ['users'], uac=514, mail='g@corp.test')
    assert load(own, off)['gina']['outcome'] == 'disabled'
    assert load(own, text)['gina']['outcome'] == 'enabled'
    verified(own)


def test_an_account_of_before(own):
    """One that was made by hand is taken on where nothing is at stake."""
    own.ctl('account', 'add', 'hans@corp.test', '--no-password', '--group',
            'vpn')
    text = entry(1150, 'hans', ['users'])
    row = load(own, text)['hans']
    assert row['changes'] == ['+users'] and len(row['notes']) == 3
    load(own, text, '--take-over')
    a = account(own, 'hans')
    assert a['groups'] == ['users', 'vpn'] and a['sid'].endswith('-1150')
    verified(own)


def test_conflicts(own):
    own.ctl('account', 'add', 'ivan', '--no-password', '--upn',
            'ivan@corp.test', '--email', 'all@corp.test')
    own.ctl('account', 'add', 'jane@corp.test', '--no-password', '--machine')
    own.ctl('secret', 'create', '--template', own.env['CS_TEMPLATE_MACHINE'],
            '--dns', 'pc9.corp.test')
    text = entry(1160, 'ivan', userPrincipalName='IVAN@corp.test') + entry(
        1161, 'jane') + computer(1162, 'pc9') + entry(
        1163, 'a@b') + entry(1164, 'kim', mail='all@corp.test') + entry(
        1165, 'lee', userPrincipalName='same@corp.test') + entry(
        1166, 'mia', userPrincipalName='same@corp.test') + entry(
        1167, 'nils', dn='CN=nils,' + 'OU=x,' * 24 + BASE)
    rows = load(own, text, ok=1)
    assert {k: (v['outcome'], v['notes'][0]) for k, v in rows.items()} == {
        'ivan': ('conflict', 'its upn is that of ivan, too'),
        'jane': ('conflict', 'the account is a computer'),
        'pc9$': ('conflict', 'its dns is that of pc9.corp.test, too'),
        'a@b': ('refused', 'sAMAccountName: has an "@" or a backslash'),
        'kim': ('added', "email is left out: it is another's, too: "
                'all@corp.test'),
        'lee': ('conflict', 'its upn is that of mia@corp.test, too'),
        'mia': ('conflict', 'its upn is that of lee@corp.test, too'),
        'nils': ('added', rows['nils']['notes'][0])}
    assert rows['nils']['notes'][0].startswith('dn is left out: CN=nils,OU')
    # The way out of one is an audited command.
    own.ctl('account', 'change', 'ivan', '--upn', '')
    assert load(own, entry(1160, 'ivan', userPrincipalName='IVAN@corp.test'))[
        'ivan']['outcome'] == 'added'
    verified(own)


def test_names_that_are_none_here(own):
    """Beyond ASCII, or of other characters: called by their SIDs, and the same
    with each import; nobody else gets the UPN that they have."""
    text = entry(1280, 'Jürgen Müller', dn='CN=Jürgen,' + BASE, cn='Jürgen'
                 ) + entry(1281, 'a!b') + entry(
        1282, 'olga', userPrincipalName='A!B@corp.test')
    who = ['s-1-5-21-1-2-3-%d' % n for n in (1280, 1281)]
    rows = load(own, text, ok=1)
    assert {k: v['outcome'] for k, v in rows.items()} == {
        who[0]: 'added', who[1]: 'added', 'olga': 'conflict'}
    assert rows[who[0]]['notes'] == [
        'sAMAccountName is no name here, so it is called by its SID: '
        'Jürgen Müller']
    assert rows['olga']['notes'] == ['its upn is that of %s@corp.test, too' %
                                     who[1]]
    assert account(own, who[0])['cn'] == 'Jürgen'
    assert set(load(own, text, ok=1)) == {'olga'}
    assert load(own, entry(1280, 'jm'), ok=1)['jm']['outcome'] == 'conflict'
    verified(own)


def test_names_change_places(own):
    def both(a, b):
        return entry(1170, 'olga', userPrincipalName=a) + entry(
            1171, 'paul', userPrincipalName=b)
    load(own, both('one@corp.test', 'two@corp.test'))
    rows = load(own, both('two@corp.test', 'one@corp.test'))
    assert {r['outcome'] for r in rows.values()} == {'changed'}
    assert account(own, 'olga')['upn'] == 'two@corp.test'
    verified(own)


def test_who_is_absent(own):
    """Only whom an import made, only so many, and only of kinds in the
    file."""
    people = [entry(2000 + i, 'u%d' % i) for i in range(30)]
    load(own, ''.join(people), realm='left.test')
    own.ctl('account', 'add', 'hand@left.test', '--no-password')
    load(own, computer(2100, 'pcx'), realm='left.test')
    text = ''.join(people[:15])
    for extra in (), ('--dry-run',):
        r = load(own, text, '--disable-absent', *extra, ok=1, json_=False,
                 realm='left.test')
        assert '15 of 30 accounts are not in the file' in r.stderr
    assert not account(own, 'u20@left.test')['disabled']
    rows = load(own, text, '--disable-absent', '--at-most', '15',
                realm='left.test')
    assert set(rows) == {'u%d@left.test' % i for i in range(15, 30)}
    assert {(r['outcome'], r['notes'][0]) for r in rows.values()} == {
        ('disabled', 'is not in the file')}
    assert not account(own, 'pcx$@left.test')['disabled']
    rows = load(own, ''.join(people), '--disable-absent', realm='left.test')
    assert {r['outcome'] for r in rows.values()} == {'enabled'}
    # Who is gone from the directory is, whoever has the name there.
    people[0] = entry(2999, 'u0')
    row = load(own, ''.join(people), '--disable-absent', realm='left.test',
               ok=1)['u0@left.test']
    assert row['outcome'] == 'conflict' and row['changes'] == ['disabled']
    assert row['notes'] == ['is not in the file', 'the account has another '
                            'sid: the directory has made it anew']
    assert account(own, 'u0@left.test')['disabled']
    row = load(own, ''.join(people), '--disable-absent', '--replace',
               realm='left.test')['u0@left.test']
    assert row['outcome'] == 'replaced'
    assert not account(own, 'u0@left.test')['disabled']
    assert account(own, 'alice')['disabled'] is False
    verified(own)


HOSTILE = {
    'twice': entry(1, 'x') + entry(2, 'X'),
    'two values': entry(1, 'x').rstrip() + '\nsAMAccountName: y\n',
    'cut off': entry(1, 'x') + 'dn: CN=y\nobjectClass: user\n',
    'no colon': entry(1, 'x') + 'dn CN=y\n',
    'no class': 'dn: CN=x\nsAMAccountName: x\nuserAccountControl: 512\n',
    'nul': entry(1, 'x', mail='a\0b@corp.test'),
    'url': entry(1, 'x').rstrip() + '\nmail:< file:///etc/passwd\n',
    'modify': entry(1, 'x').rstrip() + '\nchangetype: modify\n',
    'ranges': entry(1, 'x').rstrip() + '\nmemberOf;range=0-9: CN=users\n',
    'base64': entry(1, 'x').rstrip() + '\nmail:: ====\n',
    'long line': entry(1, 'x').rstrip() + '\ntitle: ' + 'x' * 2000000,
    'bad sid': entry(1, 'x').replace('objectSid:: AQU', 'objectSid:: AgU'),
    'empty': '', 'no users': put('dn', 'OU=x') + put('objectClass', 'ou'),
    'html': '<html><body>no</body></html>',
}


@pytest.mark.parametrize('what', HOSTILE)
def test_hostile_files(own, what):
    before = audit(own)
    r = load(own, entry(99, 'good') + HOSTILE[what] if what not in (
        'empty', 'no users') else HOSTILE[what], ok=1, json_=False)
    assert 'line' in r.stderr or 'no users' in r.stderr
    assert len(r.stderr.splitlines()) == 1 and not r.stdout
    assert audit(own) == before and account(own, 'good') is None


@pytest.mark.parametrize('args,words', [
    (('--at-most', '5'), '--disable-absent'),
    (('--at-most', 'x', '--disable-absent'), 'not a number'),
    (('--group', 'two words'), 'a group is'),
    (('--group', 'CN=a,DC=b'), '=NAME'), (('--realm', 'a@b'), '--realm'),
    (('--domain', 'corp'), '--domain')])
def test_usage(own, args, words):
    r = own.ctl('account', 'import', '-', *args, input=entry(1, 'x'), ok=2)
    assert words in r.stderr


def test_other_domains(own):
    """A computer WWW is not www.example.org, unless somebody says so."""
    text = computer(1220, 'www').replace('www.corp.test', 'www.example.org')
    rows = load(own, text)
    assert rows['www$']['notes'] == ["dns is left out: its domain is not the "
                                     "computer's (--domain): www.example.org"]
    rows = load(own, text, '--domain', 'x.test', '--domain', 'Example.org')
    assert rows['www$']['changes'] == ['dns: - -> www.example.org']


@pytest.mark.parametrize('args,words', [
    ((), 'which name'), (('--cn', ''), '--cn is'), (('--dns', 'x'), '--dns')])
def test_usage_of_change(own, args, words):
    assert words in own.ctl('account', 'change', 'alice', *args, ok=2).stderr


def test_change_says_whose(own):
    own.ctl('account', 'add', 'rita', '--no-password', '--upn', 'r@corp.test')
    own.ctl('account', 'add', 'sven', '--no-password')
    r = own.ctl('account', 'change', 'sven', '--upn', 'R@corp.test', ok=1)
    assert 'account rita has this upn already' in r.stderr
    own.ctl('account', 'change', 'rita', '--upn', 'R@corp.test', '--dns',
            'r.corp.test')
    assert account(own, 'rita@') is None
    own.ctl('account', 'change', 'nobody', '--cn', 'x', ok=1)
    verified(own)


def test_two_at_once(own):
    """The second waits, and finds nothing to do."""
    text = ''.join(entry(3000 + i, 'w%d' % i, ['users']) for i in range(300))
    words = [*own.ctl_words(), '--json', 'account', 'import', '-', '--realm',
             REALM, *GROUPS]
    ps = [subprocess.Popen(words, stdin=subprocess.PIPE, text=True,
                           stdout=subprocess.PIPE) for _ in range(2)]
    for p in ps:
        p.stdin.write(text)
        p.stdin.close()
    got = sorted(len(json.loads(p.stdout.read())) for p in ps)
    assert [p.wait(300) for p in ps] == [0, 0] and got == [0, 300]
    verified(own)


MISSING = [
    ("UPDATE countersign.account SET dns = 'evil.corp.test' WHERE name = "
     "'pc1$@corp.test'", 'account pc1$@corp.test',
     'has other names than were set last, says audit'),
    ("UPDATE countersign.account SET machine = true WHERE name = 'rita'",
     'account rita', 'has other names than were set last, says audit'),
    ("UPDATE countersign.account SET password = (SELECT password FROM "
     "countersign.account WHERE password IS NOT NULL LIMIT 1) WHERE name = "
     "'alice@corp.test'", 'account alice@corp.test',
     'has another password than was set last, says audit'),
    ("DELETE FROM countersign.account_group WHERE account = 'alice@corp.test'"
     " AND name = 'users'", 'account alice@corp.test',
     'was put into group users, says audit, but is not in it'),
    ("DELETE FROM countersign.account_group WHERE account = "
     "'o''brien@corp.test'", "account o'brien@corp.test",
     'was put into group users, says audit, but is not in it'),
    ("INSERT INTO countersign.account_group VALUES ('frank@corp.test', "
     "'users')", 'account frank@corp.test',
     'was taken out of group users, says audit, but is in it'),
    ("UPDATE countersign.account SET disabled = false WHERE name = "
     "'erin@corp.test'", 'account erin@corp.test',
     'was disabled, says audit, but is not')]


@pytest.mark.parametrize('edit,thing,text', MISSING)
def test_edits_of_the_database(own, put_back, edit, thing, text):  # noqa: F811
    change(put_back, edit)
    row, = damages(own, own.conf, code=4)[1]
    assert (row['check'], row['object'], row['text']) == ('missing', thing,
                                                          text)


def test_after_a_restore(own, root):  # noqa: F811
    """reconcile makes the stricter true, and the next import puts right what
    was the directory's."""
    said = {}
    restart_signers(own)        # what is unsigned is not put back
    with root() as db:
        for edit, thing, text in MISSING:
            change(db, edit)
            said.setdefault(thing, set()).add(text)
        db.execute("SELECT countersign.rollback_found('signer-1', 'a test')")
    told = reconcile(own, '--apply')
    for thing, texts in said.items():
        assert texts <= {r['text'] for r in told if r['what'] == thing}
    verified(own)
    a, pc, rita = (account(own, n) for n in ('alice', 'pc1$', 'rita@'))
    assert a['groups'] == [] and pc['disabled']
    text = entry(1104, 'Alice', ['users'], cn='Ålice Example', **ALICE) + \
        computer(1105, 'pc1')
    rows = load(own, text)
    assert rows['alice']['changes'] == ['+users']
    assert rows['pc1$']['outcome'] == 'enabled'
    assert rows['pc1$']['changes'] == ['dns: evil.corp.test -> pc1.corp.test']
    verified(own)
    assert reconcile(own)[-1]['count'] == 0


# Last: whoever verifies afterwards takes long.
def test_ten_thousand(own, tmp_path):
    """In seconds, with a group of each and back again."""
    def all_of(group, n=10000):
        return ''.join(
            computer(100000 + i, 'm%d' % i) if i % 5 == 0 else
            entry(100000 + i, 'm%d' % i, [group], mail='m%d@big.test' % i,
                  userPrincipalName='m%d@big.test' % i)
            for i in range(n))
    times = []
    for group, n in ('users', 10000), ('users', 0), ('web-admins', 8000):
        began = time.monotonic()
        assert len(load(own, all_of(group), realm='big.test')) == n
        times.append(time.monotonic() - began)
    print('10,000 accounts: added %.1f s, again %.1f s, changed %.1f s'
          % tuple(times))
    assert max(times) < 300     # when nothing is quadratic, not in a race
    verified(own)


def test_on_a_terminal(own):
    """People see how far it is, and nothing of that is left."""
    text = ''.join(entry(5000 + i, 'v%d' % i) for i in range(1500))
    ours, theirs = pty.openpty()
    r = subprocess.run([*own.ctl_words(), 'account', 'import', '-', '--realm',
                        REALM, *GROUPS], input=text.encode(), stderr=theirs,
                       stdout=subprocess.PIPE)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert r.returncode == 0 and r.stdout.count(b'added') == 1500
    shown, left = said.split('\r\x1b[K')
    assert shown == '\rchanges: 1000 of 1500\x1b[K'
    assert left.splitlines() == [
        '1500 users and computers, 1500 added',
        'nobody in the file is in users: is that its name?',
        'nobody in the file is in web-admins: is that its name?',
        'nobody in the file is in Domain Computers: is that its name?',
        'groups that are not imported: Domain Users']


def read_rows(db):
    """Of accounts, by going through all of them."""
    return db.execute(
        'SELECT pg_stat_get_tuples_returned(%s::regclass)',
        ('countersign.account',)).fetchone()[0]


def test_one_name_among_many(own, root):  # noqa: F811
    """A new account or secret is not compared with every other one."""
    with root() as db:
        db.execute("INSERT INTO countersign.account (name, cn) SELECT 'many' "
                   "|| i, 'M' FROM generate_series(1, 60000) i")
        before = read_rows(db)
        own.ctl('account', 'add', 'one', '--dns', 'one.demo.example', '--upn',
                'one@demo.example', '--email', 'one@demo.example', '--sid',
                'S-1-5-21-1-2-3-9999', '--no-password')
        own.ctl('account', 'add', 'two', '--upn', 'one@demo.example',
                '--no-password', ok=1)
        own.ctl('account', 'show', 'one')
        own.ctl('secret', 'create', '--dns', 'three.demo.example',
                '--template', 'Computer')
        own.ctl('secret', 'create', '--dns', 'one.demo.example',
                '--template', 'Computer', ok=1)
        db.execute('SELECT pg_stat_clear_snapshot()')
        assert read_rows(db) - before < 60000
        db.execute("DELETE FROM countersign.account WHERE name LIKE 'many%'")
