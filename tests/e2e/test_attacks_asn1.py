"""ASN.1, PKCS#10, CMS and CMC attacks beyond test_refusals.  Where only the
encoding is wrong, the signature is made anew over the wrong bytes: a refusal
must come from the parser, not from the signature."""
import hashlib
import itertools
import pathlib

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes

import client
from client import PKI_DATA
from refusals import csr_for, refused, survives  # noqa: F401
from schema import check_rstrc
from variants import essence, tlv

DATA = pathlib.Path(__file__).resolve().parents[1] / 'data'
NULL = b'\x05\0'


# A tree of DER that can be written wrongly --------------------------------------

class Node:
    def __init__(self, tag, content):
        self.tag, self.kids, self.content = tag, None, content
        self.head = None        # None: the right length octets
        self.tail = b''
        if tag & 0x20:
            self.kids = parse(content)

    def body(self):
        if self.kids is None:
            return self.content
        return b''.join(k.der() for k in self.kids)

    def der(self):
        body = self.body() + self.tail
        if self.head is None:
            return tlv(self.tag, body)
        return bytes([self.tag]) + self.head(len(body)) + body

    def walk(self):
        yield self
        for k in self.kids or ():
            yield from k.walk()


def parse(data):
    out, i = [], 0
    while i < len(data):
        tag, n, start = data[i], data[i + 1], i + 2
        if n & 0x80:
            start += n & 0x7f
            n = int.from_bytes(data[i + 2:start], 'big')
        out.append(Node(tag, data[start:start + n]))
        i = start + n
    return out


def resigned(key, csr, change):
    """The request with its signed part changed and signed again."""
    outer = parse(csr)[0]
    change(outer.kids[0])
    sig, _ = client.sign_attrs(key, outer.kids[0].der())
    return tlv(0x30, outer.kids[0].der() + outer.kids[1].der() +
               tlv(0x03, b'\0' + sig))


def minimal(n):
    return tlv(0, b'x' * n)[1:-n] if n else b'\0'


def padded(n):
    """One octet more than needed."""
    if n < 128:
        return b'\x81' + bytes([n])
    m = minimal(n)
    return bytes([m[0] + 1]) + b'\0' + m[1:]


def indefinite(node):
    node.head = lambda n: b'\x80'
    node.tail = b'\0\0'


def non_minimal(node):
    node.head = padded


def trailing(node):
    node.tail = NULL


def too_long(node):
    node.head = lambda n: minimal(n + 1)


def enormous(node):
    node.head = lambda n: b'\x84\xff\xff\xff\xff'


def beyond(node):
    node.head = lambda n: b'\x88' + b'\x7f' + b'\xff' * 7


def other_tag(node):
    node.tag ^= 0x40        # the same number in another class


def long_tag(node):
    node.tag |= 0x1f


WRONG = [indefinite, non_minimal, trailing, too_long, enormous, beyond,
         other_tag, long_tag]


@pytest.fixture(scope='module')
def good(stack, demo):
    key = client.rsa_key()
    csr = csr_for(stack, key, dns=['bad.demo.example'])
    check_rstrc(demo.enroll(resigned(key, csr, lambda n: None)))
    return key, csr


@pytest.mark.parametrize('wrong', WRONG)
def test_each_element_written_wrongly(demo, good, wrong):
    key, csr = good
    count = len(list(parse(csr)[0].kids[0].walk()))
    assert count > 15
    tried = 0
    for i in range(count):
        def change(info):
            wrong(list(info.walk())[i])
        node = list(parse(csr)[0].kids[0].walk())[i]
        if wrong in (trailing, indefinite) and node.kids is None:
            continue
        r = refused(demo.enroll(resigned(key, csr, change)))
        assert r.hresult not in (None, 0x8000FFFF, 0x80090006), (
            i, r.reason)
        tried += 1
    assert tried > 8


