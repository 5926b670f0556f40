"""Bundles of an air gap, taken apart and put together again, from the ASN.1 in
common/bundle.h and independent libraries."""
import hashlib

from cryptography.hazmat.primitives import serialization

HEAD, ITEM, ORDER, WISH, RESULT, VOID, LIST, PART, END = range(0xa0, 0xa9)


def length(n):
    if n < 0x80:
        return bytes([n])
    raw = n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([0x80 | len(raw)]) + raw


def tlv(tag, content):
    return bytes([tag]) + length(len(content)) + content


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, 'big'))


def split(data):
    """[(tag, content)] of values one behind another."""
    out = []
    while data:
        n, at = data[1], 2
        if n & 0x80:
            at += n & 0x7f
            n = int.from_bytes(data[2:at], 'big')
        assert len(data) >= at + n
        out.append((data[0], data[at:at + n]))
        data = data[at + n:]
    return out


def join(values):
    return b''.join(tlv(t, c) for t, c in values)


class Bundle:
    """Records as [tag, [(tag, content) of each field]]."""

    def __init__(self, raw):
        self.records = [[t, split(c)] for t, c in split(raw)]
        assert self.records[-1][0] == END
        del self.records[-1]

    def all(self, tag):
        return [r for r in self.records if r[0] == tag]

    def set(self, record, field, tag, content):
        record[1][field] = (tag, content)

    def head(self, field, tag, content):
        self.set(self.records[0], field, tag, content)

    def signed(self, key_file):
        key = serialization.load_pem_private_key(
            open(key_file, 'rb').read(), None)
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        self.head(2, 4, hashlib.sha256(spki).digest())
        return self.signed_as_is(key)

    def signed_as_is(self, key):
        body = b''.join(tlv(t, join(f)) for t, f in self.records)
        n = len(self.records)
        sig = key.sign(b'countersign bundle 1\0' + n.to_bytes(8, 'big') +
                       hashlib.sha256(body).digest())
        return body + tlv(END, integer(n) + tlv(4, sig))
