package payload

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// fetch is a file that the node downloads and checks before anything reads it.
type fetch struct {
	path, url, owner string
	mode             uint32
	// program and digest check the decompressed contents.
	program, digest string
	gzip            bool
}

// remote adds a file that is fetched, which needs a hash: without one, whoever
// answers the request would own the node.
func (t *tree) remote(f types.File, field string) {
	c := f.Contents
	u, err := url.Parse(value(c.Source))
	kind, digest, _ := strings.Cut(value(c.Verification.Hash), "-")
	who := ownerOf(f.Node)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || odd(value(c.Source)):
		t.problem(field+".source", f.Path, "cloud-init fetches http and https URLs alone")
		return
	case kind != "sha256" && kind != "sha512":
		t.problem(field+".verification.hash", f.Path, "contents that are fetched need a sha256 or sha512 hash")
		return
	case len(c.HTTPHeaders) > 0:
		t.problem(field+".httpHeaders", f.Path, "cloud-init cannot express this")
		return
	case t.late(who):
		t.problem(field, f.Path, "what is fetched cannot belong to a user that cloud-init makes later")
		return
	}
	owner := who.user
	if who.group != "" {
		owner += ":" + who.group
	}
	t.fetches = append(t.fetches, fetch{
		path: f.Path, url: value(c.Source), owner: owner, mode: permissions(f.Mode, 0o644),
		program: kind + "sum", digest: digest, gzip: value(c.Compression) == "gzip",
	})
}

// fetchFunction downloads beside the destination, so that the file appears
// whole or not at all. A network that comes up late is waited for, some ten
// minutes; after that the next boot tries again.
const fetchFunction = `get() { # url path mode owner program digest filter
  mkdir -p "${2%/*}"
  part="$2.part"
  curl --fail --silent --show-error --location --retry 60 --retry-delay 10 --retry-max-time 600 --retry-all-errors --connect-timeout 10 --output "$part.raw" "$1"
  $7 "$part.raw" >"$part"
  rm "$part.raw"
  if ! echo "$6  $part" | $5 --check --status; then
    rm "$part"
    echo "imgforge: $1 is not what was built: its $5 is not $6" >&2
    return 1
  fi
  chmod "$3" "$part"
  [ -z "$4" ] || chown "$4" "$part"
  mv -fT "$part" "$2"
}
`

func fetchScript(fetches []fetch, proxy types.Proxy) string {
	if len(fetches) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(proxyExports(proxy))
	b.WriteString(fetchFunction)
	for _, f := range fetches {
		filter := "cat"
		if f.gzip {
			filter = "gzip -dc"
		}
		fmt.Fprintf(&b, "get %s %s %04o %s %s %s %s\n", quote(f.url), quote(f.path), f.mode, quote(f.owner), f.program, quote(f.digest), quote(filter))
	}
	return b.String()
}

func proxyExports(p types.Proxy) string {
	var b strings.Builder
	export := func(name, v string) {
		if v != "" {
			b.WriteString("export " + name + "=" + quote(v) + "\n")
		}
	}
	export("http_proxy", value(p.HTTPProxy))
	export("https_proxy", value(p.HTTPSProxy))
	hosts := make([]string, len(p.NoProxy))
	for i, h := range p.NoProxy {
		hosts[i] = string(h)
	}
	export("no_proxy", strings.Join(hosts, ","))
	return b.String()
}
