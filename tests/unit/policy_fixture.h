/* A policy that loads, and edits of it. */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy.h"

#define OIDS "1.3.6.1.4.1.99999.1."

static const char base[] =
    "policy-name = \"Test\"\n"
    "ca \"CA\" {\n"
    "\turi \"password\" { uri = \"https://h.example/CES\" }\n"
    "\taia = {\"http://h.example/ca.cer\"}\n"
    "}\n"
    "name-rule \"hosts\" {\n"
    "\tgroups = {\"admins\"}\n"
    "\tdns = {\"*.lab.example\"}\n"
    "}\n"
    "# line 10 follows\n"
    "template \"Person\" {\n"
    "\toid = \"" OIDS "1\"\n"
    "\tversion = \"100.3\"\n"
    "\tca = {\"CA\"}\n"
    "\ttype = user\n"
    "\tvalidity = 1y\n"
    "\trenewal = 6w\n"
    "\tautoenroll = {\"users\"}\n"
    "\tnames = account\n"
    "\tsubject = {\"common-name\"}\n"
    "\tsan = {\"upn\", \"email?\"}\n"
    "\tkeys = {\"rsa:2048\", \"ec:P-256\"}\n"
    "\tproviders = {\"Microsoft Software Key Storage Provider\"}\n"
    "\tkey-usage = {\"digital-signature\", \"key-encipherment\"}\n"
    "\teku = {\"client-authentication\"}\n"
    "}\n"
    "template \"Server\" {\n"
    "\toid = \"" OIDS "2\"\n"
    "\tca = {\"CA\"}\n"
    "\ttype = machine\n"
    "\tvalidity = 90d\n"
    "\trenewal = 30d\n"
    "\tenroll = {\"admins\"}\n"
    "\tnames = request\n"
    "\tname-rules = {\"hosts\"}\n"
    "\tkeys = {\"ec:P-384\", \"rsa:3072-8192\"}\n"
    "\tproviders = {\"Microsoft Software Key Storage Provider\"}\n"
    "\tkey-usage = {\"digital-signature\"}\n"
    "\teku = {\"server-authentication\"}\n"
    "}\n";

/* Copy of s with the first "from" replaced. */
static inline char *
edit(const char *s, const char *from, const char *to)
{
	const char	*at = strstr(s, from);
	struct buf	 b = { NULL, 0, 0 };
	char		*r;

	if (at == NULL)
		fail_msg("no \"%s\" in the text", from);
	buf_add(&b, s, (size_t)(at - s));
	buf_puts(&b, to);
	buf_puts(&b, at + strlen(from));
	r = xstrdup(buf_str(&b));
	buf_free(&b);
	return r;
}

static struct policy *
parse(const char *text)
{
	struct err	 err = ERR_INIT;
	struct policy	*p = policy_parse(slice_str(text), &err);

	if (p == NULL)
		fail_msg("%s", err.text);
	return p;
}

static inline void
collect(void *arg, unsigned line, const char *text)
{
	buf_printf(arg, "%u: %s\n", line, text);
}

/* Why stands among the findings. */
static inline void
finds(const char *text, const char *why)
{
	struct buf	 all = { NULL, 0, 0 };
	int		 n;

	n = policy_lint_all(slice_str(text), collect, &all);
	if (n == 0 || strstr(buf_str(&all), why) == NULL)
		fail_msg("wanted \"%s\", got %d:\n%s", why, n, buf_str(&all));
	buf_free(&all);
}

/* ... and the policy does not load. */
static inline void
refuses(const char *text, const char *why)
{
	struct err	 err = ERR_INIT;

	finds(text, why);
	assert_null(policy_parse(slice_str(text), &err));
	assert_int_equal(err.kind, ERR_MALFORMED);
	assert_memory_equal(err.text, "line ", 5);
}

static inline void
refuses_edit(const char *from, const char *to, const char *why)
{
	char	*text = edit(base, from, to);

	refuses(text, why);
	free(text);
}

static inline void
loads_edit(const char *from, const char *to)
{
	char	*text = edit(base, from, to);

	policy_free(parse(text));
	free(text);
}

#endif
