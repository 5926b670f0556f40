/*
 * Policy and accounts in memory, as the database has them now.
 *
 * One mutex guards everything, the connection too.  Asking whether something
 * changed is one poll(2), before the mutex: many threads want it.  Nothing is
 * ever served that could not be asked for.
 */
#include "snapshot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "file.h"
#include "log.h"

#define CHANNEL		"countersign"
#define POLICY_MAX	(1024 * 1024)
#define CACHE_BUCKETS	1024
#define CACHE_MAX	4096	/* accounts; then all are forgotten */
#define RETRY_MS	250	/* between loads of a policy that fails */

/* Columns of the statement "policy". */
enum { P_VERSION, P_BODY, P_SHA256, P_PUBLISHED, P_ID };

#define POLICY_STMT							\
	{ "policy", "SELECT p.version, p.body, p.sha256,"		\
	  " floor(extract(epoch FROM p.published_at))::bigint,"	\
	  " d.policy_id FROM countersign.policy p,"			\
	  " countersign.deployment d ORDER BY p.version DESC LIMIT 1", 0 }
#define SESSION_STMT	{ "session", "SELECT " DB_PLANS, 0 }
#define CAS_STMT							\
	{ "cas", "SELECT name, certificate, of_ca, in_use::int4 "	\
	  "FROM countersign.ca ORDER BY created_at, name", 0 },		\
	{ "cas_also", "SELECT DISTINCT of_ca, x FROM countersign.ca, "	\
	  "unnest(array_cat(also, CASE WHEN in_use THEN '{}' ELSE "	\
	  "array_prepend(certificate, chain) END)) x", 0 }

static const struct db_stmt worker_stmts[] = {
	SESSION_STMT, ACCOUNT_STMT, POLICY_STMT, CAS_STMT, ISSUED_STMT,
	CERTDB_STMTS, { NULL, NULL, 0 }
};
static const struct db_stmt signer_stmts[] = {
	SESSION_STMT, ACCOUNT_STMT_NO_PASSWORD, POLICY_STMT, CAS_STMT,
	ISSUED_STMT, CERTDB_STMTS,
	{ NULL, NULL, 0 }
};

struct policy_ref {
	struct policy		*policy;
	unsigned		 refs;
	struct policy_ref	*next;
};

struct account_ref {
	struct account		*account;
	unsigned		 refs;
	bool			 stale;		/* kept for its holders only */
	struct account_ref	*next;
};

struct snapshot {
	struct snapshot_source	 own;		/* policy NULL: the database */
	pthread_mutex_t		 lock;
	struct db		*db;
	char			*local_policy;
	struct policy_ref	*current;	/* NULL = none good */
	bool			 only_accounts;	/* all that has changed */
	struct policy_ref	*policies;	/* all that are held */
	int64_t			 retry_at;	/* monotonic ms */
	struct err		 why;		/* the last load failed */
	struct account_ref	*bucket[CACHE_BUCKETS];
	size_t			 naccounts;	/* not stale */
	atomic_uint_least64_t	 epoch;
};

/*
 * The payload is the table's name.  Accounts change with each one-time secret
 * that is used: hundreds of templates are not read and parsed for that.
 */
static void
told(void *arg, const char *table)
{
	struct snapshot *s = arg;

	if (table == NULL || (strcmp(table, "account") != 0 &&
	    strcmp(table, "account_group") != 0))
		s->only_accounts = false;
}

struct snapshot *
snapshot_new(const char *dsn, const char *local_policy)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL);
	s->db = db_open(dsn, local_policy == NULL ? worker_stmts :
	    signer_stmts, CHANNEL);
	db_on_told(s->db, told, s);
	if (local_policy != NULL)
		s->local_policy = xstrdup(local_policy);
	return s;
}

struct snapshot *
snapshot_of(const struct snapshot_source *own)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL);
	s->own = *own;
	return s;
}

