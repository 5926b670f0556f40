#!/bin/bash
# A whole deployment in one folder: demo.sh demo|airgap|run|clean.
#
# demo: set up, start, enroll once, show the certificate, stop.
# airgap: the same with a CA whose key is in a vault (AIRGAP=1 with run, too).
# run: the same left running until Ctrl-C.  clean: stop it and remove it.
#
# STATE (var/demo) holds everything: database, CA, keys, ledger, logs.  BUILD
# (build) holds the programs.  HOST, HTTPS_PORT, CERT_PORT, HTTP_PORT,
# SIGNER_PORT, PORTS (of which the others are: 10000-31999), SIGNERS, PROCESSES,
# THREADS, CA_KEY and RATE change what is set up; CA_TOKEN (a pkcs11: URI),
# CA_MODULE and CA_PIN_FILE put the CA's key into a token; with KERBEROS_KEYTAB
# clients log on by Kerberos too, if they are of KERBEROS_REALM (some, with
# blanks) and bind as KERBEROS_BINDING says.
set -euo pipefail
umask 077
here=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$here"

what=${1-}
S=$(realpath -m "${STATE:-var/demo}")
bin=$(realpath -m "${BUILD:-build}")
pgbin=/usr/lib/postgresql/15/bin
host=${HOST:-localhost}
ca=Demo-CA
root=Demo-Root
cep_path=ADPolicyProvider_CEP_UsernamePassword/service.svc/CEP
cep_krb_path=ADPolicyProvider_CEP_Kerberos/service.svc/CEP
cep_cert_path=ADPolicyProvider_CEP_Certificate/service.svc/CEP
ces_path=${ca}_CES_UsernamePassword/service.svc/CES
signers=${SIGNERS:-2}
ctl=("$bin/countersign" -c "$S/etc/countersign.conf")

say() { printf '%s\n' "$@"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

. deploy/demo-user.sh
. deploy/demo-supervise.sh
. deploy/demo-setup.sh
. deploy/demo-airgap.sh

# Only one at a time in a folder; a run that was killed left no lock.
lock() {
	mkdir -p "$S/run" "$S/log"
	exec 9>>"$S/lock"
	flock -n 9 || die "already running here (process" \
	    "$(cat "$S/run/supervisor.pid" 2>/dev/null)): stop it first"
	echo $$ >"$S/run/supervisor.pid"
	rm -f "$S/env"
	kill_stale
}

# One shell assignment, quoted only where it must be.
assign() {
	if [[ $2 =~ ^[A-Za-z0-9_./:-]+$ ]]; then
		printf '%s=%s\n' "$1" "$2"
	else
		printf '%s=%s\n' "$1" "${2@Q}"
	fi
}

write_env() {
	local tool
	printf -v tool '%q ' "${ctl_words[@]}"
	{
		assign CS_CEP_URL "$base_url/$cep_path"
		assign CS_CES_URL "$base_url/$ces_path"
		assign CS_CES_RENEWAL_URL \
		    "$base_url/${ca}_CES_Anonymous/service.svc/CES"
		assign CS_CEP_CERT_URL "$cert_url/$cep_cert_path"
		assign CS_CES_CERT_URL \
		    "$cert_url/${ca}_CES_Certificate/service.svc/CES"
		assign CS_CERT "$S/tls/client.pem"
		assign CS_KEY "$S/tls/client.key"
		assign CS_USER demo
		assign CS_PASSWORD "$(cat "$S/password")"
		assign CS_ROOT_PEM "$S/root.pem"
		assign CS_HOME_URL "$base_url/"
		assign CS_CTL "${tool% }"
		assign CS_DSN "$(dsn countersign_auditor)"
		assign CS_TEMPLATE WebServer
		assign CS_TEMPLATE_MACHINE Computer
		assign CS_TEMPLATE_APPROVAL WebServerApproval
		assign CS_TEMPLATE_RENEWAL WebServerUnattended
		if grep -q '^kerberos {' "$S/etc/worker.conf"; then
			assign CS_CEP_KERBEROS_URL "$base_url/$cep_krb_path"
			assign CS_CES_KERBEROS_URL \
			    "$base_url/${ca}_CES_Kerberos/service.svc/CES"
		fi
		if [ -n "${AIRGAP-}" ]; then write_airgap_env; fi
	} >"$S/env.new"
	mv "$S/env.new" "$S/env"
}

up() {
	lock
	trap 'stopping=1' INT TERM HUP
	trap 'stop_all' EXIT
	choose_ports
	runtime_folder
	set_up_database
	start_wait postgres postgres_ready
	set_up_countersign
	if [ -n "${AIRGAP-}" ]; then set_up_airgap; fi
	for ((i = 1; i <= signers; i++)); do
		start_wait "signer-$i" signer_ready
	done
	set_up_web
	start_wait publisher publisher_ready
	start_wait worker worker_ready
	start_wait nginx nginx_ready
	write_env
	say "ready in $SECONDS s"
}

case $what in
demo)
	become_user "$@"
	up
	deploy/demo-enroll.sh "$S/env"
	say "" "stopping; \"make run\" starts the same again"
	;;
airgap)
	export AIRGAP=1
	become_user "$@"
	up
	deploy/demo-airgap-enroll.sh "$S/env"
	say "" "stopping"
	;;
run)
	become_user "$@"
	up
	# Not $(cat ...): of Ctrl-Cs during one bash 5.2 loses one in twenty.
	say "" "$(<"$S/env")" "" \
	    "the same lines are in $S/env; Ctrl-C stops everything"
	supervise
	;;
clean)
	stop_other
	rm -rf "$S"
	;;
*)
	echo "usage: demo.sh demo|airgap|run|clean" >&2
	exit 2
	;;
esac
