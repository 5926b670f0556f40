"""Requests that differ from another in one thing, of which a certificate must
show nothing."""
from asn1crypto import core, x509 as ax

import client


def essence(der):
    """TBSCertificate without serial and validity."""
    tbs = ax.Certificate.load(der)['tbs_certificate']
    return [tbs[f].dump() for f in ('version', 'signature', 'issuer',
                                    'subject', 'subject_public_key_info',
                                    'extensions')]


class Case:
    """One caller, template and key; tries variations against the plain one."""

    def __init__(self, who, template, key, cn, dns):
        self.who, self.template, self.key = who, template, key
        self.cn, self.dns = cn, dns
        self.plain = essence(self.send(self.csr()).leaf)

    def csr(self, cn=None, extensions=(), dns=None, **kw):
        return client.make_csr(self.key, cn or self.cn, self.dns if dns is None
                               else dns, self.template, extensions, **kw)

    def send(self, csr, **kw):
        return self.who.enroll(csr, **kw)

    def holds(self, reply):
        if reply.fault is not None:
            assert reply.status == 500 and reply.leaf is None
            return 'refused'
        assert essence(reply.leaf) == self.plain
        return 'same'


def c2(name, value):
    """Enrollment name-value pair of two BMPStrings, as an attribute value."""
    body = client.bmp(name) + core.BMPString(value).dump()
    return core.Sequence(contents=body).dump()


def add_attribute(case, csr_der, oid, value_der):
    from asn1crypto import csr as acsr
    r = acsr.CertificationRequest.load(csr_der)
    info = r['certification_request_info']

    class Attr(core.Sequence):
        _fields = [('type', core.ObjectIdentifier),
                   ('values', core.SetOf, {'spec': core.Any})]
    new = Attr({'type': oid, 'values': [core.Any.load(value_der)]}).dump()
    old = info['attributes'].contents or b''
    parts = sorted([a.dump() for a in info['attributes']] + [new])
    assert old is not None
    head = b''.join(info[f].dump() for f in ('version', 'subject',
                                             'subject_pk_info'))
    attrs = b''.join(parts)
    body = core.Sequence(contents=head + core.Any(
        contents=attrs).contents if False else head + tlv(0xa0, attrs)).dump()
    sig, _ = client.sign_attrs(case.key, body)
    return tlv(0x30, body + r['signature_algorithm'].dump() +
               core.OctetBitString(sig).dump())


def tlv(tag, content):
    n = len(content)
    if n < 128:
        head = bytes([n])
    else:
        raw_len = n.to_bytes((n.bit_length() + 7) // 8, 'big')
        head = bytes([0x80 | len(raw_len)]) + raw_len
    return bytes([tag]) + head + content


NAME_VALUE = '1.3.6.1.4.1.311.13.2.1'
