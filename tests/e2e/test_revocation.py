"""Revocation: by serial and by group, hold and release, the list at the CDP,
OCSP by POST and GET, and what openssl, GnuTLS and NSS make of it."""
import base64
import datetime
import hashlib
import json
import shutil
import subprocess
import time
import urllib.parse

import psycopg
import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from policies import in_force, published
from revocation import (EARLY, GOOD, REVOKED, UNKNOWN, access,  # noqa: F401
                        ask, cdp, check_issued_by, entry, fetch_crl, hex_serial,
                        http, issue, issuer_of, next_publish, post, question,
                        revoke, root, status)
from waits import wait_for

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


def test_addresses_in_a_certificate_answer(issue):
    cert = issue()
    check_issued_by(cert, issuer_of(cert))
    crl = fetch_crl(cert)
    assert crl.next_update - crl.last_update >= datetime.timedelta(days=1)
    assert crl.next_update - next_publish(crl) == datetime.timedelta(days=1)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber)
    assert number.value.crl_number > 0 and not number.critical
    aki = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    ski = issuer_of(cert).extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier)
    assert aki.value.key_identifier == ski.value.digest
    assert crl.issuer.public_bytes() == cert.issuer.public_bytes()
    assert status(cert) == GOOD


def test_revoked_everywhere_soon(stack, issue):
    cert = issue()
    assert status(cert) == GOOD and entry(cert) is None
    before = fetch_crl(cert).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number
    revoke(stack, cert, 'keyCompromise', '--note', 'found on a web site')
    a = ask(cert)                 # not even a moment later
    assert a.certificate_status == REVOKED
    assert a.revocation_reason == x509.ReasonFlags.key_compromise
    e = wait_for(lambda: entry(cert))
    reason = e.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.key_compromise
    assert e.revocation_date == a.revocation_time
    assert fetch_crl(cert).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number > before
    row, = stack.ctl_json('cert', 'show', hex_serial(cert))
    assert row['revocation_note'] == 'found on a web site'
    assert row['revoked_by'] and row['revoked_at']
    audit = stack.sql('SELECT detail FROM countersign.audit WHERE action ='
                      " 'cert revoke' AND detail LIKE %s",
                      hex_serial(cert) + '%')
    assert len(audit) == 1 and 'found on a web site' in audit[0][0]
    # Again is no harm and no change; another reason comes too late.
    for again in ('keyCompromise', 'superseded', 'certificateHold'):
        out = stack.ctl_json('cert', 'revoke', hex_serial(cert), '--reason',
                             again)
        assert out[0]['outcome'] == 'already'
    assert ask(cert).revocation_reason == x509.ReasonFlags.key_compromise
    r = stack.ctl('cert', 'release', hex_serial(cert), ok=1)
    assert 'for good' in r.stderr


def test_unspecified_is_no_reason(stack, issue):
    cert = issue()
    revoke(stack, cert, 'unspecified')
    a = ask(cert)
    assert a.certificate_status == REVOKED and a.revocation_reason is None
    e = wait_for(lambda: entry(cert))
    assert len(e.extensions) == 0


def test_hold_and_release(stack, issue):
    cert = issue()
    revoke(stack, cert, 'certificateHold')
    assert ask(cert).revocation_reason == x509.ReasonFlags.certificate_hold
    wait_for(lambda: entry(cert))
    stack.ctl('cert', 'release', hex_serial(cert))
    assert status(cert) == GOOD
    wait_for(lambda: entry(cert) is None)
    r = stack.ctl('cert', 'release', hex_serial(cert), ok=1)
    assert 'not on hold' in r.stderr
    # A hold that becomes final keeps its date.
    revoke(stack, cert, 'certificateHold')
    first = ask(cert).revocation_time
    time.sleep(1.1)
    revoke(stack, cert, 'superseded')
    a = ask(cert)
    assert a.revocation_reason == x509.ReasonFlags.superseded
    assert a.revocation_time == first


