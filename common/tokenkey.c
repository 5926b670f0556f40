/*
 * A private key in a token, with its comings and goings: for the signer's
 * cakey_token.c and the command line's catoken.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "p11.h"
#include "p11engine.h"
#include "secret.h"
#include "tokenkey.h"

#define PIN_MAX	255

struct module {
	char			*path;
	struct p11		*p11;
	struct p11engine	*engine;
	struct tokenkey		*keys;		/* list */
	struct module		*next;
};

struct tokens {
	struct module	*modules;		/* list */
};

struct tokenkey {
	struct module	*module;
	struct p11uri	 uri;
	char		*text, *pin_file;
	struct buf	 refused;		/* a PIN, or empty */
	EVP_PKEY	*pkey;			/* NULL = closed */
	struct tokenkey	*next;			/* of the module */
};

struct tokens *
tokens_new(void)
{
	return xcalloc(1, sizeof(struct tokens));
}

static void
key_free(struct tokenkey *k)
{
	p11uri_free(&k->uri);
	buf_wipe(&k->refused);
	free(k->text);
	free(k->pin_file);
	free(k);
}

/* The keys hold the engine, and the engine the module. */
static void
module_stop(struct module *m)
{
	struct tokenkey *k;

	for (k = m->keys; k != NULL; k = k->next) {
		EVP_PKEY_free(k->pkey);
		k->pkey = NULL;
	}
	p11engine_stop(m->engine);
	p11_stop(m->p11);
}

static void
module_free(struct module *m)
{
	struct tokenkey *k;

	if (m->engine != NULL && m->p11 != NULL)
		module_stop(m);
	while ((k = m->keys) != NULL) {
		m->keys = k->next;
		key_free(k);
	}
	p11engine_free(m->engine);
	p11_unload(m->p11);
	free(m->path);
	free(m);
}

void
tokens_free(struct tokens *t)
{
	struct module *m;

	if (t == NULL)
		return;
	while ((m = t->modules) != NULL) {
		t->modules = m->next;
		module_free(m);
	}
	free(t);
}

static struct module *
module_get(struct tokens *t, const char *path, struct err *err)
{
	struct module *m;

	for (m = t->modules; m != NULL; m = m->next) {
		if (strcmp(m->path, path) == 0)
			return m;
	}
	m = xcalloc(1, sizeof(*m));
	m->path = xstrdup(path);
	if ((m->p11 = p11_load(path, err)) == NULL ||
	    (m->engine = p11engine_new(path, err)) == NULL) {
		module_free(m);
		return NULL;
	}
	m->next = t->modules;
	t->modules = m;
	return m;
}

struct tokenkey *
tokenkey_new(struct tokens *t, const struct token_conf *c, struct err *err)
{
	struct tokenkey *k = xcalloc(1, sizeof(*k));
	struct module *m;

	k->text = xstrdup(c->uri);
	k->pin_file = xstrdup(c->pin_file);
	if (p11uri_parse(c->uri, &k->uri, err) == -1 ||
	    (m = module_get(t, c->module, err)) == NULL) {
		key_free(k);
		return NULL;
	}
	k->module = m;
	k->next = m->keys;
	m->keys = k;
	return k;
}

bool
tokenkey_is_open(const struct tokenkey *k)
{
	return k->pkey != NULL;
}

EVP_PKEY *
tokenkey_pkey(const struct tokenkey *k)
{
	return k->pkey;
}

