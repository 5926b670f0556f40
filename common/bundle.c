/*
 * Records of a bundle, between the desk of an air gap (cli/airgap_export.c,
 * airgap_import.c) and the vault.  A table has the fields of each type in
 * their order, so that what is written and what is read cannot differ.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "derfield.h"

#define BUNDLE_VERSION	1
/* The fields of any one record together are below BUNDLE_RECORD_MAX. */
#define MAX_NAME	128
#define MAX_TEXT	512
#define MAX_NOTE	1024
#define MAX_NAMES	(16 * 1024)	/* subject, SAN as text */
#define MAX_BLOB	(64 * 1024)
#define MAX_RESPONSE	(160 * 1024)
#define MAX_ACCOUNTS	(160 * 1024)
#define MAX_PART	(320 * 1024)
#define MAX_SERIAL	20
#define MAX_NUMBER	(UINT64_C(1) << 62)	/* of a list: as many follow */
#define MAX_TIME	(INT64_MAX / 1000000)	/* seconds, as microseconds */

enum field_kind {
	F_VERSION, F_FIXED, F_TEXT, F_OCTETS, F_SEQ, F_U32, F_U64, F_I64,
	F_ENUM
};

struct field {
	const char	*name;
	enum field_kind	 kind;
	size_t		 offset;	/* in struct record */
	size_t		 max;		/* octets, or the value of F_ENUM */
};

#define AT(member)	offsetof(struct record, member)
#define END		{ NULL, F_VERSION, 0, 0 }

static const struct field head[] = {
	{ "head.version", F_VERSION, 0, 0 },
	{ "head.kind", F_ENUM, AT(head.kind), BUNDLE_RESPONSE },
	{ "head.key", F_FIXED, AT(head.key), BUNDLE_HASH },
	{ "head.deployment", F_TEXT, AT(head.deployment), MAX_NAME },
	{ "head.round", F_U64, AT(head.round), 0 },
	{ "head.previous", F_FIXED, AT(head.previous), BUNDLE_HASH },
	{ "head.madeAt", F_I64, AT(head.made_at), 0 },
	{ "head.policyHash", F_FIXED, AT(head.policy_hash), 32 },
	{ "head.maker", F_TEXT, AT(head.maker), MAX_NAME },
	END
};
static const struct field item[] = {
	{ "item.id", F_FIXED, AT(item.id), MSG_ID },
	{ "item.number", F_U32, AT(item.number), 0 },
	{ "item.ca", F_TEXT, AT(item.ca), MAX_NAME },
	{ "item.method", F_U32, AT(item.method), 0 },
	{ "item.receivedAt", F_I64, AT(item.received_at), 0 },
	{ "item.worker", F_TEXT, AT(item.worker), MAX_NAME },
	{ "item.asker", F_TEXT, AT(item.asker), MAX_NAME },
	{ "item.template", F_TEXT, AT(item.template_name), MAX_NAME },
	{ "item.token", F_OCTETS, AT(item.token), MAX_BLOB },
	{ "item.evidence", F_OCTETS, AT(item.evidence), MAX_BLOB },
	{ "item.accounts", F_SEQ, AT(item.accounts), MAX_ACCOUNTS },
	END
};
static const struct field approval[] = {
	{ "approval.decision", F_FIXED, AT(item.decision), MSG_ID },
	{ "approval.approver", F_TEXT, AT(item.approver), MAX_NAME },
	{ "approval.operator", F_TEXT, AT(item.operator), MAX_NAME },
	{ "approval.reason", F_TEXT, AT(item.reason), MAX_TEXT },
	{ "approval.subject", F_TEXT, AT(item.subject), MAX_TEXT },
	END
};
static const struct field order[] = {
	{ "order.ca", F_TEXT, AT(order.ca), MAX_NAME },
	{ "order.change", F_I64, AT(order.change), 0 },
	{ "order.serial", F_OCTETS, AT(order.serial), MAX_SERIAL },
	{ "order.at", F_I64, AT(order.at), 0 },
	{ "order.reason", F_U32, AT(order.reason), 0 },
	{ "order.notAfter", F_I64, AT(order.not_after), 0 },
	{ "order.who", F_TEXT, AT(order.who), MAX_NAME },
	{ "order.note", F_TEXT, AT(order.note), MAX_NOTE },
	END
};
static const struct field wish[] = {
	{ "wish.ca", F_TEXT, AT(wish.ca), MAX_NAME },
	{ "wish.change", F_I64, AT(wish.change), 0 },
	{ "wish.number", F_U64, AT(wish.number), 0 },
	END
};
static const struct field result[] = {
	{ "result.id", F_FIXED, AT(result.id), MSG_ID },
	{ "result.status", F_ENUM, AT(result.status), MSG_DENIED },
	{ "result.decidedAt", F_I64, AT(result.decided_at), 0 },
	{ "result.hresult", F_U32, AT(result.hresult), 0 },
	{ "result.major", F_U32, AT(result.major), 0 },
	{ "result.minor", F_U32, AT(result.minor), 0 },
	{ "result.renewals", F_U32, AT(result.renewals), 0 },
	{ "result.text", F_TEXT, AT(result.text), MAX_TEXT },
	{ "result.subject", F_TEXT, AT(result.subject), MAX_NAMES },
	{ "result.san", F_TEXT, AT(result.san), MAX_NAMES },
	{ "result.certificate", F_OCTETS, AT(result.certificate), MAX_BLOB },
	{ "result.response", F_OCTETS, AT(result.response), MAX_RESPONSE },
	END
};
static const struct field voided[] = {
	{ "void.id", F_FIXED, AT(voided.id), MSG_ID },
	{ "void.ca", F_TEXT, AT(voided.ca), MAX_NAME },
	{ "void.serial", F_OCTETS, AT(voided.serial), MAX_SERIAL },
	END
};
static const struct field list[] = {
	{ "list.ca", F_TEXT, AT(list.ca), MAX_NAME },
	{ "list.number", F_U64, AT(list.number), 0 },
	{ "list.thisUpdate", F_I64, AT(list.this_update), 0 },
	{ "list.nextUpdate", F_I64, AT(list.next_update), 0 },
	{ "list.entries", F_U64, AT(list.entries), 0 },
	{ "list.octets", F_U64, AT(list.octets), 0 },
	{ "list.change", F_I64, AT(list.change), 0 },
	{ "list.digest", F_OCTETS, AT(list.digest), 64 },
	END
};
static const struct field part[] = {
	{ "part.ca", F_TEXT, AT(part.ca), MAX_NAME },
	{ "part.number", F_U64, AT(part.number), 0 },
	{ "part.part", F_U32, AT(part.part), 0 },
	{ "part.body", F_OCTETS, AT(part.body), MAX_PART },
	END
};
static const struct field end[] = {
	{ "end.records", F_U64, AT(end.records), 0 },
	{ "end.signature", F_FIXED, AT(end.signature), BUNDLE_SIGNATURE },
	END
};

