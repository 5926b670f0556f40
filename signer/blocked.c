/*
 * Public keys that get no certificate: asked for every request, before
 * decide(), and kept up with the database between batches.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "badkey.h"
#include "blocked.h"
#include "log.h"
#include "signer.h"

#define PAGE	32768		/* see "blocked" in store_int.h */

struct blocked {
	int64_t		 change;	/* the last one seen */
	struct badkeys	*keys;
};

void
blocked_free(struct blocked *b)
{
	if (b == NULL)
		return;
	badkeys_free(b->keys);
	free(b);
}

/* The next changes: *n of them. */
static int
take_page(struct store *st, struct blocked *b, int *n, struct err *err)
{
	PGresult *r = store_blocked(st, b->change, err);
	int i;

	if (r == NULL)
		return -1;
	*n = PQntuples(r);
	for (i = 0; i < *n; i++)
		badkeys_add(b->keys, db_field(r, i, 0),
		    *PQgetvalue(r, i, 1) != 0);
	if (*n > 0)
		b->change = store_blocked_number(r, *n - 1);
	badkeys_merge(b->keys);
	PQclear(r);
	return 0;
}

static int
load(struct signer *s, struct err *err)
{
	struct blocked *b = xcalloc(1, sizeof(*b));
	int n;

	b->keys = badkeys_new();
	do {
		if (take_page(s->store, b, &n, err) == -1) {
			blocked_free(b);
			return -1;
		}
	} while (n == PAGE);
	blocked_free(s->blocked);
	s->blocked = b;
	return 0;
}

int
blocked_refresh(struct signer *s, struct err *err)
{
	int64_t change;
	int n, rc;

	if (store_blocked_change(s->store, &change, err) == -1)
		return -1;
	if (s->blocked != NULL && s->blocked->change == change)
		return 0;
	/* An older database has a list of its own.  Of a long one that is
	 * being loaded there is a page each time: requests wait meanwhile. */
	if (s->blocked == NULL || s->blocked->change > change)
		rc = load(s, err);
	else
		rc = take_page(s->store, s->blocked, &n, err);
	if (rc == 0)
		log_note("blocked", "%zu keys",
		    badkeys_count(s->blocked->keys));
	return rc;
}

int
blocked_read(struct signer *s, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	struct blocked *b;
	uint8_t hash[BADKEY_SPKI];
	char *line = NULL;
	size_t cap = 0, at = 0;
	int n = 0;

	if (f == NULL)
		return err_set(err, ERR_INTERNAL, "%.120s: %s", path,
		    strerror(errno));
	b = xcalloc(1, sizeof(*b));
	b->keys = badkeys_new();
	while (n != -1 && getline(&line, &cap, f) != -1) {
		at++;
		if ((n = badkey_line(line, hash)) > 0)
			badkeys_add(b->keys, slice_of(hash, (size_t)n), true);
	}
	badkeys_merge(b->keys);
	if (n == -1 || ferror(f))
		err_set(err, ERR_INTERNAL, "%.120s: line %zu: must begin with "
		    "64 hex digits, the SHA-256 of a public key, or 20 of a "
		    "modulus", path, at);
	else
		s->blocked = b;
	free(line);
	fclose(f);
	if (s->blocked == b)
		return 0;
	blocked_free(b);
	return -1;
}

size_t
blocked_count(const struct signer *s)
{
	return s->blocked == NULL ? 0 : badkeys_count(s->blocked->keys);
}

int
blocked_check(const struct signer *s, const struct pubkey *key,
    struct err *err)
{
	size_t i;

	/* Of none of our CAs, whichever is asked. */
	for (i = 0; i < s->ncas; i++)
		if (badkey_of_ca(key, s->cas[i]->cert.spki, s->cas[i]->name,
		    err) == -1)
			return -1;
	return badkey_blocked(key, s->blocked != NULL &&
	    badkeys_has(s->blocked->keys, key), err);
}
