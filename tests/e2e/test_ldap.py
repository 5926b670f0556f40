"""countersign crl publish into a directory: a slapd of our own, on a socket
and with TLS on a loopback port; what it refuses, and what the messages say."""
import base64
import datetime
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import client
from revocation import revoke
from slapd import BASE, ROOT, WRITER, directory, needs_slapd, publish
from waits import wait_for

pytestmark = needs_slapd


def secret(stack, text, name):
    """A file as the command line wants it: its own, and nobody else's."""
    f = stack.conf.parent / ('ldap-' + name)
    f.unlink(missing_ok=True)
    f.write_text(text)
    f.chmod(0o400)
    if stack.ctl_words().index('-c') > 1:   # it runs as somebody else
        shutil.chown(f, stack.conf.owner())
    return str(f)


@pytest.fixture
def bound(stack, directory):
    return ['--bind', WRITER, '--password-file',
            secret(stack, 'writersecret\n', 'good'), '--tls-ca',
            str(directory.dir / 'cert.pem')]


def number(der):
    return x509.load_der_x509_crl(der).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number


def test_by_socket(stack, directory):
    """SASL EXTERNAL; entries are made; all there is, as signed."""
    before, = stack.ctl_json('crl', 'show', 'Demo-CA')
    r = publish(directory, directory.socket + '/' + BASE)
    assert 'Demo-CA: number' in r.stdout and 'Demo-Root: number' in r.stdout
    ours, above = directory.values('Demo-CA'), directory.values('Demo-Root')
    assert set(ours) == {'cACertificate', 'certificateRevocationList'}
    assert set(above) == {'cACertificate', 'certificateRevocationList',
                          'authorityRevocationList'}
    after, = stack.ctl_json('crl', 'show', 'Demo-CA')
    assert before['number'] <= number(ours['certificateRevocationList']) <= \
        after['number']
    for e in (ours, above):
        cert = x509.load_der_x509_certificate(e['cACertificate'])
        assert x509.load_der_x509_crl(e['certificateRevocationList']
                                      ).is_signature_valid(cert.public_key())
    assert above['authorityRevocationList'] == \
        above['certificateRevocationList']
    # again: each attribute keeps one value
    publish(directory, directory.socket + '/' + BASE)
    assert directory.values('Demo-CA')['cACertificate'] == \
        ours['cACertificate']


def crl(stack, number, key=None):
    """A list of the demo's CA, made behind its back."""
    ca = stack.dir / 'ca/Demo-CA'
    now = datetime.datetime.utcnow()
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(
            ca.with_suffix('.pem').read_bytes()).subject)
        .last_update(now).next_update(now + datetime.timedelta(1))
        .add_extension(x509.CRLNumber(number), False)
        .sign(key or serialization.load_pem_private_key(
            ca.with_suffix('.key').read_bytes(),
            ca.with_suffix('.pass').read_bytes().strip()), hashes.SHA256())
        .public_bytes(serialization.Encoding.DER))


@pytest.fixture(params=['folder', 'directory'])
def target(request, directory):
    """Where to, and how to read and to replace the list that is there."""
    if request.param == 'directory':
        def put(der):
            subprocess.run(
                ['ldapmodify', '-x', '-D', WRITER, '-w', 'writersecret', '-H',
                 directory.socket], check=True, capture_output=True, text=True,
                input='dn: cn=Demo-CA,%s\nchangetype: modify\nreplace: '
                'certificateRevocationList;binary\ncertificateRevocationList;'
                'binary:: %s\n' % (BASE, base64.b64encode(der).decode()))
        yield (directory.socket + '/' + BASE, lambda: directory.values(
            'Demo-CA')['certificateRevocationList'], put)
        return
    folder = directory.dir / 'lists'
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    file = folder / 'Demo-CA.crl'

    def put(der):
        file.unlink()
        file.write_bytes(der)
    yield str(folder), file.read_bytes, put


def test_a_later_list_stays(stack, directory, target):
    """From a restored database an older one would come; another key's list,
    or no list, is in nobody's way."""
    to, there, put = target
    publish(directory, to)
    now = number(there())
    later = crl(stack, now + 100)
    put(later)
    r = publish(directory, to, ok=1)
    assert 'would take the place of %d' % (now + 100) in r.stderr, r.stderr
    assert 'reconcile' in r.stderr and there() == later
    others = [crl(stack, now + 100, ec.generate_private_key(ec.SECP256R1())),
              crl(stack, 1)]
    if to.startswith('/'):      # a directory takes nothing else
        others.append(b'no list')
    for other in others:
        put(other)
        publish(directory, to)
        assert number(there()) >= now


@pytest.mark.parametrize('scheme', ['ldap', 'ldaps'])
def test_with_a_password(directory, bound, scheme):
    """StartTLS or TLS, verified."""
    url = '%s://127.0.0.1:%d/%s' % (scheme, directory.tls if scheme == 'ldaps'
                                    else directory.port, BASE)
    publish(directory, url, *bound)
    r = publish(directory, url, *bound[:4], ok=3)   # not the system's CA
    assert '--tls-ca' in r.stderr
    r = publish(directory, url.replace('127.0.0.1', 'localhost'), *bound,
                ok=3)
    assert '--tls-ca' in r.stderr                   # another name


