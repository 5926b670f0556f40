/*
 * Opening the vault, and a round from the bundle to the answer; the signing
 * itself is airgap_sign.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "airgap_item.h"
#include "blocked.h"
#include "conf.h"
#include "file.h"
#include "journal.h"
#include "secret.h"

#define CLOCK_SLACK	5	/* seconds it may go backwards */

/* Certificates and lists are dated by this clock. */
static int
check_clock(struct vault *v, struct err *err)
{
	int64_t last = ledger_last_time(v->s.ledger);

	v->now = (int64_t)time(NULL);
	if (v->now + CLOCK_SLACK < last)
		return err_set(err, ERR_UNAVAILABLE, "clock is %" PRId64
		    " s before the ledger's last entry", last - v->now);
	return 0;
}

/* A token that is away now would leave void serial numbers behind. */
static int
check_keys(struct vault *v, struct err *err)
{
	size_t i;

	for (i = 0; i < v->s.ncas; i++) {
		if (v->s.cas[i]->apart)
			return err_set(err, ERR_INTERNAL, "ca %s: airgap, and "
			    "this host is the vault", v->s.cas[i]->name);
		if (cakey_ready(v->s.cas[i]->key, err) == -1)
			return -1;
	}
	return 0;
}

int
vault_open(struct vault *v, const char *conf, struct err *err)
{
	const struct sconf_vault *c;

	if (secret_harden(err) == -1 ||
	    (v->s.conf = sconf_load(conf, err)) == NULL)
		return -1;
	if ((c = v->s.conf->vault) == NULL)
		return err_set(err, ERR_INTERNAL, "%s: has no airgap section",
		    conf);
	v->s.prefix = c->prefix;
	if ((v->key = bundlekey_private(c->key_file, err)) == NULL ||
	    (v->peer = bundlekey_public(c->peer_key, err)) == NULL ||
	    signer_load_cas(&v->s, err) == -1 || check_keys(v, err) == -1 ||
	    vault_policy(v, err) == -1 ||
	    (c->blocked != NULL && blocked_read(&v->s, c->blocked,
	    err) == -1) ||
	    (v->s.ledger = ledger_open(v->s.conf->ledger, err)) == NULL ||
	    check_clock(v, err) == -1 ||
	    (v->book = book_open(v->s.conf->ledger, err)) == NULL)
		return -1;
	return 0;
}

void
vault_close(struct vault *v)
{
	size_t i;

	bundle_close(v->in);
	bundle_out_free(v->out);
	if (v->copy != NULL)
		fclose(v->copy);
	book_free(v->book);
	ledger_close(v->s.ledger);
	snapshot_free(v->s.snapshot);
	blocked_free(v->s.blocked);
	policy_free(v->policy);
	for (i = 0; i < v->s.ncas; i++)
		ca_free(v->s.cas[i]);
	free(v->s.cas);
	tokens_free(v->s.tokens);
	sconf_free(v->s.conf);
	bundlekey_free(v->key);
	bundlekey_free(v->peer);
	strlist_free(&v->deny);
}

int
vault_take(struct vault *v, const char *path, struct err *err)
{
	const struct bundle_head *h;

	v->copy = bundle_copy(path, v->s.conf->vault->state, err);
	if (v->copy == NULL)
		return -1;
	v->in = bundle_open(v->copy, v->peer, BUNDLE_REQUEST, v->hash, err);
	if (v->in == NULL)
		return -1;
	h = bundle_head(v->in);
	if (memcmp(h->policy_hash, v->policy->sha256, 32) != 0) {
		char theirs[65], ours[65];

		hex_encode(h->policy_hash, 32, theirs);
		hex_encode(v->policy->sha256, 32, ours);
		return err_set(err, ERR_DENIED, "the bundle goes by policy "
		    "%.16s..., this host's file is %.16s...: read the new "
		    "policy, then install it here", theirs, ours);
	}
	/* Each request would be denied, for good, and lists dated back. */
	if (h->made_at > v->now + VAULT_SLACK_S)
		return err_set(err, ERR_DENIED, "the bundle was made %" PRId64
		    " s from now: set this host's clock, it dates all that "
		    "is signed", h->made_at - v->now);
	return 0;
}

