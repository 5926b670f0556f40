/*
 * A new deployment in one folder: keys for the links, folders, and the
 * configuration files of all programs with each other's public keys in them.
 */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "file.h"
#include "fill.h"
#include "p11uri.h"
#include "wconf.h"

#define SIGNERS_MAX	16

const struct opt opts_init[] = {
	{ "host", "NAME", "host name of the service, as clients type it",
	    false },
	{ "https-port", "N", "port of the service (default 443)", false },
	{ "cert-port", "N", "port for client certificates (default 8443)",
	    false },
	{ "http-port", "N", "port for CA certificates (default 80)", false },
	{ "signer-port", "N", "port of the first signer, the next has the "
	    "next (default 7001)", false },
	{ "signers", "N", "signers on this host (default 1)", false },
	{ "processes", "N", "worker processes (default 2)", false },
	{ "threads", "N", "threads of each (default 16)", false },
	{ "dsn-host", "HOST", "host or socket folder of PostgreSQL "
	    "(default /var/run/postgresql)", false },
	{ "dsn-port", "N", "its port (default 5432)", false },
	{ "db-name", "NAME", "its database (default countersign)", false },
	{ "db-owner", "ROLE", "role that owns the tables "
	    "(default countersign_owner)", false },
	{ "ca", "NAME", "the CA the signers will have (default Demo-CA)",
	    false },
	{ "token", "URI", "the key of that CA is or will be in a PKCS#11 "
	    "token: pkcs11:token=T;object=NAME (needs --module, --pin-file)",
	    false },
	{ "module", "FILE", "PKCS#11 module of the token", false },
	{ "pin-file", "FILE", "file with the token's PIN", false },
	{ "kerberos-keytab", "FILE", "clients log on with Kerberos: keys of "
	    "HTTP/NAME on the worker's host", false },
	{ "kerberos-certificate", "FILE", "PEM of the certificate that nginx "
	    "will show them there", false },
	{ "kerberos-realm", "REALM", "only principals of this one: may be "
	    "repeated (default: the realms in the keytab)", true },
	{ "kerberos-binding", "HOW", "channel binding: require (default), "
	    "when-offered or off", false },
	{ "socket", "FILE", "where the worker listens "
	    "(default DIR/run/worker.sock)", false },
	{ "peer", "USER", "who runs nginx: may be repeated (default: "
	    "www-data, or whoever runs this without being root)", true },
	{ "sql-dir", "DIR", "migrations (default: beside the program)",
	    false },
	{ "policy-template", "FILE", "policy to fill in (default: beside the "
	    "program)", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "file", OUT_TEXT }, { "what", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct plan {
	char		*dir;		/* absolute */
	const char	*host, *ca, *db_host, *db_name, *db_owner, *socket;
	const char	*token, *module, *pin_file;	/* all or none */
	const char	*keytab, *certificate, *binding;
	char		*sql_dir, *policy_template;
	int64_t		 https_port, cert_port, http_port, signer_port, db_port;
	int64_t		 signers, processes, threads;
	struct strlist	 peers, realms;
	struct link_keys worker, operator, signer[SIGNERS_MAX];
	char		 audit[SIGNERS_MAX][AUDIT_PUB_HEX + 1];
	struct out	*out;
};

/* Goes between double quotes, where \, " and ${ mean something. */
static int
check_text(const char *what, const char *s, struct err *err)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || strchr("\"\\$'", *p) != NULL)
			return err_set(err, ERR_MALFORMED, "%s: control "
			    "characters, quotes, \\ and $ are refused", what);
	if (p == s)
		return err_set(err, ERR_MALFORMED, "%s is empty", what);
	return 0;
}

