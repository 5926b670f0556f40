"""Messages to a signer, written as workers do: common/msg.h."""
import ctypes
import os
import re
import time

from asn1crypto import core

ISSUE, QUERY, APPROVE, DENY = 1, 2, 4, 5
ANONYMOUS, PASSWORD, CERTIFICATE, OPERATOR = 1, 4, 8, 16
DEALER, LINGER, RCVTIMEO, SNDTIMEO = 5, 17, 27, 28
CURVE_SERVERKEY, CURVE_PUBLICKEY, CURVE_SECRETKEY = 50, 48, 49


class Peer:
    """Speaks to a signer with the key of a program of the stack; port: of
    somebody in between; secret: another key; patience: seconds, for an answer
    that may never come."""

    def __init__(self, stack, program, signer=0, port=None, secret=None,
                 patience=120):
        self.zmq = ctypes.CDLL('libzmq.so.5')
        self.zmq.zmq_ctx_new.restype = ctypes.c_void_p
        self.zmq.zmq_socket.restype = ctypes.c_void_p
        conf = (stack.dir / 'etc/worker.conf').read_text()
        end = re.findall(r'endpoint = "([^"]+)"', conf)[signer]
        if port is not None:
            end = 'tcp://127.0.0.1:%d' % port
        server = re.findall(r"public-key = '([^']+)'", conf)[signer].encode()
        if secret is None:
            secret = (stack.dir / 'keys' / (
                program + '.key')).read_bytes()[:40]
        public = ctypes.create_string_buffer(41)
        assert self.zmq.zmq_curve_public(public, secret) == 0
        self.ctx = ctypes.c_void_p(self.zmq.zmq_ctx_new())
        self.sock = ctypes.c_void_p(self.zmq.zmq_socket(self.ctx, DEALER))
        for opt, value in ((CURVE_SERVERKEY, server),
                           (CURVE_PUBLICKEY, public.value),
                           (CURVE_SECRETKEY, secret)):
            assert self.zmq.zmq_setsockopt(self.sock, opt, value, 40) == 0
        for opt, value in ((LINGER, 0), (RCVTIMEO, 1000 * patience),
                           (SNDTIMEO, 1000 * patience)):
            v = ctypes.c_int(value)
            self.zmq.zmq_setsockopt(self.sock, opt, ctypes.byref(v), 4)
        assert self.zmq.zmq_connect(self.sock, end.encode()) == 0

    def send(self, message):
        """Its id; None: who was refused has no connection to send into."""
        ident = os.urandom(16)
        if self.zmq.zmq_send(self.sock, ident, 16, 2) != 16:
            return None
        assert self.zmq.zmq_send(self.sock, message, len(message), 0) > 0
        return ident

    def ask(self, message):
        """The signer's answer; None when it answers nothing.  One that comes
        late is not the next one's."""
        ident = self.send(message)
        if ident is None:
            return None
        while (whose := self.receive()) is not None:
            answer = self.receive()
            if whose == ident:
                return core.SequenceOf.load(answer, spec=core.Any)
        return None

    def receive(self):
        buf = ctypes.create_string_buffer(1 << 18)
        n = self.zmq.zmq_recv(self.sock, buf, len(buf), 0)
        return None if n == -1 else buf.raw[:n]

    def close(self):
        self.zmq.zmq_close(self.sock)
        self.zmq.zmq_ctx_term(self.ctx)


def seq(*parts):
    return core.Asn1Value.dump(core.Sequence(contents=b''.join(parts)))


def octets(b):
    return core.OctetString(b).dump()


def text(s):
    return core.UTF8String(s).dump()


def enum(n):
    return bytes([10, 1, n])


def number(n):
    return core.Integer(n).dump()


def ask(stack, call, method, account, token=b'', verdict=b'', asked=0,
        evidence=b'', ahead=0, days=0):
    """ahead: seconds, of the message; days: of its id."""
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    now = time.time()
    ident = int(now // 86400 + days).to_bytes(2, 'big') + os.urandom(14)
    policy = bytes(stack.sql('SELECT sha256 FROM countersign.policy '
                             'ORDER BY version DESC LIMIT 1')[0][0])
    return seq(number(1), enum(call), octets(ident), octets(os.urandom(16)),
               octets(policy), number(int((now + ahead) * 1000)),
               text(ca), number(method), text(account), text('192.0.2.1'),
               octets(token), seq(), number(asked), octets(evidence), verdict)


def status(answer):
    return None if answer is None else answer[2].contents[0]
