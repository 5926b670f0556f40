/*
 * Whom a request was signed by, and for whom: what job.c has to know before
 * decide() judges an agent.
 */
#include <string.h>

#include "agents.h"
#include "signer.h"

/* Of a vault's book no account comes along: its desk has looked. */
static int
load_signers(struct signer *s, struct agency *a, struct err *err)
{
	const struct account *who;
	size_t i;

	for (i = 0; i < REQUEST_SIGNERS; i++) {
		if (a->row[i] == NULL)
			continue;
		if (snapshot_account(s->snapshot, a->row[i]->account, &who,
		    err) == -1)
			return -1;
		a->disabled[i] = who != NULL && who->disabled;
		snapshot_account_put(s->snapshot, who);
	}
	return 0;
}

static int
load_target(struct signer *s, const struct decide_ask *in, struct agency *a,
    struct err *err)
{
	char name[129];

	if (in->request->requester_name == NULL)
		return 0;
	if (agent_target(in->policy, in->request, name, err) == -1)
		return -1;
	return snapshot_account(s->snapshot, name, &a->target, err);
}

int
agents_load(struct signer *s, const struct decide_ask *in, struct agency *a,
    struct err *err)
{
	a->now = in->now;
	if (!agent_wanted(in->request))
		return 0;
	memcpy(a->row, in->issued, sizeof(a->row));
	if (load_signers(s, a, err) == -1)
		return -1;
	return load_target(s, in, a, err);
}

void
agents_free(struct signer *s, struct agency *a)
{
	if (a->target != NULL)
		snapshot_account_put(s->snapshot, a->target);
	memset(a, 0, sizeof(*a));
}
