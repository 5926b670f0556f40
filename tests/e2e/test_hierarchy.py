"""ca create-root, request, sign-subordinate, install, root-crl: the order of a
two-tier hierarchy, and every way to get it wrong."""
import datetime
import ipaddress
import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from hierarchy import Offline, ca_dir, openssl
from revocation import EARLY

SUB = 'CN=Sub,O=Test'


@pytest.fixture(scope='module')
def off(stack):
    o = Offline(stack, 'offline')
    o.root('Root', None, '--pathlen', '1')
    return o


def csr(key=None, subject=(('CN', 'Sub'), ('O', 'Test')), extensions=(),
        digest=None):
    """PEM of a request, as an outside CA's software would make it."""
    oid = {'CN': NameOID.COMMON_NAME, 'O': NameOID.ORGANIZATION_NAME}
    b = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(
        [x509.NameAttribute(oid[k], v) for k, v in reversed(subject)]))
    for e, critical in extensions:
        b = b.add_extension(e, critical)
    return b.sign(key or ec.generate_private_key(ec.SECP256R1()),
                  digest or hashes.SHA256()).public_bytes(
                      serialization.Encoding.PEM)


def refused(r, *words):
    assert r.returncode in (1, 2), (r.returncode, r.stdout, r.stderr)
    for w in words:
        assert w in r.stderr, r.stderr


# The order --------------------------------------------------------------

def test_root(off):
    c = off.cert('Root.pem')
    assert c.issuer == c.subject
    assert c.subject.rfc4514_string() == 'CN=Root,O=Test'
    bc = c.extensions.get_extension_for_class(x509.BasicConstraints)
    assert bc.critical and bc.value.ca and bc.value.path_length == 1
    ku = c.extensions.get_extension_for_class(x509.KeyUsage)
    assert ku.critical and ku.value.key_cert_sign and ku.value.crl_sign
    for name in 'Root.key', 'Root.pass':
        assert stat.S_IMODE(os.stat(off.path(name)).st_mode) == 0o400
    assert b'ENCRYPTED PRIVATE KEY' in (off.dir / 'Root.key').read_bytes()
    line = (off.dir / 'Root.register').read_text().split()
    assert line[0] == 'certificate' and int(line[1], 16) == c.serial_number
    assert line[3] == c.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize('kind', ['rsa:3072', 'rsa:4096', 'ec:P-256',
                                  'ec:P-384'])
def test_kinds_of_keys(off, kind):
    name = 'K' + kind.split(':')[1].replace('-', '')
    off.root(name, None, '--key', kind)
    key = off.cert(name + '.pem').public_key()
    assert key.key_size == int(kind.rsplit('-' if 'P-' in kind else ':')[-1])
    openssl('verify', '-CAfile', off.path(name + '.pem'),
            off.path(name + '.pem'))


def test_passphrase_of_ones_own(off):
    phrase = off.put('phrase', 'a long enough one\n', 0o400)
    off.root('Own', None, '--passphrase-file', str(phrase))
    assert not (off.dir / 'Own.pass').exists()
    openssl('pkey', '-in', off.path('Own.key'), '-passin', 'file:%s' % phrase,
            '-noout')
    req = off.put('own.csr', csr())
    refused(off.sign(req, SUB, 'own.pem', root='Own', ok=None), 'Own.pass')
    off.sign(req, SUB, 'own.pem', '--passphrase-file', str(phrase),
             root='Own')


