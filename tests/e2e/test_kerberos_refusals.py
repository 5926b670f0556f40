"""Log-on by Kerberos, as an attacker does it: relayed, replayed, forged and
broken tokens, and whose ticket is whose account."""
import base64
import functools
import os
import pathlib
import random
import re
import signal
import struct

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import client
import realm
import tickets
from addresses import From
from client import tlv
from fcgi import BEGIN, fastcgi, param, params, raw_http, record
from realm import UNKNOWN, authorization, self_signed, survives, whoami  # noqa: F401
from tickets import KRB5, MS_KRB5, NEGOEX, NTLM, typed
from waits import wait_for

DENIED = 0x80070005


def challenged(r):
    """Once, for one scheme, without a token; no browser asks for a
    password."""
    assert r.status_code == 401, (r.status_code, r.text)
    assert r.raw.headers.getlist('WWW-Authenticate') == ['Negotiate']
    assert 'Set-Cookie' not in r.headers


def refused(krb, r, words=None):
    """The reason is the operator's alone."""
    challenged(r)
    line = krb.line(r.text)
    assert 'kerberos' in line
    if words is not None:
        assert re.search(words, line, re.I), line
    return line


def b64(token):
    return base64.b64encode(token).decode()


# No ticket, or no one-leg Kerberos ------------------------------------------

def ap(krb, **kw):
    return krb.ticket().token(bindings=krb.bound, **kw)


