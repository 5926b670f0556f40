"""nginx's configuration as "countersign ca site" writes it."""
import contextlib
import re
from urllib.parse import quote

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import client
from othercas import RENEWS, OtherCA, section
from policies import in_force, published
from revocation import http
from second_site import second_site
from waits import wait_for

FILES = ('CERTIFICATE', 'KEY', 'CLIENT_CAS', 'WEB', 'WORKER')


def site(stack, *told, code=0):
    words = [w for t in told for w in ('--set', t)]
    r = stack.ctl('ca', 'site', *words, ok=code or True)
    return r.stderr if code else r.stdout


def of(text, name):
    """The values of a directive, one for each time."""
    return re.findall(r'(?m)^\t%s (.*);$' % name, text)


def test_addresses_are_the_policys(stack):
    text = site(stack)
    assert not re.search('@[A-Z_]+@', text)
    port = {k: re.search(r':(\d+)/', u)[1] for k, u in (
        ('https', stack.env['CS_HOME_URL']),
        ('cert', stack.env['CS_CEP_CERT_URL']))}
    http, = re.findall(r'"(http://localhost:(\d+))/ocsp"', text)
    assert of(text, 'listen') == [port['https'] + ' ssl http2',
                                  port['cert'] + ' ssl http2', http[1]]
    assert of(text, 'server_name') == ['localhost'] * 3
    assert '\t"Demo-CA" "Demo-CA";\n' in text
    uris = set(re.findall('CS_URI "([^"]*)"', text))
    for name in ('CS_CEP_URL', 'CS_CEP_CERT_URL'):
        assert stack.env[name] in uris
    # what stands in docs/operations.md
    assert of(text, 'ssl_certificate') == ['"/etc/countersign/tls.pem"'] * 2
    assert of(text, 'ssl_certificate_key') == \
        ['"/etc/countersign/tls.key"'] * 2
    assert of(text, 'server') == ['unix:/run/countersign/worker.sock']


def test_words_told(stack):
    text = site(stack, 'HOST=pki.example', 'HOST=old.example',
                'CERT_URL=https://cards.example', 'WORKER=unix:/a',
                'WORKER=unix:/b', 'LISTEN_HTTP=80', 'LISTEN_HTTP=[::]:80',
                'LISTEN_HTTPS=443 proxy_protocol', 'LISTEN_HTTPS=[::]:443',
                'RATE=5')
    assert of(text, 'server_name') == ['pki.example old.example',
                                       'cards.example', 'localhost']
    assert of(text, 'server') == ['unix:/a', 'unix:/b']
    assert of(text, 'listen') == [
        '443 proxy_protocol ssl http2', '[::]:443 ssl http2',
        '443 ssl http2', '80', '[::]:80']
    assert ' rate=5r/s;' in text
    assert 'CS_URI "https://cards.example/whoami"' in text


def test_an_address_of_ipv6(stack):
    """As clients have it in Host, and nginx in server_name."""
    text = site(stack, 'BASE_URL=https://[2001:db8::5]',
                'HTTP_URL=http://[2001:db8::5]:8080')
    names = of(text, 'server_name')
    assert names[0] == names[2] == '[2001:db8::5]'
    assert of(text, 'listen')[2] == '8080'


@pytest.mark.parametrize('told,why', [
    (['FOO=1'], 'no word is called so: FOO=1'),
    (['RATE'], 'no word is called so: RATE'),
    (['RATE='], 'no word is called so: RATE='),
    (['CAS="a" "b"'], 'no word is called so: CAS'),
    (['RATE=1', 'RATE=2'], 'RATE: only once'),
    (['WEB=/a;deny all'], 'nginx would take it for more'),
    (['WEB=/a"'], 'nginx would take it for more'),
    (['WEB=/a\ninclude x'], 'nginx would take it for more'),
    (['WEB=$uri'], 'nginx would take it for more')])
def test_what_is_no_value(stack, told, why):
    assert why in site(stack, *told, code=2)


@pytest.mark.parametrize('told,why', [
    (['BASE_URL=http://a'], '@BASE_URL@ is not https://'),
    (['BASE_URL=https://a/b'], '@BASE_URL@ is not https://'),
    (['HTTP_URL=https://a'], '@HTTP_URL@ is not http://'),
    (['BASE_URL=https://a', 'CERT_URL=https://a'],
     'a port or a name of their own')])
def test_what_is_no_address(stack, told, why):
    assert why in site(stack, *told, code=1)


