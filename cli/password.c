/* Passwords from files, pipes and terminals, and their argon2id. */
#include "password.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "secret.h"

#define PASSWORD_MAX	256	/* as the worker reads it */
/* What a worker pays per unknown credential; [OWASP] argon2id t=2, 19 MiB. */
#define PASSWORD_OPS	2
#define PASSWORD_MEM	(19 * 1024 * 1024)

/* One line without its end.  Unbuffered: no copy stays in stdio. */
static int
read_line(int fd, struct buf *out, struct err *err)
{
	char c;
	ssize_t n;

	while ((n = read(fd, &c, 1)) == 1 && c != '\n') {
		if (out->n == PASSWORD_MAX)
			return err_set(err, ERR_TOO_BIG, "password: more "
			    "than %d bytes", PASSWORD_MAX);
		buf_addc(out, (uint8_t)c);
	}
	if (n < 0)
		return err_set(err, ERR_MALFORMED, "password: read failed");
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	return 0;
}

static int
ask(FILE *tty, const char *prompt, struct buf *out, struct err *err)
{
	struct termios old, quiet;
	int rc;

	if (tcgetattr(fileno(tty), &old) != 0)
		return err_set(err, ERR_MALFORMED, "password: no terminal");
	quiet = old;
	/* Nor signals: they would leave the terminal without echo. */
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	fputs(prompt, tty);
	fflush(tty);
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	rc = read_line(fileno(tty), out, err);
	tcsetattr(fileno(tty), TCSAFLUSH, &old);
	fputc('\n', tty);
	return rc;
}

static int
ask_twice(struct buf *out, struct err *err)
{
	FILE *tty = fopen("/dev/tty", "r+e");
	struct buf again = { 0 };
	int rc = -1;

	if (tty == NULL)
		return err_set(err, ERR_MALFORMED, "no terminal to ask on: "
		    "--password-file, --password-stdin or --no-password");
	/* Room for all, so that growing leaves no copy behind. */
	out->p = xcalloc(1, PASSWORD_MAX + 2);
	again.p = xcalloc(1, PASSWORD_MAX + 2);
	out->cap = again.cap = PASSWORD_MAX + 2;
	if (ask(tty, "password: ", out, err) == 0 &&
	    ask(tty, "once more: ", &again, err) == 0) {
		if (slice_eq(buf_slice(out), buf_slice(&again)))
			rc = 0;
		else
			err_set(err, ERR_MALFORMED,
			    "the two passwords differ");
	}
	fclose(tty);
	buf_wipe(&again);
	return rc;
}

static int
get(const struct args *a, struct buf *out, struct err *err)
{
	if (args_has(a, "password-file"))
		return secret_read(args_get(a, "password-file"),
		    PASSWORD_MAX + 2, true, out, err);
	if (args_has(a, "password-stdin")) {
		out->p = xcalloc(1, PASSWORD_MAX + 2);
		out->cap = PASSWORD_MAX + 2;
		return read_line(STDIN_FILENO, out, err);
	}
	return ask_twice(out, err);
}

/* What a client could never send is refused here, not at its first login. */
static int
check(const struct buf *pass, struct err *err)
{
	size_t i;

	if (pass->n == 0)
		return err_set(err, ERR_MALFORMED, "the password is empty");
	if (pass->n > PASSWORD_MAX)
		return err_set(err, ERR_TOO_BIG, "password: more than %d "
		    "bytes", PASSWORD_MAX);
	for (i = 0; i < pass->n; i++)
		if (pass->p[i] < 0x20 || pass->p[i] == 0x7f)
			return err_set(err, ERR_MALFORMED,
			    "the password holds a control character");
	return 0;
}

int
password_encode(struct slice pass, char **hash, struct err *err)
{
	char text[crypto_pwhash_STRBYTES];
	int rc = 0;

	if (sodium_init() < 0)
		return err_set(err, ERR_INTERNAL, "libsodium does not start");
	if (crypto_pwhash_str_alg(text, (const char *)pass.p, pass.n,
	    PASSWORD_OPS, PASSWORD_MEM, crypto_pwhash_ALG_ARGON2ID13) != 0)
		rc = err_set(err, ERR_UNAVAILABLE,
		    "argon2id: not enough memory");
	else
		*hash = xstrdup(text);
	sodium_memzero(text, sizeof text);
	return rc;
}

int
password_hash(const struct args *a, char **hash, struct err *err)
{
	int ways = args_has(a, "password-file") +
	    args_has(a, "password-stdin") + args_has(a, "no-password");
	struct buf pass = { 0 };
	int rc;

	*hash = NULL;
	if (ways > 1)
		return err_set(err, ERR_MALFORMED, "--password-file, "
		    "--password-stdin and --no-password exclude each other");
	if (args_has(a, "no-password"))
		return 0;
	rc = get(a, &pass, err);
	if (rc == 0)
		rc = check(&pass, err);
	if (rc == 0)
		rc = password_encode(buf_slice(&pass), hash, err);
	buf_wipe(&pass);
	return rc;
}
