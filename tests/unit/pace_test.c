/* Requests in a minute: who passes, who waits, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "pace.h"

#define SECOND	INT64_C(1000000)
#define DAY	INT64_C(86400)
#define NOW	INT64_C(1800000000)

static int
take(struct pace *p, const char *name, unsigned rate, int64_t usec)
{
	char cn[16];
	struct template t = { .cn = cn, .rate = rate };
	struct decision d = { .tmpl = &t };
	struct err err = ERR_INIT;
	int rc;

	snprintf(cn, sizeof(cn), "%s", name);
	rc = pace_take(p, &d, NOW, usec, &err);
	assert_int_equal(err.kind, rc == 0 ? ERR_NONE : ERR_UNAVAILABLE);
	if (rc == -1)
		assert_non_null(strstr(err.text, name));
	return rc;
}

static int
renew_again(struct pace *p, const struct issued *old, int64_t usec)
{
	char cn[] = "T";
	struct template t = { .cn = cn, .rate = 60 };
	struct decision d = { .tmpl = &t, .renews = old };
	struct err err = ERR_INIT;

	return pace_take(p, &d, NOW, usec, &err);
}

/* Of a certificate that nobody has renewed before; NULL: a new request. */
static int
renew(struct pace *p, struct issued *old, int64_t usec)
{
	static uint32_t serial;

	serial++;
	if (old != NULL) {
		buf_reset(&old->serial);
		buf_add(&old->serial, &serial, sizeof(serial));
	}
	return renew_again(p, old, usec);
}

/* How many pass when so many a second come for so many seconds. */
static int
wave(struct pace *p, unsigned rate, int a_second, int seconds)
{
	int i, passed = 0;

	for (i = 0; i < a_second * seconds; i++)
		if (take(p, "T", rate, SECOND + i * SECOND / a_second) == 0)
			passed++;
	return passed;
}

static void
test_rate(void **state)
{
	static const struct {
		unsigned	rate;
		int		passed;		/* of a minute */
	} v[] = {
		/* What was saved, and what came in the meantime. */
		{ 60, 10 + 59 }, { 600, 100 + 599 }, { 1, 1 },
		{ 6, 1 + 5 }, { 0, 6000 }, { 1000000, 6000 }
	};
	struct pace *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		p = pace_new();
		assert_int_equal(wave(p, v[i].rate, 100, 60), v[i].passed);
		pace_free(p);
	}
}

static void
test_refills(void **state)
{
	struct pace *p = pace_new();

	(void)state;
	assert_int_equal(take(p, "T", 6, SECOND), 0);
	assert_int_equal(take(p, "T", 6, 10 * SECOND), -1);
	/* A refusal costs nothing. */
	assert_int_equal(take(p, "T", 6, 11 * SECOND), 0);
	/* However long nobody came, no more is saved. */
	assert_int_equal(take(p, "T", 6, 9000 * SECOND), 0);
	assert_int_equal(take(p, "T", 6, 9000 * SECOND), -1);
	pace_free(p);
}

static void
test_templates_apart(void **state)
{
	struct pace *p = pace_new();
	char name[16];
	int i, round;

	(void)state;
	for (round = 0; round < 3; round++)
		for (i = 0; i < 40; i++) {
			snprintf(name, sizeof(name), "T%02d", i);
			assert_int_equal(take(p, name, 1,
			    (1 + round * 60) * SECOND), 0);
			assert_int_equal(take(p, name, 1,
			    (1 + round * 60) * SECOND), -1);
		}
	pace_free(p);
}

static void
test_renewals(void **state)
{
	static const struct {
		int64_t	life, left;	/* seconds */
		int	rc;		/* in the midst of a wave */
	} v[] = {
		{ 365 * DAY, 7 * DAY, 0 }, { 365 * DAY, 7 * DAY + 1, -1 },
		{ 30 * DAY, 3 * DAY, 0 }, { 30 * DAY, 3 * DAY + 1, -1 },
		{ 100, 10, 0 }, { 100, 11, -1 }, { 100, -5, 0 }
	};
	struct issued old = { .ca = NULL };
	struct pace *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		p = pace_new();
		while (renew(p, NULL, SECOND) == 0)
			;
		old.not_after = NOW + v[i].left;
		old.not_before = old.not_after - v[i].life;
		assert_int_equal(renew(p, &old, SECOND), v[i].rc);
		pace_free(p);
	}
	buf_free(&old.serial);
}

