/*
 * A message to a signer, over the link that workers use, as the operator: for
 * approve and deny, request submit, ping and doctor.
 */
#include "ask.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

/* An operator waits longer than a client would. */
#define TRY_MS		5000
#define TOTAL_MS	15000

static struct link_pool *
open_pool(struct cli *c, const struct cconf_signer *only, struct err *err)
{
	const struct cconf_signer *s = only != NULL ? only : c->conf->signers;
	size_t i, n = only != NULL ? 1 : c->conf->nsigners;
	struct link_keys keys;
	struct link_endpoint *at;
	struct link_pool *pool = NULL;

	if (n == 0 || c->conf->key_file == NULL) {
		err_set(err, ERR_DENIED, "%.100s: no signer and key-file",
		    c->conf->path);
		return NULL;
	}
	memset(&keys, 0, sizeof keys);
	at = xcalloc(n, sizeof *at);
	for (i = 0; i < n; i++)
		at[i] = s[i].at;	/* borrowed */
	if (link_keys_load(c->conf->key_file, &keys, err) == 0)
		pool = link_pool_new(at, n, &keys, err);
	link_keys_free(&keys);
	free(at);
	return pool;
}

static int
call(struct link_pool *pool, struct ask *ask, struct buf *reply,
    struct err *err)
{
	struct buf msg = { 0 };
	int64_t now = unix_usec() / 1000;
	struct link *l;
	int rc;

	msg_new_id(now / 1000, ask->id);
	/* Each run is a message of its own: its id stands for MessageID. */
	msg_replay_key(ask->account, slice_of(ask->id, sizeof ask->id),
	    ask->token, ask->replay_key);
	ask->sent_at = now;
	ask_encode(ask, &msg);
	if ((l = link_new(pool, TRY_MS, TOTAL_MS, err)) == NULL)
		rc = -1;
	else
		rc = link_call(l, ask->id, buf_slice(&msg), reply, err);
	link_free(l);
	buf_free(&msg);
	return rc;
}

int
ask_signer(struct cli *c, const struct cconf_signer *only, struct ask *ask,
    struct buf *reply, struct answer *answer, struct err *err)
{
	struct link_pool *pool;
	int rc;

	if (cli_conf(c, err) != 0 || (pool = open_pool(c, only, err)) == NULL)
		return -1;
	rc = call(pool, ask, reply, err);
	if (rc == 0)
		rc = answer_decode(buf_slice(reply), answer, err);
	if (rc == 0 && memcmp(answer->id, ask->id, sizeof ask->id) != 0)
		rc = err_set(err, ERR_UNAVAILABLE,
		    "the signer answered another request");
	link_pool_free(pool);
	return rc;
}
