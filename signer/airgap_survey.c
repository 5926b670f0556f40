/*
 * What is in a bundle, for the officer who is to let it be signed: counted
 * and printed, nothing decided.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "airgap_index.h"
#include "airgap_vault.h"
#include "caset.h"

struct kind {			/* requests that look alike */
	char		*ca, *template_name;
	uint64_t	 n, approved;
};

struct survey {
	struct vault	*v;
	bool		 list;
	struct kind	*kind;
	size_t		 nkinds;
	uint8_t		(*id)[MSG_ID];
	size_t		 nids, cap;
	struct index	 by_id;
	uint64_t	 revoked, released;
};

/* Text of a bundle has no control characters; others a terminal shows. */
static void
print_slice(struct slice s)
{
	fwrite(s.p, 1, s.n, stdout);
}

static int
check_new(struct survey *y, const uint8_t id[MSG_ID], struct err *err)
{
	char hex[2 * MSG_ID + 1];

	if (index_find(&y->by_id, y->id, id) >= 0) {
		hex_encode(id, MSG_ID, hex);
		return err_set(err, ERR_DENIED, "request %s is doubled", hex);
	}
	y->id = xgrow(y->id, y->nids, &y->cap, sizeof(*y->id));
	memcpy(y->id[y->nids], id, MSG_ID);
	index_put(&y->by_id, y->id, y->nids++);
	return 0;
}

static void
count(struct survey *y, const struct bundle_item *i)
{
	struct kind *k;
	size_t n;

	for (n = 0; n < y->nkinds; n++)
		if (slice_is(i->ca, y->kind[n].ca) &&
		    slice_is(i->template_name, y->kind[n].template_name))
			break;
	if (n == y->nkinds) {
		y->kind = xreallocarray(y->kind, n + 1, sizeof(*y->kind));
		k = &y->kind[y->nkinds++];
		memset(k, 0, sizeof(*k));
		k->ca = xstrndup((const char *)i->ca.p, i->ca.n);
		k->template_name = xstrndup((const char *)i->template_name.p,
		    i->template_name.n);
	}
	y->kind[n].n++;
	y->kind[n].approved += i->approved;
}

/* As its agent has signed it: that is who the certificate will be for. */
static void
print_target(const struct policy *p, const struct bundle_item *i)
{
	struct err ignored = ERR_INIT;
	struct request *r = request_parse_unjudged(i->token, &ignored);
	char name[129];

	if (r != NULL && r->requester_name != NULL &&
	    agent_target(p, r, name, &ignored) == 0 &&
	    !slice_is(i->asker, name))
		printf(" for %s", name);
	request_free(r);
}

static void
print_item(const struct policy *p, const struct bundle_item *i)
{
	char hex[2 * MSG_ID + 1], when[32];

	hex_encode(i->id, MSG_ID, hex);
	utc_text(i->received_at, when);
	printf("%s  %s  ", hex, when);
	print_slice(i->asker);
	print_target(p, i);
	printf("  ");
	print_slice(i->template_name);
	if (i->approved) {
		printf("  approved by ");
		print_slice(i->approver.n > 0 ? i->approver : i->operator);
	}
	putchar('\n');
}

/* Requests are to a CA, orders and wishes about a key. */
static int
check_ca(const struct ca *ca, struct slice name, struct err *err)
{
	if (ca != NULL)
		return 0;
	return err_set(err, ERR_DENIED, "ca %.*s is not on this host",
	    (int)name.n, (const char *)name.p);
}

static int
look(struct survey *y, const struct record *r, struct err *err)
{
	const struct signer *s = &y->v->s;

	switch (r->type) {
	case REC_ITEM:
		if (check_ca(caset_of(s, r->item.ca), r->item.ca,
		    err) == -1 ||
		    check_new(y, r->item.id, err) == -1)
			return -1;
		count(y, &r->item);
		if (y->list)
			print_item(y->v->policy, &r->item);
		return 0;
	case REC_ORDER:
		if (r->order.reason == BUNDLE_RELEASE)
			y->released++;
		else
			y->revoked++;
		return check_ca(caset_key(s, r->order.ca), r->order.ca, err);
	case REC_WISH:
		return check_ca(caset_key(s, r->wish.ca), r->wish.ca, err);
	default:
		return 0;
	}
}

/* A mistyped id would let be signed what somebody wants refused. */
static int
check_denied(const struct survey *y, struct err *err)
{
	struct strlist *deny = &y->v->deny;
	uint8_t id[MSG_ID];
	size_t i;

	for (i = 0; i < deny->n; i++) {
		if (strlen(deny->v[i]) != 2 * MSG_ID ||
		    hex_decode(deny->v[i], id, MSG_ID) == -1 ||
		    index_find(&y->by_id, y->id, id) < 0)
			return err_set(err, ERR_DENIED, "--deny %.40s: is the "
			    "id of no request in this bundle; --list has them",
			    deny->v[i]);
		hex_encode(id, MSG_ID, deny->v[i]);
	}
	return 0;
}

void
vault_print_hash(const uint8_t hash[32])
{
	char text[80];

	bundlekey_fingerprint(hash, text);
	printf("hash         %s\n", text);
	hex_encode(hash, 32, text);
	printf("sha256sum    %s\n", text);
}

static void
print(const struct survey *y)
{
	const struct bundle_head *h = bundle_head(y->v->in);
	char when[32], hash[80];
	size_t i;

	utc_text(h->made_at, when);
	printf("round        %" PRIu64 ", made %s by ", h->round, when);
	print_slice(h->maker);
	/* Nothing in here can set it right. */
	utc_text(y->v->now, when);
	printf("\nthis clock   %s\n", when);
	vault_print_hash(y->v->hash);
	bundlekey_fingerprint(h->key, hash);
	printf("signed with  %s\n", hash);
	printf("requests     %zu\n", y->nids);
	for (i = 0; i < y->nkinds; i++)
		printf("             %s %s: %" PRIu64 ", %" PRIu64
		    " approved\n", y->kind[i].ca, y->kind[i].template_name,
		    y->kind[i].n, y->kind[i].approved);
	printf("revocations  %" PRIu64 ", holds ended %" PRIu64 "\n",
	    y->revoked, y->released);
}

static void
free_survey(struct survey *y)
{
	size_t i;

	for (i = 0; i < y->nkinds; i++) {
		free(y->kind[i].ca);
		free(y->kind[i].template_name);
	}
	free(y->kind);
	free(y->id);
	free(y->by_id.slot);
}

int
vault_survey(struct vault *v, bool list, struct err *err)
{
	struct survey y = { .v = v, .list = list, .by_id = {
	    .size = MSG_ID, .octets = MSG_ID } };
	struct record r;
	int got;

	while ((got = bundle_next(v->in, &r, err)) == 1)
		if (look(&y, &r, err) == -1) {
			got = -1;
			break;
		}
	if (got == 0)
		got = check_denied(&y, err);
	if (got == 0) {
		print(&y);
		got = bundle_rewind(v->in, err);
	}
	free_survey(&y);
	return got;
}
