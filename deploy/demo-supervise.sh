# Part of demo.sh: starts the parts, restarts what dies, stops all in order.
# In production systemd does this.

stopping=0
declare -A pid=() since=() quick=()
order=()

part_postgres() {
	exec setsid setpriv --pdeathsig INT "$pgbin/postgres" -D "$S/pg" \
	    -k "$sock"
}
part_signer() {
	exec setsid setpriv --pdeathsig TERM "$bin/countersign-signer" \
	    -c "$S/etc/$1.conf"
}
part_worker() {
	exec setsid setpriv --pdeathsig TERM "$bin/countersign-worker" \
	    -c "$S/etc/worker.conf"
}
part_publisher() {
	exec setsid setpriv --pdeathsig TERM "${ctl[@]}" crl publish \
	    --to "$S/web/ca" --watch --metrics "$S/web/metrics/publisher.prom"
}
part_nginx() {
	exec setsid setpriv --pdeathsig TERM nginx -e "$S/log/nginx.log" \
	    -c "$S/etc/nginx.conf"
}

# Its own session: a Ctrl-C is for us alone, who stop things in order.
start() {
	"part_${1%%-*}" "$1" </dev/null >>"$S/log/$1.log" 2>&1 9>&- &
	pid[$1]=$!
	disown
	since[$1]=$SECONDS
	echo $! >"$S/run/$1.pid.new"
	mv "$S/run/$1.pid.new" "$S/run/$1.pid"
}

failed() {
	tail -n 5 "$S/log/$1.log" >&2
	die "$1 $2: see $S/log/$1.log"
}

# The first start: wait until ready; dying meanwhile ends it all.
start_wait() {
	local name=$1 n=0
	order=("$name" "${order[@]}")
	start "$name"
	until "$2" "$name" 2>/dev/null; do
		[ $stopping -eq 0 ] || exit 130
		kill -0 "${pid[$name]}" 2>/dev/null || failed "$name" "ended"
		[ $((n += 1)) -lt 3600 ] ||
		    failed "$name" "is not ready after three minutes"
		sleep 0.05
	done
}

postgres_ready() { "$pgbin/pg_isready" -q -h "$sock" -t 1; }
signer_ready() { (: <"/dev/tcp/127.0.0.1/$(signer_port "${1#signer-}")"); }
publisher_ready() { [ -s "$S/web/ca/$ca.crl" ]; }
worker_ready() { [ -S "$worker_sock" ]; }
nginx_ready() {
	curl -s -f -o /dev/null --noproxy '*' --cacert "$S/root.pem" \
	    --connect-to "$host:$https_port:127.0.0.1:$https_port" \
	    "https://$host:$https_port/"
}

# One that dies at once each time is broken, not unlucky.
restart() {
	local name=$1
	if [ $((SECONDS - ${since[$name]})) -ge 10 ]; then
		quick[$name]=0
	fi
	quick[$name]=$((${quick[$name]:-0} + 1))
	[ "${quick[$name]}" -le 20 ] || failed "$name" "dies again and again"
	say "$name ended (log/$name.log): starting it again"
	# its children, who may still hold its port
	kill -s KILL -- "-${pid[$name]}" 2>/dev/null || :
	if [ "${quick[$name]}" -gt 3 ]; then
		sleep 1
	fi
	start "$name"
}

supervise() {
	local name
	while [ $stopping -eq 0 ]; do
		for name in "${order[@]}"; do
			kill -0 "${pid[$name]}" 2>/dev/null || restart "$name"
		done
		sleep 0.2
	done
	say "stopping"
}

# Name, process id, seconds: ask it to end, then make it.
end() {
	local sig=TERM n
	case $1 in
	postgres) sig=INT ;;	# fast: does not wait for connections
	nginx) sig=QUIT ;;
	esac
	kill -s $sig "$2" 2>/dev/null || return 0
	for ((n = 0; n < $3 * 20; n++)); do
		kill -0 "$2" 2>/dev/null || return 0
		if [ $n -eq 40 ] && [ $sig = QUIT ]; then
			kill -s TERM "$2" 2>/dev/null || return 0
		fi
		sleep 0.05
	done
	kill -s KILL -- "-$2" 2>/dev/null || :
}

stop_all() {
	local rc=$? name
	trap '' INT TERM HUP
	trap - EXIT
	rm -f "$S/env"
	for name in "${order[@]}"; do
		end "$name" "${pid[$name]}" 15
		rm -f "$S/run/$name.pid"
	done
	rm -f "$S/run/supervisor.pid"
	if [ -n "${short-}" ]; then
		rm -rf "$short"
	fi
	exit $rc
}

# What a run that was killed with -9 left behind.  A number may long belong
# to somebody else: only a command line that names our folder is ours.
kill_stale() {
	local f p
	for f in "$S"/run/*.pid; do
		p=$(cat "$f" 2>/dev/null) || continue
		case $f in */supervisor.pid) continue ;; esac
		if [[ $p =~ ^[0-9]+$ ]] && tr '\0' ' ' 2>/dev/null \
		    <"/proc/$p/cmdline" | grep -qF "$S/"; then
			f=${f##*/}
			say "stopping ${f%.pid}, left by a run that was killed"
			end "${f%.pid}" "$p" 10
			kill -s KILL -- "-$p" 2>/dev/null || :
		fi
		rm -f "$S/run/${f##*/}"
	done
}

# clean: somebody else's run is stopped first.
stop_other() {
	local p
	[ -d "$S" ] || return 0
	if [ -e "$S/lock" ] && ! flock -n "$S/lock" true; then
		p=$(cat "$S/run/supervisor.pid")
		say "stopping process $p"
		kill -s TERM "$p"
		flock -w 60 "$S/lock" true || die "process $p does not stop"
	fi
	kill_stale
}
