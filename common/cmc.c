/*
 * CMC PKIData: one request and the controls that clients send.  Between
 * cms.c, which opens the wrapping, and pkcs10.c.
 */
#include <string.h>

#include "cmc.h"
#include "cms.h"
#include "oid.h"

#define BODY_ID_MAX	4294967294u	/* 2^32 - 1 and 0 are reserved */
#define TRANSACTION_MAX	64		/* octets, echoed */
#define NONCE_MAX	128

static int
get_body_id(struct der *d, uint64_t *id, struct err *err)
{
	uint64_t	v;

	if (der_uint(d, &v, "bodyPartID", err) == -1)
		return -1;
	if (v == 0 || v > BODY_ID_MAX)
		return err_bad(err, 0, "bodyPartID: %llu is reserved",
		    (unsigned long long)v);
	*id = v;
	return 0;
}

/* TaggedAttribute; one value, and each control once. */
static int
parse_control(struct cmc *c, struct der *seq, struct err *err)
{
	struct der	d, set;
	struct slice	oid, value;
	uint64_t	id;
	char		text[128];
	size_t		i;

	if (c->ncontrol == CMC_CONTROLS)
		return err_set(err, ERR_TOO_BIG, "controls: more than %d",
		    CMC_CONTROLS);
	if (der_enter(seq, DER_SEQ, &d, "control", err) == -1 ||
	    get_body_id(&d, &id, err) == -1 ||
	    der_get(&d, DER_OID, &oid, "control", err) == -1 ||
	    der_enter(&d, DER_SET, &set, "control values", err) == -1 ||
	    der_end(&d, "control", err) == -1 ||
	    der_any(&set, NULL, &value, NULL, "control value", err) == -1 ||
	    der_end(&set, "control values", err) == -1)
		return -1;
	for (i = 0; i < c->ncontrol; i++) {
		if (c->control[i].body_part_id == id)
			return err_bad(err, 0, "bodyPartID: %llu twice",
			    (unsigned long long)id);
		if (slice_eq(c->control[i].oid, oid))
			return err_bad(err, 0, "control %s: twice",
			    oid_show(oid, text, sizeof(text)));
	}
	c->control[i].body_part_id = id;
	c->control[i].oid = oid;
	c->control[i].value = value;
	c->ncontrol++;
	return 0;
}

/* [MS-WCCE] 3.2.1.4.2.1.4.1.3: exactly one TaggedRequest, a PKCS#10. */
static int
parse_requests(struct cmc *c, struct der *seq, struct err *err)
{
	struct der	tcr;
	size_t		i;

	if (der_done(seq))
		return err_bad(err, 0, "reqSequence: no request");
	if (der_peek(seq) != DER_CTXC(0))
		return err_bad(err, 0, "reqSequence: not a PKCS#10 request; "
		    "CRMF and other forms are not accepted");
	if (der_enter(seq, DER_CTXC(0), &tcr, "reqSequence", err) == -1)
		return -1;
	if (!der_done(seq))
		return err_bad(err, 0, "reqSequence: more than one request");
	if (get_body_id(&tcr, &c->body_part_id, err) == -1 ||
	    der_tlv(&tcr, DER_SEQ, &c->csr, "certificationRequest",
	    err) == -1 || der_end(&tcr, "reqSequence", err) == -1)
		return -1;
	for (i = 0; i < c->ncontrol; i++)
		if (c->control[i].body_part_id == c->body_part_id)
			return err_bad(err, 0, "bodyPartID: %llu twice",
			    (unsigned long long)c->body_part_id);
	return 0;
}

int
cmc_parse(struct cmc *c, struct slice tlv, struct err *err)
{
	struct der	data, controls, requests, cms, other;

	memset(c, 0, sizeof(*c));
	if (der_check(tlv, REQ_DEPTH, "PKIData", err) == -1 ||
	    der_only(tlv, DER_SEQ, &data, "PKIData", err) == -1 ||
	    der_enter(&data, DER_SEQ, &controls, "controlSequence",
	    err) == -1 ||
	    der_enter(&data, DER_SEQ, &requests, "reqSequence", err) == -1 ||
	    der_enter(&data, DER_SEQ, &cms, "cmsSequence", err) == -1 ||
	    der_enter(&data, DER_SEQ, &other, "otherMsgSequence",
	    err) == -1 ||
	    der_end(&data, "PKIData", err) == -1 ||
	    der_end(&cms, "cmsSequence", err) == -1 ||
	    der_end(&other, "otherMsgSequence", err) == -1)
		return -1;
	while (!der_done(&controls))
		if (parse_control(c, &controls, err) == -1)
			return -1;
	return parse_requests(c, &requests, err);
}

/* pkiDataReference 0 and the one request: nothing else can be meant. */
static int
open_reference(const struct cmc *c, struct slice value, struct der *d,
    struct err *err)
{
	struct der	refs;
	uint64_t	data, id;

	if (der_only(value, DER_SEQ, d, "control value", err) == -1 ||
	    der_uint(d, &data, "pkiDataReference", err) == -1 ||
	    der_enter(d, DER_SEQ, &refs, "certReferences", err) == -1 ||
	    der_uint(&refs, &id, "certReferences", err) == -1 ||
	    der_end(&refs, "certReferences", err) == -1)
		return -1;
	if (data != 0 || id != c->body_part_id)
		return err_bad(err, 0,
		    "control refers to something that is not the request");
	return 0;
}

static int
open_added(const struct cmc *c, struct slice value, struct der *set,
    struct err *err)
{
	struct der	d;

	if (open_reference(c, value, &d, err) == -1 ||
	    der_enter(&d, DER_SET, set, "addAttributes", err) == -1)
		return -1;
	return der_end(&d, "addAttributes", err);
}