static int
check_host(const char *s, struct err *err)
{
	size_t n = strlen(s);

	if (n == 0)
		return err_set(err, ERR_MALFORMED, "--host is required");
	if (n > 253 || strspn(s, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != n)
		return err_set(err, ERR_MALFORMED,
		    "--host: not a host name: %.80s", s);
	return 0;
}

static int
check_token(const struct plan *p, struct err *err)
{
	struct p11uri uri;
	int rc;

	if ((p->token == NULL) != (p->module == NULL) ||
	    (p->token == NULL) != (p->pin_file == NULL))
		return err_set(err, ERR_MALFORMED, "--token, --module and "
		    "--pin-file go together");
	if (p->token == NULL)
		return 0;
	rc = p11uri_parse(p->token, &uri, err);
	p11uri_free(&uri);
	return rc;
}

/* What clients bind to is known to the worker by this file alone. */
static int
check_kerberos(const struct plan *p, const struct args *a, struct err *err)
{
	enum wconf_binding how = BINDING_REQUIRE;

	if (p->keytab == NULL && (p->certificate != NULL ||
	    p->binding != NULL || args_has(a, "kerberos-realm")))
		return err_set(err, ERR_MALFORMED,
		    "--kerberos-... needs --kerberos-keytab");
	if (p->binding != NULL && wconf_binding("--kerberos-binding",
	    p->binding, &how, err) != 0)
		return -1;
	if (p->keytab != NULL && p->certificate == NULL &&
	    how != BINDING_OFF)
		return err_set(err, ERR_MALFORMED, "--kerberos-keytab needs "
		    "--kerberos-certificate");
	return 0;
}

static int
take_numbers(struct plan *p, const struct args *a, struct err *err)
{
	const struct {
		const char	*opt;
		int64_t		 dflt, min, max, *out;
	} num[] = {
		{ "https-port", 443, 1, 65535, &p->https_port },
		{ "cert-port", 8443, 1, 65535, &p->cert_port },
		{ "http-port", 80, 1, 65535, &p->http_port },
		{ "signer-port", 7001, 1, 65535 - SIGNERS_MAX,
		    &p->signer_port },
		{ "dsn-port", 5432, 1, 65535, &p->db_port },
		{ "signers", 1, 1, SIGNERS_MAX, &p->signers },
		{ "processes", 2, 1, 64, &p->processes },
		{ "threads", 16, 1, 256, &p->threads },
	};
	size_t i;

	for (i = 0; i < sizeof num / sizeof num[0]; i++) {
		*num[i].out = num[i].dflt;
		if (args_num(a, num[i].opt, num[i].min, num[i].max,
		    num[i].out, err) != 0)
			return -1;
	}
	return 0;
}

static const char *
get_or(const struct args *a, const char *opt, const char *dflt)
{
	const char *v = args_get(a, opt);

	return v != NULL ? v : dflt;
}

/* Every value that goes into a file is checked before the first is made. */
static int
take_texts(struct plan *p, const struct args *a, struct err *err)
{
	static const char *const checked[] = { "ca", "dsn-host", "db-name",
	    "db-owner", "socket", "peer", "sql-dir", "token", "module",
	    "pin-file", "kerberos-keytab", "kerberos-certificate",
	    "kerberos-realm" };
	size_t i, j;

	for (i = 0; i < a->nopt; i++)
		for (j = 0; j < sizeof checked / sizeof checked[0]; j++)
			if (strcmp(a->opt[i].name, checked[j]) == 0 &&
			    check_text(checked[j], a->opt[i].value, err) != 0)
				return -1;
	p->host = get_or(a, "host", "");
	p->ca = get_or(a, "ca", "Demo-CA");
	p->db_host = get_or(a, "dsn-host", "/var/run/postgresql");
	p->db_name = get_or(a, "db-name", "countersign");
	p->db_owner = get_or(a, "db-owner", "countersign_owner");
	p->socket = args_get(a, "socket");
	p->token = args_get(a, "token");
	p->module = args_get(a, "module");
	p->pin_file = args_get(a, "pin-file");
	p->keytab = args_get(a, "kerberos-keytab");
	p->certificate = args_get(a, "kerberos-certificate");
	p->binding = args_get(a, "kerberos-binding");
	if (check_token(p, err) != 0 || check_kerberos(p, a, err) != 0)
		return -1;
	return check_host(p->host, err);
}

/* nginx on Debian runs as www-data; whoever is not root runs his own. */
static void
take_files(struct plan *p, const struct args *a)
{
	const char *sql = args_get(a, "sql-dir");
	const char *policy = args_get(a, "policy-template");
	char uid[24];

	p->sql_dir = sql != NULL ? realpath(sql, NULL) :
	    fill_file("sql", "share/countersign/sql");
	if (p->sql_dir == NULL)
		p->sql_dir = xstrdup(sql != NULL ? sql :
		    "/usr/share/countersign/sql");
	p->policy_template = policy != NULL ? xstrdup(policy) :
	    fill_file("deploy/policy.conf.in",
	    "share/countersign/policy.conf.in");
	args_list(a, "kerberos-realm", &p->realms);
	args_list(a, "peer", &p->peers);
	if (p->peers.n > 0)
		return;
	snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
	strlist_add(&p->peers, getuid() == 0 ? "www-data" : uid);
}

/* One that is there is taken as it is: its owner may have set its mode. */
static int
make_folder(const char *path, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return err_set(err, ERR_DENIED, "%.120s: mkdir: %s", path,
	    strerror(errno));
}

static int
make_folders(struct plan *p, const char *dir, struct err *err)
{
	static const char *const sub[] = { "etc", "keys", "ca", "ledger",
	    "run" };
	char name[32], *path;
	int rc = make_folder(dir, err);
	size_t i;

	if (rc == 0 && (p->dir = realpath(dir, NULL)) == NULL)
		rc = err_set(err, ERR_DENIED, "%.120s: %s", dir,
		    strerror(errno));
	if (rc == 0)
		rc = check_text("the folder's name", p->dir, err);
	for (i = 0; rc == 0 && i < sizeof sub / sizeof sub[0]; i++) {
		path = file_path(p->dir, sub[i], "");
		rc = make_folder(path, err);
		free(path);
	}
	for (i = 1; rc == 0 && i <= (size_t)p->signers; i++) {
		snprintf(name, sizeof name, "ledger/signer-%zu", i);
		path = file_path(p->dir, name, "");
		rc = make_folder(path, err);
		free(path);
	}
	return rc;
}

/* The first file, and the last: nothing of an init before is written over. */
static int
check_new(const struct plan *p, struct err *err)
{
	char *first = file_path(p->dir, "keys/worker.key", "");
	char *last = file_path(p->dir, "etc/countersign.conf", "");
	int rc = 0;

	if (file_exists(last))
		rc = err_set(err, ERR_DENIED, "%.120s is there: init has made "
		    "this already, and another one needs another folder",
		    last);
	else if (file_exists(first))
		rc = err_set(err, ERR_DENIED, "%.100s is there and no "
		    "etc/countersign.conf: an init was cut short; remove the "
		    "folder and begin again", first);
	free(first);
	free(last);
	return rc;
}

/* A row of what is printed; always 0. */
static int
made(struct plan *p, const char *path, const char *what)
{
	out_add(p->out, path);
	out_add(p->out, what);
	return 0;
}

static int
make_key(struct plan *p, const char *name, struct link_keys *keys,
    struct err *err)
{
	struct buf path = { 0 };
	int rc;

	buf_printf(&path, "%s/keys/%s.key", p->dir, name);
	rc = link_keys_create(buf_str(&path), keys, err);
	if (rc == 0)
		rc = made(p, buf_str(&path), "curve key");
	buf_free(&path);
	return rc;
}

static int
make_audit_key(struct plan *p, int i, struct err *err)
{
	struct buf path = { 0 };
	int rc;

	buf_printf(&path, "%s/keys/signer-%d.audit", p->dir, i + 1);
	rc = audit_key_create(buf_str(&path), p->audit[i], err);
	if (rc == 0)
		rc = made(p, buf_str(&path), "audit key");
	buf_free(&path);
	return rc;
}

static int
make_keys(struct plan *p, struct err *err)
{
	char name[32];
	int64_t i;

	if (make_key(p, "worker", &p->worker, err) != 0 ||
	    make_key(p, "operator", &p->operator, err) != 0)
		return -1;
	for (i = 0; i < p->signers; i++) {
		snprintf(name, sizeof name, "signer-%d", (int)i + 1);
		if (make_key(p, name, &p->signer[i], err) != 0 ||
		    make_audit_key(p, (int)i, err) != 0)
			return -1;
	}
	return 0;
}

/* Over a network only with a server that proves who it is. */
static void
put_dsn(const struct plan *p, const char *opt, const char *role,
    struct buf *b)
{
	buf_printf(b, "%s = \"host='%s' port=%d dbname='%s' user='%s'%s\"\n",
	    opt, p->db_host, (int)p->db_port, p->db_name, role,
	    p->db_host[0] == '/' ? "" : " sslmode=verify-full");
}

/* Z85 may hold "${": single quotes, in which that means nothing. */
static void
put_signers(const struct plan *p, bool audit, struct buf *b)
{
	int64_t i;

	for (i = 0; i < p->signers; i++)
		buf_printf(b, "\nsigner \"signer-%d\" {\n"
		    "\tendpoint = \"tcp://127.0.0.1:%d\"\n"
		    "\tpublic-key = '%s'\n%s%s%s}\n", (int)i + 1,
		    (int)(p->signer_port + i), p->signer[i].pub,
		    audit ? "\taudit-key = \"" : "",
		    audit ? p->audit[i] : "", audit ? "\"\n" : "");
}

/* The buffer is used up. */
static int
write_conf(struct plan *p, const char *name, const char *what, struct buf *b,
    struct err *err)
{
	struct buf path = { 0 };
	int rc;

	buf_printf(&path, "%s/etc/%s", p->dir, name);
	rc = file_create(buf_str(&path), 0600, buf_slice(b), err);
	if (rc == 0)
		rc = made(p, buf_str(&path), what);
	buf_free(&path);
	buf_free(b);
	return rc;
}

static void
put_list(const char *opt, const struct strlist *l, struct buf *b)
{
	size_t i;

	buf_printf(b, "%s = {", opt);
	for (i = 0; i < l->n; i++)
		buf_printf(b, "%s\"%s\"", i == 0 ? "" : ", ", l->v[i]);
	buf_puts(b, "}\n");
}

static void
put_kerberos(const struct plan *p, struct buf *b)
{
	if (p->keytab == NULL)
		return;
	buf_printf(b, "\nkerberos {\n\tkeytab = \"%s\"\n", p->keytab);
	if (p->realms.n > 0) {
		buf_addc(b, '\t');
		put_list("realm", &p->realms, b);
	}
	if (p->certificate != NULL)
		buf_printf(b, "\tcertificate = {\"%s\"}\n",
		    p->certificate);
	if (p->binding != NULL)
		buf_printf(b, "\tchannel-binding = \"%s\"\n", p->binding);
	buf_puts(b, "}\n");
}

static int
write_worker(struct plan *p, struct err *err)
{
	struct buf b = { 0 };

	buf_puts(&b, "# countersign-worker: see countersign-worker(8)\n");
	if (p->socket != NULL)
		buf_printf(&b, "socket = \"%s\"\n", p->socket);
	else
		buf_printf(&b, "socket = \"%s/run/worker.sock\"\n", p->dir);
	buf_puts(&b, "# users that may connect: whoever runs nginx\n");
	put_list("peer", &p->peers, &b);
	buf_printf(&b, "processes = %d\nthreads = %d\n", (int)p->processes,
	    (int)p->threads);
	put_dsn(p, "database", "countersign_worker", &b);
	buf_printf(&b, "key-file = \"%s/keys/worker.key\"\n", p->dir);
	put_kerberos(p, &b);
	put_signers(p, false, &b);
	return write_conf(p, "worker.conf", "configuration of the worker", &b,
	    err);
}

static void
put_ca(const struct plan *p, struct buf *b)
{
	static const char *const file[][2] = { { "certificate", ".pem" },
	    { "chain", ".chain.pem" }, { "key", ".key" },
	    { "passphrase-file", ".pass" } };
	size_t i, n = p->token == NULL ? 4 : 2;

	buf_printf(b, "\nca \"%s\" {\n", p->ca);
	for (i = 0; i < n; i++)
		buf_printf(b, "\t%s = \"%s/ca/%s%s\"\n", file[i][0], p->dir,
		    p->ca, file[i][1]);
	if (p->token != NULL)
		buf_printf(b, "\tkey = \"%s\"\n\tmodule = \"%s\"\n"
		    "\tpin-file = \"%s\"\n", p->token, p->module,
		    p->pin_file);
	buf_puts(b, "}\n");
}

/* Workers and operators are different peers: only the one may decide. */
static int
write_signer(struct plan *p, int i, struct err *err)
{
	struct buf b = { 0 };
	char name[40];

	snprintf(name, sizeof name, "signer-%d.conf", i);
	buf_printf(&b, "# countersign-signer: see countersign-signer(8)\n"
	    "name = \"signer-%d\"\nlisten = \"tcp://127.0.0.1:%d\"\n"
	    "key-file = \"%s/keys/signer-%d.key\"\n", i,
	    (int)p->signer_port + i - 1, p->dir, i);
	put_dsn(p, "database", "countersign_signer", &b);
	buf_printf(&b, "policy = \"%s/etc/policy.conf\"\n"
	    "ledger = \"%s/ledger/signer-%d\"\n"
	    "audit-key = \"%s/keys/signer-%d.audit\"\n"
	    "# must leave this host: see docs/ledger.md\n"
	    "head-file = \"%s/ledger/heads\"\n"
	    "\n# nobody else gets an answer\n"
	    "worker \"worker\" {\n\tpublic-key = '%s'\n}\n"
	    "worker \"operator\" {\n\tpublic-key = '%s'\n"
	    "\toperator = true\n}\n", p->dir, p->dir, i, p->dir, i, p->dir,
	    p->worker.pub,
	    p->operator.pub);
	put_ca(p, &b);
	return write_conf(p, name, "configuration of a signer", &b, err);
}

/* Its lists go where its unit says; of this command it needs no more. */
static int
write_publisher(struct plan *p, struct err *err)
{
	struct buf b = { 0 };

	buf_puts(&b, "# countersign crl publish: see countersign(1)\n");
	put_dsn(p, "database", "countersign_publisher", &b);
	buf_printf(&b, "ca-dir = \"%s/ca\"\nsql-dir = \"%s\"\n", p->dir,
	    p->sql_dir);
	return write_conf(p, "publisher.conf",
	    "configuration of the publisher", &b, err);
}

static int
write_cli(struct plan *p, struct err *err)
{
	struct buf b = { 0 };
	int i;

	buf_puts(&b, "# countersign: see countersign(1)\n");
	put_dsn(p, "database", "countersign_operator", &b);
	buf_puts(&b, "# for db migrate and reconcile alone\n");
	put_dsn(p, "admin-database", p->db_owner, &b);
	buf_printf(&b, "policy = \"%s/etc/policy.conf\"\nca-dir = \"%s/ca\"\n"
	    "sql-dir = \"%s\"\nkey-file = \"%s/keys/operator.key\"\n"
	    "ledger = {", p->dir, p->dir, p->sql_dir, p->dir);
	for (i = 1; i <= p->signers; i++)
		buf_printf(&b, "%s\"%s/ledger/signer-%d\"", i == 1 ? "" :
		    ", ", p->dir, i);
	buf_puts(&b, "}\n");
	put_signers(p, true, &b);
	return write_conf(p, "countersign.conf",
	    "configuration of this command", &b, err);
}

/* A URL of this host without a default port. */
static char *
base_url(const char *scheme, const char *host, int64_t port, int64_t usual)
{
	char *url = NULL;

	if ((port == usual ? asprintf(&url, "%s://%s", scheme, host) :
	    asprintf(&url, "%s://%s:%d", scheme, host, (int)port)) < 0)
		abort();
	return url;
}

/* A first policy to look through and publish. */
static int
write_policy(struct plan *p, struct err *err)
{
	char *https = base_url("https", p->host, p->https_port, 443);
	char *cert = base_url("https", p->host, p->cert_port, 443);
	char *http = base_url("http", p->host, p->http_port, 80);
	const char *const word[][2] = { { "@BASE_URL@", https },
	    { "@CERT_URL@", cert }, { "@HTTP_URL@", http }, { "@CA@", p->ca },
	    { "@HOST@", p->host },
	    { "@KERBEROS@", p->keytab != NULL ? "" : "#" }, { NULL, NULL } };
	struct buf text = { 0 }, b = { 0 };
	int rc = 0;

	if (p->policy_template != NULL)
		rc = file_read(p->policy_template, 1024 * 1024, &text, err);
	if (rc == 0 && p->policy_template != NULL) {
		fill_words(buf_str(&text), word, &b);
		rc = write_conf(p, "policy-draft.conf",
		    "policy to look through and publish", &b, err);
	}
	buf_free(&text);
	free(https);
	free(cert);
	free(http);
	return rc;
}

/* countersign.conf comes last: where it is, the rest is. */
static int
write_all(struct plan *p, struct err *err)
{
	int i;

	if (make_keys(p, err) != 0 || write_worker(p, err) != 0 ||
	    write_publisher(p, err) != 0)
		return -1;
	for (i = 1; i <= p->signers; i++)
		if (write_signer(p, i, err) != 0)
			return -1;
	if (write_policy(p, err) != 0)
		return -1;
	return write_cli(p, err);
}

static void
plan_free(struct plan *p)
{
	size_t i;

	link_keys_free(&p->worker);
	link_keys_free(&p->operator);
	for (i = 0; i < SIGNERS_MAX; i++)
		link_keys_free(&p->signer[i]);
	strlist_free(&p->peers);
	strlist_free(&p->realms);
	free(p->dir);
	free(p->sql_dir);
	free(p->policy_template);
}

int
cmd_init(struct cli *c, const struct args *a, struct err *err)
{
	struct plan p;
	int rc = -1;

	memset(&p, 0, sizeof p);
	if (take_numbers(&p, a, err) != 0 || take_texts(&p, a, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	take_files(&p, a);
	p.out = out_new(cols, OUT_TABLE);
	if (check_text("sql-dir", p.sql_dir, err) == 0 &&
	    make_folders(&p, a->pos[0], err) == 0 &&
	    check_new(&p, err) == 0)
		rc = write_all(&p, err);
	if (cli_print(c, p.out, err) != 0)
		rc = -1;
	plan_free(&p);
	return rc;
}
