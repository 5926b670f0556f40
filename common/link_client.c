/*
 * The worker's end of the link: the course of a question from signer to
 * signer.  Nothing here waits but link_wait; a question goes on when an
 * answer is there (take_answers), and when link_look finds that it is time.
 */
#include <sys/epoll.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link_sock.h"
#include "msg.h"

#define CLIENT_DEAD_MS	3000	/* how long a mute signer is left alone */
#define CLIENT_SLICE_MS	100	/* how soon a lost connection is seen */
#define CLIENT_REOPEN_MS 6000	/* longer than a handshake may: link.c */

/* What came of asking one signer. */
enum { GOT_REPLY, ELSEWHERE, NO_CONNECTION, NO_REPLY, BROKEN, ASKED };

struct queue {
	struct link_question	*first, **end;
};

struct link {
	struct link_pool *pool;
	pthread_mutex_t	  lock;		/* of all below but epoll */
	void		**sock;		/* one per endpoint, NULL until used */
	bool		 *up;		/* connected, when last looked at */
	bool		 *touched;	/* may hold answers that wake nobody */
	int64_t		 *seen;		/* connected, or opened, then */
	int		  epoll;	/* of all sockets */
	int		  watcher, tag;	/* another that wants to know, or -1 */
	struct queue	  open, done;
	atomic_size_t	  pending;	/* asked and not taken back */
	size_t		  next;
	int64_t		  looked;
	int		  try_ms;
	int		  total_ms;
};

static void
queue_add(struct queue *q, struct link_question *item)
{
	item->next = NULL;
	*q->end = item;
	q->end = &item->next;
}

static void
queue_remove(struct queue *q, struct link_question *item)
{
	struct link_question **at = &q->first;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	if (q->end == &item->next)
		q->end = at;
}

struct link *
link_new(struct link_pool *p, int try_ms, int total_ms, struct err *err)
{
	struct link *l;

	if (p->pid != getpid()) {
		err_set(err, ERR_INTERNAL, "link pool made before a fork");
		return NULL;
	}
	if (try_ms <= 0 || total_ms < try_ms) {
		err_set(err, ERR_INTERNAL, "try-ms %d, total-ms %d: must be "
		    "positive and ascending", try_ms, total_ms);
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->pool = p;
	l->sock = xcalloc(p->n, sizeof(*l->sock));
	l->up = xcalloc(p->n, sizeof(*l->up));
	l->touched = xcalloc(p->n, sizeof(*l->touched));
	l->seen = xcalloc(p->n, sizeof(*l->seen));
	l->watcher = -1;
	l->open.end = &l->open.first;
	l->done.end = &l->done.first;
	l->next = atomic_fetch_add(&p->start, 1) % p->n;
	l->try_ms = try_ms;
	l->total_ms = total_ms;
	(void)pthread_mutex_init(&l->lock, NULL);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll == -1) {
		err_set(err, ERR_INTERNAL, "link: no descriptor left");
		link_free(l);
		return NULL;
	}
	return l;
}

void
link_free(struct link *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->pool->n; i++)
		if (l->sock[i] != NULL)
			(void)zmq_close(l->sock[i]);
	if (l->epoll != -1)
		(void)close(l->epoll);
	(void)pthread_mutex_destroy(&l->lock);
	free(l->sock);
	free(l->up);
	free(l->touched);
	free(l->seen);
	free(l);
}

static int
watch(int epoll, int fd, int tag)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
	    .data.fd = tag };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

void
link_watch(struct link *l, int epoll, int tag)
{
	l->watcher = epoll;
	l->tag = tag;
}

/*
 * ZeroMQ connects again after a lost connection, but never after bytes that
 * break the protocol: as a broken network has, or another server at that
 * address.  Nothing tells that apart from a signer that is not there.
 */
static bool
is_stuck(const struct link *l, size_t i, int64_t now)
{
	return now - l->seen[i] >= CLIENT_REOPEN_MS &&
	    !sock_connected(l->sock[i]);
}

