/*
 * airgap import: the vault's answer into the database, all of it in one
 * transaction, so that a round is answered or it is not.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "digest.h"
#include "x509.h"

static const struct out_col cols[] = {
	{ "round", OUT_NUMBER }, { "issued", OUT_NUMBER },
	{ "denied", OUT_NUMBER }, { "void", OUT_NUMBER },
	{ "lists", OUT_NUMBER }, { "hash", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct issuer {			/* a CA of this deployment */
	char		*name;
	X509		*cert;
};

struct import {
	struct cli		*cli;
	struct bundlekey	*peer;
	struct bundle_in	*in;
	uint8_t			 hash[BUNDLE_HASH];	/* of the answer */
	char			 round[24];	/* decimal, for the database */
	char			*maker;
	struct issuer		*ca;
	size_t			 ncas;
	int64_t			 issued, denied, voids, lists;
};

/* What a certificate says of itself, for its row. */
struct facts {
	const char	*ca;
	struct slice	 serial;	/* borrows from the certificate */
	int64_t		 not_before, not_after;	/* Unix seconds */
	uint8_t		 spki[32];	/* SHA-256, of the DER */
};

struct number {			/* decimal: statements take text */
	char	 text[24];
};

static struct number
number(uint64_t v)
{
	struct number n;

	snprintf(n.text, sizeof n.text, "%" PRIu64, v);
	return n;
}

static char *
dup_slice(struct slice s)
{
	return xstrndup((const char *)s.p, s.n);
}

/* Empty, never NULL: libpq would send SQL's NULL. */
static struct db_param
bin(struct slice s)
{
	return DB_BIN(s.n > 0 ? (const void *)s.p : "", s.n);
}

static int
run(struct import *m, const char *stmt, const struct db_param *p, int n,
    struct err *err)
{
	PGresult *res = db_exec(m->cli->db, stmt, p, n, err);

	PQclear(res);
	return res == NULL ? -1 : 0;
}

static int
load_issuers(struct import *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "ca_all", NULL, 0, err);
	struct buf der = { 0 };
	struct issuer *ca;
	int row, rc = res == NULL ? -1 : 0;

	if (rc == 0)
		m->ca = xcalloc((size_t)PQntuples(res) + 1, sizeof *m->ca);
	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		buf_reset(&der);
		rc = cli_bytea(PQgetvalue(res, row, 1), &der, err);
		ca = &m->ca[m->ncas++];
		ca->name = xstrdup(PQgetvalue(res, row, 0));
		if (rc == 0 && (ca->cert = x509_read(buf_slice(&der))) == NULL)
			rc = err_openssl(err, "certificate of ca %.64s",
			    ca->name);
	}
	PQclear(res);
	buf_free(&der);
	return rc;
}

/* Signed by a CA of ours, whichever names itself as its issuer. */
static const char *
find_issuer(const struct import *m, X509 *x)
{
	size_t i;

	for (i = 0; i < m->ncas; i++)
		if (X509_NAME_cmp(X509_get_issuer_name(x),
		    X509_get_subject_name(m->ca[i].cert)) == 0 &&
		    X509_verify(x, X509_get0_pubkey(m->ca[i].cert)) == 1)
			return m->ca[i].name;
	return NULL;
}

/*
 * The vault is believed what it decided, not what it signed: key, times and
 * number come out of the certificate itself.
 */
static int
read_facts(const struct import *m, X509 *x, struct facts *f, struct err *err)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	struct buf key = { 0 };

	if (x509_spki(x, &key) == -1)
		return err_openssl(err, "certificate of the answer");
	digest_sha256(buf_slice(&key), f->spki);
	buf_free(&key);
	f->serial = slice_of(ASN1_STRING_get0_data(serial),
	    (size_t)ASN1_STRING_length(serial));
	f->not_before = cert_unix(X509_get0_notBefore(x));
	f->not_after = cert_unix(X509_get0_notAfter(x));
	if ((f->ca = find_issuer(m, x)) == NULL)
		return err_set(err, ERR_DENIED, "a certificate of the answer "
		    "is signed by no ca of this deployment");
	return 0;
}

/*
 * The database looks whether the request is of this round, unanswered, and
 * for this key and CA; what it says otherwise is ERR_DENIED's text.
 */
