/*
 * Bundles of an air gap.  The reader must refuse whatever is not signed, and
 * every record that it decodes is encoded to the same bytes again.  The seeds
 * are made here: records in tests/data, and one signed bundle of all types.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "der.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***);

static struct bundlekey *key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[] = "/tmp/fuzz-bundle-XXXXXX/key";
	struct err err = ERR_INIT;

	(void)argc;
	(void)argv;
	path[23] = '\0';
	if (mkdtemp(path) == NULL)
		abort();
	path[23] = '/';
	if (bundlekey_make(path, &err) == -1 ||
	    (key = bundlekey_private(path, &err)) == NULL)
		abort();
	remove(path);
	path[23] = '\0';
	remove(path);
	return 0;
}

static void
check_accounts(struct slice s)
{
	struct account *a[BUNDLE_ACCOUNTS];
	struct err err = ERR_INIT;
	struct buf again = { 0 };
	size_t n, i;
	int rc = bundle_accounts(s, a, &n, &err);

	for (i = 0; i < n; i++) {
		if (rc == 0)
			bundle_put_account(a[i], &again);
		account_free(a[i]);
	}
	if (rc == 0 && !slice_eq(buf_slice(&again), s))
		abort();
	buf_free(&again);
}

/* Whatever is accepted has one encoding. */
static void
check_record(struct slice s)
{
	struct err err = ERR_INIT;
	struct buf again = { 0 };
	struct record r;

	if (record_decode(s, &r, &err) == -1) {
		if (err.kind != ERR_MALFORMED && err.kind != ERR_TOO_BIG)
			abort();
		return;
	}
	record_encode(&r, &again);
	if (!slice_eq(buf_slice(&again), s))
		abort();
	buf_free(&again);
	if (r.type == REC_ITEM)
		check_accounts(r.item.accounts);
}

static int
append(void *arg, struct slice s, struct err *err)
{
	(void)err;
	buf_add(arg, s.p, s.n);
	return 0;
}

/* The same records signed: the reader gets behind the signature. */
static void
sign(struct slice s, struct buf *out)
{
	struct err err = ERR_INIT;
	struct bundle_out *o = bundle_out_new(key,
	    (struct bundle_sink){ append, out });
	uint8_t hash[BUNDLE_HASH];
	struct record r;
	struct slice one;
	struct der d;

	der_init(&d, s);
	while (der_any(&d, NULL, &one, NULL, "", &err) == 0) {
		if (record_decode(one, &r, &err) == -1 || r.type == REC_END)
			break;
		if (r.type == REC_HEAD)
			memcpy(r.head.key, bundlekey_id(key), BUNDLE_HASH);
		if (bundle_add(o, &r, &err) == -1)
			break;
		if (der_done(&d))
			break;
	}
	memset(&err, 0, sizeof(err));
	if (bundle_finish(o, hash, &err) == -1)
		abort();
	bundle_out_free(o);
}

static bool
read_all(struct slice s, enum bundle_kind kind)
{
	FILE *f = fmemopen((void *)(uintptr_t)s.p, s.n, "r");
	struct err err = ERR_INIT;
	uint8_t hash[BUNDLE_HASH];
	struct bundle_in *in;
	struct record r;
	int got = 1;

	if (f == NULL)
		abort();
	in = bundle_open(f, key, kind, hash, &err);
	while (in != NULL && (got = bundle_next(in, &r, &err)) == 1)
		;
	if (in != NULL && got != 0)
		abort();	/* verified, and then not the same again */
	bundle_close(in);
	fclose(f);
	return in != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf out = { 0 };

	if (n == 0)
		return 0;
	check_record(slice_of(data, n));
	if (read_all(slice_of(data, n), BUNDLE_REQUEST))
		abort();	/* nobody can sign with this key */
	sign(slice_of(data, n), &out);
	(void)read_all(buf_slice(&out), BUNDLE_REQUEST);
	(void)read_all(buf_slice(&out), BUNDLE_RESPONSE);
	buf_free(&out);
	return 0;
}