@pytest.mark.parametrize('wrong', WRONG)
def test_outside_the_signature(demo, good, wrong):
    for i in (0, 1, 2, 3):
        outer = parse(good[1])[0]
        nodes = [outer, outer.kids[1], outer.kids[1].kids[0], outer.kids[2]]
        if wrong in (trailing, indefinite) and nodes[i].kids is None:
            continue
        wrong(nodes[i])
        assert refused(demo.enroll(outer.der())).hresult != 0x8000FFFF


def test_every_octet_counts(demo, good):
    """One bit anywhere: never a certificate, never an internal error."""
    csr = good[1]
    for i in range(0, len(csr), 3):
        bad = csr[:i] + bytes([csr[i] ^ 1 << i % 8]) + csr[i + 1:]
        assert refused(demo.enroll(bad)).hresult not in (None, 0x8000FFFF), i


def test_signature_details(demo, good):
    csr = good[1]
    for unused in (1, 7, 8, 255):
        outer = parse(csr)[0]
        outer.kids[2].content = bytes([unused]) + outer.kids[2].content[1:]
        refused(demo.enroll(outer.der()))
    for size in (0, 1, 255, 257):
        outer = parse(csr)[0]
        outer.kids[2].content = (b'\0' + outer.kids[2].content[1:] * 2)[
            :size + 1]
        refused(demo.enroll(outer.der()))


ALGORITHMS = {
    'md5': ('1.2.840.113549.1.1.4', NULL), 'md2': ('1.2.840.113549.1.1.2',
                                                   NULL),
    'sha256-ecdsa': ('1.2.840.10045.4.3.2', b''),
    'no-signature': ('1.3.6.1.5.5.7.6.2', NULL),
    'bare-hash': ('2.16.840.1.101.3.4.2.1', b''),
    'params': ('1.2.840.113549.1.1.11', b'\x02\x01\0'),
    'ml-dsa': ('2.16.840.1.101.3.4.3.17', b''), 'unknown': ('1.2.3', b''),
    'pss-without': ('1.2.840.113549.1.1.10', b''),
}


@pytest.mark.parametrize('name', ALGORITHMS)
def test_signature_algorithm(demo, good, name):
    oid, rest = ALGORITHMS[name]
    outer = parse(good[1])[0]
    alg = tlv(0x30, core.ObjectIdentifier(oid).dump() + rest)
    refused(demo.enroll(tlv(0x30, outer.kids[0].der() + alg +
                            outer.kids[2].der())))


@pytest.mark.parametrize('version', [1, 2, 99, 255])
def test_version(demo, good, version):
    key, csr = good

    def change(info):
        info.kids[0].content = b'\0' * (version > 127) + bytes([version])
    refused(demo.enroll(resigned(key, csr, change)))


def test_integers_are_minimal(demo, good):
    key, csr = good
    for bad in (b'\0\0', b''):
        def change(info):
            info.kids[0].content = bad
        refused(demo.enroll(resigned(key, csr, change)))


# Attributes and extensions ------------------------------------------------------

def attribute(oid, *values):
    return tlv(0x30, core.ObjectIdentifier(oid).dump() + tlv(
        0x31, b''.join(values)))


def extension(oid, value, critical=b''):
    return tlv(0x30, core.ObjectIdentifier(oid).dump() + critical +
               tlv(0x04, value))


def with_attributes(key, csr, *attrs):
    """Exactly these attributes, in DER order."""
    def change(info):
        info.kids[3] = Node(0xa0, b''.join(sorted(attrs)))
    return resigned(key, csr, change)


REQUEST, MS = '1.2.840.113549.1.9.14', '1.3.6.1.4.1.311.2.1.14'
SAN, TEMPLATE = '2.5.29.17', '1.3.6.1.4.1.311.20.2'


def dns(name):
    return tlv(0x30, tlv(0x82, name if isinstance(name, bytes)
                         else name.encode()))


