"""Kerberos tickets and tokens made by hand, by whoever has the service's key,
and so with anything in them: [RFC3961], [RFC3962], [RFC4120], [RFC4121],
[RFC4178].  Nothing here shares code with the library that reads them."""
import hashlib
import hmac
import math
import os
import struct
import time

from asn1crypto import core
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from client import tlv

AES256, RC4 = 18, 23
KRB5 = '1.2.840.113554.1.2.2'
MS_KRB5 = '1.2.840.48018.1.2.2'
NEGOEX = '1.3.6.1.4.1.311.2.2.30'
NTLM = '1.3.6.1.4.1.311.2.2.10'
SPNEGO = '1.3.6.1.5.5.2'
PRINCIPAL, SERVICE, ENTERPRISE = 1, 2, 10
DELEGATE, MUTUAL, REPLAY, SEQUENCE, INTEGRITY = 1, 2, 4, 8, 32

NTLM_NEGOTIATE = b'NTLMSSP\0' + struct.pack('<II', 1, 0xe2088297) + bytes(
    16) + b'\x0a\0\x61\x4a\0\0\0\x0f'


# Encryption ---------------------------------------------------------------

def nfold(text, size):
    """[RFC3961] 5.1"""
    bits = len(text) * 8
    value = int.from_bytes(text, 'big')
    long = b''
    for i in range(math.lcm(len(text), size) // len(text)):
        r = 13 * i % bits
        turned = (value >> r | value << (bits - r)) & ((1 << bits) - 1)
        long += turned.to_bytes(len(text), 'big')
    total = sum(int.from_bytes(long[i:i + size], 'big')
                for i in range(0, len(long), size))
    while total >> size * 8:
        total = (total & ((1 << size * 8) - 1)) + (total >> size * 8)
    return total.to_bytes(size, 'big')


def aes(key, data, mode=None):
    e = Cipher(algorithms.AES(key), mode or modes.CBC(bytes(16))).encryptor()
    return e.update(data) + e.finalize()


def derive(key, usage, kind):
    block, out = nfold(struct.pack('>IB', usage, kind), 16), b''
    while len(out) < len(key):
        block = aes(key, block)
        out += block
    return out[:len(key)]


def encrypt(key, usage, data):
    """[RFC3962] 6: the last two blocks change places."""
    plain = os.urandom(16) + data
    c = aes(derive(key, usage, 0xaa), plain + bytes(-len(plain) % 16))
    c = c[:-32] + c[-16:] + c[-32:-16]
    mac = hmac.new(derive(key, usage, 0x55), plain, 'sha1').digest()
    return c[:len(plain)] + mac[:12]


# ASN.1 ----------------------------------------------------------------------

def sequence(*fields):
    """Of (number, value), None for an absent one."""
    return tlv(0x30, *(tlv(0xa0 | n, v) for n, v in fields if v is not None))


def number(n):
    return core.Integer(n).dump()


def octets(b):
    return tlv(4, b)


def word(s):
    return tlv(0x1b, s if isinstance(s, bytes) else s.encode())


def stamp(t):
    return tlv(0x18, time.strftime('%Y%m%d%H%M%SZ', time.gmtime(t)).encode())


def oid(dotted):
    return core.ObjectIdentifier(dotted).dump()


def flags(*bits):
    return tlv(3, b'\0' + sum(1 << 31 - b for b in bits).to_bytes(4, 'big'))


def name(parts, kind=PRINCIPAL):
    """Of one text with / in it, or of a list."""
    if isinstance(parts, str):
        parts = parts.split('/')
    return sequence((0, number(kind)), (1, tlv(0x30, *map(word, parts))))


def typed(kind, value):
    return sequence((0, number(kind)), (1, octets(value)))


def sealed(key, usage, data, kvno=None, etype=AES256):
    return sequence((0, number(etype)), (1, kvno and number(kvno)),
                    (2, octets(encrypt(key, usage, data))))


# What Active Directory adds --------------------------------------------------

def sid_octets(sid):
    """[MS-DTYP] 2.4.2.2"""
    authority, *parts = map(int, sid.split('-')[2:])
    return bytes([1, len(parts)]) + authority.to_bytes(6, 'big') + \
        struct.pack('<%dI' % len(parts), *parts)


def upn_info(sid, sam='x'):
    """[MS-PAC] 2.10, of flag S."""
    upn, sam = 'x@y'.encode('utf-16-le'), sam.encode('utf-16-le')
    s = sid_octets(sid)
    return struct.pack(
        '<HHHHIHHHH', len(upn), 24, len(upn), 24, 2, len(sam), 32 + len(s),
        len(s), 32) + bytes(4) + upn + bytes(2) + s + sam


def pac(key, when, client, sid=None, sam=None, named=None, signed_by=None,
        info=None, by=None, change=lambda p: p):
    """[MS-PAC] 2.3: client info, names and SID, two signatures; the
    server's, which alone is looked at, comes after the change."""
    who = (named or client).encode('utf-16-le')
    parts = [(10, struct.pack('<QH', (int(when) + 11644473600) * 10 ** 7,
                              len(who)) + who),
             (12, upn_info(sid, sam or client) if info is None else info),
             (6, struct.pack('<I', 16) + bytes(12)),
             (7, struct.pack('<I', 16) + bytes(12))]
    if by is not None:          # [MS-PAC] 2.9: the service that got it
        parts.insert(2, (11, by))
    head, body = struct.pack('<II', len(parts), 0), b''
    for kind, data in parts:
        head += struct.pack('<IIQ', kind, len(data),
                            8 + 16 * len(parts) + len(body))
        body += data + bytes(-len(data) % 8)
    out = change(head + body)
    mac = hmac.new(derive(signed_by or key, 17, 0x99), out, 'sha1').digest()
    return out[:-28] + mac[:12] + out[-16:]


# Tickets --------------------------------------------------------------------

class Ticket:
    """Anybody's, as a KDC would seal it for the service with this key."""

    def __init__(self, key, client='alice', realm='DEMO.EXAMPLE',
                 service='HTTP/localhost', kvno=1, kind=PRINCIPAL, start=-60,
                 life=3600, data=b'', service_realm='DEMO.EXAMPLE',
                 ticket_flags=(), via=b'', ad=None):
        now = time.time()
        if ad is not None:      # words for pac()
            data = tlv(0x30, typed(128, pac(key, now + start, client, **ad)))
        self.session, self.key = os.urandom(32), key
        self.realm, self.client = word(realm), name(client, kind)
        part = tlv(0x63, sequence(
            (0, flags(*ticket_flags)), (1, typed(AES256, self.session)),
            (2, self.realm), (3, self.client), (4, typed(1, via)),
            (5, stamp(now + start)), (6, stamp(now + start)),
            (7, stamp(now + start + life)),
            (10, tlv(0x30, typed(1, data)) if data else None)))
        self.der = tlv(0x61, sequence(
            (0, number(5)), (1, word(service_realm)),
            (2, name(service, SERVICE)), (3, sealed(key, 2, part, kvno))))

    def ap_req(self, bindings=bytes(16), ahead=0, mutual=True,
               gss=MUTUAL | INTEGRITY, checksum=None, client=None, realm=None,
               data=None, session=None, change=lambda p: p):
        """[RFC4121] 4.1.1; other names than the ticket's, another session
        key; checksum: the whole of it; change: of the authenticator."""
        if checksum is None:
            checksum = typed(0x8003, struct.pack('<I', 16) + bindings +
                             struct.pack('<I', gss))
        now = time.time() + ahead
        part = tlv(0x62, sequence(
            (0, number(5)), (1, word(realm) if realm else self.realm),
            (2, name(client) if client else self.client),
            (3, checksum or None), (4, number(int(now % 1 * 1000000))),
            (5, stamp(now)), (7, number(int.from_bytes(
                os.urandom(3), 'big'))), (8, data)))
        return tlv(0x6e, sequence(
            (0, number(5)), (1, number(14)), (2, flags(*[2] * mutual)),
            (3, self.der),
            (4, sealed(session or self.session, 11, change(part)))))

    def token(self, **kw):
        return krb5_token(self.ap_req(**kw))


def krb5_token(ap_req, mech=KRB5):
    return tlv(0x60, oid(mech), b'\1\0', ap_req)


def spnego(token, mechs=(KRB5,), mic=None):
    """NegTokenInit: what is offered, and a token of the first one."""
    return tlv(0x60, oid(SPNEGO), tlv(0xa0, sequence(
        (0, tlv(0x30, *map(oid, mechs))),
        (2, None if token is None else octets(token)),
        (3, None if mic is None else octets(mic)))))


def bindings(certificate, kind=b'tls-server-end-point:', hash_name='sha256'):
    """MD5 of the bindings of a TLS server certificate ([RFC4121] 4.1.1.2)."""
    data = kind + hashlib.new(hash_name, certificate).digest()
    return hashlib.md5(bytes(16) + struct.pack('<I', len(data)) + data
                       ).digest()


def aware():
    """[MS-KILE] 3.2.5.8: the client knows of channel bindings."""
    inner = tlv(0x30, typed(143, struct.pack('<I', 0x4000)))
    return tlv(0x30, typed(1, inner))


# Keytabs --------------------------------------------------------------------

def keytab(*entries):
    """Bytes of a file with (principal, kvno, enctype, key) in it."""
    def text(s):
        return struct.pack('>H', len(s)) + s.encode()
    out = b'\5\2'
    for principal, kvno, enctype, key in entries:
        path, realm = principal.rsplit('@', 1)
        parts = path.split('/')
        e = struct.pack('>H', len(parts)) + b''.join(map(text, [
            realm] + parts)) + struct.pack(
                '>IIBHH', PRINCIPAL, int(time.time()), kvno & 255, enctype,
                len(key)) + key + struct.pack('>I', kvno)
        out += struct.pack('>i', len(e)) + e
    return out


def nobodys_keytab(*keys):
    """Of (principal, encryption type, version): nobody has these keys."""
    return keytab(*((principal, version, kind, os.urandom(32))
                    for principal, kind, version in keys))
