/* worker.conf; see countersign-worker(8). */
#ifndef WCONF_H
#define WCONF_H

#include <sys/types.h>

#include "err.h"
#include "link.h"
#include "policy.h"

#define WCONF_PEERS	16
#define WCONF_CERTIFICATES	4

/* What a log-on must say of the TLS connection it came over ([RFC5929] 4). */
enum wconf_binding { BINDING_REQUIRE, BINDING_WHEN_OFFERED, BINDING_OFF };

struct wconf_kerberos {
	char		*keytab;	/* a path */
	struct strlist	 realms;	/* empty: those of the keytab */
	struct strlist	 certificates;	/* PEM files that nginx serves */
	enum wconf_binding binding;
	bool		 need_sid;	/* else names count where there is none */
	char		*replay_cache;	/* a folder */
};

struct wconf {
	char		*socket;	/* FastCGI, a path */
	mode_t		 mode;
	gid_t		 group;		/* (gid_t)-1 = leave it */
	uid_t		 peer[WCONF_PEERS];	/* who may connect */
	size_t		 npeers;
	unsigned	 processes;
	unsigned	 threads;	/* of each */
	char		*database;
	char		*key_file;	/* CURVE; NULL when all is ipc:// */
	char		*metrics_folder; /* of other programs; or NULL */
	struct link_endpoint *signers;
	size_t		 nsigners;
	int		 try_ms;	/* one signer */
	int		 total_ms;	/* all of them */
	struct wconf_kerberos *kerberos;	/* or NULL */
};

/* A word of channel-binding; in the error's text after what.  ERR_MALFORMED. */
int		 wconf_binding(const char *what, const char *word,
		    enum wconf_binding *, struct err *);

/* NULL: as conf_file, or which option is wrong; wconf_free by the caller. */
struct wconf	*wconf_load(const char *path, struct err *);
void		 wconf_free(struct wconf *);

#endif
