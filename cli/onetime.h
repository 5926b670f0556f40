/* The one-time secret with which doctor tries an enrollment. */
#ifndef ONETIME_H
#define ONETIME_H

#include "cli.h"
#include "policy.h"

#define PROBE_TEMPLATE	"Probe"		/* as deploy/policy.conf.in has it */
#define PROBE_MACHINE	"countersign-doctor.invalid"	/* [RFC6761] 6.4 */

/*
 * For that machine and template, good for five minutes; the one before is
 * gone.  Wiped by the caller on 0.  ERR_DENIED when the policy does not have
 * the template.
 */
int	 onetime_probe(struct cli *, const struct policy *, struct buf *secret,
	    struct err *);

#endif
