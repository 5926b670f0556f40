"""A CA that stays elsewhere, and what the policy says of it."""
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import serialization

RENEWS = 'renewals = true'


class OtherCA:
    """As "openssl req" makes one; its name is that of an AD CS."""

    def __init__(self, folder):
        pem, key = folder / 'ca.pem', folder / 'ca.key'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048',
                        '-nodes', '-subj', '/DC=example/DC=corp/CN=Corp CA',
                        '-days', '400', '-keyout', key, '-out', pem],
                       check=True, capture_output=True)
        self.pem = pem.read_text()
        self.cert = x509.load_pem_x509_certificate(pem.read_bytes())
        self.key = serialization.load_pem_private_key(key.read_bytes(), None)


def section(cert, words, name='Corp'):
    pem = cert.public_bytes(serialization.Encoding.PEM).decode().split('\n')
    return '\ntrusted-ca "%s" {\n\tcertificate = {%s}\n\t%s\n}\n' % (
        name, ', '.join('"%s"' % w for w in pem if w), words)
