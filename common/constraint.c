/*
 * Name constraints: attached to a policy's CAs with their certificates
 * (policy_key.c), asked at the end of decide().
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "constraint.h"
#include "hresult.h"
#include "namerule.h"
#include "x509.h"

void
constraint_read(struct policy_ca *ca)
{
	X509	*x = x509_read(buf_slice(&ca->cert));

	if (x == NULL)
		abort();	/* it was read before: ca_cert_end */
	ca->constraints = X509_get_ext_d2i(x, NID_name_constraints, NULL,
	    NULL);
	X509_free(x);
}

void
constraint_free(struct policy_ca *ca)
{
	NAME_CONSTRAINTS_free(ca->constraints);
}

static int
put_subject(X509 *x, const struct names *n, struct err *err)
{
	struct buf		 der = { 0 };
	const unsigned char	*p;
	X509_NAME		*name = NULL;
	int			 rc;

	rc = names_put_dn(n, &der, err);
	p = der.p;
	if (rc == 0)
		name = d2i_X509_NAME(NULL, &p, (long)der.n);
	if (rc == 0 && (name == NULL || X509_set_subject_name(x, name) != 1))
		rc = err_openssl(err, "subject");
	X509_NAME_free(name);
	buf_free(&der);
	return rc;
}

static int
put_san(X509 *x, const struct names *n, struct err *err)
{
	struct buf		 der = { 0 };
	const unsigned char	*p;
	GENERAL_NAMES		*names = NULL;
	int			 rc;

	if (n->nsan == 0)
		return 0;
	rc = names_put_san(n, &der, err);
	p = der.p;
	if (rc == 0)
		names = d2i_GENERAL_NAMES(NULL, &p, (long)der.n);
	if (rc == 0 && (names == NULL || X509_add1_ext_i2d(x,
	    NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1))
		rc = err_openssl(err, "alternative names");
	GENERAL_NAMES_free(names);
	buf_free(&der);
	return rc;
}

/* "x.y" under ".y": a host that a wildcard for y stands for. */
static bool
is_just_below(const ASN1_IA5STRING *host, const char *domain)
{
	const char	*s = (const char *)ASN1_STRING_get0_data(host);
	size_t		 n = strlen(domain), len;

	len = (size_t)ASN1_STRING_length(host);
	return len > n && strncasecmp(s + len - n, domain, n) == 0 &&
	    memchr(s, '.', len - n) == NULL;
}

/*
 * To compare "*.y" with an excluded "x.y" as texts, as relying parties do,
 * finds nothing, and then they take the certificate for x.y.
 */
static bool
wildcard_excluded(const struct policy_ca *ca, const struct names *n)
{
	const STACK_OF(GENERAL_SUBTREE)	*out =
	    ca->constraints->excludedSubtrees;
	const GENERAL_NAME		*base;
	size_t				 i;
	int				 k;

	for (i = 0; i < n->nsan; i++) {
		if (n->san[i].kind != SAN_DNS || n->san[i].text[0] != '*')
			continue;
		for (k = 0; k < sk_GENERAL_SUBTREE_num(out); k++) {
			base = sk_GENERAL_SUBTREE_value(out, k)->base;
			if (base->type == GEN_DNS && is_just_below(
			    base->d.dNSName, n->san[i].text + 1))
				return true;
		}
	}
	return false;
}

/* OpenSSL judges certificates: one with these names and nothing else. */
static int
permits(const struct policy_ca *ca, const struct names *n, bool *yes,
    struct err *err)
{
	X509	*x = X509_new();
	int	 rc = -1;

	if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1)
		err_openssl(err, "certificate for the constraints");
	else if (put_subject(x, n, err) == 0 && put_san(x, n, err) == 0) {
		/* Only this has it look for alternative names. */
		(void)X509_check_ca(x);
		*yes = NAME_CONSTRAINTS_check(x, ca->constraints) ==
		    X509_V_OK && NAME_CONSTRAINTS_check_CN(x,
		    ca->constraints) == X509_V_OK &&
		    !wildcard_excluded(ca, n);
		rc = 0;
	}
	X509_free(x);
	ERR_clear_error();
	return rc;
}

/* One name alone. */
static int
judge_one(const void *arg, const struct asked *asked, struct err *err)
{
	const struct policy_ca	*ca = arg;
	char			*text = (char *)(uintptr_t)asked->text;
	struct names		 one = { .nrdn = asked->rdn != NULL };
	char			 brief[ASKED_TEXT];
	bool			 yes;

	one.nsan = 1 - one.nrdn;
	if (one.nrdn != 0) {
		one.rdn[0].type = (char *)(uintptr_t)asked->rdn;
		one.rdn[0].value = text;
	} else
		one.san[0] = (struct san){ asked->kind, text };
	if (permits(ca, &one, &yes, err) == -1)
		return -1;
	return yes ? 0 : err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "%s %s: "
	    "outside the name constraints in the certificate of ca %s",
	    asked_kind(asked), asked_text(asked, brief), ca->name);
}

int
constraint_check(const struct policy_ca *ca, const struct names *n,
    struct err *err)
{
	bool	yes;

	if (ca->constraints == NULL)
		return 0;
	if (permits(ca, n, &yes, err) == -1)
		return -1;
	if (yes)
		return 0;
	if (names_judge(n, judge_one, ca, err) == -1)
		return -1;
	/* Only all together, as a directory name. */
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "subject: outside "
	    "the name constraints in the certificate of ca %s", ca->name);
}
