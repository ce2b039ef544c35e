#!/bin/bash
# Installs the packages of debian.txt that are missing, without starting any
# service. It changes a machine only as root and in CI, or when asked with
# --install; otherwise it names what is missing and succeeds: the tests say
# which of them need it.
set -euo pipefail

list=$(dirname "$0")/debian.txt

command -v dpkg-query >/dev/null || {
	echo "deps: not Debian: install what $list names with your own package manager" >&2
	exit 0
}

missing=()
while read -r name; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$name")
done < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$list")

[ ${#missing[@]} -gt 0 ] || exit 0

if [ "${1:-}" != --install ] && { [ -z "${CI:-}" ] || [ "$(id -u)" != 0 ]; }; then
	echo "deps: missing: ${missing[*]}; install them with: make deps" >&2
	exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# A policy that refuses keeps packages from starting their services. One that
# stands already is the machine owner's and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 0755 "$policy"
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "deps: installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
