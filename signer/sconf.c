#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "sconf.h"

/* A title goes into log lines, rows and the ledger. */
static int
check_name(const char *what, const char *s, struct err *err)
{
	size_t n = strlen(s);

	if (n == 0 || n > 63)
		return err_set(err, ERR_INTERNAL,
		    "%s: name must have 1 to 63 bytes", what);
	if (strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789._ -") != n)
		return err_set(err, ERR_INTERNAL,
		    "%s \"%s\": only letters, digits, \"._-\" and blank", what,
		    s);
	return 0;
}

static char *
optional(cfg_t *cfg, const char *opt)
{
	const char *s = cfg_getstr(cfg, opt);

	return s == NULL ? NULL : xstrdup(s);
}

static int
take_workers(struct sconf *c, cfg_t *cfg, bool tcp, struct err *err)
{
	cfg_t *sec;
	size_t i, n = cfg_size(cfg, "worker");
	struct link_peer *p;

	c->peers = xcalloc(n + 1, sizeof(*c->peers));
	c->operators = xcalloc(n + 1, sizeof(*c->operators));
	for (i = 0; i < n; i++) {
		sec = cfg_getnsec(cfg, "worker", (unsigned)i);
		p = &c->peers[c->npeers];
		p->name = xstrdup(cfg_title(sec));
		p->public_key = optional(sec, "public-key");
		c->operators[c->npeers++] = cfg_getbool(sec, "operator");
		if (check_name("worker", p->name, err) == -1)
			return -1;
		if (tcp && p->public_key == NULL)
			return err_set(err, ERR_INTERNAL,
			    "worker %s: no public-key", p->name);
		if (p->public_key != NULL && strlen(p->public_key) != 40)
			return err_set(err, ERR_INTERNAL,
			    "worker %s: public-key must have 40 characters",
			    p->name);
	}
	/* CURVE alone lets any key in. */
	if (tcp && n == 0)
		return err_set(err, ERR_INTERNAL,
		    "tcp:// needs at least one worker in the allow-list");
	return 0;
}

static int
take_cas(struct sconf *c, cfg_t *cfg, struct err *err)
{
	cfg_t *sec;
	size_t i, n = cfg_size(cfg, "ca");
	struct sconf_ca *ca;

	if (n == 0)
		return err_set(err, ERR_INTERNAL, "no ca section");
	c->cas = xcalloc(n, sizeof(*c->cas));
	for (i = 0; i < n; i++) {
		sec = cfg_getnsec(cfg, "ca", (unsigned)i);
		ca = &c->cas[c->ncas++];
		ca->name = xstrdup(cfg_title(sec));
		ca->chain = optional(sec, "chain");
		if (check_name("ca", ca->name, err) == -1 ||
		    conf_need(sec, "certificate", &ca->certificate,
		    err) == -1 ||
		    conf_need(sec, "key", &ca->key, err) == -1 ||
		    conf_need(sec, "passphrase-file", &ca->passphrase,
		    err) == -1)
			return -1;
	}
	return 0;
}

static int
take(struct sconf *c, cfg_t *cfg, struct err *err)
{
	bool tcp;

	if (conf_need(cfg, "name", &c->name, err) == -1 ||
	    check_name("signer", c->name, err) == -1 ||
	    conf_need(cfg, "listen", &c->listen, err) == -1 ||
	    conf_need(cfg, "database", &c->database, err) == -1 ||
	    conf_need(cfg, "policy", &c->policy, err) == -1 ||
	    conf_need(cfg, "ledger", &c->ledger, err) == -1)
		return -1;
	c->key_file = optional(cfg, "key-file");
	tcp = strncmp(c->listen, "tcp://", 6) == 0;
	if (!tcp && strncmp(c->listen, "ipc://", 6) != 0)
		return err_set(err, ERR_INTERNAL,
		    "listen \"%s\": must be tcp:// or ipc://", c->listen);
	if (tcp && c->key_file == NULL)
		return err_set(err, ERR_INTERNAL, "tcp:// needs key-file");
	if (take_workers(c, cfg, tcp, err) == -1)
		return -1;
	return take_cas(c, cfg, err);
}

struct sconf *
sconf_load(const char *path, struct err *err)
{
	cfg_opt_t worker[] = {
		CFG_STR("public-key", NULL, CFGF_NONE),
		CFG_BOOL("operator", cfg_false, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t ca[] = {
		CFG_STR("certificate", NULL, CFGF_NONE),
		CFG_STR("chain", NULL, CFGF_NONE),
		CFG_STR("key", NULL, CFGF_NONE),
		CFG_STR("passphrase-file", NULL, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t opts[] = {
		CFG_STR("name", NULL, CFGF_NONE),
		CFG_STR("listen", NULL, CFGF_NONE),
		CFG_STR("key-file", NULL, CFGF_NONE),
		CFG_STR("database", NULL, CFGF_NONE),
		CFG_STR("policy", NULL, CFGF_NONE),
		CFG_STR("ledger", NULL, CFGF_NONE),
		CFG_SEC("worker", worker, CFGF_MULTI | CFGF_TITLE |
		    CFGF_NO_TITLE_DUPES),
		CFG_SEC("ca", ca, CFGF_MULTI | CFGF_TITLE |
		    CFGF_NO_TITLE_DUPES),
		CFG_END()
	};
	struct sconf *c;
	cfg_t *cfg;
	int rc;

	if ((cfg = conf_file(path, opts, err)) == NULL)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	rc = take(c, cfg, err);
	cfg_free(cfg);
	if (rc == 0)
		return c;
	sconf_free(c);
	return NULL;
}

void
sconf_free(struct sconf *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->npeers; i++) {
		free(c->peers[i].name);
		free(c->peers[i].public_key);
	}
	for (i = 0; i < c->ncas; i++) {
		free(c->cas[i].name);
		free(c->cas[i].certificate);
		free(c->cas[i].chain);
		free(c->cas[i].key);
		free(c->cas[i].passphrase);
	}
	free(c->peers);
	free(c->operators);
	free(c->cas);
	free(c->name);
	free(c->listen);
	free(c->key_file);
	free(c->database);
	free(c->policy);
	free(c->ledger);
	free(c);
}

bool
sconf_peer(const struct sconf *c, const char *worker, bool *is_operator)
{
	size_t i;

	*is_operator = false;
	for (i = 0; i < c->npeers; i++) {
		if (strcmp(c->peers[i].name, worker) != 0)
			continue;
		*is_operator = c->operators[i];
		return true;
	}
	return c->npeers == 0 && strcmp(worker, "local") == 0;
}
