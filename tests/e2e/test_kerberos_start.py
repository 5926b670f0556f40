"""The kerberos section of worker.conf: what a worker does not start with."""
import re

import pytest

import realm
import tickets
from realm import UNKNOWN, authorization, survives, whoami  # noqa: F401


def entry(principal='HTTP/localhost', kvno=1, etype=tickets.AES256,
          key=UNKNOWN, where=realm.HOME):
    return '%s@%s' % (principal, where), kvno, etype, key


@pytest.mark.parametrize('entries,words', [
    ([entry()], None),
    ([entry(), entry(kvno=2), entry('HTTP/other.example')], None),
    ([entry(etype=17, key=bytes(16)), entry(etype=20)], None),
    ([entry('http/localhost')], None),
    ([], 'no key'),
    ([entry('host/localhost')], 'host/localhost'),
    ([entry(), entry('host/localhost')], 'host/localhost'),
    ([entry(), entry('PC1$')], r'PC1\$'),
    ([entry('HTTP')], 'HTTP'),
    ([entry(etype=tickets.RC4, key=bytes(16))], 'arcfour|rc4|AES'),
    ([entry(), entry(etype=tickets.RC4, key=bytes(16))], 'arcfour|rc4|AES'),
])
def test_keytabs(krb, entries, words):
    file = krb.put('krb-test.keytab', tickets.keytab(*entries))
    r = krb.test(krb.section(keytab='"%s"' % file))
    if words is None:
        assert r.returncode == 0, r.stderr
    else:
        assert r.returncode == 1 and re.search(words, r.stderr), r.stderr
        assert file.name in r.stderr


@pytest.mark.parametrize('options,words', [
    (dict(keytab=False), 'keytab'),
    (dict(keytab='"/nowhere/http.keytab"'), '/nowhere/http.keytab'),
    (dict(keytab='"http.keytab"'), 'absolute|keytab'),
    (dict(keytab='"MEMORY:x"'), 'MEMORY:x'),
    (dict(certificate=False), 'certificate'),
    (dict(certificate='{"/nowhere/tls.pem"}'), '/nowhere/tls.pem'),
    (dict(certificate='{}'), 'certificate'),
    (dict(certificate='{%s}' % ', '.join(['"/x"'] * 5)), 'certificate'),
    (dict(realm='{"demo example"}'), 'realm'),
    (dict(realm='{""}'), 'realm'), (dict(realm='{"A@B"}'), 'realm'),
    (dict(realm='{"A/B"}'), 'realm'),
    (dict(channel_binding='"sometimes"'), 'channel-binding'),
    (dict(channel_binding='""'), 'channel-binding'),
    (dict(sid='"always"'), 'kerberos: sid'),
    (dict(replay_cache='"/nowhere"'), 'replay-cache|nowhere'),
    (dict(replay_cache='"none:"'), 'replay-cache'),
    (dict(keytabs='"x"'), 'keytabs'),
])
def test_configuration(krb, options, words):
    r = krb.test(krb.section(**options))
    assert r.returncode == 1 and re.search(words, r.stderr), r


@pytest.mark.parametrize('mode', [0o644, 0o640, 0o604])
def test_a_keytab_for_all(krb, mode):
    file = krb.put('krb-test.keytab', krb.keytab.read_bytes(), mode)
    r = krb.test(krb.section(keytab='"%s"' % file))
    assert r.returncode == 1 and file.name in r.stderr, r


@pytest.mark.parametrize('text', [b'', b'x', b'\5\1', b'\5\2\xff\xff\xff\xff',
                                  b'\5\2\0\0\0\x40abc'])
def test_a_keytab_that_is_none(krb, text):
    file = krb.put('krb-test.keytab', text)
    r = krb.test(krb.section(keytab='"%s"' % file))
    assert r.returncode == 1 and file.name in r.stderr, r


@pytest.mark.parametrize('text', [b'', b'x', b'-----BEGIN CERTIFICATE-----\n'])
def test_a_certificate_that_is_none(krb, text):
    file = krb.put('krb-test.pem', text)
    r = krb.test(krb.section(certificate='{"%s"}' % file))
    assert r.returncode == 1 and file.name in r.stderr, r


def test_not_set_up(krb):
    """A worker that knows nothing of Kerberos has no such address."""
    t = krb.token()
    krb.use(krb.plain)
    try:
        r = whoami(krb, authorization(t))
        assert r.status_code == 404, r.text
        assert 'WWW-Authenticate' not in r.headers
        assert krb.enroll(t).status == 404
    finally:
        krb.set()
