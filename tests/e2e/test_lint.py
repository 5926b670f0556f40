"""The lint before signing: every rule is broken by a certificate made for it;
blocked keys; what was issued passes, and is found when somebody changes it."""
import base64
import hashlib
import json
import time

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
from policies import in_force, published
from revocation import hex_serial
from schema import check_fault, check_rstrc
from waits import wait_for

DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def tlv(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else b'\x81%c' % n if n < 256 else \
        b'\x82' + n.to_bytes(2, 'big')
    return bytes([tag]) + size + body


def seq(*parts):
    return tlv(0x30, *parts)


def oid(text):
    arcs = [int(x) for x in text.split('.')]
    out = b''
    for a in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        low = bytes([a & 127])
        while a > 127:
            a >>= 7
            low = bytes([a & 127 | 128]) + low
        out += low
    return tlv(6, out)


def num(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, 'big'))


def rdn(type_, value, tag=12):
    return tlv(0x31, seq(oid(type_), tlv(tag, value)))


def utc(text):
    return tlv(23, text)


def bits(octets, unused=0):
    return tlv(3, bytes([unused]), octets)


NULL = b'\5\0'
CN = '2.5.4.3'
ECDSA = seq(oid('1.2.840.10045.4.3.2'))
RSA_SIG = seq(oid('1.2.840.113549.1.1.11'), NULL)
POINT = client.ec_key().public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
CURVE = oid('1.2.840.10045.3.1.7')
EC_ALG = seq(oid('1.2.840.10045.2.1'), CURVE)
EC = seq(EC_ALG, bits(POINT))
RSA_ALG = seq(oid('1.2.840.113549.1.1.1'), NULL)
N = client.rsa_key().public_key().public_numbers().n


def rsa(n=N, e=65537, alg=RSA_ALG, raw=None):
    return seq(alg, bits(raw or seq(num(n), num(e))))


def ski(key):
    """Of the BIT STRING, which is the last thing in the key."""
    at = len(key) - len(POINT) if key == EC else key.index(
        b'\0\x30\x82', 30) + 1 if b'\0\x30\x82' in key[30:] else 0
    return tlv(4, hashlib.sha1(key[at:]).digest())


EXT = {'ski': '2.5.29.14', 'ku': '2.5.29.15', 'eku': '2.5.29.37',
       'san': '2.5.29.17', 'aki': '2.5.29.35', 'cdp': '2.5.29.31',
       'aia': '1.3.6.1.5.5.7.1.1', 'basic': '2.5.29.19',
       'policies': '2.5.29.32', 'template': '1.3.6.1.4.1.311.21.7',
       'name': '1.3.6.1.4.1.311.20.2', 'app': '1.3.6.1.4.1.311.21.10',
       'nocheck': '1.3.6.1.5.5.7.48.1.5', 'other': '2.5.29.99',
       'smime': '1.2.840.113549.1.9.15'}
CLIENT, SERVER = oid('1.3.6.1.5.5.7.3.2'), oid('1.3.6.1.5.5.7.3.1')
ANY, OCSP = oid('2.5.29.37.0'), oid('1.3.6.1.5.5.7.3.9')
URL = tlv(0x86, b'http://a.example/x')


def point(*names):
    return seq(seq(tlv(0xa0, tlv(0xa0, *names))))


def access(method='1.3.6.1.5.5.7.48.1', where=URL):
    return seq(seq(oid(method), where))


def ext(name, value, critical=False):
    flag = {True: b'\1\1\xff', False: b'', 'written': b'\1\1\0'}[critical]
    return seq(oid(EXT[name]), flag, tlv(4, value))


def make(**change):
    """A certificate without a fault, but for what is changed."""
    f = dict(version=tlv(0xa0, num(2)), serial=num(1 << 126), alg=ECDSA,
             outer=None, issuer=seq(rdn(CN, b'CA')),
             validity=seq(utc(b'260101000000Z'), utc(b'270101000000Z')),
             subject=seq(rdn(CN, b'a')), key=EC, unique=b'', extra=b'')
    exts = dict(ku=ext('ku', b'\3\2\7\x80', True),
                eku=ext('eku', seq(CLIENT)),
                san=ext('san', seq(tlv(0x82, b'a.example'))),
                aki=ext('aki', seq(tlv(0x80, b'k' * 20))),
                cdp=ext('cdp', point(URL)), aia=ext('aia', access()))
    f.update((k, v) for k, v in change.items() if k in f)
    exts['ski'] = ext('ski', ski(f['key']))
    exts.update((k, v) for k, v in change.items() if k not in f)
    body = b''.join(v for v in exts.values() if v) + f['extra']
    whole = tlv(0xa3, seq(body)) if change.get('exts', 1) else b''
    tbs = seq(f['version'], f['serial'], f['alg'], f['issuer'],
              f['validity'], f['subject'], f['key'], f['unique'], whole)
    return seq(tbs, f['outer'] or f['alg'], bits(b'\x30\0'))


