"""A short round of faults.py, what check.py says of it, and whether check.py
would have noticed: the same evidence, doctored."""
import base64
import copy
import hashlib
import pickle
import random
import re
import subprocess
import sys
import types

import pytest

import check
from cluster import TOP

STATE = TOP / 'var/faults-round'
SEED, MINUTES = '6', '3'


@pytest.fixture(scope='module')
def evidence():
    r = subprocess.run([sys.executable, TOP / 'tests/faults/faults.py',
                        '--seed', SEED, '--minutes', MINUTES,
                        '--state', STATE], capture_output=True, text=True,
                       timeout=3600)
    print(r.stdout + r.stderr)
    assert (STATE / 'evidence.pickle').exists(), r.stdout + r.stderr
    e = check.Evidence()
    e.__dict__ = pickle.load(open(STATE / 'evidence.pickle', 'rb'))
    return e


@pytest.fixture(scope='module')
def verdict(evidence):
    return check.judge(evidence)


@pytest.mark.parametrize('name', ['I%d' % n for n in range(1, 13)])
def test_holds(verdict, name):
    assert verdict[name] == []


def test_something_happened(evidence):
    """The round is worth its name."""
    n = evidence.report['injections']
    assert sum(n.values()) > 100
    assert len(n) > 20, n
    assert sum(1 for j in evidence.journal if j['e'] == 'end') > 10
    assert {c.base is None for c in check.lists_of(evidence)} == {True, False}
    kinds = {j['kind'] for j in evidence.journal if j['e'] == 'op'}
    assert kinds == {'enroll', 'renew', 'approve', 'cep', 'repeat', 'ticket',
                     'barred'}
    assert max(check.words(evidence, 'import')) > 2


# Doctored ------------------------------------------------------------------

def rechain(lines):
    """What somebody who can write the file would do."""
    out, prev = [], '0' * 64
    for i, line in enumerate(lines):
        line = re.sub(rb'^{"seq":\d+,"prev":"\w+"', b'{"seq":%d,"prev":"%s"' %
                      (i + 1, prev.encode()), line)
        body = line.rpartition(b',"hash":"')[0]
        prev = hashlib.sha256(body).hexdigest()
        out.append(body + b',"hash":"%s"}' % prev.encode())
    return b'\n'.join(out) + b'\n'


def edit(e, f, chained=True):
    name = next(iter(e.ledgers))
    lines = e.ledgers[name].split(b'\n')[:-1]
    f(lines)
    e.ledgers[name] = rechain(lines) if chained else b'\n'.join(lines) + b'\n'


def line_of(lines, kind):
    return next(i for i, x in enumerate(lines)
                if b'"type":"%s"' % kind in x)


def cut_at_the_last(e, lines):
    """From the intent of the last certificate that has a row."""
    rows = {r.serial.hex().encode() for r in e.rows['certificate']}
    serials = [re.search(b'"serial":"([0-9a-f]+)"', x)[1] for x in lines
               if b'"type":"issued"' in x]
    last = [s for s in serials if s in rows][-1]
    del lines[next(i for i, x in enumerate(lines) if last in x):]


def of_a_row(e, lines, kind):
    """The first line of this kind that is about what was issued."""
    issued = [r for r in e.rows['request'] if r.state == 'issued']
    names = [b'"%s"' % r.serial.hex().encode() for r in issued] + [
        r.id.hex().encode() for r in issued]
    return next(i for i, x in enumerate(lines) if b'"type":"%s"' % kind in x
                and any(n in x for n in names))


def drop(kind):
    return lambda e: edit(e, lambda x: x.pop(of_a_row(e, x, kind)))


def set_day(kind):
    def do(e):
        def change(lines):
            i = of_a_row(e, lines, kind)
            lines[i] = re.sub(rb'"at":"\d+', b'"at":"2001', lines[i])
        edit(e, change)
    return do


def given(e):
    return next(j for j in e.journal if j['e'] == 'told' and
                j['what'] == 'issued')


def der(e):
    return base64.b64decode(given(e)['leaf'])


def row_of(e, node=None):
    rows = e.nodes[node or e.primary]['certificate']
    return next(r for r in rows if r.der == der(e))


def remove_row(e, both):
    for n in e.nodes:
        if both or n != e.primary:
            e.nodes[n]['certificate'].remove(row_of(e, n))


def change(table, column, value, which=0):
    def do(e):
        for node in e.nodes.values():
            r = node[table][which]
            old = getattr(r, column)
            setattr(r, column, value(old) if callable(value) else value)
    return do


def flip(b):
    return b[:-1] + bytes([b[-1] ^ 1])


def another_row(e, **kw):
    for node in e.nodes.values():
        r = copy.copy(next(r for r in node['certificate'] if
                           r.der == der(e)))
        r.__dict__.update(kw)
        node['certificate'].append(r)


def void(e, revoked):
    """A void serial of a request that has no certificate."""
    for node in e.nodes.values():
        r = node['certificate'].pop()
        node['void_serial'].append(types.SimpleNamespace(
            serial=r.serial, ca=r.ca, request_id=r.request_id, signer='x'))
        if revoked:
            node['revoked'].append(types.SimpleNamespace(
                ca=r.ca, serial=r.serial, reason=0))


