#!/usr/bin/python3
"""What must hold after faults.py, from the evidence alone: what the clients
wrote down, both database nodes, the ledgers, the lists that were published,
what the signers' keys were asked for.  Shares no code with the programs.

    check.py FOLDER     reads report.json there; prints a table; 1 if not well
    check.py FOLDER/evidence.pickle     the same again, from what it kept
"""
import base64
import collections
import datetime
import hashlib
import json
import pathlib
import pickle
import re
import sys

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from evidence import TABLES, Evidence, collect

ANSWER_SECONDS = 120
APART = 65      # a signer's clock and ours: what it lets pass, and a little
EARLY = 600     # a certificate begins so long before it is asked for
HELD = 300      # from there to its intent: who is stopped, or waits
# What a signer signs at start to learn what a signature costs.
MEASURE = hashlib.sha256(b'how long does a signature take').hexdigest()
TEMPLATE = x509.ObjectIdentifier('1.3.6.1.4.1.311.21.7')
MEMBER = re.compile(r'm(\d+) g(\d+)')   # members.py: who, of which import
LEAVER = 'm4@faults.example'


# Ledgers -------------------------------------------------------------------

def entries(text):
    """Entries of a ledger, and what is wrong with its chain."""
    out, bad, prev = [], [], '0' * 64
    if text and not text.endswith(b'\n'):
        bad.append('the last line has no end')
    for i, line in enumerate(text.split(b'\n')[:-1]):
        body, sep, tail = line.rpartition(b',"hash":"')
        h = hashlib.sha256(body).hexdigest()
        try:
            entry = json.loads(line)
        except ValueError:
            bad.append('line %d is not JSON' % (i + 1))
            continue
        if not sep or tail != b'%s"}' % h.encode():
            bad.append('line %d: its hash is another' % (i + 1))
        if entry.get('prev') != prev or entry.get('seq') != i + 1:
            bad.append('line %d does not follow the one before' % (i + 1))
        prev = entry.get('hash')
        out.append(entry)
    return out, bad


class Books:
    """All ledgers, read once."""

    def __init__(self, e):
        self.bad, self.intents, self.issued = [], [], {}
        self.closed, self.void = set(), set()
        self.signed = collections.defaultdict(set)      # signer -> TBS hashes
        self.lines = collections.defaultdict(set)       # (signer, number)
        self.heads = []         # signer, number, hash, signature
        self.dates = []         # ledger, number, seconds since 1970
        self.numbers = []       # ledger, CA and number of a list
        for name, text in e.ledgers.items():
            es, bad = entries(text)
            self.bad += ['%s: %s' % (name, b) for b in bad]
            for x in es:
                self.take(name, x)

    def take(self, name, x):
        t, signer = x['type'], name.split()[0]
        self.lines[signer, x['seq']].add(x['hash'])
        self.dates.append((name, x['seq'], when(x['at'])))
        if t == 'head':         # of the line before
            self.heads.append((signer, x['seq'] - 1, x['prev'], x['sig']))
        if t == 'intent':
            self.intents.append((name, x))
        elif t == 'crl':
            self.numbers.append((name, x['ca'], int(x['number'])))
        elif t == 'issued':
            self.issued[x['serial']] = base64.b64decode(x['certificate'])
        elif t == 'done':
            self.closed.update(x['ids'].split(','))
        elif t == 'void' and 'serial' in x:
            self.void.add(x['serial'])
        if 'tbs' in x:
            self.signed[signer].add(x['tbs'])


# Certificates --------------------------------------------------------------

def load(der):
    return x509.load_der_x509_certificate(der)


def verify(ca, signature, data, algorithm):
    key = ca.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(algorithm))
    else:
        key.verify(signature, data, padding.PKCS1v15(), algorithm)


def is_by(ca, thing, data):
    try:
        verify(ca, thing.signature, data, thing.signature_hash_algorithm)
        return True
    except Exception:
        return False


def when(text):
    """Of a ledger's entry; seconds since 1970."""
    return datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%f%z'
                                      ).timestamp()


