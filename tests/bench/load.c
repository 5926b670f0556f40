/*
 * Load generator: one thread, many TLS connections, one request in flight on
 * each.  A body file holds the message with the words @MESSAGE_ID@ and
 * @TOKEN@; each request gets a fresh id and the next line of the token file.
 * With keep-alive the clock starts when every connection is open; "all" counts
 * what was answered before, too, and a request that was sent while others still
 * shook hands has no latency.  Prints one JSON object: counts, rate, latency
 * percentiles, own CPU time.
 *
 *	load --url URL [--ca PEM] --body FILE [--tokens FILE] --connections N
 *	    --seconds S [--expect WORD] [--handshake keep|full|resume]
 *	    [--cert PEM --key PEM] [--rate N] [--type MEDIA-TYPE]
 *	    [--obey yes] [--series yes]
 *
 * With --rate that many requests a second are due, evenly; each one's clock
 * starts when it is due, so that one that had to wait for a free connection is
 * not taken for a fast one; none is due before all connections are open.  An
 * http URL goes without TLS.
 *
 * A 503 is no failure: it is counted by itself, with its times, and how many
 * came without Retry-After.  With --obey that connection then waits as long as
 * it was told.  --series prints the p99 of each second, and to standard error a
 * line when the clock starts; SIGTERM ends that before its time.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "samples.h"

#define IN_MAX	(256 * 1024)
#define OPEN_SECONDS	120
#define LATE_US		1000000	/* so late is not sent any more */
#define OPEN_AT_ONCE	64	/* a server that waits for us gives us up */

enum handshake { HS_KEEP, HS_FULL, HS_RESUME };
enum step { STEP_CONNECT, STEP_IDLE, STEP_SEND, STEP_RECV };

struct opts {
	char		*host, *port, *path;
	const char	*ca, *cert, *key, *expect;
	char		*body;		/* with the two words */
	char		**tokens;
	size_t		 ntokens;
	int		 connections;
	double		 seconds, rate;
	const char	*type;
	bool		 plain;		/* http */
	bool		 obey, series;
	enum handshake	 handshake;
};

struct conn {
	int		 fd;
	SSL		*ssl;
	SSL_SESSION	*session;
	enum step	 step;
	char		*out;
	size_t		 outlen, sent;
	char		*in;
	size_t		 inlen;
	int64_t		 t0, not_before;
};

struct run {
	const struct opts *o;
	SSL_CTX		*ctx;
	struct addrinfo	*ai;
	int		 ep;
	size_t		 next_token;
	uint64_t	 done, failed, before;
	int		 unopened;	/* connections without TLS yet */
	int		 begun;		/* connections that were opened */
	int		 turn;		/* whose turn it is, if idle */
	struct conn	*conns;
	uint64_t	 due;		/* requests handed out, with --rate */
	double		 cpu0;		/* own, when the clock started */
	struct samples	 good, later;	/* later: answered with 503 */
	uint64_t	 untold;	/* of them without Retry-After */
	double		*series;
	size_t		 nseries, from;	/* good: the first of this second */
	int64_t		 start, end, next_wake;
	char		 first_failure[400];
};

static char *
read_file(const char *path)
{
	FILE *f;
	char *p = NULL;
	size_t n = 0, cap = 0;

	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	do {
		if (n + 65536 > cap)
			p = realloc(p, cap = n + 65536 + 1);
		if (p == NULL)
			err(1, NULL);
		n += fread(p + n, 1, 65535, f);
	} while (!feof(f) && !ferror(f));
	fclose(f);
	p[n] = '\0';
	return p;
}

