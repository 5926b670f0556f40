/*
 * A manager's decision about a request that waits.  batch.c comes here with
 * an operator's message; the stored request then goes the way of any other,
 * through job_decide and commit.c, and its client finds the outcome by
 * polling (poll.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/err.h>

#include "airgap.h"
#include "approval.h"
#include "bundle.h"
#include "hresult.h"
#include "log.h"
#include "signer.h"

void
pending_free(struct pending *p)
{
	if (p == NULL)
		return;
	buf_free(&p->token);
	buf_free(&p->evidence);
	buf_free(&p->record);
	free(p->template_name);
	free(p->approver);
	free(p->reason);
	free(p);
}

static char *
dup_slice(struct slice s)
{
	return xstrndup((const char *)s.p, s.n);
}

static bool
has_expired(const struct job *j, const struct stored *row)
{
	/* Approved, for an air gap: that was in time. */
	return row->status == MSG_PENDING && row->decision_id.n == 0 &&
	    row->expires != 0 &&
	    row->expires <= j->received / 1000000;
}

void
pending_expire(struct job *j, const struct stored *row)
{
	char when[32];

	if (!has_expired(j, row))
		return;
	utc_text(row->expires, when);
	j->status = MSG_DENIED;
	j->hresult = CERTSRV_E_BAD_REQUESTSTATUS;
	snprintf(j->text, sizeof(j->text), "request %" PRIu32 " was not "
	    "approved before it expired: %s", row->number, when);
}

/* Still to be decided, and for an approval neither too late nor changed. */
static int
check_row(const struct job *j, const struct stored *row, struct err *err)
{
	char when[32];

	if (row->status != MSG_PENDING)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSTATUS,
		    "request %" PRIu32 " is %s already", row->number,
		    row->status == MSG_ISSUED ? "issued" : "denied");
	if (j->ask.call != CALL_APPROVE)
		return 0;
	if (row->decision_id.n > 0)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSTATUS, "request "
		    "%" PRIu32 " is approved already, and waits for the other "
		    "side of the air gap", row->number);
	if (has_expired(j, row)) {
		utc_text(row->expires, when);
		return err_deny(err, CERTSRV_E_BAD_REQUESTSTATUS,
		    "request %" PRIu32 " expired: %s", row->number, when);
	}
	/* [security] ESC7: what was looked at is what gets signed. */
	if (!slice_eq(row->token_sha256, row->submitted_sha256))
		return err_deny(err, HR_INVALID_DATA, "request %" PRIu32
		    ": the stored bytes are not those that were submitted",
		    row->number);
	return 0;
}

static int
load_approver(struct signer *s, const char *name,
    const struct account **out, struct err *err)
{
	if (snapshot_account(s->snapshot, name, out, err) == -1)
		return -1;
	if (*out != NULL && !(*out)->disabled)
		return 0;
	err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "approver %.64s %s", name,
	    *out == NULL ? "does not exist" : "is disabled");
	snapshot_account_put(s->snapshot, *out);
	return -1;
}

/* Groups decide who approves; nobody approves what is for himself. */
static int
check_approver(struct signer *s, const struct job *j, const char *approver,
    struct err *err)
{
	const struct template *t = policy_template_by_name(s->policy,
	    j->pending->template_name);
	const struct account *a = NULL;
	int rc = 0;

	if (approver[0] == '\0') {
		if (t == NULL || t->approvers.n == 0)
			return 0;
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "template "
		    "%s: only an account of its approvers may decide, and "
		    "none is named", t->cn);
	}
	if (load_approver(s, approver, &a, err) == -1)
		return -1;
	if (t != NULL && t->approvers.n > 0 && !account_in(a, &t->approvers))
		rc = err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "template %s: "
		    "account %s is in none of the groups of its approvers",
		    t->cn, approver);
	else if (j->ask.call == CALL_APPROVE &&
	    strcmp(approver, j->account) == 0)
		rc = err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "account %s "
		    "may not approve its own request", approver);
	else if (j->ca->apart)
		bundle_put_account(a, &j->pending->record);
	snapshot_account_put(s->snapshot, a);
	return rc;
}

