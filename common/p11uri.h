/*
 * Which key of which token: PKCS#11 URIs ([RFC7512]), the part of them that
 * names a private key and tells no secret.
 */
#ifndef P11URI_H
#define P11URI_H

#include "buf.h"
#include "err.h"

#define P11URI_ID_MAX	32

struct p11uri {
	char	*token, *serial, *manufacturer, *model;	/* NULL = any */
	char	*object;				/* label, or NULL */
	uint8_t	 id[P11URI_ID_MAX];
	size_t	 id_len;				/* 0 = any */
};

/* Is it one at all, and not a file name? */
bool	 p11uri_is(const char *);

/*
 * Needs token or serial, and object or id; each attribute once.  Refuses what
 * it does not know, and all behind "?": a PIN there would be in configuration
 * files, process lists and logs, and the module is named beside the URI.  No
 * refusal (ERR_MALFORMED) repeats a value.  p11uri_free also after a failure.
 */
int	 p11uri_parse(const char *, struct p11uri *, struct err *);
void	 p11uri_free(struct p11uri *);

#endif
