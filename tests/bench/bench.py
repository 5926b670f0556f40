#!/usr/bin/python3
"""make bench: enrollments through the real stack, as text and as one JSON
object a line in var/bench/results.json.

Needs a built tree; starts a stack of its own ("make run") under var/bench.
CPU is read from /proc for every process of the stack, children included.
"""
import argparse
import base64
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/e2e'))
TICK = os.sysconf('SC_CLK_TCK')
PARTS = ('nginx', 'worker', 'signer', 'postgres')


def say(text):
    print(text, flush=True)


def proc_table():
    """pid -> (ppid, user + system ticks, reaped children's ticks)."""
    table = {}
    for d in os.listdir('/proc'):
        if not d.isdigit():
            continue
        try:
            stat = open('/proc/%s/stat' % d).read()
        except OSError:
            continue
        f = stat[stat.rindex(')') + 2:].split()
        table[int(d)] = (int(f[1]), int(f[11]) + int(f[12]),
                         int(f[13]) + int(f[14]))
    return table


class Stack:
    def __init__(self, state, options):
        self.state = state
        env = dict(os.environ, **options)
        self.log = open(state.parent / 'stack.log', 'w')
        # From nothing: a stack of an older version has an older database.
        subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, check=True,
                       env=dict(env, STATE=str(state)), stdout=self.log)
        self.p = subprocess.Popen(
            ['make', '-s', 'run', 'STATE=%s' % state], cwd=TOP, env=env,
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.time() + 180
        while not (state / 'env').exists():
            if self.p.poll() is not None or time.time() > deadline:
                sys.exit('the stack did not start: see %s' % self.log.name)
            time.sleep(0.2)
        self.env = dict(part.split('=', 1) for line in open(state / 'env')
                        for part in shlex.split(line) if '=' in part)

    def stop(self):
        os.killpg(self.p.pid, signal.SIGTERM)
        try:
            self.p.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.p.pid, signal.SIGKILL)

    def members(self, part, table):
        """Every process below the pid files of one part."""
        roots = {int(f.read_text()) for f in
                 (self.state / 'run').glob(part + '*.pid')}
        found = {p for p in table if p in roots}
        grown = True
        while grown:
            more = {p for p, v in table.items() if v[0] in found} - found
            grown = bool(more)
            found |= more
        return found

    def cpu(self):
        """part -> CPU seconds so far."""
        table = proc_table()
        return {part: sum(table[p][1] + table[p][2]
                          for p in self.members(part, table)) / TICK
                for part in PARTS}

    def rss(self):
        """part -> resident MB of its largest process, shared pages too."""
        table, out = proc_table(), {}
        for part in PARTS:
            kb = 0
            for p in self.members(part, table):
                try:
                    for line in open('/proc/%d/status' % p):
                        if line.startswith('VmRSS'):
                            kb = max(kb, int(line.split()[1]))
                except OSError:
                    pass
            out[part] = round(kb / 1024, 1)
        return out

    def rows(self):
        r = subprocess.run(['psql', '-Atc', 'SELECT count(*) FROM '
                            'countersign.certificate', self.env['CS_DSN']],
                           capture_output=True, text=True)
        return int(r.stdout or 0)


def raw_costs():
    """What nobody can avoid, measured at the same moment: CPU us each."""
    r = subprocess.run(['openssl', 'speed', '-mr', '-seconds', '1',
                        'ecdsap256', 'rsa2048'], capture_output=True,
                       text=True)
    out = {}
    for line in r.stdout.splitlines():
        f = line.split(':')
        name = {'+F2': 'rsa2048', '+F4': 'p256'}.get(f[0])
        if name:
            out['sign-' + name] = round(1e6 / float(f[3]), 1)
            out['verify-' + name] = round(1e6 / float(f[4]), 1)
    return out


def message_files(out, env, count):
    """Bodies and CSRs made ahead."""
    import client
    tokens = out / 'tokens-rsa2048'
    if not tokens.exists():
        say('making %d RSA-2048 requests' % count)
        lines = []
        for i in range(count):
            name = 'bench%d.demo.example' % i
            csr = client.make_csr(client.rsa_key(2048, i), name, [name],
                                  env['CS_TEMPLATE'])
            lines.append(base64.b64encode(csr).decode())
        tokens.write_text('\n'.join(lines) + '\n')
    # No Timestamp: a body file outlives five minutes.
    head = client.security(env['CS_USER'], env['CS_PASSWORD'],
                           timestamp=False)
    (out / 'enroll.xml').write_bytes(client.envelope(
        client.RST, env['CS_CES_URL'],
        client.rst(b'').replace('></BinarySecurityToken>',
                                '>@TOKEN@</BinarySecurityToken>'),
        head, '@MESSAGE_ID@'))
    (out / 'cep.xml').write_bytes(client.envelope(
        client.GETPOLICIES, env['CS_CEP_URL'], client.get_policies(), head,
        '@MESSAGE_ID@'))
    os.chmod(out / 'enroll.xml', 0o600)
    os.chmod(out / 'cep.xml', 0o600)


