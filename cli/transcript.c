/*
 * The transcript of a ceremony: written at its end, and verified later, with
 * what it speaks of.
 */
#include "transcript.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ceremony.h"
#include "digest.h"
#include "file.h"

#define TRANSCRIPT_MAX	(1024 * 1024)
#define LAST_LINE	(sizeof "sha256 \n" - 1 + 64)

const struct out_col transcript_cols[] = {
	{ "check", OUT_TEXT }, { "object", OUT_TEXT }, { "ok", OUT_BOOL },
	{ "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

/*
 * max: a register grows after the ceremony, and its beginning must stay what
 * it was.
 */
static int
hash_fd(int fd, uint64_t max, uint8_t out[32], uint64_t *size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t part[8192];
	uint64_t total = 0;
	ssize_t n = -1;
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(),
	    NULL) == 1;

	while (ok && (n = read(fd, part, sizeof part)) > 0) {
		if (max != 0 && (uint64_t)n > max - total)
			n = (ssize_t)(max - total);
		ok = EVP_DigestUpdate(ctx, part, (size_t)n) == 1;
		total += (uint64_t)n;
		if (max != 0 && total == max)
			break;
	}
	ok = ok && n >= 0 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (size != NULL)
		*size = total;
	return ok ? 0 : -1;
}

int
hash_file(const char *path, uint64_t max, uint8_t out[32], uint64_t *size,
    struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd == -1)
		return err_set(err, ERR_DENIED, "%.120s: %s", path,
		    strerror(errno));
	if ((rc = hash_fd(fd, max, out, size)) != 0)
		err_set(err, ERR_DENIED, "%.120s: cannot be read", path);
	close(fd);
	return rc;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/*
 * Keys may be elsewhere when it is verified, a register may be longer; all
 * else must be as it was.
 */
static const char *
class_of(const char *name)
{
	if (ends_with(name, ".key") || ends_with(name, ".pass"))
		return "secret";
	return ends_with(name, ".register") ? "growing" : "file";
}

/* It cannot have its own hash in it. */
static int
is_file(const struct dirent *e)
{
	return e->d_name[0] != '.' && strcmp(e->d_name,
	    TRANSCRIPT_FILE) != 0;
}

int
transcript_files(const char *dir, struct buf *out, struct err *err)
{
	struct dirent **e = NULL;
	char *path, hex[65];
	uint8_t md[32];
	uint64_t size;
	int i, n, rc = 0;

	if ((n = scandir(dir, &e, is_file, alphasort)) < 0)
		return err_set(err, ERR_DENIED, "%.120s: %s", dir,
		    strerror(errno));
	for (i = 0; i < n; i++) {
		path = file_path(dir, e[i]->d_name, "");
		if (rc == 0 && (rc = hash_file(path, 0, md, &size,
		    err)) == 0) {
			hex_encode(md, 32, hex);
			buf_printf(out, "%s %s %" PRIu64 " %s\n",
			    class_of(e[i]->d_name), hex, size, e[i]->d_name);
		}
		free(path);
		free(e[i]);
	}
	free(e);
	return rc;
}

int
transcript_write(const char *dir, struct buf *text, uint8_t md[32],
    struct err *err)
{
	char *path = file_path(dir, TRANSCRIPT_FILE, ""), hex[65];
	int rc;

	digest_sha256(buf_slice(text), md);
	hex_encode(md, 32, hex);
	buf_printf(text, "sha256 %s\n", hex);
	rc = file_create(path, 0444, buf_slice(text), err);
	free(path);
	return rc;
}

struct reading {
	struct out	*out;
	size_t		*bad;
	char		*dir;
	struct strlist	 files;		/* that the transcript names */
	char		 ceremony[65];	/* hash of the ceremony's file */
};

static void
row(struct reading *r, const char *check, const char *object, bool ok,
    const char *text)
{
	out_add(r->out, check);
	out_add(r->out, object);
	out_bool(r->out, ok);
	out_add(r->out, text);
	if (!ok)
		(*r->bad)++;
}

/* "SHA256 SIZE NAME" of a line behind its first word; no name leads away. */
static int
split(char *line, char **hex, uint64_t *size, char **name)
{
	char *save = NULL, *number;
	struct err none = ERR_INIT;
	int64_t n = 0;

	*hex = strtok_r(line, " ", &save);
	number = strtok_r(NULL, " ", &save);
	*name = strtok_r(NULL, "", &save);
	if (*name == NULL || strlen(*hex) != 64 || strchr(*name, '/') != NULL ||
	    number_parse(number, 0, INT64_MAX, &n, &none) != 0)
		return -1;
	*size = (uint64_t)n;
	return 0;
}

/* One line of the transcript against the file that it names. */
static void
verify_file(struct reading *r, const char *class, char *line)
{
	char *hex, *name, *path, has[65];
	struct err why = ERR_INIT;
	uint8_t md[32];
	uint64_t size, now;

	if (split(line, &hex, &size, &name) != 0) {
		row(r, class, line, false, "a line that is none");
		return;
	}
	strlist_add(&r->files, name);
	path = file_path(r->dir, name, "");
	if (!file_exists(path) && strcmp(class, "secret") == 0)
		row(r, class, name, true, "is elsewhere");
	else if (hash_file(path, strcmp(class, "growing") == 0 ? size : 0, md,
	    &now, &why) != 0)
		row(r, class, name, false, why.text);
	else {
		hex_encode(md, 32, has);
		row(r, class, name, now == size && strcmp(has, hex) == 0,
		    now == size && strcmp(has, hex) == 0 ? "unchanged" :
		    "is not what it was");
	}
	free(path);
}

/* Another program than the one that verifies is no damage: time goes by. */
static void
verify_program(struct reading *r, const char *line)
{
	struct err why = ERR_INIT;
	uint8_t md[32];
	char has[65] = "";

	if (hash_file("/proc/self/exe", 0, md, NULL, &why) == 0)
		hex_encode(md, 32, has);
	row(r, "program", has, true, strncmp(line, has, 64) == 0 ?
	    "the same" : "another one than then");
}

static void
verify_line(struct reading *r, char *line)
{
	static const char *const classes[] = { "file", "secret", "growing" };
	char *rest = strchr(line, ' ');
	size_t i;

	if (rest == NULL)
		return;
	*rest++ = '\0';
	for (i = 0; i < sizeof classes / sizeof classes[0]; i++)
		if (strcmp(line, classes[i]) == 0)
			verify_file(r, classes[i], rest);
	if (strcmp(line, "program") == 0)
		verify_program(r, rest);
	else if (strcmp(line, "ceremony") == 0)
		snprintf(r->ceremony, sizeof r->ceremony, "%.64s", rest);
}

/* Cuts off the last line, which has the hash of those before. */
static int
verify_end(struct reading *r, struct buf *text)
{
	char *s = buf_str(text), *last, has[65];
	uint8_t md[32];
	size_t n;

	if (text->n < LAST_LINE || strlen(s) != text->n ||
	    s[text->n - 1] != '\n' ||
	    strncmp(last = s + text->n - LAST_LINE, "sha256 ", 7) != 0 ||
	    strncmp(s, TRANSCRIPT_FIRST "\n",
	    sizeof TRANSCRIPT_FIRST) != 0) {
		row(r, "transcript", NULL, false, "is none, or cut off");
		return -1;
	}
	n = text->n - LAST_LINE;
	digest_sha256(slice_of(s, n), md);
	hex_encode(md, 32, has);
	last[LAST_LINE - 1] = '\0';
	row(r, "transcript", has, strcmp(last + 7, has) == 0,
	    strcmp(last + 7, has) == 0 ? "compare it with the paper" :
	    "was changed");
	s[n] = '\0';
	return 0;
}

/*
 * What the steps left is judged anew by the ceremony's file, which must be the
 * one that was walked: another would ask for something else.
 */
static void
verify_steps(struct reading *r)
{
	char *path = file_path(r->dir, CEREMONY_COPY, ""), has[65];
	struct err why = ERR_INIT;
	struct ceremony *c = ceremony_read(path, &why);
	size_t i;
	bool ok;

	if (c == NULL)
		row(r, "ceremony", CEREMONY_COPY, false, why.text);
	else {
		hex_encode(c->sha256, 32, has);
		row(r, "ceremony", CEREMONY_COPY, strcmp(has, r->ceremony) ==
		    0, strcmp(has, r->ceremony) == 0 ? "the file that was "
		    "walked" : "another file than was walked");
	}
	for (i = 0; c != NULL && i < c->nsteps; i++) {
		memset(&why, 0, sizeof why);
		ok = step_check(&c->step[i], r->dir, &why) == 0;
		row(r, "step", c->step[i].name, ok, ok ? "holds" : why.text);
	}
	ceremony_free(c);
	free(path);
}

/* A file that came later would be taken for one of the ceremony's. */
static void
verify_strangers(struct reading *r)
{
	struct dirent **e = NULL;
	int i, n = scandir(r->dir, &e, is_file, alphasort);
	size_t j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < r->files.n; j++)
			if (strcmp(e[i]->d_name, r->files.v[j]) == 0)
				break;
		if (j == r->files.n)
			row(r, "file", e[i]->d_name, false,
			    "is not in the transcript");
		free(e[i]);
	}
	free(e);
}

int
transcript_verify(const char *path, struct out *out, size_t *bad,
    struct err *err)
{
	struct reading r = { .out = out, .bad = bad };
	char *copy = xstrdup(path), *at, *line;
	struct buf text = { 0 };
	int rc = file_read(path, TRANSCRIPT_MAX, &text, err);

	r.dir = xstrdup(dirname(copy));
	if (rc == 0 && verify_end(&r, &text) == 0) {
		at = buf_str(&text);
		at[text.n - LAST_LINE] = '\0';
		while ((line = strsep(&at, "\n")) != NULL)
			verify_line(&r, line);
		verify_steps(&r);
		verify_strangers(&r);
	}
	strlist_free(&r.files);
	buf_free(&text);
	free(r.dir);
	free(copy);
	return rc;
}
