/* Rows in PostgreSQL's binary COPY format, written from a job. */
#ifndef ROWS_H
#define ROWS_H

#include "job.h"
#include "rowform.h"

#define ROWS_REQUEST_SQL "COPY countersign.request (" REQUEST_SUBMITTED \
	", " REQUEST_DECIDED ", response) FROM STDIN (FORMAT binary)"
#define ROWS_CERTIFICATE_SQL "COPY countersign.certificate (" \
	CERTIFICATE_COLUMNS ") FROM STDIN (FORMAT binary)"

#define ROWS_AIRGAP_SQL "COPY countersign.airgap_request (day, id, " \
	"spki_sha256, key_other, accounts, waits) FROM STDIN (FORMAT binary)"

/* A stream of COPY: its head, then rows, its end; all appended. */
void	 rows_open(struct buf *);
void	 rows_close(struct buf *);
void	 row_request(struct buf *, const struct job *, const char *signer);
void	 row_certificate(struct buf *, const struct job *);
void	 row_airgap(struct buf *, const struct job *);

/* The same as ledgers keep them (common/rowform.h); tuples of their own. */
void	 row_submitted(struct buf *, const struct job *);
void	 row_decided(struct buf *, const struct job *, const char *signer);
void	 row_certificate_kept(struct buf *, const struct job *);

void	 row_be32(struct buf *, uint32_t);
/* The day an id begins with. */
uint32_t row_day(const uint8_t id[MSG_ID]);

#endif
