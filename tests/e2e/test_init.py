"""What init makes, and the pages that say how clients are set up."""
import hashlib
import re
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import html

import browser
from policies import published
from second_site import TOP, site_of


def test_landing_page_on_paper(stack, demo, tmp_path):
    """Nobody types a command of which half is cut off."""
    home = stack.env['CS_HOME_URL']
    style = demo.http.get(home + 'style.css', timeout=300).text
    text = demo.http.get(home, timeout=300).text.replace(
        '</head>', '<style>%s</style></head>' % browser.on_paper(style))
    over = browser.look(tmp_path, text, 794,
                        '[...document.querySelectorAll("pre,section")].map('
                        's => s.scrollWidth - s.clientWidth)').split(',')
    assert len(over) > 10 and not any(int(x) > 0 for x in over), over


def test_landing_page(stack, demo):
    r = demo.http.get(stack.env['CS_HOME_URL'], timeout=300)
    assert r.status_code == 200 and 'text/html' in r.headers['Content-Type']
    for must in (*(v for k, v in stack.env.items() if k.endswith('_URL') and
                   k != 'CS_HOME_URL'), 'certmgr.msc', 'certlm.msc',
                 'openSUSE/cepces', 'Add-CertificateEnrollmentPolicyServer',
                 stack.sql('SELECT policy_id FROM countersign.deployment')[0][0]):
        assert must in r.text, must
    assert not re.search('@[A-Z_]+@', r.text)
    tree = html.fromstring(r.text)
    base = stack.env['CS_HOME_URL'].rstrip('/') + '/'
    links = {a.get('href') for a in tree.iter('a') if a.get('href')}
    kinds = {'.cer': 0, '.pem': 0, '.p7b': 0}
    for href in links:
        if href.startswith('#') or href.startswith('http'):
            continue
        got = demo.http.get(base + href.lstrip('/'), timeout=300)
        assert got.status_code == 200, href
        for k in kinds:
            kinds[k] += href.endswith(k)
    assert all(kinds.values()), kinds
    # all CAs, as the policy has them: their addresses answer
    head, cas = stack.ctl('ca', 'page').stdout.split('-->\n', 1)
    assert cas in r.text and 'BEGIN CERTIFICATE' not in r.text
    assert head.count('BEGIN CERTIFICATE') == 2
    crl, = [h for h in links if h.startswith('http://')]
    assert demo.http.get(crl, timeout=300).status_code == 200
    got = demo.http.get(crl.replace('.crl', '.cer'), timeout=300)
    cert = x509.load_der_x509_certificate(got.content)
    words = ''.join(tree.get_element_by_id('cas').text_content().split())
    assert cert.fingerprint(hashes.SHA256()).hex().upper() in words
    assert 'Demo-Root' in words and 'OCSP' in words


@pytest.fixture
def init(stack, tmp_path):
    """init into a new folder; its exit code, what it says, the folder."""
    def run(*args):
        r = subprocess.run([stack.bin / 'countersign', 'init', tmp_path / 'new',
                            '--host', 'pki.example', *args], text=True,
                           capture_output=True, timeout=300)
        return r.returncode, r.stderr, tmp_path / 'new'
    return run


def test_init_of_a_folder_that_one_was_in(init):
    code, said, folder = init('--ca', 'X-CA')
    assert code == 0, said
    code, said, _ = init('--ca', 'X-CA')
    assert code == 1 and 'countersign.conf is there: init has made this ' \
        'already, and another one needs another folder' in said
    # Killed before the last file.
    (folder / 'etc/countersign.conf').unlink()
    code, said, _ = init('--ca', 'X-CA')
    assert code == 1 and 'keys/worker.key is there and no etc/countersign.' \
        'conf: an init was cut short; remove the folder and begin again' \
        in said


def test_init_with_kerberos(init, stack):
    code, said, folder = init(
        '--kerberos-keytab', '/k', '--kerberos-certificate', '/c',
        '--kerberos-realm', 'A.EXAMPLE', '--kerberos-realm', 'B.EXAMPLE',
        '--kerberos-binding', 'when-offered')
    assert code == 0, said
    worker = (folder / 'etc/worker.conf').read_text()
    assert """
kerberos {
	keytab = "/k"
	realm = {"A.EXAMPLE", "B.EXAMPLE"}
	certificate = {"/c"}
	channel-binding = "when-offered"
}
""" in worker
    draft = (folder / 'etc/policy-draft.conf').read_text()
    assert """
	uri "kerberos" {
		uri = "https://pki.example/Demo-CA_CES_Kerberos/service.svc/CES"
""" in draft
    stack.ctl('policy', 'check', str(folder / 'etc/policy-draft.conf'))


def test_init_without_kerberos(init, stack):
    code, said, folder = init()
    assert code == 0, said
    assert 'kerberos {' not in (folder / 'etc/worker.conf').read_text()
    draft = (folder / 'etc/policy-draft.conf').read_text()
    assert '\n\t#uri "kerberos" {\n' in draft
    stack.ctl('policy', 'check', str(folder / 'etc/policy-draft.conf'))


