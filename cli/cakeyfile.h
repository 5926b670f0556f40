/*
 * Private keys of CAs in files: encrypted PKCS#8, and the passphrase in a file
 * of its own.
 */
#ifndef CAKEYFILE_H
#define CAKEYFILE_H

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

/*
 * rsa:2048, rsa:3072, rsa:4096, ec:P-256, ec:P-384; ERR_MALFORMED for another
 * word.  EVP_PKEY_free by the caller.
 */
EVP_PKEY	*ca_key_new(const char *spec, struct err *);
/*
 * Is it one of them, and as good as ca_key_strong wants it?  Before there is a
 * key; ERR_MALFORMED.
 */
int		 ca_key_kind(const char *spec, struct err *);
/*
 * What a CA's certificate that is there already may be for: RSA of 2048 to 4096
 * bits, P-256 or P-384, and none of the weaknesses of common/pubkey.h.  what
 * names it in the refusal (ERR_DENIED).  A new one wants RSA of 3072 or 4096
 * bits: ca_key_strong.
 */
int		 ca_key_check(EVP_PKEY *, const char *what, struct err *);
int		 ca_key_strong(EVP_PKEY *, const char *what, struct err *);

/*
 * Encrypt and write dir/name.key, mode 0400, never over an old one; under the
 * passphrase in that file, or (NULL) under a new random one, which goes to
 * dir/name.pass, mode 0400.
 */
int		 ca_key_save(EVP_PKEY *, const char *dir, const char *name,
		    const char *passphrase_file, struct err *);
/*
 * PEM key, encrypted or not, with the passphrase from a file or NULL; both
 * must pass secret_read.  EVP_PKEY_free by the caller.
 */
EVP_PKEY	*ca_key_load(const char *path, const char *passphrase_file,
		    struct err *);

#endif