static int
client_open(struct link *l, size_t i, struct err *err)
{
	int64_t now = link_now_ms();
	void *sock;
	int fd;

	if (l->sock[i] != NULL && !is_stuck(l, i, now))
		return 0;
	if (l->sock[i] != NULL)
		(void)zmq_close(l->sock[i]);
	l->sock[i] = NULL;
	l->up[i] = l->touched[i] = false;
	l->seen[i] = now;
	sock = sock_open(l->pool, &l->pool->ep[i], err);
	if (sock == NULL)
		return -1;
	fd = sock_fd(sock, err);
	if (fd == -1 || watch(l->epoll, fd, -1) == -1 ||
	    (l->watcher != -1 && watch(l->watcher, fd, l->tag) == -1)) {
		(void)zmq_close(sock);
		return err_set(err, ERR_INTERNAL, "link: epoll fails");
	}
	l->sock[i] = sock;
	return 0;
}

/* A mute signer is asked again by one question at a time, not by all. */
static bool
endpoint_usable(struct endpoint *e, int64_t now)
{
	int_least64_t dead = atomic_load(&e->dead_until);

	return dead == 0 || (now >= dead &&
	    atomic_compare_exchange_strong(&e->dead_until, &dead,
	    now + CLIENT_DEAD_MS));
}

static void
give_back(struct link *l, struct link_question *q)
{
	q->at = NULL;
	queue_remove(&l->open, q);
	queue_add(&l->done, q);
}

static int
ask_signer(struct link *l, struct link_question *q, size_t i)
{
	int64_t now = link_now_ms();

	q->reply->n = q->before;	/* another's, who has not the key */
	l->touched[i] = true;
	if (sock_send(l->sock[i], q->id, q->msg) == -1) {
		if (zmq_errno() == EAGAIN)
			return NO_CONNECTION;
		err_set(&q->err, ERR_INTERNAL, "link: %s",
		    zmq_strerror(zmq_errno()));
		return BROKEN;
	}
	q->at = &l->pool->ep[i];
	q->until = now + l->try_ms < q->end ? now + l->try_ms : q->end;
	return ASKED;
}

/*
 * One round: every signer once, beginning with the next in turn; those found
 * mute only when last is set.  asked counts who took the message and kept it.
 * ASKED, or what came of the round.
 */
static int
ask_next(struct link *l, struct link_question *q)
{
	size_t i, n = l->pool->n;

	for (; q->k < n && q->asked < 2 * n && link_now_ms() < q->end; q->k++) {
		i = (q->first + q->k) % n;
		if (!endpoint_usable(&l->pool->ep[i], link_now_ms()) &&
		    !q->last)
			continue;
		if (client_open(l, i, &q->err) == -1)
			return BROKEN;
		q->got = ask_signer(l, q, i);
		if (q->got == NO_CONNECTION)
			q->absent = true;
		if (q->got != NO_CONNECTION) {
			q->k++;
			return q->got;
		}
	}
	return q->got == ELSEWHERE && q->absent ? NO_CONNECTION : q->got;
}

static void
begin_round(struct link *l, struct link_question *q)
{
	q->first = q->lot != 0 ? q->lot : l->next;
	l->next = (l->next + 1) % l->pool->n;
	q->k = 0;
	q->got = NO_CONNECTION;
	q->absent = false;
}

/* Who was not connected then may be now. */
static void
look_whether_up(struct link *l)
{
	int64_t now = link_now_ms();
	size_t i;

	for (i = 0; i < l->pool->n; i++) {
		l->touched[i] = l->sock[i] != NULL;
		l->up[i] = l->touched[i] && sock_connected(l->sock[i]);
		if (l->up[i])
			l->seen[i] = now;
	}
}

/*
 * Who has the key is not connected: wait a moment for the first who is.  All
 * connected meanwhile: soon, but not in a loop that burns.
 */
