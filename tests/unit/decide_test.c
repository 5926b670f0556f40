/* The decision: each rule, its HRESULT and words, and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    "  dns = {\"www.lab.example\", \"*.srv.example\", \"localhost\"}\n"
    "  ip = {\"10.1.0.0/16\", \"2001:db8::/32\"}\n"
    "  email = {\"@lab.example\", \"boss@big.example\"}\n"
    "  uri = {\"https://lab.example/x\"} upn = {\"svc@lab.example\"}\n"
    "  rdn = {\"O=Lab\", \"OU=*\"} cn = {\"My Service\", \"alice.smith\"} }\n"
    "name-rule \"plain\" { groups = {\"plain\"} dns = {\"*.plain.example\"}\n"
    "  cn = {\"*\"} }\n"
    "name-rule \"others\" { groups = {\"nobody\"} dns = {\"x.example\"} }\n"
    "template \"Person\" { " COMMON " oid = \"" OIDS "1\" type = user\n"
    "  version = \"100.5\" names = account subject = {\"common-name\", "
    "\"email\"}\n"
    "  san = {\"upn\", \"email\"} keys = {\"rsa:2048\", \"ec:P-256\"}\n"
    "  eku = {\"client-authentication\"} }\n"
    "template \"Maybe\" { " COMMON " oid = \"" OIDS "2\" type = user\n"
    "  names = account subject = {\"directory-path?\"}\n"
    "  san = {\"upn?\", \"email?\", \"dns?\"} keys = {\"rsa:2048\"}\n"
    "  eku = {\"code-signing\"} }\n"
    "template \"Pc\" { " COMMON " oid = \"" OIDS "3\" type = machine\n"
    "  autoenroll = {\"pcs\"}\n"
    "  names = account subject = {\"dns\"} san = {\"dns\"}\n"
    "  keys = {\"ec:P-384\"} eku = {\"client-authentication\"} }\n"
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

static void
join(struct ask *q, const char *group)
{
	q->groups[q->account.groups.n++] = (char *)(uintptr_t)group;
}

static char *
str(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void
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

static void
hint(struct ask *q, const char *name, const char *oid)
{
	struct template_hint	*h = &q->request.hint[q->request.nhint++];

	h->name = str(name);
	h->oid = str(oid);
}

static void
ask_for(struct ask *q, const char *tmpl)
{
	ask_init(q);
	hint(q, tmpl, NULL);
}

static void
rdn(struct ask *q, const char *type, const char *value)
{
	names_add_rdn(&q->request.names, type, value);
}

static void
san(struct ask *q, enum san_kind kind, const char *value)
{
	names_add_san(&q->request.names, kind, value);
}

static int
decide_now(struct ask *q)
{
	return decide(&(struct decide_ask){ .policy = policy, .ca = q->ca,
	    .account = &q->account, .request = &q->request,
	    .agency = q->agency }, &q->decision,
	    &q->err);
}

/* Decide and compare with the names in one line: "DN | SAN". */
static void
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

static void
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

static void
test_hints(void **state)
{
	struct ask	q;

	(void)state;
	ask_init(&q);
	denies(&q, CERTSRV_E_NO_CERT_TYPE, "names no template");
	ask_for(&q, "Nope");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "template Nope is not "
	    "known");
	ask_for(&q, "Person ");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "Person ");
	ask_for(&q, "Old");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "not offered by ca CA");
	ask_for(&q, NULL);
	q.request.hint[0].oid = str("1.2.3");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "1.2.3");
	/* All places, the same template. */
	ask_for(&q, "pERSON");
	hint(&q, NULL, OIDS "1");
	hint(&q, "Person", OIDS "1");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Person");
	hint(&q, NULL, OIDS "2");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "Person and template Maybe");
	ask_for(&q, "Maybe");
	q.request.hint[0].oid = str(OIDS "1");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "not the same");
	ask_for(&q, "Person");
	hint(&q, "Nope", NULL);
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "Nope");
	ask_for(&q, "Person");
	q.ca = "Elsewhere";
	denies(&q, HR_INVALID_ARG, "ca Elsewhere");
}

