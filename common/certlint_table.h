/*
 * ROW(name, section, what is wrong, predicate): every rule, the first broken
 * one is told.  Included twice by certlint.c.
 */
ROW("form", RFC "4.1", "is no TBSCertificate", bad_form)
ROW("der", "[X.690] 10, 11", "is not strict DER", bad_der)
ROW("size", RFC "4.1", "has more than 16384 octets", bad_size)
ROW("version", RFC "4.1.2.1", "is not version 3", bad_version)
ROW("serial-positive", RFC "4.1.2.2",
	"serial number is negative", serial_negative)
ROW("serial-zero", RFC "4.1.2.2", "serial number is zero", serial_zero)
ROW("serial-length", RFC "4.1.2.2",
	"serial number has more than 20 octets", serial_long)
ROW("serial-entropy", "[BR] 7.1",
	"serial number is too short to be unpredictable", serial_short)
ROW("signature-algorithm", RFC "4.1.1.2",
	"signature algorithm is none of ours", sig_algorithm)
ROW("signature-parameters", "[RFC4055] 5, [RFC5758] 3.2",
	"signature parameters are wrong", sig_parameters)
ROW("signature-outer", RFC "4.1.1.2", "signature algorithms differ", sig_outer)
ROW("signature-key", RFC "4.1.1.2",
	"the issuer's key makes no such signature", sig_issuer_key)
ROW("issuer-empty", RFC "4.1.2.4", "issuer is empty", issuer_empty)
ROW("issuer-bytes", RFC "7.1", "issuer is not the ca's subject", issuer_other)
ROW("time-form", RFC "4.1.2.5.1", "a time is not in its form", time_form)
ROW("time-type", RFC "4.1.2.5",
	"a time has the type of another century", time_type)
ROW("validity-order", RFC "4.1.2.5", "ends before it begins", validity_order)
ROW("validity-endless", RFC "4.1.2.5", "never ends", validity_endless)
ROW("validity-begin", RFC "6.1.3", "begins before the ca", validity_begin)
ROW("validity-end", RFC "6.1.3", "ends after the ca", validity_end)
ROW("unique-ids", RFC "4.1.2.8", "has unique identifiers", unique_ids)
ROW("subject-rdn", RFC "4.1.2.4", "subject has an empty rdn", lint_empty_rdn)
ROW("subject-rdn-count", RFC "4.1.2.6",
	"subject has more than 24 rdns", lint_rdn_count)
ROW("subject-value", RFC "4.1.2.6",
	"subject has an empty value", lint_empty_value)
ROW("subject-string", RFC "4.1.2.6",
	"subject has a string of another type", lint_string_type)
ROW("subject-printable", RFC "A.1", "a PrintableString is not", lint_printable)
ROW("subject-utf8", RFC "4.1.2.4", "a UTF8String is not", lint_utf8)
ROW("subject-ia5", RFC "4.1.2.6", "an IA5String is not", lint_ia5)
ROW("subject-control", RFC "7.1",
	"subject has control characters", lint_control)
ROW("subject-country", "[X.520] 6.3.1",
	"country is not two letters", lint_country)
ROW("subject-bounds", RFC "A.1",
	"a value of the subject is too long", lint_bounds)
ROW("subject-repeated", "[X.501] 9.3",
	"an rdn has an attribute twice", lint_repeated_attr)
ROW("key-algorithm", RFC "4.1.2.7",
	"public key is neither rsa nor ec", key_algorithm)
ROW("key-unused-bits", RFC "4.1.2.7",
	"public key has unused bits", key_unused_bits)
ROW("rsa-parameters", "[RFC3279] 2.3.1",
	"rsa parameters are not NULL", rsa_parameters)
ROW("rsa-positive", "[RFC8017] 3.1",
	"modulus or exponent is negative", rsa_positive)
ROW("rsa-size", "[SP800-131A] 3", "modulus has less than 2048 bits", rsa_size)
ROW("rsa-octets", "[BR] 6.1.5", "modulus is not of whole octets", rsa_octets)
ROW("rsa-large", "[security] A6", "modulus has more than 8192 bits", rsa_large)
ROW("rsa-even", "[BR] 6.1.6", "modulus is even", rsa_even)
ROW("rsa-exponent-even", "[BR] 6.1.6", "exponent is even", rsa_exponent_even)
ROW("rsa-exponent-small", "[SP800-89] 5.3.3",
	"exponent is below 65537", rsa_exponent_small)
ROW("rsa-exponent-large", "[SP800-89] 5.3.3",
	"exponent is above 2^256", rsa_exponent_large)
ROW("ec-curve", "[RFC5480] 2.1.1",
	"curve is none of P-256, P-384, P-521", ec_curve)
ROW("ec-point", "[RFC5480] 2.2",
	"point is not in the uncompressed form", ec_point)
ROW("key-of-ca", "[security] A6", "public key is the ca's own", key_of_ca)
ROW("extensions", RFC "4.1.2.9", "has no extensions", no_extensions)
ROW("extension-twice", RFC "4.2", "has an extension twice", ext_twice)
ROW("extension-default", "[X.690] 11.5", "writes critical FALSE", ext_default)
ROW("extension-critical", RFC "4.2",
	"has an unknown critical extension", ext_critical)
ROW("extension-unknown", RFC "4.2",
	"has an extension that is none of ours", ext_unknown)
ROW("extension-form", RFC "4.2",
	"has an extension with another content", ext_form)
