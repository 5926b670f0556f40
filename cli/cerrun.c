/*
 * A ceremony as it happens: step, check, question, transcript, and either all
 * of it or nothing in the folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "caroot.h"
#include "cerask.h"
#include "ceremony.h"
#include "digest.h"
#include "file.h"
#include "transcript.h"
#include "words.h"

#define PEM_MAX		(256 * 1024)

/* One ceremony under way. */
struct run {
	struct cli		*cli;
	const struct ceremony	*c;
	char			*dir;		/* FOLDER.partial */
	int			 signals;
	struct buf		 transcript;
};

static void
stamp(struct buf *out)
{
	char text[32];

	utc_text(time(NULL), text);
	buf_puts(out, text);
}

/* A line of the transcript: "word time text". */
static void
note(struct run *r, const char *word, const char *text)
{
	buf_printf(&r->transcript, "%s ", word);
	stamp(&r->transcript);
	buf_printf(&r->transcript, " %s\n", text);
}

/* A yes is in the transcript with its time; anything else ends it all. */
static int
confirm(struct run *r, const char *question, struct err *err)
{
	if (ask_yes(r->signals, question, err) != 0)
		return -1;
	note(r, "yes", question);
	return 0;
}

/* On the screen and, in hex, in the transcript. */
static void
show_hash(struct run *r, const char *word, const char *what,
    const uint8_t md[32])
{
	struct buf text = { 0 };

	buf_printf(&text, "SHA-256 of %s:\n", what);
	words_put_hex(slice_of(md, 32), &text);
	words_put(slice_of(md, 32), &text);
	fputs(buf_str(&text), stdout);
	buf_reset(&text);
	buf_hex(&text, md, 32);
	buf_printf(&r->transcript, "%s %s %s\n", word, buf_str(&text), what);
	buf_free(&text);
}

/* The hashes of program and file come before anybody gives a name for them. */
static int
open_with(struct run *r, struct err *err)
{
	struct buf text = { 0 };
	uint8_t md[32];
	size_t i;

	if (hash_file("/proc/self/exe", 0, md, NULL, err) != 0)
		return -1;
	printf("%s\n\n", r->c->title);
	show_hash(r, "program", "this program", md);
	show_hash(r, "ceremony", CEREMONY_COPY, r->c->sha256);
	for (i = 0; i < r->c->nsteps; i++) {
		buf_printf(&text, "%zu. %s %s: ", i + 1,
		    step_word(&r->c->step[i]), r->c->step[i].name);
		step_text(&r->c->step[i], &text);
		buf_addc(&text, '\n');
	}
	printf("\n%s\n", buf_str(&text));
	buf_free(&text);
	return confirm(r, "Are these the program and the file that were "
	    "reviewed?", err);
}

/* Nobody can be two of them. */
static int
ask_people(struct run *r, struct err *err)
{
	struct strlist names = { 0 };
	struct buf question = { 0 }, name = { 0 };
	size_t i, j;
	int rc = 0;

	for (i = 0; rc == 0 && i < r->c->people.n; i++) {
		buf_reset(&question);
		buf_reset(&name);
		buf_printf(&question, "Name of the %s", r->c->people.v[i]);
		rc = ask_line(r->signals, buf_str(&question), &name, err);
		for (j = 0; rc == 0 && j < names.n; j++)
			if (strcasecmp(names.v[j], buf_str(&name)) == 0)
				rc = err_set(err, ERR_DENIED, "%.64s is here "
				    "for something else already",
				    names.v[j]);
		if (rc == 0) {
			strlist_add(&names, buf_str(&name));
			buf_printf(&r->transcript, "person %s: %s\n",
			    r->c->people.v[i], buf_str(&name));
		}
	}
	strlist_free(&names);
	buf_free(&question);
	buf_free(&name);
	return rc;
}

/*
 * The certificate of a root that was there before, into the folder: whoever
 * verifies later needs no other.
 */
