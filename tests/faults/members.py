"""Members of a domain, who log on by Kerberos, and the operator who keeps
their accounts.  Each import of the directory gives everybody new names; what
it gives together must stay together:
  word     an operator's command: what, gen; done: it reported success
"reconcile" disables whose names are not as the last word has them, until the
next import, or the operator whose word it was."""
import os
import pathlib
import re
import ssl

from clients import Enroller
import client
import tickets
from adfile import entry

REALM = 'FAULTS.EXAMPLE'
MEMBERS = 4
LEAVER = MEMBERS        # the last one, who comes and goes


def kerberos(state):
    """A keytab, and what deploy/demo.sh wants to know of it."""
    key = os.urandom(32)
    (state / 'http.keytab').write_bytes(tickets.keytab(
        ('HTTP/localhost@' + REALM, 1, tickets.AES256, key)))
    (state / 'http.keytab').chmod(0o600)
    (state / 'http.key').write_bytes(key)
    return {'KERBEROS_KEYTAB': str(state / 'http.keytab'),
            'KERBEROS_REALM': REALM}


def account(i):
    return 'm%d@%s' % (i, REALM.lower())


def directory(gen):
    """LDIF.  Two neighbours change places with each generation: each has
    the other's UPN, and one of them is in a group."""
    return ''.join(entry(
        1100 + i, 'm%d' % i, ['users'] + ['odd'] * ((i + gen) % 2),
        cn='m%d g%d' % (i, gen), mail='m%d.g%d@faults.example' % (i, gen),
        userPrincipalName='u%d@faults.example' % (i ^ (
            gen % 2 if i < MEMBERS else 0))) for i in range(MEMBERS + 1))


class Ticket(client.Client):
    """Each request brings a token of its own: one that came before is worth
    nothing."""

    def __init__(self, env, state, i):
        super().__init__({**env, 'CS_CES_URL': env['CS_CES_KERBEROS_URL']})
        pem = (state / 'tls/server.pem').read_text()
        self.bound = tickets.bindings(ssl.PEM_cert_to_DER_cert(re.search(
            '-----BEGIN.*?-----END CERTIFICATE-----', pem, re.S)[0]))
        self.key, self.i = (state / 'http.key').read_bytes(), i

    def header(self):
        return ''

    def post(self, url, data, **kw):
        t = tickets.Ticket(
            key=self.key, client='m%d' % self.i, realm=REALM,
            service_realm=REALM,
            ad={'sid': 'S-1-5-21-1-2-3-%d' % (1100 + self.i)})
        token = tickets.spnego(t.token(bindings=self.bound))
        return super().post(url, data, Authorization='Negotiate ' +
                            client.base64.b64encode(token).decode(), **kw)


class Member(Enroller):
    """Whoever of them it is."""

    def run(self):
        while not self.w.stop.is_set():
            self.enroll_as('ticket', self.random.randrange(MEMBERS))

    def enroll_as(self, kind, i):
        self.renew_connection = lambda: Ticket(self.w.c.env,
                                               self.w.c.state, i)
        self.http = self.renew_connection()
        key = client.ec_key()
        return self.ask(kind, client.make_csr(key, template='User'), key,
                        who=i, least=self.w.imported)


class Clerk(Member):
    """Imports what the directory has now, and bars one for a moment."""

    def __init__(self, world, n):
        super().__init__(world, n)
        self.gen = 0
        self.file = pathlib.Path(world.c.state / 'directory.ldf')

    def run(self):
        while not self.w.stop.wait(0.5):
            self.round()
        self.round()            # what reconcile left to the next import

    def word(self, what, *args):
        """Until it is done: what came of one that failed, nobody knows."""
        self.w.journal.write('word', what=what, gen=self.gen, done=False)
        while True:
            with self.w.desk:
                r = self.w.ctl('account', *args)
                if r.returncode == 0:
                    self.w.journal.write('word', what=what, gen=self.gen,
                                         done=True)
                    return
            self.w.note(r.stderr)
            self.w.stop.wait(0.2)

    def round(self):
        self.gen += 1
        self.file.write_text(directory(self.gen))
        self.word('import', 'import', str(self.file), '--realm', REALM,
                  '--group', 'users', '--group', 'odd')
        self.w.imported = self.gen
        self.word('change', 'change', account(LEAVER), '--email',
                  'gone.g%d@faults.example' % self.gen)
        self.word('disable', 'disable', account(LEAVER))
        self.enroll_as('barred', LEAVER)
        self.word('enable', 'enable', account(LEAVER))
        self.enroll_as('ticket', LEAVER)