def ces_body(out, name, env, body):
    """A message of the demo user to CES, with a fresh id each time."""
    import client
    (out / name).write_bytes(client.envelope(
        client.RST, env['CS_CES_URL'], body,
        client.security(env['CS_USER'], env['CS_PASSWORD'], timestamp=False),
        '@MESSAGE_ID@'))
    os.chmod(out / name, 0o600)


def bench_enroll(env, template, name):
    """(key, reply) of one enrollment of this stack."""
    import client
    key = client.rsa_key(2048, 0)
    reply = client.Client(env).enroll(client.make_csr(key, name, [name],
                                                      template))
    if reply.fault is not None:
        sys.exit('bench: %s' % reply.reason)
    return key, reply


def renewal_files(out, env, count=40):
    """Renewals of one certificate of this stack: CMC, signed by both keys;
    with the old key and with new ones."""
    import client
    name = 'renew.demo.example'
    old, reply = bench_enroll(env, env['CS_TEMPLATE'], name)
    for kind, keys in (('same', [old]), ('new', [client.rsa_key(2048, i)
                                                 for i in range(1, count)])):
        lines = []
        for key in keys:
            csr = client.renewal_csr(key, reply.leaf, cn=name, dns=[name],
                                     template=env['CS_TEMPLATE'])
            lines.append(base64.b64encode(client.renewal_cmc(
                csr, key, old, reply.leaf)).decode())
        (out / ('tokens-renewal-' + kind)).write_text('\n'.join(lines) + '\n')
    ces_body(out, 'renew.xml', env, client.rst(b'', pkcs10=False).replace(
        '></BinarySecurityToken>', '>@TOKEN@</BinarySecurityToken>'))


def poll_files(out, env):
    """Questions after a request that waits and after one that is issued."""
    import client
    for kind, template in (('pending', env['CS_TEMPLATE_APPROVAL']),
                           ('issued', env['CS_TEMPLATE'])):
        _, reply = bench_enroll(env, template, 'poll.demo.example')
        ces_body(out, 'poll-%s.xml' % kind, env, client.rst(
            None, request_type=client.E + '/QueryTokenStatus',
            extra='<RequestID xmlns="%s">%s</RequestID>' % (
                client.E, reply.request_id)))


