"""Random changes in ledgers and tables: what somebody might do who got into a
signer's host or the database, one at a time, and each taken back."""
from datetime import timedelta
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import psycopg

PG = '/usr/lib/postgresql/15/bin/'


def pg(own, *args):
    info = psycopg.conninfo.conninfo_to_dict(own.env['CS_DSN'])
    r = subprocess.run([PG + args[0], '-h', info['host'], '-p', info['port'],
                        '-U', 'postgres', *args[1:]], capture_output=True)
    assert r.returncode == 0, r.stderr


def damages(own, conf, *args, code=None):
    r = subprocess.run([*own.ctl_words(conf), '--json', 'ledger', 'verify',
                        *map(str, args)], capture_output=True, text=True,
                       timeout=300)
    if code is not None:
        assert r.returncode == code, r.stdout + r.stderr
    return r.returncode, [x for x in json.loads(r.stdout) if x['damaged']]


# Not the columns that no ledger has: what PostgreSQL itself filled in, and
# an answer to pollers that can be made again.  Of accounts those of which
# audit tells (passwords: test_last_words.py).
TABLES = {'request': ('response',), 'certificate': (), 'void_serial': (), 'revoked': (),
          'crl': (), 'crl_part': (), 'responder': ('issued_at',), 'audit': (),
          'ledger_head': ('at',),
          'account_group': (), 'key_owner': (),
          'account': ('password', 'created_at', 'one_time_template',
                      'one_time_expires', 'one_time_used')}
# What makes a row another one, where it is no serial number.
KEYS = {'crl': 'number', 'crl_part': 'part', 'revoked': 'serial',
        'request': 'id', 'audit': 'n', 'account_group': 'name',
        'key_owner': 'spki_sha256', 'account': 'name',
        'ledger_head': 'signer'}
UNIQUE = ('dns', 'upn', 'email', 'sid')     # of accounts
EXTREMES = {'state': ['issued', 'pending', 'denied']}


def other_value(rng, column, kind, old):
    """Another value of the column's type, likely one that fits its checks."""
    if column in EXTREMES:
        return rng.choice([x for x in EXTREMES[column] if x != old])
    if kind == 'bytea':
        b = bytearray(bytes(old) if old else rng.randbytes(32))
        if b:
            b[rng.randrange(len(b))] ^= 1 << rng.randrange(8)
        if old and rng.random() < 0.2 and column not in (
                'id', 'decision_id', 'token_sha256'):
            b = b[:-1] or b'x'
        return bytes(b)
    if kind == 'bool':
        return not old
    if kind in ('int2', 'int4', 'int8'):
        return (old or 0) + 1
    if kind == 'timestamptz':
        return psycopg.sql.SQL("coalesce({}, now()) + interval '1 s'").format(
            psycopg.sql.Identifier(column))
    return rng.choice(['x', (old or '') + 'x', (old or 'yz')[::-1] + 'y'])


