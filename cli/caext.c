/* Extensions of CA certificates: for camake.c, which signs them. */
#include "caext.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "name.h"
#include "policy.h"

/* In small letters: verifiers are not agreed on how constraints compare. */
#define HOST_CHARS	"abcdefghijklmnopqrstuvwxyz0123456789.-"
#define OID_OCSP_SIGNING "1.3.6.1.5.5.7.3.9"

static int
add_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

/* The URL becomes part of OpenSSL's extension syntax: "," and ";" end it. */
static int
add_url(X509 *x, int nid, const char *form, const char *url, struct err *err)
{
	struct buf value = { 0 };
	X509V3_CTX ctx;
	int ok;

	if (url == NULL)
		return 0;
	if (strncmp(url, "http://", 7) != 0 || url[7] == '\0' ||
	    strpbrk(url, ",; \"\\\n") != NULL)
		return err_set(err, ERR_MALFORMED, "an address in a ca "
		    "certificate is an http:// URL without , and ;: %.80s",
		    url);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, x, NULL, NULL, 0);
	buf_printf(&value, "%s%s", form, url);
	ok = add_ext(x, &ctx, nid, buf_str(&value));
	buf_free(&value);
	return ok ? 0 : err_openssl(err, "ca address %.80s", url);
}

/* "10.0.0.0/8" to OpenSSL's "10.0.0.0/255.0.0.0". */
static int
put_network(struct buf *out, const char *text, struct err *err)
{
	uint8_t addr[16], mask[16] = { 0 };
	char part[64], shown[64];
	const char *slash = strchr(text, '/');
	int af = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	int64_t bits = 0, i, n = af == AF_INET6 ? 16 : 4;
	struct err ignored = ERR_INIT;

	if (slash == NULL || (size_t)(slash - text) >= sizeof part)
		return err_set(err, ERR_MALFORMED,
		    "ip:%.60s is not ADDRESS/BITS", text);
	snprintf(part, sizeof part, "%.*s", (int)(slash - text), text);
	if (inet_pton(af, part, addr) != 1 ||
	    number_parse(slash + 1, 0, 8 * n, &bits, &ignored) != 0)
		return err_set(err, ERR_MALFORMED,
		    "ip:%.60s is not ADDRESS/BITS", text);
	for (i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	for (i = 0; i < n; i++)
		if ((addr[i] & ~mask[i]) != 0)
			return err_set(err, ERR_MALFORMED, "ip:%.60s has bits "
			    "behind its %d", text, (int)bits);
	inet_ntop(af, mask, shown, sizeof shown);
	buf_printf(out, "IP:%s/%s", part, shown);
	return 0;
}

static bool
is_host(const char *s)
{
	return *s != '\0' && strlen(s) < 254 &&
	    strspn(s, HOST_CHARS) == strlen(s) && strstr(s, "..") == NULL;
}

/* [RFC5280] 4.2.1.10: one mailbox, all of a host, or ".host" for below it. */
static bool
is_mail(const char *s)
{
	const char *at = strchr(s, '@');

	return at == NULL ? is_host(s[0] == '.' ? s + 1 : s) :
	    name_is_email(s) && strpbrk(s, ",;\"\\") == NULL;
}

/* One GeneralSubtree in OpenSSL's syntax ([RFC5280] 4.2.1.10). */
static int
put_subtree(struct buf *out, const char *list, const char *text,
    struct err *err)
{
	const char *value = strchr(text, ':');

	value = value == NULL ? "" : value + 1;
	buf_printf(out, ",%s;", list);
	if (strncmp(text, "ip:", 3) == 0)
		return put_network(out, value, err);
	if (strncmp(text, "dns:", 4) == 0 && is_host(value) &&
	    value[0] != '.')
		buf_printf(out, "DNS:%s", value);
	else if (strncmp(text, "email:", 6) == 0 && is_mail(value))
		buf_printf(out, "email:%s", value);
	else if (strncmp(text, "uri:", 4) == 0 &&
	    is_host(value[0] == '.' ? value + 1 : value))
		buf_printf(out, "URI:%s", value);
	else
		return err_set(err, ERR_MALFORMED, "name constraint %.80s: is "
		    "none of dns:HOST, email:HOST, email:ADDRESS, uri:HOST, "
		    "ip:ADDRESS/BITS, in small letters", text);
	return 0;
}

static int
add_constraints(X509 *x, const struct ca_plan *plan, struct err *err)
{
	struct buf value = { 0 };
	X509V3_CTX ctx;
	size_t i;
	int rc = 0;

	if (plan->permit.n + plan->exclude.n == 0)
		return 0;
	buf_puts(&value, "critical");
	for (i = 0; rc == 0 && i < plan->permit.n; i++)
		rc = put_subtree(&value, "permitted", plan->permit.v[i], err);
	for (i = 0; rc == 0 && i < plan->exclude.n; i++)
		rc = put_subtree(&value, "excluded", plan->exclude.v[i], err);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, x, NULL, NULL, 0);
	if (rc == 0 && !add_ext(x, &ctx, NID_name_constraints,
	    buf_str(&value)))
		rc = err_openssl(err, "name constraints");
	buf_free(&value);
	return rc;
}

