/*
 * RequestSecurityToken, the one message of CES: [MS-WSTEP] 3.1.4.1.3.3.
 */
#ifndef RST_H
#define RST_H

#include "xmlin.h"

enum rst_call { RST_ISSUE, RST_QUERY, RST_KET };

#define RST_TEMPLATE_MAX	256
#define RST_CONTEXT_MAX		1024

struct rst {
	enum rst_call	 call;
	struct buf	 token;		/* DER of the request; issue only */
	char		*template;	/* AdditionalContext, or NULL */
	uint32_t	 number;	/* RequestID; query only */
	char		*context;	/* @Context for the answer, or NULL */
};

/*
 * body: the Body's element or NULL; action: wsa:Action, which must fit.
 * ERR_ACTION, ERR_MALFORMED (0x80070057 for what [MS-WSTEP] fixes),
 * ERR_TOO_BIG.  On 0 rst_free is the caller's.
 */
int	 rst_parse(const xmlNode *body, struct slice action, struct rst *,
	    struct err *);
void	 rst_free(struct rst *);
const char	*rst_call_name(enum rst_call);	/* "issue", ... for the log */

#endif
