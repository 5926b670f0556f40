"""What each role may read, write and call in the database: that and no more."""
import pytest
from psycopg import errors

from database import BIN, owner, pg, tables    # noqa: F401

ROLES = ['countersign_worker', 'countersign_signer', 'countersign_operator',
         'countersign_auditor', 'countersign_publisher']

pytestmark = pytest.mark.skipif(not (BIN / 'postgres').exists(),
                                reason='no PostgreSQL 15')


# What each role may do with each table besides reading.
WRITES = {'countersign_signer': {'request': {'INSERT'},
                                 'certificate': {'INSERT'},
                                 'void_serial': {'INSERT'},
                                 'crl': {'INSERT'}, 'crl_part': {'INSERT'},
                                 'responder': {'INSERT'},
                                 'exchange_key': {'INSERT'},
                                 'archived_key': {'INSERT'},
                                 'airgap_request': {'INSERT'}}}
READS = {
    'countersign_worker': {'deployment', 'ca', 'policy', 'account',
                           'account_group'},
    'countersign_signer': {'deployment', 'ca', 'policy', 'account_group',
                           'signer', 'request', 'certificate', 'void_serial',
                           'audit'},
    'countersign_operator': {'deployment', 'ca', 'policy', 'account_group',
                             'signer', 'request', 'certificate',
                             'void_serial', 'audit'},
    'countersign_auditor': {'deployment', 'ca', 'policy', 'account_group',
                            'signer', 'request', 'certificate',
                            'void_serial', 'audit'},
    'countersign_publisher': {'deployment', 'ca', 'policy', 'crl', 'crl_part',
                              'crl_above', 'crl_published', 'rollback',
                              'revocation_change', 'airgap_ca'},
}
# Of other tables it reads these columns alone.
COLUMNS = {'certificate': {'template', 'not_after', 'revoked_at'},
           'request': {'day', 'id', 'state', 'received_at'},
           'airgap_round': {'n', 'exported_at', 'imported_at'},
           'airgap_request': {'day', 'id', 'waits', 'answered'},
           'revocation_event': {'ca', 'at'},
           'account': {'name', 'disabled', 'sid'}}


for r in ROLES[:4]:
    READS[r] |= {'crl', 'crl_part', 'ocsp'}
READS['countersign_signer'] |= {'exchange_key', 'airgap_request'}
for r in ROLES[2:4]:
    READS[r] |= {'crl_above', 'crl_published', 'airgap_ca', 'airgap_round',
                 'airgap_part', 'airgap_request'}
for r in ROLES[1:4]:
    READS[r] |= {'revoked', 'revocation_change', 'responder',
                 'revocation_event', 'ledger_head', 'rollback',
                 'blocked_key', 'key_owner', 'released', 'crl_before'}


@pytest.mark.parametrize('role', ROLES)
def test_privileges_are_exactly_these(owner, role):
    for t in tables(owner):
        for what in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
                     'REFERENCES', 'TRIGGER'):
            has = owner.execute('SELECT has_table_privilege(%s, %s, %s)', (
                role, 'countersign.' + t, what)).fetchone()[0]
            want = (t in READS[role] if what == 'SELECT' else
                    what in WRITES.get(role, {}).get(t, ()))
            assert has == want, (role, what, t)


def test_a_publisher_reads_no_request(owner):
    """It is on a web host."""
    rows = owner.execute(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c"
        " ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped"
        " AND c.relnamespace = 'countersign'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'v') AND has_column_privilege("
        "'countersign_publisher', c.oid, a.attnum, 'SELECT')").fetchall()
    whole = READS['countersign_publisher']
    assert {(t, c) for t, c in rows if t not in whole} == {
        (t, c) for t in COLUMNS for c in COLUMNS[t]}


@pytest.mark.parametrize('role', ROLES)
def test_nothing_can_be_made(owner, role):
    assert owner.execute(
        "SELECT has_schema_privilege(%(r)s, 'countersign', 'CREATE'),"
        " has_schema_privilege(%(r)s, 'public', 'CREATE'),"
        " has_schema_privilege(%(r)s, 'public', 'USAGE'),"
        " has_database_privilege(%(r)s, 'countersign', 'CREATE'),"
        " has_database_privilege(%(r)s, 'countersign', 'TEMPORARY')",
        {'r': role}).fetchone() == (False,) * 5
    assert owner.execute(
        'SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication,'
        ' rolbypassrls FROM pg_roles WHERE rolname = %s', (role,)
    ).fetchone() == (False,) * 5


