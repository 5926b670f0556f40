"""Renewal in both forms, as clients do it and as nobody should."""
import os
import re
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
from madeup import put_row  # noqa: F401
from policies import in_force, publish, published
from renewals import (ACCOUNT, COMMON, CONFLICT, EXPIRED, OTHER_KEY,
                      OTHER_NAMES, REQUEST, REVOKED, RULES, UNTRUSTED, Held,
                      alice, forged, refused, somebody)

OLD_CERT = 0x8009400e
DENIED = 0x80094011
NOT_IN_GROUP = 0x80094012
BAD_ALGORITHM = 0x80090008
BAD_SIGNATURE = 0x80090006

LIVES = 4, 20, 100      # seconds: test_time
TEMPLATES = {
    'Plain': ('1y', ACCOUNT, ''),
    'Next': ('1y', ACCOUNT, 'supersedes = {"RenewPlain"}'),
    'Foreign': ('1y', ACCOUNT, ''),
    'SameKey': ('1y', ACCOUNT, 'renewal-same-key = true'),
    'Twice': ('1y', ACCOUNT, 'renewal-max = 2'),
    **{'%s%d' % (name, n): ('%ds' % n, ACCOUNT, more.format(n, n + 600))
       for n in LIVES for name, more in (
           ('Short', ''), ('Grace', 'renewal-grace = {0}s'),
           ('Aged', 'renewal-grace = {0}s renewal-max-age = {1}s'))},
    'Approved': ('1y', ACCOUNT, 'approval = manager '
                 'approval-groups = {"renew-guests"} '
                 'renewal-previous-approval = true'),
    'Waits': ('1y', ACCOUNT, 'approval = manager '
              'approval-groups = {"renew-guests"}'),
    'Host': ('1y', REQUEST, ''),
    'KeyBased': ('1y', REQUEST, 'renewal-previous-approval = true '
                 'renewal-key-based = true'),
    'Anonymous': ('1y', REQUEST, 'renewal-previous-approval = true '
                  'renewal-key-based = true renewal-anonymous = true'),
}


# Of a schema that has no word for a hash.
OLD = '''
template "RenewOld" {
	oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.77.99"
	ca = {"%s"} type = user schema = 2 validity = 1y renewal = 6w
	keys = {"rsa:2048"} key-spec = 1 key-usage = {"digital-signature"}
	providers = {"Microsoft Enhanced RSA and AES Cryptographic Provider"}
	%s
	renewal-sha1 = true renewal-anonymous = true
}
'''


def policy_text(before):
    ca = re.search(r'^ca "([^"]+)"', before, re.M).group(1)
    out = RULES + OLD % (ca, ACCOUNT[1])
    for n, (name, (validity, kind, more)) in enumerate(TEMPLATES.items()):
        out += COMMON % ('Renew' + name, n + 1, ca, kind[0],
                         validity, '1s' if validity[-1] == 's' else '6w',
                         kind[1] + more)
    return out


@pytest.fixture(scope='module')
def site(stack):
    """A policy with templates for renewal, and who may use them."""
    before = published(stack)
    with in_force(stack, before + policy_text(before)):
        yield stack


@pytest.fixture(scope='module')
def plain(alice):
    return Held(alice, 'RenewPlain')


FORMS = ['cmc', 'cms', 'bare']
both = pytest.mark.parametrize('form', FORMS)


def spki(key_or_cert):
    k = key_or_cert if hasattr(key_or_cert, 'public_bytes') and \
        not hasattr(key_or_cert, 'public_key') else key_or_cert.public_key()
    return k.public_bytes(serialization.Encoding.DER,
                          serialization.PublicFormat.SubjectPublicKeyInfo)


@both
@pytest.mark.parametrize('new', [False, True])
def test_renewed(site, plain, form, new):
    key = client.ec_key() if new else plain.key
    r = plain.renew(form, key=key)
    got = plain.after(r, key)
    c = x509.load_der_x509_certificate(got.der)
    old = x509.load_der_x509_certificate(plain.der)
    assert spki(c) == spki(key) and c.subject == old.subject
    assert c.serial_number != old.serial_number
    row = site.ctl_json('request', 'show', r.findtext('.//e:RequestID'))[0]
    assert row['renews'] == plain.serial
    assert row['chain'] == [plain.serial]
    assert site.sql('SELECT renewals FROM countersign.certificate '
                    'WHERE serial = decode(%s, \'hex\')', got.serial) == [(1,)]


