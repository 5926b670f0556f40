#!/bin/sh
# Runs each fuzz target for some seconds: fuzz.sh FOLDER SECONDS.  What a run
# learns is kept in var/fuzz; what breaks a target is left there too.
set -u
cd "$(dirname "$0")/.." || exit 1
rc=0
for target in "$1"/*; do
	[ -x "$target" ] && [ -f "$target" ] || continue
	name=${target##*/}
	mkdir -p "var/fuzz/$name"
	echo "fuzzing $name for $2 s"
	"$target" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
	    -verbosity=0 -artifact_prefix="var/fuzz/$name-" \
	    "var/fuzz/$name" tests/data >"var/fuzz/$name.log" 2>&1 || {
		tail -n 40 "var/fuzz/$name.log"
		rc=1
	}
done
exit $rc