def test_two_addresses_for_one_word(stack):
    """Which of them this site is nobody knows but who asks."""
    text = published(stack)
    home = stack.env['CS_HOME_URL'].rstrip('/')
    other = text.replace(home + '/Demo-CA_CES_Anonymous',
                         'https://other.example/Demo-CA_CES_Anonymous')
    assert other != text
    with in_force(stack, other):
        said = site(stack, code=1)
        assert 'addresses at %s and https://other.example: --set BASE_URL=' \
            % home in said
        text = site(stack, 'BASE_URL=https://other.example')
        assert of(text, 'server_name')[0] == 'other.example'
        assert of(text, 'listen')[0] == '443 ssl http2'


def test_who_logs_on(stack, tmp_path):
    """Each CA once, and of other CAs those that the policy maps."""
    theirs = OtherCA(tmp_path)
    both = section(theirs.cert, 'map = san-upn\n\tgroups = {"users"}') + \
        section(OtherCA(tmp_path).cert, RENEWS, 'Renews')
    file = stack.dir / 'etc/cas-test.pem'
    with in_force(stack, published(stack) + both):
        stack.ctl('ca', 'site', '--client-cas', file)
    end = '-----END CERTIFICATE-----\n'
    got = [x509.load_pem_x509_certificate((pem + end).encode())
           for pem in file.read_text().split(end)[:-1]]
    root = x509.load_pem_x509_certificate(
        open(stack.env['CS_ROOT_PEM'], 'rb').read())
    own = x509.load_pem_x509_certificate(
        stack.ctl('ca', 'export', 'Demo-CA').stdout.encode())
    assert got == [own, root, theirs.cert]


LONG = 'Example Ltd. Enterprise Issuing Certification Authority 2026-1'


@contextlib.contextmanager
def named(stack, name, cert):
    """A CA of which there is no more than a row."""
    with psycopg.connect(psycopg.conninfo.make_conninfo(
            stack.env['CS_DSN'], user='postgres'), autocommit=True) as db:
        db.execute('SET session_replication_role = replica')
        db.execute('INSERT INTO countersign.ca (name, certificate, chain, '
                   "of_ca, in_use) VALUES (%s, %s, '{}', %s, true)",
                   (name, cert.public_bytes(Encoding.DER), name))
        try:
            yield
        finally:
            db.execute('DELETE FROM countersign.ca WHERE name = %s', (name,))


def test_ca_with_a_long_name(stack, tmp_path):
    """AD CS lets a CA have 64 letters, of which nginx's tables take 46."""
    text = published(stack)
    there = re.search(r'(?ms)^ca "Demo-CA" \{.*?^\}\n', text).group(0)
    there = there.replace('ca "Demo-CA"', 'ca "%s"' % LONG)
    with named(stack, LONG, OtherCA(tmp_path).cert), \
            in_force(stack, text + there.replace('Demo-CA', quote(LONG))), \
            second_site(stack, tmp_path, lambda _: site(
                stack, *told_as(stack))) as at:
        for name, known in ((LONG, True), (LONG.upper(), True),
                            (LONG.replace('.', 'x'), False)):
            r = http.post(at(stack.env['CS_CES_URL'].replace(
                'Demo-CA', quote(name))), data='<a/>', verify=stack.env['CS_ROOT_PEM'])
            assert (r.text == 'not found\n') != known, r.text


def told_as(stack):
    """With this stack's files and ports as they are by default."""
    before = (stack.dir / 'etc/site.conf').read_text()
    one = {w: re.search(r'(?m)^\t%s "?([^";]*)"?;$' % d, before)[1]
           for w, d in zip(FILES, (
               'ssl_certificate', 'ssl_certificate_key',
               'ssl_client_certificate', 'root', 'server'))}
    told = ['%s=%s' % w for w in one.items()]
    told += ['%s=127.0.0.1:%s' % w for w in zip(
        ('LISTEN_HTTPS', 'LISTEN_CERT', 'LISTEN_HTTP'),
        re.findall(r'listen 127.0.0.1:(\d+)', before))]
    return told


def test_nginx_takes_it(stack, tmp_path):
    with second_site(stack, tmp_path, lambda _: site(
            stack, *told_as(stack))) as at:
        wait_for(lambda: client.Client(stack.env).enroll(
            client.make_csr(client.ec_key(), 'site.demo.example', [],
                            stack.env['CS_TEMPLATE']),
            url=at(stack.env['CS_CES_URL'])).leaf)


def test_status_is_for_this_host_alone(stack):
    """Through nginx: its location lets loopback addresses in, no others."""
    site = (stack.dir / 'etc/site.conf').read_text()
    part = site.split('location = /status', 1)[1].split('\n\t}', 1)[0]
    assert 'deny all;' in part
    assert site.count('CS_SERVICE status') == 1
