"""Templates of Active Directory become sections of our policy file: the OID
and the version stay, and what comes out passes the linter."""
import json
import os
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
DATA = TOP / 'tests/data/adtemplates'
CTL = TOP / os.environ.get('BUILD', 'build') / 'countersign'
BASE = '''policy-name = "x"
ca "Lab" { uri "password" { uri = "https://x.test/Lab" } }
name-rule "web" { groups = {"admins"} dns = {"*.lab.test"} }
'''


def run(path, *args):
    r = subprocess.run([CTL, 'policy', 'import', '--ca', 'Lab', *args, path],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def check(text, tmp_path):
    f = tmp_path / 'p.conf'
    f.write_text(BASE + text)
    r = subprocess.run([CTL, 'policy', 'check', f], capture_output=True,
                       text=True)
    return r.stdout + r.stderr if r.returncode else ''


def option(text, template, name):
    section = re.search(r'template "%s" \{(.*?)\n\}' % template, text, re.S)
    m = re.search(r'^\t%s = (.*)$' % name, section.group(1), re.M)
    return m.group(1) if m else None


def test_ldif(tmp_path):
    text = run(DATA / 'two.ldf', '--enroll', 'staff', '--name-rule', 'web')
    assert check(text, tmp_path) == ''
    assert text.count('template "') == 2
    arcs = '1.3.6.1.4.1.311.21.8.1111111.2222222.3333333.4444444.5555555.1.'
    for name, want in {
            'LabUser': {
                'oid': '"%s77"' % arcs, 'version': '"101.7"', 'schema': '4',
                'type': 'user', 'keys': '{"ec:P-256"}', 'names': 'account',
                'display-name': '"Lab User — Test"', 'validity': '365d',
                'renewal': '42d', 'exportable': 'true',
                'san': '{"upn", "email"}', 'key-usage':
                '{"digital-signature"}', 'enroll': '{"staff"}',
                'smime-capabilities': 'true', 'renewal-sha1': None},
            'LabWeb': {
                'oid': '"%s78"' % arcs, 'version': '"4.1"', 'schema': '2',
                'type': 'machine', 'names': 'request', 'hash': None,
                'name-rules': '{"web"}', 'keys': '{"rsa:2048"}',
                'key-spec': '1', 'approval': None, 'renewal-sha1': 'true',
                'smime-capabilities': None}}.items():
        for key, value in want.items():
            assert option(text, name, key) == value, (name, key)


def test_ldif_without_choices_is_safe(tmp_path):
    text = run(DATA / 'two.ldf')
    assert check(text, tmp_path) == ''
    assert option(text, 'LabUser', 'enroll') == '{"nobody"}'
    assert option(text, 'LabWeb', 'approval') == 'manager'


@pytest.mark.parametrize('attribute,words', [
    ('msPKI-RA-Signature: 1', 'ra-signatures'),
    ('msPKI-Private-Key-Flag: 8192', 'attestation')])
def test_what_the_directory_asks_for_besides(tmp_path, attribute, words):
    """Nobody gets without it what he would not get there."""
    name = attribute.split()[0]
    data = (DATA / 'two.ldf').read_text()
    lines = [n for n in data.splitlines() if not n.startswith(name)]
    f = tmp_path / 'more.ldf'
    f.write_text('\n'.join(x for line in lines for x in (
        [line, attribute] if line.startswith('cn: ') else [line])) + '\n')
    text = run(f, '--enroll', 'staff', '--name-rule', 'web')
    assert check(text, tmp_path) == ''
    for t in 'LabUser', 'LabWeb':
        assert option(text, t, 'approval') == 'manager'
    assert text.count(words) == 2


def test_domain_controllers(tmp_path):
    """The names of "Kerberos Authentication"."""
    f = tmp_path / 'dc.ldf'
    f.write_text((DATA / 'two.ldf').read_text().replace(
        'flags: 131642', 'flags: 65632').replace(
        'Name-Flag: -1509949440', 'Name-Flag: 138412032'))
    text = run(f, '--template', 'LabUser')
    assert check(text, tmp_path) == ''
    assert option(text, 'LabUser', 'san') == '{"dns", "domain-dns"}'
    assert 'left out' not in text


SDDL = 'D:(A;;FA;;;BA)(A;;FA;;;SY)(A;;GR;;;S-1-5-80-3804348527-3718992918)'


@pytest.mark.parametrize('said,written', [
    (SDDL, '"%s"' % SDDL), ('O:BAD:(A;;FA;;;BA)', None)])
def test_key_permissions(tmp_path, said, written):
    """[MS-CRTD] 2.23.2: a service's account that reads the private key."""
    f = tmp_path / 'key.ldf'
    f.write_text((DATA / 'two.ldf').read_text().replace(
        '`SHA256`', '`SHA256`msPKI-Key-Security-Descriptor`PZPWSTR`%s`' %
        said))
    text = run(f, '--enroll', 'staff')
    assert check(text, tmp_path) == ''
    assert option(text, 'LabUser', 'key-permissions') == written
    assert ('private key are left out' in text) == (written is None)


def test_certutil(tmp_path):
    text = run(DATA / 'one.certutil', '--autoenroll', 'machines')
    assert check(text, tmp_path) == ''
    for key, value in {
            'version': '"101.3"', 'type': 'machine', 'schema': '2',
            'autoenroll': '{"machines"}', 'subject': '{"dns"}',
            'san': '{"dns"}', 'supersedes': '{"Machine"}',
            'eku': '{"1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"}',
            'key-usage': '{"digital-signature", "key-encipherment"}',
            'validity': '365d', 'renewal': '42d'}.items():
        assert option(text, 'LabComputer', key) == value, key


def test_certutil_tells_of_the_keys_permissions(tmp_path):
    """One line, as of the other words of a key; schema 2 cannot say it."""
    before = '  TemplatePropGeneralFlags ='
    f = tmp_path / 'one.certutil'
    f.write_text((DATA / 'one.certutil').read_text().replace(
        before, '  TemplatePropKeySecurityDescriptor = D:(A;;FA;;;SY)\n' +
        before))
    text = run(f, '--autoenroll', 'machines')
    assert check(text, tmp_path) == ''
    assert 'the permissions of the private key are left out' in text
    assert 'are left out' not in run(DATA / 'one.certutil', '--autoenroll',
                                     'machines')


def test_json_and_choice():
    r = subprocess.run([CTL, '--json', 'policy', 'import', '--ca', 'Lab',
                        '--template', 'LabWeb', DATA / 'two.ldf'],
                       capture_output=True, text=True)
    rows = json.loads(r.stdout)
    assert [x['template'] for x in rows] == ['LabWeb']
    assert any('2,048 bits' in n for n in rows[0]['notes'])


@pytest.mark.parametrize('edit', [
    lambda t: t.replace('cn: LabUser\n', ''),
    lambda t: t.replace('cn: LabUser', 'cn: LabUser\ncn: Again'),
    lambda t: t.replace('flags: 131642', 'flags: many'),
    lambda t: t.replace('AEA5hy7h/v8=', 'AEA5'),
    lambda t: t.replace('pKIKeyUsage:: gA==', 'pKIKeyUsage:: g!=='),
    lambda t: t.replace('1.3.6.1.5.5.7.3.2', '1.3.x'),
    lambda t: t.replace('revision: 101', 'revision 101'),
    lambda t: t.replace('pKICertificateTemplate', 'container'),
    lambda t: t.replace('-OID: ', '-OID: 1.2" enroll = {"x"} #'),
    lambda t: '', lambda t: '\0' * 100, lambda t: 'dn: x\n' * 3000,
    lambda t: t.replace('LabUser', 'x' * 100000),
])
def test_what_is_no_export_is_refused(tmp_path, edit):
    f = tmp_path / 'bad.ldf'
    f.write_text(edit((DATA / 'two.ldf').read_text()))
    r = subprocess.run([CTL, 'policy', 'import', '--ca', 'Lab', f],
                       capture_output=True, text=True)
    assert r.returncode == 1 and r.stderr.strip() and not r.stdout


@pytest.mark.parametrize('text', [
    'x"} template "evil" {', 'x\\" enroll = {"all"}', '${HOME}', "x' # y",
    'x} name-rule "y" {groups = {"all"}'])
def test_what_a_template_says_stays_its_own(tmp_path, text):
    """Who may write templates in the directory writes no policy here."""
    f = tmp_path / 'odd.ldf'
    data = (DATA / 'two.ldf').read_text()
    f.write_text(re.sub('(?m)^displayName:: .*', lambda m: 'displayName: ' +
                        text, data))
    odd = run(f, '--enroll', 'staff', '--name-rule', 'web')
    assert 'display-name = "' in odd and check(odd, tmp_path) == ''
    plain = run(DATA / 'two.ldf', '--enroll', 'staff', '--name-rule', 'web')
    assert [line for line in odd.splitlines() if 'display-name' not in line
            ] == [line for line in plain.splitlines()
                  if 'display-name' not in line]


def test_real_exports(shared, tmp_path):
    """Every real template either passes the linter or says why not."""
    seen = 0
    for path in sorted((shared / 'captures/templates-ldif').glob('*.ldf')):
        text = run(path, '--enroll', 'staff', '--name-rule', 'web')
        assert check(text, tmp_path) == '', path.name
        seen += 1
    assert seen >= 20