def names(*values):
    return ext('san', seq(*values))


def subject(*rdns):
    return {'subject': seq(*rdns)}


def usage(octets, unused):
    return ext('ku', bits(octets, unused), True)


RULES = {
    'form': dict(subject=b'\x31\0'),
    'der': dict(subject=seq(tlv(0x31, seq(oid(CN), tlv(12, b'b')), seq(
        oid('2.5.4.10'), tlv(12, b'a')), seq(oid(CN), tlv(12, b'a'))))),
    'size': dict(san=names(*[tlv(0x82, b'%d.' % i + b'a' * 60 + b'.' + b'b' *
                                 60 + b'.' + b'c' * 60 + b'.' + b'd' * 50 +
                                 b'.example') for i in range(64)]),
                 extra=ext('other', tlv(4, b'x' * 2000))),
    'version': dict(version=tlv(0xa0, num(1))),
    'serial-positive': dict(serial=tlv(2, b'\x80' + b'1' * 15)),
    'serial-zero': dict(serial=num(0)),
    'serial-length': dict(serial=num(1 << 166)),
    'serial-entropy': dict(serial=num(4711)),
    'signature-algorithm': dict(alg=seq(oid('1.2.840.113549.1.1.5'), NULL)),
    'signature-parameters': dict(alg=seq(oid('1.2.840.113549.1.1.11'))),
    'signature-outer': dict(outer=RSA_SIG),
    'issuer-empty': dict(issuer=seq()),
    'time-form': dict(validity=seq(utc(b'2601010000Z'),
                                   utc(b'270101000000Z'))),
    'time-type': dict(validity=seq(tlv(24, b'20260101000000Z'),
                                   utc(b'270101000000Z'))),
    'validity-order': dict(validity=seq(utc(b'270101000000Z'),
                                        utc(b'260101000000Z'))),
    'validity-endless': dict(validity=seq(utc(b'260101000000Z'),
                                          tlv(24, b'99991231235959Z'))),
    'unique-ids': dict(unique=tlv(0x81, b'\0x')),
    'subject-rdn': subject(tlv(0x31)),
    'subject-rdn-count': subject(*[rdn(CN, b'a')] * 25),
    'subject-value': subject(rdn(CN, b'')),
    'subject-string': subject(rdn(CN, b'a', 20)),
    'subject-printable': subject(rdn(CN, b'a*', 19)),
    'subject-utf8': subject(rdn(CN, b'\xff')),
    'subject-ia5': subject(rdn('1.2.840.113549.1.9.1', b'\xe4@a.b', 22)),
    'subject-control': subject(rdn(CN, b'a\0b')),
    'subject-country': subject(rdn('2.5.4.6', b'DEU', 19)),
    'subject-bounds': subject(rdn(CN, b'a' * 65)),
    'subject-repeated': subject(tlv(0x31, seq(oid(CN), tlv(12, b'a')), seq(
        oid(CN), tlv(12, b'b')))),
    'key-algorithm': dict(key=seq(seq(oid('1.3.101.112')), bits(b'k' * 32))),
    'key-unused-bits': dict(key=seq(EC_ALG, bits(POINT[:-1] + b'\0', 1))),
    'rsa-parameters': dict(key=rsa(alg=seq(oid('1.2.840.113549.1.1.1')))),
    'rsa-positive': dict(key=rsa(raw=seq(tlv(2, N.to_bytes(256, 'big')),
                                         num(65537)))),
    'rsa-size': dict(key=rsa(n=(1 << 1023) + 1)),
    'rsa-octets': dict(key=rsa(n=(1 << 2050) + 1)),
    'rsa-large': dict(key=rsa(n=(1 << 8199) + 1)),
    'rsa-even': dict(key=rsa(n=N + 1)),
    'rsa-exponent-even': dict(key=rsa(e=65538)),
    'rsa-exponent-small': dict(key=rsa(e=3)),
    'rsa-exponent-large': dict(key=rsa(e=(1 << 260) + 1)),
    'ec-curve': dict(key=seq(seq(oid('1.2.840.10045.2.1'), oid(
        '1.3.132.0.10')), bits(POINT))),
    'ec-point': dict(key=seq(EC_ALG, bits(b'\2' + POINT[1:33]))),
    'extensions': dict(exts=0),
    'extension-twice': dict(extra=ext('eku', seq(CLIENT))),
    'extension-default': dict(eku=ext('eku', seq(CLIENT), 'written')),
    'extension-critical': dict(extra=ext('other', NULL, True)),
    'extension-unknown': dict(extra=ext('other', NULL)),
    'extension-form': dict(eku=ext('eku', NULL)),
    'ca': dict(extra=ext('basic', seq(b'\1\1\xff'), True)),
    'ca-path': dict(extra=ext('basic', seq(num(0)), True)),
    'usage-empty': dict(ku=usage(b'', 0)),
    'usage-minimal': dict(ku=usage(b'\x80\0', 0)),
    'usage-cert-sign': dict(ku=usage(b'\x84', 2)),
    'usage-crl-sign': dict(ku=usage(b'\x82', 1)),
    'usage-rsa': dict(key=rsa(), ku=usage(b'\x88', 3)),
    'usage-ec': dict(ku=usage(b'\xa0', 5)),
    'usage-only': dict(ku=usage(b'\x81', 0)),
    'purpose': dict(eku=b''),
    'purpose-empty': dict(eku=ext('eku', seq())),
    'purpose-any': dict(eku=ext('eku', seq(ANY))),
    'purpose-any-ms': dict(eku=ext('eku', seq(oid(
        '1.3.6.1.4.1.311.10.12.1')))),
    'purpose-twice': dict(eku=ext('eku', seq(CLIENT, CLIENT))),
    'purpose-client': dict(key=rsa(), ku=usage(b'\x20', 5)),
    'purpose-server': dict(eku=ext('eku', seq(SERVER)),
                           ku=usage(b'\x40', 6)),
    'purpose-ocsp': dict(eku=ext('eku', seq(OCSP))),
    'nocheck': dict(extra=ext('nocheck', NULL)),
    'application-count': dict(extra=ext('app', seq(seq(CLIENT),
                                                   seq(SERVER)))),
    'application-other': dict(extra=ext('app', seq(seq(SERVER)))),
    'ski': dict(ski=b''),
    'ski-critical': dict(ski=ext('ski', ski(EC), True)),
    'ski-value': dict(ski=ext('ski', tlv(4, b'k' * 20))),
    'aki': dict(aki=b''),
    'aki-critical': dict(aki=ext('aki', seq(tlv(0x80, b'k' * 20)), True)),
    'aki-halves': dict(aki=ext('aki', seq(tlv(0x80, b'k' * 20),
                                          tlv(0x82, b'\1')))),
    'name': dict(subject=seq(), san=b''),
    'san-critical': dict(subject=seq()),
    'san-empty': dict(san=names()),
    'san-kind': dict(san=names(tlv(0xa3, b''))),
    'san-ascii': dict(san=names(tlv(0x82, b'\xe4.example'))),
    'san-dns-name': dict(san=names(tlv(0x82, b'a b.example'))),
    'san-email': dict(san=names(tlv(0x81, b'a b@c.example'))),
    'san-uri': dict(san=names(tlv(0x86, b'/relative'))),
    'san-ip': dict(san=names(tlv(0x87, b'12345'))),
    'san-other': dict(san=names(tlv(0xa0, oid('1.2.3'), tlv(12, b'x')))),
    'san-directory': dict(san=names(tlv(0xa4, seq()))),
    'san-twice': dict(san=names(tlv(0x82, b'a.example'),
                                tlv(0x82, b'A.example'))),
    'cdp-critical': dict(cdp=ext('cdp', point(URL), True)),
    'cdp-empty': dict(cdp=ext('cdp', seq())),
    'cdp-point': dict(cdp=ext('cdp', seq(seq(tlv(0x81, b'\0\1'))))),
    'aia-critical': dict(aia=ext('aia', access(), True)),
    'aia-empty': dict(aia=ext('aia', seq())),
    'aia-method': dict(aia=ext('aia', access('1.2.3'))),
    'uri-form': dict(cdp=ext('cdp', point(tlv(0x86, b'file:///etc')))),
    'policies-empty': dict(extra=ext('policies', seq())),
    'policies-twice': dict(extra=ext('policies', seq(seq(oid('1.2.3')),
                                                     seq(oid('1.2.3'))))),
    'policies-any': dict(extra=ext('policies', seq(seq(oid(
        '2.5.29.32.0'))))),
    'policies-qualified': dict(extra=ext('policies', seq(seq(
        oid('1.2.3'), seq(seq(oid('1.2.4'), NULL)))))),
    'smime-critical': dict(extra=ext('smime', seq(seq(oid(
        '2.16.840.1.101.3.4.1.42'))), True)),
    'template-two': dict(extra=ext('template', seq(oid('1.2.3'))) +
                         ext('name', tlv(30, b'\0a'))),
    'template-critical': dict(extra=ext('template', seq(oid('1.2.3')),
                                        True)),
}
# Only with the issuer at hand: below, from the database.
WITH_CA = {'signature-key', 'issuer-bytes', 'validity-begin', 'validity-end',
           'key-of-ca', 'aki-value'}


