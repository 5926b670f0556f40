"""What is allowed where: each way to log on, each kind of request, and each
reason to refuse it."""
import re
import time

import pytest
from cryptography import x509

import client
from agents import (agent_cert, on_behalf, people, policy,  # noqa: F401
                    self_made)
from archives import (enveloped, exchanged, ket, pkcs8, recovery_agent, request
                      as archival, with_archive)
from certlogon import CertClient, fresh, maker
from policies import in_force, published
from refusals import pending
from renewals import (COMMON, CONFLICT, EXPIRED, OTHER_KEY, OTHER_NAMES,
                      REQUEST, REVOKED, RULES, UNTRUSTED, Held, forged)
from schema import check_fault, check_rstrc

NOT_IN_GROUP, DENIED, BAD_SIGNATURE = 0x80094012, 0x80094011, 0x80090006
OFFICER, BAD_KEY = 0x80094009, 0x8009400c
WAYS = ('password', 'certificate', 'anonymous')
OK, ONLY_RENEWS = None, (DENIED, 'only renews')
OUTSIDE, FORGED = (NOT_IN_GROUP, 'in none of'), (BAD_SIGNATURE, 'signer')
# Nobody learns of another's request, not even that there is one.
UNKNOWN = (0x80094004, 'no request with this id')
UNSIGNED = (0x80094809, 'needs 1 signatures')
# What, who or what is wrong with it          password certificate anonymous
TABLE = [
    ('new', 'demo',                           OK, OK, ONLY_RENEWS),
    ('new', 'outsider',                       OUTSIDE, OUTSIDE, ONLY_RENEWS),
    ('pending', 'demo',                       OK, OK, ONLY_RENEWS),
    ('pending', 'outsider',                   OUTSIDE, OUTSIDE, ONLY_RENEWS),
]


def both_logins(what, who, refusal):
    TABLE.append((what, who, refusal, refusal, ONLY_RENEWS))


for who, refusal in (
        ('undecided', OK), ('issued', OK),
        ('denied', (0x80094014, 'denied by a manager: matrix')),
        ('too late', (0x80094003, 'before it expired')),
        ('unknown', UNKNOWN), ('not his', UNKNOWN)):
    both_logins('poll', who, refusal)
for who, refusal in (
        ('agent', OK), ('no agent signed', UNSIGNED),
        ('not an agent', (0x8009480B, 'eku')),
        ('another agent', (OFFICER, 'eo-other')),
        ('revoked agent', (REVOKED, 'revoked')),
        ('expired agent', (EXPIRED, 'validity')),
        ('foreign agent', (UNTRUSTED, 'not issued by')),
        ('protected target', (OFFICER, 'eo-admin')),
        ('target of no rule', (OFFICER, 'eo-outside')),
        ('template of no rule', (OFFICER, 'EoOther'))):
    both_logins('on behalf', who, refusal)
for who, refusal in (
        ('demo', OK), ('no key', (0x80094804, 'no private key')),
        ('unexpected key', (0x80094810, 'to archive')),
        ("another's key", (BAD_KEY, 'not that of the request')),
        ('unknown exchange', (BAD_KEY, 'unknown or too old')),
        ('outsider', OUTSIDE)):
    both_logins('archival', who, refusal)
# That is no request at all, whoever sends it.
TABLE.append(('archival', 'no hash') + ((BAD_KEY, 'hash'),) * 3)
both_logins('exchange', 'demo', OK)
# Without logging on, the old certificate says who asks, and for which names.
for key in 'old', 'new':
    for who, refusal, anonymous in (
            ('demo', OK, OK),
            ('not signed by it', FORGED, FORGED),
            ('outsider', (DENIED, 'is not of account'), OK),
            ('expired', (EXPIRED, 'renewal-grace is 0 s'), 0),
            ('revoked', (REVOKED, 'is revoked'), 0),
            ('not ours', (UNTRUSTED, 'was not issued by'), 0),
            ('other template', (CONFLICT, 'does not supersede'), 0),
            ('at its limit', (DENIED, 'renewal-max is 1'), 0),
            ('key must stay', (OTHER_KEY, 'renewal-same-key')
             if key == 'new' else OK, 0),
            ('other names', OK, (OTHER_NAMES, 'are not those')),
            ('bad names', (0x80094001, 'x.other.example'),
             (OTHER_NAMES, 'are not those')),
            ('not anonymous', OK, (DENIED, 'renewal-anonymous is not set'))):
        TABLE.append(('renewal %s key' % key, who, refusal, refusal,
                      refusal if anonymous == 0 else anonymous))
