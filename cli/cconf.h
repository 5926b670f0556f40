/* countersign.conf: where the command line finds everything. */
#ifndef CCONF_H
#define CCONF_H

#include "conf.h"
#include "link.h"

#define CCONF_DEFAULT	"/etc/countersign/countersign.conf"

struct cconf_signer {
	char			*name;
	struct link_endpoint	 at;
	char			*audit_key;	/* public, hex; or NULL */
};

struct cconf {
	char			*path;
	char			*database;	/* as the operator */
	char			*admin_database; /* as the owner, or NULL */
	char			*policy;	/* the installed file, or NULL */
	char			*ca_dir;
	char			*sql_dir;
	char			*key_file;	/* CURVE, or NULL */
	char			*airgap_key;	/* bundlekey.h, or NULL */
	char			*airgap_peer;	/* the vault's, or NULL */
	struct strlist		 ledgers;
	struct cconf_signer	*signers;
	size_t			 nsigners;
};

/* NULL: as conf_file, or which option is wrong; cconf_free by the caller. */
struct cconf	*cconf_load(const char *path, struct err *);
void		 cconf_free(struct cconf *);

#endif
