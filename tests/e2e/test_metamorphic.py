"""The request contributes the public key, and names only where the template
lets it.  Same identity, template and key with any other content gives a
refusal or a byte-identical TBSCertificate, serial and times aside."""
import itertools

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

import client
from variants import NAME_VALUE, Case, add_attribute, c2, tlv

UPN = '1.3.6.1.4.1.311.20.2.3'
EVIL_SAN = x509.SubjectAlternativeName([
    x509.DNSName('dc01.demo.example'),
    x509.OtherName(ObjectIdentifier(UPN), core.UTF8String(
        'administrator@demo.example').dump())])
SID = 'S-1-5-21-1-2-3-500'


def raw(oid, der):
    return x509.UnrecognizedExtension(ObjectIdentifier(oid), der)


def sid_ext():
    v = core.OctetString(SID.encode()).dump()
    v = b'\xa0' + bytes([len(v)]) + v
    v = core.ObjectIdentifier('1.3.6.1.4.1.311.25.2.1').dump() + v
    v = b'\xa0' + bytes([len(v)]) + v
    return raw('1.3.6.1.4.1.311.25.2', b'\x30' + bytes([len(v)]) + v)


def policies(oid):
    inner = core.ObjectIdentifier(oid).dump()
    inner = b'\x30' + bytes([len(inner)]) + inner
    return b'\x30' + bytes([len(inner)]) + inner


EXTENSIONS = {
    'san': EVIL_SAN,
    'san-sid-uri': x509.SubjectAlternativeName([
        x509.UniformResourceIdentifier(
            'tag:microsoft.com,2022-09-14:sid:' + SID)]),
    'sid': sid_ext(),
    'eku': x509.ExtendedKeyUsage([
        ExtendedKeyUsageOID.CODE_SIGNING,
        ObjectIdentifier('1.3.6.1.4.1.311.20.2.1'),
        ObjectIdentifier('2.5.29.37.0')]),
    'app-policies': raw('1.3.6.1.4.1.311.21.10',
                        policies('1.3.6.1.5.5.7.3.2')),
    'cert-policies': raw('2.5.29.32', policies('1.2.3.4.5')),
    'ca-true': x509.BasicConstraints(True, None),
    'key-usage': x509.KeyUsage(False, False, False, False, False, True, True,
                               False, False),
    'name-constraints': x509.NameConstraints([x509.DNSName('x')], None),
    'aia': x509.AuthorityInformationAccess([x509.AccessDescription(
        x509.oid.AuthorityInformationAccessOID.OCSP,
        x509.UniformResourceIdentifier('http://evil.example/'))]),
    'cdp': x509.CRLDistributionPoints([x509.DistributionPoint(
        [x509.UniformResourceIdentifier('http://evil.example/')], None, None,
        None)]),
    'ocsp-nocheck': x509.OCSPNoCheck(),
    'ct-poison': x509.PrecertPoison(),
    'must-staple': x509.TLSFeature([x509.TLSFeatureType.status_request]),
    'unknown': raw('1.2.3.4.5.6', b'\x05\0'),
}
ATTRIBUTES = ['SAN', 'CertificateUsage', 'ApplicationPolicies',
              'ValidityPeriod', 'ValidityPeriodUnits', 'ExpirationDate',
              'certfile', 'CertType', 'CRLPartitionIndex', 'cdc', 'rmd',
              'RequesterName', 'ccm']
VALUES = {'SAN': 'dns=dc01.demo.example&upn=administrator@demo.example',
          'CertificateUsage': '1.3.6.1.5.5.7.3.3', 'ValidityPeriod': 'Years',
          'ValidityPeriodUnits': '99', 'RequesterName': 'DEMO\\administrator'}


@pytest.fixture(scope='module', params=['machine', 'names-in-request'])
def case(request, stack, demo):
    key = client.rsa_key(2048, 'meta-' + request.param)
    if request.param == 'machine':
        who = stack.account('meta', groups=['computers'], machine=True,
                            dns='meta.demo.example', cn='meta')
        return Case(who, stack.env['CS_TEMPLATE_MACHINE'], key, None, [])
    return Case(demo, stack.env['CS_TEMPLATE'], key, 'meta.demo.example',
                ['meta.demo.example'])


