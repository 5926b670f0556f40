/*
 * What nginx passes on of a client's header, one line each, and the client
 * certificate out of it.  Read to the end of each value and no further: each
 * stands in memory of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "clientcert.h"
#include "http.h"

#define LINES	40

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_cert(const struct http_request *r)
{
	struct err	 err = ERR_INIT;
	struct buf	 der = { 0 };

	if (clientcert_read(r->verify, r->cert, &der, &err) == -1) {
		if (err.kind == ERR_NONE || err.kind == ERR_INTERNAL ||
		    buf_slice(&der).n != 0)
			abort();
	} else if (buf_slice(&der).n == 0)
		abort();
	buf_free(&der);
}

/* Nothing is read of who is sent away; of the others, what was announced. */
static void
check(const struct http_request *r)
{
	if (r->status != 0) {
		if (r->status < 200 || r->status > 500 || r->why == NULL)
			abort();
		return;
	}
	if (r->length > 999999999 || (r->post && r->target != NULL))
		abort();
	if (r->none_match != NULL)
		(void)http_names_tag(r->none_match, "\"0123456789abcdef\"");
	if (r->auth == AUTH_CERTIFICATE)
		check_cert(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_request	 r;
	char			*env[LINES + 1] = { NULL };
	const uint8_t		*end;
	size_t			 i, len;

	for (i = 0; i < LINES && n != 0; i++) {
		end = memchr(data, '\n', n);
		len = end == NULL ? n : (size_t)(end - data);
		env[i] = strndup((const char *)data, len);
		if (env[i] == NULL)
			abort();
		data += len;
		n -= len;
		if (n != 0) {
			data++;
			n--;
		}
	}
	http_parse(env, &r);
	check(&r);
	while (i > 0)
		free(env[--i]);
	return 0;
}