@pytest.fixture(scope='module')
def parts(stack):
    t = extension(TEMPLATE, client.bmp(stack.env['CS_TEMPLATE']))
    return t, extension(SAN, dns('bad.demo.example'))


def test_one_list_of_extensions(demo, good, parts):
    key, csr = good
    t, san = parts
    one, two = tlv(0x30, t + san), tlv(0x30, t)
    check_rstrc(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, one))))
    for attrs in ([attribute(REQUEST, two), attribute(REQUEST, tlv(
            0x30, san))], [attribute(REQUEST, *sorted([two, tlv(0x30, san)]))],
            [attribute(REQUEST, two), attribute(MS, tlv(0x30, san))],
            [attribute(REQUEST, two)] * 2, [attribute(REQUEST)],
            [attribute(REQUEST, tlv(0x30, b''))],
            [attribute(REQUEST, tlv(0x30, t + t))],
            [attribute(REQUEST, tlv(0x30, t + san + san))],
            [attribute(REQUEST, tlv(0x31, t))],
            [attribute(REQUEST, one + NULL)]):
        refused(demo.enroll(with_attributes(key, csr, *attrs)))


def test_order_of_sets(demo, good, parts):
    """A SET has one order; that of the attributes, whose tag does not show a
    SET and which not every library sorts, changes nothing."""
    key, csr = good
    attrs = sorted([attribute(REQUEST, tlv(0x30, parts[0] + parts[1])),
                    attribute('1.3.6.1.4.1.311.13.2.3', tlv(
                        0x16, b'10.0.1.2'))])

    def swap(info):
        info.kids[3] = Node(0xa0, attrs[1] + attrs[0])
    one = demo.enroll(with_attributes(key, csr, *attrs))
    two = demo.enroll(resigned(key, csr, swap))
    check_rstrc(one)
    check_rstrc(two)
    assert essence(one.leaf) == essence(two.leaf)

    names = sorted(tlv(0x30, core.ObjectIdentifier(o).dump() + tlv(0x0c, v))
                   for o, v in ((CN, b'a.demo.example'), ('2.5.4.10', b'b')))

    def subject(info):
        info.kids[1] = Node(0x30, tlv(0x31, names[1] + names[0]))
    assert 'sorted' in refused(demo.enroll(resigned(key, csr, subject))).reason


BAD_EXTENSIONS = {
    'san-empty': extension(SAN, tlv(0x30, b'')),
    'san-garbage': extension(SAN, b'\xff'), 'san-none': extension(SAN, b''),
    'san-trailing': extension(SAN, dns('a.demo.example') + NULL),
    'critical-one': extension(SAN, dns('a.demo.example'), b'\x01\x01\1'),
    'critical-unknown': extension('1.2.3.4', NULL, b'\x01\x01\xff'),
    'ca': extension('2.5.29.19', tlv(0x30, b'\x01\x01\xff')),
    'ca-ber': extension('2.5.29.19', tlv(0x30, b'\x01\x01\1')),
    'deep': extension('1.2.3.4', b'\x30\x80' * 500),
    'many-names': extension(SAN, tlv(0x30, b''.join(
        tlv(0x82, b'n%d.demo.example' % i) for i in range(200)))),
    'big-name': extension(SAN, dns('a' * 5000 + '.demo.example')),
}


@pytest.mark.parametrize('name', BAD_EXTENSIONS)
def test_bad_extension(demo, good, parts, name):
    key, csr = good
    refused(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, tlv(0x30, parts[0] + BAD_EXTENSIONS[name])))))


def test_too_many_extensions(demo, good, parts):
    key, csr = good
    many = b''.join(extension('1.2.3.4.%d' % i, NULL) for i in range(100))
    refused(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, tlv(0x30, parts[0] + parts[1] + many)))))


# Names ---------------------------------------------------------------------------