static const struct field *const types[] = {
	[REC_HEAD] = head, [REC_ITEM] = item, [REC_ORDER] = order,
	[REC_WISH] = wish, [REC_RESULT] = result, [REC_VOID] = voided,
	[REC_LIST] = list, [REC_PART] = part, [REC_END] = end
};
#define NTYPES	(sizeof(types) / sizeof(types[0]))

static void
put_field(const struct field *f, const struct record *r, struct buf *b)
{
	const void *at = (const char *)r + f->offset;
	const struct slice *s = at;

	switch (f->kind) {
	case F_VERSION:
		der_put_uint(b, BUNDLE_VERSION);
		break;
	case F_FIXED:
		der_put(b, DER_OCTETS, at, f->max);
		break;
	case F_TEXT:
		der_put_slice(b, DER_UTF8, *s);
		break;
	case F_OCTETS:
		der_put_slice(b, DER_OCTETS, *s);
		break;
	case F_SEQ:
		der_put_slice(b, DER_SEQ, *s);
		break;
	case F_ENUM:
		der_put_enum(b, *(const unsigned *)at);
		break;
	case F_U32:
		der_put_uint(b, *(const uint32_t *)at);
		break;
	case F_U64:
	case F_I64:
		der_put_uint(b, *(const uint64_t *)at);
		break;
	}
}

static void
put_fields(const struct field *f, const struct record *r, struct buf *b)
{
	for (; f->name != NULL; f++)
		put_field(f, r, b);
}

void
record_encode(const struct record *r, struct buf *b)
{
	size_t mark = der_open(b, DER_CTXC(r->type)), in;

	put_fields(types[r->type], r, b);
	if (r->type == REC_ITEM && r->item.approved) {
		in = der_open(b, DER_SEQ);
		put_fields(approval, r, b);
		der_close(b, in);
	}
	der_close(b, mark);
}

