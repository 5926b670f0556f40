/*
 * Any bytes to the envelope, what it accepts to both bodies.  Seeds:
 * tests/data/soap.
 */
#include <stdlib.h>

#include "envelope.h"
#include "fault.h"
#include "getpolicies.h"
#include "ns.h"
#include "rst.h"

#define NOW	1893553445	/* when the seeds were sent */

int	 LLVMFuzzerInitialize(int *, char ***);
int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct xmlin	*xml, *xml2;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	xmlin_init();
	xml = xmlin_new();
	xml2 = xmlin_new();
	return 0;
}

/* Whatever was refused, the fault about it must be well formed. */
static void
tell(const struct envelope *e, const struct err *err)
{
	static const uint8_t	id[16];
	struct reply_head	h = { .relates_to = e->message_id };
	struct fault		f = { .err = err, .id = id, .ces = true };
	struct err		again = ERR_INIT;
	struct xmlw		w = { 0 };
	xmlDoc			*doc;

	fault_write(&w, &h, &f);
	doc = xmlin_parse(xml2, buf_slice(&w.b), &again);
	if (doc == NULL)
		abort();
	xmlw_free(&w);
}

static void
bodies(const struct envelope *e)
{
	struct getpolicies	g;
	struct rst		r;
	struct err		err = ERR_INIT;

	if (rst_parse(e->body, e->action, &r, &err) == 0)
		rst_free(&r);
	else
		tell(e, &err);
	err = (struct err)ERR_INIT;
	if (getpolicies_parse(e->body, e->action, &g, &err) == 0)
		getpolicies_free(&g);
	else
		tell(e, &err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct envelope	e = { 0 };
	struct err	err = ERR_INIT;

	if (n > 256 * 1024)
		return 0;
	if (envelope_parse(xml, slice_of(p, n), NOW, &e, &err) == 0) {
		err = (struct err)ERR_INIT;
		(void)envelope_check_to(&e, "https://pki.example/svc/CES",
		    &err);
		bodies(&e);
	} else
		tell(&e, &err);
	envelope_free(&e);
	return 0;
}
