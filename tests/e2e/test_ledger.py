"""Ledgers, signed heads and audit, in a deployment of their own, whose ledgers
run out of space.  A database from yesterday: test_reconcile.py."""
import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess

import pytest

import client
from ledger_edits import Edits, damages, rehash
from ledgers import (AGAIN, as_signer, at_rest, change, csr, dead,  # noqa: F401
                     entries, ledger_lines, lived, own, pending, root,
                     signers, stopped)
from revocation import ask
from schema import check_fault
from waits import wait_for

EDITS = int(os.environ.get('EDITS', '40'))
SEED = int(os.environ.get('SEED', '7'))


# Heads --------------------------------------------------------------------

def test_everything_is_in_the_chain(own, lived):
    kinds = {e['type'] for f in (own.dir / 'ledger').glob('*/ledger')
             for e in entries(f)}
    assert kinds >= {'start', 'head', 'intent', 'issued', 'done', 'denied',
                     'pending', 'void', 'crl', 'listed', 'revoked',
                     'released', 'responder', 'responder-issued',
                     'audit'}
    code, found = damages(own, own.conf, '--heads', own.dir / 'ledger/heads')
    assert code == 0, found
    assert own.sql('SELECT count(*) FROM countersign.revocation_event'
                   ) == [(0,)]


def test_heads_are_copied(own, lived):
    with at_rest(own):
        heads = entries(own.dir / 'ledger/heads')
        ledgers = {d.name: entries(d / 'ledger')
                   for d in (own.dir / 'ledger').glob('*/')}
        rows = dict(own.sql('SELECT signer, head FROM '
                            'countersign.ledger_head'))
    for name, ledger in ledgers.items():
        mine = [h for h in heads if h['ledger'] == name]
        assert len(mine) == len([e for e in ledger if e['type'] == 'head'])
        for h in mine:
            assert ledger[h['seq'] - 1]['hash'] == h['hash']
            assert ledger[h['seq'] - 1]['type'] == 'head'
        assert json.loads(rows[name]) == mine[-1]


def test_a_ledger_of_nobody(own, lived, tmp_path):
    """Of a forged one that names no signer everything is found, its void
    serial numbers, too."""
    tmp_path.chmod(0o755)
    for name, lines in ledger_lines(own).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'ledger').write_bytes(b''.join(rehash([], [
            x.replace(b'"type":"start"', b'"type":"begun"') for x in lines])))
    code, found = damages(own, own.conf, *sorted(tmp_path.iterdir()))
    said = {(x['check'], x['text']) for x in found}
    assert code == 4 and ('chain', 'has no entry "start"') in said
    assert ('row', 'is not what the ledger says') in said


def test_one_ledger_twice(own, lived):
    """By mistake, or because somebody put it in the place of another."""
    folder = own.dir / 'ledger/signer-2'
    code, found = damages(own, own.conf, folder, folder)
    assert code == 4 and 'intent' not in {x['check'] for x in found}
    assert ('chain', 'is the ledger of signer-2, as %s is: each is named once'
            % folder) in {(x['check'], x['text']) for x in found}


def test_cut_ledger_is_not_continued(own, lived, stopped):
    """A signer that would go on with an old copy."""
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    file = own.dir / 'ledger/signer-1/ledger'
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    try:
        # None at all; an empty one would be a damage to reconcile.
        file.rename(own.dir / 'away')
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'cut off or is an old copy' in said and not file.exists()
        (own.dir / 'away').rename(file)
        with open(file, 'r+b') as f:    # the same inode and owner
            f.truncate(len(b''.join(lines[:-3])))
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'cut off or is an old copy' in said
        # The whole file of another signer.
        with open(file, 'wb') as f:
            f.write((own.dir / 'ledger/signer-2/ledger').read_bytes())
        said = as_signer(own, own.conf.parent / 'signer-1.conf')
        assert 'that of signer signer-2' in said
    finally:
        file.write_bytes(whole)