static void
version(struct ask *q, const char *tmpl, uint64_t major, uint64_t minor)
{
	ask_for(q, tmpl);
	q->request.hint[0].has_version = true;
	q->request.hint[0].major = major;
	q->request.hint[0].minor = minor;
}

static void
test_versions(void **state)
{
	struct ask	q;
	const char	*names = "E=ada@mail.example,CN=Ada Byron | "
			    "UPN:ada@lab.example, email:ada@mail.example";

	(void)state;
	version(&q, "Person", 100, 5);
	grants(&q, names);
	version(&q, "Person", 0, 0);
	grants(&q, names);
	version(&q, "Person", 99, 9);
	grants(&q, names);
	version(&q, "Person", 100, 6);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "100.6 asked for is newer "
	    "than 100.5");
	version(&q, "Person", 101, 0);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "101.0");
	version(&q, "Person", UINT64_MAX, UINT64_MAX);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "18446744073709551615");
	/* Schema 1 has no versions. */
	version(&q, "Old", 99, 9);
	q.ca = "Other";
	grants(&q, "CN=Ada Byron | ");
}

static void
test_permission(void **state)
{
	struct ask	 q;
	struct err	 err = ERR_INIT;
	const struct template *pc = policy_template_by_name(policy, "Pc");

	(void)state;
	ask_for(&q, "Person");
	q.account.disabled = true;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "account ada is disabled");
	assert_false(decide_autoenroll(pc, &q.account));
	ask_for(&q, "Person");
	q.groups[0] = str("guests");
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "template Person: account ada");
	ask_for(&q, "Person");
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
	/* Autoenroll implies enroll, enroll not autoenroll. */
	assert_int_equal(decide_enroll(pc, &q.account, &err), -1);
	ask_init(&q);
	assert_false(decide_autoenroll(pc, &q.account));
	q.groups[0] = str("pcs");
	assert_true(decide_autoenroll(pc, &q.account));
	memset(&err, 0, sizeof(err));
	assert_int_equal(decide_enroll(pc, &q.account, &err), 0);
}

/* One template, whatever the groups; once; not for ever; without waiting. */
static void
test_one_time(void **state)
{
	struct ask	 q;
	struct err	 err = ERR_INIT;
	const struct template *pc = policy_template_by_name(policy, "Pc");
	int64_t		 soon = (int64_t)time(NULL) + 60;

	(void)state;
	ask_for(&q, "Maybe");
	q.account.groups.n = 0;
	q.account.one_time = str("mAYBE");
	q.account.one_time_expires = soon;
	grants(&q, " | DNS:ada.lab.example, UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Person");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = soon;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "secret of account ada is for "
	    "template Maybe");
	ask_for(&q, "Maybe");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = 86400;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "expired: 1970-01-02T00:00:00Z");
	ask_for(&q, "Maybe");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = soon;
	q.account.one_time_used = true;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was used");
	ask_for(&q, "Some");
	q.account.one_time = str("Some");
	q.account.one_time_expires = soon;
	join(&q, "guests");
	denies(&q, CERTSRV_E_ENROLL_DENIED, "needs approval");
	ask_init(&q);
	q.account.one_time = str("Pc");
	q.groups[0] = str("pcs");
	assert_int_equal(decide_enroll(pc, &q.account, &err), 0);
	assert_false(decide_autoenroll(pc, &q.account));
}

