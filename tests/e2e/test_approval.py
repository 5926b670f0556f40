"""Requests that wait for a manager."""
import base64
import concurrent.futures
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import psycopg
import pytest
from asn1crypto import cms, core
from cryptography.hazmat.primitives import serialization

import client
from database import standby_gone
from policies import in_force, publish, published
from refusals import pending
from revocation import hex_serial
from schema import check_fault, check_rstrc
from waits import wait_for
from wire import (APPROVE, DENY, OPERATOR, Peer, ask, octets, seq, status, text
                  as utf8)

NO_REQUEST, NOT_PENDING = 0x80094002, 0x80094003
OFFICER, DENIED = 0x80094009, 0x80094014
REVOKED = 0x80092010
UNAVAILABLE = 6                 # MSG_UNAVAILABLE

TEMPLATE = '''
template "%(name)s" {
	oid = "1.3.6.1.4.1.99999.30.%(n)d"
	ca = {"%(ca)s"} type = user schema = 3 validity = 1y renewal = 6w
	enroll = {"ap-users", "ap-wait"} names = account
	subject = {"common-name"} keys = {"ec:P-256"}
	providers = {"Microsoft Software Key Storage Provider"}
	key-usage = {"digital-signature"} eku = {"client-authentication"}
	approval = manager %(more)s
}
'''


@pytest.fixture(scope='module')
def policy(stack):
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    text = published(stack)
    for n, (name, more) in enumerate((
            ('ApBoss', 'approvers = {"ap-bosses"}'),
            ('ApBrief', 'pending-expires = 1s'),
            ('ApSome', 'approval-groups = {"ap-wait"}'))):
        text += TEMPLATE % {'name': name, 'n': n + 1, 'ca': ca, 'more': more}
    with in_force(stack, text):
        yield text


def person(stack, *groups):
    """Names are for ever; a stack may be used by several runs."""
    return stack.account('ap-' + uuid.uuid4().hex[:8], groups=groups)


@pytest.fixture
def owner(stack):
    """A superuser without triggers: somebody who got into the database."""
    dsn = psycopg.conninfo.make_conninfo(stack.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        yield db


def web(stack, name='a.demo.example'):
    return client.make_csr(client.ec_key(), name, [name],
                           stack.env['CS_TEMPLATE_APPROVAL'])


def plain(template):
    return client.make_csr(client.ec_key(), template=template)


def decide(stack, verb, number, *more, ok=True):
    return stack.ctl('request', verb, str(number), *more, ok=ok)


def refused(r, hresult, *words):
    assert '0x%08X' % hresult in r.stderr, r.stderr
    for w in words:
        assert w in r.stderr, r.stderr


def state(stack, number):
    return stack.ctl_json('request', 'show', str(number))[0]


class StatusInfo(core.Sequence):
    _fields = [('status', core.Integer),
               ('body_list', core.SequenceOf, {'spec': core.Integer}),
               ('text', core.UTF8String, {'optional': True}),
               ('other', core.Any, {'optional': True})]


class PendInfo(core.Sequence):
    _fields = [('token', core.OctetString), ('time', core.GeneralizedTime)]


class Response(core.Sequence):
    _fields = [('controls', client.TaggedAttributes), ('cms', client.Anys),
               ('other', client.Anys)]


def cmc_controls(reply):
    sd = cms.ContentInfo.load(reply.cmc, strict=True)['content']
    body = Response.load(sd['encap_content_info']['content'].parsed.dump())
    return {c['type'].native: c['values'][0] for c in body['controls']}


def cmc_status(reply):
    return cmc_controls(reply)['1.3.6.1.5.5.7.7.1'].parse(StatusInfo)


def test_pending_then_approved(stack, demo):
    key = client.ec_key()
    r = demo.enroll(client.make_csr(key, 'ok.demo.example', [],
                                    stack.env['CS_TEMPLATE_APPROVAL']))
    number = pending(r)
    # [MS-WSTEP] 3.1.4.1.3.2: where to ask again is our own address.
    ref = r.find('.//t:RequestedSecurityToken/o:SecurityTokenReference/'
                 'o:Reference')
    assert ref.get('URI') == stack.env['CS_CES_URL']
    info = cmc_status(r)
    assert info['status'].native == 3
    assert info['text'].native == 'Taken Under Submission'
    assert info['other'].parse(PendInfo)['token'].native == number.encode()
    assert number in [str(x['number']) for x in stack.ctl_json(
        'request', 'list', '--state', 'pending')]
    assert state(stack, number)['decided_at'] is None
    again = demo.query(number)
    assert pending(again) == number
    assert again.cmc == r.cmc       # signed once; ECDSA never signs alike
    out = decide(stack, 'approve', number, '--reason', 'known host').stdout
    row = state(stack, number)
    assert row['serial'] in out
    assert row['state'] == 'issued' and row['decided_at']
    assert row['approved_by'].startswith('operator:')
    assert row['approval_reason'] == 'known host'
    assert stack.sql('SELECT who, action FROM countersign.audit WHERE detail '
                     'LIKE %s', '%' + row['id'] + ': known host') == [
        (row['approved_by'], 'request approve')]
    done = demo.query(number)
    check_rstrc(done)
    assert done.findtext('.//e:DispositionMessage') == 'Issued'
    assert '%X' % done.certificate.serial_number == row['serial'].lstrip('0')
    assert done.certificate.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo) == \
        key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
    assert done.request_id == number
    stack.ctl('ledger', 'verify')


