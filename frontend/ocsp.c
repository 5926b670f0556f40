/*
 * OCSP: the stored answer, or a signer's.  A request comes from serve.c
 * without envelope or account; a signer's answer is waited for by the thread
 * that asks.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base64.h"
#include "db.h"
#include "digest.h"
#include "log.h"
#include "ocspreq.h"
#include "req.h"

/* Caches between may keep an answer so long: a revocation is not late. */
#define MAX_AGE		300
#define PATH_MAX_OCTETS	((size_t)8192)
#define CLOCKS_APART	60	/* s, a signer's and ours: see job_open.c */
#define TAG_MAX		(2 * 32 + 3)	/* SHA-256 in hex, quotes */

struct ocsp {
	pthread_mutex_t	 lock;
	struct db	*db;
};

static const struct db_stmt	statements[] = {
	{ "answer", "SELECT der, "
	    "floor(extract(epoch FROM this_update))::bigint, "
	    "floor(extract(epoch FROM next_update))::bigint "
	    "FROM countersign.ocsp "
	    "WHERE ca = $1 AND serial = $2 AND hash = $3::smallint", 3 },
	{ NULL, NULL, 0 }
};

struct ocsp *
ocsp_new(const char *dsn)
{
	struct ocsp	*o = xcalloc(1, sizeof(*o));

	pthread_mutex_init(&o->lock, NULL);
	o->db = db_open(dsn, statements, NULL);
	return o;
}

