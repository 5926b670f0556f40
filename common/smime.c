/* S/MIME capabilities, from a request to a certificate. */
#include <string.h>

#include "der.h"
#include "smime.h"

/* 2.16.840.1.101.3.4.1, and behind it: CBC, wrap, GCM of 256, 192, 128 bits. */
static const uint8_t aes[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 1 };
static const uint8_t forms[] = { 42, 22, 2, 45, 25, 5, 46, 26, 6 };

/* Those without parameters: an own list of key lengths means another thing. */
static bool
is_aes(struct slice oid, bool bare)
{
	return bare && oid.n == sizeof(aes) + 1 &&
	    memcmp(oid.p, aes, sizeof(aes)) == 0 &&
	    memchr(forms, oid.p[sizeof(aes)], sizeof(forms)) != NULL;
}

static int
read_one(struct der *list, struct slice *oid, bool *bare, struct err *err)
{
	struct der	one;

	if (der_enter(list, DER_SEQ, &one, "S/MIME capability", err) == -1 ||
	    der_get(&one, DER_OID, oid, "S/MIME capability", err) == -1)
		return -1;
	*bare = der_done(&one);
	if (!*bare && der_any(&one, NULL, NULL, NULL, "S/MIME capability",
	    err) == -1)
		return -1;
	return der_end(&one, "S/MIME capability", err);
}

int
smime_copy(struct slice value, struct buf *out, struct err *err)
{
	struct der	list;
	struct slice	oid;
	uint64_t	seen = 0;
	size_t		n, all = SIZE_MAX, one;
	bool		bare;

	if (der_only(value, DER_SEQ, &list, "S/MIME capabilities", err) == -1)
		return -1;
	for (n = 0; !der_done(&list); n++) {
		if (n == SMIME_MAX)
			return err_set(err, ERR_TOO_BIG,
			    "more than %d S/MIME capabilities", SMIME_MAX);
		if (read_one(&list, &oid, &bare, err) == -1)
			return -1;
		if (!is_aes(oid, bare) ||
		    (seen & UINT64_C(1) << oid.p[sizeof(aes)]) != 0)
			continue;
		seen |= UINT64_C(1) << oid.p[sizeof(aes)];
		if (all == SIZE_MAX)
			all = der_open(out, DER_SEQ);
		one = der_open(out, DER_SEQ);
		der_put_oid(out, oid);
		der_close(out, one);
	}
	if (all != SIZE_MAX)
		der_close(out, all);
	return 0;
}
