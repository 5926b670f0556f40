/*
 * Private keys as clients send them for archival ([MS-WCCE] 2.2.2.9):
 * CryptoAPI's PRIVATEKEYBLOB and CNG's blobs of RSA and EC keys, and PKCS#8.
 */
#ifndef KEYBLOB_H
#define KEYBLOB_H

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

/*
 * The whole blob is the key, nothing before or behind.  RSA of 1024 to 8192
 * bits whose primes multiply to its modulus, or P-256, P-384, P-521.
 * EVP_PKEY_free by the caller; NULL with ERR_MALFORMED, whose text says
 * nothing about the contents.
 */
EVP_PKEY	*keyblob_parse(struct slice, struct err *);
/* Is it the private key of this public key?  Signs something to find out. */
bool		 keyblob_fits(EVP_PKEY *, EVP_PKEY *public_key);

#endif
