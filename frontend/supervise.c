/*
 * Fork, wait, fork again: the parent of the worker processes, which answers
 * nothing itself.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "supervise.h"

#define BACKOFF_MIN	100	/* ms before a restart */
#define BACKOFF_MAX	30000
#define YOUNG_MS	10000	/* who dies older starts from the minimum */
#define STOP_MS		10000	/* beyond what a signer may take */

struct child {
	pid_t		 pid;		/* 0 = not running */
	int64_t		 started;	/* monotonic ms */
	int64_t		 due;		/* when to start it */
	int64_t		 backoff;
};

struct supervisor {
	const struct inherited	*in;
	const struct wconf	*conf;
	sigset_t		 set;
	struct child		*child;	/* conf->processes of them */
	bool			 stopping;
	int64_t			 kill_at;
};

static int64_t
now_ms(void)
{
	return log_usec() / 1000;
}

static void
start(struct supervisor *v, struct child *c)
{
	pid_t	parent = getpid(), pid;
	int64_t	now = now_ms();

	pid = fork();
	if (pid == -1) {
		log_note("fork", "%s", strerror(errno));
		c->due = now + BACKOFF_MAX;
		return;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		exit(process_run(v->in));
	}
	c->pid = pid;
	c->started = now;
}

static void
ended(struct supervisor *v, pid_t pid, int status)
{
	struct child	*c = v->child;
	int64_t		 now = now_ms();

	while (c < v->child + v->conf->processes && c->pid != pid)
		c++;
	if (c == v->child + v->conf->processes)
		return;
	c->pid = 0;
	if (v->stopping)
		return;
	if (now - c->started > YOUNG_MS)
		c->backoff = 0;
	c->backoff = c->backoff == 0 ? BACKOFF_MIN : c->backoff * 2;
	if (c->backoff > BACKOFF_MAX)
		c->backoff = BACKOFF_MAX;
	c->due = now + c->backoff;
	log_note("process-died", "pid %ld, %s %d, restart in %lld ms",
	    (long)pid, WIFSIGNALED(status) ? "signal" : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    (long long)c->backoff);
}

static void
reap(struct supervisor *v)
{
	pid_t	pid;
	int	status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ended(v, pid, status);
}

static void
tell_all(struct supervisor *v, int sig)
{
	unsigned	i;

	for (i = 0; i < v->conf->processes; i++)
		if (v->child[i].pid != 0)
			kill(v->child[i].pid, sig);
}

/* Starts what is due; the time until something else is, in ms. */
static int64_t
start_due(struct supervisor *v)
{
	int64_t		now = now_ms(), next = 60000, left;
	unsigned	i;

	for (i = 0; i < v->conf->processes && !v->stopping; i++)
		if (v->child[i].pid == 0 && v->child[i].due <= now)
			start(v, &v->child[i]);
	for (i = 0; i < v->conf->processes && !v->stopping; i++) {
		left = v->child[i].due - now;
		if (v->child[i].pid == 0 && left < next)
			next = left;
	}
	if (v->stopping && v->kill_at - now < next)
		next = v->kill_at - now;
	return next > 0 ? next : 0;
}

static bool
running(const struct supervisor *v)
{
	unsigned	i;

	for (i = 0; i < v->conf->processes; i++)
		if (v->child[i].pid != 0)
			return true;
	return false;
}

static void
stop(struct supervisor *v)
{
	if (v->stopping)
		return;
	v->stopping = true;
	v->kill_at = now_ms() + v->conf->total_ms + STOP_MS;
	log_note("stop", "finishing what is being served");
	tell_all(v, SIGTERM);
}

static void
step(struct supervisor *v)
{
	struct timespec	ts;
	int64_t		ms = start_due(v);
	int		sig;

	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000;
	sig = sigtimedwait(&v->set, NULL, &ts);
	if (sig == SIGTERM || sig == SIGINT)
		stop(v);
	reap(v);
	if (v->stopping && now_ms() >= v->kill_at)
		tell_all(v, SIGKILL);
}

int
supervise(const struct inherited *in)
{
	struct supervisor	v = { .in = in, .conf = in->conf };

	/* SIGHUP is taken and means nothing: there is no file to reopen. */
	sigemptyset(&v.set);
	sigaddset(&v.set, SIGTERM);
	sigaddset(&v.set, SIGINT);
	sigaddset(&v.set, SIGHUP);
	sigaddset(&v.set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &v.set, NULL);
	v.child = xcalloc(in->conf->processes, sizeof(*v.child));
	while (!v.stopping || running(&v))
		step(&v);
	free(v.child);
	return 0;
}
