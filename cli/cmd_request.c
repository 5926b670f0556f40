/*
 * request list, show, submit: what clients asked for and got.  submit goes
 * the way of any request, from the signer on, as the operator.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "ask.h"
#include "certfile.h"
#include "decide.h"
#include "derfile.h"

const struct opt opts_request_list[] = {
	{ "account", "NAME", "for this account, or by it as an agent", false },
	{ "state", "STATE", "issued, pending, expired or denied", false },
	{ "template", "NAME", "for this template", false },
	{ "name", "TEXT", "with this in the subject or another name", false },
	{ "since", "WHEN", "received since then: 2026-11-24, "
	    "2026-11-24T09:00:00Z or 7d (ago)", false },
	{ "until", "WHEN", "received until then", false },
	{ "limit", "N", "at most so many (default 50)", false },
	{ "after", "ID", "behind this request: the next page", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_request_submit[] = {
	{ "account", "NAME", "whose certificate it will be", false },
	{ "template", "NAME", "template", false },
	{ "csr", "FILE", "request: PEM, DER or base64; - is standard input",
	    false },
	{ "ca", "NAME", "CA (default: the first that offers the template)",
	    false },
	{ "o", "FILE", "write the certificate to FILE", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col list_cols[] = {
	{ "id", OUT_TEXT }, { "number", OUT_NUMBER }, { "state", OUT_TEXT },
	{ "received_at", OUT_TEXT }, { "account", OUT_TEXT },
	{ "agent", OUT_JSON_ONLY },
	{ "ca", OUT_JSON_ONLY }, { "template", OUT_TEXT },
	{ "method", OUT_JSON_ONLY }, { "serial", OUT_JSON_ONLY },
	{ "message", OUT_TEXT }, { NULL, OUT_TEXT }
};

static const struct out_col show_cols[] = {
	{ "id", OUT_TEXT }, { "number", OUT_NUMBER }, { "state", OUT_TEXT },
	{ "received_at", OUT_TEXT }, { "decided_at", OUT_TEXT },
	{ "ca", OUT_TEXT }, { "account", OUT_TEXT }, { "agent", OUT_TEXT },
	{ "method", OUT_TEXT },
	{ "worker", OUT_TEXT }, { "signer", OUT_TEXT },
	{ "client_address", OUT_TEXT }, { "template", OUT_TEXT },
	{ "template_version", OUT_TEXT }, { "policy_version", OUT_NUMBER },
	{ "policy_sha256", OUT_TEXT }, { "hresult", OUT_TEXT },
	{ "message", OUT_TEXT }, { "subject", OUT_TEXT },
	{ "san", OUT_TEXT }, { "serial", OUT_TEXT }, { "renews", OUT_TEXT },
	{ "chain", OUT_LIST },
	{ "evidence_sha256", OUT_TEXT }, { "token_sha256", OUT_TEXT },
	{ "token_bytes", OUT_NUMBER }, { "expires_at", OUT_TEXT },
	{ "approved_by", OUT_TEXT }, { "approval_reason", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

static const struct out_col verdict_cols[] = {
	{ "id", OUT_TEXT }, { "number", OUT_NUMBER }, { "state", OUT_TEXT },
	{ "hresult", OUT_TEXT }, { "message", OUT_TEXT }, { NULL, OUT_TEXT }
};

/* A request id as logged: 32 hex digits; its first two bytes are the day. */
static int
id_day(const char *id, char day[8])
{
	uint8_t raw[MSG_ID];

	if (strlen(id) != 2 * MSG_ID || hex_decode(id, raw, MSG_ID) != 0)
		return -1;
	snprintf(day, 8, "%d", raw[0] << 8 | raw[1]);
	return 0;
}

struct page {
	char		 low[24], high[24];	/* days */
	char		 since[24], until[24], limit[24];
	char		*after_at;		/* timestamptz, or NULL */
	int64_t		 last_day;		/* where the page begins */
	int64_t		 first_day;		/* no row is older */
	int64_t		 limit_n;
	char		 account[129];
};

