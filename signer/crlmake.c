/*
 * When a list is due, and making it: crl_round between two batches, from the
 * rows of revocations to the parts that "countersign crl publish" shows.
 */
#include <string.h>

#include "blocked.h"
#include "caset.h"
#include "crlmake.h"
#include "failpoint.h"
#include "journal.h"
#include "log.h"
#include "ocspresp.h"
#include "rollback.h"
#include "store_crl.h"

#define LOOK_S		2	/* between looks */
#define PAUSE_S		4	/* between lists: a crowd is one list */
#define PAUSE_MAX_S	60	/* even if a list takes long */
#define TRIES		5	/* until no revocation came meanwhile */

/* One list being made. */
struct making {
	struct signer		*s;
	struct ca		*ca;
	const struct policy_ca	*policy;
	int64_t			 now;
	struct crl_state	 state;
	struct crl_made		 made;
	unsigned		 parts;
	struct buf		 row;	/* as it was stored */
};

/*
 * Some seconds after the last one of either kind; where lists are long, a tenth
 * of the time is theirs: nothing is issued meanwhile.
 */
static bool
has_news(const struct making *m)
{
	const struct crl_list *l = &m->state.last;
	int64_t pause = PAUSE_S + 9 * m->ca->crl_took;

	if (pause > PAUSE_MAX_S)
		pause = PAUSE_MAX_S;
	return m->state.changes != l->seen && m->now >= l->this_update +
	    pause;
}

static bool
complete_is_due(const struct making *m)
{
	const struct crl_list *l = &m->state.complete;
	bool deltas = m->policy->crl_delta != 0;

	if (l->number == 0 || !m->state.whole ||
	    m->now >= l->next_update - m->policy->crl_overlap)
		return true;
	/* [RFC5280] 5.2.6: it says where its deltas are, or that none are. */
	return l->followed != deltas || (!deltas && has_news(m));
}

/* Behind each complete list, too: an older delta does not go with it. */
static bool
delta_is_due(const struct making *m)
{
	const struct crl_list *l = &m->state.last;

	if (m->policy->crl_delta == 0)
		return false;
	return l->base == 0 || has_news(m) ||
	    m->now >= l->next_update - m->policy->crl_delta / 2;
}

