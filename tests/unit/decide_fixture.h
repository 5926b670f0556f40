/* One policy and questions about it. */
#ifndef DECIDE_FIXTURE_H
#define DECIDE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "decide.h"
#include "hresult.h"
#include "namerule.h"

#define OIDS "1.3.6.1.4.1.99999.1."
#define SID "S-1-5-21-1-2-3-1104"
#define COMMON "ca = {\"CA\"} validity = 1y enroll = {\"staff\"} " \
    "providers = {\"P\"} key-usage = {\"digital-signature\"} "

static const char text[] =
    "ca \"CA\" { uri \"password\" { uri = \"https://h.example/\" } }\n"
    "ca \"Other\" { uri \"password\" { uri = \"https://h.example/o\" } }\n"
    "name-rule \"hosts\" { groups = {\"staff\"} wildcard = true\n"
    "  dns = {\"www.lab.example\", \"*.srv.example\", \"localhost\",\n"
    "    \"lab_1.srv.example\"}\n"
    "  ip = {\"10.1.0.0/16\", \"2001:db8::/32\"}\n"
    "  email = {\"@lab.example\", \"boss@big.example\"}\n"
    "  uri = {\"https://lab.example/x\"} upn = {\"svc@lab.example\"}\n"
    "  rdn = {\"O=Lab\", \"OU=*\", \"S=Bavaria\"} cn = {\"My Service\", \"alice.smith\"} }\n"
    "name-rule \"plain\" { groups = {\"plain\"} dns = {\"*.plain.example\"}\n"
    "  cn = {\"*\"} }\n"
    "name-rule \"others\" { groups = {\"nobody\"} dns = {\"x.example\"} }\n"
    "template \"Person\" { " COMMON " oid = \"" OIDS "1\" type = user\n"
    "  version = \"100.5\" names = account subject = {\"common-name\", "
    "\"email\"}\n"
    "  san = {\"upn\", \"email\"} keys = {\"rsa:2048\", \"ec:P-256\"}\n"
    "  eku = {\"client-authentication\"} }\n"
    "template \"Next\" { " COMMON " oid = \"" OIDS "11\" type = user\n"
    "  supersedes = {\"Person\"} names = account subject = {\"common-name\"}\n"
    "  keys = {\"rsa:2048\"} eku = {\"client-authentication\"} }\n"
    "template \"Maybe\" { " COMMON " oid = \"" OIDS "2\" type = user\n"
    "  names = account subject = {\"directory-path?\"}\n"
    "  san = {\"upn?\", \"email?\", \"dns?\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"code-signing\"} }\n"
    "template \"Pc\" { " COMMON " oid = \"" OIDS "3\" type = machine\n"
    "  autoenroll = {\"pcs\"}\n"
    "  names = account subject = {\"dns\"} san = {\"dns\"}\n"
    "  keys = {\"ec:P-384\"} eku = {\"client-authentication\"} }\n"
    "template \"Kdc\" { " COMMON " oid = \"" OIDS "12\" type = machine\n"
    "  names = account san = {\"dns\", \"domain-dns\"}\n"
    "  keys = {\"rsa:2048\"} eku = {\"kdc-authentication\"} }\n"
    "template \"Web\" { " COMMON " oid = \"" OIDS "4\" type = machine\n"
    "  version = \"7.2\" names = request\n"
    "  name-rules = {\"plain\", \"others\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"server-authentication\"} }\n"
    "template \"Any\" { " COMMON " oid = \"" OIDS "5\" type = user\n"
    "  names = request name-rules = {\"hosts\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"server-authentication\"} }\n"
    "template \"Asks\" { " COMMON " oid = \"" OIDS "6\" type = user\n"
    "  names = request approval = manager keys = {\"rsa:2048\"}\n"
    "  eku = {\"client-authentication\"} }\n"
    "template \"Some\" { " COMMON " oid = \"" OIDS "7\" type = user\n"
    "  names = account subject = {\"common-name\"} approval = manager\n"
    "  approval-groups = {\"guests\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"code-signing\"} }\n"
    "template \"Open\" { " COMMON " oid = \"" OIDS "8\" type = user\n"
    "  names = request override = {\"esc17\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"code-signing\"} }\n"
    "template \"Signed\" { " COMMON " oid = \"" OIDS "10\" type = user\n"
    "  names = account subject = {\"common-name\"} keys = {\"rsa:2048\"}\n"
    "  ra-signatures = 1 ra-eku = {\"enrollment-agent\"}\n"
    "  eku = {\"smart-card-logon\"} }\n"
    "agent-rule \"desk\" { agents = {\"desk\"} templates = {\"Signed\"}\n"
    "  targets = {\"staff\"} deny-targets = {\"admins\"} }\n"
    "template \"Old\" { ca = {\"Other\"} validity = 1y enroll = {\"staff\"}\n"
    "  oid = \"" OIDS "9\" type = user schema = 1 version = \"3.1\"\n"
    "  providers = {\"Microsoft Strong Cryptographic Provider\"}\n"
    "  key-usage = {\"digital-signature\"}\n"
    "  names = account subject = {\"common-name\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"code-signing\"} }\n";

