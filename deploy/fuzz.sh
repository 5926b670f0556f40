#!/bin/sh
# Runs fuzz targets for some seconds each, as many at a time as there are
# processors: fuzz.sh FOLDER|TARGET SECONDS.  What a run learns is kept in
# var/fuzz; what breaks a target is left there too.
set -u
cd "$(dirname "$0")/.." || exit 1
if [ -d "$1" ]; then
	find "$1" -type f -perm -u+x | sort |
	    xargs -P "$(nproc)" -I{} deploy/fuzz.sh {} "$2"
	exit
fi
name=${1##*/}
mkdir -p "var/fuzz/$name"
echo "fuzzing $name for $2 s"
"$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
    -verbosity=0 -artifact_prefix="var/fuzz/$name-" \
    "var/fuzz/$name" tests/data >"var/fuzz/$name.log" 2>&1 || {
	tail -n 40 "var/fuzz/$name.log"
	exit 1
}
