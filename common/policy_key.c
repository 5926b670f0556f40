/*
 * Keys of a policy's CAs, and their certificates: attached from rows by
 * snapshot.c and the command line, from files by the vault.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "constraint.h"
#include "policy_int.h"
#include "x509.h"

#define ALSO_MAX	16		/* of a CA */
#define KEY_MARK	"{key}"

/* The certificate is an operator's, not a client's: OpenSSL may read it. */
static int
ca_cert_end(const char *name, struct slice cert, int64_t *not_after,
    struct err *err)
{
	X509	*x = NULL;
	int	 rc = -1;

	if (cert.n == 0 || cert.n > 64 * 1024)
		return err_bad(err, 0, "ca %s: certificate of %zu bytes", name,
		    cert.n);
	x = x509_read(cert);
	if (x == NULL) {
		err_openssl(err, "ca %s: certificate does not parse", name);
		goto out;
	}
	/* [RFC5280] 4.2.1.9: only then may it sign certificates. */
	if (X509_check_ca(x) != 1) {
		err_bad(err, 0, "ca %s: certificate is no ca certificate",
		    name);
		goto out;
	}
	if (x509_unix(X509_get0_notAfter(x), not_after) == -1) {
		err_bad(err, 0, "ca %s: notAfter of the certificate is no time",
		    name);
		goto out;
	}
	rc = 0;
out:
	X509_free(x);
	return rc;
}

/* NULL: OpenSSL does not know its kind, and nor did who signed with it. */
static EVP_PKEY *
public_key(struct slice cert)
{
	X509		*x = x509_read(cert);
	EVP_PKEY	*pub = x != NULL ? X509_get_pubkey(x) : NULL;

	X509_free(x);
	ERR_clear_error();
	return pub;
}

/* Not const, as the policy is not yet. */
static struct policy_ca *
find_ca(struct policy *p, const char *name)
{
	return (struct policy_ca *)policy_ca_find(p, name);
}

/* What the CA promises must fit into the life of the key in use. */
static int
check_validity(const struct policy *p, const struct policy_ca *ca,
    int64_t not_after, struct err *err)
{
	const struct template	*t;
	int64_t			 from;
	size_t			 i;

	from = p->published != 0 ? p->published : (int64_t)time(NULL);
	for (i = 0; i < p->ntemplates; i++) {
		t = &p->templates[i];
		if (template_offered_by(t, ca->name) &&
		    t->validity > not_after - from)
			return err_bad(err, 0, "line %u: template %s: validity "
			    "of %lld days is beyond the certificate of ca %s "
			    "(%lld days left)", t->line, t->cn,
			    (long long)(t->validity / 86400), ca->name,
			    (long long)((not_after - from) / 86400));
	}
	return 0;
}

static int
check_key(const struct policy *p, const struct policy_ca *ca,
    const struct ca_key *key, struct err *err)
{
	if (ca == NULL)
		return err_bad(err, 0, "ca %s: not in the policy", key->ca);
	if (policy_key_find(p, key->name, NULL) != NULL)
		return err_bad(err, 0, "ca %s: has a certificate already",
		    key->name);
	if (key->in_use && ca->cert.n != 0)
		return err_bad(err, 0, "ca %s: has two keys in use", ca->name);
	return 0;
}

int
policy_attach_key(struct policy *p, const struct ca_key *key, struct err *err)
{
	struct policy_ca	*ca = find_ca(p, key->ca);
	struct policy_key	*k;
	int64_t			 not_after;

	if (check_key(p, ca, key, err) == -1 ||
	    ca_cert_end(key->name, key->cert, &not_after, err) == -1 ||
	    (key->in_use && check_validity(p, ca, not_after, err) == -1) ||
	    policy_trust(p, key->cert, key->name, err) == -1)
		return -1;
	ca->keys = xreallocarray(ca->keys, ca->nkeys + 1, sizeof(*ca->keys));
	k = &ca->keys[ca->nkeys++];
	*k = (struct policy_key){ .name = xstrdup(key->name),
	    .pub = public_key(key->cert), .not_after = not_after };
	buf_add(&k->cert, key->cert.p, key->cert.n);
	if (!key->in_use)
		return 0;
	ca->key = k->name;
	buf_add(&ca->cert, key->cert.p, key->cert.n);
	constraint_read(ca);
	ca->not_after = not_after;
	return 0;
}

