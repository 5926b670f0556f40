/*
 * Log-on by Kerberos: a token to what its ticket says, by libgssapi.  serve.c
 * calls it where the location says "kerberos"; whose account that is, ticket.c
 * finds.
 */
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "base64.h"
#include "binding.h"
#include "conf.h"
#include "file.h"
#include "kerberos.h"
#include "keytab.h"

#define DISPLAY_MAX	1024	/* of a principal's name */
#define NTLM		"NTLMSSP"	/* with its NUL; [MS-NLMP] 2.2.1 */
#define SPNEGO		"\x2b\x06\x01\x05\x05\x02"	/* its OID; [RFC4178] */

/*
 * Each expected certificate is tried in turn, and each attempt but the first
 * would look like a replay: so each has a replay cache of its own.  The first
 * one's sees every token, and that refuses what comes again.
 */
struct kerberos {
	const struct wconf_kerberos *conf;
	pthread_mutex_t	 lock;		/* of keytab */
	struct stat	 keytab;	/* when it was last found good */
	struct strlist	 of_keytab;	/* realms */
	struct ticket_rules rules;
	struct binding	*binding;	/* NULL: nobody asks for it */
	gss_cred_id_t	 cred[BINDING_MAX];
	size_t		 ncreds;
};

/*
 * GSS-API's words for what went wrong; the mechanism's own where it has some.
 * There is no hook that ends the process when it has no memory: what it had no
 * room for is wrong to it, as a ticket, or absent, as a PAC.
 */
static int
failed(OM_uint32 major, OM_uint32 minor, enum err_kind kind, const char *what,
    struct err *err)
{
	gss_buffer_desc	text = GSS_C_EMPTY_BUFFER;
	OM_uint32	ignored, more = 0;
	bool		own = minor != 0 && GSS_ERROR(major) == GSS_S_FAILURE;

	if (errno == ENOMEM)
		kind = ERR_UNAVAILABLE;
	if (gss_display_status(&ignored, own ? minor : major, own ?
	    GSS_C_MECH_CODE : GSS_C_GSS_CODE, (gss_OID)gss_mech_krb5, &more,
	    &text) != GSS_S_COMPLETE)
		return err_set(err, kind, "%s: error %x, %x", what, major,
		    minor);
	err_set(err, kind, "%s: %.*s", what, (int)text.length,
	    (const char *)text.value);
	gss_release_buffer(&ignored, &text);
	return -1;
}

/* For tickets of any service whose key the keytab has. */
static int
acquire(const struct wconf_kerberos *conf, size_t n, gss_cred_id_t *cred,
    struct err *err)
{
	gss_OID_desc			 both[] = { *gss_mech_krb5,
	    { sizeof(SPNEGO) - 1, SPNEGO } };
	gss_OID_set_desc		 mechs = { 2, both }, krb5 = { 1, both };
	char				 cache[4096];
	gss_key_value_element_desc	 from[] = {
		{ "keytab", conf->keytab }, { "rcache", cache }
	};
	const gss_key_value_set_desc	 store = { 2, from };
	OM_uint32			 major, minor;

	snprintf(cache, sizeof(cache), "file2:%s/kerberos-%zu.replay",
	    conf->replay_cache, n);
	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE,
	    &mechs, GSS_C_ACCEPT, &store, cred, NULL, NULL);
	/* What SPNEGO may choose: never NTLM, whatever is installed here. */
	if (major == GSS_S_COMPLETE)
		major = gss_set_neg_mechs(&minor, *cred, &krb5);
	return major == GSS_S_COMPLETE ? 0 :
	    failed(major, minor, ERR_INTERNAL, "kerberos", err);
}

/* The library looks for it with the first log-on, and would refuse all. */
static int
check_folder(const char *path, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, ERR_INTERNAL, "kerberos: replay-cache "
		    "%.200s: not an absolute path", path);
	if (access(path, W_OK | X_OK) == -1)
		return err_set(err, ERR_INTERNAL, "kerberos: replay-cache "
		    "%.200s: %s", path, strerror(errno));
	return 0;
}

/*
 * The library reads it with each token, and makes no difference between keys:
 * what nobody starts with must not come later either.  The realms are those of
 * the start.
 */
