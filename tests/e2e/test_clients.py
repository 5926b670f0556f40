"""What clients may send that ours does not."""
import concurrent.futures
import hashlib
import re
import socket
import ssl
import subprocess
import urllib.parse
import uuid

import pytest
from asn1crypto import algos, cms, core
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
from client import S, T, tlv
from fcgi import fastcgi, framed
from schema import check_fault, check_rstrc
from workers import patience  # noqa: F401

ROLE = ' s:role="%s/role/%s"'


def csr_for(stack, cn='clients.demo.example', template='CS_TEMPLATE'):
    return client.make_csr(client.ec_key(), cn, template=template and
                           stack.env[template])


def issue(stack, demo, change=lambda s: s, **kw):
    url = stack.env['CS_CES_URL']
    text = client.envelope(client.RST, url, client.rst(csr_for(stack)),
                           demo.header()).decode()
    return demo.post(url, change(text).encode(), **kw)


def test_tls_of_windows_before_10(stack):
    """With ECDHE it has AES-GCM for EC keys alone: docs/operations.md."""
    where = urllib.parse.urlsplit(stack.env['CS_CEP_URL'])
    tls = ssl.create_default_context(cafile=stack.env['CS_ROOT_PEM'])
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers('ECDHE-RSA-AES128-SHA256:AES256-SHA256:ECDHE-ECDSA-AES128-'
                    'GCM-SHA256:ECDHE-ECDSA-AES256-SHA384')
    with socket.create_connection((where.hostname, where.port)) as s, \
            tls.wrap_socket(s, server_hostname=where.hostname) as t:
        assert t.cipher()[0] == 'ECDHE-ECDSA-AES128-GCM-SHA256'


@pytest.mark.parametrize('content_type', [
    'application/soap+xml;charset=utf-8;', 'application/soap+xml; ;action=""',
    'application/soap+xml;\tcharset="UTF-8"',
    'application/soap+xml; charset=utf-8; action="%s"' % client.RST])
def test_content_type(stack, demo, content_type):
    check_rstrc(issue(stack, demo, content_type=content_type))


def test_token_of_old_cepces(stack, demo):
    """Until 0.3.7: Id in wsa, the other attributes in wsse."""
    check_rstrc(issue(stack, demo, lambda s: re.sub(
        '(EncodingType|ValueType)=', r'q:\1=', s).replace(
            '<BinarySecurityToken ', '<BinarySecurityToken xmlns:q="%s" '
            'a:Id="" ' % client.O)))


def test_adcs_rs(stack, demo):
    """Its example for AD CS: PEM as PKCS#7, the template by its OID alone; of
    a fault's detail it takes none without xmlns:xsd."""
    key, url = client.ec_key(), stack.env['CS_CES_URL']

    def send(oid):
        pem = x509.load_der_x509_csr(client.make_csr(
            key, 'rust.demo.example', extensions=[client.template_v2(
                oid, 0, 0)])).public_bytes(serialization.Encoding.PEM)
        body = re.sub('(<BinarySecurityToken [^>]*>)[^<]*',
                      lambda m: m[1] + pem.decode(), client.rst(
                          b'x', pkcs10=False))
        return demo.post(url, client.envelope(client.RST, url, body,
                                              demo.header()))
    policies = demo.policies()
    [number] = [p.findtext('p:policyOIDReference', None, client.NS)
                for p in policies.findall('.//p:policy')
                if p.findtext('.//p:commonName', None, client.NS) ==
                stack.env['CS_TEMPLATE']]
    check_rstrc(send(policies.findtext(
        './/p:oID[p:oIDReferenceID="%s"]/p:value' % number)))
    r = send('1.2.3')
    check_fault(r)
    assert r.find('.//e:CertificateEnrollmentWSDetail').nsmap['xsd'] == \
        'http://www.w3.org/2001/XMLSchema'


def test_anonymous_destination(stack, demo):
    """[WS-Addressing] 3.2.1: what a message without To means."""
    check_rstrc(issue(stack, demo, lambda s: re.sub(
        '(<a:To [^>]*>)[^<]*', r'\g<1>%s/anonymous' % client.A, s)))


def test_roles(stack, demo):
    """[SOAP12] 2.2: of the receiver, and of somebody else."""
    for name, role in (('a:Action', 'ultimateReceiver'), ('a:To', 'next'),
                       ('o:Security', 'ultimateReceiver')):
        check_rstrc(issue(stack, demo, lambda s: s.replace(
            '<' + name, '<' + name + ROLE % (S, role))))
    header = '<q:q xmlns:q="urn:q" s:mustUnderstand="1"%s/></s:Header>'
    check_rstrc(issue(stack, demo, lambda s: s.replace(
        '</s:Header>', header % ROLE % (S, 'none'))))
    r = issue(stack, demo, lambda s: s.replace(
        '</s:Header>', header % ROLE % (S, 'next')))
    check_fault(r)
    assert 'MustUnderstand' in r.text


