"""Rows of certificates that a signer's role writes, without a signer."""
import os

import psycopg
import pytest
from cryptography import x509

COLUMNS = ('ca, request_id, account, template, subject, san, not_before, '
           'not_after, renewals')


def serial(der):
    n = x509.load_der_x509_certificate(der).serial_number
    return n.to_bytes(max(16, n.bit_length() // 8 + 1), 'big')


@pytest.fixture
def put_row(stack):
    """put(like, der): a row of der, otherwise like another certificate's; for
    one test."""
    made = []

    def connect(user):
        return psycopg.connect(psycopg.conninfo.make_conninfo(
            stack.env['CS_DSN'], user=user))

    def put(like, der):
        made.append(serial(der))
        with connect('countersign_signer') as db:
            db.execute(
                'INSERT INTO countersign.certificate (serial, spki_sha256, '
                'der, {0}) SELECT %s, %s, %s, {0} FROM '
                'countersign.certificate WHERE serial = %s'.format(COLUMNS),
                (made[-1], os.urandom(32), der, serial(like)))
    yield put
    with connect('postgres') as db:
        db.execute('SET session_replication_role = replica')
        db.execute('DELETE FROM countersign.key_owner WHERE spki_sha256 IN '
                   '(SELECT spki_sha256 FROM countersign.certificate '
                   'WHERE serial = ANY(%s))', (made,))
        db.execute('DELETE FROM countersign.certificate WHERE serial = '
                   'ANY(%s)', (made,))
