/*
 * ceremony check, run, verify: the words; the work is cerfile.c, cerrun.c and
 * transcript.c.
 */
#include "commands.h"

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

/* What "run" would show and do, for whoever reviews the file. */
int
cmd_ceremony_check(struct cli *c, const struct args *a, struct err *err)
{
	struct ceremony *cer = ceremony_read(a->pos[0], err);
	struct buf text = { 0 };
	size_t i;

	(void)c;
	if (cer == NULL)
		return -1;
	buf_printf(&text, "%s\n\nSHA-256:\n", cer->title);
	words_put_hex(slice_of(cer->sha256, 32), &text);
	words_put(slice_of(cer->sha256, 32), &text);
	buf_addc(&text, '\n');
	for (i = 0; i < cer->nsteps; i++) {
		buf_printf(&text, "%zu. %s %s: ", i + 1,
		    step_word(&cer->step[i]), cer->step[i].name);
		step_text(&cer->step[i], &text);
		buf_addc(&text, '\n');
	}
	fputs(buf_str(&text), stdout);
	buf_free(&text);
	ceremony_free(cer);
	return 0;
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