static void
test_keys(void **state)
{
	static const struct {
		const char	*tmpl;
		enum key_kind	 kind;
		unsigned	 bits;
		bool		 good;
	} rows[] = {
		{ "Person", KEY_RSA, 1024, false },
		{ "Person", KEY_RSA, 2047, false },
		{ "Person", KEY_RSA, 4096, true },
		{ "Person", KEY_RSA, 4104, false },
		{ "Person", KEY_P256, 256, true },
		{ "Person", KEY_P384, 384, false },
		{ "Person", KEY_P521, 521, false },
		{ "Pc", KEY_P384, 384, true },
		{ "Pc", KEY_RSA, 4096, false },
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_for(&q, rows[i].tmpl);
		q.key.kind = rows[i].kind;
		q.key.bits = rows[i].bits;
		if (!rows[i].good) {
			denies(&q, CERTSRV_E_KEY_LENGTH, strcmp(rows[i].tmpl,
			    "Pc") == 0 ? "only P-384" :
			    "only RSA 2048-4096 P-256");
			continue;
		}
		assert_int_equal(decide_now(&q), 0);
		decision_free(&q.decision);
	}
	ask_for(&q, "Person");
	q.request.archived_key = slice_str("key");
	denies(&q, CERTSRV_E_ARCHIVED_KEY_UNEXPECTED, "to archive");
}

/* Whatever a request names, an account's certificate has the account's. */
static void
test_account_names(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Person");
	rdn(&q, "CN", "Administrator");
	san(&q, SAN_UPN, "administrator@lab.example");
	san(&q, SAN_DIRNAME, "3000");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Pc");
	q.key.kind = KEY_P384;
	san(&q, SAN_DNS, "dc01.lab.example");
	grants(&q, "CN=ada.lab.example | DNS:ada.lab.example");
	ask_for(&q, "Person");
	q.account.upn = NULL;
	denies(&q, CERTSRV_E_SUBJECT_UPN_REQUIRED, "ada has no upn");
	ask_for(&q, "Person");
	q.account.email = NULL;
	denies(&q, CERTSRV_E_SUBJECT_EMAIL_REQUIRED, "no e-mail address");
	ask_for(&q, "Pc");
	q.key.kind = KEY_P384;
	q.account.dns = NULL;
	denies(&q, CERTSRV_E_SUBJECT_DNS_REQUIRED, "no dns name");
	ask_for(&q, "Pc");
	q.key.kind = KEY_P384;
	q.account.dns = str("*.lab.example");
	denies(&q, CERTSRV_E_SUBJECT_DNS_REQUIRED, "malformed");
	q.account.dns = str("dc.lab.example.");
	memset(&q.err, 0, sizeof(q.err));
	denies(&q, CERTSRV_E_SUBJECT_DNS_REQUIRED, "malformed");
	ask_for(&q, "Person");
	q.account.cn = str("A name that is longer than the sixty-four "
	    "characters of the upper bound");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "template Person: CN");
}

static void
test_optional_names(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Maybe");
	q.account.upn = q.account.email = NULL;
	q.account.dn = str("CN=Ada,OU=Math,DC=lab,DC=example");
	grants(&q, "CN=Ada,OU=Math,DC=lab,DC=example | DNS:ada.lab.example");
	ask_for(&q, "Maybe");
	q.account.upn = q.account.dns = NULL;
	grants(&q, " | email:ada@mail.example");
	ask_for(&q, "Maybe");
	q.account.upn = q.account.dns = q.account.email = NULL;
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "none of the names");
	ask_for(&q, "Maybe");
	q.account.dn = str("XX=Ada");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "directory path");
	/* Optional is what is missing, not what is wrong. */
	ask_for(&q, "Maybe");
	q.account.upn = str("ada");
	denies(&q, CERTSRV_E_SUBJECT_UPN_REQUIRED, "malformed");
}

