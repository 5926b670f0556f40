/*
 * The ledger: what a signer decided and signed, append-only, one JSON object
 * a line, hash-chained.  Every line is
 *	{"seq":N,"prev":"<hex>","at":"<UTC>","type":"<t>",<fields>,
 *	"hash":"<hex>"}
 * where hash is SHA-256 over the line's bytes before ,"hash" and prev is the
 * hash of the line before (64 zeros for the first).
 *
 * Types and their fields (strings; ids, serials and hashes in lower-case hex;
 * rows in base64, as common/rowform.h tells):
 *	start	signer, prefix, epoch (of its lease), deployment, policy
 *		(SHA-256); with an audit key also audit (it) and entries
 *		(between two heads)
 *	head	signer, sig: of the entry before (common/head.h); kept: entry
 *		of the last head that the database is known to have
 *	intent	id, serial, ca, account, template, policy, worker,
 *		tbs (SHA-256), request and decision (rows): before signing
 *	issued	id, serial, ca, certificate (DER in base64), row: after signing
 *	denied	id, ca, account, template, policy, worker, text, request,
 *		decision
 *	pending	id, ca, account, template, policy, worker, request, decision,
 *		token (SHA-256 of the request's bytes), bytes and evidence
 *		(base64)
 *	intent, denied, pending: also agent, when it enrolls on behalf of
 *		account, and renews, the serial of the certificate renewed
 *	intent, denied: also approver, when the request was pending; such an
 *		entry has a decision and no request
 *	intent: also spends (the account), when a one-time secret is used up
 *	approved	as pending, with approver and no request: of a ca
 *		behind an air gap
 *	airgap-in, airgap-out	round, bundle (its SHA-256), policy,
 *		deployment: in the vault, taken and answered
 *	done	ids (comma between): their transaction is committed
 *	segment	signer, prefix, and of one request that was committed last id,
 *		serial, ca and status, and key (n and at) of the last audit
 *		row: first in each file but the oldest
 *	numbers	ca, number, listed: of its lists, behind a segment
 *	void	id, ca: has no row, and with a serial: may have been signed
 *	crl	ca, number, tbs (digest): before signing a revocation list; a
 *		delta also has base
 *	void, crl: in the vault also time (unix seconds)
 *	listed	ca, number, row: it is committed
 *	revoked, released	ca, change, serial, date, reason, until,
 *		who, note: before the first list or answer that tells it; in
 *		microseconds since 1970 or "infinity"
 *	responder	ca, serial, tbs (SHA-256): before signing the
 *		certificate of an OCSP responder
 *	responder-issued	ca, serial, certificate: it is committed
 *	audit	n, row: the next of the table of what operators did
 *	signatures	ca, count: how often the CA's key was used since the
 *		entry before, for certificates, answers, lists, all
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <sys/types.h>

#include "buf.h"
#include "err.h"

struct ledger;

/*
 * Open for appending, creating the folder's file "ledger" if it and older
 * ones are absent; locks it (one signer only) and verifies its chain, and
 * that it follows the file before, if that is there.  A torn last line (a
 * crash before fdatasync) is cut off; any other damage is an error.  NULL:
 * ERR_INTERNAL, also when another signer has it.  One thread.
 */
struct ledger	*ledger_open(const char *dir, struct err *);
void		 ledger_close(struct ledger *);
/*
 * What ledger_open would say, while a signer may be at work: locks nothing and
 * changes nothing.  *seen is untouched on failure.
 */
enum ledger_seen {
	LEDGER_ABSENT,		/* a new one would be begun */
	LEDGER_FREE,
	LEDGER_IN_USE		/* another process has it locked */
};
int		 ledger_look(const char *dir, enum ledger_seen *,
		    struct err *);
/*
 * The clock was found right: unix seconds minus those of log_usec.  Where it
 * then steps by more than LEDGER_SLACK seconds entries keep the time that it
 * would show, until this says another: a time from the future bars the way
 * back.
 */
