/*
 * Certificates of before their CA came here, and of CAs whose renewals the
 * policy lets in: telling them from those of strangers, and from ours whose row
 * is lost.  Judged by renewal.c.
 */
#include <string.h>

#include <openssl/err.h>

#include "der.h"
#include "digest.h"
#include "foreign.h"
#include "hresult.h"
#include "oid.h"
#include "serial.h"
#include "x509.h"

static struct slice
serial_of(const X509 *x)
{
	const ASN1_INTEGER	*n = X509_get0_serialNumber(x);

	return slice_of(ASN1_STRING_get0_data(n),
	    (size_t)ASN1_STRING_length(n));
}

static bool
has_begun(const X509 *x, int64_t *from)
{
	return x509_unix(X509_get0_notBefore(x), from) == 0;
}

bool
foreign_looks(struct slice cert)
{
	X509	*x = x509_read(cert);
	int64_t	 from;
	bool	 is;

	is = x == NULL || !has_begun(x, &from) ||
	    !issued_drawn(serial_of(x), from);
	X509_free(x);
	ERR_clear_error();
	return is;
}

/*
 * The key that has signed it, of those that came here with a list ([security]
 * W8: of all others each certificate has a row); or NULL.  Of whichever CA: its
 * template may have moved since.
 */
static const struct policy_key *
moved_key(const struct policy *p, const struct issued_set *certs, X509 *x)
{
	const struct policy_key	*k, *found = NULL;
	const struct policy_ca	*ca;

	for (ca = p->cas; ca < p->cas + p->ncas; ca++)
		for (k = ca->keys; k < ca->keys + ca->nkeys; k++)
			if (found == NULL && k->pub != NULL &&
			    issued_came(certs, k->name) != 0 &&
			    X509_verify(x, k->pub) == 1)
				found = k;
	ERR_clear_error();
	return found;
}

/* By another certificate for it, the policy would let ours in as a stranger's. */
static bool
is_our_key(const struct policy *p, const EVP_PKEY *key)
{
	const struct policy_ca	*ca;
	size_t			 i;

	for (ca = p->cas; ca < p->cas + p->ncas; ca++)
		for (i = 0; i < ca->nkeys; i++)
			if (ca->keys[i].pub != NULL &&
			    EVP_PKEY_eq(ca->keys[i].pub, key) == 1)
				return true;
	return false;
}

static bool
is_trusted(const struct policy *p, X509 *x)
{
	const struct trusted_ca	*t;
	bool			 is = false;

	for (t = p->trusted; t < p->trusted + p->ntrusted && !is; t++)
		is = t->pub != NULL && !is_our_key(p, t->pub) &&
		    X509_verify(x, t->pub) == 1;
	ERR_clear_error();
	return is;
}

/* Where the policy lets in no renewals no stranger's bytes are parsed. */
static bool
are_taken(const struct decide_ask *in)
{
	const struct policy	*p = in->policy;
	const struct policy_ca	*ca;
	size_t			 i;

	for (ca = p->cas; ca < p->cas + p->ncas; ca++)
		for (i = 0; i < ca->nkeys; i++)
			if (issued_came(in->certs, ca->keys[i].name) != 0)
				return true;
	for (i = 0; i < p->ntrusted; i++)
		if (p->trusted[i].pub != NULL)
			return true;
	return false;
}

static bool
get_extension(const X509 *x, struct slice oid, struct slice *value)
{
	const ASN1_OCTET_STRING	*s;
	const ASN1_OBJECT	*o;
	X509_EXTENSION		*e;
	int			 i;

	for (i = 0; i < X509_get_ext_count(x); i++) {
		e = X509_get_ext(x, i);
		o = X509_EXTENSION_get_object(e);
		s = X509_EXTENSION_get_data(e);
		*value = slice_of(ASN1_STRING_get0_data(s),
		    (size_t)ASN1_STRING_length(s));
		if (slice_eq(slice_of(OBJ_get0_data(o), OBJ_length(o)), oid))
			return true;
	}
	return false;
}