static void
await(struct link *l, struct link_question *q, int64_t until)
{
	size_t i;

	look_whether_up(l);
	q->away = 0;
	for (i = 0; i < l->pool->n; i++)
		if (l->sock[i] != NULL && !l->up[i])
			q->away |= UINT32_C(1) << i;
	q->until = until < q->end ? until : q->end;
	if (q->away == 0)
		q->until = link_now_ms() + 1;
	q->waits = true;
}

/*
 * Every signer is asked at most twice (the id makes that safe); when none is
 * connected, it takes no longer than one try to say so.  Goes on until the
 * question is with a signer, waits for one, or is answered.
 */
static void
go_on(struct link *l, struct link_question *q)
{
	bool again = true;
	int64_t now;
	int got;

	q->at = NULL;
	q->waits = false;
	while ((now = link_now_ms()) < q->end && q->asked < 2 * l->pool->n) {
		got = ask_next(l, q);
		if (got == ASKED)
			return;
		if (got == BROKEN || (got == ELSEWHERE && q->last)) {
			give_back(l, q);
			return;
		}
		if (got == NO_REPLY || q->await_end == 0)
			q->await_end = now + l->try_ms;
		else if (now >= q->await_end)
			break;
		begin_round(l, q);
		if (got == NO_CONNECTION && q->last) {
			await(l, q, q->await_end);
			if (q->away != 0 || !again)
				return;
			/* Connected as we looked: nothing more will tell. */
			q->waits = again = false;
		}
		q->last = true;
	}
	q->reply->n = q->before;
	err_set(&q->err, ERR_UNAVAILABLE, "no signer answered");
	give_back(l, q);
}

static struct link_question *
find(const struct link *l, const struct endpoint *at, const uint8_t id[16])
{
	struct link_question *q = l->open.first;

	while (q != NULL && (q->at != at || memcmp(q->id, id, 16) != 0))
		q = q->next;
	return q;
}

/*
 * Whatever is there.  An answer that came too late belongs to no question
 * that this signer was asked, and is dropped.
 */
static void
take_answers(struct link *l, size_t i)
{
	struct endpoint *e = &l->pool->ep[i];
	struct link_question *q;
	uint8_t id[16];
	zmq_msg_t m;
	int rc;

	while ((rc = sock_recv(l->sock[i], id, &m)) != -1) {
		if (rc == 0)
			continue;
		q = find(l, e, id);
		if (q != NULL)
			buf_add(q->reply, zmq_msg_data(&m), zmq_msg_size(&m));
		(void)zmq_msg_close(&m);
		if (q == NULL)
			continue;
		atomic_store(&e->dead_until, 0);
		q->got = answer_is_elsewhere(slice_of(q->reply->p + q->before,
		    q->reply->n - q->before)) ? ELSEWHERE : GOT_REPLY;
		if (q->got == GOT_REPLY)
			give_back(l, q);
		else
			go_on(l, q);
	}
}

/*
 * The descriptor is ZeroMQ's own, too: to send, or to ask for events, can take
 * the signal of an answer, and then nothing wakes anybody for it or for those
 * behind it.  So nobody sleeps with a socket touched; what comes of an answer
 * may touch the next.
 */
static void
settle(struct link *l)
{
	bool again;
	size_t i;

	do {
		again = false;
		for (i = 0; i < l->pool->n; i++)
			if (l->touched[i]) {
				l->touched[i] = false;
				again = true;
				take_answers(l, i);
			}
	} while (again);
}

