"""What tests of the air gap share: the stack with its vault and the stick,
bundles that somebody has changed, and what is said of them."""
import os
import pathlib
import shutil
import subprocess

from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import client
from bundle import Bundle, ITEM, PART, RESULT, split
from conftest import Stack
from schema import check_rstrc
from waits import wait_for


class Gap(Stack):
    """The stack, its vault and the stick."""

    def __init__(self, env_file, shim):
        super().__init__(env_file)
        self.shim = shim            # tests/e2e/shim_crash.c
        self.stick = pathlib.Path(self.env['CS_STICK'])
        self.vault_dir = pathlib.Path(self.env['CS_VAULT_CONF']).parent
        self.request = self.stick / 'requests.bundle'
        self.response = self.stick / 'responses.bundle'
        self.desk_key = self.dir / 'keys/airgap.key'
        self.vault_key = self.vault_dir / 'airgap.key'

    def run(self, *words, ok=0, crash_at=None, vault=True, conf=None,
            room=None):
        """A program of either side; None takes any exit code.  Its files grow
        to no more than room octets, as on a full stick."""
        own = self.ctl_words()
        at = own.index('-c') - 1
        env = dict(os.environ)
        if crash_at is not None:
            env.update(LD_PRELOAD=str(self.shim), CRASH_AT=str(crash_at))
            # A sanitizer insists on being the first library otherwise.
            env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + \
                ':verify_asan_link_order=0'
        if vault:
            cmd = own[:at] + (['unshare', '-n'] if os.geteuid() == 0 and at
                              == 0 else ['unshare', '-rn']) + [
                self.env['CS_VAULT_SIGNER'], '-c',
                str(conf or self.env['CS_VAULT_CONF']), 'airgap']
        else:
            cmd = own + ['airgap']
        if room is not None:
            cmd = ['env', '--ignore-signal=XFSZ', 'prlimit',
                   '--fsize=%d' % room] + cmd
        r = subprocess.run(cmd + [str(w) for w in words], env=env, text=True,
                           capture_output=True, timeout=300,
                           stdin=subprocess.DEVNULL)
        if ok is not None:
            assert r.returncode == ok, (words, r.stdout, r.stderr)
        return r

    def export(self, **kw):
        return self.run('export', self.request, vault=False, **kw)

    def sign(self, *options, ok=0, **kw):
        return self.run('sign', '--yes', '-o', self.response, *options,
                        self.request, ok=ok, **kw)

    def take(self, **kw):
        return self.run('import', self.response, vault=False, **kw)

    def round(self):
        self.export()
        self.sign()
        return self.take()

    def write(self, path, raw):
        path.write_bytes(raw)
        return path

    def ask(self, who, token, **kw):
        return who.enroll(token, url=self.env['CS_VAULT_CES_URL'], **kw)

    def poll(self, who, number):
        url = self.env['CS_VAULT_CES_URL']
        return who.post(url, client.envelope(client.RST, url, client.rst(
            None, request_type=client.E + '/QueryTokenStatus',
            extra='<RequestID xmlns="%s">%s</RequestID>' % (
                client.E, number)), who.header()))

    def pending(self, who, token, **kw):
        r = self.ask(who, token, **kw)
        check_rstrc(r)
        assert r.leaf is None and r.request_id, r.text
        return r.request_id

    def server(self, name='www.demo.example', template='VaultServer',
               key=None):
        return client.make_csr(key or client.ec_key(), name, [name], template)

    def verify(self):
        """Both ledgers and the database agree."""
        r = self.ctl('ledger', 'verify', str(self.vault_dir / 'ledger'),
                     *map(str, sorted(self.dir.glob('ledger/signer-*'))), ok=None)
        assert r.returncode == 0, r.stdout


def refused(r, *words):
    assert r.returncode == 1, (r.stdout, r.stderr)
    for w in words:
        assert w in r.stderr, (w, r.stderr)


