/*
 * key block, key unblock, key list: public keys that get no certificate
 * (signer/blocked.c looks them up).
 */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "badkey.h"
#include "certlint.h"
#include "digest.h"

#define HEX_MAX	(2 * BADKEY_SPKI)
#define PIECE	10000		/* hashes in a transaction */

const struct opt opts_key_block[] = {
	{ "cert", "SERIAL", "the key of this certificate", false },
	{ "file", "FILE", "all hashes of a list, one a line", false },
	{ "note", "TEXT", "why, for the record", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "spki_sha256", OUT_TEXT }, { "at", OUT_TEXT }, { "who", OUT_TEXT },
	{ "note", OUT_TEXT }, { NULL, OUT_TEXT }
};

static const struct out_col list_cols[] = {
	{ "hashes", OUT_NUMBER }, { "changed", OUT_NUMBER },
	{ NULL, OUT_TEXT }
};

/* In lower case; 1, 0 for a line without, -1. */
static int
read_hash(const char *s, char hex[HEX_MAX + 1])
{
	uint8_t octets[BADKEY_SPKI];
	int n = badkey_line(s, octets);

	if (n > 0)
		hex_encode(octets, (size_t)n, hex);
	return n > 0 ? 1 : n;
}

/*
 * The key of a certificate, and of an RSA key the modulus as well: with the
 * same factors it makes other keys, of another exponent.  An EC key's other
 * point is looked up by whoever looks for a key.
 */
static int
hashes_of(struct slice der, char hex[HEX_MAX + 1], struct buf *list,
    struct err *err)
{
	struct certlint_ask cert = { .responder = false };
	uint8_t spki[BADKEY_SPKI], other[BADKEY_SPKI];
	struct err weak = ERR_INIT;
	struct pubkey *key;

	if (certlint_issuer(der, &cert, err) != 0)
		return -1;
	digest_sha256(cert.ca_spki, spki);
	hex_encode(spki, sizeof spki, hex);
	buf_printf(list, "{\"\\\\x%s\"", hex);
	key = pubkey_parse(cert.ca_spki, &weak);
	if (key != NULL && badkey_other(key, other) == BADKEY_MODULUS) {
		buf_puts(list, ",\"\\\\x");
		buf_hex(list, other, BADKEY_MODULUS);
		buf_addc(list, '"');
	}
	buf_addc(list, '}');
	pubkey_free(key);
	return 0;
}

/* hex: the key's SHA-256, for people; list: all that is blocked with it. */
static int
take_cert(struct cli *c, const char *serial, char hex[HEX_MAX + 1],
    struct buf *list, struct err *err)
{
	char number[41];
	const char *p[] = { number };
	struct buf der = { 0 };
	PGresult *res;
	int rc;

	if (serial_parse(c, serial, number, err) != 0 ||
	    (res = cli_query(c, "cert_der", p, 1, err)) == NULL)
		return -1;
	if (PQntuples(res) == 0)
		rc = err_set(err, ERR_DENIED, "no certificate %s", number);
	else if ((rc = cli_bytea(PQgetvalue(res, 0, 0), &der, err)) == 0)
		rc = hashes_of(buf_slice(&der), hex, list, err);
	buf_free(&der);
	PQclear(res);
	return rc;
}

/* How many changed, or -1. */
static int64_t
send(struct cli *c, const char *list, bool block, const char *note,
    struct err *err)
{
	PGresult *res = cli_query(c, "key_block_all", (const char *[]){ list,
	    block ? "t" : "f", note }, 3, err);
	int64_t n = -1;

	if (res != NULL)
		n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return n;
}

/* A hash as typed, or those of a certificate's key. */
static int
change_one(struct cli *c, const struct args *a, bool block, struct err *err)
{
	const char *serial = args_get(a, "cert");
	char hex[HEX_MAX + 1] = "";
	struct buf list = { 0 };
	int64_t n = -1;

	if (serial != NULL) {
		if (take_cert(c, serial, hex, &list, err) == 0)
			n = send(c, buf_str(&list), block,
			    args_get(a, "note"), err);
	} else if (read_hash(a->pos[0], hex) != 1)
		cli_usage(c, err, "64 hex digits, or 20 of a modulus, not "
		    "%.70s", a->pos[0]);
	else {
		buf_printf(&list, "{\"\\\\x%s\"}", hex);
		n = send(c, buf_str(&list), block, args_get(a, "note"), err);
	}
	buf_free(&list);
	if (n == 0)
		err_set(err, ERR_DENIED, "key %s is %s", hex,
		    block ? "blocked already" : "not blocked");
	if (n > 0 && !c->json)
		printf("%s\n", hex);
	return n > 0 ? cli_outcome(c, hex, block ? "blocked" : "unblocked",
	    err) : -1;
}

