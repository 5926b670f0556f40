"""A CA whose key is in a PKCS#11 token, which breaks while all runs.  Nothing
may be lost, nobody restarts anything."""
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

import client
import revocation
from archives import ket
from conftest import TOP
from hsm import ENDS, PIN, RETRY, SOFTHSM, SPY, Token, calls
from schema import check_fault
from waits import wait_for

PEM = serialization.Encoding.PEM


@pytest.fixture(scope='module')
def tokens(tmp_path_factory):
    """Both kinds at once: most of a start is waiting."""
    both = {kind: Token(tmp_path_factory.mktemp('token') / 'state', kind)
            for kind in ('ec:P-256', 'rsa:3072')}
    try:
        yield {kind: t.ready() for kind, t in both.items()}
    finally:
        for t in both.values():
            t.run.stop()
            subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                           env=dict(os.environ, STATE=str(t.run.state)))


@pytest.fixture
def token(tokens):
    t = tokens['ec:P-256']
    pid = t.signer
    yield t
    t.fault()
    t.issues()
    assert t.signer == pid, 'the signer was restarted'


def certify(cn, key, root):
    """As the old CA's root has certified it."""
    name, root_name = (x509.Name([x509.NameAttribute(
        x509.NameOID.COMMON_NAME, c)]) for c in (cn, 'Moved Root'))
    now = datetime.datetime.utcnow()
    return x509.CertificateBuilder(
        root_name, name, key, x509.random_serial_number(),
        now - datetime.timedelta(days=1), now + datetime.timedelta(days=99)
    ).add_extension(x509.BasicConstraints(True, None), True).add_extension(
        x509.KeyUsage(False, False, False, False, False, True, True, False,
                      False), True).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key), False).sign(
            root, hashes.SHA256()).public_bytes(PEM)


def verify(key, signature, signed, algorithm):
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    else:
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)


@pytest.mark.parametrize('kind', ['ec:P-256', 'rsa:3072'])
def test_certificate_list_and_answer(tokens, kind):
    t = tokens[kind]
    cert = t.issues()
    ca = revocation.issuer_of(cert)
    verify(ca.public_key(), cert.signature, cert.tbs_certificate_bytes,
           cert.signature_hash_algorithm)
    revocation.fetch_crl(cert)
    url, = revocation.access(
        cert, x509.oid.AuthorityInformationAccessOID.OCSP)
    (t.dir / 'leaf.pem').write_bytes(cert.public_bytes(
        client.serialization.Encoding.PEM))
    ca_pem = t.stack.dir / 'ca/Demo-CA.pem'
    out = t.run_it('openssl', 'ocsp', '-issuer', ca_pem, '-cert',
                   t.dir / 'leaf.pem', '-url', url, '-CAfile',
                   t.stack.env['CS_ROOT_PEM'], '-verify_other', ca_pem)
    assert 'leaf.pem: good' in out.stdout and 'verify OK' in out.stderr
    t.stack.ctl('cert', 'revoke', revocation.hex_serial(cert), '--reason',
                'superseded')
    assert wait_for(lambda: revocation.entry(cert))


@pytest.mark.parametrize('kind', ['ec:P-256', 'rsa:3072'])
def test_key_never_left_the_token(tokens, kind):
    t = tokens[kind]
    private = t.objects().split('Private Key Object')[1]
    assert 'sensitive, always sensitive, never extractable, local' in private
    assert re.search(r'Usage:\s+sign$', private, re.M), private
    assert not (t.stack.dir / 'ca/Demo-CA.key').exists()
    assert not (t.stack.dir / 'ca/Demo-CA.pass').exists()


@pytest.mark.parametrize('lines', [
    ['C_Sign 0x32'],                        # CKR_DEVICE_REMOVED
    ['C_Sign 0xb3'],                        # CKR_SESSION_HANDLE_INVALID
    ['flip'],                               # a wrong signature
    [ENDS, 'C_OpenSession 0xe0'],           # CKR_TOKEN_NOT_PRESENT
    [ENDS, 'C_GetSlotList 0x30'],           # CKR_DEVICE_ERROR
    [ENDS, 'C_GetTokenInfo 0xe0'],
    [ENDS, 'C_Login 0xa4'],                 # CKR_PIN_LOCKED
    [ENDS, 'final-try'],
], ids=' '.join)
def test_faults(token, lines):
    before = token.stack.sql('SELECT count(*) FROM countersign.certificate')
    token.fault(*lines)
    token.refused()
    token.refused()
    after = token.stack.sql('SELECT count(*) FROM countersign.certificate')
    assert after == before
    token.fault()
    token.issues()


