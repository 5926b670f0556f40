/*
 * The CAs whose client certificates a policy believes: what certauth.c
 * verifies against.  And those whose renewals it lets in, for foreign.c.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "policy_int.h"
#include "x509.h"

static X509 *
read_ca(struct slice der, const char *what, struct err *err)
{
	X509	*x = der.n <= TRUST_MAX ? x509_read(der) : NULL;

	if (x != NULL && X509_check_ca(x) == 1)
		return x;
	X509_free(x);
	ERR_clear_error();
	err_bad(err, 0, "%s: is no ca certificate", what);
	return NULL;
}

/* The anchors are the named CAs alone: what a root signed besides is not. */
static int
add_anchor(struct policy *p, X509 *x, const char *what, struct err *err)
{
	if (p->trust == NULL)
		p->trust = X509_STORE_new();
	if (p->trust == NULL || X509_STORE_add_cert(p->trust, x) != 1)
		return err_openssl(err, "%s", what);
	return 0;
}

int
policy_trust(struct policy *p, struct slice der, const char *what,
    struct err *err)
{
	X509	*x = read_ca(der, what, err);
	int	 rc = x != NULL ? add_anchor(p, x, what, err) : -1;

	X509_free(x);
	return rc;
}

int
policy_trust_other(struct policy *p, struct trusted_ca *t, struct err *err)
{
	static const char	 what[] = "certificate";
	X509			*x = read_ca(buf_slice(&t->cert), what, err);
	int			 rc = x != NULL ? 0 : -1;

	if (rc == 0 && t->map != 0)
		rc = add_anchor(p, x, what, err);
	if (rc == 0 && t->renewals && (t->pub = X509_get_pubkey(x)) == NULL)
		rc = err_bad(err, 0, "%s: has a key of no kind that is known",
		    what);
	X509_free(x);
	ERR_clear_error();
	return rc;
}
