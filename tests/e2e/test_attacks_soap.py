"""SOAP, XML and HTTP attacks beyond test_refusals: confusion of names and
places, identifiers, base64, call-backs, raw HTTP and raw FastCGI."""
import base64
import contextlib
import ctypes
import os
import re
import socket
import struct
import threading
import urllib.parse

import pytest
from lxml import etree

import client
from client import E, O, S, T
from fcgi import (BEGIN, fastcgi, framed, param, params, raw_http, record,
                  worker_socket)
from refusals import csr_for, message, refused, survives  # noqa: F401
from schema import check_policies, check_rstrc
from waits import wait_for


# Names and places -----------------------------------------------------------

OLD_TRUST = 'http://schemas.xmlsoap.org/ws/2005/02/trust'
ISSUE = '<RequestSecurityToken .*</RequestSecurityToken>'


def moved_to_header(s):
    """The request stands in the header, the body refers to nothing."""
    r = re.search(ISSUE, s, re.S).group(0)
    return s.replace(r, '').replace('</s:Header>', r + '</s:Header>')


def wrapped(s):
    """A second request in a header nobody needs to understand."""
    r = re.search(ISSUE, s, re.S).group(0)
    return s.replace('</s:Header>', '<w:W xmlns:w="urn:w">%s</w:W></s:Header>'
                     % r).replace('<s:Body', '<s:Body u:Id="a" xmlns:u="%s"' %
                                  client.U)


def swap(old, new):
    return lambda s: s.replace(old, new)


CONFUSED = {
    'old-trust': swap(T, OLD_TRUST),
    'trust-slash': swap('xmlns="%s"' % T, 'xmlns="%s/"' % T),
    'trust-upper': swap('xmlns="%s"' % T, 'xmlns="%s"' % T.upper()),
    'no-namespace': swap('<RequestSecurityToken PreferredLanguage="en-US" '
                         'xmlns="%s">' % T, '<RequestSecurityToken xmlns="">'),
    'soap-slash': swap(S, S + '/'),
    'security-of-1.1': swap(O, O.replace('secext-1.0', 'secext-1.1')),
    'prefix-rebound': swap('<s:Body', '<s:Body xmlns:s="urn:x"'),
    'xmlns-xml': swap('<s:Body', '<s:Body xmlns:xml="urn:x"'),
    'xmlns-xmlns': swap('<s:Body', '<s:Body xmlns:xmlns="urn:x"'),
    'prefix-undeclared': swap('<s:Body', '<s:Body xmlns:q=""'),
    'prefix-unknown': swap('<RequestType>', '<q:X/><RequestType>'),
    'action-elsewhere': lambda s: re.sub(
        r'(<a:Action.*?</a:Action>)(.*)</s:Header>',
        r'\2<w:W xmlns:w="urn:w">\1</w:W></s:Header>', s, flags=re.S),
    'request-in-header': moved_to_header,
    'request-wrapped-too': lambda s: moved_to_header(wrapped(s)),
    'two-ids': swap('</RequestSecurityToken>', '<RequestID xmlns="%s">1'
                    '</RequestID><RequestID xmlns="%s">2</RequestID>'
                    '</RequestSecurityToken>' % (E, E)),
    'two-contexts': lambda s: s.replace('</RequestSecurityToken>', (
        '<AdditionalContext xmlns="%s"><ContextItem Name="ccm"><Value>a</Value>'
        '</ContextItem></AdditionalContext>' % client.AUTH) * 2 +
        '</RequestSecurityToken>'),
    'type-case': swap('/Issue<', '/issue<'),
    'encrypted': swap('</s:Body>', '<x:EncryptedData xmlns:x="http://www.w3'
                      '.org/2001/04/xmlenc#"/></s:Body>'),
    'value-attributes': swap('EncodingType="%s#base64binary"' % O, ''),
}


@pytest.mark.parametrize('case', CONFUSED)
def test_confusion(stack, demo, case):
    url, text = message(stack, demo, 'ces')
    bad = CONFUSED[case](text)
    assert bad != text
    refused(demo.post(url, bad.encode()))


