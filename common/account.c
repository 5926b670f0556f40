/*
 * Principals: how names are spelled, and their rows.  Workers ask when
 * somebody logs on, signers when they decide, both through snapshot.c.
 */
#include "account.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf.h"

#define NAME_MAX_BYTES		128
#define SETTLED			5	/* seconds */

/* Columns of ACCOUNT_SQL. */
enum {
	C_NAME, C_MACHINE, C_DISABLED, C_CN, C_DNS, C_UPN, C_EMAIL, C_DN,
	C_SID, C_PASSWORD, C_GROUPS, C_ONE_TIME, C_EXPIRES, C_USED,
	C_REPLACED, C_COUNT
};

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("._@$'-", c) != NULL);
}

/* Lower case, appended to out at n; the new n, or 0. */
static size_t
name_part(const char *p, size_t len, char *out, size_t n, struct err *err)
{
	size_t i;
	char c;

	if (len == 0 || len > NAME_MAX_BYTES - n) {
		err_set(err, ERR_UNAUTHENTICATED, len == 0 ?
		    "user name: empty, or empty beside the domain" :
		    "user name: more than 128 bytes");
		return 0;
	}
	for (i = 0; i < len; i++) {
		c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
		if (!name_char(c)) {
			err_set(err, ERR_UNAUTHENTICATED,
			    "user name: byte 0x%02x is none of "
			    "a-z 0-9 . _ @ $ ' -", (unsigned char)c);
			return 0;
		}
		out[n + i] = c;
	}
	return n + len;
}

static int
name_check(const char *name, size_t n, struct err *err)
{
	const char *at = memchr(name, '@', n);

	if (name[0] == '.' || name[n - 1] == '.')
		return err_set(err, ERR_UNAUTHENTICATED,
		    "user name: begins or ends with a dot");
	if (at == NULL)
		return 0;
	if (at == name || at == name + n - 1)
		return err_set(err, ERR_UNAUTHENTICATED,
		    "user name: nothing beside the \"@\"");
	if (memchr(at + 1, '@', n - (size_t)(at + 1 - name)) != NULL)
		return err_set(err, ERR_UNAUTHENTICATED,
		    "user name: more than one \"@\"");
	return 0;
}

int
account_canonical(const char *typed, char out[129], struct err *err)
{
	const char *slash = strchr(typed, '\\');
	char name[NAME_MAX_BYTES + 1];
	size_t n;

	if (slash == NULL) {
		n = name_part(typed, strlen(typed), name, 0, err);
	} else {
		/* DOMAIN\user: a second backslash is no name character. */
		n = name_part(slash + 1, strlen(slash + 1), name, 0, err);
		if (n > 0)
			n = name_part("@", 1, name, n, err);
		if (n > 0)
			n = name_part(typed, (size_t)(slash - typed), name, n,
			    err);
	}
	if (n == 0 || name_check(name, n, err) == -1)
		return -1;
	memcpy(out, name, n);
	out[n] = '\0';
	return 0;
}

static char *
column(const PGresult *r, int c)
{
	return PQgetisnull(r, 0, c) ? NULL : xstrdup(PQgetvalue(r, 0, c));
}

/* One a line. */
static int
groups_parse(const char *text, struct strlist *out, struct err *err)
{
	const char *end;
	size_t cap = 0;

	for (; *text != '\0'; text = *end == '\0' ? end : end + 1) {
		end = strchrnul(text, '\n');
		if (out->n == ACCOUNT_GROUPS_MAX)
			return err_set(err, ERR_INTERNAL,
			    "account: more than %d groups",
			    ACCOUNT_GROUPS_MAX);
		out->v = xgrow(out->v, out->n, &cap, sizeof(*out->v));
		out->v[out->n++] = xstrndup(text, (size_t)(end - text));
	}
	strlist_sort(out);
	return 0;
}

static struct account *
account_row(const PGresult *r, struct err *err)
{
	struct account *a = xcalloc(1, sizeof(*a));

	a->name = column(r, C_NAME);
	a->machine = PQgetvalue(r, 0, C_MACHINE)[0] == 't';
	a->disabled = PQgetvalue(r, 0, C_DISABLED)[0] == 't';
	a->cn = column(r, C_CN);
	a->dns = column(r, C_DNS);
	a->upn = column(r, C_UPN);
	a->email = column(r, C_EMAIL);
	a->dn = column(r, C_DN);
	a->sid = column(r, C_SID);
	a->password = column(r, C_PASSWORD);
	a->one_time = column(r, C_ONE_TIME);
	a->one_time_expires = strtoll(PQgetvalue(r, 0, C_EXPIRES), NULL, 10);
	a->one_time_used = PQgetvalue(r, 0, C_USED)[0] == 't';
	a->replaced = strtoll(PQgetvalue(r, 0, C_REPLACED), NULL, 10);
	if (a->name == NULL || a->cn == NULL) {
		err_set(err, ERR_INTERNAL, "account: row without a name");
	} else if (PQgetisnull(r, 0, C_GROUPS) ||
	    groups_parse(PQgetvalue(r, 0, C_GROUPS), &a->groups, err) == 0)
		return a;
	account_free(a);
	return NULL;
}

int
account_load(struct db *db, const char *canonical, struct account **out,
    struct err *err)
{
	struct db_param param = DB_TEXT(canonical);
	struct account *a = NULL;
	PGresult *r;
	int rc = -1;

	r = db_exec(db, "account", &param, 1, err);
	if (r == NULL)
		return -1;
	if (PQnfields(r) != C_COUNT || PQntuples(r) > 1) {
		err_set(err, ERR_INTERNAL, "account: %d rows of %d columns",
		    PQntuples(r), PQnfields(r));
		goto out;
	}
	if (PQntuples(r) == 1 && (a = account_row(r, err)) == NULL)
		goto out;
	*out = a;
	rc = 0;
out:
	PQclear(r);
	return rc;
}

void
account_free(struct account *a)
{
	if (a == NULL)
		return;
	free(a->name);
	free(a->cn);
	free(a->dns);
	free(a->upn);
	free(a->email);
	free(a->dn);
	free(a->sid);
	if (a->password != NULL)
		OPENSSL_cleanse(a->password, strlen(a->password));
	free(a->password);
	free(a->one_time);
	strlist_free(&a->groups);
	free(a);
}

bool
account_is_host(const char *sam, const char *dns)
{
	size_t n = strlen(sam), label = strcspn(dns, ".");

	if (n > 0 && sam[n - 1] == '$')
		n--;
	return n > 0 && strncasecmp(sam, dns, n) == 0 &&
	    (label == n || (n == 15 && label > n));
}

bool
account_in(const struct account *a, const struct strlist *groups)
{
	size_t i;

	for (i = 0; i < groups->n; i++)
		if (strlist_find(&a->groups, groups->v[i]))
			return true;
	return false;
}

bool
account_was_others(const struct account *a, int64_t when)
{
	return a->replaced != 0 && when <= a->replaced + SETTLED;
}
