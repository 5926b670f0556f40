/* The ledger: what is written, what is read, and every damage. */
#include <sys/resource.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "ledger_fixture.h"
#include "log.h"

static void
slurp(const char *path, struct buf *b)
{
	FILE	*fp = fopen(path, "r");
	char	 chunk[4096];
	size_t	 n;

	assert_non_null(fp);
	buf_reset(b);
	while ((n = fread(chunk, 1, sizeof(chunk), fp)) > 0)
		buf_add(b, chunk, n);
	fclose(fp);
}

static void
spit(const char *path, struct slice s)
{
	FILE	*fp = fopen(path, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(s.p, 1, s.n, fp), s.n);
	fclose(fp);
}

static int
count_entries(void *arg, const struct ledger_entry *e, struct err *err)
{
	int	*n = arg;

	(void)err;
	(*n)++;
	assert_int_equal(e->seq, *n);
	assert_string_equal(e->type, "intent");
	return 0;
}

static int
walk(const struct place *p, struct err *err)
{
	int	n = 0;

	return ledger_walk(p->dir, count_entries, &n, err) == -1 ? -1 : n;
}

/* The time of an entry where the clock was found right by what it shows now,
 * less so many seconds. */
static int64_t
dated(struct ledger *l, int64_t step)
{
	ledger_clock(l, (int64_t)time(NULL) - step - log_usec() / 1000000);
	add_some(l, 1);
	return ledger_last_time(l) - (int64_t)time(NULL);
}

static void
a_step_dates_no_entry(void **state)
{
	const int64_t	 years = 10 * INT64_C(31557600);
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);

	/* Ten years ahead; within seconds it says itself; five minutes back. */
	assert_in_range(dated(l, years) + years, 0, 2);
	assert_in_range(dated(l, -4) + 2, 0, 3);
	assert_in_range(dated(l, -300) - 300 + 2, 0, 3);
	ledger_close(l);
}

static void
goes_on_after_reopening(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l;
	struct stat	 st;
	int64_t		 before = time(NULL);

	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 0);
	assert_int_equal(ledger_last_time(l), 0);
	add_some(l, 3);
	ledger_close(l);
	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 3);
	/* time(2) may be a tick behind the clock that dates entries. */
	assert_in_range(ledger_last_time(l), before, time(NULL) + 1);
	add_some(l, 2);
	assert_int_equal(ledger_seq(l), 5);
	assert_int_equal(walk(p, &err), 5);
	ledger_close(l);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
nothing_is_written_before_sync(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l = must_open(p->dir);

	ledger_add(l, "intent", slice_of(NULL, 0));
	assert_int_equal(walk(p, &err), 0);
	assert_int_equal(ledger_sync(l, &err), 0);
	assert_int_equal(walk(p, &err), 1);
	ledger_close(l);
}

static void
only_one_signer(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l = must_open(p->dir);

	assert_null(ledger_open(p->dir, &err));
	assert_non_null(strstr(err.text, "in use by another signer"));
	ledger_close(l);
	ledger_close(must_open(p->dir));
}

static void
open_file_to_others_is_refused(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;

	ledger_close(must_open(p->dir));
	assert_int_equal(chmod(p->file, 0640), 0);
	assert_null(ledger_open(p->dir, &err));
	assert_non_null(strstr(err.text, "mode 0600"));
}

static void
torn_tail_is_cut_off(void **state)
{
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);
	struct buf	 whole = { 0 }, now = { 0 };
	const uint8_t	*nl;
	size_t		 two, cut;

	add_some(l, 3);
	ledger_close(l);
	slurp(p->file, &whole);
	nl = memchr(whole.p, '\n', whole.n);
	nl = memchr(nl + 1, '\n', whole.n - (size_t)(nl + 1 - whole.p));
	two = (size_t)(nl + 1 - whole.p);
	/* Each length of the third line, also the one without newline only. */
	for (cut = two; cut < whole.n; cut += 13) {
		struct err	err = ERR_INIT;

		spit(p->file, slice_of(whole.p, cut));
		assert_int_equal(walk(p, &err), 2);
		l = must_open(p->dir);
		assert_int_equal(ledger_seq(l), 2);
		add_some(l, 1);
		ledger_close(l);
		assert_int_equal(walk(p, &err), 3);
	}
	spit(p->file, slice_of(whole.p, whole.n - 1));
	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 2);
	ledger_close(l);
	slurp(p->file, &now);
	assert_true(slice_eq(buf_slice(&now), slice_of(whole.p, two)));
	buf_free(&whole);
	buf_free(&now);
}

