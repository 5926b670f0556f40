/* cert check: the lint that runs before signing, over what was issued. */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "badkey.h"
#include "certlint.h"
#include "der.h"
#include "file.h"
#include "progress.h"
#include "pubkey.h"
#include "x509.h"

#define SHOWN		10000	/* findings printed; the count is exact */

const struct opt opts_cert_check[] = {
	{ "all", NULL, "every certificate that was issued", false },
	{ "file", "FILE", "a certificate in a file, PEM or DER", true },
	{ "rules", NULL, "print the rules", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "certificate", OUT_TEXT }, { "rule", OUT_TEXT },
	{ "section", OUT_TEXT }, { "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct check {
	struct cli	*cli;
	struct out	*out;
	uint64_t	 certificates, findings;
	struct progress	 progress;
	struct badkeys	*blocked;	/* read when the first row is */
	/* The issuer at hand: nearly always that of the row before. */
	char		*ca;
	struct buf	 ca_der;
	EVP_PKEY	*ca_key;
	struct certlint_ask issuer;
};

/* One is enough for exit status 1. */
static void
finding(struct check *k, const char *object, const struct certlint_rule *r)
{
	k->cli->code = EXIT_REFUSED;
	if (k->findings++ >= SHOWN)
		return;
	out_add(k->out, object);
	out_add(k->out, r->name);
	out_add(k->out, r->section);
	out_add(k->out, r->text);
}

static void
finding_of(struct check *k, const char *object, const char *name,
    const char *section, const char *text)
{
	const struct certlint_rule r = { name, section, text };

	finding(k, object, &r);
}

/* TBSCertificate's SubjectPublicKeyInfo, [RFC5280] 4.1. */
static int
find_spki(struct slice tbs, struct slice *spki, struct err *err)
{
	struct der d;
	int i;

	if (der_only(tbs, DER_SEQ, &d, "TBSCertificate", err) == -1)
		return -1;
	for (i = 0; i < 6; i++)		/* version to subject */
		if (der_any(&d, NULL, NULL, NULL, "TBSCertificate",
		    err) == -1)
			return -1;
	return der_tlv(&d, DER_SEQ, spki, "subjectPublicKeyInfo", err);
}

/*
 * What requests are refused for: ROCA, factors, points off the curve; and, of
 * a certificate that counts still, a key that is blocked.
 */
static void
check_key(struct check *k, const char *object, struct slice tbs, bool counts)
{
	struct err why = ERR_INIT;
	struct pubkey *key = NULL;
	struct slice spki;

	if (find_spki(tbs, &spki, &why) == 0)
		key = pubkey_parse(spki, &why);
	if (key == NULL)
		finding_of(k, object, "key", "[security] A6, A7", why.text);
	else if (counts && badkey_blocked(key, badkeys_has(k->blocked, key),
	    &why) == -1)
		finding_of(k, object, "key-blocked", "[security] A6",
		    why.text);
	pubkey_free(key);
}

/* [RFC5280] 4.1.1.3, over the very bytes of the TBSCertificate. */
static bool
is_signed(const struct certlint_ask *ask, struct slice der, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct err none = ERR_INIT;
	struct slice sig, oid;
	struct der cert, alg;
	const EVP_MD *md;
	bool good = false;
	int nid = NID_undef, hash;

	if (der_only(ask->outer, DER_SEQ, &alg, "algorithm", &none) == 0 &&
	    der_tlv(&alg, DER_OID, &oid, "algorithm", &none) == 0) {
		const unsigned char *p = oid.p;
		ASN1_OBJECT *o = d2i_ASN1_OBJECT(NULL, &p, (long)oid.n);

		nid = OBJ_obj2nid(o);
		ASN1_OBJECT_free(o);
	}
	if (OBJ_find_sigid_algs(nid, &hash, NULL) == 1 &&
	    (md = EVP_get_digestbynid(hash)) != NULL && ctx != NULL &&
	    der_only(der, DER_SEQ, &cert, "Certificate", &none) == 0 &&
	    der_any(&cert, NULL, NULL, NULL, "tbs", &none) == 0 &&
	    der_any(&cert, NULL, NULL, NULL, "algorithm", &none) == 0 &&
	    der_bits(&cert, &sig, "signature", &none) == 0)
		good = EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, sig.p, sig.n, ask->tbs.p,
		    ask->tbs.n) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* with_issuer: that of take_issuer; counts: neither revoked nor ended. */
static void
check_one(struct check *k, const char *object, struct slice der,
    bool with_issuer, bool counts)
{
	struct certlint_ask ask = { .responder = false };
	const struct certlint_rule *rules;
	struct err why = ERR_INIT;
	bool *found;
	size_t i, n;

	k->certificates++;
	if (with_issuer)
		ask = k->issuer;
	rules = certlint_rules(&n);
	if (certlint_slice(der, &ask, &why) != 0) {
		finding(k, object, &rules[0]);
		return;
	}
	found = xcalloc(n, sizeof *found);
	certlint_all(&ask, found);
	for (i = 0; i < n; i++)
		if (found[i])
			finding(k, object, &rules[i]);
	if (!found[0])
		check_key(k, object, ask.tbs, counts);
	if (with_issuer && !is_signed(&ask, der, k->ca_key))
		finding_of(k, object, "signature", "[RFC5280] 6.1.3",
		    "is not signed by its ca");
	free(found);
}

/*
 * With the same key the ca had other certificates before ("ca install
 * --replace"), and what they issued begins before the one of today.
 */
static int
take_earlier(struct check *k, const char *ca, struct err *err)
{
	PGresult *res = cli_query(k->cli, "ca_also", &ca, 1, err);
	struct certlint_ask c;
	struct buf der = { 0 };
	int row, rc = res == NULL ? -1 : 0;

	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		memset(&c, 0, sizeof c);
		buf_reset(&der);
		if ((rc = cli_bytea(PQgetvalue(res, row, 0), &der, err)) == 0 &&
		    (rc = certlint_issuer(buf_slice(&der), &c, err)) == 0 &&
		    slice_eq(c.ca_spki, k->issuer.ca_spki) &&
		    c.ca_not_before < k->issuer.ca_not_before)
			k->issuer.ca_not_before = c.ca_not_before;
	}
	PQclear(res);
	buf_free(&der);
	return rc;
}

