# Part of demo.sh: ports, folders, database, CA, accounts, web server.  Each
# step is skipped when the state has its result.

# Nor chosen for another part of this stack.
free_port() {
	[[ " ${chosen-} " != *" $1 "* ]] &&
	    ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

take_port() {
	port=$1
	chosen="${chosen-} $(seq -s ' ' "$1" $(($1 + $2 - 1)))"
}

# Below the range from which Linux takes ports for clients.
PORTS=${PORTS:-10000-31999}

# Told, or as last time, or any of PORTS that is free; $4: how many in a row.
choose_port() {
	local told=$2 last=$3 n=$4 p i try from=${PORTS%-*} to=${PORTS#*-}
	if [ -n "$told" ]; then
		[[ $told =~ ^[1-9][0-9]{0,4}$ ]] || die "$1=$told is no port"
		for ((i = 0; i < n; i++)); do
			free_port $((told + i)) ||
			    die "$1: port $((told + i)) is in use"
		done
		take_port "$told" "$n"
		return
	fi
	for ((try = 0; try < 200; try++)); do
		p=${last:-$((from + (RANDOM << 15 | RANDOM) % (to - from + 1)))}
		last=
		for ((i = 0; i < n; i++)); do
			free_port $((p + i)) || continue 2
		done
		take_port "$p" "$n"
		return
	done
	die "no free port"
}

choose_ports() {
	local old_https= old_http= old_signer= old_cert= old_host= port
	if [ -e "$S/ports" ]; then
		read -r old_https old_http old_signer old_cert old_host \
		    <"$S/ports"
		host=${HOST:-${old_host:-$host}}
		# as many as it was set up with
		signers=$(find "$S/etc" -name 'signer-*.conf' | wc -l)
	fi
	[[ $host =~ ^[A-Za-z0-9.-]+$ ]] || die "HOST is \"$host\""
	choose_port HTTPS_PORT "${HTTPS_PORT-}" "$old_https" 1
	https_port=$port
	choose_port HTTP_PORT "${HTTP_PORT-}" "$old_http" 1
	http_port=$port
	choose_port CERT_PORT "${CERT_PORT-}" "$old_cert" 1
	cert_port=$port
	choose_port SIGNER_PORT "${SIGNER_PORT-}" "$old_signer" "$signers"
	first_signer_port=$port
	base_url=https://$host:$https_port
	cert_url=https://$host:$cert_port
	http_url=http://$host:$http_port
}

signer_port() { echo $((first_signer_port + $1 - 1)); }

# Sockets have short names or none: 107 bytes.
runtime_folder() {
	local base
	sock=$S/run short=
	if [ ${#sock} -gt 80 ] || [[ $sock =~ [^A-Za-z0-9_./-] ]]; then
		base=${XDG_RUNTIME_DIR:-/tmp}
		[ -w "$base" ] || base=/tmp
		# The name is in configuration files, so it cannot be random.
		short=$base/countersign-$(id -u)-$(printf %s "$S" |
		    sha256sum | cut -c 1-16)
		[ ! -L "$short" ] && mkdir -p -m 700 "$short" &&
		    [ -O "$short" ] || die "$short belongs to somebody else"
		chmod 700 "$short"
		sock=$short
	fi
	worker_sock=$sock/worker.sock
	rm -f "$worker_sock"
}

dsn() { echo "host=$sock port=5432 dbname=countersign user=$1"; }
query() { PGOPTIONS="-c client_min_messages=warning" "$pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# Whoever may enter the folder of the socket is us or root: no passwords.
set_up_database() {
	[ -e "$S/pg/ready" ] && return
	say "making the PostgreSQL cluster (2 s)"
	rm -rf "$S/pg"
	"$pgbin/initdb" -D "$S/pg" -U postgres -A trust -E UTF8 \
	    --locale=C --data-checksums >"$S/log/initdb.log" 2>&1 ||
	    die "initdb: see $S/log/initdb.log"
	cat >>"$S/pg/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_permissions = 0700
		dynamic_shared_memory_type = mmap
		fsync = on
		full_page_writes = on
		synchronous_commit = on
		log_line_prefix = '%m [%p] %u '
		timezone = 'UTC'
		log_timezone = 'UTC'
	CONF
	: >"$S/pg/ready"
}

# A file with the words of the template replaced: FILE NAME=VALUE...
render() {
	local text v
	text=$(cat "$1")
	shift
	for v in "$@"; do
		text=${text//"@${v%%=*}@"/"${v#*=}"}
	done
	printf '%s\n' "$text"
}

# What the state was made with and what it is now, where they differ.
move() {
	local was now f
	now="$https_port $http_port $first_signer_port $cert_port $host"
	was=$(cat "$S/ports")
	[ "$was" != "$now" ] || return 0
	say "another address than last time: changing configuration and policy"
	set -- $was
	set -- "$1" "$2" "$3" "${4:-none}" "${5:-localhost}"
	for f in "$S"/etc/*.conf; do
		sed -i -e "s|:$1/|:@a@/|g" -e "s|:$2/|:@b@/|g" \
		    -e "s|:$4/|:$cert_port/|g" \
		    -e "s|//${5//./\\.}:|//$host:|g" \
		    -e "s|\"${5//./\\.}\"|\"$host\"|g" \
		    -e "s|:@a@/|:$https_port/|g" -e "s|:@b@/|:$http_port/|g" \
		    "$f"
		for ((i = 0; i < signers; i++)); do
			sed -i "s|:$(($3 + i))\"|:@$i@\"|g" "$f"
		done
		for ((i = 0; i < signers; i++)); do
			sed -i "s|:@$i@\"|:$((first_signer_port + i))\"|g" "$f"
		done
	done
	cp "$S/etc/policy.conf" "$S/etc/policy-draft.conf"
	"${ctl[@]}" policy publish "$S/etc/policy-draft.conf" \
	    >>"$S/log/setup.log"
	move_hierarchy >>"$S/log/setup.log"
	echo "$now" >"$S/ports"
}

# What only a superuser may take away, as docs/operations.md has it.
migrate() {
	"${ctl[@]}" db migrate >>"$S/log/setup.log"
	query -h "$sock" -U postgres -d countersign -f sql/070_no_gifts.sql \
	    >>"$S/log/setup.log"
}

add_account() {
	local name=$1
	shift
	"${ctl[@]}" account list | grep -q "^$name[[:space:]]" ||
	    "${ctl[@]}" account add "$name" "$@"
}

# The CA's key in a PKCS#11 token, when it is told which one.
set_token() {
	token=()
	if [ -n "${CA_TOKEN-}" ]; then
		token=(--token "$CA_TOKEN" --module "$CA_MODULE"
		    --pin-file "$CA_PIN_FILE")
	fi
}

# Domain members log on with their tickets, when it is told with which keys.
set_kerberos() {
	local realm file conf=$S/etc/worker.conf
	kerberos=()
	[ -n "${KERBEROS_KEYTAB-}" ] || return 0
	file=$(realpath -m "$KERBEROS_KEYTAB")
	[ -r "$file" ] || die "KERBEROS_KEYTAB: $(id -un) cannot read $file"
	kerberos=(--kerberos-keytab "$file"
	    --kerberos-certificate "$S/tls/server.pem"
	    --kerberos-binding "${KERBEROS_BINDING:-require}")
	for realm in ${KERBEROS_REALM-}; do
		kerberos+=(--kerberos-realm "$realm")
	done
	[ -e "$S/ports" ] || return 0
	grep -q '^kerberos {' "$conf" ||
	    die "KERBEROS_KEYTAB: $S was set up without: clean it first"
	grep -qF "keytab = \"$file\"" "$conf" ||
	    die "KERBEROS_KEYTAB: it is another in $conf: change it there"
	for realm in ${KERBEROS_REALM-}; do
		grep 'realm = ' "$conf" | grep -qF "\"$realm\"" ||
		    die "KERBEROS_REALM: not in $conf: change it there"
	done
}

set_up_countersign() {
	local f name
	mkdir -p "$S/web/metrics"
	local token kerberos
	set_token
	set_kerberos
	if [ -e "$S/ports" ]; then
		migrate
		move
		return
	fi
	say "making configuration, keys and tables"
	rm -rf "$S/etc" "$S/keys" "$S/ca" "$S/ledger" "$S/root"
	query -h "$sock" -U postgres -d postgres <<-SQL
		DROP DATABASE IF EXISTS countersign;
		SELECT 'CREATE ROLE countersign_owner LOGIN CREATEROLE'
		    WHERE NOT EXISTS (SELECT FROM pg_roles
		    WHERE rolname = 'countersign_owner') \gexec
		CREATE DATABASE countersign OWNER countersign_owner;
	SQL
	"$bin/countersign" init "$S" --host "$host" --ca $ca \
	    --https-port "$https_port" --http-port "$http_port" \
	    --cert-port "$cert_port" \
	    --signer-port "$first_signer_port" --signers "$signers" \
	    "${token[@]}" "${kerberos[@]}" --dsn-host "$sock" \
	    --socket "$worker_sock" \
	    --sql-dir "$here/sql" \
	    --policy-template "$here/deploy/policy.conf.in" \
	    --processes "${PROCESSES:-2}" --threads "${THREADS:-16}" \
	    >"$S/log/setup.log"
	for f in "$S"/etc/signer-*.conf; do
		name=$(basename "$f" .conf)
		echo "metrics-file = \"$S/web/metrics/$name.prom\"" >>"$f"
	done
	echo "metrics-folder = \"$S/web/metrics\"" >>"$S/etc/worker.conf"
	migrate
	set_up_hierarchy >>"$S/log/setup.log"
	set_up_accounts >>"$S/log/setup.log"
	"${ctl[@]}" policy publish "$S/etc/policy-draft.conf" \
	    >>"$S/log/setup.log"
	echo "$https_port $http_port $first_signer_port $cert_port $host" \
	    >"$S/ports"
}

# On the root's host, which here is the folder root/: sign the last request.
# No address of the root in the issuing certificate: a client trusts it
# beforehand or not at all, and cepces stumbles over DER from there.
sign_request() {
	rm -f "$S/root/$ca.pem"
	"${ctl[@]}" ca sign-subordinate "$S/root/$root" "$S/ca/$ca.csr" \
	    --subject "CN=$ca" --cdp "$http_url/ca/$root.crl" \
	    -o "$S/root/$ca.pem"
}

set_up_hierarchy() {
	if [ "${CA_KEY-}" = rsa:2048 ]; then
		# too short for "ca request"; for measuring only
		"${ctl[@]}" ca create $ca --key rsa:2048 "${token[@]}"
		return
	fi
	say "making a root, in $S/root" >&2
	mkdir -m 700 "$S/root"
	"${ctl[@]}" ca create-root "$S/root/$root" --subject "CN=$ca Root" \
	    --key ec:P-384
	say "making an issuing CA, signed by the root" >&2
	"${ctl[@]}" ca request $ca --key "${CA_KEY:-ec:P-256}" \
	    --subject "CN=$ca" "${token[@]}"
	sign_request
	"${ctl[@]}" ca install $ca "$S/root/$ca.pem"
	"${ctl[@]}" ca root-crl "$S/root/$root" -o "$S/root/$root.crl"
	"${ctl[@]}" crl install $root "$S/root/$root.crl"
}

# The issuing certificate says where the root's list is.
move_hierarchy() {
	[ -d "$S/root" ] || return 0
	"${ctl[@]}" ca rollover $ca --same-key "${token[@]}"
	sign_request
	"${ctl[@]}" ca install $ca "$S/root/$ca.pem" --replace
}

set_up_accounts() {
	openssl rand -hex 12 >"$S/password"
	add_account demo --cn "Demo User" --dns demo.demo.example \
	    --upn demo@demo.example --email demo@demo.example \
	    --group users --group web-admins --group computers \
	    --password-file "$S/password"
	add_account webserver --machine --cn webserver --group web-admins \
	    --no-password
}

# The web server's own certificate comes from the CA like any other.
set_up_tls() {
	local d=$S/tls names
	mkdir -p "$d"
	if openssl x509 -in "$d/server.pem" -noout -checkend 2592000 \
	    >/dev/null 2>&1 && openssl x509 -in "$d/server.pem" -noout \
	    -checkhost "$host" | grep -q 'does match'; then
		return
	fi
	say "the web server enrolls for its certificate"
	names="DNS:$host"
	if [ "$host" = localhost ]; then
		names="$names,IP:127.0.0.1"
	fi
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$d/server.key" -subj "/CN=$host" \
	    -addext "subjectAltName=$names" -out "$d/server.csr" 2>/dev/null
	"${ctl[@]}" request submit --account webserver --template WebServer \
	    --csr "$d/server.csr" -o "$d/leaf.pem" >>"$S/log/setup.log"
	cat "$d/leaf.pem" "$S/ca/$ca.pem" >"$d/server.pem"
}

# Something for the demo user to log on with.
set_up_client() {
	local d=$S/tls
	if openssl x509 -in "$d/client.pem" -noout -checkend 2592000 \
	    >/dev/null 2>&1; then
		return
	fi
	say "the demo user enrolls for a client certificate"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$d/client.key" -subj "/CN=demo" -out "$d/client.csr" \
	    2>/dev/null
	"${ctl[@]}" request submit --account demo --template User \
	    --csr "$d/client.csr" -o "$d/client.pem" >>"$S/log/setup.log"
}

set_up_web() {
	local a
	"${ctl[@]}" ca export $ca --root -o "$S/root.pem"
	set_up_tls
	set_up_client
	"${ctl[@]}" ca page -o "$S/etc/page"
	deploy/site.sh "$S/web" "$S/etc/page"
	if [ "$host" = localhost ]; then
		a=127.0.0.1:
	else
		a=
	fi
	mkdir -p "$S/nginx"
	"${ctl[@]}" ca site --client-cas "$S/tls/client-cas.pem" \
	    --set "LISTEN_HTTPS=$a$https_port" --set "LISTEN_HTTP=$a$http_port" \
	    --set "LISTEN_CERT=$a$cert_port" \
	    --set "CLIENT_CAS=$S/tls/client-cas.pem" \
	    --set "CERTIFICATE=$S/tls/server.pem" \
	    --set "KEY=$S/tls/server.key" --set "WORKER=unix:$worker_sock" \
	    --set "WEB=$S/web" --set "RATE=${RATE:-100000}" \
	    --set "BURST=${RATE:-100000}" \
	    --set "CONNECTIONS=${CONNECTIONS:-4096}" --set INFLIGHT=3000 \
	    -o "$S/etc/site.conf" >>"$S/log/setup.log"
	render nginx/demo.conf.in "STATE=$S" \
	    >"$S/etc/nginx.conf"
}