static int
copy_root(struct run *r, const struct step *s, struct err *err)
{
	const char *opt = s->kind == STEP_ROLLOVER ? "replaces" : "root";
	const char *root = step_get(s, opt), *name;
	char *from, *to;
	struct buf pem = { 0 };
	int rc = 0;

	if (root == NULL || (name = strrchr(root, '/')) == NULL)
		return 0;
	from = file_path("", root, ".pem");	/* with a slash in front */
	to = file_path(r->dir, name + 1, ".pem");
	if (!file_exists(to) &&
	    (rc = file_read(from + 1, PEM_MAX, &pem, err)) == 0)
		rc = file_create(to, 0644, buf_slice(&pem), err);
	buf_free(&pem);
	free(from);
	free(to);
	return rc;
}

/* "ca create-root --replaces" puts one of the two beside the old root. */
static int
fetch_cross(struct run *r, const struct step *s, struct err *err)
{
	const char *old = step_get(s, "replaces"), *name;
	struct buf path = { 0 }, pem = { 0 }, to = { 0 };
	int rc = 0;

	if (s->kind != STEP_ROLLOVER || (name = strrchr(old, '/')) == NULL)
		return 0;
	buf_printf(&path, "%s-by-%s.pem", old, s->name);
	buf_printf(&to, "%s/%s-by-%s.pem", r->dir, name + 1, s->name);
	rc = file_read(buf_str(&path), PEM_MAX, &pem, err);
	if (rc == 0)
		rc = file_create(buf_str(&to), 0644, buf_slice(&pem), err);
	unlink(buf_str(&path));
	buf_free(&path);
	buf_free(&pem);
	buf_free(&to);
	return rc;
}

/* The file may name the request by its hash: then no other is signed. */
static int
check_pin(const struct step *s, const uint8_t md[32], struct err *err)
{
	const char *want = step_get(s, "request-sha256");
	char has[65];

	hex_encode(md, 32, has);
	if (want != NULL && strcasecmp(want, has) != 0)
		return err_set(err, ERR_DENIED, "%s: the request is another "
		    "one than the reviewed file names", s->name);
	return 0;
}

int
step_request(const struct step *s, struct err *err)
{
	const char *path = step_get(s, "request");
	struct ca_plan plan = { .subject = NULL };
	struct cli none = { .conf_path = NULL };
	X509_REQ *req = NULL;
	uint8_t md[32];
	int rc = -1;

	if (!file_exists(path))
		return -1;
	if (hash_file(path, 0, md, NULL, err) == 0 &&
	    check_pin(s, md, err) == 0 &&
	    (req = ca_request_read(path, err)) != NULL &&
	    caroot_sub_plan(&none, &s->args, &plan, err) == 0)
		rc = ca_request_check(req, &plan, err);
	ca_plan_free(&plan);
	X509_REQ_free(req);
	return rc;
}

/*
 * Read once: what is shown is what will be signed, whatever the stick that it
 * came on shows the second time.
 */
static int
copy_request(struct run *r, const struct step *s, uint8_t md[32],
    struct err *err)
{
	char *copy = file_path(r->dir, s->name, ".csr");
	struct buf pem = { 0 };
	int rc = file_read(step_get(s, "request"), PEM_MAX, &pem, err);

	digest_sha256(buf_slice(&pem), md);
	if (rc == 0 && (rc = check_pin(s, md, err)) == 0)
		rc = file_create(copy, 0644, buf_slice(&pem), err);
	buf_free(&pem);
	free(copy);
	return rc;
}

/* What came from another host is compared with what its people wrote down. */
static int
show_request(struct run *r, const struct step *s, struct err *err)
{
	uint8_t md[32];

	if (s->kind != STEP_ISSUING)
		return 0;
	if (copy_request(r, s, md, err) != 0)
		return -1;
	show_hash(r, "request", step_get(s, "request"), md);
	return confirm(r, "Is this what sha256sum says of the request on the "
	    "host that made it?", err);
}

