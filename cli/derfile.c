/* A request or a revocation list from a file that an operator names. */
#include "derfile.h"

#include <string.h>

#include "base64.h"
#include "der.h"
#include "file.h"

/* What stands between the lines of PEM; without any, the whole text. */
static int
armoured(char *text, struct slice *body, const char *path, struct err *err)
{
	char *begin = strstr(text, "-----BEGIN "), *end;

	if (begin == NULL) {
		*body = slice_str(text);
		return 0;
	}
	if (strstr(begin + 1, "-----BEGIN ") != NULL)
		return err_set(err, ERR_MALFORMED,
		    "%.100s: more than one object", path);
	if ((begin = strchr(begin, '\n')) == NULL ||
	    (end = strstr(begin, "-----END ")) == NULL)
		return err_set(err, ERR_MALFORMED, "%.100s: no end line",
		    path);
	*body = slice_of(begin, (size_t)(end - begin));
	return 0;
}

int
derfile_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	struct buf b = { 0 };
	struct err why = ERR_INIT;
	struct slice body;
	int rc;

	/* Base64 and line ends take up to half as much again. */
	rc = file_read(path, max * 3 / 2, &b, err);
	if (rc == 0 && b.n > 0 && b.p[0] == DER_SEQ && b.n > max)
		rc = err_set(err, ERR_TOO_BIG, "%.100s: %zu bytes, limit %zu",
		    path, b.n, max);
	else if (rc == 0 && b.n > 0 && b.p[0] == DER_SEQ)
		buf_add(out, b.p, b.n);
	else if (rc == 0 && memchr(buf_str(&b), '\0', b.n) != NULL)
		rc = err_set(err, ERR_MALFORMED,
		    "%.100s: neither der nor text", path);
	else if (rc == 0) {
		rc = armoured(buf_str(&b), &body, path, err);
		if (rc == 0 && base64_decode((const char *)body.p, body.n,
		    max, out, &why) == -1)
			rc = err_set(err, why.kind, "%.100s: %s", path,
			    why.text);
	}
	if (rc == 0 && out->n == 0)
		rc = err_set(err, ERR_MALFORMED, "%.100s: empty", path);
	buf_free(&b);
	return rc;
}
