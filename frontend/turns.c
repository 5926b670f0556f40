/* Who runs, and who stands by, among the threads of process.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "buf.h"
#include "turns.h"

struct turns {
	pthread_mutex_t	 lock;
	pthread_cond_t	 freed;
	unsigned	 most;
	atomic_uint	 running;	/* changed under the lock */
	bool		 stop;
};

struct turns *
turns_new(unsigned running)
{
	struct turns	*t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->freed, NULL);
	t->most = running;
	return t;
}

void
turns_free(struct turns *t)
{
	if (t == NULL)
		return;
	pthread_cond_destroy(&t->freed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

bool
turns_take(struct turns *t)
{
	bool	go;

	pthread_mutex_lock(&t->lock);
	while (!t->stop && t->running >= t->most)
		pthread_cond_wait(&t->freed, &t->lock);
	go = !t->stop;
	t->running += go;
	pthread_mutex_unlock(&t->lock);
	return go;
}

void
turns_give(struct turns *t)
{
	pthread_mutex_lock(&t->lock);
	t->running--;
	if (t->running < t->most)
		pthread_cond_signal(&t->freed);
	pthread_mutex_unlock(&t->lock);
}

/* Asked between any two requests, and nearly always in vain: no lock then. */
bool
turns_spare(struct turns *t)
{
	bool	spare;

	if (atomic_load(&t->running) <= t->most)
		return false;
	pthread_mutex_lock(&t->lock);
	spare = !t->stop && t->running > t->most;
	t->running -= spare;
	pthread_mutex_unlock(&t->lock);
	return spare;
}

void
turns_away(struct turns *t)
{
	turns_give(t);
}

void
turns_back(struct turns *t)
{
	pthread_mutex_lock(&t->lock);
	t->running++;
	pthread_mutex_unlock(&t->lock);
}

void
turns_stop(struct turns *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->freed);
	pthread_mutex_unlock(&t->lock);
}
