"""Hosts in network namespaces on one machine, set up with the files of
deploy/ha as docs/ha.md says: a balancer, two web hosts, two signers, three
database hosts under Patroni and etcd, and an operator."""
import contextlib
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/e2e'))
BUILD = TOP / os.environ.get('BUILD', 'build')
HOSTS = {'front': 2, 'operator': 5, 'db-1': 11, 'db-2': 12, 'db-3': 13,
         'web-1': 21, 'web-2': 22, 'signer-1': 31, 'signer-2': 32}
DBS = ('db-1', 'db-2', 'db-3')
NET = '10.77.%d.%%d' % (os.getpid() % 250)   # runs may be side by side
CA = 'HA-CA'


def address(host):
    return NET % HOSTS[host]


def render(name, **words):
    """A file of the tree with its words between @ signs replaced."""
    text = (TOP / name).read_text()
    for k, v in words.items():
        text = text.replace('@%s@' % k, str(v))
    left = re.findall(r'^[^#\n]*@[A-Z_]+@', text, re.M)
    assert not left, left
    return text


class Host:
    """A network namespace, a folder, and the processes started there."""

    def __init__(self, site, name):
        self.name, self.address = name, address(name)
        self.ns = 'cs%d-%s' % (os.getpid() % 10000, name)
        self.card = 'cs%d.%d' % (os.getpid() % 10000, HOSTS[name])
        self.dir = site.dir / name
        self.dir.mkdir()
        self.process = {}
        for line in ('netns add %s' % self.ns,
                     'link add %s type veth peer name e0 netns %s' % (
                         self.card, self.ns),
                     'link set %s master %s up' % (self.card, site.bridge),
                     '-n %s link set lo up' % self.ns,
                     '-n %s addr add %s/24 dev e0' % (self.ns, self.address),
                     '-n %s link set e0 up' % self.ns):
            subprocess.run(['ip', *line.split()], check=True)

    def inside(self, *words, user=None):
        words = [str(w) for w in words]
        if user:
            words = ['setpriv', '--reuid=' + user, '--regid=' + user,
                     '--init-groups', *words]
        return ['ip', 'netns', 'exec', self.ns, *words]

    def start(self, part, *words, user=None, env=None):
        """The same words again after a kill."""
        log = open(self.dir / (part + '.log'), 'a')
        self.process[part] = subprocess.Popen(
            self.inside(*words, user=user), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, 'HOME': str(self.dir), **(env or {})})

    def run(self, *words, **kw):
        return subprocess.run(self.inside(*words), check=True, text=True,
                              capture_output=True, timeout=60, **kw)

    def pids(self):
        return [int(p) for p in subprocess.run(
            ['ip', 'netns', 'pids', self.ns], capture_output=True,
            text=True).stdout.split()]

    def kill(self):
        """As if somebody pulled its plug."""
        for _ in range(50):
            pids = self.pids()
            if not pids:
                break
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        for p in self.process.values():
            p.wait()
        self.process = {}

    def cut(self, off=True):
        """The network cable."""
        subprocess.run(['ip', 'link', 'set', self.card,
                        'down' if off else 'up'], check=True)

    @contextlib.contextmanager
    def away(self):
        self.cut()
        try:
            yield time.time()
        finally:
            self.cut(False)


