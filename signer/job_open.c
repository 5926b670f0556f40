/*
 * A message that has come: read, and when it is its turn, checked as far as
 * neither policy nor database are needed: peer, age, account name, CA and its
 * key.  Pings are answered here.  What follows is in job.c.
 */
#include <string.h>

#include "caset.h"
#include "hresult.h"
#include "log.h"
#include "pong.h"
#include "rows.h"
#include "signer.h"

#define MAX_AGE_MS	(60 * 1000)
#define DAY_USEC	(INT64_C(86400) * 1000000)

/* What a worker or an operator may do is in our own configuration. */
static int
check_peer(const struct signer *s, const struct job *j, struct err *err)
{
	const struct sconf_right *r = sconf_peer(s->conf, j->link.worker);

	if (r == NULL)
		return err_deny(err, HR_ACCESS_DENIED,
		    "worker %s is not in the allow-list", j->link.worker);
	if (r->operator != (j->ask.method == AUTH_OPERATOR))
		return err_deny(err, HR_ACCESS_DENIED,
		    "worker %s may not use method %s", j->link.worker,
		    auth_method_name(j->ask.method));
	return 0;
}

/*
 * A message that lay somewhere for long must not be acted upon; and the day
 * in an id says where its row is.  ERR_UNAVAILABLE: the clock that is wrong may
 * be ours alone.
 */
static int
check_times(const struct job *j, struct err *err)
{
	int64_t age = j->received / 1000 - j->ask.sent_at;
	int64_t day = row_day(j->ask.id) - j->received / DAY_USEC;

	if (age > MAX_AGE_MS)
		return err_set(err, ERR_UNAVAILABLE, "message is %lld s old: "
		    "it was late, or the clock of %s is behind this one's",
		    (long long)(age / 1000), j->link.worker);
	if (age < -MAX_AGE_MS)
		return err_set(err, ERR_UNAVAILABLE, "message is from %lld s "
		    "ahead: the clock of %s or this one is wrong",
		    (long long)(-age / 1000), j->link.worker);
	if (day < -1 || day > 1)
		return err_bad(err, 0, "request id is of another day");
	return 0;
}

static int
check_account_name(struct job *j, struct err *err)
{
	struct err ignored = ERR_INIT;
	char canonical[129];

	j->account = xstrndup((const char *)j->ask.account.p,
	    j->ask.account.n);
	if (j->account[0] == '\0' && ask_decides(&j->ask))
		return 0;	/* an operator without an account */
	if (j->ask.method == AUTH_ANONYMOUS) {
		if (j->ask.account.n > 0)
			return err_bad(err, 0, "anonymous, with an account");
		return 0;	/* see job_identify */
	}
	if (account_canonical(j->account, canonical, &ignored) == -1 ||
	    strcmp(canonical, j->account) != 0)
		return err_bad(err, 0, "account name is not canonical");
	return 0;
}

/* Another signer may have the key. */
static void
without_key(struct job *j)
{
	char text[128];

	snprintf(text, sizeof(text), "the key of ca %.*s is not on this "
	    "signer", (int)j->ask.ca.n, (const char *)j->ask.ca.p);
	job_elsewhere(j, text);
}

/*
 * OCSP is about a key, all else is asked of a CA; whether its key in use is
 * here is seen when there is a policy: job_key.
 */
static struct ca *
find_ca(const struct signer *s, const struct job *j)
{
	return j->ask.call == CALL_OCSP ? caset_key(s, j->ask.ca) :
	    caset_of(s, j->ask.ca);
}

void
job_key(const struct signer *s, struct job *j)
{
	j->ca = find_ca(s, j);
	if (j->ca == NULL || !j->ca->good ||
	    (j->ask.call != CALL_OCSP && !j->ca->in_use))
		without_key(j);
}

/* Up, even where there is nothing to decide by: the text says why. */
static void
pong(struct signer *s, struct job *j)
{
	struct pong p = { .signer = slice_str(s->conf->name),
	    .now = j->received / 1000 };
	struct err err = ERR_INIT;
	const struct policy *policy;
	int64_t now = log_usec() / 1000000;

	policy = snapshot_policy(s->snapshot, false, &err);
	if (policy != NULL) {
		p.version = policy->version;
		memcpy(p.policy_hash, policy->sha256, sizeof(p.policy_hash));
		snapshot_put(s->snapshot, policy);
	}
	pong_encode(&p, &j->response);
	/* Who asks again is not told of what is over; each second is enough. */
	if (s->unready.kind != ERR_NONE && s->next_check > now + 1)
		s->next_check = now + 1;
	job_answered(j, MSG_PONG, policy != NULL ? s->unready.text : err.text);
}

/*
 * While a token is away nothing is begun that would end in a signature: each
 * attempt would leave a void serial number.  Another signer's may be there.
 */
static void
check_key(struct job *j)
{
	struct err err = ERR_INIT;

	if (j->ask.call == CALL_OCSP || j->ask.call == CALL_DENY ||
	    j->ask.call == CALL_QUERY ||
	    cakey_ready(j->ca->key, &err) == 0)
		return;
	job_elsewhere(j, err.text);
}

static void
refuse(struct job *j, const struct err *err)
{
	if (err->kind == ERR_UNAVAILABLE)
		job_elsewhere(j, err->text);
	else
		job_refuse(j, err);
}

void
job_read(struct job *j)
{
	struct err err = ERR_INIT;

	if (ask_decode(buf_slice(&j->link.msg), &j->ask, &err) == -1) {
		j->state = JOB_DROPPED;
		job_text(j, slice_str(err.text));
		return;
	}
	memcpy(j->row_id, j->ask.id, sizeof(j->row_id));
}

bool
job_is_issue(const struct job *j)
{
	return j->state == JOB_NEW && j->ask.call == CALL_ISSUE;
}

void
job_open(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;

	if (j->state == JOB_DROPPED)
		return;
	if (j->ask.call == CALL_PING)
		pong(s, j);
	else if (check_peer(s, j, &err) == -1 ||
	    check_times(j, &err) == -1 ||
	    (j->ask.call != CALL_OCSP && check_account_name(j,
	    &err) == -1))
		refuse(j, &err);
	else if ((j->ca = find_ca(s, j)) == NULL)
		without_key(j);
	else
		check_key(j);
}
