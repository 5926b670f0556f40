/*
 * The CAs whose client certificates a policy believes: what certauth.c
 * verifies against.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "policy_int.h"

X509 *
policy_read_x509(struct slice der)
{
	const unsigned char	*p = der.p;
	X509			*x = d2i_X509(NULL, &p, (long)der.n);

	if (x != NULL && p == der.p + der.n)
		return x;
	X509_free(x);
	ERR_clear_error();
	return NULL;
}

/* The anchors are the named CAs alone: what a root signed besides is not. */
int
policy_trust(struct policy *p, struct slice der, const char *what,
    struct err *err)
{
	X509 *x = der.n <= TRUST_MAX ? policy_read_x509(der) : NULL;
	int rc = -1;

	if (x == NULL || X509_check_ca(x) != 1) {
		err_bad(err, 0, "%s: is no ca certificate", what);
		goto out;
	}
	if (p->trust == NULL)
		p->trust = X509_STORE_new();
	if (p->trust == NULL || X509_STORE_add_cert(p->trust, x) != 1)
		err_openssl(err, "%s", what);
	else
		rc = 0;
out:
	X509_free(x);
	return rc;
}