def check(stack, *args, code=None):
    r = stack.ctl('--json', 'cert', 'check', *map(str, args), ok=code)
    return json.loads(r.stdout)


def test_every_rule_has_a_certificate_that_breaks_it(stack, tmp_path):
    rules = {r['rule'] for r in check(stack, '--rules', code=0)}
    assert len(rules) >= 60 and rules == set(RULES) | WITH_CA
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    files = []
    for name, change in [('good', {})] + list(RULES.items()):
        (tmp_path / name).write_bytes(make(**change))
        files += ['--file', tmp_path / name]
    found = {}
    for i in range(0, len(files), 60):
        for r in check(stack, *files[i:i + 60]):
            found.setdefault(r['certificate'].rsplit('/', 1)[1],
                             set()).add(r['rule'])
    assert 'good' not in found
    missed = {n for n in RULES if n not in found.get(n, ())}
    assert not missed, {n: found.get(n) for n in missed}


def test_what_is_issued_passes(stack, demo):
    check_rstrc(demo.enroll(client.make_csr(
        client.rsa_key(), 'lint.demo.example', ['lint.demo.example'],
        stack.env['CS_TEMPLATE'])))
    found = [r for r in check(stack, '--all') if r['rule'] != 'key-shared']
    assert found == []


STOPPED = '''
template "LintStops" {
	oid = "1.3.6.1.4.1.99999.77.1"
	ca = {"%s"} type = user schema = 3 validity = 1y renewal = 6w
	enroll = {"users"} names = account
	subject = {"common-name"} keys = {"ec:P-256"}
	providers = {"Microsoft Software Key Storage Provider"}
	key-usage = {"digital-signature"} eku = {%s}
}
'''


