/* Intents whose end is not known, settled on a real PostgreSQL. */
#include "lists.h"

/* A request of this moment with a row, issued. */
static void
committed(struct intent *in, unsigned number)
{
	char id[2 * MSG_ID + 1], serial[2 * SERIAL_LEN + 1], text[900];
	struct err err = ERR_INIT;

	memset(in, 0, sizeof(*in));
	in->status = MSG_ISSUED;
	strcpy(in->ca, "Fixture");
	msg_new_id(time(NULL), in->id);
	assert_int_equal(serial_new(time(NULL), 1, in->serial, &err), 0);
	hex_encode(in->id, MSG_ID, id);
	hex_encode(in->serial, SERIAL_LEN, serial);
	snprintf(text, sizeof(text), "INSERT INTO countersign.certificate "
	    "(serial, ca, request_id, account, template, subject, san, "
	    "not_before, not_after, spki_sha256, der) VALUES ('\\x%s', "
	    "'Fixture', '\\x%s', 'ann', 'User', '', '', now(), now(), "
	    "decode(repeat('00', 32), 'hex'), 'x')", serial, id);
	sql(text);
	snprintf(text, sizeof(text), "INSERT INTO countersign.request (day, "
	    "id, replay_key, number, state, received_at, decided_at, ca, "
	    "account, method, worker, signer, client_address, policy_hash, "
	    "message, serial, token) VALUES (%u, '\\x%s', '\\x%s', %u, "
	    "'issued', now(), now(), 'Fixture', 'ann', 4, '', '', '', '', "
	    "'', '\\x%s', '')", in->id[0] << 8 | in->id[1], id, id, number,
	    serial);
	sql(text);
}

struct ends {
	char	 id[2 * MSG_ID + 1];
	int	 n;
};

static int
count_ends(void *arg, const struct ledger_entry *e, struct err *err)
{
	struct ends *ends = arg;

	(void)err;
	ends->n += strcmp(e->type, "done") == 0 &&
	    strstr(e->line, ends->id) != NULL;
	return 0;
}

/* A second end of one intent is a damage for whoever verifies the ledger. */
static void
ended_once(void **state)
{
	struct intent in[2];
	struct ends ends = { .n = 0 };
	struct err err = ERR_INIT;
	int i;

	(void)state;
	for (i = 0; i < 2; i++)
		committed(&in[i], 7 + (unsigned)i);
	in[0].signed_too = true;
	for (i = 0; i < 2; i++)
		intents_add(&signer.unresolved, &in[i]);
	/* What only the row of the second is read with. */
	sql("REVOKE SELECT ON countersign.certificate FROM countersign_signer");
	sql("GRANT SELECT (serial, der, ca, account, template, not_before, "
	    "not_after, revoked_at, renewals, spki_sha256, chain_start) "
	    "ON countersign.certificate TO countersign_signer");
	assert_int_equal(recover_resolve(&signer, &err), -1);
	assert_non_null(strstr(err.text, "permission denied"));
	assert_int_equal(signer.unresolved.n, 2);
	sql("GRANT SELECT ON countersign.certificate TO countersign_signer");
	memset(&err, 0, sizeof(err));
	assert_int_equal(recover_resolve(&signer, &err), 0);
	assert_int_equal(signer.unresolved.n, 0);
	for (i = 0; i < 2; i++) {
		hex_encode(in[i].id, MSG_ID, ends.id);
		ends.n = 0;
		assert_int_equal(ledger_walk(dir, count_ends, &ends, &err), 0);
		assert_int_equal(ends.n, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_once),
	};

	return RUN_LISTS("recover_test", tests);
}
