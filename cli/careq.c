/*
 * Requests for CA certificates: how a key that stays where it is gets a
 * certificate from a root on another host.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "cakeyfile.h"
#include "camake.h"
#include "certfile.h"
#include "derfile.h"
#include "file.h"

#define REQUEST_MAX	(64 * 1024)

/* [RFC2986] by way of PKCS#9's extensionRequest; an issuer may ignore it. */
static int
add_extensions(X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *bc = X509V3_EXT_conf_nid(NULL, NULL,
	    NID_basic_constraints, "critical,CA:TRUE");
	X509_EXTENSION *ku = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage,
	    "critical,digitalSignature,keyCertSign,cRLSign");
	int ok = list != NULL && bc != NULL && ku != NULL &&
	    sk_X509_EXTENSION_push(list, bc) > 0;

	if (ok && sk_X509_EXTENSION_push(list, ku) > 0) {
		ok = X509_REQ_add_extensions(req, list);
		sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
		return ok;
	}
	abort();	/* out of memory */
}

X509_REQ *
ca_request_new(const X509_NAME *subject, EVP_PKEY *key, struct err *err)
{
	X509_REQ *req = X509_REQ_new();

	if (req == NULL || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_subject_name(req, subject) != 1 ||
	    X509_REQ_set_pubkey(req, key) != 1 || !add_extensions(req) ||
	    X509_REQ_sign(req, key, ca_md(key)) <= 0) {
		err_openssl(err, "ca request");
		X509_REQ_free(req);
		req = NULL;
	} else if (X509_REQ_verify(req, key) != 1) {
		ERR_clear_error();
		err_set(err, ERR_INTERNAL, "the new signature is wrong");
		X509_REQ_free(req);
		req = NULL;
	}
	return req;
}

X509_REQ *
ca_request_read(const char *path, struct err *err)
{
	struct buf der = { 0 };
	const unsigned char *p;
	X509_REQ *req;

	if (derfile_read(path, REQUEST_MAX, &der, err) != 0)
		return NULL;
	p = der.p;
	req = d2i_X509_REQ(NULL, &p, (long)der.n);
	if (req == NULL || p != der.p + der.n) {
		err_openssl(err, "%.100s: not a request (PKCS#10)", path);
		X509_REQ_free(req);
		req = NULL;
	}
	buf_free(&der);
	return req;
}

int
ca_request_write(X509_REQ *req, const char *path, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int rc;

	if (PEM_write_bio_X509_REQ(bio, req) != 1)
		rc = err_openssl(err, "ca request to pem");
	else {
		n = BIO_get_mem_data(bio, &p);
		rc = file_put(path, 0644, slice_of(p, (size_t)n), err);
	}
	BIO_free(bio);
	return rc;
}

/* What it says of a path length must be what it will get. */
static int
check_is_ca(X509_EXTENSION *e, int pathlen, struct err *err)
{
	BASIC_CONSTRAINTS *bc = X509V3_EXT_d2i(e);
	long n = bc != NULL && bc->pathlen != NULL ?
	    ASN1_INTEGER_get(bc->pathlen) : pathlen;
	bool is_ca = bc != NULL && bc->ca;

	BASIC_CONSTRAINTS_free(bc);
	if (!is_ca)
		return err_set(err, ERR_DENIED, "the request says that it is "
		    "for no ca");
	if (n != pathlen)
		return err_set(err, ERR_DENIED, "the request asks for path "
		    "length %ld: that is the issuer's to decide, with "
		    "--pathlen", n);
	return 0;
}

static int
check_usage(X509_EXTENSION *e, struct err *err)
{
	ASN1_BIT_STRING *ku = X509V3_EXT_d2i(e);
	bool signs = ku != NULL && ASN1_BIT_STRING_get_bit(ku, 5) == 1;

	ASN1_BIT_STRING_free(ku);
	return signs ? 0 : err_set(err, ERR_DENIED, "the request's key usage "
	    "has no keyCertSign: it is for no ca");
}

/* "is a CA" and what goes without saying; all else is the issuer's. */
static int
check_extension(X509_EXTENSION *e, int pathlen, struct err *err)
{
	static const char *const usual[] = { "2.5.29.14",
	    /* what Windows' setup writes: template name, version of the CA */
	    "1.3.6.1.4.1.311.20.2", "1.3.6.1.4.1.311.21.1" };
	char oid[80], name[80];
	size_t i;

	OBJ_obj2txt(oid, sizeof oid, X509_EXTENSION_get_object(e), 1);
	for (i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(oid, usual[i]) == 0)
			return 0;
	OBJ_obj2txt(name, sizeof name, X509_EXTENSION_get_object(e), 0);
	if (strcmp(oid, "2.5.29.15") == 0)
		return check_usage(e, err);
	if (strcmp(oid, "2.5.29.19") == 0)
		return check_is_ca(e, pathlen, err);
	return err_set(err, ERR_DENIED, "the request asks for %s: that is "
	    "the issuer's to decide, with options of its own", name);
}

/* None at all is good: that it is for a CA, the command says. */
static int
check_extensions(X509_REQ *req, int pathlen, struct err *err)
{
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
	int i, rc = 0;

	for (i = 0; rc == 0 && i < sk_X509_EXTENSION_num(list); i++)
		rc = check_extension(sk_X509_EXTENSION_value(list, i),
		    pathlen, err);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return rc;
}

static int
check_subject(X509_REQ *req, const char *subject, struct err *err)
{
	X509_NAME *name = ca_name_parse(subject, err);
	struct buf has = { 0 };
	int rc = 0;

	if (name == NULL)
		return -1;
	if (X509_NAME_cmp(name, X509_REQ_get_subject_name(req)) != 0) {
		cert_name(X509_REQ_get_subject_name(req), &has);
		rc = err_set(err, ERR_DENIED, "the request is for \"%.70s\", "
		    "not for \"%.70s\"", buf_str(&has), subject);
	}
	buf_free(&has);
	X509_NAME_free(name);
	return rc;
}

int
ca_request_check(X509_REQ *req, const struct ca_plan *plan, struct err *err)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);

	if (ca_key_strong(key, "the request's key", err) != 0)
		return -1;
	if (X509_REQ_verify(req, key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_DENIED, "the request's signature is "
		    "wrong: damaged, or not of its key");
	}
	if (check_subject(req, plan->subject, err) != 0)
		return -1;
	return check_extensions(req, plan->pathlen, err);
}
