/*
 * When a list is due, and making it: crl_round between two batches, from the
 * rows of revocations to the parts that "countersign crl publish" shows.
 *
 * All of a list is one transaction, of a session of its own; what is committed
 * by the batches between its pages, revocations too, it does not see.  Where
 * this process dies before its end, nothing is left but perhaps the intent in
 * the ledger, which is a number given away.
 */
#include <stdlib.h>
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
	struct ca		*ca;	/* NULL: none is */
	const struct policy_ca	*policy;
	int64_t			 now;
	struct crl_state	 state;
	bool			 claimed, begun;	/* see store_crl.h */
	unsigned long		 session;	/* of the batches */
	struct crl_walk		 walk;	/* through its entries, twice */
	struct crl		*crl;	/* NULL: they are being counted */
	struct crl_made		 made;
	unsigned		 parts;
	struct buf		 row;	/* as it was stored */
	int64_t			 t0, worked;	/* us: since, and before */
};

/* One after the other, each CA of the signer, and whatever batches between. */
struct crl_turn {
	const struct policy	*policy;	/* for all of them */
	size_t			 nth;
	bool			 again;	/* one has more for the ledger */
	struct making		 m;
};

/*
 * Some seconds after the last one of either kind; where lists are long, a tenth
 * of the time is theirs.
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

/* When the next one is made, even without news. */
static int64_t
next_publish(const struct making *m, bool delta, int64_t next_update)
{
	return next_update - (delta ? m->policy->crl_delta / 2 :
	    m->policy->crl_overlap);
}

static bool
complete_is_due(const struct making *m)
{
	const struct crl_list *l = &m->state.complete;
	bool deltas = m->policy->crl_delta != 0;

	if (l->number == 0 || !m->state.whole ||
	    m->now >= next_publish(m, false, l->next_update))
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
	    m->now >= next_publish(m, true, l->next_update);
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
	return store_crl_part(m->s->lists, &m->made, ++m->parts, body, err);
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
 * restored from a backup; the ledger knows what this signer signed, and the
 * database what all ledgers had when reconcile put rows back.
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
	if (m->state.told > last)
		last = m->state.told;
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
sign(struct making *m, struct err *err)
{
	struct store *st = m->s->lists;
	struct buf first = { 0 }, last = { 0 }, digest = { 0 };
	int rc = crl_end(m->crl, &digest, err);

	m->made.entries = m->walk.entries;
	m->made.digest = buf_slice(&digest);
	if (rc == 0 && (rc = tell_ledger(m, err)) == 0)
		fail_point("list-told");
	if (rc == 0 && (rc = crl_sign(m->crl, &first, &last, err)) == 0 &&
	    (rc = put_part(m, buf_slice(&last), err)) == 0) {
		m->made.octets += first.n;
		rc = store_crl_part(st, &m->made, 0, buf_slice(&first), err);
	}
	if (rc == 0 && (rc = store_crl_put(st, &m->made, err)) == 0)
		rc = store_crl_row(st, &m->made, &m->row, err);
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
	    .valid_at = m->state.complete.this_update - ISSUED_EARLY };

	q.delta = m->made.base != 0;
	if (q.delta)
		q.since = base_of(m)->seen;
	return q;
}

/* What stands before the entries, when it is known how long they are. */
static int
open_list(struct making *m, struct err *err)
{
	struct crl_head h = {
		.ca = m->ca, .number = m->made.number, .base = m->made.base,
		.freshest = &m->policy->cdp_delta,
		.this_update = m->made.this_update - ISSUED_EARLY,
		.next_update = m->made.next_update,
		.next_publish = next_publish(m, m->made.base != 0,
		    m->made.next_update),
		.octets = m->walk.octets
	};

	store_crl_rewind(&m->walk);
	m->crl = crl_new(&h, (struct crl_sink){ put_part, m }, err);
	return m->crl == NULL ? -1 : 0;
}

/*
 * Up to the end of a full page, of which the next has to wait for a batch, or
 * to the signature: 1, or 0.
 */
static int
make(struct making *m, struct err *err)
{
	struct store *st = m->s->lists;
	int more = 0;

	if (m->crl == NULL) {
		if ((more = store_crl_page(st, &m->walk, NULL, err)) != 0)
			return more;
		if (open_list(m, err) == -1)
			return -1;
	}
	more = store_crl_page(st, &m->walk, m->crl, err);
	return more != 0 ? more : sign(m, err);
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
	struct store *st = m->s->lists;
	int got, i;

	for (i = 0; i < TRIES; i++) {
		if (store_barrier(st, err) == -1)
			return -1;
		fail_point("list-begins");
		if (journal_revocations(m->s, m->ca, err) == -1)
			return -1;
		if ((got = store_crl_begin(st, m->ca->name, err)) != 1)
			return got;
		m->begun = true;
		if ((got = store_revocations_untold(st, m->ca->name,
		    err)) == -1)
			return -1;
		if (got == 0)
			return 1;
		store_crl_rollback(st);
		m->begun = false;
	}
	return err_set(err, ERR_UNAVAILABLE, "ca %s: a list between all these "
	    "revocations has to wait", m->ca->name);
}

/*
 * A hundred thousand revocations, as of a template, come into the ledger
 * between batches, not all before the next: is there nothing left?  1, 0, -1.
 */
static int
told_most(struct crl_turn *t, struct err *err)
{
	int more = journal_revocations_page(t->m.s, t->m.ca, err);

	if (more == 1)
		t->again = true;
	return more == -1 ? -1 : !more;
}

