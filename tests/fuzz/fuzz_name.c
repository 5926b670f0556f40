/*
 * Names.  What is accepted OpenSSL reads; what can be encoded comes back the
 * same; text is read again as the same name.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_same(const struct names *a, const struct names *b)
{
	size_t	i;

	if (a->nrdn != b->nrdn || a->nsan != b->nsan)
		abort();
	for (i = 0; i < a->nrdn; i++)
		if (strcmp(a->rdn[i].type, b->rdn[i].type) != 0 ||
		    strcmp(a->rdn[i].value, b->rdn[i].value) != 0)
			abort();
	for (i = 0; i < a->nsan; i++)
		if (a->san[i].kind != b->san[i].kind ||
		    strcmp(a->san[i].text, b->san[i].text) != 0)
			abort();
}

static void
fuzz_dn(struct slice in)
{
	struct names	 n = { 0 }, back = { 0 }, read = { 0 };
	struct err	 err = ERR_INIT;
	struct buf	 der = { 0 }, text = { 0 };
	const uint8_t	*p = in.p;
	X509_NAME	*name;

	if (names_parse_dn(&n, in, &err) == -1)
		return;
	name = d2i_X509_NAME(NULL, &p, (long)in.n);
	if (name == NULL || X509_NAME_entry_count(name) != (int)n.nrdn)
		abort();
	X509_NAME_free(name);
	if (names_put_dn(&n, &der, &err) == 0) {
		err = (struct err)ERR_INIT;
		if (names_parse_dn(&back, buf_slice(&der), &err) == -1)
			abort();
		check_same(&n, &back);
		names_text_dn(&n, &text);
		if (names_parse_text(&read, buf_str(&text), &err) == -1)
			abort();
		check_same(&n, &read);
	}
	names_free(&n);
	names_free(&back);
	names_free(&read);
	buf_free(&der);
	buf_free(&text);
}

static void
fuzz_san(struct slice in)
{
	struct names	 n = { 0 }, back = { 0 };
	struct err	 err = ERR_INIT;
	struct buf	 der = { 0 };
	const uint8_t	*p = in.p;
	GENERAL_NAMES	*names;

	if (names_parse_san(&n, in, &err) == -1)
		return;
	names = d2i_GENERAL_NAMES(NULL, &p, (long)in.n);
	/* OpenSSL reads directory names deeper than we do. */
	if (names != NULL && sk_GENERAL_NAME_num(names) != (int)n.nsan)
		abort();
	GENERAL_NAMES_free(names);
	if (names_put_san(&n, &der, &err) == 0) {
		if (names_parse_san(&back, buf_slice(&der), &err) == -1)
			abort();
		check_same(&n, &back);
	}
	names_free(&n);
	names_free(&back);
	buf_free(&der);
}

static void
fuzz_text(const uint8_t *data, size_t n)
{
	struct names	 names = { 0 };
	struct err	 err = ERR_INIT;
	char		*s = xstrndup((const char *)data, n);

	(void)names_parse_text(&names, s, &err);
	(void)name_is_dns(s, true);
	(void)name_is_email(s);
	(void)name_is_sid(s);
	names_free(&names);
	free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_dn(slice_of(data, n));
	fuzz_san(slice_of(data, n));
	fuzz_text(data, n);
	ERR_clear_error();
	return 0;
}
