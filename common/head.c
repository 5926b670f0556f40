/*
 * Heads of ledgers, signed and as text: written by a signer (heads.c), held
 * against ledgers by the command line (headset.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"

#define LABEL	"ledger head"

/* No field can hold a newline: names are checked, the rest are digits. */
static void
put_signed(struct buf *b, const struct head *h)
{
	buf_printf(b, "%s\n%" PRIu64 "\n%s\n", h->signer, h->seq, h->hash);
}

void
head_sign(struct head *h, const struct audit_key *k)
{
	struct buf b = { 0 };

	put_signed(&b, h);
	audit_sign(k, LABEL, buf_slice(&b), h->sig);
	memcpy(h->key, audit_key_pub(k), sizeof(h->key));
	buf_free(&b);
}

bool
head_verify(const struct head *h, const char *pub_hex)
{
	struct buf b = { 0 };
	bool good;

	put_signed(&b, h);
	good = audit_verify(pub_hex, LABEL, buf_slice(&b), h->sig);
	buf_free(&b);
	return good;
}

void
head_put(struct buf *b, const struct head *h)
{
	buf_printf(b, "{\"ledger\":\"%s\",\"seq\":%" PRIu64 ",\"hash\":\"%s\","
	    "\"key\":\"%s\",\"sig\":\"", h->signer, h->seq, h->hash, h->key);
	buf_hex(b, h->sig, sizeof(h->sig));
	buf_puts(b, "\"}");
}

static bool
take_hex(const char **p, char *out, size_t digits)
{
	if (strspn(*p, "0123456789abcdef") != digits)
		return false;
	memcpy(out, *p, digits);
	out[digits] = '\0';
	*p += digits;
	return true;
}

static bool
take_signer(const char **p, char out[64])
{
	size_t n = strcspn(*p, "\"\\\n");

	if (n == 0 || n >= 64)
		return false;
	memcpy(out, *p, n);
	out[n] = '\0';
	*p += n;
	return true;
}

static bool
take_seq(const char **p, uint64_t *out)
{
	char *end;

	if (**p < '1' || **p > '9')
		return false;
	*out = strtoull(*p, &end, 10);
	*p = end;
	return *out != UINT64_MAX;
}

/* Exactly what head_put writes. */
int
head_parse(const char *line, struct head *out)
{
	char sig[2 * AUDIT_SIG + 1];
	const char *p = strstr(line, "{\"ledger\":\"");
	struct head h;

	memset(&h, 0, sizeof(h));
	if (p == NULL || !text_take(&p, "{\"ledger\":\"") ||
	    !take_signer(&p, h.signer) || !text_take(&p, "\",\"seq\":") ||
	    !take_seq(&p, &h.seq) || !text_take(&p, ",\"hash\":\"") ||
	    !take_hex(&p, h.hash, HEAD_HASH) ||
	    !text_take(&p, "\",\"key\":\"") ||
	    !take_hex(&p, h.key, AUDIT_PUB_HEX) ||
	    !text_take(&p, "\",\"sig\":\"") ||
	    !take_hex(&p, sig, 2 * AUDIT_SIG) || !text_take(&p, "\"}") ||
	    hex_decode(sig, h.sig, AUDIT_SIG) != 0)
		return -1;
	*out = h;
	return 0;
}
