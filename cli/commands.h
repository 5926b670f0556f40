/* Every sub-command: its handler and its options.  The table is in main.c. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"

#define COMMAND(name) \
	int cmd_##name(struct cli *, const struct args *, struct err *)

COMMAND(init);
COMMAND(ping);
COMMAND(db_migrate);
COMMAND(ca_create);
COMMAND(ca_import);
COMMAND(ca_create_root);
COMMAND(ca_sign_subordinate);
COMMAND(ca_root_crl);
COMMAND(ca_request);
COMMAND(ca_install);
COMMAND(ca_rollover);
COMMAND(ca_activate);
COMMAND(ca_show);
COMMAND(ca_page);
COMMAND(ca_site);
COMMAND(ca_export);
COMMAND(account_add);
COMMAND(account_passwd);
COMMAND(account_disable);
COMMAND(account_enable);
COMMAND(account_list);
COMMAND(account_show);
COMMAND(account_group);
COMMAND(account_change);
COMMAND(account_import);
COMMAND(policy_check);
COMMAND(policy_publish);
COMMAND(policy_show);
COMMAND(policy_diff);
COMMAND(policy_import);
COMMAND(policy_reenroll);
COMMAND(request_list);
COMMAND(request_show);
COMMAND(request_submit);
COMMAND(request_approve);
COMMAND(request_deny);
COMMAND(secret_create);
COMMAND(secret_list);
COMMAND(secret_revoke);
COMMAND(cert_list);
COMMAND(cert_show);
COMMAND(cert_export);
COMMAND(cert_revoke);
COMMAND(cert_release);
COMMAND(key_recover);
COMMAND(crl_show);
COMMAND(crl_publish);
COMMAND(crl_install);
COMMAND(airgap_init);
COMMAND(airgap_export);
COMMAND(airgap_import);
COMMAND(airgap_status);
COMMAND(ledger_verify);
COMMAND(ceremony_check);
COMMAND(ceremony_run);
COMMAND(ceremony_verify);
COMMAND(reconcile);
COMMAND(cert_check);
COMMAND(key_block);
COMMAND(key_unblock);
COMMAND(key_list);
COMMAND(explain);
COMMAND(report);
COMMAND(doctor);

extern const struct opt opts_init[], opts_db_migrate[], opts_ca_create[],
	opts_ca_import[], opts_ca_export[], opts_ca_page[], opts_ca_site[],
	opts_account_add[],
	opts_account_passwd[], opts_account_list[], opts_account_change[],
	opts_account_import[], opts_policy_show[],
	opts_policy_import[],
	opts_request_list[], opts_request_submit[], opts_cert_list[],
	opts_request_approve[], opts_request_deny[], opts_secret_create[],
	opts_cert_export[], opts_explain[], opts_cert_revoke[],
	opts_cert_release[], opts_crl_publish[], opts_account_disable[],
	opts_key_recover[], opts_report[], opts_doctor[], opts_ca_create_root[],
	opts_ca_sign_subordinate[], opts_ca_root_crl[], opts_ca_request[],
	opts_ca_install[], opts_ca_rollover[], opts_airgap_init[],
	opts_airgap_status[], opts_ledger_verify[],
	opts_reconcile[], opts_cert_check[], opts_key_block[];

/* Below: what one command's file has and others need, too. */

/*
 * A serial number as people copy it to the hex digits of a row: "serial=" or
 * "0x" before, colons or blanks between, leading zeros.  cmd_cert.c.
 */
int	 serial_parse(struct cli *, const char *, char out[41], struct err *);

/* What names a request in a command line. */
#define REQUEST_ID_FORM	"32 hex digits or the number of a request"

/*
 * "001_schema.sql": three digits, an underscore, the ending; for scandir.
 * cmd_db.c.
 */
struct dirent;
int	 is_migration(const struct dirent *);
#define MIGRATION_MAX	(1024 * 1024)

/*
 * The ledger folders that are named, or those of the configuration; ERR_DENIED
 * when there is none.  strlist_free by the caller.  cmd_ledger.c.
 */
int	 ledger_dirs(struct cli *, const struct args *, struct strlist *,
	    struct err *);

/*
 * Load the configuration, which must say which key signs bundles
 * (ERR_MALFORMED).  cmd_airgap.c.
 */
int	 airgap_conf(struct cli *, struct err *);

struct revocation {
	const char	*reason;	/* as typed */
	const char	*account, *note;	/* or NULL */
};
/*
 * Revoke all that an account holds, in the transaction at hand: how many more
 * these are; -1: no such reason, or as cli_query.  cmd_revoke.c.
 */
int	 revoke_account(struct cli *, const struct revocation *, struct err *);
/*
 * Signers go by an account as it was until they see the COMMIT, and have a
 * batch at hand then: what they issued meanwhile nobody has looked at.  The
 * same once more, behind the COMMIT and what revoke_settle waits for; in a
 * transaction of its own.
 */
int	 revoke_again(struct cli *, const struct revocation *, struct err *);
/*
 * A moment, and the end of all transactions with certificates in them.
 * ERR_UNAVAILABLE: one goes on and on.
 */
int	 revoke_settle(struct cli *, struct err *);
/* People are told. */
void	 revoke_tell(const struct cli *, int n);

#endif
