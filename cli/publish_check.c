/* Whether a list may take the place of the one that is out. */
#include <openssl/bn.h>
#include <openssl/err.h>

#include "der.h"
#include "oid.h"
#include "publish.h"
#include "x509.h"

/* A list as it is out: [RFC5280] 5.1. */
struct crl {
	struct slice	 tbs, alg, sig;
	struct slice	 number;	/* content of the INTEGER */
};

/*
 * Of millions of entries nothing is kept: parsed by OpenSSL they would take
 * ten times their room, and the publisher has a limit.
 */
static int
enter_extensions(struct slice tbs, struct der *list, struct err *err)
{
	struct der d, outer;
	int tag;

	if (der_only(tbs, DER_SEQ, &d, "tbsCertList", err) == -1)
		return -1;
	while ((tag = der_peek(&d)) != -1 && tag != DER_CTXC(0))
		if (der_any(&d, NULL, NULL, NULL, "tbsCertList", err) == -1)
			return -1;
	if (der_enter(&d, DER_CTXC(0), &outer, "crlExtensions", err) == -1)
		return -1;
	return der_enter(&outer, DER_SEQ, list, "crlExtensions", err);
}

static int
find_number(struct crl *c, struct err *err)
{
	struct der list, d;
	struct slice oid, value;

	if (enter_extensions(c->tbs, &list, err) == -1)
		return -1;
	while (!der_done(&list)) {
		if (der_extension(&list, &oid, &value, err) == -1)
			return -1;
		if (!slice_eq(oid, OID_EXT_CRL_NUMBER))
			continue;
		der_init(&d, value);
		return der_get(&d, DER_INTEGER, &c->number, "cRLNumber", err);
	}
	return -1;
}

static int
read_list(struct slice list, struct crl *c, struct err *err)
{
	struct der d;

	if (der_only(list, DER_SEQ, &d, "CertificateList", err) == -1 ||
	    der_tlv(&d, DER_SEQ, &c->tbs, "tbsCertList", err) == -1 ||
	    der_tlv(&d, DER_SEQ, &c->alg, "signatureAlgorithm", err) == -1 ||
	    der_bits(&d, &c->sig, "signatureValue", err) == -1 ||
	    der_end(&d, "CertificateList", err) == -1)
		return -1;
	return find_number(c, err);
}

static bool
is_signed_by(const struct crl *c, struct slice cert)
{
	X509 *x = x509_read(cert);
	bool is = x != NULL && x509_signed(c->alg, c->tbs, c->sig,
	    X509_get0_pubkey(x));

	X509_free(x);
	ERR_clear_error();
	return is;
}

/* The number of a list that this key signed, or NULL. */
static BIGNUM *
number_of(struct slice list, struct slice cert)
{
	struct err ignored = ERR_INIT;
	struct crl c;

	if (read_list(list, &c, &ignored) == -1 || !is_signed_by(&c, cert))
		return NULL;
	return BN_bin2bn(c.number.p, (int)c.number.n, NULL);
}

int
publish_is_itself(const struct publish_item *i, struct err *err)
{
	BIGNUM *has = number_of(i->list, i->cert), *says = NULL;
	bool is = has != NULL && BN_dec2bn(&says, i->number) > 0 &&
	    BN_cmp(has, says) == 0;

	BN_free(has);
	BN_free(says);
	return is ? 0 : err_set(err, ERR_DENIED, "ca %.40s: list %.20s in the "
	    "database is not the one that its key signed with this number: "
	    "run countersign ledger verify", i->name, i->number);
}

/*
 * The number must not fall.  A list of another key, or what is no list, is in
 * nobody's way.
 */
int
publish_is_next(struct slice there, const struct publish_item *i,
    struct err *err)
{
	BIGNUM *old = number_of(there, i->cert), *next = NULL;
	char *text = NULL;
	int rc = 0;

	if (old != NULL && BN_dec2bn(&next, i->number) > 0 &&
	    BN_cmp(old, next) > 0) {
		text = BN_bn2dec(old);
		rc = err_set(err, ERR_DENIED, "ca %.40s: list %.20s would take "
		    "the place of %.20s: is the database an old one? run "
		    "countersign reconcile", i->name, i->number,
		    text == NULL ? "a later one" : text);
	}
	OPENSSL_free(text);
	BN_free(old);
	BN_free(next);
	return rc;
}