EXECUTES = {
    'countersign_worker': set(),
    'countersign_publisher': {'crl_publishing', 'migrations'},
    'countersign_auditor': {'renewal_chain', 'migrations',
                            'passwords_told', 'crl_publishing',
                            'names_told', 'ca_told', 'crl_above_told',
                            'crl_before_told', 'is_earlier'},
    'countersign_signer': {'make_partitions', 'signer_lease', 'crl_stored',
                           'ocsp_keep', 'ocsp_forget', 'secret_lock',
                           'secret_use', 'exchange_wipe',
                           'ledger_head_put', 'rollback_found',
                           'revocations_told', 'audit_after'},
    'countersign_operator': {'names_told', 'ca_told', 'crl_above_told',
                             'account_set_names',
                             'import_begin', 'import_add', 'import_names',
                             'import_groups', 'import_disable',
                             'import_enable', 'import_replace',
                             'import_stragglers',
                             'account_add', 'account_set_password',
                             'account_set_disabled', 'account_set_group',
                             'ca_register', 'ca_replace', 'ca_activate',
                             'crl_above_put', 'crl_publishing',
                             'crl_before_put', 'crl_before_told',
                             'is_earlier', 'earlier_revoke',
                             'earlier_release', 'policy_publish', 'cert_revoke',
                             'cert_release', 'secret_create',
                             'secret_revoke', 'renewal_chain',
                             'key_recover', 'key_block',
                             'key_block_all', 'migrations', 'passwords_told',
                             'airgap_add_ca',
                             'airgap_vault', 'airgap_open', 'airgap_part_put',
                             'airgap_made', 'airgap_result', 'airgap_void',
                             'airgap_list_part', 'airgap_list',
                             'airgap_close'},
}


def test_functions(owner):
    """Nobody executes by default; definer's rights only with a fixed path."""
    rows = owner.execute(
        "SELECT oid, proname, proacl::text, prosecdef, proconfig FROM pg_proc"
        " WHERE pronamespace = 'countersign'::regnamespace").fetchall()
    assert rows
    for oid, name, acl, definer, config in rows:
        assert acl is not None and '{=' not in acl and ',=' not in acl, name
        assert any(c.startswith('search_path=countersign, pg_temp')
                   for c in config), name
        for role in ROLES:
            has = owner.execute("SELECT has_function_privilege(%s, %s::oid,"
                                " 'EXECUTE')", (role, oid)).fetchone()[0]
            assert has == (name in EXECUTES[role]), (role, name)


@pytest.mark.parametrize('sql', [
    "SELECT pg_advisory_lock(71200104, hashtext('CA'))",
    "SELECT pg_try_advisory_lock_shared(71200103, hashtext('signer-1'))",
    'SELECT pg_advisory_xact_lock(71200101)',
    "SELECT lo_from_bytea(0, 'x')", 'SELECT lo_create(0)',
    "SELECT pg_logical_emit_message(false, 'x', 'y')"])
def test_what_everybody_may(pg, sql):
    """No revocation list kept from being made, no disk filled."""
    for role in set(ROLES) - {'countersign_signer'}:
        with pg.connect(role) as db, \
                pytest.raises(errors.InsufficientPrivilege):
            db.execute(sql)


def test_signers_lock(pg):
    with pg.connect('countersign_signer') as db:
        for f in 'lock', 'xact_lock':
            assert db.execute('SELECT pg_try_advisory_%s(71200104, 1)' %
                              f).fetchone()[0]
        db.execute("SELECT pg_logical_emit_message(true, 'c', 'barrier')")


def test_only_workers_read_passwords(pg, owner):
    owner.execute("SELECT account_add('pw', false, 'P', NULL, NULL, NULL,"
                  " NULL, NULL, '$argon2id$x', '{users}')")
    with pg.connect('countersign_worker') as db:
        assert db.execute("SELECT password FROM countersign.account"
                          " WHERE name = 'pw'").fetchone()[0]
    for role in ROLES[1:4]:
        with pg.connect(role) as db:
            assert db.execute("SELECT cn FROM countersign.account"
                              " WHERE name = 'pw'").fetchone() == ('P',)
            for q in ('SELECT password FROM countersign.account',
                      'SELECT * FROM countersign.account'):
                with pytest.raises(errors.InsufficientPrivilege):
                    db.execute(q)


@pytest.mark.parametrize('sql', [
    'INSERT INTO countersign.policy VALUES (9, %s, %s, now(), \'x\')',
    'UPDATE countersign.policy SET body = %s WHERE body <> %s',
    'DELETE FROM countersign.policy WHERE sha256 <> %s AND body <> %s'])
def test_nobody_changes_the_policy(pg, owner, sql):
    owner.execute("SELECT policy_publish('some policy')")
    args = (b'\0' * 32, b'')
    for role in ROLES:
        with pg.connect(role) as db, \
                pytest.raises(errors.InsufficientPrivilege):
            db.execute(sql, args)
    if not sql.startswith('INSERT'):    # not even the owner
        with pytest.raises(errors.RaiseException, match='rows are kept'):
            owner.execute(sql, args)