def tell(e, **kw):
    e.journal.append(dict({'e': 'told', 't': 0}, **kw))


def forget_newest(e):
    """All lists that tell what was revoked last."""
    told = check.known(check.lists_of(e))
    gone = {c.der for c, t in told if t[-1:] == told[-1][1][-1:]}
    e.lists = [x for x in e.lists if x not in gone]


def only_deltas(e):
    e.lists = [c.der for c in check.lists_of(e) if c.base is not None]


def crl_row(e, tables):
    """Of a list that is out."""
    numbers = {c.number for c in check.lists_of(e)}
    return next(r for r in tables['crl'] if r.number in numbers)


def end_of(e):
    return next(j for j in e.journal if j['e'] == 'end')


def two_requests(e):
    rows = [r for r in e.rows['request'] if r.state == 'issued']
    rows[0].replay_key = rows[1].replay_key


def other_policies(e):
    for r in e.rows['policy']:
        r.body = re.sub(rb'(?m)^\tvalidity = .*', b'\tvalidity = 3d', r.body)


def ticket(e):
    """An operation by Kerberos that was given a certificate."""
    given = check.told(e)
    return next(j for j in e.journal if j['e'] == 'op' and
                j['kind'] == 'ticket' and j['n'] in given and j['who'] < 4)


def reason(e, line):
    e.report['unexpected'].append(line)


