/*
 * signer.conf to struct sconf: read at start, and by "countersign doctor".
 * Who may ask for what (sconf_peer) stands here and in no database.
 */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "p11uri.h"
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

static int
take_workers(struct sconf *c, cfg_t *cfg, bool tcp, struct err *err)
{
	cfg_t *sec;
	size_t i, n = cfg_size(cfg, "worker");
	struct sconf_right *r;
	struct link_peer *p;

	c->peers = xcalloc(n + 1, sizeof(*c->peers));
	c->rights = xcalloc(n + 1, sizeof(*c->rights));
	for (i = 0; i < n; i++) {
		sec = cfg_getnsec(cfg, "worker", (unsigned)i);
		p = &c->peers[c->npeers];
		p->name = xstrdup(cfg_title(sec));
		p->public_key = conf_optional(sec, "public-key");
		r = &c->rights[c->npeers++];
		r->operator = cfg_getbool(sec, "operator");
		conf_list(sec, "templates", &r->templates);
		r->any = strlist_has(&r->templates, "*");
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

/* The one kind of key has options that mean nothing for the other. */
static int
take_key(struct sconf_ca *ca, cfg_t *sec, struct err *err)
{
	static const char *const file[] = { "passphrase-file", NULL };
	static const char *const token[] = { "module", "pin-file",
	    "exchange-secret-file", NULL };
	struct p11uri uri;
	bool in_token;
	size_t i;
	int rc;

	if (ca->airgap && cfg_getstr(sec, "key") != NULL)
		return err_set(err, ERR_INTERNAL, "ca %s: airgap, and a key "
		    "here", ca->name);
	if (ca->airgap)
		return 0;
	if (conf_need(sec, "key", &ca->key, err) == -1)
		return -1;
	in_token = p11uri_is(ca->key);
	for (i = 0; (in_token ? file : token)[i] != NULL; i++) {
		if (cfg_getstr(sec, (in_token ? file : token)[i]) != NULL)
			return err_set(err, ERR_INTERNAL, "ca %s: %s is for "
			    "a key in a %s", ca->name, (in_token ? file :
			    token)[i], in_token ? "file" : "token");
	}
	if (!in_token)
		return conf_need(sec, "passphrase-file", &ca->passphrase,
		    err);
	ca->exchange_secret = conf_optional(sec, "exchange-secret-file");
	if (conf_need(sec, "module", &ca->module, err) == -1 ||
	    conf_need(sec, "pin-file", &ca->pin_file, err) == -1)
		return -1;
	rc = p11uri_parse(ca->key, &uri, err);
	p11uri_free(&uri);
	return rc;
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
		ca->chain = conf_optional(sec, "chain");
		ca->of = conf_optional(sec, "of");
		if (ca->of == NULL)
			ca->of = xstrdup(ca->name);
		ca->airgap = cfg_getbool(sec, "airgap");
		ca->in_use = cfg_getbool(sec, "in-use");
		ca->also = conf_optional(sec, "also");
		if (check_name("ca", ca->name, err) == -1 ||
		    check_name("of", ca->of, err) == -1 ||
		    conf_need(sec, "certificate", &ca->certificate,
		    err) == -1 || take_key(ca, sec, err) == -1)
			return -1;
	}
	return 0;
}

/*
 * Elsewhere the database says which key of a CA signs, and what answers carry
 * besides; a vault has nobody else to ask.
 */
static int
check_in_use(struct sconf *c, size_t i, struct err *err)
{
	struct sconf_ca *ca = &c->cas[i];
	size_t k, keys = 0, used = 0;

	if (c->vault == NULL)
		return !ca->in_use && ca->also == NULL ? 0 : err_set(err,
		    ERR_INTERNAL, "ca %s: in-use and also are for the vault "
		    "of an air gap", ca->name);
	for (k = 0; k < c->ncas; k++) {
		if (strcmp(c->cas[k].of, ca->of) != 0)
			continue;
		keys++;
		used += c->cas[k].in_use;
	}
	if (keys == 1)
		ca->in_use = true;
	else if (used != 1)
		return err_set(err, ERR_INTERNAL, "ca %s: has %zu keys here: "
		    "one of them must say in-use = true", ca->of, keys);
	return 0;
}

static int
take_ledger(struct sconf *c, cfg_t *cfg, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t segment;

	c->audit_key = conf_optional(cfg, "audit-key");
	c->head_file = conf_optional(cfg, "head-file");
	c->head_syslog = cfg_getbool(cfg, "head-syslog");
	c->head_entries = cfg_getint(cfg, "head-entries");
	if (conf_duration(cfg_getstr(cfg, "head-interval"),
	    &c->head_interval, &why) == -1)
		return err_set(err, ERR_INTERNAL, "head-interval: %s",
		    why.text);
	segment = cfg_getint(cfg, "ledger-segment");
	if (segment < 1 || segment > 1024 * 1024)
		return err_set(err, ERR_INTERNAL, "ledger-segment must be 1 to "
		    "1048576 (MiB)");
	c->ledger_segment = segment * 1024 * 1024;
	if (c->head_entries < 1 || c->head_entries > 1000000 ||
	    c->head_interval < 1 || c->head_interval > 86400)
		return err_set(err, ERR_INTERNAL, "head-entries must be 1 to "
		    "1000000, head-interval 1s to 1d");
	if (c->audit_key == NULL && (c->head_file != NULL || c->head_syslog))
		return err_set(err, ERR_INTERNAL,
		    "head-file and head-syslog need audit-key");
	return 0;
}

/* Such a host has the keys, and no way to it. */
static int
take_vault(struct sconf *c, cfg_t *cfg, struct err *err)
{
	struct sconf_vault *v = c->vault = xcalloc(1, sizeof(*v));
	cfg_t *sec = cfg_getsec(cfg, "airgap");
	long prefix = cfg_getint(sec, "prefix");

	if (cfg_getstr(cfg, "listen") != NULL ||
	    cfg_getstr(cfg, "database") != NULL || cfg_size(cfg, "worker") > 0)
		return err_set(err, ERR_INTERNAL, "airgap: this host has "
		    "neither listen nor database nor workers");
	if (conf_need(sec, "key-file", &v->key_file, err) == -1 ||
	    conf_need(sec, "peer-key", &v->peer_key, err) == -1 ||
	    conf_need(sec, "state", &v->state, err) == -1)
		return -1;
	if (prefix < 1 || prefix > UINT16_MAX)
		return err_set(err, ERR_INTERNAL, "airgap: prefix must be "
		    "what \"countersign airgap init\" printed");
	v->prefix = (uint16_t)prefix;
	v->blocked = conf_optional(sec, "blocked-keys");
	return 0;
}

/* How workers reach a signer, and the signer its database. */
static int
take_link(struct sconf *c, cfg_t *cfg, struct err *err)
{
	bool tcp;

	if (conf_need(cfg, "listen", &c->listen, err) == -1 ||
	    conf_need(cfg, "database", &c->database, err) == -1)
		return -1;
	c->key_file = conf_optional(cfg, "key-file");
	c->metrics_file = conf_optional(cfg, "metrics-file");
	tcp = strncmp(c->listen, "tcp://", 6) == 0;
	if (!tcp && strncmp(c->listen, "ipc://", 6) != 0)
		return err_set(err, ERR_INTERNAL,
		    "listen \"%s\": must be tcp:// or ipc://", c->listen);
	if (tcp && c->key_file == NULL)
		return err_set(err, ERR_INTERNAL, "tcp:// needs key-file");
	if (take_ledger(c, cfg, err) == -1)
		return -1;
	return take_workers(c, cfg, tcp, err);
}

static int
take(struct sconf *c, cfg_t *cfg, struct err *err)
{
	struct err why = ERR_INIT;
	size_t i;

	if (conf_need(cfg, "name", &c->name, err) == -1 ||
	    check_name("signer", c->name, err) == -1 ||
	    conf_need(cfg, "policy", &c->policy, err) == -1 ||
	    conf_need(cfg, "ledger", &c->ledger, err) == -1)
		return -1;
	if (conf_duration(cfg_getstr(cfg, "token-timeout"),
	    &c->token_timeout, &why) == -1)
		return err_set(err, ERR_INTERNAL, "token-timeout: %s",
		    why.text);
	if (c->token_timeout < 1 || c->token_timeout > 600)
		return err_set(err, ERR_INTERNAL, "token-timeout must be 1s "
		    "to 10m");
	if (cfg_size(cfg, "airgap") == 0) {
		if (take_link(c, cfg, err) == -1)
			return -1;
	} else if (take_vault(c, cfg, err) == -1)
		return -1;
	if (take_cas(c, cfg, err) == -1)
		return -1;
	for (i = 0; i < c->ncas; i++)
		if (check_in_use(c, i, err) == -1)
			return -1;
	return 0;
}

struct sconf *
sconf_load(const char *path, struct err *err)
{
	cfg_opt_t worker[] = {
		CFG_STR("public-key", NULL, CFGF_NONE),
		CFG_BOOL("operator", cfg_false, CFGF_NONE),
		CFG_STR_LIST("templates", "{\"*\"}", CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t ca[] = {
		CFG_STR("certificate", NULL, CFGF_NONE),
		CFG_STR("chain", NULL, CFGF_NONE),
		CFG_STR("of", NULL, CFGF_NONE),
		CFG_STR("key", NULL, CFGF_NONE),
		CFG_STR("passphrase-file", NULL, CFGF_NONE),
		CFG_STR("module", NULL, CFGF_NONE),
		CFG_STR("pin-file", NULL, CFGF_NONE),
		CFG_STR("exchange-secret-file", NULL, CFGF_NONE),
		CFG_BOOL("airgap", cfg_false, CFGF_NONE),
		CFG_BOOL("in-use", cfg_false, CFGF_NONE),
		CFG_STR("also", NULL, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t vault[] = {
		CFG_STR("key-file", NULL, CFGF_NONE),
		CFG_STR("peer-key", NULL, CFGF_NONE),
		CFG_STR("state", NULL, CFGF_NONE),
		CFG_STR("blocked-keys", NULL, CFGF_NONE),
		CFG_INT("prefix", 0, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t opts[] = {
		CFG_STR("name", NULL, CFGF_NONE),
		CFG_STR("listen", NULL, CFGF_NONE),
		CFG_STR("key-file", NULL, CFGF_NONE),
		CFG_STR("database", NULL, CFGF_NONE),
		CFG_STR("policy", NULL, CFGF_NONE),
		CFG_STR("ledger", NULL, CFGF_NONE),
		CFG_INT("ledger-segment", 256, CFGF_NONE),
		CFG_STR("metrics-file", NULL, CFGF_NONE),
		CFG_STR("audit-key", NULL, CFGF_NONE),
		CFG_STR("head-file", NULL, CFGF_NONE),
		CFG_BOOL("head-syslog", cfg_false, CFGF_NONE),
		CFG_INT("head-entries", 10000, CFGF_NONE),
		CFG_STR("head-interval", "60s", CFGF_NONE),
		CFG_STR("token-timeout", "30s", CFGF_NONE),
		CFG_SEC("airgap", vault, CFGF_NODEFAULT),
		CFG_SEC("worker", worker, CFGF_MULTI | CFGF_TITLE |
		    CFGF_NO_TITLE_DUPES),
		CFG_SEC("ca", ca, CFGF_MULTI | CFGF_TITLE |
		    CFGF_NO_TITLE_DUPES),
		CFG_END()
	};
	struct err why = ERR_INIT;
	struct sconf *c;
	cfg_t *cfg;
	int rc;

	if ((cfg = conf_file(path, opts, err)) == NULL)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	rc = take(c, cfg, &why);
	cfg_free(cfg);
	if (rc == 0)
		return c;
	conf_fault(path, &why, err);
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
		strlist_free(&c->rights[i].templates);
	}
	for (i = 0; i < c->ncas; i++) {
		free(c->cas[i].name);
		free(c->cas[i].of);
		free(c->cas[i].certificate);
		free(c->cas[i].chain);
		free(c->cas[i].key);
		free(c->cas[i].passphrase);
		free(c->cas[i].module);
		free(c->cas[i].pin_file);
		free(c->cas[i].exchange_secret);
		free(c->cas[i].also);
	}
	if (c->vault != NULL) {
		free(c->vault->key_file);
		free(c->vault->peer_key);
		free(c->vault->state);
		free(c->vault->blocked);
		free(c->vault);
	}
	free(c->peers);
	free(c->rights);
	free(c->cas);
	free(c->name);
	free(c->listen);
	free(c->key_file);
	free(c->database);
	free(c->policy);
	free(c->metrics_file);
	free(c->ledger);
	free(c->audit_key);
	free(c->head_file);
	free(c);
}

const struct sconf_right *
sconf_peer(const struct sconf *c, const char *worker)
{
	static const struct sconf_right local = { .any = true };
	size_t i;

	for (i = 0; i < c->npeers; i++)
		if (strcmp(c->peers[i].name, worker) == 0)
			return &c->rights[i];
	return c->npeers == 0 && strcmp(worker, "local") == 0 ? &local : NULL;
}

bool
sconf_right_to(const struct sconf_right *r, const char *template_name)
{
	return r->any || strlist_has(&r->templates, template_name);
}