/* Rows behind --after: its time, exactly as the database has it. */
static int
page_after(struct cli *c, const char *id, struct page *p, struct err *err)
{
	char day[8];
	PGresult *res;
	int rc = 0;

	if (id_day(id, day) != 0)
		return cli_usage(c, err, "--after is a request id: %.40s", id);
	if ((res = cli_query(c, "request_at", (const char *[]){ day, id }, 2,
	    err)) == NULL)
		return -1;
	if (PQntuples(res) == 0)
		rc = err_set(err, ERR_DENIED, "no request %.40s", id);
	else {
		p->after_at = xstrdup(PQgetvalue(res, 0, 0));
		p->last_day = strtoll(PQgetvalue(res, 0, 1), NULL, 10) / 86400;
	}
	PQclear(res);
	return rc;
}

/* Where the page ends, newest first, and how far back it may have to look. */
static int
page_begin(struct cli *c, const struct args *a, struct page *p,
    struct err *err)
{
	const char *since = args_get(a, "since");
	const char *until = args_get(a, "until");
	int64_t t = 0, end = time(NULL);
	PGresult *res;

	p->limit_n = 50;
	p->last_day = end / 86400;
	if (args_num(a, "limit", 1, 100000, &p->limit_n, err) != 0 ||
	    (since != NULL && cli_time(since, &t, err) != 0) ||
	    (until != NULL && cli_time(until, &end, err) != 0)) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if (until != NULL && end < t)
		return cli_usage(c, err, "--until is before --since");
	if (end / 86400 < p->last_day)
		p->last_day = end / 86400;
	snprintf(p->until, sizeof p->until, "%" PRId64, end);
	snprintf(p->limit, sizeof p->limit, "%" PRId64, p->limit_n);
	snprintf(p->since, sizeof p->since, "%" PRId64, t);
	if (args_has(a, "after") &&
	    page_after(c, args_get(a, "after"), p, err) != 0)
		return -1;
	if ((res = cli_query(c, "request_first_day", NULL, 0, err)) == NULL)
		return -1;
	p->first_day = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	if (since != NULL && t / 86400 - 1 > p->first_day)
		p->first_day = t / 86400 - 1;
	PQclear(res);
	return 0;
}

/*
 * Full, and its oldest row so far from the oldest day looked at that no row
 * of an earlier id could stand before it.
 */
static bool
page_full(const PGresult *res, const struct page *p, int64_t low)
{
	int n = PQntuples(res);
	char day[8];

	return n >= p->limit_n &&
	    id_day(PQgetvalue(res, n - 1, 0), day) == 0 &&
	    strtoll(day, NULL, 10) >= low + 2;
}

/*
 * Tables are partitioned by day and hold years: look at the newest days
 * first and further back only while the page is not full.  An id's day is the
 * worker's, so it may be one off the signer's received_at at midnight.
 */
static PGresult *
page_read(struct cli *c, const struct args *a, struct page *p,
    struct err *err)
{
	const char *v[] = { p->low, p->high, args_has(a, "account") ?
	    p->account : NULL, args_get(a, "state"), args_get(a, "template"),
	    args_has(a, "since") ? p->since : NULL, p->after_at,
	    args_get(a, "after"), p->limit, args_get(a, "name"),
	    args_has(a, "until") ? p->until : NULL };
	int64_t days, low;
	PGresult *res = NULL;

	snprintf(p->high, sizeof p->high, "%" PRId64, p->last_day + 1);
	/* An account has an index of its own: no steps. */
	for (days = v[2] != NULL ? 65536 : 3;; days *= 16) {
		PQclear(res);
		low = p->last_day - days;
		if (low < p->first_day)
			low = p->first_day;
		snprintf(p->low, sizeof p->low, "%" PRId64, low);
		res = cli_query(c, "request_list", v, 11, err);
		if (res == NULL || low <= p->first_day ||
		    page_full(res, p, low))
			return res;
	}
}

