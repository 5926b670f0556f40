/*
 * doctor: what is in force, policy, CA certificates, revocation lists; and
 * whether each signer has the same.
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "digest.h"
#include "doctor.h"
#include "file.h"
#include "log.h"
#include "pong.h"
#include "x509.h"

#define POLICY_FILE_MAX	(1024 * 1024)
#define LIST_DAYS	14	/* to carry the next one here */
#define FUTURE_S	60	/* clocks may be that far apart */

/* Columns of crl_list that are looked at; cmd_crl.c has all of them. */
enum { COL_NUMBER = 1, COL_FROM, COL_UNTIL, COL_ENDED = 8, COL_CHANGED,
    COL_DELTA_OF };

/* The text that the operator edits and publishes from. */
static void
installed_file(struct doctor *d)
{
	const char *path = d->cli->conf->policy;
	struct err err = ERR_INIT;
	struct buf text = { 0 };
	uint8_t md[32];

	if (path == NULL)
		return;
	if (file_read(path, POLICY_FILE_MAX, &text, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "policy", path,
		    "countersign policy show > FILE, then publish it",
		    "%s", err.text);
	else {
		digest_sha256(buf_slice(&text), md);
		if (memcmp(md, d->policy->sha256, sizeof md) == 0)
			check_add(d->checks, CHECK_OK, "policy", path, NULL,
			    "is what is in force");
		else
			check_add(d->checks, CHECK_FAIL, "policy", path,
			    "signers that read this file sign nothing; "
			    "countersign policy diff shows how it differs, "
			    "policy publish FILE puts it in force, policy "
			    "show > FILE takes back what is",
			    "differs from what is in force");
	}
	buf_free(&text);
}

/* Each is a decision that somebody took: to be seen again, not forgotten. */
static void
overrides(struct doctor *d, const struct template *t)
{
	size_t i;

	for (i = 0; i < t->overrides.n; i++)
		check_add(d->checks, CHECK_WARN, "override", t->cn,
		    "countersign-policy.conf(5) tells what the rule guards "
		    "against", "linter rule %s is switched off",
		    t->overrides.v[i]);
}

/* Certificates never outlive their CA: shorter ones are the first sign. */
static void
authority(struct doctor *d, const struct policy_ca *ca)
{
	int64_t left = ca->not_after - time(NULL), longest = 0;
	const struct template *t;
	size_t i;

	doctor_expiry(d, ca->key, ca->not_after, "countersign ca rollover");
	for (i = 0; i < d->policy->ntemplates; i++) {
		t = &d->policy->templates[i];
		if (template_offered_by(t, ca->name) && t->validity > longest)
			longest = t->validity;
	}
	if (left > 0 && left < longest)
		check_add(d->checks, CHECK_WARN, "ca", ca->name,
		    "countersign ca rollover in time",
		    "its end cuts certificates short: %lld days left, %lld "
		    "promised", (long long)(left / DOCTOR_DAY),
		    (long long)(longest / DOCTOR_DAY));
}

/* Harmless where certificates name no place to look for one. */
static void
no_list(struct doctor *d, const struct policy_ca *ca, const char *name)
{
	if (ca->cdp.n == 0)
		check_add(d->checks, CHECK_OK, "crl", name, NULL,
		    "none, and certificates name none");
	else
		check_add(d->checks, CHECK_FAIL, "crl", name,
		    "signers make them: look into their logs",
		    "none was made, but certificates say where it is");
}

/* Made when a clock was wrong. */
static bool
is_from_the_future(const char *from)
{
	struct err ignored = ERR_INIT;
	int64_t at;

	return cli_time(from, &at, &ignored) == 0 &&
	    at > time(NULL) + FUTURE_S;
}

/* A complete list, or the delta behind it. */
static void
one_list(struct doctor *d, const char *name, const PGresult *res, int row)
{
	const char *number = PQgetvalue(res, row, COL_NUMBER);
	const char *until = PQgetvalue(res, row, COL_UNTIL);
	const char *kind = PQgetisnull(res, row, COL_DELTA_OF) ? "" :
	    "delta ";

	if (is_from_the_future(PQgetvalue(res, row, COL_FROM)))
		check_add(d->checks, CHECK_FAIL, "crl", name,
		    "clients do not believe it, and until then no other is "
		    "made; docs/operations.md, \"When a clock was wrong\"",
		    "%snumber %s counts from %s on", kind, number,
		    PQgetvalue(res, row, COL_FROM));
	else if (PQgetvalue(res, row, COL_ENDED)[0] == 't')
		check_add(d->checks, CHECK_FAIL, "crl", name,
		    *kind == '\0' ? "clients refuse every certificate: signers "
		    "make lists, look into their logs" : "clients may not see "
		    "what was revoked since the complete list: signers make "
		    "deltas, look into their logs", "%snumber %s ended at %s",
		    kind, number, until);
	else if (PQgetvalue(res, row, COL_CHANGED)[0] == 't')
		check_add(d->checks, CHECK_WARN, "crl", name,
		    "wait some seconds; then look into the signers' logs",
		    "%snumber %s lacks a revocation", kind, number);
	else
		check_add(d->checks, CHECK_OK, "crl", name, NULL,
		    "%snumber %s until %s", kind, number, until);
}

/* Of one key: the complete list, and behind it the delta, if there is one. */
static void
revocation_list(struct doctor *d, const struct policy_ca *ca,
    const char *name)
{
	struct err err = ERR_INIT;
	PGresult *res = cli_query(d->cli, "crl_list", &name, 1, &err);
	int i, n = res == NULL ? 0 : PQntuples(res);

	if (res == NULL)
		doctor_unknown(d, "crl", name,
		    "countersign db migrate, as the owner", &err);
	else if (n == 0)
		no_list(d, ca, name);
	else if (ca->crl_delta != 0 && PQgetisnull(res, n - 1, COL_DELTA_OF))
		check_add(d->checks, CHECK_WARN, "crl", name,
		    "wait some seconds; then look into the signers' logs",
		    "there is no delta yet behind number %s",
		    PQgetvalue(res, n - 1, COL_NUMBER));
	for (i = 0; i < n; i++)
		one_list(d, name, res, i);
	PQclear(res);
}

/* Also of keys that are no longer in use, as long as they live. */
static void
revocation_lists(struct doctor *d, const struct policy_ca *ca)
{
	size_t i;

	for (i = 0; i < ca->nkeys; i++)
		if (ca->keys[i].not_after > time(NULL) &&
		    !strlist_has(&d->apart, ca->keys[i].name))
			revocation_list(d, ca, ca->keys[i].name);
}

/* Nobody makes these but people. */
static void
lists_above(struct doctor *d)
{
	struct err err = ERR_INIT;
	PGresult *res = cli_query(d->cli, "crl_above_left", NULL, 0, &err);
	int64_t left;
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++) {
		/* What a root signed has ended with it. */
		if (cli_has_ended(PQgetvalue(res, i, 4)))
			continue;
		left = strtoll(PQgetvalue(res, i, 3), NULL, 10);
		check_add(d->checks, left <= 0 ? CHECK_FAIL :
		    left < LIST_DAYS * DOCTOR_DAY ? CHECK_WARN : CHECK_OK,
		    "crl", PQgetvalue(res, i, 0), left < LIST_DAYS *
		    DOCTOR_DAY ? "countersign ca root-crl on the root's host, "
		    "then crl install here" : NULL, "number %s until %s",
		    PQgetvalue(res, i, 1), PQgetvalue(res, i, 2));
	}
	PQclear(res);
}

