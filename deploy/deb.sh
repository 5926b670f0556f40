#!/bin/bash
# Packs what is built in BUILD: Debian packages, into FOLDER.
#
#	deb.sh BUILD FOLDER
#
# Each commit has a higher version, and the same packages each time.
set -euo pipefail
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(realpath "$1")
TOP=$top
export BUILD TOP
out=$2

version=$(sed -n 's/^#define VERSION[ \t]*"\(.*\)"/\1/p' "$top/common/version.h")
if commit=$(TZ=UTC0 git -C "$top" log -1 --date=format-local:%Y%m%d%H%M%S \
    --format='+%cd/%cD' 2>/dev/null); then
	version=$version${commit%%/*}
	date=${commit#*/}
else
	date=$(date -R)	# no checkout: what was released
fi

rm -rf "$out"
mkdir -p "$out/files"
cp -R "$top/deploy/debian" "$out/files"
cd "$out/files"
cat >debian/changelog <<END
countersign ($version) stable; urgency=medium

  * What is new: git log.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $date
END
dpkg-buildpackage -us -uc -b >../log 2>&1 || { cat ../log >&2; exit 1; }
cd "$OLDPWD"
ls "$out"/*.deb