def test_approved_by_id(stack, demo):
    number = pending(demo.enroll(web(stack)))
    row = state(stack, number)
    decide(stack, 'approve', row['id'])
    assert state(stack, number)['state'] == 'issued'


def test_only_some_groups_wait(stack, policy):
    check = person(stack, 'ap-users').enroll(plain('ApSome'))
    assert check.certificate is not None
    pending(person(stack, 'ap-wait').enroll(plain('ApSome')))


def test_denied_is_final(stack, demo):
    number = pending(demo.enroll(web(stack)))
    decide(stack, 'deny', number, '--reason', 'no such host <here>')
    r = demo.query(number)
    check_fault(r)
    assert r.hresult == DENIED
    assert 'no such host <here>' in r.reason
    assert r.request_id == number
    assert cmc_status_of_fault(r)['status'].native == 2
    for verb in 'approve', 'deny':
        refused(decide(stack, verb, number, ok=1), NOT_PENDING,
                'is denied already')
    assert state(stack, number)['state'] == 'denied'
    assert demo.query(number).hresult == DENIED


def cmc_status_of_fault(reply):
    text = reply.findtext('.//e:BinaryResponse')

    class Fake:
        cmc = base64.b64decode(text)
    return cmc_status(Fake)


def test_approved_once(stack, demo):
    number = pending(demo.enroll(web(stack)))
    decide(stack, 'approve', number)
    serial = state(stack, number)['serial']
    for verb in 'approve', 'deny':
        refused(decide(stack, verb, number, ok=1), NOT_PENDING,
                'is issued already')
    assert state(stack, number)['serial'] == serial


def test_two_operators_at_once(stack, demo):
    number = pending(demo.enroll(web(stack)))

    def decided(verb):
        """Once more while no signer can: on a busy machine none waits so long
        for the others."""
        return wait_for(lambda: (r := decide(
            stack, verb, number, ok=None)).returncode != 3 and r)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = sorted(r.returncode for r in pool.map(
            decided, ['approve', 'deny', 'approve', 'approve']))
    assert codes == [0, 1, 1, 1]
    count = stack.sql('SELECT count(*) FROM countersign.certificate c JOIN '
                      'countersign.request r ON r.id = c.request_id '
                      'WHERE r.number = %s', int(number))[0][0]
    assert count == (state(stack, number)['state'] == 'issued')
    stack.ctl('ledger', 'verify')


@pytest.fixture
def two(stack):
    """Connected to both signers."""
    peers = [Peer(stack, 'operator', n) for n in range(2)]
    yield peers
    for p in peers:
        p.close()


