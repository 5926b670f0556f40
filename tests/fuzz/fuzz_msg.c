/*
 * What crosses the trust boundary, both ways.  A signer reads what a worker
 * sent that may be another's by now, a worker what a signer sent.  Whatever is
 * accepted has one encoding, but for a ping's method, which may be none.
 */
#include <stdlib.h>

#include "pong.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Which of two encodings of a ping comes back is no matter, but one does. */
static void
check_ask(struct slice s)
{
	struct err	 err = ERR_INIT;
	struct buf	 again = { 0 }, twice = { 0 };
	struct ask	 a, b;

	if (ask_decode(s, &a, &err) == -1) {
		if (err.kind != ERR_MALFORMED && err.kind != ERR_TOO_BIG)
			abort();
		return;
	}
	ask_encode(&a, &again);
	if (a.call != CALL_PING && !slice_eq(buf_slice(&again), s))
		abort();
	if (ask_decode(buf_slice(&again), &b, &err) == -1)
		abort();
	ask_encode(&b, &twice);
	if (!slice_eq(buf_slice(&again), buf_slice(&twice)))
		abort();
	buf_free(&again);
	buf_free(&twice);
}

static void
check_pong(const struct answer *a)
{
	struct err	 err = ERR_INIT;
	struct buf	 again = { 0 };
	struct pong	 p;

	if (pong_decode(a->response, &p, &err) == -1) {
		if (err.kind != ERR_MALFORMED && err.kind != ERR_TOO_BIG)
			abort();
		return;
	}
	pong_encode(&p, &again);
	if (!slice_eq(buf_slice(&again), a->response))
		abort();
	buf_free(&again);
}

static void
check_answer(struct slice s)
{
	struct err	 err = ERR_INIT;
	struct buf	 again = { 0 };
	struct answer	 a;

	if (answer_decode(s, &a, &err) == -1) {
		if (err.kind != ERR_INTERNAL || answer_is_elsewhere(s))
			abort();
		return;
	}
	if (answer_is_elsewhere(s) != (a.status == MSG_ELSEWHERE) ||
	    msg_status_name(a.status) == NULL)
		abort();
	answer_encode(&a, &again);
	if (!slice_eq(buf_slice(&again), s))
		abort();
	buf_free(&again);
	check_pong(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_ask(slice_of(data, n));
	check_answer(slice_of(data, n));
	return 0;
}
