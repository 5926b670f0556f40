"""Five validators agree on what is issued and on the lists: OpenSSL, GnuTLS,
NSS, python cryptography, and Java's where it is installed.  Some tens here;
"make test-validators" takes 2,000 certificates and lists of 0, 1 and 100,000
entries, in a deployment of its own.  Entries without a reason are the usual
ones ([RFC5280] 5.3.1); then all get one, which is hard for GnuTLS.  certtool
reads the list anew for each certificate: it judges lists of 0 and 1 entries,
and libgnutls, which reads them once, all."""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import time

import psycopg
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import client
from conftest import own_stack
from revocation import fetch_crl, hex_serial, issuer_of
from waits import wait_for

COUNT = int(os.environ.get('VALIDATE', '12'))
FULL = COUNT >= 1000
REASON = bytes.fromhex('0603551d15')
DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


@pytest.fixture(scope='module')
def place(request):
    if not FULL:
        yield request.getfixturevalue('stack')
        return
    with own_stack('validators') as s:
        yield s


@pytest.fixture(scope='module')
def root(place):
    dsn = psycopg.conninfo.make_conninfo(place.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        yield db


def issue(place, n):
    """The least serial number, the greatest, then all between."""
    keys = [client.rsa_key(), client.ec_key(), client.ec_key(ec.SECP384R1)]

    def one(i):
        name = 'v%d.demo.example' % i
        r = client.Client(place.env).enroll(client.make_csr(
            keys[i % 3], name, [name, 'w%d.demo.example' % i][:1 + i % 2],
            place.env['CS_TEMPLATE']))
        assert r.leaf is not None, r.text
        return r.certificate
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        certs = sorted(pool.map(one, range(n)), key=lambda c: c.serial_number)
    return certs[:1] + certs[-1:] + certs[1:-1]


class Files:
    """Certificates and the list at hand, for programs to read."""

    def __init__(self, place, folder, certs):
        self.folder, self.certs = folder, certs
        self.ca = issuer_of(certs[0])
        (folder / 'ca.der').write_bytes(self.ca.public_bytes(DER))
        (folder / 'ca.pem').write_bytes(self.ca.public_bytes(PEM))
        shutil.copy(place.env['CS_ROOT_PEM'], folder / 'root.pem')
        (folder / 'all.pem').write_bytes(self.ca.public_bytes(PEM) + (
            folder / 'root.pem').read_bytes())
        self.names = []
        for i, c in enumerate(certs):
            name = folder / ('c%d' % i)
            name.with_suffix('.pem').write_bytes(c.public_bytes(PEM))
            name.with_suffix('.der').write_bytes(c.public_bytes(DER))
            self.names.append(name)

    def take_list(self):
        crl = fetch_crl(self.certs[0])
        (self.folder / 'crl.der').write_bytes(crl.public_bytes(DER))
        (self.folder / 'crl.pem').write_bytes(crl.public_bytes(PEM))
        self.crl = crl
        return crl

    def reasons(self):
        """How many entries have one."""
        return (self.folder / 'crl.der').read_bytes().count(REASON)

    def timed(self, what, count, begun, used):
        """With the processor's time that it and we took."""
        print('%-8s %5d certificates, %6d entries, %6d reasons: '
              '%4.0f s, CPU %5.1f s' % (
                  what, count, len(self.crl), self.reasons(),
                  time.time() - begun, cpu() - used), flush=True)


def cpu():
    return sum(os.times()[:4])


def run(*args, seconds=1800, **env):
    return subprocess.run([str(a) for a in args], capture_output=True,
                          text=True, timeout=seconds,
                          env={**os.environ, **env})


def openssl(f):
    r = run('openssl', 'verify', '-crl_check', '-CAfile', f.folder / 'all.pem',
            '-CRLfile', f.folder / 'crl.pem',
            *[n.with_suffix('.pem') for n in f.names])
    bad = [x for x in r.stderr.splitlines() if x.startswith('error 23 ')]
    good = r.stdout.splitlines()
    assert len(bad) + len(good) == len(f.names), r.stderr
    return ['%s: OK' % n.with_suffix('.pem') in good for n in f.names]


def gnutls(f):
    """Huge pages: libtasn1 walks over some 100 MB for each entry."""
    r = run(sys.executable, pathlib.Path(__file__).with_name('gnutls_list.py'),
            f.folder / 'all.pem', f.folder / 'crl.der',
            *[n.with_suffix('.der') for n in f.names], seconds=7200,
            GLIBC_TUNABLES='glibc.malloc.hugetlb=1')
    assert r.returncode == 0, r.stderr
    first, read, *lines = r.stdout.splitlines()
    assert first == 'ENTRIES %d' % len(f.crl)
    print('gnutls:', read, 'for the list', flush=True)
    verdicts = [line.split()[0] for line in lines]
    assert len(verdicts) == len(f.names) and set(verdicts) <= {'OK', 'REVOKED'}
    return [v == 'OK' for v in verdicts]


def certtool(f):
    if len(f.crl) > 1000:
        return None
    r = run('certtool', '--verify-crl', '--load-ca-certificate',
            f.folder / 'ca.pem', '--infile', f.folder / 'crl.pem')
    assert r.returncode == 0, r.stdout

    def judge(name):
        r = run('certtool', '--verify', '--load-ca-certificate',
                f.folder / 'all.pem', '--load-crl', f.folder / 'crl.pem',
                '--infile', name.with_suffix('.pem'))
        assert ('revoked' in r.stdout) == (r.returncode != 0), r.stdout
        return r.returncode == 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(judge, f.names))


