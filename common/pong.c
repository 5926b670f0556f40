/* What a signer says of itself: answers "doctor" and the worker's status. */
#include <string.h>

#include "der.h"
#include "pong.h"

void
pong_encode(const struct pong *p, struct buf *b)
{
	size_t	mark = der_open(b, DER_SEQ);

	der_put_slice(b, DER_UTF8, p->signer);
	der_put_uint(b, (uint64_t)p->now);
	der_put_uint(b, p->version);
	der_put(b, DER_OCTETS, p->policy_hash, sizeof(p->policy_hash));
	der_close(b, mark);
}

int
pong_decode(struct slice s, struct pong *out, struct err *err)
{
	struct pong	p = { .now = 0 };
	struct slice	hash;
	struct der	d;
	uint64_t	now;

	if (der_only(s, DER_SEQ, &d, "pong", err) == -1 ||
	    der_get(&d, DER_UTF8, &p.signer, "pong.signer", err) == -1 ||
	    der_uint(&d, &now, "pong.now", err) == -1 ||
	    der_uint(&d, &p.version, "pong.version", err) == -1 ||
	    der_get(&d, DER_OCTETS, &hash, "pong.policyHash", err) == -1 ||
	    der_end(&d, "pong", err) == -1)
		return -1;
	if (p.signer.n > 63 || !slice_is_text(p.signer))
		return err_bad(err, 0, "pong.signer: not a name");
	if (hash.n != sizeof(p.policy_hash))
		return err_bad(err, 0, "pong.policyHash: %zu octets", hash.n);
	p.now = (int64_t)now;
	memcpy(p.policy_hash, hash.p, hash.n);
	*out = p;
	return 0;
}

int
pong_of(const struct answer *a, struct pong *out, struct err *err)
{
	if (a->status != MSG_PONG)
		return err_set(err, ERR_UNAVAILABLE, "%.*s", (int)a->text.n,
		    (const char *)a->text.p);
	return pong_decode(a->response, out, err);
}