BAD_DNS = [b'', b'a\0.demo.example', b'a\n.demo.example', b'\xc3\xa4.demo.exam'
           b'ple', b'http://a.demo.example', b'a.demo.example:443', b'a b.demo.'
           b'example', b'a.demo.example.', b'.demo.example', b'a..demo.example',
           b'*.demo.example', b'a*.demo.example', b'-a.demo.example', b'a-.demo'
           b'.example', b'xn--.demo.example', b'10.0.0.1', b'a' * 64 + b'.demo.'
           b'example', b'[::1]', b'demo.example@a.demo.example', b'\xff.demo.'
           b'example', b'a.demo.example/', b'a.demo.example\0.evil.test']


@pytest.mark.parametrize('name', BAD_DNS, ids=range(len(BAD_DNS)))
def test_bad_dns_name(demo, good, parts, name):
    key, csr = good
    refused(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, tlv(0x30, parts[0] + extension(SAN, dns(name)))))))


@pytest.mark.parametrize('general', [
    tlv(0x87, b'\x0a\0\0'), tlv(0x87, b'\x0a\0\0\1\2'), tlv(0x87, b'x' * 8),
    tlv(0x87, b'x' * 32), tlv(0x88, b'\xff' * 20), tlv(0xa3, NULL),
    tlv(0xa5, NULL), tlv(0xa0, b''), tlv(0xa0, core.ObjectIdentifier(
        '1.3.6.1.4.1.311.20.2.3').dump() + tlv(0x0c, b'root@demo.example')),
    tlv(0xa4, b'\x30' * 200), tlv(0x89, b'x'), tlv(0xa2, b'x'),
    tlv(0x81, b'"a b"@demo.example'), tlv(0x81, b'\xc3\xa4@demo.example')],
    ids=range(14))
def test_bad_general_name(demo, good, parts, general):
    key, csr = good
    refused(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, tlv(0x30, parts[0] + extension(SAN, tlv(0x30, general)))))))


def rdn(oid, tag, value):
    return tlv(0x31, tlv(0x30, core.ObjectIdentifier(oid).dump() +
                         tlv(tag, value)))


CN = '2.5.4.3'
BAD_SUBJECTS = {
    'nul': rdn(CN, 0x0c, b'a.demo.example\0.evil.test'),
    'control': rdn(CN, 0x0c, b'a.demo.example\r\nCN=b'),
    'utf8': rdn(CN, 0x0c, b'a\xff.demo.example'),
    'overlong': rdn(CN, 0x0c, b'\xc1\xa1.demo.example'),
    'printable': rdn(CN, 0x13, b'a*_.demo.example'),
    'ia5': rdn(CN, 0x16, b'\xe4.demo.example'),
    'bmp-odd': rdn(CN, 0x1e, b'\0a\0'),
    'bmp-nul': rdn(CN, 0x1e, b'\0a\0\0'),
    'bmp-surrogate': rdn(CN, 0x1e, b'\xd8\0\0a'),
    'universal': rdn(CN, 0x1c, b'\0\0\0a\xff\xff\xff\xff'),
    'videotex': rdn(CN, 0x15, b'a.demo.example'),
    'integer': rdn(CN, 0x02, b'\1'), 'octets': rdn(CN, 0x04, b'a'),
    'empty': rdn(CN, 0x0c, b''), 'empty-set': tlv(0x31, b''),
    'long': rdn(CN, 0x0c, b'a' * 5000),
    'two-names': rdn(CN, 0x0c, b'a.demo.example') + rdn(
        CN, 0x0c, b'www.evil.test'),
    'many': rdn(CN, 0x0c, b'a.demo.example') * 40,
    'other-attribute': rdn(CN, 0x0c, b'a.demo.example') + rdn(
        '0.9.2342.19200300.100.1.1', 0x0c, b'root'),
    'bidi': rdn(CN, 0x0c, 'a\u202e.demo.example'.encode()),
}


