"""countersign doctor and Kerberos: the two sides, the keytab, the certificate,
the challenge."""
import os
import re
import shutil
import signal

import pytest

from findings import conf, doctor, of, others_are_over, site  # noqa: F401
from policies import published
from tickets import nobodys_keytab
from waits import wait_for

HTTP, AES256, RC4 = 'HTTP/localhost@DOCTOR.EXAMPLE', 18, 23


def offered(text):
    """The policy as it is when init is told of a keytab."""
    lines = r'(uri "kerberos" \{|\turi = ".*_CES_Kerberos/|\tpriority = |\}$)'
    new = re.sub('(?m)^\t#(?=%s)' % lines, '\t', text)
    assert re.search('(?m)^\turi "kerberos" ', new)
    return new


class Kerberos:
    """The stack's worker and policy with Kerberos, without a KDC."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        self.conf = stack.dir / 'etc/worker.conf'
        self.before = self.conf.read_text()
        self.policy = published(stack)
        self.keytab = stack.dir / 'etc/doctor.keytab'
        self.put(self.keytab, nobodys_keytab((HTTP, AES256, 3)))
        # Not a realm of which other tests have accounts.
        self.section = 'kerberos {\n\trealm = {"DOCTOR.EXAMPLE"}\n' \
            '\tkeytab = "%s"\n\tcertificate = {"%s"}\n}\n' % (
                self.keytab, stack.dir / 'tls/server.pem')

    def put(self, file, data):
        file.unlink(missing_ok=True)
        file.write_bytes(data)
        file.chmod(0o600)
        shutil.chown(file, self.conf.owner(), self.conf.group())

    def publish(self, text):
        (self.folder / 'p.conf').write_text(text)
        self.stack.ctl('policy', 'publish', str(self.folder / 'p.conf'))

    def restart(self, text):
        before, = self.stack.pids('worker')
        self.conf.write_text(text)
        os.kill(before, signal.SIGTERM)
        wait_for(lambda: self.stack.pids('worker') != [before] and not of(
            doctor(self.stack), 'worker', 'fail'))


@pytest.fixture(scope='module')
def kerberos(stack, tmp_path_factory):
    k = Kerberos(stack, tmp_path_factory.mktemp('kerberos'))
    k.restart(k.before + k.section)
    k.publish(offered(k.policy))
    yield k
    k.publish(k.policy)
    k.restart(k.before)
    k.keytab.unlink()


@pytest.fixture
def theirs(kerberos, conf):  # noqa: F811
    """A worker.conf and a keytab of a test's own, which no worker runs with:
    what doctor says of them."""
    file = conf.parent / 'worker.conf'

    def look(section, data=None, policy=None):
        own = conf.parent / 'own.keytab'
        if data is not None:
            kerberos.put(own, data)
            section = section.replace(str(kerberos.keytab), str(own))
        file.write_text(kerberos.before + section)
        rows = doctor(kerberos.stack, conf=conf)
        return [r for r in rows if r['result'] in ('warn', 'fail')]
    return look


def test_kerberos_is_well(kerberos):
    rows = of(doctor(kerberos.stack, code=0), 'kerberos', 'ok')
    base = kerberos.stack.env['CS_HOME_URL'].rstrip('/')
    assert {r['object']: r['text'] for r in rows} == {
        str(kerberos.keytab): 'has HTTP/localhost, version 3',
        base.removeprefix('https://'):
            "shows a certificate of the worker's kerberos section",
        base + '/ADPolicyProvider_CEP_Kerberos/service.svc/CEP':
            'asks for a ticket',
        base + '/Demo-CA_CES_Kerberos/service.svc/CES': 'asks for a ticket'}


@pytest.mark.parametrize('keys, text', [
    ([(HTTP, AES256, 3), ('host/localhost@DOCTOR.EXAMPLE', AES256, 1)],
     'has the key of host/localhost@DOCTOR.EXAMPLE'),
    ([(HTTP, AES256, 3), (HTTP, RC4, 3)],
     'the key of HTTP/localhost@DOCTOR.EXAMPLE is rc4-hmac'),
    ([('HTTP/web1.example@DOCTOR.EXAMPLE', AES256, 3)],
     'has no key of HTTP/localhost, the host'),
    ([], 'holds no key')])
def test_kerberos_keys(kerberos, theirs, keys, text):
    bad, = theirs(kerberos.section, nobodys_keytab(*keys))
    assert bad['result'] == 'fail' and bad['check'] == 'kerberos'
    assert text in bad['text']


@pytest.mark.parametrize('realms, result', [
    ('"DOCTOR.EXAMPLE"', None), ('"OTHER", "DOCTOR.EXAMPLE"', None),
    ('"doctor.example"', 'fail'), ('"OTHER"', 'warn')])
def test_kerberos_realm(kerberos, theirs, realms, result):
    """Case counts, and nobody sees it in 403."""
    bad = theirs(kerberos.section.replace('"DOCTOR.EXAMPLE"', realms))
    assert [b['result'] for b in bad] == [result] * (result is not None)
    assert all('DOCTOR.EXAMPLE, the realm of' in b['text'] for b in bad)


def test_kerberos_no_keytab(kerberos, theirs):
    bad, = theirs(kerberos.section, b'no keytab')
    assert bad['check'] == 'kerberos' and 'own.keytab' in bad['object']
    bad, = theirs(kerberos.section.replace('doctor.keytab', 'not-there'))
    assert bad['check'] == 'file'


def test_kerberos_keytab_of_others(kerberos, theirs):
    kerberos.keytab.chmod(0o644)
    try:
        bad, = theirs(kerberos.section)
        assert bad['check'] == 'file' and '0644' in bad['text']
        kerberos.keytab.chmod(0)
        bad, = theirs(kerberos.section)
        assert bad['check'] == 'kerberos' and bad['advice'].startswith('chown')
        assert 'cannot read' in bad['text']
    finally:
        kerberos.keytab.chmod(0o600)


def test_kerberos_other_certificate(kerberos, theirs):
    """What a balancer that ends TLS does to channel binding, which answers
    [security] ESC8."""
    other = kerberos.section.replace('tls/server.pem', 'ca/Demo-CA.pem')
    bad, = theirs(other)
    assert 'is in no file of the worker' in bad['text']
    assert 'channel binding' in bad['advice'] and 'balancer' in bad['advice']
    both = other.replace('certificate = {', 'certificate = {"%s", ' % (
        kerberos.stack.dir / 'tls/server.pem'))
    assert theirs(both) == []
    bad = theirs(kerberos.section.replace('server.pem', 'not-there.pem'))
    assert {b['check'] for b in bad} == {'file', 'kerberos'}


def test_kerberos_unbound(kerberos, theirs):
    off = re.sub('certificate = .*', 'channel-binding = "off"',
                 kerberos.section)
    bad, = theirs(off)
    assert bad['result'] == 'warn' and 'is off' in bad['text']


def test_kerberos_without_a_sid(kerberos, theirs):
    """Of a domain of Active Directory, as one can tell by the others."""
    domain = 'x%s.example' % os.urandom(4).hex()
    own = kerberos.section.replace(
        '"DOCTOR.EXAMPLE"', '"DOCTOR.EXAMPLE", "%s"' % domain.upper())
    bare = re.sub('\trealm.*\n', '', own)
    keys = nobodys_keytab(('HTTP/localhost@' + domain.upper(), AES256, 1))
    kerberos.stack.account('bob@' + domain)
    kerberos.stack.account('ann@' + domain)
    assert theirs(own) == []            # it may have none
    sid = 'S-1-5-21-%d-1-1-' % int.from_bytes(os.urandom(3), 'big')
    kerberos.stack.ctl('account', 'change', 'bob@' + domain, '--sid',
                       sid + '1104')
    bad, = theirs(own)
    assert bad['result'] == 'warn' and bad['object'] == domain
    assert bad['text'].startswith('1 accounts') and 'ann@' in bad['text']
    assert theirs(bare, keys) == [bad]  # the keytab's realms
    kerberos.stack.ctl('account', 'change', 'ann@' + domain, '--sid',
                       sid + '1105')
    assert theirs(own) == []


def test_kerberos_one_side_only(kerberos, theirs):
    bad, = theirs('')
    assert bad['result'] == 'fail' and 'no kerberos section' in bad['text']
    kerberos.publish(kerberos.policy)
    try:
        bad, = theirs(kerberos.section)
    finally:
        kerberos.publish(offered(kerberos.policy))
    assert bad['result'] == 'warn' and 'no address' in bad['text']


@pytest.mark.parametrize('instead, text', [
    ('return 404', 'http status 404 to'),
    ('add_header WWW-Authenticate NTLM always; return 401',
     'http status 401, NTLM to'),
    ('fastcgi_param CS_AUTH password', 'http status 500 to')])
def test_kerberos_something_else_answers(kerberos, site, instead, text):  # noqa: F811
    before, load = site
    load(before.replace('fastcgi_param CS_AUTH kerberos', instead))
    bad = wait_for(lambda: len(bad := of(doctor(
        kerberos.stack), 'kerberos', 'fail')) >= 2 and bad)
    assert all(text in b['text'] for b in bad)
    assert any(b['object'].endswith('_CES_Kerberos/service.svc/CES')
               for b in bad)


def test_kerberos_without_a_worker_for_it(kerberos):
    """The addresses are in nginx in any case."""
    kerberos.restart(kerberos.before)
    try:
        bad = of(doctor(kerberos.stack, code=1), 'kerberos', 'fail')
    finally:
        kerberos.restart(kerberos.before + kerberos.section)
    assert sorted(b['text'][:15] for b in bad) == [
        'http status 404', 'http status 404', 'the policy has ']
    assert any('needs a kerberos section' in b['advice'] for b in bad)
