/*
 * doctor: tokens of this host's signers, as far as one sees without their
 * PINs.
 */
#include "doctor.h"

#include "sconf.h"
#include "tokenkey.h"

static void
compare(struct doctor *d, const struct sconf_ca *ca, const struct buf *has)
{
	struct err err = ERR_INIT;
	struct buf want = { 0 };

	if (has->n == 0)
		check_add(d->checks, CHECK_SKIP, "token", ca->name, NULL,
		    "shows no public key of this name without a pin");
	else if (cert_public(ca->certificate, &want, &err) != 0)
		check_add(d->checks, CHECK_SKIP, "token", ca->name, NULL,
		    "%s", err.text);
	else if (!slice_eq(buf_slice(&want), buf_slice(has)))
		check_add(d->checks, CHECK_FAIL, "token", ca->name,
		    "correct key or certificate in the signer's "
		    "configuration", "its key is not the certificate's");
	else
		check_add(d->checks, CHECK_OK, "token", ca->name, NULL,
		    "there, with the certificate's key");
	buf_free(&want);
}

void
doctor_token(struct doctor *d, const struct sconf_ca *ca)
{
	const struct token_conf conf = { ca->key, ca->module, ca->pin_file };
	struct tokens *tokens = tokens_new();
	struct tokenkey *key;
	struct err err = ERR_INIT;
	struct buf spki = { 0 };
	char warning[120] = "";

	if ((key = tokenkey_new(tokens, &conf, &err)) == NULL ||
	    tokenkey_look(key, &spki, warning, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "token", ca->name,
		    "the signer cannot sign before this is right: is the "
		    "device there, is its module's configuration found?",
		    "%s", err.text);
	else
		compare(d, ca, &spki);
	if (warning[0] != '\0')
		check_add(d->checks, CHECK_WARN, "token", ca->name,
		    "find out who tried; then log in once with the right pin, "
		    "or have its security officer set a new one", "%s",
		    warning);
	buf_free(&spki);
	tokens_free(tokens);
}
