/* The ways in which an account or a key is not what audit says. */
#include "lastword.h"

#include <stdio.h>
#include <string.h>

#include "compare.h"

/*
 * fault, check, what, text; and what makes the stricter of the two true.  In
 * each pair one line forbids again what was forbidden, and one leaves alone
 * what was allowed since the backup, but has audit say that it is not.
 */
static const struct lastword faults[] = {
	{ "on", COMPARE_MISSING, "account", "was disabled, says audit, but is "
	    "not", "disable", "is disabled again" },
	{ "off", COMPARE_MISSING, "account", "was enabled, says audit, but is "
	    "disabled", "disable", "stays disabled: enable it if it should "
	    "not" },
	{ "gone", COMPARE_MISSING, "account", "was added, says audit, but is "
	    "not in the database", "lost", "is lost: add it again" },
	{ "unknown", "row", "account", "is not in audit", NULL, NULL },
	{ "secret", COMPARE_MISSING, "account", "has a secret that was "
	    "revoked, says audit, but is good", "secret", "its secret is "
	    "revoked again" },
	{ "replaced", COMPARE_MISSING, "account", "has another secret than "
	    "was made last, says audit", "secret", "its secret is revoked: "
	    "make another" },
	{ "term", "row", "account", "has a secret for another template or "
	    "until another time than it was made for, says audit", NULL, NULL },
	{ "unspent", "row", "account", "has a secret that was used, but is "
	    "good", NULL, NULL },
	{ "password", COMPARE_MISSING, "account", "has another password than "
	    "was set last, says audit", "no_password", "has no password now: "
	    "set it again" },
	{ "names", COMPARE_MISSING, "account", "has other names than were set "
	    "last, says audit", "names", "is disabled: look at its names and "
	    "enable it" },
	{ "given", COMPARE_MISSING, "account", "was given to another "
	    "principal, says audit, but what the one before asked for counts",
	    "given", "is given to another principal again: what was asked "
	    "under its name is denied" },
	{ "kept", "row", "account", "was given to another principal, and "
	    "audit does not say so", NULL, NULL },
	{ "in", COMPARE_MISSING, "account", "was taken out of group %s, says "
	    "audit, but is in it", "leave", "is taken out of group %s again" },
	{ "out", COMPARE_MISSING, "account", "was put into group %s, says "
	    "audit, but is not in it", "leave", "stays out of group %s: add "
	    "it if it should not" },
	{ "alien", "row", "account", "is in group %s, and audit does not say "
	    "so", NULL, NULL },
	{ "free", COMPARE_MISSING, "key", "was blocked, says audit, but is "
	    "not", "block", "is blocked again" },
	{ "blocked", COMPARE_MISSING, "key", "was unblocked, says audit, but "
	    "is blocked", "keep", "stays blocked: unblock it if it should "
	    "not" },
	{ "strange", "row", "key", "is blocked, and audit does not say so",
	    NULL, NULL },
};

const struct lastword *
lastword_of(const PGresult *res, int row)
{
	const char *fault = PQgetvalue(res, row, LASTWORD_FAULT);
	size_t i;

	for (i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (strcmp(faults[i].fault, fault) == 0)
			return &faults[i];
	return NULL;
}

void
lastword_text(const PGresult *res, int row, const char *format, char *out,
    size_t n)
{
	const char *mark = strstr(format, "%s");

	if (mark == NULL)
		snprintf(out, n, "%s", format);
	else
		snprintf(out, n, "%.*s%s%s", (int)(mark - format), format,
		    PQgetvalue(res, row, LASTWORD_GROUP), mark + 2);
}