SCHEMES = {
    'empty': lambda s: '',
    'basic': lambda s: 'Basic YWxpY2VAZGVtby5leGFtcGxlOmNvcnJlY3QgaG9yc2U=',
    'bearer': lambda s: 'Bearer ' + b64(s.token()),
    'digest': lambda s: 'Digest username="alice@demo.example"',
    'kerberos': lambda s: 'Kerberos ' + b64(s.token()),
    'alone': lambda s: 'Negotiate',
    'blank': lambda s: 'Negotiate  ',
    'prefix': lambda s: 'Negotiate2 ' + b64(s.token()),
    'glued': lambda s: 'Negotiate' + b64(s.token()),
    'second': lambda s: 'Basic x, ' + authorization(s.token()),
}
BASE64 = {
    'no-padding': lambda b: b.rstrip('=') if b[-1] == '=' else b[:-1],
    'pad-first': lambda b: '=' + b, 'star': lambda b: b[:8] + '*' + b[8:],
    'blank-inside': lambda b: b[:8] + ' ' + b[8:],
    'two': lambda b: b + ' ' + b, 'list': lambda b: b + ', ' + b,
    'more-padding': lambda b: b + '====', 'percent': lambda b: '%59' + b[1:],
    'url-safe': lambda b: b[:8] + '-_-_' + b[12:],
    'quoted': lambda b: '"%s"' % b, 'comma': lambda b: b + ',',
    'param': lambda b: b + '; x=y', 'latin-1': lambda b: '\u00e9' + b,
}
NOT_KERBEROS = {
    'ntlm-raw': lambda s: tickets.NTLM_NEGOTIATE,
    'ntlm-authenticate': lambda s: b'NTLMSSP\0\3\0\0\0' + bytes(80),
    'ntlm-wrapped': lambda s: tickets.spnego(
        tickets.NTLM_NEGOTIATE, [NTLM]),
    'ntlm-only': lambda s: tickets.spnego(None, [NTLM]),
    'ntlm-first': lambda s: tickets.spnego(
        tickets.NTLM_NEGOTIATE, [NTLM, KRB5]),
    'ntlm-first-no-token': lambda s: tickets.spnego(None, [NTLM, KRB5]),
    'ntlm-first-krb5-token': lambda s: tickets.spnego(ap(s), [NTLM, KRB5]),
    'ntlm-in-krb5': lambda s: tickets.spnego(
        tickets.NTLM_NEGOTIATE, [KRB5, NTLM]),
    'negoex-first': lambda s: tickets.spnego(
        b'NEGOEXTS' + bytes(88), [NEGOEX, KRB5]),
    'krb5-without-token': lambda s: tickets.spnego(None, [KRB5]),
    'krb5-empty-token': lambda s: tickets.spnego(b'', [KRB5]),
    'no-mechanism': lambda s: tickets.spnego(ap(s), []),
    'spnego-in-spnego': lambda s: tickets.spnego(s.token(), [tickets.SPNEGO]),
    'iakerb': lambda s: tickets.krb5_token(
        b'\5\1' + s.ticket().ap_req(bindings=s.bound), '1.3.6.1.5.2.5'),
    'user-to-user': lambda s: tickets.krb5_token(
        s.ticket().ap_req(bindings=s.bound), KRB5 + '.3'),
    'ms-raw': lambda s: tickets.krb5_token(
        s.ticket().ap_req(bindings=s.bound), '1.3.5.1.5.2'),
    'second-leg': lambda s: tlv(0xa1, tickets.sequence(
        (0, b'\n\1\1'), (2, tickets.octets(ap(s))))),
    'false-mic': lambda s: tickets.spnego(ap(s), [KRB5, NTLM], bytes(28)),
    # [MS-KILE] 3.4.5.1: three legs, and perhaps no wrapping.
    'dce-style': lambda s: ap(s, gss=0x1000 | tickets.MUTUAL),
    'dce-style-wrapped': lambda s: tickets.spnego(
        ap(s, gss=0x1000 | tickets.MUTUAL)),
    'dce-style-bare': lambda s: s.ticket().ap_req(
        bindings=s.bound, gss=0x1000 | tickets.MUTUAL),
    'bare': lambda s: s.ticket().ap_req(bindings=s.bound),
    'ap-rep': lambda s: tlv(0x60, tickets.oid(KRB5), b'\2\0', tlv(
        0x6f, tickets.sequence((0, tickets.number(5))))),
    'krb-error': lambda s: tlv(0x60, tickets.oid(KRB5), b'\3\0', tlv(
        0x7e, tickets.sequence((0, tickets.number(5))))),
    'empty-tlv': lambda s: tlv(0x60), 'zeros': lambda s: bytes(64),
    'one-octet': lambda s: b'`',
    'long-length': lambda s: b'\x60\x84\xff\xff\xff\xff' + s.token()[4:],
    'endless': lambda s: b'\x60\x80' + s.token()[4:],
    'more-behind': lambda s: s.token() + b'\0',
    'deep': lambda s: tlv(0x60, tickets.oid(tickets.SPNEGO)) + b'\xa0\x80' *
    2000,
}


def test_a_first_request(krb):
    """As most clients begin: no ticket yet, and no line in the log."""
    here, s = '127.1.9.3', requests.Session()
    s.mount('https://', From(here))
    ask = functools.partial(s.get, krb.stack.env['CS_HOME_URL'] +
                            'whoami/kerberos', timeout=300,
                            verify=krb.stack.env['CS_ROOT_PEM'])
    r = ask()
    challenged(r)
    assert r.content == b''
    assert krb.enroll(session=s).status == 401
    # The one line is of who has something that is no ticket.
    refused(krb, ask(headers={'Authorization': 'Negotiate'}))
    assert len(re.findall(r'address=127\.1\.9\.3\b', krb.stack.log(
        'worker'))) == 1


@pytest.mark.parametrize('case', SCHEMES)
def test_scheme(krb, case):
    refused(krb, whoami(krb, SCHEMES[case](krb)))


@pytest.mark.parametrize('case', BASE64)
def test_base64(krb, case):
    b = b64(krb.token())
    bad = BASE64[case](b)
    assert bad != b
    refused(krb, whoami(krb, ('Negotiate ' + bad).encode('latin-1')))