/* Has its time come, or its signer's connection gone, or one come? */
static void
check(struct link *l, struct link_question *q, int64_t now)
{
	size_t i;

	if (q->waits) {
		for (i = 0; i < l->pool->n; i++)
			if ((q->away >> i & 1) != 0 && l->up[i])
				q->until = now;
		if (now >= q->until)
			go_on(l, q);
		return;
	}
	if (now >= q->until) {
		q->got = NO_REPLY;
		q->asked++;
		atomic_store(&q->at->dead_until, now + CLIENT_DEAD_MS);
		go_on(l, q);
	} else if (!l->up[q->at - l->pool->ep]) {
		q->got = NO_CONNECTION;
		q->absent = true;
		go_on(l, q);
	}
}

static void
check_all(struct link *l, int64_t now)
{
	struct link_question *q, *next;

	l->looked = now;
	look_whether_up(l);
	settle(l);
	for (q = l->open.first; q != NULL; q = next) {
		next = q->next;
		check(l, q, now);
	}
}

static bool
any_waits(const struct link *l, int64_t now)
{
	const struct link_question *q = l->open.first;

	while (q != NULL && !q->waits && now < q->until)
		q = q->next;
	return q != NULL;
}

void
link_look(struct link *l)
{
	int64_t now = link_now_ms();
	size_t i;

	if (atomic_load(&l->pending) == 0)
		return;
	(void)pthread_mutex_lock(&l->lock);
	for (i = 0; i < l->pool->n; i++)
		l->touched[i] = l->sock[i] != NULL;
	settle(l);
	if (now - l->looked >= CLIENT_SLICE_MS || any_waits(l, now))
		check_all(l, now);
	settle(l);
	(void)pthread_mutex_unlock(&l->lock);
}

void
link_ask(struct link *l, struct link_question *q)
{
	atomic_fetch_add(&l->pending, 1);
	memset(&q->err, 0, sizeof(q->err));
	q->before = q->reply->n;
	q->end = link_now_ms() + l->total_ms;
	q->asked = 0;
	q->await_end = 0;
	q->last = false;
	(void)pthread_mutex_lock(&l->lock);
	queue_add(&l->open, q);
	begin_round(l, q);
	if (q->msg.n == 0 || q->msg.n > MSG_MAX) {
		err_set(&q->err, ERR_TOO_BIG,
		    "message of %zu bytes, must be 1 to %d", q->msg.n, MSG_MAX);
		give_back(l, q);
	} else
		go_on(l, q);
	settle(l);
	(void)pthread_mutex_unlock(&l->lock);
}

struct link_question *
link_next(struct link *l)
{
	struct link_question *q;

	(void)pthread_mutex_lock(&l->lock);
	q = l->done.first;
	if (q != NULL) {
		queue_remove(&l->done, q);
		atomic_fetch_sub(&l->pending, 1);
	}
	(void)pthread_mutex_unlock(&l->lock);
	return q;
}

size_t
link_pending(struct link *l)
{
	return atomic_load(&l->pending);
}

/* How long nothing can happen unless a socket says so. */
static int
patience(struct link *l)
{
	const struct link_question *q;
	int64_t now = link_now_ms(), until = now + CLIENT_SLICE_MS;

	(void)pthread_mutex_lock(&l->lock);
	for (q = l->open.first; q != NULL; q = q->next)
		if (q->until < until)
			until = q->until;
	if (l->done.first != NULL)
		until = now;
	(void)pthread_mutex_unlock(&l->lock);
	return until > now ? (int)(until - now) : 0;
}

void
link_wait(struct link *l)
{
	struct epoll_event ev[POOL_ENDPOINTS];

	(void)epoll_wait(l->epoll, ev, POOL_ENDPOINTS, patience(l));
	link_look(l);
}

int
link_call(struct link *l, const uint8_t id[16], struct slice msg,
    struct buf *reply, struct err *err)
{
	struct link_question q = { .msg = msg, .reply = reply };

	memcpy(q.id, id, sizeof(q.id));
	link_ask(l, &q);
	while (link_next(l) == NULL)
		link_wait(l);
	if (q.err.kind == ERR_NONE)
		return 0;
	return err_set(err, q.err.kind, "%s", q.err.text);
}