def test_extensions_of_a_subordinate(off):
    off.sign(off.put('ext.csr', csr()), SUB, 'ext.pem', '--years', '5',
             '--permit', 'dns:example.org', '--permit', 'email:example.org',
             '--permit', 'ip:10.0.0.0/8', '--permit', 'ip:2001:db8::/32',
             '--exclude', 'dns:secret.example.org', '--exclude', 'uri:.bad.org',
             '--eku', 'client-authentication', '--eku',
             'server-authentication', '--cdp', 'http://h.example/ca/Root.crl',
             '--aia', 'http://h.example/ca/Root.cer')
    c = off.cert('ext.pem')
    nc = c.extensions.get_extension_for_class(x509.NameConstraints)
    assert nc.critical
    assert [n.value for n in nc.value.permitted_subtrees] == [
        'example.org', 'example.org', ipaddress.ip_network('10.0.0.0/8'),
        ipaddress.ip_network('2001:db8::/32')]
    assert [n.value for n in nc.value.excluded_subtrees] == [
        'secret.example.org', '.bad.org']
    eku = c.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {o.dotted_string for o in eku} == {
        '1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.9'}
    bc = c.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert bc.path_length == 0
    cdp = c.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert cdp.value[0].full_name[0].value == 'http://h.example/ca/Root.crl'
    aia = c.extensions.get_extension_for_oid(
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    assert aia.value[0].access_location.value == 'http://h.example/ca/Root.cer'
    openssl('verify', '-CAfile', off.path('Root.pem'), off.path('ext.pem'))


def test_revocation_list_of_the_root(off):
    off.sign(off.put('crl.csr', csr()), SUB, 'crl.pem')
    serial = '%x' % off.cert('crl.pem').serial_number
    args = 'ca', 'root-crl', off.path('Root'), '-o', off.path('Root.crl')
    off.stack.ctl(*args)
    one = x509.load_der_x509_crl((off.dir / 'Root.crl').read_bytes())
    off.stack.ctl(*args, '--revoke', serial, '--reason', 'superseded',
                  '--days', '30')
    two = x509.load_der_x509_crl((off.dir / 'Root.crl').read_bytes())
    number = [c.extensions.get_extension_for_class(x509.CRLNumber).value
              .crl_number for c in (one, two)]
    assert number[1] == number[0] + 1
    assert [e.serial_number for e in two] == [
        off.cert('crl.pem').serial_number]
    assert two[0].extensions.get_extension_for_class(
        x509.CRLReason).value.reason == x509.ReasonFlags.superseded
    assert two.next_update - two.last_update - EARLY == \
        datetime.timedelta(30)
    assert two.is_signature_valid(off.cert('Root.pem').public_key())
    refused(off.stack.ctl(*args, '--revoke', serial, '--reason',
                          'superseded', ok=None), 'revoked already')
    refused(off.stack.ctl(*args, '--revoke', '4711', '--reason',
                          'superseded', ok=None), 'has signed no')
    refused(off.stack.ctl(*args, '--revoke', serial, ok=None), '--reason')
    refused(off.stack.ctl(*args, '--days', '3660', '--passphrase-file',
                          off.path('nowhere'), ok=None), 'nowhere')
    refused(off.stack.ctl('ca', 'root-crl', off.path('Root'), ok=None), '-o')


def test_list_that_outlives_its_root(off):
    off.root('Short', None, '--years', '1')
    refused(off.stack.ctl('ca', 'root-crl', off.path('Short'), '--days',
                          '400', '-o', off.path('s.crl'), ok=None),
            'outlive the root')


def test_register_is_not_for_writing(off):
    off.root('Scribbled')
    with open(off.path('Scribbled.register'), 'a') as f:
        f.write('and so on\n')
    refused(off.stack.ctl('ca', 'root-crl', off.path('Scribbled'), '-o',
                          off.path('x.crl'), ok=None), 'line 2')


def test_cross_certificates(off):
    """Whoever trusts one root reaches what the other signed."""
    off.root('First')
    off.root('Next', None, '--replaces', off.path('First'))
    key = [off.cert(n + '.pem').public_key().public_numbers()
           for n in ('First', 'Next', 'Next-by-First', 'First-by-Next')]
    assert key[2] == key[1] and key[3] == key[0]
    for root, other in ('First', 'Next'), ('Next', 'First'):
        name = 'below-%s' % root
        off.sign(off.put(name + '.csr', csr()), SUB, name + '.pem', root=root)
        openssl('verify', '-x509_strict', '-CAfile', off.path(other + '.pem'),
                '-untrusted', off.path('%s-by-%s.pem' % (root, other)),
                off.path(name + '.pem'))
    refused(off.root('Again', 'CN=First,O=Test', '--replaces',
                     off.path('First'), ok=None), 'two keys of one name')
    refused(off.root('Again', None, '--replaces', off.path('nobody'),
                     ok=None), 'nobody')
    assert not (off.dir / 'Again.key').exists()
    refused(off.root('Again', None, '--replaces', off.path('Root'),
                     ok=None), 'path length 1')


# What is refused of a root -----------------------------------------------

def test_root_refusals(off, stack):
    for args, word in (
            (['--key', 'rsa:2048'], '3072'),
            (['--key', 'rsa:1024'], 'key is'),
            (['--key', 'ec:P-521'], 'key is'),
            (['--years', '41'], '40'),
            (['--pathlen', '0'], 'pathlen'),
            (['--pathlen', '-1'], 'pathlen')):
        refused(off.root('Bad', None, *args, ok=None), word)
        assert not list(off.dir.glob('Bad*')), args
    refused(off.root('Root', ok=None), 'is there already')
    refused(stack.ctl('ca', 'create-root', off.path('Nobody'), ok=None),
            '--subject')
    refused(off.root('-x', ok=None), 'ca name')
    refused(off.root('Bad', 'XX=1', ok=None), 'XX')
    weak = off.put('weak', 'short\n', 0o400)
    refused(off.root('Bad', None, '--passphrase-file', str(weak), ok=None),
            'passphrase has at least')
    wide = off.put('wide', 'a long enough one\n', 0o644)
    refused(off.root('Bad', None, '--passphrase-file', str(wide), ok=None),
            'lets group or others in')


def test_root_folder_must_be_private(stack):
    o = Offline(stack, 'offline-open')
    o.dir.chmod(0o750)
    refused(o.root(ok=None), 'chmod 700')
    refused(stack.ctl('ca', 'create-root', o.path('no/Root'), '--subject',
                      'CN=x', ok=None), 'No such file')


def test_no_root_on_a_signer_host(stack):
    refused(stack.ctl('ca', 'create-root', str(ca_dir(stack) / 'Root'),
                      '--subject', 'CN=Root', ok=None), "signer's host")


# What is refused of a request --------------------------------------------

def test_request_refusals(off):
    weak = rsa.generate_private_key(65537, 2048)
    p521 = ec.generate_private_key(ec.SECP521R1())
    dns = x509.SubjectAlternativeName([x509.DNSName('www.example.org')])
    eku = x509.ExtendedKeyUsage([x509.ObjectIdentifier('2.5.29.37.0')])
    good = csr()
    damaged = bytearray(x509.load_pem_x509_csr(good).public_bytes(
        serialization.Encoding.DER))
    damaged[-1] ^= 1
    for data, words in (
            (csr(weak), ['3072']),
            (csr(p521), ['P-384']),
            (csr(subject=(('CN', 'Other'), ('O', 'Test'))),
             ['CN=Other', 'not for']),
            (csr(extensions=[(dns, False)]), ['Alternative Name', 'issuer']),
            (csr(extensions=[(eku, False)]), ['Extended Key Usage']),
            (csr(extensions=[(x509.BasicConstraints(False, None), True)]),
             ['for no ca']),
            (csr(extensions=[(x509.BasicConstraints(True, 3), True)]),
             ['path length 3', '--pathlen']),
            (csr(extensions=[(x509.KeyUsage(
                True, False, True, False, False, False, True, False, False),
                True)]), ['no keyCertSign']),
            (bytes(damaged), ['signature is wrong']),
            (b'nonsense', ['not a request']),
            (b'no base64!', ['bad.csr: ']),
            (good * 2, ['more than one object'])):
        req = off.put('bad.csr', data)
        refused(off.sign(req, SUB, 'bad.pem', ok=None), *words)
        assert not (off.dir / 'bad.pem').exists()


def test_sign_refusals(off, stack):
    req = off.put('good.csr', csr())
    for args, words in (
            (['--years', '30'], ['outlive its issuer']),
            (['--years', '0'], ['years']),
            (['--pathlen', '1'], ['path length', '--pathlen is 0']),
            (['--pathlen', 'none'], ['path length']),
            (['--permit', 'dns:.example.org'], ['name constraint']),
            (['--permit', 'dns:a,excluded;DNS:b'], ['name constraint']),
            (['--permit', 'example.org'], ['name constraint']),
            (['--permit', 'ip:10.0.0.1/8'], ['bits behind']),
            (['--permit', 'ip:10.0.0.0'], ['ADDRESS/BITS']),
            (['--permit', 'ip:10.0.0.0/33'], ['ADDRESS/BITS']),
            (['--eku', 'any'], ['--eku']),
            (['--eku', 'frobnicate'], ['--eku']),
            (['--cdp', 'https://h/x.crl'], ['http://']),
            (['--aia', 'http://h/x;y'], ['http://'])):
        refused(off.sign(req, SUB, 'bad.pem', *args, ok=None), *words)
        assert not (off.dir / 'bad.pem').exists(), args
    refused(stack.ctl('ca', 'sign-subordinate', off.path('Root'), str(req),
                      ok=None), '--subject')
    off.put('there.pem', 'x')
    refused(off.sign(req, SUB, 'there.pem', ok=None), 'exists')


def test_a_subordinate_is_no_root(off):
    """Path length 0 signs no CA, nor is the root's own key or name taken."""
    key = ec.generate_private_key(ec.SECP256R1())
    off.sign(off.put('leafca.csr', csr(key)), SUB, 'Leaf.pem')
    off.put('Leaf.key', key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b'a long enough one')), 0o400)
    off.put('Leaf.pass', 'a long enough one\n', 0o400)
    refused(off.sign(off.put('below.csr', csr()), SUB, 'below.pem',
                     root='Leaf', ok=None), 'path length is 0')
    phrase = (off.dir / 'Root.pass').read_bytes().strip()
    own = serialization.load_pem_private_key(
        (off.dir / 'Root.key').read_bytes(), phrase)
    refused(off.sign(off.put('own2.csr', csr(own)), SUB, 'b.pem', ok=None),
            "root's own")
    refused(off.sign(off.put('own3.csr', csr(subject=(
        ('CN', 'Root'), ('O', 'Test')))), 'CN=Root,O=Test', 'b.pem', ok=None),
        "root's own")


