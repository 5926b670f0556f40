/*
 * Findings that several parts of "countersign doctor" have: a clock, a
 * policy, the end of a certificate, and what is to be done about them.
 */

#include <string.h>
#include <time.h>

#include "doctor.h"

#define CLOCK_WARN_MS	2000
#define CLOCK_FAIL_MS	60000	/* a signer refuses older messages */
#define EXPIRY_WARN	(30 * DOCTOR_DAY)	/* seconds */

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
doctor_unknown(struct doctor *d, const char *check, const char *object,
    const char *advice, const struct err *err)
{
	if (d->no_database)
		check_add(d->checks, CHECK_SKIP, check, object, NULL,
		    "the database cannot be asked");
	else
		check_add(d->checks, CHECK_FAIL, check, object, advice, "%s",
		    err->text);
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
