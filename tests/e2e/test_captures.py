"""What real clients sent, replayed from ../shared/captures."""
import base64
import re

import pytest
from cryptography import x509

from agents import refused
from schema import check_fault, check_policies, check_rstrc


def capture(shared, name):
    return (shared / 'captures' / name).read_bytes()


def as_ours(stack, demo, raw, service):
    """The capture, addressed to this server and with the demo user's name."""
    url = stack.env['CS_CEP_URL' if service == 'cep' else 'CS_CES_URL']
    text = raw.decode('utf-8-sig')
    text = re.sub(r'(<(\w+):To\b[^>]*>)[^<]*(</\2:To>)',
                  lambda m: m.group(1) + url + m.group(3), text)
    text = re.sub(r'(<(\w+):Username>)[^<]*(</)',
                  lambda m: m.group(1) + demo.user + m.group(3), text)
    text = re.sub(r'(<(\w+):Password\b[^>]*>)[^<]*(</)',
                  lambda m: m.group(1) + demo.password + m.group(3), text)
    if 'UsernameToken' not in text:
        prefix = re.search(r'<(\w+):Envelope', text).group(1)
        header = demo.header().replace('s:mustUnderstand',
                                       prefix + ':mustUnderstand')
        text = text.replace('</%s:Header>' % prefix,
                            header + '</%s:Header>' % prefix)
    return url, text.encode()


def send(stack, demo, raw, service):
    url, body = as_ours(stack, demo, raw, service)
    return demo.post(url, body)


def test_windows_rst(stack, demo, shared):
    """certreq on Server 2025: PKCS#10 with a name no rule of ours allows."""
    r = send(stack, demo, capture(
        shared, 'requests/spiffeadbroker-winsrv2025-certreq-rst-pkcs10.xml'),
        'ces')
    if r.fault is not None:
        check_fault(r)
        assert r.hresult
    else:
        check_rstrc(r)


def test_windows_rst_username(stack, demo, shared):
    r = send(stack, demo, capture(
        shared, 'requests/creatica-windows-rst-pkcs10-usernametoken.xml'),
        'ces')
    check_fault(r)          # its template GenericUser is not ours
    assert r.hresult == 0x80094800
    assert 'GenericUser' in r.reason


def test_specification_issue(stack, demo, shared):
    """The example asks for a template that is ours too, with a good key."""
    r = send(stack, demo, capture(
        shared, 'requests/adcsrs-standard_certificate_client_request.xml'),
        'ces')
    check_rstrc(r)
    names = r.certificate.subject.rfc4514_string()
    assert names == 'CN=Demo User', 'the account names it, not the request'


@pytest.mark.parametrize('name, hresult, words', [
    # Whole, signed with SHA-1, and the old certificate is of another CA.
    ('adcsrs-renewal_client_request.xml', 0x800b0109,
     'was not issued by ca'),
    ('adcsrs-retrieve_pended_certificate_request.xml', 0x80094004,
     'no request with this id')])
def test_specification_examples(stack, demo, shared, name, hresult, words):
    refused(send(stack, demo, capture(shared, 'requests/' + name), 'ces'),
            hresult, words)


def test_specification_key_exchange(stack, demo, shared):
    r = send(stack, demo, capture(
        shared, 'requests/adcsrs-key_exchange_token_client_request.xml'),
        'ces')
    assert r.fault is None, r.text
    cert = x509.load_der_x509_certificate(base64.b64decode(r.findtext(
        './/t:KeyExchangeToken/o:BinarySecurityToken')))
    eku = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert [o.dotted_string for o in eku.value] == ['1.3.6.1.4.1.311.21.5']


# What each is refused for, once it says which template it is for.
CMC = {
    'ucm-windows11-certreq-new-cmc.req': (
        0x80094001, 'not allowed by name rule: web-hosts'),
    'modularca-windows11-getcertificate-cmc.b64': (
        0x80094800, 'object identifier with an arc above 2^63'),
    'modularca-windows11-certreq-renewal-cmc.b64': (
        0x800b0109, 'was not issued by'),
    'pyasn1modules-windows2012-cmc.b64': (
        0x80094811, 'key RSA 1024 is not allowed')}


@pytest.mark.parametrize('name', CMC)
def test_windows_cmc(stack, demo, shared, name):
    """certreq and Get-Certificate on Windows 11; Server 2012 with RSA-1024."""
    text = re.sub('-----.*?-----', '',
                  capture(shared, 'requests/' + name).decode())
    token = base64.b64decode(text)
    refused(demo.enroll(token, pkcs10=False, context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE'])]), *CMC[name])
    if 'getcertificate' not in name:
        refused(demo.enroll(token, pkcs10=False), 0x80094801,
                'names no template')


def test_csrs_of_windows_tools(stack, demo, shared):
    """Each is issued or refused by a rule; none is an internal error."""
    seen = 0
    for path in sorted((shared / 'captures/csr').glob('*.b64')):
        blob = base64.b64decode(re.sub('-----.*?-----', '', path.read_text()))
        r = demo.enroll(blob, pkcs10='pkcs10' in path.name, context=[
            ('CertificateTemplate', stack.env['CS_TEMPLATE'])])
        if r.fault is not None:
            check_fault(r)
            assert r.hresult not in (None, 0x8000FFFF), (path.name, r.reason)
        else:
            check_rstrc(r)
        seen += 1
    assert seen >= 20


def test_cepces_requests(stack, demo, shared):
    for path in sorted((shared / 'captures/cepces').glob('*-up-*.xml')):
        service = 'cep' if path.name.endswith('CEP.xml') else 'ces'
        r = send(stack, demo, path.read_bytes(), service)
        if service == 'cep':
            check_policies(r)
        else:
            check_fault(r)  # template Machine is not ours; unknown number
            assert r.hresult


def test_samples(stack, demo, shared):
    for path in sorted((shared / 'protocol/samples').glob(
            'getpolicies-request-username*.xml')):
        raw = path.read_bytes()
        raw = re.sub(rb'<u:Timestamp.*</u:Timestamp>', b'', raw)
        check_policies(send(stack, demo, raw, 'cep'))
