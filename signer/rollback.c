/*
 * A database that is older than a ledger: noticed on each new session and
 * each half minute, and then nothing is signed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "audittable.h"
#include "log.h"
#include "rollback.h"
#include "signer.h"
#include "store_crl.h"

int
rollback_report(struct signer *s, struct err *err, const char *fmt, ...)
{
	struct err ignored = ERR_INIT;
	char what[120];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* Even if nobody else can be told. */
	s->rolled_back = true;
	if (store_rollback_found(s->store, what, s->ended, &ignored) == -1)
		log_note("rollback", "%s", ignored.text);
	return err_set(err, ERR_UNAVAILABLE, "database is older than the "
	    "ledger (restored from an old backup?): %s; run countersign "
	    "reconcile", what);
}

/*
 * What this signer committed last: an older copy has not got it.  What
 * reconcile has left out, for the database had another decision of the
 * request, is missed once.
 */
static int
check_marks(struct signer *s, struct err *err)
{
	size_t lacking;
	char id[2 * MSG_ID + 1], what[80];
	bool all, settled;

	for (;;) {
		if (recover_has_rows(s, &s->marks, &all, &lacking, err) == -1)
			return -1;
		if (all)
			return 0;
		hex_encode(s->marks.v[lacking].id, MSG_ID, id);
		snprintf(what, sizeof(what), "request %s is lost", id);
		if (store_rollback_settled(s->store, what, &settled,
		    err) == -1)
			return -1;
		if (!settled)
			return rollback_report(s, err, "%s", what);
		intents_drop(&s->marks, lacking);
	}
}

/* A number given twice would hide the revocations of one of both lists. */
static int
check_lists(struct signer *s, struct err *err)
{
	struct crl_state state;
	size_t i;

	for (i = 0; i < s->ncas; i++) {
		if (store_crl_state(s->store, s->cas[i]->name, &state,
		    err) == -1)
			return -1;
		if (state.last.number < s->cas[i]->crl_listed)
			return rollback_report(s, err, "list %" PRIu64
			    " of ca %s is lost", s->cas[i]->crl_listed,
			    s->cas[i]->name);
	}
	return 0;
}

/* Whoever disabled an account since the backup did it for nothing. */
static int
check_audit(struct signer *s, struct err *err)
{
	bool there = true;

	if (audittable_number(&s->audited) != 0 &&
	    store_audit_there(s->store, &s->audited, &there, err) == -1)
		return -1;
	return there ? 0 : rollback_report(s, err, "audit row %" PRIu64
	    " is lost", audittable_number(&s->audited));
}

int
rollback_check(struct signer *s, struct err *err)
{
	unsigned long session = store_session(s->store);
	char who[64];

	if (store_rollback_ended(s->store, &s->ended, err) == -1 ||
	    check_marks(s, err) == -1 || check_lists(s, err) == -1 ||
	    check_audit(s, err) == -1 ||
	    store_rollback_open(s->store, who, err) == -1)
		return -1;
	if (who[0] != '\0') {
		s->rolled_back = true;
		return err_set(err, ERR_UNAVAILABLE, "database was restored "
		    "from an old backup, says signer %s; run countersign "
		    "reconcile", who);
	}
	if (s->rolled_back)
		log_note("rollback", "the database is whole again");
	s->rolled_back = false;
	s->checked = session;
	return 0;
}

/* A new session may be with another server, or with what was restored. */
int
signer_ready(struct signer *s, struct err *err)
{
	if (store_ready(s->store, err) == -1)
		return -1;
	if (!s->rolled_back && s->checked == store_session(s->store))
		return 0;
	return rollback_check(s, err);
}
