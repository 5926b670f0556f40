#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "der.h"
#include "msg.h"

static struct ask
sample_ask(void)
{
	struct ask	a = { 0 };

	a.call = CALL_ISSUE;
	memset(a.id, 1, sizeof(a.id));
	memset(a.replay_key, 2, sizeof(a.replay_key));
	memset(a.policy_hash, 3, sizeof(a.policy_hash));
	a.sent_at = 1795510800123;
	a.ca = slice_str("Demo CA \xc3\xa4");
	a.method = AUTH_PASSWORD;
	a.account = slice_str("alice@example");
	a.address = slice_str("2001:db8::1");
	a.token = slice_str("0token");
	a.hint[0] = slice_str("User");
	a.hint[1] = slice_str("Computer");
	a.nhint = 2;
	a.number = 0;
	a.evidence = slice_str("cert");
	return a;
}

static struct answer
sample_answer(void)
{
	struct answer	a = { 0 };

	memset(a.id, 9, sizeof(a.id));
	a.status = MSG_DENIED;
	a.hresult = 0x80094012;
	a.text = slice_str("template User: not in a group");
	a.number = 0x7fffffff;
	a.template_name = slice_str("User");
	a.response = slice_str("r");
	a.certificate = slice_of(NULL, 0);
	return a;
}

/* Encode and decode; the bytes stay in b. */
static int
decode_ask(const struct ask *a, struct buf *b, struct ask *out,
    struct err *err)
{
	buf_reset(b);
	ask_encode(a, b);
	return ask_decode(buf_slice(b), out, err);
}

static void
ask_round_trip(void **state)
{
	struct err	err = ERR_INIT;
	struct ask	a = sample_ask(), o;
	struct buf	b = { 0 };

	(void)state;
	assert_int_equal(decode_ask(&a, &b, &o, &err), 0);
	assert_int_equal(o.call, a.call);
	assert_memory_equal(o.id, a.id, MSG_ID);
	assert_memory_equal(o.replay_key, a.replay_key, MSG_ID);
	assert_memory_equal(o.policy_hash, a.policy_hash, 32);
	assert_int_equal(o.sent_at, a.sent_at);
	assert_true(slice_eq(o.ca, a.ca));
	assert_int_equal(o.method, a.method);
	assert_true(slice_eq(o.account, a.account));
	assert_true(slice_eq(o.address, a.address));
	assert_true(slice_eq(o.token, a.token));
	assert_int_equal(o.nhint, 2);
	assert_true(slice_eq(o.hint[1], a.hint[1]));
	assert_int_equal(o.number, 0);
	assert_true(slice_eq(o.evidence, a.evidence));
	assert_int_equal(der_check(buf_slice(&b), 2, "ask", &err), 0);
	buf_free(&b);
}

/* Another call in the same bytes: version 1, then the call. */
static void
change_call(struct buf *b, enum msg_call call)
{
	uint8_t	*at = memmem(b->p, b->n, "\x02\x01\x01\x0a\x01", 5);

	assert_non_null(at);
	at[5] = (uint8_t)call;
}

/* Only calls about a pending request have one, and they must. */
static void
verdict_round_trip(void **state)
{
	struct err	err = ERR_INIT;
	struct ask	a = sample_ask(), o;
	struct buf	b = { 0 };

	(void)state;
	a.call = CALL_DENY;
	a.method = AUTH_OPERATOR;
	memset(a.verdict.request, 7, MSG_ID);
	a.verdict.operator = slice_str("root");
	a.verdict.reason = slice_str("not ours");
	a.verdict.subject = slice_str("CN=x");
	assert_int_equal(decode_ask(&a, &b, &o, &err), 0);
	assert_true(ask_decides(&o));
	assert_memory_equal(o.verdict.request, a.verdict.request, MSG_ID);
	assert_true(slice_eq(o.verdict.operator, a.verdict.operator));
	assert_true(slice_eq(o.verdict.reason, a.verdict.reason));
	assert_true(slice_eq(o.verdict.subject, a.verdict.subject));
	/* What is left over is refused, and what is missing. */
	change_call(&b, CALL_ISSUE);
	assert_int_equal(ask_decode(buf_slice(&b), &o, &err), -1);
	assert_non_null(strstr(err.text, "ask"));
	a.call = CALL_ISSUE;
	memset(&err, 0, sizeof(err));
	assert_int_equal(decode_ask(&a, &b, &o, &err), 0);
	change_call(&b, CALL_APPROVE);
	assert_int_equal(ask_decode(buf_slice(&b), &o, &err), -1);
	assert_non_null(strstr(err.text, "ask.verdict"));
	buf_free(&b);
}

