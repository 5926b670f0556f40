/* Keys made in a token, and taken out again: for "ca create" and its like. */
#include <string.h>

#include <openssl/rand.h>

#include "der.h"
#include "oid.h"
#include "p11_int.h"

#define ID_LEN	16
#define YES	&(CK_BBOOL){ CK_TRUE }, sizeof(CK_BBOOL)
#define NO	&(CK_BBOOL){ CK_FALSE }, sizeof(CK_BBOOL)

static const struct {
	const char		*spec;
	CK_ULONG		 bits;		/* RSA */
	const struct slice	*curve;		/* EC */
} kinds[] = {
	{ "rsa:2048", 2048, NULL },
	{ "rsa:3072", 3072, NULL },
	{ "rsa:4096", 4096, NULL },
	{ "ec:P-256", 0, &OID_P256 },
	{ "ec:P-384", 0, &OID_P384 }
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* One of a pair is enough: it would be found instead of ours later. */
static int
refuse_taken(struct p11 *p, const struct p11_token *t,
    const struct p11uri *u, struct err *err)
{
	CK_OBJECT_HANDLE o;
	int n = p11_count(p, t, u, CKO_PRIVATE_KEY, &o, err);

	if (n == 0)
		n = p11_count(p, t, u, CKO_PUBLIC_KEY, &o, err);
	return n <= 0 ? n : err_set(err, ERR_DENIED, "token %s: a key of "
	    "this name is in it already", t->label);
}

struct attrs {
	CK_ATTRIBUTE	 a[2];
	CK_ULONG	 n;
};

/* [PKCS11] 4.9: it never leaves the token, and does nothing but sign. */
static int
make(struct p11 *p, const struct p11_token *t, CK_MECHANISM *m,
    const struct attrs *kind, const struct attrs *name, struct err *err)
{
	CK_ATTRIBUTE pub[8] = {
		{ CKA_TOKEN, YES }, { CKA_VERIFY, YES }
	}, priv[12] = {
		{ CKA_TOKEN, YES }, { CKA_PRIVATE, YES },
		{ CKA_SENSITIVE, YES }, { CKA_EXTRACTABLE, NO },
		{ CKA_SIGN, YES }, { CKA_DECRYPT, NO }, { CKA_UNWRAP, NO }
	};
	CK_ULONG npub = 2, npriv = 7;
	CK_OBJECT_HANDLE a, b;
	CK_RV rv;

	memcpy(&pub[npub], kind->a, kind->n * sizeof(*kind->a));
	npub += kind->n;
	memcpy(&pub[npub], name->a, name->n * sizeof(*name->a));
	npub += name->n;
	memcpy(&priv[npriv], name->a, name->n * sizeof(*name->a));
	npriv += name->n;
	rv = p->f->C_GenerateKeyPair(t->session, m, pub, npub, priv, npriv,
	    &a, &b);
	return rv == CKR_OK ? 0 : p11_failed(err, "C_GenerateKeyPair", rv);
}

static int
make_kind(struct p11 *p, const struct p11_token *t, size_t i,
    const struct attrs *name, struct err *err)
{
	CK_MECHANISM rsa = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM ec = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ULONG bits = kinds[i].bits;
	uint8_t exponent[] = { 1, 0, 1 };
	struct attrs kind = { {
		{ CKA_MODULUS_BITS, &bits, sizeof(bits) },
		{ CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) }
	}, 2 };
	struct buf curve = { 0 };
	int rc;

	if (kinds[i].curve == NULL)
		return make(p, t, &rsa, &kind, name, err);
	der_put_oid(&curve, *kinds[i].curve);
	kind.a[0] = (CK_ATTRIBUTE){ CKA_EC_PARAMS, curve.p, curve.n };
	kind.n = 1;
	rc = make(p, t, &ec, &kind, name, err);
	buf_free(&curve);
	return rc;
}

int
p11_generate(struct p11 *p, const struct p11_token *t,
    const struct p11uri *u, const char *spec, struct err *err)
{
	uint8_t id[ID_LEN];
	struct attrs name = { { { CKA_ID, id, sizeof(id) } }, 1 };
	size_t i;

	for (i = 0; i < NKINDS; i++) {
		if (strcmp(kinds[i].spec, spec) == 0)
			break;
	}
	if (i == NKINDS)
		return err_set(err, ERR_MALFORMED, "key is rsa:2048, "
		    "rsa:3072, rsa:4096, ec:P-256 or ec:P-384, not %.40s",
		    spec);
	if (refuse_taken(p, t, u, err) == -1)
		return -1;
	if (RAND_bytes(id, sizeof(id)) != 1)
		return err_openssl(err, "random id");
	if (u->id_len != 0)
		name.a[0] = (CK_ATTRIBUTE){ CKA_ID, (void *)u->id,
		    u->id_len };
	if (u->object != NULL)
		name.a[name.n++] = (CK_ATTRIBUTE){ CKA_LABEL, u->object,
		    strlen(u->object) };
	return make_kind(p, t, i, &name, err);
}

int
p11_destroy(struct p11 *p, const struct p11_token *t,
    const struct p11uri *u, struct err *err)
{
	static const CK_OBJECT_CLASS class[] = { CKO_PRIVATE_KEY,
	    CKO_PUBLIC_KEY };
	CK_OBJECT_HANDLE o;
	CK_RV rv = CKR_OK;
	size_t i;
	int n;

	for (i = 0; i < 2 && rv == CKR_OK; i++) {
		if ((n = p11_count(p, t, u, class[i], &o, err)) == -1)
			return -1;
		if (n > 1)
			return err_set(err, ERR_INTERNAL, "token %s: more "
			    "than one key of this name", t->label);
		if (n == 1)
			rv = p->f->C_DestroyObject(t->session, o);
	}
	return rv == CKR_OK ? 0 : p11_failed(err, "C_DestroyObject", rv);
}
