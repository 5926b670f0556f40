"""The shipped site once more, changed, on other ports, before the same
workers or others."""
import contextlib
import os
import re
import shlex
import socket
import subprocess
import time


def ctl_words(env):
    """Program and options of a stack's command line.  Where root's stack runs
    as somebody else CS_CTL is a script that changes over first: its words are
    taken."""
    words = shlex.split(env['CS_CTL'])
    if len(words) == 1:
        ways = re.findall(r'exec (.*?) "\$@"', open(words[0]).read())
        words = shlex.split(ways[0 if os.geteuid() == 0 else -1])
    return words


@contextlib.contextmanager
def second_site(stack, folder, change):
    """change: the site's text to another.  Gives a function from an address
    of the stack to the one there; nginx's pid is in the file pid of folder."""
    for part in [folder, *folder.parents][:3]:
        part.chmod(part.stat().st_mode | 0o111)
    ports = {}

    def other(m):
        if m[0] not in ports:
            with socket.create_server(('127.0.0.1', 0)) as s:
                ports[m[0]] = str(s.getsockname()[1])
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
        deadline = time.time() + 20
        while not (folder / 'pid').exists():
            assert p.poll() is None and time.time() < deadline
            time.sleep(0.1)
        yield lambda url: re.sub(r'(?<=:)\d+(?=/)', lambda m: ports[m[0]],
                                 url, count=1)
    finally:
        p.terminate()
        p.wait(20)
