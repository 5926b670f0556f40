"""A CA that moves here with its key and its last revocation list, as from AD
CS: numbers go on, what it revoked stays revoked, and more can be."""
import datetime
import pathlib
import re

import pytest
from cryptography import x509

from earlier import (DAY, HELD, HELD_TOO, LOST, NAME, NOW, R,  # noqa: F401
                     REVOKED_BEFORE, SMALL, elsewhere, enroll, hex_of, moved,
                     name)
from hierarchy import ca_dir
from ledger_edits import damages
from ledgers import (change, own, reconcile, restart_signers,  # noqa: F401
                     restore, root)
from policies import publish, published
from revocation import GOOD, REVOKED, UNKNOWN, ask, fetch_crl, hex_serial
from waits import wait_for


def point(*text):
    return x509.IssuingDistributionPoint(
        [x509.UniformResourceIdentifier(text[0])] if text else None, None,
        not text, False, None, False, False)


def changed(e, serials):
    return e.numbered(e.crl({LOST: (NOW, None), SMALL: (NOW, None)}),
                      dict(zip((LOST, SMALL), serials)))


@pytest.mark.parametrize('make,text', [
    (lambda e: e.crl(key=e.root_key), 'not signed by this ca'),
    (lambda e: e.crl(by='Other CA'), 'not signed by this ca'),
    (lambda e: e.crl()[:-1], 'not a revocation list'),
    (lambda e: e.crl(number=None), 'no number'),
    (lambda e: e.crl(number=0), 'is not of 1 to 2^62'),
    (lambda e: e.crl(number=1 << 80), 'is not of 1 to 2^62'),
    (lambda e: e.crl(since=NOW + DAY), 'is ahead of this one'),
    (lambda e: e.crl(extensions=[(x509.DeltaCRLIndicator(40), True)]),
     'is a delta'),
    (lambda e: e.crl(extensions=[(point('http://x/1.crl'), True)]),
     'Issuing Distribution Point'),
    (lambda e: e.crl(extensions=[(point(), False)]),
     'Issuing Distribution Point'),
    (lambda e: e.crl({LOST: (NOW, R.remove_from_crl)}), hex_of(LOST).lower()),
    (lambda e: changed(e, [LOST, 1 << 160]), 'entry of serial number'),
    (lambda e: changed(e, [LOST, -5]), 'entry of serial number'),
    (lambda e: e.crl({LOST: (NOW, None)}, entry=(x509.CertificateIssuer(
        [x509.DirectoryName(name('Other CA'))]), True)), hex_of(LOST).lower()),
    # No list of ours has such a date: none could be made any more.
    (lambda e: e.crl({LOST: (datetime.datetime(1965, 1, 1), None)}),
     hex_of(LOST).lower()),
    (lambda e: changed(e, [LOST, LOST]),
     'two entries of one serial number')])
def test_a_list_that_is_not_all(own, elsewhere, make, text):  # noqa: F811
    """What we could not go on with; and nothing is left of the attempt."""
    r = elsewhere.install(own, make(elsewhere), ok=1)
    assert text in r.stderr
    assert not list(ca_dir(own).glob(NAME + '*'))
    assert own.sql('SELECT count(*) FROM countersign.ca '
                   "WHERE name = '%s'" % NAME) == [(0,)]


def test_no_vault_goes_on_with_one(own, elsewhere):  # noqa: F811
    r = own.ctl('ca', 'import', NAME, '--cert', elsewhere.off.path('ca.pem'),
                '--airgap', '--crl', 'x', ok=2)
    assert '--crl excludes --airgap' in r.stderr


def number(crl):
    return crl.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number


def content(crl):
    return {e.serial_number: (e.revocation_date, next(
        (x.value.reason for x in e.extensions), None)) for e in crl}


def listed(moved):
    return content(fetch_crl(moved.issued))


def status(moved, serial):
    return ask(moved.issued, serial=serial).certificate_status


def test_its_lists_go_on(own, moved):  # noqa: F811
    crl = fetch_crl(moved.issued)
    assert number(crl) > 41 and crl.last_update >= NOW - DAY
    assert content(crl) == REVOKED_BEFORE
    first, = own.sql('SELECT min(number) FROM countersign.crl '
                     "WHERE ca = '%s'" % NAME)[0]
    assert first == 42