static int
put_result(struct import *m, const struct bundle_result *r,
    const struct facts *f, struct err *err)
{
	struct number hr = number(r->hresult), major = number(r->major),
	    minor = number(r->minor), renewals = number(r->renewals),
	    at = number((uint64_t)r->decided_at),
	    from = number((uint64_t)f->not_before),
	    to = number((uint64_t)f->not_after);
	char *text = dup_slice(r->text), *subject = dup_slice(r->subject),
	    *san = dup_slice(r->san), id[2 * MSG_ID + 1];
	const struct db_param p[] = { DB_TEXT(m->round),
	    DB_BIN(r->id, MSG_ID), DB_TEXT(f->ca), DB_TEXT(r->status ==
	    MSG_ISSUED ? "issued" : "denied"), DB_TEXT(hr.text),
	    DB_TEXT(text), DB_TEXT(subject), DB_TEXT(san),
	    DB_TEXT(major.text), DB_TEXT(minor.text), bin(f->serial),
	    DB_TEXT(from.text), DB_TEXT(to.text),
	    DB_BIN(f->spki, sizeof f->spki), bin(r->certificate),
	    DB_TEXT(renewals.text), bin(r->response),
	    DB_BIN(bundle_head(m->in)->policy_hash, 32), DB_TEXT(m->maker),
	    DB_TEXT(at.text) };
	PGresult *res = db_exec(m->cli->db, "airgap_result", p, 20, err);
	int rc = res == NULL ? -1 : 0;

	hex_encode(r->id, MSG_ID, id);
	if (rc == 0 && strcmp(PQgetvalue(res, 0, 0), "ok") != 0)
		rc = err_set(err, ERR_DENIED, "request %s %s", id,
		    PQgetvalue(res, 0, 0));
	PQclear(res);
	free(text);
	free(subject);
	free(san);
	return rc;
}

/* The certificate is one DER and nothing behind it. */
static int
take_result(struct import *m, const struct bundle_result *r, struct err *err)
{
	struct facts f = { .ca = "" };
	X509 *x = NULL;
	int rc = 0;

	if (r->status == MSG_ISSUED) {
		x = x509_read(r->certificate);
		if (x == NULL)
			rc = err_openssl(err, "certificate of the answer");
		else
			rc = read_facts(m, x, &f, err);
		m->issued++;
	} else
		m->denied++;
	if (rc == 0)
		rc = put_result(m, r, &f, err);
	X509_free(x);
	return rc;
}

/* A serial number that may have been signed, and reached nobody. */
static int
take_void(struct import *m, const struct bundle_void *v, struct err *err)
{
	char *ca = dup_slice(v->ca);
	const struct db_param p[] = { bin(v->serial), DB_TEXT(ca),
	    DB_BIN(v->id, MSG_ID), DB_TEXT(m->maker) };
	int rc = run(m, "airgap_void", p, 4, err);

	free(ca);
	m->voids++;
	return rc;
}

static int
take_part(struct import *m, const struct bundle_part *t, struct err *err)
{
	char *ca = dup_slice(t->ca);
	struct number n = number(t->number), part = number(t->part);
	const struct db_param p[] = { DB_TEXT(ca), DB_TEXT(n.text),
	    DB_TEXT(part.text), bin(t->body) };
	int rc = run(m, "airgap_list_part", p, 4, err);

	free(ca);
	return rc;
}

/* The end of a list whose parts were taken before it. */
static int
take_list(struct import *m, const struct bundle_list *l, struct err *err)
{
	char *ca = dup_slice(l->ca);
	struct number n = number(l->number),
	    from = number((uint64_t)l->this_update),
	    to = number((uint64_t)l->next_update),
	    entries = number(l->entries), octets = number(l->octets),
	    change = number((uint64_t)l->change);
	const struct db_param p[] = { DB_TEXT(ca), DB_TEXT(n.text),
	    DB_TEXT(from.text), DB_TEXT(to.text), DB_TEXT(entries.text),
	    DB_TEXT(octets.text), bin(l->digest), DB_TEXT(change.text),
	    DB_TEXT(m->maker) };
	int rc = run(m, "airgap_list", p, 9, err);

	free(ca);
	m->lists++;
	return rc;
}

/* bundle_open has seen that each record is of an answer, and in its place. */
static int
take_all(struct import *m, struct err *err)
{
	struct record r;
	int got, rc = 0;

	while (rc == 0 && (got = bundle_next(m->in, &r, err)) != 0) {
		if (got == -1)
			return -1;
		if (r.type == REC_RESULT)
			rc = take_result(m, &r.result, err);
		else if (r.type == REC_VOID)
			rc = take_void(m, &r.voided, err);
		else if (r.type == REC_PART)
			rc = take_part(m, &r.part, err);
		else
			rc = take_list(m, &r.list, err);
	}
	return rc;
}

/*
 * An answer that leaves a request out would leave it out for ever: the round
 * is over.
 */
