#!/bin/bash
# Makes the folder that nginx serves: the landing page, what Windows imports,
# the CA certificates.
#
#	site.sh FOLDER PAGE
#
# PAGE is what "countersign ca page" has written. For example
#
#	countersign ca page -o page
#	site.sh /var/www/countersign page
#
# Where the policy has an address for Kerberos, the page speaks of it.
set -euo pipefail
umask 022

[ $# -eq 2 ] || { sed -n '5,10s/^#[ \t]\{0,1\}//p' "$0" >&2; exit 2; }
out=$1 page=$2
die() { printf 'site.sh: %s\n' "$*" >&2; exit 1; }

# Next to deploy/ in a checkout, next to this file when installed.
web=$(dirname "$0")/../web
[ -d "$web" ] || web=$(dirname "$0")/web

# Its head: words, the CA's certificate, its root's. The rest is HTML.
word() { sed -n "/^-->/q; s/^$1 //p" "$page"; }
nth_pem() {
	awk -v n="$1" '/^-->/ { exit } /^-----BEGIN/ { k++ } k == n' "$page"
}
policy_id=$(word '<!-- policy') ca=$(word ca)
base=$(word base) cert=$(word cert) http=$(word http)
cas=$(sed '1,/^-->/d' "$page")
[[ $policy_id =~ ^\{[0-9A-F-]{36}\}$ && $ca =~ ^[A-Za-z0-9._-]+$ ]] ||
    die "$page: not what \"countersign ca page\" of this version writes"
[[ $base =~ ^https://[A-Za-z0-9.-]+(:[0-9]+)?$ ]] || die "base url \"$base\""
[[ $http =~ ^http://[A-Za-z0-9.-]+(:[0-9]+)?$ ]] || die "http url \"$http\""
[[ $cert =~ ^https://[A-Za-z0-9.-]+(:[0-9]+)?$ ]] || die "cert url \"$cert\""

svc=/service.svc kbr=KeyBasedRenewal_ADPolicyProvider_CEP_Certificate
cep=$base/ADPolicyProvider_CEP_UsernamePassword$svc/CEP
ces=$base/${ca}_CES_UsernamePassword$svc/CES
host=${base#https://}

fingerprint() {
	openssl x509 -outform DER <<<"$1" | sha256sum | cut -c 1-64 |
	    tr a-f A-F
}

# As "ca page" has it; that of the CA, if several have one.
krb=$(grep -o '<dt>Enrollment, Kerberos</dt><dd><code>[^<]*' <<<"$cas" |
    sed 's/.*<code>//' | sort | grep -m 1 "/${ca}_CES_" || :)
cep_krb=
if [ -n "$krb" ]; then
	[[ $krb =~ ^https://[A-Za-z0-9.-]+(:[0-9]+)?/ ]] || die "url \"$krb\""
	cep_krb=${BASH_REMATCH[0]}ADPolicyProvider_CEP_Kerberos$svc/CEP
fi

# Windows names the key of a policy server after its address.
key_of() {
	printf %s "$1" | tr A-Z a-z | iconv -t UTF-16LE | sha1sum |
	    cut -c 1-40
}
ca_pem=$(nth_pem 1) root_pem=$(nth_pem 2)
root_sha256=$(fingerprint "$root_pem")
ca_sha256=$(fingerprint "$ca_pem")

# What stands between such lines is for those who have it.
choose() {
	local from='^\(<!--\|#\) kerberos\( -->\)\?$'
	local to='^\(<!--\|#\) \/kerberos\( -->\)\?$'
	if [ -n "$krb" ]; then
		sed -e "/$from/d" -e "/$to/d"
	else
		sed "/$from/,/$to/d"
	fi
}

# bytes as people read them aloud, four at a time
grouped() { printf %s "$1" | sed 's/..../& /g; s/ $//'; }

render() {
	local text v
	text=$(choose <"$1")
	shift
	for v in "$@" "BASE_URL=$base" "HTTP_URL=$http" "HOST=${host%:*}" "CA=$ca" \
	    "CERT_URL=$cert" "CES_CERT_URL=$cert/${ca}_CES_Certificate$svc/CES" \
	    "CEP_CERT_URL=$cert/ADPolicyProvider_CEP_Certificate$svc/CEP" \
	    "CEP_RENEWAL_URL=$cert/$kbr$svc/CEP" \
	    "CES_RENEWAL_URL=$base/${ca}_CES_Anonymous$svc/CES" \
	    "CEP_URL=$cep" "CES_URL=$ces" "POLICY_ID=$policy_id" \
	    "CEP_KERBEROS_URL=$cep_krb" "CES_KERBEROS_URL=$krb" \
	    "KERBEROS_URL=${cep_krb%%/ADPolicy*}" \
	    "KEY_KERBEROS=$(key_of "$cep_krb")" "KEY=$(key_of "$cep")" \
	    "ROOT_SHA256=$root_sha256" \
	    "ROOT_GROUPED=$(grouped "$root_sha256")" \
	    "CA_GROUPED=$(grouped "$ca_sha256")" "CAS=$cas"; do
		text=${text//"@${v%%=*}@"/"${v#*=}"}
	done
	printf '%s\n' "$text"
}

mkdir -p "$out/ca"
render "$web/index.html.in" >"$out/index.html"
cp "$web/style.css" "$web/copy.js" "$out"
# Both as Windows' own programs write them.
render "$web/countersign.ps1.in" | sed 's/$/\r/' >"$out/countersign.ps1"
reg() {
	printf '\377\376'
	render "$web/countersign.reg.in" "$@" | sed 's/$/\r/' |
	    iconv -t UTF-16LE
}
reg AUTH_FLAGS=00000004 >"$out/countersign.reg"
rm -f "$out/countersign-kerberos.reg"
if [ -n "$krb" ]; then
	reg "CEP_URL=$cep_krb" "KEY=$(key_of "$cep_krb")" \
	    AUTH_FLAGS=00000002 >"$out/countersign-kerberos.reg"
fi

printf '%s\n' "$root_pem" >"$out/ca/$ca-root.pem"
openssl x509 -outform DER -out "$out/ca/$ca-root.cer" <<<"$root_pem"
printf '%s\n' "$ca_pem" >"$out/ca/$ca.pem"
openssl x509 -outform DER -out "$out/ca/$ca.cer" <<<"$ca_pem"
openssl crl2pkcs7 -nocrl -certfile "$out/ca/$ca.pem" \
    -certfile "$out/ca/$ca-root.pem" -outform DER -out "$out/ca/$ca.p7b"
chmod 644 "$out"/*.* "$out"/ca/*
chmod 755 "$out" "$out/ca"
