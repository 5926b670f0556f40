/* worker.conf to struct wconf: read by main.c, and by "countersign doctor". */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf.h"
#include "wconf.h"

#define ID_MAX	0xfffffffeul

/* A name or a number. */
static int
read_id(const char *s, unsigned long *out)
{
	char	*end;

	if (*s < '0' || *s > '9')
		return -1;
	errno = 0;
	*out = strtoul(s, &end, 10);
	return errno != 0 || *end != '\0' || *out > ID_MAX ? -1 : 0;
}

static int
take_peers(struct wconf *c, cfg_t *cfg, struct err *err)
{
	struct passwd	*pw;
	const char	*s;
	unsigned long	 id;
	size_t		 i, n = cfg_size(cfg, "peer");

	if (n == 0 || n > WCONF_PEERS)
		return err_bad(err, 0, "peer: 1 to %d users, not %zu",
		    WCONF_PEERS, n);
	for (i = 0; i < n; i++) {
		s = cfg_getnstr(cfg, "peer", (unsigned)i);
		if (read_id(s, &id) == 0)
			c->peer[c->npeers++] = (uid_t)id;
		else if ((pw = getpwnam(s)) != NULL)
			c->peer[c->npeers++] = pw->pw_uid;
		else
			return err_bad(err, 0, "peer: no user %s", s);
	}
	return 0;
}

static int
take_group(struct wconf *c, cfg_t *cfg, struct err *err)
{
	const char	*s = cfg_getstr(cfg, "socket-group");
	struct group	*gr;
	unsigned long	 id;

	c->group = (gid_t)-1;
	if (s == NULL)
		return 0;
	if (read_id(s, &id) == 0)
		c->group = (gid_t)id;
	else if ((gr = getgrnam(s)) != NULL)
		c->group = gr->gr_gid;
	else
		return err_bad(err, 0, "socket-group: no group %s", s);
	return 0;
}

static int
take_socket(struct wconf *c, cfg_t *cfg, struct err *err)
{
	const char		*mode = cfg_getstr(cfg, "socket-mode");
	struct sockaddr_un	 sun;
	char			*end;
	unsigned long		 v;

	if (conf_need(cfg, "socket", &c->socket, err) == -1)
		return -1;
	/* 12 bytes for the name it has while it is being made. */
	if (c->socket[0] != '/' ||
	    strlen(c->socket) + 12 >= sizeof(sun.sun_path))
		return err_bad(err, 0, "socket: must be an absolute path of "
		    "at most %zu bytes", sizeof(sun.sun_path) - 13);
	v = strtoul(mode, &end, 8);
	if (*mode == '\0' || *end != '\0' || v == 0 || v > 0777)
		return err_bad(err, 0, "socket-mode: %s is no mode", mode);
	c->mode = (mode_t)v;
	return take_group(c, cfg, err);
}

static int
take_number(cfg_t *cfg, const char *opt, long min, long max, long *out,
    struct err *err)
{
	*out = cfg_getint(cfg, opt);
	if (*out < min || *out > max)
		return err_bad(err, 0, "%s: %ld is not within %ld and %ld",
		    opt, *out, min, max);
	return 0;
}

static int
take_numbers(struct wconf *c, cfg_t *cfg, struct err *err)
{
	long	processes, threads, try, total;

	if (take_number(cfg, "processes", 1, 64, &processes, err) == -1 ||
	    take_number(cfg, "threads", 1, 128, &threads, err) == -1 ||
	    take_number(cfg, "try-ms", 50, 60000, &try, err) == -1 ||
	    take_number(cfg, "total-ms", try, 120000, &total, err) == -1)
		return -1;
	c->processes = (unsigned)processes;
	c->threads = (unsigned)threads;
	c->try_ms = (int)try;
	c->total_ms = (int)total;
	return 0;
}

static int
take_signers(struct wconf *c, cfg_t *cfg, struct err *err)
{
	cfg_t			*sec;
	struct link_endpoint	*e;
	size_t			 i, n = cfg_size(cfg, "signer");

	if (n == 0)
		return err_bad(err, 0, "no signer section");
	c->signers = xcalloc(n, sizeof(*c->signers));
	for (i = 0; i < n; i++) {
		sec = cfg_getnsec(cfg, "signer", (unsigned)i);
		e = &c->signers[c->nsigners++];
		if (conf_need(sec, "endpoint", &e->uri, err) == -1)
			return -1;
		e->server_key = conf_optional(sec, "public-key");
		if (strncmp(e->uri, "tcp://", 6) == 0 &&
		    (e->server_key == NULL || c->key_file == NULL))
			return err_bad(err, 0, "signer \"%s\": tcp:// needs "
			    "public-key and key-file", cfg_title(sec));
	}
	return 0;
}

/* What stands behind the "@" of a principal, and nothing that ends it. */
static int
take_realms(struct wconf_kerberos *k, cfg_t *sec, struct err *err)
{
	const char	*s;
	size_t		 i;

	conf_list(sec, "realm", &k->realms);
	for (i = 0; i < k->realms.n; i++) {
		s = k->realms.v[i];
		if (*s == '\0' || strpbrk(s, "@/\\: ") != NULL)
			return err_bad(err, 0, "kerberos: realm: \"%.80s\" "
			    "is no name of a realm", s);
	}
	return 0;
}