ROW("ca", RFC "4.2.1.9", "is a ca's", ca_true)
ROW("ca-path", RFC "4.2.1.9", "has a path length", ca_path)
ROW("usage-empty", RFC "4.2.1.3", "key usage is empty", ku_empty)
ROW("usage-minimal", "[X.690] 11.2.2",
	"key usage has trailing zero bits", ku_minimal)
ROW("usage-cert-sign", RFC "4.2.1.3", "key usage has keyCertSign", ku_cert_sign)
ROW("usage-crl-sign", RFC "4.2.1.3", "key usage has cRLSign", ku_crl_sign)
ROW("usage-rsa", "[RFC3279] 2.3.1", "an rsa key agrees on nothing", ku_rsa)
ROW("usage-ec", "[RFC8813] 3", "an ec key enciphers nothing", ku_ec)
ROW("usage-only", RFC "4.2.1.3", "encipherOnly or decipherOnly alone", ku_only)
ROW("purpose", RFC "4.2.1.12", "has no extended key usage", eku_absent)
ROW("purpose-empty", RFC "4.2.1.12", "extended key usage is empty", eku_empty)
ROW("purpose-any", RFC "4.2.1.12", "is for any purpose", eku_any)
ROW("purpose-any-ms", "[MS-WCCE] 2.2.2.7.7",
	"is for any application policy", eku_any_app)
ROW("purpose-twice", RFC "4.2.1.12", "has a purpose twice", eku_twice)
ROW("purpose-client", RFC "4.2.1.12",
	"key usage is not one for clients", eku_client)
ROW("purpose-server", RFC "4.2.1.12",
	"key usage is not one for servers", eku_server)
ROW("purpose-ocsp", "[RFC6960] 4.2.2.2",
	"OCSPSigning is for responders alone", eku_ocsp)
ROW("nocheck", "[RFC6960] 4.2.2.2.1",
	"ocsp-nocheck is for responders alone", nocheck)
ROW("application-count", "[MS-WCCE] 2.2.2.7.7.3",
	"application policies are not the purposes", app_same)
ROW("application-other", "[MS-WCCE] 2.2.2.7.7.3",
	"an application policy is no purpose of it", app_other)
ROW("ski", RFC "4.2.1.2", "has no subject key identifier", ski_absent)
ROW("ski-critical", RFC "4.2.1.2",
	"subject key identifier is critical", ski_critical)
ROW("ski-value", RFC "4.2.1.2",
	"subject key identifier is not the key's hash", ski_value)
ROW("aki", RFC "4.2.1.1", "has no authority key identifier", aki_absent)
ROW("aki-critical", RFC "4.2.1.1",
	"authority key identifier is critical", aki_critical)
ROW("aki-halves", RFC "4.2.1.1",
	"authority's issuer without its number", aki_halves)
ROW("aki-value", RFC "4.2.1.1",
	"authority key identifier is not the ca's", aki_other)
ROW("name", RFC "4.1.2.6", "has neither subject nor alternative name", no_name)
ROW("san-critical", RFC "4.2.1.6",
	"criticality of the alternative names", san_critical)
ROW("san-empty", RFC "4.2.1.6", "has an empty alternative name", lint_san_empty)
ROW("san-kind", RFC "4.2.1.6",
	"has an alternative name of another kind", lint_san_kinds)
ROW("san-ascii", RFC "4.2.1.6",
	"an alternative name is not ascii", lint_san_ascii)
ROW("san-dns-name", "[RFC1034] 3.5", "a dNSName is no host name", lint_san_dns)
ROW("san-email", RFC "4.2.1.6", "an rfc822Name is no mailbox", lint_san_email)
ROW("san-uri", RFC "4.2.1.6", "a URI is not absolute", lint_san_uri)
ROW("san-ip", RFC "4.2.1.6",
	"an iPAddress has neither 4 nor 16 octets", lint_san_ip)
ROW("san-other", RFC "4.2.1.6", "an otherName has no value", lint_san_other)
ROW("san-directory", RFC "4.2.1.6",
	"a directoryName is empty", lint_san_directory)
ROW("san-twice", RFC "4.2.1.6", "has an alternative name twice", lint_san_twice)
ROW("cdp-critical", RFC "4.2.1.13",
	"distribution points are critical", cdp_critical)
ROW("cdp-empty", RFC "4.2.1.13",
	"has no distribution point in its list", cdp_empty)
ROW("cdp-point", RFC "4.2.1.13", "a distribution point has no URI", cdp_point)
ROW("aia-critical", RFC "4.2.2.1",
	"authority information is critical", aia_critical)
ROW("aia-empty", RFC "4.2.2.1", "authority information is empty", aia_empty)
ROW("aia-method", RFC "4.2.2.1",
	"authority information of another kind", aia_method)
ROW("uri-form", RFC "4.2.1.13",
	"an address is neither http nor ldap", lint_uri_form)
ROW("policies-empty", RFC "4.2.1.4",
	"certificate policies are empty", policies_empty)
ROW("policies-twice", RFC "4.2.1.4", "has a policy twice", policies_twice)
ROW("policies-any", RFC "4.2.1.4", "asserts anyPolicy", policies_any)
ROW("policies-qualified", RFC "4.2.1.4",
	"a policy has qualifiers", policies_qualified)
ROW("smime-critical", "[RFC4262] 2",
	"S/MIME capabilities are critical", smime_critical)
ROW("template-two", "[MS-WCCE] 2.2.2.7.7.2",
	"names its template twice", template_two)
ROW("template-critical", "[MS-WCCE] 2.2.2.7.7",
	"a Microsoft extension is critical", template_critical)
