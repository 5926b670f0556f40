/*
 * CMS EnvelopedData ([RFC5652] section 6) around a private key, as clients
 * send it for archival: one recipient, RSA, CBC.  Nothing else is read.
 */
#ifndef ENVELOPED_H
#define ENVELOPED_H

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

enum key_transport { TRANSPORT_PKCS1, TRANSPORT_OAEP_SHA1,
    TRANSPORT_OAEP_SHA256 };

struct enveloped {		/* slices borrow from what was parsed */
	struct slice	 issuer;	/* Name TLV */
	struct slice	 serial;	/* INTEGER content */
	enum key_transport transport;
	struct slice	 key;		/* encrypted */
	const char	*cipher;	/* OpenSSL's name */
	size_t		 key_size;
	struct slice	 iv, content;
};

/* ContentInfo TLV.  ERR_MALFORMED. */
int	 enveloped_parse(struct enveloped *, struct slice, struct err *);
/*
 * Decrypt with the recipient's RSA key, appended to out (buf_wipe it).
 * -1 says that it did not work and never why: whoever learns how a decryption
 * failed can decrypt (Bleichenbacher; Vaudenay).
 */
int	 enveloped_open(const struct enveloped *, EVP_PKEY *, struct buf *out);

#endif