/* [MS-WCCE] 2.2.2.7.7.2; versions behind it count for nothing here. */
static char *
by_oid(const struct policy *p, struct slice value, struct err *err)
{
	const struct template	*t;
	struct der		 d;
	struct slice		 oid;
	char			 text[256];

	if (der_only(value, DER_SEQ, &d, "template", err) == -1 ||
	    der_get(&d, DER_OID, &oid, "template", err) == -1 ||
	    oid_text(oid, text, sizeof(text)) == -1)
		return NULL;
	t = policy_template_by_oid(p, text);
	return xstrdup(t != NULL ? t->cn : text);
}

/* [MS-WCCE] 2.2.2.7.7.1, as AD CS writes it: a string alone. */
static char *
by_name(struct slice value, struct err *err)
{
	struct der	d;
	struct slice	content;
	int		tag;

	der_init(&d, value);
	if (der_any(&d, &tag, NULL, &content, "template", err) == -1 ||
	    der_end(&d, "template", err) == -1)
		return NULL;
	return name_string(tag, content, "template", err);
}

static char *
template_of(const struct policy *p, const X509 *x)
{
	struct err	ignored = ERR_INIT;
	struct slice	value;

	if (get_extension(x, OID_TEMPLATE_OID, &value))
		return by_oid(p, value, &ignored);
	if (get_extension(x, OID_TEMPLATE_NAME, &value))
		return by_name(value, &ignored);
	return NULL;
}

static int
read_parts(X509 *x, const char *number, struct issued *c, struct err *err)
{
	struct slice	serial = serial_of(x);
	struct buf	spki = { 0 };

	if (!has_begun(x, &c->not_before) ||
	    x509_unix(X509_get0_notAfter(x), &c->not_after) == -1 ||
	    x509_spki(x, &spki) == -1) {
		ERR_clear_error();
		return err_deny(err, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
		    "renewal: certificate %s has no validity or no key",
		    number);
	}
	digest_sha256(buf_slice(&spki), c->spki);
	buf_free(&spki);
	buf_add(&c->serial, serial.p, serial.n);
	return 0;
}

static int
check_moved(const struct decide_ask *in, const struct policy_key *key,
    const struct issued *c, const char *number, struct err *err)
{
	if (c->not_before > issued_came(in->certs, key->name))
		return err_deny(err, CERT_E_UNTRUSTEDROOT, "renewal: "
		    "certificate %s was issued elsewhere since ca %.60s came "
		    "here: somebody has its key", number, key->name);
	if (issued_is_revoked(in->certs, key->name, buf_slice(&c->serial)))
		return err_deny(err, CRYPT_E_REVOKED,
		    "renewal: certificate %s is revoked", number);
	return 0;
}

/* key: of a CA that came here; NULL: another CA's. */
static int
read_cert(const struct decide_ask *in, const struct policy_key *key, X509 *x,
    const char *number, struct issued *c, struct err *err)
{
	if (read_parts(x, number, c, err) == -1)
		return -1;
	if (issued_drawn(buf_slice(&c->serial), c->not_before))
		return err_deny(err, CERT_E_UNTRUSTEDROOT, "renewal: "
		    "certificate %s was issued by a signer, but no record of "
		    "it is here", number);
	if (key != NULL && check_moved(in, key, c, number, err) == -1)
		return -1;
	c->template = template_of(in->policy, x);
	return c->template != NULL ? 0 : err_deny(err,
	    CERTSRV_E_TEMPLATE_CONFLICT, "renewal: certificate %s names no "
	    "template: ask for a new one without it", number);
}

int
foreign_read(const struct decide_ask *in, const char *number,
    struct issued *out, struct err *err)
{
	const struct policy_key	*key;
	struct issued		 c = { .renewals = 0 };
	X509			*x;
	int			 rc = 0;

	if (!are_taken(in))
		return 0;
	x = x509_read(in->request->old_cert);
	ERR_clear_error();
	if (x != NULL && ((key = moved_key(in->policy, in->certs, x)) != NULL ||
	    is_trusted(in->policy, x)))
		rc = read_cert(in, key, x, number, &c, err) == 0 ? 1 : -1;
	X509_free(x);
	if (rc == 1)
		*out = c;
	else
		issued_clear(&c);
	return rc;
}
