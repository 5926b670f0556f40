/*
 * A PKCS#11 module asked directly: which token, may we log in, which key.
 * Under tokenkey.c; what signs is p11engine.c.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "der.h"
#include "oid.h"
#include "p11_int.h"

#define SLOTS_MAX	64
#define VALUE_MAX	2048

static const struct {
	CK_RV		 rv;
	const char	*name;
} names[] = {
	{ CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID" },
	{ CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR" },
	{ CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED" },
	{ CKR_ATTRIBUTE_VALUE_INVALID, "CKR_ATTRIBUTE_VALUE_INVALID" },
	{ CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR" },
	{ CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY" },
	{ CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED" },
	{ CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED" },
	{ CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID" },
	{ CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT" },
	{ CKR_PIN_INVALID, "CKR_PIN_INVALID" },
	{ CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE" },
	{ CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED" },
	{ CKR_PIN_LOCKED, "CKR_PIN_LOCKED" },
	{ CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED" },
	{ CKR_SESSION_COUNT, "CKR_SESSION_COUNT" },
	{ CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID" },
	{ CKR_TEMPLATE_INCONSISTENT, "CKR_TEMPLATE_INCONSISTENT" },
	{ CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT" },
	{ CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED" },
	{ CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED" },
	{ CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN" },
	{ CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED" },
	{ CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED" }
};

int
p11_failed(struct err *err, const char *call, CK_RV rv)
{
	const char *name = "vendor's own";
	enum err_kind kind = ERR_UNAVAILABLE;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].rv == rv)
			name = names[i].name;
	}
	if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID ||
	    rv == CKR_PIN_LEN_RANGE)
		kind = ERR_UNAUTHENTICATED;
	return err_set(err, kind, "token: %s: %s (0x%lx)", call, name, rv);
}

/* Its code runs in this process: nobody else may be able to change it. */
static int
check_module(const char *path, struct err *err)
{
	struct stat st;

	if (path[0] != '/')
		return err_set(err, ERR_INTERNAL, "pkcs11 module \"%.80s\": "
		    "must be a path from the root folder", path);
	if (stat(path, &st) == -1)
		return err_set(err, ERR_INTERNAL, "pkcs11 module %.120s: %s",
		    path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0 ||
	    (st.st_uid != 0 && st.st_uid != geteuid()))
		return err_set(err, ERR_INTERNAL, "pkcs11 module %.120s: "
		    "must be a file that only its owner, root or this user, "
		    "may write", path);
	return 0;
}

struct p11 *
p11_load(const char *module, struct err *err)
{
	struct p11 *p;
	CK_C_GetFunctionList get;
	CK_RV rv = CKR_OK;

	if (check_module(module, err) == -1)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->dl = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (p->dl == NULL)
		err_set(err, ERR_INTERNAL, "pkcs11 module: %.150s", dlerror());
	else if ((get = (CK_C_GetFunctionList)dlsym(p->dl,
	    "C_GetFunctionList")) == NULL)
		err_set(err, ERR_INTERNAL, "pkcs11 module %.120s: has no "
		    "C_GetFunctionList", module);
	else if ((rv = get(&p->f)) != CKR_OK || p->f == NULL ||
	    p->f->version.major != 2)
		err_set(err, ERR_INTERNAL, "pkcs11 module %.120s: is not of "
		    "version 2 (0x%lx)", module, rv);
	else
		return p;
	p11_unload(p);
	return NULL;
}

void
p11_unload(struct p11 *p)
{
	if (p == NULL)
		return;
	p11_stop(p);
	if (p->dl != NULL)
		dlclose(p->dl);
	free(p);
}

int
p11_start(struct p11 *p, struct err *err)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv;

	if (p->started)
		return 0;
	rv = p->f->C_Initialize(&args);
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return p11_failed(err, "C_Initialize", rv);
	p->started = true;
	return 0;
}

void
p11_stop(struct p11 *p)
{
	/* After the engine's own this says "not initialized", which it is. */
	if (p->started)
		(void)p->f->C_Finalize(NULL);
	p->started = false;
}

/* Fields of fixed size, padded with blanks: [PKCS11] 3.2. */
static bool
field_is(const CK_UTF8CHAR *field, size_t size, const char *want)
{
	size_t n;

	if (want == NULL)
		return true;
	while (size > 0 && field[size - 1] == ' ')
		size--;
	n = strlen(want);
	return n == size && memcmp(field, want, n) == 0;
}

static bool
is_token(const CK_TOKEN_INFO *i, const struct p11uri *u)
{
	return (i->flags & CKF_TOKEN_INITIALIZED) != 0 &&
	    field_is(i->label, sizeof(i->label), u->token) &&
	    field_is(i->serialNumber, sizeof(i->serialNumber), u->serial) &&
	    field_is(i->manufacturerID, sizeof(i->manufacturerID),
	    u->manufacturer) &&
	    field_is(i->model, sizeof(i->model), u->model);
}