int
policy_key_fits(const struct policy *p, const char *ca, struct slice cert,
    struct err *err)
{
	const struct policy_ca	*c = policy_ca_find(p, ca);
	int64_t			 not_after;

	if (c == NULL)
		return 0;	/* the policy says nothing of it */
	if (ca_cert_end(ca, cert, &not_after, err) == -1)
		return -1;
	return check_validity(p, c, not_after, err);
}

int
policy_attach_also(struct policy *p, const char *name, struct slice cert,
    struct err *err)
{
	struct policy_ca	*ca = find_ca(p, name);
	int64_t			 end;

	if (ca == NULL)
		return err_bad(err, 0, "ca %s: not in the policy", name);
	if (ca_cert_end(name, cert, &end, err) == -1)
		return -1;
	/* What has ended helps nobody. */
	if (end <= (int64_t)time(NULL) || ca->nalso == ALSO_MAX)
		return 0;
	ca->also = xreallocarray(ca->also, ca->nalso + 1, sizeof(*ca->also));
	ca->also[ca->nalso] = (struct buf){ NULL, 0, 0 };
	buf_add(&ca->also[ca->nalso++], cert.p, cert.n);
	return 0;
}

int
policy_ready(const struct policy *p, struct err *err)
{
	size_t	i;

	for (i = 0; i < p->ncas; i++)
		if (p->cas[i].cert.n == 0)
			return err_set(err, ERR_UNAVAILABLE,
			    "ca %s: of the policy, has no certificate",
			    p->cas[i].name);
	return 0;
}

int
policy_apart(const struct policy_ca *ca, struct err *err)
{
	if (ca->ocsp.n != 0)
		return err_set(err, ERR_INTERNAL, "policy: ca %s has ocsp, "
		    "and is behind an air gap: nobody there answers; take the "
		    "line out", ca->name);
	/* A delta for some days would need a round each time. */
	if (ca->crl_delta != 0)
		return err_set(err, ERR_INTERNAL, "policy: ca %s has "
		    "crl-delta, and is behind an air gap: a round brings "
		    "complete lists alone; take the line out", ca->name);
	return 0;
}

void
policy_keys_free(struct policy_ca *ca)
{
	size_t	i;

	for (i = 0; i < ca->nkeys; i++) {
		free(ca->keys[i].name);
		buf_free(&ca->keys[i].cert);
		EVP_PKEY_free(ca->keys[i].pub);
	}
	free(ca->keys);
	for (i = 0; i < ca->nalso; i++)
		buf_free(&ca->also[i]);
	free(ca->also);
}

const struct policy_ca *
policy_key_find(const struct policy *p, const char *name,
    const struct policy_key **key)
{
	size_t	i, k;

	for (i = 0; i < p->ncas; i++)
		for (k = 0; k < p->cas[i].nkeys; k++) {
			if (strcmp(p->cas[i].keys[k].name, name) != 0)
				continue;
			if (key != NULL)
				*key = &p->cas[i].keys[k];
			return &p->cas[i];
		}
	return NULL;
}

bool
policy_is_ours(const struct policy *p, struct slice cert)
{
	size_t	i, k;

	for (i = 0; i < p->ncas; i++)
		for (k = 0; k < p->cas[i].nkeys; k++)
			if (slice_eq(buf_slice(&p->cas[i].keys[k].cert), cert))
				return true;
	return false;
}

bool
policy_ca_has(const struct policy *p, const char *ca, const char *key)
{
	const struct policy_ca	*c = policy_key_find(p, key, NULL);

	/* The first key bears the CA's name. */
	return strcmp(ca, key) == 0 || (c != NULL && strcmp(c->name, ca) == 0);
}

void
policy_url(const char *pattern, const char *key, struct buf *out)
{
	const char	*at = strstr(pattern, KEY_MARK);

	if (at == NULL) {
		buf_puts(out, pattern);
		return;
	}
	buf_add(out, pattern, (size_t)(at - pattern));
	buf_puts(out, key);
	buf_puts(out, at + strlen(KEY_MARK));
}
