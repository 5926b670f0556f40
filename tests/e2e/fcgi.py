"""FastCGI and HTTP/1 byte by byte."""
import os
import re
import socket
import ssl
import struct
import urllib.parse


def raw_http(stack, text):
    """Bytes to nginx, what comes back."""
    u = urllib.parse.urlsplit(stack.env['CS_CEP_URL'])
    c = ssl.create_default_context(cafile=stack.env['CS_ROOT_PEM'])
    with socket.create_connection((u.hostname, u.port), 300) as s, \
            c.wrap_socket(s, server_hostname=u.hostname) as t:
        t.sendall(text)
        out = b''
        while chunk := t.recv(65536):
            out += chunk
    return out


def worker_socket(stack):
    text = (stack.dir / 'etc' / 'site.conf').read_text()
    return re.search(r'server unix:([^;]+);', text).group(1)


def record(kind, content=b'', request=1, version=1, padding=0):
    return struct.pack('>BBHHBB', version, kind, request, len(content),
                       padding, 0) + content + b'\0' * padding


def param(name, value):
    n, v = name.encode(), value.encode()
    return struct.pack('>II', len(n) | 1 << 31, len(v) | 1 << 31) + n + v


def params(stack, **extra):
    p = dict(REQUEST_METHOD='POST', CONTENT_TYPE='application/soap+xml',
             CONTENT_LENGTH='4', REMOTE_ADDR='127.0.0.1', CS_SERVICE='cep',
             CS_AUTH='password', CS_CA='', CS_URI=stack.env['CS_CEP_URL'])
    p.update(extra)
    return b''.join(param(*i) for i in p.items())


BEGIN = record(1, struct.pack('>HB5x', 1, 0))


def fastcgi(stack, data):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(300)
        # The worker asks who connects: as root, be who nginx is.
        me, path = os.geteuid(), worker_socket(stack)
        os.seteuid(os.stat(path).st_uid)
        try:
            s.connect(path)
        finally:
            os.seteuid(me)
        out = b''
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                out += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
    return out


def framed(stack, stdin=b'<x/>', **extra):
    return (BEGIN + record(4, params(stack, **extra)) + record(4) +
            record(5, stdin) + record(5))
