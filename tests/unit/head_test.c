/* Audit keys, signed heads, tuples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "head.h"
#include "tuple.h"

static char dir[] = "/tmp/head_test.XXXXXX", path[64];
static char pub[AUDIT_PUB_HEX + 1];

static int
set_up(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return audit_key_create(path, pub, &err);
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
keys(void **state)
{
	struct err err = ERR_INIT;
	char other[AUDIT_PUB_HEX + 1];
	struct audit_key *k = audit_key_load(path, &err);
	uint8_t sig[AUDIT_SIG];
	struct stat st;

	(void)state;
	assert_non_null(k);
	assert_string_equal(audit_key_pub(k), pub);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	audit_sign(k, "test", slice_str("text"), sig);
	assert_true(audit_verify(pub, "test", slice_str("text"), sig));
	assert_false(audit_verify(pub, "tess", slice_str("text"), sig));
	assert_false(audit_verify(pub, "test", slice_str("texu"), sig));
	assert_false(audit_verify("00", "test", slice_str("text"), sig));
	sig[5] ^= 1;
	assert_false(audit_verify(pub, "test", slice_str("text"), sig));
	audit_key_free(k);
	/* Never over another; group and others stay out. */
	assert_int_equal(audit_key_create(path, other, &err), -1);
	chmod(path, 0644);
	memset(&err, 0, sizeof(err));
	assert_null(audit_key_load(path, &err));
	assert_non_null(strstr(err.text, "lets group or others in"));
	chmod(path, 0400);
}

static void
no_key(void **state)
{
	struct err err = ERR_INIT;
	char bad[80];
	FILE *f;

	(void)state;
	snprintf(bad, sizeof(bad), "%s/bad", dir);
	f = fopen(bad, "w");
	fputs("0123\n", f);
	fclose(f);
	chmod(bad, 0400);
	assert_null(audit_key_load(bad, &err));
	assert_non_null(strstr(err.text, "64 hex digits"));
	unlink(bad);
}

static struct head
sample(void)
{
	struct err err = ERR_INIT;
	struct audit_key *k = audit_key_load(path, &err);
	struct head h = { .signer = "signer-1", .seq = 42 };

	memset(h.hash, 'a', HEAD_HASH);
	assert_non_null(k);
	head_sign(&h, k);
	audit_key_free(k);
	return h;
}

static void
heads(void **state)
{
	struct head h = sample(), back;
	struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "<85>Nov 28 17:00:00 pki countersign-signer[7]: ");
	head_put(&b, &h);
	buf_puts(&b, "\n");
	assert_int_equal(head_parse(buf_str(&b), &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	assert_true(head_verify(&back, pub));
	back.seq++;
	assert_false(head_verify(&back, pub));
	back = h;
	back.hash[0] = 'b';
	assert_false(head_verify(&back, pub));
	back = h;
	strcpy(back.signer, "signer-2");
	assert_false(head_verify(&back, pub));
	buf_free(&b);
}

/* Each byte of the line missing or another: no head, or not a true one. */
static void
broken_heads(void **state)
{
	struct head h = sample(), back;
	struct buf b = { 0 };
	size_t i, n;
	char *cut;

	(void)state;
	head_put(&b, &h);
	n = b.n;
	for (i = 0; i < n; i++) {
		cut = xstrndup(buf_str(&b), i);
		assert_int_equal(head_parse(cut, &back), -1);
		free(cut);
		cut = xstrdup(buf_str(&b));
		cut[i] ^= 1;
		assert_true(head_parse(cut, &back) == -1 ||
		    !head_verify(&back, pub) || strcmp(back.key, pub) != 0);
		free(cut);
	}
	assert_int_equal(head_parse("", &back), -1);
	buf_free(&b);
}

static void
tuples(void **state)
{
	struct tuple t = { .n = 3 }, back;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	t.field[0] = slice_str("one");
	t.field[1] = slice_of(NULL, 0);
	t.field[2] = slice_str("");
	tuple_put(&b, &t);
	assert_int_equal(tuple_parse(buf_slice(&b), &back), 0);
	assert_int_equal(back.n, 3);
	assert_true(slice_is(back.field[0], "one"));
	assert_null(back.field[1].p);
	assert_non_null(back.field[2].p);
	assert_int_equal(back.field[2].n, 0);
	for (i = 0; i < b.n; i++)
		assert_int_equal(tuple_parse(slice_of(b.p, i), &back), -1);
	buf_addc(&b, 0);
	assert_int_equal(tuple_parse(buf_slice(&b), &back), -1);
	b.p[1] = TUPLE_MAX + 1;
	assert_int_equal(tuple_parse(buf_slice(&b), &back), -1);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(no_key),
		cmocka_unit_test(heads),
		cmocka_unit_test(broken_heads),
		cmocka_unit_test(tuples),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