def test_a_session_that_ends_is_nobody_s_concern(token):
    logins = token.count('C_Login')
    token.fault('C_SignInit 0xb3 once')
    assert token.enroll().leaf
    assert token.count('C_Login') == logins + 1


def test_token_that_goes_away_and_comes_back(token):
    tokens = token.dir / 'tokens'
    tokens.rename(token.dir / 'away')
    tokens.mkdir()
    token.refused()
    token.refused()
    error = token.test()
    assert 'token: none of the' in error and 'is \\"HSM\\"' in error
    tokens.rmdir()
    (token.dir / 'away').rename(tokens)


def test_slow_token(token):
    token.fault('slow 3')
    r = token.enroll('slow')
    check_fault(r)
    assert r.hresult == RETRY
    token.fault()
    token.issues()
    # What the slow signature was made for was kept, and is handed out.
    n = token.stack.sql('SELECT count(*) FROM countersign.certificate c '
                        'WHERE serial IN (SELECT serial FROM '
                        'countersign.void_serial)')
    assert n == [(0,)]


def test_disabled_while_a_slow_token_signs(tokens):
    """What was decided before comes to nothing, as if it came after."""
    t = tokens['rsa:3072']
    conf = t.stack.conf.parent / 'signer-1.conf'
    conf.write_text('token-timeout = 10m\n' + conf.read_text())
    before = t.signer
    os.kill(before, signal.SIGTERM)
    wait_for(lambda: t.stack.pids('signer') not in ([], [before]))
    t.issues()
    ledger = t.stack.dir / 'ledger/signer-1/ledger'

    def intents():
        return ledger.read_text().count('"type":"intent"')

    def account(verb):
        """Nobody waits until it is told: the signer cannot hear it."""
        r = t.stack.run_ctl([*t.stack.ctl_words(), 'account', verb,
                             t.stack.env['CS_USER']])
        assert r.returncode == 0, r.stderr
    n = intents()
    t.fault('wait')
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reply = pool.submit(t.enroll, 'late')
            wait_for(lambda: intents() > n)
            account('disable')
            time.sleep(1)
            t.fault()
            reply.result()
        wait_for(lambda: 'was disabled while its' in t.stack.log('signer'))
    finally:
        t.fault()
        account('enable')
    t.issues()
    assert t.stack.sql("SELECT count(*) FROM countersign.certificate WHERE "
                       "subject LIKE 'CN=late.%%'") == [(0,)]


def test_wrong_pin_is_tried_once(token):
    wrong = '1111222233'
    token.pin.write_text(wrong)
    logins = token.count('C_Login')
    token.fault('C_SignInit 0xb3 once')
    for _ in range(3):
        token.refused()
        time.sleep(0.6)
    assert token.count('C_Login') == logins + 1
    log = token.stack.log('signer')
    assert 'refused the pin; not tried again' in log and wrong not in log
    token.pin.write_text(PIN)
    token.issues()
    assert token.count('C_Login') == logins + 2


def test_signatures_are_counted(token):
    token.issues()
    rows = token.stack.ctl_json('ledger', 'verify')
    assert not [r for r in rows if r['damaged']]

    def spied():
        return sum(name == 'C_Sign' and '\nReturned:  0 CKR_OK' in text
                   for name, text in calls(token.spy.read_text()))

    def told():
        return {r['object']: r['count'] for r in token.stack.ctl_json(
            'ledger', 'verify') if r['check'] == 'signatures'}
    # What the signer signed; the command line's share is in no ledger.
    by_hand = token.by_hand
    wait_for(lambda: told() == {'Demo-CA': spied() - by_hand},
             said=lambda: (told(), spied(), by_hand))


def test_pin_is_nowhere(token):
    pid = token.signer
    for name in ('cmdline', 'environ'):
        assert PIN.encode() not in pathlib.Path(
            '/proc/%d/%s' % (pid, name)).read_bytes()
    for part in ('log', 'etc', 'ledger', 'ca', 'run'):
        for f in (token.stack.dir / part).rglob('*'):
            if f.is_file():
                assert PIN.encode() not in f.read_bytes(), f
    dump = token.run_it('/usr/lib/postgresql/15/bin/pg_dump', '--inserts',
                        '-d', token.stack.env['CS_DSN'].replace(
                            'countersign_auditor', 'postgres'))
    assert 'Demo-CA' in dump.stdout and PIN not in dump.stdout


