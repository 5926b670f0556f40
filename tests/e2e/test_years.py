"""What comes once in years: a machine that slept for months, a clock that goes
back, a CA's last year, its next key, the old key's end."""
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import uuid

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

import client
from cakeys import give_key
from hierarchy import ca_dir
from ledgers import dead, ledger_lines
from moved import MovedStack, template
from onetime import create
from policies import publish, published
from revocation import ask, entry, fetch_crl, hex_serial, post, question
from schema import check_rstrc
from waits import wait_for

CA, NEXT = 'Demo-CA', 'Demo-CA-2'
RETRY = 0x800704d5

pytestmark = pytest.mark.skipif(
    'SANITIZE' in os.environ,
    reason='libfaketime and the sanitizers both must be loaded first')


@pytest.fixture(scope='module')
def stack(tmp_path_factory):
    s = MovedStack(tmp_path_factory.mktemp('years') / 'state', PROCESSES='1')
    try:
        s.start()
        yield s
    finally:
        s.stop()


def ask_for(stack):
    return stack.client().enroll(client.make_csr(
        client.ec_key(), 'years.demo.example', ['years.demo.example'],
        stack.env['CS_TEMPLATE']))


def issue(stack):
    r = ask_for(stack)
    check_rstrc(r)
    return r.certificate


def findings(stack, result):
    r = stack.run_ctl(stack.ctl_words() + ['doctor', '--json'])
    return {(f['check'], f['object']): f['text'] for f in json.loads(r.stdout)
            if f['result'] == result}


def written(stack, name):
    """A file of figures: series to value."""
    text = (stack.dir / 'web/metrics' / (name + '.prom')).read_text()
    return {k: float(v) for k, v in (line.rsplit(' ', 1) for line in
                                     text.splitlines() if line[0] != '#')}


def month_of(serial):
    """Its first octets are a time in units of 1024 s; one that holds midnight
    is of the new month."""
    unit = int(serial[:6], 16) - 0x400000
    return (datetime.datetime(2020, 1, 1) + datetime.timedelta(
        seconds=1024 * unit + 1023)).strftime('%Y%m')


def test_suspended_for_months(stack):
    """Nobody made the months meanwhile, and the first row is there at once."""
    issue(stack)
    stack.move(150)
    serial = '%X' % issue(stack).serial_number
    assert stack.sql("SELECT tableoid::regclass::text FROM countersign."
                     "certificate WHERE serial = decode(%s, 'hex')",
                     serial) == [('countersign.certificate_' +
                                  month_of(serial),)]


def test_a_message_over_midnight(stack):
    """The same before and behind it: not a second certificate."""
    day = (stack.now() - datetime.datetime(1970, 1, 1)).total_seconds() % 86400
    stack.move(1 - (day + 300) / 86400)
    csr = client.make_csr(client.ec_key(), 'night.demo.example',
                          ['night.demo.example'], stack.env['CS_TEMPLATE'])
    name = 'urn:uuid:%s' % uuid.uuid4()
    first = stack.client().enroll(csr, message_id=name)
    stack.move(600 / 86400)
    again = stack.client().enroll(csr, message_id=name)
    assert again.leaf == first.leaf and first.leaf
    assert stack.sql("SELECT count(DISTINCT day), count(*) FROM "
                     "countersign.request WHERE subject = %s",
                     'CN=night.demo.example') == [(1, 1)]


def issue_at_each(stack):
    """Issues until the last entry of every ledger is of this quarter of an
    hour: who was not asked since the clock was moved has an older one."""
    def written():
        issue(stack)
        since = (stack.now() - datetime.timedelta(minutes=15)).isoformat()
        return all(json.loads(lines[-1])['at'] > since
                   for lines in ledger_lines(stack).values())
    wait_for(written)