int
vault_follows(struct vault *v, struct err *err)
{
	static const uint8_t zeroes[BUNDLE_HASH];
	const struct bundle_head *h = bundle_head(v->in);
	const struct book_round *r = book_round(v->book);
	const uint8_t *last = r->out > 0 ? r->response : zeroes;

	if (r->in > 0 && !slice_is(h->deployment, r->deployment))
		return err_set(err, ERR_DENIED, "the bundle is of another "
		    "deployment");
	if (h->round == r->in && r->in > 0 &&
	    memcmp(v->hash, r->request, BUNDLE_HASH) == 0)
		return r->out == r->in ? 0 : 1;
	if (h->round == r->in && r->in > 0)
		return err_set(err, ERR_DENIED, "another bundle was taken for "
		    "round %" PRIu64 ": this one is doubled", h->round);
	if (h->round < r->in)
		return err_set(err, ERR_DENIED, "round %" PRIu64 " is over, "
		    "the last was %" PRIu64 ": replayed", h->round, r->in);
	if (r->in != r->out)
		return err_set(err, ERR_DENIED, "round %" PRIu64 " was begun "
		    "and must be signed first", r->in);
	if (h->round != r->in + 1)
		return err_set(err, ERR_DENIED, "round %" PRIu64 " comes too "
		    "early, the next is %" PRIu64, h->round, r->in + 1);
	if (memcmp(h->previous, last, BUNDLE_HASH) != 0)
		return err_set(err, ERR_DENIED, "round %" PRIu64 " does not "
		    "follow the last answer of this host", h->round);
	return 1;
}

static void
tell_round(struct vault *v, const char *type, const uint8_t hash[BUNDLE_HASH])
{
	struct buf f = { 0 };

	ledger_field_num(&f, "round", (int64_t)bundle_head(v->in)->round);
	ledger_field_hex(&f, "bundle", hash, BUNDLE_HASH);
	ledger_field_hex(&f, "policy", v->policy->sha256, 32);
	ledger_field(&f, "deployment", bundle_head(v->in)->deployment);
	ledger_add(v->s.ledger, type, buf_slice(&f));
	buf_free(&f);
}

/* Whose ledger it is, as every signer says. */
static void
tell_start(struct vault *v)
{
	struct buf f = { 0 };

	ledger_field(&f, "signer", slice_str(v->s.conf->name));
	ledger_field_num(&f, "prefix", v->s.prefix);
	ledger_field(&f, "deployment", bundle_head(v->in)->deployment);
	ledger_field_hex(&f, "policy", v->policy->sha256, 32);
	ledger_add(v->s.ledger, "start", buf_slice(&f));
	buf_free(&f);
}

/* Of an attempt that broke off: nobody can tell what was signed. */
static void
give_up_open(struct vault *v)
{
	struct book_cert *c;
	struct buf f = { 0 };

	while ((c = book_open_intent(v->book)) != NULL) {
		buf_reset(&f);
		ledger_field_hex(&f, "id", c->id, MSG_ID);
		ledger_field_hex(&f, "serial", c->serial, SERIAL_LEN);
		ledger_field(&f, "ca", slice_str(c->ca));
		ledger_field_num(&f, "time", v->now);
		ledger_add(v->s.ledger, "void", buf_slice(&f));
		book_void(v->book, c, v->now);
	}
	buf_free(&f);
}

static char *
answer_path(const struct vault *v, uint64_t round)
{
	struct buf b = { 0 };
	char *s;

	buf_printf(&b, "%s/response-%" PRIu64 ".bundle",
	    v->s.conf->vault->state, round);
	s = xstrdup(buf_str(&b));
	buf_free(&b);
	return s;
}

static int
put_file(void *arg, struct slice s, struct err *err)
{
	if (fwrite(s.p, 1, s.n, arg) == s.n)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "answer: %s", strerror(errno));
}

static int
write_answer(struct vault *v, FILE *f, uint8_t hash[BUNDLE_HASH],
    struct err *err)
{
	const struct bundle_head *h = bundle_head(v->in);
	struct record r = { .type = REC_HEAD };

	r.head.kind = BUNDLE_RESPONSE;
	memcpy(r.head.key, bundlekey_id(v->key), BUNDLE_HASH);
	r.head.deployment = h->deployment;
	r.head.maker = slice_str(v->s.conf->name);
	r.head.round = h->round;
	memcpy(r.head.previous, v->hash, BUNDLE_HASH);
	r.head.made_at = v->now;
	memcpy(r.head.policy_hash, v->policy->sha256, 32);
	v->out = bundle_out_new(v->key, (struct bundle_sink){ put_file, f });
	if (bundle_add(v->out, &r, err) == -1 || vault_items(v, err) == -1 ||
	    vault_orders(v, err) == -1 || vault_voids(v, err) == -1 ||
	    vault_lists(v, err) == -1)
		return -1;
	return bundle_finish(v->out, hash, err);
}

