/*
 * The two messages between worker and signer: all that crosses the trust
 * boundary is read and written here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "derfield.h"
#include "msg.h"

#define MSG_VERSION	1
#define MSG_HINTS	(sizeof(((struct ask *)0)->hint) / \
			    sizeof(((struct ask *)0)->hint[0]))

/* Longest values; the sum stays below MSG_MAX. */
#define MAX_NAME	256	/* ca, account, template */
#define MAX_ADDRESS	64
#define MAX_HINT	512
#define MAX_TEXT	512
#define MAX_OPERATOR	64
#define MAX_REASON	200
#define MAX_TOKEN	(64 * 1024)
#define MAX_EVIDENCE	(64 * 1024)
#define MAX_RESPONSE	(160 * 1024)
#define MAX_CERT	(64 * 1024)

/* The outer SEQUENCE and its version, which the rest depends on. */
static int
open_message(struct slice s, struct der *d, const char *what, struct err *err)
{
	uint64_t	version;

	if (s.n > MSG_MAX)
		return err_set(err, ERR_TOO_BIG, "%s: %zu octets, limit %d",
		    what, s.n, MSG_MAX);
	if (der_only(s, DER_SEQ, d, what, err) == -1 ||
	    der_uint(d, &version, what, err) == -1)
		return -1;
	if (version != MSG_VERSION)
		return err_bad(err, 0, "%s: version %llu", what,
		    (unsigned long long)version);
	return 0;
}

const char *
msg_status_name(enum msg_status status)
{
	static const char *const names[] = {
		[MSG_ISSUED] = "issued",
		[MSG_PENDING] = "pending",
		[MSG_DENIED] = "denied",
		[MSG_MALFORMED] = "malformed",
		[MSG_POLICY_CHANGED] = "policy-changed",
		[MSG_UNAVAILABLE] = "unavailable",
		[MSG_PONG] = "pong",
		[MSG_STATUS] = "status",
		[MSG_ELSEWHERE] = "elsewhere"
	};

	return names[status];
}

bool
ask_decides(const struct ask *a)
{
	return a->call == CALL_APPROVE || a->call == CALL_DENY;
}

static void
put_verdict(struct buf *b, const struct verdict *v)
{
	size_t	mark;

	mark = der_open(b, DER_SEQ);
	der_put(b, DER_OCTETS, v->request, sizeof(v->request));
	der_put_slice(b, DER_UTF8, v->operator);
	der_put_slice(b, DER_UTF8, v->reason);
	der_put_slice(b, DER_UTF8, v->subject);
	der_close(b, mark);
}

void
ask_encode(const struct ask *a, struct buf *b)
{
	size_t	mark, hints, i;

	mark = der_open(b, DER_SEQ);
	der_put_uint(b, MSG_VERSION);
	der_put_enum(b, a->call);
	der_put(b, DER_OCTETS, a->id, sizeof(a->id));
	der_put(b, DER_OCTETS, a->replay_key, sizeof(a->replay_key));
	der_put(b, DER_OCTETS, a->policy_hash, sizeof(a->policy_hash));
	der_put_uint(b, (uint64_t)a->sent_at);
	der_put_slice(b, DER_UTF8, a->ca);
	der_put_uint(b, a->method);
	der_put_slice(b, DER_UTF8, a->account);
	der_put_slice(b, DER_UTF8, a->address);
	der_put_slice(b, DER_OCTETS, a->token);
	hints = der_open(b, DER_SEQ);
	for (i = 0; i < a->nhint; i++)
		der_put_slice(b, DER_UTF8, a->hint[i]);
	der_close(b, hints);
	der_put_uint(b, a->number);
	der_put_slice(b, DER_OCTETS, a->evidence);
	if (ask_decides(a))
		put_verdict(b, &a->verdict);
	der_close(b, mark);
}

