/*
 * countersign-worker: FastCGI in front, signers behind, no CA key.  main
 * lists the steps, from the configuration to the parent of all processes.
 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcgiapp.h>
#include <sodium.h>

#include "kerberos.h"
#include "listen.h"
#include "log.h"
#include "secret.h"
#include "supervise.h"
#include "version.h"
#include "wconf.h"
#include "xmlin.h"

#define DEFAULT_CONF	"/etc/countersign/worker.conf"

static void __attribute__((noreturn))
usage(FILE *f, int status)
{
	fprintf(f, "usage: countersign-worker [-t] [-c file]\n"
	    "  -c, --config FILE  instead of " DEFAULT_CONF "\n"
	    "  -t, --test         check configuration and keys, and end\n"
	    "      --help, --version\n");
	exit(status);
}

static void
read_options(int argc, char **argv, const char **path, bool *test)
{
	static const struct option	longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int				ch;

	while ((ch = getopt_long(argc, argv, "c:th", longs, NULL)) != -1)
		switch (ch) {
		case 'c':
			*path = optarg;
			break;
		case 't':
			*test = true;
			break;
		case 'h':
			usage(stdout, 0);
		case 'V':
			puts("countersign-worker " VERSION);
			exit(0);
		default:
			usage(stderr, 2);
		}
	if (optind != argc)
		usage(stderr, 2);
}

/*
 * Many threads that do little: without this every one gets an arena of its
 * own, and what a large request once needed is never given back.
 */
static void
set_memory(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

static int
set_libraries(struct err *err)
{
	signal(SIGPIPE, SIG_IGN);
	xmlin_init();
	if (sodium_init() == -1)
		return err_set(err, ERR_INTERNAL, "sodium_init fails");
	if (FCGX_Init() != 0)
		return err_set(err, ERR_INTERNAL, "FCGX_Init fails");
	return 0;
}

/* Each process has its own; what is wrong with it is told here, once. */
static int
check_kerberos(const struct wconf_kerberos *conf, struct err *err)
{
	struct kerberos	*k = kerberos_new(conf, err);

	kerberos_free(k);
	return k == NULL ? -1 : 0;
}

/* Nobody shall find out by an incident that it was switched off. */
static void
warn_of_binding(const struct wconf_kerberos *k)
{
	if (k != NULL && k->binding != BINDING_REQUIRE)
		log_note("start", "kerberos: channel-binding is %s: a log-on "
		    "%s be relayed to here by whom a client talks to",
		    k->binding == BINDING_OFF ? "off" : "when-offered",
		    k->binding == BINDING_OFF ? "can" :
		    "of a client that offers none can");
}

static int
load(const char *path, struct wconf **conf, struct link_keys *keys,
    struct err *err)
{
	*conf = wconf_load(path, err);
	if (*conf == NULL || ((*conf)->kerberos != NULL &&
	    check_kerberos((*conf)->kerberos, err) == -1))
		return -1;
	if ((*conf)->key_file == NULL)
		return 0;
	return link_keys_load((*conf)->key_file, keys, err);
}

int
main(int argc, char **argv)
{
	struct err		 err = ERR_INIT;
	struct link_keys	 keys = { "", "" };
	struct wconf		*conf = NULL;
	struct inherited	 in = { .listen_fd = -1 };
	const char		*path = DEFAULT_CONF;
	bool			 test = false;
	int			 status = 1;

	read_options(argc, argv, &path, &test);
	xalloc_openssl();
	log_program("countersign-worker");
	set_memory();
	if (secret_harden(&err) == -1 || set_libraries(&err) == -1 ||
	    load(path, &conf, &keys, &err) == -1)
		goto out;
	if (test) {
		log_note("stop", "configuration is good");
		status = 0;
		goto out;
	}
	in.conf = conf;
	in.keys = conf->key_file != NULL ? &keys : NULL;
	in.backoff = backoff_new();
	in.metrics = metrics_new();
	if (in.backoff == NULL || in.metrics == NULL) {
		err_set(&err, ERR_INTERNAL, "no memory to share");
		goto out;
	}
	in.listen_fd = listen_open(conf, &err);
	if (in.listen_fd == -1)
		goto out;
	log_note("start", "%u processes of %u threads at %s",
	    conf->processes, conf->threads, conf->socket);
	warn_of_binding(conf->kerberos);
	status = supervise(&in);
out:
	if (err.kind != ERR_NONE)
		log_note("start", "%s", err.text);
	if (in.listen_fd != -1)
		listen_close(conf, in.listen_fd);
	backoff_free(in.backoff);
	metrics_free(in.metrics);
	link_keys_free(&keys);
	wconf_free(conf);
	return status;
}
