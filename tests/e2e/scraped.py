"""What a monitoring system reads."""
import re

import requests


def scrape(stack, path='metrics'):
    """Series to value; every line must be of the text format."""
    r = requests.get(stack.env['CS_HOME_URL'] + path,
                     verify=stack.env['CS_ROOT_PEM'], timeout=300)
    assert r.status_code == 200, r.text
    assert r.headers['Content-Type'].startswith('text/plain; version=0.0.4')
    out, types = {}, {}
    for line in r.text.splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            assert types.setdefault(name, kind) == kind
            continue
        if line.startswith('# HELP '):
            continue
        m = re.fullmatch(r'([a-z_]+)(\{[^{}]*\})? (-?[\d.]+)', line)
        assert m, line
        base = re.sub('_(bucket|sum|count)$', '', m[1])
        assert m[1] in types or types.get(base) == 'histogram', line
        out[m[1] + (m[2] or '')] = float(m[3])
    return out
