"""An enrollment client of our own, from independent libraries: cryptography
for keys and requests, asn1crypto for CMS and CMC, lxml for SOAP, requests for
HTTP.  Nothing here shares code with what it tests."""
import base64
import datetime
import hashlib
import os
import uuid

import requests
from asn1crypto import algos, cms, core, csr as acsr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier
from lxml import etree

S = 'http://www.w3.org/2003/05/soap-envelope'
A = 'http://www.w3.org/2005/08/addressing'
T = 'http://docs.oasis-open.org/ws-sx/ws-trust/200512'
O = ('http://docs.oasis-open.org/wss/2004/01/'
     'oasis-200401-wss-wssecurity-secext-1.0.xsd')
U = ('http://docs.oasis-open.org/wss/2004/01/'
     'oasis-200401-wss-wssecurity-utility-1.0.xsd')
E = 'http://schemas.microsoft.com/windows/pki/2009/01/enrollment'
P = 'http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy'
AUTH = 'http://schemas.xmlsoap.org/ws/2006/12/authorization'
X509V3 = ('http://docs.oasis-open.org/wss/2004/01/'
          'oasis-200401-wss-x509-token-profile-1.0#X509v3')
XSI = 'http://www.w3.org/2001/XMLSchema-instance'
NS = {'s': S, 'a': A, 't': T, 'o': O, 'u': U, 'e': E, 'p': P}
RST = E + '/RST/wstep'
GETPOLICIES = P + '/IPolicy/GetPolicies'
PASSWORD_TEXT = ('http://docs.oasis-open.org/wss/2004/01/'
                 'oasis-200401-wss-username-token-profile-1.0#PasswordText')


def _dump_set(self, force=False):
    # asn1crypto takes any length whose last byte is 80 for an indefinite one
    # and writes all below anew; a SET without a definition it cannot.
    dump = core.Sequence if self._fields else core.Asn1Value
    return dump.dump(self, force)


core.Set.dump = _dump_set


def esc(text):
    return (text.replace('&', '&amp;').replace('<', '&lt;')
            .replace('>', '&gt;').replace('"', '&quot;'))


def security(user, password, timestamp=True, extra='', now=None):
    now = now or datetime.datetime.utcnow()
    stamp = ''
    if timestamp:
        fmt = '%Y-%m-%dT%H:%M:%S.000Z'
        stamp = ('<u:Timestamp u:Id="_0"><u:Created>%s</u:Created><u:Expires>'
                 '%s</u:Expires></u:Timestamp>' % (
                     now.strftime(fmt),
                     (now + datetime.timedelta(minutes=5)).strftime(fmt)))
    return ('<o:Security s:mustUnderstand="1" xmlns:o="%s" xmlns:u="%s">%s'
            '<o:UsernameToken u:Id="uuid-%s-1"><o:Username>%s</o:Username>'
            '<o:Password Type="%s">%s</o:Password></o:UsernameToken>%s'
            '</o:Security>' % (O, U, stamp, uuid.uuid4(), esc(user),
                               PASSWORD_TEXT, esc(password), extra))


def envelope(action, to, body, header='', message_id=None):
    mid = message_id or 'urn:uuid:%s' % uuid.uuid4()
    return ('<s:Envelope xmlns:s="%s" xmlns:a="%s"><s:Header>'
            '<a:Action s:mustUnderstand="1">%s</a:Action>'
            '<a:MessageID>%s</a:MessageID>'
            '<a:To s:mustUnderstand="1">%s</a:To>%s</s:Header>'
            '<s:Body xmlns:xsi="%s">%s</s:Body></s:Envelope>' % (
                S, A, action, mid, esc(to), header, XSI, body)).encode()


def rst(token, pkcs10=True, context=(), request_type=T + '/Issue', extra=''):
    bst = ''
    if token is not None:
        vt = E + '#PKCS10' if pkcs10 else O + '#PKCS7'
        bst = ('<BinarySecurityToken ValueType="%s" EncodingType="%s#base64binary"'
               ' xmlns="%s">%s</BinarySecurityToken>' % (
                   vt, O, O, base64.encodebytes(token).decode()))
    items = ''.join('<ContextItem Name="%s"><Value>%s</Value></ContextItem>'
                    % (esc(n), esc(v)) for n, v in context)
    if items:
        items = '<AdditionalContext xmlns="%s">%s</AdditionalContext>' % (
            AUTH, items)
    return ('<RequestSecurityToken PreferredLanguage="en-US" xmlns="%s">'
            '<TokenType>%s</TokenType><RequestType>%s</RequestType>%s%s%s'
            '</RequestSecurityToken>' % (T, X509V3, request_type, bst, items,
                                         extra))


