"""A request may name its template in five places ([MS-WCCE]
3.2.2.6.2.1.4.1): what is authorised must be what is built."""
import pytest

import client
from client import NS
from schema import check_fault, check_rstrc
from variants import NAME_VALUE, add_attribute, c2

CONFLICT, UNKNOWN, NONE, NEWER = (0x80094802, 0x80094800, 0x80094801,
                                  0x80094807)
REFUSED = 0         # for whatever reason


class Said:
    """What a request says in which place, and how to send it."""

    def __init__(self, demo, oid):
        self.demo, self.oid, self.key = demo, oid, client.ec_key()

    def send(self, said):
        """said: pairs of place and value, several of one place too."""
        at = lambda place: [v for p, v in said if p == place]
        extensions = [client.template_v1(v) for v in at('name')] + [
            client.template_v2(*v) for v in at('oid')]
        csr = doubled(self.key, extensions) if len(
            {e.oid for e in extensions}) < len(extensions) else \
            client.make_csr(self.key, 'carrier.demo.example',
                            ['carrier.demo.example'], extensions=extensions)
        for v in at('pair'):
            csr = add_attribute(self, csr, NAME_VALUE,
                                c2('CertificateTemplate', v))
        info = [client.reg_info(''.join('CertificateTemplate=%s&' % v
                                        for v in at('info')))]
        return self.demo.enroll(client.make_cmc(
            self.key, csr, info if at('info') else ()), pkcs10=False,
            context=[('CertificateTemplate', v) for v in at('context')])


def doubled(key, extensions):
    """Libraries refuse to write one extension twice: renamed afterwards."""
    odd = client.x509.UnrecognizedExtension(
        client.ObjectIdentifier(extensions[0].oid.dotted_string[:-1] + '9'),
        extensions[1].value)
    csr = client.make_csr(key, 'carrier.demo.example',
                          extensions=[extensions[0], odd])
    der = lambda e: client.core.ObjectIdentifier(e.oid.dotted_string).dump()
    info = client.acsr.CertificationRequest.load(csr)[
        'certification_request_info'].dump()
    info = info.replace(der(odd), der(extensions[0]))
    sig, alg = client.sign_attrs(key, info)
    return client.tlv(0x30, info, client.algos.SignedDigestAlgorithm(
        {'algorithm': alg}).dump(), client.core.OctetBitString(sig).dump())


@pytest.fixture(scope='module')
def oids(demo):
    """Object identifier and major version of each template."""
    answer, out = demo.policies(), {}
    value = {o.findtext('p:oIDReferenceID', None, NS):
             o.findtext('p:value', None, NS)
             for o in answer.findall('.//p:oIDs/p:oID')}
    for p in answer.findall('.//p:policy'):
        out[p.findtext('p:attributes/p:commonName', None, NS)] = (
            value[p.findtext('p:policyOIDReference', None, NS)],
            int(p.findtext('.//p:majorRevision', None, NS)))
    return out


@pytest.fixture(scope='module')
def said(demo, oids):
    return Said(demo, oids)


PLACES = ('name', 'oid', 'info', 'pair', 'context')
CASES = {'same': None, 'case': None, 'dotted': None, 'other': CONFLICT,
         'unknown': UNKNOWN, 'twice': REFUSED, 'nul': REFUSED, 'blank': REFUSED,
         'newer': NEWER}


def value(place, case, stack, oids):
    ours, other = stack.env['CS_TEMPLATE'], stack.env['CS_TEMPLATE_MACHINE']
    if place == 'oid':
        oid, major = oids[other if case == 'other' else ours]
        return {'unknown': ('1.2.3.4',), 'newer': (oid, major + 1, 0)}.get(
            case, (oid, major, 0))
    return {'other': other, 'dotted': oids[ours][0], 'unknown': 'NoSuch', 'case': ours.swapcase(),
            'nul': ours + '\0', 'blank': ours + ' '}.get(case, ours)


# XML has no NUL, and blanks around a value there are layout.
CELLS = [(p, c) for p in PLACES for c in CASES if not (
    (p == 'oid' and c in ('case', 'dotted', 'nul', 'blank')) or
    (p != 'oid' and c == 'newer') or (p == 'context' and c in ('nul', 'blank')))]


@pytest.mark.parametrize('beside', [False, True])
@pytest.mark.parametrize('place, case', CELLS)
def test_template(stack, said, oids, place, case, beside):
    """Alone, and beside another place that names ours."""
    words = [(place, value(place, case, stack, oids))]
    if case == 'twice':
        words *= 2
    if beside or case == 'other':
        first = PLACES[PLACES.index(place) - 1]
        words.append((first, value(first, 'same', stack, oids)))
    r = said.send(words)
    if CASES[case] is None:
        check_rstrc(r)
        template, = stack.sql('SELECT template FROM countersign.certificate '
                              'WHERE serial = %s',
                              r.certificate.serial_number.to_bytes(16, 'big'))
        assert template == (stack.env['CS_TEMPLATE'],)
        return
    check_fault(r)
    assert CASES[case] in (REFUSED, r.hresult), (hex(r.hresult), r.reason)
    assert r.hresult not in (None, 0x8000ffff)


def test_nowhere(said):
    r = said.send([])
    check_fault(r)
    assert r.hresult == NONE
