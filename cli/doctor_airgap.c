/*
 * doctor: what is on its way to the other side of an air gap, and what is
 * overdue.
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "doctor.h"

#define ROUND_DAYS	7	/* docs/airgap.md: a round a week */
#define ORDER_DAYS	1	/* nobody outside knows of it meanwhile */
#define LIST_DAYS	3	/* to play a round */

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

static PGresult *
ask_db(struct doctor *d, const char *stmt)
{
	struct err err = ERR_INIT;
	PGresult *res = cli_query(d->cli, stmt, NULL, 0, &err);

	if (res == NULL)
		doctor_unknown(d, "airgap", stmt,
		    "countersign db migrate, as the owner", &err);
	return res;
}

/* Columns of airgap_lists: key, number, until when, seconds left. */
static void
list(struct doctor *d, const PGresult *res, int row)
{
	const char *name = PQgetvalue(res, row, 0);
	int64_t left = number(res, row, 3);

	if (PQgetisnull(res, row, 1))
		check_add(d->checks, CHECK_FAIL, "crl", name,
		    "play a round over the air gap", "none has come back yet");
	else
		check_add(d->checks, left <= 0 ? CHECK_FAIL : left <
		    LIST_DAYS * DOCTOR_DAY ? CHECK_WARN : CHECK_OK, "crl",
		    name, left < LIST_DAYS * DOCTOR_DAY ?
		    "play a round over the air gap: each brings a new list" :
		    NULL, "number %s until %s", PQgetvalue(res, row, 1),
		    PQgetvalue(res, row, 2));
}

/* Columns of airgap_round: number, is it open?, age in seconds. */
static void
last_round(struct doctor *d)
{
	PGresult *res = ask_db(d, "airgap_round");
	char object[40];
	int64_t age;
	bool open, late;

	if (res != NULL && PQntuples(res) == 0)
		check_add(d->checks, CHECK_WARN, "airgap", "round",
		    "countersign airgap export", "none was played yet");
	else if (res != NULL) {
		age = number(res, 0, 2);
		open = PQgetvalue(res, 0, 1)[0] == 't';
		late = age > ROUND_DAYS * DOCTOR_DAY;
		snprintf(object, sizeof object, "round %s",
		    PQgetvalue(res, 0, 0));
		check_add(d->checks, late ? CHECK_WARN : CHECK_OK, "airgap",
		    object, !late ? NULL : open ? "carry it to the vault and "
		    "its answer back; export and sign write a lost file again"
		    : "countersign airgap export", "%s %lld hours ago", open ?
		    "left" : "came back", (long long)(age / 3600));
	}
	PQclear(res);
}

/* Columns of airgap_waiting: what, how many, age of the oldest in seconds. */
static void
waiting(struct doctor *d)
{
	PGresult *res = ask_db(d, "airgap_waiting");
	int64_t limit, age;
	int row;

	for (row = 0; res != NULL && row < PQntuples(res); row++) {
		age = number(res, row, 2);
		limit = strcmp(PQgetvalue(res, row, 0), "requests") == 0 ?
		    ROUND_DAYS : ORDER_DAYS;
		if (number(res, row, 1) == 0)
			check_add(d->checks, CHECK_OK, "airgap",
			    PQgetvalue(res, row, 0), NULL, "none waits");
		else
			check_add(d->checks, age > limit * DOCTOR_DAY ?
			    CHECK_WARN : CHECK_OK, "airgap",
			    PQgetvalue(res, row, 0), age > limit * DOCTOR_DAY ?
			    "play a round: until its answer is back nobody "
			    "outside knows" : NULL, "%s without an answer, "
			    "the oldest for %lld hours", PQgetvalue(res, row,
			    1), (long long)(age / 3600));
	}
	PQclear(res);
}

void
doctor_airgap(struct doctor *d)
{
	PGresult *res = ask_db(d, "airgap_lists");
	int row;

	if (res != NULL && PQntuples(res) > 0) {
		for (row = 0; row < PQntuples(res); row++) {
			strlist_add(&d->apart, PQgetvalue(res, row, 0));
			list(d, res, row);
		}
		last_round(d);
		waiting(d);
	}
	PQclear(res);
}
