/*
 * The parts of "countersign doctor".  Each adds its findings; a part that
 * cannot look says so with CHECK_SKIP or CHECK_FAIL, and the others go on.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "check.h"

#define DOCTOR_DAY	((int64_t)86400)

struct doctor {
	struct cli		*cli;
	const struct args	*args;
	struct checks		*checks;
	struct policy		*policy;	/* in force, or NULL */
	struct wconf		*worker;	/* of this host, or NULL */
	char			*worker_path;	/* its file */
	struct strlist		 apart;		/* keys behind an air gap */
	bool			 no_database;
};

/* Configuration files, keys, sockets, ledgers on this host; sets worker. */
void	 doctor_files(struct doctor *);
/* A CA of a signer whose key is in a token. */
struct sconf_ca;
void	 doctor_token(struct doctor *, const struct sconf_ca *);
/* Connection, settings, roles, migrations, clock, partitions. */
void	 doctor_database(struct doctor *);
/* The policy in force, CA certificates, revocation lists. */
void	 doctor_policy(struct doctor *);
/*
 * CAs behind an air gap, before doctor_policy, which leaves the lists of
 * d->apart out: nobody here makes them.
 */
void	 doctor_airgap(struct doctor *);
/* What this host's worker needs for Kerberos, by the policy. */
void	 doctor_kerberos(struct doctor *);
struct https_site;
/* What clients meet at an address for Kerberos, a path of this site. */
void	 doctor_negotiate(struct doctor *, const struct https_site *,
	    const char *path);
/* Every signer: is it there, with which policy and which time? */
void	 doctor_signers(struct doctor *);
/* The web server's certificate, the workers behind it, an enrollment. */
void	 doctor_web(struct doctor *);

/* What the database was asked in vain; said once that it is away. */
void	 doctor_unknown(struct doctor *, const char *check, const char *object,
	    const char *advice, const struct err *);
/* A clock so far ahead of ours; behind, when negative. */
void	 doctor_clock(struct doctor *, const char *object, int64_t skew_ms);
/* A policy that somebody has, by its SHA-256: is it the one in force? */
void	 doctor_compare(struct doctor *, const char *object,
	    uint64_t version, const uint8_t hash[32]);
/* The end of a certificate, in Unix seconds: advice from 30 days before. */
void	 doctor_expiry(struct doctor *, const char *object, int64_t not_after,
	    const char *advice);

#endif