/*
 * Its OCSP responder stands below it, and Windows takes a CA's purposes as a
 * limit for all below: hence OCSP signing.
 */
static int
add_eku(X509 *x, const struct ca_plan *plan, struct err *err)
{
	struct buf value = { 0 };
	const char *oid;
	X509V3_CTX ctx;
	size_t i;
	int rc = 0;

	if (plan->eku.n == 0)
		return 0;
	buf_puts(&value, OID_OCSP_SIGNING);
	for (i = 0; rc == 0 && i < plan->eku.n; i++) {
		oid = policy_eku(plan->eku.v[i]);
		if (oid == NULL || strcmp(oid, "2.5.29.37.0") == 0)
			rc = err_set(err, ERR_MALFORMED, "--eku %.60s: is no "
			    "purpose of countersign-policy.conf(5) and no "
			    "OID, or is any", plan->eku.v[i]);
		else if (strcmp(oid, OID_OCSP_SIGNING) != 0)
			buf_printf(&value, ",%s", oid);
	}
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, x, NULL, NULL, 0);
	if (rc == 0 && !add_ext(x, &ctx, NID_ext_key_usage, buf_str(&value)))
		rc = err_openssl(err, "ca purposes");
	buf_free(&value);
	return rc;
}

int
ca_ext_words(X509 *x, const struct ca_plan *plan, struct err *err)
{
	if (add_eku(x, plan, err) != 0 || add_constraints(x, plan, err) != 0)
		return -1;
	if (add_url(x, NID_crl_distribution_points, "URI:", plan->cdp,
	    err) != 0)
		return -1;
	return add_url(x, NID_info_access, "caIssuers;URI:", plan->aia, err);
}

/* The issuer's key identifier is asked of its certificate: NULL is itself. */
int
ca_ext_add(X509 *x, const struct ca_plan *plan, struct err *err)
{
	char bc[48] = "critical,CA:TRUE";
	const char *ku = plan->pathlen == 0 ?
	    "critical,digitalSignature,keyCertSign,cRLSign" :
	    "critical,keyCertSign,cRLSign";
	X509V3_CTX ctx;

	if (plan->pathlen >= 0)
		snprintf(bc, sizeof bc, "critical,CA:TRUE,pathlen:%d",
		    plan->pathlen);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, plan->issuer == NULL ? x : plan->issuer, x, NULL,
	    NULL, 0);
	if (!add_ext(x, &ctx, NID_basic_constraints, bc) ||
	    !add_ext(x, &ctx, NID_key_usage, ku) ||
	    !add_ext(x, &ctx, NID_subject_key_identifier, "hash") ||
	    !add_ext(x, &ctx, NID_authority_key_identifier, "keyid:always"))
		return err_openssl(err, "ca extensions");
	return ca_ext_words(x, plan, err);
}