def test_chain(site, alice):
    held = [Held(alice, 'RenewPlain')]
    for form in FORMS:
        key = client.ec_key()
        r = held[0].renew(form, key=key)
        held.insert(0, held[0].after(r, key))
    row = site.ctl_json('request', 'show', r.findtext('.//e:RequestID'))[0]
    assert row['chain'] == [h.serial for h in held[1:]]
    assert 'renews' in site.ctl(
        'request', 'show', r.findtext('.//e:RequestID')).stdout


@both
def test_names_are_taken_anew(site, somebody, form):
    """names = account: what the request says is no part of it."""
    h = Held(somebody('renewers'), 'RenewPlain')
    got = h.after(h.renew(form, cn='somebody else'))
    assert x509.load_der_x509_certificate(got.der).subject == \
        x509.load_der_x509_certificate(h.der).subject


def test_without_attribute_it_is_new(site, plain):
    """[MS-WCCE]: a signer alone makes no renewal."""
    csr = client.make_csr(plain.key, template='RenewPlain')
    r = plain.c.enroll(client.renewal_cms(csr, plain.key, plain.der),
                       pkcs10=False)
    assert r.fault is None, r.reason
    row = site.ctl_json('request', 'show', r.findtext('.//e:RequestID'))[0]
    assert row['renews'] is None and row['chain'] == []


@both
def test_wrong_old_signature(plain, form):
    r = plain.renew(form, signer=client.ec_key())
    refused(r, BAD_SIGNATURE, 'signer by certificate')


@both
def test_wrong_new_signature(plain, form):
    """Proof of possession: a request somebody else's key signed."""
    csr = plain.csr(signer=client.ec_key())
    m = (client.renewal_cmc(csr, plain.key, plain.key, plain.der)
         if form == 'cmc' else
         client.renewal_cms(csr, plain.key, plain.der, form == 'bare'))
    refused(plain.c.enroll(m, pkcs10=False), BAD_SIGNATURE, '')


def test_cmc_new_key_must_sign(plain):
    """The old key alone proves nothing about the new one."""
    new = client.ec_key()
    csr = plain.csr(new, null=True)
    data = client.pki_data(csr)
    m = client.signed_data(data, [client.cert_signer(
        plain.key, plain.der, data)], [plain.der])
    refused(plain.c.enroll(m, pkcs10=False), BAD_SIGNATURE, 'possession')
    # With the new key's signature outside it is enough.
    m = client.renewal_cmc(csr, new, plain.key, plain.der)
    assert plain.c.enroll(m, pkcs10=False).fault is None


def test_old_key_did_not_sign(plain):
    new = client.ec_key()
    m = client.make_cmc(new, plain.csr(new))
    refused(plain.c.enroll(m, pkcs10=False), OLD_CERT, 'not a signer')
    refused(plain.c.enroll(plain.csr(new)), OLD_CERT, 'without')


@both
def test_certificate_not_included(plain, form):
    csr = plain.csr()
    m = (client.renewal_cmc(csr, plain.key, plain.key, plain.der, certs=())
         if form == 'cmc' else client.renewal_cms(
             csr, plain.key, plain.der, form == 'bare', certs=()))
    refused(plain.c.enroll(m, pkcs10=False), OLD_CERT, 'not included')


@both
@pytest.mark.parametrize('value', [b'\x04\x02hi', b'\x30\x03\x02\x01\x05'])
def test_attribute_is_no_certificate(plain, form, value):
    refused(plain.renew(form, old=value), OLD_CERT, '')


@both
def test_attribute_names_another(plain, alice, form):
    """Signed with one certificate, naming another of the same account."""
    other = Held(alice, 'RenewPlain')
    refused(plain.renew(form, old=other.der), OLD_CERT, 'not a signer')