def cmc_status(response):
    """(number of signers, status) of a CMC response."""
    sd = cms.ContentInfo.load(response)['content']
    assert sd['encap_content_info']['content_type'].native == \
        client.PKI_RESPONSE
    body = split(split(sd['encap_content_info']['content'].native)[0][1])
    first = split(split(body[0][1])[0][1])
    assert first[1] == (6, core.ObjectIdentifier(
        '1.3.6.1.5.5.7.7.1').contents)
    info = split(split(first[2][1])[0][1])
    return sd, int.from_bytes(info[0][1], 'big')


def check_cmc(gap, response, leaf):
    """Signed by the CA key, and holds the chain."""
    sd, status = cmc_status(response)
    assert status == 0
    ca = x509.load_pem_x509_certificate(
        (gap.vault_dir / 'ca.pem').read_bytes())
    [si] = sd['signer_infos']
    assert si['sid'].native['serial_number'] == ca.serial_number
    attrs = si['signed_attrs'].untag().dump()
    ca.public_key().verify(si['signature'].native, attrs,
                           ec.ECDSA(hashes.SHA256()))
    held = [c.chosen.dump() for c in sd['certificates']]
    assert leaf in held and len(held) == 3


def key_of(gap, cert):
    """Which of the CA's keys signed it, says its row."""
    return gap.sql('SELECT ca FROM countersign.certificate WHERE serial = %s',
                   cert.serial_number.to_bytes(16, 'big'))[0][0]


def crl(gap, key='Vault-CA'):
    """The published list of a key, when it is the one that came last."""
    url = gap.env['CS_VAULT_CRL_URL'].replace('Vault-CA', key)
    number = gap.sql('SELECT max(number) FROM countersign.crl '
                     'WHERE ca = %s', key)[0][0]

    def published():
        r = client.Client(gap.env).http.get(url, timeout=300)
        if r.status_code != 200:
            return None
        c = x509.load_der_x509_crl(r.content)
        return c.extensions.get_extension_for_class(
            x509.CRLNumber).value.crl_number == number and [c]
    [c] = wait_for(published)       # a list without entries is false
    ca = x509.load_pem_x509_certificate(
        (gap.vault_dir / key.replace('Vault-CA', 'ca')).with_suffix(
            '.pem').read_bytes())
    assert c.is_signature_valid(ca.public_key())
    return c


def renew(old_key, old):
    key = client.ec_key()
    return key, client.renewal_cms(client.renewal_csr(
        key, old, template='VaultUser'), old_key, old)


def vault_copy(gap, name):
    """Another vault with the same past; returns its configuration."""
    d = gap.dir / ('vault-' + name)
    if d.exists():
        shutil.rmtree(d)
    subprocess.run(['cp', '-a', gap.vault_dir, d], check=True)
    conf = d / 'signer.conf'
    conf.write_text(conf.read_text().replace(
        str(gap.vault_dir) + '/', str(d) + '/'))
    return conf


def change(raw, key, *how):
    b = Bundle(raw)
    for h in how:
        h(b)
    return b.signed(key)


def head(field, tag, content):
    return lambda b: b.head(field, tag, content)


def item(n, field, tag, content):
    return lambda b: b.set(b.all(ITEM)[n], field, tag, content)


def judged(gap, raw, name='judged'):
    """What a copy of the vault answers: [(status, text)]."""
    gap.write(gap.stick / name, raw)
    out = gap.stick / (name + '-answer')
    gap.run('sign', '--yes', '-o', out, gap.stick / name,
            conf=vault_copy(gap, name))
    return [(r[1][1][1][0], r[1][7][1].decode())
            for r in Bundle(out.read_bytes()).all(RESULT)]


def list_of(bundle):
    """The revocation list that a bundle holds."""
    parts = {int.from_bytes(p[1][2][1], 'big'): p[1][3][1]
             for p in bundle.all(PART)}
    return x509.load_der_x509_crl(b''.join(parts[k] for k in sorted(parts)))
