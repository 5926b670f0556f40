/* The link with many questions at once, of one thread or of two. */
#include <sys/epoll.h>

#include <dlfcn.h>

#include "link_fixture.h"

/* ZeroMQ's, but slow; or, asked for events, only back when connected. */
static _Thread_local useconds_t send_us;
static _Thread_local bool until_up;

int
zmq_send(void *sock, const void *p, size_t n, int flags)
{
	int (*real)(void *, const void *, size_t, int);

	*(void **)&real = dlsym(RTLD_NEXT, "zmq_send");
	usleep(send_us);
	return real(sock, p, n, flags);
}

int
zmq_getsockopt(void *sock, int opt, void *value, size_t *n)
{
	int (*real)(void *, int, void *, size_t *), rc;

	*(void **)&real = dlsym(RTLD_NEXT, "zmq_getsockopt");
	rc = real(sock, opt, value, n);
	while (rc == 0 && opt == ZMQ_EVENTS && until_up &&
	    (*(int *)value & ZMQ_POLLOUT) == 0) {
		usleep(1000);
		rc = real(sock, opt, value, n);
	}
	return rc;
}

#define MANY	40

struct crowd {
	struct link_question	 q[MANY];
	struct buf		 reply[MANY];
	char			 text[MANY][20];
};

static void
crowd_ask(struct crowd *c, struct link *l, int from, int to)
{
	int i;

	for (i = from; i < to; i++) {
		snprintf(c->text[i], sizeof(c->text[i]), "hello %d", i);
		memset(c->q[i].id, i + 1, sizeof(c->q[i].id));
		c->q[i].msg = slice_str(c->text[i]);
		c->q[i].reply = &c->reply[i];
		c->q[i].asker = &c->reply[i];
		link_ask(l, &c->q[i]);
	}
}

static struct link_question *
crowd_next(struct link *l)
{
	struct link_question *q;

	while ((q = link_next(l)) == NULL)
		link_wait(l);
	return q;
}

/* Each gets the answer to its own question. */
static void
crowd_check(struct crowd *c, int from)
{
	char want[64];
	int i;

	for (i = from; i < MANY; i++) {
		assert_int_equal(c->q[i].err.kind, ERR_NONE);
		snprintf(want, sizeof(want), "worker-1:%s", c->text[i]);
		assert_string_equal(buf_str(&c->reply[i]), want);
		buf_free(&c->reply[i]);
	}
}

static void
test_many_questions(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct crowd c = { 0 };
	struct link_question *q;
	int i;

	(void)state;
	crowd_ask(&c, l, 0, MANY);
	assert_int_equal(link_pending(l), MANY);
	for (i = 0; i < MANY; i++) {
		q = crowd_next(l);
		assert_ptr_equal(q->reply, q->asker);
	}
	assert_int_equal(link_pending(l), 0);
	assert_null(link_next(l));
	crowd_check(&c, 0);
	lab_end(&lab);
}

/* Those that one has are asked of the other, after one time-out for all. */
static void
test_many_and_a_mute_signer(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 2);
	struct signer *s = lab.s;
	struct crowd c = { 0 };
	int64_t start;
	int i, seen;

	(void)state;
	while (atomic_load(&s[0].seen) == 0 || atomic_load(&s[1].seen) == 0) {
		assert_answer(l, 0xf0, ">worker-1:hello");
		usleep(10000);
	}
	seen = atomic_load(&s[1].seen);
	atomic_store(&s[1].mute, 1);
	start = link_now_ms();
	crowd_ask(&c, l, 0, MANY);
	for (i = 0; i < MANY; i++)
		(void)crowd_next(l);
	assert_in_range(link_now_ms() - start, TRY_MS, MANY * TRY_MS / 4);
	assert_int_equal(atomic_load(&s[1].seen) - seen, MANY / 2);
	crowd_check(&c, 0);
	lab_end(&lab);
}