def in_time(e, t):
    """Within the round?  A clock may be off by as much before it counts."""
    return e.report['began'] - APART <= t <= e.report['ended'] + APART


def told(e):
    """n -> certificates that a client was given for one operation."""
    out = collections.defaultdict(list)
    for j in e.journal:
        if j['e'] == 'told' and j['what'] == 'issued':
            out[j['n']].append(base64.b64decode(j['leaf']))
    return out


# Invariants: each yields what is wrong -------------------------------------

def i1(e, b):
    "every certificate that a client has is a row, on both nodes"
    given = [d for v in told(e).values() for d in v]
    for name, tables in e.nodes.items():
        rows = {r.der for r in tables['certificate']}
        for d in given:
            if d not in rows:
                yield 'node %s lacks %x' % (name, load(d).serial_number)
    tables = list(e.nodes.values())
    for t in TABLES:
        if sorted(map(repr, tables[0][t])) != sorted(map(repr, tables[1][t])):
            yield 'the nodes differ in ' + t


def i2(e, b):
    "every row is a certificate of the CA, as intended in a ledger"
    intents = {x['serial']: x for _, x in b.intents}
    cas = {n: load(d) for n, d in e.cas.items()}
    requests = {r.id: r for r in e.rows['request']}
    for r in e.rows['certificate']:
        try:
            c = load(r.der)
        except ValueError:
            yield '%s does not parse' % r.serial.hex()
            continue
        if not is_by(cas[r.ca], c, c.tbs_certificate_bytes):
            yield '%s: its signature is wrong' % r.serial.hex()
        x = intents.get(r.serial.hex())
        tbs = hashlib.sha256(c.tbs_certificate_bytes).hexdigest()
        if x is None or x['tbs'] != tbs or x['id'] != r.request_id.hex():
            yield '%s: no such intent' % r.serial.hex()
        if c.serial_number != int(r.serial.hex(), 16) or hashlib.sha256(
                c.public_key().public_bytes(
                    serialization.Encoding.DER,
                    serialization.PublicFormat.SubjectPublicKeyInfo)
                ).digest() != r.spki_sha256:
            yield '%s: the row is not the certificate' % r.serial.hex()
        elif x is not None and abs(c.not_valid_before.replace(
                tzinfo=datetime.timezone.utc).timestamp() + EARLY -
                when(x['at'])) > HELD:
            yield '%s: from another time than its intent' % r.serial.hex()
        q = requests.get(r.request_id)
        if q is None or q.serial != r.serial or q.state != 'issued':
            yield '%s: no such request' % r.serial.hex()


def i3(e, b):
    "every intent has a certificate, or is void and on the list"
    rows = {r.serial.hex() for r in e.rows['certificate']}
    void = {r.serial.hex() for r in e.rows['void_serial']}
    revoked = {r.serial.hex() for r in e.rows['revoked']}
    for name, x in b.intents:
        s = x['serial']
        if s in rows and s in void:
            yield '%s is void and a certificate' % s
        if s not in rows and not (s in void and s in revoked):
            yield '%s (%s) has no end' % (s, name)
        if s in rows and x['id'] not in b.closed:
            yield '%s (%s): not closed in the ledger' % (s, name)
        if s in void and s not in b.void:
            yield '%s (%s): void, and the ledger does not say so' % (s, name)


def i4(e, b):
    "no serial twice, and each begins with its signer's prefix"
    prefix = {r.name: r.prefix for r in e.rows['signer']}
    n = collections.Counter(x['serial'] for _, x in b.intents)
    yield from ('%s twice in ledgers' % s for s, k in n.items() if k > 1)
    n = collections.Counter(r.serial for r in e.rows['certificate'])
    yield from ('%s twice in rows' % s.hex() for s, k in n.items() if k > 1)
    seen = {}
    for k, v in told(e).items():
        for d in set(v):
            s = load(d).serial_number
            if seen.setdefault(s, k) != k:
                yield '%x was given to two clients' % s
    if len(set(prefix.values())) != len(prefix):
        yield 'two signers have one prefix'
    for name, x in b.intents:
        if int(x['serial'][6:10], 16) != prefix.get(name.split()[0]):
            yield '%s is not of %s' % (x['serial'], name)


