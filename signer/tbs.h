/*
 * From a decision and a public key to a TBSCertificate ([RFC5280] 4.1).  The
 * request's SubjectPublicKeyInfo bytes are taken over unchanged; every
 * extension comes from the template, the account and the CA, but the list of
 * S/MIME capabilities where the template wants it.
 */
#ifndef TBS_H
#define TBS_H

#include "ca.h"
#include "decide.h"
#include "serial.h"

struct tbs {
	const struct ca		*ca;
	const struct decision	*decision;
	const struct pubkey	*key;
	struct slice		 smime;	/* what it decrypts, of the request */
	uint8_t			 serial[SERIAL_LEN];
	int64_t			 not_before, not_after;	/* unix seconds */
};

/*
 * The validity a certificate made now (unix seconds) gets: from ten minutes ago
 * (clocks differ), never beyond the CA's own.  ERR_UNAVAILABLE when the CA's
 * has ended or not begun.
 */
int	 tbs_validity(struct tbs *, int64_t now, struct err *);

/*
 * Appends the TBSCertificate.  Whatever the template says it refuses
 * (ERR_DENIED): CA rights, anyExtendedKeyUsage, no EKU at all, a CA's own
 * key, neither subject nor alternative name.  What was built is read again
 * and linted (common/certlint.h) before it is handed out.
 */
int	 tbs_build(const struct tbs *, struct buf *out, struct err *);

/* Certificate ::= SEQUENCE { tbs, signatureAlgorithm, signature }; appended. */
void	 tbs_certificate(const struct ca *, struct slice tbs, struct slice sig,
	    struct buf *out);

#endif
