/* cert list, show, export: certificates as their rows have them. */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "certfile.h"

const struct opt opts_cert_list[] = {
	{ "account", "NAME", "of this account", false },
	{ "template", "NAME", "of this template", false },
	{ "name", "TEXT", "with this in the subject or another name", false },
	{ "expires-within", "DURATION", "valid now, but not for longer than "
	    "this: 30d, 6w", false },
	{ "serial", "HEX", "with this serial number", false },
	{ "limit", "N", "at most so many (default 50)", false },
	{ "after", "SERIAL", "behind this certificate: the next page", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_cert_export[] = {
	{ "format", "pem|der|p7b", "default pem", false },
	{ "chain", NULL, "with the issuing CAs up to the root", false },
	{ "o", "FILE", "write to FILE instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col list_cols[] = {
	{ "serial", OUT_TEXT }, { "account", OUT_TEXT },
	{ "template", OUT_TEXT }, { "ca", OUT_JSON_ONLY },
	{ "subject", OUT_TEXT }, { "san", OUT_JSON_ONLY },
	{ "not_before", OUT_JSON_ONLY }, { "not_after", OUT_TEXT },
	{ "revoked_at", OUT_TEXT }, { NULL, OUT_TEXT }
};

static const struct out_col show_cols[] = {
	{ "serial", OUT_TEXT }, { "request_id", OUT_TEXT },
	{ "account", OUT_TEXT }, { "template", OUT_TEXT },
	{ "ca", OUT_TEXT }, { "subject", OUT_TEXT }, { "san", OUT_TEXT },
	{ "not_before", OUT_TEXT }, { "not_after", OUT_TEXT },
	{ "spki_sha256", OUT_TEXT }, { "sha256", OUT_TEXT },
	{ "revoked_at", OUT_TEXT }, { "revocation_reason", OUT_NUMBER },
	{ "revoked_by", OUT_TEXT }, { "revocation_note", OUT_TEXT },
	{ "text", OUT_BLOCK }, { NULL, OUT_TEXT }
};
#define SHOW_DER 15		/* column of "cert_get" */

/* The row has the octets of the number: whole ones, no leading zeros. */
int
serial_parse(struct cli *c, const char *text, char out[41], struct err *err)
{
	char hex[42] = "0";
	const char *s = text, *start;
	size_t n = 1;

	if (strncmp(s, "serial=", 7) == 0)
		s += 7;
	if (strncmp(s, "0x", 2) == 0 || strncmp(s, "0X", 2) == 0)
		s += 2;
	s += strspn(s, "0: ");
	for (; *s != '\0'; s++) {
		if (*s == ':' || *s == ' ')
			continue;
		if (strchr("0123456789abcdefABCDEF", *s) == NULL || n > 40)
			return cli_usage(c, err,
			    "not a serial number: %.60s", text);
		hex[n++] = *s;
	}
	start = n % 2 == 0 ? hex : hex + 1;
	n = strlen(start);
	if (n == 0 || n > 40)
		return cli_usage(c, err, "not a serial number: %.60s", text);
	memcpy(out, start, n + 1);
	return 0;
}

struct query {			/* options, as the statement takes them */
	char	 after[41], serial[41], account[129];
	char	 within[24], limit[24];	/* seconds; rows */
	int64_t	 limit_n;
};

static int
list_options(struct cli *c, const struct args *a, struct query *q,
    struct err *err)
{
	int64_t within = 0;

	q->limit_n = 50;
	if (args_num(a, "limit", 1, 100000, &q->limit_n, err) != 0 ||
	    (args_has(a, "expires-within") && conf_duration(args_get(a,
	    "expires-within"), &within, err) != 0)) {
		c->code = EXIT_USAGE;
		return -1;
	}
	snprintf(q->limit, sizeof q->limit, "%" PRId64, q->limit_n);
	snprintf(q->within, sizeof q->within, "%" PRId64, within);
	if (args_has(a, "after") &&
	    serial_parse(c, args_get(a, "after"), q->after, err) != 0)
		return -1;
	if (args_has(a, "serial") &&
	    serial_parse(c, args_get(a, "serial"), q->serial, err) != 0)
		return -1;
	if (args_has(a, "account") &&
	    cli_account(c, args_get(a, "account"), q->account, err) != 0)
		return -1;
	return 0;
}

/* SQL NULL, which selects nothing, where the option is absent. */
static const char *
given(const struct args *a, const char *opt, const char *value)
{
	return args_has(a, opt) ? value : NULL;
}

int
cmd_cert_list(struct cli *c, const struct args *a, struct err *err)
{
	struct query q;
	struct out *o;
	PGresult *res;
	int n, rc;

	memset(&q, 0, sizeof q);
	if (list_options(c, a, &q, err) != 0)
		return -1;
	res = cli_query(c, "cert_list", (const char *[]){
	    given(a, "after", q.after), given(a, "serial", q.serial),
	    given(a, "account", q.account), args_get(a, "template"),
	    given(a, "expires-within", q.within), q.limit,
	    args_get(a, "name") }, 7, err);
	if (res == NULL)
		return -1;
	o = out_new(list_cols, OUT_TABLE);
	out_result(o, res);
	n = PQntuples(res);
	rc = cli_print(c, o, err);
	if (rc == 0 && n == q.limit_n && !c->json)
		fprintf(stderr, "more: --after %s\n",
		    PQgetvalue(res, n - 1, 0));
	PQclear(res);
	return rc;
}

/* Perhaps one that a CA had revoked before it came here. */
static void
tell_absent(struct cli *c, const char *serial, struct err *err)
{
	PGresult *res = cli_query(c, "earlier_get", &serial, 1, err);

	if (res != NULL && PQntuples(res) == 0)
		err_set(err, ERR_DENIED, "no certificate %s", serial);
	else if (res != NULL)
		err_set(err, ERR_DENIED, "no certificate %s is here: ca %s "
		    "issued it before it came here; revoked %s, reason %s",
		    serial, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
		    PQgetvalue(res, 0, 2));
	PQclear(res);
}

/* The row of "cert_get" and its certificate. */
static PGresult *
get(struct cli *c, const char *typed, struct buf *der, struct err *err)
{
	const char *v[1];
	char serial[41];
	PGresult *res;

	if (serial_parse(c, typed, serial, err) != 0)
		return NULL;
	v[0] = serial;
	if ((res = cli_query(c, "cert_get", v, 1, err)) == NULL)
		return NULL;
	if (PQntuples(res) == 0)
		tell_absent(c, serial, err);
	else if (cli_bytea(PQgetvalue(res, 0, SHOW_DER), der, err) == 0)
		return res;
	PQclear(res);
	return NULL;
}

int
cmd_cert_show(struct cli *c, const struct args *a, struct err *err)
{
	struct buf der = { 0 }, text = { 0 };
	PGresult *res = get(c, a->pos[0], &der, err);
	struct out *o;
	int col, rc = res == NULL ? -1 : 0;

	if (rc == 0)
		rc = cert_text(buf_slice(&der), &text, err);
	if (rc == 0) {
		o = out_new(show_cols, OUT_RECORD);
		for (col = 0; col < SHOW_DER; col++)
			out_add(o, PQgetisnull(res, 0, col) ? NULL :
			    PQgetvalue(res, 0, col));
		out_add(o, buf_str(&text));
		rc = cli_print(c, o, err);
	}
	PQclear(res);
	buf_free(&der);
	buf_free(&text);
	return rc;
}

int
cmd_cert_export(struct cli *c, const struct args *a, struct err *err)
{
	struct buf der = { 0 };
	struct certs certs = { 0 };
	PGresult *res = get(c, a->pos[0], &der, err);
	int rc = res == NULL ? -1 : 0;

	if (rc == 0)
		rc = certs_add(&certs, buf_slice(&der), err);
	if (rc == 0 && args_has(a, "chain"))
		rc = cli_chain(c, PQgetvalue(res, 0, 4), &certs, err);
	if (rc == 0)
		rc = cli_export(c, &certs, a, err);
	PQclear(res);
	certs_free(&certs);
	buf_free(&der);
	return rc;
}
