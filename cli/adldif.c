/*
 * LDIF as ldifde writes it to the templates of adtemplate.h: the other form
 * "policy import" reads.
 */
#include <string.h>
#include <strings.h>

#include "adtemplate.h"
#include "ldif.h"

/*
 * A record is read into a template at once and thrown away when its object
 * class was another.
 */
static void
end_record(struct adtemplates *all, bool open, bool wanted)
{
	struct adtemplates	last;

	if (!open || wanted)
		return;
	last.v = xmemdup(&all->v[all->n - 1], sizeof(*all->v));
	last.n = 1;
	all->n--;
	adtemplates_free(&last);
}

static bool
is_template_class(const struct ldif *l)
{
	return strcasecmp(l->name, "objectClass") == 0 &&
	    l->value.n == strlen("pKICertificateTemplate") &&
	    strncasecmp((const char *)l->value.p, "pKICertificateTemplate",
	    l->value.n) == 0;
}

int
adtemplates_ldif(struct slice text, struct adtemplates *all, struct err *err)
{
	struct ldif		 l = { .text = text };
	struct adtemplate	*t = NULL;
	struct err		 why = ERR_INIT;
	bool			 wanted = false;
	int			 rc;

	while ((rc = ldif_next(&l, err)) == 0 && l.kind != LDIF_END) {
		if (l.kind == LDIF_DN) {
			end_record(all, t != NULL, wanted);
			wanted = false;
			t = adtemplates_add(all, &why);
		} else {
			wanted = wanted || is_template_class(&l);
			rc = adtemplate_set(t, l.name, l.value, &why);
		}
		if (t == NULL || rc != 0) {
			rc = ldif_fault(&l, &why, err);
			break;
		}
	}
	end_record(all, t != NULL, wanted);
	ldif_free(&l);
	return rc;
}
