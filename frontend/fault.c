/*
 * Faults: where every refusal of a SOAP request ends, with what a client may
 * read of it.
 */
#include <stdio.h>

#include "fault.h"
#include "hresult.h"
#include "ns.h"

#define SENDER		"s:Sender"
#define RECEIVER	"s:Receiver"

/*
 * detail: at the CES [MS-WSTEP]'s detail goes along, and then Code, Subcode
 * and Action are that fault's own (always Receiver, without Subcode).
 */
static const struct kind {
	const char	*code, *subcode;
	const char	*prefix, *ns;	/* of the subcode */
	const char	*action;
	bool		 detail;
	const char	*text;		/* NULL: the error's own */
} kinds[] = {
	[ERR_MALFORMED] = { SENDER, NULL, NULL, NULL,
	    ACTION_WSA_FAULT, true, NULL },
	[ERR_TOO_BIG] = { SENDER, NULL, NULL, NULL,
	    ACTION_WSA_FAULT, true, NULL },
	[ERR_UNAUTHENTICATED] = { SENDER, "o:FailedAuthentication",
	    "xmlns:o", NS_WSSE, ACTION_WSA_FAULT, false,
	    "who asks could not be authenticated: user name, password or "
	    "ticket is wrong, or the account is disabled or held back" },
	[ERR_NO_SECURITY] = { SENDER, "o:InvalidSecurity",
	    "xmlns:o", NS_WSSE, ACTION_WSA_FAULT, false, NULL },
	[ERR_NOT_UNDERSTOOD] = { "s:MustUnderstand", NULL, NULL, NULL,
	    ACTION_WSA_FAULT, false, NULL },
	[ERR_VERSION] = { "s:VersionMismatch", NULL, NULL, NULL,
	    ACTION_WSA_FAULT, false, NULL },
	[ERR_DESTINATION] = { SENDER, "a:DestinationUnreachable",
	    NULL, NULL, ACTION_WSA_FAULT, false, NULL },
	[ERR_ACTION] = { SENDER, "a:ActionNotSupported",
	    NULL, NULL, ACTION_WSA_FAULT, true, NULL },
	[ERR_DENIED] = { RECEIVER, NULL, NULL, NULL,
	    ACTION_WSA_FAULT, true, NULL },
	[ERR_UNAVAILABLE] = { RECEIVER, "d:InternalServiceFault",
	    "xmlns:d", NS_WCF, ACTION_WCF_FAULT, true,
	    "the service cannot answer at the moment, try again later" },
	[ERR_INTERNAL] = { RECEIVER, "d:InternalServiceFault",
	    "xmlns:d", NS_WCF, ACTION_WCF_FAULT, true,
	    "the server failed to process the request" },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *
kind_of(const struct err *err)
{
	const struct kind	*k = &kinds[ERR_INTERNAL];

	if ((size_t)err->kind < NKINDS && kinds[err->kind].code != NULL)
		k = &kinds[err->kind];
	/* What err.c keeps in the house has a sentence here. */
	if (k->text == NULL && !err_is_public(err->kind))
		k = &kinds[ERR_INTERNAL];
	return k;
}

static void
put_code(struct xmlw *w, const struct kind *k, bool detail)
{
	xmlw_open(w, "s:Code");
	xmlw_leaf_str(w, "s:Value", detail ? RECEIVER : k->code);
	if (k->subcode != NULL && !detail) {
		xmlw_open(w, "s:Subcode");
		xmlw_open(w, "s:Value");
		if (k->prefix != NULL)
			xmlw_attr_str(w, k->prefix, k->ns);
		xmlw_text(w, slice_str(k->subcode));
		xmlw_close(w);
		xmlw_close(w);
	}
	xmlw_close(w);
}

const char *
fault_text(const struct err *err)
{
	const struct kind	*k = kind_of(err);

	return k->text != NULL ? k->text : err->text;
}

static void
put_reason(struct xmlw *w, const struct fault *f)
{
	char	hex[33], tail[48];

	hex_encode(f->id, 16, hex);
	snprintf(tail, sizeof(tail), " (request %s)", hex);
	xmlw_open(w, "s:Reason");
	xmlw_open(w, "s:Text");
	xmlw_attr_str(w, "xml:lang", "en-US");
	xmlw_text(w, slice_str(fault_text(f->err)));
	xmlw_text(w, slice_str(tail));
	xmlw_close(w);
	xmlw_close(w);
}

/*
 * All four, in this order, nil where empty; ErrorCode is an xs:int.
 * InvalidRequest says that a request was denied: of one that is not there
 * nobody has.
 */
static void
put_detail(struct xmlw *w, const struct fault *f)
{
	bool	denied = f->err->kind == ERR_DENIED &&
		    err_hresult(f->err) != CERTSRV_E_PROPERTY_EMPTY;

	xmlw_open(w, "s:Detail");
	xmlw_open(w, "CertificateEnrollmentWSDetail");
	xmlw_attr_str(w, "xmlns", NS_WSTEP);
	/* adcs-rs takes no detail without the first, which nothing needs. */
	xmlw_attr_str(w, "xmlns:xsd", NS_XSD);
	xmlw_attr_str(w, "xmlns:xsi", NS_XSI);
	if (f->response.n != 0) {
		xmlw_open(w, "BinaryResponse");
		xmlw_base64(w, f->response);
		xmlw_close(w);
	} else
		xmlw_nil(w, "BinaryResponse");
	xmlw_leaf_num(w, "ErrorCode", (int32_t)err_hresult(f->err));
	xmlw_leaf_bool(w, "InvalidRequest", denied);
	if (f->number != 0)
		xmlw_leaf_num(w, "RequestID", f->number);
	else
		xmlw_nil(w, "RequestID");
	xmlw_close(w);
	xmlw_close(w);
}

void
fault_write(struct xmlw *w, struct reply_head *head, const struct fault *f)
{
	const struct kind	*k = kind_of(f->err);
	bool			 detail = f->ces && k->detail;

	head->action = detail ? ACTION_DETAIL : k->action;
	envelope_begin(w, head);
	xmlw_open(w, "s:Fault");
	put_code(w, k, detail);
	put_reason(w, f);
	if (detail)
		put_detail(w, f);
	xmlw_close(w);
	envelope_end(w);
}
