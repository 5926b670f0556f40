/*
 * Threads that serve: each takes the next request or the next answer of a
 * signer, whoever's it is, and gives it to serve.c.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "conns.h"
#include "log.h"
#include "process.h"
#include "serve.h"
#include "turns.h"

#define STACK		((size_t)512 * 1024)
#define DRAIN_S		5	/* beyond what a signer may take */
#define DRAIN_MAX	((size_t)4 * 1024 * 1024)	/* of a message */
#define WAIT_MS		500	/* how soon a thread sees that it should end */
#define PENDING_MS	100	/* ... or how questions are getting on */
/*
 * Requests that wait for signers at a time, which bounds memory: more than
 * they take at once, and so few that none waits for long.
 */
#define PENDING_MAX	32
#define RUNNING_MAX	4	/* of the threads: turns.h */

struct process {
	const struct wconf	*conf;
	struct conns		*conns;
	struct link_pool	*pool;
	struct link		*link;	/* all threads' questions */
	struct serve		 shared;	/* xml and link are NULL here */
	atomic_bool		 failed;
	pthread_t		*thread;
	unsigned		 nthreads;
};

/*
 * libfcgi would accept by itself, but then it would read from a peer before
 * we know who that is.  It goes on with a descriptor it finds: keepConnection
 * stops it from closing that first, and without a listening socket it does
 * not wait for another one.
 */
static int
receive(FCGX_Request *fcgi, int fd)
{
	fcgi->ipcFd = fd;
	fcgi->keepConnection = 1;
	return FCGX_Accept_r(fcgi);
}

/*
 * What nobody wants.  To close a socket with unread bytes would break nginx's
 * write, and the client would not see the answer.
 */
static void
drain(FCGX_Stream *in)
{
	char	scrap[4096];
	size_t	n = 0;
	int	got;

	while (n < DRAIN_MAX &&
	    (got = FCGX_GetStr(scrap, sizeof(scrap), in)) > 0)
		n += (size_t)got;
}

/*
 * The connection is given back if nginx wants that ([FastCGI] 3.5) and
 * nothing of the request is left unread, which would begin the next one.
 * With the end of the answer nginx takes it for free: a close that comes
 * after that may meet the next request, somebody else's.
 */
static void
finish(struct process *p, FCGX_Request *fcgi)
{
	bool	seen = false;
	int	fd = fcgi->ipcFd;

	/* Nobody has read the end of a request without a body. */
	if (fcgi->in != NULL) {
		drain(fcgi->in);
		seen = FCGX_HasSeenEOF(fcgi->in) ||
		    FCGX_GetChar(fcgi->in) == -1;
	}
	if (fcgi->keepConnection && (!seen || !conns_room(p->conns, fd)))
		fcgi->keepConnection = 0;
	/*
	 * libfcgi would shut down and wait for nginx to close first; where
	 * nothing is left unread, a close loses nothing.
	 */
	fcgi->detached = seen;
	FCGX_Finish_r(fcgi);
	if (fcgi->ipcFd >= 0)
		conns_keep(p->conns, fd);
	free(fcgi);
}