def at_two_signers(stack, owner, pool, two, call, ident):
    """The answers to one message, for which both signers wait at the same
    time; or None, when on a busy machine one gave up before the other came."""
    message = ask(stack, call, OPERATOR, '', verdict=seq(
        octets(ident), utf8('root'), utf8('known'), utf8('')))
    with owner.transaction():
        owner.execute('SELECT FROM countersign.request WHERE id = %s '
                      'FOR UPDATE', (ident,))
        answers = [pool.submit(p.ask, message) for p in two]
        wait_for(lambda: waiting_for_locks(owner) == 2 or
                 any(a.done() for a in answers), every=0.02)
        met = not any(a.done() for a in answers)
    if not met:
        let_go(owner, answers)
    return answers if met else None


def let_go(owner, answers):
    """No COMMIT waits for a standby any more."""
    while not all(a.done() for a in answers):
        owner.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                      "WHERE wait_event = 'SyncRep'")
        time.sleep(0.05)


@pytest.mark.parametrize('call, issued', [(APPROVE, True), (DENY, False)])
def test_one_message_at_two_signers(stack, demo, owner, two, call, issued):
    """A signer that is slow is passed over: whichever decides, the other one
    has the same answer, and not that somebody was quicker."""
    def once():
        number = pending(demo.enroll(web(stack)))
        ident = bytes.fromhex(state(stack, number)['id'])
        answers = [a.result() for a in at_two_signers(
            stack, owner, pool, two, call, ident) or ()]
        if answers and UNAVAILABLE not in map(status, answers):
            return number, ident, answers
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        number, ident, answers = wait_for(once)
    # status, hresult, text, number, template, response, certificate
    assert [status(a) for a in answers] == [1 if issued else 3] * 2
    for part in 3, 4, 5, 8:
        assert answers[0][part].contents == answers[1][part].contents
    assert stack.sql('SELECT count(*) FROM countersign.certificate '
                     'WHERE request_id = %s', ident) == [(int(issued),)]
    # A second message is a second decision, and there is none to take.
    refused(decide(stack, 'approve', number, ok=1), NOT_PENDING, 'already')


def test_a_decision_that_may_be_lost_at_two_signers(stack, demo, owner):
    """The second waits for the first, whose COMMIT nobody waits for."""
    def once():
        number = wait_for(lambda: demo.enroll(web(stack)).request_id)
        ident = bytes.fromhex(state(stack, number)['id'])
        with standby_gone(owner):
            answers = at_two_signers(stack, owner, pool, two, APPROVE, ident)
            if answers is not None:
                let_go(owner, answers)
                return number, answers
    two = [Peer(stack, 'operator', n, patience=3) for n in range(2)]
    owner.execute('SET synchronous_commit = local')
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        number, answers = wait_for(once)
    for p in two:
        p.close()
    # None: the first still asks whether it is durable.
    assert {status(a.result()) for a in answers} <= {UNAVAILABLE, None}
    assert state(stack, number)['state'] == 'issued'


def waiting_for_locks(db):
    return db.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = "
                      "'countersign_signer' AND wait_event_type = 'Lock'"
                      ).fetchone()[0]


@pytest.mark.parametrize('verb', ['approve', 'deny'])
def test_unknown_request(stack, verb):
    stack.ctl('request', verb, '1', ok=1)
    stack.ctl('request', verb, '51' + '0' * 30, ok=1)
    for bad in '0', 'x', '-1', '99999999999':
        assert decide(stack, verb, bad, ok=None).returncode == 2


def test_own_request(stack, demo):
    number = pending(demo.enroll(web(stack)))
    refused(decide(stack, 'approve', number, '--as', demo.user, ok=1),
            OFFICER, 'may not approve its own')
    # Another spelling is the same account.
    refused(decide(stack, 'approve', number, '--as', demo.user.upper(),
                   ok=1), OFFICER)
    assert state(stack, number)['state'] == 'pending'
    # But a requester may take it back.
    decide(stack, 'deny', number, '--as', demo.user)
    row = state(stack, number)
    assert row['approved_by'] == demo.user
    assert stack.sql('SELECT who, action FROM countersign.audit WHERE detail '
                     'LIKE %s', '%' + row['id']) == [
        (demo.user, 'request deny')]


