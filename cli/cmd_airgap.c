/*
 * airgap init, airgap status: the side of an air gap that has the database
 * (docs/airgap.md); export and import are files of their own.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "bundlekey.h"
#include "file.h"

const struct opt opts_airgap_init[] = {
	{ "vault", "NAME", "name of the signer in the vault (default vault)",
	    false },
	{ "o", "FILE", "write this side's public key, for the vault", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_airgap_status[] = {
	{ "limit", "N", "at most N rounds (default 10)", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col init_cols[] = {
	{ "fingerprint", OUT_TEXT }, { "vault", OUT_TEXT },
	{ "prefix", OUT_NUMBER }, { "public_key", OUT_BLOCK },
	{ NULL, OUT_TEXT }
};

static const struct out_col status_cols[] = {
	{ "round", OUT_NUMBER }, { "exported_at", OUT_TEXT },
	{ "exported_by", OUT_TEXT }, { "requests", OUT_NUMBER },
	{ "revocations", OUT_NUMBER }, { "bundle", OUT_JSON_ONLY },
	{ "imported_at", OUT_TEXT }, { "imported_by", OUT_TEXT },
	{ "response", OUT_JSON_ONLY }, { NULL, OUT_TEXT }
};

/* For init and export: a deployment without a vault has no such key. */
int
airgap_conf(struct cli *c, struct err *err)
{
	if (cli_conf(c, err) != 0)
		return -1;
	if (c->conf->airgap_key == NULL)
		return err_set(err, ERR_MALFORMED,
		    "%s: airgap: no key-file", c->conf->path);
	return 0;
}

/* Made once; asked again it says the same. */
static int
make_key(struct cli *c, struct bundlekey **out, struct err *err)
{
	const char *path = c->conf->airgap_key;

	if (!file_exists(path) && errno == ENOENT &&
	    bundlekey_make(path, err) != 0)
		return -1;
	*out = bundlekey_private(path, err);
	return *out == NULL ? -1 : 0;
}

/* All that the vault's administrator needs, on the screen and in the file. */
static int
print_init(struct cli *c, const struct bundlekey *key, const struct args *a,
    const char *prefix, struct err *err)
{
	const char *vault = args_has(a, "vault") ? args_get(a, "vault") :
	    "vault";
	struct buf pem = { 0 };
	char text[80];
	struct out *o;
	int rc = bundlekey_pem(key, &pem, err);

	if (rc == 0 && args_has(a, "o"))
		rc = file_put(args_get(a, "o"), 0644, buf_slice(&pem), err);
	if (rc == 0) {
		bundlekey_fingerprint(bundlekey_id(key), text);
		o = out_new(init_cols, OUT_RECORD);
		out_add(o, text);
		out_add(o, vault);
		out_add(o, prefix);
		out_add(o, buf_str(&pem));
		rc = cli_print(c, o, err);
	}
	buf_free(&pem);
	return rc;
}

int
cmd_airgap_init(struct cli *c, const struct args *a, struct err *err)
{
	const char *vault = args_has(a, "vault") ? args_get(a, "vault") :
	    "vault";
	struct bundlekey *key = NULL;
	PGresult *res = NULL;
	int rc = -1;

	if (airgap_conf(c, err) == 0 && make_key(c, &key, err) == 0)
		res = cli_query(c, "airgap_vault", &vault, 1, err);
	if (res != NULL && PQgetisnull(res, 0, 0))
		err_set(err, ERR_DENIED, "%.64s is a signer with a network: "
		    "the vault needs a name of its own, --vault NAME", vault);
	else if (res != NULL)
		rc = print_init(c, key, a, PQgetvalue(res, 0, 0), err);
	PQclear(res);
	bundlekey_free(key);
	return rc;
}

int
cmd_airgap_status(struct cli *c, const struct args *a, struct err *err)
{
	const char *limit;
	char text[24];
	int64_t n = 10;

	if (args_num(a, "limit", 1, 100000, &n, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	snprintf(text, sizeof text, "%" PRId64, n);
	limit = text;
	return cli_rows(c, cli_query(c, "airgap_rounds", &limit, 1, err),
	    status_cols, OUT_TABLE, err);
}
