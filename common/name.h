/*
 * Names as they stand in requests and certificates: distinguished names and
 * subject alternative names ([RFC5280] 4.1.2.4, 4.2.1.6).
 *
 * Parsing refuses what no rule could judge: NUL and control characters,
 * bidirectional overrides, invalid UTF-8, BMPString of odd length,
 * UniversalStrings, multi-valued RDNs, more than 24 RDNs, more than 128
 * alternative names, 4 KiB of them in total.  A PrintableString may hold what
 * an IA5String may, as much software has it.  Values are kept as UTF-8.
 */
#ifndef NAME_H
#define NAME_H

#include "buf.h"
#include "err.h"

#define NAME_RDN_MAX	24	/* directories nest folders deeply */
#define NAME_SAN_MAX	128

enum san_kind {
	SAN_DNS, SAN_EMAIL, SAN_URI, SAN_IP, SAN_UPN, SAN_GUID, SAN_DIRNAME,
	SAN_RID, SAN_OTHER
};

struct rdn {
	char	*type;		/* "CN", "O", ...; dotted OID when unknown */
	char	*value;		/* UTF-8, NUL ended, no control characters */
};

struct san {
	enum san_kind	 kind;
	char		*text;	/* UTF-8; an IP as text; hex for GUID and
				   whole TLV in hex for OTHER, RID, DIRNAME */
};

struct names {
	struct rdn	 rdn[NAME_RDN_MAX];	/* in encoded order */
	size_t		 nrdn;
	struct san	 san[NAME_SAN_MAX];
	size_t		 nsan;
};

void	 names_free(struct names *);	/* frees the contents, zeroes */

/*
 * Name TLV (a SEQUENCE) into n->rdn; n owns the strings, names_free also after
 * a failure: ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 names_parse_dn(struct names *, struct slice tlv, struct err *);
/* The same of GeneralNames (the extnValue's content), into n->san. */
int	 names_parse_san(struct names *, struct slice tlv, struct err *);

/*
 * One string of ASN.1 (UTF8, Printable, IA5, BMP, T61) as clean UTF-8 by the same
 * rules, 1..1024 octets; the caller frees.  NULL when refused.
 */
char	*name_string(int tag, struct slice content, const char *what,
	    struct err *);

/* The caller keeps to NAME_RDN_MAX and NAME_SAN_MAX.  Copies. */
void	 names_add_rdn(struct names *, const char *type, const char *value);
void	 names_add_san(struct names *, enum san_kind, const char *text);

/*
 * "CN=Alice,OU=Sales,DC=example,DC=com" (RFC 4514 order: most specific first)
 * into n->rdn in encoded order (reversed).  Backslash escapes; refuses
 * unknown attribute types.
 */
int	 names_parse_text(struct names *, const char *, struct err *);

/*
 * DER of Name from n->rdn (UTF8String; C as PrintableString; DC and E as
 * IA5String) and of GeneralNames from n->san.  Appended.
 * ERR_DENIED (CERTSRV_E_BAD_REQUESTSUBJECT) when a value is too long for its
 * type or not encodable.
 */
int	 names_put_dn(const struct names *, struct buf *, struct err *);
int	 names_put_san(const struct names *, struct buf *, struct err *);

/* One-line forms for people and logs; appended, escaped. */
void	 names_text_dn(const struct names *, struct buf *);	/* RFC 4514 */
void	 names_text_san(const struct names *, struct buf *);	/* DNS:a, ... */

/*
 * Is this a DNS host name in A-label form: letters, digits, "_" and inner
 * hyphens in labels of 1..63, at most 253 octets, at least two labels, no
 * trailing dot, not an IPv4 address?  With wildcard, a leading "*." is allowed.
 */
bool	 name_is_dns(const char *, bool wildcard);
/* "local@domain", [RFC5321] 4.1.2 without quoting; the domain as above. */
bool	 name_is_email(const char *);
bool	 name_is_sid(const char *);	/* "S-1-5-21-..." digits and dashes */

#endif