CELLS = [pytest.param(way, what, who, row[i], id='-'.join((way, what, who)))
         for what, who, *row in TABLE for i, way in enumerate(WAYS)]

TEMPLATES = {
    'MxUsual': ('1y', 'renewal-anonymous = true'),
    'MxBrief': ('2s', 'renewal-anonymous = true'),
    'MxOnce': ('1y', 'renewal-anonymous = true renewal-max = 1'),
    'MxSame': ('1y', 'renewal-anonymous = true renewal-same-key = true'),
    'MxOther': ('1y', 'renewal-anonymous = true'), 'MxLogin': ('1y', '')}
LATE = '''
template "MxLate" {
	oid = "1.3.6.1.4.1.99999.78.1" ca = {"%s"} type = machine validity = 1y
	enroll = {"renew-enroll"} names = request name-rules = {"renew-hosts"}
	keys = {"ec:P-256"} key-usage = {"digital-signature"} hash = sha256
	eku = {"server-authentication"} approval = manager pending-expires = 1s
	providers = {"Microsoft Software Key Storage Provider"}
}
'''
NAME = {'cn': 'mx.renew.example', 'dns': ['mx.renew.example']}


@pytest.fixture(scope='module')
def site(stack, policy):  # noqa: F811
    """The policy with agents in it, renewals and archives."""
    before = published(stack)
    ca = re.search(r'^ca "([^"]+)"', before, re.M).group(1)
    text = with_archive(before, ca, [recovery_agent('kra-mx')])
    text = text.replace('{"archivers"}', '{"archivers", "web-admins"}')
    text += RULES + LATE % ca
    for n, (name, (life, more)) in enumerate(TEMPLATES.items()):
        text += COMMON % (
            name, 100 + n, ca, REQUEST[0], life, '1s' if life == '2s' else
            '6w', REQUEST[1] + 'renewal-previous-approval = true '
            'renewal-key-based = true ' + more)
    with in_force(stack, text):
        yield stack


class Caller:
    """One person, logged on in either way."""

    def __init__(self, stack, by_password, pair):
        self.way = {'password': by_password,
                    'certificate': CertClient(stack.env, pair)}


@pytest.fixture(scope='module')
def logged_on(site, maker, people):  # noqa: F811
    """Clients by way and person."""
    nobody = client.Client(dict(
        site.env, CS_CES_URL=site.env['CS_CES_RENEWAL_URL']))
    nobody.header = lambda: ''
    outsider = fresh(site, 'matrix', groups=['users'], cn='Outsider')
    everything = fresh(site, 'matrix', cn='Matrix', groups=[
        'users', 'web-admins', 'renew-enroll', 'renew-rule'])
    callers = {
        'demo': Caller(site, everything, maker.issued(c=everything)),
        'outsider': Caller(site, outsider, maker.issued(c=outsider))}
    for name in 'agent', 'other':
        key, der = people[name].certificate('EoPlain')
        callers[name] = Caller(site, people[name].client, maker.files(
            x509.load_der_x509_certificate(der), key))
    return lambda way, who: nobody if way == 'anonymous' else \
        callers[who].way[way]


@pytest.fixture(scope='module')
def late():
    """When what must be too old is.

    A life ends with its last second: a second is added to each, or what
    was made late in one is still good when it is tried."""
    return []


# A renewal and what is wrong with it ----------------------------------------

@pytest.fixture(scope='module')
def held(site, logged_on, late):
    demo = logged_on('password', 'demo')
    usual = Held(demo, 'MxUsual', **NAME)
    fake = Held.__new__(Held)
    fake.c, fake.name, fake.kw, fake.key = demo, 'MxUsual', NAME, \
        client.ec_key()
    fake.der = forged(usual.der, fake.key)
    once = Held(demo, 'MxOnce', **NAME)
    all_ = {'revoked': Held(demo, 'MxUsual', **NAME), 'not ours': fake,
            'at its limit': once.after(once.renew()),
            'key must stay': Held(demo, 'MxSame', **NAME),
            'expired': Held(demo, 'MxBrief', **NAME),
            'not anonymous': Held(demo, 'MxLogin', **NAME)}
    site.ctl('cert', 'revoke', all_['revoked'].serial, '--reason',
             'superseded')
    late.append(time.time() + 3.2)
    return lambda who: all_.get(who, usual)


FLAWS = {'other template': lambda: {'template': 'MxOther'},
         'not signed by it': lambda: {'signer': client.ec_key()},
         'other names': lambda: {'cn': 'my.renew.example',
                                 'dns': ['my.renew.example']},
         'bad names': lambda: {'cn': 'x.other.example',
                               'dns': ['x.other.example']}}