def test_a_clock_that_went_back(stack):
    """All of them, by an hour and a half: what is in the ledger would come
    before what it follows.  doctor says so, and the figures go on."""
    issue_at_each(stack)
    stack.move(-1 / 16)
    r = ask_for(stack)
    assert r.leaf is None and r.hresult == RETRY, r.reason
    wait_for(lambda: 'text="no signer has the key of this ca and can work"'
             in stack.log('worker'))
    # Of the one that was asked; the other may still have another reason, of
    # when the database's clock was behind its own.
    said = [text for (check, _), text in findings(stack, 'fail').items()
            if check == 'signer']
    assert any(re.fullmatch(r"clock is 5\d\d\d s before the ledger's last "
                            'entry', t) for t in said), said
    name = 'countersign_signer_updated_timestamp_seconds{signer="signer-1"}'
    wait_for(lambda: abs(written(stack, 'signer-1')[name] - (
        stack.now() - datetime.datetime(1970, 1, 1)).total_seconds()) < 60)
    stack.move(1 / 16)
    issue(stack)


def elsewhere(stack, tmp_path, days, *words):
    """The command line, on a host whose clock is so many days ahead."""
    file = tmp_path / 'offset'
    file.write_text('%+d\n' % round((stack.days + days) * 86400))
    return subprocess.run(
        stack.ctl_words() + list(words), text=True, capture_output=True,
        env=dict(stack.environ, FAKETIME_TIMESTAMP_FILE=str(file)))


@pytest.mark.parametrize('days,words', [
    (1, r'from 8\d\d\d\d s ahead: the clock of operator or this one is wrong'),
    (-1, r"8\d\d\d\d s old: it was late, or the clock of operator is behind "
         "this one's")])
def test_an_operators_clock(stack, tmp_path, days, words):
    """As a worker's: a message is of now, or nothing is done for it."""
    r = stack.client().enroll(client.make_csr(
        client.ec_key(), 'years.demo.example', ['years.demo.example'],
        stack.env['CS_TEMPLATE_APPROVAL']))
    r = elsewhere(stack, tmp_path, days, 'request', 'deny', r.request_id,
                  '--reason', 'no')
    assert r.returncode != 0 and 'their logs say why' in r.stderr
    wait_for(lambda: re.search(words, stack.log('signer')))


def test_a_roots_clock(stack, tmp_path):
    """It dates what all others have to believe for years."""
    folder = stack.dir / 'root'
    new = str(folder / 'Year-2000')
    r = elsewhere(stack, tmp_path, -9600, 'ca', 'create-root', new,
                  '--subject', 'CN=Year 2000')
    assert r.returncode != 0 and 'the clock shows 200' in r.stderr, r.stderr
    assert not list(folder.glob('Year-2000*'))
    copy = stack.dir / 'root-copy'
    shutil.copytree(folder, copy)
    for p in copy, *copy.iterdir():
        os.chown(p, stack.dir.stat().st_uid, stack.dir.stat().st_gid)
    ahead = str(copy / 'ahead.crl')
    r = elsewhere(stack, tmp_path, 30, 'ca', 'root-crl',
                  str(copy / 'Demo-Root'), '-o', ahead)
    assert r.returncode == 0, r.stderr
    r = stack.ctl('crl', 'install', 'Demo-Root', ahead, ok=None)
    assert r.returncode != 0 and 'the list counts from' in r.stderr, r.stderr
    # As docs/operations.md has it.
    register = copy / 'Demo-Root.register'
    lines = register.read_text().splitlines(True)
    assert lines[-1].startswith('crl 2 ')
    register.write_text(''.join(lines[:-1]))
    right = str(copy / 'right.crl')
    stack.ctl('ca', 'root-crl', str(copy / 'Demo-Root'), '-o', right)
    stack.ctl('crl', 'install', 'Demo-Root', right)


# A CA's end -----------------------------------------------------------------

def end_of(stack, name):
    return x509.load_pem_x509_certificate((ca_dir(stack) / (
        name + '.pem')).read_bytes()).not_valid_after


def signed(stack, name, subject, years):
    """On the root's host: what ca rollover has asked for."""
    out = stack.dir / 'root' / (name + '.pem')
    out.unlink(missing_ok=True)
    stack.ctl('ca', 'sign-subordinate', str(stack.dir / 'root/Demo-Root'),
              str(ca_dir(stack) / (name + '.csr')), '--subject', subject,
              '--years', str(years), '-o', str(out))
    return str(out)