def looked_at(own, folder, code, conf=None):
    """What countersign-signer -t says of it; it is as it was."""
    def state():
        return {f.name: (f.read_bytes(), f.stat().st_mtime_ns)
                for f in folder.glob('*')}
    words = own.ctl_words()
    at = words.index('-c')
    words[at - 1] += '-signer'
    words[at + 1] = str(conf or own.conf.parent / 'signer-1.conf')
    before = state()
    r = subprocess.run(words + ['-t'], capture_output=True, text=True,
                       timeout=300)
    assert r.returncode == code, r.stderr
    assert state() == before
    return r.stderr


def test_a_ledger_in_use_is_tested(own, lived):
    """By whom it is used does not notice, or the next head would lack."""
    pid = signers(own)[0]
    folder = own.dir / 'ledger/signer-1'
    os.kill(pid, signal.SIGSTOP)        # or it might write meanwhile
    try:
        said = looked_at(own, folder, 0)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert 'a signer is running' in said and 'is good' in said
    assert not dead(pid)


def test_a_ledger_is_tested_before_a_start(own, lived, stopped):
    """All that a start would refuse."""
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    folder = own.dir / 'ledger/signer-1'
    file = folder / 'ledger'
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    said = looked_at(own, folder, 0)
    assert 'running' not in said and 'is good' in said

    def of(data):
        with open(file, 'r+b') as f:    # the same inode and owner
            f.truncate(0)
            f.write(data)
        try:
            return looked_at(own, folder, data != whole + b'{')
        finally:
            with open(file, 'r+b') as f:
                f.truncate(0)
                f.write(whole)
    assert 'is good' in of(whole + b'{')        # a crash, which a start mends
    assert 'cut off or is an old copy' in of(b''.join(lines[:-3]))
    assert 'hash does not match' in of(
        b''.join(lines[:-4] + [lines[-4].replace(b'"at":"20', b'"at":"19')] +
                 lines[-3:]))
    other = own.dir / 'ledger/signer-2/ledger'
    assert 'that of signer signer-2' in of(other.read_bytes())
    try:
        file.rename(own.dir / 'away')
        assert 'cut off or is an old copy' in looked_at(own, folder, 1)
        (own.dir / 'away').rename(file)
        file.chmod(0o640)
        assert 'not a regular file of mode 0600' in looked_at(own, folder, 1)
        file.chmod(0o600)
        if os.geteuid() == 0 and 'runuser' not in own.ctl_words():
            uid = file.stat().st_uid
            os.chown(file, 12345, -1)       # as a copy that root put back
            assert 'its file is of user 12345, its folder of user %d: ' \
                'chown it' % uid in looked_at(own, folder, 1)
            os.chown(file, uid, -1)
        folder.rename(own.dir / 'gone')
        assert '%s: No such file' % folder in looked_at(own, folder, 1)
    finally:
        if (own.dir / 'gone').exists():
            (own.dir / 'gone').rename(folder)
        file.chmod(0o600)


def test_a_new_ledger_is_tested(own, lived, tmp_path):
    """Of a signer that the database does not know."""
    conf = own.conf.parent / 'signer-new.conf'
    old = own.conf.parent / 'signer-1.conf'
    folder = own.dir / 'ledger/new'
    shutil.copytree(own.dir / 'ledger/signer-1', folder,
                    ignore=lambda *_: ['ledger'])
    text = old.read_text().replace(str(own.dir / 'ledger/signer-1'),
                                   str(folder))
    conf.write_text(re.sub(r'(?m)^name = .*', 'name = "signer-new"', text))
    for new, was in (conf, old), (folder, own.dir / 'ledger/signer-1'):
        shutil.copystat(was, new)
        if os.geteuid() == 0:
            shutil.chown(new, was.owner(), was.group())
    try:
        said = looked_at(own, folder, 0, conf)
        assert 'none yet, the first start begins one' in said
        folder.chmod(0o500)
        if 'runuser' in own.ctl_words() or os.geteuid() != 0:
            assert 'its folder: Permission denied' in looked_at(
                own, folder, 1, conf)
        folder.chmod(0o700)
        # The database away is no failure of the ledger.
        conf.write_text(re.sub(r'port=\d+', 'port=1', conf.read_text()))
        said = looked_at(own, folder, 0, conf)
        assert 'not compared with its head in the database' in said
    finally:
        conf.unlink()
        shutil.rmtree(folder)


