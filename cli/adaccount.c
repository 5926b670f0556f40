/*
 * Users and computers of a directory, entry by entry: between ldif.c and
 * adplan.c, which compares them with the accounts that are here.
 */
#include "adaccount.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "account.h"
#include "adnest.h"
#include "args.h"
#include "ldif.h"
#include "sid.h"

#define VALUE_MAX		4096	/* bytes of any attribute we read */
#define UAC_ACCOUNTDISABLE	0x0002	/* [MS-ADTS] 2.2.16 */
#define UAC_INTERDOMAIN_TRUST	0x0800
#define GROUP_SECURITY		0x80000000u	/* 2.2.12 */
#define EPOCH_1601		INT64_C(11644473600)	/* s before 1970 */

enum text { T_SAM, T_UPN, T_DNS, T_MAIL, T_CN, T_DISPLAY, T_SID, T_DN, TEXTS };

/* One entry while it is read. */
struct entry {
	unsigned	 line;
	char		*text[TEXTS];
	bool		 odd[TEXTS];	/* it has one, which is no text */
	bool		 class, user, computer, group;
	bool		 has_uac, has_primary, has_type, has_expires;
	uint32_t	 uac, primary, type;
	int64_t		 expires;	/* as it stands there */
	uint8_t		 in[ADGROUP_MAX / 8];
	bool		 deep;
	struct strlist	 above;		/* a group's memberOf */
};

/* The file is read twice: for groups within groups, then for accounts. */
struct reader {
	struct ldif		 l;
	struct entry		 e;
	int			(*end)(struct reader *, struct err *);
	struct adnest		 nest;
	struct adgroups		*groups;	/* NULL the first time */
	const struct adreading	*how;
	struct adaccounts	*all;
	size_t			 cap;
};

static void
entry_reset(struct entry *e)
{
	size_t	i;

	for (i = 0; i < TEXTS; i++)
		free(e->text[i]);
	strlist_free(&e->above);
	memset(e, 0, sizeof(*e));
}

/*
 * Directories take any character, as in the cn of what two controllers have
 * made at once: whoever may write one name, as who makes a computer account or
 * a group, must not keep the whole file from being read.
 */
static bool
is_text(struct slice v)
{
	return v.n != 0 && v.n <= VALUE_MAX && slice_is_text(v);
}

/* An attribute that may have one value. */
static int
set_text(struct reader *r, enum text t, struct err *err)
{
	struct slice	v = r->l.value;

	if (r->e.text[t] != NULL || r->e.odd[t])
		return err_bad(err, 0, "%s: stands twice", r->l.name);
	r->e.odd[t] = !is_text(v);
	if (!r->e.odd[t])
		r->e.text[t] = xstrndup((const char *)v.p, v.n);
	return 0;
}

/* In octets as directories keep it; as text from other tools. */
static int
set_sid(struct reader *r, struct err *err)
{
	struct slice	v = r->l.value;
	char		sid[SID_TEXT] = "";

	if (!sid_text(v, sid) && v.n < sizeof(sid) && slice_is_text(v)) {
		memcpy(sid, v.p, v.n);
		sid[v.n] = '\0';
	}
	if (r->e.text[T_SID] != NULL || !acct_name_ok(ACCT_SID, sid))
		return err_bad(err, 0, "objectSid: stands twice, or is none");
	r->e.text[T_SID] = xstrdup(sid);
	return 0;
}

static int
set_number(struct reader *r, bool *has, int64_t min, int64_t max, int64_t *out,
    struct err *err)
{
	char		text[24];
	struct slice	v = r->l.value;
	struct err	why = ERR_INIT;

	if (*has)
		return err_bad(err, 0, "%s: stands twice", r->l.name);
	snprintf(text, sizeof(text), "%.*s", (int)(v.n < 21 ? v.n : 21),
	    v.p == NULL ? "" : (const char *)v.p);
	if (v.n > 20 || number_parse(text, min, max, out, &why) != 0)
		return err_bad(err, 0, "%s: not a number", r->l.name);
	*has = true;
	return 0;
}

/* LDAP has signed numbers; these are flags and identifiers of 32 bits. */
static int
set_u32(struct reader *r, bool *has, uint32_t *out, struct err *err)
{
	int64_t	n;

	if (set_number(r, has, INT32_MIN, UINT32_MAX, &n, err) != 0)
		return -1;
	*out = (uint32_t)n;
	return 0;
}