static void
test_sid(void **state)
{
	static const char *const	templates[] = {
		"Person", "Maybe", "Web", "Any", "Asks", "Open"
	};
	struct ask	q;
	size_t		i;

	(void)state;
	ask_for(&q, "Person");
	q.account.sid = str(SID);
	assert_int_equal(decide_now(&q), 0);
	assert_string_equal(q.decision.sid, SID);
	decision_free(&q.decision);
	/* A claim of the own one changes nothing. */
	q.request.sid = str(SID);
	assert_int_equal(decide_now(&q), 0);
	assert_string_equal(q.decision.sid, SID);
	decision_free(&q.decision);
	ask_for(&q, "Maybe");
	q.account.sid = str(SID);
	assert_int_equal(decide_now(&q), 0);
	assert_null(q.decision.sid);	/* cannot authenticate */
	decision_free(&q.decision);
	for (i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		ask_for(&q, templates[i]);
		q.account.sid = str(SID);
		q.request.sid = str("S-1-5-21-1-2-3-500");
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "claims sid "
		    "S-1-5-21-1-2-3-500");
		ask_for(&q, templates[i]);
		q.request.sid = str(SID);	/* and it has none */
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "claims sid");
	}
	ask_for(&q, "Person");
	q.account.sid = str("S-1-x");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "malformed");
}

static void
test_sid_uri(void **state)
{
	static const char	tag[] = "tag:microsoft.com,2022-09-14:sid:";
	struct ask		q;

	(void)state;
	ask_for(&q, "Asks");
	q.account.sid = q.request.sid = str(SID);
	san(&q, SAN_URI, "tag:microsoft.com,2022-09-14:sid:" SID);
	grants(&q, " | URI:tag:microsoft.com\\,2022-09-14:sid:" SID);
	/* What the request parser might not have taken for a claim. */
	ask_for(&q, "Asks");
	q.account.sid = str(SID);
	san(&q, SAN_URI, "TAG:microsoft.com,2022-09-14:sid:S-1-5-21-9");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "sid of another account");
	ask_for(&q, "Open");
	san(&q, SAN_URI, "%74ag:Microsoft.com,2022-09-14:sid:S-1-5-21-9");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "sid of another account");
	assert_true(name_is_sid_uri(tag));
	assert_false(name_is_sid_uri("tag:microsoft.co"));
	assert_false(name_is_sid_uri("tag:example.com,2022:sid"));
	assert_false(name_is_sid_uri(""));
	assert_false(name_is_sid_uri("%7"));
}

/* Template "Any", rule "hosts": what it allows and what comes out. */
static void
test_allowed(void **state)
{
	static const struct {
		const char	*cn;
		enum san_kind	 kind;
		const char	*san, *out;
	} rows[] = {
		{ "www.lab.example", SAN_DNS, NULL,
		    "CN=www.lab.example | DNS:www.lab.example" },
		{ "WWW.Lab.Example", SAN_DNS, "www.LAB.example",
		    "CN=WWW.Lab.Example | DNS:www.lab.example" },
		{ NULL, SAN_DNS, "a.b.srv.example", " | DNS:a.b.srv.example" },
		{ "localhost", SAN_IP, "10.1.2.3",
		    "CN=localhost | IP:10.1.2.3, DNS:localhost" },
		{ NULL, SAN_DNS, "*.srv.example", " | DNS:*.srv.example" },
		{ NULL, SAN_DNS, "*.a.srv.example", " | DNS:*.a.srv.example" },
		{ "*.www.lab.example", SAN_DNS, NULL,
		    "CN=*.www.lab.example | DNS:*.www.lab.example" },
		{ NULL, SAN_IP, "2001:db8::7", " | IP:2001:db8::7" },
		{ NULL, SAN_EMAIL, "x@LAB.example", " | email:x@LAB.example" },
		{ NULL, SAN_EMAIL, "boss@big.example",
		    " | email:boss@big.example" },
		{ NULL, SAN_UPN, "svc@lab.example", " | UPN:svc@lab.example" },
		{ NULL, SAN_URI, "https://lab.example/x",
		    " | URI:https://lab.example/x" },
		{ "My Service", SAN_DNS, NULL, "CN=My Service | " },
		/* Looks like a host, is allowed as a CN, is no SAN. */
		{ "alice.smith", SAN_DNS, NULL, "CN=alice.smith | " },
		{ "x@lab.example", SAN_DNS, NULL, "CN=x@lab.example | " },
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_for(&q, "Any");
		if (rows[i].cn != NULL)
			rdn(&q, "CN", rows[i].cn);
		if (rows[i].san != NULL)
			san(&q, rows[i].kind, rows[i].san);
		grants(&q, rows[i].out);
	}
	ask_for(&q, "Any");
	rdn(&q, "O", "Lab");
	rdn(&q, "OU", "Anything");
	rdn(&q, "OU", "Anything");
	rdn(&q, "E", "x@lab.example");
	san(&q, SAN_DNS, "a.srv.example");
	san(&q, SAN_DNS, "A.SRV.example");
	grants(&q, "E=x@lab.example,OU=Anything,O=Lab | DNS:a.srv.example");
}

