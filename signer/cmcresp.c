/*
 * The answer that Windows wants, around the certificate: the last thing that
 * is made of an enrollment, by reply.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "certauth.h"
#include "cmcresp.h"
#include "der.h"
#include "oid.h"

/* PendInfo stands in its CHOICE without a tag: [RFC5272] 6.1.2. */
static void
put_pend_info(struct buf *out, const struct cmcresp *r)
{
	size_t seq = der_open(out, DER_SEQ);
	char number[16];

	snprintf(number, sizeof(number), "%u", (unsigned)r->number);
	der_put_str(out, DER_OCTETS, number);
	der_put_gentime(out, r->received);
	der_close(out, seq);
}

static void
put_body_list(struct buf *out, uint64_t id)
{
	size_t seq = der_open(out, DER_SEQ);

	der_put_uint(out, id);
	der_close(out, seq);
}

struct control {		/* a TaggedAttribute being written */
	size_t	 seq, set;
};

static struct control
control_open(struct buf *out, uint64_t *part, struct slice type)
{
	struct control c;

	c.seq = der_open(out, DER_SEQ);
	der_put_uint(out, (*part)++);
	der_put_oid(out, type);
	c.set = der_open(out, DER_SET);
	return c;
}

static void
control_close(struct buf *out, struct control c)
{
	der_close(out, c.set);
	der_close(out, c.seq);
}

static void
put_status(struct buf *out, const struct cmcresp *r, uint64_t *part)
{
	struct control c = control_open(out, part, OID_CMC_STATUS_INFO);
	size_t seq = der_open(out, DER_SEQ);

	der_put_uint(out, r->status);
	put_body_list(out, r->echo.body_part_id);
	der_put_str(out, DER_UTF8, r->text);
	if (r->status == CMC_PENDING)
		put_pend_info(out, r);
	der_close(out, seq);
	control_close(out, c);
}

/*
 * [MS-WCCE] 2.2.2.7.9: the private key was archived.  DER sorts it behind
 * the other: not shorter, and of a greater OID.
 */
static void
put_key_hash(struct buf *out, const struct cmcresp *r)
{
	size_t attr, set;

	if (r->echo.key_hash.n == 0)
		return;
	attr = der_open(out, DER_SEQ);
	der_put_oid(out, OID_ENCRYPTED_KEY_HASH);
	set = der_open(out, DER_SET);
	buf_add(out, r->echo.key_hash.p, r->echo.key_hash.n);
	der_close(out, set);
	der_close(out, attr);
}

/* [MS-WCCE] 2.2.2.7.11: SHA-1 of the certificate, as Windows looks for. */
static void
put_cert_hash(struct buf *out, const struct cmcresp *r, uint64_t *part)
{
	struct control c = control_open(out, part, OID_CMC_ADD_ATTRIBUTES);
	size_t seq = der_open(out, DER_SEQ), attrs, attr, set;
	uint8_t sha1[DIGEST_MAX];
	size_t n = digest_run(r->ca->sha1, r->leaf, sha1);

	der_put_uint(out, 0);
	put_body_list(out, r->echo.body_part_id);
	attrs = der_open(out, DER_SET);
	attr = der_open(out, DER_SEQ);
	der_put_oid(out, OID_ISSUED_CERT_HASH);
	set = der_open(out, DER_SET);
	der_put(out, DER_OCTETS, sha1, n);
	der_close(out, set);
	der_close(out, attr);
	put_key_hash(out, r);
	der_close(out, attrs);
	der_close(out, seq);
	control_close(out, c);
}

/* The value as the request encoded it. */
static void
put_echo(struct buf *out, struct slice type, struct slice value,
    uint64_t *part)
{
	struct control c;

	if (value.n == 0)
		return;
	c = control_open(out, part, type);
	buf_add(out, value.p, value.n);
	control_close(out, c);
}

