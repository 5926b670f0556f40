/*
 * crl install: revocation lists of the CAs above ours, carried here from
 * their hosts.
 */
#include "commands.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "camake.h"
#include "derfile.h"
#include "x509.h"

#define LIST_MAX	(8 * 1024 * 1024)
#define FUTURE_S	300	/* between the clocks of two hosts */

static X509_CRL *
read_list(const char *path, struct err *err)
{
	struct buf der = { 0 };
	const unsigned char *p;
	X509_CRL *crl;

	if (derfile_read(path, LIST_MAX, &der, err) != 0)
		return NULL;
	p = der.p;
	crl = d2i_X509_CRL(NULL, &p, (long)der.n);
	if (crl == NULL || p != der.p + der.n) {
		err_openssl(err, "%.100s: not a revocation list", path);
		X509_CRL_free(crl);
		crl = NULL;
	}
	buf_free(&der);
	return crl;
}

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

/* As the statement takes them: decimal, times in unix seconds. */
struct list_facts {
	char	 number[64], this_update[24], next_update[24], entries[24];
};

static int
take_facts(X509_CRL *crl, struct list_facts *f, struct err *err)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL,
	    NULL);
	BIGNUM *bn = n == NULL ? NULL : ASN1_INTEGER_to_BN(n, NULL);
	char *text = bn == NULL ? NULL : BN_bn2dec(bn), from[32];
	int rc = 0;

	/* [RFC5280] 5.1.2.5, 5.2.3: both are required. */
	if (next == NULL || text == NULL || strlen(text) >= sizeof f->number)
		rc = err_set(err, ERR_DENIED,
		    "the list has no nextUpdate or no number");
	/* Published where the complete one is looked for, it revokes little. */
	else if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		rc = err_set(err, ERR_DENIED,
		    "the list is a delta: install the complete one");
	else if (cert_unix(next) <= time(NULL))
		rc = err_set(err, ERR_DENIED, "the list has ended");
	/* Clients would not believe it, and none before it could follow. */
	else if (cert_unix(X509_CRL_get0_lastUpdate(crl)) > time(NULL) +
	    FUTURE_S) {
		utc_text(cert_unix(X509_CRL_get0_lastUpdate(crl)), from);
		rc = err_set(err, ERR_DENIED, "the list counts from %s on: "
		    "the clock where it was made is ahead of this one", from);
	} else {
		snprintf(f->number, sizeof f->number, "%s", text);
		snprintf(f->this_update, sizeof f->this_update, "%" PRId64,
		    cert_unix(X509_CRL_get0_lastUpdate(crl)));
		snprintf(f->next_update, sizeof f->next_update, "%" PRId64,
		    cert_unix(next));
		snprintf(f->entries, sizeof f->entries, "%d",
		    sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) < 0 ? 0 :
		    sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)));
	}
	OPENSSL_free(text);
	BN_free(bn);
	ASN1_INTEGER_free(n);
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

int
cmd_crl_install(struct cli *c, const struct args *a, struct err *err)
{
	X509_CRL *crl = NULL;
	struct list_facts facts;
	struct buf hex[2] = { { 0 } };
	unsigned char *der = NULL;
	int n, rc = -1;

	if (cli_ca_name(c, a->pos[0], err) == 0 &&
	    (crl = read_list(a->pos[1], err)) != NULL &&
	    take_facts(crl, &facts, err) == 0 &&
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
