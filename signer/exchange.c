/*
 * Exchange certificates: made when a worker asks for one (job_ket), opened by
 * archive.c when a client has used it.
 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "certauth.h"
#include "constraint.h"
#include "hresult.h"
#include "keyblob.h"
#include "log.h"
#include "signer.h"
#include "store_key.h"
#include "x509.h"

#define BITS		2048
#define NONCE		12
#define TAG		16
#define WEEK		((int64_t)7 * 86400)
#define ACCOUNT		"<exchange>"	/* no account can have this name */
#define TEMPLATE	"CAExchange"
#define PURPOSE		"1.3.6.1.4.1.311.21.5"

/*
 * Derived from the CA's key: every signer of the ca opens what one has sealed,
 * and there is no second secret to carry along.
 */
static int
sealing_key(struct ca *ca, uint8_t out[32], struct err *err)
{
	return cakey_derive(ca->key, "countersign exchange key", out, err);
}

/* nonce, ciphertext, tag; the serial number is authenticated along. */
static int
seal(struct ca *ca, struct slice serial, struct slice clear, struct buf *out,
    struct err *err)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[32], *p = buf_extend(out, NONCE + clear.n + TAG);
	int n, rc = -1;

	if (sealing_key(ca, key, err) == 0 && ctx != NULL &&
	    RAND_bytes(p, NONCE) == 1 &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, p) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, serial.p, (int)serial.n) == 1 &&
	    EVP_EncryptUpdate(ctx, p + NONCE, &n, clear.p,
	    (int)clear.n) == 1 &&
	    EVP_EncryptFinal_ex(ctx, p + NONCE + n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG,
	    p + NONCE + clear.n) == 1)
		rc = 0;
	OPENSSL_cleanse(key, sizeof(key));
	EVP_CIPHER_CTX_free(ctx);
	return rc == 0 ? 0 : err_openssl(err, "exchange key: sealing");
}

static int
unseal(struct ca *ca, struct slice serial, struct slice sealed,
    struct buf *out, struct err *err)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t len = sealed.n - NONCE - TAG;
	uint8_t key[32], tag[TAG];
	int n, rc = -1;

	memcpy(tag, sealed.p + NONCE + len, TAG);
	if (sealing_key(ca, key, err) == 0 && ctx != NULL &&
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
	    sealed.p) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, serial.p, (int)serial.n) == 1 &&
	    EVP_DecryptUpdate(ctx, buf_extend(out, len), &n,
	    sealed.p + NONCE, (int)len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, tag, &n) == 1)
		rc = 0;
	OPENSSL_cleanse(key, sizeof(key));
	EVP_CIPHER_CTX_free(ctx);
	return rc == 0 ? 0 : err_openssl(err, "exchange key: unsealing");
}

EVP_PKEY *
exchange_open(struct ca *ca, struct slice serial, struct slice sealed,
    struct err *err)
{
	struct buf clear = { 0 };
	EVP_PKEY *pkey = NULL;

	if (sealed.n <= NONCE + TAG)
		err_set(err, ERR_INTERNAL, "exchange key: is cut off");
	else if (unseal(ca, serial, sealed, &clear, err) == 0)
		pkey = keyblob_parse(buf_slice(&clear), err);
	buf_wipe(&clear);
	return pkey;
}

static int
make_key(struct ca *ca, struct slice serial, struct exchange *x,
    struct err *err)
{
	EVP_PKEY *pkey = EVP_RSA_gen(BITS);
	PKCS8_PRIV_KEY_INFO *info = pkey == NULL ? NULL : EVP_PKEY2PKCS8(pkey);
	unsigned char *der = NULL;
	int n = 0, rc = -1;

	if (info != NULL && (n = i2d_PKCS8_PRIV_KEY_INFO(info, &der)) > 0 &&
	    x509_key_spki(pkey, &x->spki) == 0) {
		x->key = pubkey_parse(buf_slice(&x->spki), err);
		if (x->key != NULL)
			rc = seal(ca, serial, slice_of(der, (size_t)n),
			    &x->sealed, err);
	} else
		err_openssl(err, "exchange key: making");
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	EVP_PKEY_free(pkey);
	return rc;
}

/* [MS-WCCE] 3.2.1.4.3.2.15.1: purpose and life of AD CS's own. */
static void
fill_template(struct template *t, const struct ca *ca)
{
	t->cn = xstrdup(TEMPLATE);
	t->schema = 1;
	t->major = 1;
	t->validity = WEEK;
	t->key_usage = USAGE_KEY_ENCIPHERMENT;
	t->key_usage_critical = true;
	strlist_add(&t->eku, PURPOSE);
	strlist_add(&t->cas, ca->of);
}