void
snapshot_free(struct snapshot *s)
{
	struct policy_ref *p;
	struct account_ref *a;
	size_t i;

	if (s == NULL)
		return;
	while ((p = s->policies) != NULL) {
		s->policies = p->next;
		policy_free(p->policy);
		free(p);
	}
	for (i = 0; i < CACHE_BUCKETS; i++) {
		while ((a = s->bucket[i]) != NULL) {
			s->bucket[i] = a->next;
			account_free(a->account);
			free(a);
		}
	}
	db_close(s->db);
	free(s->local_policy);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static int64_t
now_ms(void)
{
	return log_usec() / 1000;
}

/* Free the policies nobody holds, except the one in force. */
static void
policies_sweep(struct snapshot *s)
{
	struct policy_ref **at = &s->policies, *p;

	while ((p = *at) != NULL) {
		if (p == s->current || p->refs > 0) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		policy_free(p->policy);
		free(p);
	}
}

/* FNV-1a; the names are checked and the table is bounded. */
static struct account_ref **
account_bucket(struct snapshot *s, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &s->bucket[h % CACHE_BUCKETS];
}

static void
accounts_drop(struct snapshot *s)
{
	struct account_ref **at, *a;
	size_t i;

	for (i = 0; i < CACHE_BUCKETS; i++) {
		for (at = &s->bucket[i]; (a = *at) != NULL;) {
			if (a->refs > 0) {
				a->stale = true;
				at = &a->next;
				continue;
			}
			*at = a->next;
			account_free(a->account);
			free(a);
		}
	}
	s->naccounts = 0;
}

static void
policy_forget(struct snapshot *s)
{
	s->current = NULL;
	policies_sweep(s);
}

/*
 * Ask the database whether what is kept still holds.  A change may be that
 * the session is another: it is set up again.
 */
static int
refresh(struct snapshot *s, bool quiet, struct err *err)
{
	PGresult *r;
	int changed;

	s->only_accounts = true;
	changed = db_changed_unless(s->db, quiet, err);
	if (changed == 0)
		return 0;
	accounts_drop(s);
	atomic_fetch_add(&s->epoch, 1);
	if (changed == 1 && s->only_accounts)
		return 0;
	policy_forget(s);
	s->retry_at = 0;
	if (changed == -1)
		return -1;
	r = db_exec(s->db, "session", NULL, 0, err);
	PQclear(r);
	return r == NULL ? -1 : 0;
}

/* A signer trusts no policy out of the database. */
static int
local_check(const struct snapshot *s, struct slice published,
    uint64_t version, struct err *err)
{
	struct err why = ERR_INIT;
	struct buf local = { NULL, 0, 0 };
	int rc = 0;

	if (file_read(s->local_policy, POLICY_MAX, &local, &why) == -1)
		rc = err_set(err, ERR_UNAVAILABLE, "policy file %s", why.text);
	else if (!slice_eq(buf_slice(&local), published))
		rc = err_set(err, ERR_UNAVAILABLE, "policy file %s differs "
		    "from published version %llu: publish the file, "
		    "or install that version here", s->local_policy,
		    (unsigned long long)version);
	buf_free(&local);
	return rc;
}

static char *
cell_text(const PGresult *r, int row, int col)
{
	struct slice c = db_field(r, row, col);

	return xstrndup((const char *)c.p, c.n);
}

/* A CA that the policy does not offer is no error. */
static int
attach_key(struct policy *p, const PGresult *r, int row, struct err *err)
{
	char *name = cell_text(r, row, 0), *ca = cell_text(r, row, 2);
	const struct ca_key key = { ca, name, db_field(r, row, 1),
	    db_int(r, row, 3) != 0 };
	int rc = 0;

	if (policy_ca_find(p, ca) != NULL)
		rc = policy_attach_key(p, &key, err);
	free(name);
	free(ca);
	return rc;
}

static int
attach_also(struct policy *p, const PGresult *r, int row, struct err *err)
{
	char *ca = cell_text(r, row, 0);
	int rc = 0;

	if (policy_ca_find(p, ca) != NULL)
		rc = policy_attach_also(p, ca, db_field(r, row, 1), err);
	free(ca);
	return rc;
}

static int
attach_rows(struct snapshot *s, struct policy *p, const char *stmt,
    int (*attach)(struct policy *, const PGresult *, int, struct err *),
    struct err *err)
{
	PGresult *r = db_exec_bin(s->db, stmt, NULL, 0, err);
	int i, rc = 0;

	if (r == NULL)
		return -1;
	for (i = 0; i < PQntuples(r) && rc == 0; i++)
		rc = attach(p, r, i, err);
	PQclear(r);
	return rc;
}

static int
attach_cas(struct snapshot *s, struct policy *p, struct err *err)
{
	if (attach_rows(s, p, "cas", attach_key, err) == -1 ||
	    attach_rows(s, p, "cas_also", attach_also, err) == -1)
		return -1;
	return policy_ready(p, err);
}

static struct policy *
policy_row(struct snapshot *s, const PGresult *r, struct err *err)
{
	struct slice body = db_field(r, 0, P_BODY), id = db_field(r, 0, P_ID);
	uint8_t sha256[32];
	struct policy *p;

	digest_sha256(body, sha256);
	if (!slice_eq(slice_of(sha256, sizeof(sha256)),
	    db_field(r, 0, P_SHA256))) {
		err_set(err, ERR_UNAVAILABLE,
		    "published policy does not have its sha-256");
		return NULL;
	}
	if (s->local_policy != NULL && local_check(s, body,
	    db_int(r, 0, P_VERSION), err) == -1)
		return NULL;
	p = policy_parse(body, err);
	if (p == NULL)
		return NULL;
	if (id.n >= sizeof(p->id)) {
		err_set(err, ERR_INTERNAL, "policy id of %zu bytes", id.n);
		policy_free(p);
		return NULL;
	}
	memcpy(p->id, id.p, id.n);
	p->id[id.n] = '\0';
	p->version = (uint64_t)db_int(r, 0, P_VERSION);
	p->published = db_int(r, 0, P_PUBLISHED);
	return p;
}

static struct policy *
policy_load(struct snapshot *s, struct err *err)
{
	struct policy *p = NULL;
	PGresult *r;

	r = db_exec_bin(s->db, "policy", NULL, 0, err);
	if (r == NULL)
		return NULL;
	if (PQntuples(r) == 0)
		err_set(err, ERR_UNAVAILABLE, "no policy is published yet");
	else
		p = policy_row(s, r, err);
	PQclear(r);
	if (p != NULL && attach_cas(s, p, err) == -1) {
		policy_free(p);
		p = NULL;
	}
	return p;
}

static int
policy_reload(struct snapshot *s, struct err *err)
{
	struct err why = ERR_INIT;
	struct policy_ref *ref;
	struct policy *p;

	if (now_ms() < s->retry_at) {
		why = s->why;
	} else if ((p = policy_load(s, &why)) != NULL) {
		ref = xcalloc(1, sizeof(*ref));
		ref->policy = p;
		ref->next = s->policies;
		s->policies = ref;
		s->current = ref;
		policies_sweep(s);
		return 0;
	} else {
		/* Whatever the parser calls it, the client may try again. */
		why.kind = ERR_UNAVAILABLE;
		why.hresult = 0;
		s->why = why;
		s->retry_at = now_ms() + RETRY_MS;
		policy_forget(s);
	}
	return err_set(err, why.kind, "%s", why.text);
}

const struct policy *
snapshot_policy(struct snapshot *s, bool force, struct err *err)
{
	const struct policy *p = NULL;
	bool quiet;

	if (s->own.policy != NULL)
		return s->own.policy;
	quiet = db_quiet(s->db);
	(void)pthread_mutex_lock(&s->lock);
	if (refresh(s, quiet, err) == 0 && ((s->current != NULL && !force) ||
	    policy_reload(s, err) == 0)) {
		s->current->refs++;
		p = s->current->policy;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return p;
}

void
snapshot_put(struct snapshot *s, const struct policy *policy)
{
	struct policy_ref *p;

	if (policy == NULL || policy == s->own.policy)
		return;
	(void)pthread_mutex_lock(&s->lock);
	for (p = s->policies; p != NULL; p = p->next)
		if (p->policy == policy)
			p->refs--;
	policies_sweep(s);
	(void)pthread_mutex_unlock(&s->lock);
}

static int
account_fetch(struct snapshot *s, const char *name, struct account_ref **out,
    struct err *err)
{
	struct account_ref **bucket = account_bucket(s, name), *ref;
	struct account *a;

	for (ref = *bucket; ref != NULL; ref = ref->next) {
		if (!ref->stale && strcmp(ref->account->name, name) == 0) {
			*out = ref;
			return 0;
		}
	}
	if (account_load(s->db, name, &a, err) == -1)
		return -1;
	*out = NULL;
	if (a == NULL)
		return 0;	/* not kept: anybody can invent names */
	if (s->naccounts >= CACHE_MAX)
		accounts_drop(s);
	ref = xcalloc(1, sizeof(*ref));
	ref->account = a;
	ref->next = *bucket;
	*bucket = ref;
	s->naccounts++;
	*out = ref;
	return 0;
}

int
snapshot_account(struct snapshot *s, const char *canonical,
    const struct account **out, struct err *err)
{
	struct account_ref *ref = NULL;
	bool quiet;
	int rc = -1;

	if (s->own.policy != NULL)
		return s->own.account(s->own.arg, canonical, out, err);
	quiet = db_quiet(s->db);
	(void)pthread_mutex_lock(&s->lock);
	if (refresh(s, quiet, err) == 0 &&
	    account_fetch(s, canonical, &ref, err) == 0) {
		*out = ref != NULL ? ref->account : NULL;
		if (ref != NULL)
			ref->refs++;
		rc = 0;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

void
snapshot_account_put(struct snapshot *s, const struct account *account)
{
	struct account_ref **at, *ref;

	if (account == NULL || s->own.policy != NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	at = account_bucket(s, account->name);
	while (*at != NULL && (*at)->account != account)
		at = &(*at)->next;
	ref = *at;
	if (ref != NULL && --ref->refs == 0 && ref->stale) {
		*at = ref->next;
		account_free(ref->account);
		free(ref);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

struct issued_set *
snapshot_certificate(struct snapshot *s, struct slice serial, struct err *err)
{
	const struct issued_ask ask = { .serial = serial };
	struct issued_set *set = NULL;
	bool quiet;

	if (s->own.policy != NULL)
		return s->own.certificate(s->own.arg, serial, err);
	quiet = db_quiet(s->db);
	(void)pthread_mutex_lock(&s->lock);
	if (refresh(s, quiet, err) == 0)
		set = issued_load(s->db, &ask, 1, err);
	(void)pthread_mutex_unlock(&s->lock);
	return set;
}

int
snapshot_account_by(struct snapshot *s, enum cert_map map,
    const char *value, char **name, struct err *err)
{
	bool quiet;
	int rc = -1;

	*name = NULL;
	if (s->own.policy != NULL)
		return s->own.account_by(s->own.arg, map, value, name, err);
	quiet = db_quiet(s->db);
	(void)pthread_mutex_lock(&s->lock);
	if (refresh(s, quiet, err) == 0)
		rc = certdb_account(s->db, map, value, name, err);
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

uint64_t
snapshot_epoch(struct snapshot *s)
{
	return atomic_load(&s->epoch);
}
