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

#include "batch.h"
#include "log.h"
#include "secret.h"

#define DEFAULT_CONF	"/etc/countersign/signer.conf"
#define START_TRIES	40		/* of 250 ms, for the database */
#ifndef VERSION
#define VERSION		"0.1"
#endif

static void
usage(FILE *f)
{
	fputs("usage: countersign-signer [-c file] [-t] [--help] [--version]\n"
	    "\t-c, --config file  configuration, " DEFAULT_CONF "\n"
	    "\t-t, --test         check the configuration, keys and policy\n",
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

	while ((c = getopt_long(argc, argv, "c:th", opts, NULL)) != -1) {
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
	return optind == argc ? 0 : -1;
}

/* Blocked for all threads to come; the loop looks whether one is pending. */
static void
block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
load_cas(struct signer *s, struct err *err)
{
	const struct sconf_ca *c;
	struct cakey *key;
	struct ca *ca;
	size_t i;

	s->cas = xcalloc(s->conf->ncas, sizeof(*s->cas));
	for (i = 0; i < s->conf->ncas; i++) {
		c = &s->conf->cas[i];
		ca = ca_load(c->name, c->certificate, c->chain, err);
		if (ca == NULL)
			return -1;
		s->cas[s->ncas++] = ca;
		if ((key = cakey_load(c->key, c->passphrase, err)) == NULL)
			return -1;
		if (ca_set_key(ca, key, err) == -1) {
			cakey_free(key);
			return -1;
		}
		if (cakey_cost(key) > s->cost)
			s->cost = cakey_cost(key);
	}
	return 0;
}

/* PostgreSQL may come up after us, and an old session may be on its end. */
static int
open_store(struct signer *s, struct err *err)
{
	const struct timespec pause = { 0, 250 * 1000 * 1000L };
	struct err last = ERR_INIT;
	int i, rc;

	s->store = store_open(s->conf->database, s->conf->name);
	rc = store_ready(s->store, &last);
	for (i = 0; rc == -1 && i < START_TRIES; i++) {
		nanosleep(&pause, NULL);
		memset(&last, 0, sizeof(last));
		rc = store_ready(s->store, &last);
	}
	if (rc == -1)
		return err_set(err, last.kind, "%s", last.text);
	if (store_register(s->store, &s->prefix, err) == -1)
		return -1;
	return store_partitions(s->store, err);
}

/* Policy and CA certificates are the ones that everybody else sees. */
static int
check_policy(struct signer *s, struct err *err)
{
	const struct policy *p;
	const struct policy_ca *ca;
	size_t i;
	int rc = 0;

	s->snapshot = snapshot_new(s->conf->database, s->conf->policy);
	if ((p = snapshot_policy(s->snapshot, true, err)) == NULL)
		return -1;
	rc = policy_ready(p, err);
	for (i = 0; i < s->ncas && rc == 0; i++) {
		ca = policy_ca_find(p, s->cas[i]->name);
		if (ca == NULL)
			rc = err_set(err, ERR_INTERNAL,
			    "ca %s is not in the policy", s->cas[i]->name);
		else if (!slice_eq(buf_slice(&ca->cert),
		    buf_slice(&s->cas[i]->cert.der)))
			rc = err_set(err, ERR_INTERNAL, "ca %s: the database "
			    "has another certificate", s->cas[i]->name);
	}
	s->policy = p;
	return rc;
}

static int
open_ledger(struct signer *s, struct err *err)
{
	struct buf f = { 0 };
	int rc;

	if ((s->ledger = ledger_open(s->conf->ledger, err)) == NULL ||
	    recover_start(s, err) == -1)
		return -1;
	ledger_field(&f, "signer", slice_str(s->conf->name));
	ledger_field_hex(&f, "policy", s->policy->sha256,
	    sizeof(s->policy->sha256));
	ledger_add(s->ledger, "start", buf_slice(&f));
	buf_free(&f);
	rc = signer_sync(s, err);
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

/* The file alone, for -t: the published text is not asked for. */
static int
test_policy(const char *path, struct err *err)
{
	struct policy *p;
	struct buf text = { 0 };
	FILE *f;
	char part[4096];
	size_t n;

	if ((f = fopen(path, "r")) == NULL)
		return err_set(err, ERR_INTERNAL, "%s: cannot be read", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(&text, part, n);
	fclose(f);
	p = policy_parse(buf_slice(&text), err);
	policy_free(p);
	buf_free(&text);
	return p == NULL ? -1 : 0;
}

static void
close_all(struct signer *s)
{
	size_t i;

	link_server_free(s->link);
	if (s->policy != NULL)
		snapshot_put(s->snapshot, s->policy);
	snapshot_free(s->snapshot);
	store_close(s->store);
	ledger_close(s->ledger);
	for (i = 0; i < s->ncas; i++)
		ca_free(s->cas[i]);
	free(s->cas);
	intents_free(&s->unresolved);
	sconf_free(s->conf);
}

static int
start(struct signer *s, const char *path, struct err *err)
{
	if (secret_harden(err) == -1 ||
	    (s->conf = sconf_load(path, err)) == NULL)
		return -1;
	return load_cas(s, err);
}

static int
serve(struct signer *s, struct err *err)
{
	if (open_store(s, err) == -1 || check_policy(s, err) == -1 ||
	    open_ledger(s, err) == -1 || open_link(s, err) == -1)
		return -1;
	log_note("ready", "signer %s on %s, prefix %u, %lld us a certificate",
	    s->conf->name, s->conf->listen, s->prefix, (long long)s->cost);
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

	log_program("countersign-signer");
	if (options(argc, argv, &conf, &test) == -1) {
		usage(stderr);
		return 2;
	}
	mallopt(M_ARENA_MAX, 1);
	block_signals();
	rc = start(&s, conf, &err);
	if (rc == 0)
		rc = test ? test_policy(s.conf->policy, &err) :
		    serve(&s, &err);
	if (rc == -1)
		log_note("stop", "%s: %s", err_kind_name(err.kind), err.text);
	else
		log_note("stop", "%s", test ? "configuration is good" :
		    "asked to");
	close_all(&s);
	return rc == 0 ? 0 : 1;
}