def test_ocsp_knows_what_was_revoked(moved):
    for serial in REVOKED_BEFORE:
        assert status(moved, serial) == REVOKED, hex(serial)
    assert status(moved, moved.issued.serial_number) == GOOD
    assert status(moved, LOST + 1) == UNKNOWN


def test_the_database_takes_no_list_of_before(moved, root):  # noqa: F811
    with root() as db:
        with pytest.raises(Exception, match='which it came with'):
            db.execute(
                "INSERT INTO countersign.crl SELECT ca, 41, this_update, "
                "next_update, entries, octets, tbs_digest, change, signer, "
                "NULL FROM countersign.crl WHERE ca = '%s' LIMIT 1" % NAME)


def test_show_says_what_is_known(own, moved):  # noqa: F811
    r = own.ctl('cert', 'show', hex_of(LOST), ok=1)
    assert 'ca %s issued it before it came here; revoked %s' % (
        NAME, REVOKED_BEFORE[LOST][0].isoformat() + 'Z') in r.stderr
    assert 'reason 1' in r.stderr
    assert r'no certificate' in own.ctl('cert', 'show', 'AB', ok=1).stderr


def test_it_is_not_closed_before_its_end(own, moved):  # noqa: F811
    """When the earlier certificates end nobody knows."""
    text = published(own)
    publish(own, re.sub(r'(?ms)^ca "%s" \{.*?^\}\n' % NAME, '', text).replace(
        '{"%s"}' % NAME, '{"Demo-CA"}'))
    try:
        row, = [r for r in own.ctl_json('doctor', ok=None)
                if (r['check'], r['object']) == ('ca', NAME)]
        assert row['result'] == 'fail' and \
            row['text'].endswith('last until it ends itself')
    finally:
        publish(own, text)


def earlier(own, verb, *args, ok=True):  # noqa: F811
    return own.ctl('cert', verb, '--earlier', NAME, *args, ok=ok)


def test_refusals(own, moved):  # noqa: F811
    reason = '--reason', 'superseded'
    r = earlier(own, 'revoke', *reason, hex_serial(moved.issued), ok=1)
    assert 'was issued here: without --earlier' in r.stderr
    r = earlier(own, 'release', hex_serial(moved.issued), ok=1)
    assert 'was issued here: without --earlier' in r.stderr
    r = own.ctl('cert', 'revoke', *reason, '--earlier', 'No-CA', 'AB', ok=1)
    assert 'there is no ca No-CA' in r.stderr
    for more in (('--account', 'demo'), ('AB', '--template', 'MovedUser')):
        r = earlier(own, 'revoke', *reason, *more, ok=2)
        assert '--earlier takes serial numbers alone' in r.stderr
    assert 'is revoked for good' in earlier(own, 'release', hex_of(LOST),
                                            ok=1).stderr
    assert 'is not on hold' in earlier(own, 'release', 'AB', ok=1).stderr
    assert 'no certificate' in own.ctl('cert', 'revoke', *reason,
                                       hex_of(LOST), ok=1).stderr
    assert status(moved, moved.issued.serial_number) == GOOD
    assert listed(moved) == REVOKED_BEFORE


def rows(own, *args):  # noqa: F811
    return {r['serial']: r['outcome'] for r in own.ctl_json(
        'cert', 'revoke', '--earlier', NAME, *args)}


NEW = 0x7A000001305C0E1D2B3A495868


