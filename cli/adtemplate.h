/*
 * Certificate templates of Active Directory, as ldifde exports them or as
 * "certutil -v -template" prints them ([MS-CRTD] section 2).  Only what a
 * policy file can say is kept; everything is hostile text.
 */
#ifndef ADTEMPLATE_H
#define ADTEMPLATE_H

#include "buf.h"
#include "err.h"
#include "strlist.h"

#define ADTEMPLATE_FILE_MAX	(16 * 1024 * 1024)
#define ADTEMPLATE_MAX		1000

struct adtemplate {
	char		*cn;
	char		*display_name;	/* or NULL */
	char		*oid;		/* dotted, or NULL: schema 1 exports */
	unsigned	 schema;
	uint32_t	 major, minor;
	uint32_t	 general_flags, enrollment_flags, private_key_flags,
			 name_flags;
	int64_t		 validity, renewal;	/* seconds; 0 = not told */
	unsigned	 minimal_key_size;
	int		 key_spec;
	unsigned	 key_usage;	/* enum key_usage bits of policy.h */
	unsigned	 ra_signatures;
	struct strlist	 eku;		/* dotted */
	struct strlist	 policies;	/* issuance policies, dotted */
	struct strlist	 providers;	/* in order of preference */
	struct strlist	 supersedes;	/* common names */
	char		*algorithm;	/* "RSA", "ECDSA_P256", ... or NULL */
	char		*hash;		/* "SHA256", ... or NULL */
	char		*permissions;	/* of the private key, SDDL, or NULL */
};

struct adtemplates {
	struct adtemplate	*v;
	size_t			 n;
};

/*
 * Every template of the text, whichever of the two forms it has.  Refuses
 * (ERR_MALFORMED) bad base64, numbers that are none, a template without a name
 * and a text without a template; ERR_TOO_BIG beyond ADTEMPLATE_MAX.
 * adtemplates_free also after a failure.
 */
int	 adtemplates_parse(struct slice, struct adtemplates *, struct err *);
void	 adtemplates_free(struct adtemplates *);

/*
 * For the readers of the two forms: one attribute by its LDAP name
 * ([MS-CRTD] 2), as text, times and flags in octets; one that no policy needs
 * is passed over.
 */
int	 adtemplate_set(struct adtemplate *, const char *attr, struct slice,
	    struct err *);
/* The two forms, for adtemplates_parse. */
int	 adtemplates_ldif(struct slice, struct adtemplates *, struct err *);
int	 adtemplates_certutil(struct slice, struct adtemplates *,
	    struct err *);
/* One more, empty; lent until the next.  NULL: ERR_TOO_BIG. */
struct adtemplate	*adtemplates_add(struct adtemplates *, struct err *);

#endif
