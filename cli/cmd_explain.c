/*
 * Why somebody gets a certificate or not: the very functions that workers and
 * signers decide with, asked without issuing anything.
 */
#include "commands.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "badkey.h"
#include "certlint.h"
#include "decide.h"
#include "derfile.h"
#include "hresult.h"
#include "oid.h"
#include "renewal.h"
#include "snapshot.h"

const struct opt opts_explain[] = {
	{ "account", "NAME", "the account that asks", false },
	{ "user", "NAME", "the same", false },
	{ "template", "NAME", "only this template, or the one asked for "
	    "beside the request", false },
	{ "csr", "FILE", "a request: PEM, DER or base64; - is standard input",
	    false },
	{ "ca", "NAME", "the CA asked (default: the first that offers the "
	    "template)", false },
	{ "method", "HOW", "how it is asked: password, certificate, kerberos, "
	    "anonymous (no --account) or operator (default)", false },
	{ NULL, NULL, NULL, false }
};

/* Without a request: a row for each template. */
static const struct out_col template_cols[] = {
	{ "template", OUT_TEXT }, { "version", OUT_TEXT },
	{ "ca", OUT_TEXT }, { "type", OUT_TEXT }, { "enroll", OUT_BOOL },
	{ "autoenroll", OUT_BOOL }, { "approval", OUT_BOOL },
	{ "signatures", OUT_NUMBER }, { "rate_per_minute", OUT_NUMBER },
	{ "text", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

/* With one: what would be issued, or denied and why. */
static const struct out_col csr_cols[] = {
	{ "outcome", OUT_TEXT }, { "account", OUT_TEXT },
	{ "template", OUT_TEXT }, { "template_version", OUT_TEXT },
	{ "policy_version", OUT_NUMBER }, { "ca", OUT_TEXT },
	{ "key", OUT_TEXT }, { "asked_subject", OUT_TEXT },
	{ "asked_san", OUT_TEXT }, { "subject", OUT_TEXT },
	{ "san", OUT_TEXT }, { "sid", OUT_TEXT }, { "eku", OUT_LIST },
	{ "eku_names", OUT_LIST }, { "validity_seconds", OUT_NUMBER },
	{ "not_after", OUT_TEXT }, { "renews", OUT_TEXT },
	{ "for_account", OUT_TEXT },
	{ "hresult", OUT_TEXT },
	{ "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct question {
	struct cli		*cli;
	const struct args	*args;
	struct policy		*policy;
	enum auth_method	 method;
	struct account		*account;	/* NULL: nobody */
	struct request		*request;	/* or NULL */
	char			 renews[41];	/* serial of the old one */
	struct agency		 agency;
	struct account		*lent;		/* the last; or NULL */
	bool			 apart;		/* waits for an air gap */
};

static void
add_version(struct out *o, const struct template *t)
{
	out_addf(o, "%" PRIu32 ".%" PRIu32, t->major, t->minor);
}

/* As decide() has it: the approvers of some groups' requests, or of all. */
static bool
waits(const struct template *t, const struct account *a)
{
	return t->approval && (t->approval_groups.n == 0 ||
	    account_in(a, &t->approval_groups));
}

/* No rule of ours, but why a template that is offered is not in a list. */
static const char *
shown_where(const struct template *t, const struct account *a)
{
	if (t->machine == a->machine)
		return NULL;
	return t->machine ? "Windows shows it to machines only (certlm.msc)" :
	    "Windows shows it to people only (certmgr.msc)";
}

/* Behind the rule, what would help: it is not for those who were refused. */
static void
add_groups(struct buf *b, const struct template *t, const struct account *a)
{
	size_t i;

	if (a->disabled || a->one_time != NULL ||
	    account_in(a, &t->enroll) || account_in(a, &t->autoenroll))
		return;
	for (i = 0; i < t->enroll.n; i++)
		buf_printf(b, "%s%s", i == 0 ? ": " : ", ", t->enroll.v[i]);
	for (i = 0; i < t->autoenroll.n; i++)
		if (!strlist_has(&t->enroll, t->autoenroll.v[i]))
			buf_printf(b, "%s%s", b->n == 0 ? ": " : ", ",
			    t->autoenroll.v[i]);
}

/* Has one of its CAs an address for new requests of who asks so? */
static int
find_service(const struct question *q, const struct template *t,
    struct err *why)
{
	const struct policy_ca *ca;
	size_t i;

	for (i = 0; i < t->cas.n; i++) {
		memset(why, 0, sizeof *why);
		ca = policy_ca_find(q->policy, t->cas.v[i]);
		if (ca != NULL && decide_method(ca, q->method, false,
		    why) == 0)
			return 0;
	}
	return -1;
}

/* 1 when the account may have it, 0 when not: with the rule in "text". */
static int
template_row(const struct question *q, const struct template *t,
    struct out *o)
{
	struct err why = ERR_INIT, other = ERR_INIT;
	int64_t now = time(NULL);
	bool offer = decide_offer(q->policy, t, q->account, now, &other) == 0;
	bool may = find_service(q, t, &why) == 0 &&
	    decide_offer(q->policy, t, q->account, now, &why) == 0 &&
	    decide_secret(q->account, now, &why) == 0;
	struct buf cas = { 0 }, text = { 0 };
	size_t i;

	for (i = 0; i < t->cas.n; i++)
		buf_printf(&cas, "%s%s", i == 0 ? "" : " ", t->cas.v[i]);
	out_add(o, t->cn);
	add_version(o, t);
	out_add(o, buf_str(&cas));
	out_add(o, t->machine ? "machine" : "user");
	out_bool(o, may);
	out_bool(o, offer && decide_autoenroll(t, q->account));
	out_bool(o, waits(t, q->account));
	out_num(o, t->ra_signatures);
	out_num(o, t->rate);
	buf_puts(&text, why.text);
	if (why.hresult == CERTSRV_E_TEMPLATE_DENIED)
		add_groups(&text, t, q->account);
	out_add(o, may ? shown_where(t, q->account) : buf_str(&text));
	buf_free(&text);
	buf_free(&cas);
	return may ? 1 : 0;
}

static int
explain_templates(const struct question *q, struct err *err)
{
	const char *only = args_get(q->args, "template");
	const struct policy *p = q->policy;
	struct out *o;
	size_t i;
	int may = 0;

	if (only != NULL && policy_template_by_name(p, only) == NULL)
		return err_deny(err, CERTSRV_E_UNSUPPORTED_CERT_TYPE,
		    "no template %.80s", only);
	o = out_new(template_cols, OUT_TABLE);
	for (i = 0; i < p->ntemplates; i++)
		if (only == NULL || strcasecmp(p->templates[i].cn, only) == 0)
			may += template_row(q, &p->templates[i], o);
	if (may == 0)
		q->cli->code = EXIT_REFUSED;
	return cli_print(q->cli, o, err);
}

/* Lists for out.c have one element a line. */
static void
add_ekus(struct out *o, const struct template *t, bool names)
{
	const char *name;
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < t->eku.n; i++) {
		name = names ? oid_name(t->eku.v[i]) : NULL;
		buf_printf(&b, "%s%s", i == 0 ? "" : "\n",
		    name != NULL ? name : t->eku.v[i]);
	}
	out_add(o, buf_str(&b));
	buf_free(&b);
}

static void
add_names(struct out *o, const struct names *n)
{
	struct buf b = { 0 };

	names_text_dn(n, &b);
	out_add(o, buf_str(&b));
	buf_reset(&b);
	names_text_san(n, &b);
	out_add(o, buf_str(&b));
	buf_free(&b);
}

static void
add_nulls(struct out *o, int n)
{
	while (n-- > 0)
		out_add(o, NULL);
}

/* Of a request that parsed. */
static void
add_request(const struct question *q, struct out *o)
{
	char key[32];

	if (q->request == NULL) {
		add_nulls(o, 3);
		return;
	}
	out_add(o, pubkey_name(q->request->key, key, sizeof key));
	add_names(o, &q->request->names);
}

/* As the signer counts: never beyond the CA. */
static void
add_validity(const struct decision *d, struct out *o)
{
	time_t end = time(NULL) + d->tmpl->validity;
	char text[32];

	if (end > d->ca->not_after)
		end = d->ca->not_after;
	out_num(o, d->tmpl->validity);
	utc_text(end, text);
	out_add(o, text);
}

/* What must happen yet that nobody here can foretell; NULL: nothing. */
static const char *
condition(const struct question *q, const struct decision *d)
{
	if (d->pending)
		return "a manager must approve";
	if (q->apart)
		return "the other side of an air gap must sign";
	return d->tmpl->archive_key ? "a signer must be able to open the "
	    "archived key" : NULL;
}

/* Cells in the order of csr_cols, as add_refused's. */
static void
add_accepted(const struct question *q, const struct decision *d,
    struct out *o)
{
	out_add(o, d->pending || q->apart ? "pending" : "issued");
	out_add(o, q->account->name);
	out_add(o, d->tmpl->cn);
	add_version(o, d->tmpl);
	out_num(o, (int64_t)q->policy->version);
	out_add(o, d->ca->name);
	add_request(q, o);
	add_names(o, &d->names);
	out_add(o, d->sid);
	add_ekus(o, d->tmpl, false);
	add_ekus(o, d->tmpl, true);
	add_validity(d, o);
	out_add(o, q->renews[0] != '\0' ? q->renews : NULL);
	out_add(o, d->subject->name);
	add_nulls(o, 1);
	out_add(o, condition(q, d));
}

/* What would be issued stays empty: names, SID, purposes, end, old one. */
static void
add_refused(const struct question *q, const char *ca, const struct err *why,
    struct out *o)
{
	struct err ignored = ERR_INIT;
	const struct template *t = NULL;

	if (q->request != NULL)
		t = decide_template(q->policy, ca, q->request, &ignored);
	out_add(o, why->kind == ERR_DENIED ? "denied" :
	    err_kind_name(why->kind));
	out_add(o, q->account == NULL ? NULL : q->account->name);
	out_add(o, t == NULL ? NULL : t->cn);
	if (t == NULL)
		add_nulls(o, 1);
	else
		add_version(o, t);
	out_num(o, (int64_t)q->policy->version);
	out_add(o, ca);
	add_request(q, o);
	add_nulls(o, 3);
	out_add(o, "");
	out_add(o, "");
	add_nulls(o, 4);
	out_addf(o, "0x%08X", err_hresult(why));
	out_add(o, why->text);
}

/* Is what is asked for offered by this CA, for whatever else it is refused? */
static bool
offers(const struct question *q, const char *ca)
{
	const char *named = args_get(q->args, "template");
	const struct template *t = named == NULL ? NULL :
	    policy_template_by_name(q->policy, named);
	struct err why = ERR_INIT;

	if (named != NULL || q->request == NULL)
		return t != NULL && template_offered_by(t, ca);
	return decide_template(q->policy, ca, q->request, &why) != NULL ||
	    why.hresult != CERTSRV_E_UNSUPPORTED_CERT_TYPE;
}

/* The CA that was named, else the first that offers it. */
static const char *
choose_ca(const struct question *q)
{
	const char *named = args_get(q->args, "ca");
	const struct policy *p = q->policy;
	size_t i;

	if (named != NULL)
		return named;
	for (i = 0; i < p->ncas; i++)
		if (offers(q, p->cas[i].name))
			return p->cas[i].name;
	return p->ncas > 0 ? p->cas[0].name : "";
}

/* In upper case, as openssl x509 -serial and cert list print them. */
static void
serial_show(struct slice serial, char out[41])
{
	char *c;

	hex_encode(serial.p, serial.n, out);
	for (c = out; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
}

/* For agency_load, which asks for one after the other. */
static int
lend_account(void *arg, const char *name, const struct account **out,
    struct err *err)
{
	struct question *q = arg;
	struct account *a;

	if (account_load(q->cli->db, name, &a, err) != 0)
		return -1;
	account_free(q->lent);
	*out = q->lent = a;
	return 0;
}

/* Nobody is who the certificate to be renewed was issued to. */
static int
identify(struct question *q, const struct decide_ask *in, struct err *why)
{
	const struct issued *old;

	if (q->method == AUTH_ANONYMOUS &&
	    (old = renewal_holder(in)) != NULL &&
	    account_load(q->cli->db, old->account, &q->account, why) != 0)
		return -1;
	/* As the signer says it, before anything else. */
	if (q->account != NULL && q->account->disabled)
		return err_deny(why, HR_ACCESS_DENIED,
		    "account %s is disabled", q->account->name);
	return 0;
}

/* Is it a CA's key, or blocked?  And tells whom it is certified for. */
static int
check_key(const struct question *q, char **owner, struct err *why)
{
	const struct pubkey *key = q->request->key;
	struct certlint_ask issuer = { .responder = false };
	uint8_t spki[BADKEY_SPKI], other[BADKEY_SPKI];
	char hex[2][2 * BADKEY_SPKI + 1];
	const struct policy_key *k;
	PGresult *res;
	size_t i, n;
	int rc;

	for (i = 0; i < q->policy->ncas; i++)
		for (n = 0; n < q->policy->cas[i].nkeys; n++) {
			k = &q->policy->cas[i].keys[n];
			if (certlint_issuer(buf_slice(&k->cert), &issuer,
			    why) != 0 || badkey_of_ca(key, issuer.ca_spki,
			    k->name, why) != 0)
				return -1;
		}
	pubkey_sha256(key, spki);
	hex_encode(spki, sizeof spki, hex[0]);
	hex_encode(other, badkey_other(key, other), hex[1]);
	res = cli_query(q->cli, "key_state", (const char *[]){ hex[0],
	    hex[1] }, 2, why);
	if (res == NULL)
		return -1;
	rc = badkey_blocked(key, *PQgetvalue(res, 0, 0) == 't', why);
	if (rc == 0 && !PQgetisnull(res, 0, 1))
		*owner = xstrdup(PQgetvalue(res, 0, 1));
	PQclear(res);
	return rc;
}

/* Is the key that it would be signed with elsewhere, and can it wait? */
static int
judge_apart(struct question *q, const struct decide_ask *in,
    const struct decision *d, struct err *why)
{
	PGresult *res = cli_query(q->cli, "airgap_has", &d->ca->key, 1, why);

	if (res == NULL)
		return -1;
	q->apart = *PQgetvalue(res, 0, 0) == 't';
	PQclear(res);
	return q->apart ? decide_apart(in, d, why) : 0;
}

/* All that a signer asks, in its order. */
static int
judge_all(struct question *q, struct decide_ask *in, struct decision *d,
    struct err *why)
{
	const struct policy_ca *ca = policy_ca_find(q->policy, in->ca);
	bool renews = q->request->old_cert.n > 0;
	struct snapshot *s;
	char *owner = NULL;
	int rc;

	if ((q->method == AUTH_ANONYMOUS &&
	    renewal_claimed(q->request, why) != 0) ||
	    identify(q, in, why) != 0 || (ca != NULL &&
	    decide_method(ca, q->method, renews, why) != 0) ||
	    check_key(q, &owner, why) != 0)
		return -1;
	in->account = q->account;
	s = snapshot_of(&(struct snapshot_source){ .arg = q,
	    .policy = q->policy, .account = lend_account });
	rc = agency_load(s, in, &q->agency, why);
	snapshot_free(s);	/* what it lent is q's */
	if (rc == 0)
		rc = decide(in, d, why);
	if (rc == 0 && (badkey_owned(q->request->key, owner,
	    d->subject->name, why) != 0 || judge_apart(q, in, d, why) != 0)) {
		decision_free(d);
		rc = -1;
	}
	free(owner);
	if (rc == 0 && d->renews != NULL) {
		serial_show(buf_slice(&d->renews->serial), q->renews);
		d->renews = NULL;	/* goes with the rows */
	}
	return rc;
}

/* With the rows of the certificates that the request is signed with. */
static int
judge(struct question *q, const char *ca, struct decision *d,
    struct err *why)
{
	const struct request *r = q->request;
	struct decide_ask in = { .policy = q->policy, .ca = ca,
	    .method = q->method, .request = r, .agency = &q->agency,
	    .now = time(NULL) };
	struct issued_ask ask[REQUEST_SIGNERS];
	struct issued_set *set;
	size_t i;
	int rc;

	for (i = 0; i < r->nsigner; i++)
		ask[i] = (struct issued_ask){ r->signer[i].serial,
		    slice_eq(r->signer[i].cert, r->old_cert) };
	in.certs = set = issued_load(q->cli->db, ask, r->nsigner, why);
	if (set == NULL)
		return -1;
	for (i = 0; i < r->nsigner; i++)
		in.issued[i] = issued_find(set, ask[i].serial);
	rc = judge_all(q, &in, d, why);
	issued_free(set);
	return rc;
}

/*
 * A request that does not parse, or is refused, is an answer, not an error of
 * this command: a row with the sentence that its client would get.
 */
static int
explain_request(struct question *q, struct slice der, struct err *err)
{
	const char *named = args_get(q->args, "template"), *ca;
	struct out *o = out_new(csr_cols, OUT_RECORD);
	struct err why = ERR_INIT;
	struct decision d;
	int rc = -1;

	memset(&d, 0, sizeof d);
	q->request = request_parse(der, &why);
	if (q->request != NULL && (named == NULL ||
	    request_add_hint(q->request, HINT_CONTEXT, named, &why) == 0))
		rc = 0;
	ca = choose_ca(q);
	if (rc == 0)
		rc = judge(q, ca, &d, &why);
	if (rc == 0) {
		add_accepted(q, &d, o);
		decision_free(&d);
	} else {
		add_refused(q, ca, &why, o);
		q->cli->code = EXIT_REFUSED;
	}
	return cli_print(q->cli, o, err);
}

/* The account's name as it was typed, or NULL. */
static const char *
who(const struct question *q)
{
	const char *name = args_get(q->args, "account");

	return name != NULL ? name : args_get(q->args, "user");
}

static int
find_method(struct question *q, struct err *err)
{
	static const enum auth_method methods[] = { AUTH_PASSWORD,
	    AUTH_CERTIFICATE, AUTH_KERBEROS, AUTH_ANONYMOUS, AUTH_OPERATOR };
	const char *name = args_get(q->args, "method");
	size_t i, n = sizeof methods / sizeof methods[0];

	q->method = AUTH_OPERATOR;
	for (i = 0; name != NULL && i < n &&
	    strcmp(auth_method_name(methods[i]), name) != 0; i++)
		;
	if (i == n)
		return cli_usage(q->cli, err, "--method: not password, "
		    "certificate, kerberos, anonymous or operator: %.40s",
		    name);
	if (name != NULL)
		q->method = methods[i];
	if (q->method != AUTH_ANONYMOUS)
		return who(q) != NULL ? 0 :
		    cli_usage(q->cli, err, "--account is needed");
	if (who(q) != NULL || !args_has(q->args, "csr"))
		return cli_usage(q->cli, err, "--method anonymous needs "
		    "--csr, and no --account: the old certificate says who");
	return 0;
}

/* Connects in any case: identify may need the database yet. */
static int
find_account(struct question *q, struct err *err)
{
	char name[129];

	if (q->method == AUTH_ANONYMOUS)
		return cli_db(q->cli, err);
	if (cli_account(q->cli, who(q), name, err) != 0 ||
	    cli_db(q->cli, err) != 0 ||
	    account_load(q->cli->db, name, &q->account, err) != 0)
		return -1;
	if (q->account == NULL)
		return err_set(err, ERR_DENIED, "no account %s", name);
	return 0;
}

int
cmd_explain(struct cli *c, const struct args *a, struct err *err)
{
	struct question q = { .cli = c, .args = a };
	struct buf csr = { 0 };
	int rc = -1;

	if (args_has(a, "account") && args_has(a, "user"))
		return cli_usage(c, err, "either --account or --user");
	if (args_has(a, "ca") && !args_has(a, "csr"))
		return cli_usage(c, err, "--ca needs --csr: without one all "
		    "cas are told");
	if (find_method(&q, err) != 0)
		return -1;
	if ((args_has(a, "csr") &&
	    derfile_read(args_get(a, "csr"), REQUEST_MAX, &csr, err) != 0) ||
	    find_account(&q, err) != 0 ||
	    (q.policy = cli_policy(c, err)) == NULL)
		goto out;
	if (args_has(a, "csr"))
		rc = explain_request(&q, buf_slice(&csr), err);
	else
		rc = explain_templates(&q, err);
out:
	request_free(q.request);
	account_free(q.lent);
	account_free(q.account);
	policy_free(q.policy);
	buf_free(&csr);
	return rc;
}
