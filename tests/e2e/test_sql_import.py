"""The parts of an import in the database, beside an operator and by themselves."""
import concurrent.futures

import pytest

from database import BIN, owner, pg, waits_for_lock     # noqa: F401

pytestmark = pytest.mark.skipif(not (BIN / 'postgres').exists(),
                                reason='no PostgreSQL 15')


@pytest.mark.parametrize('word', [
    "account_set_group('turn', 'admins', false)",
    "account_set_names('turn', NULL, NULL, NULL, NULL, NULL, 'S-1-5-9')"])
def test_an_import_is_over_before_the_next_word(pg, word):  # noqa: F811
    """What an operator says meanwhile is done after it, not undone by it."""
    role = 'countersign_operator'
    with pg.connect(role) as one, pg.connect(role) as two, \
            pg.connect() as watch, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        for db in one, two:
            db.execute('SET search_path = countersign')
        with one.transaction():
            one.execute('SELECT import_begin()')
            one.execute("SELECT import_add('{turn}', '{f}', '{T}', '{NULL}', "
                        "'{NULL}', '{NULL}', '{NULL}', '{NULL}', '{\"\"}')")
        with one.transaction():
            one.execute('SELECT import_begin()')
            said = pool.submit(two.execute, 'SELECT ' + word)
            waits_for_lock(watch, two.info.backend_pid)
            one.execute("SELECT import_groups('{turn}', '{admins}', '{t}'), "
                        "import_names('{turn}', '{T}', '{NULL}', '{NULL}', "
                        "'{NULL}', '{NULL}', '{S-1-5-8}', false, true)")
        assert said.result(300).fetchone() == (True,)
        groups, sid, last = watch.execute(
            "SELECT (SELECT count(*) FROM countersign.account_group WHERE "
            "account = 'turn'), sid, (SELECT action FROM countersign.audit "
            "ORDER BY n DESC LIMIT 1) FROM countersign.account WHERE name = "
            "'turn'").fetchone()
        assert (groups, sid, last) == (
            (0, 'S-1-5-8', 'account group') if 'group' in word else
            (1, 'S-1-5-9', 'account names'))
        watch.execute("DELETE FROM countersign.account_group WHERE account = "
                      "'turn'; DELETE FROM countersign.account WHERE name = "
                      "'turn'")


def test_an_import_tells_what_it_did(pg):  # noqa: F811
    """Whoever has the operator's role may call its parts by themselves."""
    with pg.connect('countersign_operator') as op:
        op.execute('SET search_path = countersign')

        def told():
            return op.execute("SELECT action, detail FROM audit WHERE detail "
                              "LIKE 'parts %' ORDER BY n DESC LIMIT 1"
                              ).fetchone()
        op.execute("SELECT account_add('parts', false, 'P', NULL, "
                   "'p@x.example', NULL, NULL, 'S-1-5-7', NULL, '{}')")
        op.execute("SELECT import_names('{parts}', '{P}', '{NULL}', '{NULL}',"
                   " '{NULL}', '{NULL}', '{NULL}', true, false)")
        assert told() == ('account import names',
                          'parts {"cn": "P", "machine": false}')
        op.execute("SELECT import_groups('{parts,parts}', '{g,g}', '{t,f}')")
        assert told() == ('account import group', 'parts + g')
        assert op.execute("SELECT name FROM account_group WHERE account = "
                          "'parts'").fetchall() == [('g',)]