static bool
issues(const struct policy *p, const struct policy_ca *ca)
{
	size_t i;

	for (i = 0; i < p->ntemplates; i++)
		if (template_offered_by(&p->templates[i], ca->name))
			return true;
	return false;
}

/* Of a key that issues nothing: is there still work for it, who does it? */
static void
closing(struct doctor *d, const char *name, bool known)
{
	struct err err = ERR_INIT;
	PGresult *last = cli_query(d->cli, "ca_last", &name, 1, &err);
	const char *until = last == NULL ? "" : PQgetvalue(last, 0, 0);

	if (last == NULL)
		doctor_unknown(d, "ca", name,
		    "countersign db migrate, as the owner", &err);
	else if (known)
		check_add(d->checks, CHECK_OK, "ca", name, NULL,
		    "issues nothing; certificates of it %s%s",
		    *until == '\0' ? "have all ended" : "last until ", until);
	else if (*until != '\0')
		check_add(d->checks, CHECK_FAIL, "ca", name, "put its section "
		    "into the policy; docs/operations.md, \"Closing a CA\"",
		    "the policy lacks it, so nobody makes its list; "
		    "certificates of it last until %s", until);
	PQclear(last);
}

static void
all_closing(struct doctor *d)
{
	struct err err = ERR_INIT;
	PGresult *res = cli_query(d->cli, "ca_all", NULL, 0, &err);
	const struct policy_ca *ca;
	const char *name;
	int i, n = res == NULL ? 0 : PQntuples(res);

	for (i = 0; i < n; i++) {
		name = PQgetvalue(res, i, 0);
		ca = policy_key_find(d->policy, name, NULL);
		if ((ca == NULL || !issues(d->policy, ca)) &&
		    !cli_has_ended(PQgetvalue(res, i, 1)))
			closing(d, name, ca != NULL);
	}
	PQclear(res);
}