@both
@pytest.mark.parametrize('same_serial', [True, False])
def test_not_ours(plain, form, same_serial):
    """Same issuer name, same serial even: the bytes are not the row's."""
    key = client.ec_key()
    fake = Held.__new__(Held)
    fake.c, fake.name, fake.kw, fake.key = plain.c, plain.name, {}, key
    fake.der = forged(plain.der, key,
                      None if same_serial else 0x4012345678)
    refused(fake.renew(form), UNTRUSTED, 'was not issued by')


@both
def test_revoked(site, alice, form):
    h = Held(alice, 'RenewPlain')
    site.ctl('cert', 'revoke', h.serial, '--reason', 'superseded')
    refused(h.renew(form), REVOKED, h.serial.lower())


@both
def test_other_account(plain, somebody, form):
    mallory = somebody('renewers')
    refused(plain.renew(form, c=mallory), DENIED,
            'is not of account ' + mallory.user)


@both
def test_disabled_account(site, somebody, form):
    h = Held(somebody('renewers'), 'RenewPlain')
    site.ctl('account', 'disable', h.c.user)
    r = h.renew(form)
    assert r.fault is not None
    site.ctl('account', 'enable', h.c.user)
    assert h.renew(form).fault is None


@both
def test_group_left(site, somebody, form):
    """Without key-based renewal the old certificate permits nothing."""
    h = Held(somebody('renewers'), 'RenewPlain')
    site.ctl('account', 'group', h.c.user, 'remove', 'renewers')
    refused(h.renew(form), NOT_IN_GROUP, 'none of the groups')


@both
def test_template(plain, form):
    refused(plain.renew(form, template='RenewForeign'), CONFLICT,
            'does not supersede')
    # What supersedes the old one takes over its certificates.
    assert plain.renew(form, template='RenewNext').fault is None


@both
def test_same_key(alice, form):
    h = Held(alice, 'RenewSameKey')
    refused(h.renew(form, key=client.ec_key()), OTHER_KEY,
            'renewal-same-key')
    assert h.renew(form).fault is None


@both
def test_renewal_max(alice, form):
    h = Held(alice, 'RenewTwice')
    h = h.after(h.renew(form))
    h = h.after(h.renew(form))
    refused(h.renew(form), DENIED, 'renewal-max is 2')


class TooLate(Exception):
    pass


def lives(alice, life):
    """Of certificates of a few seconds: when they may be renewed, and when
    not any more."""
    begun = time.time()

    def good(held, until):
        r = held.renew()
        if time.time() - begun > until:
            raise TooLate
        assert r.fault is None, r.reason
        return r

    def sleep(until):
        time.sleep(max(0, begun + until - time.time()))
    short, grace, aged = (Held(alice, 'Renew%s%d' % (name, life))
                          for name in ('Short', 'Grace', 'Aged'))
    good(short, life)
    ready = time.time() - begun
    sleep(0.6 * life)
    aged = aged.after(good(aged, life))
    good(aged, life)
    sleep(life + ready + 1)
    # Young itself, but the first one of the chain is not; its notBefore was
    # ten minutes before its time.
    refused(aged.renew(), DENIED, 'renewal-max-age is %d s' % (life + 600))
    for form in FORMS:
        refused(short.renew(form), EXPIRED, 'renewal-grace is 0 s')
    good(grace, 2 * life)
    sleep(2 * life + ready + 1)
    refused(grace.renew(), EXPIRED, 'renewal-grace is %d s' % life)


def test_time(alice):
    """In seconds, unless the machine is too busy for that."""
    for life in LIVES:
        try:
            return lives(alice, life)
        except TooLate:
            continue
    pytest.fail('too busy')


def by_sha1(h, form):
    """As Windows signs for schema 1 and 2."""
    csr = h.csr()
    if form != 'cmc':
        return client.renewal_cms(csr, h.key, h.der, form == 'bare',
                                  hash_name='sha1')
    data = client.pki_data(csr)
    return client.signed_data(data, [
        client.ski_signer(h.key, data, hash_name='sha1'),
        client.cert_signer(h.key, h.der, data, hash_name='sha1')],
        [h.der], hash_name='sha1')


