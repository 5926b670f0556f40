/*
 * Where "countersign crl publish" puts lists and certificates: a folder that a
 * web server shows, an LDAP directory, or a file of changes to one.
 */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "buf.h"
#include "err.h"

enum publish_kind {
	PUBLISH_COMPLETE,	/* of a key of ours; takes its delta away */
	PUBLISH_DELTA,
	PUBLISH_ABOVE		/* of a CA above ours */
};

/* A list with the certificates of its key and of the root; all lent. */
struct publish_item {
	enum publish_kind	 kind;
	const char		*name;		/* of the key */
	const char		*number;
	struct slice		 list, cert;
	struct slice		 root;		/* or empty */
};

struct publisher;

struct publisher_type {
	/*
	 * It is there, whole, when this returns 0; in a file of changes when
	 * flush does.  ERR_UNAVAILABLE: later; ERR_DENIED: see
	 * publish_is_next, for folders and directories.
	 */
	int	(*put)(struct publisher *, const struct publish_item *,
		    struct err *);
	/* Nothing more comes for now. */
	int	(*flush)(struct publisher *, struct err *);
	void	(*free)(struct publisher *);
};

struct publisher {	/* the first member of each kind's own */
	const struct publisher_type	*type;
};

/* Words of the command line; all lent. */
struct publish_options {
	const char	*to;		/* folder, URL or FILE.ldif */
	const char	*base;		/* DN, for LDIF */
	const char	*bind;		/* DN; NULL: SASL EXTERNAL */
	const char	*password;	/* a file */
	const char	*ca_file;	/* NULL: the system's */
};

/*
 * May it take the place of this list, which is out (empty: none)?  Whoever
 * reads an older one of the same key takes what was revoked since for good.
 * ERR_DENIED; 0 when the one there is not of this key, or no list.
 */
int	 publish_is_next(struct slice there, const struct publish_item *,
	    struct err *);

/*
 * Is the list what its row says?  Who writes rows with a signer's role could
 * put an old one under a new number, which has those for good that were revoked
 * since.  ERR_DENIED.
 */
int	 publish_is_itself(const struct publish_item *, struct err *);

bool	 publish_is_ldap(const char *to);	/* ldap, ldaps, ldapi */
bool	 publish_is_ldif(const char *to);	/* ends with .ldif */
/*
 * The three kinds; freed by their own type->free.  NULL: ERR_MALFORMED,
 * options that do not go together.
 */
struct publisher	*publish_folder(const struct publish_options *,
			    struct err *);
struct publisher	*publish_ldap(const struct publish_options *,
			    struct err *);
struct publisher	*publish_ldif(const struct publish_options *,
			    struct err *);

/*
 * [RFC4523]: what of an item goes into which attribute of the entry
 * cn=NAME,BASE, each as its only value; an empty value takes the attribute
 * away.  The number of them; lent.
 */
#define PUBLISH_ATTRIBUTES	3
struct publish_attribute {
	const char	*type;
	struct slice	 value;
};
size_t	 publish_attributes(const struct publish_item *,
	    struct publish_attribute out[PUBLISH_ATTRIBUTES]);
/* Object classes that allow them, ends with NULL. */
extern const char *const publish_classes[];
/* cn=NAME,BASE; appended. */
void	 publish_dn(const char *name, const char *base, struct buf *);
/* Is it a distinguished name as strings have it ([RFC4514])? */
int	 publish_check_base(const char *base, struct err *);

#endif