static void
test_not_allowed(void **state)
{
	static const struct {
		enum san_kind	 kind;
		const char	*san, *words;
	} sans[] = {
		{ SAN_DNS, "lab.example", "dns name lab.example is not" },
		{ SAN_DNS, "xwww.lab.example", "xwww.lab.example" },
		{ SAN_DNS, "www.lab.example.evil.example", "evil" },
		{ SAN_DNS, "srv.example", "name rule: hosts" },
		{ SAN_DNS, "xsrv.example", "name rule: hosts" },
		{ SAN_DNS, ".srv.example", "is no dns name" },
		{ SAN_DNS, "a..srv.example", "is no dns name" },
		{ SAN_DNS, "www.lab.example.", "is no dns name" },
		{ SAN_DNS, "a_b.srv.example", "is no dns name" },
		{ SAN_DNS, "*.*.srv.example", "is no dns name" },
		{ SAN_DNS, "a*.srv.example", "is no dns name" },
		{ SAN_DNS, "*", "is no dns name" },
		{ SAN_DNS, "*.lab.example", "not allowed" },
		{ SAN_DNS, "*.example", "is no dns name" },
		{ SAN_DNS, "10.1.0.1", "is no dns name" },
		{ SAN_DNS, "\xd0\xb0.srv.example", "is no dns name" },
		{ SAN_IP, "10.2.0.1", "ip address 10.2.0.1 is not" },
		{ SAN_IP, "2001:db9::1", "not allowed" },
		{ SAN_IP, "::ffff:10.1.0.1", "not allowed" },
		{ SAN_EMAIL, "x@sub.lab.example", "not allowed" },
		{ SAN_EMAIL, "x@big.example", "not allowed" },
		{ SAN_EMAIL, "lab.example", "is no e-mail" },
		{ SAN_UPN, "root@lab.example", "upn root@lab.example" },
		{ SAN_UPN, "svc@lab.example@x", "is no upn" },
		{ SAN_URI, "https://lab.example/xy", "not allowed" },
		{ SAN_DIRNAME, "3000", "never taken from a request" },
		{ SAN_RID, "8800", "never taken from a request" },
		{ SAN_GUID, "00", "never taken from a request" },
		{ SAN_OTHER, "a000", "never taken from a request" },
	};
	static const char *const	cns[] = {
		"Ada", "dc01.lab.example", "10.1.0.1", "my service", "*",
		"*.lab.example", "root@x.example"
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(sans) / sizeof(sans[0]); i++) {
		ask_for(&q, "Any");
		rdn(&q, "CN", "www.lab.example");
		san(&q, SAN_DNS, "ok.srv.example");
		san(&q, sans[i].kind, sans[i].san);
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, sans[i].words);
	}
	for (i = 0; i < sizeof(cns) / sizeof(cns[0]); i++) {
		ask_for(&q, "Any");
		rdn(&q, "CN", cns[i]);
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, cns[i]);
	}
	ask_for(&q, "Any");
	rdn(&q, "O", "Lab Inc");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "O Lab Inc is not allowed");
	ask_for(&q, "Any");
	rdn(&q, "1.2.3.4", "x");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "1.2.3.4 x");
	ask_for(&q, "Any");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "neither subject nor");
}