def test_init_for_the_publisher(init, stack):
    """What its unit reads: no key, and a role that reads lists alone."""
    code, said, folder = init('--dsn-host', '/nonexistent')
    assert code == 0, said
    conf = folder / 'etc/publisher.conf'
    assert re.fullmatch("""# .*
database = "host='/nonexistent' .* user='countersign_publisher'"
ca-dir = ".*/new/ca"
sql-dir = ".*/sql"
""", conf.read_text())
    r = subprocess.run([stack.bin / 'countersign', '-c', conf, 'crl', 'publish',
                        '--to', folder / 'run'], text=True,
                       capture_output=True, timeout=300)
    assert r.returncode == 3 and 'database: ' in r.stderr, r.stderr


@pytest.mark.parametrize('args, text', [
    (['--kerberos-keytab', '/k'], 'needs --kerberos-certificate'),
    (['--kerberos-realm', 'A'], 'needs --kerberos-keytab'),
    (['--kerberos-certificate', '/c'], 'needs --kerberos-keytab'),
    (['--kerberos-binding', 'off'], 'needs --kerberos-keytab'),
    (['--kerberos-keytab', '/k', '--kerberos-binding', 'no'],
     'when-offered or off, not "no"'),
    (['--kerberos-keytab', '/k"', '--kerberos-binding', 'off'], 'quotes')])
def test_init_with_kerberos_refused(init, args, text):
    code, said, folder = init(*args)
    assert code == 2 and text in said and not folder.exists()


@pytest.fixture
def kerberos_policy(stack, tmp_path):
    before = published(stack)
    lines = r'(uri "kerberos" \{|\turi = ".*_CES_Kerberos/|\tpriority = |\}$)'
    for text in (re.sub('(?m)^\t#(?=%s)' % lines, '\t', before), before):
        (tmp_path / 'p.conf').write_text(text)
        stack.ctl('policy', 'publish', str(tmp_path / 'p.conf'))
        if text != before:
            yield


def test_explain_by_kerberos(stack, kerberos_policy):
    def rows(ok):
        return stack.ctl_json('explain', '--user', 'demo', '--method',
                              'kerberos', ok=ok)
    assert any(r['enroll'] for r in rows(0))


def test_explain_by_kerberos_where_it_is_not(stack):
    rows = stack.ctl_json('explain', '--user', 'demo', '--method', 'kerberos',
                          ok=1)
    assert not any(r['enroll'] for r in rows)
    assert any('kerberos' in r['text'] for r in rows)


def test_page_with_kerberos(stack, kerberos_policy, tmp_path):
    files = site_of(stack, tmp_path)
    cep = stack.env['CS_CEP_URL'].replace('UsernamePassword', 'Kerberos')
    ces = stack.env['CS_CES_URL'].replace('UsernamePassword', 'Kerberos')
    page, reg = files['index.html'], files['countersign-kerberos.reg']
    for must in ('>%s<' % cep, '>%s<' % ces, 'Windows integrated',
                 '"AuthFlags"=dword:00000002', 'auth=Kerberos',
                 stack.env['CS_HOME_URL'] + 'whoami/kerberos<',
                 '"/countersign-kerberos.reg"', 'Enrollment, Kerberos'):
        assert must in page, must
    key = hashlib.sha1(cep.lower().encode('utf-16-le')).hexdigest()
    assert key in page and 'PolicyServers\\%s]' % key in reg
    assert '"URL"="%s"' % cep in reg and '"AuthFlags"=dword:00000002' in reg
    assert '"AuthFlags"=dword:00000004' in files['countersign.reg']
    assert "$url = '%s'" % cep in files['countersign.ps1']
    assert '$Kerberos,' in files['countersign.ps1']
    for name, text in files.items():
        assert not re.search('(?m)@[A-Z_]+@|kerberos -->|^# /?kerberos$',
                             text), name


def test_page_without_kerberos(stack, tmp_path):
    (tmp_path / 'web').mkdir()
    (tmp_path / 'web/countersign-kerberos.reg').write_text('of before')
    files = site_of(stack, tmp_path)
    assert 'countersign-kerberos.reg' not in files
    for name, text in files.items():
        assert 'kerberos' not in text.lower(), name


def test_page_of_another_version(tmp_path):
    """The policy ID in countersign.reg comes from "ca page"."""
    (tmp_path / 'page').write_text(
        '<!-- policy {EFEBBB83-FC8E-40AE-B09D-69692C006637} -->\n<div></div>\n')
    r = subprocess.run(
        [TOP / 'deploy/site.sh', tmp_path / 'web', tmp_path / 'page'],
        text=True, capture_output=True, timeout=300)
    assert r.returncode == 1 and 'page: not what "countersign ca page" ' \
        'of this version writes' in r.stderr
    assert not (tmp_path / 'web').exists()
