/*
 * Which of this signer's keys signs for whom, by its own configuration, the
 * policy and the database: looked at in each batch, before anything is
 * decided.
 */
#include <string.h>

#include "caset.h"
#include "log.h"

/* The files are written before the row; once a second is often enough. */
static void
read_again(struct signer *s, size_t i, const struct policy_key *key)
{
	const struct sconf_ca *c = &s->conf->cas[i];
	struct ca *ca = s->cas[i];
	struct err err = ERR_INIT;
	int64_t now = log_usec() / 1000000;

	if (now < ca->next_read)
		return;
	ca->next_read = now + 1;
	/* Half of a file that is being written is passed over. */
	if (ca_read_again(ca, c->certificate, c->chain, &err) == -1)
		log_note("ca", "%s", err.text);
	else if (slice_eq(buf_slice(&ca->cert.der), buf_slice(&key->cert)))
		log_note("ca", "ca %s: has its next certificate", ca->name);
	else
		log_note("ca", "ca %s: the database has another certificate "
		    "than %s", ca->name, c->certificate);
}

/*
 * Whose key it is stands in our own configuration: else whoever writes to the
 * database could have one CA's key sign what only another may issue.
 */
static void
look(struct signer *s, const struct policy *p, size_t i)
{
	const struct policy_key *key;
	struct ca *ca = s->cas[i];
	const struct policy_ca *of = policy_key_find(p, ca->name, &key);

	ca->good = ca->in_use = false;
	if (of == NULL || strcmp(of->name, ca->of) != 0)
		return;
	if (!slice_eq(buf_slice(&ca->cert.der), buf_slice(&key->cert)))
		read_again(s, i, key);
	ca->good = slice_eq(buf_slice(&ca->cert.der), buf_slice(&key->cert));
	ca->in_use = strcmp(of->key, ca->name) == 0;
}

void
caset_look(struct signer *s, const struct policy *p)
{
	size_t i;

	for (i = 0; i < s->ncas; i++)
		look(s, p, i);
}

struct ca *
caset_key(const struct signer *s, struct slice name)
{
	size_t i;

	for (i = 0; i < s->ncas; i++)
		if (slice_is(name, s->cas[i]->name))
			return s->cas[i];
	return NULL;
}

struct ca *
caset_of(const struct signer *s, struct slice name)
{
	struct ca *found = NULL;
	size_t i;

	for (i = 0; i < s->ncas; i++) {
		if (!slice_is(name, s->cas[i]->of))
			continue;
		if (found == NULL || s->cas[i]->in_use)
			found = s->cas[i];
	}
	return found;
}
