"""A root whose key is in a PKCS#11 token: made there, used there, replaced
there, by hand and in a ceremony."""
import json
import os
import re
import shutil
import subprocess

import pytest
from cryptography import x509

from conftest import TOP
from hsm import Hsm, PIN, SOFTHSM, SPY

PROGRAM = TOP / os.environ.get('BUILD', 'build') / 'countersign'


class Root(Hsm):
    """A root's host: a token, a folder, no configuration."""

    def __init__(self, where):
        super().__init__(where / 'hsm', 'HSM', 'Safe')
        self.place = where / 'root'
        self.place.mkdir(mode=0o700)
        self.csr = self.place / 'issuing.csr'
        subprocess.run(
            ['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt',
             'ec_paramgen_curve:P-256', '-nodes', '-keyout',
             self.place / 'i.key', '-subj', '/CN=Issuing', '-out', self.csr],
            check=True, capture_output=True)

    def __call__(self, *args, code=0, **kw):
        return self.run_it(PROGRAM, '-c', '/nonexistent', *args, code=code,
                           **kw)

    def at(self, name, label='HSM', old=''):
        """Options that say where a key is."""
        return ('--%stoken' % old, 'pkcs11:token=%s;object=%s' % (label, name),
                '--%smodule' % old, SPY, '--%spin-file' % old, self.pin)

    def create(self, name, *args, code=0, label='HSM', object=None):
        return self('ca', 'create-root', self.place / name, '--subject',
                    'CN=%s,O=Test' % name, *self.at(object or name, label),
                    *args, code=code)

    def crl(self, name, *args, code=0):
        return self('ca', 'root-crl', self.place / name, '-o',
                    self.place / (name + '.crl'), *args, code=code)

    def sign(self, name, out, *args, code=0):
        return self('ca', 'sign-subordinate', self.place / name, self.csr,
                    '--subject', 'CN=Issuing', '-o', self.place / out, *args,
                    code=code)

    def files(self, name):
        return sorted(p.name for p in self.place.glob(name + '.*'))

    def openssl(self, *args):
        return self.run_it('openssl', *args).stdout


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    r = Root(tmp_path_factory.mktemp('root'))
    r.create('Root')
    yield r


@pytest.fixture(autouse=True)
def whole(root):
    yield
    root.fault()
    root.pin.write_text(PIN)


@pytest.mark.parametrize('kind', ['ec:P-384', 'rsa:3072'])
def test_what_it_signs(root, kind):
    name = 'Root-' + kind[:2]
    root.create(name, '--key', kind)
    assert root.files(name) == [name + '.pem', name + '.register']
    root.sign(name, name + '-issuing.pem', *root.at(name))
    root.crl(name, *root.at(name))
    pem, chain = root.place / (name + '.pem'), root.place / (name + '.both')
    made = x509.load_pem_x509_certificate(pem.read_bytes())
    root.openssl('crl', '-inform', 'DER', '-in', root.place / (name + '.crl'),
                 '-out', chain)
    with open(chain, 'a') as f:
        f.write(pem.read_text())
    assert ': OK' in root.openssl(
        'verify', '-x509_strict', '-crl_check', '-CAfile', chain,
        root.place / (name + '-issuing.pem'))
    serial = '%X' % x509.load_pem_x509_certificate(
        (root.place / (name + '-issuing.pem')).read_bytes()).serial_number
    root.crl(name, '--revoke', serial, '--reason', 'cACompromise',
             *root.at(name))
    crl = x509.load_der_x509_crl((root.place / (name + '.crl')).read_bytes())
    assert crl.is_signature_valid(made.public_key())
    assert ['%X' % e.serial_number for e in crl] == [serial]
    part = [p for p in root.objects().split('Private Key Object')[1:]
            if name in p]
    assert 'sensitive, always sensitive, never extractable, local' in part[0]


