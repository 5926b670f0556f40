#!/bin/bash
# Enrolls as a client would, with openssl and curl: demo-enroll.sh ENV-FILE.
# The messages are those of [MS-XCEP] 4.1 and [MS-WSTEP] 4.1.
set -euo pipefail
umask 077

. "$1"
dir=$(mktemp -d "$(dirname "$1")/enroll.XXXXXX")
trap 'rm -rf "$dir"' EXIT
name=www.demo.example

oasis=http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss
secext=$oasis-wssecurity-secext-1.0.xsd
trust=http://docs.oasis-open.org/ws-sx/ws-trust/200512
pki=http://schemas.microsoft.com/windows/pki/2009/01

# Address, action; the body comes on standard input.  Neither the password nor
# anything else secret is an argument of a program.
envelope() {
	local now expires
	now=$(date -u +%Y-%m-%dT%H:%M:%S.000Z)
	expires=$(date -u -d '+5 minutes' +%Y-%m-%dT%H:%M:%S.000Z)
	cat <<-XML
	<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
	    xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>
	<a:Action s:mustUnderstand="1">$2</a:Action>
	<a:MessageID>urn:uuid:$(cat /proc/sys/kernel/random/uuid)</a:MessageID>
	<a:To s:mustUnderstand="1">$1</a:To>
	<o:Security s:mustUnderstand="1" xmlns:o="$secext">
	<u:Timestamp u:Id="_0" xmlns:u="$oasis-wssecurity-utility-1.0.xsd">
	<u:Created>$now</u:Created><u:Expires>$expires</u:Expires>
	</u:Timestamp><o:UsernameToken><o:Username>$CS_USER</o:Username>
	<o:Password Type="$oasis-username-token-profile-1.0#PasswordText"
	>$CS_PASSWORD</o:Password></o:UsernameToken></o:Security></s:Header>
	<s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">$(cat)</s:Body>
	</s:Envelope>
	XML
}

# Shows the reason of a refusal and ends.
call() {
	local status
	envelope "$1" "$2" >"$dir/request.xml"
	status=$(curl -sS --noproxy '*' --cacert "$CS_ROOT_PEM" \
	    -H 'Content-Type: application/soap+xml; charset=utf-8' \
	    --data-binary "@$dir/request.xml" -o "$dir/reply.xml" \
	    -w '%{http_code}' "$1")
	if [ "$status" != 200 ]; then
		echo "refused (HTTP $status):" \
		    "$(elements Text <"$dir/reply.xml")" >&2
		exit 1
	fi
}

# The texts of all elements of that name, one a line.
elements() {
	tr -d '\n' | grep -oE "<([A-Za-z0-9]+:)?$1( [^>]*)?>[^<]*" |
	    sed 's/^[^>]*>//'
}

# Type of the token, its file, template.
submit() {
	local type="$pki/enrollment#PKCS10"
	[ "$1" = PKCS10 ] || type="$secext#$1"
	call "$CS_CES_URL" "$pki/enrollment/RST/wstep" <<-XML
	<RequestSecurityToken PreferredLanguage="en-US" xmlns="$trust">
	<TokenType>$oasis-x509-token-profile-1.0#X509v3</TokenType>
	<RequestType>$trust/Issue</RequestType>
	<BinarySecurityToken ValueType="$type"
	    EncodingType="$secext#base64binary"
	    xmlns="$secext">$(base64 -w 0 "$2")</BinarySecurityToken>
	<AdditionalContext
	    xmlns="http://schemas.xmlsoap.org/ws/2006/12/authorization">
	<ContextItem Name="CertificateTemplate"><Value>$3</Value>
	</ContextItem></AdditionalContext></RequestSecurityToken>
	XML
}

hex() {
	od -An -v -tx1 "$@" | tr -d ' \n'
}

unhex() {
	printf %b "$(echo "$1" | sed 's/../\\x&/g')"
}

