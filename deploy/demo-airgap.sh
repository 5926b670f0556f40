# Part of demo.sh: a second CA whose key lies in a vault, a folder that only
# programs in a network namespace without interfaces open.  A third folder is
# the stick.  See docs/airgap.md.

vault_ca=Vault-CA
vault=("$bin/countersign-signer" -c "$S/vault/signer.conf")

# A program of the vault: its namespace has no way out, not even loopback up.
in_vault() {
	if [ "$(id -u)" -eq 0 ]; then
		unshare -n "$@"
	else
		unshare -rn "$@"
	fi
}

# Whatever the vault's officer uses to make a CA: here, openssl.
make_vault_ca() {
	local d=$S/vault
	openssl rand -hex 24 >"$d/ca.pass"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$d/root.key" -subj "/CN=$vault_ca Root" -days 7300 \
	    -addext "keyUsage=critical,keyCertSign,cRLSign" \
	    -out "$d/root.pem" 2>/dev/null
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
	    -aes-256-cbc -pass "file:$d/ca.pass" -out "$d/ca.key" 2>/dev/null
	openssl req -new -key "$d/ca.key" -passin "file:$d/ca.pass" \
	    -subj "/CN=$vault_ca" -out "$d/ca.csr"
	openssl x509 -req -in "$d/ca.csr" -CA "$d/root.pem" \
	    -CAkey "$d/root.key" -CAcreateserial -days 3650 -out "$d/ca.pem" \
	    -extfile <(printf '%s\n' 'basicConstraints=critical,CA:TRUE,pathlen:0' \
	    'keyUsage=critical,keyCertSign,cRLSign' \
	    'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid') \
	    2>/dev/null
	rm -f "$d/root.key" "$d/ca.csr"
}

vault_template() {
	cat <<-CONF
	template "$1" {
		oid = "1.3.6.1.4.1.311.21.8.7283641.2290831.9716535.4406710.8125073.2.$2"
		version = "100.1"
		ca = {"$vault_ca"}
		type = $3
		schema = 3
		validity = 1y
		renewal = 6w
		enroll = {"$4"}
		keys = {"rsa:2048", "ec:P-256", "ec:P-384"}
		providers = {"Microsoft Software Key Storage Provider"}
		hash = sha256
		key-usage = {"digital-signature"}
		exportable = false
	$(cat)
	}
	CONF
}

vault_policy() {
	cat <<-CONF

	# Its key is behind an air gap: no ocsp, and lists that last.
	ca "$vault_ca" {
		uri "password" {
			uri = "$base_url/${vault_ca}_CES_UsernamePassword/service.svc/CES"
			priority = 4
		}
		uri "certificate" {
			uri = "$cert_url/${vault_ca}_CES_Certificate/service.svc/CES"
			priority = 3
		}
		aia = {"$http_url/ca/{key}.cer"}
		cdp = {"$http_url/ca/{key}.crl"}
		crl-validity = 10d
		crl-overlap = 1d
	}
	CONF
	vault_template VaultUser 1 user users <<-CONF
		names = account
		subject = {"common-name"}
		san = {"upn?", "email?"}
		eku = {"client-authentication"}
	CONF
	vault_template VaultMachine 4 machine computers <<-CONF
		names = account
		subject = {"dns"}
		san = {"dns"}
		eku = {"client-authentication", "server-authentication"}
	CONF
	vault_template VaultServer 2 machine web-admins <<-CONF
		names = request
		name-rules = {"web-hosts"}
		eku = {"server-authentication"}
	CONF
	vault_template VaultApproval 3 machine web-admins <<-CONF
		names = request
		name-rules = {"web-hosts"}
		eku = {"server-authentication"}
		approval = manager
		approvers = {"managers"}
	CONF
}

vault_conf() {
	cat <<-CONF
	# countersign-signer airgap: see countersign-signer(8)
	name = "vault"
	policy = "$S/vault/policy.conf"
	ledger = "$S/vault/ledger"
	airgap {
		key-file = "$S/vault/airgap.key"
		peer-key = "$S/vault/desk.pub"
		state = "$S/vault/state"
		prefix = $1
	}
	ca "$vault_ca" {
		certificate = "$S/vault/ca.pem"
		chain = "$S/vault/root.pem"
		key = "$S/vault/ca.key"
		passphrase-file = "$S/vault/ca.pass"
	}
	CONF
}

# Keys cross once; here nobody compares the fingerprints that init prints.
exchange_keys() {
	local prefix
	printf '\nairgap {\n\tkey-file = "%s"\n\tpeer-key = "%s"\n}\n' \
	    "$S/keys/airgap.key" "$S/keys/vault.pub" >>"$S/etc/countersign.conf"
	prefix=$("${ctl[@]}" --json airgap init --vault vault \
	    -o "$S/vault/desk.pub" | grep -oE '"prefix": *[0-9]+')
	vault_conf "${prefix##*[!0-9]}" >"$S/vault/signer.conf"
	in_vault "${vault[@]}" airgap init | tee -a "$S/log/setup.log" |
	    sed -n '/BEGIN/,/END/p' >"$S/keys/vault.pub"
}

# Before the signers start.
set_up_airgap() {
	local f
	if [ ! -e "$S/vault/signer.conf" ]; then
		say "making a CA behind an air gap"
		mkdir -p "$S/vault/ledger" "$S/vault/state" "$S/stick"
		make_vault_ca
		"${ctl[@]}" ca import $vault_ca --cert "$S/vault/ca.pem" \
		    --chain "$S/vault/root.pem" --airgap >>"$S/log/setup.log"
		vault_policy >>"$S/etc/policy-draft.conf"
		"${ctl[@]}" policy publish "$S/etc/policy-draft.conf" \
		    >>"$S/log/setup.log"
		for f in "$S"/etc/signer-*.conf; do
			printf '\nca "%s" {\n\tcertificate = "%s"\n\tchain = "%s"\n\tairgap = true\n}\n' \
			    $vault_ca "$S/ca/$vault_ca.pem" \
			    "$S/ca/$vault_ca.chain.pem" >>"$f"
		done
		exchange_keys
	fi
	# the officer reads it and installs it
	cp "$S/etc/policy.conf" "$S/vault/policy.conf"
}

write_airgap_env() {
	assign CS_VAULT_CES_URL \
	    "$base_url/${vault_ca}_CES_UsernamePassword/service.svc/CES"
	assign CS_VAULT_CES_CERT_URL \
	    "$cert_url/${vault_ca}_CES_Certificate/service.svc/CES"
	assign CS_VAULT_CONF "$S/vault/signer.conf"
	assign CS_VAULT_ROOT_PEM "$S/vault/root.pem"
	assign CS_VAULT_CRL_URL "$http_url/ca/$vault_ca.crl"
	assign CS_VAULT_SIGNER "$bin/countersign-signer"
	assign CS_STICK "$S/stick"
}