static void
assert_damaged(const struct place *p, struct slice s)
{
	struct err	err = ERR_INIT, e2 = ERR_INIT;

	spit(p->file, s);
	assert_null(ledger_open(p->dir, &err));
	assert_int_equal(walk(p, &e2), -1);
	assert_non_null(strstr(err.text, "ledger: line "));
	assert_string_equal(err.text, e2.text);
}

static void
any_altered_byte_is_found(void **state)
{
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);
	struct buf	 b = { 0 };
	size_t		 i;

	add_some(l, 3);
	ledger_close(l);
	slurp(p->file, &b);
	for (i = 0; i + 1 < b.n; i++) {
		b.p[i] ^= 1;
		assert_damaged(p, buf_slice(&b));
		b.p[i] ^= 1;
	}
	buf_free(&b);
}

/* Lines of the file in this order, given as "135" and so on. */
static void
rearrange(struct slice whole, const char *order, struct buf *out)
{
	const uint8_t	*line[10], *q = whole.p;
	size_t		 n = 1;

	for (line[0] = q; n < 10 && q < whole.p + whole.n; n++) {
		q = memchr(q, '\n', (size_t)(whole.p + whole.n - q));
		line[n] = ++q;
	}
	buf_reset(out);
	for (; *order != '\0'; order++)
		buf_add(out, line[*order - '1'],
		    (size_t)(line[*order - '0'] - line[*order - '1']));
}

static void
removed_or_reordered_lines_are_found(void **state)
{
	static const char *const	orders[] = {
		"2345", "1345", "1245", "1235", "21345", "13245", "12354",
		"11", "112345", "12343", "54321", "123455", "1234512345",
	};
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);
	struct buf	 b = { 0 }, out = { 0 };
	size_t		 i;

	add_some(l, 5);
	ledger_close(l);
	slurp(p->file, &b);
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		rearrange(buf_slice(&b), orders[i], &out);
		assert_damaged(p, buf_slice(&out));
	}
	buf_free(&b);
	buf_free(&out);
}

static void
rubbish_lines_are_found(void **state)
{
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);
	struct buf	 b = { 0 };
	size_t		 n;

	add_some(l, 1);
	ledger_close(l);
	slurp(p->file, &b);
	n = b.n;
	buf_puts(&b, "\n");
	assert_damaged(p, buf_slice(&b));
	b.n = n;
	buf_puts(&b, "{}\n");
	assert_damaged(p, buf_slice(&b));
	b.n = n;
	memset(buf_extend(&b, 512), 0, 512);
	buf_puts(&b, "\n");
	assert_damaged(p, buf_slice(&b));
	b.n = n;
	memset(buf_extend(&b, 1024 * 1024), 'x', 1024 * 1024);
	assert_damaged(p, buf_slice(&b));
	buf_free(&b);
}

