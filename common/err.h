/*
 * One error type for every program.  A fallible function takes a struct err
 * last and returns 0 or -1 (or a pointer or NULL).  The first error stays;
 * a caller up the stack does not overwrite it.  No allocation, no owner.
 */
#ifndef ERR_H
#define ERR_H

#include <stdint.h>

enum err_kind {
	ERR_NONE = 0,
	ERR_MALFORMED,		/* the client's bytes break a rule */
	ERR_TOO_BIG,		/* a limit is exceeded */
	ERR_UNAUTHENTICATED,	/* who is asking could not be proven */
	ERR_NO_SECURITY,	/* no WS-Security header where one must be */
	ERR_NOT_UNDERSTOOD,	/* mustUnderstand on a header we do not know */
	ERR_VERSION,		/* of SOAP: not an envelope of 1.2 */
	ERR_DESTINATION,	/* wsa:To is not an address of this service */
	ERR_ACTION,		/* wsa:Action or RequestType is not known */
	ERR_DENIED,		/* understood and refused by a rule */
	ERR_UNAVAILABLE,	/* try again later: signer, database, policy */
	ERR_INTERNAL		/* our fault; the text never leaves the host */
};

struct err {
	enum err_kind	 kind;
	uint32_t	 hresult;	/* what Windows shows; 0: the kind's */
	char		 text[256];	/* lower case, no full stop */
};

#define ERR_INIT { ERR_NONE, 0, "" }

/*
 * Record an error; always returns -1.  Does nothing on a set error.
 * err_set: any kind with the kind's own HRESULT.
 * err_deny: ERR_DENIED with the HRESULT that Windows shows (hresult.h).
 * err_bad: ERR_MALFORMED with HRESULT 0x8007000D unless hresult is not 0.
 * err_openssl: ERR_INTERNAL, OpenSSL's own text behind ours, queue emptied.
 * The text is of the oldest error there: who may find some of others' calls
 * has ERR_clear_error before his own.
 */
int	 err_set(struct err *, enum err_kind, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
int	 err_deny(struct err *, uint32_t, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
int	 err_bad(struct err *, uint32_t, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
int	 err_openssl(struct err *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));

/* The kind's name as logged: "malformed", "denied", ... never NULL. */
const char	*err_kind_name(enum err_kind);

/*
 * The HRESULT a client is shown: err->hresult, or the default of the kind.
 * Never 0 for a set error.
 */
uint32_t	 err_hresult(const struct err *);

/* May the text of this kind be shown to a client?  0 for INTERNAL etc. */
int	 err_is_public(enum err_kind);

#endif
