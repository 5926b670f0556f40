#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "approval.h"
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

static void
time_text(int64_t t, char out[32])
{
	time_t v = (time_t)t;
	struct tm tm;

	if (gmtime_r(&v, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 32, "%" PRId64, t);
}

static bool
has_expired(const struct job *j, const struct stored *row)
{
	return row->status == MSG_PENDING && row->expires != 0 &&
	    row->expires <= j->received / 1000000;
}

void
pending_expire(struct job *j, const struct stored *row)
{
	char when[32];

	if (!has_expired(j, row))
		return;
	time_text(row->expires, when);
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
	if (has_expired(j, row)) {
		time_text(row->expires, when);
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

static int
approve(struct signer *s, struct job *j, struct err *err)
{
	if (job_decide(s, j, err) == -1)
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
	job_record(s, j, MSG_ISSUED, "Issued");
	return 0;
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

static int
take(struct signer *s, struct job *j, const struct stored *row,
    struct err *err)
{
	char *approver = j->account;
	int rc;

	j->account = dup_slice(row->account);
	if (slice_eq(row->decision_id, slice_of(j->ask.id, MSG_ID))) {
		job_stored(j, row);	/* our answer was lost */
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
	if (j->ask.call == CALL_DENY)
		deny(s, j);
	else
		rc = approve(s, j, err);
	return rc;
}

static int
load(struct signer *s, struct job *j, struct err *err)
{
	struct found found = { NULL };
	struct stored row;
	int rc;

	if (store_pending(s->store, j, &found, err) == -1)
		return -1;
	if (found_count(&found) == 0)
		rc = err_deny(err, CERTSRV_E_NO_REQUEST,
		    "no request with this id at ca %s", j->ca->name);
	else if ((rc = found_get(&found, 0, &row, err)) == 0)
		rc = take(s, j, &row, err);
	found_free(&found);
	return rc;
}

void
approval_check(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;
	int64_t t = log_usec();

	ERR_clear_error();
	if (load(s, j, &err) == -1) {
		j->number = 0;	/* no row says so */
		job_refuse(j, &err);
	}
	j->us_check = log_usec() - t;
	j->decided = j->received + (log_usec() - j->t0);
}

void
approval_lost(struct job *j)
{
	struct err err = ERR_INIT;

	err_deny(&err, CERTSRV_E_BAD_REQUESTSTATUS,
	    "request %" PRIu32 " is decided already", j->number);
	j->number = 0;
	job_refuse(j, &err);
}