def test_action_of_another_service(stack, demo):
    r = issue(stack, demo, lambda s: s.replace(client.RST,
                                               client.GETPOLICIES))
    check_fault(r)
    assert r.hresult == 0x80070057 and r.subcode is None


def test_same_message_for_another_template(stack, demo):
    """Only what is the same in all is the same message."""
    csr, mid = csr_for(stack, template=None), 'urn:uuid:%s' % uuid.uuid4()
    got = [demo.enroll(csr, message_id=mid, context=[
        ('CertificateTemplate', stack.env[t])]) for t in (
            'CS_TEMPLATE', 'CS_TEMPLATE_MACHINE', 'CS_TEMPLATE')]
    for r in got:
        check_rstrc(r)
    assert got[0].leaf == got[2].leaf != got[1].leaf


def together(stack, who, ask):
    """What many clients get who ask at once, in each of many rounds; and no
    signer has signed in vain."""
    for c in who:
        check_rstrc(c.enroll(csr_for(stack)))
    void = 'SELECT count(*) FROM countersign.void_serial'
    before = stack.sql(void)
    with concurrent.futures.ThreadPoolExecutor(len(who)) as pool:
        rounds = [list(pool.map(ask(), who)) for _ in range(20)]
    for _ in range(8):      # each signer voids what it has signed in vain
        check_rstrc(who[0].enroll(csr_for(stack)))
    assert stack.sql(void) == before
    return rounds


def test_same_message_at_once(stack, patience):  # noqa: F811
    """From several connections in one moment: one signer gets all of them."""
    def ask():
        csr, mid = csr_for(stack), 'urn:uuid:%s' % uuid.uuid4()
        return lambda c: c.enroll(csr, message_id=mid).leaf
    for got in together(stack, [client.Client(stack.env) for _ in range(4)],
                        ask):
        assert len(set(got)) == 1 and got[0]


def test_same_key_at_once(stack, patience):  # noqa: F811
    """Of two accounts: the first to come gets a certificate, the others are
    told so."""
    def ask():
        csr = csr_for(stack)
        return lambda c: c.enroll(csr)
    who = [stack.account('at-once-%d' % i, groups=['users', 'web-admins'])
           for i in range(3)]
    for got in together(stack, who, ask):
        assert sorted(r.leaf is None for r in got) == [False, True, True]
        assert {r.hresult for r in got} == {None, 0x80090003}