/* One bit of enum auth_method; a ping is made by nobody. */
static int
get_method(struct der *d, struct ask *a, struct err *err)
{
	uint32_t	v = 0;

	if (der_u32(d, &v, "ask.method", err) == -1)
		return -1;
	if (v == 0 && a->call == CALL_PING)
		v = AUTH_ANONYMOUS;
	if (v != AUTH_ANONYMOUS && v != AUTH_KERBEROS && v != AUTH_PASSWORD &&
	    v != AUTH_CERTIFICATE && v != AUTH_OPERATOR)
		return err_bad(err, 0, "ask.method: unknown value %u", v);
	a->method = v;
	return 0;
}

static int
get_hints(struct der *d, struct ask *a, struct err *err)
{
	struct der	in;

	if (der_enter(d, DER_SEQ, &in, "ask.hints", err) == -1)
		return -1;
	while (!der_done(&in)) {
		if (a->nhint == MSG_HINTS)
			return err_bad(err, 0, "ask.hints: more than %zu",
			    MSG_HINTS);
		if (der_text(&in, &a->hint[a->nhint], MAX_HINT, "ask.hints",
		    err) == -1)
			return -1;
		a->nhint++;
	}
	return 0;
}

static int
get_ask_head(struct der *d, struct ask *a, struct err *err)
{
	unsigned	call;
	uint64_t	sent_at;

	if (der_enum(d, CALL_KET, &call, "ask.call", err) == -1 ||
	    der_fixed(d, a->id, sizeof(a->id), "ask.id", err) == -1 ||
	    der_fixed(d, a->replay_key, sizeof(a->replay_key),
	    "ask.replayKey", err) == -1 ||
	    der_fixed(d, a->policy_hash, sizeof(a->policy_hash),
	    "ask.policyHash", err) == -1 ||
	    der_uint(d, &sent_at, "ask.sentAt", err) == -1)
		return -1;
	a->call = call;
	a->sent_at = (int64_t)sent_at;
	return 0;
}

static int
get_ask_body(struct der *d, struct ask *a, struct err *err)
{
	if (der_text(d, &a->ca, MAX_NAME, "ask.ca", err) == -1 ||
	    get_method(d, a, err) == -1 ||
	    der_text(d, &a->account, MAX_NAME, "ask.account", err) == -1 ||
	    der_text(d, &a->address, MAX_ADDRESS, "ask.address", err) == -1 ||
	    der_octets(d, &a->token, MAX_TOKEN, "ask.token", err) == -1 ||
	    get_hints(d, a, err) == -1 ||
	    der_u32(d, &a->number, "ask.number", err) == -1 ||
	    der_octets(d, &a->evidence, MAX_EVIDENCE, "ask.evidence",
	    err) == -1)
		return -1;
	if ((a->call == CALL_ISSUE || a->call == CALL_OCSP) &&
	    a->token.n == 0)
		return err_bad(err, 0, "ask.token: empty");
	if (a->call == CALL_QUERY && a->number == 0)
		return err_bad(err, 0, "ask.number: 0 in a query");
	/* Which peers may say "operator" is in the signer's allow-list. */
	if (ask_decides(a) && a->method != AUTH_OPERATOR)
		return err_bad(err, 0, "ask.method: only operators decide");
	return 0;
}

static int
get_verdict(struct der *d, struct verdict *v, struct err *err)
{
	struct der	in;

	if (der_enter(d, DER_SEQ, &in, "ask.verdict", err) == -1 ||
	    der_fixed(&in, v->request, sizeof(v->request),
	    "ask.verdict.request", err) == -1 ||
	    der_text(&in, &v->operator, MAX_OPERATOR, "ask.verdict.operator",
	    err) == -1 ||
	    der_text(&in, &v->reason, MAX_REASON, "ask.verdict.reason",
	    err) == -1 ||
	    der_text(&in, &v->subject, MAX_HINT, "ask.verdict.subject",
	    err) == -1)
		return -1;
	return der_end(&in, "ask.verdict", err);
}

int
ask_decode(struct slice s, struct ask *out, struct err *err)
{
	struct der	d;
	struct ask	a = { 0 };

	if (open_message(s, &d, "ask", err) == -1 ||
	    get_ask_head(&d, &a, err) == -1 ||
	    get_ask_body(&d, &a, err) == -1 ||
	    (ask_decides(&a) && get_verdict(&d, &a.verdict, err) == -1) ||
	    der_end(&d, "ask", err) == -1)
		return -1;
	*out = a;
	return 0;
}

