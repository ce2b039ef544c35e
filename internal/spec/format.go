package spec

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are checked alike on machines that have no zone files
)

// conforms checks a text against the format of its field. An empty message
// means that it does.
func conforms(f field, s string) (message, fix string) {
	switch f.format {
	case "cidr":
		return cidrForm(f, s)
	case "ip", "ipv4":
		return ipForm(f, s)
	case "name":
		return nameForm(s)
	case "peer":
		return expect(s, peerForm, "cannot name a mesh peer", "write lower-case letters, digits and hyphens, as in "+suggestLabel(s))
	case "secret":
		// The value may be the secret itself, so it is not shown.
		if message, _ := nameForm(s); message != "" {
			return "is not the name of a secret", "write a name of lower-case letters, digits and hyphens, and store the secret with `imgforge secret set`"
		}
	case "host", "domain", "san", "noproxy", "hostport", "registry":
		return hostForm(f, s)
	case "url", "https":
		return urlForm(f, s)
	case "clock":
		return clockForm(s)
	case "duration":
		return durationForm(s)
	case "timezone":
		if _, err := time.LoadLocation(s); err != nil || s == "Local" {
			return quote(s) + " is not a time zone", "write an IANA name such as UTC or Europe/Paris"
		}
	case "version":
		return versionForm(s)
	case "device":
		if !strings.HasPrefix(s, "/dev/") || path.Clean(s) != s || strings.ContainsAny(s, " \"'\\") {
			return quote(s) + " is not the path of a block device", "write one below /dev, as in " + f.sample()
		}
	case "interface":
		if message, fix = expect(s, interfaceForm, "is not an interface name", "write at most 15 letters, digits, dots and hyphens, as in eth0"); message != "" {
			return message, fix
		}
		return without(s, []string{"lo", "mesh0", "wg0", "cni0", "flannel.1"}, "is not the node's own network", "write the interface of the network, as in eth0")
	case "mac":
		return macForm(s)
	case "pem":
		return pemForm(s)
	}
	return "", ""
}

func expect(s string, form *regexp.Regexp, problem, fix string) (string, string) {
	if form.MatchString(s) {
		return "", ""
	}
	return quote(s) + " " + problem, fix
}

func without(s string, taken []string, problem, fix string) (string, string) {
	for _, t := range taken {
		if s == t {
			return quote(s) + " " + problem, fix
		}
	}
	return "", ""
}

func cidrForm(f field, s string) (message, fix string) {
	example := "write a network such as " + strings.Trim(f.sample(), "[]")
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil && f.key == "access" {
			return quote(s) + " has no prefix length", "write " + netip.PrefixFrom(a, a.BitLen()).String() + " for this one address"
		} else if err == nil {
			return quote(s) + " has no prefix length", example
		}
		return quote(s) + " is not a network in CIDR notation", example
	}
	if !p.Addr().Is4() {
		return s + " is IPv6 and a cluster is single-stack IPv4", example
	}
	if p != p.Masked() {
		return s + " has host bits set", "write " + p.Masked().String()
	}
	return "", ""
}

func ipForm(f field, s string) (message, fix string) {
	example := "write an address such as " + strings.Trim(f.sample(), "[]")
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return quote(s) + " is a network, not an address", "remove the prefix length"
	case err != nil:
		return quote(s) + " is not an IP address", example
	case a.Zone() != "" || a.Is4In6():
		return quote(s) + " is not a plain IP address", example
	case f.format == "ipv4" && !a.Is4():
		return s + " is IPv6 and the network of the nodes is IPv4 only", example
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast():
		return s + " cannot be the address of another machine", example
	}
	return "", ""
}

// Forms of names, compiled once: a large file has thousands of them.
var (
	labelForm     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	peerForm      = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	interfaceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)
	macBytes      = regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`)
	notLabel      = regexp.MustCompile(`[^a-z0-9]+`)
)

func isLabel(s string) bool { return labelForm.MatchString(s) }

// isDomain accepts names in either case: DNS does.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(strings.ToLower(s), ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func nameForm(s string) (message, fix string) {
	if isLabel(s) {
		return "", ""
	}
	if len(s) > 63 {
		return fmt.Sprintf("a name of %d characters is no DNS label", len(s)), "write at most 63"
	}
	return quote(s) + " is not a DNS label", "write lower-case letters, digits and hyphens, as in " + suggestLabel(s)
}

// suggestLabel turns a text into the DNS label that was probably meant.
func suggestLabel(s string) string {
	s = notLabel.ReplaceAllString(strings.ToLower(s), "-")
	if s = strings.Trim(s[:min(len(s), 40)], "-"); s == "" {
		return "node-1"
	}
	return s
}

func urlForm(f field, s string) (message, fix string) {
	example := "write one such as " + strings.Trim(f.sample(), "[]")
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return quote(s) + " is not a URL", example
	case f.format == "https" && !strings.HasPrefix(s, "https://"):
		return quote(s) + " is not an https URL", example
	case !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://"):
		return quote(s) + " has the scheme " + quote(u.Scheme), "write http:// or https://"
	case u.User != nil:
		return "a URL holds a user name", keepSecret
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return quote(s) + " has a query or a fragment", "write the URL up to its path"
	case u.Port() != "" && !isPort(u.Port()):
		return quote(s) + " has a port out of range", "write 1 to 65535"
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !isDomain(u.Hostname()) {
		return quote(s) + " has no valid host", example
	}
	return "", ""
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == s
}

func macForm(s string) (message, fix string) {
	usual := strings.ToLower(strings.ReplaceAll(s, "-", ":"))
	switch {
	case !macBytes.MatchString(usual):
		return quote(s) + " is not a hardware address", "write six bytes, as in 52:54:00:12:34:56"
	case usual != s:
		return quote(s) + " is not the usual form of a hardware address", "write " + usual
	case strings.Contains("13579bdf", s[1:2]) || s == "00:00:00:00:00:00":
		return s + " is not the address of one interface", "write the one printed on the machine"
	}
	return "", ""
}
