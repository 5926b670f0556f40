/*
 * A CA key in a token: what --token, --module and --pin-file say, for the
 * commands that make or use such a key.
 */
#include <stdio.h>

#include "cakeyfile.h"
#include "catoken.h"

/* shared: the modules that are loaded already, or NULL. */
static int
take(struct cli *c, const struct token_conf *conf, struct tokens *shared,
    struct catoken *t, struct err *err)
{
	*t = (struct catoken){ NULL, NULL, false };
	if (conf->uri == NULL && conf->module == NULL &&
	    conf->pin_file == NULL)
		return 0;
	if (conf->uri == NULL || conf->module == NULL ||
	    conf->pin_file == NULL)
		return cli_usage(c, err, "--token, --module and --pin-file "
		    "go together");
	if (shared == NULL)
		shared = t->tokens = tokens_new();
	if ((t->key = tokenkey_new(shared, conf, err)) != NULL)
		return 0;
	catoken_free(t);
	return -1;
}

int
catoken_take(struct cli *c, const struct args *a, struct catoken *t,
    struct err *err)
{
	const struct token_conf conf = { args_get(a, "token"), args_get(a,
	    "module"), args_get(a, "pin-file") };

	return take(c, &conf, NULL, t, err);
}

/* Both may be in one module, which a process can load but once. */
int
catoken_take_old(struct cli *c, const struct args *a,
    const struct catoken *first, struct catoken *t, struct err *err)
{
	const struct token_conf conf = { args_get(a, "old-token"), args_get(a,
	    "old-module"), args_get(a, "old-pin-file") };

	return take(c, &conf, first->tokens, t, err);
}

EVP_PKEY *
catoken_key(struct catoken *t, struct err *err)
{
	EVP_PKEY *key;

	if (tokenkey_open(t->key, err) == -1)
		return NULL;
	key = tokenkey_pkey(t->key);
	EVP_PKEY_up_ref(key);
	return key;
}

EVP_PKEY *
catoken_new_key(struct catoken *t, const char *spec, struct err *err)
{
	EVP_PKEY *key;

	if (t->key == NULL)
		return ca_key_new(spec, err);
	if (tokenkey_generate(t->key, spec, err) == -1)
		return NULL;
	t->made = true;
	if ((key = catoken_key(t, err)) == NULL)
		catoken_undo(t);
	return key;
}

/*
 * A key that nothing was certified for would stay in the token for ever, under
 * the very name that the next attempt wants.
 */
int
catoken_undo(struct catoken *t)
{
	struct err err = ERR_INIT;
	int rc = 0;

	if (t->made && (rc = tokenkey_destroy(t->key, &err)) == -1)
		fprintf(stderr, "countersign: the new key stays in the "
		    "token: %s\n", err.text);
	t->made = false;
	return rc;
}

void
catoken_free(struct catoken *t)
{
	tokens_free(t->tokens);
	*t = (struct catoken){ NULL, NULL, false };
}
