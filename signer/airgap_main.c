/*
 * countersign-signer airgap: what the officer of the vault types.  Each word
 * is one function of airgap_vault.h.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airgap_vault.h"
#include "blocked.h"
#include "conf.h"

struct words {			/* of the command line */
	const char	*conf, *bundle, *output;
	bool		 list, yes, help;
	struct strlist	 deny;
};

static void
usage(FILE *f)
{
	fputs("usage: countersign-signer [-c file] airgap init\n"
	    "       countersign-signer [-c file] airgap show [--list] BUNDLE\n"
	    "       countersign-signer [-c file] airgap sign [--list] [--yes]\n"
	    "           [--deny ID] [-o FILE] BUNDLE\n"
	    "       countersign-signer [-c file] airgap status\n"
	    "\t--list         print every request of the bundle\n"
	    "\t--yes          sign without asking\n"
	    "\t--deny ID      refuse this request; may be given again\n"
	    "\t-o, --output   the answer; default: response-N.bundle beside\n"
	    "\t               the bundle\n", f);
}

static int
parse(struct words *w, int argc, char *argv[])
{
	static const struct option opts[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "yes", no_argument, NULL, 'y' },
		{ "deny", required_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	optind = 0;	/* this is the second time: start anew */
	while ((c = getopt_long(argc, argv, "o:h", opts, NULL)) != -1) {
		if (c == 'l')
			w->list = true;
		else if (c == 'y')
			w->yes = true;
		else if (c == 'h')
			w->help = true;
		else if (c == 'o')
			w->output = optarg;
		else if (c == 'd')
			strlist_add(&w->deny, optarg);
		else
			return -1;
	}
	if (optind < argc)
		w->bundle = argv[optind++];
	return optind == argc ? 0 : -1;
}

static void
print_key(const char *what, const struct bundlekey *k)
{
	char text[80];

	bundlekey_fingerprint(bundlekey_id(k), text);
	printf("%-12s %s\n", what, text);
}

/* Needs neither the CA keys nor the other side's. */
static int
init(struct vault *v, struct words *w, struct err *err)
{
	struct buf pem = { 0 };
	int rc;

	if ((v->s.conf = sconf_load(w->conf, err)) == NULL)
		return -1;
	if (v->s.conf->vault == NULL)
		return err_set(err, ERR_INTERNAL, "%s: has no airgap section",
		    w->conf);
	if (bundlekey_make(v->s.conf->vault->key_file, err) == -1 ||
	    (v->key = bundlekey_private(v->s.conf->vault->key_file,
	    err)) == NULL)
		return -1;
	rc = bundlekey_pem(v->key, &pem, err);
	if (rc == 0) {
		print_key("fingerprint", v->key);
		fwrite(pem.p, 1, pem.n, stdout);
	}
	buf_free(&pem);
	return rc;
}

static int
status(struct vault *v, struct words *w, struct err *err)
{
	const struct book_round *r;
	char hex[65];
	size_t i;

	if (vault_open(v, w->conf, err) == -1)
		return -1;
	r = book_round(v->book);
	print_key("our key", v->key);
	print_key("other side", v->peer);
	hex_encode(v->policy->sha256, 32, hex);
	printf("policy       %s\n", hex);
	printf("round        %" PRIu64 " taken, %" PRIu64 " answered\n",
	    r->in, r->out);
	for (i = 0; i < v->s.ncas; i++)
		printf("ca           %s: key %s%s\n", v->s.cas[i]->of,
		    v->s.cas[i]->name, v->s.cas[i]->in_use ? ", in use" : "");
	printf("blocked keys %zu\n", blocked_count(&v->s));
	return 0;
}

static int
show(struct vault *v, struct words *w, struct err *err)
{
	if (vault_open(v, w->conf, err) == -1 ||
	    vault_take(v, w->bundle, err) == -1)
		return -1;
	return vault_survey(v, w->list, err);
}

static int
ask(const struct words *w, struct err *err)
{
	char line[16];

	if (w->yes)
		return 0;
	printf("sign these? (yes or no) ");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) != NULL &&
	    strcmp(line, "yes\n") == 0)
		return 0;
	return err_set(err, ERR_DENIED, "nothing was signed");
}

static char *
output_path(const struct vault *v, const struct words *w)
{
	const char *slash = strrchr(w->bundle, '/');
	struct buf b = { 0 };
	char *s;

	if (w->output != NULL)
		return xstrdup(w->output);
	if (slash != NULL)
		buf_add(&b, w->bundle, (size_t)(slash + 1 - w->bundle));
	buf_printf(&b, "response-%" PRIu64 ".bundle",
	    bundle_head(v->in)->round);
	s = xstrdup(buf_str(&b));
	buf_free(&b);
	return s;
}

static int
emit(struct vault *v, const struct words *w, struct err *err)
{
	char *path = output_path(v, w);
	int rc = vault_emit(v, path, err);

	if (rc == 0) {
		printf("answer       %s\n", path);
		vault_print_hash(book_round(v->book)->response);
	}
	free(path);
	return rc;
}

static int
sign(struct vault *v, struct words *w, struct err *err)
{
	int follows;

	v->deny = w->deny;
	memset(&w->deny, 0, sizeof(w->deny));
	if (vault_open(v, w->conf, err) == -1 ||
	    vault_take(v, w->bundle, err) == -1 ||
	    (follows = vault_follows(v, err)) == -1 ||
	    vault_survey(v, w->list, err) == -1)
		return -1;
	if (follows == 0) {
		printf("signed before: the same answer again\n");
		return emit(v, w, err);
	}
	if (ask(w, err) == -1 || vault_sign(v, err) == -1)
		return -1;
	printf("issued       %" PRIu64 ", %" PRIu64 " of them before\n"
	    "denied       %" PRIu64 "\n", v->issued, v->again, v->denied);
	return emit(v, w, err);
}

int
airgap_main(const char *conf, int argc, char *argv[])
{
	static const struct {
		const char	*name;
		bool		 bundle;
		int		(*run)(struct vault *, struct words *,
				    struct err *);
	} verbs[] = {
		{ "init", false, init }, { "show", true, show },
		{ "sign", true, sign }, { "status", false, status }
	};
	const size_t n = sizeof(verbs) / sizeof(verbs[0]);
	struct vault v = { .now = 0 };
	struct words w = { .conf = conf };
	struct err err = ERR_INIT;
	size_t i = n;
	int rc = -1;

	if (argc > 1)
		for (i = 0; i < n && strcmp(argv[1], verbs[i].name) != 0; i++)
			;
	if (argc > 1 && i == n && strcmp(argv[1], "--help") == 0)
		w.help = true;
	else if (i == n || parse(&w, argc - 1, argv + 1) == -1 ||
	    (!w.help && verbs[i].bundle != (w.bundle != NULL))) {
		usage(stderr);
		strlist_free(&w.deny);
		return 2;
	}
	if (w.help)
		usage(stdout);
	else if ((rc = verbs[i].run(&v, &w, &err)) == -1)
		fprintf(stderr, "countersign-signer: %s\n", err.text);
	vault_close(&v);
	strlist_free(&w.deny);
	return rc == 0 || w.help ? 0 : 1;
}