/* One message in several hands goes to one signer. */
static void
test_lots(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 2);
	struct signer *s = lab.s;
	struct crowd c;
	int i, lot, seen[2];

	(void)state;
	while (atomic_load(&s[0].seen) == 0 || atomic_load(&s[1].seen) == 0) {
		assert_answer(l, 0xf0, ">worker-1:hello");
		usleep(10000);
	}
	for (lot = 7; lot < 9; lot++) {
		memset(&c, 0, sizeof(c));
		seen[0] = atomic_load(&s[0].seen);
		seen[1] = atomic_load(&s[1].seen);
		for (i = 0; i < MANY; i++)
			c.q[i].lot = (uint32_t)lot;
		crowd_ask(&c, l, 0, MANY);
		for (i = 0; i < MANY; i++)
			(void)crowd_next(l);
		crowd_check(&c, 0);
		assert_int_equal(atomic_load(&s[lot % 2].seen) -
		    seen[lot % 2], MANY);
		assert_int_equal(atomic_load(&s[1 - lot % 2].seen),
		    seen[1 - lot % 2]);
	}
	lab_end(&lab);
}

struct half {
	struct crowd	*c;
	struct link	*l;
	int		 from;
	atomic_int	*taken;
};

static void *
ask_half(void *arg)
{
	struct half *h = arg;

	crowd_ask(h->c, h->l, h->from, h->from + MANY / 2);
	while (atomic_load(h->taken) < MANY)
		if (link_next(h->l) != NULL)
			atomic_fetch_add(h->taken, 1);
		else
			link_wait(h->l);
	return NULL;
}

/* Two threads, either of which may take what the other has asked. */
static void
test_two_threads(void **state)
{
	struct crowd c;
	struct half h[2];
	struct link_pool *p;
	struct signer s;
	pthread_t id[2];
	atomic_int taken = 0;
	int i;

	(void)state;
	memset(&c, 0, sizeof(c));
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	h[0] = (struct half){ &c, link_of(p), 0, &taken };
	h[1] = h[0];
	h[1].from = MANY / 2;
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&id[i], NULL, ask_half,
		    &h[i]), 0);
	for (i = 0; i < 2; i++)
		pthread_join(id[i], NULL);
	assert_int_equal(atomic_load(&taken), MANY);
	crowd_check(&c, 0);
	link_free(h[0].l);
	link_pool_free(p);
	signer_stop(&s);
}

/* The signer goes while it has questions, and is back in time for them. */
static void
test_lost_with_questions(void **state)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct signer *s = lab.s;
	struct crowd c = { 0 };
	char uri[256];
	int i;

	(void)state;
	assert_answer(l, 0xf0, ">worker-1:hello");
	atomic_store(&s->mute, 1);
	crowd_ask(&c, l, 0, MANY);
	snprintf(uri, sizeof(uri), "%s", s->uri);
	signer_stop(s);
	signer_start(s, uri);
	for (i = 0; i < MANY; i++)
		(void)crowd_next(l);
	crowd_check(&c, 0);
	lab_end(&lab);
}

/*
 * An epoll of another's sees whatever is to be done, although ZeroMQ's
 * descriptor tells it once, and perhaps to us while we do something else.
 */
static void
watched(useconds_t us, bool up, int from)
{
	struct lab lab;
	struct link *l = lab_start(&lab, 1);
	struct epoll_event ev;
	struct crowd c = { 0 };
	int i, fd = epoll_create1(0);

	link_watch(l, fd, -7);
	until_up = up;
	crowd_ask(&c, l, from, MANY);
	until_up = false;
	send_us = us;
	for (i = from; i < MANY; ) {
		if (link_next(l) != NULL) {
			i++;
			continue;
		}
		assert_int_equal(epoll_wait(fd, &ev, 1, LONG_MS), 1);
		assert_int_equal(ev.data.fd, -7);
		link_look(l);
	}
	send_us = 0;
	crowd_check(&c, from);
	close(fd);
	lab_end(&lab);
}

static void
test_watched(void **state)
{
	(void)state;
	watched(0, false, 0);
}

/* The first are answered while the others, who waited too, are sent. */
static void
test_answered_while_sending(void **state)
{
	(void)state;
	watched(3000, false, 0);
}

/* Connected behind the only question's try to send. */
static void
test_connected_while_asking(void **state)
{
	(void)state;
	watched(0, true, MANY - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_questions),
		cmocka_unit_test(test_many_and_a_mute_signer),
		cmocka_unit_test(test_lots),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_lost_with_questions),
		cmocka_unit_test(test_watched),
		cmocka_unit_test(test_answered_while_sending),
		cmocka_unit_test(test_connected_while_asking),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