@pytest.mark.parametrize('args,text', [
    (['433E', '--reason', 'becauseOfMe'], 'must be unspecified'),
    (['433E', '--reason', 'removeFromCRL'], 'must be unspecified'),
    (['433E'], '--reason is required'),
    (['--reason', 'superseded'], 'which certificates'),
    (['xyz', '--reason', 'superseded'], 'not a serial number'),
    (['--key', '00', '--reason', 'superseded'], 'hex digits'),
    (['--since', 'soon', '--reason', 'superseded'], 'neither a time'),
    (['--since', '2027-02-29', '--reason', 'superseded'], 'neither a time'),
    (['--request', '12x', '--reason', 'superseded'], 'number of a request'),
])
def test_mistakes(stack, args, text):
    r = stack.ctl('cert', 'revoke', *args, ok=2)
    assert text in r.stderr


def test_one_wrong_serial_stops_all(stack, issue):
    cert = issue()
    r = stack.ctl('cert', 'revoke', hex_serial(cert), '433E0000', '--reason',
                  'superseded', ok=1)
    assert '433E0000' in r.stderr
    assert status(cert) == GOOD


def test_serials_in_a_file(stack, issue):
    """As an incident brings them: what cert list has printed, or a
    spreadsheet's column; and more than a command line takes."""
    name = 'listed%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    certs = [issue(user) for _ in range(3)]
    other = issue()
    listed = stack.ctl('cert', 'list', '--account', name).stdout
    assert listed.startswith('SERIAL ')
    many = '\ufeff' + listed + '# once more\n\n' + ''.join(
        '"%s","x"\r\n' % hex_serial(c).lower() for c in certs * 30)
    args = ['cert', 'revoke', '--file', '-', '--reason', 'superseded']
    one = '433E0000'
    r = stack.ctl(*args, input=many + one + '\n', ok=1)
    assert 'no certificate %s' % one in r.stderr
    r = stack.ctl(*args, input=many + 'x y\n', ok=2)
    assert '-:%d: not a serial number: x; nothing was revoked' % (
        many.count('\n') + 1) in r.stderr
    assert 'no serial number is in it' in stack.ctl(
        *args, input='# none\n', ok=2).stderr
    assert 'UTF-16' in stack.ctl(*args, input='4\0', ok=2).stderr
    r = stack.ctl(*args, '--template', 'User', input=many, ok=1)
    assert 'with this selection' in r.stderr
    assert [status(c) for c in certs + [other]] == [GOOD] * 4
    r = stack.ctl('--json', *args, '--dry-run', input=many)
    assert {x['serial'] for x in json.loads(r.stdout)} == {
        hex_serial(c) for c in certs}
    stack.ctl(*args, input=many)
    assert [status(c) for c in certs + [other]] == [REVOKED] * 3 + [GOOD]