@both
def test_sha1(plain, form):
    m = by_sha1(plain, form)
    refused(plain.c.enroll(m, pkcs10=False), BAD_ALGORITHM,
            'template RenewPlain has no renewal-sha1')


@both
def test_sha1_where_clients_know_no_other(site, alice, nobody, form):
    """Of who has logged on, whose names and rights are asked for besides."""
    h = Held(alice, 'RenewOld', client.rsa_key(2048, 0))
    m = by_sha1(h, form)
    refused(ask(nobody, m), BAD_ALGORITHM, 'without a log-on is not enough')
    r = alice.enroll(m, pkcs10=False)
    got = h.after(r)
    row, = site.ctl_json('request', 'show', r.findtext('.//e:RequestID'))
    assert row['renews'] == h.serial
    got.key = client.rsa_key(2048, 1)       # not the certificate's
    refused(alice.enroll(by_sha1(got, form), pkcs10=False), BAD_SIGNATURE,
            'signature')


def test_attributes_are_no_content(plain):
    """[RFC 5652] has one signature mean two things: over attributes, or over
    a content that looks like them.  Whoever gets an old key to sign some
    message must not have a renewal."""
    signer = client.cert_signer(plain.key, plain.der, b'innocent', client.DATA)
    attrs = b'\x31' + signer['signed_attrs'].dump()[1:]
    bare = client.bare_signer(plain.key, plain.der, attrs)
    bare['signature'] = signer['signature'].native
    m = client.signed_data(attrs, [bare], [plain.der], client.DATA,
                           version='v1')
    r = plain.c.enroll(m, pkcs10=False)
    assert r.fault is not None and r.hresult == 0x8007000d, r.reason


# Approval ------------------------------------------------------------------

@both
def test_previous_approval(site, somebody, form):
    """Approved once is enough; without the option every renewal waits."""
    c = somebody('renewers')
    approved, waits = Held(c, 'RenewApproved'), Held(c, 'RenewWaits')
    site.ctl('account', 'group', c.user, 'add', 'renew-guests')
    r = c.enroll(client.make_csr(client.ec_key(), template='RenewApproved'))
    assert r.fault is None and r.leaf is None       # pending
    assert approved.renew(form).leaf is not None
    r = waits.renew(form)
    assert r.fault is None and r.leaf is None


def test_approved_renewal(site, somebody, plain):
    """A renewal that waited is judged again when it is approved."""
    c = somebody('renewers')
    held = [Held(c, 'RenewWaits') for _ in range(2)]
    site.ctl('account', 'group', c.user, 'add', 'renew-guests')
    number = [h.renew().findtext('.//e:RequestID') for h in held]
    site.ctl('request', 'approve', number[0])
    row = site.ctl_json('request', 'show', number[0])[0]
    assert row['state'] == 'issued' and row['renews'] == held[0].serial
    assert site.sql('SELECT renewals FROM countersign.certificate WHERE '
                    'serial = decode(%s, \'hex\')', row['serial']) == [(1,)]
    site.ctl('cert', 'revoke', held[1].serial, '--reason', 'superseded')
    r = site.ctl('request', 'approve', number[1], ok=None)
    assert r.returncode != 0 and 'is revoked' in r.stderr, r.stderr


# Names from the request ----------------------------------------------------

def host(c, name, who):
    return Held(c, name, cn=who, dns=[who])


@both
def test_names_of_a_rule(site, somebody, form):
    """Not key-based: the rule is asked again."""
    c = somebody('renew-enroll', 'renew-rule')
    h = host(c, 'RenewHost', 'a.renew.example')
    assert h.renew(form).fault is None
    assert h.renew(form, cn='b.renew.example',
                   dns=['b.renew.example']).fault is None
    r = h.renew(form, cn='b.other.example', dns=['b.other.example'])
    refused(r, 0x80094001, 'b.other.example')
    site.ctl('account', 'group', c.user, 'remove', 'renew-rule')
    refused(h.renew(form), 0x80094001, 'a.renew.example')