/* From here on the job is the request; its message was the operator's. */
static void
become(struct job *j, const struct stored *row)
{
	struct pending *p = j->pending;

	memcpy(j->row_id, j->ask.verdict.request, sizeof(j->row_id));
	buf_add(&p->token, row->token.p, row->token.n);
	buf_add(&p->evidence, row->evidence.p, row->evidence.n);
	p->template_name = dup_slice(row->template_name);
	p->reason = dup_slice(j->ask.verdict.reason);
	j->ask.token = buf_slice(&p->token);
	j->ask.evidence = buf_slice(&p->evidence);
	j->ask.method = row->method;
	/* AdditionalContext is not kept, what it led to is. */
	j->ask.hint[0] = slice_str(p->template_name);
	j->ask.nhint = p->template_name[0] != '\0';
	j->pending_since = row->received;
	j->template_name = xstrdup(p->template_name);
}

static char *
approver_text(const struct job *j, const char *account)
{
	char text[128];

	if (account[0] != '\0')
		return xstrdup(account);
	snprintf(text, sizeof(text), "operator:%.*s",
	    (int)j->ask.verdict.operator.n,
	    (const char *)j->ask.verdict.operator.p);
	return xstrdup(text);
}

/*
 * The subject an approver puts in the place of the one asked for; it is judged
 * by the same name rules.
 */
int
approval_subject(struct job *j, struct err *err)
{
	struct names n = { 0 }, *asked = &j->req->names;
	struct err why = ERR_INIT;
	char *text;
	size_t i;

	if (j->pending == NULL || j->ask.verdict.subject.n == 0)
		return 0;
	text = dup_slice(j->ask.verdict.subject);
	if (names_parse_text(&n, text, &why) == -1)
		err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "subject: %.120s",
		    why.text);
	free(text);
	if (why.kind != ERR_NONE) {
		names_free(&n);
		return -1;
	}
	for (i = 0; i < asked->nrdn; i++) {
		free(asked->rdn[i].type);
		free(asked->rdn[i].value);
	}
	memcpy(asked->rdn, n.rdn, sizeof(n.rdn));
	asked->nrdn = n.nrdn;
	return 0;
}

/*
 * Whose account that was before "account import --replace" asked: the key is
 * not that of whom the certificate would name.
 */
static int
check_replaced(const struct job *j, const struct account *a, struct err *err)
{
	return !account_was_others(a, j->pending_since) ? 0 : err_deny(err,
	    CERTSRV_E_BAD_REQUESTSTATUS, "request %" PRIu32 ": account %.64s "
	    "was another principal's then: deny it", j->number, a->name);
}

/*
 * [security] ESC7: an approver has read the row's words for what the bytes ask
 * for.  Names of an account, or of his own choice, are not those.
 */
static int
check_shown(const struct job *j, const struct stored *row, struct err *err)
{
	struct buf dn = { 0 }, san = { 0 };
	bool same;

	if (row == NULL || !j->decision.tmpl->names_from_request ||
	    j->ask.verdict.subject.n > 0)
		return 0;
	names_text_dn(&j->decision.names, &dn);
	names_text_san(&j->decision.names, &san);
	same = slice_eq(buf_slice(&dn), row->subject) &&
	    slice_eq(buf_slice(&san), row->san);
	if (!same)
		err_deny(err, HR_INVALID_DATA, "request %" PRIu32 ": its names "
		    "would be %.60s %.60s, and were shown as others: deny it",
		    j->number, buf_str(&dn), buf_str(&san));
	buf_free(&dn);
	buf_free(&san);
	return same ? 0 : -1;
}

/* By the row's check_approver has looked who may: another has other approvers. */
static int
check_template(const struct job *j, struct err *err)
{
	const char *is = j->decision.tmpl->cn, *shown =
	    j->pending->template_name;

	return strcasecmp(is, shown) == 0 ? 0 : err_deny(err, HR_INVALID_DATA,
	    "request %" PRIu32 ": is for template %.64s, and was shown as "
	    "for \"%.64s\": deny it", j->number, is, shown);
}

/* row: what was shown of it, NULL in a vault. */
static int
approve(struct signer *s, struct job *j, const struct stored *row,
    struct err *err)
{
	if (job_decide(s, j, err) == -1 ||
	    check_replaced(j, j->acct, err) == -1 ||
	    check_replaced(j, j->decision.subject, err) == -1 ||
	    check_template(j, err) == -1 || check_shown(j, row, err) == -1)
		return -1;
	if (strcmp(j->pending->approver, job_owner(j)) == 0)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "account %s "
		    "may not approve its own certificate",
		    j->pending->approver);
	if (j->ask.verdict.subject.n > 0 &&
	    !j->decision.tmpl->names_from_request)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: takes no subject from an approver, but the names of "
		    "the account", j->decision.tmpl->cn);
	if (j->ca->apart)
		job_record(s, j, MSG_PENDING, "Taken Under Submission");
	else
		job_record(s, j, MSG_ISSUED, "Issued");
	return 0;
}

