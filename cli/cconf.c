/*
 * countersign.conf to struct cconf: where a command finds database, signers
 * and folders.
 */
#include "cconf.h"

#include <stdlib.h>
#include <string.h>

/* libconfuse wants arrays that it may write to. */
static cfg_t *
read_file(const char *path, struct err *err)
{
	cfg_opt_t signer[] = {
		CFG_STR("endpoint", NULL, CFGF_NODEFAULT),
		CFG_STR("public-key", NULL, CFGF_NODEFAULT),
		CFG_STR("audit-key", NULL, CFGF_NODEFAULT),
		CFG_END()
	};
	cfg_opt_t airgap[] = {
		CFG_STR("key-file", NULL, CFGF_NODEFAULT),
		CFG_STR("peer-key", NULL, CFGF_NODEFAULT),
		CFG_END()
	};
	cfg_opt_t opts[] = {
		CFG_STR("database", NULL, CFGF_NODEFAULT),
		CFG_STR("admin-database", NULL, CFGF_NODEFAULT),
		CFG_STR("policy", NULL, CFGF_NODEFAULT),
		CFG_STR("ca-dir", NULL, CFGF_NODEFAULT),
		CFG_STR("sql-dir", NULL, CFGF_NODEFAULT),
		CFG_STR("key-file", NULL, CFGF_NODEFAULT),
		CFG_STR_LIST("ledger", NULL, CFGF_NODEFAULT),
		CFG_SEC("airgap", airgap, CFGF_NODEFAULT),
		CFG_SEC("signer", signer, CFGF_MULTI | CFGF_TITLE |
		    CFGF_NO_TITLE_DUPES),
		CFG_END()
	};

	return conf_file(path, opts, err);
}

static int
read_signers(cfg_t *cfg, struct cconf *c, struct err *err)
{
	struct cconf_signer *s;
	unsigned i;
	cfg_t *sec;

	c->signers = xcalloc(cfg_size(cfg, "signer") + 1, sizeof *c->signers);
	for (i = 0; i < cfg_size(cfg, "signer"); i++) {
		sec = cfg_getnsec(cfg, "signer", i);
		s = &c->signers[c->nsigners++];
		s->name = xstrdup(cfg_title(sec));
		if (conf_need(sec, "endpoint", &s->at.uri, err) != 0)
			return -1;
		s->at.server_key = conf_optional(sec, "public-key");
		s->audit_key = conf_optional(sec, "audit-key");
		if (s->at.server_key == NULL &&
		    strncmp(s->at.uri, "tcp://", 6) == 0)
			return err_set(err, ERR_MALFORMED,
			    "%s: signer %s: tcp:// needs a public-key",
			    c->path, s->name);
	}
	return 0;
}

/*
 * What only some commands need is optional: a publisher's host has no keys,
 * no policy and no signers.
 */
struct cconf *
cconf_load(const char *path, struct err *err)
{
	struct cconf *c;
	cfg_t *cfg, *sec;

	if ((cfg = read_file(path, err)) == NULL)
		return NULL;
	c = xcalloc(1, sizeof *c);
	c->path = xstrdup(path);
	c->admin_database = conf_optional(cfg, "admin-database");
	c->key_file = conf_optional(cfg, "key-file");
	conf_list(cfg, "ledger", &c->ledgers);
	if (cfg_size(cfg, "airgap") > 0) {
		sec = cfg_getsec(cfg, "airgap");
		c->airgap_key = conf_optional(sec, "key-file");
		c->airgap_peer = conf_optional(sec, "peer-key");
	}
	c->policy = conf_optional(cfg, "policy");
	if (conf_need(cfg, "database", &c->database, err) != 0 ||
	    conf_need(cfg, "ca-dir", &c->ca_dir, err) != 0 ||
	    conf_need(cfg, "sql-dir", &c->sql_dir, err) != 0 ||
	    read_signers(cfg, c, err) != 0) {
		cconf_free(c);
		c = NULL;
	}
	cfg_free(cfg);
	return c;
}

void
cconf_free(struct cconf *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nsigners; i++) {
		free(c->signers[i].name);
		free(c->signers[i].at.uri);
		free(c->signers[i].at.server_key);
		free(c->signers[i].audit_key);
	}
	free(c->signers);
	strlist_free(&c->ledgers);
	free(c->airgap_key);
	free(c->airgap_peer);
	free(c->path);
	free(c->database);
	free(c->admin_database);
	free(c->policy);
	free(c->ca_dir);
	free(c->sql_dir);
	free(c->key_file);
	free(c);
}