static void
set_class(struct reader *r)
{
	char	word[32];

	r->e.class = true;
	if (r->l.value.n >= sizeof(word))
		return;
	snprintf(word, sizeof(word), "%.*s", (int)r->l.value.n,
	    r->l.value.n == 0 ? "" : (const char *)r->l.value.p);
	if (strcasecmp(word, "user") == 0)
		r->e.user = true;
	if (strcasecmp(word, "computer") == 0)
		r->e.computer = true;
	if (strcasecmp(word, "group") == 0)
		r->e.group = true;
}

static void
set_group(struct reader *r)
{
	static const char	odd[] = "(a name that is no text)";
	struct slice		v = r->l.value;
	char			*dn;

	dn = is_text(v) ? xstrndup((const char *)v.p, v.n) : xstrdup(odd);
	if (r->groups == NULL)
		strlist_add(&r->e.above, dn);
	else
		adnest_match(&r->nest, r->groups, dn, r->e.in, &r->e.deep,
		    &r->all->left);
	free(dn);
}

struct ldap_text {
	const char	*name;
	enum text	 text;
};

/* By LDAP name; what is not here a directory has dozens of. */
static const struct ldap_text texts[] = {
	{ "sAMAccountName", T_SAM }, { "userPrincipalName", T_UPN },
	{ "dNSHostName", T_DNS }, { "mail", T_MAIL }, { "cn", T_CN },
	{ "displayName", T_DISPLAY },
};
static const char *const others[] = {
	"objectSid", "objectClass", "memberOf", "userAccountControl",
	"primaryGroupID", "groupType", "accountExpires",
};
#define NTEXTS	(sizeof(texts) / sizeof(texts[0]))
#define NOTHERS	(sizeof(others) / sizeof(others[0]))

static int
attribute(struct reader *r, struct err *err)
{
	const char	*name = r->l.name;
	size_t		 i;

	for (i = 0; i < NTEXTS; i++)
		if (strcasecmp(texts[i].name, name) == 0)
			return set_text(r, texts[i].text, err);
	if (strcasecmp(name, "objectSid") == 0)
		return set_sid(r, err);
	if (strcasecmp(name, "objectClass") == 0)
		set_class(r);
	if (strcasecmp(name, "memberOf") == 0)
		set_group(r);
	if (strcasecmp(name, "userAccountControl") == 0)
		return set_u32(r, &r->e.has_uac, &r->e.uac, err);
	if (strcasecmp(name, "primaryGroupID") == 0)
		return set_u32(r, &r->e.has_primary, &r->e.primary, err);
	if (strcasecmp(name, "groupType") == 0)
		return set_u32(r, &r->e.has_type, &r->e.type, err);
	if (strcasecmp(name, "accountExpires") == 0)
		return set_number(r, &r->e.has_expires, INT64_MIN,
		    INT64_MAX, &r->e.expires, err);
	return 0;
}

/* "memberOf;range=0-1499" is not all of them; "cn;lang-de" is another. */
static int
without_options(struct reader *r, struct err *err)
{
	size_t	i, n = strcspn(r->l.name, ";");

	if (r->l.name[n] == '\0')
		return attribute(r, err);
	for (i = 0; i < NTEXTS + NOTHERS; i++) {
		const char *known = i < NTEXTS ? texts[i].name :
		    others[i - NTEXTS];

		if (strlen(known) == n &&
		    strncasecmp(known, r->l.name, n) == 0)
			return err_bad(err, 0, "%s: an attribute with options "
			    "is not read", r->l.name);
	}
	return 0;
}

static void
note(struct adaccount *a, const char *fmt, const char *what, const char *value)
{
	struct buf	b = { 0 };

	if (a->notes != NULL)
		buf_printf(&b, "%s\n", a->notes);
	buf_printf(&b, fmt, what, value);
	free(a->notes);
	a->notes = xstrdup(buf_str(&b));
	buf_free(&b);
}

/* A name that no certificate can have is left out. */
static void
put_name(struct reader *r, struct adaccount *a, enum acct_name n, enum text t)
{
	const char	*v = r->e.text[t];

	if (v == NULL && !r->e.odd[t])
		return;
	r->all->seen[n] = true;
	if (v == NULL)
		note(a, "%s is left out: %s", acct_name_word(n), "no text");
	else if (acct_name_ok(n, v))
		a->names[n] = xstrdup(v);
	else
		note(a, "%s is left out: %.200s", acct_name_word(n), v);
}

