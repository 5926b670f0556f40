/*
 * Counts of wrong passwords, in memory that processes share.  auth.c asks
 * before argon2id runs and tells afterwards how the attempt ended.
 */
#include <sys/mman.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "backoff.h"

#define SECOND	INT64_C(1000000)
#define KNOWN	(7 * 86400 * SECOND)
#define WAYS	8
#define SETS	2048		/* of each table: 16,384 names or networks */

enum kind { USER, NETWORK, PAIR, KINDS };

/* Each wrong password costs an interval; so many may be owed at once. */
struct rule {
	const char	*name;
	int64_t		 interval;
	int		 burst;
};

static const struct rule rules[KINDS] = {
	[USER] =	{ "user", 30 * SECOND, 100 },
	[NETWORK] =	{ "network", SECOND / 2, 200 },
	[PAIR] =	{ "user", 30 * SECOND, 100 },
};

/*
 * A count is the time until which its wrong passwords are paid off: one
 * number that decays by itself (the generic cell rate algorithm, [ITU-T
 * I.371] A.1).  Of a known pair it is the time until which it is known.
 */
struct slot {
	uint64_t	 key;
	int64_t		 until;
};
typedef struct slot	table[SETS][WAYS];

struct backoff {
	pthread_mutex_t	 lock;
	uint8_t		 key[crypto_shorthash_KEYBYTES];
	table		 owed, known;
};

/* What one attempt is counted under; valid says which of them. */
struct keys {
	uint64_t	 key[KINDS];
	bool		 valid[KINDS];
};

struct backoff *
backoff_new(void)
{
	pthread_mutexattr_t	 attr;
	struct backoff		*b;

	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED)
		return NULL;
	randombytes_buf(b->key, sizeof(b->key));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	/* A process that is killed here must not stop the others. */
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&b->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return b;
}

void
backoff_free(struct backoff *b)
{
	if (b != NULL)
		munmap(b, sizeof(*b));
}

/* Any half-written slot is a slot all the same. */
static void
lock(struct backoff *b)
{
	if (pthread_mutex_lock(&b->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&b->lock);
}

/* The network of an address: 4 or 8 bytes, or 0 when it has none. */
static size_t
network_of(const char *address, uint8_t out[8])
{
	static const uint8_t	mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t			six[16];

	if (inet_pton(AF_INET, address, out) == 1)
		return 4;
	if (inet_pton(AF_INET6, address, six) != 1)
		return 0;
	if (memcmp(six, mapped, sizeof(mapped)) == 0) {
		memcpy(out, six + 12, 4);
		return 4;
	}
	memcpy(out, six, 8);
	return 8;
}

/* Keyed, so that nobody can choose whose slot he gets. */
static struct keys
keys_of(const struct backoff *b, const struct attempt *a)
{
	struct keys	k = { .valid = { false } };
	uint8_t		text[1 + 8 + 256] = { 0 };
	size_t		n = network_of(a->address, text + 1);
	size_t		user = strlen(a->user);

	if (user > 256)
		user = 256;
	memcpy(text + 9, a->user, user);
	k.valid[NETWORK] = n > 0;
	k.valid[USER] = user > 0;
	k.valid[PAIR] = n > 0 && user > 0;
	text[0] = (uint8_t)(n << 2);
	text[0] |= NETWORK;
	crypto_shorthash((uint8_t *)&k.key[NETWORK], text, 9, b->key);
	text[0] = (uint8_t)(n << 2 | PAIR);
	crypto_shorthash((uint8_t *)&k.key[PAIR], text, 9 + user, b->key);
	memset(text, 0, 9);
	text[0] = USER;
	crypto_shorthash((uint8_t *)&k.key[USER], text, 9 + user, b->key);
	return k;
}

/* The slot of a key, or the one of its set that is over first. */
static struct slot *
find(table t, uint64_t key)
{
	struct slot	*set = t[key % SETS], *oldest = set;
	size_t		 i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].until < oldest->until)
			oldest = &set[i];
	}
	return oldest;
}

static int64_t
until(table t, uint64_t key)
{
	const struct slot	*s = find(t, key);

	return s->key == key ? s->until : 0;
}

static bool
is_over(struct backoff *b, const struct keys *k, enum kind kind, int64_t now)
{
	int64_t	limit = rules[kind].interval * (rules[kind].burst - 1);

	return k->valid[kind] && until(b->owed, k->key[kind]) > now + limit;
}

const char *
backoff_held(struct backoff *b, const struct attempt *a, int64_t now)
{
	struct keys	k = keys_of(b, a);
	enum kind	kind;
	const char	*held = NULL;

	lock(b);
	if (k.valid[PAIR] && until(b->known, k.key[PAIR]) > now) {
		if (is_over(b, &k, PAIR, now))
			held = rules[PAIR].name;
	} else {
		for (kind = USER; kind <= NETWORK && held == NULL; kind++)
			if (is_over(b, &k, kind, now))
				held = rules[kind].name;
	}
	pthread_mutex_unlock(&b->lock);
	return held;
}

static void
owe(struct backoff *b, uint64_t key, enum kind kind, int64_t now)
{
	struct slot	*s = find(b->owed, key);
	int64_t		 from = s->key == key && s->until > now ?
			    s->until : now;

	*s = (struct slot){ key, from + rules[kind].interval };
}

/* [NIST SP 800-63B] 5.2.2: failures before a success, of one address. */
static void
forgive(table t, uint64_t key)
{
	struct slot	*s = find(t, key);

	if (s->key == key)
		s->until = 0;
}

void
backoff_note(struct backoff *b, const struct attempt *a, bool good,
    int64_t now)
{
	struct keys	k = keys_of(b, a);
	enum kind	kind;

	lock(b);
	if (good && k.valid[PAIR]) {
		*find(b->known, k.key[PAIR]) =
		    (struct slot){ k.key[PAIR], now + KNOWN };
		forgive(b->owed, k.key[PAIR]);
	}
	for (kind = USER; !good && kind < KINDS; kind++)
		if (k.valid[kind])
			owe(b, k.key[kind], kind, now);
	pthread_mutex_unlock(&b->lock);
}