static int
print_page(struct cli *c, const PGresult *res, int64_t limit, struct err *err)
{
	struct out *o = out_new(list_cols, OUT_TABLE);
	int n = PQntuples(res);

	out_result(o, res);
	if (cli_print(c, o, err) != 0)
		return -1;
	if (n == limit && !c->json)
		fprintf(stderr, "more: --after %s\n",
		    PQgetvalue(res, n - 1, 0));
	return 0;
}

int
cmd_request_list(struct cli *c, const struct args *a, struct err *err)
{
	const char *state = args_get(a, "state");
	struct page p;
	PGresult *res = NULL;
	int rc = -1;

	memset(&p, 0, sizeof p);
	if (state != NULL && strcmp(state, "issued") != 0 &&
	    strcmp(state, "pending") != 0 && strcmp(state, "denied") != 0 &&
	    strcmp(state, "expired") != 0)
		return cli_usage(c, err, "--state is issued, pending, expired "
		    "or denied, not %.40s", state);
	if ((args_has(a, "account") && cli_account(c, args_get(a,
	    "account"), p.account, err) != 0) ||
	    page_begin(c, a, &p, err) != 0)
		goto out;
	if ((res = page_read(c, a, &p, err)) != NULL)
		rc = print_page(c, res, p.limit_n, err);
out:
	PQclear(res);
	free(p.after_at);
	return rc;
}

int
cmd_request_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *id = a->pos[0], *hint = "";
	struct err why = ERR_INIT;
	int64_t number;
	char day[8];
	PGresult *res;

	if (id_day(id, day) == 0) {
		hint = ": what a worker refuses has a line in its log, no row";
		res = cli_query(c, "request_by_id", (const char *[]){ day,
		    id }, 2, err);
	} else if (number_parse(id, 1, INT32_MAX, &number, &why) == 0)
		res = cli_query(c, "request_by_number", &id, 1, err);
	else
		return cli_usage(c, err, REQUEST_ID_FORM ", not %.70s", id);
	if (res != NULL && PQntuples(res) == 0) {
		PQclear(res);
		return err_set(err, ERR_DENIED, "no request %.40s%s", id,
		    hint);
	}
	return cli_rows(c, res, show_cols, OUT_RECORD, err);
}

/* Of a request that got no certificate: for programs, to go on with. */
static int
print_verdict(struct cli *c, const struct answer *answer, struct err *err)
{
	struct out *o;
	char id[2 * MSG_ID + 1];

	if (!c->json)
		return 0;
	hex_encode(answer->id, MSG_ID, id);
	o = out_new(verdict_cols, OUT_RECORD);
	out_add(o, id);
	if (answer->number != 0)
		out_num(o, answer->number);
	else
		out_add(o, NULL);
	out_add(o, msg_status_name(answer->status));
	if (answer->hresult != 0)
		out_addf(o, "0x%08X", answer->hresult);
	else
		out_add(o, NULL);
	out_addf(o, "%.*s", (int)answer->text.n, (const char *)answer->text.p);
	return cli_print(c, o, err);
}

/* It is issued, wherever it could not be written to. */
static int
write_issued(struct cli *c, struct slice der, const char *path,
    struct err *err)
{
	struct certs certs = { 0 };
	struct err why = ERR_INIT;
	struct buf serial = { 0 };
	X509 *x = NULL;
	int rc;

	if ((rc = certs_add(&certs, der, err)) == 0 &&
	    certs_write(&certs, "pem", path, &why) != 0) {
		if ((x = certs_x509(&certs, 0, err)) != NULL)
			cert_serial(x, &serial);
		rc = err_set(err, why.kind, "%.110s; it is issued: cert "
		    "export %s", why.text, buf_str(&serial));
	}
	X509_free(x);
	buf_free(&serial);
	certs_free(&certs);
	return rc != 0 ? -1 : cli_written(c, path, err);
}

