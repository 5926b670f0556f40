/*
 * Strict DER (X.690 section 10): a reader over borrowed bytes and a writer.
 *
 * The reader refuses indefinite and non-minimal lengths, lengths beyond the
 * buffer or of more than four octets, tag numbers above 30, non-minimal INTEGER
 * and those above 4096 octets, BOOLEAN other than 00 or FF, unused bits that
 * are not zero, non-minimal OIDs, NULL with content, constructed strings.
 * "what" names the field in the refusal, for example
 * "CertificationRequestInfo.version".  All functions return 0 or -1 with
 * ERR_MALFORMED; the outputs and the reader are untouched on failure.
 */
#ifndef DER_H
#define DER_H

#include "buf.h"
#include "err.h"

#define DER_BOOLEAN	0x01
#define DER_INTEGER	0x02
#define DER_BIT_STRING	0x03
#define DER_OCTETS	0x04
#define DER_NULL	0x05
#define DER_OID		0x06
#define DER_ENUM	0x0a
#define DER_UTF8	0x0c
#define DER_PRINTABLE	0x13
#define DER_T61		0x14
#define DER_IA5		0x16
#define DER_UTCTIME	0x17
#define DER_GENTIME	0x18
#define DER_BMP		0x1e
#define DER_SEQ		0x30
#define DER_SET		0x31
#define DER_CTX(n)	(0x80 | (n))	/* context, primitive */
#define DER_CTXC(n)	(0xa0 | (n))	/* context, constructed */

struct der {			/* a reader: what is left to read */
	const uint8_t	*p;
	const uint8_t	*end;
};

void	 der_init(struct der *, struct slice);
bool	 der_done(const struct der *);		/* nothing left */
int	 der_peek(const struct der *);		/* next tag; -1 at the end */

/* Next element must have this tag; its content goes to *content. */
int	 der_get(struct der *, int tag, struct slice *content,
	    const char *what, struct err *);
/* The same, and *inner reads the content (constructed types). */
int	 der_enter(struct der *, int tag, struct der *inner,
	    const char *what, struct err *);
/* Next element, any tag: whole TLV and/or content; either may be NULL. */
int	 der_any(struct der *, int *tag, struct slice *tlv,
	    struct slice *content, const char *what, struct err *);
/* Next element must have this tag; the whole TLV goes to *tlv. */
int	 der_tlv(struct der *, int tag, struct slice *tlv,
	    const char *what, struct err *);
/* Refuse anything left over. */
int	 der_end(const struct der *, const char *what, struct err *);

/* INTEGER that fits 0..2^63-1. */
int	 der_uint(struct der *, uint64_t *, const char *what, struct err *);
/* BIT STRING with no unused bits; content without the leading count. */
int	 der_bits(struct der *, struct slice *, const char *what, struct err *);
int	 der_bool(struct der *, bool *, const char *what, struct err *);
/*
 * Next Extension of a certificate or list that was issued ([RFC5280] 4.1): its
 * OID, and the content of its extnValue.
 */
int	 der_extension(struct der *, struct slice *oid, struct slice *value,
	    struct err *);
/* One value and nothing behind it, as from a whole blob. */
int	 der_only(struct slice, int tag, struct der *inner,
	    const char *what, struct err *);
/*
 * Walk a whole TLV: every constructed element inside is strict DER, nesting
 * at most max_depth, SET OF sorted.  For bytes that are kept but not parsed.
 */
int	 der_check(struct slice, unsigned max_depth, const char *what,
	    struct err *);

/*
 * The writer appends to a struct buf.  der_open returns a mark that der_close
 * takes to patch in the length.  SET OF members must be added sorted.
 */
size_t	 der_open(struct buf *, int tag);
void	 der_close(struct buf *, size_t mark);
void	 der_put(struct buf *, int tag, const void *, size_t);
void	 der_put_slice(struct buf *, int tag, struct slice);
void	 der_put_uint(struct buf *, uint64_t);		/* INTEGER */
/* INTEGER of these octets: a magnitude, big endian, leading zeros or not. */
void	 der_put_bigint(struct buf *, const uint8_t *, size_t);
void	 der_put_bool(struct buf *, bool);
void	 der_put_bits(struct buf *, const uint8_t *, size_t);	/* 0 unused */
void	 der_put_str(struct buf *, int tag, const char *);
void	 der_put_oid(struct buf *, struct slice);	/* content bytes */
/* AlgorithmIdentifier; its parameters are NULL or absent. */
void	 der_put_alg(struct buf *, struct slice oid, bool null);
/*
 * UTCTime from 1950 to 2049, else GeneralizedTime ([RFC5280] 4.1.2.5); both
 * stay within the years 0 to 9999.
 */
void	 der_put_time(struct buf *, int64_t unix_seconds);
void	 der_put_gentime(struct buf *, int64_t unix_seconds);

#endif