@pytest.mark.parametrize('change,code,text', [
    (dict(object='other'), 1, 'no such private key'),
    (dict(object='twice'), 1, 'more than one'),
    (dict(object='Root-old'), 1, 'does not belong to the certificate'),
    (dict(label='Gone'), 3, 'token: none of the'),
    (dict(pin='1111222233'), 3, 'CKR_PIN_INCORRECT (0xa0): token '),
    (dict(pin=None), 1, 'pin'),
    (dict(fault='C_Sign 0x30'), 1, 'Device error'),
    (dict(fault='flip'), 1, 'signature is wrong'),
    (dict(fault='C_OpenSession 0xe0'), 3, 'CKR_TOKEN_NOT_PRESENT'),
    (dict(fault='final-try'), 3, 'one more wrong pin'),
    (dict(args=('--passphrase-file', '/p')), 2, 'for a key in a file'),
    (dict(cut=2), 2, 'go together'),
    (dict(cut=6), 1, 'a key in a token needs --token'),
])
def test_refused(root, change, code, text):
    if 'twice' in change.values() and 'twice' not in root.objects():
        for _ in range(2):
            root.run_it('pkcs11-tool', '--module', SOFTHSM, '--token-label',
                        'HSM', '--login', '--pin', PIN, '--keypairgen',
                        '--key-type', 'EC:prime256v1', '--label', 'twice')
    if 'Root-old' in change.values() and not root.files('Root-old'):
        root.create('Root-old')
    if 'pin' in change:
        root.pin.unlink()
        if change['pin'] is not None:
            root.pin.write_text(change['pin'])
            root.pin.chmod(0o600)
    root.fault(*[change['fault']] if 'fault' in change else [])
    register = (root.place / 'Root.register').read_text()
    where = root.at(change.get('object', 'Root'), change.get('label', 'HSM'))
    where = where[:len(where) - change.get('cut', 0)] + change.get('args', ())
    for r in (root.sign('Root', 'none.pem', *where, code=None),
              root.crl('Root', *where, code=None)):
        assert text in r.stderr, r.stderr
        assert r.returncode == code, r.stderr
        assert PIN not in r.stderr and '1111222233' not in r.stderr
    assert not (root.place / 'none.pem').exists()
    assert not (root.place / 'Root.crl').exists()
    assert (root.place / 'Root.register').read_text() == register
    if 'pin' in change:
        root.pin.unlink(missing_ok=True)
        root.pin.write_text(PIN)
        root.pin.chmod(0o600)
        root.crl('Root', *root.at('Root'))      # and the token counts anew
        (root.place / 'Root.crl').unlink()


def test_a_token_that_is_away(root):
    tokens = root.dir / 'tokens'
    tokens.rename(root.dir / 'away')
    tokens.mkdir()
    r = root.crl('Root', *root.at('Root'), code=3)
    assert 'token: none of the' in r.stderr and 'is "HSM"' in r.stderr
    tokens.rmdir()
    (root.dir / 'away').rename(tokens)


def test_what_fails_takes_its_key_out_again(root):
    """And a label that is taken is left alone."""
    assert 'in it already' in root.create('Root-3', object='Root',
                                          code=1).stderr
    assert 'Root' in root.objects()
    for fault, text in ('C_Sign 0x30', 'Device error'), (
            'flip', 'signature is wrong'):
        root.fault(fault)
        assert text in root.create('Root-3', code=1).stderr
        assert 'Root-3' not in root.objects()
        assert root.files('Root-3') == []
    root.fault()
    for key in 'ec:P-521', 'rsa:2048':
        assert 'key is rsa:3072, ' in root.create('Root-3', '--key', key,
                                                  code=2).stderr
        assert 'Root-3' not in root.objects()
    assert 'is there already' in root.create('Root', code=1).stderr
    assert 'needs --replaces' in root.create(
        'Root-3', *root.at('Root', old='old-'), code=2).stderr
    assert 'Root-3' not in root.objects() and root.files('Root-3') == []


@pytest.mark.parametrize('label', ['HSM', 'Safe'])
def test_rollover(root, label):
    """Old and new in one token, and in two."""
    new = 'Root-new-' + label
    root.create(new, '--replaces', root.place / 'Root',
                *root.at('Root', old='old-'), label=label)
    for ca, cert in ('Root', new + '-by-Root'), (new, 'Root-by-' + new):
        assert ': OK' in root.openssl(
            'verify', '-x509_strict', '-CAfile', root.place / (ca + '.pem'),
            root.place / (cert + '.pem'))
    assert new in root.objects(label)
    other = 'Root-not-' + label
    r = root.create(other, '--replaces', root.place / 'Root',
                    *root.at('other', old='old-'), label=label, code=1)
    assert 'no such private key' in r.stderr
    assert other not in root.objects(label) and root.files(other) == []


def test_from_a_file_to_a_token(root):
    root('ca', 'create-root', root.place / 'Paper', '--subject', 'CN=Paper')
    root.create('Chip', '--replaces', root.place / 'Paper')
    assert ': OK' in root.openssl(
        'verify', '-CAfile', root.place / 'Paper.pem',
        root.place / 'Chip-by-Paper.pem')
    r = root('ca', 'create-root', root.place / 'Paper-2', '--subject',
             'CN=Paper 2', '--replaces', root.place / 'Chip', code=1)
    assert 'needs --token' in r.stderr


