/*
 * A root on its own host: files beside each other, DIR/NAME with endings
 *	.pem		its certificate
 *	.key .pass	its key, and the passphrase where none was given;
 *			neither where it is in a token
 *	.register	text, a line for each thing it signed or revoked,
 *			written before that leaves:
 *	    certificate SERIAL NOT-AFTER SHA256 SUBJECT
 *	    revoked SERIAL AT REASON
 *	    crl NUMBER THIS-UPDATE NEXT-UPDATE
 * Times are unix seconds.  Neither network nor database are needed.
 */
#ifndef CAROOT_H
#define CAROOT_H

#include "camake.h"
#include "catoken.h"
#include "cli.h"

struct root {
	char		*dir, *name;
	X509		*cert;
	EVP_PKEY	*key;
};

/*
 * "DIR/NAME" or "NAME" (here) to the two; refuses names that are none for a
 * CA, and a folder that group or others can read (ERR_DENIED).  root_free also
 * after a failure, here and below.
 */
int		 root_path(struct root *, const char *path, struct err *);
/*
 * Load certificate and key, which is in the token, if there is one; else
 * passphrase_file NULL = DIR/NAME.pass.
 */
int		 root_open(struct root *, const char *path, struct catoken *,
		    const char *passphrase_file, struct err *);
/* Frees the contents; the key is wiped. */
void		 root_free(struct root *);

/*
 * Make a root that signs itself, for a new key, in the token if there is one.
 * Refuses when a file of that name is there.  A key in a token goes away
 * again when this fails.
 */
int		 root_create(struct root *, const struct ca_plan *,
		    struct catoken *, const char *passphrase_file,
		    struct err *);
/*
 * Sign a CA below, with this key: plan->issuer and issuer_key are set here.
 * It is in the register when this returns; X509_free by the caller.
 * ERR_DENIED for what ca_issuer_check refuses, and the root's own key or name.
 */
X509		*root_sign(struct root *, struct ca_plan *, EVP_PKEY *,
		    struct err *);
/*
 * [RFC4210] 4.4: the other root's key and name under this one, until either
 * ends: whoever trusts only this root then reaches what the other signed.
 */
X509		*root_cross(struct root *, X509 *other, struct err *);

/*
 * Revoke a certificate it signed (hex serial); in the register, and with that
 * on each list from now on.  reason: [RFC5280] 5.3.1.
 */
int		 root_revoke(struct root *, const char *serial, unsigned reason,
		    struct err *);
/*
 * The next revocation list, DER, for so many days; appended.  ERR_DENIED when
 * it would outlive the root, or the clock is before the last one.
 */
int		 root_crl(struct root *, int64_t days, struct buf *out,
		    struct err *);

/*
 * The options of create-root, sign-subordinate and root-crl: what is wrong
 * with them whatever the root is, which is neither opened nor made.  The plans
 * borrow from the arguments; ca_plan_free by the caller, also after a failure.
 */
struct crl_plan {
	int64_t		 days;
	char		 revoke[41];	/* serial number, or "" */
	unsigned	 reason;
};
int		 caroot_plan(struct cli *, const struct args *,
		    struct ca_plan *, struct err *);
int		 caroot_sub_plan(struct cli *, const struct args *,
		    struct ca_plan *, struct err *);
int		 caroot_crl_plan(struct cli *, const struct args *,
		    struct crl_plan *, struct err *);

#endif