static int
look_at_keytab(struct kerberos *k, struct err *err)
{
	struct strlist	ignored = { NULL, 0 };
	struct stat	st = { .st_ino = 0 };
	struct err	why = ERR_INIT;
	bool		first = k->ncreds == 0;
	int		rc = 0;

	(void)pthread_mutex_lock(&k->lock);
	/* What fails, keytab_check tells. */
	if (stat(k->conf->keytab, &st) == -1 || !file_same(&st, &k->keytab))
		rc = keytab_check(k->conf->keytab, first ? &k->of_keytab :
		    &ignored, &why);
	if (rc == 0)
		k->keytab = st;
	(void)pthread_mutex_unlock(&k->lock);
	strlist_free(&ignored);
	return rc == 0 ? 0 : err_set(err, first ? why.kind : ERR_UNAVAILABLE,
	    "%s", why.text);
}

static int
set_up(struct kerberos *k, struct err *err)
{
	size_t	i, n = 1;

	if (check_folder(k->conf->replay_cache, err) == -1 ||
	    look_at_keytab(k, err) == -1)
		return -1;
	k->rules = (struct ticket_rules){ .need_sid = k->conf->need_sid,
	    .realms = k->conf->realms.n > 0 ? &k->conf->realms :
	    &k->of_keytab };
	if (k->conf->binding != BINDING_OFF) {
		k->binding = binding_new(&k->conf->certificates, err);
		if (k->binding == NULL)
			return -1;
		n = 2 * k->conf->certificates.n;
	}
	for (i = 0; i < n; i++) {
		if (acquire(k->conf, i, &k->cred[i], err) == -1)
			return -1;
		k->ncreds++;
	}
	return 0;
}

struct kerberos *
kerberos_new(const struct wconf_kerberos *conf, struct err *err)
{
	struct kerberos	*k = xcalloc(1, sizeof(*k));

	k->conf = conf;
	(void)pthread_mutex_init(&k->lock, NULL);
	if (set_up(k, err) == 0)
		return k;
	kerberos_free(k);
	return NULL;
}

void
kerberos_free(struct kerberos *k)
{
	OM_uint32	ignored;

	if (k == NULL)
		return;
	while (k->ncreds > 0)
		gss_release_cred(&ignored, &k->cred[--k->ncreds]);
	binding_free(k->binding);
	strlist_free(&k->of_keytab);
	(void)pthread_mutex_destroy(&k->lock);
	free(k);
}

/* [RFC4559] 4.2: "Negotiate" and the token in base64, in one piece. */
static int
read_token(const char *authorization, struct buf *token, struct err *err)
{
	static const char	scheme[] = "Negotiate ";
	const char		*text = authorization + sizeof(scheme) - 1;
	struct err		why = ERR_INIT;

	if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return err_set(err, ERR_UNAUTHENTICATED,
		    "Authorization is not Negotiate");
	text += strspn(text, " ");
	if (strpbrk(text, " \t") != NULL)
		return err_set(err, ERR_UNAUTHENTICATED,
		    "Negotiate: more than one token");
	if (base64_decode(text, strlen(text), KERBEROS_TOKEN_MAX, token,
	    &why) == -1)
		return err_set(err, ERR_UNAUTHENTICATED, "Negotiate: %s",
		    why.text);
	/* Alone, or in SPNEGO. */
	if (memmem(token->p, token->n, NTLM, sizeof(NTLM)) != NULL)
		return err_set(err, ERR_UNAUTHENTICATED, "NTLM, which is never "
		    "taken: the client got no ticket for HTTP/ and this host "
		    "(is that name registered with the KDC?)");
	return 0;
}

struct accepted {
	gss_ctx_id_t	ctx;
	gss_name_t	source;
	gss_OID		mech;
	OM_uint32	flags;
	gss_buffer_desc	proof;
};

static void
accepted_free(struct accepted *a)
{
	OM_uint32	ignored;

	gss_release_buffer(&ignored, &a->proof);
	gss_release_name(&ignored, &a->source);
	gss_delete_sec_context(&ignored, &a->ctx, GSS_C_NO_BUFFER);
	*a = (struct accepted){ .ctx = GSS_C_NO_CONTEXT };
}

