/*
 * Bundles of an air gap: every record comes back as it was written, and a
 * file with any bit changed, any byte missing or anything more is refused with
 * a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bundle.h"
#include "conf.h"
#include "der.h"

static char dir[] = "/tmp/bundle-XXXXXX";
static struct bundlekey *desk, *vault, *vault_public;

static struct bundlekey *
make_key(const char *name)
{
	struct err err = ERR_INIT;
	struct bundlekey *k;
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(bundlekey_make(path, &err), 0);
	assert_int_equal(bundlekey_make(path, &err), -1);	/* never over */
	memset(&err, 0, sizeof(err));
	assert_non_null(k = bundlekey_private(path, &err));
	return k;
}

static int
set_up(void **state)
{
	struct err err = ERR_INIT;
	struct buf pem = { 0 };
	char path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	desk = make_key("desk");
	vault = make_key("vault");
	assert_int_equal(bundlekey_pem(vault, &pem, &err), 0);
	snprintf(path, sizeof(path), "%s/vault.pub", dir);
	assert_non_null(f = fopen(path, "w"));
	fwrite(pem.p, 1, pem.n, f);
	fclose(f);
	buf_free(&pem);
	assert_non_null(vault_public = bundlekey_public(path, &err));
	assert_memory_equal(bundlekey_id(vault), bundlekey_id(vault_public),
	    32);
	return 0;
}

