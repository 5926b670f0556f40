#!/bin/bash
# Enrolls as a client would: demo-enroll.sh ENV-FILE.
set -euo pipefail
umask 077

. deploy/demo-client.sh
name=www.demo.example

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
# Two tiers: the lists of both are where the certificates say.
ca=${CS_CES_URL#*://*/}
ca=${ca%%_CES_*}
eval "$CS_CTL ca export $ca" >"$dir/ca.pem"
openssl x509 -in "$dir/ca.pem" -noout -issuer | sed 's/^issuer=/   root       /'
for f in certificate ca; do
	url=$(openssl x509 -in "$dir/$f.pem" -noout \
	    -ext crlDistributionPoints | sed -n 's/^ *URI://p')
	echo "   list       $url"
	curl -sSf --noproxy '*' "$url" | openssl crl -inform DER \
	    >>"$dir/lists.pem"
done
printf '   chain      '
openssl verify -purpose sslserver -verify_hostname "$name" -crl_check_all \
    -CRLfile "$dir/lists.pem" -CAfile "$CS_ROOT_PEM" \
    -untrusted "$dir/chain.pem" "$dir/certificate.pem" | sed 's/.*: //'
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
eval "$CS_CTL request show $number" | awk -F': *' \
    '$1 == "renews" || $1 == "chain" { printf "   %-11s%s\n", $1, $2 }'
cp "$dir/certificate.pem" "$(dirname "$1")/$name.pem"