def test_approvers(stack, policy):
    number = pending(person(stack, 'ap-users').enroll(plain('ApBoss')))
    boss, other = person(stack, 'ap-bosses'), person(stack, 'ap-users')
    own = pending(boss_user(stack).enroll(plain('ApBoss')))
    for verb in 'approve', 'deny':
        refused(decide(stack, verb, number, ok=1), OFFICER, 'none is named')
        refused(decide(stack, verb, number, '--as', other.user, ok=1),
                OFFICER, 'none of the groups', 'ApBoss', other.user)
        refused(decide(stack, verb, number, '--as', 'nobody-at-all', ok=1),
                OFFICER, 'does not exist')
    stack.ctl('account', 'disable', boss.user)
    refused(decide(stack, 'approve', number, '--as', boss.user, ok=1),
            OFFICER, 'is disabled')
    stack.ctl('account', 'enable', boss.user)
    decide(stack, 'approve', number, '--as', boss.user)
    assert state(stack, number)['approved_by'] == boss.user
    asker = state(stack, own)['account']
    refused(decide(stack, 'approve', own, '--as', asker, ok=1), OFFICER,
            'its own')


def boss_user(stack):
    """One that may approve and enroll."""
    return person(stack, 'ap-bosses', 'ap-users')


def test_expired(stack, policy):
    who = person(stack, 'ap-users')
    number = pending(who.enroll(plain('ApBrief')))
    time.sleep(1.5)
    r = who.query(number)
    check_fault(r)
    assert r.hresult == NOT_PENDING and 'expired' in r.reason
    refused(decide(stack, 'approve', number, ok=1), NOT_PENDING, 'expired')
    assert state(stack, number)['state'] == 'expired'
    listed = lambda s: [str(x['number']) for x in stack.ctl_json(
        'request', 'list', '--state', s)]
    assert number in listed('expired') and number not in listed('pending')
    decide(stack, 'deny', number)
    assert who.query(number).hresult == DENIED


def test_changed_bytes(stack, demo, owner):
    """What was submitted is what is signed, whoever owns the database."""
    number = pending(demo.enroll(web(stack)))
    other = web(stack, 'evil.demo.example')
    was = owner.execute('SELECT token, token_sha256 FROM countersign.request '
                        'WHERE number = %s', (int(number),)).fetchone()
    owner.execute('UPDATE countersign.request SET token = %s '
                  'WHERE number = %s', (other, int(number)))
    refused(decide(stack, 'approve', number, ok=1), 0x8007000D,
            'not those that were submitted')
    owner.execute('UPDATE countersign.request SET token_sha256 = NULL '
                  'WHERE number = %s', (int(number),))
    refused(decide(stack, 'approve', number, ok=1), 0x8007000D)
    assert state(stack, number)['state'] == 'pending'
    decide(stack, 'deny', number)
    damage = [r for r in stack.ctl_json('ledger', 'verify', ok=4)
              if r['damaged']]
    assert [r['object'] for r in damage] == [
        'request ' + state(stack, number)['id']]
    owner.execute('UPDATE countersign.request SET token = %s, token_sha256 = '
                  '%s WHERE number = %s', (*was, int(number)))


@pytest.mark.parametrize('column', ['subject', 'san'])
def test_names_that_nobody_was_shown(stack, demo, owner, column):
    """A row whose words are not those of its bytes, whoever wrote it."""
    number = pending(demo.enroll(web(stack)))
    (was,) = owner.execute('SELECT %s FROM countersign.request WHERE number '
                           '= %%s' % column, (int(number),)).fetchone()
    put = 'UPDATE countersign.request SET %s = %%s WHERE number = %%s' % column
    owner.execute(put, (was.replace('demo', 'harmless'), int(number)))
    refused(decide(stack, 'approve', number, ok=1), 0x8007000D,
            'would be CN=', 'shown as others')
    assert state(stack, number)['state'] == 'pending'
    owner.execute(put, (was, int(number)))
    decide(stack, 'approve', number)