static OM_uint32
accept_one(struct kerberos *k, size_t i, const struct buf *token,
    const struct binding_value *value, struct accepted *a, OM_uint32 *minor)
{
	gss_buffer_desc				in = { token->n, token->p };
	struct gss_channel_bindings_struct	channel = {
		.application_data = { value->n, (void *)value->data }
	};

	return gss_accept_sec_context(minor, &a->ctx, k->cred[i], &in,
	    k->binding != NULL ? &channel : GSS_C_NO_CHANNEL_BINDINGS,
	    &a->source, &a->mech, &a->proof, &a->flags, NULL, NULL);
}

/*
 * Is it our own trouble?  To be told then that he is not authenticated would
 * make a client ask for a password, or give up.  GSS-API gives the numbers of
 * errno others, differently in SPNEGO; their words it leaves.
 */
static bool
is_ours(const char *why)
{
	static const int	codes[] = { EACCES, EISDIR, ENOTDIR, ENOENT,
	    ENOSPC, EDQUOT, EROFS, EIO, EMFILE, ENFILE, ENOMEM };
	const char		*words;
	size_t			 i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		words = strerrordesc_np(codes[i]);
		if (strncmp(why, words, strlen(words)) == 0)
			return true;
	}
	return false;
}

static int
accept_token(struct kerberos *k, const struct buf *token, struct accepted *a,
    struct err *err)
{
	struct binding_value	value[BINDING_MAX] = { { .n = 0 } };
	OM_uint32		major, minor = 0;
	size_t			i = 0, n;

	n = k->binding != NULL ? binding_values(k->binding, value) : 1;
	major = accept_one(k, 0, token, &value[0], a, &minor);
	while (GSS_ROUTINE_ERROR(major) == GSS_S_BAD_BINDINGS && ++i < n) {
		accepted_free(a);
		major = accept_one(k, i, token, &value[i], a, &minor);
	}
	if (major == GSS_S_CONTINUE_NEEDED)
		return err_set(err, ERR_UNAUTHENTICATED, "Negotiate: the "
		    "client's first choice is not Kerberos");
	if (major == GSS_S_COMPLETE)
		return 0;
	failed(major, minor, ERR_UNAUTHENTICATED, "Kerberos", err);
	if (is_ours(err->text + strlen("Kerberos: ")))
		err->kind = ERR_UNAVAILABLE;
	return -1;
}

/* Of SPNEGO, too, it is the mechanism that was chosen. */
static bool
is_kerberos(gss_OID mech)
{
	return gss_oid_equal(mech, gss_mech_krb5) ||
	    gss_oid_equal(mech, gss_mech_krb5_old) ||
	    gss_oid_equal(mech, gss_mech_krb5_wrong);
}

static int
display(gss_name_t name, char **out, struct err *err)
{
	gss_buffer_desc	text = GSS_C_EMPTY_BUFFER;
	OM_uint32	major, minor;

	major = gss_display_name(&minor, name, &text, NULL);
	if (major != GSS_S_COMPLETE)
		return failed(major, minor, ERR_UNAUTHENTICATED, "Kerberos: "
		    "the principal's name", err);
	if (text.length == 0 || text.length > DISPLAY_MAX)
		err_set(err, ERR_UNAUTHENTICATED, "Kerberos: a principal's "
		    "name of %zu bytes", text.length);
	else if (memchr(text.value, '\0', text.length) != NULL)
		err_set(err, ERR_UNAUTHENTICATED, "Kerberos: a principal's "
		    "name with a NUL");
	else
		*out = xstrndup(text.value, text.length);
	gss_release_buffer(&minor, &text);
	return *out != NULL ? 0 : -1;
}

/* The ticket was for HTTP/..., even if the keytab has other keys by now. */
static int
check_service(const struct accepted *a, struct err *err)
{
	gss_name_t	target = GSS_C_NO_NAME;
	char		*name = NULL;
	OM_uint32	major, minor;
	int		rc = 0;

	major = gss_inquire_context(&minor, a->ctx, NULL, &target, NULL, NULL,
	    NULL, NULL, NULL);
	if (major != GSS_S_COMPLETE)
		return failed(major, minor, ERR_UNAUTHENTICATED, "Kerberos",
		    err);
	if (display(target, &name, err) == -1)
		rc = -1;
	else if (!keytab_is_http(name))
		rc = err_set(err, ERR_UNAUTHENTICATED, "Kerberos: a ticket "
		    "for %.100s, not for HTTP/", name);
	free(name);
	gss_release_name(&minor, &target);
	return rc;
}