/* A request that has come: it waits for a signer now, or is answered. */
static void
begin(struct process *p, const struct serve *s, int fd)
{
	FCGX_Request		*fcgi = xcalloc(1, sizeof(*fcgi));
	struct link_question	*q = NULL;

	FCGX_InitRequest(fcgi, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	if (receive(fcgi, fd) == 0)
		q = serve_request(s, fcgi);
	if (q != NULL)
		link_ask(p->link, q);
	else
		finish(p, fcgi);
}

/* An answer that has come, whichever thread has asked. */
static void
go_on(struct process *p, const struct serve *s, struct link_question *q)
{
	FCGX_Request	*fcgi = serve_asker(q);

	q = serve_answer(s, q);
	if (q != NULL)
		link_ask(p->link, q);
	else
		finish(p, fcgi);
}

/*
 * What is next: an answer, a connection with something to say, or nothing for
 * a while.  False when the thread was one too many, or at the end: it has
 * given its turn.  Answers come first: what this thread has found out about
 * others' questions wakes nobody else.
 */
static bool
serve_next(struct process *p, const struct serve *s, bool *turn)
{
	struct link_question	*q = link_next(p->link);
	size_t			 pending = link_pending(p->link);
	int			 fd;

	if (q != NULL) {
		go_on(p, s, q);
		return true;
	}
	if (turns_spare(p->shared.turns))
		return false;
	if (pending >= PENDING_MAX) {
		link_wait(p->link);
		return true;
	}
	fd = conns_next(p->conns, turn, pending > 0 ? PENDING_MS :
	    conns_stopped(p->conns) ? 0 : WAIT_MS);
	if (fd != -1) {
		begin(p, s, fd);
		return true;
	}
	link_look(p->link);
	if (pending > 0 || !conns_stopped(p->conns))
		return true;
	turns_give(p->shared.turns);
	return false;
}

static void *
thread_main(void *arg)
{
	struct process	*p = arg;
	struct serve	 s = p->shared;
	struct err	 err = ERR_INIT;
	bool		 turn = false;

	s.link = link_new(p->pool, p->conf->try_ms, p->conf->total_ms, &err);
	if (s.link == NULL) {
		log_note("thread", "%s", err.text);
		atomic_store(&p->failed, true);
		kill(getpid(), SIGTERM);
		return NULL;
	}
	s.xml = xmlin_new();
	while (turns_take(s.turns)) {
		while (serve_next(p, &s, &turn))
			;
	}
	xmlin_free(s.xml);
	link_free(s.link);
	return NULL;
}

static int
start_threads(struct process *p, struct err *err)
{
	pthread_attr_t	attr;
	int		r = 0;

	p->thread = xcalloc(p->conf->threads, sizeof(*p->thread));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	while (r == 0 && p->nthreads < p->conf->threads) {
		r = pthread_create(&p->thread[p->nthreads], &attr,
		    thread_main, p);
		p->nthreads += r == 0;
	}
	pthread_attr_destroy(&attr);
	return r == 0 ? 0 : err_set(err, ERR_INTERNAL,
	    "pthread_create: error %d", r);
}

static void
wait_for_signal(void)
{
	sigset_t	set;
	int		sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	while (sigwait(&set, &sig) != 0)
		;
}

/* 0 when all of them have ended in time. */
static int
join_threads(struct process *p)
{
	struct timespec	until;

	conns_stop(p->conns);
	turns_stop(p->shared.turns);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DRAIN_S + p->conf->total_ms / 1000;
	while (p->nthreads > 0) {
		if (pthread_timedjoin_np(p->thread[p->nthreads - 1], NULL,
		    &until) != 0)
			return -1;
		p->nthreads--;
	}
	free(p->thread);
	return 0;
}

static int
open_links(struct process *p, const struct inherited *in, struct err *err)
{
	const struct wconf	*c = in->conf;

	p->pool = link_pool_new(c->signers, c->nsigners, in->keys, err);
	if (p->pool == NULL)
		return -1;
	p->link = link_new(p->pool, c->try_ms, c->total_ms, err);
	p->conns = conns_new(c, in->listen_fd, err);
	if (p->link == NULL || p->conns == NULL)
		return -1;
	link_watch(p->link, conns_epoll(p->conns), CONNS_TAG);
	return 0;
}

int
process_run(const struct inherited *in)
{
	const struct wconf	*conf = in->conf;
	struct process	p = { .conf = conf };
	struct err	err = ERR_INIT;
	int		failed;

	if (open_links(&p, in, &err) == -1) {
		log_note("start", "%s", err.text);
		return 1;
	}
	p.shared.snap = snapshot_new(conf->database, NULL);
	p.shared.turns = turns_new(RUNNING_MAX);
	p.shared.auth = auth_new(p.shared.snap, in->backoff, p.shared.turns);
	p.shared.certs = certlogon_new(p.shared.snap);
	if (conf->kerberos != NULL &&
	    (p.shared.kerberos = kerberos_new(conf->kerberos, &err)) == NULL) {
		log_note("start", "%s", err.text);
		return 1;
	}
	p.shared.cep = cep_new(log_usec() / 1000000);
	p.shared.metrics = in->metrics;
	p.shared.metrics_folder = conf->metrics_folder;
	p.shared.ocsp = ocsp_new(conf->database);
	if (start_threads(&p, &err) == -1) {
		log_note("start", "%s", err.text);
		return 1;
	}
	wait_for_signal();
	/* What is shared stays: that request's thread still uses it. */
	if (join_threads(&p) == -1) {
		log_note("stop", "a request does not end, giving it up");
		return 1;
	}
	failed = atomic_load(&p.failed);
	ocsp_free(p.shared.ocsp);
	cep_free(p.shared.cep);
	kerberos_free(p.shared.kerberos);
	certlogon_free(p.shared.certs);
	auth_free(p.shared.auth);
	turns_free(p.shared.turns);
	snapshot_free(p.shared.snap);
	link_free(p.link);
	link_pool_free(p.pool);
	conns_free(p.conns);
	return failed;
}
