/*
 * Entries of the ledger about decisions, revocations and the keys' use: what
 * they say is fixed in common/ledger.h, when they are written by batch.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "approval.h"
#include "failpoint.h"
#include "journal.h"
#include "rows.h"
#include "store_crl.h"

int
journal_sync(struct signer *s, struct err *err)
{
	if (ledger_sync(s->ledger, err) == 0)
		return 0;
	s->ledger_failed = true;
	return -1;
}

/* What a row holds; the buffer is used up. */
static void
field_row(struct buf *f, const char *key, struct buf *row)
{
	ledger_field_base64(f, key, buf_slice(row));
	buf_free(row);
}

static void
fields_common(struct buf *f, const struct job *j)
{
	ledger_field_hex(f, "id", j->row_id, MSG_ID);
	if (j->status == MSG_ISSUED)
		ledger_field_hex(f, "serial", j->tbs.serial, SERIAL_LEN);
	ledger_field(f, "ca", slice_str(j->ca->name));
	ledger_field(f, "account", slice_str(job_owner(j)));
	if (job_agent(j) != NULL)
		ledger_field(f, "agent", slice_str(job_agent(j)));
	ledger_field(f, "template", slice_str(j->template_name != NULL ?
	    j->template_name : ""));
	ledger_field_hex(f, "policy", j->ask.policy_hash,
	    sizeof(j->ask.policy_hash));
	ledger_field(f, "worker", slice_str(j->link.worker));
	if (j->pending != NULL)
		ledger_field(f, "approver", slice_str(j->pending->approver));
	if (j->has_decision && j->decision.renews != NULL)
		ledger_field_hex(f, "renews", j->decision.renews->serial.p,
		    j->decision.renews->serial.n);
	if (job_spends(j))
		ledger_field(f, "spends", slice_str(j->account));
}

/* What "countersign reconcile" makes the row of again. */
static void
fields_rows(struct buf *f, const struct signer *s, const struct job *j)
{
	struct buf row = { 0 };

	if (j->pending == NULL) {
		row_submitted(&row, j);
		field_row(f, "request", &row);
	}
	row_decided(&row, j, s->conf->name);
	field_row(f, "decision", &row);
}

void
journal_decision(struct signer *s, struct job *j)
{
	struct buf f = { 0 };
	uint8_t md[DIGEST_MAX];
	const char *type = j->pending != NULL ? "approved" : "pending";

	fields_common(&f, j);
	fields_rows(&f, s, j);
	if (j->status == MSG_ISSUED) {
		type = "intent";
		ledger_field_hex(&f, "tbs", md, digest_run(j->ca->sha256,
		    buf_slice(&j->tbs_der), md));
	} else if (j->status == MSG_DENIED) {
		type = "denied";
		ledger_field(&f, "text", slice_str(j->text));
	} else {
		job_token_sha256(j, md);
		ledger_field_hex(&f, "token", md, 32);
		/* It is still to be decided: nothing of it may get lost. */
		ledger_field_base64(&f, "bytes", j->ask.token);
		ledger_field_base64(&f, "evidence", j->ask.evidence);
	}
	j->intent = true;
	ledger_add(s->ledger, type, buf_slice(&f));
	buf_free(&f);
}

struct issue {
	struct slice	 id, serial, ca, der;
	struct buf	*row;		/* used up */
};

static void
add_issued(struct signer *s, const struct issue *i)
{
	struct buf f = { 0 };

	ledger_field_hex(&f, "id", i->id.p, i->id.n);
	ledger_field_hex(&f, "serial", i->serial.p, i->serial.n);
	ledger_field(&f, "ca", i->ca);
	ledger_field_base64(&f, "certificate", i->der);
	field_row(&f, "row", i->row);
	ledger_add(s->ledger, "issued", buf_slice(&f));
	buf_free(&f);
}

void
journal_issued(struct signer *s, const struct job *j)
{
	struct buf row = { 0 };

	row_certificate_kept(&row, j);
	add_issued(s, &(struct issue){ slice_of(j->row_id, MSG_ID),
	    slice_of(j->tbs.serial, SERIAL_LEN), slice_str(j->ca->name),
	    buf_slice(&j->cert), &row });
}

int
journal_stored(struct signer *s, const struct intent *in, struct err *err)
{
	struct buf der = { 0 }, row = { 0 };
	int rc;

	rc = store_kept(s->store, in->serial, &der, &row, err);
	if (rc == 0)
		add_issued(s, &(struct issue){ slice_of(in->id, MSG_ID),
		    slice_of(in->serial, SERIAL_LEN), slice_str(in->ca),
		    buf_slice(&der), &row });
	buf_free(&der);
	buf_free(&row);
	return rc;
}

