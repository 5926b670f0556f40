"""A database from before a CA got its next key: it is registered again, and then
all comes back that the key has signed."""
import shutil

import client
from cakeys import give_key, http_url, sign
from ledger_edits import damages, pg
from ledgers import (csr, issue, own, reconcile, restart_signers,  # noqa: F401
                     restore, root)
from revocation import entry, hex_serial, http
from waits import wait_for


def test_a_key_that_the_database_does_not_know(own, root,  # noqa: F811
                                               tmp_path):
    dump = tmp_path / 'dump'
    pg(own, 'pg_dump', '-Fc', '-f', str(dump), 'countersign')
    own.ctl('ca', 'rollover', 'Demo-CA', '--key', 'ec:P-384')
    path = sign(own, 'Demo-CA-2', 'CN=Demo-CA-2', 'next.pem')
    install = ['ca', 'install', 'Demo-CA-2', str(path), '--of', 'Demo-CA']
    own.ctl(*install)
    give_key(own, 'Demo-CA-2', [1, 2], 'Demo-CA')
    wait_for(lambda: http.get(http_url(own) + '/ca/Demo-CA-2.crl')
             .status_code == 200)
    own.ctl('ca', 'activate', 'Demo-CA-2')
    cert = issue(own, 'two.demo.example')
    own.ctl('cert', 'revoke', hex_serial(cert), '--reason', 'superseded')
    wait_for(lambda: entry(cert))
    restart_signers(own)
    wait_for(lambda: damages(own, own.conf) == (0, []))

    restore(own, root, dump)
    wait_for(lambda: own.sql('SELECT count(*) FROM countersign.rollback '
                             'WHERE ended_at IS NULL') != [(0,)])
    said = own.ctl('reconcile', '--apply', ok=1).stderr
    assert 'ca Demo-CA-2, which certificate %s is of, is not in the ' \
        'database: register it again' % hex_serial(cert).lower() in said
    # Its files are where they were, but no others are taken for them.
    pem = own.dir / 'ca/Demo-CA-2.pem'
    shutil.copy(pem, tmp_path / 'kept')
    shutil.copy(own.dir / 'ca/Demo-CA.pem', pem)
    assert 'is there already, with another certificate' in own.ctl(
        *install, ok=1).stderr
    shutil.copy(tmp_path / 'kept', pem)
    own.ctl(*install)
    reconcile(own, '--apply')
    wait_for(lambda: damages(own, own.conf) == (0, []),
             said=lambda: damages(own, own.conf, code=None))
    wait_for(lambda: client.Client(own.env).enroll(csr(
        own, 'one.demo.example')).certificate is not None)
    own.ctl('ca', 'activate', 'Demo-CA-2')
    assert issue(own, 'three.demo.example').issuer == cert.issuer
    assert entry(cert)
    restart_signers(own)
    assert damages(own, own.conf) == (0, [])
