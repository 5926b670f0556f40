"""Every refusal answers with its rule, and the worker lives on."""
import base64
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ObjectIdentifier

import client
from client import S
from refusals import csr_for, message, refused, survives  # noqa: F401
from schema import check_fault, check_rstrc
from waits import wait_for


# Who is asking ----------------------------------------------------------

def test_wrong_password_unknown_user_disabled(stack, demo):
    gone = stack.account('gone', groups=['web-admins'])
    check_rstrc(gone.enroll(csr_for(stack)))
    stack.ctl('account', 'disable', 'gone')
    faults = [refused(c.enroll(csr_for(stack))) for c in (
        client.Client(stack.env, password='wrong'),
        client.Client(stack.env, 'no-such-user', 'wrong'), gone)]
    assert {f.subcode for f in faults} == {'FailedAuthentication'}
    assert len({re.sub('[0-9a-f]{32}', '', f.reason) for f in faults}) == 1
    assert 'password or ticket is wrong, or the account' in faults[0].reason


def test_no_permission(stack):
    c = stack.account('plain', groups=['users'])
    r = refused(c.enroll(csr_for(stack)), 0x80094012)
    assert r.findtext('.//e:InvalidRequest') == 'true'
    assert stack.env['CS_TEMPLATE'] in r.reason


@pytest.mark.parametrize('change', [
    lambda s: re.sub('<o:Security.*</o:Security>', '', s),
    lambda s: s.replace('</o:UsernameToken>', '</o:UsernameToken>' + re.search(
        '<o:UsernameToken.*</o:UsernameToken>', s).group(0)),
    lambda s: s.replace('PasswordText', 'PasswordDigest'),
    lambda s: re.sub('<o:Username>.*?</o:Username>', '', s),
    lambda s: s.replace('</o:Username>',
                        '</o:Username><o:Username>x</o:Username>'),
    lambda s: re.sub('<o:Password .*?</o:Password>', '', s),
    lambda s: re.sub('(<o:Password .*?</o:Password>)', r'\1\1', s),
    lambda s: re.sub('<u:Expires>....', '<u:Expires>2001', s),
    lambda s: re.sub('<u:Created>....', '<u:Created>2101', s),
    lambda s: re.sub('(<u:Created>)....(.*<u:Expires>)....',
                     r'\g<1>2001\g<2>2101', s),
    lambda s: re.sub('(<u:Timestamp.*</u:Timestamp>)', r'\1\1', s),
    lambda s: re.sub('(<o:Security.*</o:Security>)', r'\1\1', s),
    lambda s: s.replace('</o:Security>', '<d:Signature xmlns:d="http://www.'
                        'w3.org/2000/09/xmldsig#"/></o:Security>'),
], ids=['no-security', 'two-tokens', 'digest', 'no-username', 'two-usernames',
        'no-password', 'two-passwords', 'expired', 'not-yet', 'lasts-long',
        'two-stamps', 'two-securities', 'xml-signature'])
def test_security_header(stack, demo, change):
    url = stack.env['CS_CES_URL']
    text = client.envelope(client.RST, url, client.rst(csr_for(stack)),
                           demo.header()).decode()
    bad = change(text)
    assert bad != text
    refused(demo.post(url, bad.encode()))


def test_no_security_says_what_is_wanted(stack, demo):
    url = stack.env['CS_CEP_URL']
    r = refused(demo.post(url, client.envelope(
        client.GETPOLICIES, url, client.get_policies())))
    assert 'no Security header: this address wants a user name' in r.reason


# The envelope -------------------------------------------------------------


BILLION = ''.join('<!ENTITY l%d "%s">' % (i, ('&l%d;' % (i - 1)) * 10)
                  for i in range(1, 10))