int
wconf_binding(const char *what, const char *word, enum wconf_binding *out,
    struct err *err)
{
	static const char *const	words[] = {
		[BINDING_REQUIRE] = "require",
		[BINDING_WHEN_OFFERED] = "when-offered",
		[BINDING_OFF] = "off"
	};
	size_t				 i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum wconf_binding)i;
			return 0;
		}
	}
	return err_bad(err, 0, "%s: require, when-offered or off, not "
	    "\"%.40s\"", what, word);
}

static int
take_binding(struct wconf_kerberos *k, cfg_t *sec, struct err *err)
{
	if (wconf_binding("kerberos: channel-binding", cfg_getstr(sec,
	    "channel-binding"), &k->binding, err) == -1)
		return -1;
	conf_list(sec, "certificate", &k->certificates);
	if (k->certificates.n > WCONF_CERTIFICATES)
		return err_bad(err, 0, "kerberos: certificate: at most %d, "
		    "not %zu", WCONF_CERTIFICATES, k->certificates.n);
	if (k->binding != BINDING_OFF && k->certificates.n == 0)
		return err_bad(err, 0, "kerberos: certificate: missing; name "
		    "what nginx has as ssl_certificate, or set "
		    "channel-binding = off");
	return 0;
}

static int
take_sid(struct wconf_kerberos *k, cfg_t *sec, struct err *err)
{
	const char	*s = cfg_getstr(sec, "sid");

	k->need_sid = strcmp(s, "require") == 0;
	return k->need_sid || strcmp(s, "when-known") == 0 ? 0 :
	    err_bad(err, 0, "kerberos: sid: require or when-known, not "
	    "\"%.40s\"", s);
}

static int
take_kerberos(struct wconf *c, cfg_t *cfg, struct err *err)
{
	cfg_t			*sec;
	struct wconf_kerberos	*k;

	if (cfg_size(cfg, "kerberos") == 0)
		return 0;
	sec = cfg_getnsec(cfg, "kerberos", 0);
	k = c->kerberos = xcalloc(1, sizeof(*k));
	if (conf_need(sec, "keytab", &k->keytab, err) == -1 ||
	    take_realms(k, sec, err) == -1 ||
	    take_sid(k, sec, err) == -1 ||
	    take_binding(k, sec, err) == -1)
		return -1;
	k->replay_cache = conf_optional(sec, "replay-cache");
	if (k->replay_cache == NULL)	/* the socket's folder */
		k->replay_cache = xstrndup(c->socket,
		    (size_t)(strrchr(c->socket, '/') - c->socket));
	return 0;
}

static int
take(struct wconf *c, cfg_t *cfg, struct err *err)
{
	if (take_socket(c, cfg, err) == -1 ||
	    take_peers(c, cfg, err) == -1 ||
	    take_numbers(c, cfg, err) == -1 ||
	    conf_need(cfg, "database", &c->database, err) == -1)
		return -1;
	c->key_file = conf_optional(cfg, "key-file");
	c->metrics_folder = conf_optional(cfg, "metrics-folder");
	return take_signers(c, cfg, err) == -1 ? -1 :
	    take_kerberos(c, cfg, err);
}

struct wconf *
wconf_load(const char *path, struct err *err)
{
	cfg_opt_t	 signer[] = {
		CFG_STR("endpoint", NULL, CFGF_NONE),
		CFG_STR("public-key", NULL, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t	 kerberos[] = {
		CFG_STR("keytab", NULL, CFGF_NONE),
		CFG_STR_LIST("realm", "{}", CFGF_NONE),
		CFG_STR_LIST("certificate", "{}", CFGF_NONE),
		CFG_STR("channel-binding", "require", CFGF_NONE),
		CFG_STR("sid", "when-known", CFGF_NONE),
		CFG_STR("replay-cache", NULL, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t	 opts[] = {
		CFG_STR("socket", NULL, CFGF_NONE),
		CFG_STR("socket-mode", "0660", CFGF_NONE),
		CFG_STR("socket-group", NULL, CFGF_NONE),
		CFG_STR_LIST("peer", "{www-data}", CFGF_NONE),
		CFG_INT("processes", 2, CFGF_NONE),
		CFG_INT("threads", 16, CFGF_NONE),
		CFG_STR("database", NULL, CFGF_NONE),
		CFG_STR("key-file", NULL, CFGF_NONE),
		CFG_STR("metrics-folder", NULL, CFGF_NONE),
		CFG_SEC("signer", signer, CFGF_MULTI | CFGF_TITLE),
		CFG_SEC("kerberos", kerberos, CFGF_NODEFAULT),
		CFG_INT("try-ms", 2000, CFGF_NONE),
		CFG_INT("total-ms", 10000, CFGF_NONE),
		CFG_END()
	};
	struct err	 why = ERR_INIT;
	struct wconf	*c;
	cfg_t		*cfg;

	cfg = conf_file(path, opts, err);
	if (cfg == NULL)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	if (take(c, cfg, &why) == -1) {
		conf_fault(path, &why, err);
		wconf_free(c);
		c = NULL;
	}
	cfg_free(cfg);
	return c;
}

static void
kerberos_conf_free(struct wconf_kerberos *k)
{
	if (k == NULL)
		return;
	strlist_free(&k->realms);
	strlist_free(&k->certificates);
	free(k->keytab);
	free(k->replay_cache);
	free(k);
}

void
wconf_free(struct wconf *c)
{
	size_t	i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nsigners; i++) {
		free(c->signers[i].uri);
		free(c->signers[i].server_key);
	}
	free(c->signers);
	kerberos_conf_free(c->kerberos);
	free(c->socket);
	free(c->database);
	free(c->key_file);
	free(c->metrics_folder);
	free(c);
}
