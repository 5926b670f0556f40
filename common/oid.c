/* Object identifiers: text form, names, and the well-known ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oid.h"

#define OID_ARCS	20
#define OID_ARC_MAX	0x7fffffffu

#define OID(name, octets) \
    const struct slice name = { (const uint8_t *)octets, sizeof(octets) - 1 };

/* A test holds each of these against its dotted form. */
OID(OID_EXTENSION_REQUEST, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")
OID(OID_MS_CERT_EXTENSIONS, "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e")
OID(OID_OS_VERSION, "\x2b\x06\x01\x04\x01\x82\x37\x0d\x02\x03")
OID(OID_CSP_PROVIDER, "\x2b\x06\x01\x04\x01\x82\x37\x0d\x02\x02")
OID(OID_NAME_VALUE, "\x2b\x06\x01\x04\x01\x82\x37\x0d\x02\x01")
OID(OID_RENEWAL_CERT, "\x2b\x06\x01\x04\x01\x82\x37\x0d\x01")
OID(OID_CLIENT_INFO, "\x2b\x06\x01\x04\x01\x82\x37\x15\x14")
OID(OID_TEMPLATE_OID, "\x2b\x06\x01\x04\x01\x82\x37\x15\x07")
OID(OID_TEMPLATE_NAME, "\x2b\x06\x01\x04\x01\x82\x37\x14\x02")
OID(OID_CRL_NEXT_PUBLISH, "\x2b\x06\x01\x04\x01\x82\x37\x15\x04")
OID(OID_APP_POLICIES, "\x2b\x06\x01\x04\x01\x82\x37\x15\x0a")
OID(OID_SID_EXT, "\x2b\x06\x01\x04\x01\x82\x37\x19\x02")
OID(OID_EXT_SMIME, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f")
OID(OID_SID_VALUE, "\x2b\x06\x01\x04\x01\x82\x37\x19\x02\x01")
OID(OID_UPN, "\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03")
OID(OID_ISSUED_CERT_HASH, "\x2b\x06\x01\x04\x01\x82\x37\x15\x11")
OID(OID_ARCHIVED_KEY, "\x2b\x06\x01\x04\x01\x82\x37\x15\x0d")
OID(OID_ENCRYPTED_KEY_HASH, "\x2b\x06\x01\x04\x01\x82\x37\x15\x15")
OID(OID_CMC_ADD_ATTRIBUTES, "\x2b\x06\x01\x04\x01\x82\x37\x0a\x0a\x01")
OID(OID_CMC_ADD_EXTENSIONS, "\x2b\x06\x01\x05\x05\x07\x07\x08")
OID(OID_CMC_REG_INFO, "\x2b\x06\x01\x05\x05\x07\x07\x12")
OID(OID_CMC_STATUS_INFO, "\x2b\x06\x01\x05\x05\x07\x07\x01")
OID(OID_CMC_TRANSACTION_ID, "\x2b\x06\x01\x05\x05\x07\x07\x05")
OID(OID_CMC_SENDER_NONCE, "\x2b\x06\x01\x05\x05\x07\x07\x06")
OID(OID_CMC_RECIPIENT_NONCE, "\x2b\x06\x01\x05\x05\x07\x07\x07")
OID(OID_CCT_PKI_DATA, "\x2b\x06\x01\x05\x05\x07\x0c\x02")
OID(OID_CCT_PKI_RESPONSE, "\x2b\x06\x01\x05\x05\x07\x0c\x03")
OID(OID_NO_SIGNATURE, "\x2b\x06\x01\x05\x05\x07\x06\x02")
OID(OID_PKCS7_DATA, "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
OID(OID_PKCS7_SIGNED, "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")
OID(OID_CONTENT_TYPE, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03")
OID(OID_MESSAGE_DIGEST, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04")
OID(OID_RSA_ENCRYPTION, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
OID(OID_RSA_SHA1, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05")
OID(OID_RSA_SHA256, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
OID(OID_RSA_SHA384, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c")
OID(OID_RSA_SHA512, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d")
OID(OID_RSA_PSS, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")
OID(OID_EC_PUBLIC_KEY, "\x2a\x86\x48\xce\x3d\x02\x01")
OID(OID_ECDSA_SHA1, "\x2a\x86\x48\xce\x3d\x04\x01")
OID(OID_ECDSA_SHA256, "\x2a\x86\x48\xce\x3d\x04\x03\x02")
OID(OID_ECDSA_SHA384, "\x2a\x86\x48\xce\x3d\x04\x03\x03")
OID(OID_ECDSA_SHA512, "\x2a\x86\x48\xce\x3d\x04\x03\x04")
OID(OID_P256, "\x2a\x86\x48\xce\x3d\x03\x01\x07")
OID(OID_P384, "\x2b\x81\x04\x00\x22")
OID(OID_P521, "\x2b\x81\x04\x00\x23")
OID(OID_SHA1, "\x2b\x0e\x03\x02\x1a")
OID(OID_SHA256, "\x60\x86\x48\x01\x65\x03\x04\x02\x01")
OID(OID_SHA384, "\x60\x86\x48\x01\x65\x03\x04\x02\x02")
OID(OID_SHA512, "\x60\x86\x48\x01\x65\x03\x04\x02\x03")
OID(OID_EXT_SKI, "\x55\x1d\x0e")
OID(OID_EXT_KEY_USAGE, "\x55\x1d\x0f")
OID(OID_EXT_SAN, "\x55\x1d\x11")
OID(OID_EXT_BASIC, "\x55\x1d\x13")
OID(OID_EXT_CRL_NUMBER, "\x55\x1d\x14")
OID(OID_EXT_DELTA_CRL, "\x55\x1d\x1b")
OID(OID_EXT_CDP, "\x55\x1d\x1f")
OID(OID_EXT_FRESHEST, "\x55\x1d\x2e")
OID(OID_EXT_POLICIES, "\x55\x1d\x20")
OID(OID_EXT_AKI, "\x55\x1d\x23")
OID(OID_EXT_EKU, "\x55\x1d\x25")
OID(OID_EXT_AIA, "\x2b\x06\x01\x05\x05\x07\x01\x01")
OID(OID_OCSP_BASIC, "\x2b\x06\x01\x05\x05\x07\x30\x01\x01")
OID(OID_OCSP_NONCE, "\x2b\x06\x01\x05\x05\x07\x30\x01\x02")
OID(OID_OCSP_NOCHECK, "\x2b\x06\x01\x05\x05\x07\x30\x01\x05")
OID(OID_KP_OCSP, "\x2b\x06\x01\x05\x05\x07\x03\x09")
OID(OID_AD_OCSP, "\x2b\x06\x01\x05\x05\x07\x30\x01")
OID(OID_AD_CA_ISSUERS, "\x2b\x06\x01\x05\x05\x07\x30\x02")
OID(OID_CN, "\x55\x04\x03")
OID(OID_EMAIL, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01")

/*
 * What Windows calls them: sent as defaultName of an oid ([MS-XCEP]
 * 3.1.4.1.3.16) and shown to people.
 */
static const struct {
	const char	*dotted;
	const char	*name;
} names[] = {
	{ "1.3.6.1.5.5.7.3.1", "Server Authentication" },
	{ "1.3.6.1.5.5.7.3.2", "Client Authentication" },
	{ "1.3.6.1.5.5.7.3.3", "Code Signing" },
	{ "1.3.6.1.5.5.7.3.4", "Secure Email" },
	{ "1.3.6.1.5.5.7.3.5", "IP security end system" },
	{ "1.3.6.1.5.5.7.3.6", "IP security tunnel termination" },
	{ "1.3.6.1.5.5.7.3.7", "IP security user" },
	{ "1.3.6.1.5.5.7.3.8", "Time Stamping" },
	{ "1.3.6.1.5.5.7.3.9", "OCSP Signing" },
	{ "1.3.6.1.5.5.8.2.2", "IP security IKE intermediate" },
	{ "1.3.6.1.5.2.3.4", "PKINIT Client Authentication" },
	{ "1.3.6.1.5.2.3.5", "KDC Authentication" },
	{ "1.3.6.1.4.1.311.10.3.4", "Encrypting File System" },
	{ "1.3.6.1.4.1.311.10.3.4.1", "File Recovery" },
	{ "1.3.6.1.4.1.311.10.3.11", "Key Recovery" },
	{ "1.3.6.1.4.1.311.10.3.12", "Document Signing" },
	{ "1.3.6.1.4.1.311.20.2.1", "Certificate Request Agent" },
	{ "1.3.6.1.4.1.311.20.2.2", "Smart Card Logon" },
	{ "1.3.6.1.4.1.311.21.5", "Private Key Archival" },
	{ "1.3.6.1.4.1.311.21.6", "Key Recovery Agent" },
	{ "1.3.6.1.4.1.311.21.19", "Directory Service Email Replication" },
	{ "1.3.6.1.4.1.311.54.1.2", "Remote Desktop Authentication" },
	{ "1.3.6.1.4.1.311.67.1.1", "BitLocker Drive Encryption" },
	{ "1.3.6.1.4.1.311.67.1.2", "BitLocker Data Recovery Agent" },
	{ "2.5.29.37.0", "Any Purpose" },

	{ "1.3.6.1.4.1.311.20.2", "Certificate Template Name" },
	{ "1.3.6.1.4.1.311.21.7", "Certificate Template Information" },
	{ "1.3.6.1.4.1.311.21.10", "Application Policies" },
	{ "2.5.29.14", "Subject Key Identifier" },
	{ "2.5.29.15", "Key Usage" },
	{ "2.5.29.17", "Subject Alternative Name" },
	{ "2.5.29.19", "Basic Constraints" },
	{ "2.5.29.31", "CRL Distribution Points" },
	{ "2.5.29.32", "Certificate Policies" },
	{ "2.5.29.35", "Authority Key Identifier" },
	{ "2.5.29.37", "Enhanced Key Usage" },
	{ "2.5.29.46", "Freshest CRL" },
	{ "1.2.840.113549.1.9.15", "SMIME Capabilities" },
	{ "1.3.6.1.5.5.7.1.1", "Authority Information Access" },

	{ "1.3.14.3.2.26", "sha1" },
	{ "2.16.840.1.101.3.4.2.1", "sha256" },
	{ "2.16.840.1.101.3.4.2.2", "sha384" },
	{ "2.16.840.1.101.3.4.2.3", "sha512" },
	{ "1.2.840.113549.1.1.1", "RSA" },
	{ "1.2.840.113549.1.1.10", "RSASSA-PSS" },
	{ "1.2.840.10045.2.1", "ECC" },
	{ "1.2.840.10045.3.1.7", "ECDSA_P256" },
	{ "1.3.132.0.34", "ECDSA_P384" },
	{ "1.3.132.0.35", "ECDSA_P521" },
	{ "1.2.840.113549.3.7", "3des" },
	{ "2.16.840.1.101.3.4.1.2", "aes128" },
	{ "2.16.840.1.101.3.4.1.22", "aes192" },
	{ "2.16.840.1.101.3.4.1.42", "aes256" },
};

/* One arc in the only spelling there is; *s moves behind it. */
static int
read_arc(const char **s, uint32_t *out)
{
	const char	*p = *s;
	uint64_t	 v = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > OID_ARC_MAX)
			return -1;
	}
	*out = (uint32_t)v;
	*s = p;
	return 0;
}

static int
read_arcs(const char *s, uint32_t arc[OID_ARCS], size_t *n)
{
	for (*n = 0; *n < OID_ARCS; s++) {
		if (read_arc(&s, &arc[*n]) == -1)
			return -1;
		(*n)++;
		if (*s == '\0')
			return 0;
		if (*s != '.')
			return -1;
	}
	return -1;
}

static size_t
put_base128(uint8_t *out, uint32_t v)
{
	size_t	count = 1, i;

	while (count < 5 && v >> (7 * count) != 0)
		count++;
	for (i = count; i > 0; i--, v >>= 7)
		out[i - 1] = (uint8_t)((v & 0x7f) | (i < count ? 0x80 : 0));
	return count;
}

int
oid_parse(const char *text, struct buf *out, struct err *err)
{
	uint32_t	arc[OID_ARCS];
	uint8_t		der[OID_ARCS * 5];
	size_t		n, i, len;

	if (read_arcs(text, arc, &n) == -1 || n < 2 || arc[0] > 2 ||
	    (arc[0] < 2 && arc[1] > 39) || arc[1] > OID_ARC_MAX - 80)
		return err_bad(err, 0, "%.60s is not an object identifier of "
		    "2 to %d arcs up to 2^31 - 1", text, OID_ARCS);
	len = put_base128(der, arc[0] * 40 + arc[1]);
	for (i = 2; i < n; i++)
		len += put_base128(der + len, arc[i]);
	if (len > OID_OCTETS)
		return err_bad(err, 0, "%.60s is longer than %d octets", text,
		    OID_OCTETS);
	buf_add(out, der, len);
	return 0;
}

/*
 * Next subidentifier ([X.690] 8.19.2): minimal, and below 2^63 so that the
 * cost and the text stay bounded whatever a client sends.
 */
static int
next_arc(struct slice *s, uint64_t *out)
{
	uint64_t	v = 0;
	uint8_t		c;

	if (s->n == 0 || *s->p == 0x80)
		return -1;
	do {
		if (s->n == 0 || v >> 56 != 0)
			return -1;
		c = *s->p++;
		s->n--;
		v = v << 7 | (c & 0x7f);
	} while ((c & 0x80) != 0);
	*out = v;
	return 0;
}

int
oid_text(struct slice s, char *out, size_t outlen)
{
	char		text[OID_OCTETS * 4 + 32];
	size_t		len;
	uint64_t	v, top;

	if (s.n > OID_OCTETS || next_arc(&s, &v) == -1)
		return -1;
	top = v < 80 ? v / 40 : 2;
	len = (size_t)snprintf(text, sizeof(text), "%llu.%llu",
	    (unsigned long long)top, (unsigned long long)(v - top * 40));
	while (s.n != 0) {
		if (next_arc(&s, &v) == -1)
			return -1;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    ".%llu", (unsigned long long)v);
	}
	if (len >= outlen)
		return -1;
	memcpy(out, text, len + 1);
	return 0;
}

const char *
oid_show(struct slice oid, char *buf, size_t n)
{
	return oid_text(oid, buf, n) == 0 ? buf : "of an odd name";
}

const char *
oid_name(const char *dotted)
{
	size_t	i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].dotted, dotted) == 0)
			return names[i].name;
	return NULL;
}
