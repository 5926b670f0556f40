/* Wrong passwords are counted; who is known is not held back by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include <stdio.h>
#include <unistd.h>

#include <sodium.h>

#include "backoff.h"

#define SECOND	INT64_C(1000000)
#define DAY	(86400 * SECOND)

static const struct attempt alice = { "alice", "192.0.2.1" };

static struct backoff *
make(void)
{
	struct backoff *b;

	assert_int_not_equal(sodium_init(), -1);
	b = backoff_new();
	assert_non_null(b);
	return b;
}

static void
wrong(struct backoff *b, const struct attempt *a, int n, int64_t now)
{
	while (n-- > 0) {
		assert_null(backoff_held(b, a, now));
		backoff_note(b, a, false, now);
	}
}

static void
test_user(void **state)
{
	struct backoff *b = make();
	struct attempt elsewhere = { "alice", "198.51.100.7" };
	struct attempt bob = { "bob", "192.0.2.1" };

	(void)state;
	wrong(b, &alice, 100, SECOND);
	assert_string_equal(backoff_held(b, &alice, SECOND), "user");
	assert_string_equal(backoff_held(b, &elsewhere, SECOND), "user");
	assert_null(backoff_held(b, &bob, SECOND));
	/* One every 30 seconds, and after five minutes ten again. */
	assert_non_null(backoff_held(b, &alice, 30 * SECOND));
	wrong(b, &alice, 1, 31 * SECOND);
	assert_non_null(backoff_held(b, &alice, 32 * SECOND));
	wrong(b, &alice, 10, 332 * SECOND);
	assert_non_null(backoff_held(b, &alice, 332 * SECOND));
	backoff_free(b);
}

static void
test_network(void **state)
{
	static const char *const same[][2] = {
		{ "192.0.2.1", "::ffff:192.0.2.1" },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9" },
	};
	struct attempt a = { "", "" };
	char name[16];
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct backoff *b = make();

		a.user = name;
		for (n = 0; n < 200; n++) {
			a.address = same[i][n % 2];
			snprintf(name, sizeof(name), "user%d", n);
			wrong(b, &a, 1, SECOND);
		}
		a.user = "somebody";
		assert_string_equal(backoff_held(b, &a, SECOND), "network");
		a.user = "";		/* no name: the network counts */
		assert_string_equal(backoff_held(b, &a, SECOND), "network");
		a.address = i == 0 ? "192.0.2.2" : "2001:db8:1:3::1";
		assert_null(backoff_held(b, &a, SECOND));
		a.address = same[i][0];
		wrong(b, &a, 2, 2 * SECOND);	/* two a second */
		assert_non_null(backoff_held(b, &a, 2 * SECOND));
		backoff_free(b);
	}
}

/* Nobody else's guesses keep out who has logged on from there before. */
static void
test_known(void **state)
{
	struct backoff *b = make();
	struct attempt guess = { "alice", "203.0.113.9" };

	(void)state;
	backoff_note(b, &alice, true, SECOND);
	wrong(b, &guess, 100, SECOND);
	assert_non_null(backoff_held(b, &guess, SECOND));
	assert_null(backoff_held(b, &alice, SECOND));
	/* But he is counted himself, anew each time he logs on. */
	wrong(b, &alice, 99, SECOND);
	backoff_note(b, &alice, true, SECOND);
	wrong(b, &alice, 100, SECOND);
	assert_string_equal(backoff_held(b, &alice, SECOND), "user");
	assert_non_null(backoff_held(b, &guess, SECOND));
	/* And is forgotten after a week. */
	wrong(b, &guess, 100, 8 * DAY);
	assert_non_null(backoff_held(b, &alice, 8 * DAY));
	backoff_free(b);
}

/* Who is known may log on from a network that guesses. */
static void
test_known_in_bad_network(void **state)
{
	struct backoff *b = make();
	struct attempt a = { "", "192.0.2.1" };
	char name[16];
	int n;

	(void)state;
	backoff_note(b, &alice, true, SECOND);
	a.user = name;
	for (n = 0; n < 200; n++) {
		snprintf(name, sizeof(name), "user%d", n);
		wrong(b, &a, 1, SECOND);
	}
	assert_non_null(backoff_held(b, &a, SECOND));
	assert_null(backoff_held(b, &alice, SECOND));
	backoff_free(b);
}

static void
test_no_address(void **state)
{
	static const struct attempt a[] = {
		{ "alice", "" }, { "alice", "unix:" }, { "alice", "1.2.3" },
	};
	struct backoff *b = make();

	(void)state;
	wrong(b, &a[0], 100, SECOND);
	assert_non_null(backoff_held(b, &a[1], SECOND));
	backoff_note(b, &a[2], true, SECOND);	/* known from nowhere */
	assert_non_null(backoff_held(b, &a[2], SECOND));
	backoff_free(b);
}

static void
test_shared_by_processes(void **state)
{
	struct backoff *b = make();
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		int n;

		for (n = 0; n < 100; n++)
			backoff_note(b, &alice, false, SECOND);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(backoff_held(b, &alice, SECOND));
	backoff_free(b);
	backoff_free(NULL);
}

/* More names than there is room for: the newest counts stay. */
static void
test_flood(void **state)
{
	struct backoff *b = make();
	struct attempt a = { "", "" };
	char name[16];
	int n;

	(void)state;
	a.user = name;
	for (n = 0; n < 200000; n++) {
		snprintf(name, sizeof(name), "user%d", n);
		backoff_note(b, &a, false, SECOND);
	}
	wrong(b, &alice, 100, 2 * SECOND);
	assert_non_null(backoff_held(b, &alice, 2 * SECOND));
	backoff_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_known_in_bad_network),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_shared_by_processes),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
