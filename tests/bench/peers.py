#!/usr/bin/python3
"""make bench-peers: the same CSRs through other CAs on this machine, in the
same run: cfssl serve with PostgreSQL (no TLS, no authentication), and openssl
ca, a process per certificate.  Text, and JSON lines at the end of
var/bench/results.json."""
import argparse
import base64
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import bench
import rig
from limits import socket_dir
from rig import TOP, say

# The table that cfssl's certdb expects in PostgreSQL.
TABLE = '''DROP TABLE IF EXISTS certificates; CREATE TABLE certificates (
    serial_number bytea NOT NULL, authority_key_identifier bytea NOT NULL,
    ca_label bytea, status bytea NOT NULL, reason int, expiry timestamptz,
    revoked_at timestamptz, pem bytea NOT NULL,
    PRIMARY KEY (serial_number, authority_key_identifier));'''
OPENSSL = '''[ca]
default_ca = d
[d]
dir = %(dir)s
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 365
policy = p
unique_subject = no
[p]
commonName = supplied
'''


def pem(csr):
    b = base64.encodebytes(csr).decode()
    return ('-----BEGIN CERTIFICATE REQUEST-----\n%s'
            '-----END CERTIFICATE REQUEST-----\n' % b)


def make_ca(folder):
    """A P-256 CA without a passphrase."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=peer',
                    '-keyout', str(folder / 'ca.key'), '-out',
                    str(folder / 'ca.pem')], check=True, capture_output=True)


class Cfssl:
    def __init__(self, folder, stack):
        dsn = 'host=%s dbname=postgres user=postgres' % socket_dir(stack)
        subprocess.run(['psql', '-q', '-v', 'ON_ERROR_STOP=1', dsn],
                       input=TABLE, text=True, check=True,
                       stderr=subprocess.DEVNULL)
        (folder / 'db.json').write_text(json.dumps(
            {'driver': 'postgres', 'data_source': dsn + ' sslmode=disable'}))
        with socket.create_server(('127.0.0.1', 0)) as s:
            self.port = s.getsockname()[1]
        self.p = subprocess.Popen(
            ['cfssl', 'serve', '-loglevel', '5', '-address', '127.0.0.1',
             '-port', str(self.port), '-ca', str(folder / 'ca.pem'),
             '-ca-key', str(folder / 'ca.key'), '-db-config',
             str(folder / 'db.json')],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(('127.0.0.1', self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit('cfssl does not start')

    def stop(self):
        self.p.terminate()
        self.p.wait(10)


def run_cfssl(args, out, stack):
    tokens = [base64.b64decode(t) for t in
              (out / 'tokens-rsa2048').read_text().split()]
    (out / 'tokens-cfssl').write_text('\n'.join(
        json.dumps(pem(t))[1:-1] for t in tokens) + '\n')
    (out / 'cfssl.json').write_text('{"certificate_request": "@TOKEN@"}')
    cfssl = Cfssl(out / 'peer', stack)
    cmd = [str(args.build / 'load'), '--url',
           'http://127.0.0.1:%d/api/v1/cfssl/sign' % cfssl.port, '--body',
           str(out / 'cfssl.json'), '--tokens', str(out / 'tokens-cfssl'),
           '--type', 'application/json', '--expect', 'BEGIN CERTIFICATE',
           '--connections', '16', '--seconds', str(args.seconds)]
    ticks = cpu_of(cfssl.p.pid)
    try:
        res = json.loads(subprocess.run(cmd, capture_output=True, text=True,
                                        check=True).stdout)
        ticks = cpu_of(cfssl.p.pid) - ticks
    finally:
        cfssl.stop()
    return res, ticks


def cpu_of(pid):
    """User and system seconds so far."""
    stat = pathlib.Path('/proc/%d/stat' % pid).read_text()
    f = stat[stat.rindex(')') + 2:].split()
    return (int(f[11]) + int(f[12])) / rig.TICK


def run_openssl(args, out):
    folder = out / 'peer'
    (folder / 'ca.conf').write_text(OPENSSL % {'dir': folder})
    (folder / 'index.txt').write_text('')
    (folder / 'serial').write_text('1000\n')
    for i, t in enumerate((out / 'tokens-rsa2048').read_text().split()):
        (folder / ('%d.csr' % i)).write_text(pem(base64.b64decode(t)))
    done, start = 0, time.time()
    while time.time() - start < args.seconds:
        subprocess.run(['openssl', 'ca', '-batch', '-config',
                        str(folder / 'ca.conf'), '-in',
                        str(folder / ('%d.csr' % (done % 40))), '-out',
                        str(folder / 'out.pem'), '-notext'],
                       check=True, capture_output=True)
        done += 1
    return done / (time.time() - start)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--seconds', type=float, default=5)
    ap.add_argument('--workers', type=int, default=2)
    ap.add_argument('--build', default=TOP / 'build')
    args = ap.parse_args()
    out = TOP / 'var/bench'
    out.mkdir(parents=True, exist_ok=True)
    make_ca(out / 'peer')
    results = bench.Results(out / 'results.json', keep=True)
    with bench.Bench(args, results) as b:
        ours = b.enroll(16)
        res, cpu = run_cfssl(args, out, b.stack)
        say('cfssl serve, 16 connections: %.0f/s, p50 %.2f, p99 %.2f ms, '
            '%.0f us each, failed %d' % (
                res['per_second'], res['p50_ms'], res['p99_ms'],
                cpu * 1e6 / max(res['all'], 1), res['failed']))
        results.put({'case': 'cfssl-c16', 'failed': res['failed'],
                     **{k: res[k] for k in ('per_second', 'p50_ms',
                                            'p99_ms')}})
        results.ratio('enroll over cfssl with PostgreSQL, 16 connections',
                      ours['per_second'] / res['per_second'], 2,
                      [ours['case'], 'cfssl-c16'])
        results.ratio('enroll over 528 (adcs_python)',
                      ours['per_second'] / 528, 10, [ours['case']])
    rate = run_openssl(args, out)
    say('openssl ca, a process each: %.0f/s' % rate)
    results.put({'case': 'openssl-ca', 'per_second': round(rate, 1)})
    say('%d cores; written to var/bench/results.json' % os.cpu_count())


if __name__ == '__main__':
    main()
