"""The next key and the next certificate of a CA behind an air gap."""
import os
import re
import signal
import ssl
import subprocess

import pytest
from cryptography import x509

import client
from airgap import cmc_status, crl, key_of, refused, renew
from hsm import Hsm, SPY
from schema import check_rstrc
from waits import wait_for

EXTENSIONS = ('basicConstraints=critical,CA:TRUE,pathlen:0\n'
              'keyUsage=critical,keyCertSign,cRLSign\n'
              'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n')


def openssl(*args):
    return subprocess.run(['openssl', *map(str, args)], check=True,
                          capture_output=True, text=True).stdout


class Safe:
    """Where the officer makes keys and certificates for the vault."""

    def __init__(self, gap, where):
        self.gap, self.dir = gap, where
        self.vault = gap.vault_dir
        (where / 'ext').write_text(EXTENSIONS)
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                where / 'root.key', '-subj', '/CN=Vault Root 2', '-days',
                '7300', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
                '-out', self.vault / 'root-2.pem')

    def key(self, name):
        openssl('genpkey', '-algorithm', 'EC', '-pkeyopt',
                'ec_paramgen_curve:P-256', '-aes-256-cbc', '-pass',
                'file:%s' % (self.vault / 'ca.pass'), '-out',
                self.vault / (name + '.key'))

    def certify(self, key, subject, out):
        """Signed by the second root; returns its path."""
        openssl('req', '-new', '-key', self.vault / (key + '.key'), '-passin',
                'file:%s' % (self.vault / 'ca.pass'), '-subj', subject,
                '-out', self.dir / 'csr')
        openssl('x509', '-req', '-in', self.dir / 'csr', '-CA',
                self.vault / 'root-2.pem', '-CAkey', self.dir / 'root.key',
                '-CAcreateserial', '-days', '3000', '-out',
                self.vault / out, '-extfile', self.dir / 'ext')
        return self.vault / out

    def take(self, name, cert, *more, ok=True):
        return self.gap.ctl('ca', 'import', name, '--cert', str(cert),
                            '--chain', str(self.vault / 'root-2.pem'),
                            '--airgap', *more, ok=ok)


@pytest.fixture(scope='module')
def safe(gap, tmp_path_factory):
    s = Safe(gap, tmp_path_factory.mktemp('safe'))
    s.key('ca-2')
    s.cert = s.certify('ca-2', '/CN=Vault-CA 2', 'ca-2.pem')
    return s


def section(gap, name, first):
    """What is in a ca section, without what says which key is in use."""
    end = name.replace('Vault_CA', 'ca').replace('_', '-')
    return re.sub(r'\n\s*(in-use|also) = .*', '', first).replace(
        '/ca.pem', '/%s.pem' % end).replace('/root.pem', '/root-2.pem' if
                                            end != 'ca' else '/root.pem'
                                            ).replace('/ca.key',
                                                      '/%s.key' % end)


def vault_conf(gap, **keys):
    """The vault's configuration with these options in its ca sections."""
    path = gap.vault_dir / 'signer.conf'
    text = path.read_text()
    head = text[:text.index('ca "')]
    first = re.search(r'(?s)ca "Vault-CA" {(.*?)\n}', text).group(1)
    path.write_text(head + ''.join(
        'ca "%s" {%s\n\t%s\n}\n' % (name.replace('_', '-'), section(
            gap, name, first), more) for name, more in keys.items()))


def restart_desk(gap, key):
    """With a section for this key, as somebody who edits it would."""
    for conf in (gap.dir / 'etc').glob('signer-*.conf'):
        conf.write_text(
            conf.read_text() + '\nca "%s" {\n\tof = "Vault-CA"\n\t'
            'certificate = "%s"\n\tchain = "%s"\n\tairgap = true\n}\n' % (
                key, *(gap.dir / 'ca' / (key + end)
                       for end in ('.pem', '.chain.pem'))))
    [pid] = gap.pids('signer')
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: gap.pids('signer') != [pid] and 'pid=%d event=ready' %
             gap.pids('signer')[0] in gap.log('signer'))


def der(path):
    return [ssl.PEM_cert_to_DER_cert(path.read_text())]


def held(response):
    """Certificates of a CMC response."""
    sd, _ = cmc_status(response)
    return [c.chosen.dump() for c in sd['certificates']]


def verify(gap, cert, ca, root):
    """As a relying party that knows this root alone."""
    leaf = gap.dir / 'leaf.pem'
    leaf.write_bytes(cert.public_bytes(client.serialization.Encoding.PEM))
    out = openssl('verify', '-x509_strict', '-CAfile', root, '-untrusted',
                  ca, leaf)
    assert ': OK' in out, out