static int
get_version(struct der *d, const char *what, struct err *err)
{
	uint64_t v;

	if (der_uint(d, &v, what, err) == -1)
		return -1;
	return v == BUNDLE_VERSION ? 0 : err_bad(err, 0, "%s: is %llu, this "
	    "program knows %d", what, (unsigned long long)v, BUNDLE_VERSION);
}

static int
get_seq(struct der *d, struct slice *out, const struct field *f,
    struct err *err)
{
	if (der_get(d, DER_SEQ, out, f->name, err) == -1)
		return -1;
	return out->n <= f->max ? 0 : err_set(err, ERR_TOO_BIG,
	    "%s: %zu octets, limit %zu", f->name, out->n, f->max);
}

static int
get_field(const struct field *f, struct der *d, struct record *r,
    struct err *err)
{
	void *at = (char *)r + f->offset;

	switch (f->kind) {
	case F_VERSION:
		return get_version(d, f->name, err);
	case F_FIXED:
		return der_fixed(d, at, f->max, f->name, err);
	case F_TEXT:
		return der_text(d, at, f->max, f->name, err);
	case F_OCTETS:
		return der_octets(d, at, f->max, f->name, err);
	case F_SEQ:
		return get_seq(d, at, f, err);
	case F_ENUM:
		return der_enum(d, (unsigned)f->max, at, f->name, err);
	case F_U32:
		return der_u32(d, at, f->name, err);
	case F_U64:
	case F_I64:		/* der_uint has no negative ones */
		return der_uint(d, at, f->name, err);
	}
	return -1;
}

static int
get_fields(const struct field *f, struct der *d, struct record *r,
    struct err *err)
{
	for (; f->name != NULL; f++)
		if (get_field(f, d, r, err) == -1)
			return -1;
	return 0;
}

static int
get_approval(struct der *d, struct record *r, struct err *err)
{
	struct der in;

	if (r->type != REC_ITEM || der_done(d))
		return 0;
	r->item.approved = true;
	if (der_enter(d, DER_SEQ, &in, "item.approval", err) == -1 ||
	    get_fields(approval, &in, r, err) == -1)
		return -1;
	return der_end(&in, "item.approval", err);
}

/* What the types of the fields do not say. */
static int
check(const struct record *r, struct err *err)
{
	unsigned m = r->item.method;

	switch (r->type) {
	case REC_ITEM:
		if (m != AUTH_KERBEROS && m != AUTH_PASSWORD &&
		    m != AUTH_CERTIFICATE && m != AUTH_OPERATOR)
			return err_bad(err, 0, "item.method: %u", m);
		return r->item.received_at < MAX_TIME ? 0 : err_bad(err, 0,
		    "item.receivedAt: is no time");
	case REC_ORDER:
		/* [RFC5280] 5.3.1: 7 is not used, 10 is for attributes. */
		if (r->order.serial.n == 0 || r->order.reason > 9 ||
		    r->order.reason == 7 || (r->order.serial.n > 1 &&
		    r->order.serial.p[0] == 0))
			return err_bad(err, 0, "order: reason %u, serial of "
			    "%zu octets", r->order.reason, r->order.serial.n);
		return r->order.not_after / 1000000 < MAX_TIME ? 0 :
		    err_bad(err, 0, "order.notAfter: is no time");
	case REC_WISH:
		/* The next list is above it, and a ledger keeps that. */
		return r->wish.number < MAX_NUMBER ? 0 : err_bad(err, 0,
		    "wish.number: leaves no numbers for lists to come");
	case REC_RESULT:
		if (r->result.status == MSG_PENDING ||
		    (r->result.status == MSG_ISSUED) !=
		    (r->result.certificate.n > 0))
			return err_bad(err, 0, "result: status and "
			    "certificate do not agree");
		return 0;
	default:
		return 0;
	}
}

int
record_decode(struct slice s, struct record *out, struct err *err)
{
	struct record r;
	struct der all, in;
	int tag;

	der_init(&all, s);
	tag = der_peek(&all);
	if (tag < DER_CTXC(0) || tag >= (int)DER_CTXC(NTYPES))
		return err_bad(err, 0, "bundle: record of unknown type");
	memset(&r, 0, sizeof(r));
	r.type = (enum record_type)(tag - DER_CTXC(0));
	if (der_enter(&all, tag, &in, "record", err) == -1 ||
	    get_fields(types[r.type], &in, &r, err) == -1 ||
	    get_approval(&in, &r, err) == -1 ||
	    der_end(&in, "record", err) == -1 ||
	    der_end(&all, "record", err) == -1 || check(&r, err) == -1)
		return -1;
	*out = r;
	return 0;
}

