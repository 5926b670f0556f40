/*
 * A running deployment looked at from where the operator sits: what is wrong,
 * and what to do about it.  Nothing is changed, but for the certificate that
 * --template or --probe enrolls for.
 */
#include "commands.h"

#include <signal.h>
#include <stdlib.h>

#include "doctor.h"
#include "https.h"
#include "namerule.h"
#include "progress.h"
#include "wconf.h"

const struct opt opts_doctor[] = {
	{ "user", "NAME", "ask the web service for this account's policy",
	    false },
	{ "password-file", "FILE", "its password, from a file only its owner "
	    "can read", false },
	{ "template", "NAME", "and enroll for this template, with a key that "
	    "is thrown away", false },
	{ "probe", NULL, "enroll for the template Probe instead, with a "
	    "one-time secret", false },
	{ "name", "DNS", "name to ask for, where the template takes names "
	    "from the request", false },
	{ "connect", "HOST:PORT", "the web server to look at, when it is not "
	    "the one that its name leads to", false },
	{ NULL, NULL, NULL, false }
};

/* A host and a port, and nothing behind them. */
static bool
is_place(const char *text)
{
	struct https_site site = { 0 };
	struct err ignored = ERR_INIT;
	const char *rest;
	bool good = https_split(text, &site, &rest, &ignored) == 0 &&
	    *rest == '\0';

	https_free(&site);
	return good;
}

static int
check_args(struct cli *c, const struct args *a, struct err *err)
{
	if (args_has(a, "user") != args_has(a, "password-file"))
		return cli_usage(c, err,
		    "--user and --password-file come together");
	if (args_has(a, "probe") && args_has(a, "user"))
		return cli_usage(c, err, "either --probe or --user");
	if (args_has(a, "template") && !args_has(a, "user"))
		return cli_usage(c, err, "--template needs --user");
	if (args_has(a, "name") && !args_has(a, "template"))
		return cli_usage(c, err, "--name needs --template");
	if (args_has(a, "connect") && !is_place(args_get(a, "connect")))
		return cli_usage(c, err, "--connect: not HOST:PORT: %.80s",
		    args_get(a, "connect"));
	if (args_has(a, "name") && !name_is_host(args_get(a, "name"), false))
		return cli_usage(c, err, "--name: not a dns name: %.80s",
		    args_get(a, "name"));
	return 0;
}

/* From what is near to what is far; each part goes on where one could not. */
static const struct part {
	const char *what;
	void (*look)(struct doctor *);
} parts[] = {
	{ "files", doctor_files }, { "database", doctor_database },
	{ "air gap", doctor_airgap }, { "policy", doctor_policy },
	{ "Kerberos", doctor_kerberos }, { "signers", doctor_signers },
	{ "web server", doctor_web }
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void
look(struct doctor *d)
{
	struct progress p;
	size_t i;

	progress_begin(&p, d->cli->json);
	for (i = 0; i < PARTS; i++) {
		p.next = 0;	/* it may be this one that is waited for */
		progress_show(&p, parts[i].what, i + 1, PARTS);
		parts[i].look(d);
	}
	progress_end(&p);
}

int
cmd_doctor(struct cli *c, const struct args *a, struct err *err)
{
	struct doctor d = { .cli = c, .args = a };
	int rc;

	if (check_args(c, a, err) != 0 || cli_conf(c, err) != 0)
		return -1;
	/* A server that hangs up is a finding. */
	signal(SIGPIPE, SIG_IGN);
	d.checks = checks_new();
	look(&d);
	rc = checks_print(d.checks, c, err);
	if (checks_count(d.checks, CHECK_FAIL) != 0)
		c->code = EXIT_REFUSED;
	policy_free(d.policy);
	wconf_free(d.worker);
	free(d.worker_path);
	strlist_free(&d.apart);
	checks_free(d.checks);
	return rc;
}