def test_groups_of_certificates(stack, issue):
    """By account, key, time and template; a dry run changes nothing."""
    name = 'holder%d' % time.time_ns()
    user = stack.account(name, groups=['web-admins'])
    certs = [issue(user) for _ in range(3)]
    other = issue()
    serials = {hex_serial(c) for c in certs}
    select = ['--account', name, '--template', stack.env['CS_TEMPLATE'],
              '--since', '1h', '--reason', 'superseded']
    dry = stack.ctl_json('cert', 'revoke', *select, '--dry-run')
    assert {r['serial'] for r in dry} == serials
    assert {r['outcome'] for r in dry} == {'would'}
    assert [status(c) for c in certs] == [GOOD] * 3
    key = hashlib.sha256(certs[0].public_key().public_bytes(
        DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    by_key = stack.ctl_json('cert', 'revoke', '--key', key, '--dry-run',
                            '--reason', 'keyCompromise')
    assert serials == {r['serial'] for r in by_key}
    assert stack.ctl('cert', 'revoke', '--account', name, '--until', '1h',
                     '--reason', 'superseded', ok=1)
    done = stack.ctl_json('cert', 'revoke', *select)
    assert {r['outcome'] for r in done} == {'revoked'}
    assert [status(c) for c in certs] == [REVOKED] * 3
    assert status(other) == GOOD


def test_request(stack, issue):
    """By its id, or the number that its client was told."""
    for by in ('id', 'number'):
        cert = issue()
        row, = stack.ctl_json('cert', 'show', hex_serial(cert))
        row, = stack.ctl_json('request', 'show', row['request_id'])
        out = stack.ctl_json('cert', 'revoke', '--request', str(row[by]),
                             '--reason', 'superseded')
        assert [r['serial'] for r in out] == [hex_serial(cert)]


def test_serial_as_openssl_prints_it(stack, issue):
    s = hex_serial(issue())
    for spelled in ('serial=' + s, s.lower(), '0x00' + s,
                    ':'.join(s[i:i + 2] for i in range(0, len(s), 2))):
        row, = stack.ctl_json('cert', 'revoke', spelled, '--dry-run',
                              '--reason', 'superseded')
        assert row['serial'] == s


def test_time_range(stack, issue):
    """Times in the forms that programs write."""
    s = hex_serial(issue())
    day = datetime.timedelta(days=1)
    now = datetime.datetime.utcnow().replace(microsecond=0)
    for form in ('%Y-%m-%d', '%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%dT%H:%M:%S+00:00',
                 '%Y-%m-%dT%H:%M:%S', '%Y-%m-%d %H:%M'):
        rows = stack.ctl_json(
            'cert', 'revoke', s, '--since', (now - day).strftime(form),
            '--until', (now + day).strftime(form), '--reason', 'superseded',
            '--dry-run')
        assert [r['serial'] for r in rows] == [s], form
    r = stack.ctl('cert', 'revoke', '--since', '2026-01-02', '--until',
                  '2026-01-01', '--reason', 'superseded', ok=2)
    assert '--until is before --since' in r.stderr
    r = stack.ctl('cert', 'revoke', '--account', 'nobody-has-this',
                  '--reason', 'superseded', ok=1)
    assert 'no certificate matches all of that' in r.stderr


# OCSP ---------------------------------------------------------------------

def test_unknown_serial_is_never_good(issue):
    cert = issue()
    for serial in (1, cert.serial_number + 1, 2 ** 159 - 1):
        assert status(cert, serial=serial) == UNKNOWN


def test_hashes_and_forms(issue):
    cert = issue()
    url, = access(cert, AuthorityInformationAccessOID.OCSP)
    for h in ('sha1', 'sha256'):
        q = question(cert, hash_=h)
        a = ocsp.load_der_ocsp_response(post(cert, q).content)
        assert a.hash_algorithm.name == h
        b64 = base64.b64encode(q).decode()
        for path in (urllib.parse.quote(b64, safe=''), b64, '/' + b64):
            r = http.get(url + '/' + path, timeout=300)
            assert r.status_code == 200
            # signed ahead: the same bytes, whoever asks
            assert r.content == post(cert, q).content


def test_caching_headers(issue):
    cert = issue()
    post(cert, question(cert))
    r = post(cert, question(cert))
    a = ocsp.load_der_ocsp_response(r.content)
    h = r.headers
    stamp = '%a, %d %b %Y %H:%M:%S GMT'
    assert h['Last-Modified'] == a.this_update.strftime(stamp)
    assert h['Expires'] == a.next_update.strftime(stamp)
    assert h['ETag'] == '"%s"' % hashlib.sha256(r.content).hexdigest()
    control = [x.strip() for x in h['Cache-Control'].split(',')]
    assert {'public', 'no-transform', 'must-revalidate'} <= set(control)
    age = [int(x[8:]) for x in control if x.startswith('max-age=')]
    assert len(age) == 1 and 0 < age[0] <= 300
    unknown = post(cert, question(cert, serial=7))
    assert unknown.headers['Cache-Control'] == 'no-store'


def test_not_modified(stack, issue):
    """[RFC9110] 13.1.2: who has the answer gets its header alone."""
    cert = issue()
    url, = access(cert, AuthorityInformationAccessOID.OCSP)
    url += '/' + urllib.parse.quote(
        base64.b64encode(question(cert)).decode(), safe='')

    def get(**headers):
        return http.get(url, headers={k.replace('_', '-'): v for k, v in
                                      headers.items()}, timeout=300)
    get()
    full = get()
    assert full.status_code == 200
    tag = full.headers['ETag']
    for held in (tag, 'W/' + tag, '"x", ' + tag, '*'):
        r = get(If_None_Match=held)
        assert r.status_code == 304 and r.content == b'', held
        for name in ('ETag', 'Expires', 'Last-Modified'):
            assert r.headers[name] == full.headers[name]
        assert 'max-age=' in r.headers['Cache-Control']
    for other in ('"x"', tag[1:-1], tag[:-1]):
        assert get(If_None_Match=other).content == full.content
    # Of one second may be an answer before a revocation and one after it.
    assert get(If_Modified_Since=full.headers['Last-Modified']).content == \
        full.content
    # A POST asks anew each time; a refusal has no tag to compare.
    assert http.post(url.rsplit('/', 1)[0], data=question(cert), headers={
        'Content-Type': 'application/ocsp-request', 'If-None-Match': '*'},
        timeout=300).content == full.content
    assert http.get(url.rsplit('/', 1)[0] + '/AAAA', headers={
        'If-None-Match': '*'}, timeout=300).status_code == 200
    revoke(stack, cert)
    r = get(If_None_Match=tag)
    assert r.status_code == 200 and r.headers['ETag'] != tag
    assert ocsp.load_der_ocsp_response(r.content).certificate_status == REVOKED


def test_another_issuer_is_not_ours(issue):
    cert = issue()
    r = post(cert, question(cert, issuer=b'x' * 20))
    assert ocsp.load_der_ocsp_response(r.content).response_status == \
        ocsp.OCSPResponseStatus.UNAUTHORIZED
    assert r.headers['Cache-Control'] == 'no-store'


def test_bad_questions(issue):
    cert = issue()
    q = question(cert)
    url, = access(cert, AuthorityInformationAccessOID.OCSP)
    for bad in (b'', b'x', q[:-1], q + b'\0', b'\x30\x80' + q[2:] + b'\0\0'):
        r = post(cert, bad)
        assert ocsp.load_der_ocsp_response(r.content).response_status == \
            ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert http.get(url + '/%%%', timeout=300).status_code in (200, 400)
    r = http.get(url + '/AAAA', timeout=300)
    assert ocsp.load_der_ocsp_response(r.content).response_status == \
        ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert post(cert, q, 'text/plain').status_code == 415
    assert http.put(url, data=q, timeout=300).status_code == 405
    assert post(cert, b'0' * 5000).status_code in (200, 413)


def test_nonce_is_not_repeated_by_default(issue):
    """[RFC5019] 4: answers are signed ahead."""
    cert = issue()
    a = ask(cert, nonce=b'n' * 16)
    assert len(a.extensions) == 0
    for n in 1, 128:        # [RFC9654] 2.1
        assert ask(cert, nonce=b'n' * n).certificate_status == GOOD


def test_nonce_when_the_policy_says_so(stack, issue):
    cert = issue()
    text = published(stack)
    changed = text.replace('crl-overlap = 1d', 'crl-overlap = 1d\n'
                           'ocsp-nonce = true', 1)
    assert changed != text
    with in_force(stack, changed):
        nonce = core.OctetString(b'n' * 16).dump()

        def echoed():
            a = post(cert, question(cert, nonce=b'n' * 16)).content
            return nonce in a and a
        wait_for(echoed)
        assert post(cert, question(cert, nonce=b'n' * 16)).headers[
            'Cache-Control'] == 'no-store'
        a = ask(cert, nonce=b'n' * 16)
        assert a.certificate_status == GOOD and len(a.extensions) == 1
        assert len(ask(cert).extensions) == 0


# What other programs make of it ---------------------------------------------

def run(*args, code=None):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True,
                       timeout=300)
    if code is not None:
        assert r.returncode == code, (args, r.stdout, r.stderr)
    return r.stdout + r.stderr


@pytest.fixture
def files(issue, stack, tmp_path):
    cert = issue()
    ca = issuer_of(cert)
    (tmp_path / 'leaf.pem').write_bytes(cert.public_bytes(PEM))
    (tmp_path / 'ca.pem').write_bytes(ca.public_bytes(PEM))
    (tmp_path / 'all.pem').write_bytes(
        ca.public_bytes(PEM) + open(stack.env['CS_ROOT_PEM'], 'rb').read())
    return cert, tmp_path


def test_openssl_verify_with_crl(stack, files):
    cert, d = files

    def verify(*at):
        (d / 'crl.der').write_bytes(http.get(cdp(cert), timeout=300).content)
        run('openssl', 'crl', '-inform', 'DER', '-in', d / 'crl.der', '-out',
            d / 'crl.pem', code=0)
        return run('openssl', 'verify', '-crl_check', '-CAfile',
                   d / 'all.pem', '-CRLfile', d / 'crl.pem', *at,
                   d / 'leaf.pem')
    assert ': OK' in verify()
    # A clock that is slow, and a list of this moment.
    assert ': OK' in verify('-attime', str(int(time.time()) - 9 * 60))
    revoke(stack, cert)
    assert 'certificate revoked' in wait_for(
        lambda: (lambda o: o if 'revoked' in o else None)(verify()))


def openssl_ocsp(url, d):
    out = run('openssl', 'ocsp', '-issuer', d / 'ca.pem', '-cert',
              d / 'leaf.pem', '-url', url, '-CAfile', d / 'all.pem',
              '-no_nonce')
    assert 'Response verify OK' in out
    return 'revoked' in out, ': good' in out


def gnutls_ocsp(url, d):
    if not shutil.which('ocsptool'):
        return None
    out = run('ocsptool', '--ask=' + url, '--load-cert', d / 'leaf.pem',
              '--load-issuer', d / 'ca.pem', '--load-trust', d / 'all.pem',
              '--no-nonce')
    assert 'Verifying OCSP Response: Success' in out
    return 'Certificate Status: revoked' in out, 'Status: good' in out


def nss_ocsp(url, d):
    if not shutil.which('ocspclnt') or not shutil.which('certutil'):
        return None
    db = 'sql:' + str(d / 'nss')
    if not (d / 'nss').exists():
        (d / 'nss').mkdir()
        run('certutil', '-N', '-d', db, '--empty-password', code=0)
        for name, trust, f in (('root', 'CT,,', 'root.pem'),
                               ('ca', ',,', 'ca.pem'),
                               ('leaf', ',,', 'leaf.pem')):
            run('certutil', '-A', '-d', db, '-n', name, '-t', trust, '-i',
                d / f, code=0)
    out = run('ocspclnt', '-S', 'leaf', '-d', db)
    return 'revoked' in out, 'is valid' in out or 'succeeded' in out


def test_openssl_gnutls_and_nss_agree(stack, files, monkeypatch):
    cert, d = files
    monkeypatch.setenv('no_proxy', '*')
    shutil.copy(stack.env['CS_ROOT_PEM'], d / 'root.pem')
    url, = access(cert, AuthorityInformationAccessOID.OCSP)
    tools = (openssl_ocsp, gnutls_ocsp, nss_ocsp)
    for expected in ((False, True), (True, False)):
        answers = [t(url, d) for t in tools]
        assert {a for a in answers if a is not None} == {expected}, answers
        revoke(stack, cert)


# Rules of the database ----------------------------------------------------------

def test_numbers_only_grow(stack):
    rows = stack.sql('SELECT ca, number, this_update FROM countersign.crl'
                     ' ORDER BY ca, number')
    assert rows
    for a, b in zip(rows, rows[1:]):
        assert a[0] != b[0] or (a[1] < b[1] and a[2] <= b[2])
    # Only the parts of the last two are kept, of either kind.
    for _, n in stack.sql(
            'SELECT (ca, coalesce(base, 0) > 0), count(DISTINCT number) FROM '
            'countersign.crl_part JOIN countersign.crl USING (ca, number) '
            'GROUP BY 1'):
        assert n <= 2


def test_an_answer_from_the_future(stack, issue):
    """Signed when a clock was wrong: it is no fresher for that."""
    cert = issue()
    ask(cert)
    serial = bytes.fromhex(hex_serial(cert))
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        db.execute('UPDATE countersign.ocsp SET this_update = this_update + '
                   "interval '1 year', next_update = next_update + "
                   "interval '1 year' WHERE serial = %s", (serial,))
    ask(cert)
    assert stack.sql("SELECT next_update < now() + interval '1 day' FROM "
                     'countersign.ocsp WHERE serial = %s', serial) == [(True,)]


def test_signers_cannot_make_an_old_number(stack):
    dsn = stack.env['CS_DSN'].replace('auditor', 'signer')
    with psycopg.connect(dsn) as db:
        with pytest.raises(psycopg.Error, match='is not newer'):
            db.execute(
                'INSERT INTO countersign.crl SELECT ca, 1, now(), now(), 0,'
                ' 0, tbs_digest, change, signer FROM countersign.crl'
                ' WHERE number = (SELECT max(number) FROM countersign.crl)')


def test_ledgers_know_every_number(stack):
    lists = stack.sql('SELECT ca, number, base, tbs_digest FROM '
                      'countersign.crl')
    responders = stack.sql('SELECT serial FROM countersign.responder')
    # Behind the rows: a signer may be making another list.
    ledger = ''.join(p.read_text() for p in
                     (stack.dir / 'ledger').glob('*/ledger'))
    for ca, number, base, digest in lists:
        of = '"base":"%d",' % base if base else ''
        assert '"type":"crl","ca":"%s","number":"%d",%s"tbs":"%s"' % (
            ca, number, of, digest.hex()) in ledger
    for (serial,) in responders:
        assert '"serial":"%s"' % serial.hex() in ledger


def test_show_and_publish(stack, tmp_path, issue):
    cert = issue()
    row, *rows = stack.ctl_json('crl', 'show')
    assert {r['signer'] for r in rows if r['ca'] == 'Demo-Root'} == {None}
    stack.ctl('crl', 'publish', '--to', str(tmp_path))
    crl = x509.load_der_x509_crl(
        (tmp_path / (row['ca'] + '.crl')).read_bytes())
    (made,), = stack.sql("SELECT this_update AT TIME ZONE 'UTC' FROM "
                         'countersign.crl WHERE ca = %s AND number = %s',
                         row['ca'], crl.extensions.get_extension_for_class(
                             x509.CRLNumber).value.crl_number)
    assert crl.last_update == made - EARLY
    assert crl.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number >= row['number']
    ca = x509.load_der_x509_certificate(
        (tmp_path / (row['ca'] + '.cer')).read_bytes())
    assert ca == issuer_of(cert)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [row['ca'] + s for s in ('.crl', '.cer', '-root.cer')] +
        ['Demo-Root.cer', 'Demo-Root.crl'])
    assert 'no revocation list' in stack.ctl('crl', 'show', 'No-CA',
                                             ok=1).stderr
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        db.execute("INSERT INTO countersign.crl_above SELECT '../elsewhere',"
                   ' issuer, number, this_update, next_update, entries, der'
                   ' FROM countersign.crl_above LIMIT 1')
        try:
            r = stack.ctl('crl', 'publish', '--to', str(tmp_path))
        finally:
            db.execute("DELETE FROM countersign.crl_above"
                       " WHERE name = '../elsewhere'")
    assert 'ca name' in r.stderr and row['ca'] + ': number' in r.stdout
    assert not (tmp_path.parent / 'elsewhere.crl').exists()


