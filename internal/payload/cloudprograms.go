package payload

import (
	"fmt"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// isProgram tells of the large files without which a node is nothing.
func (f fetch) isProgram() bool {
	return !f.gzip && (f.path == artifact.ExtensionPlace || f.path == artifact.BundlePlace)
}

// bringFunction downloads what is not there yet. A server that is away is asked for ten
// minutes, and a transfer that stands still for one minute begins anew; then the console
// says the code. The file appears whole or not at all, and takes its own room once.
const bringFunction = `bring() { # url path mode owner program digest
  if [ -e "$2" ] && echo "$6  $2" | $5 --check --status; then return 0; fi
  mkdir -p "${2%/*}"
  part="$2.part"
  echo "imgforge: fetching $1" >&2
  said=$(curl --fail --silent --show-error --location --retry 60 --retry-delay 10 --retry-max-time 600 --retry-all-errors --connect-timeout 10 --speed-limit 1024 --speed-time 60 --output "$part" "$1" 2>&1) || fault "$1: $said"
  echo "$6  $part" | $5 --check --status || fault "$1: what is served there is not what was built: its $5 is not $6"
  chmod "$3" "$part"
  [ -z "$4" ] || chown "$4" "$part"
  mv -fT "$part" "$2"
}
`

// programsScript brings the programs, or says with a boot code why it cannot.
func programsScript(fetches []fetch, proxy types.Proxy) string {
	if len(fetches) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(proxyExports(proxy))
	const why = "@WHY@"
	before, after, _ := strings.Cut(bootcode.Fail(bootcode.NotFetched, why).Error(), why)
	fmt.Fprintf(&b, "fault() { # why\n  rm -f \"$part\"\n  printf '%%s%%s%%s\\n' %s \"$1\" %s >&2\n  exit 1\n}\n", quote(before), quote(after))
	b.WriteString(bringFunction)
	for _, f := range fetches {
		fmt.Fprintf(&b, "bring %s %s %04o %s %s %s\n", quote(f.url), quote(f.path), f.mode, quote(f.owner), f.program, quote(f.digest))
	}
	return b.String()
}
