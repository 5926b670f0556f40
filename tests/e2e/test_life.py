"""A machine's whole life, unattended: it gets one secret, and renews for
years.  The clock of the whole stack is moved for it."""
import datetime
import os
import re
import signal
import subprocess
import time

import psycopg
import pytest

import client
from archives import (enveloped, exchanged, ket, pkcs8, recover,
                      recovery_agent, request, with_archive)
from certlogon import pem_key
from client import NS
from ledgers import dead, entries, signers
from moved import DAYS, WINDOW, MovedStack, template
from onetime import create
from policies import advertised, publish, published
from renewals import EXPIRED, REVOKED, Held, refused
from revocation import ask, entry, fetch_crl
from schema import check_policies, check_rstrc
from waits import wait_for

CA, HOST = 'Demo-CA', 'pc7.life.example'


pytestmark = pytest.mark.skipif(
    'SANITIZE' in os.environ,
    reason='libfaketime and the sanitizers both must be loaded first')


@pytest.fixture(scope='module')
def stack(tmp_path_factory):
    s = MovedStack(tmp_path_factory.mktemp('life') / 'state')
    try:
        s.start()
        yield s
    finally:
        s.stop()


# The exchange certificate ---------------------------------------------------

def test_exchange_certificate_rolls_over(stack, tmp_path):
    """A new one each week; what was encrypted to the one before is opened
    for another week, and no longer."""
    agents = [recovery_agent('kra-life')]
    publish(stack, with_archive(published(stack), CA, agents))
    alice = stack.here(stack.account('life-alice', groups=['archivers'],
                                     cn='Alice'))
    keys = [client.rsa_key(2048, 'life-%d' % i) for i in range(3)]
    first = exchanged(ket(alice))
    late = [request(k, enveloped(first, pkcs8(k))) for k in keys]
    assert exchanged(ket(alice)) == first
    stack.move(7)
    second = exchanged(ket(alice))
    assert second != first and second.not_valid_after > first.not_valid_after
    fresh = alice.enroll(request(keys[0], enveloped(second, pkcs8(keys[0]))),
                         pkcs10=False)
    stack.move(6)
    # The first one ended six days ago; requests underway are not lost.
    for r, key in (fresh, keys[0]), (alice.enroll(late[1], pkcs10=False),
                                     keys[1]):
        check_rstrc(r)
        out = recover(stack, tmp_path, r.certificate, agents[0])
        assert out.read_bytes() == pem_key(key)
    stack.move(2)
    refused(alice.enroll(late[2], pkcs10=False), 0x8009400c,
            'unknown or too old')


# A machine ------------------------------------------------------------------

class Machine:
    """Keeps its certificates, and logs on with the newest."""

    def __init__(self, stack, folder, first):
        self.stack, self.folder, self.held = stack, folder, [first]

    @property
    def client(self):
        return self.logged_on(-1)

    def logged_on(self, n):
        path = self.folder / 'machine'
        cert = self.held[n].cert
        path.with_suffix('.pem').write_bytes(
            cert.public_bytes(client.serialization.Encoding.PEM))
        path.with_suffix('.key').write_bytes(pem_key(self.held[n].key))
        return self.stack.by_certificate((str(path.with_suffix('.pem')),
                                          str(path.with_suffix('.key'))))

    def renew(self, form='cmc', new_key=True, **kw):
        """What its Windows does in the last weeks of a certificate."""
        old = self.held[-1]
        key = client.ec_key() if new_key else old.key
        r = old.renew(form, c=self.client, key=key, **kw)
        check_rstrc(r)
        self.held.append(old.after(r, key))
        self.held[-1].name = kw.get('template', old.name)
        check_alive(self.stack, self.held[-1], old)


def check_alive(stack, new, old=None):
    """A certificate that counts from now, and that everybody can check."""
    cert, now = new.cert, stack.now()
    assert cert.not_valid_before <= now
    assert abs(cert.not_valid_after - now - datetime.timedelta(DAYS)) < \
        datetime.timedelta(minutes=5)
    renews = stack.sql("SELECT upper(encode(renews, 'hex')) FROM countersign."
                       "request WHERE serial = decode(%s, 'hex')", new.serial)
    assert renews == [(old and old.serial,)]
    answer = ask(cert)
    assert answer.certificate_status.name == 'GOOD'
    assert answer.this_update <= stack.now() < answer.next_update
    wait_for(lambda: fetch_crl(cert).next_update > now)


def offered(c, name):
    """What CEP says of a template, or None."""
    reply = c.policies()
    check_policies(reply)
    found = [p for p in reply.findall('.//p:policy') if p.findtext(
        'p:attributes/p:commonName', None, NS) == name]
    return found[0] if found else None


def enrolled(stack, folder):
    row = create(stack, HOST, template='Life')
    c = stack.client(row['name'], row['secret'])
    assert offered(c, 'Life') is not None
    machine = Machine(stack, folder, Held(c, 'Life'))
    check_alive(stack, machine.held[0])
    again = c.enroll(client.make_csr(client.ec_key(), template='Life'))
    refused(again, 0x80094011, 'was used')
    return machine


RENEWALS = (('cmc', True), ('cmc', False), ('cms', True), ('bare', False),
            ('cmc', True))