static void
take_token(const CK_TOKEN_INFO *i, CK_SLOT_ID slot, struct p11_token *t)
{
	size_t n = sizeof(i->label);

	memset(t, 0, sizeof(*t));
	t->slot = slot;
	t->login = (i->flags & CKF_LOGIN_REQUIRED) != 0;
	t->pin_low = (i->flags & CKF_USER_PIN_COUNT_LOW) != 0;
	t->pin_last = (i->flags & CKF_USER_PIN_FINAL_TRY) != 0;
	t->pin_locked = (i->flags & CKF_USER_PIN_LOCKED) != 0;
	while (n > 0 && i->label[n - 1] == ' ')
		n--;
	memcpy(t->label, i->label, n);
}

static int
find_token(struct p11 *p, const struct p11uri *u, struct p11_token *t,
    struct err *err)
{
	CK_SLOT_ID slot[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX, i;
	CK_TOKEN_INFO info;
	size_t found = 0;
	CK_RV rv;

	if ((rv = p->f->C_GetSlotList(CK_TRUE, slot, &n)) != CKR_OK)
		return p11_failed(err, "C_GetSlotList", rv);
	for (i = 0; i < n; i++) {
		/* One that goes away meanwhile is not the one. */
		if (p->f->C_GetTokenInfo(slot[i], &info) != CKR_OK ||
		    !is_token(&info, u))
			continue;
		take_token(&info, slot[i], t);
		found++;
	}
	if (found == 0)
		return err_set(err, ERR_UNAVAILABLE, "token: none of the %lu "
		    "in the module's slots is \"%.64s\"", n, u->token != NULL ?
		    u->token : u->serial);
	if (found > 1)
		return err_set(err, ERR_INTERNAL, "token: %zu are \"%.64s\": "
		    "name the serial number, too", found, u->token != NULL ?
		    u->token : u->serial);
	return 0;
}

int
p11_find(struct p11 *p, const struct p11uri *u, bool write,
    struct p11_token *t, struct err *err)
{
	CK_SESSION_HANDLE s;
	CK_RV rv;

	if (find_token(p, u, t, err) == -1)
		return -1;
	rv = p->f->C_OpenSession(t->slot, CKF_SERIAL_SESSION |
	    (write ? CKF_RW_SESSION : 0), NULL, NULL, &s);
	if (rv != CKR_OK)
		return p11_failed(err, "C_OpenSession", rv);
	t->session = s;
	t->has_session = true;
	return 0;
}

void
p11_close(struct p11 *p, struct p11_token *t)
{
	if (t->has_session)
		(void)p->f->C_CloseSession(t->session);
	t->has_session = false;
}

int
p11_login(struct p11 *p, struct p11_token *t, struct slice pin,
    struct err *err)
{
	CK_RV rv;

	if (!t->login)
		return 0;
	if (t->pin_locked)
		return err_set(err, ERR_UNAVAILABLE, "token %s: its pin is "
		    "locked: its security officer must set a new one",
		    t->label);
	/* People shall have that one, with the token before them. */
	if (t->pin_last)
		return err_set(err, ERR_UNAVAILABLE, "token %s: one more "
		    "wrong pin would lock it: log in by hand first",
		    t->label);
	rv = p->f->C_Login(t->session, CKU_USER, (CK_UTF8CHAR_PTR)pin.p,
	    pin.n);
	if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
		return p11_failed(err, "C_Login", rv);
	return 0;
}

int
p11_count(struct p11 *p, const struct p11_token *t, const struct p11uri *u,
    CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out, struct err *err)
{
	CK_ATTRIBUTE want[3] = {
		{ CKA_CLASS, &class, sizeof(class) }
	};
	CK_OBJECT_HANDLE found[8];
	CK_ULONG nwant = 1, nfound = 0;
	CK_RV rv;

	if (u->object != NULL)
		want[nwant++] = (CK_ATTRIBUTE){ CKA_LABEL, u->object,
		    strlen(u->object) };
	if (u->id_len != 0)
		want[nwant++] = (CK_ATTRIBUTE){ CKA_ID, (void *)u->id,
		    u->id_len };
	rv = p->f->C_FindObjectsInit(t->session, want, nwant);
	if (rv == CKR_OK) {
		rv = p->f->C_FindObjects(t->session, found, 8, &nfound);
		(void)p->f->C_FindObjectsFinal(t->session);
	}
	if (rv != CKR_OK)
		return p11_failed(err, "C_FindObjects", rv);
	if (nfound > 0)
		*out = found[nfound - 1];
	return (int)nfound;
}

static int
get(struct p11 *p, const struct p11_token *t, CK_OBJECT_HANDLE o,
    CK_ATTRIBUTE_TYPE type, struct buf *out, struct err *err)
{
	uint8_t value[VALUE_MAX];
	CK_ATTRIBUTE a = { type, value, sizeof(value) };
	CK_RV rv;

	rv = p->f->C_GetAttributeValue(t->session, o, &a, 1);
	if (rv != CKR_OK || a.ulValueLen > sizeof(value))
		return p11_failed(err, "C_GetAttributeValue", rv);
	buf_reset(out);
	buf_add(out, value, a.ulValueLen);
	return 0;
}

static int
get_bool(struct p11 *p, const struct p11_token *t, CK_OBJECT_HANDLE o,
    CK_ATTRIBUTE_TYPE type, bool *out, struct err *err)
{
	struct buf b = { 0 };
	int rc = get(p, t, o, type, &b, err);

	if (rc == 0)
		*out = b.n == 1 && b.p[0] != CK_FALSE;
	buf_free(&b);
	return rc;
}

int
p11_private(struct p11 *p, const struct p11_token *t,
    const struct p11uri *u, struct p11_private *k, struct err *err)
{
	CK_OBJECT_HANDLE o;
	int n = p11_count(p, t, u, CKO_PRIVATE_KEY, &o, err);

	memset(k, 0, sizeof(*k));
	if (n == -1)
		return -1;
	if (n != 1)
		return err_set(err, ERR_INTERNAL, "token %s: %s such private "
		    "key in it", t->label, n == 0 ? "no" :
		    "more than one");
	if (get_bool(p, t, o, CKA_SENSITIVE, &k->sensitive, err) == -1 ||
	    get_bool(p, t, o, CKA_EXTRACTABLE, &k->extractable, err) == -1 ||
	    get_bool(p, t, o, CKA_SIGN, &k->signs, err) == -1)
		return -1;
	/* Of PKCS#11 2.20: an older module does not know it. */
	if (get_bool(p, t, o, CKA_ALWAYS_AUTHENTICATE, &k->asks_always,
	    &(struct err)ERR_INIT) == -1)
		k->asks_always = false;
	return 0;
}

/* Unsigned big-endian, leading zeros allowed, as DER wants it. */
static void
put_number(struct buf *b, const struct buf *n)
{
	size_t skip = 0;

	while (skip + 1 < n->n && n->p[skip] == 0)
		skip++;
	der_put_bigint(b, n->p + skip, n->n - skip);
}

static int
public_rsa(struct p11 *p, const struct p11_token *t, CK_OBJECT_HANDLE o,
    struct buf *spki, struct err *err)
{
	struct buf n = { 0 }, e = { 0 }, key = { 0 };
	size_t all, alg, seq;
	int rc = -1;