/* What the signer said, for people and scripts. */
static int
verdict(struct cli *c, const struct answer *answer, const struct args *a,
    struct err *err)
{
	switch (answer->status) {
	case MSG_ISSUED:
		return write_issued(c, answer->certificate, args_get(a, "o"),
		    err);
	case MSG_PENDING:
		if (print_verdict(c, answer, err) != 0)
			return -1;
		return err_set(err, ERR_DENIED,
		    "pending: request %u waits for approval, or for the next "
		    "round where its ca is behind an air gap", answer->number);
	case MSG_POLICY_CHANGED:
		return err_set(err, ERR_UNAVAILABLE,
		    "the signer has another policy than the database");
	case MSG_UNAVAILABLE:
	case MSG_ELSEWHERE:
		return err_set(err, ERR_UNAVAILABLE,
		    "no signer can decide now; their logs say why");
	default:
		break;
	}
	if (print_verdict(c, answer, err) != 0)
		return -1;
	/* What cannot be read is no request that has a number. */
	if (answer->number == 0)
		return err_deny(err, answer->hresult, "%.*s (0x%08X)",
		    (int)answer->text.n, (const char *)answer->text.p,
		    answer->hresult);
	return err_deny(err, answer->hresult, "%.*s (0x%08X, request %u)",
	    (int)answer->text.n, (const char *)answer->text.p,
	    answer->hresult, answer->number);
}

/* The CA that was named, or, as explain, the first that offers it. */
static int
choose_ca(const struct policy *p, const struct args *a, struct slice *ca,
    struct err *err)
{
	const struct template *t = policy_template_by_name(p,
	    args_get(a, "template"));
	const char *name = args_get(a, "ca");
	size_t i;

	if (t == NULL)
		return err_set(err, ERR_DENIED, "no template %.80s",
		    args_get(a, "template"));
	for (i = 0; name == NULL && i < p->ncas; i++)
		if (template_offered_by(t, p->cas[i].name))
			name = p->cas[i].name;
	if (policy_ca_find(p, name) == NULL)
		return err_set(err, ERR_DENIED, "no ca %.80s", name);
	*ca = slice_str(name);
	return 0;
}

/* As a worker's ask, but for the method: no address of a CA is needed. */
static int
submit(struct cli *c, const struct args *a, const struct policy *p,
    struct ask *ask, struct err *err)
{
	struct answer answer;
	struct buf reply = { 0 };
	int rc;

	memcpy(ask->policy_hash, p->sha256, sizeof ask->policy_hash);
	ask->call = CALL_ISSUE;
	ask->method = AUTH_OPERATOR;
	ask->address = slice_str("operator");
	ask->hint[0] = slice_str(args_get(a, "template"));
	ask->nhint = 1;
	rc = choose_ca(p, a, &ask->ca, err);
	if (rc == 0)
		rc = ask_signer(c, NULL, ask, &reply, &answer, err);
	if (rc == 0)
		rc = verdict(c, &answer, a, err);
	buf_free(&reply);
	return rc;
}

int
cmd_request_submit(struct cli *c, const struct args *a, struct err *err)
{
	struct buf csr = { 0 };
	struct policy *p = NULL;
	struct ask ask;
	char account[129];
	int rc = -1;

	memset(&ask, 0, sizeof ask);
	if (!args_has(a, "account") || !args_has(a, "template") ||
	    !args_has(a, "csr"))
		return cli_usage(c, err,
		    "--account, --template and --csr are needed");
	if (cli_account(c, args_get(a, "account"), account, err) == 0 &&
	    derfile_read(args_get(a, "csr"), REQUEST_MAX, &csr, err) == 0 &&
	    (p = cli_policy(c, err)) != NULL) {
		ask.account = slice_str(account);
		ask.token = buf_slice(&csr);
		rc = submit(c, a, p, &ask, err);
	}
	policy_free(p);
	buf_free(&csr);
	return rc;
}