static bool
is_due(const struct making *m)
{
	/* [RFC5280] 5.2.3: two of one moment would have one number. */
	if (m->now == m->state.last.this_update)
		return false;
	return complete_is_due(m) || delta_is_due(m);
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
 * Whoever has the complete list before the last one shall not need another one
 * while that lasts.
 */
static const struct crl_list *
base_of(const struct making *m)
{
	const struct crl_list *b = &m->state.before;

	return b->followed && b->next_update > m->now ? b : &m->state.complete;
}

/*
 * [RFC5280] 5.2.3: numbers never repeat or fall.  The database may have been
 * restored from a backup; the ledger knows what this signer signed.
 */
static int
plan(struct making *m, struct err *err)
{
	const struct crl_list *l = &m->state.last;
	uint64_t last = l->number;

	if (m->now < l->this_update)
		return err_set(err, ERR_UNAVAILABLE, "crl of ca %s: clock is "
		    "%lld s before the last one", m->ca->name,
		    (long long)(l->this_update - m->now));
	if (m->ca->crl_number > last)
		last = m->ca->crl_number;
	m->made.ca = m->ca->name;
	m->made.number = last + 1;
	m->made.this_update = m->now;
	m->made.seen = m->state.changes;
	if (complete_is_due(m)) {
		m->made.followed = m->policy->crl_delta != 0;
		m->made.next_update = m->now + m->policy->crl_validity;
	} else {
		m->made.base = base_of(m)->number;
		m->made.next_update = m->now + m->policy->crl_delta;
	}
	return 0;
}

/*
 * Before the signature, as with certificates.  What is not committed then
 * leaves a gap in the numbers, which only have to grow ([RFC5280] 5.2.3).
 */
static int
tell_ledger(struct making *m, struct err *err)
{
	struct buf f = { 0 };

	ledger_field(&f, "ca", slice_str(m->ca->name));
	ledger_field_num(&f, "number", (int64_t)m->made.number);
	if (m->made.base != 0)
		ledger_field_num(&f, "base", (int64_t)m->made.base);
	ledger_field_hex(&f, "tbs", m->made.digest.p, m->made.digest.n);
	ledger_add(m->s->ledger, "crl", buf_slice(&f));
	m->ca->crl_number = m->made.number;
	buf_free(&f);
	return journal_sync(m->s, err);
}

static int
finish(struct making *m, struct crl *crl, struct err *err)
{
	struct buf first = { 0 }, last = { 0 }, digest = { 0 };
	int rc = crl_end(crl, &digest, err);

	m->made.digest = buf_slice(&digest);
	if (rc == 0 && (rc = tell_ledger(m, err)) == 0)
		fail_point("list-told");
	if (rc == 0 && (rc = crl_sign(crl, &first, &last, err)) == 0 &&
	    (rc = put_part(m, buf_slice(&last), err)) == 0) {
		m->made.octets += first.n;
		rc = store_crl_part(m->s->store, &m->made, 0,
		    buf_slice(&first), err);
	}
	if (rc == 0 &&
	    (rc = store_crl_put(m->s->store, &m->made, err)) == 0)
		rc = store_crl_row(m->s->store, &m->made, &m->row, err);
	fail_point("list-signed");
	m->made.digest = slice_of(NULL, 0);
	buf_free(&first);
	buf_free(&last);
	buf_free(&digest);
	return rc;
}

/* Which entries, in the transaction. */
static struct crl_query
query_of(const struct making *m)
{
	/*
	 * [RFC5280] 3.3, 5.2.4: an entry stays until it has been on one
	 * complete list made after its certificate's end.
	 */
	struct crl_query q = { .ca = m->ca->name,
	    .valid_at = m->state.complete.this_update };

	q.delta = m->made.base != 0;
	if (q.delta)
		q.since = base_of(m)->seen;
	return q;
}

static int
make(struct making *m, struct err *err)
{
	struct crl_query q;
	struct crl_head h = { .ca = m->ca };
	struct crl *crl;
	int rc = -1;

	if (plan(m, err) == -1)
		return -1;
	q = query_of(m);
	if (store_crl_count(m->s->store, &q, &m->made.entries, &h.octets,
	    err) == -1)
		return -1;
	h.number = m->made.number;
	h.base = m->made.base;
	h.freshest = &m->policy->cdp_delta;
	h.this_update = m->made.this_update;
	h.next_update = m->made.next_update;
	crl = crl_new(&h, (struct crl_sink){ put_part, m }, err);
	if (crl != NULL &&
	    store_crl_entries(m->s->store, &q, crl, err) == 0)
		rc = finish(m, crl, err);
	crl_free(crl);
	return rc;
}

/*
 * Behind the commit, synced with what comes next: whoever restores an older
 * database misses this number.
 */
static void
tell_listed(struct making *m)
{
	struct buf f = { 0 };

	ledger_field(&f, "ca", slice_str(m->ca->name));
	ledger_field_num(&f, "number", (int64_t)m->made.number);
	ledger_field_base64(&f, "row", buf_slice(&m->row));
	ledger_add(m->s->ledger, "listed", buf_slice(&f));
	m->ca->crl_listed = m->made.number;
	buf_free(&f);
}

/*
 * [security] P4: what can be read may not be durable, and at a former primary
 * nothing is; no list is begun there.  The revocations go into the ledger
 * before the transaction, within which none can be waited for: should others
 * have come until its begin, again.  1, 0: another makes the list, or -1.
 */
static int
begin(struct making *m, struct err *err)
{
	struct store *st = m->s->store;
	int got, i;

	for (i = 0; i < TRIES; i++) {
		if (store_barrier(st, err) == -1)
			return -1;
		fail_point("list-begins");
		if (journal_revocations(m->s, m->ca, err) == -1)
			return -1;
		if ((got = store_crl_begin(st, m->ca->name, err)) != 1)
			return got;
		got = store_revocations_untold(st, m->ca->name, err);
		if (got == 0)
			return 1;
		store_crl_rollback(st);
		if (got == -1)
			return -1;
	}
	return err_set(err, ERR_UNAVAILABLE, "ca %s: a list between all these "
	    "revocations has to wait", m->ca->name);
}

/* m->made.number stays 0 when there is none to be made any more. */
static int
make_alone(struct making *m, struct err *err)
{
	struct store *st = m->s->store;
	int got;

	if ((got = begin(m, err)) != 1)
		return got;
	/* Another signer may have made one meanwhile. */
	if (store_crl_state(st, m->ca->name, &m->state, err) == -1 ||
	    (is_due(m) && make(m, err) == -1)) {
		store_crl_rollback(st);
		return -1;
	}
	return store_crl_commit(st, err);
}

/*
 * A hundred thousand revocations, as of a template, come into the ledger
 * between batches, not all before the next: is there nothing left?  1, 0, -1.
 */
static int
told_most(struct making *m, struct err *err)
{
	int more = journal_revocations_page(m->s, m->ca, err);

	if (more == 1)
		m->s->revocations_wait = true;
	return more == -1 ? -1 : !more;
}

static int
make_if_due(struct making *m, struct err *err)
{
	struct store *st = m->s->store;
	int64_t t = log_usec();
	int got;

	if (store_crl_state(st, m->ca->name, &m->state, err) == -1)
		return -1;
	if (!is_due(m))
		return 0;
	/* A number given away twice cannot be taken back. */
	if (rollback_check(m->s, err) == -1)
		return -1;
	/* Copying a crowd of revocations takes long: the others go on. */
	if ((got = store_crl_claim(st, m->ca->name, err)) != 1)
		return got;
	if ((got = told_most(m, err)) == 1)
		got = make_alone(m, err);
	store_crl_yield(st, m->ca->name);
	if (got == -1 || m->made.number == 0)
		return got;
	fail_point("list-stored");
	m->ca->crl_took = (log_usec() - t) / 1000000;
	tell_listed(m);
	log_note("crl", "ca %s: %snumber %llu, %llu entries, %llu octets, "
	    "%lld us", m->ca->name, m->made.base != 0 ? "delta, " : "",
	    (unsigned long long)m->made.number,
	    (unsigned long long)m->made.entries,
	    (unsigned long long)m->made.octets, (long long)(log_usec() - t));
	return 0;
}

void
crl_round(struct signer *s, int64_t now)
{
	const struct policy *p;
	struct making m;
	struct err err = ERR_INIT;
	size_t i;

	if (signer_ready(s, &err) == -1)
		return;
	s->next_crl = log_usec() / 1000000 + LOOK_S;
	s->revocations_wait = false;
	if (blocked_refresh(s, &err) == -1)
		log_note("blocked", "%s", err.text);
	memset(&err, 0, sizeof(err));
	p = snapshot_policy(s->snapshot, false, &err);
	if (p == NULL) {
		log_note("crl", "no list can be made: %s", err.text);
		return;
	}
	caset_look(s, p);
	for (i = 0; i < s->ncas; i++) {
		memset(&m, 0, sizeof(m));
		m.s = s;
		m.ca = s->cas[i];
		if (m.ca->apart)
			continue;	/* comes with a bundle */
		m.now = now;
		m.policy = policy_key_find(p, m.ca->name, NULL);
		/* It has told already that its token is away. */
		if (cakey_ready(m.ca->key, &(struct err)ERR_INIT) == -1)
			continue;
		/* After its end there is nothing left to revoke. */
		if (m.policy != NULL && now < m.ca->not_after &&
		    (make_if_due(&m, &err) == -1 ||
		    ocsp_ahead(s, m.ca, m.policy, now, &err) == -1))
			log_note("crl", "ca %s: %s", m.ca->name, err.text);
		buf_free(&m.row);
		memset(&err, 0, sizeof(err));
	}
	if (s->revocations_wait)
		s->next_crl = 0;
	snapshot_put(s->snapshot, p);
}