	if (get(p, t, o, CKA_MODULUS, &n, err) == 0 &&
	    get(p, t, o, CKA_PUBLIC_EXPONENT, &e, err) == 0) {
		seq = der_open(&key, DER_SEQ);
		put_number(&key, &n);
		put_number(&key, &e);
		der_close(&key, seq);
		all = der_open(spki, DER_SEQ);
		alg = der_open(spki, DER_SEQ);
		der_put_oid(spki, OID_RSA_ENCRYPTION);
		der_put(spki, DER_NULL, NULL, 0);
		der_close(spki, alg);
		der_put_bits(spki, key.p, key.n);
		der_close(spki, all);
		rc = 0;
	}
	buf_free(&n);
	buf_free(&e);
	buf_free(&key);
	return rc;
}

/* The point is in an OCTET STRING: [PKCS11] 2.3.3 of the mechanisms. */
static int
public_ec(struct p11 *p, const struct p11_token *t, CK_OBJECT_HANDLE o,
    struct buf *spki, struct err *err)
{
	struct buf curve = { 0 }, point = { 0 };
	struct slice octets = { NULL, 0 };
	struct der d;
	size_t all, alg;
	int rc = -1;

	if (get(p, t, o, CKA_EC_PARAMS, &curve, err) == 0 &&
	    get(p, t, o, CKA_EC_POINT, &point, err) == 0) {
		der_init(&d, buf_slice(&point));
		rc = der_get(&d, DER_OCTETS, &octets, "CKA_EC_POINT", err);
	}
	if (rc == 0) {
		all = der_open(spki, DER_SEQ);
		alg = der_open(spki, DER_SEQ);
		der_put_oid(spki, OID_EC_PUBLIC_KEY);
		buf_add(spki, curve.p, curve.n);
		der_close(spki, alg);
		der_put_bits(spki, octets.p, octets.n);
		der_close(spki, all);
	}
	buf_free(&curve);
	buf_free(&point);
	return rc;
}

int
p11_public(struct p11 *p, const struct p11_token *t, const struct p11uri *u,
    struct buf *spki, struct err *err)
{
	struct buf type = { 0 };
	CK_OBJECT_HANDLE o;
	CK_KEY_TYPE kind = 0;
	int rc, n = p11_count(p, t, u, CKO_PUBLIC_KEY, &o, err);

	if (n > 1)
		return err_set(err, ERR_INTERNAL, "token %s: more than one "
		    "such public key in it", t->label);
	if (n != 1)
		return n;
	rc = get(p, t, o, CKA_KEY_TYPE, &type, err);
	if (rc == 0 && type.n == sizeof(kind))
		memcpy(&kind, type.p, sizeof(kind));
	buf_free(&type);
	if (rc == -1)
		return -1;
	if (kind == CKK_RSA)
		return public_rsa(p, t, o, spki, err);
	if (kind == CKK_EC)
		return public_ec(p, t, o, spki, err);
	return err_set(err, ERR_INTERNAL, "token %s: key is of type 0x%lx, "
	    "not rsa or ec", t->label, kind);
}
