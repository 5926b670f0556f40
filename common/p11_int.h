/* What p11.c and p11gen.c share. */
#ifndef P11_INT_H
#define P11_INT_H

#include <p11-kit/pkcs11.h>

#include "p11.h"

struct p11 {
	void			*dl;
	CK_FUNCTION_LIST_PTR	 f;
	bool			 started;
};

/* A call that failed; unavailable, or unauthenticated for a refused PIN. */
int	 p11_failed(struct err *, const char *call, CK_RV);
/*
 * How many objects of this class have the URI's label and id, or -1 as
 * p11_failed; the handle of the last one.
 */
int	 p11_count(struct p11 *, const struct p11_token *,
	    const struct p11uri *, CK_OBJECT_CLASS, CK_OBJECT_HANDLE *,
	    struct err *);

#endif
