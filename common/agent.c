/*
 * Registration authorities and enrollment agents: the part of decide() for
 * requests that somebody else has signed.
 */
#include "agent.h"

#include <string.h>
#include <strings.h>

#include "der.h"
#include "hresult.h"
#include "oid.h"
#include "snapshot.h"

#define CERT_DEPTH	16
#define AGENT_EKU	"1.3.6.1.4.1.311.20.2.1"

/* The purposes and issuance policies of one signer's certificate. */
struct rights {
	struct slice	eku, policies;	/* SEQUENCE TLVs, or empty */
};

/* [MS-WCCE] 3.1.1.4.3.2: the certificate being renewed is no authority's. */
static bool
is_authority(const struct request *r, size_t i)
{
	return r->old_cert.n == 0 || !slice_eq(r->signer[i].cert, r->old_cert);
}

bool
agent_wanted(const struct request *r)
{
	size_t	i;

	for (i = 0; i < r->nsigner; i++)
		if (is_authority(r, i))
			return true;
	return r->requester_name != NULL;
}

int
agent_target(const struct policy *p, const struct request *r, char out[129],
    struct err *err)
{
	struct err	why = ERR_INIT;

	if (policy_account(p, r->requester_name, out, &why) == 0)
		return 0;
	return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER,
	    "RequesterName %.60s is no name of an account",
	    r->requester_name);
}

/* Of a vault's book no account comes along: its desk has looked. */
static int
load_signers(struct snapshot *s, const struct decide_ask *q,
    struct agency *a, struct err *err)
{
	const struct account	*who;
	size_t			 i;

	for (i = 0; i < REQUEST_SIGNERS; i++) {
		if (q->issued[i] == NULL)
			continue;
		if (snapshot_account(s, q->issued[i]->account, &who,
		    err) == -1)
			return -1;
		a->disabled[i] = who != NULL && who->disabled;
		snapshot_account_put(s, who);
	}
	return 0;
}

int
agency_load(struct snapshot *s, const struct decide_ask *q, struct agency *a,
    struct err *err)
{
	char	name[129];

	if (!agent_wanted(q->request))
		return 0;
	if (load_signers(s, q, a, err) == -1)
		return -1;
	if (q->request->requester_name == NULL)
		return 0;
	if (agent_target(q->policy, q->request, name, err) == -1)
		return -1;
	return snapshot_account(s, name, &a->target, err);
}

void
agency_clear(struct snapshot *s, struct agency *a)
{
	snapshot_account_put(s, a->target);
	memset(a, 0, sizeof(*a));
}

/* Up to the extensions of a Certificate that a signer built. */
static int
enter_extensions(struct slice cert, struct der *list, struct err *err)
{
	struct der	c, tbs, outer;
	int		tag;

	if (der_check(cert, CERT_DEPTH, "signer's certificate", err) == -1 ||
	    der_only(cert, DER_SEQ, &c, "signer's certificate", err) == -1 ||
	    der_enter(&c, DER_SEQ, &tbs, "TBSCertificate", err) == -1)
		return -1;
	while ((tag = der_peek(&tbs)) != -1 && tag != DER_CTXC(3))
		if (der_any(&tbs, NULL, NULL, NULL, "TBSCertificate",
		    err) == -1)
			return -1;
	if (der_enter(&tbs, DER_CTXC(3), &outer, "extensions", err) == -1)
		return -1;
	return der_enter(&outer, DER_SEQ, list, "extensions", err);
}

static int
read_rights(struct slice cert, struct rights *out, struct err *err)
{
	struct der	list;
	struct slice	oid, value;

	if (enter_extensions(cert, &list, err) == -1)
		return -1;
	while (!der_done(&list)) {
		if (der_extension(&list, &oid, &value, err) == -1)
			return -1;
		if (slice_eq(oid, OID_EXT_EKU))
			out->eku = value;
		else if (slice_eq(oid, OID_EXT_POLICIES))
			out->policies = value;
	}
	return 0;
}

/* Is this OID in the list?  wrap: each stands in a SEQUENCE of its own. */
static bool
lists_oid(struct slice list, const char *dotted, bool wrap)
{
	struct err	ignored = ERR_INIT;
	struct der	d, info;
	struct slice	oid;
	char		text[256];

	if (list.n == 0 || der_only(list, DER_SEQ, &d, "list", &ignored) == -1)
		return false;
	while (!der_done(&d)) {
		if (wrap && der_enter(&d, DER_SEQ, &info, "list",
		    &ignored) == -1)
			return false;
		if (der_get(wrap ? &info : &d, DER_OID, &oid, "list",
		    &ignored) == -1)
			return false;
		if (oid_text(oid, text, sizeof(text)) == 0 &&
		    strcmp(text, dotted) == 0)
			return true;
	}
	return false;
}