static int
add_attributes(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	struct der	set;

	if (open_added(c, value, &set, err) == -1)
		return -1;
	return reqattr_parse(p, ATTR_ADDED, &set, err);
}

static int
add_extensions(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	struct der	d;
	struct slice	list;

	if (open_reference(c, value, &d, err) == -1 ||
	    der_tlv(&d, DER_SEQ, &list, "addExtensions", err) == -1 ||
	    der_end(&d, "addExtensions", err) == -1)
		return -1;
	return reqext_parse(p, EXT_ADDED, list, err);
}

static int
get_octets(struct slice value, size_t max, struct slice *out,
    const char *what, struct err *err)
{
	struct der	d;

	der_init(&d, value);
	if (der_get(&d, DER_OCTETS, out, what, err) == -1)
		return -1;
	if (out->n == 0 || out->n > max)
		return err_bad(err, 0, "%s: %zu octets, limit is %zu", what,
		    out->n, max);
	return 0;
}

static int
reg_info(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	struct der	d;
	struct slice	text;

	(void)c;
	der_init(&d, value);
	if (der_get(&d, DER_OCTETS, &text, "regInfo", err) == -1)
		return -1;
	return reqattr_reginfo(p, text, err);
}

/* Echoed in the response, so it has to be what it should be. */
static int
transaction_id(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	struct der	d;
	struct slice	id;

	(void)c;
	der_init(&d, value);
	if (der_get(&d, DER_INTEGER, &id, "transactionId", err) == -1)
		return -1;
	if (id.n > TRANSACTION_MAX)
		return err_bad(err, 0, "transactionId: more than %d octets",
		    TRANSACTION_MAX);
	p->req->transaction_id = value;
	return 0;
}

static int
sender_nonce(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	struct slice	nonce;

	(void)c;
	if (get_octets(value, NONCE_MAX, &nonce, "senderNonce", err) == -1)
		return -1;
	p->req->sender_nonce = value;
	return 0;
}

static int
key_hash(struct reqparse *p, const struct cmc *c, struct slice value,
    struct err *err)
{
	(void)c;
	return reqattr_key_hash(p, value, err);
}

struct control {
	const struct slice	*oid;
	int			(*take)(struct reqparse *, const struct cmc *,
				    struct slice, struct err *);
};

static const struct control known[] = {
	{ &OID_CMC_ADD_ATTRIBUTES, add_attributes },
	{ &OID_CMC_ADD_EXTENSIONS, add_extensions },
	{ &OID_CMC_REG_INFO, reg_info },
	{ &OID_CMC_TRANSACTION_ID, transaction_id },
	{ &OID_CMC_SENDER_NONCE, sender_nonce },
	{ &OID_ENCRYPTED_KEY_HASH, key_hash },
};

#define NKNOWN	(sizeof(known) / sizeof(known[0]))

int
cmc_controls(struct reqparse *p, const struct cmc *c, struct err *err)
{
	char	text[128];
	size_t	i, k;

	for (i = 0; i < c->ncontrol; i++) {
		for (k = 0; k < NKNOWN; k++)
			if (slice_eq(*known[k].oid, c->control[i].oid))
				break;
		if (k == NKNOWN)
			return err_bad(err, 0, "control %s is not accepted",
			    oid_show(c->control[i].oid, text, sizeof(text)));
		if (known[k].take(p, c, c->control[i].value, err) == -1)
			return -1;
	}
	return 0;
}

/* A ContentInfo starts with its type, a PKCS#10 with a SEQUENCE. */
static bool
is_bare(struct slice token)
{
	struct err	ignored = ERR_INIT;
	struct der	d;

	return der_only(token, DER_SEQ, &d, "request", &ignored) == 0 &&
	    der_peek(&d) == DER_SEQ;
}

static int
echo_added(const struct cmc *c, struct slice value, struct cmc_echo *e,
    struct err *err)
{
	struct der	set;
	struct slice	oid, attr;

	if (open_added(c, value, &set, err) == -1)
		return -1;
	while (!der_done(&set)) {
		if (reqattr_read(&set, &oid, &attr, err) == -1)
			return -1;
		if (slice_eq(oid, OID_ENCRYPTED_KEY_HASH))
			e->key_hash = attr;
	}
	return 0;
}

static int
echo_control(const struct cmc *c, size_t i, struct cmc_echo *e,
    struct err *err)
{
	struct slice	oid = c->control[i].oid, value = c->control[i].value;

	if (slice_eq(oid, OID_CMC_ADD_ATTRIBUTES))
		return echo_added(c, value, e, err);
	if (slice_eq(oid, OID_CMC_TRANSACTION_ID))
		e->transaction_id = value;
	else if (slice_eq(oid, OID_CMC_SENDER_NONCE))
		e->sender_nonce = value;
	else if (slice_eq(oid, OID_ENCRYPTED_KEY_HASH))
		e->key_hash = value;
	return 0;
}

int
cmc_echo(struct slice token, struct cmc_echo *out, struct err *err)
{
	struct cmc_echo	e = { .body_part_id = 1 };
	struct cms	cms = { 0 };
	struct cmc	cmc;
	size_t		i;

	*out = e;
	if (is_bare(token))
		return 0;
	if (cms_parse(&cms, token, err) == -1)
		return -1;
	if (!slice_eq(cms.type, OID_CCT_PKI_DATA))
		return 0;
	if (cmc_parse(&cmc, cms.content, err) == -1)
		return -1;
	e.body_part_id = cmc.body_part_id;
	for (i = 0; i < cmc.ncontrol; i++)
		if (echo_control(&cmc, i, &e, err) == -1)
			return -1;
	*out = e;
	return 0;
}
