/*
 * Rows as bytes, from a job: the same for COPY (store.c) and for the ledger
 * (journal.c), so that the two can be compared.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "airgap.h"
#include "approval.h"
#include "badkey.h"
#include "rowform.h"
#include "rows.h"

#define PG_EPOCH	INT64_C(946684800)	/* 2000-01-01 in unix time */

static void
put_be(struct buf *b, uint64_t v, unsigned octets)
{
	uint8_t be[8];
	unsigned i;

	for (i = 0; i < octets; i++)
		be[i] = (uint8_t)(v >> (8 * (octets - 1 - i)));
	buf_add(b, be, octets);
}

void
row_be32(struct buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

uint32_t
row_day(const uint8_t id[MSG_ID])
{
	return (uint32_t)id[0] << 8 | id[1];
}

/* Every field is its length and its bytes; NULL is the length -1. */
static void
put_null(struct buf *b)
{
	put_be(b, UINT32_MAX, 4);
}

static void
put_int(struct buf *b, uint64_t v, unsigned octets)
{
	put_be(b, octets, 4);
	put_be(b, v, octets);
}

static void
put_bytes(struct buf *b, const void *p, size_t n)
{
	put_be(b, n, 4);
	buf_add(b, p, n);
}

static void
put_slice(struct buf *b, struct slice s)
{
	put_bytes(b, s.p, s.n);
}

static void
put_text(struct buf *b, const char *s)
{
	put_bytes(b, s, strlen(s));
}

static void
put_time(struct buf *b, int64_t unix_usec)
{
	put_int(b, (uint64_t)(unix_usec - PG_EPOCH * 1000000), 8);
}

void
rows_open(struct buf *b)
{
	buf_add(b, "PGCOPY\n\377\r\n", 11);	/* with its NUL */
	put_be(b, 0, 4);				/* flags */
	put_be(b, 0, 4);			/* no extension */
}

void
rows_close(struct buf *b)
{
	put_be(b, 0xffff, 2);
}

static const char *
state_name(enum msg_status status)
{
	switch (status) {
	case MSG_ISSUED:
		return "issued";
	case MSG_PENDING:
		return "pending";
	default:
		return "denied";
	}
}

static void
put_serial(struct buf *b, const struct job *j)
{
	if (j->status == MSG_ISSUED)
		put_bytes(b, j->tbs.serial, SERIAL_LEN);
	else
		put_null(b);
}

/* What an approval will compare with. */
static void
put_waiting(struct buf *b, const struct job *j)
{
	uint8_t md[32];

	if (j->status != MSG_PENDING) {
		put_null(b);
		put_null(b);
		return;
	}
	job_token_sha256(j, md);
	put_bytes(b, md, sizeof(md));
	/* Nobody has to decide it: it waits for the stick, however long. */
	if (j->ca->apart && !j->decision.pending) {
		put_null(b);
		return;
	}
	put_time(b, j->received + j->tmpl->pending_expires * 1000000);
}

static const struct issued *
renewed(const struct job *j)
{
	return j->has_decision ? j->decision.renews : NULL;
}

/* REQUEST_SUBMITTED, without the number of fields. */
static void
put_submitted(struct buf *b, const struct job *j, struct slice evidence,
    struct slice token)
{
	put_int(b, row_day(j->ask.id), 4);
	put_bytes(b, j->ask.id, MSG_ID);
	put_bytes(b, j->ask.replay_key, MSG_ID);
	put_int(b, j->number, 4);
	put_time(b, j->received);
	put_text(b, j->ca->of);
	put_text(b, job_owner(j));
	put_int(b, j->ask.method, 2);
	put_text(b, j->link.worker);
	put_slice(b, j->ask.address);
	if (j->tmpl != NULL)
		put_text(b, j->tmpl->cn);
	else
		put_null(b);
	if (renewed(j) != NULL)
		put_slice(b, buf_slice(&renewed(j)->serial));
	else
		put_null(b);
	if (evidence.n > 0)
		put_slice(b, evidence);
	else
		put_null(b);
	put_slice(b, token);
	if (job_agent(j) != NULL)
		put_text(b, job_agent(j));
	else
		put_null(b);
	put_waiting(b, j);
}

static void
put_version(struct buf *b, const struct template *t)
{
	if (t == NULL) {
		put_null(b);
		put_null(b);
		return;
	}
	put_int(b, t->major, 8);
	put_int(b, t->minor, 8);
}

/* Of a request that had waited; see store_approval.c. */
static void
put_approval(struct buf *b, const struct job *j)
{
	if (j->pending == NULL) {
		put_null(b);
		put_null(b);
		put_null(b);
		return;
	}
	put_text(b, j->pending->approver);
	if (j->pending->reason[0] != '\0')
		put_text(b, j->pending->reason);
	else
		put_null(b);
	put_bytes(b, j->ask.id, MSG_ID);
}

/*
 * REQUEST_DECIDED, without the number of fields.  What a manager denies keeps
 * the template and names that it was submitted with: NULL.
 */
static void
put_decided(struct buf *b, const struct job *j, const char *signer)
{
	bool same = j->pending != NULL && j->status != MSG_ISSUED;

	put_text(b, state_name(j->status));
	put_time(b, j->decided);
	put_text(b, signer);
	put_version(b, same ? NULL : j->tmpl);
	put_bytes(b, j->ask.policy_hash, sizeof(j->ask.policy_hash));
	put_int(b, j->hresult, 8);
	put_text(b, j->text);
	if (same) {
		put_null(b);
		put_null(b);
	} else {
		put_slice(b, buf_slice(&j->subject));
		put_slice(b, buf_slice(&j->san));
	}
	put_serial(b, j);
	put_approval(b, j);
}

void
row_request(struct buf *b, const struct job *j, const char *signer)
{
	put_be(b, SUB_N + DEC_N + 1, 2);
	put_submitted(b, j, j->ask.evidence, j->ask.token);
	put_decided(b, j, signer);
	/* In no ledger: it can be made again. */
	if (j->status == MSG_PENDING)
		put_slice(b, buf_slice(&j->response));
	else
		put_null(b);
}

static struct slice
hash(const struct job *j, struct slice s, uint8_t md[DIGEST_MAX])
{
	return slice_of(md, digest_run(j->ca->sha256, s, md));
}

void
row_submitted(struct buf *b, const struct job *j)
{
	uint8_t token[DIGEST_MAX], evidence[DIGEST_MAX];

	put_be(b, SUB_N, 2);
	put_submitted(b, j, j->ask.evidence.n > 0 ?
	    hash(j, j->ask.evidence, evidence) : j->ask.evidence,
	    hash(j, j->ask.token, token));
}

void
row_decided(struct buf *b, const struct job *j, const char *signer)
{
	put_be(b, DEC_N, 2);
	put_decided(b, j, signer);
}

static void
put_certificate(struct buf *b, const struct job *j, struct slice der)
{
	const struct issued *old = renewed(j);
	uint8_t md[DIGEST_MAX];
	struct slice spki = hash(j, j->tbs.key->spki, md);

	put_be(b, CERT_N, 2);
	put_bytes(b, j->tbs.serial, SERIAL_LEN);
	put_text(b, j->ca->name);
	put_bytes(b, j->row_id, MSG_ID);
	put_text(b, job_owner(j));
	put_text(b, j->tmpl->cn);
	put_slice(b, buf_slice(&j->subject));
	put_slice(b, buf_slice(&j->san));
	put_time(b, j->tbs.not_before * 1000000);
	put_time(b, j->tbs.not_after * 1000000);
	put_slice(b, spki);
	put_slice(b, der);
	put_int(b, old != NULL ? old->renewals + 1 : 0, 4);
	if (old != NULL)
		put_time(b, old->chain_start * 1000000);
	else
		put_null(b);
}

void
row_certificate(struct buf *b, const struct job *j)
{
	put_certificate(b, j, buf_slice(&j->cert));
}

void
row_certificate_kept(struct buf *b, const struct job *j)
{
	uint8_t md[DIGEST_MAX];

	put_certificate(b, j, hash(j, buf_slice(&j->cert), md));
}

void
row_airgap(struct buf *b, const struct job *j)
{
	struct buf accounts = { 0 };
	uint8_t spki[32], other[BADKEY_SPKI];

	pubkey_sha256(j->req->key, spki);
	airgap_put_accounts(j, &accounts);
	put_be(b, 6, 2);
	put_int(b, row_day(j->row_id), 4);
	put_bytes(b, j->row_id, MSG_ID);
	put_bytes(b, spki, sizeof(spki));
	put_bytes(b, other, badkey_other(j->req->key, other));
	put_slice(b, buf_slice(&accounts));
	put_int(b, j->decision.pending, 1);
	buf_free(&accounts);
}
