/*
 * Policy files as text: a template's version is changed in place, so that the
 * author's comments and order stay.  The text has passed policy_parse.
 */
#ifndef PTEXT_H
#define PTEXT_H

#include "buf.h"
#include "policy.h"

/* The body of template "name" { body }; empty when there is none. */
struct slice	 ptext_template(struct slice text, const char *name);
/* The same words, whatever the blanks, comments and the version? */
bool		 ptext_same(struct slice body, struct slice other);
/* Append text with this version in that template, which must be there. */
void		 ptext_set_version(struct slice text, const char *name,
		    uint32_t major, uint32_t minor, struct buf *out);

/*
 * Append the new text with the minor version raised of every template that
 * changed although its version did not grow, and never a version below the
 * old one.  raised gets "name major.minor" a line.  Both texts parse.
 */
void		 ptext_raise(const struct policy *old,
		    const struct policy *new, struct buf *out,
		    struct buf *raised);

#endif
