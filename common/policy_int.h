/* Between the files of the policy; nobody else includes this. */
#ifndef POLICY_INT_H
#define POLICY_INT_H

#include "policy.h"

/* Findings while a text is read: counted, told, never fatal. */
struct lint {
	void		(*report)(void *, unsigned line, const char *text);
	void		*arg;
	bool		 idle;		/* those of lint_idle, too */
	int		 n;
	unsigned	 line;		/* of the section at hand */
	char		 what[80];	/* "template User" */
	const struct template *tmpl;	/* whose overrides count, or NULL */
	unsigned	 overridden;	/* bits of findings switched off */
};

/* The section that following findings are about. */
void	 lint_about(struct lint *, unsigned line, const char *kind,
	    const char *title);
void	 lint_add(struct lint *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
/*
 * A finding of what is useless and does no harm, since each request would be
 * refused later, or of what a version before let pass.  Who checks and publishes
 * is told; a policy in force goes on when a new version of ours knows of one
 * more.
 */
void	 lint_idle(struct lint *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
/* All rules over a policy that was read. */
void	 policy_lint(const struct policy *, struct lint *);

#define TRUST_MAX	(16 * 1024)	/* bytes of a trusted CA certificate */

/* Trust this CA certificate for clients of the policy being made. */
int	 policy_trust(struct policy *, struct slice der, const char *what,
	    struct err *);
/* The same for another CA, as far as its section says; and its key. */
int	 policy_trust_other(struct policy *, struct trusted_ca *,
	    struct err *);

/* The keys and what else was attached. */
void	 policy_keys_free(struct policy_ca *);

/* Where the sections of a text stand: libconfuse does not keep that. */
struct mark {
	char		 kind[16];
	char		 title[64];	/* cut off when longer */
	unsigned	 first, last;	/* lines */
};

struct marks {
	struct mark	*v;
	size_t		 n;
};

void	 marks_read(struct marks *, struct slice text);
void	 marks_free(struct marks *);
/* Line of the nth section of this kind, 1 when there is none. */
unsigned marks_line(const struct marks *, const char *kind, size_t nth);
/* The section around a line, or NULL. */
const struct mark	*marks_around(const struct marks *, unsigned line);

/* One template section to *t; marks what is wrong with it. */
struct cfg_t;
void	 template_read(struct cfg_t *, struct template *, struct lint *);

/* policy_domain.c */
void	 domain_read(struct cfg_t *, struct domain *);
void	 domain_free(struct domain *);
void	 lint_domain(const struct policy *, size_t nth, struct lint *);

/* policy_agent.c: agent rules, RA signatures, key archival. */
void	 agent_rule_read(struct cfg_t *, struct agent_rule *, struct lint *);
void	 agent_rule_free(struct agent_rule *);
void	 recovery_read(struct cfg_t *, struct policy_ca *, struct lint *);
void	 lint_agent_rule(const struct policy *, size_t nth, struct lint *);
void	 lint_signatures(const struct policy *, const struct template *,
	    struct lint *);
void	 lint_archival(const struct policy *, const struct template *,
	    struct lint *);

/* Values of options; what is wrong is a finding. */
struct word {
	const char	*name;
	unsigned	 value;
};
bool	 word_value(const struct word *, const char *, unsigned *);
void	 read_list(struct cfg_t *, const char *opt, struct strlist *,
	    struct lint *);
char	*read_text(struct cfg_t *, const char *opt);	/* or NULL */
void	 read_duration(struct cfg_t *, const char *opt, int64_t *,
	    struct lint *);
long	 read_int(struct cfg_t *, const char *opt, long min, long max,
	    struct lint *);
/* Option "certificate": base64 of DER in pieces. */
void	 read_certificate(struct cfg_t *, struct buf *, struct lint *);
/* OIDs as dotted text in its one spelling; NULL and a finding if none. */
char	*read_oid(const char *opt, const char *dotted, struct buf *der,
	    struct lint *);

#endif
