/* Steps of a ceremony with a root whose key is in a token. */
#include <stdlib.h>
#include <unistd.h>

#include "catoken.h"
#include "ceremony.h"
#include "certfile.h"
#include "digest.h"
#include "file.h"

/* Of the root's certificate; its path begins behind file_path's slash. */
static int
root_public(const struct step *s, const char *dir, struct buf *spki,
    struct err *err)
{
	char *root = step_root(s, dir), *path = file_path("", root, ".pem");
	int rc = cert_public(path + 1, spki, err);

	free(root);
	free(path);
	return rc;
}

/* A token that shows nothing without its PIN is no fault: it is noted. */
static int
compare(const struct step *s, struct slice want, struct slice has,
    struct buf *out, struct err *err)
{
	uint8_t md[32];

	buf_puts(out, step_get(s, "token"));
	if (has.n == 0) {
		buf_puts(out, ": shows no public key without its pin");
		return 0;
	}
	if (!slice_eq(want, has))
		return err_set(err, ERR_DENIED, "check of %.80s: the token "
		    "shows another key than the root's", s->name);
	digest_sha256(has, md);
	buf_puts(out, ": holds the root's key, SHA-256 of its public key ");
	buf_hex(out, md, sizeof md);
	return 0;
}

int
step_token(struct cli *c, const struct step *s, const char *dir,
    struct buf *out, struct err *err)
{
	struct catoken t = { NULL, NULL, false };
	struct buf want = { 0 }, has = { 0 };
	char warning[120] = "";
	int rc = -1;

	if (step_get(s, "token") == NULL)
		return 0;
	if (catoken_take(c, &s->args, &t, err) == 0 &&
	    root_public(s, dir, &want, err) == 0 &&
	    tokenkey_look(t.key, &has, warning, err) == 0)
		rc = compare(s, buf_slice(&want), buf_slice(&has), out, err);
	if (rc == 0 && warning[0] != '\0')
		buf_printf(out, "; %s", warning);
	buf_free(&want);
	buf_free(&has);
	catoken_free(&t);
	return rc;
}

/* With a certificate the key is ours; without one nothing was made. */
int
step_undo(struct cli *c, const struct step *s, const char *dir)
{
	struct catoken t = { NULL, NULL, false };
	struct err err = ERR_INIT;
	char *pem = file_path(dir, s->name, ".pem");
	int rc = 0;

	if (step_makes_root(s) && step_get(s, "token") != NULL &&
	    file_exists(pem)) {
		rc = catoken_take(c, &s->args, &t, &err);
		t.made = rc == 0;
		if (rc == 0)
			rc = catoken_undo(&t);
		catoken_free(&t);
	}
	free(pem);
	return rc;
}