/* PKIResponse ::= SEQUENCE { controls, cms, otherMsg }: [RFC2797] 3.2. */
static void
put_pki_response(struct buf *out, const struct cmcresp *r)
{
	size_t body = der_open(out, DER_SEQ);
	size_t controls = der_open(out, DER_SEQ);
	uint64_t part = 1;

	put_status(out, r, &part);
	if (r->status == CMC_SUCCESS)
		put_cert_hash(out, r, &part);
	put_echo(out, OID_CMC_TRANSACTION_ID, r->echo.transaction_id, &part);
	put_echo(out, OID_CMC_RECIPIENT_NONCE, r->echo.sender_nonce, &part);
	der_close(out, controls);
	der_put(out, DER_SEQ, NULL, 0);
	der_put(out, DER_SEQ, NULL, 0);
	der_close(out, body);
}

/* DER order of a SET OF: [X.690] 11.6. */
static int
by_bytes(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	if (c != 0)
		return c;
	return x->n < y->n ? -1 : x->n > y->n;
}

static void
put_certificates(struct buf *out, const struct cmcresp *r)
{
	struct slice certs[CA_CHAIN_MAX + 2 + CMC_ALSO_MAX];
	size_t i, n = 0, set = der_open(out, DER_CTXC(0));

	certs[n++] = buf_slice(&r->ca->cert.der);
	for (i = 0; i < r->ca->nchain; i++)
		certs[n++] = buf_slice(&r->ca->chain[i].der);
	if (r->status == CMC_SUCCESS)
		certs[n++] = r->leaf;
	for (i = 0; i < r->nalso && i < CMC_ALSO_MAX; i++)
		if (!slice_among(certs, n, buf_slice(&r->also[i])))
			certs[n++] = buf_slice(&r->also[i]);
	qsort(certs, n, sizeof(certs[0]), by_bytes);
	for (i = 0; i < n; i++)
		buf_add(out, certs[i].p, certs[i].n);
	der_close(out, set);
}

/*
 * The attributes as the SET that is signed ([RFC5652] 5.4); contentType is
 * the shorter one and so comes first.
 */
static void
put_attributes(struct buf *out, const struct cmcresp *r, struct slice content)
{
	size_t set = der_open(out, DER_SET), attr, values;
	uint8_t digest[64];
	size_t n = cakey_digest(r->ca->key, content, digest);

	attr = der_open(out, DER_SEQ);
	der_put_oid(out, OID_CONTENT_TYPE);
	values = der_open(out, DER_SET);
	der_put_oid(out, OID_CCT_PKI_RESPONSE);
	der_close(out, values);
	der_close(out, attr);
	attr = der_open(out, DER_SEQ);
	der_put_oid(out, OID_MESSAGE_DIGEST);
	values = der_open(out, DER_SET);
	der_put(out, DER_OCTETS, digest, n);
	der_close(out, values);
	der_close(out, attr);
	der_close(out, set);
}

/* With NULL parameters, as AD CS writes it. */
static void
put_digest_alg(struct buf *out, const struct cakey *k)
{
	der_put_alg(out, cakey_digest_oid(k), true);
}

/*
 * Not checked after signing, unlike a certificate: a client that cannot
 * verify the response asks again, and nothing else rests on it.
 */
static int
put_signer(struct buf *out, const struct cmcresp *r, struct slice content,
    struct err *err)
{
	struct buf attrs = { 0 }, sig = { 0 };
	size_t info, sid;

