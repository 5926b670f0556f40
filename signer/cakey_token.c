/*
 * A CA key in a token.  Whatever fails, the module is closed, and opened
 * again at once, once; then once a second when somebody needs it.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "cakey_int.h"
#include "deadline.h"
#include "log.h"
#include "secret.h"
#include "tokenkey.h"
#include "x509.h"

#define RETRY_USEC	INT64_C(1000000)
#define FIRST_COST	5000		/* us, before anything is measured */
#define SECRET_MIN	32
#define SECRET_MAX	1024

/* Told when it changes, not every second. */
static int
away(struct cakey *k, const struct err *why, struct err *err)
{
	if (strcmp(k->why, why->text) != 0)
		log_note("token", "away: %s", why->text);
	snprintf(k->why, sizeof(k->why), "%s", why->text);
	k->next_try = log_usec() + RETRY_USEC;
	return err_set(err, ERR_UNAVAILABLE, "%s", why->text);
}

/* Another key of the same name would make certificates that fit no CA. */
static int
check_public(const struct cakey *k, struct err *err)
{
	struct buf spki = { 0 };
	int rc = 0;

	if (x509_key_spki(tokenkey_pkey(k->token), &spki) == -1)
		return err_openssl(err, "token: the key's public part");
	if (!slice_eq(buf_slice(&spki), buf_slice(&k->spki)))
		rc = err_set(err, ERR_INTERNAL,
		    "token: its key is not the certificate's");
	buf_free(&spki);
	return rc;
}

static void
close_key(struct cakey *k)
{
	deadline_begin(k->timeout);
	tokenkey_close(k->token);
	deadline_end();
}

static int
open_key(struct cakey *k, struct err *err)
{
	int rc;

	deadline_begin(k->timeout);
	rc = tokenkey_open(k->token, err);
	deadline_end();
	if (rc == -1)
		return -1;
	if (check_public(k, err) == -1) {
		close_key(k);
		return -1;
	}
	if (k->why[0] != '\0')
		log_note("token", "back");
	k->why[0] = '\0';
	return 0;
}

int
cakey_ready(struct cakey *k, struct err *err)
{
	struct err e = ERR_INIT;

	if (k == NULL || k->token == NULL || tokenkey_is_open(k->token))
		return 0;
	if (log_usec() < k->next_try)
		return err_set(err, ERR_UNAVAILABLE, "%s", k->why);
	return open_key(k, &e) == 0 ? 0 : away(k, &e, err);
}

/* A quarter of the way to what the last one took, for two of them. */
static void
learn_cost(struct cakey *k, int64_t usec)
{
	k->cost += (2 * usec - k->cost) / 4;
	if (k->cost < 1)
		k->cost = 1;
}

static int
sign_once(struct cakey *k, struct slice digest, uint8_t *out, size_t *n,
    struct err *err)
{
	EVP_PKEY_CTX *ctx = cakey_ctx(k, tokenkey_pkey(k->token),
	    EVP_PKEY_sign_init);
	int64_t t = log_usec();
	int rc = 0;

	deadline_begin(k->timeout);
	if (ctx == NULL || EVP_PKEY_sign(ctx, out, n, digest.p,
	    digest.n) != 1)
		rc = err_openssl(err, "token: signing");
	deadline_end();
	EVP_PKEY_CTX_free(ctx);
	learn_cost(k, log_usec() - t);
	return rc;
}

int
cakey_token_sign(struct cakey *k, struct slice digest, uint8_t *out,
    size_t *n, struct err *err)
{
	struct err e = ERR_INIT, first = ERR_INIT;
	size_t room = *n;

	if (cakey_ready(k, err) == -1)
		return -1;
	if (sign_once(k, digest, out, n, &first) == 0)
		return 0;
	/* A session that ended is the usual cause: a new one may do. */
	close_key(k);
	if (open_key(k, &e) == -1)
		return away(k, &first, err);
	log_note("token", "opened again: %s", first.text);
	*n = room;
	if (sign_once(k, digest, out, n, &e) == 0)
		return 0;
	close_key(k);
	return away(k, &e, err);
}

static int
read_secret(struct cakey *k, const char *path, struct err *err)
{
	if (path == NULL)
		return 0;
	if (secret_read(path, SECRET_MAX, true, &k->secret, err) == -1)
		return -1;
	if (k->secret.n < SECRET_MIN)
		return err_set(err, ERR_INTERNAL, "%s: must have %d bytes at "
		    "least", path, SECRET_MIN);
	return 0;
}

/* The certificate tells which key it must be. */
static int
take_public(struct cakey *k, struct slice spki, struct err *err)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *pub = d2i_PUBKEY(NULL, &p, (long)spki.n);
	int rc;

	if (pub == NULL)
		return err_openssl(err, "ca certificate: public key");
	rc = cakey_public(k, pub, err);
	EVP_PKEY_free(pub);
	return rc;
}

struct cakey *
cakey_token(struct tokenkey *token, unsigned timeout, struct slice spki,
    const char *secret_path, struct err *err)
{
	struct cakey *k = xcalloc(1, sizeof(*k));
	struct err e = ERR_INIT;

	k->token = token;
	k->timeout = timeout;
	k->cost = FIRST_COST;
	if (take_public(k, spki, err) == -1 ||
	    read_secret(k, secret_path, err) == -1) {
		cakey_free(k);
		return NULL;
	}
	/* No signature to try it out: each one is in the ledger. */
	if (open_key(k, &e) == 0)
		return k;
	if (e.kind == ERR_UNAVAILABLE) {
		away(k, &e, &(struct err)ERR_INIT);
		return k;
	}
	err_set(err, e.kind, "%s", e.text);
	cakey_free(k);
	return NULL;
}