def get_policies(last_update=None, oids=None, client=None, server=None):
    nil = lambda n: '<%s xsi:nil="true"/>' % n
    f = nil('requestFilter')
    if oids is not None or client is not None:
        o = nil('policyOIDs') if oids is None else '<policyOIDs>%s</policyOIDs>' % (
            ''.join('<oid>%s</oid>' % x for x in oids))
        v = '' if client is None else (
            '<clientVersion>%d</clientVersion><serverVersion>%d</serverVersion>'
            % (client, server or 0))
        f = '<requestFilter>%s%s</requestFilter>' % (o, v)
    lu = (nil('lastUpdate') if last_update is None
          else '<lastUpdate>%s</lastUpdate>' % last_update)
    return ('<GetPolicies xmlns="%s"><client>%s%s</client>%s</GetPolicies>'
            % (P, lu, nil('preferredLanguage'), f))


class Reply:
    """One HTTP answer; .fault is None or the Fault element."""

    def __init__(self, response):
        self.http = response
        self.status = response.status_code
        self.text = response.text
        self.tree = None
        self.fault = None
        if response.content.lstrip().startswith(b'<'):
            self.tree = etree.fromstring(
                response.content, etree.XMLParser(resolve_entities=False,
                                                  no_network=True))
            self.fault = self.tree.find('s:Body/s:Fault', NS)

    def find(self, path):
        return self.tree.find(path, NS)

    def findall(self, path):
        return self.tree.findall(path, NS)

    def findtext(self, path):
        if self.tree is None:
            return None
        return self.tree.findtext(path, None, NS)

    @property
    def body(self):
        return self.find('s:Body')[0]

    @property
    def reason(self):
        return self.findtext('.//s:Reason/s:Text')

    @property
    def subcode(self):
        v = self.findtext('.//s:Subcode/s:Value')
        return v.split(':')[-1] if v else None

    @property
    def hresult(self):
        v = self.findtext('.//e:ErrorCode')
        return int(v) & 0xffffffff if v else None

    @property
    def request_id(self):
        return self.findtext('.//e:RequestID')

    @property
    def leaf(self):
        v = self.findtext('.//t:RequestedSecurityToken/o:BinarySecurityToken')
        return base64.b64decode(v) if v else None

    @property
    def certificate(self):
        return x509.load_der_x509_certificate(self.leaf)

    @property
    def cmc(self):
        v = self.findtext('.//t:RequestSecurityTokenResponse/'
                          'o:BinarySecurityToken')
        return base64.b64decode(v) if v else None


class Client:
    clock = staticmethod(datetime.datetime.utcnow)

    def __init__(self, env, user=None, password=None):
        self.env = env
        self.user = user if user is not None else env['CS_USER']
        self.password = (password if password is not None
                         else env['CS_PASSWORD'])
        self.http = requests.Session()
        self.http.verify = env['CS_ROOT_PEM']
        self.http.trust_env = False

    def post(self, url, data, content_type='application/soap+xml; '
             'charset=utf-8', **headers):
        h = {'Content-Type': content_type}
        h.update(headers)
        return Reply(self.http.post(url, data=data, headers=h, timeout=300))

    def header(self):
        return security(self.user, self.password, now=self.clock())

    def policies(self, **kw):
        url = self.env['CS_CEP_URL']
        return self.post(url, envelope(GETPOLICIES, url, get_policies(**kw),
                                       self.header()))

    def enroll(self, token, pkcs10=True, message_id=None, url=None, **kw):
        url = url or self.env['CS_CES_URL']
        return self.post(url, envelope(
            RST, url, rst(token, pkcs10, **kw), self.header(), message_id))

    def query(self, number):
        url = self.env['CS_CES_URL']
        return self.post(url, envelope(
            RST, url, rst(None, request_type=E + '/QueryTokenStatus',
                          extra='<RequestID xmlns="%s">%s</RequestID>' % (
                              E, number)), self.header()))


# Keys and requests -------------------------------------------------------

_RSA = {}


def rsa_key(bits=2048, n=None):
    """Keys are slow to make and tests need only different ones: each test has
    one of its own, as no two accounts get certificates for the same."""
    if n is None:
        n = os.environ.get('PYTEST_CURRENT_TEST')
    if (bits, n) not in _RSA:
        _RSA[bits, n] = rsa.generate_private_key(65537, bits)
    return _RSA[bits, n]


def ec_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def bmp(text):
    return tlv(0x1e, text.encode('utf-16-be'))


def template_v1(name):
    return x509.UnrecognizedExtension(
        ObjectIdentifier('1.3.6.1.4.1.311.20.2'), bmp(name))