def signed_head(keys, signer, seq, digest, sig):
    """By the signer's audit key?"""
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(
            bytes.fromhex(keys[signer])).verify(
                bytes.fromhex(sig), b'countersign ledger head\0%s\n%d\n%s\n' %
                (signer.encode(), seq, digest.encode()))
        return True
    except (InvalidSignature, KeyError):
        return False


def i5(e, b):
    "the ledgers' chains are whole, as their heads and the database say"
    yield from b.bad
    if e.verify:
        yield 'countersign ledger verify: ' + e.verify.strip()
    rows = [(r.signer, r.seq, r.hash.hex(), json.loads(r.head)['sig'])
            for r in e.rows['ledger_head']]
    for signer, seq, digest, sig in rows + b.heads:
        if digest not in b.lines[signer, seq]:
            yield '%s: line %d is not what its head says' % (signer, seq)
        if not signed_head(e.audit_keys, signer, seq, digest, sig):
            yield '%s: the head of line %d is not signed' % (signer, seq)
    yield from ('%s has no head' % n for n in e.audit_keys
                if n not in {r[0] for r in rows})
    for name, number, at in b.dates:
        if not in_time(e, at):
            yield '%s: line %d is from another time' % (name, number)
    for s, der in b.issued.items():
        row = [r for r in e.rows_by_serial.get(s, [])]
        if row and row[0].der != der:
            yield '%s: ledger and row have two certificates' % s


class List:
    """A published list; base: None, or what it is a delta to."""

    def __init__(self, der):
        self.der, self.crl = der, x509.load_der_x509_crl(der)
        self.number = self.extension(x509.CRLNumber)
        self.base = self.extension(x509.DeltaCRLIndicator)
        # thisUpdate is ten minutes before it was made.
        self.at = 600 + self.crl.last_update.replace(
            tzinfo=datetime.timezone.utc).timestamp()
        self.serials = {r.serial_number for r in self.crl}
        self.digest = hashlib.new(self.crl.signature_hash_algorithm.name,
                                  self.crl.tbs_certlist_bytes).digest()

    def extension(self, kind):
        try:
            return self.crl.extensions.get_extension_for_class(
                kind).value.crl_number
        except x509.ExtensionNotFound:
            return None

    def tells(self, complete):
        """What is revoked, whichever complete list it is read with."""
        if self.base is None:
            return [self.serials]
        return [self.serials | c.serials for c in complete
                if self.base <= c.number < self.number]


def lists_of(e):
    """All of the CAs that signers have, in the order in which they came."""
    subjects = [load(d).subject for d in e.cas.values()]
    return [c for c in map(List, e.lists) if c.crl.issuer in subjects]


def known(lists):
    """Lists in the order of their numbers; what each tells, with its base."""
    complete = [c for c in lists if c.base is None]
    return [(c, c.tells(complete))
            for c in sorted(lists, key=lambda c: c.number)]


def unknown_lists(e, lists):
    """What is out, and the database has none or another of that number.  One
    that was restored may lack what was made in the last moment before."""
    rows = {(r.ca, r.number): r.tbs_digest for r in e.rows['crl']}
    restored = e.report['injections'].get('restored')
    for c in lists:
        for name, der in e.cas.items():
            if not is_by(load(der), c.crl, c.crl.tbs_certlist_bytes):
                continue
            row = rows.get((name, c.number))
            if row is None and not restored:
                yield 'list %d is out and in no database' % c.number
            elif row is not None and row != c.digest:
                yield 'list %d is out, and the database has another' % c.number


