/* A directory ([RFC4511], [RFC4523]): the one file that knows libldap. */
#include <ldap.h>
#include <stdlib.h>
#include <string.h>

#include "publish.h"
#include "secret.h"

#define SYSTEM_CAS	"/etc/ssl/certs/ca-certificates.crt"
#define WAIT_S		10	/* for the network, and for each answer */
#define PASSWORD_MAX	1024

struct directory {
	struct publisher	 pub;
	struct publish_options	 options;
	LDAPURLDesc		*url;
	char			*server;	/* the URL without the DN */
	LDAP			*ld;		/* or NULL */
};

/* What an operator does about it. */
static const struct {
	int		 code;
	enum err_kind	 kind;
	const char	*advice;
} answers[] = {
	{ LDAP_SERVER_DOWN, ERR_UNAVAILABLE, "is it up, the address right and "
	    "its certificate good (--tls-ca)? or the list larger than it "
	    "takes" },
	{ LDAP_TIMEOUT, ERR_UNAVAILABLE, "it is busy or away" },
	{ LDAP_CONNECT_ERROR, ERR_UNAVAILABLE, "does its certificate verify "
	    "(--tls-ca), for the name in the url?" },
	{ LDAP_BUSY, ERR_UNAVAILABLE, "try again later" },
	{ LDAP_UNAVAILABLE, ERR_UNAVAILABLE, "try again later" },
	{ LDAP_PROTOCOL_ERROR, ERR_DENIED, "no StartTLS there? use ldaps://" },
	{ LDAP_INVALID_CREDENTIALS, ERR_DENIED, "wrong --bind name or "
	    "password" },
	{ LDAP_INAPPROPRIATE_AUTH, ERR_DENIED, "that entry has no password" },
	{ LDAP_AUTH_METHOD_NOT_SUPPORTED, ERR_DENIED, "SASL EXTERNAL is for "
	    "ldapi://; else give --bind and --password-file" },
	{ LDAP_NO_SUCH_OBJECT, ERR_DENIED, "make the entry that the url "
	    "names; those below it are made here" },
	{ LDAP_INSUFFICIENT_ACCESS, ERR_DENIED, "let whoever binds here write "
	    "there, and below it" },
	{ LDAP_OBJECT_CLASS_VIOLATION, ERR_DENIED, "give the entry the object "
	    "classes pkiCA and deltaCRL" },
	{ LDAP_UNDEFINED_TYPE, ERR_DENIED, "its schema lacks RFC 4523: load "
	    "core.schema" },
	{ LDAP_REFERRAL, ERR_DENIED, "it is a copy: give the url of the "
	    "server that may be written to" },
};