/* What urgent ones take is missing for others, but for ten seconds only. */
static void
test_urgent_first(void **state)
{
	struct issued old = { .not_before = NOW - 90, .not_after = NOW + 5 };
	struct pace *p = pace_new();
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(renew(p, &old, SECOND), 0);
	assert_int_equal(renew(p, NULL, SECOND), -1);
	assert_int_equal(renew(p, NULL, 2 * SECOND - 1), -1);
	assert_int_equal(renew(p, NULL, 2 * SECOND), 0);
	/* As long as they keep coming, nobody else passes. */
	for (i = 3; i < 20; i++) {
		assert_int_equal(renew(p, &old, i * SECOND), 0);
		assert_int_equal(renew(p, NULL, i * SECOND), -1);
	}
	buf_free(&old.serial);
	pace_free(p);
}

/* Nobody keeps the others out with one certificate that ends soon. */
static void
test_urgent_again(void **state)
{
	struct issued one = { .not_before = NOW - 90, .not_after = NOW + 5 };
	struct issued other = one;
	struct pace *p = pace_new();
	int i, n = 0;

	(void)state;
	buf_puts(&one.serial, "1");
	while (renew(p, NULL, SECOND) == 0)
		;
	for (i = 0; i < 100; i++)
		n += renew_again(p, &one, SECOND) == 0;
	assert_int_equal(n, 3);
	assert_int_equal(renew(p, &other, SECOND), 0);
	/* While it is sent all the time, a new request passes each second. */
	for (i = 2; i < 60; i++) {
		assert_int_equal(renew(p, NULL, i * SECOND), 0);
		assert_int_equal(renew_again(p, &one, i * SECOND), -1);
	}
	assert_int_equal(renew_again(p, &one, 62 * SECOND), 0);
	while (renew(p, NULL, 62 * SECOND) == 0)
		;
	assert_int_equal(renew_again(p, &one, 62 * SECOND), 0);
	assert_int_equal(renew_again(p, &one, 62 * SECOND), -1);
	buf_free(&one.serial);
	buf_free(&other.serial);
	pace_free(p);
}

/*
 * After an outage all are urgent: 60,000 in a minute, and each is counted by
 * itself.  (In one list they took 25 s.)
 */
static void
test_wave(void **state)
{
	struct issued old = { .not_before = NOW - 90, .not_after = NOW + 5 };
	struct pace *p = pace_new();
	char name[24];
	int i;

	(void)state;
	for (i = 0; i < 60000; i++) {
		assert_int_equal(renew(p, &old, SECOND + i * 1000), 0);
		snprintf(name, sizeof(name), "pc%05d$@corp.example", i);
		assert_true(pace_refused(p, name, SECOND));
	}
	buf_free(&old.serial);
	pace_free(p);
}

static int
take_for(struct pace *p, const char *name, unsigned rate, int64_t usec)
{
	char cn[] = "T", who[16];
	struct account a = { .name = who };
	struct template t = { .cn = cn, .rate = rate };
	struct decision d = { .tmpl = &t, .subject = &a };
	struct err err = ERR_INIT;

	snprintf(who, sizeof(who), "%s", name);
	return pace_take(p, &d, NOW, usec, &err);
}