FINE = {
    'other-prefixes': lambda s: re.sub(r'([</ ]|xmlns:)s(?=[:=])', r'\1env',
                                       s),
    'predefined-entities': swap('ccm', 'a&lt;&amp;&#x41;&quot;'),
    'stylesheet-before': lambda s: '<?xml-stylesheet href="file:///x"?>' + s,
    'comment': swap('<RequestType>', '<!-- x --><RequestType>'),
    'schema-location': swap('<s:Body', '<s:Body x:schemaLocation="urn:a '
                            'http://127.0.0.1:1/x" xmlns:x="%s"' % client.XSI),
    'xinclude': swap('<RequestType>', '<xi:include xmlns:xi="http://www.w3.'
                     'org/2001/XInclude" href="file:///etc/passwd"/>'
                     '<RequestType>'),
    'soap-array': swap('<RequestType>', '<x xmlns:c="http://schemas.xmlsoap.'
                       'org/soap/encoding/" c:arrayType="xsd:string[1000000]"'
                       '/><RequestType>'),
    'optional-header': swap('</s:Header>', '<w:W xmlns:w="urn:w"/>'
                            '</s:Header>'),
}


@pytest.mark.parametrize('case', FINE)
def test_harmless(stack, demo, case):
    """What XML and SOAP allow, and nothing of it has an effect."""
    url = stack.env['CS_CES_URL']
    text = client.envelope(client.RST, url, client.rst(csr_for(stack), context=[
        ('ccm', 'ccm')]), demo.header()).decode()
    good = FINE[case](text)
    assert good != text
    r = demo.post(url, good.encode())
    check_rstrc(r)


def test_character_references_are_bounded(stack, demo):
    url, text = message(stack, demo)
    refused(demo.post(url, text.replace('urn:uuid:', '&#x41;' * 20000
                                        ).encode()))


# Call-backs -------------------------------------------------------------------

@pytest.fixture
def listener():
    """A port of ours; every connection to it is counted."""
    s = socket.create_server(('127.0.0.1', 0))
    s.settimeout(0.1)
    came, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            try:
                came.append(s.accept()[1])
            except TimeoutError:
                pass
    t = threading.Thread(target=run)
    t.start()
    yield 'http://127.0.0.1:%d/' % s.getsockname()[1], came
    stop.set()
    t.join()
    s.close()


def test_nothing_is_fetched_or_called(stack, demo, listener):
    url, came = listener
    from cryptography import x509
    aia = x509.AuthorityInformationAccess([x509.AccessDescription(
        x509.oid.AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier(url))])
    to, text = message(stack, demo, 'ces')
    reply = '<a:ReplyTo><a:Address>%s</a:Address></a:ReplyTo>' % url
    check_rstrc(demo.post(to, text.replace('<a:To', reply + reply.replace(
        'ReplyTo', 'FaultTo') + '<a:To').encode()))
    for head in ('<!DOCTYPE x SYSTEM "%s">', '<!DOCTYPE x PUBLIC "-" "%s">',
                 '<!DOCTYPE x [<!ENTITY %% e SYSTEM "%s">%%e;]>'):
        refused(demo.post(to, (head % url + text).encode()))
    check_rstrc(demo.enroll(csr_for(stack, extensions=[aia])))
    for name in ('cdc', 'rmd', 'certfile'):
        demo.enroll(csr_for(stack), context=[
            (name, urllib.parse.urlsplit(url).netloc)])
    assert came == []


# Who ----------------------------------------------------------------------------

NAMES = ['demo\u0000', 'demo\u00a0', 'demo.', 'DEMO\\demo', 'demo@demo.example',
         '\uff44\uff45\uff4d\uff4f', 'd\u202eemo', 'demo\u200b', "demo' OR '1'='1",
         '*', 'demo)(cn=*', 'demo\r\nlogin ok user=root', 'demo\u001b[2J', '',
         'demo\u0301', '../demo', '%64emo', 'demo;--', 'x' * 5000]


@pytest.mark.parametrize('name', NAMES, ids=range(len(NAMES)))
def test_names_are_compared_as_bytes(stack, name):
    """No other spelling is the demo user, and the log stays one line each."""
    c = client.Client(stack.env, name, stack.env['CS_PASSWORD'])
    url = stack.env['CS_CES_URL']
    body = client.envelope(client.RST, url, client.rst(csr_for(stack)),
                           c.header())
    refused(c.post(url, body.replace(b'\r', b'&#13;')))
    log = stack.log('worker')
    assert '\x1b' not in log and '\0' not in log
    assert not re.search('^login ok', log, re.M)


