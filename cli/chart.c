/* Columns and bars, for cmd_report.c. */
#include "chart.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define WIDE	960
#define HIGH	160

static void attr(struct xmlw *, const char *, const char *, ...)
    __attribute__((format(printf, 3, 4)));

static void
attr(struct xmlw *w, const char *name, const char *fmt, ...)
{
	char	value[64];
	va_list	ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	xmlw_attr_str(w, name, value);
}

static void
open_svg(struct xmlw *w, const char *class, int wide, int high)
{
	xmlw_open(w, "svg");
	xmlw_attr_str(w, "class", class);
	attr(w, "viewBox", "0 0 %d %d", wide, high);
	xmlw_attr_str(w, "preserveAspectRatio", "none");
}

static void
rect(struct xmlw *w, const char *class, double x, double y, double wide,
    double high)
{
	xmlw_open(w, "rect");
	xmlw_attr_str(w, "class", class);
	attr(w, "x", "%.1f", x);
	attr(w, "y", "%.1f", y);
	attr(w, "width", "%.1f", wide);
	attr(w, "height", "%.1f", high);
	xmlw_close(w);
}

static int64_t
sum(const struct chart_column *c)
{
	int64_t	all = 0;
	size_t	k;

	for (k = 0; k < CHART_PARTS; k++)
		all += c->part[k];
	return all;
}

/* What a mouse or a screen reader finds. */
static void
put_title(struct xmlw *w, const struct chart_column *c,
    const char *const parts[CHART_PARTS])
{
	size_t	k;

	xmlw_open(w, "title");
	xmlw_text(w, slice_str(c->name));
	xmlw_text(w, slice_str(":"));
	for (k = 0; k < CHART_PARTS && parts[k] != NULL; k++) {
		xmlw_text(w, slice_str(k > 0 ? ", " : " "));
		xmlw_number(w, c->part[k]);
		xmlw_text(w, slice_str(" "));
		xmlw_text(w, slice_str(parts[k]));
	}
	xmlw_close(w);
}

/* Below the picture, since letters in it would shrink on a telephone. */
static void
put_axis(struct xmlw *w, const char *first, int64_t most, const char *last)
{
	xmlw_open_class(w, "p", "small axis");
	xmlw_leaf_str(w, "span", first);
	xmlw_open(w, "span");
	xmlw_text(w, slice_str("highest: "));
	xmlw_number(w, most);
	xmlw_close(w);
	xmlw_leaf_str(w, "span", last);
	xmlw_close(w);
}

/* The number beside it says the same. */
static void
open_bar(struct xmlw *w, int wide)
{
	open_svg(w, "bar", wide, 10);
	xmlw_attr_str(w, "aria-hidden", "true");
	rect(w, "ground", 0, 0, wide, 10);
}

void
chart_columns(struct xmlw *w, const struct chart_column *v, size_t n,
    const char *const parts[CHART_PARTS])
{
	double	step = n > 0 ? (double)WIDE / (double)n : WIDE, x, y, high;
	int64_t	most = 0;
	size_t	i, k;

	for (i = 0; i < n; i++)
		if (sum(&v[i]) > most)
			most = sum(&v[i]);
	open_svg(w, "columns", WIDE, HIGH);
	for (i = 0; i < n; i++) {
		x = step * (double)i;
		y = HIGH;
		xmlw_open(w, "g");
		put_title(w, &v[i], parts);
		rect(w, "ground", x, 0, step, HIGH);
		for (k = 0; k < CHART_PARTS && parts[k] != NULL; k++) {
			if (v[i].part[k] == 0)
				continue;
			high = HIGH * (double)v[i].part[k] / (double)most;
			if (high < 1.5)		/* what is there is seen */
				high = 1.5;
			y -= high;
			rect(w, parts[k], x + step * .1, y, step * .8, high);
		}
		xmlw_close(w);
	}
	xmlw_close(w);
	if (n > 0)
		put_axis(w, v[0].name, most, v[n - 1].name);
}

void
chart_bar(struct xmlw *w, int64_t value, int64_t most)
{
	open_bar(w, 100);
	rect(w, "value", 0, 0, most > 0 ? 100 * (double)value / (double)most :
	    0, 10);
	xmlw_close(w);
}

void
chart_span(struct xmlw *w, int64_t begin, int64_t end, int64_t first,
    int64_t last, int64_t now)
{
	double	all = last > first ? (double)(last - first) : 1;

	open_bar(w, 1000);
	rect(w, "value", 1000 * (double)(begin - first) / all, 0,
	    1000 * (double)(end - begin) / all, 10);
	rect(w, "now", 1000 * (double)(now - first) / all - 1.5, 0, 3, 10);
	xmlw_close(w);
}