@pytest.mark.parametrize('case', NOT_KERBEROS)
def test_not_kerberos(krb, case):
    """ESC8: nothing but one token of Kerberos, and never a second leg."""
    refused(krb, whoami(krb, authorization(NOT_KERBEROS[case](krb))))


# Tickets that are not good here ---------------------------------------------

TOKENS = {
    # Relayed: [security] 1.4.
    'no-bindings': (dict(bindings=bytes(16)), {}, 'channel binding'),
    'unaware': (dict(bindings=bytes(16), data=tickets.aware()), {},
                'channel binding'),
    'other-certificate': (dict(bindings=tickets.bindings(b'other')), {},
                          'channel binding'),
    'no-checksum': (dict(checksum=b''), {}, None),
    'other-checksum': (dict(checksum=typed(16, bytes(12))), {}, None),
    'short-checksum': (dict(checksum=typed(0x8003, bytes(23))), {}, None),
    'long-bindings': (dict(checksum=typed(0x8003, struct.pack(
        '<I', 4096) + bytes(20))), {}, None),
    'no-length': (dict(checksum=typed(0x8003, bytes(24))), {}, None),
    # Of another time.
    'expired': ({}, dict(start=-7200, life=3600), 'expired'),
    'not-yet': ({}, dict(start=3600), 'not yet valid'),
    'for-ever': ({}, dict(life=-4000), None),
    'behind': (dict(ahead=-600), {}, 'clock'),
    'ahead': (dict(ahead=600), {}, 'clock'),
    'of-1970': (dict(ahead=-1.7e9), {}, 'clock'),
    # Of others.
    'other-name-inside': (dict(client='bob'), {}, None),
    'other-realm-inside': (dict(realm='OTHER.EXAMPLE'), {}, None),
    'other-session-key': (dict(session=UNKNOWN), {}, None),
    'invalid': ({}, dict(ticket_flags=[7]), None),
    'other-service': ({}, dict(service='HTTP/other.example', key=UNKNOWN),
                      None),
    'other-key': ({}, dict(key=UNKNOWN), None),
}


@pytest.mark.parametrize('case', TOKENS)
def test_ticket(krb, case):
    kw, ticket, words = TOKENS[case]
    for wrap in tickets.spnego, lambda t: t:
        t = krb.ticket(**ticket).token(**{'bindings': krb.bound, **kw})
        refused(krb, whoami(krb, authorization(wrap(t))), words)


@pytest.mark.parametrize('kind,hash_name', [
    (b'tls-unique:', 'sha256'), (b'', 'sha256'),
    (b'tls-server-end-point:', 'sha1'), (b'tls-server-end-point:', 'sha384'),
    (b'tls-server-end-point', 'sha256'), (b'TLS-SERVER-END-POINT:', 'sha256')])
def test_other_bindings_of_ours(krb, kind, hash_name):
    bound = tickets.bindings(krb.served, kind, hash_name)
    refused(krb, whoami(krb, authorization(krb.token(bindings=bound))),
            'channel binding')