def test_next_key(gap, gap_user, safe):
    vault = gap.vault_dir
    who = gap.account('gap-roller', groups=['users'])
    leaf_key = client.ec_key()
    first = gap.pending(who, client.make_csr(leaf_key, template='VaultUser'))
    gap.round()
    old = gap.poll(who, first).leaf
    # What is refused on the way.
    r = safe.take('Vault-CA-2', vault / 'ca.pem', '--of', 'Vault-CA', ok=None)
    assert r.returncode == 1
    same = safe.certify('ca-2', '/CN=Vault-CA', 'same.pem')
    refused(safe.take('Vault-CA-2', same, '--of', 'Vault-CA', ok=None),
            'has this subject')
    refused(safe.take('Vault-CA-2', safe.cert, '--of', 'Nobody', ok=None),
            'no ca Nobody')
    assert not list((gap.dir / 'ca').glob('Vault-CA-2*'))
    # A round that is under way is answered by the old key, and taken after.
    before = gap.pending(gap_user, gap.server('before.demo.example'))
    gap.export()
    gap.sign()
    safe.take('Vault-CA-2', safe.cert, '--of', 'Vault-CA')
    gap.take()
    assert key_of(gap, gap.poll(gap_user, before).certificate) == 'Vault-CA'
    r = gap.ctl('ca', 'activate', 'Vault-CA-2', ok=1)
    assert 'revocation list' in r.stderr
    # The vault learns of the key; which one signs it must say.
    during = gap.pending(gap_user, gap.server('during.demo.example'))
    gap.export()
    refused(gap.sign(ok=None), 'Vault-CA-2 is not on this host')
    for some in ('', ''), ('in-use = true', 'in-use = true'):
        vault_conf(gap, Vault_CA=some[0],
                   Vault_CA_2='of = "Vault-CA"\n\t' + some[1])
        refused(gap.sign(ok=None), 'one of them must say in-use')
    vault_conf(gap, Vault_CA='in-use = true', Vault_CA_2='of = "Vault-CA"')
    assert 'key Vault-CA, in use' in gap.run('status').stdout
    gap.sign()
    gap.take()
    done = gap.poll(gap_user, during)
    assert key_of(gap, done.certificate) == 'Vault-CA'
    chains = der(vault / 'ca.pem') + der(vault / 'root.pem') + \
        der(safe.cert) + der(vault / 'root-2.pem')
    assert set(chains) <= set(held(done.cmc))
    # The desk shows the new one, the vault may sign with it later.
    restart_desk(gap, 'Vault-CA-2')
    gap.ctl('ca', 'activate', 'Vault-CA-2')
    r = gap.ask(gap_user, gap.server('after.demo.example'))
    check_rstrc(r)
    assert set(chains) <= set(held(r.cmc))
    vault_conf(gap, Vault_CA='', Vault_CA_2='of = "Vault-CA"\n\tin-use = true')
    _, token = renew(leaf_key, old)
    renewed = gap.pending(who, token, pkcs10=False)
    gap.ctl('cert', 'revoke', '%032X' % x509.load_der_x509_certificate(
        old).serial_number, '--reason', 'certificateHold')
    gap.round()
    done = gap.poll(gap_user, r.request_id)
    check_rstrc(done)
    assert set(chains) <= set(held(done.cmc))
    assert key_of(gap, done.certificate) == 'Vault-CA-2'
    verify(gap, done.certificate, safe.cert, vault / 'root-2.pem')
    verify(gap, gap.poll(gap_user, during).certificate, vault / 'ca.pem',
           vault / 'root.pem')
    # A renewal goes from key to key; what the old one signed is on its list.
    new = gap.poll(who, renewed)
    assert key_of(gap, new.certificate) == 'Vault-CA-2'
    assert gap.sql('SELECT renewals FROM countersign.certificate WHERE serial'
                   ' = %s', new.certificate.serial_number.to_bytes(
                       16, 'big')) == [(1,)]
    on = {e.serial_number for e in crl(gap)}
    assert x509.load_der_x509_certificate(old).serial_number in on
    assert len(crl(gap, 'Vault-CA-2')) == 0
    [point] = done.certificate.extensions.get_extension_for_class(
        x509.CRLDistributionPoints).value
    assert point.full_name[0].value.endswith('/Vault-CA-2.crl')
    gap.verify()