@pytest.mark.parametrize('by_oid', [False, True])
def test_template_that_nobody_was_shown(stack, policy, owner, by_oid):
    """Who may approve is of the template that is issued, not of a row's."""
    who = person(stack, 'ap-users')
    number = pending(who.enroll(plain('ApBoss')))
    oid = re.search(r'template "ApBoss" \{\s+oid = "([0-9.]+)"', policy)[1]
    put = 'UPDATE countersign.request SET template = %s WHERE number = %s'
    owner.execute(put, (oid if by_oid else None, int(number)))
    refused(decide(stack, 'approve', number, ok=1), 0x8007000D, 'ApBoss')
    owner.execute(put, ('ApBoss', int(number)))
    refused(decide(stack, 'approve', number, ok=1), 0x80094009, 'ApBoss')
    decide(stack, 'deny', number, '--as', person(stack, 'ap-bosses').user)


def test_todays_policy(stack, policy):
    who = person(stack, 'ap-users')
    number = pending(who.enroll(plain('ApBoss')))
    boss = person(stack, 'ap-bosses')
    changed = policy.replace('enroll = {"ap-users", "ap-wait"}',
                             'enroll = {"ap-wait"}')
    assert changed != policy
    publish(stack, changed)
    try:
        refused(decide(stack, 'approve', number, '--as', boss.user, ok=1),
                0x80094012, who.user, 'ApBoss')
        assert state(stack, number)['state'] == 'pending'
    finally:
        publish(stack, policy)
    stack.ctl('account', 'disable', who.user)
    r = decide(stack, 'approve', number, '--as', boss.user, ok=1)
    assert 'is disabled' in r.stderr
    stack.ctl('account', 'enable', who.user)
    decide(stack, 'approve', number, '--as', boss.user)
    assert who.query(number).certificate is not None


def test_template_gone(stack, policy):
    who, boss = person(stack, 'ap-users'), person(stack, 'ap-bosses')
    number = pending(who.enroll(plain('ApBoss')))
    publish(stack, policy.replace('"ApBoss"', '"ApOther"'))
    try:
        r = decide(stack, 'approve', number, '--as', boss.user, ok=1)
        assert 'ApBoss is not known' in r.stderr
    finally:
        publish(stack, policy)


def test_other_subject(stack, demo):
    number = pending(demo.enroll(client.make_csr(
        client.ec_key(), 'wrong.demo.example', [],
        stack.env['CS_TEMPLATE_APPROVAL'])))
    r = decide(stack, 'approve', number, '--subject', 'CN=www.other.example',
               ok=1)
    refused(r, 0x80094001, 'www.other.example')
    refused(decide(stack, 'approve', number, '--subject', 'nonsense', ok=1),
            0x80094001)
    decide(stack, 'approve', number, '--subject', 'CN=right.demo.example')
    cert = demo.query(number).certificate
    assert cert.subject.rfc4514_string() == 'CN=right.demo.example'
    assert state(stack, number)['subject'] == 'CN=right.demo.example'


def test_subject_of_the_account_stays(stack, policy):
    who = person(stack, 'ap-wait')
    number = pending(who.enroll(plain('ApSome')))
    refused(decide(stack, 'approve', number, '--subject', 'CN=x', ok=1),
            0x80094001, 'takes no subject')


def test_message_repeated_while_pending(stack, demo):
    csr, mid = web(stack), 'urn:uuid:%s' % uuid.uuid4()
    first = pending(demo.enroll(csr, message_id=mid))
    assert pending(demo.enroll(csr, message_id=mid)) == first
    decide(stack, 'approve', first)
    again = demo.enroll(csr, message_id=mid)
    assert again.request_id == first and again.leaf == demo.query(first).leaf


