/* Faults: the table, the order, and what never leaves the house. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "hresult.h"
#include "ns.h"

#define ID	"00112233445566778899aabbccddeeff"

static const uint8_t	id[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
    0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
static struct xmlw	out;

static const char *
written(const struct err *err, bool ces)
{
	struct reply_head	h = { .relates_to = slice_str("urn:1") };
	struct fault		f = { .err = err, .id = id, .ces = ces };

	xmlw_free(&out);
	fault_write(&out, &h, &f);
	return buf_str(&out.b);
}

static void
test_table(void **state)
{
	static const struct {
		enum err_kind	 kind;
		const char	*code, *subcode, *action;
		bool		 secret;
	} t[] = {
		{ ERR_MALFORMED, "s:Sender", NULL, ACTION_WSA_FAULT, false },
		{ ERR_TOO_BIG, "s:Sender", NULL, ACTION_WSA_FAULT, false },
		{ ERR_UNAUTHENTICATED, "s:Sender", "o:FailedAuthentication",
		    ACTION_WSA_FAULT, true },
		{ ERR_NO_SECURITY, "s:Sender", "o:InvalidSecurity",
		    ACTION_WSA_FAULT, false },
		{ ERR_NOT_UNDERSTOOD, "s:MustUnderstand", NULL,
		    ACTION_WSA_FAULT, false },
		{ ERR_VERSION, "s:VersionMismatch", NULL, ACTION_WSA_FAULT,
		    false },
		{ ERR_DESTINATION, "s:Sender", "a:DestinationUnreachable",
		    ACTION_WSA_FAULT, false },
		{ ERR_ACTION, "s:Sender", "a:ActionNotSupported",
		    ACTION_WSA_FAULT, false },
		{ ERR_UNAVAILABLE, "s:Receiver", "d:InternalServiceFault",
		    ACTION_WCF_FAULT, true },
		{ ERR_INTERNAL, "s:Receiver", "d:InternalServiceFault",
		    ACTION_WCF_FAULT, true },
	};
	struct err	 err;
	const char	*s;
	char		 want[200];
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		err = (struct err)ERR_INIT;
		err_set(&err, t[i].kind, "the <inner> text");
		s = written(&err, false);
		snprintf(want, sizeof(want), "<s:Code><s:Value>%s</s:Value>",
		    t[i].code);
		assert_non_null(strstr(s, want));
		if (t[i].subcode != NULL)
			assert_non_null(strstr(s, t[i].subcode));
		else
			assert_null(strstr(s, "Subcode"));
		snprintf(want, sizeof(want), ">%s</a:Action>", t[i].action);
		assert_non_null(strstr(s, want));
		assert_int_equal(strstr(s, "the &lt;inner&gt; text") == NULL,
		    t[i].secret);
		assert_non_null(strstr(s, " (request " ID ")</s:Text>"));
		assert_null(strstr(s, "Detail"));
		assert_non_null(strstr(s, "<a:RelatesTo>urn:1<"));
	}
}

static void
test_detail(void **state)
{
	struct reply_head	 h = { .timestamp = true };
	struct err		 err = ERR_INIT;
	struct fault		 f = { .err = &err, .id = id, .ces = true,
				    .response = slice_str("abc"),
				    .number = 368 };

	(void)state;
	err_deny(&err, CERTSRV_E_BAD_TEMPLATE_VERSION, "too new");
	xmlw_free(&out);
	fault_write(&out, &h, &f);
	assert_non_null(strstr(buf_str(&out.b), "<s:Code><s:Value>s:Receiver"
	    "</s:Value></s:Code><s:Reason><s:Text xml:lang=\"en-US\">too new "
	    "(request " ID ")</s:Text></s:Reason><s:Detail>"
	    "<CertificateEnrollmentWSDetail xmlns=\"" NS_WSTEP
	    "\" xmlns:xsd=\"" NS_XSD "\" xmlns:xsi=\"" NS_XSI
	    "\"><BinaryResponse>YWJj"
	    "</BinaryResponse><ErrorCode>-2146875385</ErrorCode>"
	    "<InvalidRequest>true</InvalidRequest><RequestID>368</RequestID>"
	    "</CertificateEnrollmentWSDetail></s:Detail></s:Fault>"));
	assert_non_null(strstr(buf_str(&out.b), ">" ACTION_DETAIL "<"));
	assert_non_null(strstr(buf_str(&out.b), "<u:Timestamp"));
	assert_null(strstr(buf_str(&out.b), "RelatesTo"));
	/* An action that is none is refused as AD CS does. */
	err = (struct err)ERR_INIT;
	err_set(&err, ERR_ACTION, "no");
	xmlw_free(&out);
	fault_write(&out, &h, &f);
	assert_non_null(strstr(buf_str(&out.b), ">" ACTION_DETAIL "<"));
	assert_null(strstr(buf_str(&out.b), "Subcode"));
	assert_non_null(strstr(buf_str(&out.b), "<ErrorCode>-2147024809<"));
}

static void
test_nils(void **state)
{
	struct err	 err = ERR_INIT;

	(void)state;
	err_bad(&err, HR_INVALID_ARG, "EncodingType");
	assert_non_null(strstr(written(&err, true),
	    "<BinaryResponse xsi:nil=\"true\"/><ErrorCode>-2147024809"
	    "</ErrorCode><InvalidRequest>false</InvalidRequest>"
	    "<RequestID xsi:nil=\"true\"/>"));
	err = (struct err)ERR_INIT;
	err_deny(&err, CERTSRV_E_PROPERTY_EMPTY, "no request with this id");
	assert_non_null(strstr(written(&err, true),
	    "<ErrorCode>-2146877436</ErrorCode><InvalidRequest>false<"));
	err = (struct err)ERR_INIT;
	err_set(&err, ERR_UNAVAILABLE, "no signer answered");
	assert_non_null(strstr(written(&err, true),
	    "<ErrorCode>-2147023659</ErrorCode>"));	/* ERROR_RETRY */
	assert_null(strstr(buf_str(&out.b), "no signer"));
	/* Who has not proven who he is gets no detail. */
	err = (struct err)ERR_INIT;
	err_set(&err, ERR_UNAUTHENTICATED, "alice: wrong password");
	assert_null(strstr(written(&err, true), "Detail"));
	assert_null(strstr(buf_str(&out.b), "alice"));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_nils),
	};
	int			failed;

	failed = cmocka_run_group_tests_name("fault", tests, NULL, NULL);
	xmlw_free(&out);
	return failed;
}
