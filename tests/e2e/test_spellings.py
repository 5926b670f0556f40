"""The same message as other libraries would write it: whatever XML, XML
Schema, SOAP and WS-Addressing leave open is drawn by lot, from numbers that
make each draw again."""
import random
import re
import uuid

import pytest
from lxml import etree

import client
from client import A, S, U, X509V3, XSI
from refusals import csr_for
from schema import check_policies

NIL = '{%s}nil' % XSI
MUST = '{%s}mustUnderstand' % S
ANY_ORDER = ('Header', 'RequestSecurityToken', 'AdditionalContext')
TOKENS = ('Action', 'MessageID', 'To', 'TokenType', 'RequestType', 'RequestID',
          'BinarySecurityToken', 'Created', 'Expires', 'oid', 'Username')
PREFIXES = ['s', 'SOAP-ENV', '_', 'q.', 'ns', 'xm', 'wsse-', 'ω']
XMLDECL = ['', '<?xml version="1.0"?>', '<?xml version=\'1.0\' encoding='
           '"utf-8"?>\r\n', '<?xml version="1.0" encoding="UTF-8" standalone='
           "'no' ?>\n<!-- x -->", '\ufeff']


class Writer:
    def __init__(self, seed):
        self.lot = random.Random(seed)
        self.count = 0
        self.often = {k: self.lot.choice([0, 0, .05, .3]) for k in (
            'reference', 'cdata', 'comment', 'space', 'declare')}

    def now(self, what):
        return self.lot.random() < self.often[what]

    def prefix(self):
        self.count += 1
        return '%s%d' % (self.lot.choice(PREFIXES), self.count)

    def between(self):
        out = ''
        if self.now('space'):
            out += self.lot.choice([' ', '\n\t', '\r\n', '   '])
        if self.now('comment'):
            out += '<!--%s-->' % self.lot.choice(['', ' <a>&b; ', 'é'])
        return out

    def reference(self, c):
        return self.lot.choice(['&#%d;', '&#x%x;', '&#x00%X;']) % ord(c)

    def chars(self, text, quote=''):
        def char(c):
            if c in '<&>\r' or c in quote or quote and c in '\t\n' or \
                    self.now('reference'):
                return self.reference(c)
            return c
        return ''.join(map(char, text))

    def text(self, name, text):
        if name == 'BinarySecurityToken':
            text = re.sub(r'\s', '', text)
            n = self.lot.choice([4, 19, 64, 76, 100000])
            text = self.lot.choice(['\n', '\r\n', ' ', '\t']).join(
                text[i:i + n] for i in range(0, len(text), n))
        cut = self.lot.randrange(len(text) + 1)
        out = self.chars(text[:cut])
        if self.now('cdata'):
            out += '<![CDATA[%s]]>' % text[cut:].replace('\r', '')
        else:
            out += self.chars(text[cut:])
        if name in TOKENS and self.now('space'):
            out = '\n ' + out + self.lot.choice(['', '\t', '\r\n'])
        return out

    def name(self, tag, scope, new, attribute=False):
        """A prefix for it, one that is there or a new one."""
        tag = etree.QName(tag)
        fit = [p for p, uri in scope.items() if uri == tag.namespace and
               (p or not attribute)]
        if not tag.namespace:
            return tag.localname
        if fit and not self.now('declare'):
            p = self.lot.choice(fit)
        else:
            p = self.prefix()
            if not attribute and '' not in new and self.lot.random() < .4:
                p = ''
            scope[p] = new[p] = tag.namespace
        return (p + ':' if p else '') + tag.localname

    def element(self, el, scope):
        scope, new = dict(scope), {}
        tag = self.name(el.tag, scope, new)
        attrs = [(self.name(k, scope, new, True), v)
                 for k, v in el.attrib.items()]
        attrs += [('xmlns:' + p if p else 'xmlns', uri)
                  for p, uri in new.items()]
        self.lot.shuffle(attrs)
        out = '<' + tag
        for k, v in attrs:
            q = self.lot.choice('"\'')
            out += self.lot.choice([' ', ' ', '\n', '\t ']) + k + \
                self.lot.choice(['=', '=', ' = ']) + q + self.chars(v, q) + q
        kids = list(el)
        if etree.QName(el).localname in ANY_ORDER and self.lot.random() < .5:
            self.lot.shuffle(kids)
        if not kids and not el.text and self.lot.random() < .5:
            return out + self.lot.choice(['/>', ' />'])
        inner = ''.join(self.between() + self.element(k, scope)
                        for k in kids) + self.between() if kids else \
            self.text(etree.QName(el).localname, el.text or '')
        return '%s>%s</%s>' % (out, inner, tag + self.lot.choice(['', ' ']))

    def other(self, root):
        """What the standards have more than one way to say."""
        for el in root.iter():
            if NIL in el.attrib:
                el.set(NIL, self.lot.choice(['true', '1', ' true ']))
            if MUST in el.attrib:
                el.set(MUST, self.lot.choice(['1', 'true', '0', ' false']))
            if el.tag == '{%s}Created' % U or el.tag == '{%s}Expires' % U:
                el.text = el.text.replace('.000Z', self.lot.choice(
                    ['Z', '.0Z', '.1234567Z', '+00:00']))
        header = root.find('s:Header', client.NS)
        if self.lot.random() < .3:
            header.remove(header.find('a:To', client.NS))
        if self.lot.random() < .5:
            reply_to = etree.SubElement(header, '{%s}ReplyTo' % A)
            etree.SubElement(reply_to, '{%s}Address' % A).text = \
                A + '/anonymous'
        if self.lot.random() < .3:
            etree.SubElement(header, '{urn:x}More').text = 'x'

    def message(self, data):
        root = etree.fromstring(data)
        self.other(root)
        return (self.lot.choice(XMLDECL) + self.element(root, {})).encode()


