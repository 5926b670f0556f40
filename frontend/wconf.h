/* worker.conf; see countersign-worker(8). */
#ifndef WCONF_H
#define WCONF_H

#include <sys/types.h>

#include "err.h"
#include "link.h"

#define WCONF_PEERS	16

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
};

/* NULL: ERR_MALFORMED, which option is wrong; wconf_free by the caller. */
struct wconf	*wconf_load(const char *path, struct err *);
void		 wconf_free(struct wconf *);

#endif