def i6(e, b):
    "lists: numbers rise, nothing disappears, nothing revoked is missing"
    cas = [load(d) for d in e.cas.values()]
    lists, last, before = lists_of(e), {}, set()
    for name, ca, number in b.numbers:      # signed, if not published
        if number <= last.get((name, ca), 0):
            yield '%s: number %d after %d' % (name, number, last[name, ca])
        last[name, ca] = number
    for c in lists:
        kind = c.base is None
        if c.number <= last.get(kind, 0):
            yield 'number %d after %d' % (c.number, last[kind])
        if not in_time(e, c.at):
            yield 'list %d is from another time' % c.number
        last[kind] = c.number
        if not any(is_by(ca, c.crl, c.crl.tbs_certlist_bytes) for ca in cas):
            yield 'list %d is not signed by the CA' % c.number
    if not lists:
        yield 'no list was published'
        return
    yield from unknown_lists(e, lists)
    revoked = [(j['t'] + 1, int(j['serial'], 16)) for j in e.journal
               if j['e'] == 'revoke']
    for c, told in known(lists):
        if not told:
            yield 'delta %d is to %d, which nobody saw' % (c.number, c.base)
            continue
        if any(t != told[0] for t in told):
            yield 'delta %d: it matters what it is read with' % c.number
        if before - told[0]:
            yield 'list %d lacks what was on the one before' % c.number
        before = told[0]
        for t, serial in revoked:
            if c.at > t and serial not in before:
                yield 'list %d lacks %x' % (c.number, serial)
    rows = {int(r.serial.hex(), 16) for r in e.rows['revoked']}
    if rows != before:
        yield 'the last list has %d of %d entries' % (
            len(before & rows), len(rows))


def i7(e, b):
    "one message, one certificate"
    given = told(e)
    n = collections.Counter(r.spki_sha256.hex()
                            for r in e.rows['certificate'])
    for j in e.journal:
        if j['e'] != 'op' or not j['key']:
            continue
        if len(set(given[j['n']])) > 1:
            yield 'operation %d was given two certificates' % j['n']
        if n[j['key']] > 1:
            yield 'operation %d has %d rows' % (j['n'], n[j['key']])
    keys = collections.Counter(r.replay_key for r in e.rows['request']
                               if r.state == 'issued')
    yield from ('replay key %s twice' % k.hex()
                for k, v in keys.items() if v > 1)


def templates(text):
    """OID -> version and seconds of a certificate under this policy."""
    out = {}
    for t in re.findall(r'^template .*?^}', text, re.M | re.S):
        n, unit = re.search(r'^\tvalidity = (\d+)([hdy])$', t, re.M).groups()
        out[re.search(r'^\toid = "(.*)"$', t, re.M)[1]] = (
            re.search(r'^\tversion = "(.*)"$', t, re.M)[1],
            int(n) * {'h': 3600, 'd': 86400, 'y': 365 * 86400}[unit])
    return out


def made_of(c):
    """OID of its template, and what templates() has of it."""
    oid, major, minor = (x.native for x in (core.Sequence.load(
        c.extensions.get_extension_for_oid(TEMPLATE).value.value)[i]
        for i in range(3)))
    lasts = (c.not_valid_after - c.not_valid_before).total_seconds() - EARLY
    return oid, ('%d.%d' % (major, minor), lasts)


def i8(e, b):
    "each row tells who proved it was, under which policy; replayed, the same"
    policies = {r.sha256: templates(r.body.decode()) for r in
                e.rows['policy']}
    for r in e.rows['request']:
        if r.policy_hash not in policies:
            yield 'request %d: unknown policy' % r.number
        elif r.state == 'issued':
            for row in e.rows_by_serial.get(r.serial.hex(), []):
                oid, made = made_of(load(row.der))
                if policies[r.policy_hash].get(oid) != made:
                    yield 'request %d: made by another policy: %s' % (
                        r.number, made)
        if r.method not in (1, 2, 4, 8, 16) or not r.account:
            yield 'request %d: nobody' % r.number
    for number, code, text in e.replayed:
        if code != 0:
            yield 'request %d: replayed: %s' % (number, text.strip()[:100])