static struct policy	*policy;

struct ask {			/* one question; all that it needs */
	struct account	 account;
	char		*groups[4];
	struct pubkey	 key;
	struct request	 request;
	struct decision	 decision;
	struct err	 err;
	const char	*ca;
	const struct agency *agency;
};

static inline void
join(struct ask *q, const char *group)
{
	q->groups[q->account.groups.n++] = (char *)(uintptr_t)group;
	strlist_sort(&q->account.groups);
}

static inline char *
str(const char *s)
{
	return (char *)(uintptr_t)s;
}

static inline void
ask_init(struct ask *q)
{
	memset(q, 0, sizeof(*q));
	q->account.name = str("ada");
	q->account.cn = str("Ada Byron");
	q->account.dns = str("Ada.Lab.example");
	q->account.upn = str("ada@lab.example");
	q->account.email = str("ada@mail.example");
	q->account.groups.v = q->groups;
	join(q, "staff");
	q->key.kind = KEY_RSA;
	q->key.bits = 2048;
	q->request.key = &q->key;
	q->ca = "CA";
}

static inline void
hint(struct ask *q, const char *name, const char *oid)
{
	struct template_hint	*h = &q->request.hint[q->request.nhint++];

	h->name = str(name);
	h->oid = str(oid);
}

static inline void
ask_for(struct ask *q, const char *tmpl)
{
	ask_init(q);
	hint(q, tmpl, NULL);
}

static inline void
rdn(struct ask *q, const char *type, const char *value)
{
	names_add_rdn(&q->request.names, type, value);
}

static inline void
san(struct ask *q, enum san_kind kind, const char *value)
{
	names_add_san(&q->request.names, kind, value);
}

#define ASKED_AT	1000000000	/* unix seconds */

static inline int
decide_now(struct ask *q)
{
	return decide(&(struct decide_ask){ .policy = policy, .ca = q->ca,
	    .account = &q->account, .request = &q->request,
	    .agency = q->agency, .now = ASKED_AT }, &q->decision, &q->err);
}

/* Decide and compare with the names in one line: "DN | SAN". */
static inline void
grants(struct ask *q, const char *names)
{
	struct buf	b = { NULL, 0, 0 };

	if (decide_now(q) == -1)
		fail_msg("wanted %s, got %s", names, q->err.text);
	names_text_dn(&q->decision.names, &b);
	buf_puts(&b, " | ");
	names_text_san(&q->decision.names, &b);
	assert_string_equal(buf_str(&b), names);
	buf_free(&b);
	names_free(&q->request.names);
	decision_free(&q->decision);
	assert_null(q->decision.tmpl);
}

static inline void
denies(struct ask *q, uint32_t hresult, const char *words)
{
	if (decide_now(q) == 0)
		fail_msg("wanted a refusal: %s", words);
	assert_int_equal(q->err.kind, ERR_DENIED);
	if (q->err.hresult != hresult || strstr(q->err.text, words) == NULL)
		fail_msg("wanted %08x %s, got %08x %s", hresult, words,
		    q->err.hresult, q->err.text);
	assert_null(q->decision.tmpl);	/* untouched */
	names_free(&q->request.names);
}

static inline int
setup(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	policy = policy_parse(slice_str(text), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	policy_free(policy);
	return 0;
}

#endif
