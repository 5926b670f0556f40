/* Accounts out of LDIF, for the tests of what is read and what is planned. */
#ifndef ADACCOUNT_FIXTURE_H
#define ADACCOUNT_FIXTURE_H

#include "adplan.h"

#define ALICE \
	"dn: CN=Alice,OU=Staff,DC=corp,DC=test\n" \
	"objectClass: top\nobjectClass: user\ncn: Alice\n" \
	"sAMAccountName: Alice\nuserAccountControl: 512\n"
#define PC1 \
	"dn: CN=PC1,CN=Computers,DC=corp,DC=test\n" \
	"objectClass: user\nobjectClass: Computer\ncn: PC1\n" \
	"sAMAccountName: PC1$\nuserAccountControl: 4096\n" \
	"dNSHostName: PC1.corp.test\n"

#define GROUP(cn, type, rest) \
	"dn: CN=" cn ",DC=x\nobjectClass: group\ngroupType: " type "\n" rest "\n"

struct read {
	struct adgroups		groups;
	struct adaccounts	all;
	struct err		err;
	int			rc;
};

/* groups: separated by blanks, with "_" for a blank inside; or NULL. */
static inline void
read_of(struct read *r, const char *text, const char *groups,
    const char *realm)
{
	char	*copy = groups == NULL ? NULL : xstrdup(groups), *at = copy;
	char	*spec, *s;
	char	*disjoint = (char []){ "other.test" };
	struct err err = ERR_INIT;
	struct adreading how = { .realm = realm,
	    .domains = { &disjoint, 1 }, .now = 1800000000 };

	memset(r, 0, sizeof(*r));
	while (at != NULL && (spec = strsep(&at, " ")) != NULL) {
		for (s = spec; *s != '\0'; s++)
			if (*s == '_')
				*s = ' ';
		assert_int_equal(adgroups_add(&r->groups, spec, &err), 0);
	}
	free(copy);
	how.groups = &r->groups;
	r->rc = adaccounts_ldif(slice_str(text), &how, &r->all, &r->err);
}

static inline void
read_all(struct read *r, const char *text, const char *groups)
{
	read_of(r, text, groups, "corp.test");
}

static inline void
read_free(struct read *r)
{
	adaccounts_free(&r->all);
	adgroups_free(&r->groups);
}

#endif