# DER in hex: tag, content.
tlv() {
	local n=$((${#2} / 2)) size
	if [ "$n" -lt 128 ]; then
		size=$(printf %02x "$n")
	elif [ "$n" -lt 256 ]; then
		size=$(printf 81%02x "$n")
	else
		size=$(printf 82%04x "$n")
	fi
	printf %s "$1$size$2"
}

echo
echo "1. The policy: which templates may $CS_USER use?"
call "$CS_CEP_URL" "$pki/enrollmentpolicy/IPolicy/GetPolicies" <<XML
<GetPolicies xmlns="$pki/enrollmentpolicy"><client>
<lastUpdate xsi:nil="true"/><preferredLanguage xsi:nil="true"/></client>
<requestFilter xsi:nil="true"/></GetPolicies>
XML
echo "   policy     $(elements policyID <"$dir/reply.xml")"
echo "   templates  $(elements commonName <"$dir/reply.xml" | xargs)"
echo "   enroll at  $(elements uri <"$dir/reply.xml" | head -n 1)"

# Host name, template: a new key and its request.
new_request() {
	openssl req -new -newkey rsa:2048 -nodes -keyout "$dir/$2.key" \
	    -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -outform DER \
	    -out "$dir/request.der" 2>/dev/null
	submit PKCS10 "$dir/request.der" "$2"
}

# What became of the request with this number?
poll() {
	call "$CS_CES_URL" "$pki/enrollment/RST/wstep" <<-XML
	<RequestSecurityToken xmlns="$trust">
	<TokenType>$oasis-x509-token-profile-1.0#X509v3</TokenType>
	<RequestType>$pki/enrollment/QueryTokenStatus</RequestType>
	<RequestID xmlns="$pki/enrollment">$1</RequestID>
	</RequestSecurityToken>
	XML
}

show_answer() {
	echo "   request    $(elements RequestID <"$dir/reply.xml")"
	echo "   answer     $(elements DispositionMessage <"$dir/reply.xml")"
}

echo
echo "2. A key and a request for $name from template $CS_TEMPLATE"
new_request "$name" "$CS_TEMPLATE"

# The CMC answer comes first and holds the chain, the certificate second.
elements BinarySecurityToken <"$dir/reply.xml" >"$dir/tokens"
sed -n 1p "$dir/tokens" | tr -d ' \r' | base64 -d >"$dir/cmc.der"
sed -n 2p "$dir/tokens" | tr -d ' \r' | base64 -d |
    openssl x509 -inform DER -out "$dir/certificate.pem"
openssl pkcs7 -inform DER -in "$dir/cmc.der" -print_certs -out "$dir/chain.pem"
show_answer

echo
echo "3. The certificate"
openssl x509 -in "$dir/certificate.pem" -noout -text \
    -certopt no_pubkey,no_sigdump,no_header,ext_parse | sed 's/^/   /'
printf '   chain      '
openssl verify -purpose sslserver -verify_hostname "$name" \
    -CAfile "$CS_ROOT_PEM" -untrusted "$dir/chain.pem" \
    "$dir/certificate.pem" | sed 's/.*: //'
cp "$dir/certificate.pem" "$(dirname "$1")/$name.pem"
echo "   kept as    $(dirname "$1")/$name.pem"

echo
echo "4. Template $CS_TEMPLATE_APPROVAL: somebody must approve"
new_request "approved.demo.example" "$CS_TEMPLATE_APPROVAL"
show_answer
number=$(elements RequestID <"$dir/reply.xml")
echo "   operator   countersign request approve $number --reason demo"
eval "$CS_CTL" request approve "$number" --reason demo >/dev/null
poll "$number"
show_answer
elements BinarySecurityToken <"$dir/reply.xml" | sed -n 2p | tr -d ' \r' |
    base64 -d | openssl x509 -inform DER -noout -subject |
    sed 's/^subject=/   subject    /'

# [MS-WCCE] 3.1.1.4.3: the PKCS#10 names the old certificate in an attribute,
# which "openssl req" cannot write, and the old key signs it all.
echo
echo "5. $name is renewed with a new key, signed with the old one"
openssl req -new -newkey rsa:2048 -nodes -keyout "$dir/new.pem" \
    -subj "/CN=$name" -outform DER -out "$dir/new.der" 2>/dev/null
openssl asn1parse -inform DER -in "$dir/new.der" -strparse 4 \
    -out "$dir/info.der" -noout
info=$(hex "$dir/info.der")
info=${info#3082????}				# its SEQUENCE
info=${info%a000}				# no attributes so far
old=$(openssl x509 -in "$dir/certificate.pem" -outform DER | hex)
attribute=$(tlv 30 "06092b0601040182370d01$(tlv 31 "$old")")
info=$(tlv 30 "$info$(tlv a0 "$attribute")")
unhex "$info" >"$dir/info.der"
sig=$(openssl dgst -sha256 -sign "$dir/new.pem" "$dir/info.der" | hex)
rsa_sha256=300d06092a864886f70d01010b0500
unhex "$(tlv 30 "$info$rsa_sha256$(tlv 03 "00$sig")")" >"$dir/renewal.der"
openssl cms -sign -binary -nodetach -nosmimecap -md sha256 -outform DER \
    -in "$dir/renewal.der" -signer "$dir/certificate.pem" \
    -inkey "$dir/$CS_TEMPLATE.key" -out "$dir/renewal.cms"
submit PKCS7 "$dir/renewal.cms" "$CS_TEMPLATE"
elements BinarySecurityToken <"$dir/reply.xml" | sed -n 2p | tr -d ' \r' |
    base64 -d | openssl x509 -inform DER -out "$dir/certificate.pem"
number=$(elements RequestID <"$dir/reply.xml")
show_answer
openssl x509 -in "$dir/certificate.pem" -noout -serial | sed 's/.*=/   serial     /'
eval "$CS_CTL request show $number" | grep -E '^ *(renews|chain)' |
    sed 's/^ */   /'
cp "$dir/certificate.pem" "$(dirname "$1")/$name.pem"