int
approval_judge(struct signer *s, struct job *j, const char *approver,
    struct err *err)
{
	if (check_approver(s, j, approver, err) == -1)
		return -1;
	return approve(s, j, NULL, err);
}

/* What is on its way gets its decision from the other side. */
static int
check_crossing(struct signer *s, const struct job *j, struct err *err)
{
	bool crosses = false;

	if (!j->ca->apart)
		return 0;
	if (store_airgap_crosses(s->store, j->row_id, &crosses, err) == -1)
		return -1;
	return !crosses ? 0 : err_deny(err, CERTSRV_E_BAD_REQUESTSTATUS,
	    "request %" PRIu32 " is on its way to the other side of the air "
	    "gap", j->number);
}

static void
deny(struct signer *s, struct job *j)
{
	char text[256];

	j->hresult = CERTSRV_E_ADMIN_DENIED_REQUEST;
	snprintf(text, sizeof(text), "denied by a manager%s%s",
	    j->pending->reason[0] != '\0' ? ": " : "", j->pending->reason);
	job_record(s, j, MSG_DENIED, text);
}

/*
 * Decided by this very message, when its answer was lost or another signer
 * had it too: what it came to is the answer.
 */
static bool
is_answer(struct job *j, const struct stored *row)
{
	if (!slice_eq(row->decision_id, slice_of(j->ask.id, MSG_ID)))
		return false;
	job_stored(j, row);
	return true;
}

static int
take(struct signer *s, struct job *j, const struct stored *row,
    struct err *err)
{
	char *approver = j->account;
	int rc;

	j->account = dup_slice(row->account);
	if (is_answer(j, row)) {
		free(approver);
		return 0;
	}
	rc = check_row(j, row, err);
	if (rc == 0) {
		j->pending = xcalloc(1, sizeof(*j->pending));
		become(j, row);
		j->pending->approver = approver_text(j, approver);
		rc = check_approver(s, j, approver, err);
	}
	free(approver);
	if (rc == -1)
		return -1;
	j->number = row->number;
	if (j->ask.call == CALL_DENY && check_crossing(s, j, err) == -1)
		rc = -1;
	else if (j->ask.call == CALL_DENY)
		deny(s, j);
	else
		rc = approve(s, j, row, err);
	return rc;
}

/* The row of the request that the message is about. */
static int
find(struct signer *s, const struct job *j, struct found *found,
    struct stored *row, struct err *err)
{
	if (store_pending(s->store, j, found, err) == -1)
		return -1;
	if (found_count(found) == 0)
		return err_deny(err, CERTSRV_E_NO_REQUEST,
		    "no request with this id at ca %s", j->ca->of);
	return found_pending(found, row, err);
}

/* That it is decided already is told from a row, like an outcome. */
static void
refuse(struct job *j, const struct stored *row, const struct err *err)
{
	j->number = 0;		/* no row says so */
	job_refuse(j, err);
	j->stored = row->status != MSG_PENDING;
}

void
approval_check(struct signer *s, struct job *j)
{
	struct found found = { NULL, NULL };
	struct stored row = { .status = MSG_PENDING };
	struct err err = ERR_INIT;
	int64_t t = log_usec();

	ERR_clear_error();
	if (find(s, j, &found, &row, &err) == -1 ||
	    take(s, j, &row, &err) == -1)
		refuse(j, &row, &err);
	found_free(&found);
	j->us_check = log_usec() - t;
	j->decided = j->received + (log_usec() - j->t0);
}

void
approval_lost(struct signer *s, struct job *j)
{
	struct found found = { NULL, NULL };
	struct stored row = { .status = MSG_PENDING };
	struct err err = ERR_INIT;

	if (find(s, j, &found, &row, &err) == -1 || (!is_answer(j, &row) &&
	    check_row(j, &row, &err) == -1))
		refuse(j, &row, &err);
	else if (!j->stored)
		job_unavailable(j, "another signer has this request at hand");
	found_free(&found);
}
