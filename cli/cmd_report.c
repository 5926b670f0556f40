/*
 * report: a page for people who would rather look than read.  Whatever comes
 * from requests is hostile text.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "chart.h"
#include "file.h"
#include "out.h"
#include "x509.h"

#define DAYS_MAX	366

const struct opt opts_report[] = {
	{ "days", "N", "requests of so many days (default 30)", false },
	{ "o", "FILE", "instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

static const char style[] =
	":root{color-scheme:light dark;--paper:#f7f6f2;--card:#fff;"
	"--ink:#1d2733;--soft:#5b6776;--line:#dcdad2;--good:#0b5d56;"
	"--wait:#96650b;--bad:#b3372f}"
	"@media(prefers-color-scheme:dark){:root{--paper:#12171d;"
	"--card:#1a2129;--ink:#e4e8ec;--soft:#9aa7b4;--line:#303a45;"
	"--good:#56c2b4;--wait:#e0ac4e;--bad:#e8776f}}"
	"body{margin:0;background:var(--paper);color:var(--ink);"
	"font:16px/1.5 system-ui,sans-serif}"
	"main{max-width:64rem;margin:0 auto;padding:2rem 1.5rem}"
	"h1{font-size:1.8rem;margin:0}h2{font-size:1.2rem;margin:0 0 .6rem}"
	"section{background:var(--card);border:1px solid var(--line);"
	"border-radius:.7rem;padding:1.2rem 1.4rem;margin:1.2rem 0;"
	"overflow-x:auto}"
	"table{border-collapse:collapse;width:100%;font-size:.92rem}"
	"th{text-align:left;color:var(--soft);font-weight:500}"
	"th,td{padding:.25rem .8rem .25rem 0;vertical-align:top;"
	"max-width:24rem;overflow-wrap:break-word}"
	"tr+tr td{border-top:1px solid var(--line)}"
	".number,.time{font-variant-numeric:tabular-nums;white-space:nowrap}"
	".number{text-align:right}"
	".text{overflow-wrap:anywhere;min-width:6rem}"
	".small{color:var(--soft);font-size:.88rem;margin:.2rem 0 .6rem}"
	".overdue{color:var(--bad);font-weight:600}"
	"svg.columns{display:block;width:100%;height:10rem}"
	"svg.bar{width:9rem;height:.8rem}"
	"@media(max-width:40rem){svg.bar{width:3rem}.text{min-width:12rem}}"
	"@media print{html{font-size:11px}section,tr{break-inside:avoid}"
	"main{padding:0}section{overflow-x:visible}svg.bar{width:3rem}}"
	".axis{display:flex;justify-content:space-between}"
	".ground{fill:var(--line);fill-opacity:.25}"
	".issued,.value,.holders{fill:var(--good);color:var(--good)}"
	".waiting{fill:var(--wait);color:var(--wait)}"
	".refused{fill:var(--bad);color:var(--bad)}.now{fill:var(--ink)}";

/* One page while it is written. */
struct report {
	struct cli	*c;
	struct xmlw	 w;
	char		 days[8];
};

/* With what would turn text around, or hide it, escaped. */
static void
put_text(struct xmlw *w, const char *text)
{
	struct buf	b = { 0 };

	out_plain(&b, text);
	xmlw_text(w, buf_slice(&b));
	buf_free(&b);
}

static void
small(struct xmlw *w, const char *text)
{
	xmlw_open_class(w, "p", "small");
	xmlw_text(w, slice_str(text));
	xmlw_close(w);
}

static void
open_section(struct xmlw *w, const char *id, const char *title)
{
	xmlw_open(w, "section");
	xmlw_attr_str(w, "id", id);
	xmlw_leaf_str(w, "h2", title);
}

/* Of a table; the class says how its cells are set.  The last has no name. */
struct column {
	const char	*name, *class;
};

static void
open_cell(struct xmlw *w, const char *element, const char *class)
{
	xmlw_open(w, element);
	if (class != NULL)
		xmlw_attr_str(w, "class", class);
}

