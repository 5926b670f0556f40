/* doctor: what lies on this host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "castore.h"
#include "doctor.h"
#include "file.h"
#include "sconf.h"
#include "wconf.h"

/* What group and others must not have. */
#define SECRET		077	/* keys, passphrases, their folders */
#define TRUSTED		022	/* what programs believe */

#define ROOM		((uint64_t)256 * 1024 * 1024)	/* a warning below */

static void
too_open(struct doctor *d, const char *path, mode_t mode, mode_t forbidden)
{
	bool secret = forbidden == SECRET;
	char advice[512];

	snprintf(advice, sizeof advice, "chmod %s %.400s; %s",
	    secret ? "go=" : "go-w", path, secret ?
	    "if somebody may have read it, make a new one" :
	    "and read what stands in it");
	check_add(d->checks, CHECK_FAIL, "file", path, advice,
	    "mode %04o: %s", mode & 07777, secret ?
	    "others than its owner have access" :
	    "others than its owner may write");
}

/*
 * Credentials of systemd are root's, and an access control list lets their
 * service's user in: the group's bits are then the list's mask, and the program
 * itself looks whom it names (common/secret.c).
 */
static mode_t
mode_of(const char *path, const struct stat *st)
{
	bool list = getxattr(path, "system.posix_acl_access", NULL, 0) > 0;

	return st->st_mode & (list ? 07707 : 07777);
}

/* What we may not look at is skipped: doctor need not run as root. */
static void
file_mode(struct doctor *d, const char *path, mode_t forbidden)
{
	struct stat st;

	if (path == NULL)
		return;
	if (stat(path, &st) != 0) {
		check_add(d->checks, errno == EACCES ? CHECK_SKIP :
		    CHECK_FAIL, "file", path, errno == EACCES ? NULL :
		    "a configuration file names it: make it or correct the "
		    "path", "%s", strerror(errno));
		return;
	}
	if ((mode_of(path, &st) & forbidden) != 0)
		too_open(d, path, st.st_mode, forbidden);
	else
		check_add(d->checks, CHECK_OK, "file", path, NULL,
		    "mode %04o", st.st_mode & 07777);
}

/* A signer that cannot write ends, and so does each that is started then. */
static void
room(struct doctor *d, const char *path)
{
	struct statvfs v;
	uint64_t left;

	if (statvfs(path, &v) != 0)
		return;		/* has been said */
	left = (uint64_t)v.f_bavail * v.f_frsize;
	if (left >= ROOM)
		check_add(d->checks, CHECK_OK, "disk", path, NULL,
		    "%llu MiB left", (unsigned long long)left >> 20);
	else
		check_add(d->checks, left < ROOM / 256 ? CHECK_FAIL :
		    CHECK_WARN, "disk", path, "make room on it: full, it "
		    "stops the signer; ended files of the ledger may move "
		    "elsewhere (docs/ledger.md)", "%llu KiB left",
		    (unsigned long long)left >> 10);
}

static const char *
user_name(uid_t uid, char *number, size_t size)
{
	const struct passwd *pw = getpwuid(uid);

	snprintf(number, size, "%u", (unsigned)uid);
	return pw == NULL ? number : pw->pw_name;
}

/*
 * A program takes no secret of another user's, and cannot read root's but by a
 * list of systemd's.  Which user it runs as, the owner of its configuration
 * tells, unless that is root's: "docs/operations.md" has it so.
 */
static void
secret_owner(struct doctor *d, const char *conf, const char *path)
{
	char advice[512], a[16], b[16];
	struct stat c, st;
	const char *user;

	if (stat(conf, &c) != 0 || stat(path, &st) != 0 ||
	    c.st_uid == 0 || st.st_uid == c.st_uid ||
	    mode_of(path, &st) != (st.st_mode & 07777))
		return;
	user = user_name(c.st_uid, a, sizeof a);
	snprintf(advice, sizeof advice, "chown %s %.400s", user, path);
	check_add(d->checks, CHECK_FAIL, "file", path, advice,
	    "belongs to %.40s, but %.40s, whose %.80s is, has to read it",
	    user_name(st.st_uid, b, sizeof b), user, conf);
}

/* Whoever may write to the folder may replace the file. */
static void
secret_file(struct doctor *d, const char *conf, const char *path)
{
	char *copy;

	if (path == NULL)
		return;
	file_mode(d, path, SECRET);
	secret_owner(d, conf, path);
	copy = xstrdup(path);
	file_mode(d, dirname(copy), TRUSTED);
	free(copy);
}

static void
bad_conf(struct doctor *d, const char *path, const struct err *err)
{
	bool closed = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0 &&
	    errno == EACCES;

	check_add(d->checks, closed ? CHECK_SKIP : CHECK_FAIL, "config", path,
	    closed ? NULL : "correct it; the program's -t option tries it",
	    "%s", err->text);
}

/* Is somebody listening?  nginx' user alone may get further than this. */
static void
worker_socket(struct doctor *d, const struct wconf *w)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), e = 0;

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", w->socket);
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0)
		e = errno;
	if (fd != -1)
		close(fd);
	if (e == 0)
		check_add(d->checks, CHECK_OK, "socket", w->socket, NULL,
		    "the worker listens");
	else if (e == EACCES)
		check_add(d->checks, CHECK_SKIP, "socket", w->socket, NULL,
		    "only nginx may connect");
	else
		check_add(d->checks, CHECK_FAIL, "socket", w->socket,
		    "start countersign-worker; its log says why it ended",
		    "%s", strerror(e));
}