def test_white_space_around_a_name(stack, demo):
    """It is the element's, not the name's: rows have the account."""
    r = client.Client(stack.env, '\n demo\t', demo.password).enroll(
        csr_for(stack))
    check_rstrc(r)
    assert stack.sql('SELECT account FROM countersign.request WHERE number '
                     '= %s', int(r.request_id)) == [('demo',)]


@pytest.mark.parametrize('byte', range(1, 256, 6))
def test_client_text_is_escaped(stack, demo, byte):
    """A name of every byte value (as a character) in a refusal's text."""
    bad = ''.join(map(chr, range(byte, min(byte + 6, 256))))
    text = 'x%sy' % ''.join(c if c.isprintable() else ' ' for c in bad)
    r = refused(demo.enroll(csr_for(stack, template=None), context=[
        ('CertificateTemplate', text)]))
    assert 'x' in r.reason
    # Nothing that can be markup or a control byte comes back unescaped.
    assert not re.search('[\x00-\x08\x0b\x0c\x0e-\x1f]', r.text)
    assert etree.tostring(r.tree)


# base64 -------------------------------------------------------------------------

def spelled(csr, how):
    b = base64.b64encode(csr).decode()
    return how(b)


PEM = ('-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE '
       'REQUEST-----%s\n')
GOOD64 = {
    'unbroken': lambda b: b, 'crlf': lambda b: '\r\n'.join(
        b[i:i + 76] for i in range(0, len(b), 76)),
    'windows': lambda b: '&#xD;\n'.join(b[i:i + 76] for i in
                                       range(0, len(b), 76)),
    'indented': lambda b: '\n\t ' + b + '\n  ',
    'pem': lambda b: PEM % (b, ''), 'pem-windows': lambda b: PEM.replace(
        '\n', '&#xD;\n').replace('CERT', 'NEW CERT') % (b, ''),
}
BAD64 = {
    'no-padding': lambda b: b.rstrip('=') if b.endswith('=') else b[:-1],
    'pad-first': lambda b: '=' + b, 'star': lambda b: b[:8] + '*' + b[8:],
    'two-payloads': lambda b: b + '====' + b, 'empty': lambda b: '',
    'blank': lambda b: ' \n ', 'percent': lambda b: b.replace('A', '%41', 1),
    'nbsp': lambda b: b[:8] + '\u00a0' + b[8:], 'cut': lambda b: b[:-2],
    'pem-label': lambda b: PEM.replace(' REQUEST', '') % (b, ''),
    'pem-beside': lambda b: PEM % (b, b), 'pem-twice': lambda b: PEM % (
        b, PEM % (b, '')), 'pem-end': lambda b: b + '\n-----END PKCS7-----',
    'pem-in-base64': lambda b: base64.b64encode((PEM % (
        b, '')).encode()).decode(),
}


def send64(stack, demo, how):
    url, text = message(stack, demo, 'ces')
    new = re.sub('(<BinarySecurityToken [^>]*>).*(</BinarySecurityToken>)',
                 lambda m: m.group(1) + spelled(csr_for(stack), how) +
                 m.group(2), text, flags=re.S)
    return demo.post(url, new.encode())


@pytest.mark.parametrize('case', GOOD64)
def test_good_base64(stack, demo, case):
    check_rstrc(send64(stack, demo, GOOD64[case]))


@pytest.mark.parametrize('case', BAD64)
def test_bad_base64(stack, demo, case):
    refused(send64(stack, demo, BAD64[case]))


def test_pad_bits_must_be_zero(stack, demo):
    """Two spellings of the same octets are one too many."""
    digits = ('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
              '0123456789+/')
    csr = next(c for c in (csr_for(stack, client.rsa_key(), 'p' * n +
                                   '.demo.example') for n in (1, 2, 3))
               if len(c) % 3 == 1)
    b = base64.b64encode(csr).decode()
    assert b.endswith('==')
    bad = b[:-3] + digits[digits.index(b[-3]) | 1] + '=='
    assert base64.b64decode(bad) == csr
    refused(send64(stack, demo, lambda _: bad))