def test_copy_that_cannot_be_written_stops_signing(own, lived, stopped,
                                                   tmp_path):
    conf = own.conf.parent / 'signer-1.conf'
    pid = signers(own)[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: dead(pid))
    other = own.conf.parent / 'signer-1-heads.conf'
    other.write_text(re.sub('head-file = .*', 'head-file = "/dev/full"',
                            conf.read_text()))
    shutil.copystat(conf, other)
    if os.geteuid() == 0:
        shutil.chown(other, conf.owner(), conf.group())
    try:
        said = as_signer(own, other)
        assert 'head-file /dev/full: No space left' in said
    finally:
        other.unlink()


# Audit that cannot be written ----------------------------------------------

@pytest.fixture
def only_one(own):
    """Signer 2 sleeps: everything goes to signer 1, which nobody starts
    again."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    one, other = signers(own)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(other, signal.SIGSTOP)
    yield one
    os.kill(other, signal.SIGCONT)
    os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: client.Client(own.env).enroll(
        csr(own, 'up.demo.example')).fault is None)
    own.ctl('ledger', 'verify')


def refused(own, pid, name):
    """No certificate without a record."""
    before = own.sql('SELECT count(*) FROM countersign.certificate')
    r = client.Client(own.env).enroll(csr(own, name))
    check_fault(r)
    assert r.hresult in (None, AGAIN)
    wait_for(lambda: dead(pid))
    assert 'ledger: ' in re.findall(r'event=stop text="(.*?)"', own.log(
        'signer-1'))[-1]
    assert own.sql('SELECT count(*) FROM countersign.certificate') == before


def test_full_disk_stops_signing(own, lived, only_one):
    """RLIMIT_FSIZE: the write fails in the middle, as on a full disk."""
    size = (own.dir / 'ledger/signer-1/ledger').stat().st_size
    subprocess.run(['prlimit', '--pid', str(only_one),
                    '--fsize=%d' % (size + 100)], check=True)
    refused(own, only_one, 'full.demo.example')


def can_trace(pid):
    r = subprocess.run(['timeout', '1', 'strace', '-p', str(pid), '-e',
                        'trace=none'], capture_output=True, text=True)
    return 'ptrace' not in r.stderr


@pytest.mark.parametrize('error', ['EIO', 'ENOSPC'])
def test_failed_sync_stops_signing(own, lived, only_one, error):
    if not can_trace(only_one):
        pytest.skip('may not trace')
    tracer = subprocess.Popen(
        ['strace', '-f', '-p', str(only_one), '-e', 'trace=fdatasync', '-e',
         'inject=fdatasync:error=%s:when=1+' % error], stderr=subprocess.PIPE,
        text=True)
    try:
        assert 'attached' in tracer.stderr.readline()
        refused(own, only_one, 'sync.demo.example')
    finally:
        tracer.kill()
        tracer.wait()


# 1,000 random edits ---------------------------------------------------------

@pytest.fixture(scope='module')
def edits(own, root, lived, tmp_path_factory):
    with at_rest(own):
        e = Edits(own, root, tmp_path_factory.mktemp('edits'),
                  random.Random(SEED))
    yield e
    e.db.close()
    e.conf.unlink()


def test_random_edits_are_found(edits):
    assert edits.verify() == (0, [])
    missed = []
    for n in range(EDITS):
        text = edits.one()
        code, found = edits.verify()
        if code != 4 or not found:
            missed.append((n, text))
        edits.restore()
    assert not missed, 'seed %d' % SEED
    assert edits.verify() == (0, [])


HEAD = 'UPDATE countersign.ledger_head SET '
CHANGES = 'UPDATE countersign.revocation_change SET '
GONE = 'was in the database, says the ledger, and is gone or an older one'
NO_HEAD = 'is not the head that it has as text'
LOW = ('their last number is below that of a row or of the ledger: lists '
       'would not tell the next ones')


@pytest.fixture(scope='class')
def rest(own, lived):
    with at_rest(own):
        yield


@pytest.mark.usefixtures('rest')
class TestEdits:
    @pytest.mark.parametrize('table,edit,check,thing,text', [
        ('ledger_head', "DELETE FROM countersign.ledger_head WHERE signer = "
         "'signer-1'", 'missing', 'head of signer-1', GONE),
        ('ledger_head', HEAD + 'seq = seq + 9', 'head', 'row of signer-1',
         NO_HEAD),
        ('ledger_head', HEAD + "hash = sha256('x')", 'head', 'row of signer-2',
         NO_HEAD),
        ('ledger_head', HEAD + "head = 'x'", 'head', 'row of signer-1',
         NO_HEAD),
        ('signer', 'UPDATE countersign.signer SET epoch = 0', 'missing',
         'signer signer-1', 'has a later epoch in its ledger'),
        ('signer', "INSERT INTO countersign.signer (name, prefix, apart) "
         "VALUES ('x', 99, true)", 'row', 'signer x', 'has no ledger here and '
         'no section in the configuration: name its ledger\'s folder, or '
         '--without it'),
        ('revocation_change', CHANGES + 'n = n - 1', 'row',
         'changes of revocations of Demo-CA', LOW),
        ('revocation_change', CHANGES + 'stamped = n + 1', 'row',
         'changes of revocations of Demo-CA', LOW),
        ('revocation_change', 'DELETE FROM countersign.revocation_change',
         'row', 'changes of revocations of Demo-CA', LOW)])
    def test_edits_beside_the_rows(self, own, root, table, edit, check, thing,
                                   text):
        """What no list and no row would show."""
        with root() as db:
            change(db, 'CREATE TABLE public.was AS TABLE countersign.' + table,
                   edit)
            try:
                found = damages(own, own.conf, code=4)[1]
            finally:
                change(db, 'BEGIN', 'DELETE FROM countersign.' + table,
                       'INSERT INTO countersign.%s TABLE public.was' % table,
                       'DROP TABLE public.was', 'COMMIT')
            assert (check, thing, text) in {
                (x['check'], x['object'], x['text']) for x in found}
            assert damages(own, own.conf) == (0, [])


OCSP = 'UPDATE countersign.ocsp SET '
NOT_SO = 'is not what its row and the revocations say'
NOT_SIGNED = 'is not signed by a responder of its ca'


@pytest.mark.parametrize('edit,text', [
    # It is revoked, and was good when that was signed.
    (OCSP + 'der = (SELECT der FROM countersign.ocsp WHERE serial = '
     '%(good)s) WHERE serial = %(bad)s', NOT_SO),
    (OCSP + 'der = (SELECT der FROM countersign.ocsp WHERE serial = '
     '%(bad)s) WHERE serial = %(good)s', NOT_SO),
    (OCSP + "next_update = next_update + interval '1 h'", NOT_SO),
    (OCSP + 'hash = 3 - hash', NOT_SO),
    (OCSP + "der = 'x'", NOT_SO),
    (OCSP + 'der = set_byte(der, 260, 255 - get_byte(der, 260))',
     NOT_SIGNED)])
def test_edits_of_kept_answers(own, root, lived, edit, text):
    bad, good = (c.serial_number.to_bytes(16, 'big') for c in (
        lived[0][0], lived[0][3]))
    for c in (lived[0][0], lived[0][3]):
        ask(c)
    with root() as db:
        assert damages(own, own.conf) == (0, [])
        db.execute('SET session_replication_role = replica')
        db.execute('CREATE TABLE public.was AS TABLE countersign.ocsp')
        db.execute(edit, {'good': good, 'bad': bad})
        try:
            found = damages(own, own.conf, code=4)[1]
        finally:
            change(db, 'BEGIN', 'DELETE FROM countersign.ocsp',
                   'INSERT INTO countersign.ocsp TABLE public.was',
                   'DROP TABLE public.was', 'COMMIT')
    assert {(x['check'], x['text']) for x in found} == {
        ('row', text + ': delete the row, it is made anew')}
    assert damages(own, own.conf) == (0, [])


def test_a_signer_whose_ledger_is_elsewhere(own, root, lived):
    """One of the configuration, or that somebody names."""
    one = str(own.dir / 'ledger/signer-1')
    said, = [x for x in own.ctl_json('ledger', 'verify', one)
             if x['check'] == 'rows of other signers']
    assert said['object'] == 'signer-2' and said['count'] > 0
    with root() as db:
        change(db, "INSERT INTO countersign.signer VALUES ('old', 99)")
        try:
            assert damages(own, own.conf, '--without', 'old') == (0, [])
            assert damages(own, own.conf, code=4)
        finally:
            change(db, "DELETE FROM countersign.signer WHERE name = 'old'")


def test_a_repeated_request_is_one_signer_s(own, lived):
    """Both wrote it down, and one died: what is there is the other's."""
    supervisor = int((own.dir / 'run/supervisor.pid').read_text())
    mine, other = (own.dir / 'ledger' / n / 'ledger' for n in
                   ('signer-1', 'signer-2'))
    pid = signers(own)[0]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: dead(pid))
        number = pending(own, 'both.demo.example')
        line = [x for x in open(other, 'rb') if b'"type":"pending"' in x][-1]
        entry = json.loads(line)
        row = bytearray(base64.b64decode(entry['request']))
        row[57] ^= 1            # the number
        line = line.replace(entry['request'].encode(), base64.b64encode(row))
        with open(mine, 'r+b') as f:
            lines = f.readlines()
            f.write(rehash(lines, [line])[-1])
    finally:
        os.kill(supervisor, signal.SIGCONT)
    signers(own, [pid])
    wait_for(lambda: [x for x in open(mine, 'rb') if b'"type":"void"' in x
                      and entry['id'].encode() in x])
    assert damages(own, own.conf) == (0, [])
    # Void here, committed there, and decided since.
    own.ctl('request', 'approve', number)
    assert damages(own, own.conf) == (0, [])