/* One step: shown, agreed to, done, checked from the disk, written down. */
static int
walk(struct run *r, size_t i, struct err *err)
{
	const struct step *s = &r->c->step[i];
	char *out = step_output(s);
	struct buf text = { 0 };
	uint8_t md[32];
	int rc;

	step_text(s, &text);
	printf("\nStep %zu of %zu: %s %s\n    %s\n", i + 1, r->c->nsteps,
	    step_word(s), s->name, buf_str(&text));
	buf_printf(&r->transcript, "step %zu %s %s\n", i + 1, step_word(s),
	    s->name);
	note(r, "command", buf_str(&text));
	rc = show_request(r, s, err);
	if (rc == 0)
		rc = confirm(r, "Do it?", err);
	/* Checks and cross certificates need the root's in the folder. */
	if (rc == 0 && (copy_root(r, s, err) != 0 ||
	    step_run(r->cli, s, r->dir, err) != 0 ||
	    fetch_cross(r, s, err) != 0 || step_check(s, r->dir, err) != 0 ||
	    step_fingerprint(s, r->dir, md, err) != 0))
		rc = -1;
	buf_reset(&text);
	if (rc == 0)
		rc = step_token(r->cli, s, r->dir, &text, err);
	if (rc == 0 && text.n > 0) {
		printf("Token: %s\n", buf_str(&text));
		note(r, "token", buf_str(&text));
	}
	if (rc == 0) {
		note(r, "checked", out);
		show_hash(r, "fingerprint", out, md);
		rc = confirm(r, "Has everybody written these words down?",
		    err);
	}
	buf_free(&text);
	free(out);
	return rc;
}

/* The folder must be new, and so must what a killed ceremony left be gone. */
static int
begin(struct run *r, struct err *err)
{
	struct utsname host;
	struct stat st;
	struct buf path = { 0 };
	int rc;

	if (lstat(r->c->folder, &st) == 0)
		return err_set(err, ERR_DENIED, "%.120s is there already: a "
		    "ceremony makes a folder of its own", r->c->folder);
	if (mkdir(r->dir, 0700) != 0)
		return err_set(err, ERR_DENIED, "%.120s: %s", r->dir,
		    errno == EEXIST ? "is there: left by a ceremony that was "
		    "killed; look at it, then remove it" : strerror(errno));
	buf_printf(&path, "%s/%s", r->dir, CEREMONY_COPY);
	rc = file_create(buf_str(&path), 0644, buf_slice(&r->c->text), err);
	buf_free(&path);
	buf_printf(&r->transcript, "%s\ntitle %s\nhost %s\n",
	    TRANSCRIPT_FIRST, r->c->title, uname(&host) == 0 ?
	    host.nodename : "unknown");
	note(r, "began", "");
	return rc;
}

/* All files of the folder are in the transcript, and the folder is renamed. */
static int
finish(struct run *r, struct err *err)
{
	uint8_t md[32];

	note(r, "ended", "");
	if (transcript_files(r->dir, &r->transcript, err) != 0 ||
	    transcript_write(r->dir, &r->transcript, md, err) != 0)
		return -1;
	if (rename(r->dir, r->c->folder) != 0)
		return err_set(err, ERR_DENIED, "%.80s: %s", r->c->folder,
		    strerror(errno));
	printf("\nDone: %s\n", r->c->folder);
	show_hash(r, "transcript", "the transcript", md);
	printf("Write this down, on paper, and sign it.\n");
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Of what the first n steps have made. */
static void
give_up(struct run *r, size_t n)
{
	int rc = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (step_undo(r->cli, &r->c->step[i], r->dir) != 0)
			rc = -1;
	nftw(r->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	printf("\nGiven up: nothing is left of it%s.\n", rc == 0 ? "" :
	    " but the keys named above");
}

int
ceremony_run(struct cli *cli, const struct ceremony *c, struct err *err)
{
	struct run r = { .cli = cli, .c = c };
	bool begun = false;
	size_t i = 0;
	int rc;

	if (asprintf(&r.dir, "%s.partial", c->folder) < 0)
		abort();
	if ((rc = ask_begin(&r.signals, err)) == 0) {
		begun = (rc = begin(&r, err)) == 0;
		if (rc == 0)
			rc = open_with(&r, err);
		if (rc == 0)
			rc = ask_people(&r, err);
		for (; rc == 0 && i < c->nsteps; i++)
			rc = walk(&r, i, err);
		if (rc == 0)
			rc = finish(&r, err);
		if (rc != 0 && begun)
			give_up(&r, i);
		ask_end(r.signals);
	}
	buf_free(&r.transcript);
	free(r.dir);
	return rc;
}
