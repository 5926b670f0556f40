/*
 * Inside the link: the ZAP handler (ZeroMQ RFC 27), which lets in the peers of
 * the allow-list and nobody else, and what link_*.c share.
 */
#ifndef LINK_ZAP_H
#define LINK_ZAP_H

#include "link.h"
#include "msg.h"

#define LINK_DOMAIN	"countersign"

struct link_zap;

/*
 * Must run before the socket it guards is bound.  The handler has its own
 * thread in this context; peers are copied.  Duplicate keys are refused.
 */
struct link_zap	*link_zap_start(void *ctx, const struct link_peer *, size_t n,
		    struct err *);
void		 link_zap_stop(struct link_zap *);	/* joins; frees */
/* False once the thread has ended, whatever the reason. */
bool		 link_zap_alive(const struct link_zap *);
unsigned	 link_zap_refused(const struct link_zap *);
/* Ends the thread as a fault would; for the test of failing closed. */
void		 link_zap_kill(struct link_zap *);

/* Lent; NULL with ipc://, where the socket's folder says who gets in. */
struct link_zap	*link_server_zap(struct link_server *);

int64_t	 link_now_ms(void);	/* monotonic */
bool	 link_is_tcp(const char *uri);
bool	 link_is_ipc(const char *uri);
/* 40 characters of Z85; errors are ERR_INTERNAL and begin with whose. */
int	 link_key_decode(const char *z85, uint8_t out[32], const char *whose,
	    struct err *);
int	 link_setopt(void *sock, int opt, int value, const char *what,
	    struct err *);
int	 link_common_options(void *sock, const char *uri, struct err *);

#endif
