/* GetPolicies to struct getpolicies: the message of CEP, for cep.c. */
#include <stdlib.h>

#include "envelope.h"
#include "getpolicies.h"
#include "ns.h"
#include "xmlchar.h"

#define OID_TEXT_MAX	256

/* Children with these names into found; others are the schema's ##any. */
static int
pick(const xmlNode *parent, const char *const *names, size_t n,
    const xmlNode **found, struct err *err)
{
	const xmlNode	*c;
	size_t		 i;

	if (xml_elements_only(parent, (const char *)parent->name, err) == -1)
		return -1;
	for (c = xml_first(parent); c != NULL; c = xml_next(c))
		for (i = 0; i < n; i++)
			if (xml_is(c, NS_XCEP, names[i]) &&
			    xml_once(&found[i], c, names[i], err) == -1)
				return -1;
	return 0;
}

/* Here the schema has no ##any. */
static int
no_others(const xmlNode *parent, const xmlNode *const found[2],
    struct err *err)
{
	const xmlNode	*c;

	for (c = xml_first(parent); c != NULL; c = xml_next(c))
		if (c != found[0] && c != found[1])
			return err_bad(err, 0, "GetPolicies: unknown element "
			    "%.64s", (const char *)c->name);
	return 0;
}

/*
 * Absent, nil, year 1 without a zone and plain nonsense (there is some in the
 * specification's own example) all mean: long ago.
 */
static int
read_client(const xmlNode *node, struct getpolicies *g, struct err *err)
{
	static const char *const names[] = { "lastUpdate",
	    "preferredLanguage" };
	const xmlNode	*found[2] = { NULL };
	struct slice	 s;
	bool		 given;

	if (xml_given(node, "client", &given, err) == -1)
		return -1;
	if (!given || xml_first(node) == NULL)
		return err_bad(err, 0, "GetPolicies: empty client");
	if (pick(node, names, 2, found, err) == -1 ||
	    xml_given(found[0], names[0], &given, err) == -1)
		return -1;
	if (!given)
		return 0;
	if (xml_token(found[0], 64, "lastUpdate", &s, err) == -1)
		return -1;
	if (xml_datetime(s, &g->last_update) == -1)
		g->last_update = INT64_MIN;
	return 0;
}

static int
read_version(const xmlNode *node, const char *what, int32_t *out,
    struct err *err)
{
	struct slice	s;
	bool		given;

	if (xml_given(node, what, &given, err) == -1)
		return -1;
	if (!given)
		return 0;
	if (xml_token(node, 64, what, &s, err) == -1)
		return -1;
	if (xml_int(s, out) == -1)
		return err_bad(err, 0, "%s: not a number", what);
	return 0;
}

static bool
has_oid(const struct getpolicies *g, struct slice oid)
{
	size_t	i;

	for (i = 0; i < g->noids; i++)
		if (slice_eq(g->oids[i], oid))
			return true;
	return false;
}

/* [MS-XCEP] 3.1.4.1.3.14: one or more, each once. */
static int
read_oids(const xmlNode *node, struct getpolicies *g, struct err *err)
{
	const xmlNode	*c;
	struct slice	 s;
	bool		 given;

	if (xml_given(node, "policyOIDs", &given, err) == -1)
		return -1;
	if (!given)
		return 0;
	if (xml_elements_only(node, "policyOIDs", err) == -1)
		return -1;
	g->by_oid = true;
	g->oids = xcalloc(GETPOLICIES_OIDS, sizeof(*g->oids));
	for (c = xml_first(node); c != NULL; c = xml_next(c)) {
		if (!xml_is(c, NS_XCEP, "oid"))
			return err_bad(err, 0, "policyOIDs: not an oid");
		if (g->noids == GETPOLICIES_OIDS)
			return err_set(err, ERR_TOO_BIG,
			    "policyOIDs: more than %d", GETPOLICIES_OIDS);
		if (xml_token(c, OID_TEXT_MAX, "oid", &s, err) == -1)
			return -1;
		if (has_oid(g, s))
			return err_bad(err, 0, "policyOIDs: an oid stands "
			    "twice");
		g->oids[g->noids++] = s;
	}
	if (g->noids == 0)
		return err_bad(err, 0, "policyOIDs: empty");
	return 0;
}

/* [MS-XCEP] 3.1.4.1.3.22 */
static int
read_filter(const xmlNode *node, struct getpolicies *g, struct err *err)
{
	static const char *const names[] = { "policyOIDs", "clientVersion",
	    "serverVersion" };
	const xmlNode	*found[3] = { NULL };
	bool		 given;

	if (xml_given(node, "requestFilter", &given, err) == -1)
		return -1;
	if (!given)
		return 0;
	if (pick(node, names, 3, found, err) == -1 ||
	    read_oids(found[0], g, err) == -1 ||
	    read_version(found[1], names[1], &g->client_version, err) == -1 ||
	    read_version(found[2], names[2], &g->server_version, err) == -1)
		return -1;
	return 0;
}

int
getpolicies_parse(const xmlNode *body, struct slice action,
    struct getpolicies *out, struct err *err)
{
	static const char *const names[] = { "client", "requestFilter" };
	const xmlNode		*found[2] = { NULL };
	struct getpolicies	 g = { .last_update = INT64_MIN };

	if (!slice_is(action, ACTION_GETPOLICIES))
		return envelope_other_action(action, "CEP", err);
	if (body == NULL || !xml_is(body, NS_XCEP, "GetPolicies"))
		return envelope_other_body(body, NS_XCEP, "GetPolicies", err);
	if (pick(body, names, 2, found, err) == -1 ||
	    no_others(body, found, err) == -1)
		return -1;
	if (found[0] == NULL)
		return err_bad(err, 0, "GetPolicies: no client");
	if (read_client(found[0], &g, err) == -1 ||
	    read_filter(found[1], &g, err) == -1) {
		getpolicies_free(&g);
		return -1;
	}
	*out = g;
	return 0;
}

void
getpolicies_free(struct getpolicies *g)
{
	free(g->oids);
	*g = (struct getpolicies){ 0 };
}