def test_refusals(stack, directory, bound):
    url = 'ldaps://127.0.0.1:%d/' % directory.tls
    wrong = secret(stack, 'nonsense', 'wrong')
    empty = secret(stack, '\n', 'empty')
    closed = ('cn=Demo-CA,ou=closed,dc=example', 'ou=closed,dc=example')
    for to, args, code, text in (
            (url + BASE, bound[:3] + [wrong] + bound[4:], 1,
             'wrong --bind name or password'),
            (url + BASE, bound[:3] + [empty] + bound[4:], 1, 'is empty'),
            (url + BASE, bound[:3] + ['/nowhere'] + bound[4:], 1,
             '/nowhere'),
            (url + 'ou=none,' + BASE, bound, 1, 'make the entry that the url'),
            (url + closed[1], bound, 1, 'let whoever binds here write'),
            (directory.socket + '/' + closed[1], [], 1,
             'object classes pkiCA and deltaCRL'),
            ('ldap://localhost:1/' + BASE, bound, 3, 'is it up'),
            ('ldapi://%2Fnowhere/' + BASE, [], 3, 'is it up')):
        r = publish(directory, to, *args, ok=code)
        assert text in r.stderr, (to, r.stderr)
        assert 'nonsense' not in r.stderr + r.stdout


@pytest.mark.parametrize('args,text', [
    (['ldaps://localhost/' + BASE], 'only ldapi:// tells'),
    (['ldaps://localhost/' + BASE, '--bind', 'cn=x'], 'go together'),
    (['ldaps://localhost', '--bind', 'cn=x', '--password-file', 'f'],
     'no distinguished name'),
    (['ldaps://localhost/pki', '--bind', 'cn=x', '--password-file', 'f'],
     'no distinguished name'),
    (['ldapi://%2Fs/ou=x??sub'], 'only a name'),
    (['ldapi://%2Fs/ou=x', '--base', 'ou=x'], '--base is for a file'),
    (['ldap://[/ou=x', '--bind', 'cn=x', '--password-file', 'f'],
     'no ldap url'),
    (['x.ldif'], 'no distinguished name'),
    (['x.ldif', '--base', BASE, '--bind', 'cn=x'], 'are for a directory'),
    (['x.ldif', '--base', BASE, '--watch'], 'written once'),
    (['folder', '--base', BASE], 'are for directories'),
])
def test_mistakes(stack, args, text):
    r = stack.ctl('crl', 'publish', '--to', *args, ok=2)
    assert text in r.stderr


def test_changes_on_a_stick(stack, directory, tmp_path):
    """What the file says is what the directory then has."""
    tmp_path.chmod(0o777)
    f = tmp_path / 'changes.ldif'
    stack.ctl('crl', 'publish', '--to', str(f), '--base',
              'ou=stick,dc=example')
    text = f.read_text()
    assert all(len(line) <= 79 for line in text.splitlines())
    modify = ['ldapmodify', '-x', '-H', directory.socket, '-D', ROOT, '-w',
              'rootsecret']

    def change(text, code=0):
        r = subprocess.run(modify, input=text, text=True, capture_output=True)
        assert r.returncode == code, r.stderr
    change(text, 32)        # no such entry
    entry = '\n'.join(line[2:] for line in text.splitlines()
                      if line.startswith('# dn:') or
                      line.startswith('# objectClass:') or
                      line.startswith('# cn:'))
    change('dn: ou=stick,dc=example\nchangetype: add\n'
           'objectClass: organizationalUnit\nou: stick\n')
    for name in 'Demo-CA', 'Demo-Root':
        change(entry.replace('NAME', name).replace(
            '\n', '\nchangetype: add\n', 1) + '\n')

    def alike():        # unless a list is made in between
        stack.ctl('crl', 'publish', '--to', str(f), '--base',
                  'ou=stick,dc=example')
        change(f.read_text())
        publish(directory, directory.socket + '/' + BASE)
        return all(directory.values(name, 'ou=stick,dc=example') ==
                   directory.values(name) for name in ('Demo-CA', 'Demo-Root'))
    wait_for(alike)


def test_watch(stack, directory):
    """A revocation is there within seconds; the server's end does not end it."""
    cert = client.Client(stack.env).enroll(client.make_csr(
        client.rsa_key(), cn='l.demo.example',
        template=stack.env['CS_TEMPLATE'])).certificate
    p = subprocess.Popen(
        stack.ctl_words() + ['crl', 'publish', '--watch', '--to',
                             directory.socket + '/' + BASE],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def listed():
        der = directory.values('Demo-CA').get('certificateRevocationList')
        return der is not None and x509.load_der_x509_crl(
            der).get_revoked_certificate_by_serial_number(cert.serial_number)
    try:
        directory.stop()
        revoke(stack, cert)
        # Behind what it says when it was connected just then.
        assert any('is it up' in line for line in p.stderr)
        directory.start()
        wait_for(listed)
    finally:
        p.terminate()
        p.communicate(timeout=300)
