"""What is left of a round, collected while its databases still run."""
import json
import pathlib
import re
import subprocess
import sys
import time
import types

TOP = pathlib.Path(__file__).resolve().parents[2]
TABLES = {
    'request': 'id, replay_key, day, number, state, ca, account, method, '
               'template, policy_hash, serial, signer, token',
    'certificate': 'serial, ca, request_id, account, spki_sha256, der',
    'void_serial': 'serial, ca, request_id, signer',
    'revoked': 'serial, ca, reason',
    'crl': 'ca, number, tbs_digest, this_update',
    'responder': 'serial, ca, der',
    'policy': 'version, sha256, body',
    'signer': 'name, prefix, epoch',
    'ledger_head': 'signer, seq, hash, head',
    'account': 'name, machine, disabled, cn, dns, upn, email, dn, sid',
    'account_group': 'account, name',
    'audit': 'n, at, who, action, detail',
}


class Evidence:
    """Everything that is judged; plain data, so that it can be doctored."""

    def __init__(self):
        self.journal, self.report = [], {}
        self.nodes, self.primary = {}, None     # name -> table -> rows
        self.ledgers, self.spied = {}, {}       # name -> bytes, [digest]
        self.lists, self.cas = [], {}           # DER in order; name -> DER
        self.audit_keys = {}                    # of signers, in hex
        self.leaks = []
        self.verify = ''        # what "countersign ledger verify" says
        self.replayed = []      # number, what explain says

    @property
    def rows(self):
        return self.nodes[self.primary]


# Collecting ----------------------------------------------------------------

def read_table(db, table):
    names = TABLES[table].split(', ')
    return [types.SimpleNamespace(**dict(zip(names, r))) for r in db.execute(
        'SELECT %s FROM countersign.%s' % (TABLES[table], table))]


def wait_for_standby(socks, primary, seconds=300):
    import psycopg
    dsn = 'host=%s dbname=countersign user=postgres'
    other = next(n for n in socks if n != primary)
    with psycopg.connect(dsn % socks[primary]) as db:
        lsn = db.execute('SELECT pg_current_wal_lsn()').fetchone()[0]
    deadline = time.time() + seconds
    with psycopg.connect(dsn % socks[other], autocommit=True) as db:
        while not db.execute('SELECT pg_last_wal_replay_lsn() >= %s',
                             (lsn,)).fetchone()[0]:
            if time.time() > deadline:
                sys.exit('check: the standby does not catch up')
            time.sleep(0.1)


def find_leaks(state):
    secrets = [re.search(r"CS_PASSWORD='?([^'\n]+)",
                         (state / 'fault.env').read_text())[1]]
    for p in [*(state / 'ca').glob('*.pass'), *(state / 'keys').glob('*'),
              state / 'hsm/pin']:
        secrets += p.read_text(errors='replace').split()
    where = [str(state / d) for d in ('a', 'b', 'log', 'web')] + [
        str(p) for p in state.glob('disk-*')]
    r = subprocess.run(['grep', '-rlaF', '-f', '-', *where], text=True,
                       input='\n'.join(s for s in secrets if len(s) > 11),
                       capture_output=True)
    return r.stdout.split()


def replay(state, rows, ctl, sample=12):
    """The same request and the policy in force: the same decision?"""
    out = []
    names = [r for r in rows['request'] if r.state == 'issued' and
             r.template == 'WebServer' and r.token[:1] == b'\x30' and
             len(r.token) != 32 and     # put back: its hash
             r.account == 'demo']
    for r in names[::max(1, len(names) // sample)][:sample]:
        path = state / 'replay.csr'
        path.write_bytes(r.token)
        p = subprocess.run(ctl + ['explain', '--user', r.account, '--csr',
                                  str(path)], capture_output=True, text=True)
        out.append((r.number, p.returncode, p.stdout + p.stderr))
    return out


def collect(state):
    import psycopg
    e = Evidence()
    e.report = json.loads((state / 'report.json').read_text())
    socks, e.primary = e.report['nodes'], e.report['primary']
    wait_for_standby(socks, e.primary)
    for name, sock in socks.items():
        with psycopg.connect('host=%s dbname=countersign user=postgres' %
                             sock) as db:
            e.nodes[name] = {t: read_table(db, t) for t in TABLES}
            e.cas = {n: bytes(d) for n, d in db.execute(
                'SELECT name, certificate FROM countersign.ca')}
    e.journal = [json.loads(l) for l in open(state / 'journal')]
    for d in sorted(state.glob('disk-signer-*')):
        name = d.name.removeprefix('disk-')
        e.ledgers[name] = b''.join(
            f.read_bytes() for f in (*sorted((d / 'ledger').glob('ledger.0*')),
                                     d / 'ledger/ledger'))
        if (d / 'other/ledger').exists():
            e.ledgers[name + ' elsewhere'] = (d / 'other/ledger').read_bytes()
        spy = state / 'control' / name / 'spy'
        e.spied[name] = spy.read_text().split() if spy.exists() else []
    e.lists = [p.read_bytes() for p in sorted(
        (state / 'lists').iterdir(), key=lambda p: float(
            p.name.rsplit('-', 1)[1]))]
    e.audit_keys = dict(re.findall(
        r'^signer "([^"]+)".*?audit-key = "([0-9a-f]+)"',
        (state / 'etc/fault-countersign.conf').read_text(), re.M | re.S))
    e.leaks = find_leaks(state)
    ctl = [str(TOP / 'build/countersign'), '-c',
           str(state / 'etc/fault-countersign.conf')]
    r = subprocess.run(ctl + ['ledger', 'verify'], capture_output=True,
                       text=True)
    e.verify = '' if r.returncode == 0 else r.stdout + r.stderr
    e.replayed = replay(state, e.rows, ctl)
    return e