class Edits:
    """Changes, one at a time, in a copy of database and ledgers."""

    def __init__(self, own, root, folder, rng):
        self.own, self.rng, self.folder = own, rng, folder
        with root() as db:
            db.execute('DROP DATABASE IF EXISTS copy')
            db.execute('CREATE DATABASE copy OWNER countersign_owner')
        pg(own, 'pg_dump', '-Fc', '-f', str(folder / 'dump'), 'countersign')
        pg(own, 'pg_restore', '-d', 'copy', str(folder / 'dump'))
        self.db = root('copy')
        self.db.execute('SET session_replication_role = replica')
        self.db.execute('CREATE SCHEMA saved')
        self.db.execute('ALTER TABLE countersign.audit ALTER n DROP IDENTITY')
        self.columns = {}
        for t, skip in TABLES.items():
            self.db.execute('CREATE TABLE saved.%s AS TABLE countersign.%s'
                            % (t, t))
            self.columns[t] = [c for c in self.db.execute(
                'SELECT a.attname, y.typname FROM pg_attribute a JOIN pg_type '
                'y ON y.oid = a.atttypid WHERE a.attrelid = %s::regclass AND '
                'attnum > 0 AND NOT attisdropped', ('countersign.' + t,))
                if c[0] not in skip]
        self.ledgers = []
        for d in sorted((own.dir / 'ledger').glob('*/')):
            (folder / d.name).mkdir()
            shutil.copy(d / 'ledger', folder / d.name / 'ledger')
            self.ledgers.append(folder / d.name / 'ledger')
        self.whole = {f: f.read_bytes() for f in self.ledgers}
        shutil.copy(own.dir / 'ledger/heads', folder / 'heads')
        self.conf = own.conf.parent / 'copy.conf'
        self.conf.write_text(own.conf.read_text().replace(
            "dbname='countersign'", "dbname='copy'"))
        if os.geteuid() == 0:
            shutil.chown(self.conf, own.conf.owner(), own.conf.group())
            subprocess.run(['chown', '-R', own.conf.owner(), folder],
                           check=True)
            os.chmod(folder.parent, 0o755)
        self.undo = None

    def verify(self):
        return damages(self.own, self.conf, '--heads', self.folder / 'heads',
                       *[f.parent for f in self.ledgers])

    def pick(self, table):
        """A random row: its place and its values."""
        cols = self.columns[table]
        rows = self.db.execute('SELECT tableoid::regclass::text, ctid::text, '
                               '%s FROM countersign.%s' % (', '.join(
                                   c for c, _ in cols), table)).fetchall()
        return self.rng.choice(rows) if rows else None

    def table(self):
        return self.rng.choice(list(TABLES))

    def alter(self):
        t = self.table()
        row, i = self.pick(t), self.rng.randrange(len(self.columns[t]))
        column, kind = self.columns[t][i]
        new = other_value(self.rng, column, kind, row[2 + i])
        sql = psycopg.sql.SQL('UPDATE {} SET {} = {} WHERE ctid = {}')
        self.db.execute(sql.format(
            psycopg.sql.SQL('countersign.' + t), psycopg.sql.Identifier(
                column), new if isinstance(new, psycopg.sql.Composable) else
            psycopg.sql.Literal(new), psycopg.sql.Literal(row[1])) +
            psycopg.sql.SQL(' AND tableoid = {}::regclass').format(
                psycopg.sql.Literal(row[0])))
        return t, '%s.%s of %r' % (t, column, row[2])

    def delete(self):
        t = self.table()
        row = self.pick(t)
        self.db.execute('DELETE FROM countersign.%s WHERE ctid = %%s AND '
                        'tableoid = %%s::regclass' % t, (row[1], row[0]))
        return t, 'row of %s deleted' % t

    def truncate(self):
        t = self.table()
        key = KEYS.get(t, 'serial')
        n = self.db.execute(
            'DELETE FROM countersign.%s WHERE %s >= (SELECT %s FROM '
            'countersign.%s ORDER BY 1 DESC LIMIT 1 OFFSET %d)' % (
                t, key, key, t, 0 if t == 'crl_part' else
                self.rng.randrange(2))).rowcount
        return (t, '%s cut off' % t) if n > 0 else self.delete()

    def insert(self):
        t = self.table()
        key = 'at' if t == 'audit' else KEYS.get(t, 'serial')
        row = dict(zip([c for c, _ in self.columns[t]], self.pick(t)[2:]))
        kind = dict(self.columns[t])[key]
        row[key] = other_value(self.rng, key, kind, row[key]) if \
            kind in ('bytea', 'text') else row[key] - timedelta(seconds=1) if \
            key == 'at' else row[key] + 1000
        if kind == 'bytea':
            row[key] = row[key].ljust(16, b'z')
        if t == 'request':
            row['replay_key'] = self.rng.randbytes(16)
        if t == 'account':
            row.update(dict.fromkeys(UNIQUE))
        self.db.execute('INSERT INTO countersign.%s (%s) VALUES (%s)' % (
            t, ', '.join(row), ', '.join(['%s'] * len(row))),
            list(row.values()))
        return t, 'row into %s' % t

    def swap(self):
        """Two rows exchange a value."""
        t = self.rng.choice(['request', 'certificate', 'revoked', 'audit'])
        a, b = self.pick(t), self.pick(t)
        i = self.rng.randrange(len(self.columns[t]))
        if a[2 + i] == b[2 + i] or self.columns[t][i][0] in (
                'id', 'serial', 'day', 'replay_key', 'n'):
            return self.alter()
        for row, value in ((a, b[2 + i]), (b, a[2 + i])):
            self.db.execute(
                'UPDATE countersign.%s SET %s = %%s WHERE ctid = %%s AND '
                'tableoid = %%s::regclass' % (t, self.columns[t][i][0]),
                (value, row[1], row[0]))
        return t, '%s swapped in %s' % (self.columns[t][i][0], t)

    def ledger(self):
        f = self.rng.choice(self.ledgers)
        b, rng = self.whole[f], self.rng
        lines = b.splitlines(keepends=True)
        i = rng.randrange(len(lines))
        how = rng.choice(['byte', 'line', 'swap', 'cut', 'cut-inside',
                          'twice', 'anew', 'anew-cut'])
        if how == 'byte':
            at = rng.randrange(len(b))
            b = b[:at] + bytes([b[at] ^ 1 << rng.randrange(7)]) + b[at + 1:]
        elif how == 'line':
            del lines[i]
        elif how == 'swap':
            j = rng.choice([x for x in range(len(lines)) if x != i])
            lines[i], lines[j] = lines[j], lines[i]
        elif how == 'cut':
            lines = lines[:i]
        elif how == 'cut-inside':
            at = rng.randrange(len(b))
            b = b[:at]
        elif how == 'twice':
            lines.insert(i, lines[i])
        else:
            lines = forge(rng, lines, how == 'anew-cut')
        f.write_bytes(b if how in ('byte', 'cut-inside') else b''.join(lines))
        return f, 'ledger: %s' % how

    def one(self):
        """Make a change; what it was.  Undone by restore()."""
        how = self.rng.choice([self.alter] * 4 + [self.delete, self.truncate,
                              self.insert, self.swap] + [self.ledger] * 4)
        while True:
            try:
                self.undo, text = how()
                return text
            except (psycopg.errors.IntegrityError, psycopg.errors.DataError):
                continue        # PostgreSQL itself would not have it

    def restore(self):
        if isinstance(self.undo, pathlib.Path):
            self.undo.write_bytes(self.whole[self.undo])
        else:
            self.db.execute('DELETE FROM countersign.%s' % self.undo)
            self.db.execute('INSERT INTO countersign.%s SELECT * FROM '
                            'saved.%s' % (self.undo, self.undo))


def forge(rng, lines, cut):
    """Somebody with the whole file, but not the audit key: an entry left out
    or changed and every hash computed anew."""
    i = rng.randrange(1, len(lines))
    if cut:
        return rehash(lines[:i], [lines[i].replace(
            b'"at":"2', b'"at":"1', 1)])
    return rehash(lines[:i], lines[i + 1:])


def rehash(first, rest):
    """The first ones, and the others behind them, linked anew."""
    out = list(first)
    prev = json.loads(out[-1])['hash'] if out else '0' * 64
    for n, line in enumerate(rest, len(first) + 1):
        body = re.sub(rb'^\{"seq":\d+,"prev":"[0-9a-f]*"',
                      b'{"seq":%d,"prev":"%s"' % (n, prev.encode()), line)
        body = re.sub(rb',"hash":"[0-9a-f]*"\}\n$', b'', body)
        prev = hashlib.sha256(body).hexdigest()
        out.append(body + b',"hash":"%s"}\n' % prev.encode())
    return out