KEY = 'key = "pkcs11:token=HSM;object=issuing"'


@pytest.mark.parametrize('change,text', [
    ([('object=issuing', 'object=other')], 'no such private key'),
    ([('object=issuing', 'object=second')], 'not the certificate'),
    ([('token=HSM', 'token=Hsm')], 'token: none of the'),
    ([('module = "', 'module = "/nowhere')], 'No such file'),
    ([('module = "/', 'module = "')], 'from the root folder'),
    ([('module = "%s' % SPY, 'module = "/bin/true')], 'pkcs11 module'),
    ([('module = "%s' % SPY, 'module = "/lib/x86_64-linux-gnu/libm.so.6')],
     'C_GetFunctionList'),
    ([('object=issuing', 'object=open')], 'can be read out'),
    ([('/pin"', '/open-pin"')], 'open-pin'),
    ([('object=issuing"', 'object=issuing?pin-value=%s"' % PIN)],
     'name a file with pin-file'),
])
def test_configurations_refused(token, change, text):
    token.second()
    if 'open' not in token.objects():
        key = token.dir / 'open.pem'
        token.run_it('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt',
                     'ec_paramgen_curve:P-256', '-out', key)
        token.run_it('pkcs11-tool', '--module', SOFTHSM, '--login', '--pin',
                     PIN, '--write-object', key, '--type', 'privkey',
                     '--label', 'open', '--extractable', '--usage-sign')
        (token.dir / 'open-pin').write_text(PIN)
        (token.dir / 'open-pin').chmod(0o644)
    error = token.test(*change)
    assert text in error and PIN not in error


def test_configuration_accepted(token):
    """Also two CAs with one module, and a secret for key archival."""
    token.second()
    secret = token.dir / 'secret'
    secret.write_text('0' * 31 + '\n')
    secret.chmod(0o600)
    more = ('/pin"', '/pin"\n\texchange-secret-file = "%s"' % secret)
    assert 'must have 32 bytes' in token.test(more)
    secret.write_text('0' * 32)
    second = re.search(r'ca "Demo-CA" {[^}]*}', (
        token.stack.conf.parent / 'signer-1.conf').read_text()).group(0)
    more = (second, second.replace('/pin"', '/pin"\n\texchange-secret-file ='
                                   ' "%s"' % secret) + '\n' +
            second.replace('Demo-CA', 'Second').replace('issuing', 'second'))
    assert 'configuration is good' in token.test(more, code=0)


def cpu(pid):
    """Seconds that it has used."""
    stat = pathlib.Path('/proc/%d/stat' % pid).read_text().rsplit(')', 1)[1]
    return sum(map(int, stat.split()[11:13])) / os.sysconf('SC_CLK_TCK')


def test_exchange_key_without_a_secret(token):
    """To make one takes a tenth of a second, in which a signer does nothing
    else: what it cannot seal it does not make, however often it is asked."""
    c, before = client.Client(token.stack.env), cpu(token.signer)
    for _ in range(40):
        r = ket(c)
        check_fault(r)
        assert r.hresult == 0x8009400A and 'exchange-secret-file' in r.reason
    assert cpu(token.signer) - before < 1


def test_module_others_may_write(token):
    module = token.dir / 'module.so'
    shutil.copy(SOFTHSM, module)
    module.chmod(0o666)
    assert 'may write' in token.test((SPY, str(module)))


MAKE = ('--module', SPY, '--token', 'pkcs11:token=HSM;object=third')


@pytest.mark.parametrize('args,code,text', [
    (('--token', 'pkcs11:token=HSM;object=third'), 2, 'go together'),
    (('--module', SPY), 2, 'go together'),
    (MAKE + ('--key', 'ec:P-521'), 1, 'rsa:2048'),
    (('--module', SPY, '--token', 'pkcs11:token=HSM;object=issuing'), 1,
     'in it already'),
    (('--module', SPY, '--token', 'pkcs11:token=X;object=third'), 3,
     'none of the'),
])
def test_ca_create_refused(token, args, code, text):
    if '--token' in args and '--module' in args:
        args += ('--pin-file', str(token.pin))
    r = token.ctl('ca', 'create', 'Third', *args, code=None)
    assert text in r.stderr, r.stderr
    assert r.returncode == code, r.stderr
    assert 'third' not in token.objects()
    assert not list((token.stack.dir / 'ca').glob('Third*'))


@pytest.mark.parametrize('command', [
    ('ca', 'create', 'Third', '--no-root'), ('ca', 'request', 'Third')])