# HTTP -----------------------------------------------------------------------------


def post(stack, demo, *headers, path=None, length=None):
    u, text = message(stack, demo)
    u = urllib.parse.urlsplit(u)
    head = ['POST %s HTTP/1.1' % (path or u.path), 'Host: %s' % u.netloc,
            'Connection: close']
    if length != 'none':
        head.append('Content-Length: %s' % (length or len(text)))
    if not any(h.lower().startswith('content-type') for h in headers):
        head.append('Content-Type: application/soap+xml; charset=utf-8')
    head += headers
    out = raw_http(stack, ('\r\n'.join(head) + '\r\n\r\n' + text).encode(
        'latin-1'))
    return int(out.split()[1])


SOAP_TYPE = 'Content-Type: application/soap+xml'


@pytest.mark.parametrize('headers,want', [
    ((SOAP_TYPE,), 200), ((SOAP_TYPE, SOAP_TYPE), 400),
    ((SOAP_TYPE, 'Content-Type: text/xml'), 400),
    ((SOAP_TYPE + ';charset=utf-8;charset=utf-8',), 415),
    ((SOAP_TYPE + ';charset=utf-16',), 415), ((SOAP_TYPE + 'x',), 415),
    ((SOAP_TYPE + '; action="a"; action="b"',), 415),
    ((SOAP_TYPE + '\x01',), 400), (('Content-Encoding: deflate',), 415),
    ((SOAP_TYPE + '; action="urn:x"',), 500),
    # As Perl's SOAP::Lite asks.
    (('Accept: text/xml', 'Accept: multipart/*', 'Accept: application/soap'),
     200),
    (('Content-Length: 5',), 400), (('Transfer-Encoding: chunked',), 400),
    (('SSL-Client-Verify: SUCCESS', 'SSL_CLIENT_VERIFY: SUCCESS',
      'Remote-User: root', 'X-Forwarded-User: root', 'CS-AUTH: anonymous',
      'CS_AUTH: anonymous', 'Authorization: Basic cm9vdDpyb290'), 200),
], ids=range(14))
def test_raw_headers(stack, demo, headers, want):
    assert post(stack, demo, *headers) == want


@pytest.mark.parametrize('length', ['+5', '0x10', '-1', '99999999999', '1 1'])
def test_odd_content_length(stack, demo, length):
    assert post(stack, demo, length=length) in (400, 413)


def test_headers_are_no_identity(stack):
    """What nginx would say about TLS, said by the client: nobody."""
    c = client.Client(stack.env, 'nobody-at-all', 'x')
    url = stack.env['CS_CEP_URL']
    for name in ('SSL-Client-Verify', 'SSL_CLIENT_VERIFY', 'Remote-User',
                 'CS-Auth', 'CS_AUTH', 'Auth-Type', 'X-SSL-Client-Verify'):
        for value in ('SUCCESS', 'anonymous', stack.env['CS_USER']):
            refused(c.post(url, client.envelope(
                client.GETPOLICIES, url, client.get_policies(), c.header()),
                **{name: value}))


@pytest.mark.parametrize('path', [
    '/x/..%2fadmin', '/%2e%2e/admin', '%00', '/', '%0a', ';/', '/x', '%20',
    '/../CEP/x', '%3fa', '\\'])
def test_paths_are_exact(stack, demo, path):
    base = urllib.parse.urlsplit(stack.env['CS_CEP_URL']).path
    assert post(stack, demo, path=base + path) in (400, 404, 405)


def test_probe_tells_nothing(stack, demo):
    """GET is a probe; no version of anything is in the headers."""
    r = demo.http.get(stack.env['CS_CES_URL'], timeout=300)
    assert r.status_code == 200 and r.content == b''
    assert not re.search(r'\d', r.headers.get('Server', ''))


# FastCGI ----------------------------------------------------------------------------


def test_fastcgi_speaks(stack):
    assert b'Fault' in fastcgi(stack, framed(stack))


