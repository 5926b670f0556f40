/*
 * GetPoliciesResponse: which templates, and the memory of answers.  The end
 * of a request to CEP: serve.c comes here with an account and the policy in
 * force; no signer is asked.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cep.h"
#include "cepwrite.h"
#include "decide.h"

#define ANSWERS		64	/* sets of permissions remembered ... */
#define ANSWERS_BYTES	(4 * 1024 * 1024)	/* ... if they fit */

struct answer_kept {
	struct buf	 key;
	struct xmlw	 body;
	int		 offered;
	uint64_t	 used;		/* 0 = free */
};

struct cep {
	pthread_mutex_t	 lock;
	struct answer_kept kept[ANSWERS];
	size_t		 bytes;		/* of all bodies */
	uint64_t	 clock;		/* counts uses */
	uint64_t	 epoch;		/* the last one seen ... */
	int64_t		 changed;	/* ... and when: monotonic seconds */
};

struct cep *
cep_new(int64_t up)
{
	struct cep	*c;

	c = xcalloc(1, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	c->changed = up;
	return c;
}

void
cep_free(struct cep *c)
{
	size_t	i;

	if (c == NULL)
		return;
	for (i = 0; i < ANSWERS; i++) {
		buf_free(&c->kept[i].key);
		xmlw_free(&c->kept[i].body);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/*
 * [MS-XCEP] 3.1.4.1.3.9: nothing this caller sees has changed since
 * lastUpdate, as far as this process can know: it hears of every change of
 * policy, CA, account and membership, and knows nothing of the time before it
 * started.  lastUpdate is the client's clock; of two in the same second
 * nobody knows the first.
 */
static bool
not_changed(struct cep *c, const struct cep_ask *ask)
{
	int64_t	since;

	pthread_mutex_lock(&c->lock);
	if (c->epoch != ask->epoch) {
		c->epoch = ask->epoch;
		c->changed = ask->up;
	}
	/* Not by the clock of then, which may have been wrong; 1: rounding. */
	since = ask->now - (ask->up - c->changed) + 1;
	pthread_mutex_unlock(&c->lock);
	if (since < ask->policy->published)
		since = ask->policy->published;
	/* Nobody tells of a secret's end: its template is not shown then. */
	if (ask->account->one_time != NULL && !ask->account->one_time_used &&
	    ask->account->one_time_expires <= ask->now &&
	    since < ask->account->one_time_expires)
		since = ask->account->one_time_expires;
	return ask->query->last_update > since + ask->ahead;
}

static bool
in_filter(const struct getpolicies *q, const struct template *t)
{
	uint32_t	flags = t->private_key_flags;
	size_t		i;

	/* [MS-XCEP] 3.1.4.1.3.22; 0 filters nothing, as cepces expects. */
	if (q->client_version > 0 && q->client_version < 16 &&
	    (flags & 0x0f000000u) > (uint32_t)q->client_version << 24)
		return false;
	if (q->server_version > 0 && q->server_version < 16 &&
	    (flags & 0x000f0000u) > (uint32_t)q->server_version << 16)
		return false;
	if (!q->by_oid)
		return true;
	for (i = 0; i < q->noids; i++)
		if (slice_is(q->oids[i], t->oid))
			return true;
	return false;
}

/* Is there a CA that offers it, with an address for this caller? */
static bool
reachable(const struct cep_view *v, const struct template *t)
{
	size_t	i;

	for (i = 0; i < v->policy->ncas; i++)
		if (cep_reachable(v, t, &v->policy->cas[i]))
			return true;
	return false;
}

/* Who holds a certificate of the template may renew it by its key. */
static uint8_t
permission(const struct cep_ask *ask, const struct template *t)
{
	struct err	err = ERR_INIT;

	if (ask->key_based && !t->renew_key_based)
		return 0;
	if (decide_offer(ask->policy, t, ask->account, ask->now,
	    &err) == 0)
		return CEP_ENROLL | (decide_autoenroll(t, ask->account) ?
		    CEP_AUTOENROLL : 0);
	if (ask->key_based && !ask->account->disabled &&
	    strcmp(t->cn, ask->held) == 0)
		return CEP_ENROLL;
	return 0;
}

/* One byte for each template: CEP_ENROLL, CEP_AUTOENROLL, 0 = not offered. */
static void
permissions(const struct cep_ask *ask, const struct cep_view *v, uint8_t *out)
{
	const struct template	*t;
	size_t			 i;

	for (i = 0; i < ask->policy->ntemplates; i++) {
		t = &ask->policy->templates[i];
		out[i] = 0;
		if (in_filter(ask->query, t) && reachable(v, t))
			out[i] = permission(ask, t);
	}
}

/* Everything the body is made of, besides the permissions. */
static void
put_key(const struct cep_view *v, struct buf *key)
{
	const struct policy	*p = v->policy;
	size_t			 i;

	buf_addc(key, (uint8_t)v->method);
	buf_addc(key, v->password);
	buf_add(key, p->sha256, sizeof(p->sha256));
	buf_add(key, p->id, sizeof(p->id));
	for (i = 0; i < p->ncas; i++)
		buf_add(key, p->cas[i].cert.p, p->cas[i].cert.n);
}

static struct answer_kept *
find(struct cep *c, const struct buf *key)
{
	size_t	i;

	for (i = 0; i < ANSWERS; i++)
		if (c->kept[i].used != 0 &&
		    slice_eq(buf_slice(&c->kept[i].key), buf_slice(key)))
			return &c->kept[i];
	return NULL;
}

static bool
recall(struct cep *c, const struct buf *key, struct xmlw *w, int *offered)
{
	struct answer_kept	*a;

	pthread_mutex_lock(&c->lock);
	a = find(c, key);
	if (a != NULL) {
		a->used = ++c->clock;
		xmlw_add(w, &a->body);
		*offered = a->offered;
	}
	pthread_mutex_unlock(&c->lock);
	return a != NULL;
}

static void
forget(struct cep *c, struct answer_kept *a)
{
	c->bytes -= a->body.b.n;
	buf_free(&a->key);
	xmlw_free(&a->body);
	a->used = 0;
}

static struct answer_kept *
oldest(struct cep *c)
{
	struct answer_kept	*a = NULL;
	size_t			 i;

	for (i = 0; i < ANSWERS; i++)
		if (c->kept[i].used != 0 &&
		    (a == NULL || c->kept[i].used < a->used))
			a = &c->kept[i];
	return a;
}

static struct answer_kept *
place(struct cep *c)
{
	size_t	i;

	for (i = 0; i < ANSWERS; i++)
		if (c->kept[i].used == 0)
			return &c->kept[i];
	i = (size_t)(oldest(c) - c->kept);
	forget(c, &c->kept[i]);
	return &c->kept[i];
}

/* Takes key and body. */
static void
keep(struct cep *c, struct buf *key, struct xmlw *body, int offered)
{
	struct answer_kept	*a;

	pthread_mutex_lock(&c->lock);
	a = find(c, key);
	if (a != NULL)
		forget(c, a);	/* another thread was quicker */
	while (c->bytes + body->b.n > ANSWERS_BYTES && (a = oldest(c)) != NULL)
		forget(c, a);
	a = place(c);
	a->key = *key;
	a->body = *body;
	a->offered = offered;
	a->used = ++c->clock;
	c->bytes += body->b.n;
	pthread_mutex_unlock(&c->lock);
	*key = (struct buf){ 0 };
	*body = (struct xmlw){ 0 };
}

int
cep_answer(struct cep *c, const struct cep_ask *ask, struct xmlw *w)
{
	struct cep_view	 view = { .policy = ask->policy,
			    .method = ask->method,
			    .password = ask->account->password != NULL };
	struct buf	 key = { 0 };
	struct xmlw	 body = { 0 };
	size_t		 i, n = ask->policy->ntemplates;
	uint8_t		*allowed;
	int		 offered = 0;
	bool		 filtered;

	filtered = ask->query->by_oid || ask->query->client_version > 0 ||
	    ask->query->server_version > 0;
	if (!filtered && not_changed(c, ask)) {
		cep_write(&view, w);
		return CEP_UNCHANGED;
	}
	put_key(&view, &key);
	view.allowed = allowed = buf_extend(&key, n);
	permissions(ask, &view, allowed);
	if (!recall(c, &key, w, &offered)) {
		for (i = 0; i < n; i++)
			offered += allowed[i] != 0;
		cep_write(&view, &body);
		xmlw_add(w, &body);
		if (filtered)	/* the client chooses: not worth keeping */
			xmlw_free(&body);
		else
			keep(c, &key, &body, offered);
	}
	buf_free(&key);
	return offered;
}