@pytest.mark.parametrize('ext', EXTENSIONS)
def test_extension_in_the_csr(case, ext):
    e = EXTENSIONS[ext]
    kw = {'dns': []} if ext.startswith('san') else {}
    case.holds(case.send(case.csr(extensions=[e], **kw)))
    if not ext.startswith('ca-'):
        case.holds(case.send(case.csr(extensions=[(e, True)], **kw)))


@pytest.mark.parametrize('ext', EXTENSIONS)
def test_extension_in_ms_attribute(case, ext):
    """1.3.6.1.4.1.311.2.1.14 beside or instead of extensionRequest."""
    e = EXTENSIONS[ext]
    value = e.value if isinstance(e, x509.UnrecognizedExtension) else None
    value = value or e.public_bytes() if value is None else value
    extension = tlv(0x30, core.ObjectIdentifier(
        e.oid.dotted_string).dump() + core.OctetString(value).dump())
    csr = add_attribute(case, case.csr(), '1.3.6.1.4.1.311.2.1.14',
                        tlv(0x30, extension))
    case.holds(case.send(csr))


# An unstructuredAddress, and what elsewhere is an extension's or a signer's.
UNKNOWN = ['1.2.840.113549.1.9.8', '2.5.29.17', '2.5.29.37',
           '1.3.6.1.4.1.311.25.2', '1.3.6.1.4.1.311.20.2',
           '1.2.840.113549.1.9.16.2.47', '1.2.3.4.5.6']


@pytest.mark.parametrize('oid', UNKNOWN)
def test_attribute_that_nobody_knows(case, oid):
    """Passed over in the PKCS#10 and in CMC, whatever it holds."""
    value = EVIL_SAN.public_bytes()
    csr = add_attribute(case, case.csr(), oid, value)
    assert case.holds(case.send(csr)) == 'same'
    attr = tlv(0x30, core.ObjectIdentifier(oid).dump() + tlv(0x31, value))
    control = '1.3.6.1.4.1.311.10.10.1', tlv(0x30, FIRST_PART + tlv(
        0x31, attr))
    blob = client.make_cmc(case.key, case.csr(), [control])
    assert case.holds(case.send(blob, pkcs10=False)) == 'same'


def test_unreadable_names(case):
    """A SAN that ends in an x400Address is used nowhere, nor in part."""
    evil = EVIL_SAN.public_bytes()
    names = tlv(0x30, evil[2:] + b'\xa3\x02\x30\0')
    csr = case.csr(extensions=[raw('2.5.29.17', names)], dns=[])
    assert case.holds(case.send(csr)) == (
        'refused' if case.cn else 'same')


FIRST_PART = b'\x02\x01\0' + b'\x30\x03\x02\x01\x01'


def extension_control(e):
    value = e.value if isinstance(e, x509.UnrecognizedExtension) else \
        e.public_bytes()
    extension = tlv(0x30, core.ObjectIdentifier(
        e.oid.dotted_string).dump() + core.OctetString(value).dump())
    return '1.3.6.1.5.5.7.7.8', tlv(0x30, FIRST_PART + tlv(0x30, extension))


def attribute_control(name, value):
    attr = tlv(0x30, core.ObjectIdentifier(NAME_VALUE).dump() +
               tlv(0x31, c2(name, value)))
    return '1.3.6.1.4.1.311.10.10.1', tlv(0x30, FIRST_PART + tlv(0x31, attr))


def info_control(name, value):
    return client.reg_info('%s=%s&' % (
        name, value.replace('&', '%26').replace('=', '%3D')))


@pytest.mark.parametrize('ext', EXTENSIONS)
def test_extension_in_cmc_control(case, ext):
    blob = client.make_cmc(case.key, case.csr(),
                           [extension_control(EXTENSIONS[ext])])
    case.holds(case.send(blob, pkcs10=False))


@pytest.mark.parametrize('name', ATTRIBUTES)
def test_request_attribute_in_each_carrier(case, name):
    value = VALUES.get(name, 'evil')
    case.holds(case.send(case.csr(), context=[(name, value)]))
    case.holds(case.send(add_attribute(case, case.csr(), NAME_VALUE,
                                       c2(name, value))))
    for control in info_control(name, value), attribute_control(name, value):
        case.holds(case.send(client.make_cmc(case.key, case.csr(), [control]),
                             pkcs10=False))


