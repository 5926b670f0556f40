/*
 * OCSP requests.  Oracle: where OpenSSL can read it too, it finds the same end,
 * as many questions and the same serial numbers.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "ocspreq.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_serial(OCSP_REQUEST *q, const struct ocsp_request *r, size_t i)
{
	ASN1_INTEGER	*n = NULL;
	BIGNUM		*theirs, *ours;

	if (OCSP_id_get0_info(NULL, NULL, NULL, &n, OCSP_onereq_get0_id(
	    OCSP_request_onereq_get0(q, (int)i))) != 1)
		abort();
	theirs = ASN1_INTEGER_to_BN(n, NULL);
	ours = BN_bin2bn(r->id[i].serial.p, (int)r->id[i].serial.n, NULL);
	if (theirs == NULL || ours == NULL || BN_cmp(theirs, ours) != 0)
		abort();
	BN_free(theirs);
	BN_free(ours);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err		 err = ERR_INIT;
	struct ocsp_request	 r;
	OCSP_REQUEST		*q;
	const uint8_t		*p = data;
	size_t			 i;

	if (ocsp_request_parse(slice_of(data, n), &r, &err) == -1) {
		if (err.kind != ERR_MALFORMED && err.kind != ERR_TOO_BIG)
			abort();
		return 0;
	}
	q = d2i_OCSP_REQUEST(NULL, &p, (long)n);
	/* What we pass over unread OpenSSL may refuse. */
	if (q != NULL) {
		if (p != data + n ||
		    (size_t)OCSP_request_onereq_count(q) != r.n)
			abort();
		for (i = 0; i < r.n; i++)
			check_serial(q, &r, i);
	}
	OCSP_REQUEST_free(q);
	ERR_clear_error();
	return 0;
}
