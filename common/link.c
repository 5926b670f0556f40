/* What both ends of the link share: keys, limits, socket options. */
#include "link.h"

#include <openssl/crypto.h>
#include <string.h>
#include <zmq.h>

#include "link_zap.h"
#include "log.h"
#include "secret.h"

/* Heartbeats find a stopped host, the handshake limit a silent one. */
#define LINK_HEARTBEAT_MS	5000
#define LINK_HEARTBEAT_LIMIT_MS	15000
#define LINK_HANDSHAKE_MS	5000
#define LINK_KEEPALIVE_S	15
/* ZeroMQ compares the encrypted frame: name, nonce, flags, authenticator. */
#define LINK_CURVE_OVERHEAD	64

int
link_keys_load(const char *path, struct link_keys *keys, struct err *err)
{
	struct link_keys k = { "", "" };
	struct buf file = { NULL, 0, 0 };
	uint8_t raw[32];
	int rc = -1;

	if (secret_read(path, 64, true, &file, err) == -1)
		goto out;
	if (file.n != 40) {
		err_set(err, ERR_INTERNAL,
		    "%s: a curve key is 40 characters of z85", path);
		goto out;
	}
	memcpy(k.sec, file.p, 40);
	if (strlen(k.sec) != 40 || zmq_z85_decode(raw, k.sec) == NULL ||
	    zmq_curve_public(k.pub, k.sec) != 0) {
		err_set(err, ERR_INTERNAL, "%s: not a curve key", path);
		goto out;
	}
	*keys = k;
	rc = 0;
out:
	buf_wipe(&file);
	OPENSSL_cleanse(raw, sizeof(raw));
	OPENSSL_cleanse(&k, sizeof(k));
	return rc;
}

int
link_keys_create(const char *path, struct link_keys *keys, struct err *err)
{
	struct link_keys k;
	char line[41];
	int rc = -1;

	if (zmq_curve_keypair(k.pub, k.sec) != 0)
		return err_set(err, ERR_INTERNAL, "zeromq has no curve: %s",
		    zmq_strerror(zmq_errno()));
	memcpy(line, k.sec, 40);
	line[40] = '\n';
	if (secret_write(path, slice_of(line, sizeof(line)), err) == 0) {
		*keys = k;
		rc = 0;
	}
	OPENSSL_cleanse(line, sizeof(line));
	OPENSSL_cleanse(&k, sizeof(k));
	return rc;
}

void
link_keys_free(struct link_keys *keys)
{
	if (keys != NULL)
		OPENSSL_cleanse(keys, sizeof(*keys));
}

void
link_job_free(struct link_job *job)
{
	if (job == NULL)
		return;
	buf_free(&job->routing_id);
	buf_free(&job->msg);
	memset(job, 0, sizeof(*job));
}

int64_t
link_now_ms(void)
{
	return log_usec() / 1000;
}

bool
link_is_tcp(const char *uri)
{
	return strncmp(uri, "tcp://", 6) == 0;
}

bool
link_is_ipc(const char *uri)
{
	return strncmp(uri, "ipc://", 6) == 0;
}

int
link_key_decode(const char *z85, uint8_t out[32], const char *whose,
    struct err *err)
{
	uint8_t raw[32];

	if (z85 == NULL || strlen(z85) != 40 ||
	    zmq_z85_decode(raw, z85) == NULL)
		return err_set(err, ERR_INTERNAL,
		    "%s: a public key is 40 characters of z85", whose);
	memcpy(out, raw, 32);
	return 0;
}

int
link_setopt(void *sock, int opt, int value, const char *what, struct err *err)
{
	if (zmq_setsockopt(sock, opt, &value, sizeof(value)) != 0)
		return err_set(err, ERR_INTERNAL, "zeromq %s: %s", what,
		    zmq_strerror(zmq_errno()));
	return 0;
}

/* [security] Z3, Z4: no default of ZeroMQ's limits anything. */
int
link_common_options(void *sock, const char *uri, struct err *err)
{
	const int64_t max = MSG_MAX + LINK_CURVE_OVERHEAD;

	if (zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &max, sizeof(max)) != 0)
		return err_set(err, ERR_INTERNAL, "zeromq maxmsgsize: %s",
		    zmq_strerror(zmq_errno()));
	if (link_setopt(sock, ZMQ_HEARTBEAT_IVL, LINK_HEARTBEAT_MS,
	    "heartbeat", err) == -1 ||
	    link_setopt(sock, ZMQ_HEARTBEAT_TIMEOUT, LINK_HEARTBEAT_LIMIT_MS,
	    "heartbeat timeout", err) == -1 ||
	    link_setopt(sock, ZMQ_HANDSHAKE_IVL, LINK_HANDSHAKE_MS,
	    "handshake interval", err) == -1)
		return -1;
	if (!link_is_tcp(uri))
		return 0;
	if (link_setopt(sock, ZMQ_IPV6, strchr(uri, '[') != NULL, "ipv6",
	    err) == -1 ||
	    link_setopt(sock, ZMQ_TCP_KEEPALIVE, 1, "keepalive", err) == -1 ||
	    link_setopt(sock, ZMQ_TCP_KEEPALIVE_IDLE, LINK_KEEPALIVE_S,
	    "keepalive idle", err) == -1 ||
	    link_setopt(sock, ZMQ_TCP_KEEPALIVE_INTVL, LINK_KEEPALIVE_S,
	    "keepalive interval", err) == -1)
		return -1;
	return link_setopt(sock, ZMQ_TCP_MAXRT, LINK_HEARTBEAT_LIMIT_MS,
	    "tcp maxrt", err);
}