struct list {
	struct cli	*cli;
	const char	*path, *note;
	bool		 block;
	FILE		*f;
	char		*text;		/* the line at hand */
	size_t		 cap;
	unsigned	 line;
	struct buf	 piece;		/* {"\\x...","\\x..."} */
	size_t		 n;		/* hashes in it */
	uint64_t	 hashes, changed;
};

/* The next hash: 1, or 0 at the end. */
static int
next_hash(struct list *l, char hex[HEX_MAX + 1], struct err *err)
{
	int got;

	while (getline(&l->text, &l->cap, l->f) != -1) {
		l->line++;
		if ((got = read_hash(l->text, hex)) == 1)
			return 1;
		if (got == -1)
			return err_set(err, ERR_DENIED, "%.100s:%u: begins "
			    "with neither 64 hex digits nor 20", l->path,
			    l->line);
	}
	if (ferror(l->f))
		return err_set(err, ERR_DENIED, "%.100s: %s", l->path,
		    strerror(errno));
	return 0;
}

static int
send_piece(struct list *l, struct err *err)
{
	int64_t n;

	if (l->n == 0)
		return 0;
	buf_addc(&l->piece, '}');
	n = send(l->cli, buf_str(&l->piece), l->block, l->note, err);
	buf_reset(&l->piece);
	l->n = 0;
	l->changed += n > 0 ? (uint64_t)n : 0;
	return n == -1 ? -1 : 0;
}

/*
 * In pieces, each a transaction: signers take some ten thousand changes at a
 * time, and a list of a million must not lock the table for minutes.
 */
static int
send_all(struct list *l, struct err *err)
{
	char hex[HEX_MAX + 1];
	int got;

	while ((got = next_hash(l, hex, err)) == 1) {
		buf_printf(&l->piece, "%s\"\\\\x%s\"", l->n == 0 ? "{" : ",",
		    hex);
		l->hashes++;
		if (++l->n == PIECE && send_piece(l, err) != 0)
			return -1;
	}
	return got == -1 ? -1 : send_piece(l, err);
}

/* Read twice: of a file with a mistake nothing is taken. */
static int
change_list(struct cli *c, const struct args *a, bool block, struct err *err)
{
	struct list l = { .cli = c, .path = args_get(a, "file"),
	    .note = args_get(a, "note"), .block = block };
	char hex[HEX_MAX + 1];
	struct out *o;
	int rc;

	if ((l.f = fopen(l.path, "re")) == NULL)
		return err_set(err, ERR_DENIED, "%.100s: %s", l.path,
		    strerror(errno));
	while ((rc = next_hash(&l, hex, err)) == 1)
		;
	rewind(l.f);
	l.line = 0;
	if (rc == 0)
		rc = send_all(&l, err);
	fclose(l.f);
	free(l.text);
	buf_free(&l.piece);
	if (rc != 0)
		return -1;
	o = out_new(list_cols, OUT_RECORD);
	out_num(o, (int64_t)l.hashes);
	out_num(o, (int64_t)l.changed);
	return cli_print_done(c, o, "all lines of the file are done", err);
}

static int
change(struct cli *c, const struct args *a, bool block, struct err *err)
{
	if (a->npos + args_has(a, "cert") + args_has(a, "file") != 1)
		return cli_usage(c, err, "which key: its SHA-256, or "
		    "--cert SERIAL, or --file FILE");
	return args_has(a, "file") ? change_list(c, a, block, err) :
	    change_one(c, a, block, err);
}

int
cmd_key_block(struct cli *c, const struct args *a, struct err *err)
{
	return change(c, a, true, err);
}

int
cmd_key_unblock(struct cli *c, const struct args *a, struct err *err)
{
	return change(c, a, false, err);
}

int
cmd_key_list(struct cli *c, const struct args *a, struct err *err)
{
	(void)a;
	return cli_rows(c, cli_query(c, "key_list", NULL, 0, err), cols,
	    OUT_TABLE, err);
}