@pytest.fixture(scope='module')
def number(stack, demo):
    return demo.enroll(csr_for(stack)).request_id


def bodies(stack, number):
    cep, ces = stack.env['CS_CEP_URL'], stack.env['CS_CES_URL']
    yield client.GETPOLICIES, cep, client.get_policies()
    yield client.GETPOLICIES, cep, client.get_policies(
        '2001-01-01T00:00:00Z', client=4, server=3)
    yield client.RST, ces, client.rst(csr_for(stack), context=[
        ('ccm', 'a & b'), ('rmd', '<c>')])
    yield client.RST, ces, client.rst(
        None, request_type=client.E + '/QueryTokenStatus',
        extra='<RequestID xmlns="%s">%s</RequestID>' % (client.E, number))


def test_declared_at_each_element(stack, demo):
    """As a writer does that knows only the element at hand: as many as may
    stand there."""
    again = lambda name, ns, body: re.sub(
        '<(%s)(?=[ >])' % name, r'<\1 xmlns="%s"' % ns, body.replace(
            ' xmlns="%s"' % ns, ''))
    url = stack.env['CS_CES_URL']
    body = again('AdditionalContext|ContextItem|Value', client.AUTH,
                 client.rst(csr_for(stack), context=[
                     ('name%d' % i, 'x') for i in range(32)]))
    r = demo.post(url, client.envelope(client.RST, url, body, demo.header()))
    assert r.fault is None and r.leaf is not None, r.reason
    url = stack.env['CS_CEP_URL']
    body = again('[a-zA-Z]+', client.P, client.get_policies(oids=[
        '1.2.3.%d' % i for i in range(256)]))
    assert body.count('xmlns="') > 256
    check_policies(demo.post(url, client.envelope(
        client.GETPOLICIES, url, body, demo.header())))


@pytest.mark.parametrize('seed', range(20))
def test_spelling(stack, demo, number, seed):
    for i, (action, url, body) in enumerate(bodies(stack, number)):
        w = Writer(seed * 10 + i)
        mid = w.lot.choice(['urn:uuid:%s', 'uuid:%s', 'http://x/%s?a=b&c#é',
                            'mailto:%s@x']) % uuid.UUID(
                                int=w.lot.getrandbits(128))
        data = w.message(client.envelope(action, url, body, demo.header(),
                                         client.esc(mid)))
        etree.fromstring(data)
        r = demo.post(url, data)
        assert r.fault is None, (r.reason, data.decode())
        assert r.findtext('s:Header/a:RelatesTo') == mid
        if action == client.GETPOLICIES:
            check_policies(r)
        else:
            assert r.leaf is not None and X509V3 in r.text