/* [security] ESC3: ours by its row, byte for byte, and good now. */
static int
check_row(const struct decide_ask *q, size_t i, struct err *err)
{
	const struct issued	*row = q->issued[i];

	if (row == NULL || !policy_ca_has(q->policy, q->ca, row->ca) ||
	    !slice_eq(buf_slice(&row->der), q->request->signer[i].cert))
		return err_deny(err, CERT_E_UNTRUSTEDROOT, "signer's "
		    "certificate was not issued by ca %.60s", q->ca);
	if (row->revoked)
		return err_deny(err, CRYPT_E_REVOKED, "signer's certificate "
		    "of account %.100s is revoked", row->account);
	if (q->now < row->not_before || q->now > row->not_after)
		return err_deny(err, CERT_E_EXPIRED, "signer's certificate "
		    "of account %.100s is not within its validity",
		    row->account);
	if (q->agency->disabled[i])
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "signer's "
		    "account %.100s is disabled", row->account);
	return issued_prove(row, q->policy, err);
}

/* Two signatures of one person are one. */
static bool
same_person(const struct decide_ask *q, size_t i)
{
	return i == 1 && is_authority(q->request, 0) &&
	    strcmp(q->issued[0]->account, q->issued[1]->account) == 0;
}

static int
check_signers(const struct decide_ask *q, struct rights rights[2],
    unsigned *n, struct err *err)
{
	const struct request	*r = q->request;
	size_t			 i;

	*n = 0;
	for (i = 0; i < r->nsigner; i++) {
		if (!is_authority(r, i))
			continue;
		if (q->agency == NULL)
			return err_set(err, ERR_INTERNAL,
			    "signers were not looked up");
		if (check_row(q, i, err) == -1 ||
		    read_rights(r->signer[i].cert, &rights[i], err) == -1)
			return -1;
		*n += !same_person(q, i);
	}
	return 0;
}

/* [MS-WCCE] 3.2.2.6.2.1.4.5.3, .4: each OID in at least one of the signers. */
static int
check_oids(const struct template *t, const struct rights rights[2],
    bool policies, struct err *err)
{
	const struct strlist	*want = policies ? &t->ra_policies :
				    &t->ra_eku;
	size_t			 i, k;
	bool			 has;

	for (i = 0; i < want->n; i++) {
		has = false;
		for (k = 0; k < 2; k++)
			has = has || lists_oid(policies ? rights[k].policies :
			    rights[k].eku, want->v[i], policies);
		if (!has)
			return err_deny(err, CERTSRV_E_SIGNATURE_REJECTED,
			    "template %s: no signer's certificate has %s %s",
			    t->cn, policies ? "policy" : "eku", want->v[i]);
	}
	return 0;
}

static bool
has_one_of(const struct strlist *want, const struct rights *r)
{
	size_t	i;

	for (i = 0; i < want->n; i++)
		if (lists_oid(r->eku, want->v[i], false))
			return true;
	return false;
}

/*
 * [MS-WCCE] 3.2.2.6.2.1.4.5.1: those whose certificates meet the requirements.
 * Else an agent's own computer would do for the second person.
 */
static unsigned
count_authorities(const struct decide_ask *q, const struct template *t,
    const struct rights rights[2])
{
	bool	good[REQUEST_SIGNERS] = { false };
	size_t	i;

	for (i = 0; i < q->request->nsigner; i++)
		good[i] = is_authority(q->request, i) &&
		    has_one_of(&t->ra_eku, &rights[i]);
	return good[0] && good[1] && same_person(q, 1) ? 1u :
	    (unsigned)good[0] + good[1];
}

/*
 * Approved before stands for the signatures ([MS-WCCE] 3.2.2.6.2.1.4.5.6),
 * which decide.c says by not asking.
 */
static int
check_count(const struct decide_ask *q, const struct template *t,
    const struct rights rights[2], unsigned n, struct err *err)
{
	unsigned	good;

	if (t->ra_signatures == 0)
		return 0;
	if (n == 0)
		return err_deny(err, CERTSRV_E_SIGNATURE_POLICY_REQUIRED,
		    "template %s: needs %u signatures of registration "
		    "authorities, the request has none", t->cn,
		    t->ra_signatures);
	if (n < t->ra_signatures)
		return err_deny(err, CERTSRV_E_SIGNATURE_COUNT,
		    "template %s: needs signatures of %u registration "
		    "authorities, the request has %u", t->cn,
		    t->ra_signatures, n);
	if (check_oids(t, rights, false, err) == -1 ||
	    check_oids(t, rights, true, err) == -1)
		return -1;
	good = count_authorities(q, t, rights);
	if (good >= t->ra_signatures)
		return 0;
	return err_deny(err, CERTSRV_E_SIGNATURE_COUNT, "template %s: needs "
	    "signatures of %u registration authorities, only %u signer's "
	    "certificate has an eku of ra-eku", t->cn, t->ra_signatures, good);
}

