"""Clients that never give up, and write down what they were told.

The journal has one JSON object a line:
  op       begin of an operation: n, kind, key (SHA-256 of the SPKI), message
  told     an answer: n, what (issued, pending, denied, again), leaf, number
  end      n: the final answer came
  approve, deny, revoke    an operator's command that reported success
  word     another one: members.py
Times (t) are seconds since 1970."""
import base64
import ctypes
import hashlib
import json
import os
import random
import subprocess
import threading
import time
import types
import uuid

import psycopg
from asn1crypto import core

import cluster  # noqa: F401 -- by it these are found:
import client
import wire
from cryptography.hazmat.primitives import serialization

TRY_AGAIN = (None, 0x800704D5)


class Journal:
    def __init__(self, path):
        self.f = open(path, 'a')
        self.lock = threading.Lock()
        self.n = 0

    def number(self):
        with self.lock:
            self.n += 1
            return self.n

    def write(self, event, **kw):
        with self.lock:
            self.f.write(json.dumps(dict(kw, e=event, t=time.time())) + '\n')
            self.f.flush()


def spki(key):
    return hashlib.sha256(key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class World:
    """What the clients share."""

    def __init__(self, cluster, journal):
        self.c, self.journal = cluster, journal
        self.stop, self.done = threading.Event(), threading.Event()
        self.desk = threading.Lock()    # of the operator who revokes
        self.policy = threading.Lock()  # of who changes it
        self.waiting, self.held = [], []
        self.commands = []      # of an operator, that run
        self.lock = threading.Lock()
        self.busy = {}          # thread -> operation under way
        self.answered = 0       # operations; about right is enough
        self.imported = 0       # of the directory: that and no older one
        self.notes = open(cluster.state / 'operator.log', 'w')

    def ctl(self, *args):
        p = subprocess.Popen(self.c.env['CS_CTL'].split() + list(args),
                             text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        with self.lock:
            self.commands.append(p)
        try:
            out, err = p.communicate(timeout=600)
        finally:
            p.kill()
            with self.lock:
                self.commands.remove(p)
        return subprocess.CompletedProcess(p.args, p.returncode, out, err)

    def take_held(self):
        """The serial number of a certificate that nobody renews any more, in
        hexadecimal, or None."""
        with self.lock:
            der = self.held.pop(0) if self.held else None
        return der and client.x509.load_der_x509_certificate(
            der).serial_number.to_bytes(16, 'big').hex()

    def note(self, text):
        self.notes.write('%.3f %s\n' % (time.time(), text))
        self.notes.flush()


class Enroller(threading.Thread):
    def __init__(self, world, n):
        super().__init__(daemon=True)
        self.w, self.n = world, n
        self.random = random.Random(n)
        self.renew_connection = lambda: client.Client(world.c.env)
        self.http = self.renew_connection()
        self.count = 0

    def run(self):
        kinds = ['enroll', 'enroll', 'renew', 'approve', 'cep']
        while not self.w.stop.is_set():
            self.count += 1
            getattr(self, self.random.choice(kinds))()

    # One operation: the same message until there is a final answer.
    def until_told(self, kind, send, key=None, message='', **more):
        j, n = self.w.journal, self.w.journal.number()
        j.write('op', n=n, kind=kind, message=message,
                key=spki(key) if key else None, **more)
        self.w.busy[self.n] = n
        while True:
            try:
                r = send()
            except Exception:       # a connection that somebody cut
                self.http = self.renew_connection()
                time.sleep(0.1)
                continue
            told = self.judge(r, kind)
            if told['what'] != 'again':
                j.write('told', n=n, **told)
            if told['what'] == 'pending' and kind == 'approve':
                with self.w.lock:
                    self.w.waiting.append(told['number'])
                send = lambda n=told['number']: self.http.query(n)
                kind = 'poll'
                continue
            if told['what'] in ('again', 'pending'):
                time.sleep(0.15)
                continue
            j.write('end', n=n)
            self.w.answered += 1
            self.w.busy.pop(self.n, None)
            return r

    def judge(self, r, kind):
        if kind == 'cep' and r.status == 200 and r.fault is None:
            return {'what': 'policies'}
        if r.status == 200 and r.leaf:
            return {'what': 'issued',
                    'leaf': base64.b64encode(r.leaf).decode(),
                    'number': r.request_id}
        if r.status == 200 and r.fault is None and r.request_id:
            return {'what': 'pending', 'number': r.request_id}
        if r.status in (502, 503, 504) or (
                r.fault is not None and r.hresult in TRY_AGAIN):
            return {'what': 'again'}
        return {'what': 'denied', 'status': r.status, 'reason': r.reason,
                'hresult': r.hresult and '%08x' % r.hresult}

    # What is to be renewed must not be revoked meanwhile.
    def ask(self, kind, token, key, url=None, pkcs10=True, hold=True, **more):
        mid = 'urn:uuid:%s' % uuid.uuid4()
        r = self.until_told(kind, lambda: self.http.enroll(
            token, message_id=mid, url=url, pkcs10=pkcs10), key, mid, **more)
        if r.leaf and hold:
            with self.w.lock:
                self.w.held.append(r.leaf)
                del self.w.held[:-200]
        return r

    def csr(self, template):
        key = client.ec_key()
        name = 'f%d-%d.demo.example' % (self.n, self.count)
        return key, name, client.make_csr(
            key, name, [name], self.w.c.env[template])

    def enroll(self):
        key, _, csr = self.csr('CS_TEMPLATE')
        self.ask('enroll', csr, key)

    def approve(self):
        key, _, csr = self.csr('CS_TEMPLATE_APPROVAL')
        self.ask('approve', csr, key)

    def renew(self):
        old, name, csr = self.csr('CS_TEMPLATE_RENEWAL')
        r = self.ask('enroll', csr, old, hold=False)
        if not r.leaf:
            return
        key = client.ec_key()
        csr = client.renewal_csr(key, r.leaf, cn=name, dns=[name],
                                 template=self.w.c.env['CS_TEMPLATE_RENEWAL'])
        self.ask('renew', client.renewal_cmc(csr, key, old, r.leaf), key,
                 self.w.c.env['CS_CES_RENEWAL_URL'], pkcs10=False)

    def cep(self):
        self.until_told('cep', self.http.policies)


class Approver(threading.Thread):
    """An operator who says yes to most, and cannot take back a no."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.w = world

    def run(self):
        w = self.w
        while not w.stop.is_set() or w.busy:
            with w.lock:
                todo, w.waiting = w.waiting, []
            for n in todo:
                if not self.decide(n, 'deny' if int(n) % 4 == 0 else
                                   'approve'):
                    with w.lock:
                        w.waiting.append(n)
            time.sleep(0.1)

    def decide(self, number, word):
        """Once more until it is done: it may have been, for all we know."""
        w = self.w
        r = w.ctl('request', word, number, '--reason', 'known')
        if r.returncode != 0 and 'is %s already' % (
                'denied' if word == 'deny' else 'issued') not in r.stderr:
            return False
        w.journal.write(word, number=number)
        if word == 'deny' and w.ctl('request', 'approve',
                                    number).returncode == 0:
            w.c.unexpected.append('request %s was denied, and then approved' %
                                  number)
        return True


class Revoker(threading.Thread):
    def __init__(self, world, every=1.0):
        super().__init__(daemon=True)
        self.w, self.every = world, every

    def run(self):
        while not self.w.stop.wait(self.every):
            if (serial := self.w.take_held()) is not None:
                with self.w.desk:
                    self.revoke(serial)

    def revoke(self, serial):
        r = self.w.ctl('cert', 'revoke', serial, '--reason', 'superseded')
        if r.returncode == 0:
            self.w.journal.write('revoke', serial=serial)


class ListReader(threading.Thread):
    """Keeps every revocation list that was ever published."""

    def __init__(self, world, folder):
        super().__init__(daemon=True)
        self.w, self.folder = world, folder
        folder.mkdir(exist_ok=True)
        self.seen = {}

    def run(self):
        src = self.w.c.state / 'web/ca'
        while not self.w.done.wait(0.2):
            for p in src.glob('*.crl'):
                try:
                    der = p.read_bytes()
                except OSError:
                    continue
                if der and self.seen.get(p.name) != der:
                    self.seen[p.name] = der
                    (self.folder / ('%s-%.6f' % (p.name, time.time()))
                     ).write_bytes(der)


class Repeater:
    """A worker's key, and the same message again and again: to one signer or
    to both, in any order, over one connection or several."""

    def __init__(self, world):
        self.w = world
        self.random = random.Random(1)
        self.policy = None

    def stack(self):
        return types.SimpleNamespace(env=self.w.c.env,
                                     sql=lambda q: [(self.policy,)])

    def message(self):
        """What a worker would send, and the key that is asked for."""
        try:
            self.policy = self.w.c.primary.sql(
                'SELECT sha256 FROM countersign.policy '
                'ORDER BY version DESC LIMIT 1')[0][0]
        except psycopg.Error:
            pass                # as it was
        key = client.ec_key()
        name = 'r%d.demo.example' % self.w.journal.number()
        token = client.make_csr(key, name, [name],
                                self.w.c.env['CS_TEMPLATE'])
        return wire.ask(self.stack(), wire.ISSUE, wire.PASSWORD,
                        self.w.c.env['CS_USER'], token), key

    def begin(self):
        """A message, and the number of its operation."""
        message, key = self.message()
        n = self.w.journal.number()
        self.w.journal.write('op', n=n, kind='repeat', key=spki(key),
                             message=None)
        return message, n

    def take(self, n, peer):
        """Journals each certificate that comes back."""
        for answer in peer.answers():
            if wire.status(answer) == 1:
                self.w.journal.write(
                    'told', n=n, what='issued', leaf=base64.b64encode(
                        answer[8].contents).decode(), number=None)
        peer.close()

    def once(self, copies=3):
        message, n = self.begin()
        names = list(self.w.c.ends)
        peers = [Signer(self.w.c, self.random.choice(names)) for _ in range(2)]
        for i in range(copies):
            self.random.choice(peers).send(message)
        for p in peers:
            self.take(n, p)
        return copies - 1


class Signer(wire.Peer):
    """Sends without waiting, and takes the answers later."""

    def __init__(self, cluster, name):
        stack = types.SimpleNamespace(dir=cluster.state)
        super().__init__(stack, 'worker', list(cluster.ends).index(name),
                         cluster.fronts[name], patience=3)
        self.sent = 0

    def send(self, message):
        ident = os.urandom(16)
        self.zmq.zmq_send(self.sock, ident, 16, 2 | 1)
        self.zmq.zmq_send(self.sock, message, len(message), 1)
        self.sent += 1

    def answers(self):
        buf = ctypes.create_string_buffer(1 << 18)
        for _ in range(self.sent):
            if self.zmq.zmq_recv(self.sock, buf, len(buf), 0) == -1:
                return
            n = self.zmq.zmq_recv(self.sock, buf, len(buf), 0)
            yield core.SequenceOf.load(buf.raw[:n], spec=core.Any)


class Stranger(wire.Peer):
    """Somebody with a key of his own; waits for one answer."""

    def __init__(self, cluster, name, secret):
        stack = types.SimpleNamespace(dir=cluster.state)
        super().__init__(stack, 'worker', list(cluster.ends).index(name),
                         cluster.fronts[name], secret.encode(), 3)
