/* signer.conf; see countersign-signer(8). */
#ifndef SCONF_H
#define SCONF_H

#include "err.h"
#include "link.h"

struct sconf_ca {
	char	*name;
	char	*certificate;		/* PEM file */
	char	*chain;			/* PEM file with the issuers, or NULL */
	char	*key;			/* encrypted PKCS#8 */
	char	*passphrase;		/* file */
};

struct sconf {
	char		*name;
	char		*listen;
	char		*key_file;	/* CURVE; NULL with ipc:// */
	struct link_peer *peers;
	bool		*operators;	/* one for each peer */
	size_t		 npeers;
	char		*database;
	char		*policy;	/* the signer's own file */
	char		*ledger;	/* folder */
	struct sconf_ca	*cas;
	size_t		 ncas;
};

struct sconf	*sconf_load(const char *path, struct err *);
void		 sconf_free(struct sconf *);

/*
 * May this peer ask at all, and as an operator?  On ipc:// without an
 * allow-list every peer is "local": whoever may open the socket.
 */
bool		 sconf_peer(const struct sconf *, const char *worker,
		    bool *is_operator);

#endif