static void
cell(struct xmlw *w, const char *class, const char *text)
{
	open_cell(w, "td", class);
	put_text(w, text);
	xmlw_close(w);
}

/* Cells of the row that is open, by the columns that have a name. */
static void
put_cells(struct xmlw *w, const struct column *c, const PGresult *res, int row)
{
	int	k;

	for (k = 0; c[k].name != NULL; k++)
		cell(w, c[k].class, PQgetvalue(res, row, k));
}

/* false: there are no rows, and the page says so. */
static bool
open_table(struct xmlw *w, const struct column *c, const PGresult *res)
{
	if (PQntuples(res) == 0) {
		small(w, "Nothing.");
		return false;
	}
	xmlw_open(w, "table");
	xmlw_open(w, "tr");
	for (; c->name != NULL; c++) {
		open_cell(w, "th", c->class);
		xmlw_attr_str(w, "scope", "col");
		xmlw_text(w, slice_str(c->name));
		xmlw_close(w);
	}
	xmlw_close(w);
	return true;
}

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

/* Columns out of rows of a name and numbers, in the order of parts. */
static void
put_columns(struct xmlw *w, const PGresult *res,
    const char *const parts[CHART_PARTS])
{
	int			 n = PQntuples(res), i, k;
	struct chart_column	*v = xcalloc((size_t)n + 1, sizeof(*v));
	int64_t			 all[CHART_PARTS] = { 0 };

	for (i = 0; i < n; i++) {
		v[i].name = PQgetvalue(res, i, 0);
		for (k = 0; k < CHART_PARTS && parts[k] != NULL; k++)
			all[k] += v[i].part[k] = number(res, i, k + 1);
	}
	xmlw_open_class(w, "p", "small");
	for (k = 0; k < CHART_PARTS && parts[k] != NULL; k++) {
		xmlw_text(w, slice_str(k > 0 ? ", " : ""));
		xmlw_open_class(w, "b", parts[k]);
		xmlw_number(w, all[k]);
		xmlw_text(w, slice_str(" "));
		xmlw_text(w, slice_str(parts[k]));
		xmlw_close(w);
	}
	xmlw_close(w);
	chart_columns(w, v, (size_t)n, parts);
	free(v);
}

static void
put_days(struct xmlw *w, const PGresult *res)
{
	static const char *const parts[CHART_PARTS] = { "issued", "waiting",
	    "refused" };

	open_section(w, "days", "Requests of each day");
	put_columns(w, res, parts);
	xmlw_close(w);
}

static void
put_ends(struct xmlw *w, const PGresult *res)
{
	static const char *const parts[CHART_PARTS] = { "holders" };

	open_section(w, "ends", "When holders are without a certificate, if "
	    "nobody renews");
	small(w, "Of each account, template and name the certificate that "
	    "ends last, by the week in which it ends; a year and a week.");
	put_columns(w, res, parts);
	xmlw_close(w);
}

/* The first 20 or so, with a line below that says how many there are. */
static void
put_first(struct xmlw *w, const struct column *c, const PGresult *res,
    const char *of_all)
{
	int	i;

	if (!open_table(w, c, res))
		return;
	for (i = 0; i < PQntuples(res); i++) {
		xmlw_open(w, "tr");
		put_cells(w, c, res, i);
		xmlw_close(w);
	}
	xmlw_close(w);
	xmlw_open_class(w, "p", "small");
	xmlw_number(w, number(res, 0, PQnfields(res) - 1));
	xmlw_text(w, slice_str(of_all));
	xmlw_close(w);
}

static void
put_next(struct xmlw *w, const PGresult *res)
{
	static const struct column c[] = { { "account", "text" },
	    { "template", NULL }, { "names", "text" }, { "ends", "time" },
	    { NULL, NULL } };

	open_section(w, "next", "Who should have renewed");
	small(w, "Those whose last certificate ends within 30 days and has "
	    "less than a fifth of its life left.");
	put_first(w, c, res, " in all, in the order of their ends");
	xmlw_close(w);
}