def test_an_old_list_under_a_new_number(stack, tmp_path, issue, root):
    """Who writes rows with a signer's role has no list for it."""
    def publish(ok=True):
        r = stack.ctl('crl', 'publish', '--to', str(tmp_path), ok=ok)
        return r, x509.load_der_x509_crl(path.read_bytes())
    cert = issue()
    ca = stack.ctl_json('crl', 'show')[0]['ca']
    path = tmp_path / (ca + '.crl')
    publish()
    old = path.read_bytes()
    stack.ctl('cert', 'revoke', hex_serial(cert), '--reason', 'keyCompromise')
    wait_for(lambda: publish()[1].get_revoked_certificate_by_serial_number(
        cert.serial_number))
    path.unlink()
    with psycopg.connect(psycopg.conninfo.make_conninfo(
            stack.env['CS_DSN'], user='countersign_signer')) as db:
        number, = db.execute(
            'INSERT INTO countersign.crl SELECT ca, number + 1, now(), '
            'next_update, entries, octets, tbs_digest, change, signer, base '
            'FROM countersign.crl WHERE ca = %s ORDER BY number DESC LIMIT 1 '
            'RETURNING number', (ca,)).fetchone()
        db.execute('INSERT INTO countersign.crl_part VALUES (%s, %s, 0, %s)',
                   (ca, number, old))
    try:
        r = stack.ctl('crl', 'publish', '--to', str(tmp_path), ok=1)
        assert 'is not the one that its key signed' in r.stderr
        assert not path.exists()
    finally:
        root.execute('SET session_replication_role = replica')
        for t in 'crl', 'crl_part':
            root.execute('DELETE FROM countersign.%s WHERE ca = %%s AND '
                         'number = %%s' % t, (ca, number))
    publish()