/* Rules count only for members, and only those the template lists. */
static void
test_rules_that_apply(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Web");
	rdn(&q, "CN", "a.plain.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "none that applies to "
	    "account ada");
	ask_for(&q, "Web");
	join(&q, "plain");
	rdn(&q, "CN", "a.plain.example");
	grants(&q, "CN=a.plain.example | DNS:a.plain.example");
	ask_for(&q, "Web");
	join(&q, "plain");
	san(&q, SAN_DNS, "x.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "name rule: plain");
	ask_for(&q, "Web");
	join(&q, "plain");
	join(&q, "nobody");
	san(&q, SAN_DNS, "x.example");
	san(&q, SAN_DNS, "y.plain.example");
	grants(&q, " | DNS:x.example, DNS:y.plain.example");
	ask_for(&q, "Web");
	join(&q, "plain");
	join(&q, "nobody");
	san(&q, SAN_DNS, "www.lab.example");	/* of rule "hosts" */
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "name rule: plain, others");
	ask_for(&q, "Web");
	join(&q, "plain");
	san(&q, SAN_DNS, "*.plain.example");	/* no wildcard = true */
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "*.plain.example");
	/* cn = "*": any plain text, but no name of somebody else. */
	ask_for(&q, "Web");
	join(&q, "plain");
	rdn(&q, "CN", "Printer 7");
	grants(&q, "CN=Printer 7 | ");
	ask_for(&q, "Web");
	join(&q, "plain");
	rdn(&q, "CN", "dc01.lab.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "CN dc01.lab.example");
	ask_for(&q, "Web");
	join(&q, "plain");
	rdn(&q, "CN", "192.0.2.1");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "CN 192.0.2.1");
}

static void
test_pending(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Asks");
	rdn(&q, "CN", "Any One");
	san(&q, SAN_UPN, "any@one.example");
	assert_int_equal(decide_now(&q), 0);
	assert_true(q.decision.pending);
	decision_free(&q.decision);
	names_free(&q.request.names);
	/* An approver may be shown any name, but none of an odd kind. */
	ask_for(&q, "Asks");
	san(&q, SAN_OTHER, "a000");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "never taken");
	ask_for(&q, "Asks");
	san(&q, SAN_DNS, "*.lab.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "wildcards");
	ask_for(&q, "Some");
	assert_int_equal(decide_now(&q), 0);
	assert_false(q.decision.pending);
	decision_free(&q.decision);
	ask_for(&q, "Some");
	join(&q, "guests");
	assert_int_equal(decide_now(&q), 0);
	assert_true(q.decision.pending);
	decision_free(&q.decision);
	ask_for(&q, "Open");
	rdn(&q, "CN", "build.example");
	grants(&q, "CN=build.example | DNS:build.example");
}

static void
test_many_names(void **state)
{
	struct ask	q;
	char		name[64];
	size_t		i;

	(void)state;
	ask_for(&q, "Any");
	rdn(&q, "CN", "www.lab.example");
	for (i = 0; i < NAME_SAN_MAX; i++) {
		snprintf(name, sizeof(name), "h%zu.srv.example", i);
		san(&q, SAN_DNS, name);
	}
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "more than 64");
	/* The last of many is judged like the first. */
	ask_for(&q, "Any");
	for (i = 0; i < NAME_SAN_MAX - 1; i++) {
		snprintf(name, sizeof(name), "h%zu.srv.example", i);
		san(&q, SAN_DNS, name);
	}
	san(&q, SAN_DNS, "last.evil.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "last.evil.example");
}

