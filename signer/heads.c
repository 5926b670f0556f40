/* Signed heads of the ledger: between batches, at start and at the end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "head.h"
#include "heads.h"
#include "journal.h"
#include "log.h"
#include "signer.h"

struct heads {
	struct audit_key	*key;
	uint64_t		 last;		/* entry number of the last */
	uint64_t		 kept;		/* ... that the database has */
	int64_t			 next;		/* unix seconds */
};

int
heads_open(struct signer *s, struct err *err)
{
	struct audit_key *key;

	if (s->conf->audit_key == NULL)
		return 0;
	if ((key = audit_key_load(s->conf->audit_key, err)) == NULL)
		return -1;
	s->heads = xcalloc(1, sizeof(*s->heads));
	s->heads->key = key;
	return 0;
}

void
heads_free(struct heads *h)
{
	if (h == NULL)
		return;
	audit_key_free(h->key);
	free(h);
}

void
heads_known(struct signer *s, uint64_t seq)
{
	if (s->heads != NULL)
		s->heads->kept = seq;
}

void
heads_start(const struct signer *s, struct buf *fields)
{
	if (s->heads == NULL)
		return;
	ledger_field(fields, "audit", slice_str(audit_key_pub(s->heads->key)));
	ledger_field_num(fields, "entries", s->conf->head_entries);
}

/* Opened each time: somebody may have moved it away to rotate it. */
static int
append(const char *path, struct buf *line, struct err *err)
{
	int rc, fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
	    O_NOCTTY, 0644);

	if (fd == -1)
		return err_set(err, ERR_UNAVAILABLE, "head-file %s: %s", path,
		    strerror(errno));
	buf_addc(line, '\n');
	rc = file_write_all(fd, buf_slice(line));
	if (rc == 0 && fsync(fd) == -1 && errno != EINVAL && errno != EROFS)
		rc = -1;		/* EINVAL: a pipe, a device */
	line->n--;
	if (rc == -1)
		err_set(err, ERR_UNAVAILABLE, "head-file %s: %s", path,
		    strerror(errno));
	close(fd);
	return rc;
}

/* The database may be away: it gets the next one. */
static void
tell_database(struct signer *s, const struct head *h, const char *line)
{
	struct store_head copy = { .seq = h->seq };
	struct err err = ERR_INIT;

	if (s->rolled_back)
		return;
	memcpy(copy.hash, h->hash, sizeof(copy.hash));
	if (store_head_put(s->store, &copy, line, &err) == -1)
		log_note("head", "%s", err.text);
	else
		s->heads->kept = h->seq;
}

static int
copy_out(struct signer *s, const struct head *h, struct err *err)
{
	struct buf line = { 0 };
	int rc = 0;

	head_put(&line, h);
	if (s->conf->head_syslog)
		syslog(LOG_AUTHPRIV | LOG_NOTICE, "%s", buf_str(&line));
	if (s->conf->head_file != NULL)
		rc = append(s->conf->head_file, &line, err);
	if (rc == 0)
		tell_database(s, h, buf_str(&line));
	buf_free(&line);
	return rc;
}

int
heads_now(struct signer *s, struct err *err)
{
	struct heads *heads = s->heads;
	struct buf f = { 0 };
	struct head h;

	if (heads == NULL || ledger_seq(s->ledger) == heads->last)
		return 0;
	memset(&h, 0, sizeof(h));
	snprintf(h.signer, sizeof(h.signer), "%s", s->conf->name);
	h.seq = ledger_seq(s->ledger);
	memcpy(h.hash, ledger_hash(s->ledger), sizeof(h.hash));
	head_sign(&h, heads->key);
	ledger_field(&f, "signer", slice_str(h.signer));
	ledger_field_hex(&f, "sig", h.sig, sizeof(h.sig));
	/* A restored database has an older one, or what reconcile put there. */
	if (s->rolled_back)
		heads->kept = 0;
	if (heads->kept > 0)
		ledger_field_num(&f, "kept", (int64_t)heads->kept);
	ledger_add(s->ledger, "head", buf_slice(&f));
	buf_free(&f);
	heads->last = ledger_seq(s->ledger);
	/* Nobody is told of what a crash may still take back. */
	if (journal_sync(s, err) == -1)
		return -1;
	/* The copy is of that entry itself, which nothing follows yet. */
	h.seq = heads->last;
	memcpy(h.hash, ledger_hash(s->ledger), sizeof(h.hash));
	head_sign(&h, heads->key);
	return copy_out(s, &h, err);
}

int
heads_round(struct signer *s, int64_t now, struct err *err)
{
	struct heads *h = s->heads;
	uint64_t n;

	if (h == NULL || (n = ledger_seq(s->ledger) - h->last) == 0)
		return 0;
	/* What an old database lacks is put back only up to a head. */
	if (n < (uint64_t)s->conf->head_entries && now < h->next &&
	    !s->rolled_back)
		return 0;
	h->next = now + s->conf->head_interval;
	return heads_now(s, err);
}