def i9(e, b):
    "the CA's key signed what the ledgers had before, each once, and no other"
    for name, digests in e.spied.items():
        n = collections.Counter(d for d in digests if d != MEASURE)
        for d, k in n.items():
            if d not in b.signed[name]:
                yield '%s signed %s, which no ledger has' % (name, d)
            if k > 1:
                yield '%s signed %s %d times' % (name, d, k)
    # A process that took a signer's name for a moment was not watched.
    seen = {d for v in e.spied.values() for d in v} | {
        x['tbs'] for name, x in b.intents if ' ' in name}
    for der in {d for v in told(e).values() for d in v}:
        c = load(der)
        if hashlib.sha256(c.tbs_certificate_bytes).hexdigest() not in seen:
            yield '%x: no signer signed it' % c.serial_number


def i10(e, b):
    "what was decided stays decided"
    final = {}
    for j in e.journal:
        if j['e'] != 'told':
            continue
        if j['n'] in final and final[j['n']] != j['what']:
            yield 'operation %d: %s after %s' % (j['n'], j['what'],
                                                 final[j['n']])
        if j['what'] != 'pending':
            final[j['n']] = j['what']
    rows = {r.serial for r in e.rows['certificate']}
    denied = {j['number'] for j in e.journal if j['e'] == 'deny'}
    for r in e.rows['request']:
        if str(r.number) in denied and r.state != 'denied':
            yield 'request %d was denied and is %s' % (r.number, r.state)
        if (r.state == 'issued') != (r.serial in rows):
            yield 'request %d is %s, its certificate is %s' % (
                r.number, r.state, 'there' if r.serial in rows else 'not')
    yield from members(e)


def words(e, what):
    """Generations that may be the last: one reported as done, or one behind
    it of which nobody knows."""
    asked = [j for j in e.journal if j['e'] == 'word' and j['what'] == what]
    done = max((j['gen'] for j in asked if j['done']), default=0)
    return {j['gen'] for j in asked if j['gen'] > done} | {done}


def members(e):
    """What an operator was told holds, all of it or nothing."""
    found = {}
    groups = {(r.account, r.name) for r in e.rows['account_group']}
    for r in e.rows['account']:
        m = MEMBER.fullmatch(r.cn)
        if m is None or r.name == LEAVER:
            continue
        i, gen = int(m[1]), int(m[2])
        found[i] = gen
        if (r.name, r.sid, r.upn, r.email, r.disabled) != (
                'm%d@faults.example' % i, 'S-1-5-21-1-2-3-%d' % (1100 + i),
                'u%d@faults.example' % (i ^ gen % 2),
                'm%d.g%d@faults.example' % (i, gen), False):
            yield '%s is of two imports' % r.name
        if ((r.name, 'odd') in groups) != ((i + gen) % 2 == 1) or \
                (r.name, 'users') not in groups:
            yield '%s: groups are of another import' % r.name
    gens = set(found.values())
    if len(found) != 4 or len(gens) != 1 or not gens <= words(e, 'import'):
        yield 'imported: %s, not one of %s' % (found, words(e, 'import'))
    leaver = next((r for r in e.rows['account'] if r.name == LEAVER), None)
    if leaver is None or leaver.email not in {
            'gone.g%d@faults.example' % g for g in words(e, 'change')}:
        yield 'the name that was changed last is gone'
    ops = {j['n']: j for j in e.journal if j['e'] == 'op' and 'who' in j}
    for n, given in told(e).items():
        for der in given if n in ops else []:
            m = MEMBER.fullmatch(load(der).subject.rfc4514_string()[3:])
            if ops[n]['kind'] == 'barred':
                yield 'operation %d: issued to who is barred' % n
            if m is None or int(m[1]) != ops[n]['who']:
                yield 'operation %d: issued to another' % n
            elif int(m[1]) < 4 and int(m[2]) < ops[n]['least']:
                yield 'operation %d: has names of import %s, not of %d' % (
                    n, m[2], ops[n]['least'])


def i11(e, b):
    "no secret in logs, tables, ledgers"
    yield from e.leaks


