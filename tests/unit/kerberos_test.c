/* Which keytabs are taken, and whose account a ticket is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <dlfcn.h>
#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "hresult.h"
#include "kerberos.h"
#include "keytab.h"

#define SID	"S-1-5-21-1-2-3-1104"
#define PC1	"S-1-5-21-1-2-3-1105"
#define CAROL	"S-1-5-21-4-5-6-7"
#define OTHER	"S-1-5-21-1-2-3-2000"

static char	folder[] = "/tmp/kerberos_test.XXXXXX", path[64];

/* A key of this type for this principal, added to the file. */
static void
add_key(const char *principal, krb5_enctype type)
{
	krb5_keytab_entry	e = { .vno = 1 };
	krb5_context		ctx;
	krb5_keytab		kt;
	char			name[80];

	snprintf(name, sizeof(name), "WRFILE:%s", path);
	assert_int_equal(krb5_init_context(&ctx), 0);
	assert_int_equal(krb5_parse_name(ctx, principal, &e.principal), 0);
	e.key.enctype = type;
	e.key.length = type == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ||
	    type == ENCTYPE_AES256_CTS_HMAC_SHA384_192 ? 32 : 16;
	e.key.contents = calloc(1, e.key.length);
	assert_int_equal(krb5_kt_resolve(ctx, name, &kt), 0);
	assert_int_equal(krb5_kt_add_entry(ctx, kt, &e), 0);
	krb5_kt_close(ctx, kt);
	krb5_free_keytab_entry_contents(ctx, &e);
	krb5_free_context(ctx);
	assert_int_equal(chmod(path, 0600), 0);
}