def test_key_and_certificate_of_a_root_must_fit(off):
    off.root('Mixed')
    (off.dir / 'Mixed.pem').write_bytes((off.dir / 'Root.pem').read_bytes())
    refused(off.sign(off.put('m.csr', csr()), SUB, 'm.pem', root='Mixed',
                     ok=None), 'does not belong')
    off.root('Open')
    (off.dir / 'Open.key').chmod(0o644)
    refused(off.sign(off.put('m.csr', csr()), SUB, 'm.pem', root='Open',
                     ok=None), 'lets group or others in')


# ca request, ca install ----------------------------------------------------

@pytest.fixture
def wanted(stack):
    """A name that is free again afterwards, where nothing was installed."""
    name = 'Wanted'

    def clear():
        for p in ca_dir(stack).glob(name + '*'):
            p.unlink()
    clear()
    yield name
    clear()


def request(stack, name, *more, ok=True):
    return stack.ctl('ca', 'request', name, *more, ok=ok)


def test_request(stack, off, wanted):
    r = request(stack, wanted, '--subject', SUB, '-o', '-')
    req = x509.load_pem_x509_csr(r.stdout.encode())
    assert req.is_signature_valid
    assert req.subject.rfc4514_string() == SUB
    d = ca_dir(stack)
    assert stat.S_IMODE((d / (wanted + '.key')).stat().st_mode) == 0o400
    refused(request(stack, wanted, ok=None), 'is there already')
    off.sign(d / (wanted + '.csr'), SUB, 'wanted.pem', '--years', '3')
    openssl('verify', '-CAfile', off.path('Root.pem'), off.path('wanted.pem'))


