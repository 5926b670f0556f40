#include <string.h>

#include "crlmake.h"
#include "log.h"
#include "ocspresp.h"
#include "store_crl.h"

#define LOOK_S		2	/* between looks */
#define PAUSE_S		4	/* between lists: a crowd is one list */

/* One list being made. */
struct making {
	struct signer		*s;
	struct ca		*ca;
	const struct policy_ca	*policy;
	int64_t			 now;
	struct crl_state	 last;
	struct crl_made		 made;
	unsigned		 parts;
};

static bool
is_due(const struct making *m)
{
	const struct crl_state *l = &m->last;

	if (l->number == 0)
		return true;
	if (m->now >= l->next_update - m->policy->crl_overlap)
		return true;
	return l->changes != l->seen && m->now >= l->this_update + PAUSE_S;
}

/* Part 0 comes last: it holds a length that the signature has a part in. */
static int
put_part(void *arg, struct slice body, struct err *err)
{
	struct making *m = arg;

	m->made.octets += body.n;
	return store_crl_part(m->s->store, &m->made, ++m->parts, body, err);
}

/*
 * [RFC5280] 5.2.3: numbers never repeat or fall.  The database may have been
 * restored from a backup; the ledger knows what this signer signed.
 */
static int
plan(struct making *m, struct err *err)
{
	uint64_t last = m->last.number;

	if (m->now < m->last.this_update)
		return err_set(err, ERR_UNAVAILABLE, "crl of ca %s: clock is "
		    "%lld s before the last one", m->ca->name,
		    (long long)(m->last.this_update - m->now));
	if (m->ca->crl_number > last)
		last = m->ca->crl_number;
	m->made.ca = m->ca->name;
	m->made.number = last + 1;
	m->made.this_update = m->now;
	m->made.next_update = m->now + m->policy->crl_validity;
	m->made.seen = m->last.changes;
	return 0;
}

/* Before the signature, as with certificates. */
static int
tell_ledger(struct making *m, struct err *err)
{
	struct buf f = { 0 };
	char number[24];

	snprintf(number, sizeof(number), "%llu",
	    (unsigned long long)m->made.number);
	ledger_field(&f, "ca", slice_str(m->ca->name));
	ledger_field(&f, "number", slice_str(number));
	ledger_field_hex(&f, "tbs", m->made.digest.p, m->made.digest.n);
	ledger_add(m->s->ledger, "crl", buf_slice(&f));
	m->s->unsynced = true;
	m->ca->crl_number = m->made.number;
	buf_free(&f);
	return signer_sync(m->s, err);
}

static int
finish(struct making *m, struct crl *crl, struct err *err)
{
	struct buf first = { 0 }, last = { 0 }, digest = { 0 };
	int rc = crl_end(crl, &digest, err);

	m->made.digest = buf_slice(&digest);
	if (rc == 0 && (rc = tell_ledger(m, err)) == 0 &&
	    (rc = crl_sign(crl, &first, &last, err)) == 0 &&
	    (rc = put_part(m, buf_slice(&last), err)) == 0) {
		m->made.octets += first.n;
		rc = store_crl_part(m->s->store, &m->made, 0,
		    buf_slice(&first), err);
	}
	if (rc == 0)
		rc = store_crl_put(m->s->store, &m->made, err);
	m->made.digest = slice_of(NULL, 0);
	buf_free(&first);
	buf_free(&last);
	buf_free(&digest);
	return rc;
}

/* In the transaction. */
static int
make(struct making *m, struct err *err)
{
	/*
	 * [RFC5280] 3.3: an entry stays until it has been on one list made
	 * after its certificate's end.
	 */
	struct crl_query q = { m->ca->name, m->last.this_update };
	struct crl_head h = { .ca = m->ca };
	struct crl *crl;
	int rc = -1;

	if (plan(m, err) == -1 || store_crl_count(m->s->store, &q,
	    &m->made.entries, &h.octets, err) == -1)
		return -1;
	h.number = m->made.number;
	h.this_update = m->made.this_update;
	h.next_update = m->made.next_update;
	crl = crl_new(&h, (struct crl_sink){ put_part, m }, err);
	if (crl != NULL &&
	    store_crl_entries(m->s->store, &q, crl, err) == 0)
		rc = finish(m, crl, err);
	crl_free(crl);
	return rc;
}

static int
make_if_due(struct making *m, struct err *err)
{
	struct store *st = m->s->store;
	int64_t t = log_usec();
	int got;

	if (store_crl_state(st, m->ca->name, &m->last, err) == -1)
		return -1;
	if (!is_due(m))
		return 0;
	if ((got = store_crl_begin(st, m->ca->name, err)) != 1)
		return got;
	/* Another signer may have made one meanwhile. */
	if (store_crl_state(st, m->ca->name, &m->last, err) == -1 ||
	    (is_due(m) && make(m, err) == -1)) {
		store_crl_rollback(st);
		return -1;
	}
	if (store_crl_commit(st, err) == -1)
		return -1;
	if (m->made.number != 0)
		log_note("crl", "ca %s: number %llu, %llu entries, %llu "
		    "octets, %lld us", m->ca->name,
		    (unsigned long long)m->made.number,
		    (unsigned long long)m->made.entries,
		    (unsigned long long)m->made.octets,
		    (long long)(log_usec() - t));
	return 0;
}

void
crl_round(struct signer *s, int64_t now)
{
	const struct policy *p;
	struct making m;
	struct err err = ERR_INIT;
	size_t i;

	if (now < s->next_crl || store_ready(s->store, &err) == -1)
		return;
	s->next_crl = now + LOOK_S;
	p = snapshot_policy(s->snapshot, false, &err);
	for (i = 0; p != NULL && i < s->ncas; i++) {
		memset(&m, 0, sizeof(m));
		m.s = s;
		m.ca = s->cas[i];
		m.now = now;
		m.policy = policy_ca_find(p, m.ca->name);
		if (m.policy != NULL && (make_if_due(&m, &err) == -1 ||
		    ocsp_ahead(s, m.ca, m.policy, now, &err) == -1))
			log_note("crl", "ca %s: %s", m.ca->name, err.text);
		memset(&err, 0, sizeof(err));
	}
	if (p != NULL)
		snapshot_put(s->snapshot, p);
}
