/*
 * The signer's figures for Prometheus.  A signer opens no port for anybody to
 * read them: it writes them to a file every ten seconds, which nginx shows
 * or node_exporter's textfile collector takes along.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "job.h"

/* Count one answered call; a batch of n, with its transaction's time. */
void	 measure_job(const struct signer *, const struct job *);
void	 measure_batch(const struct signer *, struct job *const *, size_t n);

/*
 * Write the file if that is due (now: unix seconds) and one is configured.
 * up: whether the database was found good.  Failures are logged; a signer
 * goes on without.
 */
void	 measure_write(struct signer *, int64_t now, bool up);

#endif