def test_a_key_that_is_not_ours(krb):
    """A real ticket for another service, as by a redirection."""
    c = krb.client('alice')
    krb.kdc.principal('HTTP/other.example')
    c.service, c.mutual = 'HTTP@other.example', False
    refused(krb, c.send(
        'GET', krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos'))


def test_rc4(krb):
    """No key for it, whatever the KDC gives."""
    t = krb.ticket()
    t.der = tlv(0x61, tickets.sequence(
        (0, tickets.number(5)), (1, tickets.word('DEMO.EXAMPLE')),
        (2, tickets.name('HTTP/localhost', tickets.SERVICE)),
        (3, tickets.sealed(krb.key, 2, b'x' * 200, krb.kvno,
                           tickets.RC4))))
    refused(krb, whoami(krb, authorization(tickets.spnego(t.token(
        bindings=krb.bound)))))


def test_replayed(krb):
    """On each process of the host, whatever the message."""
    cases = []
    for wrap in tickets.spnego, lambda t: t:
        t = wrap(ap(krb))
        assert whoami(krb, authorization(t)).status_code == 200
        cases.append(t)
    # As SPNEGO what was raw, and with other mechanisms around it.
    cases += [tickets.spnego(cases[1]), tickets.spnego(
        cases[1], [MS_KRB5, KRB5])]
    for t in cases * 2:
        refused(krb, whoami(krb, authorization(t)), 'replay')


def by_hand(krb, token, **more):
    """Past nginx, on a connection of its own."""
    return fastcgi(krb.stack, BEGIN + record(4, params(
        krb.stack, CS_AUTH='kerberos', CS_SERVICE='whoami', CONTENT_TYPE='',
        REQUEST_METHOD='GET', CONTENT_LENGTH='',
        HTTP_AUTHORIZATION=authorization(token), **more)) + record(4) +
        record(5)).decode('latin-1')


def stop(pid):
    """Until none of its threads takes a connection any more."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(
        re.search(r'\) T ', f.read_text()) for f in
        pathlib.Path('/proc/%d/task' % pid).glob('*/stat')), every=0.01)


def test_replayed_to_another_process(krb):
    a, b = map(int, krb.children())
    t = krb.token()
    try:
        stop(a)
        assert 'Status: 200' in by_hand(krb, t)
        os.kill(a, signal.SIGCONT)
        stop(b)
        out = by_hand(krb, t)
        assert 'Status: 401' in out
    finally:
        for pid in a, b:
            os.kill(pid, signal.SIGCONT)
    line = krb.line(out)
    assert 'replay' in line.lower() and 'pid=%d ' % a in line


def test_replayed_with_bindings_of_before(krb):
    """Each certificate is tried with a replay cache of its own, and the
    first one's sees all."""
    pem = self_signed(hashes.SHA256())
    new = tickets.bindings(x509.load_pem_x509_certificate(pem).public_bytes(
        serialization.Encoding.DER))
    old = krb.certificate.read_bytes()
    before = krb.token()
    assert whoami(krb, authorization(before)).status_code == 200
    try:
        krb.put(krb.certificate.name, pem)
        used = [krb.token(bindings=b) for b in (new, krb.bound)]
        for t in used:
            assert whoami(krb, authorization(t)).status_code == 200
        krb.put(krb.certificate.name, old)
        for t in used + [before]:
            refused(krb, whoami(krb, authorization(t)), 'replay')
    finally:
        krb.put(krb.certificate.name, old)


def test_of_one_moment(krb):
    """Two authenticators of one ticket are two log-ons."""
    t = krb.ticket()
    for _ in range(20):
        r = whoami(krb, authorization(t.token(bindings=krb.bound)))
        assert r.status_code == 200, r.text


# Whose account --------------------------------------------------------------

NAMES = {
    'nobody': dict(client='nobody-here'),
    'disabled': dict(client='gone'),
    'service': dict(client='HTTP/pc1.demo.example'),
    'service-of-host': dict(client='cifs/pc1.demo.example'),
    'us': dict(client='HTTP/localhost'),
    'admin': dict(client='alice/admin'),
    'host-of-nobody': dict(client='host/nobody.demo.example'),
    'host-of-a-user': dict(client='host/person.demo.example'),
    'host-disabled': dict(client='host/gone.demo.example'),
    'host-short': dict(client='host/pc1'),
    'host-alone': dict(client='host'),
    'host-empty': dict(client=['host', '']),
    'host-three': dict(client='host/pc1.demo.example/x'),
    'host-foreign': dict(client='host/pc1.demo.example',
                         realm='OTHER.EXAMPLE'),
    'host-in-one': dict(client=['host/pc1.demo.example']),
    'host-quoted': dict(client=['host\\/pc1.demo.example']),
    'host-upper': dict(client='HOST/pc1.demo.example'),
    'host-wildcard': dict(client='host/%.demo.example'),
    'realm-not-listed': dict(realm='OTHER.EXAMPLE'),
    'realm-lower': dict(realm='demo.example'),
    'realm-longer': dict(realm='DEMO.EXAMPLE.'),
    'realm-dotless': dict(realm='DEMOXEXAMPLE'),
    'realm-part': dict(realm='EXAMPLE'),
    'realm-empty': dict(realm=''),
    'realm-nul': dict(realm=b'DEMO.EXAMPLE\0'),
    'at': dict(client=['alice@DEMO.EXAMPLE'], realm='OTHER.EXAMPLE'),
    'at-here': dict(client=['alice@DEMO.EXAMPLE']),
    'enterprise': dict(client=['alice@demo.example'],
                       kind=tickets.ENTERPRISE),
    'realm-inside': dict(client=['alice@demo.example@x']),
    'domain': dict(client=['DEMO\\alice']),
    'domain-dns': dict(client=['demo.example\\alice']),
    'empty': dict(client=['']), 'no-part': dict(client=[]),
    'nul': dict(client=[b'alice\0']), 'nul-inside': dict(client=[
        b'alice\0x']), 'two-parts': dict(client=['alice', '']),
    'blank': dict(client=['alice ']), 'blank-first': dict(client=[' alice']),
    'line': dict(client=['alice\n']), 'dot': dict(client=['alice.']),
    'log-line': dict(client=['x\ntime=1 event=request outcome=issued']),
    'markup': dict(client=['<b>&x;]]>']),
    'escape': dict(client=[b'alice\x1b[2J']),
    'latin-1': dict(client=[b'alic\xe9']), 'wide': dict(client=['\uff41lice']),
    'not-utf-8': dict(client=[b'alice\xff\xfe']),
    'long': dict(client=['a' * 5000]),
    'many': dict(client=['alice'] * 500),
    'sql': dict(client=["alice' OR '1'='1"]),
    'anonymous': dict(client='WELLKNOWN/ANONYMOUS',
                      realm='WELLKNOWN:ANONYMOUS'),
    'ticket-service': dict(client='krbtgt/DEMO.EXAMPLE'),
}


@pytest.fixture(scope='module')
def people(krb):
    krb.account('person@demo.example', cn='Person', groups=['users'],
                 dns='person.demo.example')
    krb.account('gone@demo.example', machine=True, cn='Gone',
                 dns='gone.demo.example', groups=['users'])
    krb.stack.ctl('account', 'disable', 'gone@demo.example')


@pytest.mark.parametrize('case', NAMES)
def test_whose_account(krb, people, case):
    """A ticket that is good, of somebody who is nobody here."""
    ticket = NAMES[case]
    r = krb.enroll(krb.token(ticket=ticket))
    log = krb.stack.log('worker')
    assert '\x1b' not in log and '\0' not in log
    assert not re.search('^time=1 ', log, re.M)
    assert r.leaf is None
    if r.status == 401:
        refused(krb, r.http)
        return
    assert r.status == 500 and r.hresult == DENIED, r.text
    assert r.http.headers['WWW-Authenticate'].startswith('Negotiate ')
    assert 'denied' in krb.line(r.text)


@pytest.mark.parametrize('ticket', [
    dict(client='ALICE'), dict(client='Alice'),
    dict(client=['alice'], kind=tickets.ENTERPRISE), dict(kind=0)])
def test_spellings_of_one(krb, ticket):
    """As a domain controller takes any of these for the same."""
    r = whoami(krb, authorization(krb.token(ticket=ticket)))
    assert r.status_code == 200 and 'alice@demo.example' in r.text


def test_from_abroad(krb):
    """A trust between realms is the KDC's; whose count is ours."""
    krb.kdc.principal('carol', realm=realm.ABROAD)
    krb.account('carol@other.example', cn='Carol', groups=['users'])
    c = krb.client('carol', realm=realm.ABROAD)
    r = c.enroll(client.make_csr(client.ec_key(), template='User'))
    assert r.hresult == DENIED and 'OTHER.EXAMPLE' in r.reason
    krb.set(realm='{"%s", "%s"}' % (realm.HOME, realm.ABROAD))
    try:
        r = c.enroll(client.make_csr(client.ec_key(), template='User'))
        assert r.certificate.subject.rfc4514_string() == 'CN=Carol'
    finally:
        krb.set()


# Active Directory's identity ------------------------------------------------

SID = 'S-1-5-21-71-82-93-%d'


@pytest.fixture(scope='module')
def sidney(krb):
    krb.account('sidney', cn='Sidney', groups=['users'], sid=SID % 1104)
    krb.account('anew@demo.example', cn='Anew', groups=['users'],
                sid=SID % 1105)


def by_sid(krb, client, sid, **kw):
    return whoami(krb, authorization(krb.token(ticket=dict(
        client=client, ad=dict(sid=sid, **kw)))))


def test_the_sid_is_who_it_is(krb, sidney):
    """Whatever the account is called here, and the person there."""
    r = by_sid(krb, 'renamed', SID % 1104)
    assert r.status_code == 200 and 'account    sidney' in r.text
    r = by_sid(krb, 'alice', SID % 1104)
    assert 'account    sidney' in r.text
    r = by_sid(krb, 'alice', SID % 1)       # her account has none
    assert 'account    alice@demo.example' in r.text
    for name in 'anew', 'nobody':           # it was somebody else's name
        r = by_sid(krb, name, SID % 1)
        assert r.status_code == 403 and 'demo.example' in r.text, r.text


def test_a_name_of_somebody_else(krb, sidney):
    """Active Directory's tickets for "alice" may be ALICE$'s, which any user
    may make there."""
    for sam in 'ALICE$', 'mallory', 'alic', 'alice2':
        r = by_sid(krb, 'alice', SID % 1, sam=sam)
        assert r.status_code == 403 and sam in r.text, r.text
    assert by_sid(krb, 'Alice', SID % 1, sam='aLICE').status_code == 200
    # Likewise, where a computer's UPN is the name of another's service.
    for sam in 'EVIL$', 'pc1', 'PC12$', 'host/evil.demo.example':
        r = by_sid(krb, 'host/pc1.demo.example', SID % 1, sam=sam)
        assert r.status_code == 403 and sam in r.text, r.text
    assert by_sid(krb, 'host/pc1.demo.example', SID % 1,
                  sam='pC1$').status_code == 200
    # Nor is the SID left out by whom it would give away.
    r = whoami(krb, authorization(krb.token('anew')))
    assert r.status_code == 403 and 'tells no SID' in r.text, r.text


def test_who_logs_on_as_others(krb, sidney):
    """Constrained delegation: whoever may write it into the directory is
    everybody."""
    r = by_sid(krb, 'renamed', SID % 1104, by=bytes(32))
    assert r.status_code == 403 and 'delegation' in r.text, r.text


def test_without_a_sid_nobody(krb, sidney):
    """A name alone is what any user may give a computer of his own."""
    def host():
        return by_sid(krb, 'host/pc1.demo.example', SID % 1, sam='PC1$')
    assert host().status_code == 200
    krb.set(sid='"require"')
    try:
        for r in host(), whoami(krb, authorization(krb.token())):
            assert r.status_code == 403 and 'has no SID' in r.text, r.text
        assert by_sid(krb, 'renamed', SID % 1104).status_code == 200
    finally:
        krb.set()


@pytest.mark.parametrize('how', [
    dict(signed_by=UNKNOWN), dict(named='sidney'), dict(info=b''),
    dict(info=bytes(11)), dict(info=struct.pack('<HHHHI', 0, 0, 0, 0, 2)),
    dict(info=tickets.upn_info(SID % 1104)[:-1]),
    dict(info=tickets.upn_info(SID % 1104)[:16] + b'\xff\xff\xff\xff' +
         tickets.upn_info(SID % 1104)[20:])], ids=range(7))
def test_a_pac_that_is_not_good(krb, sidney, how):
    refused(krb, by_sid(krb, 'renamed', SID % 1104, **how), 'PAC')


def test_mutations_of_a_pac(krb, sidney):
    """With a good signature: it is the library that reads it first."""
    rng, told = random.Random(9), 0

    def change(p):
        b = bytearray(p)
        for _ in range(rng.randrange(1, 4)):
            b[rng.randrange(len(b) - 32)] = rng.choice([0, 1, 127, 255,
                                                        rng.randrange(256)])
        return bytes(b)
    for _ in range(200):
        r = by_sid(krb, 'renamed', SID % 1104, change=change)
        assert r.status_code in (200, 401, 403), r.text
        if r.status_code == 200:
            assert 'account    sidney' in r.text
            told += 1
    assert told < 150


# Broken ones ----------------------------------------------------------------

def mutated(token, rng):
    b = bytearray(token)
    at = rng.randrange(len(b))
    kind = rng.randrange(5)
    if kind == 0:
        b[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del b[at:]
    elif kind == 2:
        del b[at:at + rng.randrange(1, 9)]
    elif kind == 3:
        b[at:at] = rng.randbytes(rng.randrange(1, 9))
    else:
        b[at:at + 4] = rng.choice([b'\xff\xff\xff\xff', bytes(4),
                                   b'\x84\x7f\xff\xff', b'\x80\0\0\0'])
    return bytes(b)


def test_mutations(krb):
    """Some octets nobody verifies, as the type of a name: then it is alice
    who is there."""
    rng, http, good = random.Random(7), requests.Session(), 0
    http.verify, http.trust_env = krb.stack.env['CS_ROOT_PEM'], False
    url = krb.stack.env['CS_HOME_URL'] + 'whoami/kerberos'
    for n in range(400):
        token = krb.token() if n % 2 else ap(krb)
        t = mutated(token, rng)
        if t == token:
            continue
        r = http.get(url, timeout=300, headers={
            'Authorization': authorization(t)})
        if r.status_code == 200:
            assert 'alice@demo.example' in r.text
            good += 1
        else:
            assert r.status_code == 401, (n, r.status_code, r.text)
    assert good < 40


def test_mutations_inside(krb):
    """Of what a client itself encrypts: this reaches all of the library's
    parsers."""
    rng, statuses = random.Random(10), []
    for n in range(200):
        t = krb.token(data=tickets.aware(), change=lambda p: mutated(p, rng))
        r = whoami(krb, authorization(t))
        statuses.append(r.status_code)
        assert r.status_code in (200, 401), r.text
        assert r.status_code == 401 or 'alice@demo.example' in r.text
    assert statuses.count(200) < 60


def test_garbage(krb):
    rng = random.Random(8)
    for n in (1, 2, 10, 100, 1000, 5000):
        refused(krb, whoami(krb, authorization(rng.randbytes(n))))
        refused(krb, whoami(krb, authorization(tlv(
            0x60, tickets.oid(KRB5), b'\1\0', rng.randbytes(n)))))


# Headers --------------------------------------------------------------------

def padded(size):
    """Authorization data of a kind that nobody knows, as a PAC's size."""
    return tlv(0x30, typed(200, bytes(size)))


@pytest.mark.parametrize('size', [4000, 15000, 35000])
def test_large_tickets(krb, size):
    """Of people in hundreds of groups."""
    t = krb.token(ticket=dict(data=padded(size)))
    r = whoami(krb, authorization(t))
    assert r.status_code == 200, (len(authorization(t)), r.text)


@pytest.mark.parametrize('size', [52000, 200000])
def test_too_large(krb, size):
    t = krb.token(ticket=dict(data=padded(size)))
    r = whoami(krb, authorization(t))
    assert r.status_code == 400, r.text
    assert whoami(krb, authorization(krb.token())).status_code == 200


def test_too_large_together(krb):
    """More than nginx can hand over."""
    good = authorization(krb.token(ticket=dict(data=padded(20000))))
    for size in 50000, 59000:
        assert whoami(krb, good, **{'X-A': 'a' * size}).status_code == 400


def test_two_headers(krb):
    host = krb.stack.env['CS_HOME_URL'].split('/')[2]
    for second in authorization(krb.token()), 'Basic eDp5', '':
        out = raw_http(krb.stack, (
            'GET /whoami/kerberos HTTP/1.1\r\nHost: %s\r\nConnection: close'
            '\r\nAuthorization: %s\r\nAuthorization: %s\r\n\r\n' % (
                host, authorization(krb.token()), second)).encode())
        assert out.split()[1] in (b'400', b'401'), out
    # Past nginx: the worker refuses the second one itself.
    assert 'Status: 200' in by_hand(krb, krb.token())
    two = fastcgi(krb.stack, BEGIN + record(4, params(
        krb.stack, HTTP_AUTHORIZATION='x') + param(
            'HTTP_AUTHORIZATION', 'x')) + record(4) + record(5))
    assert b'Status: 400' in two, two


def test_user_name_token(krb, demo):
    """What the message says of a user is nobody's business here."""
    url = krb.stack.env['CS_CES_URL'].replace('UsernamePassword', 'Kerberos')
    csr = client.make_csr(client.ec_key(), template='User')
    text = client.envelope(client.RST, url, client.rst(csr), demo.header())
    challenged(demo.post(url, text).http)
    r = demo.post(url, text, Authorization=authorization(krb.token()))
    assert r.certificate.subject.rfc4514_string() == 'CN=Alice'


def test_elsewhere_it_is_nothing(krb, demo):
    """At other addresses a ticket is not read."""
    env = krb.stack.env
    token = krb.token()
    for url in env['CS_CEP_URL'], env['CS_CEP_CERT_URL']:
        r = demo.post(url, client.envelope(
            client.GETPOLICIES, url, client.get_policies()),
            Authorization=authorization(token))
        assert r.status == 500 and r.fault is not None, r.text
        assert 'WWW-Authenticate' not in r.http.headers
    url = env['CS_CES_RENEWAL_URL']
    r = demo.post(url, client.envelope(client.RST, url, client.rst(
        client.make_csr(client.ec_key(), template='User'))),
        Authorization=authorization(token))
    assert r.fault is not None
    # The password counts, whatever stands beside it.
    url = env['CS_CES_URL']
    r = demo.post(url, client.envelope(client.RST, url, client.rst(
        client.make_csr(client.ec_key(), template='User')), demo.header()),
        Authorization=authorization(token))
    row, = krb.stack.ctl_json('request', 'show', r.request_id)
    assert row['account'] == demo.user and row['method'] == 'password'
    # It was not used up.
    assert whoami(krb, authorization(token)).status_code == 200


def test_headers_are_no_identity(krb):
    for name in ('Remote-User', 'X-Remote-User', 'Auth-Type', 'CS-Auth',
                 'Proxy-Authorization', 'X-Authorization'):
        challenged(whoami(krb, **{name: authorization(krb.token())}))


def test_logs_have_no_tokens(krb):
    t, bad = krb.token(), krb.token(bindings=bytes(16))
    assert whoami(krb, authorization(t)).status_code == 200
    refused(krb, whoami(krb, authorization(bad)))
    log = krb.stack.log('worker') + krb.stack.log('nginx') + \
        krb.stack.log('signer')
    for token in t, bad:
        for text in b64(token), token.hex():
            assert text[400:430].lower() not in log.lower()
