/* An HTTPS client, for doctor_web.c and soapcall.c. */
#include "https.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file.h"

#define CONNECT_S	10	/* to connect, and for the handshake */
/*
 * Between two reads: behind the worker's total-ms and nginx's patience with
 * it, whose answers say why.
 */
#define ANSWER_S	35
#define ANSWER_MAX	((size_t)2 * 1024 * 1024)

struct conn {
	SSL_CTX	*ctx;
	SSL	*ssl;
	int	 fd;
};

/* "[::1]:8443", "host:8443", "host" to copies, the caller's even on -1. */
static int
split_host(const char *s, size_t n, const char *usual, char **host,
    char **port)
{
	const char *colon = memrchr(s, ':', n), *end = s + n;

	if (n > 0 && s[0] == '[') {
		const char *close = memchr(s, ']', n);

		if (close == NULL)
			return -1;
		*host = xstrndup(s + 1, (size_t)(close - s - 1));
		colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
	} else
		*host = xstrndup(s, (size_t)((colon ? colon : end) - s));
	*port = colon == NULL ? xstrdup(usual) :
	    xstrndup(colon + 1, (size_t)(end - colon - 1));
	return **host == '\0' || **port == '\0' ? -1 : 0;
}

int
https_split(const char *url, struct https_site *site, const char **path,
    struct err *err)
{
	const char *host = url;

	if (strncmp(url, "https://", 8) == 0)
		host += 8;
	else if ((site->plain = strncmp(url, "http://", 7) == 0))
		host += 7;
	*path = strchrnul(host, '/');
	if (split_host(host, (size_t)(*path - host), site->plain ? "80" :
	    "443", &site->name, &site->port) == 0)
		return 0;
	return err_set(err, ERR_MALFORMED, "not host and port: %.80s", url);
}

void
https_free(struct https_site *site)
{
	free(site->name);
	free(site->port);
	free(site->at_host);
	free(site->at_port);
	X509_STORE_free(site->trust);
	memset(site, 0, sizeof *site);
}

/* connect(2) with an end: 0 or what is wrong. */
static int
connect_error(int fd, const struct addrinfo *ai)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof(int);
	int e;

	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, CONNECT_S * 1000) != 1)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0)
		return errno;
	return e;
}

/* Each read and write that blocks ends with EAGAIN. */
static void
set_patience(int fd, time_t seconds)
{
	const struct timeval tv = { seconds, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

/* The socket blocks, with an end, afterwards. */
static int
connect_one(const struct addrinfo *ai)
{
	int e, fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, ai->ai_protocol);

	if (fd == -1)
		return -1;
	if ((e = connect_error(fd, ai)) == 0) {
		fcntl(fd, F_SETFL, 0);
		set_patience(fd, CONNECT_S);
		return fd;
	}
	close(fd);
	errno = e;
	return -1;
}

/* The addresses in getaddrinfo's order; the error is the last one's. */
static int
connect_any(const struct https_site *s, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *host = s->at_host != NULL ? s->at_host : s->name;
	const char *port = s->at_host != NULL ? s->at_port : s->port;
	struct addrinfo *all, *ai;
	int fd = -1, rc = getaddrinfo(host, port, &hints, &all);

	if (rc != 0)
		return err_set(err, ERR_UNAVAILABLE, "%.80s: %s", host,
		    gai_strerror(rc));
	for (ai = all; ai != NULL && fd == -1; ai = ai->ai_next)
		fd = connect_one(ai);
	freeaddrinfo(all);
	if (fd != -1)
		return fd;
	return err_set(err, ERR_UNAVAILABLE, "%.80s port %.8s: %s", host,
	    port, strerror(errno));
}

static void
close_conn(struct conn *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	if (c->fd != -1)
		close(c->fd);
}

/*
 * What the certificate must be for.  An address is compared as one, and goes
 * into no server name ([RFC6066] 3).
 */
static int
set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1)
		return 0;
	return SSL_set1_host(ssl, name) == 1 &&
	    SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : -1;
}

/*
 * A call of the socket or of OpenSSL has failed, with errno as it left it: of
 * time that ran out neither says anything that people understand.
 */
static int
failed(const struct conn *c, int seconds, const char *what, struct err *err)
{
	if (errno == EAGAIN) {
		ERR_clear_error();
		return err_set(err, ERR_UNAVAILABLE, "%s: nothing came within "
		    "%d seconds", what, seconds);
	}
	if (c->ssl != NULL)
		return err_openssl(err, "%s", what);
	return err_set(err, ERR_UNAVAILABLE, "%s: %s", what, strerror(errno));
}

