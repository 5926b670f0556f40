# Part of demo.sh: PostgreSQL refuses to run as root, so root's demo runs as
# somebody else; an ordinary user's runs as that user.

# Words to put before a command; empty for an ordinary user.
drop_words() {
	local uid gid
	case $1 in
	owner)		# of the checkout, as with sudo in one's own folder
		uid=$(stat -c %u "$here") gid=$(stat -c %g "$here")
		[ "$uid" -ne 0 ] && getent passwd "$uid" >/dev/null || return 1
		drop=(setpriv "--reuid=$uid" "--regid=$gid" --init-groups) ;;
	namespace)	# root's files stay root's, under another number
		uid=0 gid=0
		drop=(unshare --user "--map-user=$(id -u postgres)"
		    "--map-group=$(id -g postgres)") ;;
	postgres)	# where namespaces are forbidden
		uid=$(id -u postgres) gid=$(id -g postgres)
		drop=(setpriv "--reuid=$uid" "--regid=$gid" --init-groups
		    --inh-caps=+dac_override --ambient-caps=+dac_override) ;;
	esac
	owner=$uid:$gid
}

# Does a process started so reach the programs and write the state?
drop_works() {
	"${drop[@]}" mkdir -p "$S" 2>/dev/null && chown "$owner" "$S" &&
	    "${drop[@]}" sh -c \
	    'test -r "$0" && test -x "$1" && : >"$2/.try" && rm "$2/.try"' \
	    "$here/deploy/demo.sh" "$bin/countersign" "$S" 2>/dev/null
}

become_user() {
	local way drop owner
	ctl_words=("${ctl[@]}")
	if [ "$(id -u)" -ne 0 ]; then
		if [ -n "${DEMO_CTL-}" ]; then
			ctl_words=("$S/ctl")
		fi
		return
	fi
	for way in owner namespace postgres; do
		drop_words $way && drop_works || continue
		if [ -n "$(find "$S" ! -user "${owner%:*}" -print -quit)" ]; then
			chown -R "$owner" "$S"
		fi
		if [ $way != namespace ]; then
			write_ctl
			export DEMO_CTL=1
		fi
		exec "${drop[@]}" "$here/deploy/demo.sh" "$@"
	done
	die "cannot run as another user than root: neither unshare nor setpriv" \
	    "works here"
}

# Keys must belong to whoever reads them, so root's calls change over too.
write_ctl() {
	{
		echo '#!/bin/sh'
		printf 'if [ "$(id -u)" -eq 0 ]; then exec'
		printf ' %q' "${drop[@]}" "${ctl[@]}"
		printf ' "$@"; fi\nexec'
		printf ' %q' "${ctl[@]}"
		printf ' "$@"\n'
	} >"$S/ctl"
	chmod 755 "$S/ctl"
	chown "$owner" "$S/ctl"
}
