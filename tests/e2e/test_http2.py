"""What HTTP/2 lets a client say and FastCGI must not hear ([security] N8):
frames of our own, where a library would refuse to send them."""
import socket
import ssl
import urllib.parse

import hpack
import pytest
from hyperframe.frame import (DataFrame, Frame, GoAwayFrame, HeadersFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

import client
from refusals import message

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


class Connection:
    """One HTTP/2 connection; each request is a list of headers as they are."""

    def __init__(self, stack):
        u = urllib.parse.urlsplit(stack.env['CS_CEP_URL'])
        context = ssl.create_default_context(cafile=stack.env['CS_ROOT_PEM'])
        context.set_alpn_protocols(['h2'])
        self.sock = context.wrap_socket(
            socket.create_connection((u.hostname, u.port), 300),
            server_hostname=u.hostname)
        assert self.sock.selected_alpn_protocol() == 'h2'
        self.sock.sendall(PREFACE + SettingsFrame(0).serialize() +
                          WindowUpdateFrame(0, 1 << 30).serialize())
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.stream = -1

    def read(self):
        head = self.exactly(9)
        frame, length = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(self.exactly(length)))
        return frame

    def exactly(self, n):
        out = b''
        while len(out) < n:
            chunk = self.sock.recv(n - len(out))
            if not chunk:
                raise EOFError
            out += chunk
        return out

    def ask(self, headers, body):
        """The status, or 'reset' where nginx ends the stream or more."""
        self.stream += 2
        h = HeadersFrame(self.stream, self.encoder.encode(
            headers, huffman=False), flags=['END_HEADERS'])
        d = DataFrame(self.stream, body, flags=['END_STREAM'])
        try:
            self.sock.sendall(h.serialize() + d.serialize())
            return self.answer()
        except (EOFError, OSError):
            return 'reset'

    def answer(self):
        status = None
        while True:
            f = self.read()
            if isinstance(f, GoAwayFrame):
                return 'reset'
            if isinstance(f, (SettingsFrame, WindowUpdateFrame)) or \
                    f.stream_id != self.stream:
                continue
            if isinstance(f, RstStreamFrame):
                return status or 'reset'
            if isinstance(f, HeadersFrame):
                status = int(dict(self.decoder.decode(f.data))[':status'])
            if 'END_STREAM' in f.flags:
                return status


def request(stack, demo):
    url, text = message(stack, demo)
    u = urllib.parse.urlsplit(url)
    body = text.encode()
    return [(':method', 'POST'), (':scheme', 'https'),
            (':authority', u.netloc), (':path', u.path),
            ('content-type', 'application/soap+xml; charset=utf-8'),
            ('content-length', str(len(body)))], body


def put(headers, name, value):
    """The headers with another value for one of them."""
    return [(n, value if n == name else v) for n, v in headers]


CASES = {
    'longer than announced': lambda h, b: (put(h, 'content-length', '10'), b),
    'shorter than announced': lambda h, b: (
        put(h, 'content-length', str(len(b) + 1)), b),
    'two lengths': lambda h, b: (h + [('content-length', str(len(b)))], b),
    'a length that is none': lambda h, b: (
        put(h, 'content-length', '+%d' % len(b)), b),
    'line break in a value': lambda h, b: (
        h + [('x-a', 'b\r\ncontent-length: 5')], b),
    'line feed in a value': lambda h, b: (h + [('x-a', 'b\nx-c: d')], b),
    'NUL in a value': lambda h, b: (h + [('x-a', 'b\0c')], b),
    'line break in a path': lambda h, b: (put(
        h, ':path', dict(h)[':path'] + ' HTTP/1.1\r\nx-a: b'), b),
    'two paths': lambda h, b: (h[:4] + [(':path', '/')] + h[4:], b),
    'two methods': lambda h, b: (h[:4] + [(':method', 'GET')] + h[4:], b),
    'no path': lambda h, b: (h[:3] + h[4:], b),
    'empty path': lambda h, b: (put(h, ':path', ''), b),
    'path without a slash': lambda h, b: (
        put(h, ':path', dict(h)[':path'][1:]), b),
    'pseudo header that is none': lambda h, b: (
        h[:4] + [(':status', '200')] + h[4:], b),
    'upper case': lambda h, b: (h + [('X-A', 'b')], b),
    'line break in a name': lambda h, b: (h + [('x-a\r\nx-b', 'c')], b),
    'colon in a name': lambda h, b: (h + [('x-a:', 'c')], b),
    'method with a blank': lambda h, b: (
        put(h, ':method', 'POST / HTTP/1.1'), b),
}


@pytest.mark.parametrize('case', CASES)
def test_desync(stack, demo, case):
    """Refused, and what follows on the connection is read as what it is."""
    headers, body = CASES[case](*request(stack, demo))
    c = Connection(stack)
    # A worker that had seen it would have answered 200.
    assert c.ask(headers, body) in (400, 'reset')
    again = c.ask(*request(stack, demo))
    assert again in (200, 'reset')
    if again == 'reset':
        assert Connection(stack).ask(*request(stack, demo)) == 200


def test_transfer_encoding_means_nothing(stack, demo):
    """[RFC9113] 8.2.2: of the connection, not of the message."""
    headers, body = request(stack, demo)
    c = Connection(stack)
    chunked = headers + [('transfer-encoding', 'chunked')]
    assert c.ask(chunked, body) in (200, 400, 'reset')
    assert Connection(stack).ask(headers, body) == 200


def test_without_a_length(stack, demo):
    headers, body = request(stack, demo)
    assert Connection(stack).ask(headers[:-1], body) == 200


def test_many_on_one_connection(stack, demo):
    c = Connection(stack)
    assert [c.ask(*request(stack, demo)) for _ in range(5)] == [200] * 5
    assert client.Client(stack.env).policies().fault is None
