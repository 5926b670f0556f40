/*
 * Who am I: the answer for people and scripts that set up a client.  Goes the
 * way of a request to CEP, without SOAP.
 */
#include <string.h>

#include "decide.h"
#include "whoami.h"

/* [RFC8259] 7 */
static void
put_string(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(b, '\\');
		if ((unsigned char)*s < 0x20)
			buf_printf(b, "\\u%04x", (unsigned char)*s);
		else
			buf_addc(b, (uint8_t)*s);
	}
	buf_addc(b, '"');
}

static void
put_member(struct buf *b, const char *name, const char *value)
{
	put_string(b, name);
	buf_addc(b, ':');
	put_string(b, value);
}

static void
json_template(const struct whoami *w, const struct template *t, struct buf *b)
{
	const struct account	*a = w->account;
	struct err		 why = ERR_INIT;
	bool			 enroll = decide_offer(w->policy, t, a,
				    w->now, &why) == 0;

	buf_addc(b, '{');
	put_member(b, "name", t->cn);
	buf_printf(b, ",\"enroll\":%s,\"autoenroll\":%s",
	    enroll ? "true" : "false",
	    enroll && decide_autoenroll(t, a) ? "true" : "false");
	if (!enroll) {
		buf_addc(b, ',');
		put_member(b, "why", why.text);
	}
	buf_addc(b, '}');
}

static void
json_certificate(const struct certauth *c, struct buf *b)
{
	buf_puts(b, ",\"certificate\":{");
	put_member(b, "ca", c->issuer);
	if (c->template[0] != '\0') {
		buf_addc(b, ',');
		put_member(b, "template", c->template);
	}
	buf_addc(b, '}');
}

static void
write_json(const struct whoami *w, struct buf *b)
{
	const struct account	*a = w->account;
	size_t			 i;

	buf_addc(b, '{');
	put_member(b, "account", a->name);
	buf_addc(b, ',');
	put_member(b, "name", a->cn);
	buf_printf(b, ",\"machine\":%s,", a->machine ? "true" : "false");
	put_member(b, "method", auth_method_name(w->method));
	if (w->cert != NULL)
		json_certificate(w->cert, b);
	if (w->principal != NULL) {
		buf_addc(b, ',');
		put_member(b, "principal", w->principal);
	}
	buf_puts(b, ",\"groups\":[");
	for (i = 0; i < a->groups.n; i++) {
		if (i != 0)
			buf_addc(b, ',');
		put_string(b, a->groups.v[i]);
	}
	buf_puts(b, "],\"templates\":[");
	for (i = 0; i < w->policy->ntemplates; i++) {
		if (i != 0)
			buf_addc(b, ',');
		json_template(w, &w->policy->templates[i], b);
	}
	buf_puts(b, "]}\n");
}

static void
text_template(const struct whoami *w, const struct template *t, struct buf *b)
{
	const struct account	*a = w->account;
	struct err		 why = ERR_INIT;

	if (decide_offer(w->policy, t, a, w->now, &why) == -1)
		buf_printf(b, "refused    %s\n", why.text);
	else
		buf_printf(b, "template   %s%s\n", t->cn,
		    decide_autoenroll(t, a) ? " (autoenroll)" : "");
}

static void
write_text(const struct whoami *w, struct buf *b)
{
	const struct account	*a = w->account;
	size_t			 i;

	buf_printf(b, "account    %s (%s)\n", a->name,
	    a->machine ? "machine" : "user");
	buf_printf(b, "name       %s\n", a->cn);
	buf_printf(b, "proven by  %s", auth_method_name(w->method));
	if (w->cert != NULL)
		buf_printf(b, " of ca %s", w->cert->issuer);
	if (w->cert != NULL && w->cert->template[0] != '\0')
		buf_printf(b, ", template %s", w->cert->template);
	if (w->principal != NULL)
		buf_printf(b, " as %s", w->principal);
	buf_puts(b, "\ngroups    ");
	for (i = 0; i < a->groups.n; i++)
		buf_printf(b, " %s", a->groups.v[i]);
	buf_addc(b, '\n');
	for (i = 0; i < w->policy->ntemplates; i++)
		text_template(w, &w->policy->templates[i], b);
}

void
whoami_write(const struct whoami *w, struct buf *b)
{
	if (w->json)
		write_json(w, b);
	else
		write_text(w, b);
}

void
whoami_refuse(bool json, const char *text, const uint8_t id[16],
    struct buf *b)
{
	char	hex[33];

	hex_encode(id, 16, hex);
	if (!json) {
		buf_printf(b, "%s (request %s)\n", text, hex);
		return;
	}
	buf_addc(b, '{');
	put_member(b, "error", text);
	buf_addc(b, ',');
	put_member(b, "request", hex);
	buf_puts(b, "}\n");
}