@pytest.mark.parametrize('name', BAD_SUBJECTS)
def test_bad_subject(demo, good, name):
    key, csr = good

    def change(info):
        info.kids[1] = Node(0x04, b'')
        info.kids[1].tag = 0x30
        info.kids[1].content = BAD_SUBJECTS[name]
    refused(demo.enroll(resigned(key, csr, change)))


# Keys ------------------------------------------------------------------------------

# The template judges 1024 bits, after the signature.
GOOD_KEYS = ['key-p256.der', 'key-p384.der', 'key-rsa1024.der']


@pytest.mark.parametrize('path', sorted(DATA.glob('key-*.der')),
                         ids=lambda p: p.stem)
def test_key_without_its_owner(demo, good, path):
    """Bad keys are refused as keys, good ones since nobody proves them."""
    key, csr = good

    def change(info):
        info.kids[2] = parse(path.read_bytes())[0]
    r = refused(demo.enroll(resigned(key, csr, change)))
    assert r.hresult not in (None, 0x8000FFFF)
    if path.name not in GOOD_KEYS:
        assert r.hresult != 0x80090006, r.reason


def test_key_of_the_ca(stack, demo):
    """A certificate for the CA's own key would be the CA's twin."""
    name = stack.sql('SELECT name FROM countersign.ca LIMIT 1')[0][0]
    ca = x509.load_pem_x509_certificate(
        stack.ctl('ca', 'export', name).stdout.encode())
    spki = ca.public_key().public_bytes(
        client.serialization.Encoding.DER,
        client.serialization.PublicFormat.SubjectPublicKeyInfo)
    key = client.rsa_key()

    def change(info):
        info.kids[2] = parse(spki)[0]
    refused(demo.enroll(resigned(key, csr_for(stack, key), change)))


# CMS and CMC ---------------------------------------------------------------------------

class Cmc:
    """A CMC request taken apart, to be put together wrongly."""

    def __init__(self, stack):
        self.key = client.ec_key()
        self.csr = csr_for(stack, self.key)
        self.data = client.pki_data(self.csr)
        self.signer = client.ski_signer(self.key, self.data)
        self.certs = ()

    def der(self, change=None):
        blob = client.signed_data(self.data, [self.signer])
        if change is None:
            return blob
        ci = cms.ContentInfo.load(blob)
        change(ci['content'])
        return ci.dump(force=True)

    def sign(self, attrs):
        """The signer with these attributes, signed."""
        attrs = cms.CMSAttributes(attrs)
        self.signer['signed_attrs'] = attrs
        self.signer['signature'], _ = client.sign_attrs(self.key,
                                                        attrs.dump())
        return self.der()


def attr(kind, *values):
    return cms.CMSAttribute({'type': kind, 'values': list(values)})


@pytest.fixture
def cmc(stack):
    return Cmc(stack)


def send(demo, blob):
    return demo.enroll(blob, pkcs10=False)


def test_cmc_is_good(demo, cmc):
    check_rstrc(send(demo, cmc.der()))
    check_rstrc(send(demo, cmc.sign([
        attr('content_type', PKI_DATA), attr('message_digest', hashlib.sha256(
            cmc.data).digest())])))


def put(path, value):
    def change(sd):
        for p in path[:-1]:
            sd = sd[p]
        sd[path[-1]] = value
    return change


SIGNED_DATA = {
    'version-0': put(['version'], 0),
    'version-9': put(['version'], 9),
    'version-1': put(['version'], 'v1'),
    'no-digests': put(['digest_algorithms'], []),
    'other-digest': put(['digest_algorithms'], [{'algorithm': 'sha512'}]),
    'no-signers': put(['signer_infos'], []),
    'detached': put(['encap_content_info'], {'content_type': PKI_DATA}),
    'content-data': put(['encap_content_info', 'content_type'], 'data'),
    'signer-version': put(['signer_infos', 0, 'version'], 'v1'),
    'signer-digest': put(['signer_infos', 0, 'digest_algorithm'],
                         {'algorithm': 'sha384'}),
    'no-attributes': put(['signer_infos', 0, 'signed_attrs'], None),
    'other-ski': put(['signer_infos', 0, 'sid'], cms.SignerIdentifier(
        'subject_key_identifier', b'\1' * 20)),
    'empty-ski': put(['signer_infos', 0, 'sid'], cms.SignerIdentifier(
        'subject_key_identifier', b'')),
    'empty-signature': put(['signer_infos', 0, 'signature'], b''),
    'md5': put(['signer_infos', 0, 'digest_algorithm'], {'algorithm': 'md5'}),
}