/* 1: a list is begun, 0: there is nothing to be made, or -1. */
static int
begin_if_due(struct crl_turn *t, struct err *err)
{
	struct making *m = &t->m;
	int got;

	if (store_crl_state(m->s->store, m->ca->name, &m->state, err) == -1)
		return -1;
	if (!is_due(m))
		return 0;
	m->session = store_session(m->s->store);
	store_follow(m->s->lists, m->s->store);
	/* A number given away twice cannot be taken back. */
	if (rollback_check(m->s, err) == -1)
		return -1;
	/* Copying a crowd of revocations takes long: the others go on. */
	if ((got = store_crl_claim(m->s->lists, m->ca->name, err)) != 1)
		return got;
	m->claimed = true;
	if ((got = told_most(t, err)) != 1 || (got = begin(m, err)) != 1)
		return got;
	/* Another signer may have made one meanwhile. */
	if (store_crl_state(m->s->lists, m->ca->name, &m->state, err) == -1)
		return -1;
	if (!is_due(m))
		return 0;
	if (plan(m, err) == -1)
		return -1;
	m->walk.q = query_of(m);
	return 1;
}

/* Of what the batches found a new session tells nothing: see signer_ready. */
static int
same_session(const struct making *m, struct err *err)
{
	if (store_session(m->s->store) == m->session)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "database: another session");
}

static int
end(struct making *m, struct err *err)
{
	int64_t took;

	m->begun = false;
	if (store_crl_commit(m->s->lists, err) == -1)
		return -1;
	fail_point("list-stored");
	tell_listed(m);
	took = m->worked + log_usec() - m->t0;
	m->ca->crl_took = took / 1000000;
	log_note("crl", "ca %s: %snumber %llu, %llu entries, %llu octets, "
	    "%lld us", m->ca->name, m->made.base != 0 ? "delta, " : "",
	    (unsigned long long)m->made.number,
	    (unsigned long long)m->made.entries,
	    (unsigned long long)m->made.octets, (long long)took);
	return 0;
}

/* 1: the rest behind the next batch, 0: the list is there, or needs not be. */
static int
go_on(struct crl_turn *t, struct err *err)
{
	struct making *m = &t->m;
	int got;

	m->t0 = log_usec();
	if (m->begun)
		got = same_session(m, err) == -1 ? -1 : 1;
	else
		got = begin_if_due(t, err);
	if (got == 1 && (got = make(m, err)) == 0)
		got = end(m, err);
	m->worked += log_usec() - m->t0;
	return got;
}

/* Nothing is left of what did not come to its end. */
static void
leave(struct making *m)
{
	if (m->begun)
		store_crl_rollback(m->s->lists);
	if (m->claimed)
		store_crl_yield(m->s->lists, m->ca->name);
	store_crl_rewind(&m->walk);
	crl_free(m->crl);
	buf_free(&m->row);
	memset(m, 0, sizeof(*m));
}

/* Is there something to be done for the CA? */
static bool
enter(struct signer *s, struct crl_turn *t, int64_t now)
{
	struct ca *ca = s->cas[t->nth];
	const struct policy_ca *p = policy_key_find(t->policy, ca->name, NULL);

	/* One that is apart comes with a bundle. */
	if (p == NULL || ca->apart || now >= ca->not_after)
		return false;	/* after its end nothing is left to revoke */
	/* It has told already that its token is away. */
	if (cakey_ready(ca->key, &(struct err)ERR_INIT) == -1)
		return false;
	t->m = (struct making){ .s = s, .ca = ca, .policy = p, .now = now };
	return true;
}

/* Of one CA; false: there is more, behind the next batch. */
static bool
serve(struct signer *s, struct crl_turn *t, int64_t now)
{
	struct err err = ERR_INIT;
	struct making *m = &t->m;
	int got;

	if (m->ca == NULL && !enter(s, t, now))
		return true;
	if ((got = go_on(t, &err)) == 1)
		return false;
	if (got == -1 || ocsp_ahead(s, m->ca, m->policy, now, &err) == -1)
		log_note("crl", "ca %s: %s", m->ca->name, err.text);
	leave(m);
	return true;
}

static struct crl_turn *
new_turn(struct signer *s)
{
	struct err err = ERR_INIT;
	const struct policy *p;
	struct crl_turn *t;

	p = snapshot_policy(s->snapshot, false, &err);
	if (p == NULL) {
		log_note("crl", "no list can be made: %s", err.text);
		return NULL;
	}
	caset_look(s, p);
	t = xcalloc(1, sizeof(*t));
	t->policy = p;
	return t;
}

void
crl_leave(struct signer *s)
{
	if (s->turn == NULL)
		return;
	leave(&s->turn->m);
	snapshot_put(s->snapshot, s->turn->policy);
	free(s->turn);
	s->turn = NULL;
}

void
crl_round(struct signer *s, int64_t now)
{
	struct crl_turn *t;
	struct err err = ERR_INIT;

	if (signer_ready(s, &err) == -1)
		return;
	s->next_crl = log_usec() / 1000000 + LOOK_S;
	s->lists_wait = false;
	if (blocked_refresh(s, &err) == -1)
		log_note("blocked", "%s", err.text);
	if (s->turn == NULL && (s->turn = new_turn(s)) == NULL)
		return;
	t = s->turn;
	while (t->nth < s->ncas && serve(s, t, now))
		t->nth++;
	s->lists_wait = t->nth < s->ncas || t->again;
	if (s->lists_wait)
		s->next_crl = 0;
	if (t->nth == s->ncas)
		crl_leave(s);
}
