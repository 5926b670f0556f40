/*
 * countersign: the operator's command.  The table of sub-commands; everything
 * else is in the file that the table names.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "log.h"
#include "secret.h"
#include "version.h"

/*
 * In the order of --help: the two words, arguments and how many there may be,
 * what it does, options, the function.  The manual has each of them, too
 * (tests/e2e/test_manuals.py).
 */
static const struct command commands[] = {
	{ "init", NULL, "DIR", 1, 1,
	    "make keys, folders and configuration of a new deployment",
	    opts_init, cmd_init },
	{ "db", "migrate", "", 0, 0,
	    "make or update tables, functions and roles",
	    opts_db_migrate, cmd_db_migrate },
	{ "ca", "create", "NAME", 1, 1,
	    "make a root and an issuing CA below it, and register it",
	    opts_ca_create, cmd_ca_create },
	{ "ca", "import", "NAME", 1, 1,
	    "take over a CA that exists",
	    opts_ca_import, cmd_ca_import },
	{ "ca", "create-root", "ROOT", 1, 1,
	    "make a root, in files on a host of its own",
	    opts_ca_create_root, cmd_ca_create_root },
	{ "ca", "request", "NAME", 1, 1,
	    "make the key of an issuing CA, and a request for its root",
	    opts_ca_request, cmd_ca_request },
	{ "ca", "sign-subordinate", "ROOT REQUEST", 2, 2,
	    "on the root's host: sign the request of a CA",
	    opts_ca_sign_subordinate, cmd_ca_sign_subordinate },
	{ "ca", "install", "NAME CERTIFICATE", 2, 2,
	    "take the certificate for a request, and register the CA",
	    opts_ca_install, cmd_ca_install },
	{ "ca", "rollover", "NAME", 1, 1,
	    "make the request for a CA's next certificate or key",
	    opts_ca_rollover, cmd_ca_rollover },
	{ "ca", "activate", "NAME", 1, 1,
	    "issue with this key of the CA from now on",
	    NULL, cmd_ca_activate },
	{ "ca", "root-crl", "ROOT", 1, 1,
	    "on the root's host: make its revocation list",
	    opts_ca_root_crl, cmd_ca_root_crl },
	{ "ca", "show", "[NAME]", 0, 1,
	    "registered CAs", NULL, cmd_ca_show },
	{ "ca", "page", "", 0, 0,
	    "what the landing page says of the CAs", opts_ca_page,
	    cmd_ca_page },
	{ "ca", "site", "", 0, 0,
	    "nginx's configuration for all CAs of the policy", opts_ca_site,
	    cmd_ca_site },
	{ "ca", "export", "NAME", 1, 1,
	    "write a CA's certificate, its root or its chain",
	    opts_ca_export, cmd_ca_export },
	{ "account", "add", "NAME", 1, 1,
	    "add a person or machine that may enroll",
	    opts_account_add, cmd_account_add },
	{ "account", "passwd", "NAME", 1, 1,
	    "set a new password", opts_account_passwd, cmd_account_passwd },
	{ "account", "disable", "NAME", 1, 1,
	    "refuse everything it asks for", opts_account_disable,
	    cmd_account_disable },
	{ "account", "enable", "NAME", 1, 1,
	    "allow it to ask again", NULL, cmd_account_enable },
	{ "account", "show", "NAME", 1, 1,
	    "all that is kept of an account", NULL,
	    cmd_account_show },
	{ "account", "list", "", 0, 0,
	    "accounts and their groups", opts_account_list,
	    cmd_account_list },
	{ "account", "group", "NAME add|remove GROUP...", 3, ARGS_MAX,
	    "change its groups", NULL, cmd_account_group },
	{ "account", "change", "NAME", 1, 1,
	    "change its names", opts_account_change, cmd_account_change },
	{ "account", "import", "FILE", 1, 1,
	    "users and computers of Active Directory, out of LDIF",
	    opts_account_import, cmd_account_import },
	{ "policy", "check", "FILE", 1, 1,
	    "print everything that is wrong with a policy file",
	    NULL, cmd_policy_check },
	{ "policy", "publish", "FILE", 1, 1,
	    "put a policy in force, here and in the database",
	    NULL, cmd_policy_publish },
	{ "policy", "show", "", 0, 0,
	    "print the policy in force", opts_policy_show, cmd_policy_show },
	{ "policy", "diff", "[FILE]", 0, 1,
	    "what a file would change (default: the installed one)",
	    NULL, cmd_policy_diff },
	{ "policy", "reenroll", "TEMPLATE", 1, 1,
	    "raise a template's major version: clients enroll again",
	    NULL, cmd_policy_reenroll },
	{ "policy", "import", "FILE", 1, 1,
	    "templates of Active Directory as sections of a policy file",
	    opts_policy_import, cmd_policy_import },
	{ "request", "list", "", 0, 0,
	    "requests, newest first", opts_request_list, cmd_request_list },
	{ "request", "show", "ID", 1, 1,
	    "everything about a request: id or number",
	    NULL, cmd_request_show },
	{ "request", "submit", "", 0, 0,
	    "enroll for an account, through a signer",
	    opts_request_submit, cmd_request_submit },
	{ "request", "approve", "ID", 1, 1,
	    "issue what a pending request asks for",
	    opts_request_approve, cmd_request_approve },
	{ "request", "deny", "ID", 1, 1,
	    "refuse a pending request for good",
	    opts_request_deny, cmd_request_deny },
	{ "secret", "create", "", 0, 0,
	    "make accounts whose secret gets one certificate",
	    opts_secret_create, cmd_secret_create },
	{ "secret", "list", "", 0, 0,
	    "one-time secrets and what became of them",
	    NULL, cmd_secret_list },
	{ "secret", "revoke", "NAME", 1, 1,
	    "make a one-time secret useless", NULL, cmd_secret_revoke },
	{ "cert", "list", "", 0, 0,
	    "certificates, newest first", opts_cert_list, cmd_cert_list },
	{ "cert", "show", "SERIAL", 1, 1,
	    "everything about a certificate", NULL, cmd_cert_show },
	{ "cert", "export", "SERIAL", 1, 1,
	    "write a certificate", opts_cert_export, cmd_cert_export },
	{ "cert", "revoke", "[SERIAL...]", 0, ARGS_MAX,
	    "revoke certificates by serial, holder, template, key or time",
	    opts_cert_revoke, cmd_cert_revoke },
	{ "cert", "release", "SERIAL...", 1, ARGS_MAX,
	    "end the hold of certificates", opts_cert_release,
	    cmd_cert_release },
	{ "cert", "check", "[SERIAL...]", 0, ARGS_MAX,
	    "lint certificates as before signing",
	    opts_cert_check, cmd_cert_check },
	{ "crl", "show", "[CA]", 0, 1,
	    "the last revocation list of each CA", NULL, cmd_crl_show },
	{ "crl", "publish", "", 0, 0,
	    "bring revocation lists and CA certificates to a folder or "
	    "directory",
	    opts_crl_publish, cmd_crl_publish },
	{ "crl", "install", "NAME FILE", 2, 2,
	    "publish the list of a CA above ours, such as the root",
	    NULL, cmd_crl_install },
	{ "key", "block", "[HASH]", 0, 1,
	    "give no certificate to a public key, or to those of a list",
	    opts_key_block, cmd_key_block },
	{ "key", "unblock", "[HASH]", 0, 1,
	    "give them certificates again", opts_key_block, cmd_key_unblock },
	{ "key", "list", "", 0, 0, "blocked public keys", NULL, cmd_key_list },
	{ "key", "recover", "SERIAL", 1, 1,
	    "decrypt a certificate's archived private key",
	    opts_key_recover, cmd_key_recover },
	{ "airgap", "init", "", 0, 0,
	    "make this side's key for bundles, and name the vault",
	    opts_airgap_init, cmd_airgap_init },
	{ "airgap", "export", "FILE", 1, 1,
	    "write what waits for the vault, or the same bundle again",
	    NULL, cmd_airgap_export },
	{ "airgap", "import", "FILE", 1, 1,
	    "take the vault's answer to the last bundle",
	    NULL, cmd_airgap_import },
	{ "airgap", "status", "", 0, 0,
	    "the last rounds", opts_airgap_status, cmd_airgap_status },
	{ "ledger", "verify", "[DIR...]", 0, ARGS_MAX,
	    "check ledgers, and the database against them",
	    opts_ledger_verify, cmd_ledger_verify },
	{ "reconcile", NULL, "[DIR...]", 0, ARGS_MAX,
	    "put back from the ledgers what an old database lacks",
	    opts_reconcile, cmd_reconcile },
	{ "ceremony", "check", "FILE", 1, 1,
	    "what a ceremony would do, for those who review its file",
	    NULL, cmd_ceremony_check },
	{ "ceremony", "run", "FILE", 1, 1,
	    "walk a key ceremony before witnesses", NULL, cmd_ceremony_run },
	{ "ceremony", "verify", "TRANSCRIPT", 1, 1,
	    "verify again what a ceremony has left", NULL,
	    cmd_ceremony_verify },
	{ "explain", NULL, "", 0, 0,
	    "what a user may enroll for, or why a request is refused",
	    opts_explain, cmd_explain },
	{ "report", NULL, "", 0, 0,
	    "a page with what waits, ends, was issued and refused",
	    opts_report, cmd_report },
	{ "doctor", NULL, "", 0, 0,
	    "check the whole deployment; what is wrong and what to do",
	    opts_doctor, cmd_doctor },
	{ "ping", NULL, "", 0, 0,
	    "ask every signer whether it is there", NULL, cmd_ping },
};
#define NCOMMANDS (sizeof commands / sizeof commands[0])