def test_a_certificate_too_short_for_the_policy(stack):
    """In use it would stop every worker and signer: they would not load the
    policy any more."""
    before = published(stack)
    publish(stack, before + template('Long', 1).replace(
        'validity = 60d', 'validity = 3y'))
    stack.ctl('ca', 'rollover', CA, '--subject', 'CN=Demo CA 2')
    stack.ctl('ca', 'install', NEXT, signed(stack, NEXT, 'CN=Demo CA 2', 1),
              '--of', CA)
    r = stack.ctl('ca', 'activate', NEXT, ok=None)
    assert r.returncode != 0 and 'promises less' in r.stderr, r.stderr
    stack.ctl('ca', 'rollover', CA, '--same-key')
    r = stack.ctl('ca', 'install', CA, signed(stack, CA, 'CN=' + CA, 1),
                  '--replace', ok=None)
    assert r.returncode != 0 and 'promises less' in r.stderr, r.stderr
    # One that nobody uses yet may have any.
    stack.ctl('ca', 'rollover', NEXT, '--same-key')
    stack.ctl('ca', 'install', NEXT, signed(stack, NEXT, 'CN=Demo CA 2', 2),
              '--replace')
    stack.ctl('ca', 'rollover', NEXT, '--same-key')
    stack.ctl('ca', 'install', NEXT, signed(stack, NEXT, 'CN=Demo CA 2', 15),
              '--replace')
    publish(stack, before)
    issue(stack)


def test_last_year(stack, tmp_path):
    """Certificates end with their CA.  A policy in force is no less in force,
    and the next key takes over."""
    end = end_of(stack, CA)
    stack.move((end - stack.now()).days - 200)
    old = issue(stack)
    assert old.not_valid_after == end
    assert 'its end cuts certificates short' in \
        findings(stack, 'warn')['ca', CA]
    create(stack, 'late.years.example')
    r = publish(stack, published(stack) + '\n', ok=None)
    assert r.returncode != 0 and 'is beyond the certificate' in r.stderr
    give_key(stack, NEXT, of=CA)
    wait_for(lambda: stack.ctl('ca', 'activate', NEXT,
                               ok=None).returncode == 0)
    new = issue(stack)
    assert new.issuer.rfc4514_string() == 'CN=Demo CA 2'
    # Some ms before 365 days, or behind: two clocks.
    assert new.not_valid_after - stack.now() > datetime.timedelta(364)
    # The old key goes on telling what became of its certificates.
    stack.ctl('cert', 'revoke', hex_serial(old), '--reason', 'superseded')
    wait_for(lambda: entry(old))
    assert ask(old).certificate_status.name == 'REVOKED'
    assert ask(new).certificate_status.name == 'GOOD'


def test_after_its_end(stack):
    """The old key makes no list any more, and nobody misses one."""
    publisher, = stack.pids('publisher')
    old = stack.sql('SELECT der FROM countersign.certificate WHERE ca = %s '
                    'ORDER BY serial DESC LIMIT 1', CA)[0][0]
    old = x509.load_der_x509_certificate(bytes(old))
    stack.move((end_of(stack, CA) - stack.now()).days - 2)
    end = end_of(stack, CA)
    assert ask(old).next_update <= end
    stack.move(4)
    r = ocsp.load_der_ocsp_response(post(old, question(old, 'sha256')).content)
    assert r.response_status == ocsp.OCSPResponseStatus.TRY_LATER
    new = issue(stack)
    assert new.issuer.rfc4514_string() == 'CN=Demo CA 2'
    wait_for(lambda: fetch_crl(new).next_update > stack.now())
    os.kill(publisher, signal.SIGTERM)      # writes its figures when it starts
    wait_for(lambda: dead(publisher))
    ends = 'countersign_crl_ends_timestamp_seconds{ca="%s"}'
    wait_for(lambda: ends % CA not in written(stack, 'publisher'))
    assert written(stack, 'publisher')[ends % NEXT] > 0
    found = findings(stack, 'fail')
    assert ('crl', CA) not in found and ('ca', CA) not in found
    stack.ctl('ledger', 'verify')


def test_after_the_end_of_its_root(stack):
    """Nobody is asked for a list of what has ended as a whole."""
    assert ('crl', 'Demo-Root') in findings(stack, 'fail')
    root = x509.load_pem_x509_certificate((
        stack.dir / 'root/Demo-Root.pem').read_bytes())
    stack.move((root.not_valid_after - stack.now()).days + 1)
    assert ('crl', 'Demo-Root') not in findings(stack, 'fail')