def test_more_is_revoked_and_a_hold_ends(own, moved):  # noqa: F811
    reason = '--reason', 'keyCompromise', '--note', 'stolen'
    assert rows(own, *reason, '--dry-run', hex_of(NEW)) == {
        hex_of(NEW): 'would'}
    assert status(moved, NEW) == UNKNOWN
    assert rows(own, *reason, hex_of(NEW), hex_of(HELD), hex_of(LOST)) == {
        hex_of(NEW): 'revoked', hex_of(HELD): 'revoked',
        hex_of(LOST): 'already'}
    earlier(own, 'release', hex_of(HELD_TOO))
    now = wait_for(lambda: (lambda c: HELD_TOO not in c and c)(listed(moved)))
    assert now.keys() == REVOKED_BEFORE.keys() - {HELD_TOO} | {NEW}
    assert now[NEW][1] == R.key_compromise and now[NEW][0] >= NOW
    assert now[HELD] == (REVOKED_BEFORE[HELD][0], R.key_compromise)
    assert [status(moved, s) for s in (NEW, HELD, HELD_TOO)] == [
        REVOKED, REVOKED, UNKNOWN]
    who = own.sql("SELECT detail FROM countersign.audit WHERE action IN "
                  "('cert revoke', 'cert release', 'crl before') "
                  "AND detail ~ '%s' ORDER BY n" % NAME)
    assert [w.split(' sha256')[0] for w, in who] == [
        '%s number 41 of %sZ, entries 7' % (NAME, (NOW - DAY).isoformat()),
        '%s of before, ca %s reason 1: stolen' % (hex_of(HELD), NAME),
        '%s of before, ca %s reason 1: stolen' % (hex_of(NEW), NAME),
        '%s of before, ca %s' % (hex_of(HELD_TOO), NAME)]


def told(own):  # noqa: F811
    """All is in the ledgers, and heads are behind it."""
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.'
                             'revocation_event') == [(0,)])
    restart_signers(own)


EDITS = [
    "UPDATE countersign.crl_before SET number = 40",
    "UPDATE countersign.crl_before SET this_update = now()",
    "DELETE FROM countersign.crl_before",
    "UPDATE countersign.revoked SET reason = 6 WHERE serial = '\\x%s'" %
    hex_of(LOST),
    "DELETE FROM countersign.revoked WHERE serial = '\\x%s'" % hex_of(SMALL),
    "INSERT INTO countersign.revoked VALUES ('%s', '\\xabcd', now(), 1, "
    "'infinity', 1)" % NAME]
EDITED = 'crl_before', 'revoked'


def test_verify_finds_edits(own, moved, root):  # noqa: F811
    told(own)
    assert damages(own, own.conf) == (0, [])
    with root() as db:
        change(db, 'BEGIN', *['CREATE TABLE public.was_%s AS TABLE '
                              'countersign.%s' % (t, t) for t in EDITED],
               'COMMIT')
        for edit in EDITS:
            change(db, edit)
            code, found = damages(own, own.conf)
            change(db, 'BEGIN', *['DELETE FROM countersign.%s' % t
                                  for t in EDITED],
                   *['INSERT INTO countersign.%s TABLE public.was_%s' % (t, t)
                     for t in EDITED], 'COMMIT')
            assert code == 4 and found, edit
        change(db, *['DROP TABLE public.was_' + t for t in EDITED])
    assert damages(own, own.conf) == (0, [])


def test_reconcile_puts_back(own, moved, root):  # noqa: F811
    """Revocations of earlier certificates that a backup lacks."""
    told(own)
    now, last = listed(moved), number(fetch_crl(moved.issued))
    policy = (own.dir / 'etc/policy-next.conf').read_text()
    restore(own, root, moved.after)
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    publish(own, policy)        # other tests' versions are gone, too
    reconcile(own, '--apply')
    wait_for(lambda: reconcile(own)[-1]['count'] == 0)
    wait_for(lambda: number(fetch_crl(moved.issued)) > last)
    assert listed(moved) == now
    assert [status(moved, s) for s in (NEW, HELD, HELD_TOO)] == [
        REVOKED, REVOKED, UNKNOWN]
    told(own)
    assert damages(own, own.conf) == (0, [])


def test_a_backup_from_before_it_came(own, moved, root):  # noqa: F811
    """The CA is imported again, as docs/ledger.md says, with the same list."""
    told(own)
    now, last = listed(moved), number(fetch_crl(moved.issued))
    policy = (own.dir / 'etc/policy-next.conf').read_text()
    restore(own, root, moved.before)
    aside = pathlib.Path(own.dir) / 'aside'
    aside.mkdir()
    for f in ca_dir(own).glob(NAME + '.*'):
        f.rename(aside / f.name)
    moved.install(own, moved.last())
    publish(own, policy)
    reconcile(own, '--apply')
    wait_for(lambda: reconcile(own)[-1]['count'] == 0)
    restart_signers(own)
    wait_for(lambda: number(fetch_crl(moved.issued)) > last)
    assert listed(moved) == now
    wait_for(lambda: enroll(own).leaf)
    told(own)
    assert damages(own, own.conf) == (0, [])
