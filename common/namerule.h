/*
 * Name rules: may these names, taken from a request, stand in a certificate?
 * Pure functions over struct name_rule (policy.h) and struct names (name.h).
 */
#ifndef NAMERULE_H
#define NAMERULE_H

#include "name.h"
#include "policy.h"

struct asked {			/* one name of a request */
	const char	*rdn;	/* subject part: its type; NULL for a SAN */
	enum san_kind	 kind;	/* of a SAN */
	const char	*text;
};

/* "dns name", "CN", ... for refusals. */
const char	*asked_kind(const struct asked *);
/* Its text; of a long one the beginning, in out, with "..." behind it. */
#define ASKED_TEXT	76
const char	*asked_text(const struct asked *, char out[ASKED_TEXT]);
/*
 * Is it a name of a kind that requests may carry at all, and well formed?
 * NULL, or what is wrong.  Wildcards pass here; only rules allow them.
 */
const char	*asked_fault(const struct asked *);

bool	 name_rule_allows(const struct name_rule *, const struct asked *);
/* Does the rule's dns list allow this name (also as a CN)? */
bool	 name_rule_allows_dns(const struct name_rule *, const char *);

/*
 * Copy with DNS names in lower case, and alternative names that stand twice
 * folded into one; a subject is a path, where OU=Users may stand twice.
 * names_free(out) by the caller.
 */
void	 names_fold(const struct names *in, struct names *out);
/*
 * Ask judge once for each name of n, subject first; stops at the first -1
 * and returns it.  (A loop that judged one name many times and others never
 * cost a public CA three million certificates.)
 */
int	 names_judge(const struct names *n,
	    int (*judge)(const void *, const struct asked *, struct err *),
	    const void *, struct err *);

/* A host name: name_is_dns, or one label such as "localhost". */
bool	 name_is_host(const char *, bool wildcard);
bool	 name_is_upn(const char *);	/* one "@" between printable ASCII */
bool	 name_is_sid_uri(const char *);	/* a SID claim as SAN URI */

/* Syntax of one entry of a rule's list, for the linter: NULL or the fault. */
const char	*dns_pattern_fault(const char *);
const char	*email_pattern_fault(const char *);
const char	*upn_pattern_fault(const char *);
const char	*ip_pattern_fault(const char *);
const char	*uri_pattern_fault(const char *);
const char	*rdn_pattern_fault(const char *);
const char	*cn_pattern_fault(const char *);
/* Of one without a fault: NULL, or why it can match nothing. */
const char	*mail_pattern_idle(const char *);	/* e-mail and UPN */
const char	*rdn_pattern_idle(const char *);

#endif
