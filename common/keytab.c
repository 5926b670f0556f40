/*
 * Keytabs, read by libkrb5 as the library itself will read them: before a
 * worker believes anything by one, and for doctor.
 */
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf.h"
#include "keytab.h"
#include "secret.h"

#define KEYTAB_MAX	((size_t)1024 * 1024)

static int
failed(krb5_context ctx, krb5_error_code code, const char *path,
    struct err *err)
{
	const char *text = krb5_get_error_message(ctx, code);

	err_set(err, ERR_UNAVAILABLE, "%.80s: %.100s", path, text);
	krb5_free_error_message(ctx, text);
	return -1;
}

static bool
is_aes(krb5_enctype e)
{
	return e == ENCTYPE_AES128_CTS_HMAC_SHA1_96 ||
	    e == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ||
	    e == ENCTYPE_AES128_CTS_HMAC_SHA256_128 ||
	    e == ENCTYPE_AES256_CTS_HMAC_SHA384_192;
}

static krb5_error_code
add(krb5_context ctx, const krb5_keytab_entry *e, struct keytab *k)
{
	struct keytab_key *key;
	char *name = NULL;
	krb5_error_code code = krb5_unparse_name(ctx, e->principal, &name);

	if (code != 0)
		return code;
	k->v = xreallocarray(k->v, k->n + 1, sizeof(*k->v));
	key = &k->v[k->n++];
	key->principal = xstrdup(name);
	key->version = e->vno;
	key->aes = is_aes(e->key.enctype);
	if (krb5_enctype_to_name(e->key.enctype, 1, key->enctype,
	    sizeof(key->enctype)) != 0)
		snprintf(key->enctype, sizeof(key->enctype), "type %d",
		    (int)e->key.enctype);
	krb5_free_unparsed_name(ctx, name);
	return 0;
}

static krb5_error_code
read_all(krb5_context ctx, krb5_keytab kt, struct keytab *k)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry e;
	krb5_error_code code = krb5_kt_start_seq_get(ctx, kt, &cursor);

	if (code != 0)
		return code;
	while (code == 0 && (code = krb5_kt_next_entry(ctx, kt, &e,
	    &cursor)) == 0) {
		code = add(ctx, &e, k);
		krb5_free_keytab_entry_contents(ctx, &e);
	}
	krb5_kt_end_seq_get(ctx, kt, &cursor);
	return code == KRB5_KT_END ? 0 : code;
}

int
keytab_read(const char *path, struct keytab *k, struct err *err)
{
	struct buf name = { 0 };
	krb5_context ctx;
	krb5_keytab kt;
	krb5_error_code code;

	memset(k, 0, sizeof(*k));
	if (krb5_init_context(&ctx) != 0)
		return err_set(err, ERR_UNAVAILABLE, "krb5.conf is broken");
	buf_printf(&name, "FILE:%s", path);
	if ((code = krb5_kt_resolve(ctx, buf_str(&name), &kt)) == 0) {
		code = read_all(ctx, kt, k);
		krb5_kt_close(ctx, kt);
	}
	buf_free(&name);
	if (code != 0)
		failed(ctx, code, path, err);
	krb5_free_context(ctx);
	if (code != 0)
		return -1;
	return k->n > 0 ? 0 : err_set(err, ERR_MALFORMED, "holds no key");
}

void
keytab_free(struct keytab *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		free(k->v[i].principal);
	free(k->v);
	memset(k, 0, sizeof(*k));
}

bool
keytab_is_http(const char *principal)
{
	return strncasecmp(principal, "HTTP/", 5) == 0;
}

static void
add_realm(struct strlist *realms, const char *principal)
{
	const char *realm = strrchr(principal, '@');

	if (realm != NULL && !strlist_has(realms, realm + 1))
		strlist_add(realms, realm + 1);
}

/* A weak key is all that an attacker needs to make tickets for anybody. */
static int
check_key(const char *path, const struct keytab_key *key, struct err *err)
{
	if (!keytab_is_http(key->principal))
		return err_set(err, ERR_INTERNAL, "keytab %s: has a key of "
		    "%.100s: give the worker keys of HTTP/ alone", path,
		    key->principal);
	if (!key->aes)
		return err_set(err, ERR_INTERNAL, "keytab %s: the key of %.80s "
		    "is %s: make one with AES alone", path, key->principal,
		    key->enctype);
	return 0;
}

int
keytab_check(const char *path, struct strlist *realms, struct err *err)
{
	struct err why = ERR_INIT;
	struct buf ignored = { 0 };
	struct keytab k = { 0 };
	size_t i;
	int rc;

	/* Who may read it?  Its content is for the library alone. */
	rc = secret_read(path, KEYTAB_MAX, false, &ignored, &why);
	buf_wipe(&ignored);
	if (rc == -1)
		return err_set(err, why.kind, "keytab %.300s", why.text);
	if (keytab_read(path, &k, &why) == -1)
		rc = err_set(err, ERR_INTERNAL, "keytab %s: %s", path,
		    why.text);
	for (i = 0; i < k.n && rc == 0; i++) {
		rc = check_key(path, &k.v[i], err);
		add_realm(realms, k.v[i].principal);
	}
	keytab_free(&k);
	return rc;
}
