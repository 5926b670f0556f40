"""A CA whose key has no network, on a stack of its own: rounds, polls,
approvals, renewals and revocations."""
import hashlib
import os
import pathlib
import re
import subprocess
import time
import uuid

import psycopg
import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import archives
import client
from agents import RA, on_behalf, template
from airgap import check_cmc, cmc_status, crl, refused, renew, vault_copy
from bundle import ITEM, ORDER, RESULT, WISH, Bundle, integer, split
from earlier import key_of_ca, sign_before
from keypairs import twin
from ledger_edits import rehash
from ledgers import lines_of
from othercas import RENEWS, OtherCA, section
from policies import in_force, published
from revocation import EARLY, next_publish
from schema import check_fault, check_rstrc

DENIED, ARCHIVAL, REVOKED, UNTRUSTED = (
    0x80094011, 0x8009400A, 0x80092010, 0x800b0109)


def test_round(gap, gap_user):
    key, mid = client.ec_key(), 'urn:uuid:%s' % uuid.uuid4()
    csr = client.make_cmc(key, gap.server(key=key), [
        ('1.3.6.1.5.5.7.7.5', core.Integer(4711).dump())])
    r = gap.ask(gap_user, csr, pkcs10=False, message_id=mid)
    check_rstrc(r)
    sd, status = cmc_status(r.cmc)
    assert status == 3 and len(sd['signer_infos']) == 0
    assert len(sd['certificates']) == 2
    again = gap.ask(gap_user, csr, pkcs10=False, message_id=mid)
    assert again.request_id == r.request_id
    gap.export()
    assert cmc_status(gap.poll(gap_user, r.request_id).cmc)[1] == 3
    shown = gap.sign('--list').stdout
    assert 'VaultServer: 1, 0 approved' in shown and 'demo' in shown
    gap.take()
    done = gap.poll(gap_user, r.request_id)
    check_rstrc(done)
    check_cmc(gap, done.cmc, done.leaf)
    assert b'\x02\x02\x12\x67' in done.cmc      # the transaction id
    cert = done.certificate
    ca = x509.load_pem_x509_certificate(
        (gap.vault_dir / 'ca.pem').read_bytes())
    ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes,
                           ec.ECDSA(hashes.SHA256()))
    assert cert.public_key().public_numbers() == key.public_key(
        ).public_numbers()
    for other in (gap.poll(gap_user, r.request_id),
                  gap.ask(gap_user, csr, pkcs10=False, message_id=mid)):
        assert other.leaf == done.leaf and other.cmc == done.cmc
    row = gap.ctl_json('request', 'show', r.request_id)[0]
    assert row['state'] == 'issued' and row['signer'] == 'vault'
    stranger = gap.account('gap-stranger', groups=['users'])
    assert gap.poll(stranger, r.request_id).hresult == 0x80094004
    gap.verify()


def test_what_cannot_wait(gap):
    s = gap.ctl_json('secret', 'create', '--template', 'VaultMachine',
                     '--dns', 'pc1.demo.example')[0]
    r = gap.ask(client.Client(gap.env, s['name'], s['secret']),
                client.make_csr(client.ec_key(), template='VaultMachine'))
    check_fault(r)
    assert r.hresult == DENIED and 'one-time secret' in r.reason
    agents = [archives.recovery_agent('kra')]
    who = gap.account('gap-archiver', groups=['archivers'])
    who.env = dict(gap.env, CS_CES_URL=gap.env['CS_VAULT_CES_URL'])
    key, agent = client.rsa_key(2048, 'gap'), agents[0][1]
    with in_force(gap, archives.with_archive(published(gap), 'Vault-CA',
                                             agents)):
        for r in archives.ket(who), gap.ask(who, archives.request(
                key, archives.enveloped(agent, b'x')), pkcs10=False):
            assert r.hresult == ARCHIVAL and 'archives no keys' in r.reason, \
                r.text


def test_cepces_polls(gap, shared, tmp_path):
    """The real client, unmodified, waits for the stick."""
    pytest.importorskip('gssapi')
    script = shared / 'clients/run-cepces'
    if not script.exists():
        pytest.skip('no ../shared/clients: cepces is not here')
    e = dict(os.environ, CEP_USER=gap.env['CS_USER'], TYPE='Enrollment',
             CEP_PASS=gap.env['CS_PASSWORD'], CACERT=gap.env['CS_ROOT_PEM'])

    def cepces(*words):
        r = subprocess.run([script, 'UsernamePassword', words[0],
                            gap.env['CS_VAULT_CES_URL'], *words[1:]], env=e,
                           capture_output=True, text=True, timeout=300)
        return r.returncode, r.stdout
    csr = x509.load_der_x509_csr(gap.server('cepces.demo.example'))
    (tmp_path / 'csr.pem').write_bytes(csr.public_bytes(
        serialization.Encoding.PEM))
    code, out = cepces('SUBMIT', str(tmp_path / 'csr.pem'))
    assert code == 5, out       # wait more
    cookie = out.split('\n')[1]
    gap.export()
    assert cepces('POLL', cookie)[0] == 5
    gap.sign()
    gap.take()
    code, out = cepces('POLL', cookie)
    assert code == 0 and 'BEGIN CERTIFICATE' in out, out