ENVELOPES = {
    'doctype': lambda s: '<!DOCTYPE x>' + s,
    'xxe': lambda s: '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' +
    s.replace('urn:uuid:', '&e;'),
    'billion-laughs': lambda s: '<!DOCTYPE x [<!ENTITY l0 "ha">%s]>' % BILLION
    + s.replace('urn:uuid:', '&l9;'),
    'external-dtd': lambda s: '<!DOCTYPE x SYSTEM "http://127.0.0.1/x">' + s,
    'undefined-entity': lambda s: s.replace('urn:uuid:', '&foo;'),
    'nul-reference': lambda s: s.replace('urn:uuid:', '&#0;'),
    'surrogate': lambda s: s.replace('urn:uuid:', '&#xD800;'),
    'pi-inside': lambda s: s.replace('<s:Body', '<?php x?><s:Body'),
    'soap-1.1': lambda s: s.replace(
        S, 'http://schemas.xmlsoap.org/soap/envelope/'),
    'truncated': lambda s: s[:-20],
    'text-behind': lambda s: s + 'x',
    'two-roots': lambda s: s + s,
    'two-headers': lambda s: s.replace('<s:Body', '<s:Header/><s:Body'),
    'two-bodies': lambda s: s.replace('</s:Envelope>',
                                      '<s:Body/></s:Envelope>'),
    'no-body': lambda s: re.sub('<s:Body.*</s:Body>', '', s, flags=re.S),
    'no-header': lambda s: re.sub('<s:Header.*</s:Header>', '', s, flags=re.S),
    'two-actions': lambda s: re.sub('(<a:Action.*?</a:Action>)', r'\1\1', s),
    'two-message-ids': lambda s: re.sub('(<a:MessageID.*?</a:MessageID>)',
                                        r'\1\1', s),
    'two-tos': lambda s: re.sub('(<a:To.*?</a:To>)', r'\1\1', s),
    'empty-to': lambda s: re.sub('(<a:To[^>]*>).*?</a:To>', r'\1</a:To>', s),
    'wrong-to': lambda s: re.sub('(<a:To[^>]*>).*?</a:To>',
                                 r'\1https://x.example/other</a:To>', s),
    'wrong-action': lambda s: re.sub('(<a:Action[^>]*>).*?</a:Action>',
                                     r'\1urn:other</a:Action>', s),
    'no-action': lambda s: re.sub('<a:Action.*?</a:Action>', '', s),
    'must-understand': lambda s: s.replace(
        '</s:Header>', '<x:Y xmlns:x="urn:x" s:mustUnderstand="1"/></s:Header>'),
    'deep': lambda s: s.replace('</s:Body>', '<a>' * 5000 + '</a>' * 5000 +
                                '</s:Body>'),
    'many-elements': lambda s: s.replace('</s:Body>', '<a/>' * 9000 +
                                         '</s:Body>'),
    'many-attributes': lambda s: s.replace('<s:Body', '<s:Body ' + ' '.join(
        'a%d="1"' % i for i in range(3000))),
    'many-namespaces': lambda s: s.replace('<s:Body', '<s:Body ' + ' '.join(
        'xmlns:n%d="urn:%d"' % (i, i) for i in range(500))),
    'long-name': lambda s: s.replace('</s:Body>', '<%s/></s:Body>' % (
        'n' * 5000)),
    'latin1': lambda s: '<?xml version="1.0" encoding="iso-8859-1"?>' + s,
    'utf-7': lambda s: '<?xml version="1.0" encoding="utf-7"?>' + s,
}


@pytest.mark.parametrize('service', ['cep', 'ces'])
@pytest.mark.parametrize('case', ENVELOPES)
def test_envelope(stack, demo, case, service):
    url, text = message(stack, demo, service)
    bad = ENVELOPES[case](text)
    assert bad != text
    r = demo.post(url, bad.encode())
    refused(r)
    assert 'root:' not in r.text
    want = {'must-understand': 'MustUnderstand', 'soap-1.1':
            'VersionMismatch', 'empty-to':
            'DestinationUnreachable', 'wrong-to': 'DestinationUnreachable'}
    if case in want:
        assert want[case] in r.text


@pytest.mark.parametrize('raw', [
    lambda s: s.encode('utf-16'), lambda s: s.encode('utf-32'),
    lambda s: s.encode().replace(b'urn:uuid', b'\xc0\x80urn'),
    lambda s: s.encode().replace(b'urn:uuid', b'\xff\xfeurn'),
    lambda s: s.encode().replace(b'urn:uuid', b'\xed\xa0\x80urn'),
    lambda s: s.encode() + b'\0', lambda s: b'', lambda s: b'\0' * 100,
    lambda s: b'<' * 1000], ids=range(9))
def test_encodings(stack, demo, raw):
    url, text = message(stack, demo)
    r = demo.post(url, raw(text))
    assert r.status in (400, 415, 500) and r.leaf is None \
        if r.tree is not None else r.status in (400, 415)
    if r.status == 500:
        check_fault(r)


def test_bom_is_fine(stack, demo):
    url, text = message(stack, demo)
    assert demo.post(url, b'\xef\xbb\xbf' + text.encode()).status == 200


