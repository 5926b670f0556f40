"""Delta lists ([RFC5280] 5.2.4): what was revoked or released since the last
complete list, what openssl and python cryptography make of both together, and
what happens when the policy has them no longer."""
import os
import random
import signal
import subprocess
import threading
import time

import psycopg
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import client
from ledgers import children, dead
from revocation import (EARLY, GOOD, cdp, fetch_crl, hex_serial, http, issuer_of,
                        next_publish, revoke, status)
from slapd import BASE, directory, needs_slapd, publish
from waits import wait_for, wait_issue

PEM = serialization.Encoding.PEM
HOUR = 3600


def number(crl):
    return crl.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number


def base(crl):
    """The number of the list that it adds to; None: it is complete."""
    try:
        ext = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    except x509.ExtensionNotFound:
        return None
    assert ext.critical
    return ext.value.crl_number


def freshest(thing):
    try:
        ext = thing.extensions.get_extension_for_class(x509.FreshestCRL)
    except x509.ExtensionNotFound:
        return None
    assert not ext.critical and len(ext.value) == 1
    return ext.value[0].full_name[0].value


def reason(crl, cert):
    """removeFromCRL is a reason, too; 'none': without one; None: no entry."""
    e = crl.get_revoked_certificate_by_serial_number(cert.serial_number)
    if e is None:
        return None
    for x in e.extensions:
        return x.value.reason.value
    return 'none'


class Place:
    def __init__(self, stack):
        self.stack, self.n = stack, 0

    def issue(self):
        self.n += 1
        r = client.Client(self.stack.env).enroll(client.make_csr(
            client.rsa_key(), cn='d%d.demo.example' % self.n,
            template=self.stack.env['CS_TEMPLATE']))
        assert r.leaf is not None, r.text
        return r.certificate

    def delta(self, cert=None):
        """The one that there is now; it verifies like any list."""
        cert = cert or self.cert
        r = http.get(freshest(cert), timeout=300)
        assert r.status_code == 200
        assert r.headers['Content-Type'] == 'application/pkix-crl'
        crl = x509.load_der_x509_crl(r.content)
        assert crl.is_signature_valid(issuer_of(cert).public_key())
        assert freshest(crl) is None
        return crl