def test_the_publisher_of_a_web_host(stack, tmp_path, issue):
    """With a role for that alone and no keys, as docs/operations.md has it."""
    issue()
    lines = stack.conf.read_text().split('\nsigner ')[0].splitlines()
    text = '\n'.join(line.replace('countersign_operator',
                                  'countersign_publisher') for line in lines
                     if line.split(' ')[0] in ('database', 'ca-dir',
                                               'sql-dir'))
    assert 'countersign_publisher' in text
    conf = tmp_path / 'publisher.conf'
    conf.write_text(text + '\n')
    out = tmp_path / 'ca'
    out.mkdir()
    r = stack.run_ctl([*stack.ctl_words(conf), 'crl', 'publish', '--to',
                       str(out)])
    assert r.returncode == 0, r.stderr
    ca = stack.ctl_json('crl', 'show')[0]['ca']
    assert (out / (ca + '.crl')).exists()
    # There doctor has this configuration, too.
    r = stack.run_ctl([*stack.ctl_words(conf), '--json', 'doctor'])
    assert '42501' not in r.stdout and '"crl"' in r.stdout, r.stdout
    # And metrics; until it is stopped.
    figures = tmp_path / 'publisher.prom'
    watch = subprocess.Popen([*stack.ctl_words(conf), 'crl', 'publish', '--to',
                              str(out), '--watch', '--metrics', str(figures)])
    try:
        wait_for(figures.exists)
        assert 'countersign_crl' in figures.read_text()
    finally:
        watch.terminate()
        watch.wait(300)
    # It says so of lists that are there, and of no other.
    seen = 'SELECT max(number) FROM countersign.crl_published'
    before = stack.sql(seen)
    stack.sql("SELECT countersign.crl_publishing('%s', %d)" % (ca, 2 ** 62))
    assert stack.sql(seen) == before
