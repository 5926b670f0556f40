/*
 * countersign-signer: holds the CA key, checks everything again, signs.
 * main lists the steps.
 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "airgap.h"
#include "airgap_vault.h"
#include "batch.h"
#include "blocked.h"
#include "caset.h"
#include "clock.h"
#include "crlmake.h"
#include "failpoint.h"
#include "heads.h"
#include "journal.h"
#include "log.h"
#include "metrics.h"
#include "policyfile.h"
#include "secret.h"
#include "version.h"

#define DEFAULT_CONF	"/etc/countersign/signer.conf"
#define START_TRIES	40		/* of 250 ms, for the database */

static void
usage(FILE *f)
{
	fputs("usage: countersign-signer [-t] [-c file]\n"
	    "       countersign-signer [-c file] airgap init|show|sign|status "
	    "...\n"
	    "  -c, --config FILE  instead of " DEFAULT_CONF "\n"
	    "  -t, --test         check configuration, keys, policy and "
	    "ledger, and end\n"
	    "      --help, --version\n"
	    "  airgap --help      behind an air gap: bundles instead of "
	    "workers\n",
	    f);
}

static int
options(int argc, char *argv[], const char **conf, bool *test)
{
	static const struct option opts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "+c:th", opts, NULL)) != -1) {
		switch (c) {
		case 'c':
			*conf = optarg;
			break;
		case 't':
			*test = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("countersign-signer " VERSION);
			exit(0);
		default:
			return -1;
		}
	}
	if (optind < argc && strcmp(argv[optind], "airgap") == 0)
		return *test ? -1 : 0;
	return optind == argc ? 0 : -1;
}

/* Blocked for all threads to come; the loop looks whether one is pending. */
static void
block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* a write that fails, as with ENOSPC */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* PostgreSQL may come up after us, and an old session may be on its end. */
static int
open_store(struct signer *s, struct err *err)
{
	const struct timespec pause = { 0, 250 * 1000 * 1000L };
	struct err last = ERR_INIT;
	int i, rc;

	s->store = store_open(s->conf->database, s->conf->name);
	s->lists = store_beside(s->conf->database, s->conf->name);
	rc = store_ready(s->store, &last);
	for (i = 0; rc == -1 && i < START_TRIES; i++) {
		if (i == 0)
			log_note("waiting", "%s", last.text);
		nanosleep(&pause, NULL);
		memset(&last, 0, sizeof(last));
		rc = store_ready(s->store, &last);
	}
	if (rc == -1)
		return err_set(err, last.kind, "%s", last.text);
	s->prefix = store_lease(s->store)->prefix;
	return 0;
}

/* Policy and CA certificates are the ones that everybody else sees. */
static int
check_policy(struct signer *s, struct err *err)
{
	const struct policy *p;
	bool good = false;
	size_t i;
	int rc;

	s->snapshot = snapshot_new(s->conf->database, s->conf->policy);
	if ((p = snapshot_policy(s->snapshot, true, err)) == NULL)
		return -1;
	rc = policy_ready(p, err);
	s->policy = p;
	if (rc == -1)
		return -1;
	caset_look(s, p);
	for (i = 0; i < s->ncas; i++) {
		good |= s->cas[i]->good;
		if (s->cas[i]->apart && s->cas[i]->good && policy_apart(
		    policy_key_find(p, s->cas[i]->name, NULL), err) == -1)
			return -1;
		if (!s->cas[i]->good)
			log_note("ca", "ca %s: its key is not used: policy or "
			    "database do not know it so", s->cas[i]->name);
	}
	return good ? 0 : err_set(err, ERR_INTERNAL,
	    "no ca of this signer can be used");
}

static int
open_ledger(struct signer *s, struct err *err)
{
	struct buf f = { 0 };
	int rc;

	if (recover_look(s, err) == -1 ||
	    (s->ledger = ledger_open(s->conf->ledger, err)) == NULL ||
	    clock_look(s, err) == -1 || recover_start(s, err) == -1)
		return -1;
	fail_point("start");
	ledger_field(&f, "signer", slice_str(s->conf->name));
	ledger_field_num(&f, "prefix", s->prefix);
	ledger_field_num(&f, "epoch", store_lease(s->store)->epoch);
	ledger_field(&f, "deployment", slice_str(s->policy->id));
	heads_start(s, &f);
	ledger_field_hex(&f, "policy", s->policy->sha256,
	    sizeof(s->policy->sha256));
	ledger_add(s->ledger, "start", buf_slice(&f));
	buf_free(&f);
	rc = journal_sync(s, err);
	if (rc == 0)
		rc = heads_now(s, err);
	snapshot_put(s->snapshot, s->policy);
	s->policy = NULL;
	return rc;
}

