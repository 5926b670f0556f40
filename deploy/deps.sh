#!/bin/bash
# Installs the Debian packages that are missing:
#	deps.sh run [test] [bench] [ha] [ad] [deb]
# Nothing to do costs one dpkg-query.  Starts no service.
set -euo pipefail

run="gcc make pkg-config libfcgi-dev libssl-dev libgmp-dev libxml2-dev libpq-dev
    libzmq3-dev libsodium-dev libconfuse-dev libkrb5-dev libp11-kit-dev
    libldap-dev
    libengine-pkcs11-openssl nginx postgresql-15 postgresql-client-15 curl
    openssl"
test="ccache libcmocka-dev clang llvm libclang-rt-14-dev clang-tidy cppcheck
    curl xxd python3-pytest python3-lxml python3-cryptography
    python3-cryptography-vectors python3-requests
    python3-psycopg python3-gssapi python3-requests-toolbelt
    python3-asn1crypto python3-hpack python3-hyperframe universal-ctags
    gnutls-bin libnss3-tools certmonger iproute2 faketime chromium strace
    mandoc procps pyflakes3 softhsm2 opensc slapd ldap-utils krb5-kdc
    krb5-admin-server krb5-user debhelper"
bench="golang-cfssl"
deb="debhelper"
ha="patroni etcd-server libnginx-mod-stream iproute2"
ad="samba-ad-dc samba-ad-provision ldb-tools krb5-user krb5-pkinit ldap-utils
    libsasl2-modules-gssapi-mit iproute2"

wanted=
for set in "$@"; do
	case $set in
	run|test|bench|ha|ad|deb) wanted="$wanted ${!set}" ;;
	*) echo "usage: deps.sh run [test] [bench] [ha] [ad] [deb]" >&2; exit 2 ;;
	esac
done

# What of the arguments is not installed, one name a line.
missing() {
	comm -13 \
	    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" \
	    2>/dev/null | sed -n 's/ installed$//p' | sort -u) \
	    <(printf '%s\n' "$@" | sort -u)
}

# shellcheck disable=SC2086
need=$(missing $wanted | xargs)
[ -n "$need" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: missing: $need" >&2
		echo "deps.sh: run as root: apt-get install $need" >&2
		exit 1
	fi
	exec sudo "$0" "$@"
fi

# Debian starts what it installs unless this script forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 130' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

install() {
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
	    --no-install-recommends -o DPkg::Lock::Timeout=120 \
	    -o Dpkg::Use-Pty=0 $need </dev/null
}

echo "installing $need"
log=$(mktemp)
# Fails on a machine whose package lists are absent or old.
if ! install >"$log" 2>&1; then
	echo "reading Debian's package lists"
	if ! apt-get update -q >"$log" 2>&1 || ! install >>"$log" 2>&1; then
		tail -n 30 "$log" >&2
		echo "deps.sh: apt-get failed: see $log" >&2
		exit 1
	fi
fi
rm -f "$log"

# Nor shall they start at the next boot: the demo runs its own.
if [ -d /run/systemd/system ]; then
	for unit in nginx postgresql certmonger etcd patroni slapd \
	    krb5-kdc krb5-admin-server; do
		case " $need " in
		*" $unit"*)
			systemctl disable --now -q $unit 2>/dev/null || : ;;
		esac
	done
	case " $need " in
	*" samba-ad-dc "*)
		systemctl disable --now -q samba-ad-dc smbd nmbd winbind \
		    2>/dev/null || : ;;
	esac
fi
