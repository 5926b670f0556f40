/* Counters that processes share, as Prometheus reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics.h"

static char *
text(const struct metrics *m, struct buf *b)
{
	buf_reset(b);
	metrics_write(m, slice_of(NULL, 0), b);
	return buf_str(b);
}

static void
test_text(void **state)
{
	struct metrics *m = metrics_new();
	struct buf b = { 0 };
	char labels[METRICS_LABELS] = "";
	const char *t;

	(void)state;
	metrics_label(labels, "template", slice_str("a\"b\\c\n"));
	metrics_label(labels, "outcome", slice_str("issued"));
	metrics_count(m, M_REQUESTS, labels, 2);
	metrics_count(m, M_REQUESTS, labels, 1);
	metrics_set(m, M_POLICY_VERSION, "", 7);
	metrics_set(m, M_POLICY_VERSION, "", 8);
	t = text(m, &b);
	assert_non_null(strstr(t, "# TYPE countersign_requests_total "
	    "counter\n"));
	assert_non_null(strstr(t, "countersign_requests_total{template="
	    "\"a\\\"b\\\\c \",outcome=\"issued\"} 3\n"));
	assert_non_null(strstr(t, "countersign_policy_version 8\n"));
	assert_null(strstr(t, "countersign_signer_batch_size"));
	buf_free(&b);
	metrics_free(m);
}

static void
test_histogram(void **state)
{
	struct metrics *m = metrics_new();
	struct buf b = { 0 };
	const char *t;

	(void)state;
	metrics_observe(m, M_STAGE, "stage=\"x\"", 500);
	metrics_observe(m, M_STAGE, "stage=\"x\"", 501);
	metrics_observe(m, M_STAGE, "stage=\"x\"", 9000000);
	metrics_observe(m, M_BATCH, "", 3);
	t = text(m, &b);
	assert_non_null(strstr(t, "_bucket{stage=\"x\",le=\"0.0005\"} 1\n"));
	assert_non_null(strstr(t, "_bucket{stage=\"x\",le=\"0.001\"} 2\n"));
	assert_non_null(strstr(t, "_bucket{stage=\"x\",le=\"5\"} 2\n"));
	assert_non_null(strstr(t, "_bucket{stage=\"x\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(t, "_sum{stage=\"x\"} 9.001001\n"));
	assert_non_null(strstr(t, "_count{stage=\"x\"} 3\n"));
	assert_non_null(strstr(t, "batch_size_bucket{le=\"2\"} 0\n"));
	assert_non_null(strstr(t, "batch_size_bucket{le=\"3\"} 1\n"));
	assert_non_null(strstr(t, "batch_size_sum 3\n"));
	/* Sent by a host whose clock is ahead of ours. */
	metrics_observe(m, M_WAIT, "", -1500);
	t = text(m, &b);
	assert_non_null(strstr(t, "wait_seconds_sum 0.000000\n"));
	assert_non_null(strstr(t, "wait_seconds_count 1\n"));
	buf_free(&b);
	metrics_free(m);
}

static void
test_clear(void **state)
{
	struct metrics *m = metrics_new();
	struct buf b = { 0 };
	const char *t;

	(void)state;
	metrics_set(m, M_EXPIRING, "days=\"7\"", 5);
	metrics_set(m, M_CRL_MADE, "ca=\"x\"", 6);
	metrics_clear(m, M_EXPIRING);
	t = text(m, &b);
	assert_non_null(strstr(t, "expiring{days=\"7\"} 0\n"));
	assert_non_null(strstr(t, "{ca=\"x\"} 6\n"));
	buf_free(&b);
	metrics_free(m);
}

/* More sets of labels than there is room for: counted, and no crash. */
static void
test_full(void **state)
{
	struct metrics *m = metrics_new();
	struct buf b = { 0 };
	char labels[METRICS_LABELS];
	int i;

	(void)state;
	for (i = 0; i < 600; i++) {
		snprintf(labels, sizeof(labels), "n=\"%d\"", i);
		metrics_count(m, M_REQUESTS, labels, 1);
	}
	assert_non_null(strstr(text(m, &b),
	    "countersign_metrics_dropped_total 88\n"));
	buf_free(&b);
	metrics_free(m);
	metrics_count(NULL, M_REQUESTS, "", 1);
	metrics_free(NULL);
}

static void
test_long_labels(void **state)
{
	char labels[METRICS_LABELS] = "", value[300];

	(void)state;
	memset(value, 'x', sizeof(value));
	metrics_label(labels, "a", slice_str("b"));
	metrics_label(labels, "c", slice_of((uint8_t *)value, sizeof(value)));
	assert_string_equal(labels, "a=\"b\"");
}

static void *
add(void *m)
{
	int i;

	for (i = 0; i < 10000; i++)
		metrics_count(m, M_REQUESTS, i % 2 == 0 ? "k=\"0\"" :
		    "k=\"1\"", 1);
	return NULL;
}

static void
test_shared(void **state)
{
	struct metrics *m = metrics_new();
	struct buf b = { 0 };
	pthread_t thread[4];
	int i, status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		add(m);
		_exit(0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add, m), 0);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(strstr(text(m, &b), "{k=\"1\"} 25000\n"));
	assert_non_null(strstr(text(m, &b), "{k=\"0\"} 25000\n"));
	buf_free(&b);
	metrics_free(m);
}

static void
test_file(void **state)
{
	struct metrics *m = metrics_new();
	struct err err = ERR_INIT;
	char path[] = "/tmp/metrics-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(metrics_save(m, path, &err), 0);
	assert_int_equal(metrics_save(m, "/nowhere/x", &err), -1);
	assert_non_null(strstr(err.text, "/nowhere/x"));
	unlink(path);
	metrics_free(m);
}

/* What other programs saved comes under the headings that are there. */
static void
test_others(void **state)
{
	struct metrics *m = metrics_new(), *other = metrics_new();
	struct buf b = { 0 }, saved = { 0 };
	struct err err = ERR_INIT;
	char folder[] = "/tmp/metrics-test-XXXXXX", path[64];
	const char *t, *at;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/signer.prom", folder);
	metrics_set(m, M_POLICY_VERSION, "", 3);
	metrics_set(other, M_POLICY_VERSION, "signer=\"s\"", 2);
	metrics_observe(other, M_BATCH, "signer=\"s\"", 3);
	assert_int_equal(metrics_save(other, path, &err), 0);
	metrics_read(folder, &saved);
	metrics_read("/nowhere", &saved);
	metrics_write(m, buf_slice(&saved), &b);
	t = buf_str(&b);
	at = strstr(t, "# TYPE countersign_policy_version gauge\n");
	assert_non_null(at);
	assert_null(strstr(at + 1, "# TYPE countersign_policy_version"));
	assert_non_null(strstr(at, "countersign_policy_version 3\n"
	    "countersign_policy_version{signer=\"s\"} 2\n"));
	assert_non_null(strstr(t, "batch_size_bucket{signer=\"s\",le=\"3\"} "
	    "1\n"));
	assert_non_null(strstr(t, "batch_size_count{signer=\"s\"} 1\n"));
	at = strstr(t, "countersign_metrics_dropped_total 0\n");
	assert_non_null(at);
	assert_null(strstr(at + 1, "countersign_metrics_dropped_total 0\n"));
	unlink(path);
	rmdir(folder);
	buf_free(&b);
	buf_free(&saved);
	metrics_free(m);
	metrics_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_long_labels),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