class TemplateInfo(core.Sequence):
    _fields = [('oid', core.ObjectIdentifier),
               ('major', core.Integer, {'optional': True}),
               ('minor', core.Integer, {'optional': True})]


def template_v2(oid, major=None, minor=None):
    d = {'oid': oid}
    if major is not None:
        d.update(major=major, minor=minor or 0)
    return x509.UnrecognizedExtension(
        ObjectIdentifier('1.3.6.1.4.1.311.21.7'), TemplateInfo(d).dump())


def make_csr(key, cn=None, dns=(), template=None, extensions=(), hash_=None,
             subject=None, san=()):
    """DER of a PKCS#10.  template is a name (version 1 extension)."""
    b = x509.CertificateSigningRequestBuilder()
    if subject is None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)]
                            if cn else [])
    b = b.subject_name(subject)
    names = [x509.DNSName(d) for d in dns] + list(san)
    if names:
        b = b.add_extension(x509.SubjectAlternativeName(names), False)
    if template:
        b = b.add_extension(template_v1(template), False)
    for e in extensions:
        b = b.add_extension(*e) if isinstance(e, tuple) else \
            b.add_extension(e, False)
    return b.sign(key, hash_ or hashes.SHA256()).public_bytes(
        serialization.Encoding.DER)


# CMC ----------------------------------------------------------------------

class TaggedAttribute(core.Sequence):
    _fields = [('id', core.Integer), ('type', core.ObjectIdentifier),
               ('values', core.SetOf, {'spec': core.Any})]


class TaggedAttributes(core.SequenceOf):
    _child_spec = TaggedAttribute


class TaggedCSR(core.Sequence):
    _fields = [('id', core.Integer),
               ('csr', acsr.CertificationRequest)]


class TaggedRequest(core.Choice):
    _alternatives = [('tcr', TaggedCSR, {'implicit': 0})]


class TaggedRequests(core.SequenceOf):
    _child_spec = TaggedRequest


class Anys(core.SequenceOf):
    _child_spec = core.Any


class PKIData(core.Sequence):
    _fields = [('controls', TaggedAttributes), ('reqs', TaggedRequests),
               ('cms', Anys), ('other', Anys)]


PKI_DATA = '1.3.6.1.5.5.7.12.2'
PKI_RESPONSE = '1.3.6.1.5.5.7.12.3'


def pki_data(csr_der, controls=()):
    """controls: (oid, DER of the one value)."""
    return PKIData({
        'controls': [{'id': i + 2, 'type': oid, 'values': [core.Any.load(v)]}
                     for i, (oid, v) in enumerate(controls)],
        'reqs': [TaggedRequest('tcr', TaggedCSR({
            'id': 1, 'csr': acsr.CertificationRequest.load(csr_der)}))],
        'cms': [], 'other': []}).dump()


def key_ski(key):
    return hashlib.sha1(acsr.CertificationRequest.load(make_csr(key))[
        'certification_request_info']['subject_pk_info'][
            'public_key'].contents[1:]).digest()


def sign_attrs(key, data, hash_name='sha256'):
    h = getattr(hashes, hash_name.upper())()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), h), 'rsassa_pkcs1v15'
    return key.sign(data, ec.ECDSA(h)), hash_name + '_ecdsa'


def signer_info(key, content, content_type, sid, hash_name='sha256',
                unsigned=()):
    digest = hashlib.new(hash_name, content).digest()
    attrs = cms.CMSAttributes([
        cms.CMSAttribute({'type': 'content_type', 'values': [content_type]}),
        cms.CMSAttribute({'type': 'message_digest', 'values': [digest]})])
    sig, alg = sign_attrs(key, attrs.dump(), hash_name)
    d = {'version': 'v3' if 'subject_key_identifier' == sid.name else 'v1',
         'sid': sid, 'digest_algorithm': {'algorithm': hash_name},
         'signed_attrs': attrs, 'signature_algorithm': {'algorithm': alg},
         'signature': sig}
    return cms.SignerInfo(d)


def ski_signer(key, content, content_type=PKI_DATA, **kw):
    return signer_info(key, content, content_type, cms.SignerIdentifier(
        'subject_key_identifier', key_ski(key)), **kw)


def cert_signer(key, cert_der, content, content_type=PKI_DATA, **kw):
    from asn1crypto import x509 as ax
    c = ax.Certificate.load(cert_der)
    return signer_info(key, content, content_type, cms.SignerIdentifier(
        'issuer_and_serial_number', {
            'issuer': c.issuer, 'serial_number': c.serial_number}), **kw)


