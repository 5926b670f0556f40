/*
 * crl install: revocation lists of the CAs above ours, carried here from
 * their hosts.
 */
#include "commands.h"

#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "camake.h"
#include "certfile.h"
#include "listfile.h"
#include "x509.h"

#define LIST_MAX	(8 * 1024 * 1024)

/*
 * Whose list it is: a certificate above one of ours, in hex.  Two may have one
 * name, as after a root's roll-over: the signature tells which of them.
 */
static int
find_issuer(struct cli *c, X509_CRL *crl, struct buf *hex, struct err *err)
{
	PGresult *res = cli_query(c, "crl_issuers", NULL, 0, err);
	struct buf der = { 0 };
	X509 *x;
	int row, rc = res == NULL ? -1 : 0;

	for (row = 0; rc == 0 && hex->n == 0 && row < PQntuples(res); row++) {
		buf_reset(&der);
		rc = cli_bytea(PQgetvalue(res, row, 0), &der, err);
		x = rc == 0 ? x509_read(buf_slice(&der)) : NULL;
		if (x != NULL && X509_NAME_cmp(X509_get_subject_name(x),
		    X509_CRL_get_issuer(crl)) == 0 &&
		    X509_CRL_verify(crl, X509_get0_pubkey(x)) == 1)
			buf_hex(hex, der.p, der.n);
		X509_free(x);
	}
	ERR_clear_error();
	PQclear(res);
	buf_free(&der);
	if (rc == 0 && hex->n == 0)
		rc = err_set(err, ERR_DENIED, "the list is not signed by a ca "
		    "above one of ours");
	return rc;
}

/*
 * The database compares the numbers: two people at once do not put an older
 * list over a newer one.
 */
static int
put(struct cli *c, const char *name, const struct list_facts *f,
    const struct buf hex[2], struct err *err)
{
	PGresult *res = cli_query(c, "crl_above_put", (const char *[]){ name,
	    (const char *)hex[0].p, f->number, f->this_update,
	    f->next_update, f->entries, (const char *)hex[1].p }, 7, err);
	const char *what = res == NULL ? NULL : PQgetvalue(res, 0, 0);
	struct buf number = { 0 };
	int rc = -1;

	buf_printf(&number, "number %s", f->number);
	if (what != NULL && strcmp(what, "installed") == 0)
		rc = cli_tell(c, name, buf_str(&number), err);
	else if (what != NULL && strcmp(what, "not newer") == 0)
		err_set(err, ERR_DENIED, "list %s of %.64s is not newer than "
		    "the one that is here", f->number, name);
	else if (what != NULL && strcmp(what, "other issuer") == 0)
		err_set(err, ERR_DENIED,
		    "%.64s is the name of another issuer's list", name);
	else if (what != NULL)
		err_set(err, ERR_DENIED,
		    "%.64s is a ca of ours: its lists are made by signers",
		    name);
	buf_free(&number);
	PQclear(res);
	return rc;
}

static int
check_lasts(X509_CRL *crl, struct err *err)
{
	if (cert_unix(X509_CRL_get0_nextUpdate(crl)) > time(NULL))
		return 0;
	return err_set(err, ERR_DENIED, "the list has ended");
}

int
cmd_crl_install(struct cli *c, const struct args *a, struct err *err)
{
	X509_CRL *crl = NULL;
	struct list_facts facts;
	struct buf hex[2] = { { 0 } };
	unsigned char *der = NULL;
	int n, rc = -1;

	if (cli_ca_name(c, a->pos[0], err) == 0 &&
	    (crl = listfile_read(a->pos[1], LIST_MAX, err)) != NULL &&
	    listfile_facts(crl, &facts, err) == 0 &&
	    check_lasts(crl, err) == 0 &&
	    find_issuer(c, crl, &hex[0], err) == 0 &&
	    (n = i2d_X509_CRL(crl, &der)) > 0) {
		buf_hex(&hex[1], der, (size_t)n);
		(void)buf_str(&hex[0]);
		(void)buf_str(&hex[1]);
		rc = put(c, a->pos[0], &facts, hex, err);
	}
	OPENSSL_free(der);
	X509_CRL_free(crl);
	buf_free(&hex[0]);
	buf_free(&hex[1]);
	return rc;
}