static const struct opt global_opts[] = {
	{ "c", "FILE", "configuration (default " CCONF_DEFAULT ")", false },
	{ "json", NULL, "print an array of objects", false },
	{ "version", NULL, "print the version", false },
	{ "help", NULL, "print this, or the help of a command", false },
	{ NULL, NULL, NULL, false }
};

static void
help_opts(const struct opt *o)
{
	char name[80];

	for (; o != NULL && o->name != NULL; o++) {
		snprintf(name, sizeof name, "%s%s%s%s", opt_dash(o), o->name,
		    o->arg == NULL ? "" : " ", o->arg == NULL ? "" : o->arg);
		printf("  %-26s %s\n", name, o->help);
	}
}

#define NAME_SIZE	40	/* the two words of a command */

static const char *
name_of(const struct command *cmd, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%s%s%s", cmd->noun,
	    cmd->verb == NULL ? "" : " ", cmd->verb == NULL ? "" : cmd->verb);
	return out;
}

static void
help_line(const struct command *cmd)
{
	char name[NAME_SIZE];
	int wide = (int)strlen(name_of(cmd, name));

	printf("  %s %-*s %s\n", name, 37 - wide, cmd->args, cmd->help);
}

/* noun: only its commands; NULL = all. */
static int
help_nouns(const char *noun)
{
	size_t i;

	puts("usage: countersign [-c FILE] [--json] COMMAND "
	    "[ARGUMENTS] [OPTIONS]\n");
	for (i = 0; i < NCOMMANDS; i++)
		if (noun == NULL || strcmp(noun, commands[i].noun) == 0)
			help_line(&commands[i]);
	puts("");
	help_opts(global_opts);
	puts("\n\"countersign COMMAND --help\" lists a command's options; "
	    "countersign(1) has the rest");
	return EXIT_OK;
}

