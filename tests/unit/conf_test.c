#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"

static cfg_opt_t	part[] = {
	CFG_STR("text", NULL, CFGF_NODEFAULT),
	CFG_INT("number", 1, CFGF_NONE),
	CFG_BOOL("flag", cfg_false, CFGF_NONE),
	CFG_END()
};
static cfg_opt_t	group[] = {
	CFG_SEC("part", part, CFGF_MULTI | CFGF_TITLE),
	CFG_SEC("many", part, CFGF_MULTI),
	CFG_STR_LIST("list", NULL, CFGF_NODEFAULT),
	CFG_END()
};
static cfg_opt_t	opts[] = {
	CFG_STR("name", "default", CFGF_NONE),
	CFG_SEC("group", group, CFGF_MULTI | CFGF_TITLE),
	CFG_SEC("single", part, CFGF_NONE),
	CFG_END()
};

static void
everything_is_read(void **state)
{
	static const char	text[] =
	    "# it's a comment with \" and ${ and {\r\n"
	    "// name = x\n"
	    "/* name = y\n */ name = \"a \\\"b\\\\ # // /* $c\"\n"
	    "group 'g \"1\"' {\n"
	    "	list = { # inside\n"
	    "		\"x\", /* \" */ 'y', z-1 }\n"
	    "	part p { number = -7 flag = yes text = '${HOME}' }\n"
	    "	part \"q\" { }\n"
	    "	many { number = 1 } many { number = 1 }\n"
	    "}\n"
	    "group h {} single { number = 0 }\n"
	    "# end";
	struct err	 err = ERR_INIT;
	struct strlist	 list;
	cfg_t		*cfg, *g, *p;

	(void)state;
	cfg = conf_text(slice_str(text), "t", opts, &err);
	assert_string_equal(err.text, "");
	assert_non_null(cfg);
	assert_string_equal(cfg_getstr(cfg, "name"), "a \"b\\ # // /* $c");
	assert_int_equal(cfg_size(cfg, "group"), 2);
	g = cfg_getnsec(cfg, "group", 0);
	assert_string_equal(cfg_title(g), "g \"1\"");
	assert_int_equal(g->line, 5);
	conf_list(g, "list", &list);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.v[2], "z-1");
	strlist_free(&list);
	p = cfg_getnsec(g, "part", 0);
	assert_string_equal(cfg_getstr(p, "text"), "${HOME}");
	assert_int_equal(cfg_getint(p, "number"), -7);
	assert_true(cfg_getbool(p, "flag"));
	assert_int_equal(p->line, 8);
	assert_int_equal(cfg_getnsec(g, "part", 1)->line, 9);
	assert_int_equal(cfg_size(g, "many"), 2);
	assert_int_equal(cfg_getnsec(cfg, "group", 1)->line, 12);
	cfg_free(cfg);
}

static void
empty_is_all_defaults(void **state)
{
	struct err	 err = ERR_INIT;
	struct strlist	 list;
	cfg_t		*cfg;

	(void)state;
	cfg = conf_text(slice_str("group g { list = {} }"), "t", opts, &err);
	assert_non_null(cfg);
	conf_list(cfg_getnsec(cfg, "group", 0), "list", &list);
	assert_int_equal(list.n, 0);
	strlist_free(&list);
	cfg_free(cfg);
	cfg = conf_text(slice_str(""), "t", opts, &err);
	assert_non_null(cfg);
	assert_string_equal(cfg_getstr(cfg, "name"), "default");
	cfg_free(cfg);
}

static void
bad_text_is_refused(void **state)
{
	static const struct {
		const char	*text;
		const char	*said;
	} t[] = {
		{ "nam = x", "t:1: unknown option nam" },
		{ "\n\ngroup g {\nx = 1\n}", "t:4: unknown option x" },
		{ "include('x')", "t:1: unknown option include" },
		{ "name = a\nname = a", "t:2: name is given twice" },
		{ "group g {}\ngroup \"g\" {}", "t:2: group g is given twice" },
		{ "single {}\nsingle {}", "t:2: single is given twice" },
		{ "group g { list = {} list = {a} }",
		    "t:1: list is given twice" },
		{ "group g { part p {} part 'p' {} }",
		    "t:1: part p is given twice" },
		{ "group g { many { number = 1 number = 1 } }",
		    "t:1: number is given twice" },
		{ "single { flag = yes flag = no }",
		    "t:1: flag is given twice" },
		{ "name += x", "unexpected character 0x2b" },
		{ "name = \"${HOME}\"", "${...} is not expanded" },
		{ "name = ${HOME}", "unexpected character 0x24" },
		{ "name = /etc/x", "unexpected character 0x2f" },
		{ "name = a;", "unexpected character 0x3b" },
		{ "name = https://h/\nx = 1", "t:1: a url needs quotes" },
		{ "name = \"\\n\"", "unknown escape" },
		{ "name = '\\x'", "unknown escape" },
		{ "name = \"\\'\"", "unknown escape" },
		{ "name = \"a\nb\"", "t:1: string is not closed" },
		{ "name = \"a\x01\"", "control character" },
		{ "name = \"\xc0\x80\"", "broken UTF-8" },
		{ "\xef\xbb\xbfname = a", "unexpected character 0xef" },
		{ "name = \"a", "string" },
		{ "name = 'a", "string" },
		{ "/* x", "comment is not closed" },
		{ "/*/", "comment is not closed" },
		{ "group g {", "section is not closed" },
		{ "}", "name of an option expected" },
		{ "group {}", "value of group expected" },
		{ "group = x", "value of group expected" },
		{ "group g", "\"{\" expected" },
		{ "name {", "\"=\" expected" },
		{ "name = {a}", "name takes one value" },
		{ "name =", "value of name expected" },
		{ "name = }", "value of name expected" },
		{ "'name' = x", "name of an option expected" },
		{ "group g { list = {a,} }", "value of list expected" },
		{ "group g { list = {a b} }", "\",\" or \"}\" expected" },
		{ "group g { list = {,} }", "value of list expected" },
		{ "single { number = 010 }", "begins with 0" },
		{ "single { number = 0x10 }", "begins with 0" },
		{ "single { number = 7x }", "t:1: invalid integer" },
		{ "\nsingle { flag = maybe }", "t:2: invalid boolean" },
		{ "# a\n/* b\n */ single { number = 99999999999999999999 }",
		    "t:3: " },
	};
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err	err = ERR_INIT;

		if (conf_text(slice_str(t[i].text), "t", opts, &err) != NULL)
			fail_msg("%s was accepted", t[i].text);
		assert_int_equal(err.kind, ERR_MALFORMED);
		if (strstr(err.text, t[i].said) == NULL)
			fail_msg("%s: %s", t[i].text, err.text);
	}
}

