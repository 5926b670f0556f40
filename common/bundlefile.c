/*
 * Bundles as files: framing, hash and signature around the records of
 * bundle.c.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bundle.h"
#include "der.h"

#define PIECE		((size_t)256 * 1024)	/* to a sink, at a time */
#define SIGNED_TEXT	"countersign bundle 1"

struct bundle_out {
	const struct bundlekey	*key;
	struct bundle_sink	 sink;
	EVP_MD_CTX		*md;
	uint64_t		 records;
	struct buf		 b;
};

struct bundle_in {
	FILE			*f;
	const struct bundlekey	*peer;
	EVP_MD_CTX		*md;	/* of everything before the end */
	struct buf		 head_bytes, rec;
	struct bundle_head	 head;	/* borrows from head_bytes */
	uint64_t		 records;
	int64_t			 octets;
	enum record_type	 last;
	bool			 at_end;
};

static EVP_MD_CTX *
new_hash(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		abort();	/* only without memory */
	return md;
}

static void
add_hash(EVP_MD_CTX *md, struct slice s)
{
	if (EVP_DigestUpdate(md, s.p, s.n) != 1)
		abort();
}

/* What has been hashed so far; hashing may go on. */
static void
get_hash(const EVP_MD_CTX *md, uint8_t out[BUNDLE_HASH])
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	if (copy == NULL || EVP_MD_CTX_copy_ex(copy, md) != 1 ||
	    EVP_DigestFinal_ex(copy, out, NULL) != 1)
		abort();
	EVP_MD_CTX_free(copy);
}

static void
put_signed(const EVP_MD_CTX *md, uint64_t records, struct buf *b)
{
	uint8_t hash[BUNDLE_HASH];
	int i;

	buf_add(b, SIGNED_TEXT, sizeof(SIGNED_TEXT));	/* with its NUL */
	for (i = 56; i >= 0; i -= 8)
		buf_addc(b, (uint8_t)(records >> i));
	get_hash(md, hash);
	buf_add(b, hash, sizeof(hash));
}

struct bundle_out *
bundle_out_new(const struct bundlekey *key, struct bundle_sink sink)
{
	struct bundle_out *o = xcalloc(1, sizeof(*o));

	o->key = key;
	o->sink = sink;
	o->md = new_hash();
	return o;
}

static int
flush_out(struct bundle_out *o, struct err *err)
{
	struct slice s = buf_slice(&o->b);

	if (s.n == 0)
		return 0;
	add_hash(o->md, s);
	if (o->sink.put(o->sink.arg, s, err) == -1)
		return -1;
	buf_reset(&o->b);
	return 0;
}

int
bundle_add(struct bundle_out *o, const struct record *r, struct err *err)
{
	size_t n = o->b.n;
	struct record again;

	if (o->records == BUNDLE_RECORDS_MAX)
		return err_set(err, ERR_TOO_BIG, "bundle: more than %d "
		    "records", BUNDLE_RECORDS_MAX);
	record_encode(r, &o->b);
	if (o->b.n - n > BUNDLE_RECORD_MAX)
		return err_set(err, ERR_TOO_BIG, "bundle: record of %zu "
		    "octets, limit %d", o->b.n - n, BUNDLE_RECORD_MAX);
	/* What the other side would refuse would stop all rounds. */
	if (record_decode(slice_of(o->b.p + n, o->b.n - n), &again,
	    err) == -1)
		return -1;
	o->records++;
	return o->b.n < PIECE ? 0 : flush_out(o, err);
}

int
bundle_finish(struct bundle_out *o, uint8_t hash[BUNDLE_HASH],
    struct err *err)
{
	struct record r = { .type = REC_END };
	struct buf msg = { 0 };
	int rc;

	if (flush_out(o, err) == -1)
		return -1;
	r.end.records = o->records;
	put_signed(o->md, o->records, &msg);
	rc = bundlekey_sign(o->key, buf_slice(&msg), r.end.signature, err);
	buf_free(&msg);
	if (rc == -1)
		return -1;
	record_encode(&r, &o->b);
	rc = flush_out(o, err);
	get_hash(o->md, hash);
	return rc;
}

void
bundle_out_free(struct bundle_out *o)
{
	if (o == NULL)
		return;
	EVP_MD_CTX_free(o->md);
	buf_free(&o->b);
	free(o);
}

static int
no_copy(const char *path, const char *dir, struct err *err)
{
	return err_set(err, ERR_DENIED, "copy of %s in %s: %s", path, dir,
	    strerror(errno));
}