ODD = ['C-e-rtificateTemplate', ' CertificateTemplate', 'Certificate-Template',
       'CertificateTemplate ', 'CERTIFICATETEMPLATE\u200b', 'SAN ', 'S-A-N',
       'san', 'Certificate Template', 'CertificateTemplate:x', '',
       'CertificateTemplate=User', 'SAN:dns', 'rmd ', '-SAN', 'SAN-',
       'RequesterName ', 'requestername', 'R-equesterName', 'CDC']


@pytest.mark.parametrize('name', ODD)
def test_odd_spellings(case, name):
    case.holds(case.send(case.csr(), context=[(name, 'dc01.demo.example')]))


# The forms around the same request ------------------------------------------------

FORMS = ('no-sign', 'renewal-cms', 'renewal-bare', 'renewal-cmc')


def wrapped(case, form, csr, controls=()):
    if form == 'no-sign':
        return client.no_sign_cmc(case.key, csr, controls)
    if not hasattr(case, 'old'):
        case.old_key = client.ec_key()
        case.old = case.who.enroll(client.make_csr(
            case.old_key, case.cn, case.dns, case.template)).leaf
    csr = add_attribute(case, csr, client.RENEWAL_CERT, case.old)
    if form == 'renewal-cmc':
        return client.renewal_cmc(csr, case.key, case.old_key, case.old,
                                  controls=controls)
    return client.renewal_cms(csr, case.old_key, case.old,
                              form == 'renewal-bare')


def variations(case):
    """All that is said in the request itself, and beside it: (PKCS#10,
    controls of CMC)."""
    for name, e in EXTENSIONS.items():
        kw = {'dns': []} if name.startswith('san') else {}
        yield name, case.csr(extensions=[e], **kw), ()
        yield name, case.csr(), [extension_control(e)]
    for name in ATTRIBUTES:
        value = VALUES.get(name, 'evil')
        yield name, add_attribute(case, case.csr(), NAME_VALUE,
                                  c2(name, value)), ()
        yield name, case.csr(), [attribute_control(name, value)]
        yield name, case.csr(), [info_control(name, value)]


@pytest.mark.parametrize('form', FORMS)
def test_each_form(case, form):
    """[security] W3, W8: neither a wrapper that proves nothing nor an old
    certificate makes the request say more."""
    plain = case.send(wrapped(case, form, case.csr()), pkcs10=False)
    # A wrapper without a signature may be refused as such.
    assert case.holds(plain) == 'same' or form == 'no-sign'
    for name, csr, controls in variations(case):
        if controls and form in ('renewal-cms', 'renewal-bare'):
            continue
        case.holds(case.send(wrapped(case, form, csr, controls),
                             pkcs10=False))


def test_sid_only_own(stack):
    own = 'S-1-5-21-1004336348-1177238915-682003330-2201'
    who = stack.account('sidder', groups=['computers'], machine=True,
                        dns='sidder.demo.example', cn='sidder', sid=own)
    case = Case(who, stack.env['CS_TEMPLATE_MACHINE'], client.rsa_key(), None,
                [])
    assert case.holds(case.send(case.csr(extensions=[sid_ext()]))) == 'refused'
    for spelling in ('tag:microsoft.com,2022-09-14:sid:',
                     'TAG:microsoft.com,2022-09-14:sid:',
                     'tag:microsoft.com,2022-09-14:s%69d:',
                     'tag:MICROSOFT.com,2022-09-14:SID:'):
        san = x509.SubjectAlternativeName([
            x509.UniformResourceIdentifier(spelling + SID)])
        assert case.holds(case.send(case.csr(extensions=[san]))) == 'refused'


def test_each_sid_in_two_places_refused(stack, demo):
    case = Case(demo, stack.env['CS_TEMPLATE'], client.rsa_key(),
                'two.demo.example', ['two.demo.example'])
    both = [sid_ext(), x509.SubjectAlternativeName([
        x509.UniformResourceIdentifier('tag:microsoft.com,2022-09-14:sid:'
                                       'S-1-5-21-9-9-9-501')])]
    for n in (1, 2):
        for exts in itertools.combinations(both, n):
            kw = {'dns': []}
            assert case.holds(case.send(case.csr(extensions=list(exts),
                                                 **kw))) == 'refused'
