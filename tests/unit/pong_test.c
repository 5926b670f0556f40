#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pong.h"

static struct pong
sample(void)
{
	struct pong	p = { .signer = slice_str("signer-1"),
	    .now = 1795510800123, .version = 7 };

	memset(p.policy_hash, 0xa5, sizeof(p.policy_hash));
	return p;
}

static void
round_trip(void **state)
{
	struct pong	p = sample(), q;
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };

	(void)state;
	pong_encode(&p, &b);
	assert_int_equal(pong_decode(buf_slice(&b), &q, &err), 0);
	assert_true(slice_is(q.signer, "signer-1"));
	assert_int_equal(q.now, p.now);
	assert_int_equal(q.version, 7);
	assert_memory_equal(q.policy_hash, p.policy_hash, 32);
	buf_free(&b);
}

/* Every prefix, and every octet changed, ends well; few are accepted. */
static void
broken(void **state)
{
	struct pong	p = sample(), q;
	struct err	err;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	pong_encode(&p, &b);
	for (i = 0; i < b.n; i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(pong_decode(slice_of(b.p, i), &q, &err), -1);
		assert_int_equal(err.kind, ERR_MALFORMED);
	}
	memset(&err, 0, sizeof(err));
	b.p[4] = '\n';		/* first octet of the name */
	assert_int_equal(pong_decode(buf_slice(&b), &q, &err), -1);
	buf_reset(&b);
	p.signer = slice_str("a name that is longer than any name of a signer "
	    "is allowed to be");
	pong_encode(&p, &b);
	memset(&err, 0, sizeof(err));
	assert_int_equal(pong_decode(buf_slice(&b), &q, &err), -1);
	buf_free(&b);
}

static void
left_over(void **state)
{
	struct pong	p = sample(), q;
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };

	(void)state;
	pong_encode(&p, &b);
	buf_addc(&b, 0);
	assert_int_equal(pong_decode(buf_slice(&b), &q, &err), -1);
	buf_free(&b);
}

/* Another answer than a pong: why the signer is in no state to give one. */
static void
of_an_answer(void **state)
{
	struct pong	p = sample(), q;
	struct answer	a = { .status = MSG_PONG };
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };

	(void)state;
	pong_encode(&p, &b);
	a.response = buf_slice(&b);
	assert_int_equal(pong_of(&a, &q, &err), 0);
	assert_int_equal(q.version, 7);
	a.status = MSG_UNAVAILABLE;
	a.text = slice_str("the database is away");
	assert_int_equal(pong_of(&a, &q, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(err.text, "the database is away");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(broken),
		cmocka_unit_test(left_over),
		cmocka_unit_test(of_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