static int
copy(int from, FILE *to, const char *path, const char *dir, struct err *err)
{
	uint8_t block[64 * 1024];
	int64_t all = 0;
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_set(err, ERR_DENIED, "%s: %s", path,
			    strerror(errno));
		if ((all += n) > BUNDLE_OCTETS_MAX)
			return err_set(err, ERR_TOO_BIG, "%s: too big for a "
			    "bundle", path);
		if (fwrite(block, 1, (size_t)n, to) != (size_t)n)
			return no_copy(path, dir, err);
	}
	if (fflush(to) != 0)
		return no_copy(path, dir, err);
	return 0;
}

FILE *
bundle_copy(const char *path, const char *dir, struct err *err)
{
	int from, to;
	FILE *f = NULL;

	from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (from == -1) {
		err_set(err, ERR_DENIED, "%s: %s", path, strerror(errno));
		return NULL;
	}
	to = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (to == -1 || (f = fdopen(to, "w+")) == NULL)
		err_set(err, ERR_DENIED, "%s: %s", dir, strerror(errno));
	if (f != NULL && copy(from, f, path, dir, err) == -1) {
		fclose(f);
		f = NULL;
	}
	close(from);
	return f;
}

static int
create(const char *path, mode_t mode, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC, mode);
	struct stat st;

	if (fd == -1)
		return err_set(err, ERR_DENIED, "%s: %s", path, errno ==
		    ELOOP ? "is a link: remove it" : strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    ftruncate(fd, 0) == 0)
		return fd;
	err_set(err, ERR_DENIED, "%s: is no file", path);
	close(fd);
	return -1;
}

