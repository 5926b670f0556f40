/*
 * The CAs whose client certificates a policy believes: what certauth.c
 * verifies against.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "policy_int.h"
#include "x509.h"

/* The anchors are the named CAs alone: what a root signed besides is not. */
int
policy_trust(struct policy *p, struct slice der, const char *what,
    struct err *err)
{
	X509 *x = der.n <= TRUST_MAX ? x509_read(der) : NULL;
	int rc = -1;

	if (x == NULL || X509_check_ca(x) != 1) {
		err_bad(err, 0, "%s: is no ca certificate", what);
		ERR_clear_error();
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