def test_request_refusals_leave_nothing(stack, wanted):
    refused(request(stack, wanted, '--key', 'rsa:2048', ok=None), '3072')
    refused(request(stack, wanted, '--subject', 'nonsense', ok=None), '')
    assert not list(ca_dir(stack).glob(wanted + '*'))
    refused(request(stack, 'a/b', ok=None), 'ca name')
    known = stack.ctl_json('ca', 'show')[0]['name']
    refused(request(stack, known, ok=None), 'already')


def test_install_refusals(stack, off, wanted):
    d = ca_dir(stack)
    other = off.put('other.csr', csr())
    off.sign(other, SUB, 'other.pem')
    refused(stack.ctl('ca', 'install', wanted, off.path('other.pem'),
                      ok=None), 'ca request')
    request(stack, wanted, '--subject', SUB)
    mine = d / (wanted + '.csr')

    def install(file, *more):
        r = stack.ctl('ca', 'install', wanted, off.path(file), *more, ok=None)
        assert not (d / (wanted + '.pem')).exists()
        return r
    refused(install('other.pem'), 'another key')
    # a certificate with names that nobody asked for
    key = serialization.load_pem_private_key(
        (off.dir / 'Root.key').read_bytes(),
        (off.dir / 'Root.pass').read_bytes().strip())
    root = off.cert('Root.pem')
    req = x509.load_pem_x509_csr(mine.read_bytes())

    def made(subject=None, end=None, ca=True, crl=True, ski=True):
        now = datetime.datetime.utcnow()
        b = x509.CertificateBuilder().subject_name(
            subject or req.subject).issuer_name(root.subject).public_key(
            req.public_key()).serial_number(x509.random_serial_number())
        b = b.not_valid_before(now - datetime.timedelta(days=9))
        b = b.not_valid_after(end or now + datetime.timedelta(days=99))
        b = b.add_extension(x509.BasicConstraints(ca, 0 if ca else None),
                            True)
        b = b.add_extension(x509.KeyUsage(
            False, False, False, False, False, ca, crl, False, False), True)
        if ski:
            b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(
                req.public_key()), False)
        c = b.sign(key, hashes.SHA384())
        return off.put('made.pem', c.public_bytes(
            serialization.Encoding.PEM) + (off.dir / 'Root.pem').read_bytes())
    made(subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'Evil')]))
    refused(install('made.pem'), 'CN=Evil', 'not asked for')
    made(end=root.not_valid_after + datetime.timedelta(days=1))
    refused(install('made.pem'), 'outlives its issuer')
    made(end=datetime.datetime.utcnow() - datetime.timedelta(days=1))
    refused(install('made.pem'), 'not valid now')
    made(ca=False, crl=True)
    refused(install('made.pem'), 'not a ca')
    made(crl=False)
    refused(install('made.pem'), 'cRLSign')
    made(ski=False)
    refused(install('made.pem'), 'subject key identifier')
    off.sign(mine, SUB, 'mine.pem')
    lone = (off.dir / 'mine.pem').read_bytes().split(b'-----END')[0] + \
        b'-----END CERTIFICATE-----\n'
    off.put('lone.pem', lone)
    refused(install('lone.pem'), 'not signed by the next')
    refused(install('mine.pem', '--of', 'Nobody-CA'), 'is no ca')
    refused(stack.ctl('ca', 'install', 'Demo-CA', off.path('mine.pem'),
                      '--of', 'Second-CA', ok=None),
            'registered as a key of ca Demo-CA', 'rollover Second-CA --as')
    refused(install('mine.pem', '--replace'), 'nothing to replace')
    refused(install('mine.pem', '--of', 'x', '--replace'), 'exclude')
    refused(install('mine.pem', '--also', off.path('Root.key')),
            'no certificate')
    made(ca=False)
    refused(install('mine.pem', '--also', off.path('made.pem')),
            "is no ca's")