@pytest.mark.parametrize('case', SIGNED_DATA)
def test_signed_data(demo, cmc, case):
    r = refused(send(demo, cmc.der(SIGNED_DATA[case])))
    assert r.hresult not in (None, 0x8000FFFF)


def digest_of(c):
    return hashlib.sha256(c.data).digest()


SIGNED_ATTRS = {
    'no-digest': lambda c: [attr('content_type', PKI_DATA)],
    'no-type': lambda c: [attr('message_digest', digest_of(c))],
    'other-type': lambda c: [attr('content_type', 'data'), attr(
        'message_digest', digest_of(c))],
    'other-digest': lambda c: [attr('content_type', PKI_DATA), attr(
        'message_digest', b'\0' * 32)],
    'short-digest': lambda c: [attr('content_type', PKI_DATA), attr(
        'message_digest', digest_of(c)[:20])],
    'two-digests': lambda c: [attr('content_type', PKI_DATA), attr(
        'message_digest', digest_of(c)), attr('message_digest', digest_of(c))],
    'two-values': lambda c: [attr('content_type', PKI_DATA), attr(
        'message_digest', digest_of(c), b'\0' * 32)],
    'two-types': lambda c: [attr('content_type', PKI_DATA), attr(
        'content_type', PKI_DATA), attr('message_digest', digest_of(c))],
    'none': lambda c: [],
}


@pytest.mark.parametrize('case', SIGNED_ATTRS)
def test_signed_attributes(demo, cmc, case):
    r = refused(send(demo, cmc.sign(SIGNED_ATTRS[case](cmc))))
    assert r.hresult not in (None, 0x8000FFFF)


def test_each_element_of_cmc(demo, cmc):
    """Every element of the outer CMS, outside what is signed, wrongly."""
    blob = cmc.der()
    count = len(list(parse(blob)[0].walk()))
    for wrong, i in itertools.product((indefinite, non_minimal, too_long,
                                       other_tag), range(count)):
        outer = parse(blob)[0]
        node = list(outer.walk())[i]
        if wrong is indefinite and node.kids is None:
            continue
        wrong(node)
        r = refused(send(demo, outer.der()))
        assert r.hresult not in (None, 0x8000FFFF), (wrong, i, r.reason)


@pytest.mark.parametrize('outer', ['key', 'other', 'no-sign', 'nobody'])
@pytest.mark.parametrize('inner', ['good', 'null', 'wrong-null', 'bad'])
def test_proof_matrix(stack, demo, inner, outer):
    """Without a signature by the certified key there is no certificate."""
    key, other = client.ec_key(), client.ec_key()
    csr = csr_for(stack, key)
    if inner == 'null':
        csr = client.null_signature(csr)
    elif inner == 'wrong-null':
        n = client.null_signature(csr)
        csr = n[:-1] + bytes([n[-1] ^ 1])
    elif inner == 'bad':
        csr = csr_for(stack, other)
        mine = parse(csr_for(stack, key))[0]
        csr = tlv(0x30, mine.kids[0].der() + mine.kids[1].der() +
                  parse(csr)[0].kids[2].der())
    data = client.pki_data(csr)
    signers = [] if outer == 'nobody' else [
        client.ski_signer(key if outer == 'key' else other, data)]
    r = send(demo, client.no_sign_cmc(key, csr) if outer == 'no-sign' else
             client.signed_data(data, signers))
    if (inner, outer) in (('good', 'key'), ('null', 'key')):
        check_rstrc(r)
    elif inner == 'good' and r.fault is None:
        check_rstrc(r)      # the request proves itself
    else:
        refused(r)


