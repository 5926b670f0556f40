"""Checks that every answer has the shape that Windows' order-sensitive reader
needs: with the published schemas where ../shared is there, and always with
the order of elements written down here."""
import functools
import pathlib

from lxml import etree

from client import E, NS, O, P, S, T

SHARED = pathlib.Path(__file__).resolve().parents[3] / 'shared/protocol'
XSI_NIL = '{http://www.w3.org/2001/XMLSchema-instance}nil'

ORDER = {
    'GetPoliciesResponse': ['response', 'cAs', 'oIDs'],
    'response': ['policyID', 'policyFriendlyName', 'nextUpdateHours',
                 'policiesNotChanged', 'policies'],
    'policy': ['policyOIDReference', 'cAs', 'attributes'],
    'attributes': [
        'commonName', 'policySchema', 'certificateValidity', 'permission',
        'privateKeyAttributes', 'revision', 'supersededPolicies',
        'privateKeyFlags', 'subjectNameFlags', 'enrollmentFlags',
        'generalFlags', 'hashAlgorithmOIDReference', 'rARequirements',
        'keyArchivalAttributes', 'extensions'],
    'certificateValidity': ['validityPeriodSeconds', 'renewalPeriodSeconds'],
    'permission': ['enroll', 'autoEnroll'],
    'privateKeyAttributes': [
        'minimalKeyLength', 'keySpec', 'keyUsageProperty', 'permissions',
        'algorithmOIDReference', 'cryptoProviders'],
    'revision': ['majorRevision', 'minorRevision'],
    'extension': ['oIDReference', 'critical', 'value'],
    'cA': ['uris', 'certificate', 'enrollPermission', 'cAReferenceID'],
    'cAURI': ['clientAuthentication', 'uri', 'priority', 'renewalOnly'],
    'oID': ['value', 'group', 'oIDReferenceID', 'defaultName'],
}
COLLECTIONS = ['policies', 'cAs', 'oIDs', 'extensions', 'cryptoProviders',
               'supersededPolicies']


@functools.lru_cache(None)
def _schema(name):
    return etree.XMLSchema(etree.parse(str(SHARED / name)))


def _published(body, *names):
    if not SHARED.is_dir():
        return
    doc = etree.fromstring(etree.tostring(body))
    for n in names:
        _schema(n).assertValid(doc)


def check_policies(reply):
    """A GetPoliciesResponse with status 200."""
    assert reply.status == 200, reply.text
    body = reply.body
    assert body.tag == '{%s}GetPoliciesResponse' % P
    for el in body.iter():
        name = etree.QName(el).localname
        if el.get(XSI_NIL) == 'true':
            assert len(el) == 0 and not el.text
        elif name in ORDER and len(el):
            assert [etree.QName(c).localname for c in el] == ORDER[name], name
        elif name in COLLECTIONS:
            assert len(el), 'empty <%s>: Windows needs nil' % name
    ids = {o.findtext('p:oIDReferenceID', None, NS)
           for o in body.iterfind('p:oIDs/p:oID', NS)}
    assert len(ids) == len(body.findall('p:oIDs/p:oID', NS))
    for el in body.iter():
        if etree.QName(el).localname.endswith('OIDReference') or \
                etree.QName(el).localname == 'oIDReference':
            if el.get(XSI_NIL) != 'true':
                assert el.text in ids, (el.tag, el.text)
    _published(body, 'xcep.xsd', 'xcep-sec3.xsd')


def check_rstrc(reply):
    """An issued or pending answer with status 200."""
    assert reply.status == 200, reply.text
    body = reply.body
    assert body.tag == '{%s}RequestSecurityTokenResponseCollection' % T
    assert len(body) == 1
    assert [c.tag for c in body[0]] == [
        '{%s}TokenType' % T, '{%s}DispositionMessage' % E,
        '{%s}BinarySecurityToken' % O, '{%s}RequestedSecurityToken' % T,
        '{%s}RequestID' % E]
    assert 0 < int(reply.request_id) < 2 ** 31
    _published(body, 'xsd-support/wst-profile.xsd')


def check_fault(reply):
    """Any SOAP fault: HTTP 500, reason, and a detail of the right shape."""
    assert reply.status == 500, (reply.status, reply.text)
    assert reply.http.headers['Content-Type'].lower() == \
        'application/soap+xml; charset=utf-8'
    assert 'WWW-Authenticate' not in reply.http.headers
    f = reply.fault
    assert f is not None, reply.text
    assert [etree.QName(c).localname for c in f][:2] == ['Code', 'Reason']
    value = f.find('s:Code/s:Value', NS)
    prefix, local = value.text.split(':')
    assert value.nsmap[prefix] == S and local in (
        'Sender', 'Receiver', 'MustUnderstand', 'VersionMismatch')
    detail = f.find('s:Detail', NS)
    if detail is not None:
        assert [etree.QName(c).localname for c in detail[0]] == [
            'BinaryResponse', 'ErrorCode', 'InvalidRequest', 'RequestID']
        _published(detail[0], 'wstep.xsd')