/* Workers may use every method but that of operators: no decision by them. */
static void
verdict_of_a_worker(void **state)
{
	static const enum auth_method	methods[] = { AUTH_ANONYMOUS,
	    AUTH_KERBEROS, AUTH_PASSWORD, AUTH_CERTIFICATE };
	static const enum msg_call	calls[] = { CALL_APPROVE, CALL_DENY };
	struct ask	a = sample_ask(), o;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	memset(a.verdict.request, 7, MSG_ID);
	a.verdict.operator = slice_str("root");
	for (i = 0; i < 8; i++) {
		struct err	err = ERR_INIT;

		a.call = calls[i % 2];
		a.method = methods[i / 2];
		assert_int_equal(decode_ask(&a, &b, &o, &err), -1);
		assert_non_null(strstr(err.text, "only operators"));
	}
	buf_free(&b);
}

static void
answer_round_trip(void **state)
{
	struct err	err = ERR_INIT;
	struct answer	a = sample_answer(), o;
	struct buf	b = { 0 };

	(void)state;
	answer_encode(&a, &b);
	assert_int_equal(answer_decode(buf_slice(&b), &o, &err), 0);
	assert_memory_equal(o.id, a.id, MSG_ID);
	assert_int_equal(o.status, a.status);
	assert_int_equal(o.hresult, a.hresult);
	assert_true(slice_eq(o.text, a.text));
	assert_int_equal(o.number, a.number);
	assert_true(slice_eq(o.template_name, a.template_name));
	assert_true(slice_eq(o.response, a.response));
	assert_int_equal(o.certificate.n, 0);
	buf_free(&b);
}

static void
assert_refused(const struct ask *a, const char *said)
{
	struct err	err = ERR_INIT;
	struct ask	o;
	struct buf	b = { 0 };

	assert_int_equal(decode_ask(a, &b, &o, &err), -1);
	if (strstr(err.text, said) == NULL)
		fail_msg("%s instead of %s", err.text, said);
	buf_free(&b);
}

static void
bad_values_are_refused(void **state)
{
	struct ask	a;
	char		*big = xcalloc(1, 70000);

	(void)state;
	memset(big, 'x', 70000);
	a = sample_ask(), a.call = (enum msg_call)8;
	assert_refused(&a, "ask.call: unknown value");
	a = sample_ask(), a.call = (enum msg_call)0;
	assert_refused(&a, "ask.call: unknown value");
	a = sample_ask(), a.method = (enum auth_method)3;
	assert_refused(&a, "ask.method: unknown value 3");
	a = sample_ask(), a.method = (enum auth_method)0;
	assert_refused(&a, "ask.method: unknown value 0");
	a = sample_ask(), a.token = slice_of(NULL, 0);
	assert_refused(&a, "ask.token: empty");
	a = sample_ask(), a.call = CALL_QUERY;
	assert_refused(&a, "ask.number: 0");
	a = sample_ask(), a.sent_at = -1;
	assert_refused(&a, "ask.sentAt: above 2^63 - 1");
	a = sample_ask(), a.account = slice_str("a\nb");
	assert_refused(&a, "ask.account: not plain UTF-8");
	a = sample_ask(), a.account = slice_of("a\0b", 3);
	assert_refused(&a, "ask.account: not plain UTF-8");
	a = sample_ask(), a.hint[1] = slice_str("\xff");
	assert_refused(&a, "ask.hints: not plain UTF-8");
	a = sample_ask(), a.ca = slice_of(big, 257);
	assert_refused(&a, "ask.ca: 257 octets, limit 256");
	a = sample_ask(), a.token = slice_of(big, 65537);
	assert_refused(&a, "ask.token: 65537 octets");
	a = sample_ask(), a.evidence = slice_of(big, 65537);
	assert_refused(&a, "ask.evidence: 65537 octets");
	a = sample_ask(), a.call = CALL_APPROVE, a.method = AUTH_OPERATOR;
	a.verdict.reason = slice_of(big, 201);
	assert_refused(&a, "ask.verdict.reason: 201 octets, limit 200");
	a.verdict.reason = slice_str("a\nb");
	assert_refused(&a, "ask.verdict.reason: not plain UTF-8");
	free(big);
}