/*
 * A name may not be of another domain, where nobody of this directory says who
 * is called how: a computer WWW is not www.example.org.
 */
static bool
is_own_domain(const struct reader *r, const char *dns)
{
	const char	*theirs = dns + strcspn(dns, ".");
	struct buf	 b = { 0 };
	bool		 own;
	size_t		 i;

	if (r->e.text[T_DN] != NULL)
		ad_domain(r->e.text[T_DN], &b);
	theirs += *theirs == '.';
	/* No domain: another directory's; but not, one that he has hidden. */
	own = b.n == 0 ? !r->e.odd[T_DN] :
	    strcasecmp(buf_str(&b), theirs) == 0;
	for (i = 0; i < r->how->domains.n && !own; i++)
		own = strcasecmp(r->how->domains.v[i], theirs) == 0;
	buf_free(&b);
	return own;
}

/*
 * Who may make a computer account may give it any DNS name, of one that is in
 * no directory, too ([security] ESC10): its first part must be that of the
 * account.
 */
static void
put_host(struct reader *r, struct adaccount *a)
{
	const char	*dns = r->e.text[T_DNS], *what = NULL;

	if (dns != NULL && !account_is_host(r->e.text[T_SAM], dns))
		what = "first part is not the computer's";
	else if (dns != NULL && !is_own_domain(r, dns))
		what = "domain is not the computer's (--domain)";
	if (what == NULL) {
		put_name(r, a, ACCT_DNS, T_DNS);
		return;
	}
	r->all->seen[ACCT_DNS] = true;
	note(a, "dns is left out: its %s: %.200s", what, dns);
}

/*
 * Nor any common name: the CN of a DC in another folder than the DC's.  People
 * are called as who makes their accounts says.
 */
static bool
is_own_cn(const struct reader *r, const char *cn)
{
	const char	*sam = r->e.text[T_SAM];

	return !r->e.computer || cn == NULL || strcasecmp(cn, sam) == 0 ||
	    (account_is_host(sam, cn) && (strchr(cn, '.') == NULL ||
	    is_own_domain(r, cn)));
}

static void
put_cn(struct reader *r, struct adaccount *a, enum text t)
{
	const char	*cn = r->e.text[t];

	if (is_own_cn(r, cn)) {
		put_name(r, a, ACCT_CN, t);
		return;
	}
	r->all->seen[ACCT_CN] = true;
	note(a, "%s is left out: it is not the computer's: %.200s", "cn", cn);
}

static void
put_dn(struct reader *r, struct adaccount *a)
{
	const char	*dn = r->e.text[T_DN];
	struct buf	 cn = { 0 };

	if (dn == NULL || !ad_first_cn(dn, &cn) ||
	    is_own_cn(r, buf_str(&cn))) {
		put_name(r, a, ACCT_DN, T_DN);
	} else {
		r->all->seen[ACCT_DN] = true;
		note(a, "%s is left out: its cn is not the computer's: "
		    "%.200s", "dn", dn);
	}
	buf_free(&cn);
}

/* Who has no common name that fits is called as the account. */
static void
put_names(struct reader *r, struct adaccount *a)
{
	put_host(r, a);
	put_name(r, a, ACCT_UPN, T_UPN);
	put_name(r, a, ACCT_EMAIL, T_MAIL);
	put_dn(r, a);
	put_name(r, a, ACCT_SID, T_SID);
	put_cn(r, a, r->e.text[T_CN] != NULL || r->e.odd[T_CN] ? T_CN :
	    T_DISPLAY);
	if (a->names[ACCT_CN] == NULL && r->e.text[T_DISPLAY] != NULL &&
	    (r->e.text[T_CN] != NULL || r->e.odd[T_CN]))
		put_cn(r, a, T_DISPLAY);
	if (a->names[ACCT_CN] == NULL)
		a->names[ACCT_CN] = xstrndup(acct_name_ok(ACCT_CN,
		    r->e.text[T_SAM]) ? r->e.text[T_SAM] : a->name, 64);
}

/*
 * What no account can be called, as anything beyond ASCII, is called by its
 * SID, by which tickets find it: directories, PACs, databases and we would have
 * to fold the same letters alike, or one would be taken for another.
 */