void
ocsp_free(struct ocsp *o)
{
	if (o == NULL)
		return;
	db_close(o->db);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

/* The stored answer, if there is one: 1, 0 for none. */
static int
load(struct ocsp *o, const char *ca, const struct ocsp_id *id,
    struct ocsp_reply *out, struct err *err)
{
	const struct db_param	 p[] = {
		DB_TEXT(ca), DB_BIN(id->serial.p, id->serial.n),
		DB_TEXT(id->hash == OCSP_SHA1 ? "1" : "2")
	};
	PGresult		*r;
	int			 n;

	pthread_mutex_lock(&o->lock);
	r = db_exec_bin(o->db, "answer", p, 3, err);
	pthread_mutex_unlock(&o->lock);
	if (r == NULL)
		return -1;
	n = PQntuples(r);
	if (n == 1) {
		buf_reset(&out->der);
		buf_add(&out->der, PQgetvalue(r, 0, 0),
		    (size_t)PQgetlength(r, 0, 0));
		out->this_update = db_int(r, 0, 1);
		out->next_update = db_int(r, 0, 2);
	}
	PQclear(r);
	return n;
}

/*
 * One that lasts for a while yet; after half its life it is made anew.  So is
 * one from the future: a clock was wrong, and nobody would believe it.
 */
static bool
is_fresh(const struct ocsp_reply *r, int64_t now)
{
	int64_t	made = r->this_update + ISSUED_EARLY;

	return made <= now + CLOCKS_APART &&
	    now < made + (r->next_update - made) / 2;
}

static int
unescape(const char *s, struct buf *out, struct err *err)
{
	uint8_t	c;

	for (; *s != '\0' && *s != '?'; s++) {
		if (*s != '%') {
			buf_addc(out, (uint8_t)*s);
			continue;
		}
		if (s[1] == '\0' || hex_decode((char []){ s[1], s[2], '\0' },
		    &c, 1) == -1)
			return err_bad(err, 0, "path: %% without two digits");
		buf_addc(out, c);
		s += 2;
	}
	return 0;
}

int
ocsp_path(const char *target, const char *uri, struct buf *out,
    struct err *err)
{
	const char	*path = strstr(uri, "://");
	struct buf	 text = { 0 };
	size_t		 n;
	int		 rc = -1;

	path = path == NULL ? NULL : strchr(path + 3, '/');
	n = path == NULL ? 0 : strlen(path);
	if (n == 0 || strncmp(target, path, n) != 0 || target[n] != '/')
		return err_bad(err, 0, "path: no question in it");
	if (strlen(target) > PATH_MAX_OCTETS)
		return err_set(err, ERR_TOO_BIG, "path: limit %zu octets",
		    PATH_MAX_OCTETS);
	/* Behind an address that ends in a slash some put another. */
	target += n + strspn(target + n, "/");
	if (unescape(target, &text, err) == 0)
		rc = base64_decode((const char *)text.p, text.n,
		    OCSP_REQUEST_MAX, out, err);
	buf_free(&text);
	return rc;
}

/* The key that is asked about, by name; ERR_DENIED when it is none of ours. */
static int
find_key(const struct policy *p, const struct ocsp_id *id, char **key,
    bool *nonce, struct err *err)
{
	const struct policy_key	*k;
	size_t			 i, n;

	for (i = 0; i < p->ncas; i++)
		for (n = 0; n < p->cas[i].nkeys; n++) {
			k = &p->cas[i].keys[n];
			if (!ocsp_is_issuer(id, buf_slice(&k->cert)))
				continue;
			*key = xstrdup(k->name);
			*nonce = p->cas[i].ocsp_nonce;
			return 0;
		}
	return err_set(err, ERR_DENIED, "issuer is no ca of ours");
}

static int
ask_signer(const struct req *r, const char *ca, struct slice question,
    struct ocsp_reply *out, struct err *err)
{
	struct ask	a = {
		.call = CALL_OCSP, .method = AUTH_ANONYMOUS,
		.sent_at = r->now, .ca = slice_str(ca), .token = question,
		.address = slice_str(r->http.address)
	};
	struct answer	answer;
	struct buf	msg = { 0 }, bytes = { 0 };
	int		rc;

	memcpy(a.id, r->id, sizeof(a.id));
	ask_encode(&a, &msg);
	rc = link_call(r->s->link, r->id, buf_slice(&msg), &bytes, err);
	if (rc == 0)
		rc = answer_decode(buf_slice(&bytes), &answer, err);
	if (rc == 0 && (memcmp(answer.id, r->id, MSG_ID) != 0 ||
	    answer.status != MSG_STATUS || answer.response.n == 0))
		rc = err_set(err, ERR_UNAVAILABLE, "signer: no answer: %.*s",
		    answer.text.n < 100 ? (int)answer.text.n : 100,
		    (const char *)answer.text.p);
	if (rc == 0) {
		buf_reset(&out->der);
		buf_add(&out->der, answer.response.p, answer.response.n);
		out->this_update = out->next_update = 0;
	}
	buf_free(&msg);
	buf_free(&bytes);
	return rc;
}

/*
 * From the database while fresh; else a signer makes a new one; if none can,
 * the old one is still true until its end.
 */
static int
fetch(struct req *r, const char *ca, struct slice question,
    const struct ocsp_id *id, struct err *err)
{
	struct ocsp_reply	kept = { .this_update = 0 }, *out = &r->ocsp;
	struct err		why = ERR_INIT;
	int			have;

	have = load(r->s->ocsp, ca, id, out, &why);
	out->from = "database";
	if (have == 1 && is_fresh(out, r->now / 1000))
		return 0;
	memset(&why, 0, sizeof(why));
	if (ask_signer(r, ca, question, &kept, &why) == -1) {
		buf_free(&kept.der);
		if (have == 1 && r->now / 1000 < out->next_update)
			return 0;
		buf_free(&out->der);
		return err_set(err, why.kind, "%s", why.text);
	}
	/* Its times, if it was kept. */
	if (load(r->s->ocsp, ca, id, out, &why) != 1 ||
	    !slice_eq(buf_slice(&out->der), buf_slice(&kept.der))) {
		buf_free(&out->der);
		*out = kept;
	} else
		buf_free(&kept.der);
	out->from = "signer";
	return 0;
}

static int
answer_question(struct req *r, struct slice question, struct err *err)
{
	const struct policy	*policy;
	struct ocsp_request	 q;
	char			*ca = NULL;
	bool			 nonce = false;
	int			 rc;

	if (ocsp_request_parse(question, &q, err) == -1 ||
	    (policy = snapshot_policy(r->s->snap, false, err)) == NULL)
		return -1;
	rc = find_key(policy, &q.id[0], &ca, &nonce, err);
	snapshot_put(r->s->snap, policy);
	if (rc == -1)
		return -1;
	r->ocsp.from = "signer";
	if (q.n == 1 && q.id[0].usual && !(nonce && q.nonce.p != NULL))
		rc = fetch(r, ca, question, &q.id[0], err);
	else
		rc = ask_signer(r, ca, question, &r->ocsp, err);
	free(ca);
	return rc;
}

int
ocsp_answer(struct req *r, struct err *err)
{
	struct buf	question = { 0 };
	int		rc;

	if (r->http.target == NULL)
		return answer_question(r, buf_slice(&r->in), err);
	rc = ocsp_path(r->http.target, r->http.uri, &question, err);
	if (rc == 0)
		rc = answer_question(r, buf_slice(&question), err);
	buf_free(&question);
	return rc;
}

/* [RFC6960] 4.2.1 OCSPResponseStatus; [RFC5019] 2.2.3 unauthorized. */
static uint8_t
failure(const struct err *err)
{
	switch (err->kind) {
	case ERR_MALFORMED:
	case ERR_TOO_BIG:
		return 1;	/* malformedRequest */
	case ERR_DENIED:
		return 6;	/* unauthorized */
	case ERR_UNAVAILABLE:
		return 3;	/* tryLater */
	default:
		return 2;	/* internalError */
	}
}

static void
put_date(FCGX_Stream *out, const char *name, int64_t t)
{
	char		text[64];
	struct tm	tm;
	time_t		when = (time_t)t;

	if (gmtime_r(&when, &tm) == NULL || strftime(text, sizeof(text),
	    "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		return;
	FCGX_FPrintF(out, "%s: %s\r\n", name, text);
}

/* [RFC5019] 6.2. */
static void
put_caching(const struct ocsp_reply *r, const char *tag, int64_t now,
    FCGX_Stream *out)
{
	int64_t	age = r->next_update - now;

	put_date(out, "Last-Modified", r->this_update);
	put_date(out, "Expires", r->next_update);
	FCGX_FPrintF(out, "ETag: %s\r\nCache-Control: max-age=%d, public, "
	    "no-transform, must-revalidate\r\n", tag,
	    (int)(age < MAX_AGE ? age : MAX_AGE));
}

/* With its quotes. */
static void
make_tag(const struct ocsp_reply *r, char tag[TAG_MAX])
{
	uint8_t	md[32];
	char	hex[2 * sizeof(md) + 1];

	digest_sha256(buf_slice(&r->der), md);
	hex_encode(md, sizeof(md), hex);
	snprintf(tag, TAG_MAX, "\"%s\"", hex);
}

static void
put_body(struct slice body, FCGX_Stream *out)
{
	FCGX_FPrintF(out, "Content-Length: %lu\r\n"
	    "Content-Type: application/ocsp-response\r\n\r\n",
	    (unsigned long)body.n);
	FCGX_PutStr((const char *)body.p, (int)body.n, out);
}

/*
 * If-Modified-Since is not read: the answers before and after a revocation
 * can be of one second, and who holds the first must not be told to keep it.
 */
void
ocsp_write(const struct req *r, FCGX_Stream *out)
{
	const uint8_t	status[] = { 0x30, 3, 0x0a, 1, failure(&r->err) };
	bool		refused = r->err.kind != ERR_NONE, known;
	char		tag[TAG_MAX];

	if (refused || r->ocsp.next_update <= r->now / 1000) {
		FCGX_PutS("Status: 200 OK\r\nCache-Control: no-store\r\n",
		    out);
		put_body(refused ? slice_of(status, sizeof(status)) :
		    buf_slice(&r->ocsp.der), out);
		return;
	}
	make_tag(&r->ocsp, tag);
	known = r->http.none_match != NULL &&
	    http_names_tag(r->http.none_match, tag);
	FCGX_PutS(known ? "Status: 304 Not Modified\r\n" :
	    "Status: 200 OK\r\n", out);
	put_caching(&r->ocsp, tag, r->now / 1000, out);
	if (known)
		FCGX_PutS("\r\n", out);
	else
		put_body(buf_slice(&r->ocsp.der), out);
}

void
ocsp_log(const struct req *r)
{
	struct log_line	l;

	log_begin(&l, "request");
	log_id(&l, "id", r->id);
	log_str(&l, "service", "ocsp");
	log_str(&l, "call", r->http.target != NULL ? "get" : "post");
	log_str(&l, "outcome", r->err.kind != ERR_NONE ? "refused" :
	    "answered");
	if (r->err.kind == ERR_NONE)
		log_str(&l, "from", r->ocsp.from);
	else {
		log_str(&l, "kind", err_kind_name(r->err.kind));
		log_str(&l, "text", r->err.text);
	}
	log_str(&l, "address", r->http.address);
	log_end(&l);
}