class Site:
    def __init__(self):
        self.dir = TOP / 'var/ha'
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.bridge = 'cs%d' % (os.getpid() % 10000)
        subprocess.run(['ip', 'link', 'add', self.bridge, 'type', 'bridge'],
                       check=True)
        subprocess.run(['ip', 'addr', 'add', NET % 1 + '/24', 'dev',
                        self.bridge], check=True)
        subprocess.run(['ip', 'link', 'set', self.bridge, 'up'], check=True)
        self.host = {name: Host(self, name) for name in HOSTS}
        self.secret = {k: secrets.token_hex(16) for k in (
            'SUPERUSER_PASSWORD', 'REPLICATION_PASSWORD', 'REST_PASSWORD')}
        self.etcd_state = None

    def stop(self):
        for h in self.host.values():
            h.kill()
            subprocess.run(['ip', 'netns', 'del', h.ns])
        subprocess.run(['ip', 'link', 'del', self.bridge])

    # Databases ---------------------------------------------------------------

    def make_certificates(self):
        """A CA of the database hosts' own."""
        def openssl(*words):
            subprocess.run(['openssl', *[str(w) for w in words]], check=True,
                           capture_output=True, cwd=self.dir)
        key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
               '-nodes')
        openssl('req', '-x509', *key, '-subj', '/CN=databases', '-keyout',
                'db-ca.key', '-out', 'db-ca.pem')
        for name in DBS:
            d = self.host[name].dir
            openssl('req', *key, '-subj', '/CN=' + name, '-keyout',
                    d / 'db.key', '-out', d / 'db.csr')
            (d / 'ext').write_text('subjectAltName=IP:%s,DNS:%s\n' % (
                address(name), name))
            openssl('x509', '-req', '-in', d / 'db.csr', '-CA', 'db-ca.pem',
                    '-CAkey', 'db-ca.key', '-CAcreateserial', '-extfile',
                    d / 'ext', '-out', d / 'db.pem')

    def start_database(self, name):
        h = self.host[name]
        words = dict(
            NAME=name, ADDRESS=h.address, DATA=h.dir / 'pg', SOCKET=h.dir,
            ETCD=', '.join('"%s:2379"' % address(n) for n in DBS),
            PGPASS=h.dir / 'pgpass', DB_CA=self.dir / 'db-ca.pem',
            DB_CERTIFICATE=h.dir / 'db.pem', DB_KEY=h.dir / 'db.key',
            DATABASE_NET=NET % 8 + '/29', WEB_NET=NET % 16 + '/28',
            SIGNER_NET=NET % 31 + '/32', OPERATOR_NET=address('operator') +
            '/32', **self.secret)
        text = render('deploy/ha/patroni.yml.in', **words)
        # Two networks of signers' addresses here.
        signer = next(line for line in text.splitlines()
                      if 'countersign_signer' in line)
        text = text.replace(signer, signer + '\n' + signer.replace(
            address('signer-1'), address('signer-2')))
        (h.dir / 'patroni.yml').write_text(text)
        etcd = render('deploy/ha/etcd.env.in', NAME=name, ADDRESS=h.address,
                      DATA=h.dir / 'etcd', CLUSTER=','.join(
                          '%s=http://%s:2380' % (n, address(n)) for n in DBS))
        env = dict(line.replace('"', '').split('=', 1)
                   for line in etcd.splitlines() if line.startswith('ETCD_'))
        (h.dir / 'patroni.yml').chmod(0o600)
        subprocess.run(['chown', '-R', 'postgres:', str(h.dir)], check=True)
        h.start('etcd', 'etcd', user='postgres', env=env)
        h.start('patroni', 'patroni', h.dir / 'patroni.yml', user='postgres')

    def roles(self):
        """name -> leader, sync_standby, replica or None."""
        out = {}
        for name in DBS:
            try:
                r = self.host['operator'].run(
                    'curl', '-s', '--max-time', '2',
                    'http://%s:8008/patroni' % address(name))
                import json
                v = json.loads(r.stdout)
                role = v.get('role') if v.get('state') == 'running' else None
                if role == 'replica' and v.get('sync_standby'):
                    role = 'sync_standby'
                out[name] = 'leader' if role in ('master', 'primary') else role
            except (subprocess.SubprocessError, ValueError):
                out[name] = None
        return out

    def wait_for(self, what, seconds, step=0.5):
        deadline = time.time() + seconds
        while not (v := what()):
            assert time.time() < deadline, self.roles()
            time.sleep(step)
        return v

    def leader(self):
        """The primary, once it has a synchronous standby."""
        r = self.roles()
        if 'sync_standby' in r.values():
            return next((n for n, v in r.items() if v == 'leader'), None)
        return None

    # Countersign -------------------------------------------------------------

    def psql(self, query, user='postgres', db='countersign', host=None):
        hosts = host or ','.join(address(n) for n in DBS)
        mode = '' if host else ' target_session_attrs=read-write'
        return self.host['operator'].run(
            'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-c',
            query, 'host=%s dbname=%s user=%s sslmode=verify-full sslrootcert'
            '=%s passfile=%s%s connect_timeout=3' % (
                hosts, db, user, self.dir / 'db-ca.pem',
                self.dir / 'pgpass', mode)).stdout.strip()

    def replayed(self):
        """Has every host what the primary has?"""
        try:
            lsn = self.psql('SELECT pg_current_wal_lsn()', db='postgres')
            return all(self.psql(
                "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >="
                "'%s'" % lsn, db='postgres', host=address(n)) == 't'
                for n in DBS)
        except subprocess.CalledProcessError:
            return False

    def make_database(self):
        roles = ['owner', 'worker', 'signer', 'operator', 'auditor']
        self.password = {r: secrets.token_hex(16) for r in roles}
        lines = ['*:*:*:countersign_%s:%s' % kv
                 for kv in self.password.items()]
        lines.append('*:*:*:postgres:' + self.secret['SUPERUSER_PASSWORD'])
        p = self.dir / 'pgpass'
        p.write_text('\n'.join(lines) + '\n')
        p.chmod(0o600)
        self.psql("CREATE ROLE countersign_owner LOGIN CREATEROLE PASSWORD "
                  "'%s'" % self.password['owner'], db='postgres')
        self.psql('CREATE DATABASE countersign OWNER countersign_owner',
                  db='postgres')
        # libpq does not go on behind a host that has no such database yet.
        self.wait_for(self.replayed, 60)

    def configure(self):
        """countersign init, and every file told about the other hosts."""
        conf = self.dir / 'conf'
        subprocess.run([
            str(BUILD / 'countersign'), 'init', str(conf), '--host', 'front',
            '--ca', CA, '--signers', '2', '--dsn-host', 'DATABASES',
            '--peer', 'www-data', '--sql-dir', str(TOP / 'sql'),
            '--policy-template', str(TOP / 'deploy/policy.conf.in')],
            check=True, capture_output=True)
        dsn = ('host=%s target_session_attrs=read-write sslrootcert=%s '
               'passfile=%s channel_binding=require connect_timeout=3' % (
                   ','.join(address(n) for n in DBS), self.dir / 'db-ca.pem',
                   self.dir / 'pgpass'))
        for f in (conf / 'etc').glob('*.conf'):
            text = f.read_text().replace("host='DATABASES'", dsn)
            for n in (1, 2):
                text = text.replace('tcp://127.0.0.1:%d"' % (7000 + n),
                                    'tcp://%s:%d"' % (
                                        address('signer-%d' % n), 7000 + n))
            f.write_text(text)
        self.conf = conf

    def ctl(self, *words, **kw):
        return self.host['operator'].run(
            BUILD / 'countersign', '-c', self.conf / 'etc/countersign.conf',
            *words, **kw)

    def set_up(self):
        self.configure()
        self.ctl('db', 'migrate')
        for role, word in self.password.items():
            self.psql("ALTER ROLE countersign_%s PASSWORD '%s'" % (role, word))
        self.wait_for(self.replayed, 60)
        self.psql('\n'.join(
            (TOP / 'sql/070_no_gifts.sql').read_text().splitlines()))
        self.ctl('ca', 'create', CA)
        self.ctl('account', 'add', 'demo', '--cn', 'Demo', '--group',
                 'web-admins', '--password-stdin', input='correct horse\n')
        self.ctl('account', 'add', 'webserver', '--machine', '--group',
                 'web-admins', '--no-password')
        self.ctl('policy', 'publish', self.conf / 'etc/policy-draft.conf')
        for n in (1, 2):
            self.start_signer('signer-%d' % n)
        self.wait_for(self.signers_answer, 30)
        self.make_tls()
        for n in (1, 2):
            self.start_web('web-%d' % n)
        self.start_front()

    def start_signer(self, name):
        self.host[name].start('signer', BUILD / 'countersign-signer', '-c',
                              self.conf / 'etc' / (name + '.conf'))

    def signers_answer(self):
        try:
            self.ctl('ping')
            return True
        except subprocess.CalledProcessError:
            return False

    def make_tls(self):
        d = self.dir
        subprocess.run(['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                        str(d / 'tls.key'), '-subj', '/CN=front', '-addext',
                        'subjectAltName=DNS:front', '-out',
                        str(d / 'tls.csr')], check=True, capture_output=True)
        self.ctl('request', 'submit', '--account', 'webserver', '--template',
                 'WebServer', '--csr', d / 'tls.csr', '-o', d / 'leaf.pem')
        issuer = (self.conf / 'ca' / (CA + '.pem')).read_text()
        root = (self.conf / 'ca' / (CA + '-root.pem')).read_text()
        (d / 'tls.pem').write_text((d / 'leaf.pem').read_text() + issuer)
        (d / 'cas.pem').write_text(issuer + root)

    def start_web(self, name):
        h = self.host[name]
        sock = h.dir / 'worker.sock'
        sock.unlink(missing_ok=True)
        site = render(
            'nginx/countersign.conf.in', HOST='front', CERT_HOST='front',
            HTTP_HOST='front', CAS='"%s" "%s";' % (CA, CA),
            LISTEN_HTTPS='443', LISTEN_CERT='8443', LISTEN_HTTP='80',
            BASE_URL='https://front', CERT_URL='https://front:8443',
            HTTP_URL='http://front', CLIENT_CAS=self.dir / 'cas.pem',
            CERTIFICATE=self.dir / 'tls.pem', KEY=self.dir / 'tls.key',
            WORKER='unix:%s' % sock, WEB=h.dir, RATE=10000, BURST=10000,
            CONNECTIONS=1000, INFLIGHT=3000,
            FASTCGI=TOP / 'nginx/countersign_fastcgi.conf')
        site = re.sub(r'(listen (443|8443|80))\b', r'\1 proxy_protocol', site)
        site = site.replace('listen 443 proxy_protocol ssl http2;',
                            'listen 443 proxy_protocol ssl http2;\n'
                            '\tlisten 127.0.0.1:9443 ssl;', 1)
        site += ('set_real_ip_from %s;\nreal_ip_header proxy_protocol;\n' %
                 address('front'))
        (h.dir / 'site.conf').write_text(site)
        (h.dir / 'nginx.conf').write_text(
            'daemon off; user www-data; pid %s/nginx.pid;\n'
            'events { worker_connections 1024; }\n'
            'http { access_log off; include %s/site.conf; }\n' % (
                h.dir, h.dir))
        conf = (self.conf / 'etc/worker.conf').read_text()
        conf = re.sub(r'^socket = .*$', 'socket = "%s"\nsocket-group = '
                      '"www-data"' % sock, conf, flags=re.M)
        (h.dir / 'worker.conf').write_text(conf)
        h.start('worker', BUILD / 'countersign-worker', '-c',
                h.dir / 'worker.conf')
        h.start('nginx', 'nginx', '-e', h.dir / 'nginx-error.log', '-c',
                h.dir / 'nginx.conf')

    def start_front(self):
        h = self.host['front']
        h.run('sysctl', '-q', '-p', TOP / 'deploy/ha/front.sysctl.conf')

        def servers(port):
            return ' '.join('server %s:%d max_fails=1 fail_timeout=5s;' % (
                address(w), port) for w in ('web-1', 'web-2'))
        stream = render('deploy/ha/front.conf.in', HTTPS_PORT=443,
                        CERT_PORT=8443, HTTP_PORT=80, CONNECTIONS=50,
                        WEB_HTTPS=servers(443),
                        WEB_CERT=servers(8443), WEB_HTTP=servers(80))
        (h.dir / 'nginx.conf').write_text(
            'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n'
            'daemon off; pid %s/nginx.pid;\nevents {}\n%s' % (h.dir, stream))
        h.start('nginx', 'nginx', '-e', h.dir / 'nginx-error.log', '-c',
                h.dir / 'nginx.conf')

    def env(self):
        """What a client is given, as make run writes it."""
        base = 'https://front'
        return {
            'CS_CEP_URL': base + '/ADPolicyProvider_CEP_UsernamePassword'
            '/service.svc/CEP',
            'CS_CES_URL': '%s/%s_CES_UsernamePassword/service.svc/CES' % (
                base, CA),
            'CS_USER': 'demo', 'CS_PASSWORD': 'correct horse',
            'CS_ROOT_PEM': str(self.conf / 'ca' / (CA + '-root.pem')),
            'CS_TEMPLATE': 'WebServer'}


def resolve_front():
    """The name front, for this process alone."""
    real = socket.getaddrinfo

    def lookup(host, *a, **kw):
        return real(address('front') if host == 'front' else host, *a, **kw)
    socket.getaddrinfo = lookup
