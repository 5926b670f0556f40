/*
 * $ssl_client_escaped_cert to DER: how a certificate that nginx has seen in
 * the handshake comes to auth.c.  Nothing in it is judged here.
 */
#include <string.h>

#include "base64.h"
#include "certauth.h"
#include "clientcert.h"
#include "hresult.h"

#define PEM_BEGIN	"-----BEGIN CERTIFICATE-----\n"
#define PEM_END		"\n-----END CERTIFICATE-----\n"
#define WORDS		"client certificate: "

static int
unescape(const char *s, struct buf *out, struct err *err)
{
	uint8_t	c;

	for (; *s != '\0'; s++) {
		c = (uint8_t)*s;
		if (c == '%') {
			if (s[1] == '\0' || s[2] == '\0' ||
			    hex_decode((char []){ s[1], s[2], '\0' }, &c,
			    1) == -1)
				return err_bad(err, 0, WORDS "bad escape");
			s += 2;
		}
		buf_addc(out, c);
	}
	return 0;
}

/* [RFC7468] 5.1: one certificate and nothing around it. */
static int
pem_decode(struct slice pem, struct buf *der, struct err *err)
{
	size_t	begin = strlen(PEM_BEGIN), end = strlen(PEM_END), n = der->n;

	if (pem.n < begin + end || memcmp(pem.p, PEM_BEGIN, begin) != 0 ||
	    memcmp(pem.p + pem.n - end, PEM_END, end) != 0)
		return err_bad(err, 0, WORDS "is not one PEM certificate");
	if (base64_decode((const char *)pem.p + begin, pem.n - begin - end,
	    CERTAUTH_MAX, der, err) == -1)
		return -1;
	return der->n > n ? 0 : err_bad(err, 0, WORDS "is empty");
}

/* "FAILED:reason", "NONE", "SUCCESS"; only the last one is believed. */
static int
check_verify(const char *verify, struct err *err)
{
	if (strcmp(verify, "SUCCESS") == 0)
		return 0;
	if (*verify == '\0' || strcmp(verify, "NONE") == 0)
		return err_set(err, ERR_NO_SECURITY, WORDS
		    "none was sent in the TLS handshake");
	if (strncmp(verify, "FAILED:", 7) == 0)
		return err_deny(err, CERT_E_UNTRUSTEDROOT, WORDS
		    "is not trusted here: %.80s", verify + 7);
	return err_deny(err, HR_ACCESS_DENIED, WORDS "was not verified");
}

int
clientcert_read(const char *verify, const char *escaped, struct buf *der,
    struct err *err)
{
	struct buf	pem = { 0 };
	int		rc = -1;

	if (check_verify(verify, err) == -1)
		return -1;
	if (strlen(escaped) > CLIENTCERT_TEXT_MAX)
		return err_set(err, ERR_TOO_BIG, WORDS "above %zu bytes",
		    CLIENTCERT_TEXT_MAX);
	if (unescape(escaped, &pem, err) == 0)
		rc = pem_decode(buf_slice(&pem), der, err);
	buf_free(&pem);
	return rc;
}
