/*
 * What crosses the air gap: one file each way and round (docs/airgap.md).  A
 * file is these DER values one behind another:
 *
 *	Head ::= [0] IMPLICIT SEQUENCE {
 *	  version       INTEGER (1),
 *	  kind          ENUMERATED { request(1), response(2) },
 *	  key           OCTET STRING (SIZE(32)),  -- SHA-256 of the maker's SPKI
 *	  deployment    UTF8String,               -- policy id
 *	  round         INTEGER,                  -- 1, 2, ...
 *	  previous      OCTET STRING (SIZE(32)),  -- SHA-256 of the file of the
 *	                          -- other side before; zeroes in request 1
 *	  madeAt        INTEGER,                  -- unix seconds
 *	  policyHash    OCTET STRING (SIZE(32)),
 *	  maker         UTF8String }
 *
 *	-- of a request bundle, in this order:
 *	Item ::= [1] IMPLICIT SEQUENCE {
 *	  id            OCTET STRING (SIZE(16)),  -- as in msg.h
 *	  number        INTEGER,
 *	  ca            UTF8String,
 *	  method        INTEGER,                  -- clientAuthentication
 *	  receivedAt    INTEGER,                  -- unix seconds
 *	  worker        UTF8String,
 *	  asker         UTF8String,               -- canonical name
 *	  template      UTF8String,
 *	  token         OCTET STRING,             -- the client's bytes
 *	  evidence      OCTET STRING,             -- client certificate or empty
 *	  accounts      SEQUENCE SIZE (1..3) OF Account,  -- asker first
 *	  approval      SEQUENCE {
 *	    decision    OCTET STRING (SIZE(16)),
 *	    approver    UTF8String,               -- an account, or empty
 *	    operator    UTF8String,
 *	    reason      UTF8String,
 *	    subject     UTF8String } OPTIONAL }   -- RFC 4514, or empty
 *	Account ::= SEQUENCE {                    -- as it was judged by
 *	  name, cn      UTF8String,
 *	  machine, disabled BOOLEAN,
 *	  dns [0], upn [1], email [2], dn [3], sid [4] IMPLICIT UTF8String
 *	                OPTIONAL,
 *	  groups        SEQUENCE OF UTF8String }
 *	Order ::= [2] IMPLICIT SEQUENCE {
 *	  ca            UTF8String,
 *	  change        INTEGER,                  -- counts the CA's
 *	  serial        OCTET STRING (SIZE(1..20)),
 *	  at            INTEGER,                  -- unix microseconds
 *	  reason        INTEGER,                  -- 8: the hold ends
 *	  notAfter      INTEGER,                  -- the same; 0: never
 *	  who, note     UTF8String }
 *	Wish ::= [3] IMPLICIT SEQUENCE {          -- for a revocation list
 *	  ca            UTF8String,
 *	  change        INTEGER,                  -- revocations so far
 *	  number        INTEGER }                 -- of the last list, or 0
 *
 *	-- of a response bundle, in this order:
 *	Result ::= [4] IMPLICIT SEQUENCE {
 *	  id            OCTET STRING (SIZE(16)),
 *	  status        ENUMERATED { issued(1), denied(3) },
 *	  decidedAt     INTEGER,                  -- unix microseconds
 *	  hresult, major, minor, renewals INTEGER,
 *	  text, subject, san UTF8String,
 *	  certificate   OCTET STRING,             -- or empty
 *	  response      OCTET STRING }            -- CMC full response or empty
 *	Void ::= [5] IMPLICIT SEQUENCE {          -- may have been signed
 *	  id            OCTET STRING (SIZE(16)),
 *	  ca            UTF8String,
 *	  serial        OCTET STRING (SIZE(16)) }
 *	List ::= [6] IMPLICIT SEQUENCE {          -- behind its parts
 *	  ca            UTF8String,               -- thisUpdate: when it was made
 *	  number, thisUpdate, nextUpdate, entries, octets, change INTEGER,
 *	  digest        OCTET STRING }
 *	Part ::= [7] IMPLICIT SEQUENCE {          -- part 0 comes last
 *	  ca            UTF8String,
 *	  number, part  INTEGER,
 *	  body          OCTET STRING }
 *
 *	End ::= [8] IMPLICIT SEQUENCE {
 *	  records       INTEGER,                  -- in the file, without End
 *	  signature     OCTET STRING (SIZE(64)) } -- Ed25519
 *
 * Signed is the text "countersign bundle 1", a zero octet, records as eight
 * octets, and the SHA-256 of everything before End.
 */
#ifndef BUNDLE_H
#define BUNDLE_H

#include <sys/types.h>

#include <stdio.h>

#include "account.h"
#include "bundlekey.h"
#include "msg.h"

#define BUNDLE_HASH		32
#define BUNDLE_RECORD_MAX	(512 * 1024)
#define BUNDLE_RECORDS_MAX	1000000
#define BUNDLE_OCTETS_MAX	(INT64_C(4) << 30)
#define BUNDLE_ACCOUNTS		3
#define BUNDLE_RELEASE		8	/* [RFC5280] 5.3.1 removeFromCRL */

enum bundle_kind { BUNDLE_REQUEST = 1, BUNDLE_RESPONSE = 2 };

enum record_type {
	REC_HEAD, REC_ITEM, REC_ORDER, REC_WISH, REC_RESULT, REC_VOID,
	REC_LIST, REC_PART, REC_END
};

struct bundle_head {
	enum bundle_kind kind;
	uint8_t		 key[BUNDLE_HASH];
	struct slice	 deployment, maker;
	uint64_t	 round;
	uint8_t		 previous[BUNDLE_HASH];
	int64_t		 made_at;
	uint8_t		 policy_hash[32];
};

