/*
 * SOAP faults.  One table says what each kind of error looks like to a
 * client; the text of kinds that are not public is a fixed sentence.  Every
 * text ends with the request's id, which the log and the command line show
 * too.  [MS-WSTEP] 3.1.4.1.3.7, [SOAP12] 5.4, [WS-ADDR] 6.4, [WSS] 12.
 */
#ifndef FAULT_H
#define FAULT_H

#include "envelope.h"

struct fault {
	const struct err *err;
	const uint8_t	*id;		/* 16 bytes */
	bool		 ces;		/* CertificateEnrollmentWSDetail fits */
	struct slice	 response;	/* CMC response of a denial, or empty */
	uint32_t	 number;	/* RequestID, 0 = none */
};

/* What a client may read about this error, without the request's id. */
const char	*fault_text(const struct err *);

/* The whole message, for HTTP status 500; head->action is set here. */
void	 fault_write(struct xmlw *, struct reply_head *, const struct fault *);

#endif
