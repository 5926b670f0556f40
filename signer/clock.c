/* The clock, against the monotonic one, the ledger and the database. */
#include "clock.h"
#include "log.h"

/*
 * Rows that come before their month's partitions stay without: so at the start
 * and when the clock has stepped, as that of a machine that was suspended for
 * months.  A failure is no reason to stop issuing.
 */
static void
make_months(struct signer *s)
{
	struct err err = ERR_INIT;

	s->stepped = false;
	if (store_partitions(s->store, &err) == -1)
		log_note("partitions", "%s", err.text);
}

static int64_t
show(void)
{
	return unix_usec() / 1000000 - log_usec() / 1000000;
}

static bool
differs(int64_t clock, int64_t other)
{
	return clock > other + LEDGER_SLACK || clock < other - LEDGER_SLACK;
}

int
clock_look(struct signer *s, struct err *err)
{
	int64_t clock = show();

	if (!differs(clock, s->clock))
		return 0;
	if (store_settings(s->store, err) == -1)
		return -1;
	/* That was asked of the clock as it is now. */
	if (differs(clock, show()))
		return err_set(err, ERR_UNAVAILABLE, "clock is being set");
	s->clock = clock;
	s->stepped = true;
	ledger_clock(s->ledger, clock);
	return 0;
}

int
clock_check(struct signer *s, struct err *err)
{
	int64_t now = unix_usec() / 1000000, last;

	if (clock_look(s, err) == -1)
		return -1;
	last = ledger_last_time(s->ledger);
	if (now + LEDGER_SLACK < last)
		return err_set(err, ERR_UNAVAILABLE,
		    "clock is %lld s before the ledger's last entry",
		    (long long)(last - now));
	if (s->stepped)
		make_months(s);
	return 0;
}
