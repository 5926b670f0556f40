/*
 * A token's key as OpenSSL's EVP_PKEY, for tokenkey.c.
 *
 * Engines are deprecated since OpenSSL 3.0, but Debian 12 has no provider for
 * PKCS#11: the warning is off for this file alone.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/ui.h>

#include "buf.h"
#include "p11engine.h"

struct p11engine {
	ENGINE		*e;
	UI_METHOD	*nobody;	/* answers no question */
	bool		 started;
};

static int
refuse(UI *ui)
{
	(void)ui;
	return 0;
}

/*
 * A copy of its own for each module: OpenSSL's list would hand out the same
 * one for all.  QUIET: what it has to say comes back as errors, too.
 */
static ENGINE *
make_engine(const char *module)
{
	const char *dir = OPENSSL_info(OPENSSL_INFO_ENGINES_DIR);
	ENGINE *e;

	ENGINE_load_dynamic();
	if ((e = ENGINE_by_id("dynamic")) == NULL)
		return NULL;
	if (ENGINE_ctrl_cmd_string(e, "ID", "pkcs11", 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "DIR_LOAD", "2", 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "DIR_ADD", dir, 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "LIST_ADD", "0", 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "LOAD", NULL, 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "QUIET", NULL, 0) == 1 &&
	    ENGINE_ctrl_cmd_string(e, "MODULE_PATH", module, 0) == 1)
		return e;
	ENGINE_free(e);
	return NULL;
}

struct p11engine *
p11engine_new(const char *module, struct err *err)
{
	struct p11engine *p = xcalloc(1, sizeof(*p));

	ERR_clear_error();
	p->nobody = UI_create_method("nobody");
	if (p->nobody != NULL && UI_method_set_opener(p->nobody,
	    refuse) == 0 && (p->e = make_engine(module)) != NULL)
		return p;
	err_openssl(err, "engine pkcs11 (package libengine-pkcs11-openssl)");
	p11engine_free(p);
	return NULL;
}

void
p11engine_free(struct p11engine *p)
{
	if (p == NULL)
		return;
	p11engine_stop(p);
	ENGINE_free(p->e);
	UI_destroy_method(p->nobody);
	free(p);
}

EVP_PKEY *
p11engine_key(struct p11engine *p, const char *uri, struct err *err)
{
	EVP_PKEY *key;

	ERR_clear_error();
	if (!p->started && ENGINE_init(p->e) != 1) {
		err_openssl(err, "engine pkcs11: starting");
		return NULL;
	}
	p->started = true;
	key = ENGINE_load_private_key(p->e, uri, p->nobody, NULL);
	if (key == NULL)
		err_openssl(err, "engine pkcs11: loading the key");
	/*
	 * libp11 keeps the key until the engine ends, and the key would keep
	 * the engine: neither would ever end.  The key has its method anyway.
	 */
	else
		EVP_PKEY_set1_engine(key, NULL);
	return key;
}

void
p11engine_stop(struct p11engine *p)
{
	if (p->started)
		ENGINE_finish(p->e);
	p->started = false;
}
