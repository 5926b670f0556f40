/*
 * Who is asking: UsernameToken to account.  An enrollment comes here from
 * serve.c, when its message is parsed; from here on only the account counts,
 * never again what the client wrote.
 */
#include <errno.h>
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
	uint8_t		 mac[32];	/* of name, argon2id string, password */
	int64_t		 until;		/* log_usec(); 0 = empty */
};

struct auth {
	struct snapshot	*snap;
	struct backoff	*backoff;	/* or NULL */
	struct turns	*turns;
	uint8_t		 key[crypto_generichash_KEYBYTES];
	char		 dummy[crypto_pwhash_STRBYTES];
	pthread_mutex_t	 kdf;		/* held while argon2id runs */
	pthread_mutex_t	 lock;		/* of seen */
	struct seen	 seen[SETS][WAYS];
};

struct auth *
auth_new(struct snapshot *snap, struct backoff *backoff, struct turns *turns)
{
	struct auth	*a;
	char		 random[32];

	a = xcalloc(1, sizeof(*a));
	a->snap = snap;
	a->backoff = backoff;
	a->turns = turns;
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
 * nothing.  The NULs are part of it: no two triples give the same bytes.
 */
static void
fingerprint(const struct auth *a, const struct account *acc,
    struct slice password, struct seen *out)
{
	crypto_generichash_state	st;

	crypto_generichash_init(&st, a->key, sizeof(a->key),
	    sizeof(out->mac));
	crypto_generichash_update(&st, (const uint8_t *)acc->name,
	    strlen(acc->name) + 1);
	crypto_generichash_update(&st, (const uint8_t *)acc->password,
	    strlen(acc->password) + 1);
	crypto_generichash_update(&st, password.p, password.n);
	crypto_generichash_final(&st, out->mac, sizeof(out->mac));
	sodium_memzero(&st, sizeof(st));
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
		    sodium_memcmp(set[i].mac, want->mac, 32) == 0)
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

/* Set *why and return true where this attempt is not to be looked at. */
static bool
held_back(struct auth *a, const struct attempt *from, const char **why)
{
	const char	*what = NULL;

	if (a->backoff != NULL)
		what = backoff_held(a->backoff, from, log_usec());
	if (what == NULL)
		return false;
	*why = strcmp(what, "user") == 0 ?
	    "held back: too many wrong passwords for this user" :
	    "held back: too many wrong passwords from this network";
	return true;
}

/*
 * Without an account: the same work against a password nobody has.  Attempts
 * at the same time are counted in turn, under the lock of the KDF.
 */
static bool
pay(struct auth *a, const struct account *acc, struct slice password)
{
	const char	*stored = acc != NULL ? acc->password : a->dummy;
	int		 rc;

	errno = 0;
	rc = crypto_pwhash_str_verify(stored, (const char *)password.p,
	    password.n);
	/* That would be called a wrong password, and counted as one. */
	if (rc != 0 && errno == ENOMEM)
		out_of_memory();
	return rc == 0 && acc != NULL;
}

/* One at a time in this process: memory, and a limit for who guesses. */
static bool
pay_in_turn(struct auth *a, const struct account *acc, struct slice password,
    const struct attempt *from, const char **why)
{
	bool	good = false;

	if (!held_back(a, from, why)) {
		good = pay(a, acc, password);
		if (a->backoff != NULL)
			backoff_note(a->backoff, from, good, log_usec());
	}
	return good;
}

/*
 * *why is set where more is known than that the password is wrong.  What is
 * remembered helps nobody who is held back: he would learn by it whether a
 * guess is right.
 */
static bool
verify(struct auth *a, const struct account *acc, struct slice password,
    const struct attempt *from, const char **why)
{
	struct seen	 s;
	bool		 good;

	if (held_back(a, from, why))
		return false;
	memset(&s, 0, sizeof(s));
	if (acc != NULL)
		fingerprint(a, acc, password, &s);
	good = acc != NULL && remembered(a, &s);
	if (good && a->backoff != NULL) {
		backoff_note(a->backoff, from, true, log_usec());
	} else if (!good) {
		turns_away(a->turns);
		pthread_mutex_lock(&a->kdf);
		/* Another thread of the same wave may have paid meanwhile. */
		good = (acc != NULL && remembered(a, &s)) ||
		    pay_in_turn(a, acc, password, from, why);
		if (good)
			remember(a, &s);
		pthread_mutex_unlock(&a->kdf);
		turns_back(a->turns);
	}
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

/* What the policy calls a domain is asked where one was typed. */
static int
name_of(struct auth *a, const char *typed, char name[129], struct err *err)
{
	const struct policy	*p;
	int			 rc;

	if (strchr(typed, '\\') == NULL)
		return account_canonical(typed, name, err);
	p = snapshot_policy(a->snap, false, err);
	if (p == NULL)
		return -1;
	rc = policy_account(p, typed, name, err);
	snapshot_put(a->snap, p);
	return rc;
}

/*
 * The name is looked up before the KDF runs, and only names that exist are in
 * memory: that difference disappears in the pace at which refusals leave.
 */
int
auth_password(struct auth *a, const struct credentials *c,
    const struct account **out, struct err *err)
{
	const struct account	*acc = NULL;
	struct slice		 password = c->password;
	char			 typed[USERNAME_MAX + 1], name[129] = "";
	int64_t			 start = log_usec();
	const char		*why;

	if (c->user.n > USERNAME_MAX || password.n > PASSWORD_MAX)
		return err_set(err, ERR_TOO_BIG,
		    "user name or password is too long");
	if (c->user.n != 0)
		memcpy(typed, c->user.p, c->user.n);
	typed[c->user.n] = '\0';
	if (name_of(a, typed, name, err) == 0 ?
	    snapshot_account(a->snap, name, &acc, err) == -1 :
	    err->kind != ERR_UNAUTHENTICATED)
		return -1;
	why = unusable(acc);
	if (password.p == NULL)
		password = slice_str("");
	if (verify(a, why == NULL ? acc : NULL, password,
	    &(struct attempt){ name, c->address }, &why)) {
		*out = acc;
		return 0;
	}
	if (acc != NULL)
		snapshot_account_put(a->snap, acc);
	turns_away(a->turns);
	wait_for_pace(start);
	turns_back(a->turns);
	return err_set(err, ERR_UNAUTHENTICATED, "%s: %s", name,
	    why != NULL ? why : "wrong password");
}
