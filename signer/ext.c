/* Extensions that certificates (tbs.c) and lists (crl.c) have in common. */
#include "der.h"
#include "ext.h"
#include "oid.h"
#include "policy.h"

struct ext
ext_open(struct buf *out, struct slice oid, bool critical)
{
	struct ext e;

	e.seq = der_open(out, DER_SEQ);
	der_put_oid(out, oid);
	if (critical)		/* DEFAULT FALSE is left out */
		der_put_bool(out, true);
	e.octets = der_open(out, DER_OCTETS);
	return e;
}

void
ext_close(struct buf *out, struct ext e)
{
	der_close(out, e.octets);
	der_close(out, e.seq);
}

void
ext_put_aki(struct buf *out, const struct ca *ca)
{
	struct ext e = ext_open(out, OID_EXT_AKI, false);
	size_t seq = der_open(out, DER_SEQ);

	der_put_slice(out, DER_CTX(0), buf_slice(&ca->ski));
	der_close(out, seq);
	ext_close(out, e);
}

void
ext_put_uri(struct buf *out, const char *pattern, const struct ca *ca)
{
	struct buf uri = { 0 };

	policy_url(pattern, ca->name, &uri);
	der_put_slice(out, DER_CTX(6), buf_slice(&uri));
	buf_free(&uri);
}

void
ext_put_points(struct buf *out, struct slice oid,
    const struct strlist *patterns, const struct ca *ca)
{
	struct ext e;
	size_t i, seq, point, name, full;

	if (patterns->n == 0)
		return;
	e = ext_open(out, oid, false);
	seq = der_open(out, DER_SEQ);
	point = der_open(out, DER_SEQ);
	name = der_open(out, DER_CTXC(0));
	full = der_open(out, DER_CTXC(0));
	for (i = 0; i < patterns->n; i++)
		ext_put_uri(out, patterns->v[i], ca);
	der_close(out, full);
	der_close(out, name);
	der_close(out, point);
	der_close(out, seq);
	ext_close(out, e);
}
