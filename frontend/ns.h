/* Namespaces and URIs that the two services read and write. */
#ifndef NS_H
#define NS_H

#define OASIS		"http://docs.oasis-open.org/"
#define WSS		OASIS "wss/2004/01/oasis-200401-wss-"
#define MS_PKI		"http://schemas.microsoft.com/windows/pki/2009/01/"

#define NS_SOAP		"http://www.w3.org/2003/05/soap-envelope"
#define NS_WSA		"http://www.w3.org/2005/08/addressing"
#define NS_WSSE		WSS "wssecurity-secext-1.0.xsd"
#define NS_WSU		WSS "wssecurity-utility-1.0.xsd"
#define NS_WST		OASIS "ws-sx/ws-trust/200512"
#define NS_WSTEP	MS_PKI "enrollment"
#define NS_XCEP		MS_PKI "enrollmentpolicy"
#define NS_AUTH		"http://schemas.xmlsoap.org/ws/2006/12/authorization"
#define NS_XSI		"http://www.w3.org/2001/XMLSchema-instance"
#define NS_XSD		"http://www.w3.org/2001/XMLSchema"
#define NS_DSIG		"http://www.w3.org/2000/09/xmldsig#"
#define NS_XENC		"http://www.w3.org/2001/04/xmlenc#"
#define NS_WCF		"http://schemas.microsoft.com/net/2005/12/" \
			"windowscommunicationfoundation/dispatcher"

/* [MS-XCEP] 3.1.4.1, [MS-WSTEP] 3.1.4 */
#define ACTION_GETPOLICIES	NS_XCEP "/IPolicy/GetPolicies"
#define ACTION_POLICIES		NS_XCEP "/IPolicy/GetPoliciesResponse"
#define ACTION_RST		NS_WSTEP "/RST/wstep"
#define ACTION_RSTRC		NS_WSTEP "/RSTRC/wstep"
#define ACTION_KET		NS_WST "/RST/KET"
#define ACTION_KET_FINAL	NS_WST "/RSTR/KETFinal"
#define ACTION_DETAIL		NS_WSTEP \
    "/RequestSecurityTokenCertificateEnrollmentWSDetailFault"
#define ACTION_WCF_FAULT	NS_WCF "/fault"
#define ACTION_WSA_FAULT	NS_WSA "/soap/fault"

#define TYPE_ISSUE		NS_WST "/Issue"
#define TYPE_KET		NS_WST "/KET"
#define TYPE_QUERY		NS_WSTEP "/QueryTokenStatus"
#define TOKEN_X509		WSS "x509-token-profile-1.0#X509v3"
#define VALUE_PKCS10		NS_WSTEP "#PKCS10"
#define VALUE_PKCS7		NS_WSSE "#PKCS7"
#define VALUE_PKCS7_MDE		NS_WSTEP "#PKCS7"
#define VALUE_PKCS7_WSS		WSS "x509-token-profile-1.0#PKCS7"
/* Lower-case b, and in wsse: [MS-WSTEP]'s own spelling. */
#define ENCODING_BASE64		NS_WSSE "#base64binary"
#define PASSWORD_TEXT		WSS "username-token-profile-1.0#PasswordText"

#endif
