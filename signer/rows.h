/* Rows in PostgreSQL's binary COPY format, written from a job. */
#ifndef ROWS_H
#define ROWS_H

#include "job.h"

#define ROWS_REQUEST_SQL "COPY countersign.request (day, id, replay_key, " \
	"number, state, received_at, decided_at, ca, account, method, " \
	"worker, signer, client_address, template, template_major, " \
	"template_minor, policy_hash, hresult, message, subject, san, " \
	"serial, renews, evidence, token, agent, token_sha256, expires_at) " \
	"FROM STDIN (FORMAT binary)"
#define ROWS_CERTIFICATE_SQL "COPY countersign.certificate (serial, ca, " \
	"request_id, account, template, subject, san, not_before, " \
	"not_after, spki_sha256, der, renewals) FROM STDIN (FORMAT binary)"

void	 rows_open(struct buf *);
void	 rows_close(struct buf *);
void	 row_request(struct buf *, const struct job *, const char *signer);
void	 row_certificate(struct buf *, const struct job *);

void	 row_be32(struct buf *, uint32_t);
/* The day an id begins with. */
uint32_t row_day(const uint8_t id[MSG_ID]);

#endif