/* Handshakes with anybody: the caller looks what verification has found. */
static int
open_conn(const struct https_site *s, struct conn *c, struct err *err)
{
	c->ssl = NULL;
	c->ctx = NULL;
	if ((c->fd = connect_any(s, err)) == -1)
		return -1;
	if (s->plain) {
		set_patience(c->fd, ANSWER_S);
		return 0;
	}
	if ((c->ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		return err_openssl(err, "tls");
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
	if (s->trust != NULL)
		SSL_CTX_set1_cert_store(c->ctx, s->trust);
	else
		SSL_CTX_set_default_verify_paths(c->ctx);
	c->ssl = SSL_new(c->ctx);
	if (c->ssl == NULL || set_name(c->ssl, s->name) == -1 ||
	    SSL_set_fd(c->ssl, c->fd) != 1)
		return err_openssl(err, "tls");
	errno = 0;
	if (SSL_connect(c->ssl) != 1)
		return failed(c, CONNECT_S, "tls handshake", err);
	set_patience(c->fd, ANSWER_S);
	return 0;
}

/* Of CertificateRequest, copied; in TLS 1.3 as in 1.2. */
static STACK_OF(X509_NAME) *
asked_for(const SSL *ssl)
{
	const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);

	return names == NULL ? NULL : sk_X509_NAME_deep_copy(names,
	    X509_NAME_dup, X509_NAME_free);
}

X509 *
https_certificate(const struct https_site *s, long *verify,
    STACK_OF(X509_NAME) **asked, struct err *err)
{
	struct conn c;
	X509 *cert = NULL;

	if (asked != NULL)
		*asked = NULL;
	if (open_conn(s, &c, err) == 0) {
		*verify = SSL_get_verify_result(c.ssl);
		if (asked != NULL)
			*asked = asked_for(c.ssl);
		cert = SSL_get1_peer_certificate(c.ssl);
		if (cert == NULL)
			err_set(err, ERR_UNAVAILABLE, "no certificate");
	}
	close_conn(&c);
	return cert;
}

static int
send_all(struct conn *c, struct slice s, struct err *err)
{
	int n;

	errno = 0;
	if (c->ssl == NULL)
		return file_write_all(c->fd, s) == 0 ? 0 :
		    failed(c, ANSWER_S, "send", err);
	for (; s.n > 0; s.p += n, s.n -= (size_t)n)
		if ((n = SSL_write(c->ssl, s.p, (int)s.n)) <= 0)
			return failed(c, ANSWER_S, "send", err);
	return 0;
}

static int
receive(struct conn *c, uint8_t *p, size_t n)
{
	errno = 0;
	return c->ssl == NULL ? (int)read(c->fd, p, n) :
	    SSL_read(c->ssl, p, (int)n);
}

static int
receive_all(struct conn *c, size_t enough, struct buf *out, struct err *err)
{
	uint8_t part[8192];
	int n;

	while ((n = receive(c, part, sizeof part)) > 0) {
		buf_add(out, part, (size_t)n);
		if (enough != 0 && out->n >= enough)
			return 0;
		if (out->n > ANSWER_MAX)
			return err_set(err, ERR_TOO_BIG,
			    "answer of more than %zu bytes", ANSWER_MAX);
	}
	/* Only TLS's own end is one: anybody can close the connection. */
	if (c->ssl == NULL ? n == 0 :
	    SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return failed(c, ANSWER_S, out->n == 0 ? "no answer" :
	    "the answer breaks off", err);
}

/* The start of a field's value, to its line's end; "" when it is not there. */
static void
read_field(struct slice head, const char *name, char *out, size_t max)
{
	const char *p = (const char *)head.p, *end = p + head.n, *line;
	size_t n = strlen(name);

	out[0] = '\0';
	for (; p < end; p = line + 1) {
		if ((line = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return;
		if ((size_t)(line - p) <= n || p[n] != ':' ||
		    strncasecmp(p, name, n) != 0)
			continue;
		for (p += n + 1; *p == ' '; p++)
			;
		snprintf(out, max, "%.*s", (int)strcspn(p, "\r\n"), p);
		return;
	}
}

/* "HTTP/1.1 200 OK", fields, an empty line, the body. */
static int
read_answer(struct slice all, struct https_answer *a, struct err *err)
{
	const uint8_t *end = memmem(all.p, all.n, "\r\n\r\n", 4);
	int i, status = 0;

	if (end == NULL || all.n < 12 || memcmp(all.p, "HTTP/1.", 7) != 0)
		return err_set(err, ERR_MALFORMED, "no answer in http");
	for (i = 9; i < 12; i++) {
		if (all.p[i] < '0' || all.p[i] > '9')
			return err_set(err, ERR_MALFORMED,
			    "no answer in http");
		status = status * 10 + (all.p[i] - '0');
	}
	a->status = status;
	read_field(slice_of(all.p, (size_t)(end + 2 - all.p)),
	    "WWW-Authenticate", a->challenge, sizeof a->challenge);
	buf_add(&a->body, end + 4, all.n - (size_t)(end + 4 - all.p));
	return 0;
}

/* Of 1.0, whose answer comes in no chunks and ends with the connection. */
static void
put_request(const struct https_site *s, const char *path, struct slice body,
    struct buf *b)
{
	buf_printf(b, "%s %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n",
	    body.n == 0 ? "GET" : "POST", path,
	    strchr(s->name, ':') != NULL ? "[" : "", s->name,
	    strchr(s->name, ':') != NULL ? "]" : "", s->port);
	if (body.n != 0)
		buf_printf(b, "Content-Type: application/soap+xml; "
		    "charset=utf-8\r\nContent-Length: %zu\r\n", body.n);
	buf_puts(b, "\r\n");
	buf_add(b, body.p, body.n);
}

int
https_call(const struct https_site *s, const char *path, struct slice body,
    struct https_answer *a, struct err *err)
{
	struct conn c;
	struct buf out = { 0 }, in = { 0 };
	long verify;
	int rc = open_conn(s, &c, err);

	if (rc == 0 && !s->plain &&
	    (verify = SSL_get_verify_result(c.ssl)) != X509_V_OK)
		rc = err_set(err, ERR_DENIED, "certificate: %s",
		    X509_verify_cert_error_string(verify));
	if (rc == 0) {
		put_request(s, path, body, &out);
		rc = send_all(&c, buf_slice(&out), err);
	}
	if (rc == 0)
		rc = receive_all(&c, a->enough, &in, err);
	if (rc == 0)
		rc = read_answer(buf_slice(&in), a, err);
	buf_wipe(&out);
	buf_free(&in);
	close_conn(&c);
	return rc;
}