	put_attributes(&attrs, r, content);
	if (cakey_sign(r->ca->key, buf_slice(&attrs), false, &sig,
	    err) == -1) {
		buf_free(&attrs);
		return -1;
	}
	info = der_open(out, DER_SEQ);
	der_put_uint(out, 1);
	sid = der_open(out, DER_SEQ);
	/* The ISSUER of the CA certificate: [RFC5652] 10.2.4. */
	buf_add(out, r->ca->cert.issuer.p, r->ca->cert.issuer.n);
	der_put_slice(out, DER_INTEGER, r->ca->cert.serial);
	der_close(out, sid);
	put_digest_alg(out, r->ca->key);
	attrs.p[0] = DER_CTXC(0);	/* IMPLICIT in the message */
	buf_add(out, attrs.p, attrs.n);
	if (cakey_kind(r->ca->key) == KEY_RSA)
		der_put_alg(out, OID_RSA_ENCRYPTION, true);
	else
		cakey_put_sigalg(r->ca->key, out);
	der_put(out, DER_OCTETS, sig.p, sig.n);
	der_close(out, info);
	buf_free(&attrs);
	buf_free(&sig);
	return 0;
}

static int
put_signed_data(struct buf *out, const struct cmcresp *r,
    struct slice content, struct err *err)
{
	size_t seq = der_open(out, DER_SEQ), mark, wrap;

	der_put_uint(out, 3);
	mark = der_open(out, DER_SET);
	if (!r->ca->apart)
		put_digest_alg(out, r->ca->key);
	der_close(out, mark);
	mark = der_open(out, DER_SEQ);
	der_put_oid(out, OID_CCT_PKI_RESPONSE);
	wrap = der_open(out, DER_CTXC(0));
	der_put_slice(out, DER_OCTETS, content);
	der_close(out, wrap);
	der_close(out, mark);
	put_certificates(out, r);
	mark = der_open(out, DER_SET);
	if (!r->ca->apart && put_signer(out, r, content, err) == -1)
		return -1;
	der_close(out, mark);
	der_close(out, seq);
	return 0;
}

int
cmcresp_build(const struct cmcresp *r, struct buf *out, struct err *err)
{
	struct buf content = { 0 }, cms = { 0 };
	size_t info, wrap;
	int rc;

	put_pki_response(&content, r);
	info = der_open(&cms, DER_SEQ);
	der_put_oid(&cms, OID_PKCS7_SIGNED);
	wrap = der_open(&cms, DER_CTXC(0));
	rc = put_signed_data(&cms, r, buf_slice(&content), err);
	if (rc == 0) {
		der_close(&cms, wrap);
		der_close(&cms, info);
		buf_add(out, cms.p, cms.n);
	}
	buf_free(&content);
	buf_free(&cms);
	return rc;
}

/* The [0] certificates of [RFC5652] 5.1, and where they stand. */
static int
open_certificates(struct slice response, struct der *certs)
{
	struct err ignored = ERR_INIT;
	struct der info, wrap, sd;
	struct slice skip;

	if (der_only(response, DER_SEQ, &info, "", &ignored) == -1 ||
	    der_get(&info, DER_OID, &skip, "", &ignored) == -1 ||
	    der_enter(&info, DER_CTXC(0), &wrap, "", &ignored) == -1 ||
	    der_enter(&wrap, DER_SEQ, &sd, "", &ignored) == -1 ||
	    der_get(&sd, DER_INTEGER, &skip, "", &ignored) == -1 ||
	    der_tlv(&sd, DER_SET, &skip, "", &ignored) == -1 ||
	    der_tlv(&sd, DER_SEQ, &skip, "", &ignored) == -1)
		return -1;
	return der_enter(&sd, DER_CTXC(0), certs, "", &ignored);
}

int
cmcresp_leaf(struct slice response, struct slice serial, struct slice *leaf)
{
	struct err ignored = ERR_INIT;
	struct slice cert, has;
	struct der certs;

	if (response.n == 0 || open_certificates(response, &certs) == -1)
		return -1;
	while (!der_done(&certs)) {
		if (der_tlv(&certs, DER_SEQ, &cert, "", &ignored) == -1 ||
		    certauth_serial(cert, &has, &ignored) == -1)
			return -1;
		if (slice_eq(has, serial)) {
			*leaf = cert;
			return 0;
		}
	}
	return -1;
}
