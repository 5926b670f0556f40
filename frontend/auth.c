/* UsernameToken to account. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "auth.h"
#include "envelope.h"
#include "log.h"

#define REMEMBER_US	(300 * (int64_t)1000000)
/* A refusal leaves at a multiple of this after it came: see auth_password. */
#define PACE_US		25000
#define SETS		512
#define WAYS		8

struct seen {
	uint8_t		 mac[32];	/* of name and password */
	uint8_t		 stored[32];	/* of the account's argon2id string */
	int64_t		 until;		/* log_usec(); 0 = empty */
};

struct auth {
	struct snapshot	*snap;
	uint8_t		 key[crypto_auth_hmacsha256_KEYBYTES];
	char		 dummy[crypto_pwhash_STRBYTES];
	pthread_mutex_t	 kdf;		/* held while argon2id runs */
	pthread_mutex_t	 lock;		/* of seen */
	struct seen	 seen[SETS][WAYS];
};

struct auth *
auth_new(struct snapshot *snap)
{
	struct auth	*a;
	char		 random[32];

	a = xcalloc(1, sizeof(*a));
	a->snap = snap;
	pthread_mutex_init(&a->kdf, NULL);
	pthread_mutex_init(&a->lock, NULL);
	randombytes_buf(a->key, sizeof(a->key));
	randombytes_buf(random, sizeof(random));
	if (crypto_pwhash_str(a->dummy, random, sizeof(random),
	    AUTH_OPSLIMIT, AUTH_MEMLIMIT) != 0)
		abort();	/* out of memory */
	return a;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->kdf);
	pthread_mutex_destroy(&a->lock);
	sodium_memzero(a, sizeof(*a));
	free(a);
}

/*
 * What is remembered: this password was good for this argon2id string.  The
 * account is looked up anew each time, so a changed password, a disabled or
 * removed account counts at once, and a change to another account costs
 * nothing.
 */
static void
fingerprint(const struct auth *a, const struct account *acc,
    struct slice password, struct seen *out)
{
	crypto_auth_hmacsha256_state	st;

	crypto_auth_hmacsha256_init(&st, a->key, sizeof(a->key));
	crypto_auth_hmacsha256_update(&st, (const uint8_t *)acc->name,
	    strlen(acc->name) + 1);
	crypto_auth_hmacsha256_update(&st, password.p, password.n);
	crypto_auth_hmacsha256_final(&st, out->mac);
	sodium_memzero(&st, sizeof(st));
	crypto_hash_sha256(out->stored, (const uint8_t *)acc->password,
	    strlen(acc->password));
}

static struct seen *
set_of(struct auth *a, const struct seen *s)
{
	return a->seen[(s->mac[0] | s->mac[1] << 8) % SETS];
}

static bool
remembered(struct auth *a, const struct seen *want)
{
	struct seen	*set = set_of(a, want);
	int64_t		 now = log_usec();
	bool		 found = false;
	size_t		 i;

	pthread_mutex_lock(&a->lock);
	for (i = 0; i < WAYS; i++)
		if (set[i].until > now &&
		    sodium_memcmp(set[i].mac, want->mac, 32) == 0 &&
		    sodium_memcmp(set[i].stored, want->stored, 32) == 0)
			found = true;
	pthread_mutex_unlock(&a->lock);
	return found;
}

/* In the place of the one that would be forgotten first. */
static void
remember(struct auth *a, const struct seen *what)
{
	struct seen	*set = set_of(a, what);
	size_t		 i, oldest = 0;

	pthread_mutex_lock(&a->lock);
	for (i = 1; i < WAYS; i++)
		if (set[i].until < set[oldest].until)
			oldest = i;
	set[oldest] = *what;
	set[oldest].until = log_usec() + REMEMBER_US;
	pthread_mutex_unlock(&a->lock);
}

/* Without an account: the same work against a password nobody has. */
static bool
verify(struct auth *a, const struct account *acc, struct slice password)
{
	struct seen	 s;
	const char	*stored = acc != NULL ? acc->password : a->dummy;
	bool		 good;

	memset(&s, 0, sizeof(s));
	if (acc != NULL) {
		fingerprint(a, acc, password, &s);
		if (remembered(a, &s))
			return true;
	}
	pthread_mutex_lock(&a->kdf);
	/* Another thread of the same wave may have paid meanwhile. */
	good = acc != NULL && remembered(a, &s);
	if (!good) {
		good = crypto_pwhash_str_verify(stored,
		    (const char *)password.p, password.n) == 0 && acc != NULL;
		if (good)
			remember(a, &s);
	}
	pthread_mutex_unlock(&a->kdf);
	sodium_memzero(&s, sizeof(s));
	return good;
}

/* Why this account cannot log in with any password; NULL when it can. */
static const char *
unusable(const struct account *acc)
{
	if (acc == NULL)
		return "unknown user";
	if (acc->disabled)
		return "account is disabled";
	if (acc->password == NULL)
		return "account has no password";
	return NULL;
}

static void
wait_for_pace(int64_t start)
{
	int64_t		spent = log_usec() - start;
	int64_t		rest = PACE_US - spent % PACE_US;
	struct timespec	ts = { 0, rest * 1000 };

	nanosleep(&ts, NULL);
}

/*
 * The name is looked up before the KDF runs, and only names that exist are in
 * memory: that difference disappears in the pace at which refusals leave.
 */
int
auth_password(struct auth *a, struct slice user, struct slice password,
    const struct account **out, struct err *err)
{
	const struct account	*acc = NULL;
	char			 typed[USERNAME_MAX + 1], name[129] = "";
	int64_t			 start = log_usec();
	const char		*why;

	if (user.n > USERNAME_MAX || password.n > PASSWORD_MAX)
		return err_set(err, ERR_TOO_BIG,
		    "user name or password is too long");
	if (user.n != 0)
		memcpy(typed, user.p, user.n);
	typed[user.n] = '\0';
	if (account_canonical(typed, name, err) == 0 &&
	    snapshot_account(a->snap, name, &acc, err) == -1)
		return -1;
	why = unusable(acc);
	if (password.p == NULL)
		password = slice_str("");
	if (verify(a, why == NULL ? acc : NULL, password)) {
		*out = acc;
		return 0;
	}
	if (acc != NULL)
		snapshot_account_put(a->snap, acc);
	wait_for_pace(start);
	return err_set(err, ERR_UNAUTHENTICATED, "%s: %s", name,
	    why != NULL ? why : "wrong password");
}