static void
put_usage(FILE *f, const struct command *cmd)
{
	char name[NAME_SIZE];

	fprintf(f, "usage: countersign [-c FILE] [--json] %s%s%s%s\n",
	    name_of(cmd, name), *cmd->args == '\0' ? "" : " ", cmd->args,
	    cmd->opts == NULL ? "" : " [OPTIONS]");
}

static int
help_command(const struct command *cmd)
{
	put_usage(stdout, cmd);
	printf("\n%s\n", cmd->help);
	if (cmd->opts != NULL)
		puts("");
	help_opts(cmd->opts);
	return EXIT_OK;
}

/* noun: whose commands were meant, or "". */
static int __attribute__((format(printf, 2, 3)))
usage(const char *noun, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("countersign: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n\"countersign %s%s--help\" lists the commands\n",
	    noun, *noun == '\0' ? "" : " ");
	return EXIT_USAGE;
}

/* Text of requests and databases may stand in it. */
static void
complain(const struct err *err)
{
	struct buf b = { 0 };

	out_plain(&b, err->text);
	fprintf(stderr, "countersign: %s\n", buf_str(&b));
	buf_free(&b);
}

/* A handler's own code counts; else whether it pays to try again. */
static int
exit_code(const struct cli *c, int rc, const struct err *err)
{
	if (rc == 0 || c->code != 0)
		return c->code;
	return err->kind == ERR_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_REFUSED;
}

