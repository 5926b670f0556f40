#include <stdlib.h>

#include <openssl/evp.h>

#include "approval.h"
#include "base64.h"
#include "journal.h"

static void
fields_common(struct buf *f, const struct job *j)
{
	ledger_field_hex(f, "id", j->row_id, MSG_ID);
	if (j->status == MSG_ISSUED)
		ledger_field_hex(f, "serial", j->tbs.serial, SERIAL_LEN);
	ledger_field(f, "ca", slice_str(j->ca->name));
	ledger_field(f, "account", slice_str(job_owner(j)));
	if (job_agent(j) != NULL)
		ledger_field(f, "agent", slice_str(job_agent(j)));
	ledger_field(f, "template", slice_str(j->template_name != NULL ?
	    j->template_name : ""));
	ledger_field_hex(f, "policy", j->ask.policy_hash,
	    sizeof(j->ask.policy_hash));
	ledger_field(f, "worker", slice_str(j->link.worker));
	if (j->pending != NULL)
		ledger_field(f, "approver", slice_str(j->pending->approver));
	if (j->has_decision && j->decision.renews != NULL)
		ledger_field_hex(f, "renews", j->decision.renews->serial.p,
		    j->decision.renews->serial.n);
}

void
journal_decision(struct signer *s, struct job *j)
{
	struct buf f = { 0 };
	uint8_t md[32];
	const char *type = "pending";

	fields_common(&f, j);
	if (j->status == MSG_ISSUED) {
		type = "intent";
		if (EVP_Digest(j->tbs_der.p, j->tbs_der.n, md, NULL,
		    EVP_sha256(), NULL) != 1)
			abort();
		ledger_field_hex(&f, "tbs", md, sizeof(md));
		j->intent = true;
	} else if (j->status == MSG_DENIED) {
		type = "denied";
		ledger_field(&f, "text", slice_str(j->text));
	} else {
		job_token_sha256(j, md);
		ledger_field_hex(&f, "token", md, sizeof(md));
	}
	ledger_add(s->ledger, type, buf_slice(&f));
	s->unsynced = true;
	buf_free(&f);
}

void
journal_issued(struct signer *s, const struct job *j)
{
	struct buf f = { 0 }, text = { 0 };

	ledger_field_hex(&f, "id", j->row_id, MSG_ID);
	ledger_field_hex(&f, "serial", j->tbs.serial, SERIAL_LEN);
	ledger_field(&f, "ca", slice_str(j->ca->name));
	base64_encode(j->cert.p, j->cert.n, &text);
	ledger_field(&f, "certificate", buf_slice(&text));
	ledger_add(s->ledger, "issued", buf_slice(&f));
	s->unsynced = true;
	buf_free(&f);
	buf_free(&text);
}