static void
read_tokens(struct opts *o, const char *path)
{
	char *p = read_file(path), *line;

	while ((line = strsep(&p, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		o->tokens = realloc(o->tokens,
		    (o->ntokens + 1) * sizeof(*o->tokens));
		if (o->tokens == NULL)
			err(1, NULL);
		o->tokens[o->ntokens++] = line;
	}
}

/* https://host:port/path into its parts. */
static void
split_url(struct opts *o, const char *url)
{
	char *s, *slash, *colon;

	o->plain = strncmp(url, "http://", 7) == 0;
	if (!o->plain && strncmp(url, "https://", 8) != 0)
		errx(1, "%s: neither https nor http", url);
	s = strdup(url + (o->plain ? 7 : 8));
	if (s == NULL || (slash = strchr(s, '/')) == NULL)
		errx(1, "%s: no path", url);
	o->path = strdup(slash);
	*slash = '\0';
	if ((colon = strrchr(s, ':')) != NULL)
		*colon++ = '\0';
	o->host = s;
	o->port = colon != NULL ? colon : strdup(o->plain ? "80" : "443");
}

/* Appends s to out, returning the new end. */
static char *
put(char *out, const char *s, size_t n)
{
	memcpy(out, s, n);
	return out + n;
}

static char *
fill_body(struct run *r, size_t *len)
{
	const struct opts *o = r->o;
	const char *p = o->body, *at, *token = "";
	unsigned char rnd[16];
	char id[60], *out, *w;

	if (o->ntokens > 0)
		token = o->tokens[r->next_token++ % o->ntokens];
	RAND_bytes(rnd, sizeof(rnd));
	snprintf(id, sizeof(id), "urn:uuid:%02x%02x%02x%02x-%02x%02x-4%x%02x-"
	    "8%x%02x-%02x%02x%02x%02x%02x%02x", rnd[0], rnd[1], rnd[2], rnd[3],
	    rnd[4], rnd[5], rnd[6] & 15, rnd[7], rnd[8] & 15, rnd[9], rnd[10],
	    rnd[11], rnd[12], rnd[13], rnd[14], rnd[15]);
	if ((out = malloc(strlen(p) + strlen(token) + 200)) == NULL)
		err(1, NULL);
	for (w = out; (at = strchr(p, '@')) != NULL; ) {
		w = put(w, p, (size_t)(at - p));
		if (strncmp(at, "@MESSAGE_ID@", 12) == 0) {
			w = put(w, id, strlen(id));
			p = at + 12;
		} else if (strncmp(at, "@TOKEN@", 7) == 0) {
			w = put(w, token, strlen(token));
			p = at + 7;
		} else {
			*w++ = '@';
			p = at + 1;
		}
	}
	w = put(w, p, strlen(p));
	*len = (size_t)(w - out);
	return out;
}

static void
new_request(struct run *r, struct conn *c)
{
	size_t n;
	char *body = fill_body(r, &n);
	int h;

	free(c->out);
	if ((c->out = malloc(n + 600)) == NULL)
		err(1, NULL);
	h = snprintf(c->out, 600, "POST %s HTTP/1.1\r\nHost: %s:%s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n%s\r\n", r->o->path, r->o->host, r->o->port,
	    r->o->type, n, r->o->handshake == HS_KEEP ? "" :
	    "Connection: close\r\n");
	memcpy(c->out + h, body, n);
	free(body);
	c->outlen = (size_t)h + n;
	c->sent = c->inlen = 0;
	c->t0 = now_us();
}

/* When the next request is due. */
static int64_t
due_at(const struct run *r)
{
	return r->start + (int64_t)((double)r->due * 1e6 / r->o->rate);
}

/*
 * A connection that is free: its next request, or none before it is due.
 */
static void
go_on(struct run *r, struct conn *c)
{
	int64_t now = now_us();

	c->step = STEP_IDLE;
	/* With --series no queue of our own hides how the server is. */
	while (r->o->rate != 0 && r->o->series && due_at(r) < now - LATE_US)
		r->due++;
	if (now < c->not_before ||
	    (r->o->rate != 0 && (r->unopened > 0 || now < due_at(r))))
		return;
	c->step = STEP_SEND;
	c->t0 = r->o->rate != 0 ? due_at(r) : now;
	r->due++;
}

static void
tls_start(struct run *r, struct conn *c)
{
	if ((c->ssl = SSL_new(r->ctx)) == NULL)
		errx(1, "SSL_new");
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, r->o->host);
	SSL_set_connect_state(c->ssl);
	if (r->o->handshake == HS_RESUME && c->session != NULL)
		SSL_set_session(c->ssl, c->session);
}

static void
conn_open(struct run *r, struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int one = 1;

	c->fd = socket(r->ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd == -1)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, r->ai->ai_addr, r->ai->ai_addrlen) == -1 &&
	    errno != EINPROGRESS)
		err(1, "connect");
	if (!r->o->plain)
		tls_start(r, c);
	ev.data.ptr = c;
	if (epoll_ctl(r->ep, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		err(1, "epoll_ctl");
	c->step = STEP_CONNECT;
	new_request(r, c);
}

static void
conn_close(struct run *r, struct conn *c)
{
	if (r->o->handshake == HS_RESUME) {
		SSL_SESSION_free(c->session);
		c->session = SSL_get1_session(c->ssl);
	}
	if (c->ssl != NULL)
		SSL_set_shutdown(c->ssl,
		    SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

/* Is the whole answer there?  Content-Length or chunked. */
static bool
answer_whole(struct conn *c)
{
	char *body, *h;

	c->in[c->inlen] = '\0';
	if ((body = strstr(c->in, "\r\n\r\n")) == NULL)
		return false;
	body += 4;
	h = strcasestr(c->in, "\r\nContent-Length:");
	if (h != NULL && h < body)
		return c->inlen - (size_t)(body - c->in) >=
		    (size_t)strtoul(h + 17, NULL, 10);
	return c->inlen >= 5 &&
	    memcmp(c->in + c->inlen - 5, "0\r\n\r\n", 5) == 0;
}

static void
record_later(struct run *r, struct conn *c, int64_t now)
{
	const char *h = strcasestr(c->in, "\r\nRetry-After:");

	samples_add(&r->later, now - c->t0);
	if (h == NULL)
		r->untold++;
	else if (r->o->obey)
		c->not_before = now + atoi(h + 14) * INT64_C(1000000);
}

static void
record(struct run *r, struct conn *c, bool broken)
{
	const char *want = r->o->expect;
	bool good = !broken && strncmp(c->in, "HTTP/1.1 200", 12) == 0 &&
	    (want == NULL || strstr(c->in, want) != NULL);

	if (good) {
		r->done++;
		if (c->t0 >= r->start)
			samples_add(&r->good, now_us() - c->t0);
	} else if (!broken && strncmp(c->in, "HTTP/1.1 503", 12) == 0) {
		record_later(r, c, now_us());
	} else if (r->failed++ == 0) {
		snprintf(r->first_failure, sizeof(r->first_failure), "%s",
		    broken ? "connection lost" : c->in);
	}
}

static void
finish(struct run *r, struct conn *c, bool broken)
{
	record(r, c, broken);
	if (broken || r->o->handshake != HS_KEEP ||
	    strcasestr(c->in, "\r\nConnection: close") != NULL) {
		conn_close(r, c);
		if (now_us() < r->end)
			conn_open(r, c);
		else
			c->fd = -1;
		return;
	}
	new_request(r, c);
	go_on(r, c);
}

/* The same without TLS. */
static int
plain_step(struct conn *c)
{
	ssize_t n;

	if (c->step == STEP_CONNECT) {
		n = send(c->fd, "", 0, 0);
		if (n == 0)
			c->step = STEP_SEND;
	} else if (c->step == STEP_SEND) {
		n = send(c->fd, c->out + c->sent, c->outlen - c->sent, 0);
		if (n > 0 && (c->sent += (size_t)n) == c->outlen)
			c->step = STEP_RECV;
	} else {
		n = recv(c->fd, c->in + c->inlen, IN_MAX - c->inlen, 0);
		if (n == 0)
			return -1;
		if (n > 0)
			c->inlen += (size_t)n;
	}
	if (n >= 0)
		return 1;
	return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
}

/* One TLS call; 1 went on, 0 must wait, -1 broken. */
static int
conn_step(struct conn *c)
{
	size_t n;
	int rv;

	if (c->step == STEP_RECV && c->inlen >= IN_MAX)
		return -1;
	if (c->ssl == NULL)
		return plain_step(c);
	ERR_clear_error();
	if (c->step == STEP_CONNECT) {
		if ((rv = SSL_do_handshake(c->ssl)) == 1)
			c->step = STEP_SEND;
	} else if (c->step == STEP_SEND) {
		rv = SSL_write_ex(c->ssl, c->out + c->sent,
		    c->outlen - c->sent, &n);
		if (rv == 1 && (c->sent += n) == c->outlen)
			c->step = STEP_RECV;
	} else {
		rv = SSL_read_ex(c->ssl, c->in + c->inlen,
		    IN_MAX - c->inlen, &n);
		if (rv == 1)
			c->inlen += n;
	}
	if (rv == 1)
		return 1;
	rv = SSL_get_error(c->ssl, rv);
	return rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static double
own_cpu(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static void
start_clock(struct run *r)
{
	r->before = r->done;
	r->done = 0;	/* but a failure stays one */
	r->good.n = r->later.n = r->from = 0;
	r->untold = 0;
	r->due = 0;
	r->cpu0 = own_cpu();
	r->start = now_us();
	r->end = r->start + (int64_t)(r->o->seconds * 1e6);
}

/* The next connection is there, or will be. */
static void
open_next(struct run *r)
{
	if (r->begun < r->o->connections)
		conn_open(r, &r->conns[r->begun++]);
}

static void
conn_opened(struct run *r, struct conn *c)
{
	if (--r->unopened == 0) {
		start_clock(r);
		if (r->o->series)
			fprintf(stderr, "started\n");
	}
	open_next(r);
	go_on(r, c);
}

static void
conn_ready(struct run *r, struct conn *c)
{
	enum step was;
	int rv;

	while (c->fd != -1 && c->step != STEP_IDLE) {
		was = c->step;
		if ((rv = conn_step(c)) == 0)
			return;
		if (was == STEP_CONNECT && rv == 1)
			conn_opened(r, c);
		if (rv == -1)
			finish(r, c, true);
		else if (c->step == STEP_RECV && c->inlen > 0 &&
		    answer_whole(c))
			finish(r, c, false);
		if (now_us() >= r->end)
			return;
	}
}

/* What was answered in the second that is over; 0 when nothing was. */
static void
end_second(struct run *r)
{
	if (!r->o->series || r->unopened > 0 || now_us() < r->start +
	    (int64_t)(r->nseries + 1) * 1000000)
		return;
	samples_sort(&r->good, r->from);
	r->series = realloc(r->series, (r->nseries + 1) * sizeof(double));
	if (r->series == NULL)
		err(1, NULL);
	r->series[r->nseries++] = samples_ms(&r->good, r->from, 0.99);
	r->from = r->good.n;
}

static void
report(struct run *r)
{
	double seconds = (double)(now_us() - r->start) / 1e6;
	char *p;
	size_t i;

	samples_sort(&r->good, 0);
	samples_sort(&r->later, 0);
	printf("{\"done\": %llu, \"all\": %llu, \"failed\": %llu, "
	    "\"seconds\": %.3f, "
	    "\"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
	    "\"p999_ms\": %.3f, \"max_ms\": %.3f, \"cpu_s\": %.3f",
	    (unsigned long long)r->done,
	    (unsigned long long)(r->before + r->done),
	    (unsigned long long)r->failed, seconds,
	    (double)r->done / seconds, samples_ms(&r->good, 0, 0.5),
	    samples_ms(&r->good, 0, 0.99), samples_ms(&r->good, 0, 0.999),
	    samples_ms(&r->good, 0, 1), own_cpu() - r->cpu0);
	printf(", \"later\": %zu, \"later_p50_ms\": %.3f, "
	    "\"later_p99_ms\": %.3f, \"without_retry_after\": %llu",
	    r->later.n, samples_ms(&r->later, 0, 0.5),
	    samples_ms(&r->later, 0, 0.99), (unsigned long long)r->untold);
	printf(", \"p99_ms_each_second\": [");
	for (i = 0; i < r->nseries; i++)
		printf("%s%.1f", i == 0 ? "" : ", ", r->series[i]);
	printf("]");
	if (r->failed > 0) {
		for (p = r->first_failure; *p != '\0'; p++)
			if (*p == '"' || *p == '\\' || *p < ' ')
				*p = ' ';
		printf(", \"first_failure\": \"%s\"", r->first_failure);
	}
	printf("}\n");
}

static SSL_CTX *
tls_ctx(const struct opts *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL ||
	    (!o->plain && SSL_CTX_load_verify_file(ctx, o->ca) != 1))
		errx(1, "%s: no CA certificate", o->ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (o->cert != NULL &&
	    (SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1))
		errx(1, "%s: bad certificate or key", o->cert);
	return ctx;
}

/* What is due goes to who is idle; how long to wait for more, in ms. */
static int
wake_idle(struct run *r)
{
	int64_t now = now_us(), left;
	struct conn *c;
	int i;

	if (r->o->rate == 0 ? !r->o->obey : r->unopened > 0)
		return 100;
	/* Not all after each event; in turn, since nginx closes idle ones. */
	for (i = 0; now >= r->next_wake && i < r->o->connections; i++) {
		if (r->o->rate != 0 && now_us() < due_at(r))
			break;
		c = &r->conns[r->turn];
		r->turn = (r->turn + 1) % r->o->connections;
		if (c->fd == -1 || c->step != STEP_IDLE)
			continue;
		go_on(r, c);
		conn_ready(r, c);
	}
	if (r->o->rate == 0) {
		r->next_wake = now >= r->next_wake ? now + 5000 : r->next_wake;
		return 5;
	}
	left = due_at(r) - now_us();
	return left < 1000 ? 1 : left > 100000 ? 100 : (int)(left / 1000);
}

static bool
stop_asked(const struct run *r)
{
	sigset_t set;

	return r->o->series && sigpending(&set) == 0 &&
	    sigismember(&set, SIGTERM) == 1;
}

static void
run_load(struct run *r)
{
	struct epoll_event ev[256];
	int i, n;

	r->conns = calloc((size_t)r->o->connections, sizeof(*r->conns));
	if (r->conns == NULL)
		err(1, NULL);
	start_clock(r);
	r->unopened = r->o->handshake == HS_KEEP ? r->o->connections : 0;
	r->end += r->unopened > 0 ? OPEN_SECONDS * INT64_C(1000000) : 0;
	for (i = 0; i < r->o->connections; i++) {
		if ((r->conns[i].in = malloc(IN_MAX + 1)) == NULL)
			err(1, NULL);
		r->conns[i].fd = -1;
	}
	for (i = 0; i < r->o->connections && (i < OPEN_AT_ONCE ||
	    r->o->handshake != HS_KEEP); i++)
		open_next(r);
	while (now_us() < r->end && !stop_asked(r)) {
		n = epoll_wait(r->ep, ev, 256, wake_idle(r));
		for (i = 0; i < n; i++)
			conn_ready(r, ev[i].data.ptr);
		end_second(r);
	}
	if (r->unopened > 0)
		errx(1, "%d connections do not open", r->unopened);
	report(r);
}

static void
parse_option(struct opts *o, const char *name, char *arg)
{
	if (strcmp(name, "url") == 0)
		split_url(o, arg);
	else if (strcmp(name, "ca") == 0)
		o->ca = arg;
	else if (strcmp(name, "body") == 0)
		o->body = read_file(arg);
	else if (strcmp(name, "tokens") == 0)
		read_tokens(o, arg);
	else if (strcmp(name, "connections") == 0)
		o->connections = atoi(arg);
	else if (strcmp(name, "seconds") == 0)
		o->seconds = atof(arg);
	else if (strcmp(name, "expect") == 0)
		o->expect = arg;
	else if (strcmp(name, "cert") == 0)
		o->cert = arg;
	else if (strcmp(name, "key") == 0)
		o->key = arg;
	else if (strcmp(name, "rate") == 0)
		o->rate = atof(arg);
	else if (strcmp(name, "type") == 0)
		o->type = arg;
	else if (strcmp(name, "obey") == 0)
		o->obey = true;
	else if (strcmp(name, "series") == 0)
		o->series = true;
	else
		o->handshake = strcmp(arg, "full") == 0 ? HS_FULL :
		    strcmp(arg, "resume") == 0 ? HS_RESUME : HS_KEEP;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "url", 1, NULL, 0 }, { "ca", 1, NULL, 0 },
		{ "body", 1, NULL, 0 }, { "tokens", 1, NULL, 0 },
		{ "connections", 1, NULL, 0 }, { "seconds", 1, NULL, 0 },
		{ "expect", 1, NULL, 0 }, { "handshake", 1, NULL, 0 },
		{ "cert", 1, NULL, 0 }, { "key", 1, NULL, 0 },
		{ "rate", 1, NULL, 0 }, { "type", 1, NULL, 0 },
		{ "obey", 1, NULL, 0 }, { "series", 1, NULL, 0 },
		{ NULL, 0, NULL, 0 }
	};
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct opts o = { .connections = 1, .seconds = 5,
	    .type = "application/soap+xml; charset=utf-8" };
	struct run r = { .o = &o };
	sigset_t term;
	int ch, ix;

	while ((ch = getopt_long(argc, argv, "", longs, &ix)) == 0)
		parse_option(&o, longs[ix].name, optarg);
	if (ch != -1 || o.host == NULL || o.body == NULL ||
	    (o.ca == NULL && !o.plain))
		errx(2, "usage: load --url URL --ca PEM --body FILE ...");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (o.series)
		sigprocmask(SIG_BLOCK, &term, NULL);
	if (getaddrinfo(o.host, o.port, &hints, &r.ai) != 0)
		errx(1, "%s: unknown host", o.host);
	if ((r.ep = epoll_create1(0)) == -1)
		err(1, "epoll");
	r.ctx = tls_ctx(&o);
	run_load(&r);
	return r.done > 0 ? 0 : 1;
}