def locked_out(e):
    """Operations that were refused because reconcile had disabled somebody,
    whom nobody had let in again."""
    done = [j for j in e.journal if j['e'] == 'word' and j['done']]
    ops = {j['n']: j for j in e.journal if j['e'] == 'op' and 'who' in j}
    for j in e.journal:
        if j['e'] == 'told' and j['what'] == 'denied' and j['n'] in ops and \
                'is disabled' in (j['reason'] or ''):
            o = ops[j['n']]
            put_right = 'enable' if o['who'] == 4 else 'import'
            last = [w['what'] for w in done if w['t'] < o['t'] and
                    w['what'] == put_right or w['t'] < j['t'] and
                    w['what'] == 'reconcile'][-1:]
            if last == ['reconcile']:
                yield o['n']


def refused(e):
    """Operations whose request the operator has denied."""
    denied = {j['number'] for j in e.journal if j['e'] == 'deny'}
    return {j['n'] for j in e.journal if j['e'] == 'told' and
            j['what'] == 'pending' and j['number'] in denied}


def i12(e, b):
    "every client gets its answer"
    ops = {j['n']: j for j in e.journal if j['e'] == 'op' and
           j['kind'] != 'repeat'}
    barred = {n for n, j in ops.items() if j['kind'] == 'barred'} | set(
        locked_out(e)) | refused(e)
    for j in e.journal:
        if j['e'] == 'end':
            ops.pop(j['n'], None)
            if j['t'] > e.report['last_fault'] + ANSWER_SECONDS:
                yield 'operation %d waited too long' % j['n']
        elif j['e'] == 'told' and j['what'] == 'denied' and \
                j['n'] not in barred:
            yield 'operation %d: %s %s' % (j['n'], j['hresult'], j['reason'])
    yield from ('operation %d has no answer' % n for n in ops)
    yield from e.report['unexpected']


INVARIANTS = [i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12]


def judge(e, only=None):
    """Name of the invariant -> what is wrong."""
    e.rows_by_serial = collections.defaultdict(list)
    for r in e.rows['certificate']:
        e.rows_by_serial[r.serial.hex()].append(r)
    b = Books(e)
    return {f.__name__.upper(): list(f(e, b)) for f in INVARIANTS
            if only in (None, f.__name__.upper())}


def counts(e):
    b = Books(e)
    r = e.report
    given = len({d for v in told(e).values() for d in v})
    ops = collections.Counter(j['kind'] for j in e.journal if j['e'] == 'op')
    return [
        ('injections', sum(r['injections'].values()) - sum(
            v for k, v in r['injections'].items() if ' ' in k)),
        ('operations', ', '.join('%d %s' % (v, k) for k, v in ops.items())),
        ('certificates given', given),
        ('rows', len(e.rows['certificate'])),
        ('intents', len(b.intents)),
        ('void serials', len(e.rows['void_serial'])),
        ('revoked', len(e.rows['revoked'])),
        ('lists', len(e.lists)),
        ('signatures', ', '.join('%d %s' % (len(v), k)
                                 for k, v in e.spied.items())),
        ('last answer after', '%s s' % r['waited'])]


def main():
    state = pathlib.Path(sys.argv[1])
    e = Evidence()
    if state.is_file():
        e.__dict__ = pickle.load(open(state, 'rb'))
    else:
        e = collect(state)
        with open(state / 'evidence.pickle', 'wb') as f:
            pickle.dump(e.__dict__, f)
    for k, v in sorted(e.report['injections'].items()):
        print('%7d  %s' % (v, k))
    for k, v in counts(e):
        print('%-20s %s' % (k, v))
    wrong = judge(e)
    for f in INVARIANTS:
        name = f.__name__.upper()
        print('%-4s %-8s %s' % (name, 'holds' if not wrong[name] else
                                '%d WRONG' % len(wrong[name]), f.__doc__))
        for w in wrong[name][:8]:
            print('        ' + w)
    sys.exit(1 if any(wrong.values()) else 0)


if __name__ == '__main__':
    main()
