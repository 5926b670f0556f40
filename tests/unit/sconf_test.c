/* signer.conf: a CA key in a file or in a token, never half of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sconf.h"

static struct sconf *
load_with(const char *ca, const char *more, struct err *err)
{
	char path[] = "/tmp/sconf_test.XXXXXX";
	struct sconf *c;
	FILE *f = fdopen(mkstemp(path), "w");

	assert_non_null(f);
	fprintf(f, "name = \"s\"\nlisten = \"ipc:///tmp/s\"\n"
	    "database = \"dbname=x\"\npolicy = \"/p\"\nledger = \"/l\"\n"
	    "ca \"C\" {\ncertificate = \"/c.pem\"\n%s\n}\n%s", ca, more);
	fclose(f);
	c = sconf_load(path, err);
	unlink(path);
	return c;
}

static struct sconf *
load(const char *ca, struct err *err)
{
	return load_with(ca, "", err);
}

#define TOKEN	"key = \"pkcs11:token=T;object=o\"\n"
#define REST	"module = \"/m.so\"\npin-file = \"/pin\"\n"

static void
reads(void **state)
{
	struct err err = ERR_INIT;
	struct sconf *c;

	(void)state;
	c = load("key = \"/k\"\npassphrase-file = \"/p\"", &err);
	assert_string_equal(err.text, "");
	assert_null(c->cas[0].module);
	assert_string_equal(c->cas[0].passphrase, "/p");
	sconf_free(c);
	c = load(TOKEN REST "exchange-secret-file = \"/x\"", &err);
	assert_string_equal(err.text, "");
	assert_string_equal(c->cas[0].key, "pkcs11:token=T;object=o");
	assert_string_equal(c->cas[0].module, "/m.so");
	assert_string_equal(c->cas[0].pin_file, "/pin");
	assert_string_equal(c->cas[0].exchange_secret, "/x");
	assert_null(c->cas[0].passphrase);
	sconf_free(c);
}

static void
refuses(void **state)
{
	static const char *const bad[][2] = {
		{ "key = \"/k\"", "passphrase-file" },
		{ "key = \"/k\"\npassphrase-file = \"/p\"\n"
		    "module = \"/m.so\"",
		    "module is for a key in a token" },
		{ "key = \"/k\"\npassphrase-file = \"/p\"\n"
		    "pin-file = \"/pin\"",
		    "pin-file is for a key in a token" },
		{ "key = \"/k\"\npassphrase-file = \"/p\"\n"
		    "exchange-secret-file = \"/x\"",
		    "exchange-secret-file is for a key in a token" },
		{ TOKEN REST "passphrase-file = \"/p\"",
		    "passphrase-file is for a key in a file" },
		{ TOKEN "pin-file = \"/pin\"", "module" },
		{ TOKEN "module = \"/m.so\"", "pin-file" },
		{ "key = \"pkcs11:token=T\"\n" REST, "needs object or id" },
		{ "key = \"pkcs11:token=T;object=o?pin-value=1\"\n" REST,
		    "name a file with pin-file" }
	};
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_null(load(bad[i][0], &err));
		if (strstr(err.text, bad[i][1]) == NULL ||
		    strncmp(err.text, "/tmp/sconf_test.", 16) != 0)
			fail_msg("%s: \"%s\"", bad[i][0], err.text);
	}
}

#define KEY	"public-key = '0123456789012345678901234567890123456789'\n"

static bool
may(const struct sconf *c, const char *worker, const char *name)
{
	const struct sconf_right *r = sconf_peer(c, worker);

	assert_non_null(r);
	return sconf_right_to(r, name);
}

static void
limits_workers(void **state)
{
	struct err err = ERR_INIT;
	struct sconf *c;

	(void)state;
	c = load_with("key = \"/k\"\npassphrase-file = \"/p\"",
	    "worker \"all\" {\n" KEY "}\n"
	    "worker \"two\" {\n" KEY "templates = {\"A\", \"B\"}\n}\n"
	    "worker \"none\" {\n" KEY "templates = {}\n}\n", &err);
	assert_string_equal(err.text, "");
	assert_true(may(c, "all", "A") && may(c, "all", "Z"));
	assert_true(may(c, "two", "A") && may(c, "two", "B"));
	assert_false(may(c, "two", "Z") || may(c, "two", "a"));
	assert_false(may(c, "none", "A"));
	assert_null(sconf_peer(c, "other"));
	assert_null(sconf_peer(c, "local"));
	sconf_free(c);
	c = load("key = \"/k\"\npassphrase-file = \"/p\"", &err);
	assert_non_null(c);
	assert_true(may(c, "local", "A"));
	assert_null(sconf_peer(c, "two"));
	sconf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads), cmocka_unit_test(refuses),
		cmocka_unit_test(limits_workers)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