struct tally {
	struct buf	*seen;
	size_t		 calls;
};

static int
tally_one(const void *arg, const struct asked *a, struct err *err)
{
	struct tally *const	*t = arg;

	(void)err;
	(*t)->calls++;
	buf_printf((*t)->seen, "%s=%s;", asked_kind(a), a->text);
	return 0;
}

/* Once per distinct name, no name left out. */
static void
test_judged_once(void **state)
{
	struct buf	 seen = { NULL, 0, 0 };
	struct tally	 t = { &seen, 0 }, *tp = &t;
	struct names	 in, out;
	struct err	 err = ERR_INIT;

	(void)state;
	memset(&in, 0, sizeof(in));
	names_add_rdn(&in, "CN", "a.example");
	names_add_rdn(&in, "O", "a.example");
	names_add_rdn(&in, "CN", "a.example");
	names_add_san(&in, SAN_DNS, "b.example");
	names_add_san(&in, SAN_DNS, "B.example");
	names_add_san(&in, SAN_DNS, "c.example");
	names_add_san(&in, SAN_URI, "b.example");
	names_add_san(&in, SAN_EMAIL, "B@example");
	names_add_san(&in, SAN_EMAIL, "b@example");
	names_fold(&in, &out);
	assert_int_equal(names_judge(&out, tally_one, &tp, &err), 0);
	assert_int_equal(t.calls, 7);
	assert_string_equal(buf_str(&seen), "CN=a.example;O=a.example;"
	    "dns name=b.example;dns name=c.example;uri=b.example;"
	    "e-mail address=B@example;e-mail address=b@example;");
	names_free(&in);
	names_free(&out);
	buf_free(&seen);
}

/*
 * The rest of the matrix is end to end, where real certificates sign; here is
 * what must not be forgotten by who calls: no look-up, no certificate.
 */
static void
test_agents(void **state)
{
	struct account	target = { .name = str("bob"), .cn = str("Bob") };
	struct agency	known = { .target = &target, .now = 1 };
	struct ask	q;

	(void)state;
	ask_for(&q, "Signed");
	denies(&q, CERTSRV_E_SIGNATURE_POLICY_REQUIRED, "signatures");
	ask_for(&q, "Person");
	q.request.requester_name = str("bob");
	/* As with an account that exists: nobody learns which do. */
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "on behalf");
	ask_for(&q, "Signed");
	q.request.requester_name = str("bob");
	denies(&q, CERTSRV_E_SIGNATURE_POLICY_REQUIRED, "signatures");
	ask_for(&q, "Person");
	q.request.requester_name = str("BOB");
	q.agency = &known;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "on behalf");
	ask_for(&q, "Person");
	q.request.requester_name = str("b ob");
	q.agency = &known;
	denies(&q, CERTSRV_E_RESTRICTEDOFFICER, "no name of an account");
	/* Whoever names itself is nobody's agent. */
	ask_for(&q, "Person");
	q.request.requester_name = str("Ada");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Person");
	q.request.nsigner = 1;
	q.request.signer[0].cert = slice_str("\x30\x00");
	q.agency = &known;
	denies(&q, CERT_E_UNTRUSTEDROOT, "not issued by");
	ask_for(&q, "Person");
	q.request.nsigner = 1;
	assert_int_equal(decide_now(&q), -1);
	assert_int_equal(q.err.kind, ERR_INTERNAL);
}

static int
setup(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	policy = policy_parse(slice_str(text), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	policy_free(policy);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_hints), cmocka_unit_test(test_versions),
		cmocka_unit_test(test_permission), cmocka_unit_test(test_one_time),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_account_names),
		cmocka_unit_test(test_optional_names),
		cmocka_unit_test(test_sid), cmocka_unit_test(test_sid_uri),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_rules_that_apply),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_agents),
		cmocka_unit_test(test_judged_once)
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
