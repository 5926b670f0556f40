"""A hijacked worker: its CURVE key and its database role against a signer."""
import ctypes
import os
import re
import time

import psycopg
import pytest
from asn1crypto import core

import client
from schema import check_fault, check_rstrc
from test_ledger import restart_signers

ISSUE, QUERY, APPROVE, DENY = 1, 2, 4, 5
ANONYMOUS, PASSWORD, OPERATOR = 1, 4, 16
DEALER, LINGER, RCVTIMEO, SNDTIMEO = 5, 17, 27, 28
CURVE_SERVERKEY, CURVE_PUBLICKEY, CURVE_SECRETKEY = 50, 48, 49


class Peer:
    """Speaks to a signer with the key of a program of the stack; port: of
    somebody in between; secret: another key."""

    def __init__(self, stack, program, signer=0, port=None, secret=None):
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
        for opt, value in ((LINGER, 0), (RCVTIMEO, 3000),
                           (SNDTIMEO, 3000)):
            v = ctypes.c_int(value)
            self.zmq.zmq_setsockopt(self.sock, opt, ctypes.byref(v), 4)
        assert self.zmq.zmq_connect(self.sock, end.encode()) == 0

    def ask(self, message):
        """The signer's answer; None when it answers nothing."""
        ident = os.urandom(16)
        # Who was refused has no connection left to send into.
        if self.zmq.zmq_send(self.sock, ident, 16, 2) != 16:
            return None
        assert self.zmq.zmq_send(self.sock, message, len(message), 0) > 0
        buf = ctypes.create_string_buffer(1 << 18)
        n = self.zmq.zmq_recv(self.sock, buf, len(buf), 0)
        if n == -1:
            return None
        assert n == 16
        n = self.zmq.zmq_recv(self.sock, buf, len(buf), 0)
        return core.SequenceOf.load(buf.raw[:n], spec=core.Any)

    def close(self):
        self.zmq.zmq_close(self.sock)
        self.zmq.zmq_ctx_term(self.ctx)


@pytest.fixture(scope='module')
def worker(stack):
    p = Peer(stack, 'worker')
    yield p
    p.close()


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
        evidence=b''):
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    now = time.time()
    ident = int(now // 86400).to_bytes(2, 'big') + os.urandom(14)
    policy = bytes(stack.sql('SELECT sha256 FROM countersign.policy '
                             'ORDER BY version DESC LIMIT 1')[0][0])
    return seq(number(1), enum(call), octets(ident), octets(os.urandom(16)),
               octets(policy), number(int(now * 1000)), text(ca),
               number(method), text(account), text('192.0.2.1'),
               octets(token), seq(), number(asked), octets(evidence), verdict)


def status(answer):
    return None if answer is None else answer[2].contents[0]


def waiting(stack):
    """Id of a request that waits for a manager."""
    r = client.Client(stack.env).enroll(client.make_csr(
        client.ec_key(), 'w.demo.example', [],
        stack.env['CS_TEMPLATE_APPROVAL']))
    n = int(r.findtext('.//e:RequestID'))
    rows = stack.sql('SELECT id, state FROM countersign.request '
                     'WHERE number = %s', n)
    assert rows[0][1] == 'pending'
    return bytes(rows[0][0])


@pytest.mark.parametrize('call', [APPROVE, DENY])
@pytest.mark.parametrize('method', [ANONYMOUS, PASSWORD, OPERATOR])
@pytest.mark.parametrize('account', ['', 'alice'])
def test_workers_decide_nothing(stack, worker, call, method, account):
    """ESC7: whoever submits must not approve, and a worker submits."""
    ident = waiting(stack)
    verdict = seq(octets(ident), text('root'), text(''), text(''))
    answer = worker.ask(ask(stack, call, method, account, verdict=verdict))
    assert answer is None or status(answer) == 3
    if answer is not None:
        assert b'may not use method' in answer[4].contents
    row = stack.sql('SELECT state, approved_by FROM countersign.request '
                    'WHERE id = %s', ident)[0]
    assert row == ('pending', None)


def test_no_client_certificate_beside_a_password(stack, worker):
    """A row would say that somebody had logged on with it."""
    demo = client.Client(stack.env)
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    cert = demo.enroll(csr).leaf
    a = worker.ask(ask(stack, ISSUE, PASSWORD, demo.user, csr, evidence=cert))
    assert status(a) == 3
    assert b'a client certificate, and method password' in a[4].contents


@pytest.mark.parametrize('call', [ISSUE, QUERY])
def test_workers_are_no_operators(stack, worker, call):
    csr = client.make_csr(client.ec_key(), 'x.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    a = worker.ask(ask(stack, call, OPERATOR, 'alice', csr, asked=7))
    assert status(a) == 3 and b'may not use method' in a[4].contents


def test_nobody_queries(stack, worker):
    a = worker.ask(ask(stack, QUERY, ANONYMOUS, '', asked=7))
    assert status(a) == 3 and b'only renew' in a[4].contents


@pytest.fixture
def limited(stack):
    """Signers that let the worker ask for one template."""
    confs = sorted((stack.dir / 'etc').glob('signer-*.conf'))
    before = [c.read_text() for c in confs]

    def put(texts):
        for c, text in zip(confs, texts):
            c.write_text(text)
        restart_signers(stack)
    line = 'worker "worker" {\n'
    assert all(line in text for text in before)
    try:
        put([text.replace(line, line + '\ttemplates = {"%s"}\n' %
                          stack.env['CS_TEMPLATE']) for text in before])
        yield
    finally:
        put(before)


def test_templates_of_a_worker(stack, limited):
    """[security] Z8: it gets no more than what it is there for."""
    demo, name = client.Client(stack.env), 'limit.demo.example'

    def enroll(template):
        return demo.enroll(client.make_csr(client.ec_key(), name, [name],
                                           stack.env[template]))
    check_rstrc(enroll('CS_TEMPLATE'))
    words = 'worker worker may not ask for it'
    for template in 'CS_TEMPLATE_APPROVAL', 'CS_TEMPLATE_RENEWAL':
        r = enroll(template)
        check_fault(r)
        assert r.hresult == 0x80070005 and words in r.reason, r.reason
        state, why = stack.sql(
            'SELECT state, message FROM countersign.request WHERE account = '
            '%s ORDER BY received_at DESC LIMIT 1', demo.user)[0]
        assert state == 'denied' and words in why