def test_poll_for_what_was_revoked_since(stack, demo):
    """No certificate for who comes for it; who only repeats what he sent and
    has lost the answer gets that answer."""
    csr, mid = web(stack), 'urn:uuid:%s' % uuid.uuid4()
    number = pending(demo.enroll(csr, message_id=mid))
    decide(stack, 'approve', number)
    cert = demo.query(number).certificate
    stack.ctl('cert', 'revoke', hex_serial(cert), '--reason',
              'certificateHold')
    r = demo.query(number)
    check_fault(r)
    assert r.hresult == REVOKED and r.request_id == number
    assert 'the certificate was revoked since' in r.reason
    assert cmc_status_of_fault(r)['status'].native == 2
    assert demo.enroll(csr, message_id=mid).certificate == cert
    stack.ctl('cert', 'release', hex_serial(cert))
    assert demo.query(number).certificate == cert


def test_poll_repeats_what_a_cmc_response_must(stack, demo):
    """Also when the request is long gone and is read from its row."""
    key = client.ec_key()
    csr = client.make_csr(key, 'a.demo.example', [],
                          stack.env['CS_TEMPLATE_APPROVAL'])
    r = demo.enroll(client.make_cmc(key, csr, [
        ('1.3.6.1.5.5.7.7.6', core.OctetString(b'nonce-90').dump()),
        ('1.3.6.1.5.5.7.7.5', core.Integer(4712).dump())]), pkcs10=False)
    number = pending(r)
    decide(stack, 'approve', number)
    done = demo.query(number)
    assert done.certificate is not None
    for reply in r, done:
        c = cmc_controls(reply)
        assert c['1.3.6.1.5.5.7.7.7'].parse(
            core.OctetString).native == b'nonce-90'
        assert c['1.3.6.1.5.5.7.7.5'].parse(core.Integer).native == 4712
    # Signed once, when it was approved.
    assert done.cmc == demo.query(number).cmc


def test_workers_cannot_approve(stack, demo):
    """The operator's key is needed; the worker's is on the same host."""
    number = pending(demo.enroll(web(stack)))
    conf = stack.dir / 'etc' / 'countersign.conf'
    key = next(stack.dir.glob('keys/worker*'))
    text = re.sub(r'(?m)^key-file.*$', 'key-file = "%s"' % key,
                  conf.read_text())
    assert str(key) in text
    (stack.dir / 'as-worker.conf').write_text(text)
    cmd = stack.ctl_words(stack.dir / 'as-worker.conf')
    r = subprocess.run(cmd + ['request', 'approve', number],
                       capture_output=True, text=True, timeout=300)
    os.unlink(stack.dir / 'as-worker.conf')
    assert r.returncode == 1 and 'may not use method' in r.stderr, r.stderr
    assert state(stack, number)['state'] == 'pending'


def test_signers_killed_meanwhile(stack, demo):
    """Whenever a signer dies: decided once or not at all, and then it can be
    decided again."""
    numbers = [pending(demo.enroll(web(stack))) for _ in range(12)]
    stop = threading.Event()

    def kill():
        while not stop.wait(0.15):
            for pid in stack.pids('signer'):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                if stop.wait(0.1):
                    return
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda n: decide(stack, 'approve', n, ok=None),
                          numbers[:6]))
    finally:
        stop.set()
        killer.join()

    def decided(n):
        r = decide(stack, 'approve', n, ok=None)
        assert r.returncode in (0, 1, 3), r.stderr
        return state(stack, n)['state'] != 'pending'
    for n in numbers:
        wait_for(lambda: decided(n))
        # The last one killed may not be back yet.
        wait_for(lambda: demo.query(n).leaf)
    counts = stack.sql(
        'SELECT r.number, count(c) FROM countersign.request r LEFT JOIN '
        'countersign.certificate c ON c.request_id = r.id WHERE r.number = '
        'ANY (%s) GROUP BY 1', [int(n) for n in numbers])
    assert sorted(counts) == [(int(n), 1) for n in sorted(numbers, key=int)]
    stack.ctl('ledger', 'verify')
