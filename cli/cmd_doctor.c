/*
 * A running deployment looked at from where the operator sits: what is wrong,
 * and what to do about it.  Nothing is changed, but for the certificate that
 * --template or --probe enrolls for.
 */
#include "commands.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "namerule.h"

#define CLOCK_WARN_MS	2000
#define CLOCK_FAIL_MS	60000	/* a signer refuses older messages */
#define EXPIRY_WARN	(30 * DOCTOR_DAY)

const struct opt opts_doctor[] = {
	{ "user", "NAME", "ask the web service for this account's policy",
	    false },
	{ "password-file", "FILE", "its password, from a file only its owner "
	    "can read", false },
	{ "template", "NAME", "and enroll for this template, with a key that "
	    "is thrown away", false },
	{ "probe", NULL, "enroll for the template Probe instead, with a "
	    "one-time secret", false },
	{ "name", "DNS", "name to ask for, where the template takes names "
	    "from the request", false },
	{ "connect", "HOST:PORT", "the web server to look at, when it is not "
	    "the one that its name leads to", false },
	{ NULL, NULL, NULL, false }
};

void
doctor_clock(struct doctor *d, const char *object, int64_t skew_ms)
{
	int64_t size = skew_ms < 0 ? -skew_ms : skew_ms;
	enum check_result v = size > CLOCK_FAIL_MS ? CHECK_FAIL :
	    size > CLOCK_WARN_MS ? CHECK_WARN : CHECK_OK;

	check_add(d->checks, v, "clock", object, v == CHECK_OK ? NULL :
	    "run chrony or ntpd on both hosts; a minute apart, signers "
	    "refuse every request", "%lld ms %s this host", (long long)size,
	    skew_ms < 0 ? "behind" : "ahead of");
}

void
doctor_compare(struct doctor *d, const char *object, uint64_t version,
    const uint8_t hash[32])
{
	if (d->policy == NULL)
		check_add(d->checks, CHECK_SKIP, "policy", object, NULL,
		    "version %llu, and none is known to be in force",
		    (unsigned long long)version);
	else if (memcmp(hash, d->policy->sha256, 32) == 0)
		check_add(d->checks, CHECK_OK, "policy", object, NULL,
		    "version %llu", (unsigned long long)version);
	else
		check_add(d->checks, CHECK_FAIL, "policy", object,
		    "it missed a notification: look whether its log speaks of "
		    "the database, restart it",
		    "version %llu, but %llu is in force",
		    (unsigned long long)version,
		    (unsigned long long)d->policy->version);
}

void
doctor_expiry(struct doctor *d, const char *object, int64_t not_after,
    const char *advice)
{
	int64_t left = not_after - time(NULL);

	if (left <= 0)
		check_add(d->checks, CHECK_FAIL, "expiry", object, advice,
		    "expired %lld days ago", (long long)(-left / DOCTOR_DAY));
	else
		check_add(d->checks, left < EXPIRY_WARN ? CHECK_WARN :
		    CHECK_OK, "expiry", object, left < EXPIRY_WARN ? advice :
		    NULL, "%lld days left", (long long)(left / DOCTOR_DAY));
}

static int
check_args(struct cli *c, const struct args *a, struct err *err)
{
	if (args_has(a, "user") != args_has(a, "password-file"))
		return cli_usage(c, err,
		    "--user and --password-file come together");
	if (args_has(a, "probe") && args_has(a, "user"))
		return cli_usage(c, err, "either --probe or --user");
	if (args_has(a, "template") && !args_has(a, "user"))
		return cli_usage(c, err, "--template needs --user");
	if (args_has(a, "name") && !args_has(a, "template"))
		return cli_usage(c, err, "--name needs --template");
	if (args_has(a, "name") && !name_is_host(args_get(a, "name"), false))
		return cli_usage(c, err, "--name: not a dns name: %.80s",
		    args_get(a, "name"));
	return 0;
}

/* From what is near to what is far; each part goes on where one could not. */
int
cmd_doctor(struct cli *c, const struct args *a, struct err *err)
{
	struct doctor d = { .cli = c, .args = a };
	int rc;

	if (check_args(c, a, err) != 0 || cli_conf(c, err) != 0)
		return -1;
	/* A server that hangs up is a finding. */
	signal(SIGPIPE, SIG_IGN);
	d.checks = checks_new();
	doctor_files(&d);
	doctor_database(&d);
	doctor_airgap(&d);
	doctor_policy(&d);
	doctor_signers(&d);
	doctor_web(&d);
	rc = checks_print(d.checks, c, err);
	if (checks_count(d.checks, CHECK_FAIL) != 0)
		c->code = EXIT_REFUSED;
	policy_free(d.policy);
	strlist_free(&d.apart);
	checks_free(d.checks);
	return rc;
}
