/*
 * A new file for the ledger, between two batches, when the old one is long
 * enough.
 */
#include "heads.h"
#include "journal.h"
#include "segment.h"
#include "signer.h"

/* One of those committed last is enough: they were one transaction. */
static void
add_segment(struct signer *s)
{
	const struct intent *last = &s->marks.v[0];
	struct buf f = { 0 };

	ledger_field(&f, "signer", slice_str(s->conf->name));
	ledger_field_num(&f, "prefix", s->prefix);
	if (s->marks.n > 0) {
		ledger_field_hex(&f, "id", last->id, MSG_ID);
		if (last->status == MSG_ISSUED)
			ledger_field_hex(&f, "serial", last->serial,
			    SERIAL_LEN);
		ledger_field(&f, "ca", slice_str(last->ca));
		ledger_field_num(&f, "status", last->status);
	}
	ledger_field_hex(&f, "audit", (const uint8_t *)&s->audited,
	    sizeof(s->audited));
	ledger_add(s->ledger, "segment", buf_slice(&f));
	buf_free(&f);
}

static void
add_numbers(struct signer *s, const struct ca *ca)
{
	struct buf f = { 0 };

	ledger_field(&f, "ca", slice_str(ca->name));
	ledger_field_num(&f, "number", (int64_t)ca->crl_number);
	ledger_field_num(&f, "listed", (int64_t)ca->crl_listed);
	ledger_add(s->ledger, "numbers", buf_slice(&f));
	buf_free(&f);
}

int
segment_round(struct signer *s, struct err *err)
{
	size_t i;

	if (ledger_size(s->ledger) < s->conf->ledger_segment ||
	    s->unresolved.n > 0 || s->rolled_back)
		return 0;
	/* A head at the end of the old file, and one of the new. */
	if (journal_sync(s, err) == -1 || heads_now(s, err) == -1)
		return -1;
	add_segment(s);
	for (i = 0; i < s->ncas; i++) {
		if (s->cas[i]->crl_number > 0)
			add_numbers(s, s->cas[i]);
	}
	if (ledger_turn(s->ledger, err) == -1) {
		s->ledger_failed = true;
		return -1;
	}
	return heads_now(s, err);
}
