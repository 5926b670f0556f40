"""What is allowed where: each way to log on, each kind of request."""
import pytest
from cryptography import x509

import client
from schema import check_fault, check_rstrc
from test_agents import agent_cert, on_behalf, people, policy  # noqa: F401
from test_approval import pending
from test_certificate import CertClient, fresh, maker  # noqa: F401
from test_renewal import Held

NOT_IN_GROUP, DENIED, BAD_SIGNATURE = 0x80094012, 0x80094011, 0x80090006
WAYS = ('password', 'certificate', 'anonymous')
OK, ONLY_RENEWS = None, (DENIED, 'only renews')
OUTSIDE, FORGED = (NOT_IN_GROUP, 'in none of'), (BAD_SIGNATURE, 'signer')
# Nobody learns of another's request, not even that there is one.
UNKNOWN = (0x80094004, 'no request with this id')
UNSIGNED = (0x80094809, 'needs 1 signatures')
# What, who or what is wrong with it          password certificate anonymous
TABLE = (
    ('new', 'demo',                           OK, OK, ONLY_RENEWS),
    ('new', 'outsider',                       OUTSIDE, OUTSIDE, ONLY_RENEWS),
    ('renewal old key', 'demo',               OK, OK, OK),
    ('renewal old key', 'not signed by it',   FORGED, FORGED, FORGED),
    ('renewal new key', 'demo',               OK, OK, OK),
    ('renewal new key', 'not signed by old',  FORGED, FORGED, FORGED),
    ('pending', 'demo',                       OK, OK, ONLY_RENEWS),
    ('pending', 'outsider',                   OUTSIDE, OUTSIDE, ONLY_RENEWS),
    ('poll', 'demo',                          OK, OK, ONLY_RENEWS),
    ('poll', 'outsider',                      UNKNOWN, UNKNOWN, ONLY_RENEWS),
    ('on behalf', 'agent',                    OK, OK, ONLY_RENEWS),
    ('on behalf', 'no agent signed',          UNSIGNED, UNSIGNED, ONLY_RENEWS),
)
CELLS = [pytest.param(way, what, who, row[i], id='-'.join((way, what, who)))
         for what, who, *row in TABLE for i, way in enumerate(WAYS)]


@pytest.fixture(scope='module')
def logged_on(stack, maker, people):  # noqa: F811
    """Clients by way and person."""
    nobody = client.Client(dict(
        stack.env, CS_CES_URL=stack.env['CS_CES_RENEWAL_URL']))
    nobody.header = lambda: ''
    agent = people['agent']
    key, der = agent.certificate('EoPlain')
    outsider = fresh(stack, 'matrix', groups=['users'], cn='Outsider')
    by_password = {'demo': client.Client(stack.env), 'outsider': outsider,
                   'agent': agent.client}
    by_cert = {
        'demo': (stack.env['CS_CERT'], stack.env['CS_KEY']),
        'outsider': maker.issued(c=outsider),
        'agent': maker.files(x509.load_der_x509_certificate(der), key)}

    def get(way, who):
        if way == 'anonymous':
            return nobody
        if way == 'password':
            return by_password[who]
        return CertClient(stack.env, by_cert[who])
    return get


@pytest.fixture(scope='module')
def held(stack, demo):
    return Held(demo, stack.env['CS_TEMPLATE_RENEWAL'],
                cn='matrix.demo.example', dns=['matrix.demo.example'])


@pytest.fixture(scope='module')
def waiting(stack, demo):
    """A request that nobody has decided."""
    return pending(request(stack, demo, 'CS_TEMPLATE_APPROVAL'))


def request(stack, c, template):
    name = 'matrix.demo.example'
    return c.enroll(client.make_csr(client.ec_key(), name, [name],
                                    stack.env[template]))


@pytest.fixture
def send(stack, logged_on, held, waiting, people, agent_cert):  # noqa: F811
    def renew(way, who, new):
        wrong = None if who == 'demo' else client.ec_key()
        return held.renew(c=logged_on(way, 'demo'), signer=wrong,
                          key=client.ec_key() if new else held.key)

    def behalf(way, who):
        signers = [agent_cert] if who == 'agent' else []
        return logged_on(way, 'agent').enroll(on_behalf(
            people['bob'].name, 'EoCard', signers), pkcs10=False)
    return {
        'new': lambda *a: request(stack, logged_on(*a), 'CS_TEMPLATE'),
        'renewal old key': lambda *a: renew(*a, False),
        'renewal new key': lambda *a: renew(*a, True),
        'pending': lambda *a: request(stack, logged_on(*a),
                                      'CS_TEMPLATE_APPROVAL'),
        'poll': lambda *a: logged_on(*a).query(waiting),
        'on behalf': behalf}


@pytest.mark.parametrize('way, what, who, refusal', CELLS)
def test_matrix(send, way, what, who, refusal):
    r = send[what](way, who)
    if refusal is None:
        check_rstrc(r)
        assert (r.leaf is None) == (what in ('pending', 'poll'))
        return
    check_fault(r)
    assert (r.hresult, refusal[1] in r.reason) == (refusal[0], True), (
        hex(r.hresult or 0), r.reason)