static void
five_hints_are_refused(void **state)
{
	struct err	err = ERR_INIT;
	struct ask	a = sample_ask(), o;
	struct buf	b = { 0 };
	uint8_t		*at;

	(void)state;
	a.nhint = 4;
	a.hint[2] = slice_str("c");
	a.hint[3] = slice_str("zz");
	ask_encode(&a, &b);
	/* Two empty ones are as long as the last. */
	at = memmem(b.p, b.n, "\x0c\x02zz", 4);
	assert_non_null(at);
	memcpy(at, "\x0c\x00\x0c\x00", 4);
	assert_int_equal(ask_decode(buf_slice(&b), &o, &err), -1);
	assert_string_equal(err.text, "ask.hints: more than 4");
	buf_free(&b);
}

static void
ping_is_made_by_nobody(void **state)
{
	struct err	err = ERR_INIT;
	struct ask	a = { .call = CALL_PING }, o;
	struct buf	b = { 0 };

	(void)state;
	assert_int_equal(decode_ask(&a, &b, &o, &err), 0);
	assert_int_equal(o.call, CALL_PING);
	buf_free(&b);
}

/* Every truncation and every changed octet: refused or read, never worse. */
static void
mutations_do_no_harm(void **state)
{
	struct ask	a = sample_ask(), o;
	struct answer	w = sample_answer(), ow;
	struct buf	b = { 0 }, c = { 0 };
	uint8_t		*mem;
	size_t		i;
	int		bit;

	(void)state;
	ask_encode(&a, &b);
	answer_encode(&w, &c);
	for (i = 0; i < b.n; i++) {
		struct err	err = ERR_INIT;

		mem = xmemdup(b.p, i);
		assert_int_equal(ask_decode(slice_of(mem, i), &o, &err), -1);
		free(mem);
		for (bit = 0; bit < 8; bit++) {
			struct err	e2 = ERR_INIT;

			b.p[i] ^= (uint8_t)(1 << bit);
			ask_decode(buf_slice(&b), &o, &e2);
			b.p[i] ^= (uint8_t)(1 << bit);
		}
	}
	for (i = 0; i < c.n; i++) {
		struct err	err = ERR_INIT;

		mem = xmemdup(c.p, i);
		assert_int_equal(answer_decode(slice_of(mem, i), &ow, &err),
		    -1);
		free(mem);
	}
	buf_addc(&b, 0);
	{
		struct err	err = ERR_INIT;

		assert_int_equal(ask_decode(buf_slice(&b), &o, &err), -1);
	}
	buf_free(&b);
	buf_free(&c);
}

static void
other_versions_and_extra_fields_are_refused(void **state)
{
	struct err	err = ERR_INIT, e2 = ERR_INIT;
	struct answer	a = sample_answer(), o;
	struct buf	b = { 0 }, c = { 0 };
	size_t		mark;

	(void)state;
	answer_encode(&a, &b);
	b.p[4] = 2;		/* 30 len 02 01 version */
	assert_int_equal(answer_decode(buf_slice(&b), &o, &err), -1);
	assert_string_equal(err.text, "answer: version 2");
	assert_int_equal(err.kind, ERR_INTERNAL);
	b.p[4] = 1;
	mark = der_open(&c, DER_SEQ);
	buf_add(&c, b.p + 2, b.n - 2);
	der_put(&c, DER_NULL, NULL, 0);
	der_close(&c, mark);
	assert_int_equal(answer_decode(buf_slice(&c), &o, &e2), -1);
	assert_string_equal(e2.text, "answer: 2 octets left over");
	buf_free(&b);
	buf_free(&c);
}

static void
ids(void **state)
{
	uint8_t		a[MSG_ID], b[MSG_ID], c[MSG_ID];
	struct slice	x = slice_str("ab"), y = slice_str("c");
	const int64_t	now = 20781 * (int64_t)86400 + 5;

	(void)state;
	msg_new_id(now, a);
	msg_new_id(now, b);
	assert_int_equal(a[0] << 8 | a[1], 20781);
	assert_memory_not_equal(a, b, MSG_ID);
	msg_replay_key(x, y, y, a);
	msg_replay_key(x, y, y, b);
	assert_memory_equal(a, b, MSG_ID);
	/* Where one value ends and the next begins is part of the key. */
	msg_replay_key(slice_str("a"), slice_str("bc"), y, c);
	assert_memory_not_equal(a, c, MSG_ID);
	msg_replay_key(x, y, slice_str("d"), c);
	assert_memory_not_equal(a, c, MSG_ID);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(ask_round_trip),
		cmocka_unit_test(verdict_round_trip),
		cmocka_unit_test(verdict_of_a_worker),
		cmocka_unit_test(answer_round_trip),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(five_hints_are_refused),
		cmocka_unit_test(ping_is_made_by_nobody),
		cmocka_unit_test(mutations_do_no_harm),
		cmocka_unit_test(other_versions_and_extra_fields_are_refused),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
