"""The limits that the figures are compared with, measured in the same run."""
import contextlib
import re
import shutil
import subprocess
import time

import rig
from second_site import second_site  # noqa: E402

PGBENCH = '/usr/lib/postgresql/15/bin/pgbench'
# [the project's own measurements] CPU us of one enrollment's parts on the
# machine where RSA-2048 verification took 15, P-256 signing 16, verifying 43.
BUDGET_US = 175
BUDGET_CRYPTO_US = 2 * 15 + 2 * 16 + 43
BUDGET_FASTCGI_US = 22 + 11     # nginx, and a program behind it


def speed(*words):
    r = subprocess.run(['openssl', 'speed', '-mr', '-seconds', '1', *words],
                       capture_output=True, text=True)
    return [line.split(':') for line in r.stdout.splitlines()
            if line.startswith('+F')]


def raw_costs(ca):
    """What nobody can avoid, measured at the same moment: CPU us each, and
    of a kilobyte of TLS."""
    families = {'+F2': 'rsa', '+F4': 'p'}
    out = {}
    for f in speed(*(('ecdsa' if n[0] == 'p' else '') + n for n in sorted(
            {'p256', 'rsa2048', 'rsa3072', ca}))):
        name = families[f[0]] + f[2]
        out['sign-' + name] = round(1e6 / float(f[3]), 1)
        out['verify-' + name] = round(1e6 / float(f[4]), 1)
    for f in speed('-bytes', '8192', '-evp', 'aes-256-gcm'):
        out['tls-kilobyte'] = round(1024e6 / float(f[3]), 2)
    return out


def floor(costs, ca, kilobytes):
    """The cryptography of one enrollment with an RSA-2048 CSR: worker and
    signer verify it; certificate and CMC response are signed, the
    certificate's signature is checked; TLS, both sides' records once here."""
    return (2 * costs['verify-rsa2048'] + 2 * costs['sign-' + ca] +
            costs['verify-' + ca] + kilobytes * costs['tls-kilobyte'])


def cryptography(costs):
    return (2 * costs['verify-rsa2048'] + 2 * costs['sign-p256'] +
            costs['verify-p256'])


def budget(costs):
    """The budget of one enrollment (P-256 CA) on this machine at this
    moment: scaled by its cryptography."""
    return BUDGET_US * cryptography(costs) / BUDGET_CRYPTO_US


def budget_by_parts(costs, fastcgi):
    """The same by what each part costs here: nginx and FastCGI as measured
    beneath a program that does nothing, the cryptography as measured, and
    the rest of the budget scaled as the cryptography."""
    crypto = cryptography(costs)
    rest = BUDGET_US - BUDGET_FASTCGI_US - BUDGET_CRYPTO_US
    return fastcgi + crypto + rest * crypto / BUDGET_CRYPTO_US


def insert_rate(stack, seconds):
    """Rows per second of bare transactions of 50 rows of an enrollment's
    size and indexes, one connection."""
    dsn = 'host=%s dbname=postgres user=postgres' % socket_dir(stack)
    subprocess.run(['psql', '-q', '-v', 'ON_ERROR_STOP=1', dsn], check=True,
                   text=True, stderr=subprocess.DEVNULL, input='''
        DROP TABLE IF EXISTS bare;
        CREATE TABLE bare (id bytea PRIMARY KEY, serial bytea UNIQUE,
            account text, at timestamptz, der bytea);
        ALTER TABLE bare ALTER der SET STORAGE EXTERNAL;
        CREATE INDEX ON bare (account, at);''')
    script = stack.state / 'bare.sql'
    script.write_text('''
        INSERT INTO bare SELECT decode(md5(random()::text), 'hex'),
            decode(md5(random()::text), 'hex'), 'demo', now(),
            decode(repeat(md5(random()::text), 40), 'hex')
        FROM generate_series(1, 50);''')
    r = subprocess.run([PGBENCH, '-n', '-f', str(script), '-T',
                        str(max(1, round(seconds))), dsn],
                       capture_output=True, text=True, check=True)
    return 50 * float(re.search(r'tps = ([\d.]+)', r.stdout)[1])


def socket_dir(stack):
    return re.search(r"host='?([^ ']+)", stack.env['CS_DSN'])[1]


class Hello:
    """The shipped site before a FastCGI program that does nothing, with
    threads for every connection that nginx keeps: libfcgi's stay with one."""

    def __init__(self, stack, build, answer_bytes, processes):
        top = stack.state.resolve()
        sock = top / 'run/hello.sock'
        sock.unlink(missing_ok=True)
        folder = top / 'hello'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.program = subprocess.Popen(
            [str(build / 'hello'), str(sock), str(answer_bytes),
             str(processes), '80'])
        while not sock.exists():
            time.sleep(0.05)
        sock.chmod(0o777)
        self.site = contextlib.ExitStack()
        there = self.site.enter_context(second_site(
            stack, folder, lambda site: re.sub(
                r'(?<=upstream countersign_worker \{)[^}]*',
                'server unix:%s; keepalive 64;' % sock, site)))
        self.nginx = int((folder / 'pid').read_text())
        self.env = stack.env
        self.url = there(stack.env['CS_CEP_URL'])

    def cpu(self):
        """As Stack.cpu."""
        table = rig.proc_table()
        return {part: rig.cpu_of(pids, table)
                for part, pids in self.members(table)}

    def rss(self):
        """As Stack.rss."""
        return {part: rig.rss_of(pids)
                for part, pids in self.members(rig.proc_table())}

    def members(self, table):
        return [(part, rig.below({pid}, table))
                for part, pid in (('nginx', self.nginx),
                                  ('hello', self.program.pid))]

    def stop(self):
        self.site.close()
        self.program.terminate()
        self.program.wait(10)