@pytest.fixture(scope='module')
def renew(held, logged_on):
    def send(new):
        def one(way, who):
            h = held(who)
            flaw = FLAWS.get(who, dict)()
            return h.renew(c=logged_on(way, 'outsider' if who == 'outsider'
                                       else 'demo'),
                           key=client.ec_key() if new else h.key, **flaw)
        return one
    return send


# Polls ------------------------------------------------------------------------

@pytest.fixture(scope='module')
def waiting(site, logged_on, late):
    """The number of a request in each state."""
    demo = logged_on('password', 'demo')
    ask = lambda template: pending(demo.enroll(client.make_csr(
        client.ec_key(), template=template, **NAME)))
    expiring = ask('MxLate')
    usual = ['--reason', 'matrix']
    numbers = {who: pending(request(site, demo, 'CS_TEMPLATE_APPROVAL'))
               for who in ('undecided', 'issued', 'denied')}
    site.ctl('request', 'approve', numbers['issued'], *usual)
    site.ctl('request', 'deny', numbers['denied'], *usual)
    late.append(time.time() + 2.2)
    return dict(numbers, **{'too late': expiring, 'unknown': '2147483647',
                            'not his': numbers['issued']})


# On behalf of others ------------------------------------------------------------

@pytest.fixture(scope='module')
def behalf(site, logged_on, people, agent_cert, late):  # noqa: F811
    agent, name = people['agent'], lambda who: people[who].name
    brief = agent.certificate('EoBrief')
    key, foreign = client.ec_key(), client.rsa_key(2048, 'foreign-agent')
    r = agent.client.enroll(client.make_csr(key, template='EoAgent'))
    site.ctl('cert', 'revoke', '%x' % r.certificate.serial_number,
             '--reason', 'keyCompromise')
    late.append(time.time() + 4.2)
    signers = {
        'no agent signed': [], 'revoked agent': [(key, r.leaf)],
        'expired agent': [brief], 'not an agent': [
            agent.certificate('EoPlain')],
        'foreign agent': [(foreign, self_made(agent_cert[1], foreign))]}
    targets = {'protected target': 'admin', 'target of no rule': 'outside'}

    def send(way, who):
        token = on_behalf(
            name(targets.get(who, 'bob')), 'EoOther' if who ==
            'template of no rule' else 'EoCard',
            signers.get(who, [agent_cert]))
        return logged_on(way, 'other' if who == 'another agent' else
                         'agent').enroll(token, pkcs10=False)
    return send


# Archival -----------------------------------------------------------------------

@pytest.fixture(scope='module')
def archive(site, logged_on):
    exchange = exchanged(ket(logged_on('password', 'demo')))
    key, other = [client.rsa_key(2048, 'mx-%d' % n) for n in range(2)]

    def send(way, who):
        blob = enveloped(exchange, pkcs8(
            other if who == "another's key" else key),
            serial=4711 if who == 'unknown exchange' else None)
        c = logged_on(way, 'outsider' if who == 'outsider' else 'demo')
        if who == 'no key':
            return c.enroll(client.make_csr(key, template='Archived'))
        return c.enroll(archival(
            key, blob, 'User' if who == 'unexpected key' else 'Archived',
            hashed=False if who == 'no hash' else None), pkcs10=False)
    return send


def request(stack, c, template):
    name = 'matrix.demo.example'
    return c.enroll(client.make_csr(client.ec_key(), name, [name],
                                    stack.env[template]))


@pytest.fixture(scope='module')
def send(site, logged_on, renew, waiting, behalf, archive, late):
    time.sleep(max(0, max(late) - time.time()))
    return {
        'new': lambda *a: request(site, logged_on(*a), 'CS_TEMPLATE'),
        'renewal old key': renew(False), 'renewal new key': renew(True),
        'pending': lambda *a: request(site, logged_on(*a),
                                      'CS_TEMPLATE_APPROVAL'),
        'poll': lambda way, who: logged_on(way, 'outsider' if who ==
                                           'not his' else 'demo').query(
                                               waiting[who]),
        'on behalf': behalf, 'archival': archive,
        'exchange': lambda way, who: ket(logged_on(way, who))}


@pytest.mark.parametrize('way, what, who, refusal', CELLS)
def test_matrix(send, way, what, who, refusal):
    r = send[what](way, who)
    if refusal is None and what == 'exchange':
        exchanged(r)
        return
    if refusal is None:
        check_rstrc(r)
        assert (r.leaf is None) == (what == 'pending' or who == 'undecided')
        return
    check_fault(r)
    assert (r.hresult, refusal[1] in r.reason) == (refusal[0], True), (
        hex(r.hresult or 0), r.reason)