static void
add_revocation(struct signer *s, const struct ca *ca, const PGresult *r,
    int row)
{
	static const struct {
		const char	*key;
		int		 col;
	} fields[] = {
		{ "change", REV_CHANGE }, { "serial", REV_SERIAL },
		{ "date", REV_AT }, { "reason", REV_REASON },
		{ "until", REV_UNTIL }, { "who", REV_WHO },
		{ "note", REV_NOTE }
	};
	bool ends = PQgetlength(r, row, REV_REASON) == 0;
	struct buf f = { 0 };
	size_t i;

	ledger_field(&f, "ca", slice_str(ca->name));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		ledger_field(&f, fields[i].key, db_field(r, row,
		    fields[i].col));
	ledger_add(s->ledger, ends ? "released" : "revoked", buf_slice(&f));
	buf_free(&f);
}

/*
 * Into the ledger, synced, and away from those that are in none.  A row can be
 * read whose COMMIT was not waited for: what stands in the ledger must outlive
 * a failover.
 */
static int
add_revocations(struct signer *s, const struct ca *ca, const PGresult *r,
    unsigned long session, struct err *err)
{
	int i, n = PQntuples(r);

	if (n == 0)
		return 0;
	fail_point("revocations-read");
	if (store_barrier(s->store, err) == -1)
		return -1;
	if (store_session(s->store) != session)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: another session");
	for (i = 0; i < n; i++)
		add_revocation(s, ca, r, i);
	if (journal_sync(s, err) == -1)
		return -1;
	return store_revocations_told(s->store, ca->name, r, err);
}

/* Behind which row the next page begins. */
static void
keep_place(const PGresult *r, struct buf *change, struct buf *serial)
{
	const char *hex = PQgetvalue(r, PQntuples(r) - 1, REV_SERIAL);
	uint8_t octets[20];

	buf_reset(change);
	buf_puts(change, PQgetvalue(r, PQntuples(r) - 1, REV_CHANGE));
	buf_reset(serial);
	if (strlen(hex) <= 2 * sizeof(octets) &&
	    hex_decode(hex, octets, strlen(hex) / 2) == 0)
		buf_add(serial, octets, strlen(hex) / 2);
}

/* The next ones of the CA: how many, or -1. */
static int
some_revocations(struct signer *s, const struct ca *ca, struct buf *change,
    struct buf *serial, struct err *err)
{
	unsigned long session = store_session(s->store);
	PGresult *r = store_revocations(s->store, ca->name, buf_str(change),
	    buf_slice(serial), err);
	int n = r == NULL ? -1 : PQntuples(r);

	if (n > 0) {
		keep_place(r, change, serial);
		if (add_revocations(s, ca, r, session, err) == -1)
			n = -1;
	}
	PQclear(r);
	return n;
}

/* Before the first. */
static void
first_place(struct buf *change, struct buf *serial)
{
	buf_puts(change, "-1");
	buf_extend(serial, 1);		/* never NULL, which is SQL's NULL */
	buf_reset(serial);
}

int
journal_revocations_page(struct signer *s, const struct ca *ca,
    struct err *err)
{
	struct buf change = { 0 }, serial = { 0 };
	int n;

	first_place(&change, &serial);
	n = some_revocations(s, ca, &change, &serial, err);
	buf_free(&change);
	buf_free(&serial);
	return n == -1 ? -1 : n == atoi(REVOCATIONS_PAGE);
}

int
journal_revocations(struct signer *s, const struct ca *ca, struct err *err)
{
	struct buf change = { 0 }, serial = { 0 };
	int n;

	first_place(&change, &serial);
	/* A crowd's entries go to the disk in pieces, not all from memory. */
	do {
		n = some_revocations(s, ca, &change, &serial, err);
	} while (n > 0);
	buf_free(&change);
	buf_free(&serial);
	return n;
}

int
journal_revocation_of(struct signer *s, const struct ca *ca,
    struct slice serial, struct err *err)
{
	unsigned long session = store_session(s->store);
	PGresult *r = store_revocation_of(s->store, ca->name, serial, err);
	int rc = r == NULL ? -1 : add_revocations(s, ca, r, session, err);

	PQclear(r);
	return rc;
}

void
journal_signatures(struct signer *s)
{
	struct buf f = { 0 };
	uint64_t n;
	size_t i;

	for (i = 0; i < s->ncas; i++) {
		if ((n = cakey_made(s->cas[i]->key)) == 0)
			continue;
		ledger_field(&f, "ca", slice_str(s->cas[i]->name));
		ledger_field_num(&f, "count", (int64_t)n);
		ledger_add(s->ledger, "signatures", buf_slice(&f));
		buf_reset(&f);
	}
	buf_free(&f);
}
