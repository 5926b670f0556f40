/* Latencies: kept, sorted, and where a quantile lies. */
#include <err.h>
#include <stdlib.h>
#include <time.h>

#include "samples.h"

int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
samples_add(struct samples *s, int64_t us)
{
	if (s->n == s->cap) {
		s->cap = s->cap * 2 + 65536;
		s->us = realloc(s->us, s->cap * sizeof(*s->us));
		if (s->us == NULL)
			err(1, NULL);
	}
	s->us[s->n++] = (uint32_t)us;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
samples_sort(struct samples *s, size_t from)
{
	if (s->n > from)
		qsort(s->us + from, s->n - from, sizeof(*s->us), compare);
}

double
samples_ms(const struct samples *s, size_t from, double q)
{
	size_t n = s->n - from;

	if (n == 0)
		return 0;
	return s->us[from + (size_t)(q * (double)(n - 1))] / 1000.0;
}