static void
failed_sync_poisons(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT;
	struct ledger	*l = must_open(p->dir);
	struct rlimit	 old, tiny;
	struct stat	 st;

	add_some(l, 2);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tiny = old;
	tiny.rlim_cur = (rlim_t)st.st_size + 100;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	ledger_add(l, "intent", slice_of(NULL, 0));
	assert_int_equal(ledger_sync(l, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	/* There is room again, and still nothing goes on. */
	assert_int_equal(ledger_sync(l, &e2), -1);
	assert_string_equal(e2.text, "ledger: an earlier write failed");
	ledger_close(l);
	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 2);
	ledger_close(l);
	assert_int_equal(walk(p, &e3), 2);
}

static void
oversized_entry_poisons(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l = must_open(p->dir);
	struct buf	 big = { 0 }, b = { 0 };

	memset(buf_extend(&big, 1024 * 1024), 'x', 1024 * 1024);
	ledger_field(&b, "v", buf_slice(&big));
	ledger_add(l, "intent", buf_slice(&b));
	assert_int_equal(ledger_sync(l, &err), -1);
	ledger_close(l);
	buf_free(&big);
	buf_free(&b);
}

/* Long lines cross the reader's window. */
static void
long_lines_are_read(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l = must_open(p->dir);
	struct buf	 big = { 0 }, b = { 0 };
	int		 i;

	memset(buf_extend(&big, 700 * 1024), 'x', 700 * 1024);
	ledger_field(&b, "v", buf_slice(&big));
	for (i = 0; i < 4; i++)
		ledger_add(l, "intent", buf_slice(&b));
	assert_int_equal(ledger_sync(l, &err), 0);
	ledger_close(l);
	assert_int_equal(walk(p, &err), 4);
	buf_free(&big);
	buf_free(&b);
}

static int
check_fields(void *arg, const struct ledger_entry *e, struct err *err)
{
	struct buf	b = { 0 };
	struct err	why = ERR_INIT;
	uint8_t		id[3] = { 1, 1, 1 };
	int64_t		n = 7;

	(void)arg;
	(void)err;
	assert_int_equal(ledger_get_num(e, "number", &n), 0);
	assert_int_equal(n, -42);
	assert_int_equal(ledger_get_num(e, "empty", &n), -1);
	assert_int_equal(ledger_get_num(e, "odd", &n), -1);
	assert_int_equal(n, -42);
	assert_int_equal(ledger_get_hex(e, "id", id, 3, &why), -1);
	assert_string_equal(why.text, "ledger: entry 1: bad id");
	assert_int_equal(ledger_get_hex(e, "id", id, 2, &why), 0);
	assert_memory_equal(id, "\0\xff\1", 3);
	assert_int_equal(ledger_get_base64(e, "der", &b, &why), 0);
	assert_string_equal(buf_str(&b), "abcd");
	assert_int_equal(ledger_get_base64(e, "id", &b, &why), 0);
	assert_int_equal(ledger_get_base64(e, "odd", &b, &why), -1);
	buf_reset(&b);
	assert_int_equal(ledger_get(e, "odd", &b), 0);
	assert_string_equal(buf_str(&b), "a\"b\\c\n\x01/\xc3\xa4\xef\xbf\xbd,"
	    "\"seq\":7}");
	buf_reset(&b);
	assert_int_equal(ledger_get(e, "id", &b), 0);
	assert_string_equal(buf_str(&b), "00ff");
	buf_reset(&b);
	assert_int_equal(ledger_get(e, "type", &b), 0);
	assert_string_equal(buf_str(&b), "issued");
	buf_reset(&b);
	assert_int_equal(ledger_get(e, "empty", &b), 0);
	assert_int_equal(b.n, 0);
	assert_int_equal(ledger_get(e, "number", &b), 0);
	assert_string_equal(buf_str(&b), "-42");
	buf_reset(&b);
	assert_int_equal(ledger_get(e, "absent", &b), -1);
	assert_int_equal(ledger_get(e, "i", &b), -1);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	return 0;
}

static void
fields_round_trip(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;
	struct ledger	*l = must_open(p->dir);
	struct buf	 b = { 0 };

	ledger_field(&b, "odd", slice_str("a\"b\\c\n\x01/\xc3\xa4\xff,"
	    "\"seq\":7}"));
	ledger_field_num(&b, "number", -42);
	ledger_field(&b, "empty", slice_of(NULL, 0));
	ledger_field_hex(&b, "id", (const uint8_t *)"\0\xff", 2);
	ledger_field_base64(&b, "der", slice_str("abcd"));
	ledger_add(l, "issued", buf_slice(&b));
	assert_int_equal(ledger_sync(l, &err), 0);
	ledger_close(l);
	assert_int_equal(ledger_walk(p->dir, check_fields, NULL, &err), 0);
	buf_free(&b);
}

static int
stop(void *arg, const struct ledger_entry *e, struct err *err)
{
	int	*n = arg;

	(*n)++;
	if (e->seq == 2)
		return err_set(err, ERR_DENIED, "enough");
	return 0;
}

static void
callback_stops_the_walk(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT, e2 = ERR_INIT;
	struct ledger	*l = must_open(p->dir);
	int		 n = 0;

	add_some(l, 5);
	ledger_close(l);
	assert_int_equal(ledger_walk(p->dir, stop, &n, &err), -1);
	assert_int_equal(n, 2);
	assert_string_equal(err.text, "enough");
	assert_int_equal(ledger_walk("/nonexistent", stop, &n, &e2), -1);
}

struct seen {
	uint64_t	first, last;
};

static int
see(void *arg, const struct ledger_entry *e, struct err *err)
{
	struct seen	*v = arg;

	(void)err;
	if (v->first == 0)
		v->first = e->seq;
	v->last = e->seq;
	return 0;
}

static void
assert_walks(const struct place *p, uint64_t from, uint64_t first,
    uint64_t last)
{
	struct seen	v = { 0, 0 };
	struct err	err = ERR_INIT;

	if (ledger_walk_from(p->dir, from, see, &v, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(v.first, first);
	assert_int_equal(v.last, last);
}

/* Three files, with entries 1 to 3, 4 to 6, 7 and 8. */
static void
three_files(const struct place *p)
{
	struct ledger	*l = must_open(p->dir);

	add_some(l, 3);
	turn(l, 2);
	turn(l, 0);
	add_some(l, 1);
	ledger_close(l);
}

static int
keep_end(void *arg, const struct ledger_entry *e, struct err *err)
{
	(void)err;
	*(off_t *)arg = e->end;
	return 0;
}

/* Where the last entry ends. */
static off_t
all_bytes(const struct place *p)
{
	struct err	err = ERR_INIT;
	off_t		end = 0;

	assert_int_equal(ledger_walk(p->dir, keep_end, &end, &err), 0);
	return end;
}

static void
goes_on_in_a_next_file(void **state)
{
	struct place	*p = *state;
	struct ledger	*l;
	struct err	 err = ERR_INIT;
	struct stat	 st;

	three_files(p);
	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 8);
	turn(l, 1);
	assert_int_equal(ledger_seq(l), 10);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(ledger_size(l), st.st_size);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* The new file is the one that is locked. */
	assert_null(ledger_open(p->dir, &err));
	assert_non_null(strstr(err.text, "in use"));
	ledger_close(l);
	assert_walks(p, 1, 1, 10);
	assert_walks(p, 3, 1, 10);
	assert_walks(p, 4, 4, 10);
	assert_walks(p, 8, 7, 10);
	assert_walks(p, 9, 9, 10);
	assert_walks(p, 99, 9, 10);
	assert_walks(p, 0, 9, 10);
	assert_int_equal(ledger_total(p->dir), all_bytes(p));
	assert_int_equal(ledger_total("/nonexistent"), 0);
}

/* An older file of that name in the folder. */
static const char *
older(const struct place *p, int last)
{
	static char	name[80];

	snprintf(name, sizeof(name), "%s.%020d", p->file, last);
	return name;
}

static void
assert_not_opened(const struct place *p, const char *why)
{
	struct err	err = ERR_INIT;

	assert_null(ledger_open(p->dir, &err));
	if (strstr(err.text, why) == NULL)
		fail_msg("%s", err.text);
}

static void
walk_fails(const struct place *p, const char *why)
{
	struct seen	v = { 0, 0 };
	struct err	err = ERR_INIT;

	assert_int_equal(ledger_walk(p->dir, see, &v, &err), -1);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s", err.text);
}

static void
files_that_do_not_fit(void **state)
{
	struct place	*p = *state;
	struct buf	 b = { 0 }, new = { 0 };

	three_files(p);
	slurp(p->file, &new);
	slurp(older(p, 6), &b);
	spit(p->file, buf_slice(&b));
	assert_not_opened(p, "does not follow the older one");
	spit(p->file, slice_of(b.p, 0));
	assert_not_opened(p, "does not follow the older one");
	unlink(p->file);
	assert_not_opened(p, "No such file");
	spit(p->file, buf_slice(&new));
	assert_int_equal(chmod(p->file, 0600), 0);
	b.p[b.n - 5] ^= 1;		/* of the last hash */
	spit(older(p, 6), buf_slice(&b));
	assert_not_opened(p, "another entry 6");
	walk_fails(p, "hash does not match");
	b.p[b.n - 5] ^= 1;
	spit(older(p, 6), slice_of(b.p, b.n - 1));
	walk_fails(p, "is not the last of its file");
	unlink(older(p, 6));
	assert_not_opened(p, "does not follow the older one");
	walk_fails(p, "sequence number is not the next");
	unlink(older(p, 3));		/* all of them elsewhere */
	ledger_close(must_open(p->dir));
	walk_fails(p, "lacks the entries before");
	assert_walks(p, 0, 7, 8);
	buf_free(&b);
	buf_free(&new);
}

/* What a crash leaves at each step of a turn. */
static void
turns_cut_short(void **state)
{
	struct place	*p = *state;
	struct buf	 b = { 0 }, next = { 0 };

	three_files(p);
	slurp(p->file, &b);
	buf_printf(&next, "%s.next", p->file);
	spit(buf_str(&next), slice_of(b.p, b.n / 2));
	assert_int_equal(link(p->file, older(p, 8)), 0);
	assert_walks(p, 1, 1, 8);
	ledger_close(must_open(p->dir));
	assert_int_equal(access(older(p, 8), F_OK), -1);
	three_files(p);			/* 9 to 11, 12 to 14, 15, 16 */
	assert_walks(p, 1, 1, 16);
	buf_free(&b);
	buf_free(&next);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		TEST(a_step_dates_no_entry), TEST(goes_on_after_reopening),
		TEST(nothing_is_written_before_sync),
		TEST(only_one_signer),
		TEST(open_file_to_others_is_refused),
		TEST(torn_tail_is_cut_off),
		TEST(any_altered_byte_is_found),
		TEST(removed_or_reordered_lines_are_found),
		TEST(rubbish_lines_are_found),
		TEST(failed_sync_poisons),
		TEST(oversized_entry_poisons),
		TEST(long_lines_are_read),
		TEST(fields_round_trip),
		TEST(callback_stops_the_walk),
		TEST(goes_on_in_a_next_file),
		TEST(files_that_do_not_fit),
		TEST(turns_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