static void
is_refused(const char *why)
{
	struct strlist	realms = { 0 };
	struct err	err = ERR_INIT;

	assert_int_equal(keytab_check(path, &realms, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: not \"%s\"", err.text, why);
	strlist_free(&realms);
	unlink(path);
}

static void
test_keytabs(void **state)
{
	struct strlist	realms = { 0 };
	struct err	err = ERR_INIT;
	(void)state;

	is_refused("No such file");
	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_AES256_CTS_HMAC_SHA1_96);
	add_key("HTTP/a.example@A.EXAMPLE",
	    ENCTYPE_AES128_CTS_HMAC_SHA256_128);
	add_key("http/b.example@B.EXAMPLE",
	    ENCTYPE_AES256_CTS_HMAC_SHA384_192);
	assert_int_equal(keytab_check(path, &realms, &err), 0);
	assert_int_equal(realms.n, 2);
	assert_string_equal(realms.v[0], "A.EXAMPLE");
	assert_string_equal(realms.v[1], "B.EXAMPLE");
	strlist_free(&realms);

	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_ARCFOUR_HMAC);
	is_refused("is rc4-hmac: make one with AES alone");
	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	add_key("host/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	is_refused("has a key of host/a.example@A.EXAMPLE");
	add_key("HTTPS/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	is_refused("has a key of HTTPS/a.example@A.EXAMPLE");
	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	assert_int_equal(chmod(path, 0640), 0);
	is_refused("group");
	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	assert_int_equal(truncate(path, 2), 0);
	is_refused("holds no key");
}

/* Accounts, as the database would have them ------------------------------- */

static struct account	accounts[] = {
	{ .name = "alice@a.example", .cn = "x" },
	{ .name = "bob", .cn = "x", .sid = SID },
	{ .name = "pc1$@a.example", .cn = "x", .machine = true,
	    .dns = "pc1.a.example", .sid = PC1 },
	{ .name = "web", .cn = "x", .machine = true, .dns = "web.a.example" },
	{ .name = "www", .cn = "x", .dns = "www.a.example" },
	{ .name = "pc7.a.example", .cn = "x", .machine = true,
	    .dns = "pc7.a.example", .one_time = "Computer" },
	{ .name = "carol@c.example", .cn = "x", .sid = CAROL },
};
#define ACCOUNTS	(sizeof(accounts) / sizeof(accounts[0]))

static int
get(void *arg, const char *name, const struct account **out, struct err *err)
{
	size_t	i;
	(void)arg;
	(void)err;

	*out = NULL;
	for (i = 0; i < ACCOUNTS; i++)
		if (strcmp(accounts[i].name, name) == 0)
			*out = &accounts[i];
	return 0;
}

static int
get_by(void *arg, enum cert_map map, const char *value, char **name,
    struct err *err)
{
	const char	*v;
	size_t		 i;
	(void)arg;
	(void)err;

	*name = NULL;
	for (i = 0; i < ACCOUNTS; i++) {
		v = map == MAP_SID ? accounts[i].sid : accounts[i].dns;
		if (v != NULL && strcmp(v, value) == 0)
			*name = xstrdup(accounts[i].name);
	}
	return 0;
}

static struct snapshot	*snap;
static struct kerberos	*k;
static struct ticket_rules	 rules;
static struct strlist		 one_realm;
static struct wconf_kerberos	conf;
static bool			 delegated;

/* As a ticket that says this is answered. */
static int
ask(const char *principal, const char *sam, const char *sid,
    const struct account **a, struct err *err)
{
	struct ticket	t = { .principal = xstrdup(principal) };
	int		rc;

	strcpy(t.pac.sam, sam);
	strcpy(t.pac.sid, sid);
	t.delegated = delegated;
	*a = NULL;
	*err = (struct err)ERR_INIT;
	rc = ticket_account(&rules, snap, &t, a, err);
	ticket_free(&t);
	return rc;
}

static void
is(const char *principal, const char *sam, const char *sid,
    const char *account)
{
	const struct account	*a;
	struct err		 err;

	if (ask(principal, sam, sid, &a, &err) != 0)
		fail_msg("%s: %s", principal, err.text);
	assert_string_equal(a->name, account);
	snapshot_account_put(snap, a);
}

static void
is_nobody(const char *principal, const char *sam, const char *sid,
    const char *why)
{
	const struct account	*a;
	struct err		 err;

	assert_int_equal(ask(principal, sam, sid, &a, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(err.hresult, HR_ACCESS_DENIED);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: not \"%s\"", err.text, why);
}

/* By tickets without a PAC, as of MIT's KDC. */
static void
test_accounts(void **state)
{
	(void)state;
	is("alice@A.EXAMPLE", "", "", "alice@a.example");
	is("ALICE@A.EXAMPLE", "", "", "alice@a.example");
	is("host/web.a.example@A.EXAMPLE", "", "", "web");
	is_nobody("bob@A.EXAMPLE", "", "", "no account bob@a.example");
	is_nobody("host/www.a.example@A.EXAMPLE", "", "", "is no machine");
	is_nobody("host/pc2@A.EXAMPLE", "", "", "has this DNS name");
	is_nobody("host/@A.EXAMPLE", "", "", "has this DNS name");
}

static void
test_directory(void **state)
{
	(void)state;
	is("PC1$@A.EXAMPLE", "PC1$", PC1, "pc1$@a.example");
	is("host/pc1.a.example@A.EXAMPLE", "PC1$", PC1, "pc1$@a.example");
	/* Renamed, and one from before there was Kerberos. */
	is("robert@A.EXAMPLE", "robert", SID, "bob");
	is("r.smith@A.EXAMPLE", "robert", SID, "bob");
	/* Nothing is known of its SID. */
	is("Alice@A.EXAMPLE", "alice", OTHER, "alice@a.example");
	is("host/web.a.example@A.EXAMPLE", "WEB$", OTHER, "web");
	is("host/web.a.example@A.EXAMPLE", "host/web.a.example", OTHER, "web");
	is("host/web.a.example@A.EXAMPLE", "host/web.a.example@A.EXAMPLE",
	    OTHER, "web");
	/* The name is of somebody else. */
	is_nobody("alice@A.EXAMPLE", "ALICE$", OTHER, "is of ALICE$: log on");
	is_nobody("alice@A.EXAMPLE", "mallory", OTHER, "is of mallory");
	is_nobody("alice@A.EXAMPLE", "alic", OTHER, "is of alic:");
	is_nobody("host/web.a.example@A.EXAMPLE", "mallory", OTHER,
	    "is of mallory");
	/* "host/web.a.example" is EVIL$'s userPrincipalName. */
	is_nobody("host/web.a.example@A.EXAMPLE", "EVIL$", OTHER,
	    "is of EVIL$: log on");
	is_nobody("host/web.a.example@A.EXAMPLE", "WEB$X$", OTHER, "is of WEB$X$");
	is_nobody("host/web.a.example@A.EXAMPLE", "web", OTHER, "is of web:");
	is_nobody("host/web.a.example@A.EXAMPLE", "HTTP/web.a.example", OTHER,
	    "is of HTTP/");
	is_nobody("host/web.a.example@A.EXAMPLE", "host/evil.a.example", OTHER,
	    "is of host/evil");
	is_nobody("host/web.a.example@A.EXAMPLE", "host/web.a.exampl", OTHER,
	    "is of host/web");
	is_nobody("host/pc1.a.example@A.EXAMPLE", "mallory", OTHER,
	    "is of mallory");
	/* Made anew. */
	is_nobody("PC1$@A.EXAMPLE", "PC1$", OTHER, "its SID is " OTHER);
	is_nobody("host/pc1.a.example@A.EXAMPLE", "PC1$", OTHER, "its SID is");
	/* The same by a ticket that hides it. */
	is_nobody("PC1$@A.EXAMPLE", "", "", "tells no SID");
	is_nobody("host/pc1.a.example@A.EXAMPLE", "", "", "tells no SID");
	/* A computer could be joined under the name that a secret is for. */
	is_nobody("host/pc7.a.example@A.EXAMPLE", "PC7$", OTHER, "one-time");
	is_nobody("host/pc7.a.example@A.EXAMPLE", "", "", "one-time secret");
}

/* The realm of the one cannot say who is who in the other's. */
static void
test_realms(void **state)
{
	(void)state;
	rules.realms = kerberos_rules(k)->realms;
	assert_int_equal(rules.realms->n, 2);
	is("carol@C.EXAMPLE", "carol", CAROL, "carol@c.example");
	is("PC1$@A.EXAMPLE", "PC1$", PC1, "pc1$@a.example");
	is_nobody("mallory@A.EXAMPLE", "mallory", CAROL, "NAME@A.EXAMPLE");
	is_nobody("host/pc1.a.example@C.EXAMPLE", "PC1$", PC1,
	    "pc1$@a.example is not called NAME@C.EXAMPLE");
	/* Whose these are, their names do not say. */
	is_nobody("robert@C.EXAMPLE", "robert", SID, "account bob is not");
	is_nobody("robert@A.EXAMPLE", "robert", SID, "several realms");
	is_nobody("host/web.a.example@C.EXAMPLE", "", "", "account web is");
	rules.realms = &one_realm;
	is_nobody("carol@C.EXAMPLE", "carol", CAROL, "not of a realm");
}

/* One realm, in all letters that somebody has thought of. */
static void
test_one_realm_twice(void **state)
{
	struct strlist twice = { NULL, 0 };

	(void)state;
	strlist_add(&twice, "a.example");
	strlist_add(&twice, "A.EXAMPLE");
	strlist_add(&twice, "A.EXAMPLE");
	rules.realms = &twice;
	is("robert@A.EXAMPLE", "robert", SID, "bob");
	rules.realms = &one_realm;
	strlist_free(&twice);
}

/* What a name is worth where any user may make a computer. */
static void
test_need_sid(void **state)
{
	(void)state;
	rules.need_sid = true;
	is("PC1$@A.EXAMPLE", "PC1$", PC1, "pc1$@a.example");
	is_nobody("alice@A.EXAMPLE", "alice", OTHER, "has no SID");
	is_nobody("alice@A.EXAMPLE", "", "", "has no SID");
	is_nobody("host/web.a.example@A.EXAMPLE", "WEB$", OTHER, "has no SID");
	rules.need_sid = false;
}

/* Of a service that somebody has let log on as everybody. */
static void
test_delegated(void **state)
{
	(void)state;
	delegated = true;
	is_nobody("alice@A.EXAMPLE", "", "", "constrained delegation");
	is_nobody("PC1$@A.EXAMPLE", "PC1$", PC1, "constrained delegation");
	delegated = false;
}

static void
test_nobody(void **state)
{
	(void)state;
	is_nobody("alice@B.EXAMPLE", "", "", "not of a realm");
	is_nobody("alice@a.example", "", "", "not of a realm");
	is_nobody("robert@B.EXAMPLE", "robert", SID, "not of a realm");
	is_nobody("alice", "", "", "no account can have this name");
	is_nobody("alice/admin@A.EXAMPLE", "", "", "can have this name");
	is_nobody("HTTP/a.example@A.EXAMPLE", "", "", "can have this name");
	is_nobody("x\\@B.EXAMPLE@A.EXAMPLE", "", "", "can have this name");
	is_nobody("alice@B\\@A.EXAMPLE", "", "", "can have this name");
	is_nobody("al ice@A.EXAMPLE", "", "", "can have this name");
	is_nobody("@A.EXAMPLE", "", "", "can have this name");
	is_nobody("alice@x@A.EXAMPLE", "", "", "can have this name");
}

static int
set_up(void **state)
{
	const struct snapshot_source	own = { .policy = (void *)accounts,
	    .account = get, .account_by = get_by };
	struct err			err = ERR_INIT;
	(void)state;

	add_key("HTTP/a.example@A.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	add_key("HTTP/a.example@C.EXAMPLE", ENCTYPE_AES128_CTS_HMAC_SHA1_96);
	conf = (struct wconf_kerberos){ .keytab = path,
	    .binding = BINDING_OFF, .replay_cache = folder };
	snap = snapshot_of(&own);
	k = kerberos_new(&conf, &err);
	if (k == NULL)
		fail_msg("%s", err.text);
	rules = *kerberos_rules(k);
	strlist_add(&one_realm, "A.EXAMPLE");
	rules.realms = &one_realm;
	assert_false(rules.need_sid);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	kerberos_free(k);
	snapshot_free(snap);
	strlist_free(&one_realm);
	return unlink(path);
}

/* Without the words of Kerberos: what never comes to the library. */
static void
test_tokens(void **state)
{
	static const char *const	bad[] = { "", "Negotiate", "Basic YQ==",
	    "Negotiate ", "Negotiate YQ", "Negotiate Y=Q=", "NTLM TlRMTVNTUAA=",
	    "Negotiate TlRMTVNTUAABAAAA", "Negotiate YE5UTE1TU1AAAQ==",
	    "Negotiate YWJj", "Bearer YQ==" };
	struct ticket			t = { .principal = NULL };
	struct buf			proof = { 0 };
	struct err			err = ERR_INIT;
	char				*big;
	size_t				i;
	(void)state;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(kerberos_accept(k, bad[i], &t, &proof,
		    &err), -1);
		assert_int_equal(err.kind, ERR_UNAUTHENTICATED);
		assert_null(t.principal);
		assert_int_equal(proof.n, 0);
	}
	big = malloc(70000);
	memset(big, 'Y', 69999);
	big[69999] = '\0';
	memcpy(big, "Negotiate ", 10);
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerberos_accept(k, big, &t, &proof, &err), -1);
	assert_int_equal(err.kind, ERR_UNAUTHENTICATED);
	free(big);
	buf_free(&proof);
}

/* A library without memory, in the call that is named --------------------- */

static const char	*played;	/* NULL: the library's own work */
static char		 source[] = "bob@A.EXAMPLE", target[] = "HTTP/a@A.EXAMPLE";

static OM_uint32
answer(const char *call)
{
	if (strcmp(played, call) != 0)
		return GSS_S_COMPLETE;
	errno = ENOMEM;
	return GSS_S_FAILURE;
}

#define OWN(f)	((__typeof__(&f))dlsym(RTLD_NEXT, #f))

OM_uint32
gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *ctx, gss_cred_id_t cred,
    gss_buffer_t token, gss_channel_bindings_t binding, gss_name_t *name,
    gss_OID *mech, gss_buffer_t out, OM_uint32 *flags, OM_uint32 *seconds,
    gss_cred_id_t *passed_on)
{
	if (played == NULL)
		return OWN(gss_accept_sec_context)(minor, ctx, cred, token,
		    binding, name, mech, out, flags, seconds, passed_on);
	*minor = 0;
	*name = (gss_name_t)source;
	*mech = (gss_OID)gss_mech_krb5;
	return answer("accept");
}

