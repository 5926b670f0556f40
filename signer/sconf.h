/* signer.conf; see countersign-signer(8). */
#ifndef SCONF_H
#define SCONF_H

#include "err.h"
#include "link.h"
#include "policy.h"

/* What a peer may ask for. */
struct sconf_right {
	bool		 operator;
	bool		 any;		/* template; else these */
	struct strlist	 templates;
};

struct sconf_ca {
	char	*name;			/* of the key */
	char	*of;			/* the CA whose key it is */
	char	*certificate;		/* PEM file */
	char	*chain;			/* PEM file with the issuers, or NULL */
	char	*key;			/* encrypted PKCS#8, or pkcs11: URI */
	char	*passphrase;		/* file; NULL = in a token */
	char	*module;		/* in a token: its PKCS#11 module, */
	char	*pin_file;		/* its PIN, */
	char	*exchange_secret;	/* and a file, or NULL */
	bool	 airgap;		/* the key is elsewhere: all NULL */
	bool	 in_use;		/* in a vault: it signs certificates */
	char	*also;			/* in a vault: PEM file, or NULL */
};

/* Of the host that has the keys and no network. */
struct sconf_vault {
	char	*key_file, *peer_key;	/* bundlekey.h */
	char	*state;			/* folder */
	char	*blocked;		/* file, or NULL: blocked.h */
	uint16_t prefix;		/* in serial numbers */
};

struct sconf {
	char		*name;
	char		*listen;
	char		*key_file;	/* CURVE; NULL with ipc:// */
	struct link_peer *peers;
	struct sconf_right *rights;	/* one for each peer */
	size_t		 npeers;
	char		*database;
	char		*policy;	/* the signer's own file */
	char		*metrics_file;	/* or NULL */
	char		*ledger;	/* folder */
	int64_t		 ledger_segment; /* bytes of a file before the next */
	char		*audit_key;	/* file, or NULL: no signed heads */
	char		*head_file;	/* heads are copied there, or NULL */
	bool		 head_syslog;
	int64_t		 head_entries;	/* between two heads, at most ... */
	int64_t		 head_interval;	/* ... and seconds */
	int64_t		 token_timeout;	/* seconds */
	struct sconf_vault *vault;	/* then neither listen nor database */
	struct sconf_ca	*cas;
	size_t		 ncas;
};

/*
 * NULL: ERR_MALFORMED or ERR_INTERNAL, which option is wrong; sconf_free by
 * the caller.
 */
struct sconf	*sconf_load(const char *path, struct err *);
void		 sconf_free(struct sconf *);

/*
 * What may this peer ask for?  NULL: nothing.  On ipc:// without an
 * allow-list every peer is "local", whoever may open the socket, and a
 * worker without limits.
 */
const struct sconf_right *sconf_peer(const struct sconf *,
		    const char *worker);
bool		 sconf_right_to(const struct sconf_right *,
		    const char *template_name);

#endif