def test_life(stack, tmp_path):
    publish(stack, published(stack) + template('Life', 1))
    machine = enrolled(stack, tmp_path)
    for n, (form, new_key) in enumerate(RENEWALS):
        stack.move(DAYS - WINDOW + 4)
        machine.renew(form, new_key)
        refused_past(stack, machine, n)
    assert stack.sql('SELECT max(renewals) FROM countersign.certificate '
                     'WHERE account = %s', HOST) == [(5,)]
    superseded(stack, machine)
    forced(stack, machine)
    restarted(stack, machine)
    assert len(machine.held) == 9
    stack.ctl('ledger', 'verify')


def refused_past(stack, machine, n):
    """What has ended or was taken away renews nothing, though its owner is
    known and has the key."""
    if n == 1:
        refused(machine.held[0].renew(c=machine.client), EXPIRED,
                'renewal-grace is 0 s')
        assert machine.logged_on(0).whoami().status_code == 403
    if n == 3:
        old = machine.held[-2]
        stack.ctl('cert', 'revoke', old.serial, '--reason', 'superseded')
        refused(old.renew(c=machine.client), REVOKED, 'is revoked')
        # A worker may remember it for seconds: certlogon.h.
        wait_for(lambda: machine.logged_on(-2).whoami().status_code == 403)
        wait_for(lambda: entry(old.cert))
        assert ask(old.cert).certificate_status.name == 'REVOKED'


def superseded(stack, machine):
    """Another template takes over; the secret was for the first one."""
    assert offered(machine.client, 'LifeNext') is None
    publish(stack, published(stack) +
            template('LifeNext', 2, 'supersedes = {"Life"}'))
    told = offered(machine.client, 'LifeNext')
    assert [e.text for e in told.findall(
        './/p:supersededPolicies/p:commonName', NS)] == ['Life']
    assert told.findtext('.//p:permission/p:autoEnroll', None, NS) == 'true'
    machine.renew(template='LifeNext')
    # A key alone opens no other template.
    refused(machine.client.enroll(client.make_csr(
        client.ec_key(), template='LifeNext')), 0x80094011, 'was used')


def forced(stack, machine):
    """A higher major version: nobody waits for the end."""
    major = advertised(machine.client, 'LifeNext')[0]
    assert version(machine.held[-1]) == major
    stack.ctl('policy', 'reenroll', 'LifeNext')
    assert advertised(machine.client, 'LifeNext') == [major + 1, 0]
    machine.renew()
    assert version(machine.held[-1]) == major + 1


def version(held):
    ext = held.cert.extensions.get_extension_for_oid(
        client.ObjectIdentifier('1.3.6.1.4.1.311.21.7'))
    return client.TemplateInfo.load(ext.value.value)['major'].native


def restarted(stack, machine):
    """After a year all programs stop and start; the web server's certificate
    has ended meanwhile."""
    stack.stop()
    stack.move(DAYS - WINDOW + 4)
    stack.start()
    machine.renew()
    # On the root's host somebody makes a list twice a year, too.
    r = stack.ctl('doctor', ok=1)
    assert re.findall('^fail +(.*?) until', r.stdout, re.M) == [
        'crl          Demo-Root: number 1']
    root = str(stack.dir / 'root/Demo-Root')
    stack.ctl('ca', 'root-crl', root, '-o', root + '.crl')
    stack.ctl('crl', 'install', 'Demo-Root', root + '.crl')
    stack.ctl('doctor')
    # Exchange keys of former weeks: not even who has the CA's could open
    # them now.
    with psycopg.connect(stack.env['CS_DSN'], user='postgres',
                         autocommit=True) as db:
        wait_for(lambda: db.execute(
            'SELECT count(*), count(sealed) FROM countersign.exchange_key'
        ).fetchone() == (2, 0))


# A clock from the future ----------------------------------------------------

def ledger(stack, n):
    return entries(stack.dir / ('ledger/signer-%d/ledger' % n))


def issue(stack):
    check_rstrc(stack.client().enroll(client.make_csr(
        client.ec_key(), 'future.demo.example', ['future.demo.example'],
        stack.env['CS_TEMPLATE'])))


def issued_since(stack, seq):
    issue(stack)
    return any(e['type'] == 'issued' and e['seq'] > seq
               for e in ledger(stack, 1))


def test_a_clock_from_the_future(stack, tmp_path):
    """Whatever a signer writes while its clock alone is ten years ahead bars
    the way back: it writes nothing, not even a head."""
    supervisor = int((stack.dir / 'run/supervisor.pid').read_text())
    old = stack.pids('signer')[0]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(old, signal.SIGTERM)
        wait_for(lambda: dead(old))
        words = stack.ctl_words(stack.conf.with_name('signer-1.conf'))
        words[words.index('-c') - 1] += '-signer'
        offset, said = tmp_path / 'offset', tmp_path / 'said'
        offset.write_text(stack.file.read_text())
        with open(said, 'w') as f:
            p = subprocess.Popen(words, stderr=f, env=dict(
                stack.environ, FAKETIME_TIMESTAMP_FILE=str(offset)))
        wait_for(lambda: 'event=ready' in said.read_text())
        wait_for(lambda: issue(stack) or ledger(stack, 1)[-1]['type'] !=
                 'head')
        offset.write_text('+%dd\n' % (stack.days + 3650))
        time.sleep(1.1)
        p.terminate()
        assert p.wait(300) == 0, said.read_text()
    finally:
        os.kill(supervisor, signal.SIGCONT)
    there = ledger(stack, 1)
    soon = (stack.now() + datetime.timedelta(1)).isoformat()
    assert all(e['at'] < soon for e in there)
    signers(stack, [old])
    wait_for(lambda: issued_since(stack, there[-1]['seq']))
    stack.ctl('ledger', 'verify')