OM_uint32
gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t ctx, gss_name_t *from,
    gss_name_t *to, OM_uint32 *seconds, gss_OID *mech, OM_uint32 *flags,
    int *local, int *is_open)
{
	if (played == NULL)
		return OWN(gss_inquire_context)(minor, ctx, from, to, seconds,
		    mech, flags, local, is_open);
	*to = (gss_name_t)target;
	return answer("context");
}

OM_uint32
gss_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t text,
    gss_OID *type)
{
	if (played == NULL)
		return OWN(gss_display_name)(minor, name, text, type);
	if (strcmp(played, "display") != 0) {
		text->value = strdup((char *)name);
		text->length = strlen((char *)name);
	}
	return answer("display");
}

OM_uint32
gss_inquire_name(OM_uint32 *minor, gss_name_t name, int *is_mn, gss_OID *mech,
    gss_buffer_set_t *attrs)
{
	return played == NULL ? OWN(gss_inquire_name)(minor, name, is_mn, mech,
	    attrs) : answer("attributes");
}

OM_uint32
gss_get_name_attribute(OM_uint32 *minor, gss_name_t name, gss_buffer_t which,
    int *authentic, int *complete, gss_buffer_t value, gss_buffer_t shown,
    int *more)
{
	return played == NULL ? OWN(gss_get_name_attribute)(minor, name, which,
	    authentic, complete, value, shown, more) : answer("attribute");
}

