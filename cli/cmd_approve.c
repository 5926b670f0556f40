/*
 * request approve, request deny: what waits for a manager, decided by a
 * signer (signer/approval.c); this only asks it.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "ask.h"
#include "hresult.h"
#include "x509.h"

#define AS { "as", "ACCOUNT", "decide as this account, which must be in the " \
	"template's approvers", false }

const struct opt opts_request_approve[] = {
	{ "reason", "TEXT", "kept with the request", false },
	AS,
	{ "subject", "DN", "put this in the place of the subject asked for, "
	    "most specific part first", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_request_deny[] = {
	{ "reason", "TEXT", "kept with the request; the client is told",
	    false },
	AS,
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "id", OUT_TEXT }, { "number", OUT_NUMBER }, { "state", OUT_TEXT },
	{ "serial", OUT_TEXT }, { NULL, OUT_TEXT }
};

/* Everything that an ask about one request borrows from. */
struct call {
	PGresult	*row;		/* id, number, ca */
	char		 account[129];
	char		 operator[CLI_OPERATOR];
	struct ask	 ask;
};

/* The one of that id, or of all with that number the one that waits. */
static int
find(struct cli *c, const char *id, struct call *k, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t number;
	size_t n = strlen(id);

	if (n != 2 * MSG_ID && number_parse(id, 1, INT32_MAX, &number,
	    &why) != 0)
		return cli_usage(c, err, REQUEST_ID_FORM ", not %.70s", id);
	k->row = cli_query(c, n == 2 * MSG_ID ? "waiting_by_id" :
	    "waiting_by_number", &id, 1, err);
	if (k->row == NULL)
		return -1;
	if (PQntuples(k->row) == 0)
		return err_set(err, ERR_DENIED, "no request %.40s", id);
	if (PQntuples(k->row) > 1)
		return err_set(err, ERR_DENIED, "%d requests have the number "
		    "%.20s: say the id", PQntuples(k->row), id);
	if (hex_decode(PQgetvalue(k->row, 0, 0), k->ask.verdict.request,
	    MSG_ID) != 0)
		return err_set(err, ERR_INTERNAL, "request without an id");
	k->ask.ca = slice_str(PQgetvalue(k->row, 0, 2));
	return 0;
}

/* Both stand in messages, rows and answers: as long as those take. */
static int
check_text(struct cli *c, const char *opt, const char *v, size_t max,
    struct err *err)
{
	if (v == NULL)
		return 0;
	if (strlen(v) > max)
		return cli_usage(c, err, "--%s: more than %zu bytes", opt,
		    max);
	if (!slice_is_text(slice_str(v)))
		return cli_usage(c, err, "--%s: not plain UTF-8", opt);
	return 0;
}

static struct slice
opt_slice(const struct args *a, const char *opt)
{
	const char *v = args_has(a, opt) ? args_get(a, opt) : NULL;

	return slice_str(v == NULL ? "" : v);
}

/* Everything but the policy's hash, which decide_request asks for last. */
static int
prepare(struct cli *c, const struct args *a, struct call *k, struct err *err)
{
	if (check_text(c, "reason", args_get(a, "reason"), 200, err) != 0 ||
	    check_text(c, "subject", args_get(a, "subject"), 500, err) != 0)
		return -1;
	if (args_has(a, "as") && cli_account(c, args_get(a, "as"),
	    k->account, err) != 0)
		return -1;
	cli_operator(k->operator);
	k->ask.method = AUTH_OPERATOR;
	k->ask.address = slice_str("operator");
	k->ask.account = slice_str(k->account);
	k->ask.verdict.operator = slice_str(k->operator);
	k->ask.verdict.reason = opt_slice(a, "reason");
	k->ask.verdict.subject = opt_slice(a, "subject");
	return find(c, a->pos[0], k, err);
}

/* The serial, from the certificate that came back. */
static int
print_issued(struct cli *c, const struct call *k, struct slice der,
    struct err *err)
{
	struct buf serial = { 0 };
	struct out *o;
	X509 *cert;

	if ((cert = x509_read(der)) == NULL)
		return err_openssl(err, "the signer's certificate");
	cert_serial(cert, &serial);
	X509_free(cert);
	o = out_new(cols, OUT_RECORD);
	out_add(o, PQgetvalue(k->row, 0, 0));
	out_add(o, PQgetvalue(k->row, 0, 1));
	out_add(o, "issued");
	out_add(o, buf_str(&serial));
	buf_free(&serial);
	return cli_print_done(c, o, "it is issued", err);
}

static int
print_state(struct cli *c, const struct call *k, const char *state,
    struct err *err)
{
	struct out *o = out_new(cols, OUT_RECORD);

	out_add(o, PQgetvalue(k->row, 0, 0));
	out_add(o, PQgetvalue(k->row, 0, 1));
	out_add(o, state);
	out_add(o, NULL);
	return cli_print_done(c, o, "it is decided", err);
}

/* What the signer answered; whatever is no decision is an error here. */
static int
outcome(struct cli *c, const struct call *k, const struct answer *answer,
    struct err *err)
{
	if (k->ask.call == CALL_APPROVE && answer->status == MSG_ISSUED)
		return print_issued(c, k, answer->certificate, err);
	/* Of a CA behind an air gap. */
	if (k->ask.call == CALL_APPROVE && answer->status == MSG_PENDING)
		return print_state(c, k, "approved", err);
	if (k->ask.call == CALL_DENY && answer->status == MSG_DENIED &&
	    answer->hresult == CERTSRV_E_ADMIN_DENIED_REQUEST)
		return print_state(c, k, "denied", err);
	if (answer->status == MSG_POLICY_CHANGED)
		return err_set(err, ERR_UNAVAILABLE,
		    "the signer has another policy than the database");
	if (answer->status == MSG_UNAVAILABLE ||
	    answer->status == MSG_ELSEWHERE)
		return err_set(err, ERR_UNAVAILABLE,
		    "no signer can decide now; their logs say why");
	return err_deny(err, answer->hresult, "%.*s (0x%08X)",
	    (int)answer->text.n, (const char *)answer->text.p,
	    answer->hresult);
}

static int
decide_request(struct cli *c, const struct args *a, enum msg_call call,
    struct err *err)
{
	struct policy *p = NULL;
	struct buf reply = { 0 };
	struct answer answer;
	struct call k;
	int rc;

	memset(&k, 0, sizeof k);
	k.ask.call = call;
	rc = prepare(c, a, &k, err);
	if (rc == 0 && (p = cli_policy(c, err)) == NULL)
		rc = -1;
	if (rc == 0) {
		memcpy(k.ask.policy_hash, p->sha256, sizeof p->sha256);
		rc = ask_signer(c, NULL, &k.ask, &reply, &answer, err);
	}
	if (rc == 0)
		rc = outcome(c, &k, &answer, err);
	buf_free(&reply);
	policy_free(p);
	PQclear(k.row);
	return rc;
}

int
cmd_request_approve(struct cli *c, const struct args *a, struct err *err)
{
	return decide_request(c, a, CALL_APPROVE, err);
}

int
cmd_request_deny(struct cli *c, const struct args *a, struct err *err)
{
	return decide_request(c, a, CALL_DENY, err);
}
