/*
 * CES between serve.c and the link: the ask that goes to a signer, its
 * answer, and the RequestSecurityTokenResponseCollection that the client
 * gets.
 */
#include <string.h>

#include <openssl/rand.h>

#include "ns.h"
#include "req.h"

static enum msg_call
call_of(const struct rst *rst)
{
	return rst->call == RST_QUERY ? CALL_QUERY :
	    rst->call == RST_KET ? CALL_KET : CALL_ISSUE;
}

/*
 * The same message again gets the same answer ([security] X10): the same id,
 * which has no NUL, template and token.  A query, and a message without an id,
 * is never the same as another.
 */
static int
replay_key(const struct req *r, struct ask *a, struct err *err)
{
	struct slice	name = r->env.message_id;
	struct buf	id = { 0 };

	if (a->call == CALL_ISSUE && name.n != 0) {
		buf_add(&id, name.p, name.n);
		buf_addc(&id, 0);
		if (r->rst.template != NULL)
			buf_puts(&id, r->rst.template);
	} else if (RAND_bytes(buf_extend(&id, 16), 16) != 1) {
		buf_free(&id);
		return err_openssl(err, "random number");
	}
	msg_replay_key(a->account, buf_slice(&id), a->token, a->replay_key);
	buf_free(&id);
	return 0;
}

static int
fill(const struct req *r, struct ask *a, struct err *err)
{
	a->call = call_of(&r->rst);
	memcpy(a->id, r->id, sizeof(a->id));
	a->sent_at = r->now;
	a->ca = slice_str(r->http.ca);
	a->method = r->http.auth;
	a->account = slice_str(r->account != NULL ? r->account->name : "");
	a->address = slice_str(r->http.address);
	a->evidence = buf_slice(&r->cert);
	a->token = buf_slice(&r->rst.token);
	if (r->rst.template != NULL)
		a->hint[a->nhint++] = slice_str(r->rst.template);
	a->number = r->rst.number;
	return replay_key(r, a, err);
}

int
ces_compose(const struct req *r, bool newer, struct buf *out, struct err *err)
{
	const struct policy	*policy;
	struct ask		 a = { 0 };
	bool			 known;

	if (fill(r, &a, err) == -1)
		return -1;
	policy = snapshot_policy(r->s->snap, newer, err);
	if (policy == NULL)
		return -1;
	memcpy(a.policy_hash, policy->sha256, sizeof(a.policy_hash));
	known = policy_ca_find(policy, r->http.ca) != NULL;
	snapshot_put(r->s->snap, policy);
	if (!known)
		return err_set(err, ERR_INTERNAL,
		    "CS_CA %.64s: no CA of the policy", r->http.ca);
	ask_encode(&a, out);
	return 0;
}

/* What a client must be able to rely on. */
static int
check_success(enum msg_call call, const struct answer *a, struct err *err)
{
	bool	bare = call == CALL_KET && a->status == MSG_ISSUED;

	if ((!bare && (a->number == 0 || a->response.n == 0)) ||
	    (a->status == MSG_ISSUED && a->certificate.n == 0))
		return err_set(err, ERR_INTERNAL,
		    "the signer's answer lacks something");
	return 0;
}

static int
judge(enum msg_call call, const struct answer *a, struct err *err)
{
	int		 n = (int)a->text.n;
	const char	*text = (const char *)a->text.p;

	switch (a->status) {
	case MSG_ISSUED:
	case MSG_PENDING:
		return check_success(call, a, err);
	case MSG_DENIED:
		return err_deny(err, a->hresult, "%.*s", n, text);
	case MSG_MALFORMED:
		return err_bad(err, a->hresult, "%.*s", n, text);
	case MSG_POLICY_CHANGED:
		return 1;
	case MSG_UNAVAILABLE:	/* which it keeps to itself */
		return err_set(err, ERR_UNAVAILABLE,
		    "the signer cannot answer now: its log says why");
	case MSG_ELSEWHERE:
		return err_set(err, ERR_UNAVAILABLE,
		    "no signer has the key of this ca and can work");
	case MSG_PONG:
	case MSG_STATUS:
		break;
	}
	return err_set(err, ERR_INTERNAL, "unexpected answer of the signer");
}