@both
def test_key_based(site, somebody, form):
    c = somebody('renew-enroll', 'renew-rule')
    h = host(c, 'RenewKeyBased', 'k.renew.example')
    site.ctl('account', 'group', c.user, 'remove', 'renew-enroll')
    site.ctl('account', 'group', c.user, 'remove', 'renew-rule')
    key = client.ec_key()
    r = h.renew(form, key=key)
    got = x509.load_der_x509_certificate(h.after(r, key).der)
    old = x509.load_der_x509_certificate(h.der)
    assert got.subject == old.subject
    san = x509.SubjectAlternativeName
    assert got.extensions.get_extension_for_class(san).value == \
        old.extensions.get_extension_for_class(san).value
    for names in ({'cn': 'x.renew.example', 'dns': ['k.renew.example']},
                  {'cn': 'k.renew.example', 'dns': ['x.renew.example']},
                  {'cn': 'k.renew.example', 'dns': ['k.renew.example',
                                                    'x.renew.example']},
                  {'cn': None, 'dns': ['k.renew.example']},
                  {'cn': None, 'dns': []}):
        refused(h.renew(form, **names), OTHER_NAMES, 'renewal-key-based')
    # A new request is what the groups are for.
    refused(c.enroll(client.make_csr(key, template='RenewKeyBased', **h.kw)),
            NOT_IN_GROUP, '')


# Anonymous -----------------------------------------------------------------

@pytest.fixture(scope='module')
def nobody(site):
    c = client.Client(site.env)
    c.header = lambda: ''
    return c


def ask(nobody, token, pkcs10=False):
    url = nobody.env['CS_CES_RENEWAL_URL']
    return nobody.enroll(token, pkcs10=pkcs10, url=url)


@both
@pytest.mark.parametrize('new', [False, True])
def test_anonymous(site, somebody, nobody, form, new):
    c = somebody('renew-enroll', 'renew-rule')
    h = host(c, 'RenewAnonymous', 'n.renew.example')
    key = client.ec_key() if new else h.key
    message = h.message(form, key=key)
    r = ask(nobody, message)
    assert r.fault is None, r.reason
    row = site.ctl_json('request', 'show', r.findtext('.//e:RequestID'))[0]
    assert row['account'] == c.user and row['method'] == 'anonymous'
    assert row['renews'] == h.serial
    # The account is judged, though it did not log on.
    site.ctl('account', 'disable', c.user)
    refused(ask(nobody, h.message(form, key=key)), 0x80070005, 'disabled')


@both
def test_row_without_certificate(somebody, nobody, put_row, form):
    """A row makes a certificate of nothing that no CA has signed."""
    h = host(somebody('renew-enroll', 'renew-rule'), 'RenewAnonymous',
             's.renew.example')
    fake = Held.__new__(Held)
    fake.c, fake.name, fake.kw = h.c, h.name, h.kw
    fake.key = client.ec_key()
    # As a signer might have drawn it, or the worker passes nothing on.
    fake.der = forged(h.der, fake.key, serial=int(h.serial, 16) ^
                      int.from_bytes(os.urandom(8), 'big'))
    put_row(h.der, fake.der)
    refused(ask(nobody, fake.message(form)), UNTRUSTED,
            'in the database was made by no signer')
    refused(fake.renew(form), UNTRUSTED,
            'in the database was made by no signer')


@both
def test_row_of_before(site, somebody, nobody, put_row, form):
    """Nor of what the CA's key signed elsewhere, before it was imported."""
    h = host(somebody('renew-enroll', 'renew-rule'), 'RenewAnonymous',
             't.renew.example')
    old = Held.__new__(Held)
    old.c, old.name, old.kw = h.c, h.name, h.kw
    old.key = client.ec_key()
    ca = site.dir / 'ca/Demo-CA'
    old.der = forged(h.der, old.key, own_key=serialization.load_pem_private_key(
        ca.with_suffix('.key').read_bytes(),
        ca.with_suffix('.pass').read_bytes().strip()),
        serial=int.from_bytes(b'\x1a\0\0\0\x02' + os.urandom(14), 'big'))
    put_row(h.der, old.der)
    refused(ask(nobody, old.message(form)), UNTRUSTED,
            'was not issued by a signer')
    refused(old.renew(form), UNTRUSTED,
            'in the database was made by no signer')


