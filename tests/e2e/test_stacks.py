"""Messages as other SOAP libraries write them, each of which has been seen to
get its answer: prefixes, namespaces, headers and white space are theirs."""
import base64
import datetime
import http.client
import ssl
import types
import urllib.parse
import uuid

import pytest

import client
from client import A, AUTH, E, O, P, S, T, U, X509V3, XSI
from refusals import csr_for
from schema import check_policies, check_rstrc

ANONYMOUS = A + '/anonymous'
SAML = 'urn:oasis:names:tc:SAML:%s:assertion'


class Call:
    """What is said, however it is written."""

    def __init__(self, stack, csr=None):
        self.csr, self.env = csr, stack.env
        self.to = stack.env['CS_CES_URL' if csr else 'CS_CEP_URL']
        self.action = client.RST if csr else client.GETPOLICIES
        self.id = 'urn:uuid:%s' % uuid.uuid4()
        now = client.Client.clock().replace(microsecond=0)
        self.now = now.isoformat()
        self.later = (now + datetime.timedelta(minutes=10)).isoformat()

    def body(self, p, nil='<{0} xsi:nil="true"/>', b64=None, attr=''):
        """p is the prefix of the message's own elements, with its colon; a
        place is left for what their first one declares."""
        if self.csr is None:
            empty = [nil.format(p + n) for n in (
                'lastUpdate', 'preferredLanguage', 'requestFilter')]
            return '<%sGetPolicies{}><%sclient>%s%s</%sclient>%s</%s' \
                'GetPolicies>' % (p, p, empty[0], empty[1], p, empty[2], p)
        text = b64 or base64.b64encode(self.csr).decode()
        return (
            '<{0}RequestSecurityToken{{}}><{0}TokenType{7}>{1}</{0}TokenType>'
            '<{0}RequestType{7}>{2}/Issue</{0}RequestType>'
            '<o:BinarySecurityToken xmlns:o="{3}" ValueType="{4}#PKCS10" '
            'EncodingType="{3}#base64binary">{5}</o:BinarySecurityToken>'
            '<x:AdditionalContext xmlns:x="{6}"><x:ContextItem Name='
            '"CertificateTemplate"><x:Value>{8}</x:Value></x:ContextItem>'
            '</x:AdditionalContext></{0}RequestSecurityToken>').format(
                p, X509V3, T, O, E, text, AUTH, attr,
                self.env['CS_TEMPLATE'])

    @property
    def ns(self):
        return T if self.csr else P

    def token(self, type_=True):
        return '<o:Username>%s</o:Username><o:Password%s>%s</o:Password>' % (
            self.env['CS_USER'], ' Type="%s"' % client.PASSWORD_TEXT if type_
            else '', self.env['CS_PASSWORD'])


def gsoap(c):
    """All namespaces that it knows at the top, tabs, WS-Security first."""
    names = {'SOAP-ENV': S, 'xsi': XSI, 'o': O, 'u': U, 'wsa5': A, 'q': c.ns,
             'ds': 'http://www.w3.org/2000/09/xmldsig#',
             'xenc': 'http://www.w3.org/2001/04/xmlenc#',
             'c14n': 'http://www.w3.org/2001/10/xml-exc-c14n#',
             'saml1': SAML % '1.0', 'saml2': SAML % '2.0'}
    must = ' SOAP-ENV:mustUnderstand="true"'
    return '<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope%s>' \
        '\n\t<SOAP-ENV:Header>\n\t\t<o:Security%s>\n\t\t\t<u:Timestamp ' \
        'u:Id="Time">\n\t\t\t\t<u:Created>%sZ</u:Created>\n\t\t\t\t' \
        '<u:Expires>%sZ</u:Expires>\n\t\t\t</u:Timestamp>\n\t\t\t' \
        '<o:UsernameToken u:Id="User">%s</o:UsernameToken>\n\t\t' \
        '</o:Security>\n\t\t<wsa5:MessageID>%s</wsa5:MessageID><wsa5:ReplyTo' \
        '%s>\n\t\t\t<wsa5:Address>%s</wsa5:Address>\n\t\t</wsa5:ReplyTo>' \
        '<wsa5:To%s>%s</wsa5:To><wsa5:Action%s>%s</wsa5:Action>\n\t' \
        '</SOAP-ENV:Header>\n\t<SOAP-ENV:Body>\n%s\n\t</SOAP-ENV:Body>\n' \
        '</SOAP-ENV:Envelope>\n' % (
            ''.join(' xmlns:%s="%s"' % n for n in names.items()), must, c.now,
            c.later, c.token(), c.id, must, ANONYMOUS, must, c.to, must,
            c.action, c.body('q:').format('')), [
                ('Content-Type', 'application/soap+xml; charset=utf-8; '
                 'action="%s"' % c.action), ('SOAPAction', '"%s"' % c.action)]