def test_install_checks_the_whole_chain(stack, off, wanted):
    """A CA below one whose path length is 0: no relying party takes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    off.sign(off.put('mid.csr', csr(key)), SUB, 'mid.pem')
    request(stack, wanted)
    req = x509.load_pem_x509_csr((ca_dir(stack) / 'Wanted.csr').read_bytes())
    mid = off.cert('mid.pem')
    now = datetime.datetime.utcnow()
    c = x509.CertificateBuilder().subject_name(req.subject).issuer_name(
        mid.subject).public_key(req.public_key()).serial_number(
        99).not_valid_before(now - datetime.timedelta(1)).not_valid_after(
        now + datetime.timedelta(99)).add_extension(
        x509.BasicConstraints(True, 0), True).add_extension(
        x509.KeyUsage(False, False, False, False, False, True, True, False,
                      False), True).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(req.public_key()),
        False).sign(key, hashes.SHA256())
    off.put('deep.pem', c.public_bytes(serialization.Encoding.PEM))
    refused(stack.ctl('ca', 'install', wanted, off.path('deep.pem'),
                      '--chain', off.path('mid.pem'), ok=None),
            'path length')


def test_no_root_is_a_root(off):
    """What signs must be a CA's and valid."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'Odd')])
    off.put('Odd.pass', 'a long enough one\n', 0o400)
    off.put('Odd.key', key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b'a long enough one')), 0o400)
    for ca, days, word in (False, 9, "not a ca's"), (True, -1, 'not valid'):
        c = x509.CertificateBuilder().subject_name(name).issuer_name(
            name).public_key(key.public_key()).serial_number(1)
        c = c.not_valid_before(now - datetime.timedelta(9)).not_valid_after(
            now + datetime.timedelta(days)).add_extension(
            x509.BasicConstraints(ca, None), True).add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True,
                          False, False), True).sign(key, hashes.SHA256())
        off.put('Odd.pem', c.public_bytes(serialization.Encoding.PEM))
        refused(off.sign(off.put('odd.csr', csr()), SUB, 'odd.pem',
                         '--years', '1', root='Odd', ok=None), word)


