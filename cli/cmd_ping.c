/* ping: is a signer there? */
#include "commands.h"

#include "ask.h"
#include "log.h"
#include "pong.h"

static const struct out_col cols[] = {
	{ "signer", OUT_TEXT }, { "endpoint", OUT_TEXT }, { "up", OUT_BOOL },
	{ "microseconds", OUT_NUMBER }, { "text", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

static void
ping_one(struct cli *c, const struct cconf_signer *s, struct out *o)
{
	struct ask ask = { .call = CALL_PING, .method = AUTH_OPERATOR };
	struct err why = ERR_INIT;
	struct answer answer;
	struct pong p;
	struct buf reply = { 0 };
	int64_t start = log_usec();
	bool up;

	up = ask_signer(c, s, &ask, &reply, &answer, &why) == 0 &&
	    pong_of(&answer, &p, &why) == 0;
	if (!up)
		c->code = EXIT_UNAVAILABLE;
	out_add(o, s->name);
	out_add(o, s->at.uri);
	out_bool(o, up);
	if (up)
		out_num(o, log_usec() - start);
	else
		out_add(o, NULL);
	out_add(o, up ? NULL : why.text);
	buf_free(&reply);
}

int
cmd_ping(struct cli *c, const struct args *a, struct err *err)
{
	struct out *o;
	size_t i;

	(void)a;
	if (cli_conf(c, err) != 0)
		return -1;
	if (c->conf->nsigners == 0)
		return err_set(err, ERR_DENIED, "%.100s: no signer",
		    c->conf->path);
	o = out_new(cols, OUT_TABLE);
	for (i = 0; i < c->conf->nsigners; i++)
		ping_one(c, &c->conf->signers[i], o);
	return cli_print(c, o, err);
}
