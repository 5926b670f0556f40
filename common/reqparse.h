/*
 * What the parts of the request parser share.  Nothing here outlives
 * request_parse; slices borrow from request->der.  Where nothing else is said,
 * -1 is one of request_parse's errors, and the request half filled.
 */
#ifndef REQPARSE_H
#define REQPARSE_H

#include "der.h"
#include "request.h"

#define REQ_DEPTH	16	/* nesting of anything */
#define REQ_EXTENSIONS	64	/* in one list */
#define REQ_ATTRIBUTES	32	/* in one list */
#define REQ_VALUE_MAX	8192	/* octets of an attribute's value */

struct oidset {			/* what a list has had; lists are short */
	struct slice	 oid[REQ_EXTENSIONS];
	size_t		 n;
};

struct reqparse {
	struct request	*req;
	bool		 unjudged;	/* signatures that prove no
						   possession are left */
	struct oidset	 extensions;	/* of the PKCS#10 */
	bool		 has_extensions;	/* extensionRequest was there */
	unsigned	 pairs;		/* names of its name/value pairs, bits */
	struct slice	 ski;		/* its SKI extension's value or empty */
	bool		 null_signature;	/* the PKCS#10 proves nothing */
	bool		 content_signed;	/* a real signature is over the
						   CMS content */
	bool		 said;		/* RequesterName, by this signer */
	bool		 silent;	/* a certificate's signer said none */
};

/*
 * Refuses a second one (ERR_MALFORMED), and more than max (ERR_TOO_BIG).
 * "what" names the list.  The oid is borrowed.
 */
int	 oidset_add(struct oidset *, struct slice oid, size_t max,
	    const char *what, struct err *);
bool	 oidset_has(const struct oidset *, struct slice oid);

/* The strings are copied; NULL where nothing was named.  ERR_TOO_BIG. */
int	 req_hint(struct request *, const struct template_hint *, struct err *);
struct signature {
	struct slice	 alg;
	struct slice	 digest;	/* AlgorithmIdentifier or empty */
	struct slice	 msg;
	struct slice	 sig;
};
/* pubkey_verify with "what: " before its refusal. */
int	 req_verify(const struct pubkey *, const struct signature *,
	    const char *what, struct err *);

/* reqext.c: Extensions TLV, of the PKCS#10 or of CMC addExtensions. */
enum ext_list { EXT_CSR, EXT_ADDED };
int	 reqext_parse(struct reqparse *, enum ext_list, struct slice,
	    struct err *);

/* reqattr.c: attributes. */
enum attr_list { ATTR_CSR = 1, ATTR_ADDED = 2, ATTR_SIGNED = 4 };
/*
 * Next Attribute: type and its only value (TLV); of name/value pairs all
 * values.
 */
int	 reqattr_read(struct der *, struct slice *oid, struct slice *value,
	    struct err *);
/*
 * Judge one attribute of a list.  is_signed: by a real signature, not only
 * carried.
 */
int	 reqattr_judge(struct reqparse *, enum attr_list, struct slice oid,
	    struct slice value, bool is_signed, struct err *);
/* SET OF or [0] content: judge each, refuse a second one of a kind. */
int	 reqattr_parse(struct reqparse *, enum attr_list, struct der *,
	    struct err *);
/*
 * The archived key's hash, of which there is one: a control, as [MS-WCCE]
 * 3.1.1.4.3.6.1 may be read, or among the attributes that a control adds, where
 * Windows puts it.  request.c compares it.
 */
int	 reqattr_key_hash(struct reqparse *, struct slice, struct err *);
/* regInfo: "Name=Value&Name=Value&" ([MS-WCCE] 2.2.2.6.3). */
int	 reqattr_reginfo(struct reqparse *, struct slice, struct err *);

/* pkcs10.c: CertificationRequest TLV; its own signature is checked. */
int	 pkcs10_parse(struct reqparse *, struct slice, struct err *);

#endif
