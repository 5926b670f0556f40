#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

/* What f writes to standard error, NUL ended. */
static void
capture(void (*f)(void), char *out, size_t size)
{
	int	p[2], saved;
	ssize_t	n;

	assert_int_equal(pipe(p), 0);
	saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	f();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[1]);
	n = read(p[0], out, size - 1);
	close(p[0]);
	assert_true(n > 0);
	out[n] = '\0';
}

static void
one_request(void)
{
	struct log_line	l;

	log_program("worker");
	log_begin(&l, "request");
	log_str(&l, "plain", "a.b_c:d@e/f+g-1");
	log_str(&l, "odd", "a\"b\\c d\r\nx=\"y\x1b\x7f\xc3\xa4");
	log_slice(&l, "nul", slice_of("a\0b", 3));
	log_str(&l, "empty", "");
	log_str(&l, "none", NULL);
	log_num(&l, "num", -5);
	log_num(&l, "least", INT64_MIN);
	log_id(&l, "id", (const uint8_t *)"0123456789abcdef");
	log_end(&l);
}

static void
values_are_escaped(void **state)
{
	char	text[5000];

	(void)state;
	capture(one_request, text, sizeof(text));
	assert_memory_equal(text, "time=20", 7);
	assert_non_null(strstr(text, " program=worker pid="));
	assert_non_null(strstr(text, " event=request plain=a.b_c:d@e/f+g-1 "
	    "odd=\"a\\\"b\\\\c d\\x0d\\x0ax=\\\"y\\x1b\\x7f\\xc3\\xa4\" "
	    "nul=\"a\\x00b\" empty=\"\" none=\"\" num=-5 "
	    "least=-9223372036854775808 "
	    "id=30313233343536373839616263646566\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
two_lines(void)
{
	struct log_line	l = { 0 };

	log_end(&l);		/* none: nothing is written */
	log_next(&l, "one");
	log_num(&l, "n", 1);
	log_next(&l, "two");
	log_num(&l, "n", 2);
	log_end(&l);
}

static void
lines_together(void **state)
{
	char	text[1000], *second;

	(void)state;
	capture(two_lines, text, sizeof(text));
	second = strchr(text, '\n') + 1;
	assert_memory_equal(text, "time=20", 7);
	assert_memory_equal(second, "time=20", 7);
	assert_memory_equal(second - 15, " event=one n=1\n", 15);
	assert_string_equal(second + strlen(second) - 15, " event=two n=2\n");
}

static void
huge(void)
{
	struct log_line	l;
	char		big[9000];

	memset(big, '\n', sizeof(big));
	log_begin(&l, "huge");
	log_slice(&l, "big", slice_of(big, sizeof(big)));
	log_str(&l, "more", "x");
	log_end(&l);
}

static void
lines_are_limited(void **state)
{
	char	text[9000];

	(void)state;
	capture(huge, text, sizeof(text));
	assert_in_range(strlen(text), 4000, 4096);
	assert_string_equal(text + strlen(text) - 6, "a...\"\n");
}

/* As a signer writes those of a batch. */
static void
many_lines(void)
{
	struct log_line	l = { 0 };
	char		plain[9000];
	int		i;

	memset(plain, 'p', sizeof(plain));
	for (i = 0; i < 60; i++) {
		log_next(&l, "decision");
		log_str(&l, "text", "template User: is not for you");
		log_str(&l, "last", "x");
	}
	log_next(&l, "huge");
	log_slice(&l, "plain", slice_of(plain, sizeof(plain)));
	log_end(&l);
}

/* What is in one line takes no room in the next. */
static void
each_line_is_limited(void **state)
{
	char	text[20000], *at = text, *end;
	int	i;

	(void)state;
	capture(many_lines, text, sizeof(text));
	for (i = 0; i < 60; i++, at = end + 1) {
		assert_non_null(end = strchr(at, '\n'));
		*end = '\0';
		assert_non_null(strstr(at, " event=decision text=\"template "
		    "User: is not for you\" last=x"));
	}
	assert_in_range(strlen(at), 4000, 4096);
	assert_string_equal(at + strlen(at) - 6, "p...\"\n");
}

static void
note(void)
{
	log_note("stop", "signal %d", 15);
}

static void
notes(void **state)
{
	char	text[500];

	(void)state;
	capture(note, text, sizeof(text));
	assert_non_null(strstr(text, " event=stop text=\"signal 15\"\n"));
	assert_true(log_usec() > 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(values_are_escaped),
		cmocka_unit_test(lines_together),
		cmocka_unit_test(lines_are_limited),
		cmocka_unit_test(each_line_is_limited),
		cmocka_unit_test(notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
