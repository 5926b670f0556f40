/*
 * What a client must have seen of our TLS connection: the certificates that
 * nginx serves, each as the channel binding "tls-server-end-point" ([RFC5929]
 * 4.1).  It is the same for all connections, so whoever has the certificate
 * can tell it.
 */
#ifndef BINDING_H
#define BINDING_H

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"
#include "policy.h"
#include "wconf.h"

/* Each file's, and the one that was there before. */
#define BINDING_MAX	(2 * WCONF_CERTIFICATES)

struct binding_value {
	size_t	 n;
	uint8_t	 data[sizeof("tls-server-end-point:") + EVP_MAX_MD_SIZE];
};

struct binding;

/*
 * PEM files, of which the first certificate counts; the names must outlive it.
 * ERR_INTERNAL: one that cannot be read, or for which no binding is defined
 * (of a signature without a hash, as Ed25519).
 */
struct binding	*binding_new(const struct strlist *files, struct err *);
void		 binding_free(struct binding *);

/*
 * What is good now, at most BINDING_MAX; how many.  A file that changed is
 * read: the certificate in it counts from now on, and the one before it goes
 * on to, since nobody knows when nginx is told.  One that cannot be read changes
 * nothing, and the log has it once.  Any thread may call.
 */
size_t		 binding_values(struct binding *, struct binding_value *out);

/* One certificate's.  ERR_INTERNAL as above; path is for its text. */
int		 binding_of_pem(struct slice pem, const char *path,
		    struct binding_value *, struct err *);

#endif