static int
close_round(struct import *m, struct err *err)
{
	const struct db_param p[] = { DB_TEXT(m->round),
	    DB_BIN(m->hash, sizeof m->hash) };
	PGresult *res = db_exec(m->cli->db, "airgap_close", p, 2, err);
	int rc = res == NULL ? -1 : 0;

	if (rc == 0 && strcmp(PQgetvalue(res, 0, 0), "0") != 0)
		rc = err_set(err, ERR_DENIED, "the bundle answers %s requests "
		    "of the round not at all", PQgetvalue(res, 0, 0));
	PQclear(res);
	return rc;
}

/* Does it answer the bundle that is on its way? */
static int
check_round(struct import *m, const PGresult *res, struct err *err)
{
	const struct bundle_head *h = bundle_head(m->in);
	uint64_t last = PQntuples(res) == 0 ? 0 :
	    strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	struct buf bundle = { 0 };
	int rc;

	if (h->round > last)
		return err_set(err, ERR_DENIED, "round %" PRIu64 " was not "
		    "exported here, the last was %" PRIu64, h->round, last);
	if (h->round < last || *PQgetvalue(res, 0, 2) == 't')
		return err_set(err, ERR_DENIED, "round %" PRIu64 " was "
		    "imported already: replayed", h->round);
	rc = cli_bytea(PQgetvalue(res, 0, 1), &bundle, err);
	if (rc == 0 && !slice_eq(buf_slice(&bundle), slice_of(h->previous,
	    BUNDLE_HASH)))
		rc = err_set(err, ERR_DENIED, "round %" PRIu64 ": the answer "
		    "is to another bundle than the one that was exported",
		    h->round);
	buf_free(&bundle);
	return rc;
}

/* One stick may serve several deployments, with vaults of their own. */
static int
check_deployment(struct import *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "policy_id", NULL, 0, err);
	int rc = res == NULL ? -1 : 0;

	if (rc == 0 && (PQntuples(res) != 1 || !slice_is(bundle_head(
	    m->in)->deployment, PQgetvalue(res, 0, 0))))
		rc = err_set(err, ERR_DENIED, "the answer is for another "
		    "deployment");
	PQclear(res);
	return rc;
}

static int
in_transaction(struct import *m, struct err *err)
{
	PGresult *res = db_exec(m->cli->db, "airgap_last", NULL, 0, err);
	int rc = res == NULL ? -1 : check_round(m, res, err);

	PQclear(res);
	if (rc != 0 || take_all(m, err) != 0)
		return -1;
	return close_round(m, err);
}

static int
commit(struct import *m, struct err *err)
{
	bool in_doubt;

	if (db_begin(m->cli->db, err) != 0)
		return -1;
	if (in_transaction(m, err) != 0) {
		db_rollback(m->cli->db);
		return -1;
	}
	return db_commit(m->cli->db, &in_doubt, err);
}

static int
print(struct import *m, struct err *err)
{
	struct out *o = out_new(cols, OUT_RECORD);
	char hash[80];

	if (m->cli->json)
		hex_encode(m->hash, BUNDLE_HASH, hash);
	else
		bundlekey_fingerprint(m->hash, hash);
	out_add(o, m->round);
	out_num(o, m->issued);
	out_num(o, m->denied);
	out_num(o, m->voids);
	out_num(o, m->lists);
	out_add(o, hash);
	return cli_print_done(m->cli, o, "it is imported", err);
}

static int
open_answer(struct import *m, FILE *f, struct err *err)
{
	m->in = bundle_open(f, m->peer, BUNDLE_RESPONSE, m->hash, err);
	if (m->in == NULL)
		return -1;
	snprintf(m->round, sizeof m->round, "%" PRIu64,
	    bundle_head(m->in)->round);
	m->maker = dup_slice(bundle_head(m->in)->maker);
	return check_deployment(m, err);
}

static void
import_free(struct import *m)
{
	size_t i;

	for (i = 0; i < m->ncas; i++) {
		free(m->ca[i].name);
		X509_free(m->ca[i].cert);
	}
	free(m->ca);
	free(m->maker);
	bundle_close(m->in);
	bundlekey_free(m->peer);
}

int
cmd_airgap_import(struct cli *c, const struct args *a, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	struct import m = { .cli = c };
	FILE *f = NULL;
	int rc = -1;

	if (cli_conf(c, err) != 0 || cli_db(c, err) != 0)
		return -1;
	if (c->conf->airgap_peer == NULL)
		return err_set(err, ERR_MALFORMED, "%s: airgap: no peer-key",
		    c->conf->path);
	if ((m.peer = bundlekey_public(c->conf->airgap_peer, err)) != NULL &&
	    (f = bundle_copy(a->pos[0], tmp != NULL ? tmp : "/var/tmp",
	    err)) != NULL && open_answer(&m, f, err) == 0 &&
	    load_issuers(&m, err) == 0 && commit(&m, err) == 0)
		rc = print(&m, err);
	import_free(&m);
	if (f != NULL)
		fclose(f);
	return rc;
}