static int
take_issuer(struct check *k, const char *ca, struct err *err)
{
	PGresult *res;
	X509 *x;
	int rc;

	if (k->ca != NULL && strcmp(k->ca, ca) == 0)
		return 0;
	free(k->ca);
	k->ca = NULL;
	buf_reset(&k->ca_der);
	EVP_PKEY_free(k->ca_key);
	k->ca_key = NULL;
	memset(&k->issuer, 0, sizeof k->issuer);
	if ((res = cli_query(k->cli, "ca_chain", &ca, 1, err)) == NULL)
		return -1;
	rc = PQntuples(res) > 0 ? cli_bytea(PQgetvalue(res, 0, 0),
	    &k->ca_der, err) : err_set(err, ERR_DENIED, "no ca %.64s", ca);
	PQclear(res);
	if (rc == 0 && (x = x509_read(buf_slice(&k->ca_der))) != NULL) {
		k->ca_key = X509_get_pubkey(x);
		X509_free(x);
	}
	if (rc == 0)
		rc = certlint_issuer(buf_slice(&k->ca_der), &k->issuer, err);
	if (rc == 0)
		rc = take_earlier(k, ca, err);
	if (rc == 0)
		k->ca = xstrdup(ca);
	return rc;
}

static int
load_blocked(struct check *k, struct err *err)
{
	struct buf hash = { 0 };
	PGresult *res;
	int i, rc = 0;

	if (k->blocked != NULL)
		return 0;
	k->blocked = badkeys_new();
	if ((res = cli_query(k->cli, "keys_blocked", NULL, 0, err)) == NULL)
		return -1;
	for (i = 0; i < PQntuples(res) && rc == 0; i++) {
		buf_reset(&hash);
		rc = cli_bytea(PQgetvalue(res, i, 0), &hash, err);
		badkeys_add(k->blocked, buf_slice(&hash), true);
	}
	badkeys_merge(k->blocked);
	buf_free(&hash);
	PQclear(res);
	return rc;
}

/* Columns: serial in hex, ca, der in hex form, whether it counts. */
static int
take_row(struct check *k, const PGresult *res, int row, struct err *err)
{
	const char *serial = PQgetvalue(res, row, 0);
	struct buf der = { 0 };
	int rc;

	if ((rc = load_blocked(k, err)) == 0 &&
	    (rc = take_issuer(k, PQgetvalue(res, row, 1), err)) == 0 &&
	    (rc = cli_bytea(PQgetvalue(res, row, 2), &der, err)) == 0)
		check_one(k, serial, buf_slice(&der), true,
		    *PQgetvalue(res, row, 3) == 't');
	buf_free(&der);
	return rc;
}