void
tokenkey_close(struct tokenkey *k)
{
	module_stop(k->module);
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Of this key, or of another one in the same token. */
static bool
was_refused(const struct tokenkey *k, const struct buf *pin)
{
	const struct tokenkey *o;

	for (o = k->module->keys; o != NULL; o = o->next) {
		if (same(o->uri.token, k->uri.token) &&
		    same(o->uri.serial, k->uri.serial) &&
		    o->refused.n == pin->n && pin->n != 0 &&
		    CRYPTO_memcmp(o->refused.p, pin->p, pin->n) == 0)
			return true;
	}
	return false;
}

static int
log_in(struct tokenkey *k, struct p11_token *t, struct err *err)
{
	struct err e = ERR_INIT;
	struct buf pin = { 0 };
	int rc = secret_read(k->pin_file, PIN_MAX, true, &pin, err);

	if (rc == 0 && was_refused(k, &pin))
		rc = err_set(err, ERR_UNAVAILABLE, "token %s: refused the "
		    "pin; not tried again before pin-file changes or a "
		    "restart", t->label);
	else if (rc == 0 && (rc = p11_login(k->module->p11, t,
	    buf_slice(&pin), &e)) == -1) {
		if (e.kind == ERR_UNAUTHENTICATED) {
			buf_wipe(&k->refused);
			buf_add(&k->refused, pin.p, pin.n);
			err_set(err, ERR_UNAVAILABLE, "%s: token %s refused "
			    "the pin in %.100s", e.text, t->label,
			    k->pin_file);
		}
		err_set(err, ERR_UNAVAILABLE, "%s", e.text);
	}
	buf_wipe(&pin);
	return rc;
}

static int
find_key(struct tokenkey *k, struct p11_token *t, struct err *err)
{
	struct p11_private info;

	if (p11_private(k->module->p11, t, &k->uri, &info, err) == -1)
		return -1;
	if (!info.signs || info.asks_always)
		return err_set(err, ERR_INTERNAL, "token %s: the key %s",
		    t->label, info.signs ? "wants a pin for each signature" :
		    "may not sign");
	if (!info.sensitive || info.extractable)
		return err_set(err, ERR_INTERNAL, "token %s: the key can be "
		    "read out: make one in the token", t->label);
	k->pkey = p11engine_key(k->module->engine, k->text, err);
	if (k->pkey != NULL)
		return 0;
	/* It may remember the slots as they were: begin anew with all keys. */
	module_stop(k->module);
	return -1;
}

/*
 * Closes the session of something that failed.  A module that nobody uses is
 * stopped: some, SoftHSM for one, see a new token only after they start.
 */
static void
leave(struct tokenkey *k, struct p11_token *t)
{
	const struct tokenkey *o;

	p11_close(k->module->p11, t);
	for (o = k->module->keys; o != NULL; o = o->next) {
		if (o->pkey != NULL)
			return;
	}
	module_stop(k->module);
}

static int
enter(struct tokenkey *k, bool write, struct p11_token *t, struct err *err)
{
	memset(t, 0, sizeof(*t));
	if (p11_start(k->module->p11, err) == -1)
		return -1;
	return p11_find(k->module->p11, &k->uri, write, t, err);
}

int
tokenkey_open(struct tokenkey *k, struct err *err)
{
	struct p11_token t;

	if (k->pkey != NULL)
		return 0;
	/* The session stays open: it keeps the engine's logged in. */
	if (enter(k, false, &t, err) == 0 && log_in(k, &t, err) == 0 &&
	    find_key(k, &t, err) == 0)
		return 0;
	leave(k, &t);
	return -1;
}

int
tokenkey_generate(struct tokenkey *k, const char *spec, struct err *err)
{
	struct p11_token t;
	int rc = -1;

	if (enter(k, true, &t, err) == 0 && log_in(k, &t, err) == 0)
		rc = p11_generate(k->module->p11, &t, &k->uri, spec, err);
	leave(k, &t);
	return rc;
}

int
tokenkey_destroy(struct tokenkey *k, struct err *err)
{
	struct p11_token t;
	int rc = -1;

	module_stop(k->module);
	if (enter(k, true, &t, err) == 0 && log_in(k, &t, err) == 0)
		rc = p11_destroy(k->module->p11, &t, &k->uri, err);
	leave(k, &t);
	return rc;
}

int
tokenkey_look(struct tokenkey *k, struct buf *spki, char warning[120],
    struct err *err)
{
	struct p11_token t;
	int rc = enter(k, false, &t, err);

	warning[0] = '\0';
	if (rc == 0 && (t.pin_locked || t.pin_last || t.pin_low))
		snprintf(warning, 120, "token %s: %s", t.label, t.pin_locked ?
		    "its pin is locked" : t.pin_last ?
		    "one more wrong pin locks it" :
		    "a wrong pin was tried last");
	if (rc == 0)
		rc = p11_public(k->module->p11, &t, &k->uri, spki, err);
	leave(k, &t);
	return rc;
}