def test_http(stack, demo):
    url, text = message(stack, demo)
    get = demo.http.get(url, timeout=300)
    assert get.status_code == 200
    assert 'WWW-Authenticate' not in get.headers
    assert demo.http.put(url, data=text, timeout=300).status_code in (403, 405)
    assert demo.post(url, text, 'text/xml').status == 415
    told = demo.post(url, text, 'text/html')
    assert told.status == 415 and 'this is SOAP 1.2 (request ' in told.text
    number = told.text.split('(request ')[1].split(')')[0]
    wait_for(lambda: 'event=http id=%s' % number in stack.log('worker'), 180)
    assert demo.post(url, text, 'multipart/related').status == 415
    assert demo.post(url, text, **{'Content-Encoding': 'gzip'}).status == 415
    assert demo.post(url, b'x' * 2000000).status == 413
    typed = 'Application/SOAP+XML;charset="UTF-8";action="%s"'
    assert demo.post(url, text, typed % client.GETPOLICIES).status == 200
    other = demo.post(url, text, typed % client.RST)
    check_fault(other)
    assert other.subcode == 'ActionNotSupported' and \
        'action of Content-Type is ' + client.RST[:70] in other.reason
    assert demo.post(url + '/x', text).status == 404
    assert demo.post(url.replace('service.svc', 'service%2esvc/..%2f'),
                     text).status in (400, 404)
    # A header that a client sends is never what nginx says about TLS.
    assert demo.post(url, text, **{'SSL-Client-Verify': 'SUCCESS',
                                   'Proxy': 'http://x'}).status == 200


def test_limits(stack, demo):
    url = stack.env['CS_CES_URL']
    big = client.rst(b'\x30\x84\x00\x02\x00\x00' + b'\0' * 130000)
    refused(demo.post(url, client.envelope(client.RST, url, big,
                                           demo.header())))
    long_id = 'urn:uuid:' + 'x' * 100000
    refused(demo.enroll(csr_for(stack), message_id=long_id))
    refused(client.Client(stack.env, 'u' * 100000).enroll(csr_for(stack)))
    refused(client.Client(stack.env, password='p' * 100000).enroll(
        csr_for(stack)))


# The message ---------------------------------------------------------------

def ces(stack, demo, change):
    url, text = message(stack, demo, 'ces')
    bad = change(text)
    assert bad != text
    return demo.post(url, bad.encode())


BODIES = {
    'token-type': (lambda s: s.replace('#X509v3<', '#Other<'), 0x80070057),
    'no-request-type': (lambda s: re.sub('<RequestType>.*</RequestType>', '',
                                         s), None),
    'request-type': (lambda s: s.replace('200512/Issue', '200512/Cancel'),
                     None),
    'encoding-type': (lambda s: s.replace('#base64binary', '#Base64Binary'),
                      0x80070057),
    'value-type': (lambda s: s.replace('enrollment#PKCS10', 'enrollment#X'),
                   0x80070057),
    'no-token': (lambda s: re.sub('<BinarySecurityToken.*</Binary'
                                  'SecurityToken>', '', s, flags=re.S), None),
    'two-tokens': (lambda s: re.sub('(<BinarySecurityToken.*</Binary'
                                    'SecurityToken>)', r'\1\1', s,
                                    flags=re.S), None),
    'two-types': (lambda s: re.sub('(<RequestType>.*</RequestType>)', r'\1\1',
                                   s), None),
    'child-in-token': (lambda s: s.replace('</BinarySecurityToken>',
                                           '<x/></BinarySecurityToken>'),
                       None),
    'url-alphabet': (lambda s: re.sub('(Token [^>]*>)', r'\1-_', s), None),
    'bad-padding': (lambda s: s.replace('</BinarySecurityToken>',
                                        '=</BinarySecurityToken>'), None),
    'two-requests': (lambda s: re.sub('(<RequestSecurityToken.*</Request'
                                      'SecurityToken>)', r'\1\1', s,
                                      flags=re.S), None),
    'rst-in-wrapper': (lambda s: s.replace('<RequestSecurityToken ', '<w><Requ'
                                           'estSecurityToken ').replace(
        '</RequestSecurityToken>', '</RequestSecurityToken></w>'), None),
}


@pytest.mark.parametrize('case', BODIES)
def test_message(stack, demo, case):
    change, hresult = BODIES[case]
    refused(ces(stack, demo, change), hresult)


@pytest.mark.parametrize('number', ['0', '-1', '1.5', 'abc', '', '99999999999'
                                    '99999999999', '0x10', ' 1 2'])
def test_query_of_no_number(demo, number):
    r = refused(demo.query(number))
    assert (number or 'no RequestID') in r.reason


# The request ----------------------------------------------------------------

def test_no_template(stack, demo):
    refused(demo.enroll(csr_for(stack, template=None)), 0x80094801)


