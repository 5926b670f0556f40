/*
 * A private key in a token as OpenSSL's EVP_PKEY, through libp11's engine.
 * All that knows of engines is behind this header: an OpenSSL provider can
 * take its place.
 */
#ifndef P11ENGINE_H
#define P11ENGINE_H

#include <openssl/evp.h>

#include "err.h"

struct p11engine;

/*
 * NULL: OpenSSL has no pkcs11 engine here, the one thing that is tried; the
 * module (a path) is loaded with the first key.
 */
struct p11engine *p11engine_new(const char *module, struct err *);
void		 p11engine_free(struct p11engine *);

/*
 * The key that a URI names; p11uri_parse has accepted it, and the caller is
 * logged in and has seen the token and the key a moment ago: this never asks
 * for a PIN, and libp11 0.4.12 waits for ever for the first session of a
 * token that is not there.  EVP_PKEY_free before p11engine_stop.
 */
EVP_PKEY	*p11engine_key(struct p11engine *, const char *uri,
		    struct err *);
/* Ends all sessions of the module, those of others in this process, too. */
void		 p11engine_stop(struct p11engine *);

#endif