DOCTORED = [
    ('I1', 'row gone', lambda e: remove_row(e, True)),
    ('I1', 'row gone on the standby', lambda e: remove_row(e, False)),
    ('I1', 'nodes differ', lambda e: e.nodes[e.primary]['policy'].pop()),
    ('I1', 'given another', lambda e: given(e).update(
        leaf=base64.b64encode(flip(der(e))).decode())),
    ('I2', 'signature', change('certificate', 'der', flip)),
    ('I2', 'garbage', change('certificate', 'der', b'0')),
    ('I2', 'key', change('certificate', 'spki_sha256', b'0' * 32)),
    ('I2', 'other request', change('certificate', 'request_id', b'0' * 16)),
    ('I2', 'intent gone', drop(b'intent')),
    ('I2', 'of another day', set_day(b'intent')),
    ('I2', 'last certificate and all behind it gone', lambda e: edit(
        e, lambda x: cut_at_the_last(e, x))),
    ('I3', 'no end', lambda e: [n['certificate'].pop() for n in
                                e.nodes.values()]),
    ('I3', 'void, not on the list', lambda e: void(e, False)),
    ('I3', 'void, the ledger is silent', lambda e: void(e, True)),
    ('I3', 'void and a certificate', lambda e: [
        n['void_serial'].append(n['certificate'][0])
        for n in e.nodes.values()]),
    ('I3', 'not closed', drop(b'done')),
    ('I4', 'prefix', change('signer', 'prefix', lambda p: p + 7)),
    ('I4', 'two clients', lambda e: tell(e, n=10 ** 9, what='issued',
                                         leaf=given(e)['leaf'])),
    ('I4', 'intent twice', lambda e: edit(e, lambda x: x.append(
        x[line_of(x, b'intent')]))),
    ('I4', 'row twice', another_row),
    ('I5', 'byte', lambda e: edit(e, lambda x: x.__setitem__(
        3, x[3].replace(b'"at":"2', b'"at":"3')), False)),
    ('I5', 'line gone', lambda e: edit(e, lambda x: x.pop(4), False)),
    ('I5', 'lines swapped', lambda e: edit(e, lambda x: x.insert(
        2, x.pop(5)), False)),
    ('I5', 'torn', lambda e: e.ledgers.update(
        {n: t[:-9] for n, t in e.ledgers.items()})),
    ('I5', 'no heads', lambda e: e.rows['ledger_head'].clear()),
    ('I5', 'a head by another key', lambda e: e.audit_keys.update(
        dict.fromkeys(e.audit_keys, '00' * 32))),
    ('I5', 'a head of another line', change('ledger_head', 'hash', flip)),
    ('I5', 'of a wrong clock', set_day(b'done')),
    ('I5', 'the program says so', lambda e: setattr(e, 'verify', 'bad')),
    ('I5', 'another certificate', lambda e: setattr(
        row_of(e), 'der', e.rows['certificate'][-1].der if
        e.rows['certificate'][-1].der != der(e) else
        e.rows['certificate'][0].der)),
    ('I6', 'last list gone', forget_newest),
    ('I6', 'nothing to read a delta with', only_deltas),
    ('I6', 'number twice', lambda e: e.lists.append(e.lists[-1])),
    ('I6', 'a number signed twice', lambda e: edit(e, lambda x: x.append(
        x[line_of(x, b'crl')]))),
    ('I6', 'out, and in no database', lambda e: [
        n['crl'].remove(crl_row(e, n)) for n in e.nodes.values()]),
    ('I6', 'another of its number', lambda e: [setattr(
        r, 'tbs_digest', flip(r.tbs_digest)) for r in [
            crl_row(e, n) for n in e.nodes.values()]]),
    ('I6', 'shrinks', lambda e: e.lists.reverse()),
    ('I6', 'signature', lambda e: e.lists.__setitem__(
        -1, flip(e.lists[-1]))),
    ('I6', 'revoked, not listed', lambda e: e.journal.append(
        {'e': 'revoke', 't': 0, 'serial': 'ABCD'})),
    ('I6', 'of a wrong clock', lambda e: e.report.update(
        ended=check.lists_of(e)[-1].at - 300)),
    ('I6', 'none', lambda e: e.lists.clear()),
    ('I7', 'two rows', lambda e: another_row(e, serial=b'x' * 16)),
    ('I7', 'two certificates', lambda e: tell(
        e, n=given(e)['n'], what='issued', number=None,
        leaf=base64.b64encode(e.rows['certificate'][-1].der if
                              e.rows['certificate'][-1].der != der(e) else
                              e.rows['certificate'][0].der).decode())),
    ('I7', 'replay key', two_requests),
    ('I8', 'policy', change('request', 'policy_hash', b'0' * 32)),
    ('I8', 'by another policy', other_policies),
    ('I8', 'nobody', change('request', 'account', '')),
    ('I8', 'replayed', lambda e: e.replayed.append((1, 3, 'no'))),
    ('I9', 'unknown signature', lambda e: next(iter(
        e.spied.values())).append('00')),
    ('I9', 'signed twice', lambda e: next(iter(e.spied.values())).append(
        [d for d in next(iter(e.spied.values())) if d != check.MEASURE][0])),
    ('I9', 'signed by nobody', lambda e: e.spied.clear()),
    ('I10', 'denied, then issued', lambda e: e.journal.insert(0, {
        'e': 'told', 't': 0, 'n': given(e)['n'], 'what': 'denied',
        'hresult': '0', 'reason': ''})),
    ('I10', 'denied, then not', lambda e: e.journal.append(
        {'e': 'deny', 't': 0, 'number': str(next(
            r for r in e.rows['request'] if r.state == 'issued').number)})),
    ('I10', 'pending with a certificate', lambda e: setattr(next(
        r for r in e.rows['request'] if r.state == 'issued'),
        'state', 'pending')),
    ('I10', 'half an import', lambda e: [setattr(next(
        r for r in n['account'] if r.name == 'm1@faults.example'), 'cn',
        'm1 g1') for n in e.nodes.values()]),
    ('I10', 'an import lost', lambda e: e.journal.append(
        {'e': 'word', 'what': 'import', 'gen': 10 ** 9, 'done': True})),
    ('I10', 'a name lost', lambda e: e.journal.append(
        {'e': 'word', 'what': 'change', 'gen': 10 ** 9, 'done': True})),
    ('I10', 'not a member any more', lambda e: [n['account_group'].remove(
        next(r for r in n['account_group'] if r.name == 'users' and
             r.account[0] == 'm')) for n in e.nodes.values()]),
    ('I10', 'barred, and issued', lambda e: ticket(e).update(kind='barred')),
    ('I10', 'names of an old import', lambda e: ticket(e).update(
        least=10 ** 9)),
    ('I10', 'a certificate of another', lambda e: ticket(e).update(who=77)),
    ('I11', 'leak', lambda e: e.leaks.append('log/x')),
    ('I12', 'no end', lambda e: e.journal.remove(end_of(e))),
    ('I12', 'late', lambda e: end_of(e).update(
        t=e.report['last_fault'] + check.ANSWER_SECONDS + 1)),
    ('I12', 'denied', lambda e: tell(e, n=10 ** 9, what='denied', hresult='1',
                                     reason='x')),
    ('I12', 'a process', lambda e: reason(e, 'signer-1 does not end')),
]


@pytest.mark.parametrize('name,what,doctor', DOCTORED,
                         ids=['%s %s' % d[:2] for d in DOCTORED])
def test_is_noticed(evidence, verdict, name, what, doctor):
    e = check.Evidence()
    e.__dict__ = pickle.loads(pickle.dumps(evidence.__dict__))
    doctor(e)
    assert len(check.judge(e, name)[name]) > len(verdict[name])


def test_random_edits_are_noticed(evidence):
    """I5: a thousand of them, anywhere."""
    r = random.Random(5)
    text = max(evidence.ledgers.values(), key=len)
    lines = text.split(b'\n')[:-1][:200]
    text = b'\n'.join(lines) + b'\n'
    assert check.entries(text)[1] == []
    for _ in range(1000):
        x = list(lines)
        kind = r.choice(['byte', 'drop', 'swap', 'copy'])
        i, j = r.sample(range(len(x) - 1), 2)
        if kind == 'byte':
            k = r.randrange(len(x[i]))
            x[i] = x[i][:k] + bytes([x[i][k] ^ (1 << r.randrange(7))]) + \
                x[i][k + 1:]
        elif kind == 'drop':
            del x[i]
        elif kind == 'swap':
            x[i], x[j] = x[j], x[i]
        else:
            x.insert(i, x[j])
        assert check.entries(b'\n'.join(x) + b'\n')[1], (kind, i, j)


