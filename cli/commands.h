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
COMMAND(ca_show);
COMMAND(ca_export);
COMMAND(account_add);
COMMAND(account_passwd);
COMMAND(account_disable);
COMMAND(account_enable);
COMMAND(account_list);
COMMAND(account_group);
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
COMMAND(ledger_verify);
COMMAND(explain);
COMMAND(doctor);

extern const struct opt opts_init[], opts_db_migrate[], opts_ca_create[],
	opts_ca_import[], opts_ca_export[], opts_account_add[],
	opts_account_passwd[], opts_account_list[], opts_policy_show[],
	opts_policy_import[],
	opts_request_list[], opts_request_submit[], opts_cert_list[],
	opts_request_approve[], opts_request_deny[], opts_secret_create[],
	opts_cert_export[], opts_explain[], opts_cert_revoke[],
	opts_cert_release[], opts_crl_publish[], opts_account_disable[],
	opts_key_recover[], opts_doctor[];

/*
 * A serial number as people copy it to the hex digits of a row: "0x" before,
 * colons or blanks between, leading zeros.
 */
int	 serial_parse(struct cli *, const char *, char out[41], struct err *);

/* "001_schema.sql": three digits, an underscore, the ending; for scandir. */
struct dirent;
int	 is_migration(const struct dirent *);
#define MIGRATION_MAX	(1024 * 1024)

struct revocation {
	const char	*reason;	/* as typed */
	const char	*account, *note;	/* or NULL */
};
/* Revoke all that an account holds, in the transaction at hand. */
int	 revoke_account(struct cli *, const struct revocation *, struct err *);

#endif