/* In pages by serial: millions go through, a thousand are in memory. */
static int
check_all(struct check *k, struct err *err)
{
	char last[64] = "";
	PGresult *res;
	int row, n, rc = 0;

	do {
		res = cli_query(k->cli, "check_page", (const char *[]){
		    last }, 1, err);
		n = res == NULL ? -1 : PQntuples(res);
		for (row = 0; row < n && rc == 0; row++)
			rc = take_row(k, res, row, err);
		if (n > 0)
			snprintf(last, sizeof last, "%s",
			    PQgetvalue(res, n - 1, 0));
		PQclear(res);
		progress_show(&k->progress, "certificates", k->certificates,
		    0);
	} while (n > 0 && rc == 0);
	progress_end(&k->progress);
	return n == -1 ? -1 : rc;
}

/* One key, two owners: one of them cannot have made it. */
static int
check_shared(struct check *k, struct err *err)
{
	PGresult *res = cli_query(k->cli, "check_shared", NULL, 0, err);
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		finding_of(k, PQgetvalue(res, row, 0), "key-shared",
		    "[security] A6", PQgetvalue(res, row, 1));
	PQclear(res);
	return 0;
}

static int
check_serial(struct check *k, const char *typed, struct err *err)
{
	char hex[41];
	const char *p[] = { hex };
	PGresult *res;
	int rc;

	if (serial_parse(k->cli, typed, hex, err) != 0 ||
	    (res = cli_query(k->cli, "check_one", p, 1, err)) == NULL)
		return -1;
	rc = PQntuples(res) == 0 ? err_set(err, ERR_DENIED,
	    "no certificate %s", hex) : take_row(k, res, 0, err);
	PQclear(res);
	return rc;
}

static int
check_file(struct check *k, const char *path, struct err *err)
{
	struct certs certs = { 0 };
	struct buf der = { 0 };
	size_t i;
	int rc = file_read(path, CERT_FILE_MAX, &der, err);

	/* DER as it is: OpenSSL would read what is to be complained about. */
	if (rc == 0 && der.n > 0 && der.p[0] == DER_SEQ)
		check_one(k, path, buf_slice(&der), false, false);
	else if (rc == 0)
		rc = certs_read(&certs, path, err);
	for (i = 0; rc == 0 && i < certs.n; i++)
		check_one(k, path, buf_slice(&certs.der[i]), false, false);
	certs_free(&certs);
	buf_free(&der);
	return rc;
}

static void
list_rules(struct check *k)
{
	const struct certlint_rule *rules;
	size_t i, n;

	rules = certlint_rules(&n);
	for (i = 0; i < n; i++) {
		out_add(k->out, NULL);
		out_add(k->out, rules[i].name);
		out_add(k->out, rules[i].section);
		out_add(k->out, rules[i].text);
	}
}

static int
check_named(struct check *k, const struct args *a, struct err *err)
{
	struct strlist files = { 0 };
	size_t i;
	int rc = 0;

	args_list(a, "file", &files);
	if (args_has(a, "rules"))
		list_rules(k);
	for (i = 0; i < files.n && rc == 0; i++)
		rc = check_file(k, files.v[i], err);
	for (i = 0; i < a->npos && rc == 0; i++)
		rc = check_serial(k, a->pos[i], err);
	if (rc == 0 && args_has(a, "all") && (rc = check_all(k, err)) == 0)
		rc = check_shared(k, err);
	strlist_free(&files);
	return rc;
}

int
cmd_cert_check(struct cli *c, const struct args *a, struct err *err)
{
	struct check k = { .cli = c };
	int rc;

	if (a->npos == 0 && a->nopt == 0)
		return cli_usage(c, err, "which certificates: serial "
		    "numbers, --file, or --all");
	progress_begin(&k.progress, c->json);
	k.out = out_new(cols, OUT_TABLE);
	rc = check_named(&k, a, err);
	if (cli_print(c, k.out, err) != 0)
		rc = -1;
	if (rc == 0 && k.certificates > 0 && !c->json)
		fprintf(stderr, "%" PRIu64 " certificates, %" PRIu64
		    " findings\n", k.certificates, k.findings);
	badkeys_free(k.blocked);
	free(k.ca);
	buf_free(&k.ca_der);
	EVP_PKEY_free(k.ca_key);
	return rc;
}
