/*
 * A PKCS#11 module ([PKCS11] 2.40) asked directly: is the token there, may
 * somebody log in, which key is in it, make one.  Signing goes another way,
 * p11engine.h.  One thread only.
 *
 * ERR_UNAVAILABLE: may go away by itself.  ERR_UNAUTHENTICATED: the token
 * refused the PIN; trying again costs one of the few tries it allows.
 * ERR_INTERNAL: somebody must change something.
 */
#ifndef P11_H
#define P11_H

#include "p11uri.h"

struct p11;

/* Load; absolute path to a file that only root or we ourselves may change. */
struct p11	*p11_load(const char *module, struct err *);
void		 p11_unload(struct p11 *);
/* C_Initialize and C_Finalize; the second ends all sessions. */
int		 p11_start(struct p11 *, struct err *);
void		 p11_stop(struct p11 *);

struct p11_token {
	unsigned long	 slot;
	unsigned long	 session;	/* valid when has_session */
	bool		 has_session;
	bool		 login;		/* a PIN is needed */
	bool		 pin_low;	/* a wrong PIN was tried last */
	bool		 pin_last;	/* the next wrong one locks it */
	bool		 pin_locked;
	char		 label[33];	/* without the padding */
};

/* The one token that the URI names, with an open session. */
int	 p11_find(struct p11 *, const struct p11uri *, bool write,
	    struct p11_token *, struct err *);
void	 p11_close(struct p11 *, struct p11_token *);	/* its session */
/* As the user.  Not tried on a locked token, nor as its last try. */
int	 p11_login(struct p11 *, struct p11_token *, struct slice pin,
	    struct err *);

struct p11_private {
	bool	 sensitive, extractable, signs, asks_always;
};
/* The one private key that the URI names; after p11_login. */
int	 p11_private(struct p11 *, const struct p11_token *,
	    const struct p11uri *, struct p11_private *, struct err *);
/*
 * SubjectPublicKeyInfo of the public key object of that name, appended;
 * nothing when there is none that can be seen without a PIN.
 */
int	 p11_public(struct p11 *, const struct p11_token *,
	    const struct p11uri *, struct buf *spki, struct err *);
/*
 * Make a key pair: "rsa:3072", "rsa:4096", "rsa:2048", "ec:P-256" or
 * "ec:P-384"; sensitive, not extractable, for signatures only.  Refuses another
 * spec (ERR_MALFORMED) and a label or id that is taken (ERR_DENIED); without an
 * id one is drawn at random.
 */
int	 p11_generate(struct p11 *, const struct p11_token *,
	    const struct p11uri *, const char *spec, struct err *);
/* Both keys of that name, at most one of each. */
int	 p11_destroy(struct p11 *, const struct p11_token *,
	    const struct p11uri *, struct err *);

#endif
