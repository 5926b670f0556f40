"""Keys of CAs that signers are given while all runs."""
import os
import re
import signal

from hierarchy import ca_dir
from waits import wait_for


def put(stack, path, text):
    path.write_text(text)
    st = stack.dir.stat()
    os.chown(path, st.st_uid, st.st_gid)


def restart_signer(stack, n):
    """Ended as systemd would; the supervisor starts it again."""
    pid_file = stack.dir / ('run/signer-%d.pid' % n)
    old = int(pid_file.read_text())
    os.kill(old, signal.SIGTERM)
    port = int(re.search(r'listen = "tcp://[^:]+:(\d+)"', (
        stack.dir / ('etc/signer-%d.conf' % n)).read_text()).group(1))
    wait_for(lambda: int(pid_file.read_text() or 0) not in (0, old))
    wait_for(lambda: stack.ctl('ping', ok=None).returncode == 0)
    return port


def give_key(stack, name, signers=(1, 2), of=None):
    """A ca section for each of these signers, and start them again one by
    one."""
    d = ca_dir(stack)
    for n in signers:
        conf = stack.dir / ('etc/signer-%d.conf' % n)
        put(stack, conf, conf.read_text() + '\nca "%s" {\n' % name +
            ('\tof = "%s"\n' % of if of else '') +
            '\tcertificate = "%s/%s.pem"\n\tchain = "%s/%s.chain.pem"\n'
            '\tkey = "%s/%s.key"\n\tpassphrase-file = "%s/%s.pass"\n}\n' % (
                d, name, d, name, d, name, d, name))
        restart_signer(stack, n)


def http_url(stack):
    return re.search(r'http://[^/"]+', (stack.dir / 'etc/policy.conf')
                     .read_text()).group(0)


def sign(own, name, subject, out):
    """On the host of the demo's root."""
    path = own.dir / 'root' / out
    own.ctl('ca', 'sign-subordinate', str(own.dir / 'root/Demo-Root'),
            str(ca_dir(own) / (name + '.csr')), '--subject', subject, '--cdp',
            http_url(own) + '/ca/Demo-Root.crl', '-o', str(path))
    return path