static int
tear_down(void **state)
{
	char cmd[80];

	(void)state;
	bundlekey_free(desk);
	bundlekey_free(vault);
	bundlekey_free(vault_public);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static int
append(void *arg, struct slice s, struct err *err)
{
	(void)err;
	buf_add(arg, s.p, s.n);
	return 0;
}

static struct record
head(enum bundle_kind kind, const struct bundlekey *key)
{
	struct record r = { .type = REC_HEAD };

	r.head.kind = kind;
	memcpy(r.head.key, bundlekey_id(key), BUNDLE_HASH);
	r.head.deployment = slice_str("{A}");
	r.head.maker = slice_str("m");
	r.head.round = 3;
	r.head.made_at = 1800000000;
	memset(r.head.previous, 7, BUNDLE_HASH);
	memset(r.head.policy_hash, 8, 32);
	return r;
}

static char text_a[] = "a", text_cn[] = "A", text_dns[] = "a.example";
static char *groups[] = { text_a, text_cn };
static const struct account alice = { .name = text_a, .cn = text_cn,
    .dns = text_dns, .machine = true, .groups = { groups, 2 } };

static void
request_records(struct record *r, const struct buf *accounts)
{
	r[0] = (struct record){ .type = REC_ITEM, .item = { .number = 5,
	    .ca = slice_str("CA"), .worker = slice_str("w"),
	    .asker = slice_str("a"), .template_name = slice_str("T"),
	    .token = slice_str("token"), .evidence = slice_str(""),
	    .method = AUTH_PASSWORD, .received_at = 1700000000,
	    .accounts = buf_slice(accounts), .approved = true,
	    .approver = slice_str("b"), .operator = slice_str("root"),
	    .reason = slice_str("r"), .subject = slice_str("") } };
	r[1] = (struct record){ .type = REC_ORDER, .order = {
	    .ca = slice_str("CA"), .serial = slice_str("\x01\x02"),
	    .at = 1700000000, .reason = 1 } };
	r[2] = (struct record){ .type = REC_WISH, .wish = {
	    .ca = slice_str("CA"), .change = 4, .number = 9 } };
}

static void
response_records(struct record *r)
{
	r[0] = (struct record){ .type = REC_RESULT, .result = {
	    .status = MSG_ISSUED, .major = 100, .text = slice_str("Issued"),
	    .subject = slice_str("CN=a"), .san = slice_str(""),
	    .certificate = slice_str("cert"), .response = slice_str("cmc") } };
	r[1] = (struct record){ .type = REC_VOID, .voided = {
	    .ca = slice_str("CA"), .serial = slice_str("0123456789abcdef") } };
	r[2] = (struct record){ .type = REC_PART, .part = {
	    .ca = slice_str("CA"), .number = 2, .part = 1,
	    .body = slice_str("body") } };
	r[3] = (struct record){ .type = REC_LIST, .list = {
	    .ca = slice_str("CA"), .number = 2, .this_update = 1,
	    .next_update = 2, .entries = 1, .octets = 4, .change = 4,
	    .digest = slice_str("digest") } };
}

/* The whole file into out. */
static void
make(const struct bundlekey *key, const struct record *r, size_t n,
    struct buf *out)
{
	struct err err = ERR_INIT;
	struct bundle_out *o = bundle_out_new(key,
	    (struct bundle_sink){ append, out });
	uint8_t hash[BUNDLE_HASH];
	size_t i;

	for (i = 0; i < n; i++)
		assert_int_equal(bundle_add(o, &r[i], &err), 0);
	assert_int_equal(bundle_finish(o, hash, &err), 0);
	bundle_out_free(o);
}

/* 0 when every record can be read; else the reason is in err. */
static int
read_all(struct slice s, const struct bundlekey *peer, enum bundle_kind kind,
    struct err *err)
{
	FILE *f = fmemopen((void *)(uintptr_t)s.p, s.n > 0 ? s.n : 1, "r");
	uint8_t hash[BUNDLE_HASH];
	struct bundle_in *in;
	struct record r;
	int got = -1;

	memset(err, 0, sizeof(*err));
	in = bundle_open(f, peer, kind, hash, err);
	if (in != NULL)
		while ((got = bundle_next(in, &r, err)) == 1)
			;
	bundle_close(in);
	fclose(f);
	return got;
}

static void
make_both(struct buf *request, struct buf *response)
{
	struct record r[5];
	struct buf accounts = { 0 };

	bundle_put_account(&alice, &accounts);
	r[0] = head(BUNDLE_REQUEST, desk);
	request_records(r + 1, &accounts);
	make(desk, r, 4, request);
	r[0] = head(BUNDLE_RESPONSE, vault);
	response_records(r + 1);
	make(vault, r, 5, response);
	buf_free(&accounts);
}

static void
comes_back(void **state)
{
	struct buf request = { 0 }, response = { 0 };
	struct err err = ERR_INIT;
	struct bundle_in *in;
	struct record r;
	uint8_t hash[BUNDLE_HASH];
	FILE *f;

	(void)state;
	make_both(&request, &response);
	assert_int_equal(read_all(buf_slice(&request), desk, BUNDLE_REQUEST,
	    &err), 0);
	f = fmemopen(response.p, response.n, "r");
	assert_non_null(in = bundle_open(f, vault_public, BUNDLE_RESPONSE,
	    hash, &err));
	assert_int_equal(bundle_head(in)->round, 3);
	assert_int_equal(bundle_next(in, &r, &err), 1);
	assert_int_equal(r.type, REC_RESULT);
	assert_true(slice_is(r.result.certificate, "cert"));
	assert_int_equal(bundle_rewind(in, &err), 0);
	assert_int_equal(bundle_next(in, &r, &err), 1);
	assert_int_equal(r.type, REC_RESULT);
	assert_int_equal(bundle_next(in, &r, &err), 1);
	assert_int_equal(bundle_next(in, &r, &err), 1);
	assert_int_equal(r.type, REC_PART);
	assert_int_equal(bundle_next(in, &r, &err), 1);
	assert_int_equal(r.list.number, 2);
	assert_int_equal(bundle_next(in, &r, &err), 0);
	assert_int_equal(bundle_next(in, &r, &err), 0);
	bundle_close(in);
	fclose(f);
	buf_free(&request);
	buf_free(&response);
}

static void
refuse_mutants(struct buf *b, const struct bundlekey *key,
    enum bundle_kind kind)
{
	struct err err;
	size_t i;
	int bit;

	for (i = 0; i < b->n; i++) {
		for (bit = 0; bit < 8; bit++) {
			b->p[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(read_all(buf_slice(b), key, kind,
			    &err), -1);
			assert_true(err.kind == ERR_MALFORMED ||
			    err.kind == ERR_TOO_BIG);
			assert_string_not_equal(err.text, "");
			b->p[i] ^= (uint8_t)(1 << bit);
		}
		assert_int_equal(read_all(slice_of(b->p, i), key, kind, &err),
		    -1);
		assert_non_null(strstr(err.text, "truncated"));
	}
	assert_int_equal(read_all(buf_slice(b), key, kind, &err), 0);
	buf_addc(b, 0x30);
	assert_int_equal(read_all(buf_slice(b), key, kind, &err), -1);
	assert_non_null(strstr(err.text, "behind its end"));
}

static void
every_bit_counts(void **state)
{
	struct buf request = { 0 }, response = { 0 };

	(void)state;
	make_both(&request, &response);
	refuse_mutants(&request, desk, BUNDLE_REQUEST);
	refuse_mutants(&response, vault_public, BUNDLE_RESPONSE);
	buf_free(&request);
	buf_free(&response);
}

/* Records of another order, moved, left out, or twice: the hash tells. */
static void
records_stay(void **state)
{
	struct buf request = { 0 }, response = { 0 }, bad = { 0 };
	struct err err;
	struct der d;
	struct slice v[8];
	size_t n = 0, i;

	(void)state;
	make_both(&request, &response);
	der_init(&d, buf_slice(&response));
	memset(&err, 0, sizeof(err));
	while (!der_done(&d))
		assert_int_equal(der_any(&d, NULL, &v[n++], NULL, "", &err),
		    0);
	assert_int_equal(n, 6);
	for (i = 1; i + 1 < n; i++) {		/* left out */
		buf_reset(&bad);
		buf_add(&bad, v[0].p, (size_t)(v[i].p - v[0].p));
		buf_add(&bad, v[i + 1].p, (size_t)(response.p + response.n -
		    v[i + 1].p));
		assert_int_equal(read_all(buf_slice(&bad), vault,
		    BUNDLE_RESPONSE, &err), -1);
	}
	for (i = 1; i + 1 < n; i++) {		/* twice */
		buf_reset(&bad);
		buf_add(&bad, v[0].p, (size_t)(v[i].p - v[0].p) + v[i].n);
		buf_add(&bad, v[i].p, (size_t)(response.p + response.n -
		    v[i].p));
		assert_int_equal(read_all(buf_slice(&bad), vault,
		    BUNDLE_RESPONSE, &err), -1);
	}
	buf_free(&request);
	buf_free(&response);
	buf_free(&bad);
}

static void
keys_count(void **state)
{
	struct buf request = { 0 }, response = { 0 };
	struct record r[1];
	struct err err;

	(void)state;
	make_both(&request, &response);
	assert_int_equal(read_all(buf_slice(&request), vault, BUNDLE_REQUEST,
	    &err), -1);
	assert_non_null(strstr(err.text, "foreign"));
	assert_int_equal(read_all(buf_slice(&request), desk, BUNDLE_RESPONSE,
	    &err), -1);
	assert_non_null(strstr(err.text, "holds requests"));
	/* Signed by another key than the head says. */
	buf_reset(&request);
	r[0] = head(BUNDLE_REQUEST, desk);
	make(vault, r, 1, &request);
	assert_int_equal(read_all(buf_slice(&request), vault, BUNDLE_REQUEST,
	    &err), -1);
	assert_int_equal(read_all(buf_slice(&request), desk, BUNDLE_REQUEST,
	    &err), -1);
	assert_non_null(strstr(err.text, "altered"));
	buf_free(&request);
	buf_free(&response);
}

static void
limits(void **state)
{
	static const uint8_t huge[] = { 0xa0, 0x83, 0xff, 0xff, 0xff },
	    huger[] = { 0xa0, 0x84, 0x7f, 0xff, 0xff, 0xff },
	    endless[] = { 0xa0, 0x80, 0, 0 };
	struct buf big = { 0 };
	struct err err;
	struct record r = { .type = REC_RESULT };

	(void)state;
	assert_int_equal(read_all(slice_of(huge, sizeof(huge)), desk,
	    BUNDLE_REQUEST, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	assert_int_equal(read_all(slice_of(huger, sizeof(huger)), desk,
	    BUNDLE_REQUEST, &err), -1);
	assert_int_equal(read_all(slice_of(endless, sizeof(endless)), desk,
	    BUNDLE_REQUEST, &err), -1);
	/* A field above its limit. */
	memset(buf_extend(&big, 170 * 1024), 'x', 170 * 1024);
	r.result.status = MSG_DENIED;
	r.result.response = buf_slice(&big);
	{
		struct buf der = { 0 };

		record_encode(&r, &der);
		memset(&err, 0, sizeof(err));
		assert_int_equal(record_decode(buf_slice(&der), &r, &err),
		    -1);
		assert_int_equal(err.kind, ERR_TOO_BIG);
		buf_free(&der);
	}
	buf_free(&big);
}

static void
accounts(void **state)
{
	struct account *a[BUNDLE_ACCOUNTS], other = alice;
	struct buf b = { 0 };
	struct err err = ERR_INIT;
	size_t n, i;

	(void)state;
	bundle_put_account(&alice, &b);
	bundle_put_account(&alice, &b);
	assert_int_equal(bundle_accounts(buf_slice(&b), a, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(a[0]->dns, "a.example");
	assert_null(a[0]->upn);
	assert_true(a[0]->machine);
	assert_true(strlist_has(&a[0]->groups, "A"));
	for (i = 0; i < n; i++)
		account_free(a[i]);
	/* One name, two people. */
	other.disabled = true;
	bundle_put_account(&other, &b);
	assert_int_equal(bundle_accounts(buf_slice(&b), a, &n, &err), -1);
	assert_non_null(strstr(err.text, "twice"));
	for (i = 0; i < n; i++)
		account_free(a[i]);
	memset(&err, 0, sizeof(err));
	buf_reset(&b);
	assert_int_equal(bundle_accounts(buf_slice(&b), a, &n, &err), -1);
	for (i = 0; i < n; i++)
		account_free(a[i]);
	for (i = 0; i < BUNDLE_ACCOUNTS + 1; i++)
		bundle_put_account(&alice, &b);
	memset(&err, 0, sizeof(err));
	assert_int_equal(bundle_accounts(buf_slice(&b), a, &n, &err), -1);
	assert_non_null(strstr(err.text, "more than"));
	for (i = 0; i < n; i++)
		account_free(a[i]);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(records_stay),
		cmocka_unit_test(keys_count),
		cmocka_unit_test(limits),
		cmocka_unit_test(accounts)
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