def test_anonymous_repeats(somebody, nobody):
    """The same message twice is one certificate."""
    h = host(somebody('renew-enroll', 'renew-rule'), 'RenewAnonymous',
             'r.renew.example')
    m = h.message()
    url = nobody.env['CS_CES_RENEWAL_URL']
    mid = 'urn:uuid:00000000-0000-4000-8000-%012x' % (time.time_ns() >> 16)
    first = nobody.enroll(m, pkcs10=False, url=url, message_id=mid)
    again = nobody.enroll(m, pkcs10=False, url=url, message_id=mid)
    assert first.fault is None, first.reason
    assert first.leaf == again.leaf


@both
def test_anonymous_refusals(site, somebody, nobody, plain, form):
    c = somebody('renew-enroll', 'renew-rule')
    refused(ask(nobody, plain.message(form)), DENIED, 'renewal-anonymous')
    k = host(c, 'RenewKeyBased', 'q.renew.example')
    refused(ask(nobody, k.message(form)), DENIED, 'renewal-anonymous')
    h = host(c, 'RenewAnonymous', 'o.renew.example')
    # Its account may enroll for these names, but nobody proved to be it.
    refused(ask(nobody, h.message(form, cn='p.renew.example',
                                  dns=['p.renew.example'])),
            OTHER_NAMES, 'renewal-key-based')
    refused(ask(nobody, h.message(form, signer=client.ec_key())),
            BAD_SIGNATURE, '')
    fake = Held.__new__(Held)
    fake.c, fake.name, fake.kw = c, h.name, h.kw
    fake.key = client.ec_key()
    fake.der = forged(h.der, fake.key)
    strangers = "SELECT count(*) FROM countersign.request WHERE account = ''"
    before = site.sql(strangers)[0][0]
    r = ask(nobody, fake.message(form))
    refused(r, UNTRUSTED, 'was not issued by')
    # Nobody at all can fill the tables, nor have the CA's key sign.
    assert site.sql(strangers)[0][0] == before
    assert not r.findtext('.//e:BinaryResponse')
    site.ctl('cert', 'revoke', h.serial, '--reason', 'keyCompromise')
    refused(ask(nobody, h.message(form)), REVOKED, 'is revoked')


def test_anonymous_is_for_renewals(nobody, plain):
    key = client.ec_key()
    refused(ask(nobody, client.make_csr(key, template='RenewAnonymous'),
                pkcs10=True), DENIED, 'only renews')
    refused(ask(nobody, client.make_cmc(key, client.make_csr(
        key, template='RenewAnonymous'))), DENIED, 'only renews')
    url = nobody.env['CS_CES_RENEWAL_URL']
    r = nobody.post(url, client.envelope(client.RST, url, client.rst(
        None, request_type=client.E + '/QueryTokenStatus',
        extra='<RequestID xmlns="%s">1</RequestID>' % client.E)))
    refused(r, DENIED, 'only renews')


@pytest.mark.parametrize('template', ['', '_RENEWAL', '_MACHINE'])
def test_demo_renews_itself(stack, demo, nobody, template):
    """Templates of the demo, from the first minute."""
    h = Held(demo, stack.env['CS_TEMPLATE' + template], cn='u.demo.example',
             dns=['u.demo.example'])
    key = client.rsa_key()
    r = ask(nobody, h.message(key=key))
    assert r.fault is None, r.reason
    assert h.after(r, key).cert.subject == h.cert.subject
    if template != '_MACHINE':          # whose names are the account's
        refused(ask(nobody, h.message(cn='w.demo.example',
                                      dns=['w.demo.example'])),
                0x80094806, 'are not those')
    uris = [u.text for u in demo.policies().findall('.//p:cAURI/p:uri')]
    assert stack.env['CS_CES_RENEWAL_URL'] in uris


