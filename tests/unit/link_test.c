/*
 * The link over real sockets, a question at a time: what a worker does when a
 * signer does not answer.  Many at once: link_many_test.c.
 */
#include "link_fixture.h"

#define MUTE_MS	3000	/* how long one that does not answer is left alone */

static void
test_round_trip(void **state)
{
	struct link_pool *p1, *p2;
	struct link *l1, *l2, *l3;
	struct signer s;
	int i;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p1 = pool_of(s.uri, NULL, &worker_keys);
	p2 = pool_of(s.uri, NULL, &other_keys);
	l1 = link_of(p1);
	l2 = link_of(p1);
	l3 = link_of(p2);
	assert_connected(l1, 100, ">worker-1:hello");
	assert_connected(l2, 100, ">worker-1:hello");
	assert_connected(l3, 100, ">worker-2:hello");
	for (i = 0; i < 20; i++) {
		assert_answer(l1, (uint8_t)i, ">worker-1:hello");
		assert_answer(l3, (uint8_t)i, ">worker-2:hello");
		assert_answer(l2, (uint8_t)i, ">worker-1:hello");
	}
	link_free(l1);
	link_free(l2);
	link_free(l3);
	link_pool_free(p1);
	link_pool_free(p2);
	signer_stop(&s);
	link_free(NULL);
	link_pool_free(NULL);
	link_server_free(NULL);
}

static void
test_late_answer(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct signer *s = lab.s;

	(void)state;
	assert_connected(l, 1, ">worker-1:hello");
	/* The first is held back and answered twice when it is repeated. */
	atomic_store(&s->late, 1);
	assert_answer(l, 2, ">worker-1:hello");
	/* Its second answer waits in the socket and is not ours. */
	assert_answer(l, 3, ">worker-1:hello");
	lab_end(&lab);
}

static void
test_mute_signer(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 2);
	struct signer *s = lab.s;
	int64_t start;
	int i, n, seen;

	(void)state;
	/* In turn, once both are connected. */
	for (i = 0; i < 1000 && (atomic_load(&s[0].seen) < 2 ||
	    atomic_load(&s[1].seen) < 2); i++) {
		assert_connected(l, 0, ">worker-1:hello");
		usleep(10000);
	}
	assert_true(i < 1000);
	seen = atomic_load(&s[0].seen);
	atomic_store(&s[0].mute, 1);
	start = link_now_ms();
	for (i = 0; i < 6; i++)
		assert_answer(l, (uint8_t)(10 + i), ">worker-1:hello");
	assert_true(link_now_ms() - start >= TRY_MS - 20);
	/* Only one of the six waited for the mute one, and one later on. */
	assert_seen(&s[0], seen + 1);
	assert_true(atomic_load(&s[0].seen) - seen <=
	    1 + (link_now_ms() - start) / MUTE_MS);
	atomic_store(&s[1].mute, 1);
	n = atomic_load(&s[0].seen);
	seen = atomic_load(&s[1].seen);
	assert_true(assert_unavailable(l) <= LONG_MS);
	assert_seen(&s[1], seen + 1);
	assert_true(atomic_load(&s[0].seen) - n +
	    atomic_load(&s[1].seen) - seen <= 4);
	lab_end(&lab);
}

/* A signer without the key: the other is asked, and waited for. */
static void
test_key_elsewhere(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 2);
	struct signer *s = lab.s;
	struct buf reply = { NULL, 0, 0 };
	struct err err = ERR_INIT;
	uint8_t id[16] = { 7 };
	char uri[256];
	int i;

	(void)state;
	atomic_store(&s[0].elsewhere, 1);
	for (i = 0; i < 1000 && atomic_load(&s[0].seen) < 2; i++) {
		assert_connected(l, (uint8_t)i, ">worker-1:hello");
		usleep(10000);
	}
	assert_true(i < 1000);
	assert_true(atomic_load(&s[1].seen) >= i);
	/* Nobody has it: that is the answer, and soon. */
	atomic_store(&s[1].elsewhere, 1);
	assert_int_equal(link_call(l, id, slice_str("hello"), &reply, &err),
	    0);
	assert_true(answer_is_elsewhere(buf_slice(&reply)));
	buf_free(&reply);
	/* Who has it is away: no answer but that. */
	snprintf(uri, sizeof(uri), "%s", s[1].uri);
	signer_stop(&s[1]);
	assert_true(assert_unavailable(l) >= TRY_MS - 20);
	signer_start(&s[1], uri);
	for (i = 0; i < 400 && link_call(l, id, slice_str("hello"), &reply,
	    &err) == -1; i++)
		memset(&err, 0, sizeof(err));
	assert_int_equal(err.kind, ERR_NONE);
	assert_false(answer_is_elsewhere(buf_slice(&reply)));
	buf_free(&reply);
	lab_end(&lab);
}

static void
test_one_mute_signer(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct signer *s = lab.s;
	int64_t took;
	int seen;

	(void)state;
	assert_connected(l, 3, ">worker-1:hello");
	seen = atomic_load(&s->seen);
	atomic_store(&s->mute, 1);
	took = assert_unavailable(l);
	assert_seen(s, seen + 2);
	assert_int_equal(atomic_load(&s->seen), seen + 2);
	assert_in_range(took, 2 * TRY_MS - 20, LONG_MS);
	atomic_store(&s->mute, 0);
	assert_connected(l, 4, ">worker-1:hello");
	lab_end(&lab);
}

static void
test_nobody_there(void **state)
{
	struct link_pool *p;
	struct link *l;

	(void)state;
	p = pool_of("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", &worker_keys);
	l = link_of(p);
	assert_in_range(assert_unavailable(l), TRY_MS - 20, LONG_MS);
	link_free(l);
	link_pool_free(p);
}

static void
test_signer_gone_and_back(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct signer *s = lab.s;
	char uri[256];
	int64_t took;

	(void)state;
	assert_connected(l, 1, ">worker-1:hello");
	snprintf(uri, sizeof(uri), "%s", s->uri);
	signer_stop(s);
	took = assert_unavailable(l);
	assert_in_range(took, TRY_MS - 20, LONG_MS);
	signer_start(s, uri);
	assert_connected(l, 2, ">worker-1:hello");
	lab_end(&lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_mute_signer),
		cmocka_unit_test(test_key_elsewhere),
		cmocka_unit_test(test_one_mute_signer),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_signer_gone_and_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