@pytest.fixture
def standing(own):
    """No signer goes on: what is copied stays what it was."""
    pids = signers(own)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_number_of_a_list_tried_twice(own, lived, standing, tmp_path):
    """Signed by one that never committed it, and then by another."""
    tmp_path.chmod(0o755)
    for d in (own.dir / 'ledger').glob('*/'):
        shutil.copytree(d, tmp_path / d.name)
    lists = {d: [x for x in open(d / 'ledger', 'rb') if b'"type":"crl"' in x]
             for d in sorted(tmp_path.iterdir())}
    tried = next(v for v in lists.values() if v)[-1]
    for d in lists:
        lines = open(d / 'ledger', 'rb').readlines()
        more = [re.sub(rb'"tbs":"..', b'"tbs":"' + x, tried)
                for x in (b'00', b'ff')]
        (d / 'ledger').write_bytes(b''.join(rehash(lines, more)))
    for dirs in (list(lists), list(lists)[::-1], *([d] for d in lists)):
        assert damages(own, own.conf, *dirs) == (0, [])


def test_given_up_by_one_and_issued_by_the_other(own, lived, standing,
                                                 tmp_path):
    """A signer died before it signed, and the worker asked the next one: the
    ledger of the first alone does not know better than the row."""
    tmp_path.chmod(0o755)
    ledgers = ledger_lines(own)
    other, intent = next((n, x) for n in ledgers for x in ledgers[n]
                         if b'"type":"issued"' in x)
    one, = (x for x in ledgers if x != other)
    serial = re.search(rb'"serial":"(\w+)"', intent)[1]
    mine = serial[:6] + b'%04x' % int(one[-1]) + b'ab' * 11
    short = re.sub(rb'("ca":"[^"]*",).*("hash":)', rb'\1\2',
                   intent.replace(serial, mine))
    more = [short.replace(b'"issued"', b'"intent"').replace(
        b'"hash":', b'"tbs":"%s","hash":' % (b'00' * 32)),
            short.replace(b'"issued"', b'"void"')]
    (tmp_path / 'ledger').write_bytes(b''.join(rehash(ledgers[one], more)))
    code, found = damages(own, own.conf, tmp_path)
    assert [x['object'] for x in found] == ['void serial ' + mine.decode()]
