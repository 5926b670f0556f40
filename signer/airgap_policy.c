/*
 * The vault's policy, and the keys of its CAs: what snapshot.c is to other
 * signers.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "airgap_item.h"
#include "policyfile.h"

static int
attach_also(struct vault *v, const struct ca *ca, X509 *x, struct err *err)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der), rc;

	if (n <= 0)
		return err_openssl(err, "ca %s: also", ca->name);
	rc = policy_attach_also(v->policy, ca->of, slice_of(der, (size_t)n),
	    err);
	OPENSSL_free(der);
	return rc;
}

/* Certificates of before, and those that lead to another root. */
static int
read_also(struct vault *v, const struct ca *ca, const char *path,
    struct err *err)
{
	BIO *bio = BIO_new_file(path, "r");
	size_t n = 0;
	X509 *x;
	int rc = 0;

	if (bio == NULL)
		return err_openssl(err, "%s", path);
	while (rc == 0 &&
	    (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		rc = attach_also(v, ca, x, err);
		X509_free(x);
		n++;
	}
	BIO_free(bio);
	if (rc == 0 && (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) !=
	    PEM_R_NO_START_LINE))
		return err_openssl(err, "%s: not certificates", path);
	ERR_clear_error();
	return rc;
}

/* The chain of a key that was in use, or will be, travels in answers, too. */
static int
attach_chain(struct vault *v, const struct ca *ca, struct err *err)
{
	size_t i;
	int rc = policy_attach_also(v->policy, ca->of,
	    buf_slice(&ca->cert.der), err);

	for (i = 0; i < ca->nchain && rc == 0; i++)
		rc = policy_attach_also(v->policy, ca->of,
		    buf_slice(&ca->chain[i].der), err);
	return rc;
}

/* [RFC5280] 4.2.1.13: each key's certificates name that key's list. */
static int
check_addresses(const struct policy_ca *pca, const struct ca *ca,
    struct err *err)
{
	size_t i;

	if (strcmp(ca->of, ca->name) == 0)
		return 0;
	for (i = 0; i < pca->cdp.n; i++)
		if (strstr(pca->cdp.v[i], "{key}") == NULL)
			return err_set(err, ERR_INTERNAL, "ca %s: cdp of the "
			    "policy is the same for every key: write {key} "
			    "where the key's name goes", pca->name);
	return 0;
}

static int
attach(struct vault *v, size_t i, struct err *err)
{
	const struct sconf_ca *c = &v->s.conf->cas[i];
	struct ca *ca = v->s.cas[i];
	const struct policy_ca *pca = policy_ca_find(v->policy, ca->of);
	const struct ca_key key = { ca->of, ca->name,
	    buf_slice(&ca->cert.der), c->in_use };

	if (pca == NULL)
		return err_set(err, ERR_INTERNAL, "ca %s is not in policy %s",
		    ca->of, v->s.conf->policy);
	ca->good = true;
	ca->in_use = c->in_use;
	/*
	 * A template's validity is measured from the beginning of its CA, so
	 * that no policy stops loading because time goes by.
	 */
	v->policy->published = ca->not_before;
	if (policy_apart(pca, err) == -1 ||
	    check_addresses(pca, ca, err) == -1 ||
	    policy_attach_key(v->policy, &key, err) == -1 ||
	    (!c->in_use && attach_chain(v, ca, err) == -1))
		return -1;
	return c->also == NULL ? 0 : read_also(v, ca, c->also, err);
}

int
vault_policy(struct vault *v, struct err *err)
{
	size_t i;

	/* Our file is what counts; nobody publishes here. */
	v->policy = policy_file(v->s.conf->policy, err);
	if (v->policy == NULL)
		return -1;
	for (i = 0; i < v->s.ncas; i++)
		if (attach(v, i, err) == -1)
			return -1;
	v->s.policy = v->policy;
	v->s.snapshot = item_snapshot(v);
	return 0;
}