/* Always -1: what failed, the server's own words, and the advice. */
static int
failed(struct directory *d, int code, const char *what, struct err *err)
{
	const char *advice = "see the server's log";
	enum err_kind kind = ERR_DENIED;
	char *text = NULL;
	size_t i;

	for (i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (answers[i].code == code) {
			kind = answers[i].kind;
			advice = answers[i].advice;
		}
	if (d->ld != NULL)
		(void)ldap_get_option(d->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE,
		    &text);
	err_set(err, kind, "%.70s: %s%s%.40s: %s", what,
	    ldap_err2string(code), text != NULL && *text != '\0' ? ", " : "",
	    text != NULL ? text : "", advice);
	ldap_memfree(text);
	return -1;
}

/*
 * Nothing of /etc/ldap/ldap.conf or the environment: one line there would
 * switch the verification of certificates off.
 */
static int
set_options(struct directory *d)
{
	static const int version = LDAP_VERSION3, fresh = 0,
	    demand = LDAP_OPT_X_TLS_HARD;
	const struct timeval wait = { WAIT_S, 0 };
	const char *cas = d->options.ca_file != NULL ? d->options.ca_file :
	    SYSTEM_CAS;
	const struct {
		int		 option;
		const void	*value;
	} all[] = {
		{ LDAP_OPT_PROTOCOL_VERSION, &version },
		{ LDAP_OPT_REFERRALS, LDAP_OPT_OFF },
		{ LDAP_OPT_NETWORK_TIMEOUT, &wait },
		{ LDAP_OPT_TIMEOUT, &wait },
		{ LDAP_OPT_X_TLS_REQUIRE_CERT, &demand },
		{ LDAP_OPT_X_TLS_CACERTFILE, cas },
		{ LDAP_OPT_X_TLS_NEWCTX, &fresh },
	};
	size_t i;
	int rc = LDAP_SUCCESS;

	for (i = 0; i < sizeof all / sizeof all[0] && rc == LDAP_SUCCESS; i++)
		rc = ldap_set_option(d->ld, all[i].option, all[i].value);
	return rc;
}

static int
bind_simple(struct directory *d, struct err *err)
{
	struct buf password = { 0 };
	struct berval cred;
	int rc;

	if (secret_read(d->options.password, PASSWORD_MAX, true, &password,
	    err) != 0)
		return -1;
	/* [RFC4513] 5.1.2: without a password that would be nobody. */
	if (password.n == 0)
		rc = err_set(err, ERR_DENIED, "%.100s is empty",
		    d->options.password);
	else {
		cred.bv_val = (char *)password.p;
		cred.bv_len = password.n;
		rc = ldap_sasl_bind_s(d->ld, d->options.bind,
		    LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
		if (rc != LDAP_SUCCESS)
			rc = failed(d, rc, d->options.bind, err);
	}
	buf_wipe(&password);
	return rc;
}

static int
bind_external(struct directory *d, struct err *err)
{
	/* Empty, not absent: else it asks for it in a second step. */
	struct berval none = { 0, (char[]){ "" } }, *answer = NULL;
	int rc = ldap_sasl_bind_s(d->ld, NULL, "EXTERNAL", &none, NULL, NULL,
	    &answer);

	ber_bvfree(answer);
	return rc == LDAP_SUCCESS ? 0 : failed(d, rc, d->server, err);
}

static void
hang_up(struct directory *d)
{
	if (d->ld != NULL)
		ldap_unbind_ext_s(d->ld, NULL, NULL);
	d->ld = NULL;
}

/* Connected and bound, from the first list of a round to its end. */
static int
call(struct directory *d, struct err *err)
{
	int rc;

	if (d->ld != NULL)
		return 0;
	rc = ldap_initialize(&d->ld, d->server);
	if (rc == LDAP_SUCCESS)
		rc = set_options(d);
	/* A password and a list cross no network in the clear. */
	if (rc == LDAP_SUCCESS && strcmp(d->url->lud_scheme, "ldap") == 0)
		rc = ldap_start_tls_s(d->ld, NULL, NULL);
	if (rc != LDAP_SUCCESS)
		rc = failed(d, rc, d->server, err);
	else
		rc = d->options.bind != NULL ? bind_simple(d, err) :
		    bind_external(d, err);
	if (rc != 0)
		hang_up(d);
	return rc;
}

/* An entry with nothing in it yet. */
static int
make_entry(struct directory *d, const char *name, const char *dn)
{
	char *cn[] = { (char *)(uintptr_t)name, NULL };
	LDAPMod classes = { LDAP_MOD_ADD, "objectClass", { NULL } };
	LDAPMod called = { LDAP_MOD_ADD, "cn", { cn } };
	LDAPMod *mods[] = { &classes, &called, NULL };

	classes.mod_values = (char **)(uintptr_t)publish_classes;
	return ldap_add_ext_s(d->ld, dn, mods, NULL, NULL);
}

/* All of an item in one step. */
static int
modify(struct directory *d, const char *dn, const struct publish_item *i)
{
	struct publish_attribute a[PUBLISH_ATTRIBUTES];
	struct berval value[PUBLISH_ATTRIBUTES];
	struct berval *values[PUBLISH_ATTRIBUTES][2] = { { NULL } };
	LDAPMod mod[PUBLISH_ATTRIBUTES], *mods[PUBLISH_ATTRIBUTES + 1];
	size_t k, n = publish_attributes(i, a);

	for (k = 0; k < n; k++) {
		value[k].bv_val = (char *)(uintptr_t)a[k].value.p;
		value[k].bv_len = a[k].value.n;
		if (a[k].value.n > 0)
			values[k][0] = &value[k];
		mod[k].mod_op = LDAP_MOD_REPLACE | LDAP_MOD_BVALUES;
		mod[k].mod_type = (char *)(uintptr_t)a[k].type;
		mod[k].mod_bvalues = a[k].value.n > 0 ? values[k] : NULL;
		mods[k] = &mod[k];
	}
	mods[n] = NULL;
	return ldap_modify_ext_s(d->ld, dn, mods, NULL, NULL);
}

/* What cannot be read is no list; the change itself says what is wrong. */
static int
check_entry(struct directory *d, const char *dn, const struct publish_item *i,
    struct err *err)
{
	struct publish_attribute a[PUBLISH_ATTRIBUTES];
	size_t k, n = publish_attributes(i, a);
	struct berval **v = NULL;
	LDAPMessage *res = NULL, *entry = NULL;
	char *types[2] = { NULL, NULL };
	int rc = 0;

	/* The attribute that gets the list, whichever kind it is. */
	for (k = 0; k < n; k++)
		if (a[k].value.p == i->list.p)
			types[0] = (char *)(uintptr_t)a[k].type;
	if (types[0] != NULL && ldap_search_ext_s(d->ld, dn, LDAP_SCOPE_BASE,
	    NULL, types, 0, NULL, NULL, NULL, 1, &res) == LDAP_SUCCESS)
		entry = ldap_first_entry(d->ld, res);
	if (entry != NULL)
		v = ldap_get_values_len(d->ld, entry, types[0]);
	for (k = 0; rc == 0 && v != NULL && v[k] != NULL; k++)
		rc = publish_is_next(slice_of(v[k]->bv_val, v[k]->bv_len), i,
		    err);
	ldap_value_free_len(v);
	ldap_msgfree(res);
	return rc;
}

static int
directory_put(struct publisher *p, const struct publish_item *i,
    struct err *err)
{
	struct directory *d = (struct directory *)p;
	struct buf dn = { 0 };
	int rc;

	if (call(d, err) != 0)
		return -1;
	publish_dn(i->name, d->url->lud_dn, &dn);
	if (check_entry(d, buf_str(&dn), i, err) != 0) {
		buf_free(&dn);
		return -1;
	}
	rc = modify(d, buf_str(&dn), i);
	if (rc == LDAP_NO_SUCH_OBJECT) {
		rc = make_entry(d, i->name, buf_str(&dn));
		if (rc == LDAP_SUCCESS)
			rc = modify(d, buf_str(&dn), i);
	}
	if (rc != LDAP_SUCCESS) {
		failed(d, rc, buf_str(&dn), err);
		hang_up(d);
	}
	buf_free(&dn);
	return rc == LDAP_SUCCESS ? 0 : -1;
}

static int
directory_flush(struct publisher *p, struct err *err)
{
	(void)err;
	hang_up((struct directory *)p);
	return 0;
}

static void
directory_free(struct publisher *p)
{
	struct directory *d = (struct directory *)p;

	hang_up(d);
	ldap_free_urldesc(d->url);
	free(d->server);
	free(d);
}

static int
check_url(struct directory *d, struct err *err)
{
	const char *to = d->options.to;
	LDAPURLDesc *u;

	if (ldap_url_parse(to, &d->url) != LDAP_URL_SUCCESS)
		return err_set(err, ERR_MALFORMED, "%.100s is no ldap url: "
		    "ldaps://HOST/DN, ldap://HOST/DN or ldapi://SOCKET/DN "
		    "(/ as %%2F)", to);
	u = d->url;
	if (publish_check_base(u->lud_dn, err) != 0)
		return -1;
	if (strchr(to, '?') != NULL)
		return err_set(err, ERR_MALFORMED, "%.100s: only a name "
		    "stands behind the server", to);
	d->server = xstrndup(to, strcspn(strstr(to, "//") + 2, "/") +
	    (size_t)(strstr(to, "//") + 2 - to));
	return 0;
}

static int
check_options(const struct publish_options *o, struct err *err)
{
	if (o->base != NULL)
		return err_set(err, ERR_MALFORMED, "--base is for a file: the "
		    "url has the name");
	if ((o->bind == NULL) != (o->password == NULL))
		return err_set(err, ERR_MALFORMED, "--bind and "
		    "--password-file go together");
	if (o->bind == NULL && strncasecmp(o->to, "ldapi:", 6) != 0)
		return err_set(err, ERR_MALFORMED, "--bind and "
		    "--password-file are required: only ldapi:// tells the "
		    "server who we are");
	return 0;
}

struct publisher *
publish_ldap(const struct publish_options *o, struct err *err)
{
	static const struct publisher_type type = {
		directory_put, directory_flush, directory_free
	};
	struct directory *d;

	if (check_options(o, err) != 0)
		return NULL;
	(void)setenv("LDAPNOINIT", "1", 1);
	d = xcalloc(1, sizeof *d);
	d->pub.type = &type;
	d->options = *o;
	if (check_url(d, err) != 0) {
		directory_free(&d->pub);
		return NULL;
	}
	return &d->pub;
}
