/*
 * How this process is doing: one line for "countersign doctor", by the path
 * of any request, up to a signer and back.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "pong.h"
#include "status.h"

/* Plain text of our own programs; a quote is all that could disturb. */
static void
put_text(struct buf *b, const char *name, struct slice s)
{
	size_t	i;

	buf_printf(b, "\"%s\":\"", name);
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, s.p[i] < 0x20 ? ' ' : s.p[i]);
	}
	buf_addc(b, '"');
}

static void
put_policy(struct buf *b, uint64_t version, const uint8_t hash[32])
{
	buf_printf(b, "\"version\":%" PRIu64 ",\"policy\":\"", version);
	buf_hex(b, hash, 32);
	buf_addc(b, '"');
}

static int
ping(struct link *link, int64_t now, struct buf *reply, struct answer *answer,
    struct err *err)
{
	struct ask	ask = { .call = CALL_PING, .method = AUTH_ANONYMOUS,
			    .sent_at = now };
	struct buf	msg = { 0 };
	int		ok;

	msg_new_id(now / 1000, ask.id);
	ask_encode(&ask, &msg);
	ok = link_call(link, ask.id, buf_slice(&msg), reply, err);
	buf_free(&msg);
	return ok == -1 ? -1 : answer_decode(buf_slice(reply), answer, err);
}

static void
put_signer(struct buf *b, struct link *link, int64_t now)
{
	struct err	err = ERR_INIT;
	struct answer	answer;
	struct buf	reply = { 0 };
	struct pong	p;

	buf_puts(b, "\"signer\":{");
	if (ping(link, now, &reply, &answer, &err) == -1 ||
	    pong_of(&answer, &p, &err) == -1)
		put_text(b, "error", slice_str(err.text));
	else {
		put_text(b, "name", p.signer);
		buf_addc(b, ',');
		if (p.version == 0)
			put_text(b, "error", answer.text);
		else
			put_policy(b, p.version, p.policy_hash);
	}
	buf_free(&reply);
	buf_puts(b, "}");
}

void
status_write(struct snapshot *snap, struct link *link, struct buf *b)
{
	const struct policy	*policy;
	struct err		 err = ERR_INIT;
	int64_t			 now = unix_usec() / 1000;

	buf_printf(b, "{\"pid\":%d,\"now\":%" PRId64 ",", (int)getpid(), now);
	policy = snapshot_policy(snap, false, &err);
	if (policy != NULL) {
		put_policy(b, policy->version, policy->sha256);
		snapshot_put(snap, policy);
	} else
		put_text(b, "error", slice_str(err.text));
	buf_addc(b, ',');
	put_signer(b, link, now);
	buf_puts(b, "}\n");
}