void
doctor_policy(struct doctor *d)
{
	struct err err = ERR_INIT;
	size_t i;

	d->policy = cli_policy(d->cli, &err);
	if (d->policy == NULL) {
		doctor_unknown(d, "policy", "in force",
		    "countersign policy publish FILE", &err);
		return;
	}
	check_add(d->checks, CHECK_OK, "policy", "in force", NULL,
	    "version %llu, %zu templates",
	    (unsigned long long)d->policy->version, d->policy->ntemplates);
	installed_file(d);
	for (i = 0; i < d->policy->ntemplates; i++)
		overrides(d, &d->policy->templates[i]);
	for (i = 0; i < d->policy->ncas; i++) {
		authority(d, &d->policy->cas[i]);
		revocation_lists(d, &d->policy->cas[i]);
	}
	all_closing(d);
	lists_above(d);
}

/* Why a signer did not answer: its own program knows best, on its host. */
static void
no_signer(struct doctor *d, const struct cconf_signer *s,
    const struct err *err)
{
	const char *key = d->cli->conf->key_file;
	char *copy = xstrdup(d->cli->conf->path), advice[640] = "";
	char *path = file_path(dirname(copy), s->name, ".conf");

	if (key != NULL && strncmp(err->text, key, strlen(key)) == 0)
		snprintf(advice, sizeof advice, "run this as the user whose "
		    "key that is (sudo -u)");
	else {
		if (file_exists(path))
			snprintf(advice, sizeof advice, "countersign-signer "
			    "-t -c %.300s says what it stumbles over here; ",
			    path);
		snprintf(advice + strlen(advice),
		    sizeof advice - strlen(advice), "start it, or look into "
		    "its log; it must know the operator's key (worker section "
		    "with operator = true) and have the public key that stands "
		    "here; its unit lets in the hosts of IPAddressAllow");
	}
	check_add(d->checks, CHECK_FAIL, "signer", s->name, advice,
	    "%.80s: %s", s->at.uri, err->text);
	free(path);
	free(copy);
}

static void
signer(struct doctor *d, const struct cconf_signer *s)
{
	struct ask ask = { .call = CALL_PING, .method = AUTH_OPERATOR };
	int64_t before = unix_usec(), after;
	struct err err = ERR_INIT;
	struct answer answer;
	struct buf reply = { 0 };
	struct pong p;

	if (ask_signer(d->cli, s, &ask, &reply, &answer, &err) != 0 ||
	    pong_of(&answer, &p, &err) != 0) {
		no_signer(d, s, &err);
		buf_free(&reply);
		return;
	}
	after = unix_usec();
	check_add(d->checks, CHECK_OK, "signer", s->name, NULL,
	    "%.80s answers", s->at.uri);
	doctor_clock(d, s->name, p.now - (before + after) / 2000);
	if (p.version == 0)
		check_add(d->checks, CHECK_FAIL, "policy", s->name,
		    "it signs nothing: database down, or its own policy file "
		    "is not what was published", "%.*s", (int)answer.text.n,
		    (const char *)answer.text.p);
	else
		doctor_compare(d, s->name, p.version, p.policy_hash);
	if (p.version != 0 && answer.text.n > 0)
		check_add(d->checks, CHECK_FAIL, "signer", s->name,
		    "it signs nothing until that is put right; of clocks "
		    "docs/operations.md has more", "%.*s",
		    (int)answer.text.n, (const char *)answer.text.p);
	buf_free(&reply);
}

void
doctor_signers(struct doctor *d)
{
	const struct cconf *c = d->cli->conf;
	size_t i;

	if (c->nsigners == 0)
		check_add(d->checks, CHECK_SKIP, "signer", c->path, NULL,
		    "names no signer");
	for (i = 0; i < c->nsigners; i++)
		signer(d, &c->signers[i]);
}
