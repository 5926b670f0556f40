/*
 * The CAs of a deployment: files in ca-dir on a signer's host, and rows in the
 * table ca.  A CA of the policy has one or more keys; files and rows bear the
 * name of a key, of which the first is that of the CA itself.
 */
#ifndef CASTORE_H
#define CASTORE_H

#include <openssl/x509.h>

#include "certfile.h"
#include "cli.h"

/*
 * The functions of this file return 0, or -1: ERR_DENIED for what may not be,
 * otherwise as cli_query and file_create.
 *
 * Nothing of that name may be there yet: neither files nor a row.
 */
int	 castore_absent(struct cli *, const char *name, struct err *);
/*
 * Remove the files of that name, after castore_absent saw none; unless the
 * database went away (why): nobody knows then whether the row is there.
 */
void	 castore_undo(struct cli *, const char *name, const struct err *why);

/* dir/name with this ending, never over an old one. */
int	 castore_save(struct cli *, const char *name, const char *ending,
	    const struct certs *, struct err *);
/*
 * NAME.pem and NAME.chain.pem from a certificate and its issuers; replace: over
 * old ones, each in one step.
 */
int	 castore_save_certs(struct cli *, const char *name,
	    const struct certs *all, bool replace, struct err *);
/*
 * The row of a key.  Its CA: NULL = a new CA of this name.  also: further
 * certificates that answers carry, or NULL.
 */
struct ca_row {
	const char		*name, *of;
	const struct certs	*all, *also;
};
int	 castore_register(struct cli *, const struct ca_row *, struct err *);
/* Another certificate and chain for the key of that name. */
int	 castore_replace(struct cli *, const struct ca_row *, struct err *);

/*
 * Two keys of one name: those who find lists by their issuer would take the
 * wrong one.  Refuses a subject that a key of this CA has.
 */
int	 castore_other_subject(struct cli *, const char *of,
	    X509_NAME *subject, struct err *);

/*
 * A certificate that a signer can work with: of this key (NULL: it is not
 * here), a CA's, valid.
 */
int	 castore_check(X509 *, EVP_PKEY *, struct err *);
/* Each certificate is signed by the next, the last by itself. */
int	 castore_check_chain(const struct certs *all, struct err *);
/* The private key of the last of them must not be in ca-dir. */
int	 castore_no_root_key(struct cli *, const struct certs *all,
	    struct err *);

/* One CA for people and programs. */
extern const struct out_col castore_cols[];
struct ca_state {
	const char	*name;
	const char	*of, *in_use;	/* as the row says; NULL = no row */
};
int	 castore_row(struct out *, const struct ca_state *,
	    const struct certs *, struct err *);
int	 castore_print(struct cli *, const char *name, const struct certs *,
	    struct err *);

#endif
