/*
 * What may stand in an account: for those that type it, and for those that a
 * directory has.
 */
#ifndef ACCTCHECK_H
#define ACCTCHECK_H

#include <stdbool.h>

enum acct_name {
	ACCT_CN, ACCT_DNS, ACCT_UPN, ACCT_EMAIL, ACCT_DN, ACCT_SID, ACCT_NAMES
};

/* "cn", "dns", ...: of an option, a column; and what its form is. */
const char	*acct_name_word(enum acct_name);
const char	*acct_name_form(enum acct_name);
bool		 acct_name_ok(enum acct_name, const char *);

/* Groups stand in the policy, so they are names like those there. */
#define ACCT_GROUP_FORM	"1 to 64 of letters, digits, . _ -"
bool		 acct_group_ok(const char *);

#endif
