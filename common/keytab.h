/*
 * A keytab: whose keys are in there, never the keys.  The worker wants to know
 * whether all of them may be (keytab_check), doctor what each one is.
 */
#ifndef KEYTAB_H
#define KEYTAB_H

#include "buf.h"
#include "err.h"
#include "policy.h"

struct keytab_key {
	char		*principal;	/* HTTP/pki.example.org@EXAMPLE.ORG */
	char		 enctype[40];	/* aes256-cts */
	bool		 aes;		/* [RFC3962], [RFC8009] */
	unsigned	 version;	/* kvno */
};

struct keytab {
	struct keytab_key *v;
	size_t		 n;
};

/*
 * All of them; keytab_free by the caller, also after -1.  ERR_UNAVAILABLE: it
 * cannot be read; ERR_MALFORMED: it holds no key.
 */
int	 keytab_read(const char *path, struct keytab *, struct err *);
void	 keytab_free(struct keytab *);

/* Is "HTTP/host@REALM" the service of this principal? */
bool	 keytab_is_http(const char *principal);

/*
 * The keys are of HTTP/... alone, of AES alone, and only their user may read
 * them (as secret_read).  Their realms are added to *realms; strlist_free by
 * the caller.  ERR_INTERNAL: which key, and what to do.
 */
int	 keytab_check(const char *path, struct strlist *realms, struct err *);

#endif
