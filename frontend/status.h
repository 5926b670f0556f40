/*
 * How this process is doing, for "countersign doctor": the policy it answers
 * by, its clock, and whether a signer answers it.  nginx shows it to its own
 * host alone.
 */
#ifndef STATUS_H
#define STATUS_H

#include "link.h"
#include "snapshot.h"

/*
 * One line of JSON: pid, now (unix milliseconds), and version and policy
 * (SHA-256) or error; the same of the signer that answered in signer.  Asks one
 * (link_call), and waits as long as that does.
 */
void	 status_write(struct snapshot *, struct link *, struct buf *);

#endif