def test_lint_stops_a_signature(stack, demo):
    """A template that no rule about policies refuses, and whose certificate
    few would read: it has more purposes than the lint itself does."""
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = published(stack) + STOPPED % (ca, ', '.join(
        '"1.3.6.1.4.1.99999.77.%d"' % n for n in range(65)))
    count = 'SELECT count(*) FROM countersign.certificate'
    with in_force(stack, text):
        certificates = stack.sql(count)
        r = demo.enroll(client.make_csr(client.ec_key(),
                                        template='LintStops'))
        check_fault(r)
        assert r.hresult == 0x80094012 and r.leaf is None
        assert 'would break rule extension-form ([RFC5280] 4.2)' in r.reason
    assert stack.sql(count) == certificates
    row, = stack.sql('SELECT encode(id, \'hex\'), state, message, serial '
                     'FROM countersign.request WHERE template = %s '
                     'ORDER BY received_at DESC LIMIT 1', 'LintStops')
    assert row[1] == 'denied' and row[3] is None
    assert row[2] == r.reason.split(' (request')[0]
    # In the ledger there is a denial, with the whole row, and no intent.
    entries = [e for f in (stack.dir / 'ledger').glob('*/ledger')
               for e in map(json.loads, open(f)) if e.get('id') == row[0]]
    assert [e['type'] for e in entries] == ['denied']
    assert row[2].encode() in base64.b64decode(entries[0]['decision'])