/* Who asks all the time: the rest of the minute is for others, too. */
static void
test_shares(void **state)
{
	struct pace *p = pace_new();
	int i, all = 0, others = 0;
	char name[16];

	(void)state;
	/* 100 times a second, of a template with ten; 20 others once. */
	for (i = 0; i < 6000; i++) {
		all += take_for(p, "mallory", 600, i * SECOND / 100) == 0;
		if (i < 1000 || i % 100 != 0 || i >= 3000)
			continue;
		snprintf(name, sizeof(name), "a%d", i);
		others += take_for(p, name, 600, i * SECOND / 100) == 0;
	}
	assert_int_equal(others, 20);
	/* All the others left it. */
	assert_in_range(all, 600, 50 + 600 - 20 + 1);
	/* So few are saved that there is nothing to divide. */
	assert_int_equal(take_for(p, "alice", 6, 900 * SECOND), 0);
	assert_int_equal(take_for(p, "bob", 6, 900 * SECOND), -1);
	assert_int_equal(take_for(p, "alice", 6, 910 * SECOND), 0);
	assert_int_equal(take_for(p, "alice", 6, 920 * SECOND), 0);
	pace_free(p);
}

/* Urgent, 100 a second, each of another certificate that one account has. */
static int
hoard(struct pace *p, unsigned rate, int64_t usec)
{
	static uint32_t serial;
	char cn[] = "T", who[] = "mallory";
	struct account a = { .name = who };
	struct template t = { .cn = cn, .rate = rate };
	struct issued old = { .not_before = NOW - 90, .not_after = NOW + 5 };
	struct decision d = { .tmpl = &t, .subject = &a, .renews = &old };
	struct err err = ERR_INIT;
	int rc;

	serial++;
	buf_add(&old.serial, &serial, sizeof(serial));
	rc = pace_take(p, &d, NOW, usec, &err);
	buf_free(&old.serial);
	return rc;
}

/* Nor with very many that end soon; and for who has few nothing changes. */
static void
test_urgent_hoard(void **state)
{
	static const struct {
		unsigned rate, once, minute;
	} v[] = { { 1, 3, 1 }, { 60, 10, 60 }, { 600, 100, 600 } };
	struct pace *p;
	char name[16];
	unsigned k, n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		p = pace_new();
		for (k = n = 0; k < 1000; k++)
			n += hoard(p, v[i].rate, SECOND) == 0;
		assert_in_range(n, v[i].once, v[i].once * 3 / 2 + 1);
		for (k = n = 0; k < 6000; k++) {
			n += hoard(p, v[i].rate, (int64_t)k * SECOND / 100 +
			    2 * SECOND) == 0;
			snprintf(name, sizeof(name), "a%u", k);
			if (v[i].rate == 600 && k % 100 == 99)
				assert_int_equal(take_for(p, name, 600,
				    (int64_t)k * SECOND / 100 + 2 * SECOND),
				    0);
		}
		assert_in_range(n, v[i].minute / 2, v[i].minute * 3 / 2 + 1);
		pace_free(p);
	}
}

/* One account's refusals: no other's are fewer for it. */
static void
test_refused(void **state)
{
	struct pace *p = pace_new();
	const int64_t each = 60 * SECOND / PACE_REFUSED;
	int i, n = 0;

	(void)state;
	for (i = 0; i < 5000; i++)
		n += pace_refused(p, "mallory", SECOND) ? 1 : 0;
	assert_int_equal(n, PACE_REFUSED_SAVED);
	assert_true(pace_refused(p, "alice", SECOND));
	assert_true(pace_waits(p, "mallory", SECOND));
	/* A template of that name is something else. */
	assert_int_equal(take(p, "mallory", 1, SECOND), 0);
	assert_false(pace_refused(p, "mallory", SECOND + each - 1));
	assert_true(pace_refused(p, "mallory", SECOND + each));
	assert_false(pace_refused(p, "mallory", SECOND + each));
	/* An hour later all is forgotten, and no more than that. */
	for (i = n = 0; i < 5000; i++)
		n += pace_refused(p, "mallory", 9000 * SECOND) ? 1 : 0;
	assert_int_equal(n, PACE_REFUSED_SAVED);
	pace_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate), cmocka_unit_test(test_refills),
		cmocka_unit_test(test_templates_apart),
		cmocka_unit_test(test_renewals),
		cmocka_unit_test(test_urgent_first),
		cmocka_unit_test(test_urgent_again),
		cmocka_unit_test(test_wave),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_urgent_hoard),
		cmocka_unit_test(test_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
