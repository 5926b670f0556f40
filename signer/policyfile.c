/*
 * A policy out of a file: the signer's own, which the published one must
 * equal, and the vault's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "airgap_vault.h"

#define POLICY_MAX	(1024 * 1024)

struct policy *
policy_file(const char *path, struct err *err)
{
	struct policy *p = NULL;
	struct buf text = { 0 };
	char part[4096];
	size_t n;
	FILE *f;

	if ((f = fopen(path, "r")) == NULL) {
		err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
		return NULL;
	}
	while ((n = fread(part, 1, sizeof(part), f)) > 0 &&
	    text.n <= POLICY_MAX)
		buf_add(&text, part, n);
	if (ferror(f) || text.n > POLICY_MAX)
		err_set(err, ERR_INTERNAL, "%s: cannot be read, or is too "
		    "long", path);
	else
		p = policy_parse(buf_slice(&text), err);
	fclose(f);
	buf_free(&text);
	return p;
}
