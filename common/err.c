/* The error type; the one table says what each kind means to a client. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "buf.h"
#include "err.h"
#include "hresult.h"

/*
 * Not public: INTERNAL and UNAVAILABLE tell how the service is built, and
 * UNAUTHENTICATED would tell an unknown user from a wrong password.
 */
struct kind {
	const char	*name;
	uint32_t	 hresult;
	bool		 public;
};

static const struct kind kinds[] = {
	[ERR_NONE] =		{ "none", 0, false },
	[ERR_MALFORMED] =	{ "malformed", HR_INVALID_DATA, true },
	[ERR_TOO_BIG] =		{ "too-big", HR_INVALID_DATA, true },
	[ERR_UNAUTHENTICATED] =	{ "unauthenticated", HR_ACCESS_DENIED, false },
	[ERR_NO_SECURITY] =	{ "no-security", HR_ACCESS_DENIED, true },
	[ERR_NOT_UNDERSTOOD] =	{ "not-understood", HR_NOT_SUPPORTED, true },
	[ERR_VERSION] =		{ "version", HR_NOT_SUPPORTED, true },
	[ERR_DESTINATION] =	{ "destination", HR_INVALID_ARG, true },
	[ERR_ACTION] =		{ "action", HR_INVALID_ARG, true },
	[ERR_DENIED] =		{ "denied", HR_ACCESS_DENIED, true },
	[ERR_UNAVAILABLE] =	{ "unavailable", HR_RETRY, false },
	[ERR_INTERNAL] =	{ "internal", HR_UNEXPECTED, false },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

/*
 * A text may quote what a client sent and may have been cut in the middle of
 * a character; it goes into XML and log lines, so only whole printable
 * characters stay.
 */
static void
err_clean(char *text)
{
	uint8_t	*s = (uint8_t *)text;
	size_t	 left = strlen(text), n;

	for (; left > 0; s += n, left -= n) {
		n = utf8_char(s, left);
		if (n == 0) {
			*s = '?';
			n = 1;
		}
	}
}

static int __attribute__((format(printf, 4, 0)))
err_record(struct err *err, enum err_kind kind, uint32_t hresult,
    const char *fmt, va_list ap)
{
	if (err == NULL || err->kind != ERR_NONE)
		return -1;
	err->kind = kind;
	err->hresult = hresult;
	if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
		err->text[0] = '\0';
	err_clean(err->text);
	return -1;
}

int
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	err_record(err, kind, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_deny(struct err *err, uint32_t hresult, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	err_record(err, ERR_DENIED, hresult, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_bad(struct err *err, uint32_t hresult, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	err_record(err, ERR_MALFORMED, hresult, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_openssl(struct err *err, const char *fmt, ...)
{
	va_list		 ap;
	unsigned long	 code;
	char		 text[180], reason[120] = "no reason given";

	/* The oldest entry is the cause, the later ones are the way up. */
	code = ERR_get_error();
	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	return err_set(err, ERR_INTERNAL, "%s: %s", text, reason);
}

const char *
err_kind_name(enum err_kind kind)
{
	if ((size_t)kind >= NKINDS)
		return "internal";
	return kinds[kind].name;
}

uint32_t
err_hresult(const struct err *err)
{
	if (err->hresult != 0)
		return err->hresult;
	if ((size_t)err->kind >= NKINDS)
		return HR_UNEXPECTED;
	return kinds[err->kind].hresult;
}

int
err_is_public(enum err_kind kind)
{
	return (size_t)kind < NKINDS && kinds[kind].public;
}