OM_uint32
gss_release_name(OM_uint32 *minor, gss_name_t *name)
{
	if (*name != (gss_name_t)source && *name != (gss_name_t)target)
		return OWN(gss_release_name)(minor, name);
	*name = GSS_C_NO_NAME;
	return GSS_S_COMPLETE;
}

/* Nobody is told that his ticket is bad, nor believed without his PAC. */
static void
test_no_memory(void **state)
{
	static const char *const calls[] = { "accept", "context", "display",
	    "attributes", "attribute", "" };
	struct ticket	t = { .principal = NULL };
	struct buf	proof = { 0 };
	struct err	err;
	size_t		i;
	int		rc;
	(void)state;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		memset(&err, 0, sizeof(err));
		played = calls[i];
		rc = kerberos_accept(k, "Negotiate YQ==", &t, &proof, &err);
		played = NULL;
		assert_int_equal(rc, *calls[i] == '\0' ? 0 : -1);
		assert_int_equal(err.kind, *calls[i] == '\0' ? ERR_NONE :
		    ERR_UNAVAILABLE);
		ticket_free(&t);
	}
	buf_free(&proof);
}

int
main(void)
{
	const struct CMUnitTest	keytabs[] = {
		cmocka_unit_test(test_keytabs),
	};
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_realms),
		cmocka_unit_test(test_one_realm_twice),
		cmocka_unit_test(test_need_sid),
		cmocka_unit_test(test_delegated),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_no_memory),
	};
	int			rc;

	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/keytab", folder);
	rc = cmocka_run_group_tests(keytabs, NULL, NULL) +
	    cmocka_run_group_tests(tests, set_up, tear_down);
	rmdir(folder);
	return rc;
}
