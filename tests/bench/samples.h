/* Latencies of many requests. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {		/* zero it; never freed */
	uint32_t	*us;
	size_t		 n, cap;
};

int64_t	 now_us(void);		/* monotonic */
void	 samples_add(struct samples *, int64_t us);
/* Those from number from on, in place. */
void	 samples_sort(struct samples *, size_t from);
/* The quantile q of those, once sorted, in ms; 0 when there are none. */
double	 samples_ms(const struct samples *, size_t from, double q);

#endif