def test_nothing_to_do_is_a_round_too(gap):
    n = crl(gap).extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number
    gap.round()
    c = crl(gap)
    assert c.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number > n
    assert c.last_update + EARLY < next_publish(c) < c.next_update
    made, = gap.sql("SELECT max(this_update) AT TIME ZONE 'UTC' FROM "
                    'countersign.crl')[0]
    assert c.last_update == made - EARLY


def test_approval(gap, gap_user):
    boss = gap.account('gap-boss', groups=['managers', 'web-admins'])
    other = gap.account('gap-other', groups=['users'])
    number = gap.pending(gap_user, gap.server(template='VaultApproval'))
    own = gap.pending(boss, gap.server(template='VaultApproval'))
    late = gap.pending(gap_user, gap.server(template='VaultApproval'))
    never = gap.pending(gap_user, gap.server(template='VaultApproval'))

    def decide(verb, n, *more, ok=0):
        return gap.ctl('request', verb, n, *more, ok=ok)
    assert 'none is named' in decide('approve', number, ok=1).stderr
    assert 'none of the groups' in decide(
        'approve', number, '--as', other.user, ok=1).stderr
    assert 'its own' in decide('approve', own, '--as', boss.user,
                               ok=1).stderr
    assert 'approved' in decide(
        'approve', number, '--as', boss.user, '--reason', 'known',
        '--subject', 'CN=other.demo.example').stdout
    assert 'approved already' in decide('approve', number, '--as', boss.user,
                                        ok=1).stderr
    decide('deny', never, '--as', boss.user)
    gap.export()
    assert 'on its way' in decide('deny', number, '--as', boss.user,
                                  ok=1).stderr
    decide('approve', late, '--as', boss.user)
    assert 'VaultApproval: 1, 1 approved' in gap.sign().stdout
    gap.take()
    cert = gap.poll(gap_user, number).certificate
    assert cert.subject.rfc4514_string() == 'CN=other.demo.example'
    assert gap.ctl_json('request', 'show', number)[0]['approved_by'] == \
        boss.user
    assert gap.poll(gap_user, never).hresult == 0x80094014
    assert gap.poll(gap_user, late).leaf is None
    gap.round()
    assert gap.poll(gap_user, late).leaf is not None
    assert gap.poll(boss, own).leaf is None
    actions = [r[0] for r in gap.sql(
        'SELECT action FROM countersign.audit WHERE detail LIKE %s '
        'ORDER BY n', 'request %s %%' % number)]
    assert actions == ['request approve', 'airgap issued']


def test_approval_that_nobody_gave(gap, gap_user, tmp_path):
    """The vault believes the rows of the desk's database; the desk's ledger
    knows who approved: here one from which that is taken out."""
    boss = gap.account('gap-b-' + uuid.uuid4().hex[:8], groups=['managers'])
    number = gap.pending(gap_user, gap.server(template='VaultApproval'))
    gap.ctl('request', 'approve', number, '--as', boss.user)
    gap.round()
    assert gap.poll(gap_user, number).leaf is not None
    gap.verify()
    (ident,), = gap.sql('SELECT id FROM countersign.request WHERE number = %s',
                        int(number))
    lines = lines_of(gap.dir / 'ledger/signer-1/ledger')
    approved, = [x for x in lines if b'"type":"approved"' in x and
                 ident.hex().encode() in x]
    for change in (b'"type":"approved"', b'"type":"nothing"'), (
            b'"approver":"%s"' % boss.user.encode(), b'"approver":"demo"'):
        folder = tmp_path / change[1].decode().strip('"').split('"')[-1]
        folder.mkdir()
        (folder / 'ledger').write_bytes(b''.join(rehash([], [
            x.replace(*change) if x == approved else x for x in lines])))
        for d in folder, *folder.parents[:3]:
            d.chmod(0o755)
        r = gap.ctl('ledger', 'verify', str(gap.vault_dir / 'ledger'),
                    str(folder), ok=4)
        assert re.search('request %s .* was issued by the vault with an '
                         'approval that no signer took' % ident.hex(),
                         r.stdout), r.stdout


