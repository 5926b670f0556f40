/*
 * The columns of a row in the order in which it is written and in which
 * ledgers keep it.  Later versions only add columns at the end of a list: a
 * tuple of an older version is then a beginning of it.
 *
 * That alone does not make old ledgers fit: verify compares a hash of the whole
 * tuple, so a row that lacks the new column must be made as it was, everywhere
 * that *_N stands (signer/store_ledger.c, airgap_book.c; cli/chronicle*.c,
 * compare*.c, restore.c).  Lists of revocations do it, with LIST_LEAST.
 *
 * A request is submitted once and decided once, or twice when it had to wait:
 * two lists.  In ledgers, large bytes stand as their SHA-256; a row that was
 * put back from a ledger has nothing else (32 octets are no request and no
 * certificate).
 */
#ifndef ROWFORM_H
#define ROWFORM_H

#define REQUEST_SUBMITTED "day, id, replay_key, number, received_at, ca, " \
	"account, method, worker, client_address, template, renews, " \
	"evidence, token, agent, token_sha256, expires_at"
#define REQUEST_DECIDED "state, decided_at, signer, template_major, " \
	"template_minor, policy_hash, hresult, message, subject, san, " \
	"serial, approved_by, approval_reason, decision_id"
#define CERTIFICATE_COLUMNS "serial, ca, request_id, account, template, " \
	"subject, san, not_before, not_after, spki_sha256, der, renewals, " \
	"chain_start"
#define CRL_COLUMNS "ca, number, this_update, next_update, entries, octets, " \
	"tbs_digest, change, signer, base"
#define AUDIT_COLUMNS "n, at, who, action, detail"

enum submitted {		/* fields of REQUEST_SUBMITTED */
	SUB_DAY, SUB_ID, SUB_REPLAY, SUB_NUMBER, SUB_RECEIVED, SUB_CA,
	SUB_ACCOUNT, SUB_METHOD, SUB_WORKER, SUB_ADDRESS, SUB_TEMPLATE,
	SUB_RENEWS, SUB_EVIDENCE, SUB_TOKEN, SUB_AGENT, SUB_TOKEN_SHA256,
	SUB_EXPIRES, SUB_N
};
enum decided {			/* fields of REQUEST_DECIDED */
	DEC_STATE, DEC_AT, DEC_SIGNER, DEC_MAJOR, DEC_MINOR, DEC_POLICY,
	DEC_HRESULT, DEC_MESSAGE, DEC_SUBJECT, DEC_SAN, DEC_SERIAL,
	DEC_APPROVER, DEC_REASON, DEC_ID, DEC_N
};
enum certificate_field {	/* fields of CERTIFICATE_COLUMNS */
	CERT_SERIAL, CERT_CA, CERT_REQUEST, CERT_ACCOUNT, CERT_TEMPLATE,
	CERT_SUBJECT, CERT_SAN, CERT_BEFORE, CERT_AFTER, CERT_SPKI, CERT_DER,
	CERT_RENEWALS, CERT_CHAIN_START, CERT_N
};
enum crl_field {		/* fields of CRL_COLUMNS */
	LIST_CA, LIST_NUMBER, LIST_THIS, LIST_NEXT, LIST_ENTRIES, LIST_OCTETS,
	LIST_DIGEST, LIST_CHANGE, LIST_SIGNER, LIST_BASE, LIST_N
};
enum audit_field {		/* fields of AUDIT_COLUMNS; n, at: the key */
	AUDIT_N, AUDIT_AT, AUDIT_WHO, AUDIT_ACTION, AUDIT_DETAIL,
	AUDIT_FIELDS
};
/* Without a base a ledger has no field for it: so were all, once. */
#define LIST_LEAST	LIST_BASE

/* Large bytes as in a ledger. */
#define HASHED(x) "CASE WHEN length(" x ") = 32 THEN " x \
	" ELSE sha256(" x ") END"
#define SUBMITTED_AS_KEPT "day, id, replay_key, number, received_at, ca, " \
	"account, method, worker, client_address, template, renews, " \
	HASHED("evidence") ", " HASHED("token") ", agent, token_sha256, " \
	"expires_at"
/* A text that no line of a ledger has room for is its hash. */
#define SHORT(x) "CASE WHEN octet_length(" x ") <= 16384 THEN " x \
	" ELSE 'sha256 ' || encode(sha256(convert_to(" x ", 'UTF8')), 'hex')" \
	" END"
#define AUDIT_AS_KEPT "n, at, " SHORT("who") ", " SHORT("action") ", " \
	SHORT("detail")
#define CERTIFICATE_AS_KEPT "serial, ca, request_id, account, template, " \
	"subject, san, not_before, not_after, spki_sha256, sha256(der), " \
	"renewals, chain_start"
/* A revocation, as text: microseconds since 1970, or "infinity". */
#define USEC(x)	"CASE WHEN isfinite(" x ") THEN (extract(epoch FROM " x \
	") * 1000000)::bigint::text ELSE 'infinity' END"
#define REVOCATION_AS_KEPT "change, encode(serial, 'hex'), " USEC("at") ", " \
	"coalesce(reason::text, ''), " USEC("not_after") ", who, " \
	"coalesce(note, '')"

#endif
