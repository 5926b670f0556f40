"""The real cepces 0.3.17, unmodified, from ../shared/clients."""
import os
import subprocess

import pytest

import client
from second_site import by_page

pytest.importorskip('gssapi')


def test_the_page_sets_it_up(stack, shared, tmp_path):
    r = by_page(stack, shared, tmp_path, 'UsernamePassword', {
        'YOUR-NAME': stack.env['CS_USER'],
        'YOUR-PASSWORD': stack.env['CS_PASSWORD']})
    assert r.returncode == 0, r.stderr
    assert stack.env['CS_TEMPLATE'] in r.stdout.split()


@pytest.fixture(scope='module')
def cepces(stack, shared):
    script = shared / 'clients/run-cepces'
    if not script.exists():
        pytest.skip('no ../shared/clients: cepces is not here')

    def run(operation, arg=None, url=None, user=None, password=None, **env):
        e = dict(os.environ, CEP_USER=user or stack.env['CS_USER'],
                 CEP_PASS=password or stack.env['CS_PASSWORD'],
                 CACERT=stack.env['CS_ROOT_PEM'], **env)
        args = [script, 'UsernamePassword', operation,
                url or stack.env['CS_CEP_URL']]
        return subprocess.run(args + ([arg] if arg else []), env=e,
                              capture_output=True, text=True, timeout=300)
    return run


def test_templates(stack, cepces):
    r = cepces('GET-SUPPORTED-TEMPLATES')
    assert r.returncode == 0, r.stderr
    assert stack.env['CS_TEMPLATE'] in r.stdout.split()


def test_roots(stack, cepces):
    r = cepces('FETCH-ROOTS')
    assert r.returncode == 0, r.stderr
    assert 'BEGIN CERTIFICATE' in r.stdout


def submit(cepces, tmp_path, csr, **kw):
    (tmp_path / 'csr.der').write_bytes(csr)
    subprocess.run(['openssl', 'req', '-inform', 'DER', '-in',
                    tmp_path / 'csr.der', '-out', tmp_path / 'csr.pem'],
                   check=True)
    return cepces('SUBMIT', str(tmp_path / 'csr.pem'), **kw)


@pytest.mark.parametrize('by', ['policy', 'enrollment'])
def test_submit(stack, cepces, tmp_path, by):
    key = client.rsa_key()
    csr = client.make_csr(key, 'linux.demo.example', ['linux.demo.example'],
                          stack.env['CS_TEMPLATE'])
    kw = {} if by == 'policy' else {'url': stack.env['CS_CES_URL'],
                                    'TYPE': 'Enrollment'}
    r = submit(cepces, tmp_path, csr, **kw)
    assert r.returncode == 0, r.stdout + r.stderr
    (tmp_path / 'cert.pem').write_text(r.stdout)
    issuing = tmp_path / 'issuing.pem'
    issuing.write_text(stack.ctl('ca', 'export', stack.sql(
        'SELECT name FROM countersign.ca LIMIT 1')[0][0]).stdout)
    v = subprocess.run(['openssl', 'verify', '-CAfile',
                        stack.env['CS_ROOT_PEM'], '-untrusted', issuing,
                        tmp_path / 'cert.pem'], capture_output=True, text=True)
    assert v.returncode == 0, v.stdout + v.stderr


def test_poll(stack, cepces, tmp_path):
    """Pending until an operator approves; then POLL brings it."""
    csr = client.make_csr(client.rsa_key(), 'poll.demo.example', [],
                          stack.env['CS_TEMPLATE_APPROVAL'])
    r = submit(cepces, tmp_path, csr)
    assert r.returncode == 5, r.stdout + r.stderr  # WAITMORE
    cookie = r.stdout.split('\n')[1]
    number, uri = cookie.split(',')
    assert uri == stack.env['CS_CES_URL']
    r = cepces('POLL', cookie)
    assert r.returncode == 5 and cookie in r.stdout, r.stdout + r.stderr
    stack.ctl('request', 'approve', number)
    r = cepces('POLL', cookie)
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'BEGIN CERTIFICATE' in r.stdout


def test_poll_of_a_denial(stack, cepces, tmp_path):
    r = submit(cepces, tmp_path, client.make_csr(
        client.rsa_key(), 'poll.demo.example', [],
        stack.env['CS_TEMPLATE_APPROVAL']))
    cookie = r.stdout.split('\n')[1]
    stack.ctl('request', 'deny', cookie.split(',')[0], '--reason', 'not ours')
    r = cepces('POLL', cookie)
    assert r.returncode == 2 and 'not ours' in r.stdout + r.stderr


def test_refusal_shows_the_reason(stack, cepces, tmp_path):
    csr = client.make_csr(client.rsa_key(), 'www.other.example', [],
                          stack.env['CS_TEMPLATE'])
    r = submit(cepces, tmp_path, csr)
    assert r.returncode == 2, (r.returncode, r.stdout, r.stderr)
    assert 'www.other.example' in r.stdout + r.stderr


def test_wrong_password(stack, cepces):
    assert cepces('GET-SUPPORTED-TEMPLATES',
                  password='wrong').returncode not in (0, 5)