static int
open_link(struct signer *s, struct err *err)
{
	struct link_keys keys;
	int rc = 0;

	if (s->conf->key_file != NULL)
		rc = link_keys_load(s->conf->key_file, &keys, err);
	if (rc == -1)
		return -1;
	s->link = link_server_new(s->conf->listen,
	    s->conf->key_file != NULL ? &keys : NULL, s->conf->peers,
	    s->conf->npeers, err);
	if (s->conf->key_file != NULL)
		link_keys_free(&keys);
	return s->link == NULL ? -1 : 0;
}

/* For -t a token that is away is a failure. */
static int
test_keys(const struct signer *s, struct err *err)
{
	struct link_keys keys;
	size_t i;

	if (s->conf->key_file != NULL) {
		if (link_keys_load(s->conf->key_file, &keys, err) == -1)
			return -1;
		link_keys_free(&keys);
	}
	for (i = 0; i < s->ncas; i++) {
		if (cakey_ready(s->cas[i]->key, err) == -1)
			return -1;
	}
	return 0;
}

/* The file alone, for -t: the published text is not asked for. */
static int
test_policy(const char *path, struct err *err)
{
	struct policy *p = policy_file(path, err);

	policy_free(p);
	return p == NULL ? -1 : 0;
}

static void
close_all(struct signer *s)
{
	size_t i;

	link_server_free(s->link);
	crl_leave(s);
	if (s->policy != NULL)
		snapshot_put(s->snapshot, s->policy);
	snapshot_free(s->snapshot);
	pace_free(s->pace);
	store_close(s->lists);
	store_close(s->store);
	ledger_close(s->ledger);
	for (i = 0; i < s->ncas; i++)
		ca_free(s->cas[i]);
	free(s->cas);
	tokens_free(s->tokens);
	intents_free(&s->unresolved);
	intents_free(&s->marks);
	blocked_free(s->blocked);
	heads_free(s->heads);
	metrics_free(s->metrics);
	sconf_free(s->conf);
}

static int
start(struct signer *s, const char *path, struct err *err)
{
	if (secret_harden(err) == -1 ||
	    (s->conf = sconf_load(path, err)) == NULL)
		return -1;
	if (signer_load_cas(s, err) == -1)
		return -1;
	if (s->conf->metrics_file != NULL &&
	    (s->metrics = metrics_new()) == NULL)
		return err_set(err, ERR_INTERNAL, "no memory for metrics");
	return heads_open(s, err);
}

/* The link comes last: who is heard finds policy, ledger and database. */
static int
serve(struct signer *s, struct err *err)
{
	if (s->conf->vault != NULL)
		return err_set(err, ERR_INTERNAL, "airgap: this host has no "
		    "workers; it runs \"countersign-signer airgap sign\"");
	s->pace = pace_new();
	if (open_store(s, err) == -1 || check_policy(s, err) == -1 ||
	    open_ledger(s, err) == -1 || blocked_refresh(s, err) == -1 ||
	    open_link(s, err) == -1)
		return -1;
	log_note("ready", "signer %s on %s, prefix %u, epoch %lld, %lld us a "
	    "certificate", s->conf->name, s->conf->listen, s->prefix,
	    (long long)store_lease(s->store)->epoch, (long long)s->cost);
	return batch_loop(s, err);
}

int
main(int argc, char *argv[])
{
	struct signer s = { 0 };
	struct err err = ERR_INIT;
	const char *conf = DEFAULT_CONF;
	bool test = false;
	int rc;

	xalloc_openssl();
	log_program("countersign-signer");
	if (options(argc, argv, &conf, &test) == -1) {
		usage(stderr);
		return 2;
	}
	if (optind < argc)
		return airgap_main(conf, argc - optind, argv + optind);
	/* libzmq's threads do little: no arena of its own for each. */
	mallopt(M_ARENA_MAX, 1);
	block_signals();
	rc = start(&s, conf, &err);
	if (rc == 0 && test)
		rc = test_keys(&s, &err) == -1 ||
		    test_policy(s.conf->policy, &err) == -1 ? -1 :
		    recover_test(&s, &err);
	else if (rc == 0)
		rc = serve(&s, &err);
	if (rc == -1)
		log_note("stop", "%s", err.text);
	else
		log_note("stop", "%s", test ? "configuration is good" :
		    "asked to");
	close_all(&s);
	return rc == 0 ? 0 : 1;
}