def test_install_refuses_a_root_key_on_the_host(stack, off, wanted):
    d = ca_dir(stack)
    request(stack, wanted, '--subject', SUB)
    off.sign(d / (wanted + '.csr'), SUB, 'withroot.pem')
    for e in '.pem', '.key':
        p = d / ('Wanted-root-here' + e)
        p.write_bytes((off.dir / ('Root' + e)).read_bytes())
        off.own(p)
    refused(stack.ctl('ca', 'install', wanted, off.path('withroot.pem'),
                      ok=None), "root's private key")


def test_list_of_a_stranger(stack, off):
    """crl install takes lists of CAs above ours alone."""
    off.root('Stranger')
    stack.ctl('ca', 'root-crl', off.path('Stranger'), '-o',
              off.path('Stranger.crl'))
    refused(stack.ctl('crl', 'install', 'Stranger', off.path('Stranger.crl'),
                      ok=None), 'not signed by a ca above')
    refused(stack.ctl('crl', 'install', 'Stranger', off.path('Root.key'),
                      ok=None), 'not a revocation list')
    refused(stack.ctl('crl', 'install', 'a/b', off.path('Stranger.crl'),
                      ok=None), 'ca name')
    key = serialization.load_pem_private_key(
        (off.dir / 'Root.key').read_bytes(),
        (off.dir / 'Root.pass').read_bytes().strip())
    now = datetime.datetime.utcnow()
    for number, days, base, word in (
            (None, 9, None, 'no number'), (7, -1, None, 'has ended'),
            (7, 9, 6, 'is a delta')):
        b = x509.CertificateRevocationListBuilder().issuer_name(
            off.cert('Root.pem').subject).last_update(
            now - datetime.timedelta(9)).next_update(
            now + datetime.timedelta(days))
        if number is not None:
            b = b.add_extension(x509.CRLNumber(number), False)
        if base is not None:
            b = b.add_extension(x509.DeltaCRLIndicator(base), True)
        off.put('odd.crl', b.sign(key, hashes.SHA384()).public_bytes(
            serialization.Encoding.PEM))
        refused(stack.ctl('crl', 'install', 'Root', off.path('odd.crl'),
                          ok=None), word)


def test_doctor_finds_the_roots_key(stack, off):
    """On a signer's host; and warns before the root's list ends."""
    def found():
        return [c for c in stack.ctl_json('doctor', ok=None)
                if 'gets the root' in (c['advice'] or '')]
    assert not found()
    copies = []
    for e in '.pem', '.key':
        copies.append(ca_dir(stack) / ('Found' + e))
        copies[-1].write_bytes((stack.dir / ('root/Demo-Root' + e))
                               .read_bytes())
        off.own(copies[-1])
    try:
        assert 'Found.key' in found()[0]['text']
    finally:
        for p in copies:
            p.unlink()
    assert any(c['object'] == 'Demo-Root' and c['check'] == 'crl' and
               c['result'] == 'ok' for c in stack.ctl_json('doctor', ok=None))