void
answer_encode(const struct answer *a, struct buf *b)
{
	size_t	mark;

	mark = der_open(b, DER_SEQ);
	der_put_uint(b, MSG_VERSION);
	der_put(b, DER_OCTETS, a->id, sizeof(a->id));
	der_put_enum(b, a->status);
	der_put_uint(b, a->hresult);
	der_put_slice(b, DER_UTF8, a->text);
	der_put_uint(b, a->number);
	der_put_slice(b, DER_UTF8, a->template_name);
	der_put_slice(b, DER_OCTETS, a->response);
	der_put_slice(b, DER_OCTETS, a->certificate);
	der_close(b, mark);
}

static int
read_answer(struct slice s, struct answer *out, struct err *err)
{
	struct der	d;
	struct answer	a = { 0 };
	unsigned	status;

	if (open_message(s, &d, "answer", err) == -1 ||
	    der_fixed(&d, a.id, sizeof(a.id), "answer.id", err) == -1 ||
	    der_enum(&d, MSG_ELSEWHERE, &status, "answer.status", err) == -1 ||
	    der_u32(&d, &a.hresult, "answer.hresult", err) == -1 ||
	    der_text(&d, &a.text, MAX_TEXT, "answer.text", err) == -1 ||
	    der_u32(&d, &a.number, "answer.number", err) == -1 ||
	    der_text(&d, &a.template_name, MAX_NAME, "answer.template",
	    err) == -1 ||
	    der_octets(&d, &a.response, MAX_RESPONSE, "answer.response",
	    err) == -1 ||
	    der_octets(&d, &a.certificate, MAX_CERT, "answer.certificate",
	    err) == -1 ||
	    der_end(&d, "answer", err) == -1)
		return -1;
	a.status = status;
	*out = a;
	return 0;
}

/* Never ERR_MALFORMED: that is told to the client, as his own mistake. */
int
answer_decode(struct slice s, struct answer *out, struct err *err)
{
	struct err	why = ERR_INIT;

	if (read_answer(s, out, &why) == 0)
		return 0;
	return err_set(err, ERR_INTERNAL, "%s", why.text);
}

bool
answer_is_elsewhere(struct slice s)
{
	struct err	ignored = ERR_INIT;
	struct answer	a;

	return answer_decode(s, &a, &ignored) == 0 &&
	    a.status == MSG_ELSEWHERE;
}

static void
put_day(int64_t now, uint8_t out[2])
{
	uint64_t	day = now < 0 ? 0 : (uint64_t)now / 86400;

	if (day > UINT16_MAX)
		day = UINT16_MAX;
	out[0] = (uint8_t)(day >> 8);
	out[1] = (uint8_t)day;
}

void
msg_new_id(int64_t now, uint8_t out[MSG_ID])
{
	put_day(now, out);
	/* An id that can be guessed or repeats is worse than no service. */
	if (getentropy(out + 2, MSG_ID - 2) == -1)
		abort();
}

/* Lengths in front, or "ab" + "c" would hash like "a" + "bc". */
static int
hash_part(EVP_MD_CTX *ctx, struct slice s)
{
	uint8_t	be[8];

	be64_put(s.n, be);
	return EVP_DigestUpdate(ctx, be, sizeof(be)) == 1 &&
	    EVP_DigestUpdate(ctx, s.p, s.n) == 1;
}

void
msg_replay_key(struct slice account, struct slice message_id,
    struct slice token, uint8_t out[MSG_ID])
{
	EVP_MD_CTX	*ctx;
	uint8_t		 md[EVP_MAX_MD_SIZE];

	ctx = EVP_MD_CTX_new();
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    !hash_part(ctx, account) || !hash_part(ctx, message_id) ||
	    !hash_part(ctx, token) || EVP_DigestFinal_ex(ctx, md, NULL) != 1)
		abort();	/* only without memory */
	EVP_MD_CTX_free(ctx);
	memcpy(out, md, MSG_ID);
}