/* The command with the words behind its name: parsed, run, complained of. */
static int
run(struct cli *c, const struct command *cmd, int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct args args;
	int rc;

	rc = args_parse(&args, cmd->opts, argc, argv, &err);
	if (rc == 0 && args.help)
		return help_command(cmd);
	if (rc == 0 && args.npos < cmd->min)
		rc = err_set(&err, ERR_MALFORMED, "too few arguments");
	if (rc == 0 && args.npos > cmd->max)
		rc = err_set(&err, ERR_MALFORMED, "too many arguments: %.60s",
		    args.pos[cmd->max]);
	if (rc == 0) {
		c->json = c->json || args.json;
		rc = cmd->run(c, &args, &err);
	} else
		c->code = EXIT_USAGE;
	if (rc != 0)
		complain(&err);
	if (c->code == EXIT_USAGE)
		put_usage(stderr, cmd);
	rc = exit_code(c, rc, &err);
	cli_free(c);
	return rc;
}

/* "noun verb ..." or "noun ...", for nouns that have no verbs. */
static int
dispatch(struct cli *c, int argc, char **argv)
{
	bool noun = false;
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(commands[i].noun, argv[0]) != 0)
			continue;
		noun = true;
		if (commands[i].verb == NULL)
			return run(c, &commands[i], argc - 1, argv + 1);
		if (argc > 1 && strcmp(commands[i].verb, argv[1]) == 0)
			return run(c, &commands[i], argc - 2, argv + 2);
	}
	if (noun && argc > 1 && strcmp(argv[1], "--help") == 0)
		return help_nouns(argv[0]);
	if (noun && argc == 1)
		return usage(argv[0], "%s: which of its commands?", argv[0]);
	if (noun)
		return usage(argv[0], "%s %.40s: no such command", argv[0],
		    argv[1]);
	return usage("", "%.40s: no such command", argv[0]);
}

/*
 * "-c FILE" or "-c=FILE" at argv[*i]; -1: taken, else what to end with.  The last
 * one counts, behind that of an alias.
 */
static int
take_conf(struct cli *c, int argc, char **argv, int *i)
{
	const char *value = argv[*i][2] == '=' ? argv[*i] + 3 :
	    *i + 1 < argc ? argv[++*i] : NULL;

	if (value == NULL || *value == '\0')
		return usage("", "-c needs FILE");
	c->conf_path = value;
	return -1;
}

/*
 * Options before the command.  -1: go on, the index of the command is in *at;
 * else what to end with: --help and --version need no command.
 */
static int
global_options(struct cli *c, int argc, char **argv, int *at)
{
	int i, rc;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return help_nouns(NULL);
		if (strcmp(argv[i], "--version") == 0) {
			puts("countersign " VERSION);
			return EXIT_OK;
		}
		if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else if (strcmp(argv[i], "-c") == 0 ||
		    strncmp(argv[i], "-c=", 3) == 0) {
			if ((rc = take_conf(c, argc, argv, &i)) >= 0)
				return rc;
		} else
			return usage("", "%.40s: no option before the command",
			    argv[i]);
	}
	*at = i;
	return i < argc ? -1 : usage("", "no command");
}

/* A disk that is full shows when the last of it is written. */
static int
finish(int rc)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || rc != EXIT_OK)
		return rc;
	fputs("countersign: standard output: write\n", stderr);
	return EXIT_REFUSED;
}

int
main(int argc, char **argv)
{
	struct cli c = { .conf_path = CCONF_DEFAULT };
	struct err err = ERR_INIT;
	int at = 1, rc;

	xalloc_openssl();
	log_program("countersign");
	if (secret_harden(&err) != 0) {
		complain(&err);
		return EXIT_REFUSED;
	}
	rc = global_options(&c, argc, argv, &at);
	return finish(rc >= 0 ? rc : dispatch(&c, argc - at, argv + at));
}
