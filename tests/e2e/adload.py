"""A deployment that imports accounts, and what such an import says."""
import json

import pytest

from conftest import own_stack
from ledger_edits import damages

REALM = 'corp.test'


@pytest.fixture(scope='module')
def own():
    with own_stack('import') as s:
        yield s


GROUPS = ('--group', 'users', '--group', 'web-admins', '--group',
          'Domain Computers=computers')


def load(own, text, *args, ok=True, json_=True, realm=REALM):
    words = (['--json'] if json_ else []) + ['account', 'import', '-']
    r = own.ctl(*words, *(('--realm', realm.upper()) if realm else ()),
                *(args if '--group' in args else (*GROUPS, *args)), input=text,
                ok=ok)
    if not json_ or not r.stdout:
        return r
    return {x['account'].removesuffix('@' + REALM): x
            for x in json.loads(r.stdout)}


def account(own, name):
    return {x['name']: x for x in own.ctl_json('account', 'list')}.get(
        name if '@' in name else name + '@' + REALM)


def audit(own):
    return own.sql('SELECT max(n) FROM countersign.audit')[0][0]


def verified(own):
    assert damages(own, own.conf) == (0, [])
