/*
 * cert revoke, cert release, and what account disable --revoke needs: marks
 * rows; the next list and OCSP answer are a signer's (signer/crlmake.c).
 */
#include "commands.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "file.h"
#include "log.h"
#include "progress.h"

const struct opt opts_cert_revoke[] = {
	{ "reason", "NAME", "required: unspecified, keyCompromise, "
	    "affiliationChanged, superseded, cessationOfOperation, "
	    "certificateHold or privilegeWithdrawn", false },
	{ "account", "NAME", "what this account holds", false },
	{ "template", "NAME", "made from this template", false },
	{ "key", "SHA256", "with this public key (spki_sha256 of cert show)",
	    false },
	{ "request", "ID", "issued to this request: id or number", false },
	{ "since", "WHEN", "issued from then on: a time (UTC) or 7d (ago)",
	    false },
	{ "until", "WHEN", "issued until then", false },
	{ "file", "FILE", "the serial numbers that its lines begin with, as "
	    "of cert list; - is standard input", false },
	{ "earlier", "CA", "these serial numbers are of certificates that "
	    "this CA issued before it came here", false },
	{ "note", "TEXT", "why, for the record", false },
	{ "dry-run", NULL, "only tell which", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_cert_release[] = {
	{ "earlier", "CA", "they are of certificates that this CA issued "
	    "before it came here", false },
	{ "note", "TEXT", "why, for the record", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "serial", OUT_TEXT }, { "account", OUT_TEXT },
	{ "template", OUT_TEXT }, { "subject", OUT_TEXT },
	{ "not_after", OUT_TEXT }, { "outcome", OUT_TEXT },
	{ NULL, OUT_TEXT }
};
#define OUTCOME	5	/* its column */
#define STEP	1000	/* certificates revoked in one transaction */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define UTF8_MARK	"\xef\xbb\xbf"	/* what Excel begins UTF-8 with */
#define SETTLE_S	30	/* as long as db.c waits for an answer */

static const struct out_col released_cols[] = {
	{ "serial", OUT_TEXT }, { "outcome", OUT_TEXT }, { NULL, OUT_TEXT }
};

/* [RFC5280] 5.3.1, those that make sense for an end entity. */
static const struct {
	const char	*name, *code;
} reasons[] = {
	{ "unspecified", "0" }, { "keyCompromise", "1" },
	{ "affiliationChanged", "3" }, { "superseded", "4" },
	{ "cessationOfOperation", "5" }, { "certificateHold", "6" },
	{ "privilegeWithdrawn", "9" },
};
#define NREASONS (sizeof reasons / sizeof reasons[0])

/* The number, as text; NULL: none was given, or it is none. */
static const char *
reason_code(struct cli *c, const char *name, struct err *err)
{
	size_t i;

	for (i = 0; name != NULL && i < NREASONS; i++)
		if (strcasecmp(reasons[i].name, name) == 0)
			return reasons[i].code;
	if (name == NULL)
		cli_usage(c, err, "--reason is required");
	else
		cli_usage(c, err, "reason %.40s: must be unspecified, "
		    "keyCompromise, affiliationChanged, superseded, "
		    "cessationOfOperation, certificateHold or "
		    "privilegeWithdrawn", name);
	return NULL;
}

/* Parameters of cert_revoke; NULL selects nothing. */
enum { BY_SERIAL, BY_ACCOUNT, BY_TEMPLATE, BY_KEY, BY_SINCE, BY_UNTIL,
    BY_REQUEST, REASON, NOTE, DRY_RUN, MATCH };

struct match {
	struct strlist	 list;		/* serial numbers, capitals */
	struct buf	 serials;	/* the same, as PostgreSQL takes them */
	char		 account[129], since[24], until[24], request[33];
	const char	*v[MATCH];
};

static int
add_serial(struct cli *c, struct match *m, const char *typed, struct err *err)
{
	char hex[41], *p;

	if (serial_parse(c, typed, hex, err) != 0)
		return -1;
	for (p = hex; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	strlist_add(&m->list, hex);
	return 0;
}

/* The first column: a heading is none, nor what people have noted with "#". */
static int
add_line(struct cli *c, struct match *m, char *line, struct err *err)
{
	char *word = line + strspn(line, " \t\"");

	word[strcspn(word, " \t\r\",;")] = '\0';
	if (*word == '\0' || *word == '#' || strcasecmp(word, "serial") == 0)
		return 0;
	return add_serial(c, m, word, err);
}

static int
add_file(struct cli *c, const struct args *a, struct match *m,
    struct err *err)
{
	const char *path = args_get(a, "file");
	struct err why = ERR_INIT;
	struct buf text = { 0 };
	char *line, *rest;
	unsigned n = 0;
	int rc = 0;

	if (path == NULL)
		return 0;
	if (file_read(path, FILE_MAX, &text, err) != 0)
		return -1;
	rest = buf_str(&text);
	if (strlen(rest) != text.n)
		rc = cli_usage(c, err, "%.100s: has NUL bytes; is it UTF-16?",
		    path);
	if (strncmp(rest, UTF8_MARK, strlen(UTF8_MARK)) == 0)
		rest += strlen(UTF8_MARK);
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
		n++;
		if ((rc = add_line(c, m, line, &why)) != 0)
			err_set(err, why.kind, "%.100s:%u: %s; nothing was "
			    "revoked", path, n, why.text);
	}
	if (rc == 0 && m->list.n == 0)
		rc = cli_usage(c, err, "%.100s: no serial number is in it",
		    path);
	buf_free(&text);
	return rc;
}

/* Hex digits need no quotes in PostgreSQL's text form of an array. */
static int
match_serials(struct cli *c, const struct args *a, struct match *m,
    struct err *err)
{
	size_t i;

	for (i = 0; i < a->npos; i++)
		if (add_serial(c, m, a->pos[i], err) != 0)
			return -1;
	if (add_file(c, a, m, err) != 0)
		return -1;
	if (m->list.n == 0)
		return 0;
	for (i = 0; i < m->list.n; i++)
		buf_printf(&m->serials, "%c%s", i == 0 ? '{' : ',',
		    m->list.v[i]);
	buf_addc(&m->serials, '}');
	m->v[BY_SERIAL] = buf_str(&m->serials);
	return 0;
}

static bool
is_hex(const char *s, size_t n)
{
	uint8_t octets[32];

	return strlen(s) == 2 * n && hex_decode(s, octets, n) == 0;
}

static int
match_key(struct cli *c, const struct args *a, struct match *m,
    struct err *err)
{
	const char *s = args_get(a, "key");

	if (s != NULL && !is_hex(s, 32))
		return cli_usage(c, err, "--key: 64 hex digits, not %.70s",
		    s);
	m->v[BY_KEY] = s;
	return 0;
}

/* The number that clients are told leads to the id. */
static int
number_to_id(struct cli *c, const char *number, char id[33], struct err *err)
{
	PGresult *res = cli_query(c, "request_by_number", &number, 1, err);
	int rc = -1;

	if (res == NULL)
		return -1;
	if (PQntuples(res) == 0)
		err_set(err, ERR_DENIED, "no request %s", number);
	else if (PQntuples(res) > 1)
		err_set(err, ERR_DENIED, "%d requests have the number %s: "
		    "take an id, from request show", PQntuples(res), number);
	else {
		snprintf(id, 33, "%s", PQgetvalue(res, 0, 0));
		rc = 0;
	}
	PQclear(res);
	return rc;
}

static int
match_request(struct cli *c, const struct args *a, struct match *m,
    struct err *err)
{
	const char *s = args_get(a, "request");
	struct err why = ERR_INIT;
	int64_t number;

	if (s == NULL)
		return 0;
	m->v[BY_REQUEST] = s;
	if (is_hex(s, 16))
		return 0;
	if (number_parse(s, 1, INT32_MAX, &number, &why) != 0)
		return cli_usage(c, err, "--request: " REQUEST_ID_FORM
		    ", not %.70s", s);
	m->v[BY_REQUEST] = m->request;
	return number_to_id(c, s, m->request, err);
}

static int
match_time(struct cli *c, const struct args *a, const char *opt, char out[24],
    struct err *err)
{
	int64_t t;

	if (!args_has(a, opt))
		return 0;
	if (cli_time(args_get(a, opt), &t, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	snprintf(out, 24, "%" PRId64, t);
	return 0;
}

static int
selectors(const struct match *m)
{
	int i, n = 0;

	for (i = 0; i < REASON; i++)
		n += m->v[i] != NULL;
	return n;
}

/* At least one thing that selects: nobody revokes all by leaving it out. */
static int
match_read(struct cli *c, const struct args *a, struct match *m,
    struct err *err)
{
	if (match_serials(c, a, m, err) != 0 ||
	    match_key(c, a, m, err) != 0 ||
	    match_request(c, a, m, err) != 0 ||
	    match_time(c, a, "since", m->since, err) != 0 ||
	    match_time(c, a, "until", m->until, err) != 0 ||
	    (args_has(a, "account") && cli_account(c,
	    args_get(a, "account"), m->account, err) != 0))
		return -1;
	if (args_has(a, "account"))
		m->v[BY_ACCOUNT] = m->account;
	m->v[BY_TEMPLATE] = args_get(a, "template");
	if (m->since[0] != '\0')
		m->v[BY_SINCE] = m->since;
	if (m->until[0] != '\0')
		m->v[BY_UNTIL] = m->until;
	if (selectors(m) == 0)
		return cli_usage(c, err, "which certificates: serial "
		    "numbers, or at least one of --file, --account, "
		    "--template, --key, --request, --since, --until");
	if (m->v[BY_SINCE] != NULL && m->v[BY_UNTIL] != NULL &&
	    strtoll(m->since, NULL, 10) > strtoll(m->until, NULL, 10))
		return cli_usage(c, err, "--until is before --since");
	if (args_has(a, "earlier") && (m->v[BY_SERIAL] == NULL ||
	    selectors(m) != 1))
		return cli_usage(c, err, "--earlier takes serial numbers "
		    "alone: of these certificates nothing else is known");
	m->v[NOTE] = args_get(a, "note");
	m->v[DRY_RUN] = args_has(a, "dry-run") ? "t" : "f";
	return 0;
}

/* A mistyped number among good ones: nothing is revoked. */
static int
check_all_there(const struct strlist *want, const PGresult *res,
    struct err *err)
{
	struct strlist found = { 0 };
	size_t i;
	int row;

	for (row = 0; row < PQntuples(res); row++)
		strlist_add(&found, PQgetvalue(res, row, 0));
	strlist_sort(&found);
	for (i = 0; i < want->n; i++)
		if (!strlist_find(&found, want->v[i]))
			break;
	strlist_free(&found);
	return i == want->n ? 0 : err_set(err, ERR_DENIED,
	    "no certificate %s%s", want->v[i], want->n > 1 ?
	    " (with this selection); nothing was revoked" : "");
}

/* What has a row here is no earlier certificate, whatever was said. */
static int
check_none_ours(const PGresult *res, struct err *err)
{
	int row;

	for (row = 0; row < PQntuples(res); row++)
		if (strcmp(PQgetvalue(res, row, OUTCOME), "ours") == 0)
			return err_set(err, ERR_DENIED, "certificate %s was "
			    "issued here: without --earlier",
			    PQgetvalue(res, row, 0));
	return 0;
}

static PGresult *
query(struct cli *c, const struct args *a, const char *const v[MATCH],
    struct err *err)
{
	if (!args_has(a, "earlier"))
		return cli_query(c, "cert_revoke", v, MATCH, err);
	return cli_query(c, "earlier_revoke", (const char *[]){
	    args_get(a, "earlier"), v[BY_SERIAL], v[REASON], v[NOTE],
	    v[DRY_RUN] }, 5, err);
}

/*
 * In a transaction, so that what follows can still say no: of want each must be
 * there.
 */
static PGresult *
revoke_matching(struct cli *c, const struct args *a, const char *const v[MATCH],
    const struct strlist *want, struct err *err)
{
	PGresult *res;
	bool in_doubt;

	if (cli_db(c, err) != 0 || db_begin(c->db, err) != 0)
		return NULL;
	res = query(c, a, v, err);
	if (res != NULL && check_none_ours(res, err) == 0 &&
	    check_all_there(want, res, err) == 0 &&
	    db_commit(c->db, &in_doubt, err) == 0)
		return res;
	PQclear(res);
	db_rollback(c->db);
	return NULL;
}

static bool
has_outcome(const PGresult *res, int row, const char *outcome)
{
	return strcmp(PQgetvalue(res, row, OUTCOME), outcome) == 0;
}

/* One row of a result. */
static void
add_row(struct out *o, const PGresult *res, int row)
{
	int col;

	for (col = 0; col <= OUTCOME; col++)
		out_add(o, PQgetisnull(res, row, col) ? NULL :
		    PQgetvalue(res, row, col));
}

/* A crowd, while its steps are revoked. */
struct crowd {
	struct cli	*c;
	const struct args *a;
	const struct match *m;
	struct out	*o;
	struct buf	 serials;
	size_t		 waiting, done, of;
	struct progress	 progress;
};

/* Those that wait, if they still match everything. */
static int
crowd_step(struct crowd *w, struct err *err)
{
	const struct strlist any = { 0 };
	const char *v[MATCH];
	struct err why = ERR_INIT;
	PGresult *res;
	int row;

	if (w->waiting == 0)
		return 0;
	progress_show(&w->progress, "certificates", w->done, w->of);
	memcpy(v, w->m->v, sizeof v);
	buf_addc(&w->serials, '}');
	v[BY_SERIAL] = buf_str(&w->serials);
	if ((res = revoke_matching(w->c, w->a, v, &any,
	    &why)) == NULL)
		return err_set(err, why.kind, "%zu of %zu are revoked, repeat "
		    "the command for the others: %s", w->done, w->of,
		    why.text);
	for (row = 0; row < PQntuples(res); row++)
		add_row(w->o, res, row);
	PQclear(res);
	w->done += w->waiting;
	w->waiting = 0;
	buf_reset(&w->serials);
	return 0;
}

/*
 * Whoever revokes holds up all others who do, and a hundred thousand take
 * minutes: somebody's key that was stolen meanwhile must not wait for them.
 */
static int
revoke_steps(struct crowd *w, const PGresult *all, struct err *err)
{
	int row, rc = 0;

	progress_begin(&w->progress, w->c->json);
	for (row = 0; row < PQntuples(all) && rc == 0; row++) {
		if (!has_outcome(all, row, "would")) {
			add_row(w->o, all, row);
			continue;
		}
		buf_printf(&w->serials, "%c%s", w->waiting == 0 ? '{' : ',',
		    PQgetvalue(all, row, 0));
		if (++w->waiting == STEP)
			rc = crowd_step(w, err);
	}
	if (rc == 0)
		rc = crowd_step(w, err);
	progress_end(&w->progress);
	buf_free(&w->serials);
	return rc;
}

/* In steps if they are many: then what is true of them now is in o. */
static int
revoke_crowd(struct cli *c, const struct args *a, const struct match *m,
    struct out *o, struct err *err)
{
	struct crowd w = { .c = c, .a = a, .m = m, .o = o };
	const char *v[MATCH];
	PGresult *all;
	int row, rc = 0;

	if ((m->list.n > 0 && m->list.n <= STEP) || args_has(a, "dry-run"))
		return 0;
	memcpy(v, m->v, sizeof v);
	v[DRY_RUN] = "t";
	if ((all = revoke_matching(c, a, v, &m->list, err)) == NULL)
		return -1;
	for (row = 0; row < PQntuples(all); row++)
		w.of += has_outcome(all, row, "would");
	if (w.of > STEP)
		rc = revoke_steps(&w, all, err);
	PQclear(all);
	return rc;
}

/* Behind a crowd only those are new that were issued meanwhile. */
static int
revoke_all(struct cli *c, const struct args *a, const struct match *m,
    struct out *o, struct err *err)
{
	bool crowd;
	PGresult *res;
	int row;

	if (revoke_crowd(c, a, m, o, err) != 0 ||
	    (res = revoke_matching(c, a, m->v, &m->list, err)) == NULL)
		return -1;
	crowd = out_rows(o) > 0;
	for (row = 0; row < PQntuples(res); row++)
		if (!crowd || has_outcome(res, row, "revoked"))
			add_row(o, res, row);
	PQclear(res);
	return 0;
}

int
cmd_cert_revoke(struct cli *c, const struct args *a, struct err *err)
{
	struct out *o = out_new(cols, OUT_TABLE);
	struct match m;
	int rc = -1;

	memset(&m, 0, sizeof m);
	m.v[REASON] = reason_code(c, args_get(a, "reason"), err);
	if (m.v[REASON] != NULL && match_read(c, a, &m, err) == 0)
		rc = revoke_all(c, a, &m, o, err);
	if (rc == 0 && out_rows(o) == 0)
		rc = err_set(err, ERR_DENIED, "no certificate matches all "
		    "of that; those that have ended are passed over");
	if (rc != 0)
		out_free(o);
	else
		rc = args_has(a, "dry-run") ? cli_print(c, o, err) :
		    cli_print_done(c, o, "they are revoked", err);
	buf_free(&m.serials);
	strlist_free(&m.list);
	return rc;
}

int
revoke_account(struct cli *c, const struct revocation *r, struct err *err)
{
	const char *v[MATCH] = { [BY_ACCOUNT] = r->account,
	    [REASON] = reason_code(c, r->reason, err), [NOTE] = r->note,
	    [DRY_RUN] = "f" };
	PGresult *res;
	int row, n = 0;

	if (v[REASON] == NULL ||
	    (res = cli_query(c, "cert_revoke", v, MATCH, err)) == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		n += strcmp(PQgetvalue(res, row, OUTCOME), "revoked") == 0;
	PQclear(res);
	return n;
}

/* 1: some of them go on; 0; or -1. */
static int
still_issuing(struct cli *c, const char *which, struct err *err)
{
	PGresult *res = cli_query(c, "issuing_still", &which, 1, err);
	int rc = res == NULL ? -1 : *PQgetvalue(res, 0, 0) == 't';

	PQclear(res);
	return rc;
}

/*
 * A COMMIT that waits for a standby, or for somebody's lock, takes as long as
 * it likes, and until then nobody sees its rows.
 */
int
revoke_settle(struct cli *c, struct err *err)
{
	const struct timespec one = { 1, 0 }, pause = { 0, 100000000 };
	int64_t end;
	PGresult *res;
	int rc;

	(void)nanosleep(&one, NULL);
	if ((res = cli_query(c, "issuing", NULL, 0, err)) == NULL)
		return -1;
	end = log_usec() + SETTLE_S * INT64_C(1000000);
	while ((rc = still_issuing(c, PQgetvalue(res, 0, 0), err)) == 1 &&
	    log_usec() < end)
		(void)nanosleep(&pause, NULL);
	PQclear(res);
	return rc != 1 ? rc : err_set(err, ERR_UNAVAILABLE, "that is done, "
	    "but a signer's transaction does not end for %d seconds: repeat "
	    "the command for what comes out of it", SETTLE_S);
}

int
revoke_again(struct cli *c, const struct revocation *r, struct err *err)
{
	bool in_doubt;
	int n;

	if (revoke_settle(c, err) != 0 || db_begin(c->db, err) != 0)
		return -1;
	if ((n = revoke_account(c, r, err)) < 0) {
		db_rollback(c->db);
		return -1;
	}
	return db_commit(c->db, &in_doubt, err) == 0 ? n : -1;
}

void
revoke_tell(const struct cli *c, int n)
{
	if (!c->json)
		fprintf(stderr, "%d certificates revoked\n", n);
}

/* What cert_release answers, and what that means. */
static int
judge_release(const char *answer, const char *hex, struct err *err)
{
	if (strcmp(answer, "released") == 0)
		return 0;
	if (strcmp(answer, "final") == 0)
		return err_set(err, ERR_DENIED, "certificate %s is revoked "
		    "for good: only certificateHold ends", hex);
	if (strcmp(answer, "ours") == 0)
		return err_set(err, ERR_DENIED, "certificate %s was issued "
		    "here: without --earlier", hex);
	if (strcmp(answer, "valid") == 0)
		return err_set(err, ERR_DENIED,
		    "certificate %s is not on hold", hex);
	return err_set(err, ERR_DENIED, "no certificate %s", hex);
}

static int
release(struct cli *c, const char *typed, const struct args *a, struct out *o,
    struct err *err)
{
	const char *earlier = args_get(a, "earlier");
	char hex[41], *p;
	/* Without --earlier from the second on. */
	const char *v[] = { earlier, hex, args_get(a, "note") };
	PGresult *res;
	int rc;

	if (serial_parse(c, typed, hex, err) != 0)
		return -1;
	res = earlier != NULL ? cli_query(c, "earlier_release", v, 3, err) :
	    cli_query(c, "cert_release", v + 1, 2, err);
	if (res == NULL)
		return -1;
	rc = judge_release(PQgetvalue(res, 0, 0), hex, err);
	PQclear(res);
	for (p = hex; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	out_add(o, hex);
	out_add(o, "released");
	return rc;
}

/* [RFC5280] 5.3.1: a hold ends, and the next delta says removeFromCRL. */
int
cmd_cert_release(struct cli *c, const struct args *a, struct err *err)
{
	struct out *o;
	bool in_doubt;
	size_t i;
	int rc = 0;

	if (cli_db(c, err) != 0 || db_begin(c->db, err) != 0)
		return -1;
	o = out_new(released_cols, OUT_TABLE);
	for (i = 0; i < a->npos && rc == 0; i++)
		rc = release(c, a->pos[i], a, o, err);
	if (rc == 0)
		rc = db_commit(c->db, &in_doubt, err);
	else
		db_rollback(c->db);
	/* People who get no complaint know. */
	if (rc == 0 && c->json)
		return cli_print_done(c, o, "they are released", err);
	out_free(o);
	return rc;
}