def test_next_certificate(gap, gap_user, safe):
    """For the new key; the one of before goes on travelling."""
    vault = gap.vault_dir
    before = der(safe.cert)
    (vault / 'before.pem').write_bytes(safe.cert.read_bytes())
    refused(safe.take('Vault-CA-2', safe.cert, '--replace', ok=None),
            'has already')
    refused(safe.take('Vault-CA-2', safe.certify(
        'ca-2', '/CN=Other', 'other.pem'), '--replace', ok=None),
        'another key or subject')
    refused(safe.take('Demo-CA', safe.cert, '--replace', ok=None),
            'is here')
    refused(safe.take('Nobody', safe.cert, '--replace', ok=None), 'no ca')
    for words in (('--of', 'Vault-CA', '--replace'), ('--cert', 'x')):
        assert safe.take('Vault-CA-2', safe.cert, *words,
                         ok=None).returncode == 2
    r = gap.ctl('ca', 'import', 'X', '--cert', 'x', '--key', 'y', '--replace',
                ok=2)
    assert 'need --airgap' in r.stderr
    gap.pending(gap_user, gap.server('under-way.demo.example'))
    gap.export()
    new = safe.certify('ca-2', '/CN=Vault-CA 2', 'ca-2.new')
    safe.take('Vault-CA-2', new, '--replace')
    new.rename(safe.cert)
    also = 'of = "Vault-CA"\n\tin-use = true\n\talso = "%s"'
    vault_conf(gap, Vault_CA='', Vault_CA_2=also % (vault / 'root.key'))
    refused(gap.sign(ok=None), 'root.key')
    (vault / 'none.pem').write_text('no certificate\n')
    vault_conf(gap, Vault_CA='', Vault_CA_2=also % (vault / 'none.pem'))
    refused(gap.sign(ok=None), 'none.pem')
    vault_conf(gap, Vault_CA='', Vault_CA_2=also % (vault / 'before.pem'))
    gap.sign()
    gap.take()
    number = gap.pending(gap_user, gap.server('newest.demo.example'))
    gap.round()
    done = gap.poll(gap_user, number)
    certs = der(safe.cert) + before + der(vault / 'ca.pem') + \
        der(vault / 'root.pem') + der(vault / 'root-2.pem')
    assert set(certs) <= set(held(done.cmc)) and before != der(safe.cert)
    verify(gap, done.certificate, safe.cert, vault / 'root-2.pem')
    verify(gap, done.certificate, vault / 'before.pem', vault / 'root-2.pem')
    r = gap.ask(gap_user, gap.server('last.demo.example'))
    assert set(certs) <= set(held(r.cmc))
    gap.round()
    gap.verify()


def test_next_key_in_a_token(gap, gap_user, safe, tmp_path, monkeypatch):
    """Which may hang: the vault ends, and goes on where it was."""
    hsm = Hsm(tmp_path / 'hsm', 'HSM')
    for name, value in hsm.env.items():
        monkeypatch.setenv(name, str(value))
    where = tmp_path / 'root'
    where.mkdir(mode=0o700)
    uri = 'pkcs11:token=HSM;object=vault'
    hsm.run_it(gap.bin / 'countersign', '-c', '/nonexistent', 'ca',
               'create-root', where / 'ca-3', '--subject', 'CN=Vault-CA 3',
               '--key', 'ec:P-256', '--token', uri, '--module', SPY,
               '--pin-file', hsm.pin)
    cert = gap.vault_dir / 'ca-3.pem'
    cert.write_bytes((where / 'ca-3.pem').read_bytes())
    gap.ctl('ca', 'import', 'Vault-CA-3', '--cert', str(cert), '--airgap',
            '--of', 'Vault-CA')
    vault_conf(gap, Vault_CA='', Vault_CA_2='of = "Vault-CA"')
    conf = gap.vault_dir / 'signer.conf'
    conf.write_text('token-timeout = 2s\n' + conf.read_text() + '''
ca "Vault-CA-3" {
	of = "Vault-CA"
	certificate = "%s"
	key = "%s"
	module = "%s"
	pin-file = "%s"
	in-use = true
}
''' % (cert, uri, SPY, hsm.pin))
    restart_desk(gap, 'Vault-CA-3')
    number = gap.pending(gap_user, gap.server('token.demo.example'))
    gap.export()
    hsm.fault('C_Sign hang')
    r = gap.sign(ok=None)
    assert r.returncode == 1 and 'not come back within token-timeout' in \
        r.stderr
    for fault, text in (('C_GetSlotList 0x30', 'CKR_DEVICE_ERROR'),
                        ('flip', 'signature is wrong')):
        hsm.fault(fault)
        refused(gap.sign(ok=None), text)
    hsm.fault()
    gap.sign()
    gap.take()
    done = gap.poll(gap_user, number)
    assert key_of(gap, done.certificate) == 'Vault-CA-3'
    verify(gap, done.certificate, cert, cert)
    # What may have been signed is void and on the list.
    assert len(crl(gap, 'Vault-CA-3')) >= 1
    assert done.certificate.serial_number not in {
        e.serial_number for e in crl(gap, 'Vault-CA-3')}
    gap.verify()


def test_in_use_is_the_vault_s_word(gap):
    """A signer with a database asks that."""
    conf = next((gap.dir / 'etc').glob('signer-*.conf'))
    text = conf.read_text()
    for more in 'in-use = true', 'also = "/x"':
        other = gap.dir / 'other.conf'
        other.write_text(text.replace('airgap = true', 'airgap = true\n' +
                                      more, 1))
        own = gap.ctl_words()
        at = own.index('-c') - 1
        r = subprocess.run(own[:at] + [gap.env['CS_VAULT_SIGNER'], '-t', '-c',
                                       str(other)], capture_output=True,
                           text=True, timeout=300)
        assert r.returncode == 1 and 'for the vault' in r.stderr
        other.unlink()