/* Columns that an account may lack: context tags 0 to 4. */
#define NOPTIONAL	5
static char **
optional(struct account *a, size_t i)
{
	char **const v[NOPTIONAL] = { &a->dns, &a->upn, &a->email, &a->dn,
	    &a->sid };

	return v[i];
}

void
bundle_put_account(const struct account *a, struct buf *b)
{
	const char *const v[NOPTIONAL] = { a->dns, a->upn, a->email, a->dn,
	    a->sid };
	size_t mark = der_open(b, DER_SEQ), groups, i;

	der_put_str(b, DER_UTF8, a->name);
	der_put_str(b, DER_UTF8, a->cn);
	der_put_bool(b, a->machine);
	der_put_bool(b, a->disabled);
	for (i = 0; i < NOPTIONAL; i++)
		if (v[i] != NULL)
			der_put_str(b, DER_CTX((int)i), v[i]);
	groups = der_open(b, DER_SEQ);
	for (i = 0; i < a->groups.n; i++)
		der_put_str(b, DER_UTF8, a->groups.v[i]);
	der_close(b, groups);
	der_close(b, mark);
}

static int
copy_text(struct der *d, int tag, char **out, struct err *err)
{
	struct slice s;

	if (der_get(d, tag, &s, "account", err) == -1)
		return -1;
	if (s.n > 1024 || !slice_is_text(s))
		return err_bad(err, 0, "account: not plain UTF-8, or long");
	*out = xstrndup((const char *)s.p, s.n);
	return 0;
}

static int
get_groups(struct der *d, struct strlist *out, struct err *err)
{
	struct der in;
	size_t cap = 0;

	if (der_enter(d, DER_SEQ, &in, "account.groups", err) == -1)
		return -1;
	while (!der_done(&in)) {
		if (out->n == ACCOUNT_GROUPS_MAX)
			return err_bad(err, 0, "account: more than %d groups",
			    ACCOUNT_GROUPS_MAX);
		out->v = xgrow(out->v, out->n, &cap, sizeof(*out->v));
		if (copy_text(&in, DER_UTF8, &out->v[out->n], err) == -1)
			return -1;
		out->n++;
	}
	strlist_sort(out);
	return 0;
}

static int
get_account(struct der *d, struct account *a, struct err *err)
{
	struct der in;
	size_t i;

	if (der_enter(d, DER_SEQ, &in, "account", err) == -1 ||
	    copy_text(&in, DER_UTF8, &a->name, err) == -1 ||
	    copy_text(&in, DER_UTF8, &a->cn, err) == -1 ||
	    der_bool(&in, &a->machine, "account.machine", err) == -1 ||
	    der_bool(&in, &a->disabled, "account.disabled", err) == -1)
		return -1;
	for (i = 0; i < NOPTIONAL; i++)
		if (der_peek(&in) == (int)DER_CTX(i) && copy_text(&in,
		    (int)DER_CTX(i), optional(a, i), err) == -1)
			return -1;
	if (get_groups(&in, &a->groups, err) == -1)
		return -1;
	return der_end(&in, "account", err);
}

/* One who is there twice, as agent and as approver, is the same both times. */
static int
check_twice(struct account *const *v, size_t n, struct err *err)
{
	struct buf a = { 0 }, b = { 0 };
	size_t i;
	int rc = 0;

	bundle_put_account(v[n], &a);
	for (i = 0; i < n && rc == 0; i++) {
		if (strcmp(v[i]->name, v[n]->name) != 0)
			continue;
		buf_reset(&b);
		bundle_put_account(v[i], &b);
		if (!slice_eq(buf_slice(&a), buf_slice(&b)))
			rc = err_bad(err, 0, "account %.64s: is there twice, "
			    "and differs", v[n]->name);
	}
	buf_free(&a);
	buf_free(&b);
	return rc;
}

int
bundle_accounts(struct slice s, struct account *out[BUNDLE_ACCOUNTS],
    size_t *n, struct err *err)
{
	struct der d;

	*n = 0;
	der_init(&d, s);
	do {
		if (*n == BUNDLE_ACCOUNTS)
			return err_bad(err, 0, "item: more than %d accounts",
			    BUNDLE_ACCOUNTS);
		out[*n] = xcalloc(1, sizeof(**out));
		if (get_account(&d, out[(*n)++], err) == -1 ||
		    check_twice(out, *n - 1, err) == -1)
			return -1;
	} while (!der_done(&d));
	return 0;
}
