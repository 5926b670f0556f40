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

int
clock_check(struct signer *s, struct err *err)
{
	int64_t now = unix_usec() / 1000000, last, clock;

	clock = now - log_usec() / 1000000;
	if (clock > s->clock + LEDGER_SLACK || clock < s->clock - LEDGER_SLACK) {
		if (store_settings(s->store, err) == -1)
			return -1;
		s->clock = clock;
		s->stepped = true;
		ledger_clock(s->ledger, clock);
	}
	last = ledger_last_time(s->ledger);
	if (now + LEDGER_SLACK < last)
		return err_set(err, ERR_UNAVAILABLE,
		    "clock is %lld s before the ledger's last entry",
		    (long long)(last - now));
	if (s->stepped)
		make_months(s);
	return 0;
}
