/* Keys, addresses and allow-lists of the link, and which are refused. */
#include "link_fixture.h"

static void
test_keys(void **state)
{
	struct link_keys made, got;
	struct err err = ERR_INIT;
	char path[128];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(link_keys_create(path, &made, &err), 0);
	assert_int_equal(link_keys_load(path, &got, &err), 0);
	assert_string_equal(made.pub, got.pub);
	assert_string_equal(made.sec, got.sec);
	assert_int_equal(link_keys_create(path, &made, &err), -1);
	link_keys_free(&got);
	assert_int_equal(got.sec[0], 0);
	link_keys_free(NULL);

	snprintf(path, sizeof(path), "%s/bad", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%040d\n", 7);
	fclose(f);
	memset(&err, 0, sizeof(err));
	chmod(path, 0644);
	assert_int_equal(link_keys_load(path, &got, &err), -1);
	chmod(path, 0400);
	memset(&err, 0, sizeof(err));
	f = fopen(path, "w");
	if (f != NULL) {
		fprintf(f, "too short\n");
		fclose(f);
		assert_int_equal(link_keys_load(path, &got, &err), -1);
		assert_non_null(strstr(err.text, "40 characters"));
	}
}

static void
test_ipc(void **state)
{
	char uri[160], path[128], name[] = "front";
	struct link_peer peer = { name, NULL };
	struct link_endpoint ep = { uri, NULL };
	struct link_server *s;
	struct link_pool *p;
	struct err err = ERR_INIT;
	struct stat st;
	void *ctx = zmq_ctx_new(), *sock;
	struct link_job job;
	FILE *f;

	(void)state;
	memset(&job, 0, sizeof(job));
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(uri, sizeof(uri), "ipc://%s", path);
	s = link_server_new(uri, NULL, NULL, 0, &err);
	assert_non_null(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	sock = raw_peer(ctx, uri, NULL, NULL);
	raw_send(sock, 2, 16, 3);
	assert_int_equal(link_recv(s, &job, LONG_MS, &err), 1);
	assert_string_equal(job.worker, "local");
	zmq_close(sock);
	link_server_free(s);

	s = link_server_new(uri, NULL, &peer, 1, &err);
	assert_non_null(s);
	sock = raw_peer(ctx, uri, NULL, NULL);
	raw_send(sock, 2, 16, 3);
	assert_int_equal(link_recv(s, &job, LONG_MS, &err), 1);
	assert_string_equal(job.worker, "front");
	zmq_close(sock);
	link_server_free(s);
	zmq_ctx_term(ctx);
	link_job_free(&job);

	p = link_pool_new(&ep, 1, NULL, &err);
	assert_non_null(p);
	link_pool_free(p);

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_null(link_server_new(uri, NULL, NULL, 0, &err));
	assert_non_null(strstr(err.text, "not a socket"));
}

static void
server_refused(const char *uri, const struct link_keys *keys,
    const struct link_peer *peer, size_t n, const char *why)
{
	struct err err = ERR_INIT;

	assert_null(link_server_new(uri, keys, peer, n, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: not \"%s\"", err.text, why);
}

static void
test_refused_set_ups(void **state)
{
	char a[] = "a", b[] = "b", none[] = "", bad[] = "short";
	struct link_peer twice[2] = {
		{ a, worker_keys.pub }, { b, worker_keys.pub }
	};
	struct link_peer nameless = { none, worker_keys.pub };
	struct link_peer badkey = { a, bad };
	struct link_endpoint tcp = { bad, NULL };
	struct err err = ERR_INIT;
	const char *uri = "tcp://127.0.0.1:*";
	char u[] = "tcp://127.0.0.1:7", v[] = "ipc:///tmp/x";

	(void)state;
	server_refused(uri, &signer_keys, twice, 2, "have one key");
	server_refused(uri, &signer_keys, &nameless, 1, "1 to 63");
	server_refused(uri, &signer_keys, &badkey, 1, "40 characters");
	server_refused(uri, &signer_keys, NULL, 0, "allow-list");
	server_refused(uri, NULL, twice, 1, "needs a key");
	server_refused("udp://x", &signer_keys, twice, 1, "only tcp");
	server_refused("inproc://x", &signer_keys, twice, 1, "only tcp");
	server_refused("ipc://x", NULL, NULL, 0, "absolute");
	server_refused("ipc://@x", NULL, NULL, 0, "absolute");
	server_refused("ipc:///nonexistent/x", NULL, NULL, 0, "bind");

	assert_null(link_pool_new(&tcp, 0, &worker_keys, &err));
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
	tcp.uri = u;
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
	tcp.server_key = signer_keys.pub;
	assert_null(link_pool_new(&tcp, 1, NULL, &err));
	tcp.uri = v;
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_refused_set_ups),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
