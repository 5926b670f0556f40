# Part of the demos: a client, with openssl and curl.  The messages are those
# of [MS-XCEP] 4.1 and [MS-WSTEP] 4.1.  $1 is the env file; $dir is for files.
. "$1"
dir=$(mktemp -d "$(dirname "$1")/enroll.XXXXXX")
trap 'rm -rf "$dir"' EXIT
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