@pytest.mark.parametrize('fault,text', [('C_Sign 0x30', 'Device error'),
                                        ('flip', 'signature is wrong')])
def test_what_fails_takes_its_key_out_again(token, command, fault, text):
    token.fault(fault)
    r = token.ctl(*command, '--pin-file', token.pin, *MAKE, code=1)
    assert text in r.stderr
    assert 'third' not in token.objects()
    assert not list((token.stack.dir / 'ca').glob('Third*'))


def test_request_for_a_key_in_the_token(token):
    make = ('--pin-file', token.pin, '--module', SPY, '--token')
    token.ctl('ca', 'request', 'Fourth', '--subject', 'CN=Fourth', *make,
              'pkcs11:token=HSM;object=fourth')
    csr = token.stack.dir / 'ca/Fourth.csr'
    token.run_it('openssl', 'req', '-in', csr, '-verify', '-noout')
    assert not csr.with_suffix('.key').exists()
    again = token.dir / 'again.csr'
    token.ctl('ca', 'rollover', 'Demo-CA', '--same-key', '-o', again, *make,
              token.uri)
    key = token.run_it('openssl', 'req', '-in', again, '-pubkey', '-noout')
    assert key.stdout == token.run_it(
        'openssl', 'x509', '-in', token.stack.dir / 'ca/Demo-CA.pem',
        '-pubkey', '-noout').stdout


def test_a_ca_comes_with_its_key_in_the_token(token):
    """Its certificate is another's: the key of a request is certified anew."""
    make = ('--pin-file', token.pin, '--module', SPY, '--token',
            'pkcs11:token=HSM;object=moved')
    ca = token.stack.dir / 'ca'
    token.ctl('ca', 'request', 'Moved', '--subject', 'CN=Moved', *make)
    root = ec.generate_private_key(ec.SECP256R1())
    name, cert = token.dir / 'moved-root.pem', token.dir / 'moved.pem'
    name.write_bytes(certify('Moved Root', root.public_key(), root))
    cert.write_bytes(certify('Moved', x509.load_pem_x509_csr(
        (ca / 'Moved.csr').read_bytes()).public_key(), root))
    (ca / 'Moved.csr').unlink()
    take = ('ca', 'import', 'Moved', '--chain', name, '--cert')
    r = token.ctl(*take, token.stack.dir / 'root.pem', *make, code=1)
    assert 'does not belong to the certificate' in r.stderr
    assert 'one of --key, --token' in token.ctl(*take, cert, code=2).stderr
    assert 'go together' in token.ctl(*take, cert, *make[2:], code=2).stderr
    token.ctl(*take, cert, *make)
    assert sorted(p.name for p in ca.glob('Moved*')) == [
        'Moved.chain.pem', 'Moved.pem']
    assert 'moved' in token.objects()
    conf = ('ca "Moved" {\n\tcertificate = "%s/Moved.pem"\n\tchain = '
            '"%s/Moved.chain.pem"\n\tkey = "pkcs11:token=HSM;object=moved"\n'
            '\tmodule = "%s"\n\tpin-file = "%s"\n}\n' % (
                ca, ca, SPY, token.pin))
    token.test(('\nca "', '\n' + conf + 'ca "'), code=0)


@pytest.mark.parametrize('args', [
    ('--token', 'pkcs11:token=HSM;object=x'),
    ('--module', '/m', '--pin-file', '/p'),
    ('--module', '/m', '--pin-file', '/p', '--token', 'pkcs11:token=HSM'),
])
def test_init_refused(token, tmp_path, args):
    r = token.run_it(token.stack.bin / 'countersign', 'init',
                     tmp_path / 'new', '--host', 'x', *args, code=2)
    assert 'go together' in r.stderr or 'needs object' in r.stderr
    assert not (tmp_path / 'new').exists()


def test_doctor(token):
    def finding():
        rows = token.ctl('--json', 'doctor', code=None).stdout
        return [r for r in json.loads(rows)
                if r['check'] == 'token']
    ok, = finding()
    assert ok['result'] == 'ok' and ok['object'] == 'Demo-CA'
    token.fault('final-try')
    warn = [r for r in finding() if r['result'] == 'warn']
    assert 'one more wrong pin locks it' in warn[0]['text'] and \
        warn[0]['advice']
    token.fault('C_GetSlotList 0x30')
    fail, = finding()
    assert fail['result'] == 'fail' and 'CKR_DEVICE_ERROR' in fail['text']