static bool
called_by_sid(const struct reader *r, const char *called, char name[129],
    struct adaccount *a)
{
	const char	*sid = r->e.text[T_SID];
	struct err	 ignored = ERR_INIT;
	struct buf	 b = { 0 };

	if (sid != NULL)
		buf_puts(&b, sid);
	if (r->how->realm != NULL)
		buf_printf(&b, "@%s", r->how->realm);
	if (sid != NULL &&
	    account_canonical(buf_str(&b), name, &ignored) == 0) {
		a->called = xstrdup(called);
		note(a, "%s is no name here, so it is called by its SID: "
		    "%.200s", "sAMAccountName", r->e.text[T_SAM]);
	}
	buf_free(&b);
	return a->called != NULL;
}

/*
 * Which principal is it?  A computer that looks like a person, or the other
 * way round, would be taken for another; so would "DOMAIN\user".
 */
static void
put_account(struct reader *r, struct adaccount *a)
{
	const char	*sam = r->e.text[T_SAM], *why = NULL;
	bool		 dollar = sam != NULL && sam[strlen(sam) - 1] == '$';
	struct err	 err = ERR_INIT;
	char		 name[129];
	struct buf	 b = { 0 };

	if (sam == NULL)	/* nobody else's name either */
		buf_printf(&b, "(line %u)", r->e.line);
	else
		buf_puts(&b, sam);
	if (r->how->realm != NULL)
		buf_printf(&b, "@%s", r->how->realm);
	if (sam == NULL)
		why = "sAMAccountName: no text";
	else if (strpbrk(sam, "@\\") != NULL)
		why = "sAMAccountName: has an \"@\" or a backslash";
	else if (r->e.computer && !dollar)
		why = "sAMAccountName: a computer's ends with \"$\"";
	else if (!r->e.computer && dollar)
		why = "sAMAccountName: only a computer's ends with \"$\"";
	else if (account_canonical(buf_str(&b), name, &err) != 0 &&
	    !called_by_sid(r, buf_str(&b), name, a))
		why = err.text;
	a->name = xstrdup(why == NULL ? name : buf_str(&b));
	a->refused = why == NULL ? NULL : xstrdup(why);
	buf_free(&b);
}

static void
put_domain(const struct reader *r, struct adaccount *a)
{
	struct buf	b = { 0 };

	if (r->e.text[T_DN] != NULL)
		ad_domain(r->e.text[T_DN], &b);
	if (b.n > 0)
		a->domain = xstrdup(buf_str(&b));
	buf_free(&b);
}

static int
need(bool has, const char *what, struct err *err)
{
	if (has)
		return 0;
	return err_bad(err, 0, "the entry has no %s: ask for it, too", what);
}

/* [MS-ADA1] 2.1: tenths of microseconds since 1601; two numbers say never. */
static bool
has_expired(const struct reader *r)
{
	int64_t	when = r->e.expires;

	return when != 0 && when != INT64_MAX &&
	    when / 10000000 - EPOCH_1601 <= r->how->now;
}

static int
add_account(struct reader *r, struct err *err)
{
	struct adaccounts	*all = r->all;
	struct adaccount	*a;

	if (all->n == ADACCOUNT_MAX)
		return err_set(err, ERR_TOO_BIG, "more than %d accounts",
		    ADACCOUNT_MAX);
	all->v = xgrow(all->v, all->n, &r->cap, sizeof(*all->v));
	a = memset(&all->v[all->n++], 0, sizeof(*a));
	a->line = r->e.line;
	a->machine = r->e.computer;
	a->off = r->e.uac & UAC_ACCOUNTDISABLE || has_expired(r);
	if (r->e.has_primary)
		adnest_match_primary(&r->nest, r->groups, r->e.text[T_SID],
		    r->e.primary, r->e.in, &r->e.deep, &all->left);
	memcpy(a->in, r->e.in, sizeof(a->in));
	a->deep = r->e.deep;
	put_domain(r, a);
	put_account(r, a);
	if (a->refused == NULL)
		put_names(r, a);
	return 0;
}

/*
 * Whose groupType nobody asked for may be a list of addressees, and passes
 * nothing on.
 */