def bare_signer(key, cert_der, content, hash_name='sha256'):
    """Without signed attributes: the signature is over the content itself, as
    Windows renews where it knows no CMC."""
    from asn1crypto import x509 as ax
    c = ax.Certificate.load(cert_der)
    sig, alg = sign_attrs(key, content, hash_name)
    return cms.SignerInfo({
        'version': 'v1', 'sid': cms.SignerIdentifier(
            'issuer_and_serial_number', {
                'issuer': c.issuer, 'serial_number': c.serial_number}),
        'digest_algorithm': {'algorithm': hash_name},
        'signature_algorithm': {'algorithm': alg}, 'signature': sig})


def signed_data(content, signers, certs=(), content_type=PKI_DATA,
                hash_name='sha256', version='v3'):
    from asn1crypto import x509 as ax
    sd = {'version': version, 'digest_algorithms': [{'algorithm': hash_name}],
          'encap_content_info': {
              'content_type': content_type,
              'content': (core.OctetString if content_type == DATA else
                          core.ParsableOctetString)(content)},
          'signer_infos': list(signers)}
    if certs:
        sd['certificates'] = [cms.CertificateChoices(
            'certificate', ax.Certificate.load(c)) for c in certs]
    return cms.ContentInfo({'content_type': 'signed_data',
                            'content': cms.SignedData(sd)}).dump()


def make_cmc(key, csr_der, controls=(), **kw):
    data = pki_data(csr_der, controls)
    return signed_data(data, [ski_signer(key, data, **kw)],
                       hash_name=kw.get('hash_name', 'sha256'))


def no_sign_cmc(key, csr_der, controls=()):
    """[RFC5272] appendix C: a digest in the place of the signature."""
    data = pki_data(csr_der, controls)
    s = ski_signer(key, data)
    s['signature_algorithm'] = {'algorithm': '1.3.6.1.5.5.7.6.2'}
    s['signature'] = hashlib.sha256(s['signed_attrs'].dump()).digest()
    return signed_data(data, [s])


def tlv(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else (
        lambda b: bytes([0x80 | len(b)]) + b)(
            n.to_bytes((n.bit_length() + 7) // 8, 'big'))
    return bytes([tag]) + size + body


DATA = '1.2.840.113549.1.7.1'
RENEWAL_CERT = '1.3.6.1.4.1.311.13.1'


def renewal_csr(key, old_der, signer=None, null=False, **kw):
    """A PKCS#10 that names the certificate it renews; old_der may be any
    value of that attribute.  Signed by another key, or with the hash alone."""
    info = acsr.CertificationRequest.load(make_csr(key, **kw))[
        'certification_request_info']
    attrs = info['attributes'].contents or b''
    attrs += tlv(0x30, core.ObjectIdentifier(RENEWAL_CERT).dump(),
                 tlv(0x31, old_der))
    body = tlv(0x30, info['version'].dump(), info['subject'].dump(),
               info['subject_pk_info'].dump(), tlv(0xa0, attrs))
    sig, alg = sign_attrs(signer or key, body)
    if null:
        sig, alg = hashlib.sha256(body).digest(), '2.16.840.1.101.3.4.2.1'
    if alg == 'rsassa_pkcs1v15':
        alg = 'sha256_rsa'
    return tlv(0x30, body,
               algos.SignedDigestAlgorithm({'algorithm': alg}).dump(),
               core.OctetBitString(sig).dump())


def renewal_cms(csr_der, old_key, old_der, bare=True, certs=None, **kw):
    """The form of schema 1: CMS over the PKCS#10, signed by the old key."""
    signer = (bare_signer(old_key, old_der, csr_der, **kw) if bare else
              cert_signer(old_key, old_der, csr_der, DATA, **kw))
    return signed_data(csr_der, [signer],
                       [old_der] if certs is None else certs, DATA,
                       kw.get('hash_name', 'sha256'), version='v1')


def renewal_cmc(csr_der, new_key, old_key, old_der, certs=None, controls=(),
                **kw):
    """The form of today: CMC, signed by the new key and by the old one."""
    data = pki_data(csr_der, controls)
    return signed_data(
        data, [ski_signer(new_key, data),
               cert_signer(old_key, old_der, data, **kw)],
        [old_der] if certs is None else certs)


def reg_info(text):
    return ('1.3.6.1.5.5.7.7.18', core.OctetString(text.encode()).dump())


def null_signature(csr_der):
    """The inner request of a CMC whose proof is the outer signer."""
    r = acsr.CertificationRequest.load(csr_der)
    info = r['certification_request_info'].dump()
    r['signature_algorithm'] = algos.SignedDigestAlgorithm(
        {'algorithm': '2.16.840.1.101.3.4.2.1'})
    r['signature'] = core.OctetBitString(hashlib.sha256(info).digest())
    return r.dump(force=True)