def test_request_that_nobody_took(gap, gap_user, tmp_path):
    """Nor has the desk's ledger one that only the database had: rows of a
    signer's role, which say who asked."""
    number = gap.pending(gap_user, gap.server())
    gap.round()
    (ident,), = gap.sql('SELECT id FROM countersign.request WHERE number = %s',
                        int(number))
    lines = lines_of(gap.dir / 'ledger/signer-1/ledger')
    took, = [x for x in lines if b'"type":"pending"' in x and
             ident.hex().encode() in x]
    (tmp_path / 'ledger').write_bytes(b''.join(rehash([], [
        x.replace(b'"type":"pending"', b'"type":"nothing"') if x == took else
        x for x in lines])))
    for d in tmp_path, *tmp_path.parents[:3]:
        d.chmod(0o755)
    r = gap.ctl('ledger', 'verify', str(gap.vault_dir / 'ledger'),
                str(tmp_path), ok=4)
    assert re.search('request %s .* was decided, and no ledger says that it '
                     'was asked for' % ident.hex(), r.stdout), r.stdout


@pytest.mark.parametrize('edit,undo,ca,words', [
    ("DELETE FROM countersign.airgap_ca WHERE name = 'Vault-CA'",
     "INSERT INTO countersign.airgap_ca VALUES ('Vault-CA')", 'Vault-CA',
     'is behind an air gap, says audit, but has no row that says so'),
    ("INSERT INTO countersign.airgap_ca VALUES ('Demo-CA')",
     "DELETE FROM countersign.airgap_ca WHERE name = 'Demo-CA'", 'Demo-CA',
     'has a row as one behind an air gap, and audit does not say so')])
def test_which_ca_is_behind_the_gap(gap, edit, undo, ca, words):
    """By that row a bundle has its revocations."""
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute(edit)
        try:
            r = gap.ctl('ledger', 'verify', ok=4)
        finally:
            db.execute(undo)
    assert re.search('row +ca %s .*%s' % (ca, words), r.stdout), r.stdout
    gap.verify()


def test_key_of_another_account(gap, gap_user):
    """The desk does not know what the vault has signed meanwhile, nor what
    waits beside: the vault does."""
    other = gap.account('gap-' + uuid.uuid4().hex[:6], groups=['web-admins'])
    keys = [client.ec_key() for _ in range(2)]

    def ask(who, key):
        return gap.pending(who, gap.server('shared.demo.example', key=key))
    numbers = [ask(gap_user, k) for k in keys] + [ask(other, keys[0])]
    gap.round()
    assert gap.poll(gap_user, numbers[1]).leaf
    # A bundle has no order of arrival: either of them, and one only.
    one, r = sorted([gap.poll(gap_user, numbers[0]),
                     gap.poll(other, numbers[2])], key=lambda r: not r.leaf)
    assert one.leaf
    assert r.hresult == 0x80090003 and 'another account' in r.reason
    # Now the desk knows.
    r = gap.ask(other, gap.server('shared.demo.example', key=keys[1]))
    check_fault(r)
    assert r.hresult == 0x80090003 and 'another account' in r.reason
    # A desk that somebody took over: the vault looks into its own ledger.
    dsn = psycopg.conninfo.make_conninfo(gap.env['CS_DSN'], user='postgres')
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute('DELETE FROM countersign.key_owner')
    numbers = [ask(other, k) for k in (keys[1], twin(keys[1]))]
    gap.round()
    for number in numbers:
        assert 'another account' in gap.poll(other, number).reason
    number = ask(gap_user, keys[1])
    gap.round()
    assert gap.poll(gap_user, number).leaf
    # Each certificate's key has an owner, says "ledger verify".
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('INSERT INTO countersign.key_owner SELECT DISTINCT ON '
                   '(spki_sha256) spki_sha256, account FROM '
                   'countersign.certificate ORDER BY spki_sha256, serial '
                   'ON CONFLICT DO NOTHING')


def test_renewal_of_before_it_came(gap):
    """No CA comes here with a list: of each certificate there is a row."""
    who = gap.account('gap-moved', groups=['users'], cn='Moved')
    key, old = sign_before(*key_of_ca(gap.vault_dir / 'ca'),
                           client.template_v1('VaultUser'))
    r = gap.ask(who, renew(key, old)[1], pkcs10=False)
    assert r.hresult == UNTRUSTED, r.reason