@pytest.fixture
def owner(stack):
    dsn = psycopg.conninfo.make_conninfo(stack.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        yield db


def test_changed_rows_are_found(stack, demo, owner):
    r = demo.enroll(client.make_csr(client.ec_key(), 'other.demo.example',
                                    [], stack.env['CS_TEMPLATE']))
    check_rstrc(r)
    serial = bytes.fromhex(hex_serial(r.certificate))
    was, = owner.execute('SELECT der FROM countersign.certificate WHERE '
                         'serial = %s', (serial,)).fetchone()

    def rules(der):
        owner.execute('UPDATE countersign.certificate SET der = %s '
                      'WHERE serial = %s', (der, serial))
        return {x['rule'] for x in check(stack, serial.hex(), code=1)}
    ca, = owner.execute("SELECT certificate FROM countersign.ca LIMIT 1"
                        ).fetchone()
    key = x509.load_der_x509_certificate(ca).public_key().public_bytes(
        DER, SPKI)
    try:
        assert rules(was[:-1] + bytes([was[-1] ^ 1])) == {'signature'}
        assert rules(make()) >= {'issuer-bytes', 'aki-value', 'signature'}
        assert 'key-of-ca' in rules(make(key=key))
        assert rules(make(validity=seq(utc(b'000101000000Z'), utc(
            b'490101000000Z')))) >= {'validity-begin', 'validity-end'}
        assert 'signature-key' in rules(make(alg=RSA_SIG))
        assert 'form' in rules(b'0\0')
        # ec: off the curve; rsa: p and q too close is keycheck_test's
        assert 'key' in rules(make(key=seq(EC_ALG, bits(
            POINT[:-1] + bytes([POINT[-1] ^ 1])))))
    finally:
        owner.execute('UPDATE countersign.certificate SET der = %s '
                      'WHERE serial = %s', (was, serial))
    assert check(stack, serial.hex(), code=0) == []


def test_mistakes(stack):
    assert 'which certificates' in stack.ctl('cert', 'check', ok=2).stderr
    assert 'no certificate' in stack.ctl('cert', 'check', '4711', ok=1).stderr
    assert stack.ctl('cert', 'check', '--file', '/nonexistent', ok=1).stderr
    for verb in ('block', 'unblock'):
        assert 'which key' in stack.ctl('key', verb, ok=2).stderr
        assert 'hex digits' in stack.ctl('key', verb, 'xy', ok=2).stderr
        assert 'no certificate' in stack.ctl('key', verb, '--cert', '47',
                                             ok=1).stderr


def test_blocked_key(stack, demo):
    key = client.ec_key()
    csr = client.make_csr(key, 'blocked.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    r = demo.enroll(csr)
    check_rstrc(r)
    hash_ = hashlib.sha256(key.public_key().public_bytes(DER, SPKI)
                           ).hexdigest()
    out = stack.ctl('key', 'block', '--cert', hex_serial(r.certificate),
                    '--note', 'on a web site').stdout
    assert out.strip() == hash_
    assert 'blocked already' in stack.ctl('key', 'block', hash_, ok=1).stderr
    row, = [x for x in stack.ctl_json('key', 'list')
            if x['spki_sha256'] == hash_]
    assert row['note'] == 'on a web site'
    r = wait_for(lambda: (a := demo.enroll(csr)).fault is not None and a)
    check_fault(r)
    assert r.hresult == 0x80090003 and hash_ in r.reason
    assert 'key-blocked' in {x['rule'] for x in check(stack, '--all', code=1)}
    stack.ctl('key', 'unblock', hash_)
    assert 'not blocked' in stack.ctl('key', 'unblock', hash_, ok=1).stderr
    wait_for(lambda: demo.enroll(csr).fault is None)


def test_key_of_two_owners(stack, demo, owner):
    """Two signers in the same instant, or a row from before there was such a
    rule: here whom the first had it certified for is taken away."""
    key = client.ec_key()
    csr = client.make_csr(key, 'two.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    other = stack.account('two%d' % time.time_ns(), groups=['web-admins'])
    hash_ = hashlib.sha256(key.public_key().public_bytes(DER, SPKI)
                           ).hexdigest()
    check_rstrc(demo.enroll(csr))
    owner.execute('DELETE FROM countersign.key_owner WHERE spki_sha256 = %s',
                  (bytes.fromhex(hash_),))
    check_rstrc(other.enroll(csr))
    row, = [x for x in check(stack, '--all') if x['certificate'] == hash_]
    assert row['rule'] == 'key-shared' and other.user in row['text']


def test_ca_key_gets_no_certificate(stack, demo):
    """Nobody but the CA can sign such a request: the rule is the lint's, and
    before it blocked.c's; here the CA's own key signs one."""
    key = stack.dir / 'ca/Demo-CA.key'
    password = (stack.dir / 'ca/Demo-CA.pass').read_bytes().rstrip(b'\n')
    private = serialization.load_pem_private_key(key.read_bytes(), password)
    csr = client.make_csr(private, 'ca.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    r = demo.enroll(csr)
    check_fault(r)
    assert r.hresult == 0x80090003 and "is ca Demo-CA's" in r.reason
