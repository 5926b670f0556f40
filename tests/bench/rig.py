"""What the benchmarks stand on: a stack of its own, the messages, and one run
of the load generator with the CPU time of every program."""
import base64
import hashlib
import itertools
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


def below(roots, table):
    """These processes and all that they have started."""
    found = {p for p in table if p in roots}
    grown = True
    while grown:
        more = {p for p, v in table.items() if v[0] in found} - found
        grown = bool(more)
        found |= more
    return found


def cpu_of(pids, table):
    """CPU seconds so far."""
    return sum(table[p][1] + table[p][2] for p in pids) / TICK


def rss_of(pids):
    """Resident MB of the largest of them, shared pages too."""
    kb = 0
    for p in pids:
        try:
            for line in open('/proc/%d/status' % p):
                if line.startswith('VmRSS'):
                    kb = max(kb, int(line.split()[1]))
        except OSError:
            pass
    return round(kb / 1024, 1)


class Stack:
    """"make run" in a folder, from nothing; options are its environment."""

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

    @property
    def dir(self):
        """For second_site."""
        return self.state

    def recycle_wal(self, segments=32):
        """As where a database has run for a while: a new one makes each 16 MB
        of its log when it needs them, and no COMMIT ends meanwhile."""
        commands = ["ALTER SYSTEM SET min_wal_size = '1GB'",
                    'SELECT pg_reload_conf()',
                    *["SELECT pg_logical_emit_message(false, '', ''), "
                      'pg_switch_wal()'] * segments, 'CHECKPOINT']
        dsn = self.env['CS_DSN'].replace('countersign_auditor', 'postgres')
        subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', *[
            arg for c in commands for arg in ('-c', c)], dsn], check=True,
            stdout=subprocess.DEVNULL)

    def stop(self):
        os.killpg(self.p.pid, signal.SIGTERM)
        try:
            self.p.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.p.pid, signal.SIGKILL)

    def members(self, part, table):
        """Every process below the pid files of one part."""
        return below({int(f.read_text()) for f in
                      (self.state / 'run').glob(part + '*.pid')}, table)

    def cpu(self):
        """part -> CPU seconds so far."""
        table = proc_table()
        return {part: cpu_of(self.members(part, table), table)
                for part in PARTS}

    def rss(self):
        """part -> resident MB of its largest process, shared pages too."""
        table = proc_table()
        return {part: rss_of(self.members(part, table)) for part in PARTS}

    def rows(self):
        r = subprocess.run(['psql', '-Atc', 'SELECT count(*) FROM '
                            'countersign.certificate', self.env['CS_DSN']],
                           capture_output=True, text=True)
        return int(r.stdout or 0)


def lot(key):
    """Which of two signers a worker asks first about this key, as
    pubkey_lot says."""
    from cryptography.hazmat.primitives import serialization
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()[0] % 2


def fair_keys(count):
    """So many RSA keys, by turns the first signer's and the other's: with as
    many as a site has chance does it, with few it favours one."""
    import client
    found = [[], []]
    for i in itertools.count():
        key = client.rsa_key(2048, i)
        found[lot(key)].append(key)
        if min(map(len, found)) >= count // 2:
            return [k for pair in zip(*found) for k in pair]


def message_files(out, env, count):
    """Bodies and CSRs made ahead."""
    import client
    tokens = out / 'tokens-rsa2048'
    if not tokens.exists():
        say('making %d RSA-2048 requests' % count)
        lines = []
        for i, key in enumerate(fair_keys(count)):
            name = 'bench%d.demo.example' % i
            csr = client.make_csr(key, name, [name], env['CS_TEMPLATE'])
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
    """Questions after a request that waits, after one that waited and was
    approved, and after one that was issued at once."""
    import client
    for kind, template in (('pending', env['CS_TEMPLATE_APPROVAL']),
                           ('approved', env['CS_TEMPLATE_APPROVAL']),
                           ('issued', env['CS_TEMPLATE'])):
        _, reply = bench_enroll(env, template, 'poll.demo.example')
        if kind == 'approved':
            subprocess.run(env['CS_CTL'].split() + [
                'request', 'approve', reply.request_id], check=True,
                stdout=subprocess.DEVNULL)
        ces_body(out, 'poll-%s.xml' % kind, env, client.rst(
            None, request_type=client.E + '/QueryTokenStatus',
            extra='<RequestID xmlns="%s">%s</RequestID>' % (
                client.E, reply.request_id)))


def form_files(out, env, count=40):
    """CSRs with P-256 keys, CMC, and messages of who has a certificate."""
    import client
    ec = [client.ec_key() for _ in range(count)]
    name = 'bench.demo.example'
    csrs = [client.make_csr(k, name, [name], env['CS_TEMPLATE']) for k in ec]
    tokens = {'p256': csrs, 'rsa2048-user': [client.make_csr(
        client.rsa_key(2048, i), 'demo', [], 'User') for i in range(count)]}
    tokens['cmc'] = [client.make_cmc(client.rsa_key(2048, i), client.make_csr(
        client.rsa_key(2048, i), name, [name], env['CS_TEMPLATE']))
        for i in range(count)]
    for kind, ders in tokens.items():
        (out / ('tokens-' + kind)).write_text(''.join(
            base64.b64encode(d).decode() + '\n' for d in ders))
    ces_body(out, 'cmc.xml', env, client.rst(b'', pkcs10=False).replace(
        '></BinarySecurityToken>', '>@TOKEN@</BinarySecurityToken>'))
    (out / 'enroll-cert.xml').write_bytes(client.envelope(
        client.RST, env['CS_CES_CERT_URL'],
        client.rst(b'').replace('></BinarySecurityToken>',
                                '>@TOKEN@</BinarySecurityToken>'), '',
        '@MESSAGE_ID@'))


def enroll_size(env):
    """Bytes of what CES answers a new enrollment."""
    return len(bench_enroll(env, env['CS_TEMPLATE'],
                            'bench.demo.example')[1].http.content)


def answer_size(env):
    """Bytes of what CEP answers the demo user."""
    import client
    return len(client.Client(env).policies().http.content)


def start_load(generator, out, stack, case):
    """The generator at work; its output is for ended_load.

    case: url, body, connections, seconds, expect; perhaps tokens, rate,
    handshake, cert, key, obey, series."""
    cmd = [str(generator), '--ca', stack.env['CS_ROOT_PEM']]
    for k, v in case.items():
        if v is not None:
            cmd += ['--' + k, str(out / v) if k in ('body', 'tokens')
                    else str(v)]
    return subprocess.Popen(cmd, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def ended_load(p):
    out, err = p.communicate()
    if not out:
        sys.exit('load: %s' % err)
    return json.loads(out)


def load(generator, out, stack, case):
    """One run of the generator: its result, and CPU us per request and
    part."""
    before = stack.cpu()
    res = ended_load(start_load(generator, out, stack, case))
    after = stack.cpu()
    # Handshakes included, which many connections show.
    cpu = {p: round((after[p] - before[p]) * 1e6 / max(res['all'], 1), 1)
           for p in before}
    cpu['generator'] = round(res['cpu_s'] * 1e6 / max(res['done'], 1), 1)
    return res, cpu