def test_renewal_of_another_ca(gap, tmp_path):
    """The vault lets in what its own policy names, and rows need not tell."""
    corp = OtherCA(tmp_path)
    who = gap.account('gap-corp', groups=['users'], cn='Corp')

    def ask(how):
        key, old = sign_before(corp.cert, corp.key,
                               client.template_v1('VaultUser'))
        return how(who, renew(key, old)[1], pkcs10=False)
    before = published(gap)
    text = before + section(corp.cert, RENEWS)
    with in_force(gap, text):
        n = ask(gap.pending)
        gap.export()
        assert 'goes by policy' in gap.sign(ok=1).stderr
        conf = gap.vault_dir / 'policy.conf'
        own = conf.read_text()
        try:
            conf.write_text(text)
            gap.sign()
        finally:
            conf.write_text(own)
        gap.take()
        assert gap.poll(who, n).leaf
    assert ask(gap.ask).hresult == UNTRUSTED
    gap.verify()


def test_on_behalf_of_another(gap):
    """Whoever lets it be signed sees whom it is for."""
    before, conf = published(gap), gap.vault_dir / 'policy.conf'
    text = before + '''
agent-rule "gap-desk" {
	agents = {"gap-agents"} templates = {"GapCard"}
	targets = {"gap-staff"} deny-targets = {"gap-admins"}
}
''' + template('Vault-CA', 51, 'GapAgent', 'enrollment-agent',
              ['gap-agents']) + \
        template('Vault-CA', 52, 'GapCard', 'client-authentication',
                 ['gap-agents'], RA % 1)
    agent = gap.account('gap-agent', groups=['gap-agents'])
    gap.account('gap-bob', groups=['gap-staff'], cn='Bob')
    key = client.rsa_key(2048, 'gap-agent')
    own = conf.read_text()
    try:
        with in_force(gap, text):
            conf.write_text(text)
            n = gap.pending(agent, client.make_csr(key, template='GapAgent'))
            gap.round()
            cert = gap.poll(agent, n).leaf
            n = gap.pending(agent, on_behalf(
                'gap-bob', 'GapCard', [(key, cert)]), pkcs10=False)
            gap.export()
            shown = gap.sign('--list').stdout
            assert re.search('Z  gap-agent for gap-bob  GapCard$', shown,
                             re.M), shown
            gap.take()
            names = gap.poll(agent, n).certificate.subject
            assert names.rfc4514_string() == 'CN=Bob'
    finally:
        conf.write_text(own)
    gap.verify()


def test_renewal_and_revocation(gap):
    who = gap.account('gap-renewer', groups=['users'])
    key = client.ec_key()
    n = gap.pending(who, client.make_csr(key, template='VaultUser'))
    gap.round()
    old = gap.poll(who, n).leaf
    new_key, token = renew(key, old)
    n = gap.pending(who, token, pkcs10=False)
    gap.round()
    new = gap.poll(who, n)
    assert new.certificate is not None, new.text
    serial = '%032X' % new.certificate.serial_number
    assert gap.sql('SELECT renewals FROM countersign.certificate WHERE '
                   'serial = %s', bytes.fromhex(serial)) == [(1,)]
    # Asked for before the revocation, judged after it.
    _, token = renew(new_key, new.leaf)
    n = gap.pending(who, token, pkcs10=False)
    gap.ctl('cert', 'revoke', serial, '--reason', 'keyCompromise')
    held = '%032X' % x509.load_der_x509_certificate(old).serial_number
    gap.ctl('cert', 'revoke', held, '--reason', 'certificateHold')
    r = gap.ask(who, renew(new_key, new.leaf)[1], pkcs10=False)
    assert r.hresult == REVOKED
    gap.export()
    shown = gap.sign().stdout
    assert 'revocations  2' in shown
    gap.take()
    assert gap.poll(who, n).leaf is not None    # signed before the orders
    on = {e.serial_number for e in crl(gap)}
    assert {int(serial, 16), int(held, 16)} <= on
    _, token = renew(new_key, new.leaf)
    gap.ctl('cert', 'release', held)
    gap.round()
    on = {e.serial_number for e in crl(gap)}
    assert int(serial, 16) in on and int(held, 16) not in on
    gap.verify()


