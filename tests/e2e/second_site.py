"""The shipped site once more, changed, on other ports, before the same
workers or others."""
import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest
from lxml import html

from ports import free_port
from waits import wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]


def ctl_words(env):
    """Program and options of a stack's command line.  Where root's stack runs
    as somebody else CS_CTL is a script that changes over first: its words are
    taken."""
    words = shlex.split(env['CS_CTL'])
    if len(words) == 1:
        ways = re.findall(r'exec (.*?) "\$@"', open(words[0]).read())
        words = shlex.split(ways[0 if os.geteuid() == 0 else -1])
    return words


def reload_nginx(stack):
    """And wait until nobody answers by the old configuration."""
    master = stack.pids('nginx')[0]
    children = pathlib.Path('/proc/%d/task/%d/children' % (master, master))
    old = set(children.read_text().split())
    os.kill(master, signal.SIGHUP)
    wait_for(lambda: not old & set(children.read_text().split()))


@contextlib.contextmanager
def second_site(stack, folder, change):
    """change: the site's text to another.  Gives a function from an address
    of the stack to the one there; nginx's pid is in the file pid of folder."""
    for part in [folder, *folder.parents][:3]:
        part.chmod(part.stat().st_mode | 0o111)
    ports = {}

    def other(m):
        if m[0] not in ports:
            ports[m[0]] = str(free_port())
        return ports[m[0]]
    site = change((stack.dir / 'etc/site.conf').read_text())
    (folder / 'site.conf').write_text(
        re.sub(r'(?<=listen 127.0.0.1:)\d+', other, site))
    top = stack.dir.resolve()
    text = (top / 'etc/nginx.conf').read_text()
    for old, new in (('etc/site.conf', 'site.conf'), ('log/nginx.log', 'log'),
                     ('nginx/master.pid', 'pid')):
        assert str(top / old) in text
        text = text.replace(str(top / old), str(folder / new))
    # Workers serve only the user that the stack runs as, whom root has made
    # by a namespace perhaps: then it must stay root.
    if os.geteuid() == 0:
        text = 'user root;\n' + text
    (folder / 'nginx.conf').write_text(text)
    owner = os.stat(stack.dir)
    os.chown(folder, owner.st_uid, owner.st_gid)
    words = ctl_words(stack.env)
    p = subprocess.Popen(
        words[:words.index('-c') - 1] + ['nginx', '-c',
                                         str(folder / 'nginx.conf')],
        stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: p.poll() is not None or (folder / 'pid').exists())
        assert p.poll() is None
        yield lambda url: re.sub(r'(?<=:)\d+(?=/)', lambda m: ports[m[0]],
                                 url, count=1)
    finally:
        p.terminate()
        p.wait(300)


def by_page(stack, shared, folder, auth, instead, **env):
    """Asks with the cepces.conf that people copy from the landing page, but
    for what is theirs."""
    clients = shared / 'clients'
    if not (clients / 'cepces-0.3.17').exists():
        pytest.skip('no ../shared/clients: cepces is not here')
    page = html.fromstring(site_of(stack, folder)['index.html'])
    conf, = [c.text_content() for c in page.iter('code')
             if 'auth=' + auth in c.text_content()]
    instead['/usr/local/share/ca-certificates/Demo-CA-root.crt'] = \
        stack.env['CS_ROOT_PEM']
    for theirs, ours in instead.items():
        assert theirs in conf
        conf = conf.replace(theirs, str(ours))
    (folder / 'cepces.conf').write_text(conf)
    return subprocess.run(
        ['/usr/bin/python3', clients / 'cepces-0.3.17/bin/cepces-submit'],
        env=dict(os.environ, **env, PYTHONDONTWRITEBYTECODE='1',
                 PYTHONPATH='%s:%s' % (clients / 'cepces-0.3.17/src',
                                       clients / 'requests-gssapi/src'),
                 CERTMONGER_OPERATION='GET-SUPPORTED-TEMPLATES'),
        cwd=folder, capture_output=True, text=True, timeout=300)


def site_of(stack, folder):
    """deploy/site.sh, as the demo calls it."""
    (folder / 'page').write_text(stack.ctl('ca', 'page').stdout)
    subprocess.run([TOP / 'deploy/site.sh', folder / 'web', folder / 'page'],
                   check=True, timeout=300)
    read = {f.name: f.read_bytes() for f in (folder / 'web').iterdir()
            if f.is_file()}
    return {n: b.decode('utf-16' if n.endswith('.reg') else 'utf-8')
            for n, b in read.items()}
