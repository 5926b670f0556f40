/*
 * The rules of a renewal: here it is checked whether an old certificate still
 * counts, and for whom; one that was issued elsewhere (foreign.c), or by another
 * CA of ours, gives nothing.  Part of decide(), which signers run, the vault and
 * "countersign explain"; no worker does.  The signatures were verified before
 * (cmsprove.c), the row comes from issued.c.
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "foreign.h"
#include "hresult.h"
#include "namerule.h"
#include "renewal.h"

struct serial_text {
	char	s[41];
};

static struct serial_text
show(struct slice serial)
{
	struct serial_text	t = { "" };

	if (serial.n <= 20)
		hex_encode(serial.p, serial.n, t.s);
	return t;
}

#define SHOW(c)		show(buf_slice(&(c)->serial)).s

/*
 * The signer whose certificate the attribute holds, which parsing has found
 * among them; nsigner if that did not hold.
 */
static size_t
old_signer(const struct request *r)
{
	size_t	i;

	for (i = 0; i < r->nsigner; i++)
		if (r->signer[i].verified &&
		    slice_eq(r->signer[i].cert, r->old_cert))
			break;
	return i;
}

int
renewal_claimed(const struct request *r, struct err *err)
{
	if (r == NULL || r->old_cert.n == 0 || r->nsigner == 0)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "this address only renews: the request carries no "
		    "certificate to renew and no signature by its key");
	if (!foreign_looks(r->old_cert))
		return 0;
	return err_deny(err, CERT_E_UNTRUSTEDROOT, "this address only renews, "
	    "and the certificate was not issued by a signer: log on at "
	    "another address and ask for a new one");
}

const struct issued *
renewal_holder(const struct decide_ask *in)
{
	const struct issued	*c;
	size_t			 i;

	if (in->request->old_cert.n == 0)
		return NULL;
	i = old_signer(in->request);
	if (i == in->request->nsigner || (c = in->issued[i]) == NULL ||
	    !policy_ca_has(in->policy, in->ca, c->ca) ||
	    !slice_eq(buf_slice(&c->der), in->request->old_cert))
		return NULL;
	return c;
}

/* That of another CA of the policy, where its template was before; or NULL. */
static const struct issued *
of_sibling(const struct decide_ask *in)
{
	const struct policy_key	*key;
	const struct issued	*c;
	size_t			 i = old_signer(in->request);

	if (i == in->request->nsigner || (c = in->issued[i]) == NULL ||
	    policy_ca_has(in->policy, in->ca, c->ca) ||
	    policy_key_find(in->policy, c->ca, &key) == NULL ||
	    !slice_eq(buf_slice(&c->der), in->request->old_cert))
		return NULL;
	return c;
}

/*
 * Not ours: another CA, other bytes under our serial, or an unknown serial,
 * unless it may come along (foreign.h): 0, and *foreign is filled.
 */
static int
not_ours(const struct decide_ask *in, size_t i, struct issued *foreign,
    struct err *err)
{
	struct serial_text	number = show(in->request->signer[i].serial);
	int			rc = 0;

	if (in->certs != NULL && in->issued[i] == NULL)
		rc = foreign_read(in, number.s, foreign, err);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	return err_deny(err, CERT_E_UNTRUSTEDROOT, "renewal: certificate %s "
	    "was not issued by ca %.60s: ask for a new one without it",
	    number.s, in->ca);
}

/* *out is NULL when it is foreign. */
static int
check_ours(const struct decide_ask *in, const struct issued **out,
    struct issued *foreign, struct err *err)
{
	size_t	i = old_signer(in->request);

	if (i == in->request->nsigner)
		return err_deny(err, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
		    "the renewed certificate is not a signer");
	*out = renewal_holder(in);
	return *out != NULL ? 0 : not_ours(in, i, foreign, err);
}

/*
 * Clients sign renewals for schema 1 and 2 with SHA-1 ([MS-WCCE] has no word for
 * another hash there).  Whoever can make collisions has the key or is asked by
 * name besides; anonymously the signature is all there is.
 */
