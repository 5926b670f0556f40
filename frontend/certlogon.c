/*
 * Client certificate to account, remembered: for serve.c, in front of
 * common/certauth.c, which judges.  A signer judges it once more.
 */
#include "certlogon.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "log.h"

/* 1,024 certificates, 350 KiB when all are there. */
#define SETS	256
#define WAYS	4

struct known {
	uint8_t		 sha256[32];
	uint64_t	 epoch;		/* of the snapshot */
	int64_t		 from, until;	/* unix seconds; both 0: empty */
	bool		 ours;		/* has a row; else by a rule */
	int64_t		 fresh;		/* until then who holds; log_usec() */
	struct certauth	 who;
};

struct certlogon {
	struct snapshot	*snap;
	pthread_mutex_t	 lock;		/* of known */
	struct known	 known[SETS][WAYS];
};

struct certlogon *
certlogon_new(struct snapshot *snap)
{
	struct certlogon *c = xcalloc(1, sizeof(*c));

	c->snap = snap;
	(void)pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
certlogon_free(struct certlogon *c)
{
	if (c == NULL)
		return;
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct known *
set_of(struct certlogon *c, const struct known *k)
{
	return c->known[k->sha256[0] % SETS];
}

/* Of this very certificate under this epoch, and within its validity. */
static bool
recall(struct certlogon *c, struct known *k, int64_t now)
{
	struct known *set = set_of(c, k);
	bool found = false;
	size_t i;

	(void)pthread_mutex_lock(&c->lock);
	for (i = 0; i < WAYS && !found; i++)
		if (set[i].epoch == k->epoch && set[i].from <= now &&
		    now < set[i].until && memcmp(set[i].sha256, k->sha256,
		    sizeof(k->sha256)) == 0) {
			*k = set[i];
			found = true;
		}
	(void)pthread_mutex_unlock(&c->lock);
	return found;
}

/* In its own place, or in that of the one whose row was read first. */
static void
remember(struct certlogon *c, const struct known *k)
{
	struct known *set = set_of(c, k), *to = set;
	size_t i;

	(void)pthread_mutex_lock(&c->lock);
	for (i = 0; i < WAYS; i++) {
		if (memcmp(set[i].sha256, k->sha256, sizeof(k->sha256)) == 0) {
			to = &set[i];
			break;
		}
		if (set[i].fresh < to->fresh)
			to = &set[i];
	}
	*to = *k;
	(void)pthread_mutex_unlock(&c->lock);
}

/* Prove it anew.  *k has the epoch of before the policy was asked for. */
static int
prove(struct certlogon *c, const struct policy *p, struct slice der,
    int64_t now, struct known *k, struct err *err)
{
	struct certauth_proof proof;

	if (certauth_prove(p, der, now, &proof, err) == -1 ||
	    certauth_holder(c->snap, proof.rule, der, now, &k->who,
	    err) == -1)
		return -1;
	k->from = proof.from;
	k->until = proof.until;
	k->ours = proof.rule == NULL;
	return 0;
}

/*
 * What was derived under an older epoch is stale, and the snapshot learns of
 * a new one when it is asked for the policy: look up by the epoch after that,
 * keep under the one before.
 */
static int
identify(struct certlogon *c, const struct policy *p, struct slice der,
    int64_t now, struct known *k, struct err *err)
{
	uint64_t before = k->epoch;
	int64_t asked = log_usec();
	bool known;
	int rc;

	k->epoch = snapshot_epoch(c->snap);
	known = recall(c, k, now);
	if (known && asked < k->fresh)
		return 0;
	if (known && k->ours)
		rc = certauth_holder(c->snap, NULL, der, now, &k->who, err);
	else {
		k->epoch = before;
		rc = prove(c, p, der, now, k, err);
	}
	if (rc == -1)
		return -1;
	k->fresh = asked + CERTLOGON_ROW_MS * 1000;
	remember(c, k);
	return 0;
}

int
certlogon_identify(struct certlogon *c, struct slice der, int64_t now,
    struct certauth *out, struct err *err)
{
	struct known k = { .epoch = snapshot_epoch(c->snap) };
	const struct policy *p = snapshot_policy(c->snap, false, err);
	int rc;

	if (p == NULL)
		return -1;
	digest_sha256(der, k.sha256);
	rc = identify(c, p, der, now, &k, err);
	snapshot_put(c->snap, p);
	if (rc == 0)
		*out = k.who;
	return rc;
}