int
ces_read(struct req *r, struct err *err)
{
	struct answer	*a = &r->reply.answer;

	if (answer_decode(buf_slice(&r->reply.bytes), a, err) == -1)
		return -1;
	if (memcmp(a->id, r->id, MSG_ID) != 0)
		return err_set(err, ERR_INTERNAL,
		    "the signer answers another request");
	return judge(call_of(&r->rst), a, err);
}

void
ces_reply_free(struct ces_reply *r)
{
	buf_free(&r->bytes);
	*r = (struct ces_reply){ 0 };
}

static void
put_token(struct xmlw *w, const char *type, struct slice der)
{
	xmlw_open(w, "BinarySecurityToken");
	xmlw_attr_str(w, "ValueType", type);
	xmlw_attr_str(w, "EncodingType", ENCODING_BASE64);
	xmlw_attr_str(w, "xmlns", NS_WSSE);
	xmlw_base64(w, der);
	xmlw_close(w);
}

/* [MS-WSTEP] 3.1.4.1.3.4, KeyExchangeToken: the certificate and no more. */
static void
put_exchange(struct xmlw *w, const struct answer *a)
{
	xmlw_open(w, "RequestedSecurityToken");
	xmlw_open(w, "KeyExchangeToken");
	put_token(w, TOKEN_X509, a->certificate);
	xmlw_close(w);
	xmlw_close(w);
}

/* A CA's name may have blanks; a URI may not ([RFC3986] 2). */
static void
put_reference(struct xmlw *w, const char *uri)
{
	struct buf	b = { 0 };

	for (; *uri != '\0'; uri++)
		if (*uri == ' ')
			buf_puts(&b, "%20");
		else
			buf_addc(&b, (uint8_t)*uri);
	xmlw_open(w, "Reference");
	xmlw_attr(w, "URI", buf_slice(&b));
	xmlw_close(w);
	buf_free(&b);
}

/* Pending: [MS-WSTEP] 3.1.4.1.3.2, the server names its own URI. */
static void
put_requested(struct xmlw *w, const struct answer *a, const char *uri)
{
	xmlw_open(w, "RequestedSecurityToken");
	if (a->status == MSG_ISSUED)
		put_token(w, TOKEN_X509, a->certificate);
	else {
		xmlw_open(w, "SecurityTokenReference");
		xmlw_attr_str(w, "xmlns", NS_WSSE);
		put_reference(w, uri);
		xmlw_close(w);
	}
	xmlw_close(w);
}

/* The order is that of AD CS; WWSAPI reads no other. */
static void
put_issued(struct xmlw *w, const struct answer *a, const char *uri)
{
	xmlw_open(w, "DispositionMessage");
	xmlw_attr_str(w, "xml:lang", "en-US");
	xmlw_attr_str(w, "xmlns", NS_WSTEP);
	xmlw_text(w, slice_str(a->status == MSG_ISSUED ? "Issued" :
	    "Taken Under Submission"));
	xmlw_close(w);
	put_token(w, VALUE_PKCS7, a->response);
	put_requested(w, a, uri);
	xmlw_open(w, "RequestID");
	xmlw_attr_str(w, "xmlns", NS_WSTEP);
	xmlw_number(w, a->number);
	xmlw_close(w);
}

void
ces_write(const struct rst *rst, const struct answer *a, const char *uri,
    struct xmlw *w)
{
	xmlw_open(w, "RequestSecurityTokenResponseCollection");
	xmlw_attr_str(w, "xmlns", NS_WST);
	xmlw_open(w, "RequestSecurityTokenResponse");
	if (rst->context != NULL)
		xmlw_attr_str(w, "Context", rst->context);
	xmlw_leaf_str(w, "TokenType", TOKEN_X509);
	if (rst->call == RST_KET)
		put_exchange(w, a);
	else
		put_issued(w, a, uri);
	xmlw_close(w);
	xmlw_close(w);
}
