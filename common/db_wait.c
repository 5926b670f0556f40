/* Waiting for PostgreSQL, but not for ever: under every call of db.c. */
#include <errno.h>
#include <poll.h>

#include "db_wait.h"
#include "log.h"

#define COPY_CHUNK	(1024 * 1024)

/* -1 when the time is over; what is wrong with the socket libpq will see. */
static int
wait_socket(struct db_wait *w, short events, int64_t end)
{
	struct pollfd p = { PQsocket(w->conn), events, 0 };
	int64_t left = -1;
	int rc;

	do {
		if (w->ms != 0 && (left = end - log_usec() / 1000) < 0)
			left = 0;
		rc = poll(&p, 1, (int)left);
	} while (rc == -1 && errno == EINTR);
	if (rc != 0)
		return 0;
	w->silent = true;
	return -1;
}

static int64_t
end_of(const struct db_wait *w)
{
	return log_usec() / 1000 + w->ms;
}

/* While we write the server may, too, and wait for us to read. */
static int
flush(struct db_wait *w, int64_t end)
{
	int rc;

	while ((rc = PQflush(w->conn)) == 1) {
		if (wait_socket(w, POLLIN | POLLOUT, end) == -1 ||
		    PQconsumeInput(w->conn) == 0)
			return -1;
	}
	return rc;
}

static PGresult *
next_result(struct db_wait *w, int64_t end)
{
	while (PQisBusy(w->conn)) {
		if (wait_socket(w, POLLIN, end) == -1)
			return NULL;
		if (PQconsumeInput(w->conn) == 0)
			break;		/* the result says why */
	}
	return PQgetResult(w->conn);
}

PGresult *
db_wait(struct db_wait *w, int sent)
{
	int64_t end = end_of(w);
	PGresult *r, *last = NULL;

	/* A server that ends may have said why before we could write. */
	if (!sent || (flush(w, end) == -1 && w->silent))
		return NULL;
	while ((r = next_result(w, end)) != NULL) {
		PQclear(last);
		last = r;
		if (PQresultStatus(r) == PGRES_COPY_IN ||
		    PQstatus(w->conn) == CONNECTION_BAD)
			break;
	}
	if (w->silent) {
		PQclear(last);
		last = NULL;
	}
	return last;
}

int
db_wait_sent(struct db_wait *w)
{
	return flush(w, end_of(w));
}

int
db_wait_copy(struct db_wait *w, struct slice rows)
{
	int64_t end = end_of(w);
	int n, rc;

	while (rows.n > 0) {
		n = rows.n < COPY_CHUNK ? (int)rows.n : COPY_CHUNK;
		while ((rc = PQputCopyData(w->conn, (const char *)rows.p,
		    n)) == 0)
			if (flush(w, end) == -1)
				return -1;
		if (rc == -1)
			return -1;
		rows.p += n;
		rows.n -= (size_t)n;
	}
	while ((rc = PQputCopyEnd(w->conn, NULL)) == 0)
		if (flush(w, end) == -1)
			return -1;
	return rc == 1 ? 0 : -1;
}