static int
check(const struct kerberos *k, const struct accepted *a, struct err *err)
{
	if (!is_kerberos(a->mech))
		return err_set(err, ERR_UNAUTHENTICATED,
		    "Negotiate: not by Kerberos");
	if (k->conf->binding == BINDING_REQUIRE &&
	    (a->flags & GSS_C_CHANNEL_BOUND_FLAG) == 0)
		return err_set(err, ERR_UNAUTHENTICATED, "Kerberos: no channel "
		    "binding, and channel-binding is require");
	return check_service(a, err);
}

/* -1: the name has none that is authentic; else to be released. */
static int
attribute(gss_name_t name, const char *which, gss_buffer_t value)
{
	gss_buffer_desc	attr = { strlen(which), (void *)which };
	gss_buffer_desc	shown = GSS_C_EMPTY_BUFFER;
	OM_uint32	major, minor;
	int		authentic = 0, complete, more = -1;

	major = gss_get_name_attribute(&minor, name, &attr, &authentic,
	    &complete, value, &shown, &more);
	gss_release_buffer(&minor, &shown);
	if (major == GSS_S_COMPLETE && authentic != 0)
		return 0;
	gss_release_buffer(&minor, value);
	return -1;
}

/*
 * The library names a PAC whose signature is not by our key, or that is about
 * somebody else, but does not show it: as if there were no SID to compare.
 */
static bool
hides_pac(gss_name_t name)
{
	static const char	prefix[] = "urn:mspac:";
	gss_buffer_desc		value = GSS_C_EMPTY_BUFFER;
	gss_buffer_set_t	attrs = GSS_C_NO_BUFFER_SET;
	OM_uint32		minor;
	size_t			i, n = sizeof(prefix) - 1;
	bool			named = false;

	(void)gss_inquire_name(&minor, name, NULL, NULL, &attrs);
	for (i = 0; attrs != GSS_C_NO_BUFFER_SET && i < attrs->count; i++)
		if (attrs->elements[i].length >= n &&
		    memcmp(attrs->elements[i].value, prefix, n) == 0)
			named = true;
	gss_release_buffer_set(&minor, &attrs);
	if (!named)
		return false;
	if (attribute(name, prefix, &value) == -1)
		return true;
	gss_release_buffer(&minor, &value);
	return false;
}

/* A KDC other than Active Directory's and Samba's has none. */
static int
read_pac(gss_name_t source, struct ticket *ticket, struct err *err)
{
	gss_buffer_desc	value = GSS_C_EMPTY_BUFFER;
	OM_uint32	minor;
	int		rc = 0;

	if (hides_pac(source))
		return err_set(err, ERR_UNAUTHENTICATED, "Kerberos: the "
		    "ticket's PAC is not authentic");
	if (attribute(source, "urn:mspac:upn-dns-info", &value) == 0)
		rc = pac_read(slice_of(value.value, value.length),
		    &ticket->pac);
	gss_release_buffer(&minor, &value);
	ticket->delegated = attribute(source, "urn:mspac:delegation-info",
	    &value) == 0;
	gss_release_buffer(&minor, &value);
	return rc != -1 ? 0 : err_set(err, ERR_UNAUTHENTICATED,
	    "Kerberos: the ticket's PAC is malformed");
}

int
kerberos_accept(struct kerberos *k, const char *authorization,
    struct ticket *ticket, struct buf *proof, struct err *err)
{
	struct accepted	a = { .ctx = GSS_C_NO_CONTEXT };
	struct buf	token = { 0 };
	int		rc = -1;

	errno = 0;
	if (read_token(authorization, &token, err) == 0 &&
	    look_at_keytab(k, err) == 0 &&
	    accept_token(k, &token, &a, err) == 0 &&
	    check(k, &a, err) == 0 &&
	    display(a.source, &ticket->principal, err) == 0)
		rc = read_pac(a.source, ticket, err);
	if (errno == ENOMEM) {
		memset(err, 0, sizeof(*err));
		rc = err_set(err, ERR_UNAVAILABLE, "Kerberos: out of memory");
	}
	if (rc == 0)
		base64_encode(a.proof.value, a.proof.length, proof);
	accepted_free(&a);
	buf_wipe(&token);
	return rc;
}

const struct ticket_rules *
kerberos_rules(const struct kerberos *k)
{
	return &k->rules;
}