# The operator's view -------------------------------------------------------

@both
def test_explain(site, alice, plain, form, tmp_path):
    path = tmp_path / 'r.der'
    path.write_bytes(plain.message(form, key=client.ec_key()))
    out = site.ctl_json('explain', '--user', alice.user, '--csr', str(path))[0]
    assert out['outcome'] == 'issued' and out['renews'] == plain.serial
    path.write_bytes(plain.message(form, template='RenewForeign'))
    out = site.ctl('--json', 'explain', '--user', alice.user, '--csr',
                   str(path), ok=None)
    assert out.returncode == 1 and 'does not supersede' in out.stdout


def explained(site, path, message, *args, ok=1):
    path.write_bytes(message)
    return site.ctl_json('explain', '--csr', str(path), *args, ok=ok)[0]


@both
def test_explain_anonymous(site, somebody, nobody, plain, form, tmp_path):
    """Why a renewal without logging on is refused: the words of CES."""
    c = somebody('renew-enroll', 'renew-rule')
    h = host(c, 'RenewAnonymous', 'e.renew.example')
    path, how = tmp_path / 'r.der', ('--method', 'anonymous')
    good = explained(site, path, h.message(form), *how, ok=True)
    assert (good['outcome'], good['account'], good['renews']) == (
        'issued', c.user, h.serial)
    other = h.message(form, cn='p.renew.example', dns=['p.renew.example'])
    fake = Held.__new__(Held)
    fake.c, fake.name, fake.kw = c, h.name, h.kw
    fake.key = client.ec_key()
    fake.der = forged(h.der, fake.key)
    for message in other, plain.message(form), fake.message(form):
        said = ask(nobody, message)
        told = explained(site, path, message, *how)
        assert said.reason.startswith(told['text'])
        assert int(told['hresult'], 16) == said.hresult
    # The same by password is another question.
    for how2 in 'password', 'operator':
        assert explained(site, path, other, '--user', c.user, '--method',
                         how2, ok=True)['outcome'] == 'issued'
    site.ctl('account', 'disable', c.user)
    told = explained(site, path, h.message(form), *how)
    assert ask(nobody, h.message(form)).reason.startswith(told['text'])
    new = client.make_csr(h.key, template=h.name, **h.kw)
    told = explained(site, path, new, '--method', 'anonymous')
    assert told['account'] is None
    assert ask(nobody, new, pkcs10=True).reason.startswith(told['text'])


def test_explain_method(site, alice, plain, tmp_path):
    """A way of asking that the CA has no address for."""
    before = published(site)
    ca, = re.findall(r'ca "[^"]+" \{.*?\n\}', before, re.S)
    uri = re.search(r'\turi "certificate" \{.*?\n\t\}\n', ca, re.S).group()
    publish(site, before.replace(uri, uri.replace(
        'priority = 1', 'priority = 1\n\t\trenewal-only = true')))
    csr = client.make_csr(client.ec_key(), template='RenewPlain')
    args = '--user', alice.user, '--method'
    told = explained(site, tmp_path / 'r', csr, *args, 'certificate')
    assert told['text'] == 'ca Demo-CA only renews by its uri for method ' \
        'certificate'
    assert explained(site, tmp_path / 'r', plain.message(), *args,
                     'certificate', ok=True)['outcome'] == 'issued'
    rows = site.ctl_json('explain', *args, 'certificate', ok=1)
    assert not any(r['enroll'] for r in rows)
    assert any(r['enroll'] for r in site.ctl_json('explain', *args, 'password'))
    publish(site, before)


@pytest.mark.parametrize('args, text', [
    (('--method', 'anonymous'), 'needs --csr'),
    (('--method', 'anonymous', '--csr', 'x', '--account', 'demo'),
     'no --account'),
    (('--method', 'ntlm', '--account', 'demo'), 'not password'),
    (('--method', 'password'), '--account is needed')])
def test_explain_usage(site, args, text):
    assert text in site.ctl('explain', *args, ok=2).stderr
