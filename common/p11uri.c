/* PKCS#11 URIs, from configuration files and command lines. */
#include <stdlib.h>
#include <string.h>

#include "p11uri.h"

#define SCHEME		"pkcs11:"
#define URI_MAX		1024
#define VALUE_MAX	128

bool
p11uri_is(const char *s)
{
	return strncmp(s, SCHEME, sizeof(SCHEME) - 1) == 0;
}

void
p11uri_free(struct p11uri *u)
{
	free(u->token);
	free(u->serial);
	free(u->manufacturer);
	free(u->model);
	free(u->object);
	memset(u, 0, sizeof(*u));
}

/* pk11-pchar of [RFC7512] 2.3, but "%", and but "&", where libp11 stops. */
static bool
is_plain(char c)
{
	return c != '\0' && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-._~:[]@!$'()*+,=",
	    c) != NULL;
}

/* Percent-decoded: [RFC3986] 2.1. */
static int
decode(const char *s, size_t n, struct buf *out)
{
	uint8_t octet;
	char hex[3] = "";

	while (n > 0) {
		if (*s != '%') {
			if (!is_plain(*s))
				return -1;
			buf_addc(out, (uint8_t)*s++);
			n--;
			continue;
		}
		if (n < 3)
			return -1;
		memcpy(hex, s + 1, 2);
		if (hex_decode(hex, &octet, 1) == -1)
			return -1;
		buf_addc(out, octet);
		s += 3;
		n -= 3;
	}
	return out->n > 0 && out->n <= VALUE_MAX ? 0 : -1;
}

static int
take_text(const char *name, const struct buf *value, char **out,
    struct err *err)
{
	if (*out != NULL)
		return err_bad(err, 0, "pkcs11 uri: %s twice", name);
	if (!slice_is_text(buf_slice(value)))
		return err_bad(err, 0, "pkcs11 uri: %s is not text", name);
	*out = xstrndup((const char *)value->p, value->n);
	return 0;
}

static int
take_id(struct p11uri *u, const struct buf *value, struct err *err)
{
	if (u->id_len != 0)
		return err_bad(err, 0, "pkcs11 uri: id twice");
	if (value->n > sizeof(u->id))
		return err_bad(err, 0, "pkcs11 uri: id is longer than %d "
		    "octets", P11URI_ID_MAX);
	memcpy(u->id, value->p, value->n);
	u->id_len = value->n;
	return 0;
}

static int
take(struct p11uri *u, const char *name, const struct buf *value,
    struct err *err)
{
	const struct {
		const char	*name;
		char		**out;
	} texts[] = {
		{ "token", &u->token }, { "serial", &u->serial },
		{ "manufacturer", &u->manufacturer }, { "model", &u->model },
		{ "object", &u->object }
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(name, texts[i].name) == 0)
			return take_text(name, value, texts[i].out, err);
	}
	if (strcmp(name, "id") == 0)
		return take_id(u, value, err);
	if (strcmp(name, "type") != 0)
		return err_bad(err, 0, "pkcs11 uri: attribute \"%s\" is not "
		    "one of token, serial, manufacturer, model, object, id, "
		    "type", name);
	if (!slice_is(buf_slice(value), "private"))
		return err_bad(err, 0, "pkcs11 uri: type must be private");
	return 0;
}

/* "name=value" without the semicolon behind it. */
static int
attribute(struct p11uri *u, const char *s, size_t n, struct err *err)
{
	const char *eq = memchr(s, '=', n);
	struct buf value = { 0 };
	char name[20];
	int rc;

	if (eq == NULL || eq == s || (size_t)(eq - s) >= sizeof(name))
		return err_bad(err, 0, "pkcs11 uri: not name=value between "
		    "semicolons");
	memcpy(name, s, (size_t)(eq - s));
	name[eq - s] = '\0';
	if (decode(eq + 1, n - (size_t)(eq + 1 - s), &value) == -1)
		rc = err_bad(err, 0, "pkcs11 uri: value of %s is empty, too "
		    "long or badly encoded", name);
	else
		rc = take(u, name, &value, err);
	buf_free(&value);
	return rc;
}

int
p11uri_parse(const char *s, struct p11uri *u, struct err *err)
{
	size_t n;

	memset(u, 0, sizeof(*u));
	if (!p11uri_is(s) || strlen(s) > URI_MAX)
		return err_bad(err, 0, "pkcs11 uri: must begin with "
		    SCHEME " and have at most %d characters", URI_MAX);
	if (strstr(s, "pin-value") != NULL || strstr(s, "pin-source") != NULL)
		return err_bad(err, 0, "pkcs11 uri: a pin has no place in "
		    "it: name a file with pin-file");
	if (strchr(s, '?') != NULL)
		return err_bad(err, 0, "pkcs11 uri: nothing may stand behind "
		    "\"?\": the module is named beside it");
	for (s += sizeof(SCHEME) - 1; ; s += n + 1) {
		n = strcspn(s, ";");
		if (attribute(u, s, n, err) == -1)
			return -1;
		if (s[n] == '\0')
			break;
	}
	if (u->token == NULL && u->serial == NULL)
		return err_bad(err, 0, "pkcs11 uri: needs token or serial");
	if (u->object == NULL && u->id_len == 0)
		return err_bad(err, 0, "pkcs11 uri: needs object or id");
	return 0;
}
