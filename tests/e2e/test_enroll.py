"""CES: what a caller gets."""
import hashlib
import subprocess

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import client
from policies import in_force, published
from revocation import issuer_of
from schema import check_fault, check_rstrc


def spki(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)


def dns_names(cert):
    return cert.extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def issued(reply):
    check_rstrc(reply)
    assert reply.findtext('.//e:DispositionMessage') == 'Issued'
    return reply.certificate


KEYS = {
    'rsa-2048': lambda: client.rsa_key(2048), 'rsa-3072':
    lambda: client.rsa_key(3072), 'p-256': client.ec_key,
    'p-384': lambda: client.ec_key(ec.SECP384R1)}


@pytest.mark.parametrize('kind', KEYS)
@pytest.mark.parametrize('form', ['pkcs10', 'cmc', 'cmc-null-inner'])
def test_enroll(stack, demo, kind, form):
    key = KEYS[kind]()
    csr = client.make_csr(key, 'www.demo.example', ['www.demo.example'],
                          stack.env['CS_TEMPLATE'])
    if form == 'pkcs10':
        r = demo.enroll(csr)
    else:
        inner = client.null_signature(csr) if 'null' in form else csr
        r = demo.enroll(client.make_cmc(key, inner), pkcs10=False)
    cert = issued(r)
    assert cert.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo) == spki(key)
    assert dns_names(cert) == ['www.demo.example']
    assert cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[
        0].value == 'www.demo.example'