CEREMONY = '''title = "Example PKI, in a token"
folder = "%(dir)s/made"
people = {"administrator", "witness"}
root "C-1" {
	subject = "CN=C 1"
	%(one)s
}
issuing "C-issuing" {
	root = "C-1"
	request = "%(dir)s/issuing.csr"
	subject = "CN=Issuing"
	%(one)s
}
crl "C-list" {
	root = "C-1"
	%(one)s
}
rollover "C-2" {
	replaces = "C-1"
	subject = "CN=C 2"
	%(two)s
	%(old)s
}
'''
YES = ['yes'] * 2
ANSWERS = ['yes', 'Alice', 'Walter'] + YES + ['yes'] + 3 * YES


def lines(root, name, old=''):
    opts = iter(root.at(name, old=old))
    return '\n\t'.join('%s = "%s"' % (o[2:], v) for o, v in zip(opts, opts))


def walk(root, answers, code=0, **changes):
    conf = root.place / 'ceremony.conf'
    conf.write_text(CEREMONY % dict(dict(
        dir=root.place, one=lines(root, 'C-1'), two=lines(root, 'C-2'),
        old=lines(root, 'C-1', 'old-')), **changes))
    return root('ceremony', 'run', conf, code=code,
                input=''.join(a + '\n' for a in answers))


def test_ceremony(root):
    made = root.place / 'made'
    walk(root, ANSWERS)
    text = (made / 'transcript').read_text()
    cert = x509.load_pem_x509_certificate((made / 'C-1.pem').read_bytes())
    spki = root.run_it('sh', '-c', "openssl x509 -in %s -noout -pubkey | "
                       "openssl pkey -pubin -outform DER | sha256sum" % (
                           made / 'C-1.pem')).stdout[:64]
    uri = 'pkcs11:token=HSM;object='
    assert len(re.findall(
        "token .*Z %sC-1: holds the root's key, SHA-256 of its public key %s"
        % (uri, spki), text)) == 3
    assert re.search("token .*Z %sC-2: holds" % uri, text)
    assert "--token '%sC-2'" % uri in text and PIN not in text
    assert cert.issuer == cert.subject
    assert not list(made.glob('*.key')) and not list(made.glob('*.pass'))
    rows = json.loads(root('--json', 'ceremony', 'verify',
                           made / 'transcript').stdout)
    assert all(r['ok'] for r in rows)
    shutil.rmtree(made)
    for name in 'C-1', 'C-2':
        root.run_it('pkcs11-tool', '--module', SOFTHSM, '--token-label',
                    'HSM', '--login', '--pin', PIN, '--delete-object',
                    '--type', 'privkey', '--label', name)
        root.run_it('pkcs11-tool', '--module', SOFTHSM, '--token-label',
                    'HSM', '--login', '--pin', PIN, '--delete-object',
                    '--type', 'pubkey', '--label', name)


def test_a_ceremony_given_up_leaves_no_key(root):
    before = root.objects()
    for n in range(4, len(ANSWERS)):
        r = walk(root, ANSWERS[:n] + ['no'], code=1)
        assert 'nothing is left of it.' in r.stdout
        assert root.objects() == before
        assert not list(root.place.glob('made*'))
    # A key that was there before is nobody's to take.
    r = walk(root, ANSWERS, code=1, one=lines(root, 'Root'),
             old=lines(root, 'Root', 'old-'))
    assert 'in it already' in r.stderr and root.objects() == before


def test_a_key_that_cannot_be_taken_out_is_named(root):
    conf = root.place / 'ceremony.conf'
    conf.write_text(CEREMONY.split('issuing "')[0] % dict(
        dir=root.place, one=lines(root, 'C-9')))
    words = [PROGRAM, '-c', '/nonexistent', 'ceremony', 'run', conf]
    env = dict(os.environ, **{k: str(v) for k, v in root.env.items()})
    p = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         bufsize=1)
    p.stdin.write('yes\nAlice\nWalter\nyes\n')
    p.stdin.flush()
    seen = ''
    while 'written these words' not in seen:
        seen += p.stdout.read(1)
    root.fault('C_GetSlotList 0x30')
    out, error = p.communicate('no\n')
    assert 'the new key stays in the token' in error
    assert 'but the keys named above' in out and 'C-9' in root.objects()


@pytest.mark.parametrize('change', [
    dict(old=''), dict(two='key = ec:P-256'), dict(one='')])
def test_steps_that_look_elsewhere(root, change):
    """Found when the file is reviewed, not when people wait."""
    conf = root.place / 'other.conf'
    text = dict(dir=root.place, one=lines(root, 'C-1'),
                two=lines(root, 'C-2'), old=lines(root, 'C-1', 'old-'))
    text.update(change)
    conf.write_text(CEREMONY % text)
    r = root('ceremony', 'check', conf, code=None)
    if 'two' in change:
        assert r.returncode == 0    # the new one in a file
    else:
        assert r.returncode != 0
        assert 'must be that of line' in r.stderr