class Bench:
    def __init__(self, args):
        self.args = args
        self.out = TOP / 'var/bench'
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = open(self.out / 'results.json', 'w')
        self.stack = Stack(self.out / 'stack', {
            'PROCESSES': str(args.workers), 'SIGNERS': str(args.signers),
            'CA_KEY': args.ca})
        message_files(self.out, self.stack.env, 40)
        renewal_files(self.out, self.stack.env)
        poll_files(self.out, self.stack.env)

    def put(self, row):
        self.results.write(json.dumps(row) + '\n')
        self.results.flush()

    def load(self, url, body, connections, seconds, expect, tokens=None):
        cmd = [str(self.args.load), '--url', url, '--ca',
               self.stack.env['CS_ROOT_PEM'], '--body', str(self.out / body),
               '--connections', str(connections), '--seconds', str(seconds),
               '--expect', expect]
        if tokens:
            cmd += ['--tokens', str(self.out / tokens)]
        before = self.stack.cpu()
        r = subprocess.run(cmd, capture_output=True, text=True)
        after = self.stack.cpu()
        if not r.stdout:
            sys.exit('load: %s' % r.stderr)
        res = json.loads(r.stdout)
        done = max(res['done'], 1)
        # Handshakes included, which many connections show.
        cpu = {p: round((after[p] - before[p]) * 1e6 / max(res['all'], 1), 1)
               for p in PARTS}
        cpu['generator'] = round(res['cpu_s'] * 1e6 / done, 1)
        return res, cpu

    def case(self, name, url, body, connections, expect, tokens=None):
        res, cpu = self.load(url, body, connections, self.args.seconds,
                             expect, tokens)
        row = {'case': name, 'per_second': res['per_second'],
               'p50_ms': res['p50_ms'], 'p99_ms': res['p99_ms'],
               'p999_ms': res['p999_ms'], 'cpu_us': cpu,
               'failed': res['failed'], 'done': res['done'],
               'connections': connections, 'rss_mb': self.stack.rss(),
               'rows': self.stack.rows()}
        self.put(row)
        say('%-28s %8.0f/s  p50 %7.2f  p99 %7.2f ms  failed %d\n'
            '    CPU us each: %s\n    RSS MB: %s' % (
                name, row['per_second'], row['p50_ms'], row['p99_ms'],
                row['failed'],
                '  '.join('%s %.0f' % kv for kv in cpu.items()),
                '  '.join('%s %.1f' % kv for kv in row['rss_mb'].items())))
        # What the generator left in the queue is not the next case's.
        time.sleep(connections / 400)
        if res['failed']:
            say('    first failure: %s' % res.get('first_failure'))
        return row

    def ratio(self, costs, row):
        """The stack's CPU against the signatures that it must make."""
        key = 'rsa2048' if self.args.ca == 'rsa:2048' else 'p256'
        if key == 'p256' and self.args.ca != 'ec:P-256':
            return
        # Worker and signer verify the CSR; certificate and CMC response are
        # signed, and the certificate's signature is checked.
        floor = (2 * costs['verify-rsa2048'] + 2 * costs['sign-' + key] +
                 costs['verify-' + key])
        spent = sum(row['cpu_us'][p] for p in PARTS)
        self.put({'case': 'ratio-' + row['case'], 'spent_us': round(spent, 1),
                  'signatures_us': round(floor, 1),
                  'ratio': round(spent / floor, 2)})
        say('    stack %.0f us, its signatures alone %.0f us: %.1f times' %
            (spent, floor, spent / floor))

    def beside(self, new, name, body, expect, tokens=None):
        """A case and its CPU time as a multiple of a new enrollment's."""
        n = new['connections']
        row = self.case('%s-c%d' % (name, n), self.stack.env['CS_CES_URL'],
                        body, n, expect, tokens)
        spent, base = (sum(r['cpu_us'][p] for p in PARTS)
                       for r in (row, new))
        self.put({'case': 'ratio', 'name': name, 'value':
                  round(spent / base, 2), 'from': [row['case'],
                                                   new['case']]})
        say('    costs %.2f new enrollments' % (spent / base))

    def life(self, new):
        """Renewals (line: 1.3 new enrollments) and polls (line: 0.5)."""
        for kind in ('same', 'new'):
            self.beside(new, 'renew-%s-key-cmc-userpass' % kind, 'renew.xml',
                        'RequestedSecurityToken', 'tokens-renewal-' + kind)
        for kind in ('pending', 'issued'):
            self.beside(new, 'poll-%s-userpass' % kind,
                        'poll-%s.xml' % kind, 'RequestedSecurityToken')

    def run(self):
        env = self.stack.env
        ca = {'ec:P-256': 'p256', 'ec:P-384': 'p384'}.get(
            self.args.ca, self.args.ca.replace(':', ''))
        self.load(env['CS_CES_URL'], 'enroll.xml', 4, 1, 'RequestedSecurity',
                  'tokens-rsa2048')
        costs = raw_costs()
        self.put({'case': 'raw', 'us': costs})
        say('raw costs, us each: %s' %
            '  '.join('%s %.0f' % kv for kv in costs.items()))
        for n in self.args.connections:
            row = self.case('enroll-%s-userpass-c%d' % (ca, n),
                            env['CS_CES_URL'], 'enroll.xml', n,
                            'RequestedSecurityToken', 'tokens-rsa2048')
            self.ratio(costs, row)
        self.life(row)
        self.case('cep-getpolicies-c64', env['CS_CEP_URL'], 'cep.xml', 64,
                  'GetPoliciesResponse')
        if self.args.memory:
            self.memory()

    def memory(self):
        """Resident memory after 10,000 requests and after 50,000."""
        seen = {}
        done = 0
        for goal in (10000, 50000):
            while done < goal:
                res, _ = self.load(self.stack.env['CS_CES_URL'], 'enroll.xml',
                                   32, 2, 'RequestedSecurityToken',
                                   'tokens-rsa2048')
                done += res['done']
                if not res['done']:
                    sys.exit('no progress')
            seen[goal] = self.stack.rss()
            say('after %d requests, RSS MB: %s' % (done, seen[goal]))
        self.put({'case': 'memory', 'rss_mb_10000': seen[10000],
                  'rss_mb_50000': seen[50000]})


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--ca', default='ec:P-256')
    ap.add_argument('--workers', type=int, default=2, help='processes')
    ap.add_argument('--signers', type=int, default=1)
    ap.add_argument('--connections', type=lambda s: [int(x) for x in
                                                     s.split(',')],
                    default=[1, 8, 64])
    ap.add_argument('--seconds', type=float, default=5)
    ap.add_argument('--memory', action='store_true',
                    help='also resident memory at 10,000 and 50,000 requests')
    ap.add_argument('--load', default=TOP / 'build/load')
    b = Bench(ap.parse_args())
    try:
        b.run()
    finally:
        b.stack.stop()
    say('written to var/bench/results.json')


if __name__ == '__main__':
    main()
