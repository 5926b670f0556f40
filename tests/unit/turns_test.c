/*
 * Whose turn it is.  No test waits for a time: a thread that stands by for
 * ever is ended by the alarm, and everything else is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "turns.h"

#define MOST	2
#define THREADS	6

struct shared {
	struct turns		*turns;
	pthread_barrier_t	 begin;
	atomic_bool		 free;	/* before somebody's turn is given */
	atomic_uint		 came, refused, spare;
};

static void
start(struct shared *s, void *(*run)(void *), pthread_t thread[THREADS])
{
	int	i;

	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run, s), 0);
}

static void
join(const pthread_t thread[THREADS])
{
	int	i;

	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void
take_all(struct turns *t)
{
	int	i;

	for (i = 0; i < MOST; i++)
		assert_true(turns_take(t));
}

static void *
come_and_go(void *arg)
{
	struct shared	*s = arg;

	if (!turns_take(s->turns))
		s->refused++;
	else {
		s->came += atomic_load(&s->free);
		turns_give(s->turns);
	}
	return NULL;
}

/* Each in its turn, once there is one, and all of them with a single one. */
static void
stands_by(void **state)
{
	struct shared	s = { .turns = turns_new(MOST) };
	pthread_t	thread[THREADS];

	(void)state;
	take_all(s.turns);
	start(&s, come_and_go, thread);
	s.free = true;
	turns_give(s.turns);
	join(thread);
	assert_int_equal(s.came, THREADS);
	turns_free(s.turns);
}

/* Who waits for something long lets others in, and comes back at once. */
static void
away_lets_in(void **state)
{
	struct shared	s = { .turns = turns_new(MOST), .free = true };
	pthread_t	thread[THREADS];

	(void)state;
	take_all(s.turns);
	turns_away(s.turns);
	start(&s, come_and_go, thread);
	join(thread);
	assert_int_equal(s.came, THREADS);
	assert_true(turns_take(s.turns));
	turns_back(s.turns);
	assert_true(turns_spare(s.turns));	/* its own turn, or another's */
	assert_false(turns_spare(s.turns));
	turns_free(s.turns);
}

static void *
ask(void *arg)
{
	struct shared	*s = arg;

	pthread_barrier_wait(&s->begin);
	s->spare += turns_spare(s->turns);
	return NULL;
}

/* All ask at once, and none too many goes. */
static void
only_those_too_many(void **state)
{
	struct shared	s = { .turns = turns_new(MOST) };
	pthread_t	thread[THREADS];
	int		i;

	(void)state;
	assert_int_equal(pthread_barrier_init(&s.begin, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++)
		turns_back(s.turns);
	start(&s, ask, thread);
	join(thread);
	assert_int_equal(s.spare, THREADS - MOST);
	pthread_barrier_destroy(&s.begin);
	turns_free(s.turns);
}

/* Those who stand by end; those who run are not sent away before they have. */
static void
stop(void **state)
{
	struct shared	s = { .turns = turns_new(MOST) };
	pthread_t	thread[THREADS];

	(void)state;
	take_all(s.turns);
	start(&s, come_and_go, thread);
	turns_stop(s.turns);
	join(thread);
	assert_int_equal(s.refused, THREADS);
	turns_back(s.turns);		/* was away when it was told */
	assert_false(turns_spare(s.turns));
	turns_give(s.turns);
	assert_false(turns_take(s.turns));
	turns_free(s.turns);
	turns_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(stands_by),
		cmocka_unit_test(away_lets_in),
		cmocka_unit_test(only_those_too_many),
		cmocka_unit_test(stop),
	};

	alarm(600);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