def certutil(f, commands):
    """One process for all of them; it ends with the first that fails."""
    batch = f.folder / 'batch'
    batch.write_text('\n'.join(commands) + '\n')
    return run('certutil', '-B', '-d', 'sql:%s' % (f.folder / 'nss'),
               '-i', batch)


def nss(f):
    db = 'sql:' + str(f.folder / 'nss')
    if not (f.folder / 'nss').exists():
        (f.folder / 'nss').mkdir()
        run('certutil', '-N', '-d', db, '--empty-password')
        add = '-A -n %s -t %s -i ' + str(f.folder) + '/%s.pem'
        r = certutil(f, [
            add % ('root', 'CT,,', 'root'), add % ('ca', ',,', 'ca'),
            *[add % (n.name, ',,', n.name) for n in f.names]])
        assert r.returncode == 0, r.stderr
    run('crlutil', '-D', '-d', db, '-n', 'ca')
    r = run('crlutil', '-I', '-d', db, '-i', f.folder / 'crl.der', '-t', '1',
            '-B')
    assert r.returncode == 0, r.stderr

    good = []
    while len(good) < len(f.names):
        r = certutil(f, ['-V -n %s -u V -e' % n.name
                         for n in f.names[len(good):]])
        out = r.stdout + r.stderr
        good += [True] * out.count('certificate is valid')
        if r.returncode == 0:
            break
        assert 'has been revoked' in out
        good.append(False)
    return good


def python(f):
    key = f.ca.public_key()
    assert f.crl.is_signature_valid(key)

    def judge(cert):
        h = cert.signature_hash_algorithm
        args = (padding.PKCS1v15(), h) if isinstance(key, rsa.RSAPublicKey) \
            else (ec.ECDSA(h),)
        try:
            key.verify(cert.signature, cert.tbs_certificate_bytes, *args)
        except InvalidSignature:
            return False
        assert cert.issuer == f.ca.subject
        aki = cert.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier).value.key_identifier
        assert aki == f.ca.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier).value.digest
        return f.crl.get_revoked_certificate_by_serial_number(
            cert.serial_number) is None
    return [judge(c) for c in f.certs]


def java(f):
    if shutil.which('java') is None:
        return None
    source = pathlib.Path(__file__).with_name('Validate.java')
    out, args = '', [n.with_suffix('.der') for n in f.names]
    for i in range(0, len(args), 1000):
        r = run('java', source, f.folder / 'ca.der', f.folder / 'crl.der',
                *args[i:i + 1000])
        assert r.returncode == 0, r.stderr
        out += r.stdout
    assert 'ENTRIES %d\n' % len(f.crl) in out
    bad = [x for x in out.splitlines() if x.startswith('BAD')]
    assert all(x.endswith(' REVOKED') for x in bad), bad
    return ['OK %s\n' % a in out for a in args]


def agree(f, expected):
    for validator in (openssl, gnutls, certtool, nss, python, java):
        begun, used = time.time(), cpu()
        found = validator(f)
        if found is None:
            continue
        assert len(found) == len(expected)
        wrong = [i for i, (a, b) in enumerate(zip(found, expected)) if a != b]
        assert not wrong, (validator.__name__, wrong[:10])
        f.timed(validator.__name__, len(found), begun, used)


def lengthen(f, root):
    """100,000 entries: the first of the list, the last and one between are of
    certificates that we have."""
    a, b = (c.serial_number for c in f.certs[:2])
    step = (b - a) // 99998
    # No audit, no ledger: rows are all that a list is made of.
    root.execute('SET session_replication_role = replica')
    root.execute(
        "INSERT INTO countersign.revoked SELECT r.ca, decode(n, 'hex'), now(), "
        "0, 'infinity', r.change FROM (SELECT * FROM countersign.revoked "
        'LIMIT 1) r, unnest(%s::text[]) n',
        (['%032x' % (a + i * step) for i in range(1, 99998)],))
    give_reasons(f, root, '0', 0)
    serials = [e.serial_number for e in f.crl]
    assert serials[0] == a and serials[-1] == b


def give_reasons(f, root, reason, n):
    root.execute('UPDATE countersign.revoked SET reason = ' + reason)
    root.execute("SELECT countersign.revocation_next('Demo-CA')")
    wait_for(lambda: len(f.take_list()) == 100000 and f.reasons() == n, 300)


def test_validators_agree(place, root, tmp_path, monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    f = Files(place, tmp_path, issue(place, COUNT))
    if FULL:
        assert len(f.take_list()) == 0
        agree(f, [True] * COUNT)
    place.ctl('cert', 'revoke', hex_serial(f.certs[3]), '--reason',
              'keyCompromise')
    # Of other tests' entries some may not stand on it yet.
    wait_for(lambda: f.take_list().get_revoked_certificate_by_serial_number(
        f.certs[3].serial_number))
    assert not FULL or len(f.crl) == 1
    expected = [i != 3 for i in range(COUNT)]
    agree(f, expected)
    if not FULL:
        return
    for i in 0, 1:
        place.ctl('cert', 'revoke', hex_serial(f.certs[i]), '--reason',
                  'superseded')
        expected[i] = False
    lengthen(f, root)
    agree(f, expected)
    give_reasons(f, root, '1 + get_byte(serial, 7) % 5', 100000)
    agree(f, expected)
