/* The CAs of signer.conf, loaded at start: certificate, chain and key. */
#include <stdlib.h>

#include "signer.h"

static struct cakey *
load_key(struct signer *s, const struct sconf_ca *c, const struct ca *ca,
    struct err *err)
{
	const struct token_conf t = { c->key, c->module, c->pin_file };
	struct tokenkey *token;

	if (c->module == NULL)
		return cakey_load(c->key, c->passphrase, err);
	if ((token = tokenkey_new(s->tokens, &t, err)) == NULL)
		return NULL;
	return cakey_token(token, (unsigned)s->conf->token_timeout,
	    ca->cert.spki, c->exchange_secret, err);
}

int
signer_load_cas(struct signer *s, struct err *err)
{
	const struct sconf_ca *c;
	struct cakey *key;
	struct ca *ca;
	size_t i;

	s->tokens = tokens_new();
	s->cas = xcalloc(s->conf->ncas, sizeof(*s->cas));
	for (i = 0; i < s->conf->ncas; i++) {
		c = &s->conf->cas[i];
		ca = ca_load(c->name, c->certificate, c->chain, err);
		if (ca == NULL)
			return -1;
		free(ca->of);
		ca->of = xstrdup(c->of);
		s->cas[s->ncas++] = ca;
		if ((ca->apart = c->airgap))
			continue;
		if ((key = load_key(s, c, ca, err)) == NULL)
			return -1;
		if (ca_set_key(ca, key, err) == -1) {
			cakey_free(key);
			return -1;
		}
	}
	s->cost = ca_cost(s->cas, s->ncas);
	return 0;
}
