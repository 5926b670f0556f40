/*
 * A certificate request as it arrives in the BinarySecurityToken: PKCS#10,
 * CMS over PKCS#10 (renewal of schema 1), or CMC ([MS-WCCE] 2.2.2.6).  One
 * parse gives one typed struct; after that nobody looks at the bytes again.
 *
 * Accepted is only what real clients send.  Everything else is refused with
 * the rule's name; duplicates of anything are refused even when identical.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "buf.h"
#include "err.h"
#include "name.h"
#include "pubkey.h"

#define REQUEST_MAX	(64 * 1024)	/* bytes of DER */
#define REQUEST_HINTS	8
#define REQUEST_SIGNERS	2	/* with certificates */

enum request_form { FORM_PKCS10, FORM_CMS, FORM_CMC };

/* Where a template was named; [MS-WCCE] 3.2.2.6.2.1.4.1 collects all. */
enum hint_carrier {
	HINT_V1_EXT,		/* 1.3.6.1.4.1.311.20.2 name */
	HINT_V2_EXT,		/* 1.3.6.1.4.1.311.21.7 OID, major, minor */
	HINT_NAME_VALUE,	/* 1.3.6.1.4.1.311.13.2.1 attribute */
	HINT_REG_INFO,		/* CMC regInfo */
	HINT_CONTEXT		/* WSTEP AdditionalContext */
};

struct template_hint {
	enum hint_carrier	 carrier;
	char			*name;	/* template name, or NULL */
	char			*oid;	/* dotted, or NULL */
	bool			 has_version;
	uint64_t		 major, minor;
};

/* How possession of the private key was proven. */
enum request_pop { POP_PKCS10, POP_CMC_SKI };

/*
 * A certificate-based signer of a CMS/CMC (renewal, agent).  Whether the
 * certificate counts is judged later: renewal.h, agent.h.
 */
struct request_signer {
	struct slice	 cert;		/* Certificate TLV that came along */
	struct slice	 issuer;	/* Name TLV */
	struct slice	 serial;	/* INTEGER content */
	bool		 verified;	/* signature checked with cert's key;
					   see request_parse_unjudged */
	bool		 sha1;		/* its hash; of a renewal alone */
};

struct request {
	struct buf		 der;		/* a copy of the token, from
						   which all slices borrow */
	enum request_form	 form;
	struct slice		 csr;		/* CertificationRequest TLV */
	struct slice		 subject;	/* Name TLV */
	struct pubkey		*key;		/* owned */
	enum request_pop	 pop;
	struct names		 names;		/* subject and SAN asked for */
	struct err		 names_fault;	/* ERR_NONE, or why one of them
						   could not be read */
	char			*sid;		/* claimed by the SID extension
						   or the SAN tag URI; NULL */
	struct template_hint	 hint[REQUEST_HINTS];
	size_t			 nhint;
	struct slice		 old_cert;	/* renewal attribute or empty */
	struct request_signer	 signer[REQUEST_SIGNERS];	/* by certificates */
	size_t			 nsigner;
	uint64_t		 body_part_id;	/* of the tcr; 1 without CMC */
	struct slice		 transaction_id; /* control's TLV or empty */
	struct slice		 sender_nonce;	/* control's TLV or empty */
	char			*requester_name; /* signed data only, or NULL */
	struct slice		 archived_key;	/* EnvelopedData or empty */
	struct slice		 key_hash;	/* its hash's TLV or empty */
	struct buf		 smime;		/* what it can decrypt, as the
						   extension's value (smime.h);
						   empty: not told */
	char			*client_info;	/* process name, for the log */
};

/*
 * Parse and prove possession.  Strict DER, limits of reqparse.h and name.h.
 * NULL: ERR_MALFORMED (HR_INVALID_DATA, CRYPT_E_NO_SIGNER, ...), ERR_TOO_BIG,
 * or ERR_DENIED: NTE_BAD_SIGNATURE, what pubkey_parse denies, and what is well
 * formed but nothing that we issue, as a CA's basic constraints.  Names that
 * cannot be read are no refusal yet: names_fault is for who wants to use them.
 * The result owns everything; free with request_free.
 */
struct request	*request_parse(struct slice der, struct err *);
/*
 * For who cannot judge certificates, workers: possession of the new key is
 * proven once, and all is read, but what a certificate's key signed is not
 * verified (request_signer.verified is false), nor what the new key signed
 * around a PKCS#10 that has proven it.  Whoever it lets pass could as well have
 * signed with keys of his own making.
 */
struct request	*request_parse_unjudged(struct slice der, struct err *);
void		 request_free(struct request *);

/*
 * Add what AdditionalContext named; only the template is a hint.  Copies.
 * -1, nothing added: ERR_TOO_BIG with REQUEST_HINTS there, ERR_MALFORMED when
 * the same carrier named one already.
 */
int	 request_add_hint(struct request *, enum hint_carrier,
	    const char *name, struct err *);

#endif