static void
put_waits(struct xmlw *w, const PGresult *res)
{
	static const struct column c[] = { { "number", NULL },
	    { "since", "time" }, { "account", "text" }, { "template", NULL },
	    { "subject", "text" }, { "names", "text" }, { NULL, NULL } };

	open_section(w, "waits", "Waits for approval");
	put_first(w, c, res, " in all, the oldest first: countersign request "
	    "show NUMBER, request approve NUMBER");
	xmlw_close(w);
}

/* Rows that end with how many there are, the most first, and a bar of it. */
static void
put_counts(struct xmlw *w, const struct column *c, const PGresult *res)
{
	int	i, last = PQnfields(res) - 1;

	if (!open_table(w, c, res))
		return;
	for (i = 0; i < PQntuples(res); i++) {
		xmlw_open(w, "tr");
		put_cells(w, c, res, i);
		xmlw_open(w, "td");
		chart_bar(w, number(res, i, last), number(res, 0, last));
		xmlw_close(w);
		xmlw_close(w);
	}
	xmlw_close(w);
}

static void
put_denied(struct xmlw *w, const PGresult *res)
{
	static const struct column c[] = { { "error", NULL },
	    { "template", NULL }, { "last reason", "text" },
	    { "number", "number" }, { "last", "time" },
	    { "times", "number" }, { NULL, NULL } };

	open_section(w, "denied", "Why signers refused");
	small(w, "The last one of each kind; countersign request show NUMBER "
	    "has who it was. What a worker refused, as a wrong password, is in "
	    "its log alone.");
	put_counts(w, c, res);
	xmlw_close(w);
}

static void
put_templates(struct xmlw *w, const PGresult *res)
{
	static const struct column c[] = { { "template", NULL },
	    { "first one ends", "time" }, { "number", "number" },
	    { NULL, NULL } };

	open_section(w, "templates", "Valid certificates");
	put_counts(w, c, res);
	xmlw_close(w);
}

/* Begin and end of row i's certificate, in column 3. */
static int
key_times(const PGresult *res, int i, int64_t *begin, int64_t *end,
    struct err *err)
{
	struct buf	 der = { 0 };
	X509		*x = NULL;
	int		 rc;

	rc = cli_bytea(PQgetvalue(res, i, 3), &der, err);
	if (rc == 0 && ((x = x509_read(buf_slice(&der))) == NULL ||
	    x509_unix(X509_get0_notBefore(x), begin) != 0 ||
	    x509_unix(X509_get0_notAfter(x), end) != 0))
		rc = err_set(err, ERR_INTERNAL, "ca %s: its certificate in "
		    "the database is none", PQgetvalue(res, i, 0));
	X509_free(x);
	buf_free(&der);
	return rc;
}

static void
put_list(struct xmlw *w, const PGresult *res, int i)
{
	bool	overdue = *PQgetvalue(res, i, 7) == 't';

	cell(w, "number", PQgetvalue(res, i, 4));
	cell(w, overdue ? "time overdue" : "time",
	    PQgetisnull(res, i, 5) ? "none yet" : PQgetvalue(res, i, 5));
	cell(w, "number", PQgetvalue(res, i, 6));
}

struct span {
	int64_t	begin, end;
};

static void
put_key(struct xmlw *w, const PGresult *res, int i, const struct span *own,
    const struct span *all)
{
	char	ends[32];
	time_t	t = (time_t)own->end;
	struct tm tm;

	(void)strftime(ends, sizeof(ends), "%Y-%m-%d", gmtime_r(&t, &tm));
	xmlw_open(w, "tr");
	cell(w, NULL, PQgetvalue(res, i, 0));
	cell(w, NULL, PQgetvalue(res, i, 1));
	cell(w, NULL, *PQgetvalue(res, i, 2) == 't' ? "issues" : "lists only");
	cell(w, "time", ends);
	xmlw_open(w, "td");
	chart_span(w, own->begin, own->end, all->begin, all->end, time(NULL));
	xmlw_close(w);
	put_list(w, res, i);
	xmlw_close(w);
}