/* Groups or accounts. */
static bool
lists_account(const struct strlist *l, const struct account *a)
{
	return account_in(a, l) || strlist_has(l, a->name);
}

/* The principal that logged on must have signed, as an agent. */
static int
check_agent(const struct decide_ask *q, const struct rights rights[2],
    struct err *err)
{
	bool	has_eku = false;
	size_t	i;

	for (i = 0; i < q->request->nsigner; i++) {
		if (!is_authority(q->request, i) ||
		    !lists_oid(rights[i].eku, AGENT_EKU, false))
			continue;
		has_eku = true;
		if (strcmp(q->issued[i]->account, q->account->name) == 0)
			return 0;
	}
	if (has_eku)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER,
		    "the enrollment agent's certificate is not that of "
		    "account %s", q->account->name);
	return err_deny(err, CERTSRV_E_SIGNATURE_REJECTED, "no signer's "
	    "certificate has eku " AGENT_EKU " of enrollment agents");
}

/* Agents never enroll for each other, nor for whom any rule protects. */
static const struct agent_rule *
denied_by(const struct decide_ask *q, const struct account *target)
{
	const struct agent_rule	*rule;
	size_t			 i;

	for (i = 0; i < q->policy->nagents; i++) {
		rule = &q->policy->agents[i];
		if (lists_account(&rule->deny_targets, target) ||
		    lists_account(&rule->agents, target))
			return rule;
	}
	return NULL;
}

static int
check_rules(const struct decide_ask *q, const struct template *t,
    const struct account *target, struct err *err)
{
	const struct agent_rule	*rule = denied_by(q, target);
	size_t			 i;

	if (rule != NULL)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER,
		    "agent rule %s: nobody enrolls on behalf of account %s",
		    rule->name, target->name);
	for (i = 0; i < q->policy->nagents; i++) {
		rule = &q->policy->agents[i];
		if (lists_account(&rule->agents, q->account) &&
		    strlist_has(&rule->templates, t->cn) &&
		    account_in(target, &rule->targets))
			return 0;
	}
	return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "template %.40s: no "
	    "agent rule lets account %.40s enroll on behalf of %.40s",
	    t->cn, q->account->name, target->name);
}

/* Whom RequesterName names: name is empty for the one who asks. */
static int
read_target(const struct decide_ask *q, char name[129], struct err *err)
{
	name[0] = '\0';
	if (q->request->requester_name == NULL)
		return 0;
	if (agent_target(q->policy, q->request, name, err) == -1)
		return -1;
	if (strcmp(name, q->account->name) == 0)
		name[0] = '\0';
	return 0;
}

static int
find_target(const struct decide_ask *q, const char *name,
    const struct account **out, struct err *err)
{
	if (q->agency->target == NULL ||
	    strcmp(q->agency->target->name, name) != 0)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER,
		    "RequesterName: account %s does not exist", name);
	*out = q->agency->target;
	if ((*out)->disabled)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER,
		    "RequesterName: account %s is disabled", name);
	return 0;
}

/*
 * [security] X11: before the caller is known to be an agent, no answer depends
 * on whether the account exists.
 */
int
agent_decide(const struct decide_ask *q, const struct template *t,
    const struct account **subject, struct err *err)
{
	const struct account	*target = NULL;
	struct rights		 rights[2] = { { { NULL, 0 }, { NULL, 0 } } };
	char			 name[129];
	unsigned		 n;

	if (check_signers(q, rights, &n, err) == -1 ||
	    read_target(q, name, err) == -1)
		return -1;
	/* [MS-WCCE] 3.2.2.6.2.1.4.5.1: nothing to tell an agent by. */
	if (name[0] != '\0' && t->ra_signatures == 0)
		return err_deny(err, CERTSRV_E_BAD_RENEWAL_SUBJECT,
		    "template %s: is not for enrolling on behalf of others",
		    t->cn);
	if (check_count(q, t, rights, n, err) == -1)
		return -1;
	if (name[0] == '\0') {
		*subject = q->account;
		return 0;
	}
	if (check_agent(q, rights, err) == -1 ||
	    find_target(q, name, &target, err) == -1 ||
	    check_rules(q, t, target, err) == -1)
		return -1;
	*subject = target;
	return 0;
}
