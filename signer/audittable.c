/* What operators did, from the database into the ledger. */
#include <string.h>

#include "audittable.h"
#include "journal.h"
#include "log.h"
#include "rollback.h"
#include "rowform.h"
#include "signer.h"

#define OTHERS	4	/* times a page's time for who waits */

uint64_t
audittable_number(const struct audit_row *r)
{
	return (uint64_t)slice_int(slice_of(r->n, sizeof(r->n)));
}

void
audittable_take(const struct tuple *t, struct audit_row *out)
{
	if (t->n != AUDIT_FIELDS || t->field[AUDIT_N].n != sizeof(out->n) ||
	    t->field[AUDIT_AT].n != sizeof(out->at))
		return;
	memcpy(out->n, t->field[AUDIT_N].p, sizeof(out->n));
	memcpy(out->at, t->field[AUDIT_AT].p, sizeof(out->at));
}

static void
add(struct signer *s, const struct tuple *t)
{
	struct buf f = { 0 }, row = { 0 };

	audittable_take(t, &s->audited);
	tuple_put(&row, t);
	ledger_field_num(&f, "n", (int64_t)audittable_number(&s->audited));
	ledger_field_base64(&f, "row", buf_slice(&row));
	ledger_add(s->ledger, "audit", buf_slice(&f));
	buf_free(&f);
	buf_free(&row);
}

/*
 * A row can be read whose COMMIT was not waited for: what stands in the ledger
 * must outlive a failover.
 */
static int
take_page(struct signer *s, struct err *err)
{
	unsigned long session;
	struct tuple t;
	PGresult *r;
	int i, n;

	if (signer_ready(s, err) == -1)
		return -1;
	session = store_session(s->store);
	if ((r = store_audit_after(s->store, &s->audited, err)) == NULL)
		return -1;
	n = PQntuples(r);
	if (n > 0 && store_barrier(s->store, err) == -1)
		n = -1;
	else if (store_session(s->store) != session)
		n = err_set(err, ERR_UNAVAILABLE, "database: another session");
	for (i = 0; i < n; i++) {
		tuple_of(r, i, 0, AUDIT_FIELDS - 1, &t);
		add(s, &t);
	}
	PQclear(r);
	return n;
}

/* Synced here, or a signer that is asked for nothing new would buffer all. */
int
audittable_tell(struct signer *s, struct err *err)
{
	struct audit_pace *a = &s->audit;
	int64_t now, began = log_usec();
	int n = take_page(s, err);

	if (n > 0 && journal_sync(s, err) == -1)
		n = -1;
	now = log_usec();
	a->behind = n > 0;
	a->next = a->asked ? now + OTHERS * (now - began) : now;
	a->asked = false;
	return n == -1 ? -1 : 0;
}

void
audittable_round(struct signer *s, bool asked)
{
	struct err err = ERR_INIT;

	s->audit.asked = s->audit.asked || asked;
	if (s->audit.behind && log_usec() >= s->audit.next &&
	    audittable_tell(s, &err) == -1)
		log_note("audit", "%s", err.text);
}

int
audittable_wait(const struct signer *s, int ms)
{
	int64_t left = (s->audit.next - log_usec() + 999) / 1000;

	if (!s->audit.behind || left >= ms)
		return ms;
	return left > 0 ? (int)left : 0;
}
