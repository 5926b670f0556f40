"""A ledger of several files: signers with a small ledger-segment."""
import concurrent.futures
import json
import os
import re
import shutil
import signal

import psycopg
import pytest
from cryptography import x509

import client
from conftest import own_stack
from ledger_edits import damages
from ledgers import (as_signer, at_rest, dead, entries, issue, life,  # noqa: F401
                     reconcile, restart_signers, revoke, signers, stopped)
from revocation import fetch_crl
from schema import check_rstrc
from waits import wait_for


@pytest.fixture(scope='module')
def own():
    with own_stack('segments') as s:
        for conf in s.conf.parent.glob('signer-*.conf'):
            conf.write_text(re.sub(r'(?m)^(ledger = .*)$',
                                   r'\1\nledger-segment = 1',
                                   conf.read_text()))
        restart_signers(s)
        yield s


def folder(own, n):
    return own.dir / 'ledger' / ('signer-%d' % n)


def older(own, n):
    return sorted(folder(own, n).glob('ledger.' + '[0-9]' * 20))


@pytest.fixture(scope='module')
def long_lived(own):
    """Certificates, and more than a file of each signer."""
    certs, _ = life(own, None, 'a')
    me = client.Client(own.env)
    keys = [client.ec_key() for _ in range(64)]     # a key has its signer

    def one(i):
        name = 'seg%d.demo.example' % i
        check_rstrc(me.enroll(client.make_csr(keys[i % 64], name, [name],
                                              own.env['CS_TEMPLATE'])))
    i = 0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        while not (older(own, 1) and older(own, 2)):
            assert i < 3000
            list(pool.map(one, range(i, i + 50)))
            i += 50
    issue(own, 'after.demo.example')
    return certs


def test_files_follow_each_other(own, long_lived):
    with at_rest(own):      # no signer turns to the next one meanwhile
        for n in 1, 2:
            files = [*older(own, n), folder(own, n) / 'ledger']
            last = None
            for f in files:
                e = entries(f)
                if last:
                    assert e[0]['type'] == 'segment'
                    assert (e[0]['seq'], e[0]['prev']) == (last['seq'] + 1,
                                                           last['hash'])
                    assert last['type'] == 'head'
                last = e[-1]
                if f.name != 'ledger':
                    assert int(f.name[7:]) == last['seq']
                    assert f.stat().st_size >= 2 ** 20
                assert f.stat().st_mode & 0o777 == 0o600
        code, found = damages(own, own.conf, '--heads',
                              own.dir / 'ledger/heads')
        assert code == 0, found


def test_a_signer_goes_on_from_the_newest(own, long_lived):
    number = fetch_crl(long_lived[3]).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number
    restart_signers(own)
    for n in (1, 2):        # no row of audit twice: a later file goes on
        rows = [e['n'] for f in older(own, n) + [folder(own, n) / 'ledger']
                for e in entries(f) if e['type'] == 'audit']
        assert len(set(rows)) == len(rows) > 0
    revoke(own, long_lived[3], 'superseded')
    serial = long_lived[3].serial_number
    wait_for(lambda: fetch_crl(long_lived[3]).
             get_revoked_certificate_by_serial_number(serial))
    assert fetch_crl(long_lived[3]).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number > number
    issue(own, 'restarted.demo.example')
    assert damages(own, own.conf)[0] == 0


def test_older_files_kept_elsewhere(own, long_lived, tmp_path):
    """The signer does not need them, who verifies does."""
    file = older(own, 1)[0]
    shutil.move(file, tmp_path / 'away')
    try:
        restart_signers(own)
        issue(own, 'archived.demo.example')
        code, found = damages(own, own.conf)
        assert code == 4
        assert any('lacks the entries before' in x['text'] for x in found)
    finally:
        shutil.move(tmp_path / 'away', file)
    assert damages(own, own.conf)[0] == 0


@pytest.mark.parametrize('what', ['altered', 'shorter', 'longer'])
def test_damage_in_an_older_file_is_found(own, long_lived, what):
    file = older(own, 2)[0]
    whole = file.read_bytes()
    at = len(whole) // 2
    at += whole[at:].index(b'"account":"') + 11
    file.write_bytes({'altered': whole[:at] + b'X' + whole[at + 1:],
                      'shorter': whole[:whole[:-1].rindex(b'\n') + 1],
                      'longer': whole + b'{"seq":'}[what])
    try:
        code, found = damages(own, own.conf)
        assert code == 4 and any(x['check'] == 'chain' for x in found), found
    finally:
        file.write_bytes(whole)


@pytest.fixture
def all_up(own):
    """Before the supervisor is stopped, who starts them."""
    signers(own)


@pytest.fixture
def one_is_down(own, all_up, stopped):  # noqa: F811
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    return folder(own, 1)


def test_wrong_files_are_not_continued(own, long_lived, one_is_down):
    conf = own.conf.parent / 'signer-1.conf'
    newest, old = one_is_down / 'ledger', older(own, 1)[-1]
    whole, before = newest.read_bytes(), old.read_bytes()

    def said(data=None, name=newest):
        if data is None:
            name.rename(name.with_name('away'))
        else:
            name.write_bytes(data)
        try:
            return as_signer(own, conf)
        finally:
            if data is None:
                name.with_name('away').rename(name)
            newest.write_bytes(whole)
            old.write_bytes(before)
    assert 'does not follow the older one' in said(before)
    assert 'does not follow the older one' in said(b'')
    assert 'lacks entry' in said()
    digit = b'1' if before[-5:-4] == b'0' else b'0'
    assert 'another entry' in said(before[:-5] + digit + before[-4:], old)


def test_a_turn_that_was_cut_short(own, long_lived, one_is_down):
    """Between the second name of the old file and the first of the new."""
    newest = one_is_down / 'ledger'
    seq = entries(newest)[-1]['seq']
    second = one_is_down / ('ledger.%020d' % seq)
    os.link(newest, second)
    shutil.copy2(newest, one_is_down / 'ledger.next')
    code, found = damages(own, own.conf)
    assert code == 0, found
    os.kill(int((own.dir / 'run/supervisor.pid').read_text()),
            signal.SIGCONT)
    wait_for(lambda: not second.exists())
    signers(own)
    issue(own, 'cutshort.demo.example')
    assert damages(own, own.conf)[0] == 0


def test_rows_come_back_from_older_files(own, long_lived, all_up,
                                         stopped):  # noqa: F811
    for pid in signers(own):
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: dead(pid))
    # The last one: farther in than the newest file is long.
    serial = [e['serial'] for e in entries(older(own, 1)[0])
              if e['type'] == 'issued'][-1]
    dsn = psycopg.conninfo.make_conninfo(own.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute('DELETE FROM countersign.certificate WHERE serial = '
                   "decode(%s, 'hex')", (serial,))
    code, found = damages(own, own.conf)
    assert code == 4
    assert any(serial in json.dumps(x) for x in found), found
    reconcile(own, '--apply')
    assert damages(own, own.conf)[0] == 0
    own.ctl('cert', 'show', serial)


def test_size_out_of_range(own, tmp_path):
    conf = own.conf.parent / 'signer-1.conf'
    for value in '0', '1048577':
        other = conf.with_name('segment.conf')
        other.write_text(conf.read_text().replace(
            'ledger-segment = 1', 'ledger-segment = ' + value))
        shutil.copystat(conf, other)
        if os.geteuid() == 0:
            shutil.chown(other, conf.owner(), conf.group())
        try:
            assert 'ledger-segment must be 1 to' in as_signer(own, other)
        finally:
            other.unlink()
