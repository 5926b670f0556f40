"""Key ceremonies: a reviewed file, people who answer, and what is left."""
import contextlib
import datetime
import hashlib
import json
import os
import pty
import re
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from conftest import TOP

YES = ['yes'] * 2       # of a step: do it; written down
FILE = '''title = "Example PKI"
folder = "%(dir)s/made"
people = {"administrator", "first witness"}

root "Root-1" {
	subject = "CN=Example Root 1,O=Example"
	years = 15
}
issuing "Issuing-1" {
	root = "Root-1"
	request = "%(dir)s/issuing.csr"
	subject = "CN=Issuing 1"
	years = 8
	permit = {"dns:example.org"}
	cdp = "http://pki.example.org/root.crl"
}
crl "Root-1-2026" {
	root = "Root-1"
	days = 90
}
rollover "Root-2" {
	replaces = "Root-1"
	subject = "CN=Example Root 2,O=Example"
	key = ec:P-256
}
'''
ANSWERS = (['yes', 'Alice Admin', 'Walter Witness'] + YES + ['yes'] + YES +
           YES + YES)


@pytest.fixture(scope='module')
def program():
    """No stack: a root's host has none."""
    return TOP / os.environ.get('BUILD', 'build') / 'countersign'


def prepare(tmp_path):
    """A folder with a request of a CA in it."""
    tmp_path.chmod(0o700)
    subprocess.run(
        ['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt',
         'ec_paramgen_curve:P-256', '-nodes', '-keyout', tmp_path / 'i.key',
         '-subj', '/CN=Issuing 1', '-out', tmp_path / 'issuing.csr'],
        check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def place(tmp_path):
    return prepare(tmp_path)


def write(place, text=FILE, **changes):
    (place / 'c.conf').write_text(text % dict(dir=place))
    return place / 'c.conf'


def run(program, conf, answers, code=0):
    r = subprocess.run([program, '-c', '/nonexistent', 'ceremony', 'run',
                        conf], input=''.join(a + '\n' for a in answers),
                       text=True, capture_output=True, timeout=300)
    assert r.returncode == code, (r.stdout[-1500:], r.stderr)
    return r


def verify(program, made, code=0):
    r = subprocess.run([program, '-c', '/nonexistent', '--json', 'ceremony',
                        'verify', made / 'transcript'], text=True,
                       capture_output=True, timeout=300)
    assert r.returncode == code, (r.stdout, r.stderr)
    return json.loads(r.stdout)


def nothing_left(place, before):
    assert sorted(p.name for p in place.iterdir()) == before


@pytest.fixture(scope='module')
def done(program, tmp_path_factory):
    """One that went well, for those who only look."""
    where = prepare(tmp_path_factory.mktemp('ceremony'))
    return where, run(program, write(where), ANSWERS).stdout


def words(text, what):
    """Hex and words as shown for something."""
    m = re.search(r'SHA-256 of %s:\n((?:    .*\n)+)' % re.escape(what), text)
    lines = m.group(1).split('\n')
    return ''.join(lines[:2]).replace(' ', ''), ' '.join(lines[2:6]).split()


def test_what_is_made(done):
    place, text = done
    made = place / 'made'
    assert not (place / 'made.partial').exists()
    names = {p.name for p in made.iterdir()}
    assert names == {
        'ceremony.conf', 'transcript', 'Issuing-1.csr', 'Issuing-1.pem',
        'Root-1-2026.crl',
        'Root-1.key', 'Root-1.pass', 'Root-1.pem', 'Root-1.register',
        'Root-2.key', 'Root-2.pass', 'Root-2.pem', 'Root-2.register',
        'Root-1-by-Root-2.pem', 'Root-2-by-Root-1.pem'}
    assert made.stat().st_mode & 0o777 == 0o700
    for chain in ('Issuing-1.pem', 'Root-2-by-Root-1.pem'):
        subprocess.run(['openssl', 'verify', '-x509_strict', '-CAfile',
                        made / 'Root-1.pem', made / chain], check=True,
                       capture_output=True)
    subprocess.run(['openssl', 'verify', '-x509_strict', '-CAfile',
                    made / 'Root-2.pem', made / 'Root-1-by-Root-2.pem'],
                   check=True, capture_output=True)


def test_fingerprints_are_everybody_s(done):
    place, text = done
    made = place / 'made'
    cert = x509.load_pem_x509_certificate(
        (made / 'Issuing-1.pem').read_bytes())
    der = cert.public_bytes(Encoding.DER)
    hex_, spoken = words(text, 'Issuing-1.pem')
    assert hex_ == hashlib.sha256(der).hexdigest()
    assert len(spoken) == 32
    assert 'Is this what sha256sum says of the request' in text
    assert words(text, str(place / 'issuing.csr'))[0] == hashlib.sha256(
        (place / 'issuing.csr').read_bytes()).hexdigest()
    assert words(text, 'ceremony.conf')[0] == hashlib.sha256(
        (place / 'c.conf').read_bytes()).hexdigest()
    crl = (made / 'Root-1-2026.crl').read_bytes()
    assert words(text, 'Root-1-2026.crl')[0] == hashlib.sha256(
        crl).hexdigest()


def test_transcript(program, done):
    place, text = done
    lines = (place / 'made/transcript').read_text().split('\n')
    assert lines[0] == 'countersign ceremony transcript 1'
    assert 'person administrator: Alice Admin' in lines
    assert 'person first witness: Walter Witness' in lines
    assert 'program %s this program' % hashlib.sha256(
        program.read_bytes()).hexdigest() in lines
    assert [l for l in lines if l.startswith('step ')] == [
        'step 1 root Root-1', 'step 2 issuing Issuing-1',
        'step 3 crl Root-1-2026', 'step 4 rollover Root-2']
    assert sum(l.startswith('yes ') for l in lines) == 10
    rows = verify(program, place / 'made')
    assert all(r['ok'] for r in rows), rows
    assert {r['check'] for r in rows} == {
        'transcript', 'program', 'ceremony', 'step', 'file', 'secret',
        'growing'}
    assert rows[0]['object'] == words(text, 'the transcript')[0]


def copy(done, tmp_path):
    subprocess.run(['cp', '-a', done[0] / 'made', tmp_path / 'made'],
                   check=True)
    (tmp_path / 'made/transcript').chmod(0o600)
    return tmp_path / 'made'


def test_keys_may_be_elsewhere_and_registers_grow(program, done, tmp_path):
    made = copy(done, tmp_path)
    for f in made.glob('*.key'):
        f.unlink()
    for f in made.glob('*.pass'):
        f.unlink()
    with open(made / 'Root-1.register', 'a') as f:
        f.write('crl 2 1 2\n')
    assert all(r['ok'] for r in verify(program, made))


@pytest.mark.parametrize('damage,check', [
    (lambda m: (m / 'Issuing-1.pem').write_bytes(
        (m / 'Root-1.pem').read_bytes()), {'file', 'step'}),
    (lambda m: (m / 'Root-1-2026.crl').write_bytes(b'0'), {'file', 'step'}),
    (lambda m: (m / 'Root-1.pem').unlink(), {'file', 'step'}),
    (lambda m: (m / 'other.pem').write_text('x'), {'file'}),
    (lambda m: (m / 'Root-1.register').write_text(''), {'growing'}),
    (lambda m: (m / 'Root-1.pass').rename(m / 'Root-2.pass'),
     {'secret', 'step'}),
    (lambda m: (m / 'ceremony.conf').write_text(
        (m / 'ceremony.conf').read_text().replace('years = 15',
                                                  'years = 25')),
     {'file', 'ceremony', 'step'}),
    (lambda m: (m / 'transcript').write_text(
        (m / 'transcript').read_text().replace('Walter', 'Wilma')),
     {'transcript'}),
    (lambda m: (m / 'transcript').write_text(
        (m / 'transcript').read_text()[:-1]), {'transcript'}),
    (lambda m: (m / 'transcript').write_text(''), {'transcript'}),
])
def test_damage_is_found(program, done, tmp_path, damage, check):
    made = copy(done, tmp_path)
    damage(made)
    rows = verify(program, made, code=4)
    assert {r['check'] for r in rows if not r['ok']} == check, rows


def forge(path, subject='CN=Example Root 1,O=Example', years=15, ca=True,
          pathlen=None, critical=True, usage=True, key=None, serial=2**100,
          hash_=hashes.SHA384(), ski=True):
    """A root that is wrong in one point."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    now = datetime.datetime.utcnow().replace(microsecond=0)
    name = x509.Name.from_rfc4514_string(subject)
    b = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
         .public_key(key.public_key()).serial_number(serial)
         .not_valid_before(now)
         .not_valid_after(now + datetime.timedelta(days=365.25 * years))
         .add_extension(x509.BasicConstraints(ca, pathlen), critical)
         .add_extension(x509.KeyUsage(
             not usage, False, False, False, False, True, True, False, False),
             critical)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
             key.public_key()), False))
    if ski:
        b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(
            key.public_key()), False)
    path.write_bytes(b.sign(key, hash_).public_bytes(Encoding.PEM))


@pytest.mark.parametrize('wrong,text', [
    ({}, 'key is another'),     # right but for its key, which is there
    (dict(subject='CN=Example Root 3,O=Example'), 'another subject'),
    (dict(years=25), 'another life'),
    (dict(years=5), 'another life'),
    (dict(pathlen=1), 'another path length'),
    (dict(ca=False), 'not a ca'),
    (dict(critical=False), 'not a ca'),
    (dict(usage=False), 'key usage'),
    (dict(serial=4711), 'serial number'),
    (dict(hash_=hashes.SHA512()), 'another hash'),
    (dict(ski=False), 'key identifiers'),
    (dict(key=rsa.generate_private_key(65537, 2048)), 'not of 2048 bits'),
], ids=str)
def test_profile(program, done, tmp_path, wrong, text):
    made = copy(done, tmp_path)
    forge(made / 'Root-1.pem', **wrong)
    row, = [r for r in verify(program, made, code=4)
            if (r['check'], r['object']) == ('step', 'Root-1')]
    assert not row['ok'] and text in row['text']


@pytest.mark.parametrize('n', [0, 1, 2, 3, 4, 5, 7, 11])
def test_no_leaves_nothing(program, place, n):
    conf = write(place)
    before = sorted(p.name for p in place.iterdir())
    answers = ANSWERS[:n] + (['no'] if ANSWERS[n] == 'yes' else [])
    r = run(program, conf, answers, code=1)
    assert 'nothing is left of it' in r.stdout
    assert 'answered with no' in r.stderr or 'input ended' in r.stderr
    nothing_left(place, before)


@pytest.mark.parametrize('answers,text', [
    (['perhaps', 'Yes', 'y'], 'neither yes nor no'),
    (['yes', 'Alice', 'alice'], 'here for something else already'),
    (['yes', '', ' ', 'x' * 65], 'no answer to'),
    (['yes', '\x1b[2J', '\x07', '\t'], 'no answer to'),
])
def test_answers_refused(program, place, answers, text):
    conf = write(place)
    before = sorted(p.name for p in place.iterdir())
    assert text in run(program, conf, answers, code=1).stderr
    nothing_left(place, before)


def test_on_a_terminal_and_stopped_there(program, place):
    conf = write(place)
    before = sorted(p.name for p in place.iterdir())
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(program, [str(program), '-c', '/nonexistent', 'ceremony',
                           'run', str(conf)])
    seen = ''
    for wanted, answer in (('reviewed? (yes or no): ', 'yes\n'),
                           ('Name of the administrator: ', 'Alice\n'),
                           ('Name of the first witness: ', 'Walter\n'),
                           ('Do it? (yes or no): ', 'yes\n'),
                           ('words down? (yes or no): ', '\x03')):
        while not seen.endswith(wanted):
            seen += os.read(fd, 4096).decode()
        os.write(fd, answer.encode())
    status = os.waitpid(pid, 0)[1]
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1
    os.close(fd)
    nothing_left(place, before)


def test_roots_that_were_there_before(program, place, done):
    """Next year: another list, and a root that takes over."""
    old = copy(done, place)
    old.rename(place / 'safe')
    lines = len((place / 'safe/Root-1.register').read_text().splitlines())
    conf = write(place, '''title = "Next year"
folder = "%(dir)s/made"
people = {"administrator", "witness"}
crl "Root-1-2027" { root = "%(dir)s/safe/Root-1" }
rollover "Root-3" {
	replaces = "%(dir)s/safe/Root-1"
	subject = "CN=Example Root 3,O=Example"
}
''')
    run(program, conf, ['yes', 'A', 'B'] + YES + YES)
    assert {p.name for p in (place / 'made').iterdir()} == {
        'ceremony.conf', 'transcript', 'Root-1.pem', 'Root-1-2027.crl',
        'Root-3.pem', 'Root-3.key', 'Root-3.pass', 'Root-3.register',
        'Root-3-by-Root-1.pem', 'Root-1-by-Root-3.pem'}
    assert not list((place / 'safe').glob('*-by-Root-3.pem'))
    assert all(r['ok'] for r in verify(program, place / 'made'))
    # The list and the cross certificate; what it signed it remembers.
    assert len((place / 'safe/Root-1.register').read_text()
               .splitlines()) == lines + 2


@pytest.mark.parametrize('old,new,text', [
    ('title = "Example PKI"', '', 'title'),
    ('folder = ', 'folders = ', 'folders'),
    ('{"administrator", "first witness"}', '{"administrator"}', '2 to 16'),
    ('"first witness"', '"administrator"', 'twice'),
    ('crl "Root-1-2026"', 'crl "Root-1"', 'was used before'),
    ('"Root-1-2026"', '"a/b"', 'a ca name is'),
    ('	root = "Root-1"\n	days', '	root = "Root-2"\n	days',
     'made by no step before'),
    ('replaces = "Root-1"', 'replaces = "Root-9"', 'made by no step before'),
    ('replaces = "Root-1"\n', '\n', 'needs replaces'),
    ('	root = "Root-1"\n	days', '	days', 'needs root'),
    ('	request = "%(dir)s/issuing.csr"\n', '', 'needs request'),
    ('	subject = "CN=Example Root 1,O=Example"\n', '', 'needs subject'),
    ('days = 90', 'days = 90\n	days = 91', 'days'),
    ('days = 90', 'year = 90', 'year'),
    ('CN=Example Root 2', "CN=Example's Root 2", "no ' in it"),
    ('CN=Example Root 2', "Example Root 2", 'rollover Root-2: subject "Exam'),
    ('years = 8', 'years = eight', 'issuing Issuing-1: --years: not a numb'),
    ('years = 8', 'years = 15', 'Issuing-1 would outlive its issuer Root-1'),
    ('years = 15', 'years = 15\n	pathlen = 0', 'no ca could stand below'),
    ('years = 8', 'years = 8\n	pathlen = none\n}\nroot "Root-9" {\n'
     '	subject = "CN=R"\n	pathlen = 2\n}\nissuing "I-9" {\n'
     '	root = "Root-9"\n	pathlen = 2\n	request = "x"\n'
     '	subject = "CN=x"', 'I-9: pathlen must be below 2, that of Root-9'),
    ('days = 90', 'days = 3661', 'crl Root-1-2026: --days: 3661'),
    ('days = 90', 'days = 90\n	reason = superseded', '--reason needs --rev'),
    ('days = 90', 'revoke = xyz\n	reason = superseded', 'xyz'),
    ('days = 90', 'revoke = AB\n	reason = superseded', 'nobody knows yet'),
    ('dns:example.org', 'dns:*.example.org', 'name constraint dns:*.example'),
    ('cdp = "http', 'cdp = "https', 'is an http:// URL'),
    ('key = ec:P-256', 'key = rsa:2048', 'key is rsa:3072, rsa:4096'),
])
def test_files_refused(program, place, old, new, text):
    assert old in FILE
    conf = write(place, FILE.replace(old, new, 1))
    for verb in ('check', 'run'):
        r = subprocess.run([program, 'ceremony', verb, conf], text=True,
                           capture_output=True, stdin=subprocess.DEVNULL)
        assert r.returncode in (1, 2), r.stderr
        assert text in r.stderr and r.stdout == ''


STEP2 = ['yes', 'A', 'B'] + YES + ['yes', 'yes']


@pytest.mark.parametrize('old,new,answers,text', [
    ('"CN=Issuing 1"', '"CN=Issuing 2"', STEP2, 'Issuing'),
    ('issuing.csr', 'nothing.csr', STEP2[:-2], 'No such file'),
    ('years = 8', 'years = 8\n	request-sha256 = "00"', STEP2[:-2],
     'another one than the reviewed file'),
])
def test_steps_refused(program, place, old, new, answers, text):
    conf = write(place, FILE.replace(old, new, 1))
    before = sorted(p.name for p in place.iterdir())
    assert text in run(program, conf, answers, code=1).stderr
    nothing_left(place, before)


def is_read(fifo):
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return True
    except OSError:
        return False


def test_a_stick_with_two_faces(program, place):
    """It shows another request the second time it is read."""
    request = place / 'issuing.csr'
    asked = request.read_bytes()
    prepare(place)
    faces = [asked, request.read_bytes()]
    request.unlink()
    os.mkfifo(request)

    def show():
        for text in faces:
            with open(request, 'wb', 0) as f, \
                    contextlib.suppress(BrokenPipeError):
                f.write(text)
            while is_read(request):
                time.sleep(0.01)
    threading.Thread(target=show, daemon=True).start()
    run(program, write(place), ANSWERS)
    # The other face was seen by nobody.
    os.close(os.open(request, os.O_RDONLY | os.O_NONBLOCK))
    made = place / 'made'
    assert x509.load_pem_x509_certificate(
        (made / 'Issuing-1.pem').read_bytes()).public_key().public_numbers() \
        == x509.load_pem_x509_csr(asked).public_key().public_numbers()
    assert (made / 'Issuing-1.csr').read_bytes() == asked


def test_a_pinned_request(program, place):
    md = hashlib.sha256((place / 'issuing.csr').read_bytes()).hexdigest()
    conf = write(place, FILE.replace(
        'years = 8', 'years = 8\n	request-sha256 = "%s"' % md, 1))
    run(program, conf, ANSWERS)


def test_folders_refused(program, place):
    conf = write(place)
    (place / 'made.partial').mkdir()
    r = run(program, conf, ANSWERS, code=1)
    assert 'left by a ceremony that was killed' in r.stderr
    (place / 'made.partial').rename(place / 'made')
    assert 'is there already' in run(program, conf, ANSWERS, code=1).stderr


@pytest.mark.parametrize('old,new,text', [
    ('"CN=Issuing 1"', '"CN=Issuing 2"', 'the request is for "CN=Issuing 1"'),
    ('years = 8', 'years = 8\n	request-sha256 = "00"',
     'another one than the reviewed file'),
])
def test_requests_are_looked_at_before(program, place, old, new, text):
    """By whoever reviews the file and has them."""
    conf = write(place, FILE.replace(old, new, 1))
    r = subprocess.run([program, 'ceremony', 'check', conf], text=True,
                       capture_output=True)
    assert r.returncode == 1 and r.stdout == ''
    assert 'c.conf:9: issuing Issuing-1: ' in r.stderr and text in r.stderr
    (place / 'issuing.csr').unlink()
    r = subprocess.run([program, 'ceremony', 'check', conf], text=True,
                       capture_output=True, check=True)
    assert 'not looked at, for it is not here: ' in r.stdout


def test_check_shows_what_run_would_do(program, place):
    conf = write(place)
    r = subprocess.run([program, 'ceremony', 'check', conf], text=True,
                       capture_output=True, check=True)
    digest = hashlib.sha256(conf.read_bytes()).hexdigest()
    assert digest in r.stdout.replace(' ', '').replace('\n', '')
    assert "3. crl Root-1-2026: countersign ca root-crl Root-1 --days '90' " \
        '-o Root-1-2026.crl' in r.stdout