static int
check_hash(const struct decide_ask *in, const struct template *t,
    struct err *err)
{
	if (!in->request->signer[old_signer(in->request)].sha1)
		return 0;
	if (!t->renew_sha1)
		return err_deny(err, NTE_BAD_ALGID, "renewal: the old "
		    "certificate's key has signed with sha1, and template %s "
		    "has no renewal-sha1: sign with sha256", t->cn);
	if (in->method == AUTH_ANONYMOUS)
		return err_deny(err, NTE_BAD_ALGID, "renewal: the old "
		    "certificate's key has signed with sha1, which without a "
		    "log-on is not enough: sign with sha256");
	return 0;
}

static int
check_time(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	char		text[32];
	time_t		when = (time_t)c->not_after;
	struct tm	tm;

	if (in->now < c->not_before)
		return err_deny(err, CERT_E_EXPIRED,
		    "renewal: certificate %s is not valid yet", SHOW(c));
	if (in->now <= c->not_after + t->renew_grace)
		return 0;
	gmtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return err_deny(err, CERT_E_EXPIRED, "renewal: certificate %s ended "
	    "%s, template %s: renewal-grace is %lld s", SHOW(c), text, t->cn,
	    (long long)t->renew_grace);
}

/* [MS-WCCE] 3.2.2.6.2.1.2.3, and what the new template supersedes. */
static int
check_template(const struct template *t, const struct issued *c,
    struct err *err)
{
	if (strcasecmp(t->cn, c->template) == 0 ||
	    strlist_has(&t->supersedes, c->template))
		return 0;
	return err_deny(err, CERTSRV_E_TEMPLATE_CONFLICT, "renewal: template "
	    "%s asked for, certificate %s is of template %.40s, which it does "
	    "not supersede", t->cn, SHOW(c), c->template);
}

static int
check_account(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	if (in->account == NULL || strcmp(in->account->name, c->account) != 0)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "renewal: "
		    "certificate %s is not of account %.100s", SHOW(c),
		    in->account == NULL ? "" : in->account->name);
	if (account_was_others(in->account, c->not_before + ISSUED_EARLY))
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "renewal: "
		    "account %.64s was another principal's when certificate "
		    "%s was issued", in->account->name, SHOW(c));
	if (in->method == AUTH_ANONYMOUS && !t->renew_anonymous)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
		    "renewal-anonymous is not set", t->cn);
	return 0;
}

static int
check_key(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	uint8_t	spki[32];

	if (!t->renew_same_key)
		return 0;
	pubkey_sha256(in->request->key, spki);
	if (memcmp(spki, c->spki, sizeof(spki)) == 0)
		return 0;
	return err_deny(err, CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY, "template %s: "
	    "renewal-same-key: the key is not that of certificate %s", t->cn,
	    SHOW(c));
}

static int
check_chain(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	int64_t	age = in->now - c->chain_start;

	if (t->renew_max != 0 && c->renewals >= t->renew_max)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
		    "certificate %s was renewed %u times, renewal-max is %u",
		    t->cn, SHOW(c), c->renewals, t->renew_max);
	if (t->renew_max_age == 0 || age <= t->renew_max_age)
		return 0;
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
	    "certificate %s goes back to one of %lld s ago, renewal-max-age "
	    "is %lld s", t->cn, SHOW(c), (long long)age,
	    (long long)t->renew_max_age);
}

/*
 * It says nothing of whose it was: who asks must be an account without it, and
 * may ask for a new one in the same way.
 */
static int
check_asks_anew(const struct decide_ask *in, const struct issued *c,
    struct err *err)
{
	const struct policy_ca	*ca = policy_ca_find(in->policy, in->ca);
	struct err		 why = ERR_INIT;

	if (in->account != NULL &&
	    decide_method(ca, in->method, false, &why) == 0)
		return 0;
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "renewal: certificate "
	    "%s was issued elsewhere: log on at an address that does not only "
	    "renew, and ask for a new one", SHOW(c));
}

/* A new request, which its rules and [MS-WCCE] let say what it replaces. */
static int
judge_foreign(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	if (check_hash(in, t, err) == -1 ||
	    check_time(in, t, c, err) == -1 ||
	    check_template(t, c, err) == -1 ||
	    check_asks_anew(in, c, err) == -1)
		return -1;
	return check_key(in, t, c, err);
}

