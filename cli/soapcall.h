/*
 * The two calls of an enrolling client, for "countersign doctor --user": which
 * templates may I use, and give me a certificate.
 */
#ifndef SOAPCALL_H
#define SOAPCALL_H

#include "https.h"

struct soap_call {
	const struct https_site	*site;
	const char	*url;		/* whole address; goes into To */
	const char	*path;		/* of it */
	const char	*user;
	struct slice	 password;
};

/*
 * GetPolicies ([MS-XCEP] 3.1.4.1): how many templates are offered; a fault is
 * ERR_DENIED with its text.  Else, here and below, -1 as https_call.
 */
int	 soap_policies(const struct soap_call *, size_t *ntemplates,
	    struct err *);
/*
 * Enroll ([MS-WSTEP] 3.1.4.1) with a PKCS#10 in DER; the certificate's DER is
 * appended to out.  Pending is ERR_DENIED too: its text says so.
 */
int	 soap_enroll(const struct soap_call *, struct slice pkcs10,
	    const char *tmpl, struct buf *out, struct err *);

#endif
