/* Who is taken first when more wait than a batch has places. */
#include "request_fixture.h"

#include "queue.h"
#include "signer.h"

#define DAY	86400L

static struct signer	 nobody;
static struct queue	*queue;
static struct buf	 token[4];	/* what the jobs borrow */
static const char	*worker = "";
enum { PLAIN, SOON, LATER, NO_CERT };

/* CMC that renews a certificate with this life, in seconds from now. */
static void
put_renewal(struct buf *b, long from, long until)
{
	struct cms_make c = { .type = OID_CCT_PKI_DATA, .key = fix.key,
	    .old = fix.old, .signer = { OUTER_CERT }, .nsigner = 1 };
	struct buf cert = { 0 }, attr = { 0 }, csr = { 0 }, data = { 0 };

	put_cert_of(&cert, fix.old, 77, from, until);
	put_attr(&attr, OID_RENEWAL_CERT, buf_slice(&cert));
	put_csr(&csr, fix.key, buf_slice(&attr), INNER_GOOD);
	put_pkidata(&data, NOTHING, buf_slice(&csr));
	c.cert = buf_slice(&cert);
	c.content = buf_slice(&data);
	put_cms(b, &c);
	buf_free(&cert);
	buf_free(&attr);
	buf_free(&csr);
	buf_free(&data);
}

static int
begin(void **state)
{
	setup(state);
	put_csr(&token[PLAIN], fix.key, NOTHING, INNER_GOOD);
	put_renewal(&token[SOON], -89 * DAY, 6 * DAY);
	put_renewal(&token[LATER], -80 * DAY, 20 * DAY);
	buf_puts(&token[NO_CERT], "no request");
	return 0;
}

static int
end(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY(token); i++)
		buf_free(&token[i]);
	return teardown(state);
}

static int
begin_one(void **state)
{
	(void)state;
	queue = queue_new();
	worker = "";
	return 0;
}

static int
end_one(void **state)
{
	(void)state;
	queue_free(&nobody, queue);
	return 0;
}

/* Numbered, so that it can be known again; msg stands for its size. */
static void
come(uint32_t number, enum msg_call call, int kind, size_t octets)
{
	struct job *j = job_new();

	snprintf(j->link.worker, sizeof(j->link.worker), "%s", worker);
	j->ask.call = call;
	j->ask.number = number;
	j->ask.token = buf_slice(&token[kind]);
	buf_reserve(&j->link.msg, octets);
	j->link.msg.n = octets;
	queue_add(queue, j);
}

/* On a busy machine its 5 ms may be gone behind the first. */
static void
parse_all(void)
{
	int i;

	for (i = 0; i < 50; i++)
		queue_parse(queue);
}

/* Those that are taken, as "3 1 2". */
static void
taken(size_t max, const char *want)
{
	struct job *v[64];
	char got[256] = "";
	size_t i, n = queue_take(queue, v, max), at = 0;

	assert_true(n <= max);
	for (i = 0; i < n; i++) {
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%u",
		    i > 0 ? " " : "", v[i]->ask.number);
		job_free(&nobody, v[i]);
	}
	assert_string_equal(got, want);
}

static void
test_all_by_arrival(void **state)
{
	(void)state;
	taken(4, "");
	come(1, CALL_ISSUE, PLAIN, 10);
	come(2, CALL_QUERY, PLAIN, 10);
	come(3, CALL_ISSUE, SOON, 10);
	parse_all();
	taken(4, "1 2 3");
	taken(4, "");
}

static void
test_polls_first(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 1; i <= 12; i++)
		come(i, CALL_ISSUE, PLAIN, 10);
	come(13, CALL_QUERY, PLAIN, 10);
	come(14, CALL_OCSP, PLAIN, 10);
	come(15, CALL_APPROVE, PLAIN, 10);
	taken(8, "1 2 13 14 15 3 4 5");
	taken(4, "6 7 8 9");
	taken(4, "10 11 12");
}

static void
test_nobody_waits_for_ever(void **state)
{
	uint32_t i;

	(void)state;
	come(1, CALL_ISSUE, PLAIN, 10);
	come(2, CALL_ISSUE, PLAIN, 10);
	for (i = 3; i <= 10; i++)
		come(i, CALL_QUERY, PLAIN, 10);
	for (i = 3; i <= 5; i++)
		taken(1, (const char *[]){ "3", "4", "5" }[i - 3]);
	taken(1, "1");
	taken(2, "6 7");
	taken(2, "2 8");
}

static void
test_what_ends_soon(void **state)
{
	(void)state;
	come(1, CALL_ISSUE, PLAIN, 10);
	come(2, CALL_ISSUE, NO_CERT, 10);
	come(3, CALL_ISSUE, LATER, 10);
	come(4, CALL_ISSUE, SOON, 10);
	come(5, CALL_ISSUE, SOON, 10);
	come(6, CALL_QUERY, PLAIN, 10);
	parse_all();
	taken(5, "1 6 4 5 2");
	taken(5, "3");
}

/* From whom much comes, others do not wait behind all of it. */
static void
test_workers_in_turns(void **state)
{
	uint32_t i;

	(void)state;
	worker = "much";
	for (i = 1; i <= 8; i++)
		come(i, CALL_QUERY, PLAIN, 10);
	worker = "some";
	for (i = 11; i <= 13; i++)
		come(i, CALL_ISSUE, PLAIN, 10);
	worker = "little";
	come(21, CALL_QUERY, PLAIN, 10);
	taken(4, "1 21 2 3");
	taken(4, "11 4 5 6");
	come(22, CALL_ISSUE, PLAIN, 10);
	taken(4, "12 7 8 22");
	taken(4, "13");
}

/* Before it is parsed nobody knows. */
static void
test_unparsed(void **state)
{
	(void)state;
	come(1, CALL_ISSUE, PLAIN, 10);
	come(2, CALL_ISSUE, PLAIN, 10);
	come(3, CALL_ISSUE, SOON, 10);
	taken(2, "1 2");
	parse_all();
	taken(2, "3");
}

static void
test_octets(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 1; i <= 30; i++)
		come(i, CALL_ISSUE, PLAIN, 256 * 1024);
	taken(16, "1 2 3 4 5 6 7 8");
	taken(16, "9 10 11 12 13 14 15 16");
	taken(2, "17 18");
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, begin_one, end_one)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_by_arrival), TEST(test_polls_first),
		TEST(test_nobody_waits_for_ever), TEST(test_what_ends_soon),
		TEST(test_workers_in_turns),
		TEST(test_unparsed), TEST(test_octets)
	};

	return cmocka_run_group_tests(tests, begin, end);
}
