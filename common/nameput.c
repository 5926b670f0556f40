/*
 * Names as they are issued, for tbs.c and camake.c: what cannot be encoded is
 * refused.
 */
#include <arpa/inet.h>

#include <string.h>

#include "der.h"
#include "hresult.h"
#include "name.h"
#include "nametype.h"
#include "oid.h"

static int
check_encodable(const struct name_type *t, const char *value, struct err *err)
{
	struct slice	s = slice_str(value);

	if (s.n == 0 || !name_is_clean(s))
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "%s: empty or with broken characters", t->name);
	if (name_length(value) > t->max)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "%s: longer than %zu characters", t->name, t->max);
	if ((t->tag == DER_PRINTABLE && (!name_is_printable(s) ||
	    strpbrk(value, "*&") != NULL)) ||
	    (t->tag == DER_IA5 && !name_is_ia5(s)) ||
	    (strcmp(t->name, "C") == 0 && s.n != 2))
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "%s: characters its type does not have", t->name);
	return 0;
}

static int
put_rdn(const struct rdn *r, struct buf *out, struct err *err)
{
	const struct name_type	*t;
	size_t			 set, seq;

	t = name_type_by_name(r->type, strlen(r->type));
	if (t == NULL)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "name attribute %s is not issued", r->type);
	if (check_encodable(t, r->value, err) == -1)
		return -1;
	set = der_open(out, DER_SET);
	seq = der_open(out, DER_SEQ);
	der_put_oid(out, t->oid);
	der_put_str(out, t->tag, r->value);
	der_close(out, seq);
	der_close(out, set);
	return 0;
}

int
names_put_dn(const struct names *n, struct buf *out, struct err *err)
{
	struct buf	name = { 0 };
	size_t		i, mark;
	int		rc = 0;

	mark = der_open(&name, DER_SEQ);
	for (i = 0; i < n->nrdn && rc == 0; i++)
		rc = put_rdn(&n->rdn[i], &name, err);
	der_close(&name, mark);
	if (rc == 0)
		buf_add(out, name.p, name.n);
	buf_free(&name);
	return rc;
}

static int
put_ia5(int number, const char *text, struct buf *out, struct err *err)
{
	struct slice	s = slice_str(text);

	if (s.n == 0 || !name_is_ia5(s))
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "alternative name is not plain ascii");
	der_put_slice(out, DER_CTX(number), s);
	return 0;
}

static int
put_ip(const char *text, struct buf *out, struct err *err)
{
	uint8_t	addr[16];

	if (inet_pton(AF_INET, text, addr) == 1)
		der_put(out, DER_CTX(7), addr, 4);
	else if (inet_pton(AF_INET6, text, addr) == 1)
		der_put(out, DER_CTX(7), addr, 16);
	else
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "alternative name is no ip address");
	return 0;
}

static void
put_other(struct slice oid, int tag, struct slice value, struct buf *out)
{
	size_t	other, explicit;

	other = der_open(out, DER_CTXC(0));
	der_put_oid(out, oid);
	explicit = der_open(out, DER_CTXC(0));
	der_put_slice(out, tag, value);
	der_close(out, explicit);
	der_close(out, other);
}

static int
put_upn(const char *text, struct buf *out, struct err *err)
{
	struct slice	s = slice_str(text);

	if (s.n == 0 || !name_is_clean(s))
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "upn: empty or with broken characters");
	put_other(OID_UPN, DER_UTF8, s, out);
	return 0;
}

static int
put_guid(const char *text, struct buf *out, struct err *err)
{
	uint8_t	guid[16];

	if (hex_decode(text, guid, sizeof(guid)) == -1)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "guid is not 32 hex digits");
	put_other(OID_GUID_NAME, DER_OCTETS, slice_of(guid, sizeof(guid)), out);
	return 0;
}

/* The kinds kept as hex are never issued, whoever asks. */
static int
put_san(const struct san *san, struct buf *out, struct err *err)
{
	switch (san->kind) {
	case SAN_DNS:
		return put_ia5(2, san->text, out, err);
	case SAN_EMAIL:
		return put_ia5(1, san->text, out, err);
	case SAN_URI:
		return put_ia5(6, san->text, out, err);
	case SAN_IP:
		return put_ip(san->text, out, err);
	case SAN_UPN:
		return put_upn(san->text, out, err);
	case SAN_GUID:
		return put_guid(san->text, out, err);
	case SAN_DIRNAME:
	case SAN_RID:
	case SAN_OTHER:
		break;
	}
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
	    "alternative name of a kind that is never issued");
}

int
names_put_san(const struct names *n, struct buf *out, struct err *err)
{
	struct buf	names = { 0 };
	size_t		i, mark;
	int		rc = 0;

	mark = der_open(&names, DER_SEQ);
	for (i = 0; i < n->nsan && rc == 0; i++)
		rc = put_san(&n->san[i], &names, err);
	der_close(&names, mark);
	if (rc == 0)
		buf_add(out, names.p, names.n);
	buf_free(&names);
	return rc;
}
