/* Threads that accept and serve. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "listen.h"
#include "log.h"
#include "process.h"
#include "serve.h"

#define STACK		((size_t)512 * 1024)
#define DRAIN_S		5	/* beyond what a signer may take */

struct process {
	const struct wconf	*conf;
	int			 listen_fd;
	struct link_pool	*pool;
	struct serve		 shared;	/* xml and link are NULL here */
	atomic_bool		 stop;
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

static void
serve_until_stopped(struct process *p, const struct serve *s)
{
	FCGX_Request	fcgi;
	int		fd;

	FCGX_InitRequest(&fcgi, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	while (!atomic_load(&p->stop)) {
		fd = listen_accept(p->conf, p->listen_fd);
		if (fd == -1)
			continue;
		if (receive(&fcgi, fd) == 0)
			serve_request(s, &fcgi);
		fcgi.keepConnection = 0;	/* [FastCGI] 3.5: we close */
		/*
		 * libfcgi would shut down and wait for nginx to close first;
		 * where nothing is left unread, a close loses nothing.
		 */
		fcgi.detached = fcgi.in != NULL && FCGX_HasSeenEOF(fcgi.in);
		FCGX_Finish_r(&fcgi);
	}
	FCGX_Free(&fcgi, 1);
}

static void *
thread_main(void *arg)
{
	struct process	*p = arg;
	struct serve	 s = p->shared;
	struct err	 err = ERR_INIT;

	s.link = link_new(p->pool, p->conf->try_ms, p->conf->total_ms, &err);
	if (s.link == NULL) {
		log_note("thread", "%s", err.text);
		atomic_store(&p->failed, true);
		kill(getpid(), SIGTERM);
		return NULL;
	}
	s.xml = xmlin_new();
	serve_until_stopped(p, &s);
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

	atomic_store(&p->stop, true);
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

int
process_run(const struct wconf *conf, const struct link_keys *keys,
    int listen_fd)
{
	struct process	p = { .conf = conf, .listen_fd = listen_fd };
	struct err	err = ERR_INIT;
	struct timespec	ts;
	int		failed;

	clock_gettime(CLOCK_REALTIME, &ts);
	p.pool = link_pool_new(conf->signers, conf->nsigners, keys, &err);
	if (p.pool == NULL) {
		log_note("start", "%s", err.text);
		return 1;
	}
	p.shared.snap = snapshot_new(conf->database, NULL);
	p.shared.auth = auth_new(p.shared.snap);
	p.shared.cep = cep_new(ts.tv_sec);
	p.shared.ocsp = ocsp_new(conf->database);
	if (start_threads(&p, &err) == -1) {
		log_note("start", "%s", err.text);
		return 1;
	}
	wait_for_signal();
	if (join_threads(&p) == -1) {
		log_note("stop", "a request does not end, giving it up");
		return 1;
	}
	failed = atomic_load(&p.failed);
	ocsp_free(p.shared.ocsp);
	cep_free(p.shared.cep);
	auth_free(p.shared.auth);
	snapshot_free(p.shared.snap);
	link_pool_free(p.pool);
	return failed;
}