@pytest.mark.parametrize('salt', ['max', '32'])
def test_pss_as_openssl_signs(stack, demo, tmp_path, salt):
    r = subprocess.run(
        ['openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout',
         str(tmp_path / 'key'), '-subj', '/CN=pss.demo.example', '-sigopt',
         'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:' + salt,
         '-outform', 'DER'], check=True, capture_output=True)
    check_rstrc(demo.enroll(r.stdout, context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE'])]))


def test_subject_that_nobody_uses(stack, demo, tmp_path):
    """[MS-WCCE] 3.2.2.6.2.1.4.5.9: all names are the account's."""
    (tmp_path / 'cnf').write_text(
        '[req]\nprompt = no\nstring_mask = pkix\ndistinguished_name = dn\n'
        'attributes = more\nreq_extensions = none\n[none]\n'
        '[dn]\n[more]\n'
        'unstructuredAddress = 192.0.2.7\nchallengePassword = abcd1234\n')
    csr = subprocess.run(
        ['openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout',
         str(tmp_path / 'key'), '-config', str(tmp_path / 'cnf'), '-subj',
         '/CN=a_b@c+OU=x', '-outform', 'DER'], check=True, capture_output=True).stdout
    r = demo.enroll(csr, context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE_MACHINE'])])
    check_rstrc(r)
    assert 'a_b' not in r.certificate.subject.rfc4514_string()
    r = demo.enroll(csr, context=[
        ('CertificateTemplate', stack.env['CS_TEMPLATE'])])
    assert r.hresult == 0x80094001 and 'several values' in r.reason


def test_underscore_in_a_host_name(stack, demo):
    """Windows' setup and people put it into computers' names: the account's
    is issued, but "*.x" allows nobody to ask for one."""
    host = 'lab_pc1.demo.example'
    pc = stack.account('lab_pc1$@demo.example', machine=True, dns=host,
                       groups=['computers'])
    r = pc.enroll(csr_for(stack, template='CS_TEMPLATE_MACHINE'))
    check_rstrc(r)
    san = r.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [host]
    r = demo.enroll(csr_for(stack, host))
    assert r.hresult == 0x80094001 and host + ' is not allowed' in r.reason


def test_key_exchange_token(stack, demo):
    """AD CS answers it whether or not a template needs it."""
    url = stack.env['CS_CES_URL']
    r = demo.post(url, client.envelope(T + '/RST/KET', url, client.rst(
        None, request_type=T + '/KET', extra='<RequestKET/>'), demo.header()))
    assert r.fault is None, r.text
    assert r.findtext('.//t:KeyExchangeToken/o:BinarySecurityToken')
    assert re.search('RSTR/KETFinal<', r.text)


def test_context_comes_back(stack, demo):
    """[WS-Trust] 3.2: what the client calls its request."""
    url = stack.env['CS_CES_URL']
    mark = 'urn:a b<"c'

    def ask(body, action=client.RST):
        text = client.envelope(action, url, body, demo.header()).decode()
        r = demo.post(url, text.replace(
            '<RequestSecurityToken ', '<RequestSecurityToken Context="%s" '
            % client.esc(mark)).encode())
        assert r.fault is None, r.text
        response = r.find('.//t:RequestSecurityTokenResponse')
        assert response.attrib.pop('Context') == mark
        return r
    check_rstrc(ask(client.rst(csr_for(stack))))
    r = ask(client.rst(csr_for(stack, template='CS_TEMPLATE_APPROVAL')))
    check_rstrc(r)
    check_rstrc(ask(client.rst(
        None, request_type=client.E + '/QueryTokenStatus',
        extra='<RequestID xmlns="%s">%s</RequestID>' % (
            client.E, r.request_id))))
    ask(client.rst(None, request_type=T + '/KET', extra='<RequestKET/>'),
        T + '/RST/KET')


def test_poll_without_token_type(stack, demo):
    """As acme2certifier asks: [MS-WSTEP] 3.1.4.1.3.3 has it optional."""
    r = issue(stack, demo)
    url = stack.env['CS_CES_URL']
    body = re.sub('<TokenType>.*</TokenType>', '', client.rst(
        None, request_type=client.E + '/QueryTokenStatus',
        extra='<RequestID xmlns="%s">%s</RequestID>' % (
            client.E, r.request_id)))
    assert 'TokenType' not in body
    again = demo.post(url, client.envelope(client.RST, url, body,
                                           demo.header()))
    check_rstrc(again)
    assert again.leaf == r.leaf


def test_blank_in_the_name_of_a_ca(stack, demo):
    """nginx hands over the path as decoded; clients write a URI."""
    url = 'https://localhost/Demo CA_CES_UsernamePassword/service.svc/CES'
    text = client.envelope(
        client.RST, url.replace(' ', '%20'), client.rst(csr_for(
            stack, template='CS_TEMPLATE_APPROVAL')), demo.header())
    out = fastcgi(stack, framed(
        stack, text, CS_SERVICE='ces', CS_CA='Demo-CA', CS_URI=url,
        CONTENT_LENGTH=str(len(text)))).decode(errors='replace')
    assert 'RequestSecurityTokenResponse' in out, out
    assert '<Reference URI="%s"' % url.replace(' ', '%20') in out


def oid(dotted):
    return core.ObjectIdentifier(dotted).dump()


SHA256 = tlv(0x30, oid('2.16.840.1.101.3.4.2.1'))
ECDSA = tlv(0x30, oid('1.2.840.10045.4.3.2'))
# As Windows signs with AlternateSignatureAlgorithm.
SPECIFIED = tlv(0x30, oid('1.2.840.10045.4.3'), SHA256)
RSA_BARE = tlv(0x30, oid('1.2.840.113549.1.1.11'))


def by_hand(key, algorithm, *attributes):
    """A PKCS#10 that no library writes so."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME,
                                         'hand.demo.example')]).public_bytes()
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)
    info = tlv(0x30, b'\2\1\0', name, spki, tlv(0xa0, *sorted(attributes)))
    signature, _ = client.sign_attrs(key, info)
    return tlv(0x30, info, algorithm, tlv(3, b'\0', signature))


def pairs(*names_and_values):
    """One attribute, each pair a value of it."""
    return tlv(0x30, oid('1.3.6.1.4.1.311.13.2.1'), tlv(0x31, *sorted(
        tlv(0x30, client.bmp(n), client.bmp(v))
        for n, v in names_and_values)))


REG_INFO = {'reg-info-empty': '', 'reg-info-certfile': 'certfile=a.cer&',
            'reg-info-void': 'cdc=&rmd=%ff&ccm=x&'}


@pytest.mark.parametrize('form', ['specified', 'rsa-bare', 'pairs',
                                  'pairs-void', 'pairs-apart', 'values',
                                  *REG_INFO])
def test_request_by_hand(stack, demo, form):
    """What nobody reads may be empty, broken, or several."""
    key = client.rsa_key() if form == 'rsa-bare' else client.ec_key()
    template = ('certificatetemplate', stack.env['CS_TEMPLATE'])
    algorithm = {'specified': SPECIFIED, 'rsa-bare': RSA_BARE}.get(form, ECDSA)
    said = {'pairs': ['x'], 'pairs-void': ['']}.get(form, [])
    names = [tlv(0x30, oid('1.2.840.113549.1.9.2'), tlv(
        0x31, tlv(12, b'a'), tlv(12, b'b')))] if form == 'values' else []
    if form == 'pairs-apart':       # as adcs-rs writes them
        names = [pairs(('rmd', 'x')), pairs(('cdc', 'y'))]
    csr = by_hand(key, algorithm, pairs(template, *[
        ('ccm', value) for value in said]), *names)
    if form in REG_INFO:
        csr = client.make_cmc(key, csr, [client.reg_info(REG_INFO[form])])
    r = demo.enroll(csr, pkcs10=form not in REG_INFO)
    check_rstrc(r)
    assert r.certificate.subject.rfc4514_string() == 'CN=hand.demo.example'


def test_false_written(stack, demo):
    """As certmonger wrote it before 2022, and RHEL 8 or Debian 11 still do:
    "critical" stands at each extension, against [X.690] 11.5."""
    key = client.ec_key()
    each = lambda dotted, critical, value: tlv(
        0x30, oid(dotted), tlv(1, critical), tlv(4, value))
    wanted = tlv(
        0x30, each('2.5.29.15', b'\0', tlv(3, b'\5\xa0')),
        each('2.5.29.17', b'\0', tlv(0x30, tlv(
            0x82, b'hand.demo.example'))),
        each('2.5.29.19', b'\xff', tlv(0x30, tlv(1, b'\0'))),
        each('2.5.29.14', b'\0', tlv(4, client.key_ski(key))),
        each('1.3.6.1.4.1.311.20.2', b'\0', client.bmp(
            stack.env['CS_TEMPLATE'])))
    r = demo.enroll(by_hand(key, ECDSA, tlv(
        0x30, oid('1.2.840.113549.1.9.14'), tlv(0x31, wanted))))
    check_rstrc(r)
    san = r.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [
        'hand.demo.example']


def protected_cmc(key, csr, hash_name):
    """As Bouncy Castle signs: with [RFC6211]'s attribute, which names this
    hash."""
    oid = lambda n: core.ObjectIdentifier('1.2.840.113549.1.9.%d' % n).dump()
    attr = lambda n, value: tlv(0x30, oid(n), tlv(0x31, value))
    digest = lambda name: algos.DigestAlgorithm({'algorithm': name}).dump()
    data = client.pki_data(csr)
    alg = algos.SignedDigestAlgorithm({'algorithm': 'sha256_ecdsa'}).dump()
    attrs = b''.join(sorted([
        attr(3, core.ObjectIdentifier(client.PKI_DATA).dump()),
        attr(4, core.OctetString(hashlib.sha256(data).digest()).dump()),
        attr(52, tlv(0x30, digest(hash_name), tlv(0xa1, alg[2:])))]))
    sig, _ = client.sign_attrs(key, tlv(0x31, attrs))
    return client.signed_data(data, [cms.SignerInfo.load(tlv(
        0x30, b'\2\1\3', tlv(0x80, client.key_ski(key)), digest('sha256'),
        tlv(0xa0, attrs), alg, tlv(4, sig)))])


def test_algorithm_protection(stack, demo):
    key = client.ec_key()
    csr = client.make_csr(key, 'java.demo.example',
                          template=stack.env['CS_TEMPLATE'])
    check_rstrc(demo.enroll(protected_cmc(key, csr, 'sha256'), pkcs10=False))
    r = demo.enroll(protected_cmc(key, csr, 'sha384'), pkcs10=False)
    check_fault(r)
    assert r.hresult == 0x80090006 and 'AlgorithmProtection' in r.reason