#define LEDGER_SLACK	5
void		 ledger_clock(struct ledger *, int64_t clock);
/*
 * Buffer one entry; fields is JSON without the braces: "\"id\":\"..\",...".
 * One of more than a MiB could not be read again: the next ledger_write or
 * ledger_sync fails for it.
 */
void		 ledger_add(struct ledger *, const char *type,
		    struct slice fields);
/*
 * Write what is buffered: it outlives this process, but not the host.  A
 * failure (ERR_UNAVAILABLE) is as final as that of ledger_sync.
 */
int		 ledger_write(struct ledger *, struct err *);
/*
 * Write what is buffered and fdatasync.  After a failure every later call
 * fails too: a ledger that may have lost bytes is never trusted again, until
 * ledger_open has read it anew.  ERR_UNAVAILABLE.
 */
int		 ledger_sync(struct ledger *, struct err *);
bool		 ledger_unsynced(const struct ledger *);	/* is there any? */
/*
 * Begin a new file with what is buffered, a "segment" first; the one before
 * is "ledger.N" from then on, N the number of its last entry in 20 digits.
 * To be called only when that entry was synced.  Afterwards the new entries
 * are as durable as by ledger_sync, and a failure is as final.
 */
int		 ledger_turn(struct ledger *, struct err *);
off_t		 ledger_size(const struct ledger *);	/* that file's bytes */
uint64_t	 ledger_seq(const struct ledger *);	/* of the last entry */
const char	*ledger_hash(const struct ledger *);	/* its hash; lent */
int64_t		 ledger_last_time(const struct ledger *); /* unix seconds */

/* Append "\"key\":\"escaped value\"" with a leading comma when n > 0. */
void		 ledger_field(struct buf *, const char *key, struct slice);
void		 ledger_field_hex(struct buf *, const char *key,
		    const uint8_t *, size_t);
void		 ledger_field_base64(struct buf *, const char *key,
		    struct slice);
/* In decimal: a string like the others. */
void		 ledger_field_num(struct buf *, const char *key, int64_t);

struct ledger_entry {
	uint64_t	 seq;
	const char	*type;		/* NUL ended, valid during the call */
	const char	*line;		/* the whole line, NUL ended */
	const char	*hash;		/* its own: 64 hex digits, no NUL */
	off_t		 end;		/* where it ends, in the bytes of all
					   files that are walked */
};
/* Value of a top-level string field, unescaped, into out; -1 if absent. */
int		 ledger_get(const struct ledger_entry *, const char *key,
		    struct buf *out);
/*
 * A field as what it stands for: n octets in hex; base64, decoded and
 * appended.  ERR_INTERNAL when it is absent or something else.
 */
int		 ledger_get_hex(const struct ledger_entry *, const char *key,
		    uint8_t *, size_t n, struct err *);
int		 ledger_get_base64(const struct ledger_entry *,
		    const char *key, struct buf *out, struct err *);
/* A number in decimal; -1, and *out as it was, for anything else. */
int		 ledger_get_num(const struct ledger_entry *, const char *key,
		    int64_t *out);
/* Always -1: this entry has a bad one of these (ERR_INTERNAL). */
int		 ledger_bad(const struct ledger_entry *, const char *what,
		    struct err *);
/*
 * Walk and verify a ledger, all its files, while a signer may write to it: a
 * last line without an end is passed over.  Stops with an error (ERR_INTERNAL)
 * that names the line at the first damage, or when the callback returns -1.
 */
int		 ledger_walk(const char *dir,
		    int (*cb)(void *, const struct ledger_entry *,
		    struct err *), void *, struct err *);
/* Bytes of all its files now; 0 if it cannot be read. */
off_t		 ledger_total(const char *dir);
/* From the file on that has entry seq; 0 or a later one: the newest only. */
int		 ledger_walk_from(const char *dir, uint64_t seq,
		    int (*cb)(void *, const struct ledger_entry *,
		    struct err *), void *, struct err *);

#endif