/* A new key, sealed for this serial number, and the decision to certify it. */
static struct exchange *
exchange_new(struct ca *ca, const struct policy_ca *pca,
    const uint8_t *serial, struct decision *d, struct err *err)
{
	struct exchange *x = xcalloc(1, sizeof(*x));
	char cn[72];

	fill_template(&x->tmpl, ca);
	x->account.name = xstrdup(ACCOUNT);
	if (make_key(ca, slice_of(serial, SERIAL_LEN), x, err) == -1) {
		exchange_free(x);
		return NULL;
	}
	memset(d, 0, sizeof(*d));
	d->tmpl = &x->tmpl;
	d->ca = pca;
	d->subject = &x->account;
	snprintf(cn, sizeof(cn), "%.59s-Xchg", ca->name);
	names_add_rdn(&d->names, "CN", cn);
	return x;
}

void
exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	free(x->tmpl.cn);
	strlist_free(&x->tmpl.eku);
	strlist_free(&x->tmpl.cas);
	free(x->account.name);
	pubkey_free(x->key);
	buf_free(&x->spki);
	buf_free(&x->sealed);
	free(x);
}

/* To make one takes a signer some 100 ms: of a batch only one does. */
static bool
is_made(const struct job *k, const struct job *j)
{
	return k->state == JOB_RECORD && k->exchange != NULL && k->ca == j->ca;
}

/* Who cannot seal a key is asked before it is made: anybody may ask for one. */
static int
check_sealing(struct ca *ca, struct err *err)
{
	uint8_t key[32];
	int rc = sealing_key(ca, key, err);

	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

static int
make(struct signer *s, struct job *j, const struct policy_ca *ca,
    struct err *err)
{
	if (check_sealing(j->ca, err) == -1 || serial_new(j->received / 1000000,
	    s->prefix, j->tbs.serial, err) == -1)
		return -1;
	j->exchange = exchange_new(j->ca, ca, j->tbs.serial, &j->decision,
	    err);
	if (j->exchange == NULL)
		return -1;
	j->has_decision = true;
	if (constraint_check(ca, &j->decision.names, err) == -1)
		return -1;
	return job_build(s, j, j->exchange->key, err);
}

static bool
is_for_keys(struct slice der)
{
	X509 *x = x509_read(der);
	bool is = x != NULL && x509_purpose(x, PURPOSE);

	X509_free(x);
	return is;
}

/*
 * Private keys are sealed for it, and requests can be read by who writes rows:
 * made by a signer, and not for a user who asked for a certificate.
 */
static int
check_current(struct signer *s, struct slice der, struct err *err)
{
	struct issued_ask ask = { .renewed = false };
	struct issued_set *set;
	const struct issued *row;
	int rc = -1;

	if (certauth_serial(der, &ask.serial, err) == -1 ||
	    (set = store_issued(s->store, &ask, 1, err)) == NULL)
		return -1;
	row = issued_find(set, ask.serial);
	if (row == NULL || !slice_eq(buf_slice(&row->der), der) ||
	    !is_for_keys(der))
		err_deny(err, CERT_E_UNTRUSTEDROOT, "the exchange certificate "
		    "in the database is none: somebody has put it there");
	else
		rc = issued_prove(row, s->policy, err);
	issued_free(set);
	return rc;
}

/*
 * The one in use into j->cert, or one being made.  As with AD CS it is there
 * for whoever asks, before any template needs it.
 */
static int
find_or_make(struct signer *s, struct job *j, struct err *err)
{
	const struct policy_ca *ca;

	if (job_caller(s, j, &ca, err) == -1)
		return -1;
	if (j->ca->apart)
		return err_deny(err, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
		    "ca %s is behind an air gap, and archives no keys",
		    ca->name);
	if (store_exchange_current(s->store, j->ca->name, &j->cert,
	    err) == -1)
		return -1;
	return j->cert.n != 0 ? check_current(s, buf_slice(&j->cert), err) :
	    make(s, j, ca, err);
}

void
job_ket(struct signer *s, struct job *j, struct job *const *earlier,
    size_t n)
{
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!is_made(earlier[i], j))
			continue;
		j->state = JOB_COPY;
		j->first = earlier[i];
		return;
	}
	if (find_or_make(s, j, &err) == -1)
		job_refuse(j, &err);
	else if (j->exchange == NULL)
		job_answered(j, MSG_ISSUED, "");
	else
		job_record(s, j, MSG_ISSUED, "Issued");
	j->decided = j->received + (log_usec() - j->t0);
}
