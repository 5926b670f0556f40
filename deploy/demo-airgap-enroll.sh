#!/bin/bash
# One round over an air gap, and a client that polls: demo-airgap-enroll.sh
# ENV-FILE.
set -euo pipefail
umask 077

. deploy/demo-client.sh
ctl=$CS_CTL
CS_CES_URL=$CS_VAULT_CES_URL

# A program of the vault: no network, not even loopback.
in_vault() {
	if [ "$(id -u)" -eq 0 ]; then unshare -n "$@"; else unshare -rn "$@"; fi
}
vault() {
	in_vault "$CS_VAULT_SIGNER" -c "$CS_VAULT_CONF" airgap "$@"
}

echo
echo "1. A request whose CA key has no network"
new_request www.demo.example VaultServer
show_answer
number=$(elements RequestID <"$dir/reply.xml")

echo
echo "2. The desk writes a bundle to the stick"
eval "$ctl" airgap export "$CS_STICK/requests.bundle" | sed 's/^/   /'

echo
echo "3. The vault sees the stick, and no network:"
in_vault cat /proc/net/dev | sed -n 's/^/   /; 3,$p'
vault sign --list --yes -o "$CS_STICK/responses.bundle" \
    "$CS_STICK/requests.bundle" | sed 's/^/   /'

echo
echo "4. The desk takes the answer"
eval "$ctl" airgap import "$CS_STICK/responses.bundle" | sed 's/^/   /'

echo
echo "5. The client asks what became of request $number"
poll "$number"
show_answer
elements BinarySecurityToken <"$dir/reply.xml" >"$dir/tokens"
sed -n 1p "$dir/tokens" | tr -d ' \r' | base64 -d >"$dir/cmc.der"
sed -n 2p "$dir/tokens" | tr -d ' \r' | base64 -d |
    openssl x509 -inform DER -out "$dir/certificate.pem"
openssl pkcs7 -inform DER -in "$dir/cmc.der" -print_certs \
    -out "$dir/chain.pem"
openssl x509 -in "$dir/certificate.pem" -noout -subject -issuer -serial |
    sed 's/^/   /'
printf '   chain and list  '
curl -sS -f --noproxy '*' -o "$dir/list.der" "$CS_VAULT_CRL_URL"
openssl crl -inform DER -in "$dir/list.der" -out "$dir/list.pem"
openssl verify -purpose sslserver -verify_hostname www.demo.example \
    -crl_check -CRLfile "$dir/list.pem" -CAfile "$CS_VAULT_ROOT_PEM" \
    -untrusted "$dir/chain.pem" "$dir/certificate.pem" | sed 's/.*: //'
cp "$dir/certificate.pem" "$(dirname "$1")/www.demo.example.pem"
echo "   kept as    $(dirname "$1")/www.demo.example.pem"