static int
end_group(struct reader *r, struct err *err)
{
	struct entry		*e = &r->e;
	struct adnest_group	 g = { .line = e->line };
	int			 rc = 0;

	if (e->group && !e->has_type)
		r->all->untyped++;
	else if (e->group && e->text[T_DN] != NULL) {
		g.dn = xstrdup(e->text[T_DN]);
		g.sid = e->text[T_SID];
		g.security = e->type & GROUP_SECURITY;
		g.above = e->above;
		e->text[T_SID] = NULL;
		memset(&e->above, 0, sizeof(e->above));
		rc = adnest_add(&r->nest, &g, err);
	}
	entry_reset(e);
	return rc;
}

static int
end_account(struct reader *r, struct err *err)
{
	struct entry	*e = &r->e;
	struct err	 why = ERR_INIT;
	int		 rc = 0;

	if (e->line != 0)
		rc = need(e->class, "objectClass", &why);
	if (rc == 0 && e->user)
		rc = need(e->text[T_SAM] != NULL || e->odd[T_SAM],
		    "sAMAccountName", &why) |
		    need(e->has_uac, "userAccountControl", &why);
	if (rc == 0 && e->user && !(e->uac & UAC_INTERDOMAIN_TRUST))
		rc = add_account(r, &why);
	else if (rc == 0 && e->line != 0 && !(e->group && e->has_type))
		r->all->others++;
	if (rc != 0)
		err_set(err, why.kind, "line %u: %.200s", e->line, why.text);
	entry_reset(e);
	return rc;
}

static int
begin_entry(struct reader *r, struct err *err)
{
	if (r->end(r, err) != 0)
		return -1;
	r->e.line = r->l.line;
	return 0;
}

/* One line; what is wrong with it is told with its number. */
static int
take(struct reader *r, struct err *err)
{
	struct err	why = ERR_INIT;
	int		rc;

	if (r->l.kind == LDIF_DN && begin_entry(r, err) != 0)
		return -1;
	rc = r->l.kind == LDIF_DN ? set_text(r, T_DN, &why) :
	    without_options(r, &why);
	return rc == 0 ? 0 : ldif_fault(&r->l, &why, err);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct adaccount *)a)->name,
	    ((const struct adaccount *)b)->name);
}

static int
check_all(struct adaccounts *all, struct err *err)
{
	const struct adaccount	*a;
	size_t			 i;

	if (all->n == 0)
		return err_bad(err, 0, "no users and no computers");
	qsort(all->v, all->n, sizeof(*all->v), by_name);
	for (i = 1; i < all->n; i++) {
		a = &all->v[i];
		if (strcmp(a->name, a[-1].name) == 0)
			return err_bad(err, 0, "lines %u and %u: both are "
			    "%.80s", a[-1].line, a->line, a->name);
	}
	return 0;
}

/* All of the text, in entries that r->end takes. */
static int
read_all(struct reader *r, struct slice text, struct err *err)
{
	int	rc;

	r->l = (struct ldif){ .text = text };
	while ((rc = ldif_next(&r->l, err)) == 0 && r->l.kind != LDIF_END)
		if ((rc = take(r, err)) != 0)
			break;
	if (rc == 0)
		rc = r->end(r, err);
	entry_reset(&r->e);
	ldif_free(&r->l);
	return rc;
}

int
adaccounts_ldif(struct slice text, const struct adreading *how,
    struct adaccounts *all, struct err *err)
{
	struct reader	r = { .end = end_group, .how = how, .all = all };
	int		rc;

	memset(all, 0, sizeof(*all));
	rc = read_all(&r, text, err);
	if (rc == 0)
		rc = adnest_seal(&r.nest, err);
	if (rc == 0) {
		adnest_show(&r.nest, how->groups);
		r.end = end_account;
		r.groups = how->groups;
		rc = read_all(&r, text, err);
	}
	if (rc == 0)
		rc = check_all(all, err);
	adnest_free(&r.nest);
	return rc;
}

bool
adaccount_in(const struct adaccount *a, size_t group)
{
	return a->in[group / 8] & 1u << group % 8;
}

void
adaccounts_free(struct adaccounts *all)
{
	struct adaccount	*a;
	enum acct_name		 n;

	while (all->n > 0) {
		a = &all->v[--all->n];
		for (n = 0; n < ACCT_NAMES; n++)
			free(a->names[n]);
		free(a->name);
		free(a->domain);
		free(a->called);
		free(a->refused);
		free(a->notes);
	}
	free(all->v);
	strlist_free(&all->left);
	memset(all, 0, sizeof(*all));
}