def test_certificate_profile(stack, demo):
    key = client.rsa_key()
    cert = issued(demo.enroll(client.make_csr(
        key, 'prof.demo.example', [], stack.env['CS_TEMPLATE'])))
    assert cert.version == x509.Version.v3
    assert 0 < cert.serial_number < 2 ** 159
    assert cert.serial_number.bit_length() > 96
    oids = [e.oid.dotted_string for e in cert.extensions]
    assert len(set(oids)) == len(oids)
    ku = cert.extensions.get_extension_for_class(x509.KeyUsage)
    assert ku.critical and ku.value.digital_signature
    assert not ku.value.key_cert_sign and not ku.value.crl_sign
    assert list(cert.extensions.get_extension_for_class(
        x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    ski = cert.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier).value
    assert ski.digest == x509.SubjectKeyIdentifier.from_public_key(
        key.public_key()).digest
    assert 'prof.demo.example' in dns_names(cert), 'CN belongs in the SAN'
    assert '1.3.6.1.4.1.311.21.7' in oids or '1.3.6.1.4.1.311.20.2' in oids


def test_chain_verifies(stack, demo, tmp_path):
    import subprocess
    r = demo.enroll(client.make_csr(client.ec_key(), 'chain.demo.example', [],
                                    stack.env['CS_TEMPLATE']))
    issued(r)
    (tmp_path / 'cmc.der').write_bytes(r.cmc)
    (tmp_path / 'leaf.pem').write_bytes(r.certificate.public_bytes(
        serialization.Encoding.PEM))
    p = subprocess.run(
        ['openssl', 'cms', '-verify', '-inform', 'DER', '-in',
         tmp_path / 'cmc.der', '-CAfile', stack.env['CS_ROOT_PEM'],
         '-certsout', tmp_path / 'certs.pem', '-out',
         tmp_path / 'content'], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    p = subprocess.run(
        ['openssl', 'verify', '-x509_strict', '-purpose', 'sslserver',
         '-CAfile', stack.env['CS_ROOT_PEM'], '-untrusted',
         tmp_path / 'certs.pem', tmp_path / 'leaf.pem'],
        capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr


def test_cmc_response(stack, demo):
    """The full response: status, hash of the leaf, leaf and chain."""
    key = client.rsa_key()
    csr = client.make_csr(key, 'cmc.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    nonce = ('1.3.6.1.5.5.7.7.6', core.OctetString(b'nonce-1234').dump())
    txid = ('1.3.6.1.5.5.7.7.5', core.Integer(4711).dump())
    r = demo.enroll(client.make_cmc(key, csr, [nonce, txid]), pkcs10=False)
    issued(r)
    ci = cms.ContentInfo.load(r.cmc, strict=True)
    sd = ci['content']
    assert sd['version'].native == 'v3'
    assert sd['encap_content_info']['content_type'].dotted == \
        client.PKI_RESPONSE
    certs = [c.chosen.dump() for c in sd['certificates']]
    assert r.leaf in certs and len(certs) >= 2

    class Response(core.Sequence):
        _fields = [('controls', client.TaggedAttributes),
                   ('cms', client.Anys), ('other', client.Anys)]

    class StatusInfo(core.Sequence):
        _fields = [('status', core.Integer),
                   ('body_list', core.SequenceOf, {'spec': core.Integer}),
                   ('text', core.UTF8String, {'optional': True})]

    body = Response.load(sd['encap_content_info']['content'].parsed.dump(),
                         strict=True)
    controls = {c['type'].native: c['values'][0] for c in body['controls']}
    status = controls['1.3.6.1.5.5.7.7.1'].parse(StatusInfo)
    assert status['status'].native == 0
    assert status['body_list'].native == [1]
    assert status['text'].native == 'Issued'
    assert hashlib.sha1(r.leaf).digest() in \
        controls['1.3.6.1.4.1.311.10.10.1'].dump()
    assert controls['1.3.6.1.5.5.7.7.7'].parse(
        core.OctetString).native == b'nonce-1234'
    assert controls['1.3.6.1.5.5.7.7.5'].parse(core.Integer).native == 4711
    signer = sd['signer_infos'][0]
    assert signer['version'].native == 'v1'


def test_rows_tell_everything(stack, demo):
    r = demo.enroll(client.make_csr(client.ec_key(), 'row.demo.example', [],
                                    stack.env['CS_TEMPLATE']))
    cert = issued(r)
    rows = stack.sql(
        'SELECT r.account, r.method, r.template, r.worker, r.state, c.der, '
        'r.template_major, r.policy_hash, r.san FROM countersign.request r '
        'JOIN countersign.certificate c ON c.serial = r.serial '
        'WHERE r.number = %s', int(r.request_id))
    assert len(rows) == 1
    row = rows[0]
    assert row[0] == stack.env['CS_USER'] and row[1] == 4
    assert row[2] == stack.env['CS_TEMPLATE'] and row[3] and row[4] == 'issued'
    assert bytes(row[5]) == cert.public_bytes(serialization.Encoding.DER)
    assert row[6] is not None and len(bytes(row[7])) == 32
    assert 'row.demo.example' in row[8]


def test_template_named_in_each_place(stack, demo):
    name = stack.env['CS_TEMPLATE']
    key = client.ec_key()
    plain = client.make_csr(key, 'place.demo.example')
    issued(demo.enroll(plain, context=[('CertificateTemplate', name),
                                       ('ccm', 'pc.demo.example')]))
    issued(demo.enroll(plain, context=[('certificatetemplate',
                                        name.lower())]))
    issued(demo.enroll(client.make_cmc(key, plain, [client.reg_info(
        'CertificateTemplate=%s&' % name)]), pkcs10=False))
    oid = stack.sql("SELECT encode(body, 'escape') FROM countersign.policy "
                    'ORDER BY version DESC LIMIT 1')
    assert oid


def test_names_from_the_account(stack):
    """The request's own names are no part of such a certificate."""
    c = stack.account('pc7', groups=['computers'], machine=True,
                      dns='pc7.demo.example', cn='pc7')
    key = client.rsa_key()
    csr = client.make_csr(key, 'dc01.demo.example', ['dc01.demo.example'],
                          stack.env['CS_TEMPLATE_MACHINE'])
    cert = issued(c.enroll(csr))
    assert dns_names(cert) == ['pc7.demo.example']
    assert 'dc01' not in cert.subject.rfc4514_string()


def test_sid_extension(stack):
    sid = 'S-1-5-21-1004336348-1177238915-682003330-1104'
    c = stack.account('pc8', groups=['computers'], machine=True,
                      dns='pc8.demo.example', cn='pc8', sid=sid)
    cert = issued(c.enroll(client.make_csr(
        client.rsa_key(), None, [], stack.env['CS_TEMPLATE_MACHINE'])))
    ext = [e for e in cert.extensions
           if e.oid.dotted_string == '1.3.6.1.4.1.311.25.2']
    assert len(ext) == 1 and not ext[0].critical
    value = sid.encode()
    inner = b'\x04' + bytes([len(value)]) + value
    inner = b'\xa0' + bytes([len(inner)]) + inner
    inner = bytes.fromhex('060a2b0601040182371902' + '01') + inner
    inner = b'\xa0' + bytes([len(inner)]) + inner
    assert ext[0].value.value == b'\x30' + bytes([len(inner)]) + inner


def intents(stack):
    """How many the ledgers have."""
    return sum(f.read_text().count('"type":"intent"')
               for f in stack.dir.glob('ledger/*/ledger*'))


def test_same_message_gets_the_same_answer(stack, demo):
    key = client.ec_key()
    csr = client.make_csr(key, 'again.demo.example', [],
                          stack.env['CS_TEMPLATE'])
    mid = 'urn:uuid:00000000-0000-4000-8000-%012x' % (id(csr) & 0xffffffffffff)
    first = demo.enroll(csr, message_id=mid)
    before = intents(stack)
    second = demo.enroll(csr, message_id=mid)
    issued(first)
    issued(second)
    assert first.leaf == second.leaf
    # Found, not refused by an index behind a signature: that voids a serial.
    assert intents(stack) == before
    assert first.request_id == second.request_id
    third = demo.enroll(csr)
    assert issued(third).serial_number != first.certificate.serial_number


def test_query_by_owner_only(stack, demo):
    r = demo.enroll(client.make_csr(client.ec_key(), 'poll.demo.example', [],
                                    stack.env['CS_TEMPLATE']))
    issued(r)
    again = demo.query(r.request_id)
    check_rstrc(again)
    assert again.leaf == r.leaf and again.request_id == r.request_id
    other = stack.account('nosy', groups=['web-admins'])
    theirs = other.query(r.request_id)
    nobody = other.query('1')
    for x in (theirs, nobody):
        check_fault(x)
    strip = lambda x: x.reason.split(' (request')[0]
    assert strip(theirs) == strip(nobody)
    assert theirs.hresult == nobody.hresult


def capability_list(*dotted):
    """The extension; RC2 with a key length, as Windows has it."""
    def one(d):
        body = core.ObjectIdentifier(d).dump()
        if d.endswith('.3.2'):
            body += core.Integer(128).dump()
        return bytes([0x30, len(body)]) + body
    body = b''.join(map(one, dotted))
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier('1.2.840.113549.1.9.15'),
        bytes([0x30, len(body)]) + body)


AES, DES3, RC2 = ('2.16.840.1.101.3.4.1.', '1.2.840.113549.3.7',
                  '1.2.840.113549.3.2')


@pytest.mark.parametrize('form', ['pkcs10', 'cmc', 'approved'])
def test_smime_capabilities(stack, demo, form):
    """[MS-WCCE] 3.2.2.6.2.1.4.5.6: the client's list, what is good of it."""
    key, name = client.ec_key(), 'mail.demo.example'
    template = stack.env['CS_TEMPLATE_APPROVAL' if form == 'approved' else
                         'CS_TEMPLATE']
    listed = capability_list(AES + '42', DES3, AES + '2', RC2)
    csr = client.make_csr(key, name, [name], template, [listed])
    text = published(stack)
    head = 'template "%s" {\n' % template
    assert head in text
    with in_force(stack, text.replace(head, head +
                                      '\tsmime-capabilities = true\n')):
        if form == 'cmc':
            r = demo.enroll(client.make_cmc(key, csr), pkcs10=False)
        else:
            r = demo.enroll(csr)
        if form == 'approved':
            number = r.findtext('.//e:RequestID')
            stack.ctl('request', 'approve', number)
            r = demo.query(number)
        cert = issued(r)
    e = cert.extensions.get_extension_for_oid(listed.oid)
    assert not e.critical
    assert e.value.value == capability_list(AES + '42', AES + '2').value
    if form == 'pkcs10':
        with pytest.raises(x509.ExtensionNotFound):
            issued(demo.enroll(csr)).extensions.get_extension_for_oid(
                listed.oid)
        bad = x509.UnrecognizedExtension(listed.oid, b'\x05\x00')
        r = demo.enroll(client.make_csr(key, name, [name], template, [bad]))
        assert r.leaf is None and 'S/MIME' in r.reason


def test_time_stamping(stack, demo, tmp_path):
    """[RFC3161] 2.3: alone and critical, or nobody believes the stamps."""
    key, name = client.ec_key(), 'tsa.demo.example'
    template = stack.env['CS_TEMPLATE']
    head, line, tail = published(stack).partition(
        'template "%s" {\n' % template)
    with in_force(stack, head + line + tail.replace(
            '"server-authentication"', '"time-stamping"', 1)):
        told, = demo.policies().findall(
            ".//p:attributes[p:commonName='%s']//p:extension"
            "[p:value='MAoGCCsGAQUFBwMI']/p:critical" % template)
        cert = issued(demo.enroll(client.make_csr(key, name, [name],
                                                  template)))
    assert told.text == 'true'
    files = tmp_path / 'ca.pem', tmp_path / 'c.pem'
    for path, c in zip(files, (issuer_of(cert), cert)):
        path.write_bytes(c.public_bytes(serialization.Encoding.PEM))
    subprocess.run(['openssl', 'verify', '-purpose', 'timestampsign', '-CAfile',
                    stack.env['CS_ROOT_PEM'], '-untrusted', *files],
                   check=True)


def test_domain_controller(stack):
    """Its domain's name is in the certificate, as Windows clients want it."""
    c = stack.account('dc1', groups=['computers'], machine=True,
                      dns='dc1.demo.example', dn='CN=DC1,OU=Domain '
                      'Controllers,DC=Demo,DC=example')
    template = stack.env['CS_TEMPLATE_MACHINE']
    head, line, tail = published(stack).partition(
        'template "%s" {\n' % template)
    with in_force(stack, head + line + tail.replace(
            'san = {"dns"}', 'san = {"dns", "domain-dns"}', 1)):
        cert = issued(c.enroll(client.make_csr(client.ec_key(), 'x',
                                               template=template)))
    assert dns_names(cert) == ['dc1.demo.example', 'demo.example']