def test_part_ids(demo, cmc):
    def signed(data):
        return client.signed_data(data, [client.ski_signer(cmc.key, data)])
    nonce = ('1.3.6.1.5.5.7.7.6', core.OctetString(b'n').dump())
    twice = client.PKIData.load(client.pki_data(cmc.csr, [nonce]))
    twice['controls'][0]['id'] = 1      # the request's own
    refused(send(demo, signed(twice.dump(force=True))))
    for bad in (-1, 2 ** 32, 2 ** 64):
        d = client.PKIData.load(client.pki_data(cmc.csr, [nonce]))
        d['controls'][0]['id'] = bad
        refused(send(demo, signed(d.dump(force=True))))
    for part in ('cms', 'other'):
        d = client.PKIData.load(client.pki_data(cmc.csr))
        d[part] = [core.Any.load(tlv(0x30, b'\x02\x01\1' + NULL))]
        refused(send(demo, signed(d.dump(force=True))))
    refused(send(demo, signed(client.pki_data(cmc.csr, [nonce, nonce]))))
    refused(send(demo, signed(client.pki_data(cmc.csr) + NULL)))


def test_nested_cms(demo, cmc):
    """A CMS in a CMS in a CMS ..."""
    blob = cmc.der()
    for _ in range(3):
        blob = client.signed_data(blob, [client.ski_signer(
            cmc.key, blob, 'signed_data')], content_type='signed_data')
        refused(send(demo, blob))


def test_many_signers_and_certificates(stack, demo, cmc):
    leaf = demo.enroll(csr_for(stack)).leaf
    refused(send(demo, client.signed_data(cmc.data, [cmc.signer] * 3)))
    refused(send(demo, client.signed_data(cmc.data, [cmc.signer],
                                          [leaf] * 20)))


def test_labels_are_not_mixed_up(demo, cmc):
    """CMC called PKCS#10 and the reverse: refused or the same, no crash."""
    for blob, label in ((cmc.der(), True), (cmc.csr, False)):
        r = demo.enroll(blob, pkcs10=label)
        if r.fault is not None:
            assert refused(r).hresult not in (None, 0x8000FFFF)
        else:
            check_rstrc(r)


def test_hashes_of_requests(stack, demo, good):
    """SHA-1, Windows' default, may prove possession of the key; what we sign
    has another hash.  MD5 proves nothing."""
    import warnings
    key = client.rsa_key()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        r = demo.enroll(csr_for(stack, key, hash_=hashes.SHA1()))
        md5 = csr_for(stack, key, hash_=hashes.MD5())
    check_rstrc(r)
    assert r.certificate.signature_hash_algorithm.name.startswith('sha')
    assert r.certificate.signature_hash_algorithm.digest_size >= 32
    refused(demo.enroll(md5))


def test_object_identifiers(demo, good, parts):
    """Unfinished or not minimal: refused.  Without end: no effect."""
    key, csr = good

    def send_oid(body):
        ext = tlv(0x30, tlv(0x06, body) + tlv(0x04, NULL))
        return demo.enroll(with_attributes(key, csr, attribute(
            REQUEST, tlv(0x30, parts[0] + parts[1] + ext))))
    for body in (b'', b'\x2a\x80\x01', b'\x2a\x81', b'\x2a' + b'\1' * 20000):
        refused(send_oid(body))
    plain = essence(demo.enroll(with_attributes(key, csr, attribute(
        REQUEST, tlv(0x30, parts[0] + parts[1])))).leaf)
    for body in (b'\x2a' + b'\x81' * 5000 + b'\1', b'\x2a' + b'\1' * 7000):
        r = send_oid(body)
        check_rstrc(r)
        assert essence(r.leaf) == plain