struct bundle_item {
	uint8_t		 id[MSG_ID];
	uint32_t	 number;
	struct slice	 ca, worker, asker, template_name, token, evidence;
	enum auth_method method;
	int64_t		 received_at;
	struct slice	 accounts;	/* content: Account TLVs */
	bool		 approved;
	uint8_t		 decision[MSG_ID];
	struct slice	 approver, operator, reason, subject;
};

struct bundle_order {
	struct slice	 ca, serial, who, note;
	int64_t		 change, at, not_after;	/* unix microseconds */
	unsigned	 reason;
};

struct bundle_wish {
	struct slice	 ca;
	int64_t		 change;
	uint64_t	 number;
};

struct bundle_result {
	uint8_t		 id[MSG_ID];
	enum msg_status	 status;	/* MSG_ISSUED or MSG_DENIED */
	int64_t		 decided_at;	/* unix microseconds */
	uint32_t	 hresult, major, minor, renewals;
	struct slice	 text, subject, san, certificate, response;
};

struct bundle_void {
	uint8_t		 id[MSG_ID];
	struct slice	 ca, serial;
};

struct bundle_list {
	struct slice	 ca, digest;
	uint64_t	 number, entries, octets;
	int64_t		 this_update, next_update, change;
};

struct bundle_part {
	struct slice	 ca, body;
	uint64_t	 number;
	uint32_t	 part;
};

struct bundle_end {
	uint64_t	 records;
	uint8_t		 signature[BUNDLE_SIGNATURE];
};

struct record {			/* slices borrow from what was decoded */
	enum record_type type;
	union {
		struct bundle_head	 head;
		struct bundle_item	 item;
		struct bundle_order	 order;
		struct bundle_wish	 wish;
		struct bundle_result	 result;
		struct bundle_void	 voided;
		struct bundle_list	 list;
		struct bundle_part	 part;
		struct bundle_end	 end;
	};
};

/* One whole record.  ERR_MALFORMED, ERR_TOO_BIG. */
int	 record_decode(struct slice, struct record *, struct err *);
void	 record_encode(const struct record *, struct buf *);	/* appends */

/* Appends an Account. */
void	 bundle_put_account(const struct account *, struct buf *);
/*
 * The accounts of an item, at most BUNDLE_ACCOUNTS; each account_free by the
 * caller, of what is there also after a failure.  Refuses none, and two of
 * one name that differ.
 */
int	 bundle_accounts(struct slice, struct account *out[BUNDLE_ACCOUNTS],
	    size_t *n, struct err *);

/* Writing.  The sink gets the file in pieces of some hundred KiB; 0 or -1. */
struct bundle_sink {
	int	(*put)(void *, struct slice, struct err *);
	void	*arg;
};
struct bundle_out;
/* The key and the sink's arg are borrowed until bundle_out_free. */
struct bundle_out *bundle_out_new(const struct bundlekey *, struct bundle_sink);
/*
 * The next record, the head first, the end not.  Refuses what bundle_open
 * would: ERR_MALFORMED, ERR_TOO_BIG; or as the sink.  After -1 the bundle is
 * good for bundle_out_free only.
 */
int	 bundle_add(struct bundle_out *, const struct record *, struct err *);
/* Sign and write the end; *hash is that of the whole file.  As the sink. */
int	 bundle_finish(struct bundle_out *, uint8_t hash[BUNDLE_HASH],
	    struct err *);
void	 bundle_out_free(struct bundle_out *);

/*
 * A copy of a file that nobody else can change meanwhile, in a nameless file
 * in that folder; fclose by the caller.  NULL: ERR_DENIED when it cannot be
 * read or written, ERR_TOO_BIG beyond BUNDLE_OCTETS_MAX.
 */
FILE	*bundle_copy(const char *path, const char *dir, struct err *);
/*
 * The descriptor of an empty file for a bundle, beside its place: *beside is
 * its name, path.new.  The stick comes from the other side: a link on it, which
 * could lead to our keys or ledger, is not followed, and what is no file is
 * refused.  -1: ERR_DENIED.
 */
int	 bundle_create(const char *path, mode_t mode, char **beside,
	    struct err *);
/*
 * Ends it and frees beside.  rc 0: synced, then in its place in one step;
 * otherwise, or when that fails (ERR_DENIED), nothing is left of it: a stick
 * that is full or was pulled out has no half bundle.
 */
int	 bundle_settle(int fd, char *beside, const char *path, int rc,
	    struct err *);

/*
 * Reading.  bundle_open reads it all once: framing, limits, signature; every
 * record is decoded, and stands in its place.  *hash is that of the file.
 * The FILE is borrowed and must not change.  ERR_MALFORMED, ERR_TOO_BIG;
 * ERR_DENIED when it cannot be read.  So it is with bundle_next and
 * bundle_rewind.
 */
struct bundle_in;
struct bundle_in *bundle_open(FILE *, const struct bundlekey *peer,
	    enum bundle_kind, uint8_t hash[BUNDLE_HASH], struct err *);
/* Of the file, lent. */
const struct bundle_head *bundle_head(const struct bundle_in *);
/* Next record behind the head: 1; 0 at the end; -1.  Lent until the next. */
int	 bundle_next(struct bundle_in *, struct record *, struct err *);
/* The next one is the first behind the head again. */
int	 bundle_rewind(struct bundle_in *, struct err *);
void	 bundle_close(struct bundle_in *);	/* not the FILE */

#endif