def jax_ws(c):
    """WS-Addressing is the Header's default namespace; nanoseconds."""
    return '<?xml version=\'1.0\' encoding=\'UTF-8\'?><S:Envelope xmlns:S="' \
        '%s" xmlns:env="%s"><S:Header xmlns="%s"><To>%s</To><Action ' \
        'S:mustUnderstand="true">%s</Action><ReplyTo>\n    <Address>%s' \
        '</Address>\n</ReplyTo><FaultTo>\n    <Address>%s</Address>\n' \
        '</FaultTo><MessageID>uuid:%s</MessageID><o:Security xmlns:o="%s" ' \
        'env:mustUnderstand="true"><u:Timestamp xmlns:u="%s"><u:Created>' \
        '%s.572599975Z</u:Created><u:Expires>%s.668Z</u:Expires>' \
        '</u:Timestamp><o:UsernameToken>%s</o:UsernameToken></o:Security>' \
        '</S:Header><S:Body xmlns:q="%s" xmlns:xsi="%s">%s</S:Body>' \
        '</S:Envelope>' % (
            S, S, A, c.to, c.action, ANONYMOUS, ANONYMOUS, c.id[9:], O, U,
            c.now, c.later, c.token(False), c.ns, XSI,
            c.body('q:').format(' xmlns:q="%s"' % c.ns)), [
                ('Content-Type', 'application/soap+xml; charset=utf-8;'
                 'action="%s"' % c.action),
                ('Accept', 'application/soap+xml, multipart/related')]