BROKEN = {
    'garbage': lambda s: os.urandom(4096), 'nothing': lambda s: b'',
    'version': lambda s: record(1, b'\0\1\0' + b'\0' * 5, version=9),
    'role': lambda s: record(1, struct.pack('>HB5x', 9, 0)),
    'request-0': lambda s: record(1, struct.pack('>HB5x', 1, 0), request=0),
    'short-begin': lambda s: record(1, b'\0'),
    'abort': lambda s: BEGIN + record(2), 'type': lambda s: record(99, b'x'),
    'stdin-first': lambda s: BEGIN + record(5, b'x') + record(5),
    'interleaved': lambda s: BEGIN + record(4, params(s), request=2),
    'name-too-long': lambda s: BEGIN + record(4, struct.pack(
        '>II', 0xffffffff, 0xffffffff) + b'x') + record(4) + record(5),
    'cut-name': lambda s: BEGIN + record(4, b'\x80\0') + record(4) + record(5),
    'cut-in-params': lambda s: framed(s)[:60],
    'short-body': lambda s: framed(s, b'<'),
    'long-body': lambda s: framed(s, b'<x/><x/>'),
    'no-auth': lambda s: framed(s, CS_AUTH=''),
    'odd-auth': lambda s: framed(s, CS_AUTH='root'),
    'length': lambda s: framed(s, CONTENT_LENGTH='+4'),
    'huge-length': lambda s: framed(s, CONTENT_LENGTH='99999999999999999999'),
    'twice': lambda s: BEGIN + record(4, params(s) + param(
        'CS_AUTH', 'anonymous')) + record(4) + record(5, b'<x/>') + record(5),
    'many-params': lambda s: BEGIN + record(4, b''.join(
        param('HTTP_X%d' % i, 'y') for i in range(3000))) + record(4) +
    record(5),
    'padding': lambda s: BEGIN + record(4, b'', padding=255) + record(5),
    'get-values': lambda s: record(9, param('FCGI_MAX_CONNS', ''), request=0),
}


@pytest.mark.parametrize('case', BROKEN)
def test_broken_fastcgi(stack, demo, case):
    """Refused or cut off; the next request is served."""
    out = fastcgi(stack, BROKEN[case](stack))
    assert b'Status: 200' not in out
    check_policies(demo.policies())


def test_params_split_at_each_byte(stack):
    p = params(stack)
    data = BEGIN + b''.join(record(4, p[i:i + 1]) for i in range(len(p))) + \
        record(4) + record(5, b'<x/>') + record(5)
    assert b'Fault' in fastcgi(stack, data)


@contextlib.contextmanager
def another_user(uid):
    """For the other end of a socket; folders let us in as before."""
    os.seteuid(uid)
    ctypes.CDLL(None).setfsuid(0)
    try:
        yield
    finally:
        os.seteuid(0)


def test_fastcgi_of_another_user(stack):
    """Who is not nginx cannot say what authentication took place."""
    if os.getuid() != 0:
        pytest.skip('needs root to become somebody else')
    other = 65534 if os.stat(worker_socket(stack)).st_uid != 65534 else 65533
    with socket.socket(socket.AF_UNIX) as s:
        with another_user(other):
            s.connect(worker_socket(stack))
        s.settimeout(300)
        with contextlib.suppress(ConnectionError):
            s.sendall(framed(stack))
            assert s.recv(10) == b''
    wait_for(lambda: 'uid %d is not a configured peer' % other in
             stack.log('worker'))


def test_shipped_limits(stack):
    """What only nginx can limit is limited there, and no request is tried
    on a second worker."""
    text = (stack.dir / 'etc' / 'site.conf').read_text()
    for line in ('client_max_body_size 256k', 'client_header_timeout 10s',
                 'client_body_timeout 10s', 'limit_conn ', 'limit_req ',
                 'http2_max_concurrent_streams 32', 'server_tokens off',
                 'fastcgi_next_upstream off', 'ssl_protocols TLSv1.2 TLSv1.3',
                 'fastcgi_request_buffering on', 'ssl_session_tickets off',
                 'fastcgi_intercept_errors off'):
        assert re.search(r'^\s*' + re.escape(line), text, re.M), line
    assert 'underscores_in_headers' not in text