int
bundle_create(const char *path, mode_t mode, char **beside, struct err *err)
{
	struct stat st;
	char *name;
	int fd;

	/* A rename would take the place of a device, too. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "%s: %s", path,
		    S_ISLNK(st.st_mode) ? "is a link: remove it" :
		    "is no file");
	if (asprintf(&name, "%s.new", path) == -1)
		abort();
	if ((fd = create(name, mode, err)) == -1)
		free(name);
	else
		*beside = name;
	return fd;
}

int
bundle_settle(int fd, char *beside, const char *path, int rc,
    struct err *err)
{
	if (rc == 0 && (fsync(fd) == -1 || rename(beside, path) == -1))
		rc = err_set(err, ERR_DENIED, "%s: %s", path,
		    strerror(errno));
	close(fd);
	if (rc != 0)
		(void)unlink(beside);
	free(beside);
	return rc;
}

static int
truncated(struct bundle_in *in, struct err *err)
{
	if (ferror(in->f))
		return err_set(err, ERR_DENIED, "bundle: read error");
	return err_bad(err, 0, "bundle: ends early, behind %lld octets: "
	    "truncated", (long long)in->octets);
}

/* Octets of the file to the end of the record at hand. */
static int
take(struct bundle_in *in, size_t n, struct err *err)
{
	uint8_t *at = buf_extend(&in->rec, n);
	size_t got = fread(at, 1, n, in->f);

	in->octets += (int64_t)got;
	return got == n ? 0 : truncated(in, err);
}

/*
 * Tag and length decide how much is read: one to three octets of length, the
 * limit before the memory.  The decoder looks at the form of them again.
 */
static int
take_record(struct bundle_in *in, struct err *err)
{
	size_t n, i, more = 0;

	buf_reset(&in->rec);
	if (take(in, 2, err) == -1)
		return -1;
	if (in->rec.p[0] < DER_CTXC(REC_HEAD) ||
	    in->rec.p[0] > DER_CTXC(REC_END))
		return err_bad(err, 0, "bundle: record of unknown type at "
		    "octet %lld", (long long)in->octets - 2);
	n = in->rec.p[1];
	if (n > 0x83 || n == 0x80)
		return err_bad(err, 0, "bundle: length of a record is not "
		    "DER, or above the limit");
	if (n > 0x80) {
		more = n & 0x7f;
		if (take(in, more, err) == -1)
			return -1;
		for (n = 0, i = 0; i < more; i++)
			n = n << 8 | in->rec.p[2 + i];
	}
	if (n > BUNDLE_RECORD_MAX)
		return err_set(err, ERR_TOO_BIG, "bundle: record of %zu "
		    "octets, limit %d", n, BUNDLE_RECORD_MAX);
	return take(in, n, err);
}

/*
 * Which may stand in which kind; the order is that of the tags, but a part
 * comes before its list.
 */
static int
check_place(const struct bundle_in *in, enum record_type t, struct err *err)
{
	bool request = t >= REC_ITEM && t <= REC_WISH;
	bool lists = t == REC_LIST || t == REC_PART;

	if (t == REC_HEAD || (t != REC_END &&
	    request != (in->head.kind == BUNDLE_REQUEST)))
		return err_bad(err, 0, "bundle: record of type %d in the "
		    "wrong place", t);
	if (t < in->last && !(lists && in->last >= REC_LIST))
		return err_bad(err, 0, "bundle: record of type %d behind one "
		    "of type %d", t, in->last);
	return 0;
}

/* Next record but the head; its bytes are in in->rec. */
static int
next_record(struct bundle_in *in, struct record *r, struct err *err)
{
	if (take_record(in, err) == -1 ||
	    record_decode(buf_slice(&in->rec), r, err) == -1 ||
	    check_place(in, r->type, err) == -1)
		return -1;
	in->last = r->type;
	if (r->type == REC_END)
		return 0;
	if (++in->records > BUNDLE_RECORDS_MAX)
		return err_set(err, ERR_TOO_BIG, "bundle: more than %d "
		    "records", BUNDLE_RECORDS_MAX);
	return 1;
}

static int
read_head(struct bundle_in *in, struct err *err)
{
	struct record r;

	if (take_record(in, err) == -1)
		return -1;
	buf_reset(&in->head_bytes);
	buf_add(&in->head_bytes, in->rec.p, in->rec.n);
	if (record_decode(buf_slice(&in->head_bytes), &r, err) == -1)
		return -1;
	if (r.type != REC_HEAD)
		return err_bad(err, 0, "bundle: does not begin with a head");
	in->head = r.head;
	in->records = 1;
	in->last = REC_HEAD;
	return 0;
}

static int
check_signature(struct bundle_in *in, const struct bundle_end *end,
    struct err *err)
{
	struct buf msg = { 0 };
	char theirs[80], ours[80];
	bool good;

	put_signed(in->md, end->records, &msg);
	good = end->records == in->records &&
	    bundlekey_verify(in->peer, buf_slice(&msg), end->signature);
	buf_free(&msg);
	if (good && memcmp(in->head.key, bundlekey_id(in->peer),
	    BUNDLE_HASH) == 0)
		return 0;
	if (memcmp(in->head.key, bundlekey_id(in->peer), BUNDLE_HASH) == 0)
		return err_bad(err, 0, "bundle: the signature does not match: "
		    "the file was altered");
	bundlekey_fingerprint(in->head.key, theirs);
	bundlekey_fingerprint(bundlekey_id(in->peer), ours);
	return err_bad(err, 0, "bundle: is foreign: its key is %.39s ..., "
	    "that of the other side %.39s ...", theirs, ours);
}

static int
check_kind(const struct bundle_in *in, enum bundle_kind kind, struct err *err)
{
	if (in->head.kind == kind)
		return 0;
	return err_bad(err, 0, "bundle: holds %s, not %s",
	    in->head.kind == BUNDLE_REQUEST ? "requests" : "responses",
	    kind == BUNDLE_REQUEST ? "requests" : "responses");
}

static int
verify(struct bundle_in *in, enum bundle_kind kind, uint8_t hash[BUNDLE_HASH],
    struct err *err)
{
	struct record r;
	int got = 1;

	if (read_head(in, err) == -1 || check_kind(in, kind, err) == -1)
		return -1;
	while (got == 1) {
		add_hash(in->md, buf_slice(&in->rec));
		if ((got = next_record(in, &r, err)) == -1)
			return -1;
	}
	if (fgetc(in->f) != EOF)
		return err_bad(err, 0, "bundle: something stands behind its "
		    "end");
	if (check_signature(in, &r.end, err) == -1)
		return -1;
	add_hash(in->md, buf_slice(&in->rec));
	get_hash(in->md, hash);
	return 0;
}

struct bundle_in *
bundle_open(FILE *f, const struct bundlekey *peer, enum bundle_kind kind,
    uint8_t hash[BUNDLE_HASH], struct err *err)
{
	struct bundle_in *in = xcalloc(1, sizeof(*in));

	in->f = f;
	in->peer = peer;
	in->md = new_hash();
	rewind(f);
	if (verify(in, kind, hash, err) == 0 && bundle_rewind(in, err) == 0)
		return in;
	bundle_close(in);
	return NULL;
}

const struct bundle_head *
bundle_head(const struct bundle_in *in)
{
	return &in->head;
}

int
bundle_next(struct bundle_in *in, struct record *r, struct err *err)
{
	int got = in->at_end ? 0 : next_record(in, r, err);

	in->at_end = got != 1;
	return got;
}

int
bundle_rewind(struct bundle_in *in, struct err *err)
{
	rewind(in->f);
	in->octets = 0;
	in->at_end = false;
	return read_head(in, err);
}

void
bundle_close(struct bundle_in *in)
{
	if (in == NULL)
		return;
	EVP_MD_CTX_free(in->md);
	buf_free(&in->head_bytes);
	buf_free(&in->rec);
	free(in);
}
