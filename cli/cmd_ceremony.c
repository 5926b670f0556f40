/*
 * ceremony check, run, verify: the words; the work is cerfile.c, cerrun.c and
 * transcript.c.
 */
#include "commands.h"

#include <string.h>

#include "ceremony.h"
#include "transcript.h"
#include "words.h"

int
cmd_ceremony_run(struct cli *c, const struct args *a, struct err *err)
{
	struct ceremony *cer = ceremony_read(a->pos[0], err);
	int rc;

	if (cer == NULL)
		return -1;
	/* A value that a command takes for a slip of the hand is none here. */
	if ((rc = ceremony_run(c, cer, err)) != 0)
		c->code = EXIT_REFUSED;
	ceremony_free(cer);
	return rc;
}

/* The requests that are here; who reviews elsewhere has none. */
static int
check_requests(const struct ceremony *cer, struct buf *text, struct err *err)
{
	const struct step *s;
	struct err why;
	size_t i;

	for (i = 0; i < cer->nsteps; i++) {
		s = &cer->step[i];
		memset(&why, 0, sizeof why);
		if (step_get(s, "request") == NULL ||
		    step_request(s, &why) == 0)
			continue;
		if (why.kind != ERR_NONE)
			return err_set(err, why.kind, "%.80s:%u: issuing "
			    "%.64s: %s", cer->path, s->line, s->name,
			    why.text);
		buf_printf(text, "\nnot looked at, for it is not here: %s\n",
		    step_get(s, "request"));
	}
	return 0;
}

static void
put_steps(const struct ceremony *cer, struct buf *out)
{
	size_t i;

	buf_printf(out, "%s\n\nSHA-256:\n", cer->title);
	words_put_hex(slice_of(cer->sha256, 32), out);
	words_put(slice_of(cer->sha256, 32), out);
	buf_addc(out, '\n');
	for (i = 0; i < cer->nsteps; i++) {
		buf_printf(out, "%zu. %s %s: ", i + 1,
		    step_word(&cer->step[i]), cer->step[i].name);
		step_text(&cer->step[i], out);
		buf_addc(out, '\n');
	}
}

/* What "run" would show and do, for whoever reviews the file. */
int
cmd_ceremony_check(struct cli *c, const struct args *a, struct err *err)
{
	struct ceremony *cer = ceremony_read(a->pos[0], err);
	struct buf text = { 0 };
	int rc;

	(void)c;
	if (cer == NULL)
		return -1;
	put_steps(cer, &text);
	if ((rc = check_requests(cer, &text, err)) == 0)
		fputs(buf_str(&text), stdout);
	buf_free(&text);
	ceremony_free(cer);
	return rc;
}

int
cmd_ceremony_verify(struct cli *c, const struct args *a, struct err *err)
{
	struct out *o = out_new(transcript_cols, OUT_TABLE);
	size_t bad = 0;

	if (transcript_verify(a->pos[0], o, &bad, err) != 0) {
		out_free(o);
		return -1;
	}
	if (bad > 0)
		c->code = EXIT_DAMAGED;
	return cli_print(c, o, err);
}
