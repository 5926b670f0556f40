#include <string.h>

#include "agents.h"
#include "signer.h"

static int
load_target(struct signer *s, const struct request *r, struct agency *a,
    struct err *err)
{
	char name[129];

	if (r->requester_name == NULL)
		return 0;
	if (agent_target(r, name, err) == -1)
		return -1;
	return snapshot_account(s->snapshot, name, &a->target, err);
}

int
agents_load(struct signer *s, const struct request *r, int64_t now,
    struct agency *a, struct err *err)
{
	size_t i;

	a->now = now;
	if (!agent_wanted(r))
		return 0;
	for (i = 0; i < r->nsigner; i++) {
		if (snapshot_certificate(s->snapshot, r->signer[i].serial,
		    &a->row[i], err) == -1)
			return -1;
	}
	return load_target(s, r, a, err);
}

void
agents_free(struct signer *s, struct agency *a)
{
	size_t i;

	for (i = 0; i < 2; i++)
		cert_row_free(a->row[i]);
	if (a->target != NULL)
		snapshot_account_put(s->snapshot, a->target);
	memset(a, 0, sizeof(*a));
}