def test_unknown_template(stack, demo):
    refused(demo.enroll(csr_for(stack, template='NoSuchTemplate')),
            0x80094800)
    refused(demo.enroll(csr_for(stack, template=None), context=[
        ('CertificateTemplate', 'WebServer\0')]) if False else
        demo.enroll(csr_for(stack, template=None, extensions=[
            client.template_v2('1.2.3.4')])), 0x80094800)


def test_conflicting_templates(stack, demo):
    refused(demo.enroll(csr_for(stack), context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE_MACHINE'])]),
        0x80094802)
    refused(demo.enroll(csr_for(stack), context=[
        ('CertificateTemplate', 'NoSuchTemplate')]))
    refused(demo.enroll(csr_for(stack), context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE'])] * 2))


def test_newer_template(stack, demo):
    r = demo.policies()
    for p in r.findall('.//p:policy'):
        if p.findtext('p:attributes/p:commonName', None, client.NS) == \
                stack.env['CS_TEMPLATE']:
            ref = p.findtext('p:policyOIDReference', None, client.NS)
            major = int(p.findtext('.//p:majorRevision', None, client.NS))
    oid = [o.findtext('p:value', None, client.NS)
           for o in r.findall('.//p:oIDs/p:oID')
           if o.findtext('p:oIDReferenceID', None, client.NS) == ref][0]
    good = csr_for(stack, template=None, extensions=[
        client.template_v2(oid, major, 0)])
    check_rstrc(demo.enroll(good))
    refused(demo.enroll(csr_for(stack, template=None, extensions=[
        client.template_v2(oid, major + 1, 0)])), 0x80094807)


def test_names_outside_the_rule(stack, demo):
    for bad in ('www.example.com', 'demo.example.evil.test',
                'xdemo.example', '*.demo.example', 'a_b.demo.example',
                'www.demo.example.', '10.0.0.1'):
        r = refused(demo.enroll(csr_for(stack, cn='ok.demo.example',
                                        dns=[bad])))
        assert r.hresult not in (None, 0)
        refused(demo.enroll(csr_for(stack, cn=bad)))
    r = refused(demo.enroll(csr_for(stack, dns=['a.demo.example',
                                                'www.other.example'])))
    assert 'www.other.example' in r.reason


@pytest.mark.parametrize('san', [
    x509.RFC822Name('root@demo.example'),
    x509.UniformResourceIdentifier('https://demo.example/'),
    x509.DirectoryName(x509.Name([])),
    x509.RegisteredID(ObjectIdentifier('1.2.3')),
    x509.OtherName(ObjectIdentifier('1.3.6.1.4.1.311.20.2.3'),
                   b'\x0c\x11root@demo.example'),
    x509.UniformResourceIdentifier('tag:microsoft.com,2022-09-14:sid:'
                                   'S-1-5-21-1-2-3-500'),
], ids=['email', 'uri', 'dirname', 'rid', 'upn', 'sid-uri'])
def test_other_kinds_of_name(stack, demo, san):
    refused(demo.enroll(csr_for(stack, san=[san])))


def test_no_names_at_all(stack, demo):
    refused(demo.enroll(csr_for(stack, cn=None)), 0x80094001)


WEAK = {
    'rsa-1024': (lambda: rsa.generate_private_key(65537, 1024), 0x80094811),
    'rsa-e3': (lambda: rsa.generate_private_key(3, 2048), None),
    'p-521': (lambda: client.ec_key(ec.SECP521R1), 0x80094811),
    'secp256k1': (lambda: client.ec_key(ec.SECP256K1), None),
    'brainpool': (lambda: client.ec_key(ec.BrainpoolP256R1), None),
    'p-224': (lambda: client.ec_key(ec.SECP224R1), None),
    'ed25519': (ed25519.Ed25519PrivateKey.generate, None),
    'dsa': (lambda: dsa.generate_private_key(2048), None),
}


@pytest.mark.parametrize('kind', WEAK)
def test_weak_or_odd_key(stack, demo, kind):
    make, hresult = WEAK[kind]
    key = make()
    b = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([
        x509.NameAttribute(x509.NameOID.COMMON_NAME, 'weak.demo.example')]))
    b = b.add_extension(client.template_v1(stack.env['CS_TEMPLATE']), False)
    csr = b.sign(key, None if kind == 'ed25519' else hashes.SHA256()
                 ).public_bytes(client.serialization.Encoding.DER)
    refused(demo.enroll(csr), hresult)


def test_no_proof_of_possession(stack, demo):
    csr = bytearray(csr_for(stack, client.rsa_key()))
    csr[-5] ^= 1
    refused(demo.enroll(bytes(csr)), 0x80090006)
    key, other = client.ec_key(), client.ec_key()
    inner = csr_for(stack, key)
    null = client.null_signature(inner)
    refused(demo.enroll(null), None)
    refused(demo.enroll(client.make_cmc(other, null), pkcs10=False))
    refused(demo.enroll(client.make_cmc(other, inner), pkcs10=False))
    data = client.pki_data(null)
    refused(demo.enroll(client.signed_data(data, []), pkcs10=False))


def indefinite(der):
    """The outer SEQUENCE with BER's indefinite length."""
    return b'\x30\x80' + der[4:] + b'\0\0'


def test_ber_and_trailing_bytes(stack, demo):
    csr = csr_for(stack, client.rsa_key())
    for bad in (indefinite(csr), csr + b'\0', csr[:-1], b'\x30\x83\0' +
                csr[2:], b'', b'\x30', b'\x31' + csr[1:], csr + csr,
                base64.b64encode(csr)):
        r = refused(demo.enroll(bad))
        assert r.hresult in (0x8007000D, 0x80070057), hex(r.hresult)


def test_two_of_anything(stack, demo):
    key = client.ec_key()
    e = client.template_v1(stack.env['CS_TEMPLATE'])
    from asn1crypto import csr as acsr
    r = acsr.CertificationRequest.load(csr_for(stack, key))
    info = r['certification_request_info']
    info['attributes'].append(info['attributes'][0].copy())
    for second in (True,):
        body = info.dump(force=True)
        sig, _ = client.sign_attrs(key, body)
        r['signature'] = client.core.OctetBitString(sig)
        refused(demo.enroll(r.dump(force=True)))
    assert e is not None


def test_cmc_that_is_not_ours(stack, demo):
    key = client.ec_key()
    csr = csr_for(stack, key)

    def send(data, **kw):
        return demo.enroll(client.signed_data(
            data, [client.ski_signer(key, data)], **kw), pkcs10=False)
    two = client.PKIData.load(client.pki_data(csr))
    two['reqs'].append(two['reqs'][0])
    refused(send(two.dump(force=True)))
    none = client.PKIData.load(client.pki_data(csr))
    none['reqs'] = []
    refused(send(none.dump(force=True)))
    for control in ('1.3.6.1.5.5.7.7.17', '1.3.6.1.5.5.7.7.15', '1.2.3.4'):
        refused(send(client.pki_data(csr, [
            (control, client.core.OctetString(b'x').dump())])))
    refused(send(client.pki_data(csr, [client.reg_info('a=b&')] * 2)))
    refused(send(client.pki_data(csr, [('1.3.6.1.5.5.7.7.18',
                                        client.core.Integer(1).dump())])))
    data = client.pki_data(csr)
    ok = client.ski_signer(key, data)
    refused(demo.enroll(client.signed_data(data, [ok, ok]), pkcs10=False))
    refused(demo.enroll(client.signed_data(data + b'\0', [ok]),
                        pkcs10=False))


def test_fault_never_echoes(stack, demo):
    """Client text comes back escaped or not at all."""
    evil = '<script>alert(1)</script>&amp;"\''
    r = demo.enroll(csr_for(stack, template=None), context=[
        ('CertificateTemplate', evil)])
    refused(r)
    assert '<script>' not in r.text


def test_request_id_in_fault_log_and_row(stack, demo):
    r = refused(demo.enroll(csr_for(stack, template='NoSuchTemplate')))
    rid = re.search('[0-9a-f]{32}', r.reason).group(0)
    # The line follows the answer.
    wait_for(lambda: rid in stack.log('worker'))
    shown = stack.ctl_json('request', 'show', rid)
    shown = shown[0] if isinstance(shown, list) else shown
    assert shown['state'] == 'denied'
    assert 'NoSuchTemplate' in stack.ctl('request', 'show', rid).stdout


def test_id_that_no_signer_saw(stack, demo):
    """Whoever has its id is sent to the log, where it is."""
    r = refused(demo.enroll(b'\x30\0'))
    rid = re.search('[0-9a-f]{32}', r.reason).group(0)
    shown = stack.ctl('request', 'show', rid, ok=1)
    assert 'a line in its log' in shown.stderr
    # The line follows the answer.
    wait_for(lambda: rid in stack.log('worker'))


def test_logs_hold_no_secret(stack, demo):
    demo.enroll(csr_for(stack))
    for part in ('worker', 'signer', 'nginx', 'postgres'):
        assert stack.env['CS_PASSWORD'] not in stack.log(part)
