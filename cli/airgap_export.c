/*
 * airgap export: the bundle of a round, out of the database.  The first half
 * of a round at the desk; what comes back is airgap_import.c's.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle.h"
#include "file.h"

#define ROUND_MAX	"100000"	/* requests in one bundle */

static const struct out_col cols[] = {
	{ "round", OUT_NUMBER }, { "repeated", OUT_BOOL },
	{ "file", OUT_TEXT }, { "hash", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct export {			/* one bundle being made */
	struct cli		*cli;
	struct bundlekey	*key;
	struct policy		*policy;
	char			 round[24];	/* decimal, for the database */
	unsigned		 parts;		/* stored so far */
	int64_t			 made_at;	/* Unix seconds */
	uint8_t			 previous[BUNDLE_HASH];	/* or zeros */
	PGresult		*wishes;	/* a row for each CA */
	struct bundle_out	*out;
	char			 maker[64];
};

/* The sink of bundle_out: each part is a row of the round. */
static int
put_part(void *arg, struct slice body, struct err *err)
{
	struct export *x = arg;
	struct db_param p[3];
	char part[16];
	PGresult *res;

	snprintf(part, sizeof part, "%u", x->parts++);
	p[0] = DB_TEXT(x->round);
	p[1] = DB_TEXT(part);
	p[2] = DB_BIN(body.p, body.n);
	res = db_exec(x->cli->db, "airgap_part_put", p, 3, err);
	PQclear(res);
	return res == NULL ? -1 : 0;
}

/* The round follows on the vault's last answer: docs/airgap.md. */
static int
put_head(struct export *x, struct err *err)
{
	struct record r = { .type = REC_HEAD };

	r.head.kind = BUNDLE_REQUEST;
	memcpy(r.head.key, bundlekey_id(x->key), BUNDLE_HASH);
	r.head.deployment = slice_str(x->policy->id);
	r.head.maker = slice_str(x->maker);
	r.head.round = strtoull(x->round, NULL, 10);
	memcpy(r.head.previous, x->previous, BUNDLE_HASH);
	r.head.made_at = x->made_at;
	memcpy(r.head.policy_hash, x->policy->sha256, 32);
	return bundle_add(x->out, &r, err);
}

/* As in the row: an account, or who sat there if none is named. */
static void
take_approval(const PGresult *res, int row, struct bundle_item *i)
{
	struct slice by = db_field(res, row, 12);
	struct slice decision = db_field(res, row, 17);

	i->approved = by.n > 0 && decision.n == MSG_ID;
	if (i->approved)
		memcpy(i->decision, decision.p, MSG_ID);
	i->approver = by.n > 9 && memcmp(by.p, "operator:", 9) == 0 ?
	    slice_of("", 0) : by;
	i->operator = db_field(res, row, 13);
	i->reason = db_field(res, row, 14);
	i->subject = db_field(res, row, 15);
}

/*
 * One request, its columns in the order of airgap_items.  Column 16 is
 * whether the stored bytes still have the hash taken at submission: a row
 * that was changed ends the export, ERR_DENIED.
 */
static int
put_item(struct export *x, const PGresult *res, int row, struct err *err)
{
	struct record r = { .type = REC_ITEM };
	struct bundle_item *i = &r.item;

	if (db_field(res, row, 1).n != MSG_ID || *db_field(res, row, 16).p != 1)
		return err_set(err, ERR_DENIED, "request %" PRId64 ": the "
		    "stored bytes are not those that were submitted",
		    db_int(res, row, 2));
	memcpy(i->id, db_field(res, row, 1).p, MSG_ID);
	i->number = (uint32_t)db_int(res, row, 2);
	i->ca = db_field(res, row, 3);
	i->method = (enum auth_method)db_int(res, row, 4);
	i->received_at = db_int(res, row, 5);
	i->worker = db_field(res, row, 6);
	i->asker = db_field(res, row, 7);
	i->template_name = db_field(res, row, 8);
	i->token = db_field(res, row, 9);
	i->evidence = db_field(res, row, 10);
	i->accounts = db_field(res, row, 11);
	take_approval(res, row, i);
	return bundle_add(x->out, &r, err);
}

/* A page at a time, from behind the last row of the one before. */
static int
put_items(struct export *x, struct err *err)
{
	uint8_t id[MSG_ID] = { 0 };
	char day[16] = "-1";
	struct db_param p[3] = { DB_TEXT(x->round), DB_TEXT(day),
	    DB_BIN(id, sizeof id) };
	PGresult *res;
	int row, n, rc = 0;

	do {
		res = db_exec_bin(x->cli->db, "airgap_items", p, 3, err);
		if (res == NULL)
			return -1;
		n = PQntuples(res);
		for (row = 0; row < n && rc == 0; row++)
			rc = put_item(x, res, row, err);
		if (n > 0 && rc == 0) {
			snprintf(day, sizeof day, "%" PRId64,
			    db_int(res, n - 1, 0));
			memcpy(id, db_field(res, n - 1, 1).p, MSG_ID);
		}
		PQclear(res);
	} while (n > 0 && rc == 0);
	return rc;
}

/* Who revoked is kept; a note that is no plain text is not. */
static struct slice
plain(struct slice s)
{
	return slice_is_text(s) ? s : slice_of("", 0);
}

/* Of one CA, and no newer than the list that is wished for. */
static int
put_orders_of(struct export *x, const char *ca, const char *change,
    struct err *err)
{
	char after[24] = "-1";
	struct buf serial = { 0 };
	struct db_param p[4] = { DB_TEXT(ca), DB_TEXT(change),
	    DB_TEXT(after), DB_BIN("", 0) };
	struct record r = { .type = REC_ORDER };
	struct slice last;
	PGresult *res;
	int row, n, rc = 0;

	r.order.ca = slice_str(ca);
	do {
		res = db_exec_bin(x->cli->db, "airgap_orders", p, 4, err);
		if (res == NULL)
			break;
		n = PQntuples(res);
		for (row = 0; row < n && rc == 0; row++) {
			r.order.change = db_int(res, row, 0);
			r.order.serial = db_field(res, row, 1);
			r.order.at = db_int(res, row, 2);
			r.order.reason = (unsigned)db_int(res, row, 3);
			r.order.not_after = db_int(res, row, 4);
			r.order.who = plain(db_field(res, row, 5));
			r.order.note = plain(db_field(res, row, 6));
			rc = bundle_add(x->out, &r, err);
		}
		if (n > 0) {
			snprintf(after, sizeof after, "%" PRId64,
			    db_int(res, n - 1, 0));
			last = db_field(res, n - 1, 1);
			buf_reset(&serial);
			buf_add(&serial, last.p, last.n);
			p[3] = DB_BIN(serial.p, serial.n);
		}
		PQclear(res);
	} while (n > 0 && rc == 0);
	buf_free(&serial);
	return res == NULL ? -1 : rc;
}

/* Of each CA up to the change that its wish names: list and orders agree. */
static int
put_orders(struct export *x, struct err *err)
{
	char change[24], *ca;
	struct slice name;
	int row, rc = 0;

	for (row = 0; row < PQntuples(x->wishes) && rc == 0; row++) {
		name = db_field(x->wishes, row, 0);
		ca = xstrndup((const char *)name.p, name.n);
		snprintf(change, sizeof change, "%" PRId64,
		    db_int(x->wishes, row, 1));
		rc = put_orders_of(x, ca, change, err);
		free(ca);
	}
	return rc;
}

/* Which list the vault is to sign, and up to which change it shows. */
static int
put_wishes(struct export *x, struct err *err)
{
	struct record r = { .type = REC_WISH };
	int row, rc = 0;

	for (row = 0; row < PQntuples(x->wishes) && rc == 0; row++) {
		r.wish.ca = db_field(x->wishes, row, 0);
		r.wish.change = db_int(x->wishes, row, 1);
		r.wish.number = (uint64_t)db_int(x->wishes, row, 2);
		rc = bundle_add(x->out, &r, err);
	}
	return rc;
}

/* In the order of bundle.h: the vault obeys the orders before it lists. */
static int
make_bundle(struct export *x, struct err *err)
{
	uint8_t hash[BUNDLE_HASH];
	struct db_param p[2] = { DB_TEXT(x->round),
	    DB_BIN(hash, sizeof hash) };
	PGresult *res;

	x->out = bundle_out_new(x->key, (struct bundle_sink){ put_part, x });
	if (put_head(x, err) != 0 || put_items(x, err) != 0 ||
	    put_orders(x, err) != 0 || put_wishes(x, err) != 0 ||
	    bundle_finish(x->out, hash, err) != 0)
		return -1;
	res = db_exec(x->cli->db, "airgap_made", p, 2, err);
	PQclear(res);
	return res == NULL ? -1 : 0;
}

/*
 * What a list is to show is read first: a revocation that comes now is in no
 * order of this round, and must not seem to be on the list.  *old: the last
 * round is not answered yet, and is written out again.
 */
static int
open_round(struct export *x, bool *old, struct err *err)
{
	struct db_param most = DB_TEXT(ROUND_MAX);
	PGresult *res;

	x->wishes = db_exec_bin(x->cli->db, "airgap_wishes", NULL, 0, err);
	if (x->wishes == NULL)
		return -1;
	if (PQntuples(x->wishes) == 0)
		return err_set(err, ERR_DENIED, "no ca is behind an air gap: "
		    "countersign ca import NAME --airgap");
	res = db_exec_bin(x->cli->db, "airgap_open", &most, 1, err);
	if (res == NULL)
		return -1;
	snprintf(x->round, sizeof x->round, "%" PRId64, db_int(res, 0, 0));
	*old = *db_field(res, 0, 1).p != 0;
	x->made_at = db_int(res, 0, 2);
	if (db_field(res, 0, 3).n == BUNDLE_HASH)
		memcpy(x->previous, db_field(res, 0, 3).p, BUNDLE_HASH);
	PQclear(res);
	return 0;
}

/* All in one transaction: a bundle that is not whole never was. */
static int
prepare(struct export *x, bool *old, struct err *err)
{
	bool in_doubt;

	if (db_begin(x->cli->db, err) != 0)
		return -1;
	if (open_round(x, old, err) != 0 ||
	    (!*old && make_bundle(x, err) != 0)) {
		db_rollback(x->cli->db);
		return -1;
	}
	return db_commit(x->cli->db, &in_doubt, err);
}

/* From the table, whether it was made now or long ago: the same bytes. */
static int
write_parts(struct export *x, int fd, const char *path, struct err *err)
{
	char part[16];
	struct db_param p[2] = { DB_TEXT(x->round), DB_TEXT(part) };
	PGresult *res;
	unsigned i;
	int rows, rc;

	for (i = 0;; i++) {
		snprintf(part, sizeof part, "%u", i);
		res = db_exec_bin(x->cli->db, "airgap_parts", p, 2, err);
		if (res == NULL)
			return -1;
		rows = PQntuples(res);
		rc = rows == 0 ? 0 : file_write_all(fd, db_field(res, 0, 0));
		if (rc != 0)
			err_set(err, ERR_DENIED, "%s: %s; the round is kept: "
			    "export writes it again", path, strerror(errno));
		PQclear(res);
		if (rows == 0 || rc != 0)
			return rc;
	}
}

static int
write_file(struct export *x, const char *path, struct err *err)
{
	char *beside;
	int fd = bundle_create(path, 0600, &beside, err);

	return fd == -1 ? -1 : bundle_settle(fd, beside, path,
	    write_parts(x, fd, path, err), err);
}

static int
print_export(struct export *x, bool old, const char *path, struct err *err)
{
	PGresult *res = db_exec_bin(x->cli->db, "airgap_last", NULL, 0, err);
	struct out *o;
	char text[80] = "";

	if (res == NULL)
		return -1;
	if (PQntuples(res) > 0 && db_field(res, 0, 1).n == BUNDLE_HASH) {
		if (x->cli->json)
			hex_encode(db_field(res, 0, 1).p, BUNDLE_HASH, text);
		else
			bundlekey_fingerprint(db_field(res, 0, 1).p, text);
	}
	PQclear(res);
	o = out_new(cols, OUT_RECORD);
	out_add(o, x->round);
	out_bool(o, old);
	out_add(o, path);
	out_add(o, text);
	return cli_print_done(x->cli, o, "the file is written", err);
}

int
cmd_airgap_export(struct cli *c, const struct args *a, struct err *err)
{
	struct export x = { .cli = c };
	bool old = false;
	int rc = -1;

	if (airgap_conf(c, err) != 0 || cli_db(c, err) != 0)
		return -1;
	if (gethostname(x.maker, sizeof x.maker - 1) != 0 ||
	    !slice_is_text(slice_str(x.maker)))
		snprintf(x.maker, sizeof x.maker, "countersign");
	x.key = bundlekey_private(c->conf->airgap_key, err);
	if (x.key != NULL && (x.policy = cli_policy(c, err)) != NULL &&
	    prepare(&x, &old, err) == 0 &&
	    write_file(&x, a->pos[0], err) == 0)
		rc = print_export(&x, old, a->pos[0], err);
	PQclear(x.wishes);
	bundle_out_free(x.out);
	policy_free(x.policy);
	bundlekey_free(x.key);
	return rc;
}