/* Their lives side by side, and the age of their lists. */
static int
put_keys(struct xmlw *w, const PGresult *res, struct err *err)
{
	static const struct column c[] = { { "key", NULL }, { "CA", NULL },
	    { "use", NULL }, { "ends", "time" }, { "lifetime", NULL },
	    { "CRL number", "number" }, { "next update", "time" },
	    { "entries", "number" }, { NULL, NULL } };
	int		 i, n = PQntuples(res), rc = 0;
	struct span	*v = xcalloc((size_t)n + 1, sizeof(*v));
	struct span	 all = { INT64_MAX, INT64_MIN };

	for (i = 0; rc == 0 && i < n; i++) {
		rc = key_times(res, i, &v[i].begin, &v[i].end, err);
		all.begin = v[i].begin < all.begin ? v[i].begin : all.begin;
		all.end = v[i].end > all.end ? v[i].end : all.end;
	}
	open_section(w, "keys", "Keys of CAs, and their lists");
	if (rc == 0 && open_table(w, c, res)) {
		for (i = 0; i < n; i++)
			put_key(w, res, i, &v[i], &all);
		xmlw_close(w);
	}
	xmlw_close(w);
	free(v);
	return rc;
}

/* A section out of a statement's rows. */
static int
section(struct report *r, const char *stmt, int n,
    void (*put)(struct xmlw *, const PGresult *), struct err *err)
{
	const char	*days = r->days;
	PGresult	*res = cli_query(r->c, stmt, &days, n, err);

	if (res == NULL)
		return -1;
	put(&r->w, res);
	PQclear(res);
	return 0;
}

static int
keys_section(struct report *r, struct err *err)
{
	PGresult	*res = cli_query(r->c, "report_keys", NULL, 0, err);
	int		 rc = res == NULL ? -1 : put_keys(&r->w, res, err);

	PQclear(res);
	return rc;
}

static void
open_page(struct xmlw *w)
{
	char		 now[32];
	time_t		 t = time(NULL);
	struct tm	 tm;

	(void)strftime(now, sizeof(now), "%Y-%m-%d %H:%M UTC",
	    gmtime_r(&t, &tm));
	buf_puts(&w->b, "<!DOCTYPE html>\n");
	xmlw_open(w, "html");
	xmlw_attr_str(w, "lang", "en");
	xmlw_open(w, "head");
	xmlw_open(w, "meta");
	xmlw_attr_str(w, "charset", "utf-8");
	xmlw_close(w);
	xmlw_open(w, "meta");
	xmlw_attr_str(w, "name", "viewport");
	xmlw_attr_str(w, "content", "width=device-width");
	xmlw_close(w);
	xmlw_leaf_str(w, "title", "Countersign: report");
	xmlw_leaf_str(w, "style", style);
	xmlw_close(w);
	xmlw_open(w, "body");
	xmlw_open(w, "main");
	xmlw_leaf_str(w, "h1", "Countersign");
	small(w, now);
}

static int
write_page(struct report *r, struct err *err)
{
	open_page(&r->w);
	if (section(r, "report_waits", 0, put_waits, err) != 0 ||
	    section(r, "report_days", 1, put_days, err) != 0 ||
	    section(r, "report_denied", 1, put_denied, err) != 0 ||
	    section(r, "report_ends", 0, put_ends, err) != 0 ||
	    section(r, "report_next", 0, put_next, err) != 0 ||
	    section(r, "report_templates", 0, put_templates, err) != 0 ||
	    keys_section(r, err) != 0)
		return -1;
	while (r->w.depth > 0)
		xmlw_close(&r->w);
	buf_addc(&r->w.b, '\n');
	return 0;
}

int
cmd_report(struct cli *c, const struct args *a, struct err *err)
{
	struct report	r = { .c = c };
	int64_t		days = 30;
	int		rc;

	if (args_num(a, "days", 1, DAYS_MAX, &days, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	snprintf(r.days, sizeof(r.days), "%" PRId64, days);
	rc = write_page(&r, err);
	if (rc == 0)
		rc = file_put(args_get(a, "o"), 0600, buf_slice(&r.w.b), err);
	xmlw_free(&r.w);
	return rc != 0 ? -1 : cli_written(c, args_get(a, "o"), err);
}
