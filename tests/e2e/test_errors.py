"""docs/errors.md against the source, both ways, and the faults themselves."""
import collections
import pathlib
import re

import pytest

import client

TOP = pathlib.Path(__file__).resolve().parents[2]
DOC = (TOP / 'docs/errors.md').read_text()
WHERE = ('common', 'frontend', 'signer')
PREFIX = r'\b(?:HR|CERTSRV|NTE|CRYPT|CERT)_[A-Z][A-Z0-9_]+\b'


def table(title):
    """Rows of the table under a heading, cells without back-ticks."""
    part = DOC.split('## ' + title, 1)[1].split('\n## ', 1)[0]
    rows = [[c.strip().strip('`') for c in line.strip('|').split('|')]
            for line in part.splitlines() if line.startswith('|')]
    return rows[2:]


def values():
    return {n: int(v, 16) for n, v in re.findall(
        r'#define\s+(\w+)\s+(0x[0-9A-F]+)u', (TOP / 'common/hresult.h')
        .read_text())}


def without_comments(text):
    return re.sub(r'/\*.*?\*/', lambda m: '\n' * m.group().count('\n'), text,
                  flags=re.S)


def used():
    """Constant -> places.  A table in a header would count too."""
    known, found = values(), collections.defaultdict(list)
    for d in WHERE:
        for f in sorted((TOP / d).glob('*.[ch]')):
            if f.name == 'hresult.h':
                continue
            for n, line in enumerate(without_comments(f.read_text())
                                     .splitlines(), 1):
                for name in re.findall(PREFIX, line):
                    if name in known:
                        found[name].append('%s/%s:%d' % (d, f.name, n))
    return found


def test_there_is_something_to_compare():
    assert len(used()) > 20 and len(table('HRESULTs')) > 20
    assert len(table('Kinds of fault')) == 11


def test_every_code_that_is_sent_is_explained():
    rows = {r[1] for r in table('HRESULTs')}
    missing = {n: at[:3] for n, at in used().items() if n not in rows}
    assert not missing, 'docs/errors.md needs a row for each of these'


def test_every_code_explained_is_sent():
    unused = {r[1] for r in table('HRESULTs')} - set(used())
    assert not unused, 'docs/errors.md has rows that no program sends'


def test_values_and_order():
    known = values()
    rows = table('HRESULTs')
    for r in rows:
        assert len(r) == 4 and all(r), r
        assert int(r[0], 16) == known[r[1]], r
    names = [r[1] for r in rows]
    assert len(names) == len(set(names))


def test_no_number_stands_in_the_code():
    """Each goes by its name, or the two tests above see nothing."""
    for d in WHERE + ('cli',):
        for f in (TOP / d).glob('*.c'):
            for n, line in enumerate(f.read_text().splitlines(), 1):
                m = re.search(r'\berr_(?:deny|bad)\([^,]*,\s*(\w+)', line)
                if m and re.match(r'0x|[1-9]', m.group(1)):
                    raise AssertionError('%s:%d: %s' % (f, n, m.group(1)))


def kinds_of_code():
    """kind -> (code, sub-code, detail, HRESULT) out of err.c and fault.c."""
    known = values()
    err = dict((k, (name, known[hr])) for k, name, hr in re.findall(
        r'\[(ERR_\w+)\] =\s*\{ "([a-z-]+)", (\w+)',
        (TOP / 'common/err.c').read_text()) if hr in known)
    out = {}
    text = re.sub(r'\s+', ' ', (TOP / 'frontend/fault.c').read_text())
    for kind, code, sub, flag in re.findall(
            r'\[(ERR_\w+)\] = \{ (SENDER|RECEIVER|"s:\w+"), '
            r'(NULL|"\w:\w+"),.*?, (true|false),? ?', text):
        name, hr = err[kind]
        out[name] = ({'SENDER': 's:Sender', 'RECEIVER': 's:Receiver'}.get(
            code, code.strip('"')), sub.strip('"'), flag == 'true', hr)
    return out


def test_kinds():
    doc = {r[0]: (r[1], 'NULL' if r[2] == 'none' else r[2], r[3] == 'yes',
                  int(r[4], 16)) for r in table('Kinds of fault')}
    assert doc == kinds_of_code()
    enum = re.search(r'enum err_kind \{(.*?)\}', without_comments(
        (TOP / 'common/err.h').read_text()), re.S).group(1)
    assert len(re.findall(r'ERR_\w+', enum)) - 1 == len(doc)


def test_http_statuses():
    doc = {(int(r[0].split(',')[0]), r[1])
           for r in table('Without a fault')}
    text = (TOP / 'frontend/http.c').read_text()
    text += (TOP / 'frontend/serve.c').read_text()
    worker = {int(n) for n in re.findall(
        r'\b(?:end\(r, |http\.status = )(\d+)[,;]', text)} - {200}
    site = (TOP / 'nginx/countersign.conf.in').read_text()
    nginx = {int(n) for n in re.findall(r'\breturn (4\d\d|5\d\d)', site)}
    assert doc == {(n, 'worker') for n in worker} | \
        {(n, 'nginx') for n in nginx}


ID = re.compile(r'^[^A-Z].*[^.] \(request [0-9a-f]{32}\)$')


def broken(kind, good):
    """A message that ends in this kind, for the message that would not."""
    text = good.decode()
    return {
        'malformed': lambda: text.replace('</s:Envelope>', ''),
        'too-big': lambda: text.replace(
            '<s:Header>', '<s:Header>' + '<x/>' * 20000),
        'unauthenticated': lambda: re.sub(
            r'(<o:Password [^>]*>)[^<]*', r'\1wrong', text),
        'no-security': lambda: re.sub(
            r'<o:Security.*</o:Security>', '', text, flags=re.S),
        'not-understood': lambda: text.replace(
            '<s:Header>', '<s:Header><q:q xmlns:q="urn:q" '
            's:mustUnderstand="1"/>'),
        'version': lambda: text.replace(
            client.S, 'http://schemas.xmlsoap.org/soap/envelope/'),
        'destination': lambda: re.sub(
            r'(<a:To [^>]*>)[^<]*', r'\1https://other.example/x', text),
        'action': lambda: re.sub(
            r'(<a:Action [^>]*>)[^<]*', r'\1urn:other', text),
    }[kind]().encode()


@pytest.mark.parametrize('service', ['cep', 'ces'])
@pytest.mark.parametrize('kind', [
    'malformed', 'too-big', 'unauthenticated', 'no-security',
    'not-understood', 'version', 'destination', 'action'])
def test_fault(stack, demo, kind, service):
    code, sub, detail, hresult = kinds_of_code()[kind]
    env = stack.env
    head = client.security(env['CS_USER'], env['CS_PASSWORD'])
    if service == 'cep':
        good = client.envelope(client.GETPOLICIES, env['CS_CEP_URL'],
                               client.get_policies(), head)
    else:
        good = client.envelope(
            client.RST, env['CS_CES_URL'], client.rst(client.make_csr(
                client.ec_key(), 'f.demo.example', [], env['CS_TEMPLATE'])),
            head)
    r = demo.post(env['CS_CEP_URL' if service == 'cep' else 'CS_CES_URL'],
                  broken(kind, good))
    assert r.fault is not None and r.status == 500
    assert ID.match(r.reason), r.reason
    detail = detail and service == 'ces'
    if detail:
        assert r.hresult == hresult
        code, sub = 's:Receiver', 'NULL'
    else:
        assert r.hresult is None
    assert r.findtext('.//s:Code/s:Value') == code
    got = r.findtext('.//s:Subcode/s:Value') or 'NULL'
    assert got == sub