static int
check_made(const struct decide_ask *in, const struct issued *c,
    struct err *err)
{
	if (in->proves != NULL && in->proves(in->prover, c))
		return 0;
	return issued_prove(c, in->policy, err);
}

static int
check_revoked(const struct issued *c, struct err *err)
{
	if (!c->revoked)
		return 0;
	return err_deny(err, CRYPT_E_REVOKED,
	    "renewal: certificate %s is revoked", SHOW(c));
}

/*
 * A template has moved to this CA, and clients sign for its next certificate
 * with the one they have.  That gives them no more than one from elsewhere
 * would, and what its row says bars the way as ever.
 */
static int
judge_sibling(const struct decide_ask *in, const struct template *t,
    const struct issued *c, struct err *err)
{
	if (check_revoked(c, err) == -1 ||
	    judge_foreign(in, t, c, err) == -1 ||
	    check_account(in, t, c, err) == -1)
		return -1;
	return check_made(in, c, err);
}

int
renewal_judge(const struct decide_ask *in, const struct template *t,
    const struct issued **out, struct err *err)
{
	const struct issued	*c = of_sibling(in);
	struct issued		 foreign;
	int			 rc;

	if (c != NULL)
		return judge_sibling(in, t, c, err);
	if (check_ours(in, &c, &foreign, err) == -1)
		return -1;
	if (c == NULL) {
		rc = judge_foreign(in, t, &foreign, err);
		issued_clear(&foreign);
		return rc;
	}
	if (check_revoked(c, err) == -1 ||
	    check_hash(in, t, err) == -1 ||
	    check_time(in, t, c, err) == -1 ||
	    check_template(t, c, err) == -1 ||
	    check_account(in, t, c, err) == -1 ||
	    check_key(in, t, c, err) == -1 ||
	    check_chain(in, t, c, err) == -1 ||
	    check_made(in, c, err) == -1)
		return -1;
	*out = c;
	return 0;
}

static bool
same_dn(const struct names *a, const struct names *b)
{
	size_t	i;

	if (a->nrdn != b->nrdn)
		return false;
	for (i = 0; i < a->nrdn; i++)
		if (strcmp(a->rdn[i].type, b->rdn[i].type) != 0 ||
		    strcmp(a->rdn[i].value, b->rdn[i].value) != 0)
			return false;
	return true;
}

static bool
has_san(const struct names *n, const struct san *s)
{
	size_t	i;

	for (i = 0; i < n->nsan; i++)
		if (n->san[i].kind == s->kind &&
		    strcmp(n->san[i].text, s->text) == 0)
			return true;
	return false;
}

/* A host name in the CN went into the SAN by itself the first time. */
static bool
is_cn(const struct names *n, const struct san *s)
{
	size_t	i;

	for (i = 0; s->kind == SAN_DNS && i < n->nrdn; i++)
		if (strcmp(n->rdn[i].type, "CN") == 0 &&
		    strcasecmp(n->rdn[i].value, s->text) == 0)
			return true;
	return false;
}

static bool
same_names(const struct names *old, const struct names *asked)
{
	size_t	i;

	if (!same_dn(old, asked))
		return false;
	for (i = 0; i < asked->nsan; i++)
		if (!has_san(old, &asked->san[i]))
			return false;
	for (i = 0; i < old->nsan; i++)
		if (!has_san(asked, &old->san[i]) &&
		    !is_cn(asked, &old->san[i]))
			return false;
	return true;
}

int
renewal_same_names(const struct issued *c, const struct request *r,
    struct names *out, struct err *err)
{
	struct names	read, old, asked;
	bool		same;

	if (r->names_fault.kind != ERR_NONE)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "%.180s", r->names_fault.text);
	if (issued_names(c, &read, err) == -1)
		return -1;
	names_fold(&read, &old);
	names_fold(&r->names, &asked);
	same = same_names(&old, &asked);
	names_free(&asked);
	names_free(&read);
	if (same)
		*out = old;
	else
		names_free(&old);
	return same ? 1 : 0;
}
