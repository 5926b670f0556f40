#!/usr/bin/python3
"""One round over an air gap with many requests: what each side takes.  A stack
of its own in var/bench-airgap; the requests come through nginx, worker and
front desk like any others.  Usage: airgap.py [REQUESTS]"""
import base64
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/e2e'))

import client  # noqa: E402

STATE = TOP / 'var/bench-airgap'
LIMIT = 60      # seconds of work for 10,000 requests


def start(env):
    subprocess.run(['deploy/demo.sh', 'clean'], cwd=TOP, env=env, check=True)
    p = subprocess.Popen(['make', '-s', 'run'], cwd=TOP, env=env,
                         stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 120
    while not (STATE / 'env').exists():
        if p.poll() is not None or time.time() > deadline:
            raise SystemExit('the stack does not start: see ' + str(STATE))
        time.sleep(0.1)
    return p, dict(part.split('=', 1) for line in open(STATE / 'env')
                   for part in shlex.split(line))


def submit(env, wanted):
    """Fill the desk with requests of 500 keys."""
    url, out = env['CS_VAULT_CES_URL'], STATE / 'load'
    out.mkdir(exist_ok=True)
    with open(out / 'tokens', 'w') as f:
        for i in range(500):
            name = 'b%d.demo.example' % i
            f.write(base64.b64encode(client.make_csr(
                client.ec_key(), name, [name], 'VaultServer')).decode() + '\n')
    body = client.envelope(client.RST, url, client.rst(b'token'),
                           client.security(env['CS_USER'], env['CS_PASSWORD']),
                           'urn:uuid:@MESSAGE_ID@').decode()
    (out / 'body').write_text(body.replace(
        base64.encodebytes(b'token').decode(), '@TOKEN@'))
    while waiting(env) < wanted:
        r = subprocess.run([TOP / 'build/load', '--url', url, '--ca',
                            env['CS_ROOT_PEM'], '--body', out / 'body',
                            '--tokens', out / 'tokens', '--connections', '16',
                            '--seconds', '5', '--expect', 'Submission'],
                           check=True, capture_output=True, text=True)
        if not json.loads(r.stdout)['done']:
            raise SystemExit('nothing is accepted: ' + r.stdout)


def sql(env, query):
    import psycopg
    with psycopg.connect(env['CS_DSN']) as db:
        return db.execute(query).fetchall()


def waiting(env):
    return sql(env, "SELECT count(*) FROM countersign.request "
                    "WHERE ca = 'Vault-CA' AND state = 'pending'")[0][0]


def postgres_cpu():
    """Seconds of CPU of the stack's PostgreSQL, ended backends included."""
    top = int((STATE / 'run/postgres.pid').read_text())
    ticks = 0
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            f = stat.read_text().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(stat.parent.name) == top:
            ticks += sum(map(int, f[11:15]))
        elif int(f[1]) == top:
            ticks += sum(map(int, f[11:13]))
    return ticks / os.sysconf('SC_CLK_TCK')


def most_memory(pid, most):
    try:
        for line in open('/proc/%d/status' % pid):
            if line.startswith('VmHWM'):
                return max(most, int(line.split()[1]) / 1024)
    except OSError:
        pass
    return most


def timed(name, words):
    """Wall-clock and CPU seconds and the most memory of one program, and what
    the database did for it."""
    t, before, most = time.perf_counter(), postgres_cpu(), 0
    p = subprocess.Popen(words, stdout=subprocess.DEVNULL,
                         stdin=subprocess.DEVNULL)
    while True:
        most = most_memory(p.pid, most)
        pid, status, use = os.wait4(p.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.02)
    if status != 0:
        raise SystemExit('%s failed' % name)
    row = {'step': name, 'seconds': round(time.perf_counter() - t, 2),
           'cpu_seconds': round(use.ru_utime + use.ru_stime, 2),
           'database_seconds': round(postgres_cpu() - before, 2),
           'rss_mb': round(most, 1)}
    print('%-8s %6.2f s; CPU: itself %5.2f s, database %5.2f s; %5.1f MB' % (
        name, *list(row.values())[1:]), flush=True)
    return row


def main():
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    p, env = start(dict(os.environ, AIRGAP='1', STATE=str(STATE),
                        DEMO_CTL=''))
    try:
        submit(env, wanted)
        n = waiting(env)
        ctl, stick = shlex.split(env['CS_CTL']), pathlib.Path(env['CS_STICK'])
        ask, answer = stick / 'requests.bundle', stick / 'responses.bundle'
        apart = ['unshare', '-n'] if os.geteuid() == 0 else ['unshare', '-rn']
        rows = [
            timed('export', ctl + ['airgap', 'export', str(ask)]),
            timed('sign', apart + [
                env['CS_VAULT_SIGNER'], '-c', env['CS_VAULT_CONF'], 'airgap',
                'sign', '--yes', '-o', str(answer), str(ask)]),
            timed('import', ctl + ['airgap', 'import', str(answer)])]
        assert waiting(env) == 0, 'not all are answered'
        total = sum(r['cpu_seconds'] + r['database_seconds'] for r in rows)
        scaled = total * 10000 / n
        print('%d requests: %.1f s of work, for 10,000 %.1f s (limit %d s); '
              'bundles %.1f and %.1f MB' % (n, total, scaled, LIMIT, *(
                  f.stat().st_size / 1e6 for f in (ask, answer))))
        with open(TOP / 'var/bench-airgap.json', 'w') as f:
            json.dump({'requests': n, 'seconds': total, 'steps': rows}, f)
        return scaled > LIMIT
    finally:
        os.killpg(p.pid, 15)
        p.wait(60)
        shutil.rmtree(STATE, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