static int
sync_folder(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;

	if (fd != -1) {
		rc = fsync(fd);
		close(fd);
	}
	return rc == 0 ? 0 : err_set(err, ERR_UNAVAILABLE, "%s: %s", path,
	    strerror(errno));
}

/* Under its name only when it is whole and on the disk. */
static int
keep_answer(FILE *f, const char *tmp, const char *path, struct err *err)
{
	if (fflush(f) != 0 || fsync(fileno(f)) == -1 ||
	    rename(tmp, path) == -1)
		return err_set(err, ERR_UNAVAILABLE, "%s: %s", path,
		    strerror(errno));
	return 0;
}

/* The last two are kept. */
static void
drop_old(const struct vault *v, uint64_t round)
{
	char *path;

	if (round <= 2)
		return;
	path = answer_path(v, round - 2);
	(void)unlink(path);
	free(path);
}

static int
make_answer(struct vault *v, struct err *err)
{
	struct book_round *r = book_round(v->book);
	char *path = answer_path(v, bundle_head(v->in)->round), *tmp;
	struct buf b = { 0 };
	FILE *f;
	int rc;

	buf_printf(&b, "%s.new", path);
	tmp = buf_str(&b);
	if ((f = fopen(tmp, "we")) == NULL)
		rc = err_set(err, ERR_UNAVAILABLE, "%s: %s", tmp,
		    strerror(errno));
	else {
		rc = write_answer(v, f, r->response, err);
		if (rc == 0)
			rc = keep_answer(f, tmp, path, err);
		fclose(f);
	}
	if (rc == 0)
		rc = sync_folder(v->s.conf->vault->state, err);
	if (rc == 0)
		drop_old(v, bundle_head(v->in)->round);
	free(path);
	buf_free(&b);
	return rc;
}

/*
 * "airgap-in" before anything is signed: no other bundle of this number is
 * taken then.  "airgap-out" behind the file: before it, the answer is made
 * anew, and nobody has seen the one there was.
 */
int
vault_sign(struct vault *v, struct err *err)
{
	struct book_round *r = book_round(v->book);
	uint64_t round = bundle_head(v->in)->round;

	if (r->in != round) {
		tell_start(v);
		tell_round(v, "airgap-in", v->hash);
		r->in = round;
	}
	give_up_open(v);
	if (journal_sync(&v->s, err) == -1 || make_answer(v, err) == -1)
		return -1;
	journal_signatures(&v->s);
	tell_round(v, "airgap-out", r->response);
	r->out = round;
	book_answered(v->book);
	return journal_sync(&v->s, err);
}

static int
copy_to(FILE *from, const char *path, struct err *err)
{
	char block[64 * 1024], *beside;
	int fd = bundle_create(path, 0644, &beside, err), rc = 0;
	size_t n;

	if (fd == -1)
		return -1;
	while (rc == 0 && (n = fread(block, 1, sizeof(block), from)) > 0)
		rc = file_write_all(fd, slice_of(block, n));
	if (rc != 0 || ferror(from))
		rc = err_set(err, ERR_DENIED, "%s: %s; the answer is kept: "
		    "sign the same bundle again", path, strerror(errno));
	return bundle_settle(fd, beside, path, rc, err);
}

int
vault_emit(struct vault *v, const char *path, struct err *err)
{
	const struct book_round *r = book_round(v->book);
	char *kept = answer_path(v, r->out);
	uint8_t hash[BUNDLE_HASH];
	struct bundle_in *in = NULL;
	FILE *f = fopen(kept, "re");
	int rc = -1;

	if (f == NULL)
		err_set(err, ERR_INTERNAL, "%s: %s", kept, strerror(errno));
	else if ((in = bundle_open(f, v->key, BUNDLE_RESPONSE, hash,
	    err)) != NULL && memcmp(hash, r->response, BUNDLE_HASH) != 0)
		err_set(err, ERR_INTERNAL, "%s: is not the answer in the "
		    "ledger", kept);
	else if (in != NULL) {
		rewind(f);
		rc = copy_to(f, path, err);
	}
	bundle_close(in);
	if (f != NULL)
		fclose(f);
	free(kept);
	return rc;
}
