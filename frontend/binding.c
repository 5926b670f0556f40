/*
 * Channel bindings of our certificates, as they change: kerberos.c compares
 * them with what a client's token was bound to.
 */
#include <sys/stat.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "binding.h"
#include "file.h"
#include "log.h"

#define PEM_MAX		((size_t)256 * 1024)
#define PREFIX		"tls-server-end-point:"

struct watched {
	const char		*path;
	struct stat		 seen;
	struct binding_value	 now, before;	/* n 0: there is none */
	bool			 failed;	/* to be read; it was told */
};

struct binding {
	pthread_mutex_t	 lock;
	size_t		 n;
	struct watched	 file[WCONF_CERTIFICATES];
};

/* [RFC5929] 4.1: the hash of its signature, but for MD5 and SHA-1 SHA-256. */
static const EVP_MD *
hash_of(const X509 *cert)
{
	int	nid;

	if (X509_get_signature_info((X509 *)cert, &nid, NULL, NULL,
	    NULL) != 1 || nid == NID_undef)
		return NULL;
	if (nid == NID_md5 || nid == NID_sha1)
		return EVP_sha256();
	return EVP_get_digestbynid(nid);
}

static int
digest(const X509 *cert, const char *path, struct binding_value *v,
    struct err *err)
{
	const EVP_MD	*md = hash_of(cert);
	unsigned	 n;

	if (md == NULL)
		return err_set(err, ERR_INTERNAL, "kerberos: certificate %s: "
		    "its signature has no hash, so no channel binding is "
		    "defined for it ([RFC5929] 4.1): take one signed with "
		    "ECDSA or RSA", path);
	memcpy(v->data, PREFIX, strlen(PREFIX));
	if (X509_digest(cert, md, v->data + strlen(PREFIX), &n) != 1)
		return err_openssl(err, "kerberos: certificate %s", path);
	v->n = strlen(PREFIX) + n;
	return 0;
}

int
binding_of_pem(struct slice pem, const char *path, struct binding_value *v,
    struct err *err)
{
	BIO	*bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509	*cert = NULL;
	int	 rc;

	v->n = 0;
	if (bio != NULL)
		cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	rc = cert == NULL ? err_openssl(err, "kerberos: certificate %s",
	    path) : digest(cert, path, v, err);
	X509_free(cert);
	BIO_free(bio);
	return rc;
}

static int
read_file(struct watched *w, struct binding_value *v, struct err *err)
{
	struct buf	pem = { 0 };
	int		rc = file_read(w->path, PEM_MAX, &pem, err);

	if (rc == 0)
		rc = binding_of_pem(buf_slice(&pem), w->path, v, err);
	buf_free(&pem);
	return rc;
}

/* The certificate of now, if it is another: the one of before stays. */
static int
look(struct watched *w, struct err *err)
{
	struct binding_value	v = { .n = 0 };
	struct stat		st = { .st_ino = 0 };

	/* What fails, file_read tells; what changes behind it, the next look. */
	if (stat(w->path, &st) == 0 && file_same(&st, &w->seen))
		return 0;
	if (read_file(w, &v, err) == -1)
		return -1;
	w->seen = st;
	w->failed = false;
	if (v.n == w->now.n && memcmp(v.data, w->now.data, v.n) == 0)
		return 0;
	if (w->now.n != 0)
		log_note("kerberos", "%s: another certificate", w->path);
	w->before = w->now;
	w->now = v;
	return 0;
}

struct binding *
binding_new(const struct strlist *files, struct err *err)
{
	struct binding	*b = xcalloc(1, sizeof(*b));
	struct err	 why = ERR_INIT;

	(void)pthread_mutex_init(&b->lock, NULL);
	for (; b->n < files->n; b->n++) {
		b->file[b->n].path = files->v[b->n];
		if (look(&b->file[b->n], &why) == -1) {
			err_set(err, ERR_INTERNAL, "%s", why.text);
			binding_free(b);
			return NULL;
		}
	}
	return b;
}

void
binding_free(struct binding *b)
{
	if (b == NULL)
		return;
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

static void
look_again(struct watched *w)
{
	struct err	err = ERR_INIT;

	if (look(w, &err) == 0 || w->failed)
		return;
	w->failed = true;
	log_note("kerberos", "%s; going on with the one of before", err.text);
}

size_t
binding_values(struct binding *b, struct binding_value *out)
{
	size_t	i, n = 0;

	(void)pthread_mutex_lock(&b->lock);
	for (i = 0; i < b->n; i++) {
		look_again(&b->file[i]);
		out[n++] = b->file[i].now;
	}
	for (i = 0; i < b->n; i++)
		if (b->file[i].before.n != 0)
			out[n++] = b->file[i].before;
	(void)pthread_mutex_unlock(&b->lock);
	return n;
}