def php(c):
    """An array for ReplyTo becomes a map, which nobody reads."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope xmlns:env=' \
        '"%s" xmlns:xsi="%s" xmlns:ns1="%s" xmlns:ns2="%s"><env:Header>' \
        '<ns2:Action env:mustUnderstand="true">%s</ns2:Action><ns2:To ' \
        'env:mustUnderstand="true">%s</ns2:To><ns2:ReplyTo><item><key>' \
        'Address</key><value>%s</value></item></ns2:ReplyTo><o:Security ' \
        'xmlns:o=\'%s\' env:mustUnderstand=\'true\' xmlns:env=\'%s\'>' \
        '<o:UsernameToken>%s</o:UsernameToken></o:Security></env:Header>' \
        '<env:Body>%s</env:Body></env:Envelope>\n' % (
            S, XSI, c.ns, A, c.action, c.to, ANONYMOUS, O, S, c.token(False),
            c.body('ns1:').format('')), [
                ('Content-Type', 'application/soap+xml; charset=utf-8; '
                 'action="%s"' % c.action)]


def node(c):
    """Each namespace again where it is used; line breaks as references."""
    lines = c.csr and base64.encodebytes(c.csr).decode().replace(
        '\n', '&#xA;')
    return '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap=' \
        '"%s" xmlns:xsi="%s"  xmlns:q="%s"><soap:Header><wsa:Action ' \
        'xmlns:wsa="%s">%s</wsa:Action><wsa:To xmlns:wsa="%s">%s</wsa:To>' \
        '<o:Security xmlns:o="%s" xmlns:u="%s"><u:Timestamp u:Id=' \
        '"Timestamp-%sZ"><u:Created>%sZ</u:Created><u:Expires>%sZ' \
        '</u:Expires></u:Timestamp>' \
        '<o:UsernameToken xmlns:u="%s" u:Id="SecurityToken-%sZ">%s<o:Nonce ' \
        'EncodingType="x">AAAA</o:Nonce><u:Created>%sZ</u:Created>' \
        '</o:UsernameToken></o:Security></soap:Header><soap:Body>%s' \
        '</soap:Body></soap:Envelope>' % (
            S, XSI, c.ns, A, c.action, A, c.to, O, U, c.now, c.now, c.later, U,
            c.now, c.token(), c.now, c.body(
                'q:', '<{0} xsi:nil="true"></{0}>', lines).format(
                    ' xmlns:q="%s" xmlns="%s"' % (c.ns, c.ns))), [
                ('Content-Type', 'application/soap+xml; charset=utf-8; '
                 'action="%s"' % c.action), ('Accept-Encoding', 'none'),
                ('Accept-Charset', 'utf-8')]


def zeep(c):
    """mustUnderstand nowhere; xsi at each nil."""
    return '<soap-env:Envelope xmlns:soap-env="%s"><soap-env:Header ' \
        'xmlns:wsa="%s"><wsa:Action>%s</wsa:Action><wsa:MessageID>%s' \
        '</wsa:MessageID><wsa:To>%s</wsa:To><o:Security xmlns:o="%s">' \
        '<o:UsernameToken>%s</o:UsernameToken></o:Security>' \
        '</soap-env:Header><soap-env:Body>%s</soap-env:Body>' \
        '</soap-env:Envelope>' % (
            S, A, c.action, c.id, c.to, O, c.token(), c.body(
                'ns0:', '<{0} xmlns:xsi="%s" xsi:nil="true"/>' % XSI).format(
                    ' xmlns:ns0="%s"' % c.ns)), [
                ('SOAPAction', '"%s"' % c.action), ('Content-Type',
                 'application/soap+xml; charset=utf-8; action="%s"' %
                 c.action)]


def soap_lite(c):
    """An encodingStyle where SOAP 1.2 has none, types, and three Accept."""
    return '<?xml version="1.0" encoding="UTF-8"?><soap:Envelope soap:' \
        'encodingStyle="http://www.w3.org/2003/05/soap-encoding" xmlns:soap=' \
        '"%s" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="%s">' \
        '<soap:Header><wsa:Action soap:mustUnderstand="1" xmlns:wsa="%s">%s' \
        '</wsa:Action><wsa:To xmlns:wsa="%s">%s</wsa:To><o:Security soap:' \
        'mustUnderstand="1" xmlns:o="%s"><o:UsernameToken>%s' \
        '</o:UsernameToken></o:Security></soap:Header><soap:Body>%s' \
        '</soap:Body></soap:Envelope>' % (
            S, XSI, A, c.action, A, c.to, O, c.token(), c.body(
                '', '<{0} xsi:nil="true" />',
                attr=' xsi:type="xsd:anyURI"').format(
                    ' xmlns="%s"' % c.ns)), [
                ('Accept', 'text/xml'), ('Accept', 'multipart/*'),
                ('Accept', 'application/soap'),
                ('Content-Type', 'application/soap+xml; charset=utf-8'),
                ('SOAPAction', '"%s"' % c.action)]


def post(c, text, headers):
    where = urllib.parse.urlsplit(c.to)
    tls = ssl.create_default_context(cafile=c.env['CS_ROOT_PEM'])
    conn = http.client.HTTPSConnection(where.hostname, where.port, timeout=300,
                                       context=tls)
    conn.putrequest('POST', where.path, skip_accept_encoding=True)
    for name, value in headers:
        conn.putheader(name, value)
    conn.putheader('Content-Length', str(len(text)))
    conn.endheaders(text)
    r = conn.getresponse()
    content = r.read()
    conn.close()
    return client.Reply(types.SimpleNamespace(
        status_code=r.status, content=content, text=content.decode()))


@pytest.mark.parametrize('write', [gsoap, jax_ws, php, node, zeep, soap_lite])
def test_stack(stack, write):
    text, headers = write(c := Call(stack))
    check_policies(post(c, text.encode(), headers))
    text, headers = write(c := Call(stack, csr_for(stack)))
    r = post(c, text.encode(), headers)
    check_rstrc(r)
    assert r.leaf is not None