static void
nul_and_size_are_refused(void **state)
{
	struct err	err = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT;
	struct buf	b = { 0 };
	int		i;

	(void)state;
	assert_null(conf_text(slice_of("name = a\0b", 10), "t", opts, &err));
	assert_null(conf_text(slice_of("name = 'a\0'", 11), "t", opts, &e2));
	for (i = 0; i < 5000; i++)
		buf_printf(&b, "group g%d {}\n", i);
	assert_null(conf_text(buf_slice(&b), "t", opts, &e3));
	assert_string_equal(e3.text, "t:4096: more than 4095 sections");
	memset(&e3, 0, sizeof(e3));
	buf_reset(&b);
	memset(buf_extend(&b, 1024 * 1024 + 1), ' ', 1024 * 1024 + 1);
	assert_null(conf_text(buf_slice(&b), "t", opts, &e3));
	assert_int_equal(e3.kind, ERR_TOO_BIG);
	buf_free(&b);
}

static void
needed_options(void **state)
{
	struct err	 err = ERR_INIT, e2 = ERR_INIT;
	cfg_t		*cfg, *g;
	char		*v = NULL;

	(void)state;
	cfg = conf_text(slice_str("group g {\npart p { text = 'x' }\n"
	    "part q { text = '' } }\nsingle {}"), "t", opts, &err);
	assert_non_null(cfg);
	g = cfg_getnsec(cfg, "group", 0);
	assert_int_equal(conf_need(cfg_getnsec(g, "part", 0), "text", &v,
	    &err), 0);
	assert_string_equal(v, "x");
	free(v);
	v = NULL;
	assert_int_equal(conf_need(cfg_getnsec(g, "part", 1), "text", &v,
	    &err), -1);
	assert_null(v);
	assert_string_equal(err.text, "t:3: part q: text is missing");
	assert_int_equal(conf_need(cfg_getsec(cfg, "single"), "text", &v,
	    &e2), -1);
	assert_string_equal(e2.text, "t: text is missing");
	cfg_free(cfg);
}

static void
files(void **state)
{
	struct err	 err = ERR_INIT, e2 = ERR_INIT;
	char		 path[] = "/tmp/conf_test.XXXXXX";
	cfg_t		*cfg;
	int		 fd;

	(void)state;
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "name = x\n", 9), 9);
	close(fd);
	cfg = conf_file(path, opts, &err);
	assert_non_null(cfg);
	assert_string_equal(cfg_getstr(cfg, "name"), "x");
	cfg_free(cfg);
	unlink(path);
	assert_null(conf_file(path, opts, &e2));
	assert_int_equal(e2.kind, ERR_INTERNAL);
	assert_non_null(strstr(e2.text, "No such file"));
}

static void
durations(void **state)
{
	static const struct {
		const char	*text;
		int64_t		 v;
	} good[] = {
		{ "0s", 0 }, { "90s", 90 }, { "15m", 900 }, { "8h", 28800 },
		{ "30d", 2592000 }, { "6w", 3628800 }, { "1y", 31536000 },
		{ "100y", 3153600000 },
	};
	static const char *const	bad[] = {
		"", "s", "1", "-1s", "+1s", " 1s", "1s ", "1S", "1x", "01s",
		"1.5h", "1h30m", "101y", "999999999w", "1000000000s",
	};
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err	err = ERR_INIT;
		int64_t		v = -1;

		assert_int_equal(conf_duration(good[i].text, &v, &err), 0);
		assert_int_equal(v, good[i].v);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err	err = ERR_INIT;
		int64_t		v = -1;

		if (conf_duration(bad[i], &v, &err) != -1)
			fail_msg("%s was accepted", bad[i]);
		assert_int_equal(v, -1);
	}
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(empty_is_all_defaults),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(nul_and_size_are_refused),
		cmocka_unit_test(needed_options),
		cmocka_unit_test(files),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
