/*
 * The ledger: what a signer decided and signed, append-only, one JSON object
 * a line, hash-chained.  Every line is
 *	{"seq":N,"prev":"<hex>","at":"<UTC>","type":"<t>",<fields>,"hash":"<hex>"}
 * where hash is SHA-256 over the line's bytes before ,"hash" and prev is the
 * hash of the line before (64 zeros for the first).
 *
 * Types and their fields (strings; ids, serials and hashes in lower-case hex):
 *	start	signer, policy (SHA-256)
 *	intent	id, serial, ca, account, template, policy, worker,
 *		tbs (SHA-256): before signing
 *	issued	id, serial, ca, certificate (DER in base64): after signing
 *	denied	id, ca, account, template, policy, worker, text
 *	pending	id, ca, account, template, policy, worker
 *	intent, pending: also agent, when it enrolls on behalf of account
 *	intent, denied: also approver, when the request was pending
 *	pending: also token (SHA-256 of the request's bytes)
 *	done	ids (comma between): their transaction is committed
 *	void	id, serial, ca: may have been signed, has no row
 *	crl	ca, number, tbs (digest): before signing a revocation list
 *	responder	ca, serial, tbs (SHA-256): before signing the
 *		certificate of an OCSP responder
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "buf.h"
#include "err.h"

struct ledger;

/*
 * Open for appending, creating the folder's file "ledger" if absent; locks it
 * (one signer only) and verifies the whole chain.  A torn last line (a crash
 * before fdatasync) is cut off; any other damage is an error.
 */
struct ledger	*ledger_open(const char *dir, struct err *);
void		 ledger_close(struct ledger *);
/* Buffer one entry; fields is JSON without the braces: "\"id\":\"..\",...". */
void		 ledger_add(struct ledger *, const char *type,
		    struct slice fields);
/*
 * Write what is buffered and fdatasync.  After a failure every later call
 * fails too: a ledger that may have lost bytes is never trusted again.
 */
int		 ledger_sync(struct ledger *, struct err *);
uint64_t	 ledger_seq(const struct ledger *);	/* of the last entry */
int64_t		 ledger_last_time(const struct ledger *); /* unix seconds */

/* Append "\"key\":\"escaped value\"" with a leading comma when n > 0. */
void		 ledger_field(struct buf *, const char *key, struct slice);
void		 ledger_field_hex(struct buf *, const char *key,
		    const uint8_t *, size_t);
void		 ledger_field_num(struct buf *, const char *key, int64_t);

struct ledger_entry {
	uint64_t	 seq;
	const char	*type;		/* NUL ended, valid during the call */
	const char	*line;		/* the whole line, NUL ended */
};
/* Value of a top-level string field, unescaped, into out; -1 if absent. */
int		 ledger_get(const struct ledger_entry *, const char *key,
		    struct buf *out);
/*
 * Walk and verify a ledger file.  Stops with an error that names the line at
 * the first damage, or when the callback returns -1.
 */
int		 ledger_walk(const char *dir,
		    int (*cb)(void *, const struct ledger_entry *,
		    struct err *), void *, struct err *);

#endif