static void
kerberos_files(struct doctor *d, const char *conf,
    const struct wconf_kerberos *k)
{
	size_t i;

	secret_file(d, conf, k->keytab);
	for (i = 0; i < k->certificates.n; i++)
		file_mode(d, k->certificates.v[i], TRUSTED);
}

static void
worker_files(struct doctor *d, const char *path)
{
	struct err err = ERR_INIT;
	struct wconf *w;

	if (!file_exists(path) && errno == ENOENT) {
		check_add(d->checks, CHECK_SKIP, "config", path, NULL,
		    "no worker on this host");
		return;
	}
	file_mode(d, path, TRUSTED);
	if ((w = wconf_load(path, &err)) == NULL) {
		bad_conf(d, path, &err);
		return;
	}
	secret_file(d, path, w->key_file);
	if (w->kerberos != NULL)
		kerberos_files(d, path, w->kerberos);
	worker_socket(d, w);
	d->worker = w;
}

/* Another in its place is made at a first start alone. */
static void
ledger_folder(struct doctor *d, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT) {
		check_add(d->checks, CHECK_FAIL, "file", path, "before the "
		    "first start of its signer that is so; one that is lost "
		    "needs a signer of another name: docs/operations.md, "
		    "\"When hosts change\"", "%s", strerror(ENOENT));
		return;
	}
	file_mode(d, path, TRUSTED);
	room(d, path);
}

/*
 * A signer makes it, but not its folder, and ends when it cannot write there.
 * What is no file, such as a pipe, needs no room.
 */
static void
head_file(struct doctor *d, const char *path)
{
	struct stat st;
	char *copy, *dir;

	if (path == NULL)
		return;
	copy = xstrdup(path);
	dir = dirname(copy);
	if (stat(path, &st) != 0) {
		file_mode(d, dir, TRUSTED);
		room(d, dir);
	} else if (S_ISREG(st.st_mode)) {
		file_mode(d, path, TRUSTED);
		room(d, path);
	}
	free(copy);
}

/* Tokens come last, behind the files that they need. */
static void
signer_files(struct doctor *d, const char *path)
{
	struct err err = ERR_INIT;
	struct sconf *s;
	size_t i;

	file_mode(d, path, TRUSTED);
	if ((s = sconf_load(path, &err)) == NULL) {
		bad_conf(d, path, &err);
		return;
	}
	secret_file(d, path, s->key_file);
	secret_file(d, path, s->audit_key);
	for (i = 0; i < s->ncas; i++) {
		if (s->cas[i].module == NULL)
			secret_file(d, path, s->cas[i].key);
		secret_file(d, path, s->cas[i].passphrase);
		secret_file(d, path, s->cas[i].pin_file);
		secret_file(d, path, s->cas[i].exchange_secret);
		file_mode(d, s->cas[i].module, TRUSTED);
		file_mode(d, s->cas[i].certificate, TRUSTED);
		file_mode(d, s->cas[i].chain, TRUSTED);
	}
	for (i = 0; i < s->ncas; i++) {
		if (s->cas[i].module != NULL)
			doctor_token(d, &s->cas[i]);
	}
	file_mode(d, s->policy, TRUSTED);
	ledger_folder(d, s->ledger);
	head_file(d, s->head_file);
	sconf_free(s);
}

static int
is_signer_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 10 && strncmp(e->d_name, "signer", 6) == 0 &&
	    strcmp(e->d_name + n - 5, ".conf") == 0;
}

static void
signers_files(struct doctor *d, const char *dir)
{
	struct dirent **e = NULL;
	char *path;
	int i, n;

	if ((n = scandir(dir, &e, is_signer_conf, alphasort)) <= 0)
		check_add(d->checks, CHECK_SKIP, "config", dir, NULL,
		    "no signer on this host");
	for (i = 0; i < n; i++) {
		path = file_path(dir, e[i]->d_name, "");
		signer_files(d, path);
		free(path);
		free(e[i]);
	}
	free(e);
}

/* A signer needs its own keys alone. */
static void
root_keys(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct certs all = { 0 };
	PGresult *res = cli_query(d->cli, "ca_all", NULL, 0, &err);
	int i, n = res == NULL ? 0 : PQntuples(res);

	for (i = 0; i < n; i++) {
		if (cli_chain(d->cli, PQgetvalue(res, i, 0), &all,
		    &err) == 0 && castore_no_root_key(d->cli, &all, &err) != 0)
			check_add(d->checks, CHECK_WARN, "file",
			    d->cli->conf->ca_dir, "whoever gets into this "
			    "host gets the root", "%s", err.text);
		certs_free(&all);
		memset(&err, 0, sizeof err);
	}
	PQclear(res);
}

/* The other programs' files lie beside ours, where "init" has put them. */
void
doctor_files(struct doctor *d)
{
	const struct cconf *c = d->cli->conf;
	char *copy = xstrdup(c->path);
	const char *dir = dirname(copy);

	file_mode(d, c->path, TRUSTED);
	file_mode(d, c->policy, TRUSTED);
	secret_file(d, c->path, c->key_file);
	root_keys(d);
	d->worker_path = file_path(dir, "worker.conf", "");
	worker_files(d, d->worker_path);
	signers_files(d, dir);
	free(copy);
}
