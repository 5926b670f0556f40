"""The desk's database is restored from a backup that knows less than the
vault does: docs/airgap.md, "After a restore"."""
import subprocess

import psycopg
import pytest

from airgap import cmc_status, crl, key_of, refused, vault_copy
from ledgers import restart_signers
from waits import wait_for

PG = '/usr/lib/postgresql/15/bin/'


def pg(gap, *args):
    info = psycopg.conninfo.conninfo_to_dict(gap.env['CS_DSN'])
    subprocess.run([PG + args[0], '-h', info['host'], '-p', info['port'],
                    '-U', 'postgres', *args[1:]], check=True,
                   capture_output=True)


def ledgers(gap):
    return [str(gap.vault_dir / 'ledger'),
            *map(str, sorted(gap.dir.glob('ledger/signer-*')))]


def verify(gap):
    rows = gap.ctl_json('ledger', 'verify', *ledgers(gap), ok=None)
    return {(r['object'] or '').split(' ')[0]: r['text'] for r in rows
            if r['damaged']}


def issue(gap, who, name):
    number = gap.pending(who, gap.server(name))
    gap.round()
    return number, gap.poll(who, number).certificate


@pytest.fixture
def backup(gap, tmp_path):
    """Makes one, and puts it back."""
    dump = tmp_path / 'dump'
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'], user='postgres',
                                         dbname='postgres')

    def restore():
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute('DROP DATABASE countersign WITH (FORCE)')
            db.execute('CREATE DATABASE countersign OWNER countersign_owner')
        pg(gap, 'pg_restore', '-d', 'countersign', str(dump))
    pg(gap, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    return restore


def test_restored_from_an_old_backup(gap, gap_user, tmp_path, request):
    _, known = issue(gap, gap_user, 'known.demo.example')
    early = gap.pending(gap_user, gap.server('early.demo.example'))
    restore = request.getfixturevalue('backup')
    # What the backup does not have: two rounds and a revocation.
    late, lost = issue(gap, gap_user, 'late.demo.example')
    first = gap.poll(gap_user, early).certificate
    assert first is not None
    gap.ctl('cert', 'revoke', '%032X' % known.serial_number, '--reason',
            'keyCompromise')
    gap.round()
    rounds = gap.sql('SELECT n, response FROM countersign.airgap_round '
                     'ORDER BY n')
    restart_signers(gap)    # which have told all of that
    restore()

    # Nobody issues, and the vault takes no second bundle for a round.
    wait_for(lambda: gap.ask(gap_user, gap.server('no.demo.example')) and
             gap.sql('SELECT FROM countersign.rollback '
                     'WHERE ended_at IS NULL'))
    gap.export()
    refused(gap.sign(ok=None), 'is over')
    told = gap.ctl_json('reconcile', *ledgers(gap))
    missing = {r['what'] for r in told if r['count'] is None}
    assert {'round %d' % n for n, _ in rounds[-2:]} <= missing
    assert {'certificate %032x' % c.serial_number for c in (first, lost)} <= \
        missing
    assert 'round' in verify(gap)
    r = gap.ctl('reconcile', *ledgers(gap)[1:], ok=1)
    assert 'ledger of signer vault is not here' in r.stderr

    # A vault signs no heads.
    r = gap.ctl('reconcile', '--apply', *ledgers(gap), ok=1)
    assert 'behind the last signed head' in r.stderr
    done = {r['what']: r['count'] for r in gap.ctl_json(
        'reconcile', '--apply', '--trust-unsigned-tail', *ledgers(gap))
        if r['text'] == 'put back'}
    assert done['rounds over an air gap'] == 2
    assert done['certificates'] == 2 and done['decisions'] >= 1
    assert gap.sql('SELECT n, response FROM countersign.airgap_round '
                   'ORDER BY n') == rounds
    assert gap.ctl_json('reconcile', *ledgers(gap))[-1]['count'] == 0
    r = wait_for(lambda: (r := gap.ask(gap_user, gap.server(
        'yes.demo.example'))).request_id and r)
    # The clients find what they had, and the rounds go on.
    for number, cert in (early, first), (late, lost):
        r = gap.poll(gap_user, number)
        assert r.certificate == cert
        # Who could sign the answer again is in the vault.
        assert len(cmc_status(r.cmc)[0]['signer_infos']) == 0
    gap.round()
    assert gap.poll(gap_user, r.request_id).leaf is not None
    assert known.serial_number in {e.serial_number for e in crl(
        gap, key_of(gap, known))}
    assert verify(gap) == {}


def test_a_round_that_the_vault_began(gap, gap_user, tmp_path):
    """Its bundle must be answered: the ledger's copy says so."""
    gap.pending(gap_user, gap.server('begun.demo.example'))
    gap.export()
    conf = vault_copy(gap, 'begun')
    at = 1
    while True:
        r = gap.run('sign', '--yes', '-o', gap.stick / 'begun', gap.request,
                    conf=conf, ok=None, crash_at=at)
        text = '\n'.join(f.read_text() for f in sorted(
            (conf.parent / 'ledger').iterdir()) if f.is_file())
        if '"airgap-in"' in text.rsplit('"airgap-out"', 1)[-1]:
            break
        # 0: no crash fell into the round.
        assert r.returncode in (-9, 137), (at, r.stdout, r.stderr)
        at += 1
    own = [str(conf.parent / 'ledger'), *ledgers(gap)[1:]]
    assert gap.ctl('ledger', 'verify', *own, ok=None).returncode == 0
    gap.sign()
    gap.take()
    assert verify(gap) == {}


def test_another_answer_than_the_vault_gave(gap):
    gap.round()
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        n, was = db.execute('SELECT n, response FROM countersign.airgap_round '
                            'ORDER BY n DESC LIMIT 1').fetchone()
        change = 'UPDATE countersign.airgap_round SET response = %s ' \
            'WHERE n = %s'
        db.execute(change, (bytes(32), n))
        assert "vault's ledger says" in verify(gap)['round']
        db.execute(change, (was, n))
    assert verify(gap) == {}