@pytest.fixture(scope='module')
def place(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp('policies')
    text = stack.ctl('policy', 'show').stdout
    p = Place(stack)
    p.before = p.issue()
    p.held = p.issue()
    revoke(stack, p.held, 'certificateHold')
    wait_for(lambda: reason(fetch_crl(p.held), p.held))
    http_url = cdp(p.before).split('/ca/')[0]
    p.old, p.new = folder / 'old.conf', folder / 'new.conf'
    p.old.write_text(text)
    changed = text.replace('crl-overlap = 1d', 'crl-overlap = 1d\n'
                           '\tcrl-delta = 2h\n'
                           '\tcdp-delta = {"%s/ca/{key}+.crl"}' % http_url, 1)
    assert changed != text
    p.new.write_text(changed)
    stack.ctl('policy', 'publish', str(p.new))
    try:
        # A complete list that says where its deltas are comes at once.
        p.base = wait_for(lambda: (lambda c: c if freshest(c) else None)(
            fetch_crl(p.before)))
        p.cert = wait_for(lambda: (lambda c: c if freshest(c) else None)(
            p.issue()))
        wait_for(lambda: http.get(freshest(p.cert)).status_code == 200 and
                 base(p.delta()) == number(p.base))
        yield p
    finally:
        stack.ctl('policy', 'publish', str(p.old))


def test_what_says_where_it_is(place):
    assert freshest(place.before) is None
    assert freshest(place.cert) == freshest(place.base)
    assert freshest(place.cert).endswith('/ca/Demo-CA+.crl')
    assert base(place.base) is None
    d = place.delta()
    assert base(d) == number(place.base) < number(d)
    assert (d.next_update - d.last_update - EARLY).total_seconds() == 2 * HOUR
    assert (d.next_update - next_publish(d)).total_seconds() == HOUR
    assert d.issuer == place.base.issuer


def test_revoked_since(place):
    cert, other = place.issue(), place.issue()
    revoke(place.stack, cert)
    revoke(place.stack, other, 'unspecified')
    d = wait_for(lambda: (lambda d: d if reason(d, other) else None)(
        place.delta()))
    assert reason(d, cert) == 'keyCompromise'
    assert reason(d, other) == 'none'
    now = fetch_crl(cert)           # the base is the one it was
    assert number(now) == number(place.base) == base(d)
    assert reason(now, cert) is None


def test_hold_and_release(place):
    assert reason(place.base, place.held) == 'certificateHold'
    assert reason(place.delta(), place.held) is None
    place.stack.ctl('cert', 'release', hex_serial(place.held))
    assert status(place.held) == GOOD
    assert wait_for(lambda: reason(place.delta(), place.held)) == \
        'removeFromCRL'
    assert reason(fetch_crl(place.held), place.held) == 'certificateHold'


def test_no_row_takes_off_what_is_revoked(place):
    """No ledger is held against these rows, so they may do no harm."""
    cert, later = place.issue(), place.issue()
    revoke(place.stack, cert)
    wait_for(lambda: reason(place.delta(), cert))
    serial = bytes.fromhex(hex_serial(cert))
    dsn = psycopg.conninfo.make_conninfo(place.stack.env['CS_DSN'],
                                         user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('INSERT INTO countersign.released SELECT ca, %s, now(), '
                   'n FROM countersign.revocation_change WHERE ca = '
                   "'Demo-CA'", (serial,))
        try:
            revoke(place.stack, later)
            d = wait_for(lambda: (lambda d: d if reason(d, later) else None)(
                place.delta()))
        finally:
            db.execute('DELETE FROM countersign.released WHERE serial = %s',
                       (serial,))
    assert reason(d, cert) == 'keyCompromise'


def combined(complete, delta, cert):
    """[RFC5280] 5.2.4, by python cryptography's eyes: is it revoked?"""
    assert base(delta) <= number(complete) < number(delta)
    why = reason(delta, cert)
    if why is None:
        why = reason(complete, cert)
    return why not in (None, 'removeFromCRL')


def test_openssl_and_python_agree(place, tmp_path):
    """Complete list alone, and with the delta: both ways they differ."""
    bad, good = place.issue(), place.issue()
    revoke(place.stack, bad)
    delta = wait_for(lambda: (lambda d: d if reason(d, bad) else None)(
        place.delta()))
    complete = fetch_crl(bad)
    root = open(place.stack.env['CS_ROOT_PEM'], 'rb').read()
    (tmp_path / 'all.pem').write_bytes(
        issuer_of(bad).public_bytes(PEM) + root)
    (tmp_path / 'lists.pem').write_bytes(complete.public_bytes(PEM))
    (tmp_path / 'both.pem').write_bytes(complete.public_bytes(PEM) +
                                        delta.public_bytes(PEM))

    def openssl(cert, lists, *more):
        (tmp_path / 'c.pem').write_bytes(cert.public_bytes(PEM))
        r = subprocess.run(
            ['openssl', 'verify', '-crl_check', *more, '-CAfile',
             tmp_path / 'all.pem', '-CRLfile', tmp_path / lists,
             tmp_path / 'c.pem'], capture_output=True, text=True)
        assert (r.returncode != 0) == ('certificate revoked' in r.stderr), \
            r.stderr
        return r.returncode != 0
    both = ('both.pem', '-use_deltas', '-extended_crl')
    for cert, alone, with_delta in ((bad, False, True), (good, False, False),
                                    (place.held, True, False)):
        assert openssl(cert, 'lists.pem') == alone
        assert (reason(complete, cert) is not None) == alone
        assert openssl(cert, *both) == with_delta
        assert combined(complete, delta, cert) == with_delta


def test_gnutls_reads_it(place, tmp_path):
    """Who knows no deltas must not take one for a complete list."""
    (tmp_path / 'd.pem').write_bytes(place.delta().public_bytes(PEM))
    (tmp_path / 'ca.pem').write_bytes(
        issuer_of(place.cert).public_bytes(PEM))
    r = subprocess.run(['certtool', '--crl-info', '--infile',
                        tmp_path / 'd.pem'], capture_output=True, text=True)
    assert r.returncode == 0 and '2.5.29.27' in r.stdout, r.stdout
    r = subprocess.run(['openssl', 'crl', '-in', tmp_path / 'd.pem', '-noout',
                        '-text', '-CAfile', tmp_path / 'ca.pem'],
                       capture_output=True, text=True)
    assert 'X509v3 Delta CRL Indicator: critical' in r.stdout
    assert 'verify OK' in r.stderr


def test_operators_see_it(place, tmp_path):
    full, delta = place.stack.ctl_json('crl', 'show', 'Demo-CA')
    assert full['delta_of'] is None and not full['changed']
    assert delta['delta_of'] == full['number'] < delta['number']
    checks = [c for c in place.stack.ctl_json('doctor', ok=None)
              if c['check'] == 'crl' and c['object'] == 'Demo-CA']
    assert [c['result'] for c in checks] == ['ok', 'ok'], checks
    assert 'delta number' in checks[1]['text']
    place.stack.ctl('crl', 'publish', '--to', str(tmp_path))
    crl = x509.load_der_x509_crl((tmp_path / 'Demo-CA+.crl').read_bytes())
    assert number(crl) >= delta['number']
    # The list's own thisUpdate, not when it was made.
    told = [r['this_update'] for r in place.stack.ctl_json(
        'crl', 'show', 'Demo-CA') if r['number'] == number(crl)]
    assert told == ['%sZ' % crl.last_update.isoformat()]
    assert number(x509.load_der_x509_crl(
        (tmp_path / 'Demo-CA.crl').read_bytes())) == full['number']
    place.stack.ctl('ledger', 'verify')


@needs_slapd
def test_in_a_directory(place, directory):  # noqa: F811
    def published():    # a new complete list has its first delta seconds later
        publish(directory, directory.socket + '/' + BASE)
        e = directory.values('Demo-CA')
        return e if 'deltaRevocationList' in e else None
    e = wait_for(published)
    delta = x509.load_der_x509_crl(e['deltaRevocationList'])
    assert base(delta) == number(x509.load_der_x509_crl(
        e['certificateRevocationList'])) < number(delta)


def test_ledger_has_the_number_first(place):
    rows = place.stack.sql('SELECT number, base, tbs_digest FROM '
                           'countersign.crl WHERE base > 0')
    assert rows
    # Behind the rows: a signer may be making another list.
    ledger = ''.join(f.read_text() for f in
                     (place.stack.dir / 'ledger').glob('*/ledger'))
    for n, b, digest in rows:
        assert ('"type":"crl","ca":"Demo-CA","number":"%d","base":"%d",'
                '"tbs":"%s"' % (n, b, digest.hex())) in ledger


@pytest.mark.parametrize('old,new,text', [
    ('crl-delta = 2h', 'crl-delta = 5m', 'must be 10m to half'),
    ('crl-delta = 2h', 'crl-delta = 4d', 'must be 10m to half'),
    ('crl-delta = 2h', '', 'cdp-delta: needs crl-delta'),
    ('cdp-delta = {"http:', 'cdp-delta = {"ldap:', 'begins with http://'),
])
def test_refused(place, tmp_path, old, new, text):
    f = tmp_path / 'p.conf'
    f.write_text(place.new.read_text().replace(old, new, 1))
    assert text in place.stack.ctl('policy', 'check', str(f), ok=1).stdout


def test_each_key_has_its_own(place, tmp_path):
    f = tmp_path / 'p.conf'
    f.write_text(place.new.read_text().replace('{key}+.crl', 'x+.crl', 1))
    place.stack.ctl('policy', 'publish', str(f))
    try:
        r = place.stack.ctl('ca', 'activate', 'Demo-CA', ok=1)
        assert 'cdp-delta of the policy is the same for every key' in r.stderr
    finally:
        place.stack.ctl('policy', 'publish', str(place.new))


class Reader(threading.Thread):
    """Keeps each list that is published, complete ones and deltas, in the
    order in which they were seen."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.urls = [cdp(place.cert), freshest(place.cert)]
        self.seen = [[], []]
        self.done = threading.Event()
        self.start()

    def run(self):
        session = requests.Session()
        session.trust_env = False
        over = False
        while not over:
            over = self.done.wait(0.1)      # and once more, to the end
            for url, seen in zip(self.urls, self.seen):
                r = session.get(url, timeout=300)
                if r.status_code == 200 and r.content not in seen[-1:]:
                    seen.append(r.content)

    def end(self):
        self.done.set()
        self.join(300)
        return [[x509.load_der_x509_crl(x) for x in seen]
                for seen in self.seen]


def entries(crl):
    return {e.serial_number for e in crl}


@pytest.mark.parametrize('part', ['signer', 'postgres'])
def test_killed_meanwhile(place, part):
    """Whatever dies: numbers rise, each delta has its base, and with it tells
    all that was told before."""
    stack, reader = place.stack, Reader(place)
    certs = [place.issue() for _ in range(4)]
    for i, cert in enumerate(certs):
        revoke(stack, cert)
        if i % 2 == 1:
            time.sleep(random.uniform(0, 3))    # a list is being made, or not
            killed = stack.pids(part)
            sessions = [c for pid in killed for c in children(pid)]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            # Until then the one of before still serves who has one.
            wait_for(lambda: all(map(dead, killed + sessions)))
            wait_issue(stack, client.make_csr(
                client.ec_key(), 'killed.demo.example', [],
                stack.env['CS_TEMPLATE']))
    last = certs[-1].serial_number
    wait_for(lambda: last in entries(place.delta()))
    complete, deltas = reader.end()
    ca = issuer_of(certs[0]).public_key()
    for lists in complete, deltas:
        assert lists and all(c.is_signature_valid(ca) for c in lists)
        numbers = [number(c) for c in lists]
        assert numbers == sorted(set(numbers)), numbers
    rows = dict(stack.sql("SELECT number, base FROM countersign.crl "
                          "WHERE ca = 'Demo-CA'"))
    assert {number(c) for c in complete + deltas} <= rows.keys()
    known = {number(c): entries(c) for c in complete + [place.base]}
    assert not known.keys() & {number(d) for d in deltas}
    before = set()
    for d in deltas:
        assert base(d) < number(d) and not rows[base(d)]
        # Its base, or a newer one ([RFC5280] 5.2.4): not each was seen.
        fit = [n for n in known if base(d) <= n < number(d)]
        if not fit:
            continue
        now = known[fit[0]] | entries(d)
        assert before <= now
        before = now
    now = known[max(known)] | entries(deltas[-1])
    assert max(known) >= base(deltas[-1]) and before <= now
    assert {c.serial_number for c in certs} <= now
    stack.ctl('ledger', 'verify')


def test_no_longer(place):
    """All that deltas told is on the next complete list, which comes at once."""
    import psycopg
    cert = place.issue()
    revoke(place.stack, cert)
    last = wait_for(lambda: (lambda d: d if reason(d, cert) else None)(
        place.delta()))
    place.stack.ctl('policy', 'publish', str(place.old))
    crl = wait_for(lambda: (lambda c: c if freshest(c) is None else None)(
        fetch_crl(cert)))
    assert number(crl) > number(last)
    assert reason(crl, cert) == 'keyCompromise'
    assert reason(crl, place.held) is None
    row, = place.stack.ctl_json('crl', 'show', 'Demo-CA')
    assert row['delta_of'] is None
    # Put back by reconcile the last delta has no bytes, and nobody misses
    # them: none follows.
    with psycopg.connect(place.stack.env['CS_DSN'], user='postgres') as db:
        gone = db.execute('DELETE FROM countersign.crl_part WHERE number = %s '
                          'RETURNING *', (number(last),)).fetchall()
    place.stack.ctl('ledger', 'verify')
    with psycopg.connect(place.stack.env['CS_DSN'], user='postgres') as db:
        for row in gone:
            db.execute('INSERT INTO countersign.crl_part VALUES '
                       '(%s, %s, %s, %s)', row)


@needs_slapd
def test_no_longer_in_a_directory(place, directory):  # noqa: F811
    publish(directory, directory.socket + '/' + BASE)
    assert 'deltaRevocationList' not in directory.values('Demo-CA')