def test_vault_knows_revocation(gap):
    """The orders of a round before count when a renewal is judged."""
    who = gap.account('gap-revoked', groups=['users'])
    key = client.ec_key()
    n = gap.pending(who, client.make_csr(key, template='VaultUser'))
    gap.round()
    old = gap.poll(who, n).leaf
    serial = '%032X' % x509.load_der_x509_certificate(old).serial_number
    n = gap.pending(who, renew(key, old)[1], pkcs10=False)
    stack_row = gap.sql('SELECT day, id FROM countersign.request '
                        'WHERE number = %s', int(n))
    assert stack_row
    gap.export()
    b = Bundle(gap.request.read_bytes())
    at = b.records.index(b.all(WISH)[0])
    order = [ORDER, [(12, b'Vault-CA'), (2, b'\x01'),
                     (4, bytes.fromhex(serial)),
                     split(integer(int(time.time()) * 1000000))[0],
                     (2, b'\x01'), (2, b'\0'), (12, b'me'), (12, b'')]]
    b.records.insert(at, order)
    raw = b.signed(gap.desk_key)
    # A copy of the vault takes the order first, then judges the renewal.
    copy = vault_copy(gap, 'revoked')
    first = Bundle(raw)
    first.records = [r for r in first.records if r[0] != ITEM]
    gap.write(gap.stick / 'first', first.signed(gap.desk_key))
    out = gap.stick / 'first-answer'
    gap.run('sign', '--yes', '-o', out, gap.stick / 'first', conf=copy)
    b.records.remove(order)
    head_round = int.from_bytes(b.records[0][1][4][1], 'big')
    b.head(4, *split(integer(head_round + 1))[0])
    b.head(5, 4, hashlib.sha256(out.read_bytes()).digest())
    gap.write(gap.stick / 'second', b.signed(gap.desk_key))
    gap.run('sign', '--yes', '-o', out, gap.stick / 'second', conf=copy)
    [result] = [r for r in Bundle(out.read_bytes()).all(RESULT)]
    assert result[1][1] == (10, b'\x03')
    assert b'is revoked' in result[1][7][1]
    gap.sign()
    gap.take()


def test_configuration(gap, tmp_path):
    """What the two programs say of a gap that is set up half."""
    text = pathlib.Path(gap.env['CS_VAULT_CONF']).read_text()
    conf = gap.dir / 'half.conf'

    def vault(changed, *words):
        conf.write_text(changed)
        refused(gap.run('status', conf=conf, ok=None), *words)
    vault(text.replace('name = "vault"', 'name = "vault"\nlisten = '
                       '"ipc:///x"'), 'neither listen')
    vault(text.replace('peer-key', '# peer-key'), 'peer-key')
    vault(text.replace('prefix = ', 'prefix = 9999'), 'prefix')
    vault(text.replace(str(gap.vault_dir / 'desk.pub'),
                       str(gap.vault_dir / 'ca.pem')), 'ca.pem')
    vault(text + '\nca "Other-CA" {\ncertificate = "%s"\nairgap = true\n}\n'
          % (gap.vault_dir / 'ca.pem'), 'this host is the vault')
    desk = next(iter(sorted((gap.dir / 'etc').glob('signer-*.conf'))))
    vault(desk.read_text(), 'no airgap section')
    vault(desk.read_text().replace('airgap = true', 'airgap = true\n'
                                   'key = "x"'), 'a key here')
    os.unlink(conf)
    own = gap.ctl_words()
    at = own.index('-c') - 1
    r = subprocess.run(own[:at] + [gap.env['CS_VAULT_SIGNER'], '-c',
                                   gap.env['CS_VAULT_CONF']],
                       capture_output=True, text=True, timeout=300)
    assert r.returncode == 1 and 'airgap sign' in r.stderr
    for words in (['sign'], ['show'], ['nonsense'], ['status', 'x'], []):
        assert gap.run(*words, ok=None).returncode == 2
    assert 'airgap sign' in gap.run('--help').stdout
    assert 'taken' in gap.run('status').stdout
    refused(gap.run('init', ok=None), 'exists')
    # The desk's key is made once, and the vault keeps its number.
    one, two = (gap.run('init', vault=False).stdout for _ in range(2))
    assert one == two and 'BEGIN PUBLIC KEY' in one
    assert len(gap.ctl_json('airgap', 'status', '--limit', '2')) == 2


def test_no_ocsp_and_no_deltas_behind_a_gap(gap):
    text = (gap.vault_dir / 'policy.conf').read_text()
    cdp = text.index('cdp', text.index('ca "Vault-CA"'))
    for what, line in (('ocsp', 'ocsp = {"http://x.example/ocsp"}\n'),
                       ('crl-delta', 'crl-delta = 1d\n')):
        conf = vault_copy(gap, what)
        (conf.parent / 'policy.conf').write_text(
            text[:cdp] + line + text[cdp:])
        refused(gap.run('status', conf=conf, ok=None), 'has ' + what,
                'Vault-CA')
    r = client.Client(gap.env).http.get(
        gap.env['CS_VAULT_CRL_URL'].replace('ca/Vault-CA.crl', 'ocsp'),
        timeout=300)
    assert r.status_code != 500
