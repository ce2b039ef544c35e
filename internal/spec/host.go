package spec

import (
	"net/netip"
	"strings"
)

// hostForm checks names and addresses of machines in the forms that fields take.
func hostForm(f field, s string) (message, fix string) {
	example := "write one such as " + strings.Trim(f.sample(), "[]")
	_, err := netip.ParseAddr(s)
	isIP := err == nil
	if strings.Contains(s, "://") {
		return quote(s) + " is a URL where a host belongs", example
	}
	switch f.format {
	case "domain":
		if isIP || !isDomain(s) || s != strings.ToLower(s) {
			return quote(s) + " is not a DNS domain", example
		}
	case "host":
		if !isIP && !isDomain(s) || looksNumeric(s) && !isIP {
			return quote(s) + " is neither a host name nor an address", example
		}
	case "san":
		if !isIP && !isDomain(strings.TrimPrefix(s, "*.")) || looksNumeric(s) && !isIP {
			return quote(s) + " cannot stand in a certificate", "write a host name or an address, without port"
		}
	case "noproxy":
		_, err := netip.ParsePrefix(s)
		if err != nil && !isIP && s != "*" && !isDomain(strings.TrimPrefix(strings.TrimPrefix(s, "*"), ".")) {
			return quote(s) + " is neither a host, a domain, an address nor a network", example
		}
	case "hostport", "registry":
		if f.format == "registry" && strings.Contains(s, "/") {
			return quote(s) + " has a path", "write the host as it stands before the first slash of image names"
		}
		return hostPortForm(s, example)
	}
	return "", ""
}

func hostPortForm(s, example string) (message, fix string) {
	host, port := splitHostPort(s)
	a, err := netip.ParseAddr(host)
	switch {
	case port != "" && !isPort(port):
		return quote(s) + " has a port that is not 1 to 65535", example
	case err != nil && (!isDomain(host) || looksNumeric(host)):
		return quote(s) + " is neither a host name nor an address", example
	case err == nil && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != ""):
		return quote(s) + " is not the address of a machine", example
	}
	return "", ""
}

// splitHostPort splits host:port, where the port may be missing and a bare
// IPv6 address needs no brackets.
func splitHostPort(s string) (host, port string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	host, port, found := strings.Cut(s, ":")
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok = strings.Cut(inner, "]"); !ok {
			return s, ""
		}
		port, found = strings.CutPrefix(port, ":")
		if !found && port != "" {
			return s, ""
		}
	}
	if found && port == "" {
		port = "none" // a colon with nothing behind it
	}
	return host, port
}

// looksNumeric tells an address with a slip from a name: no name's last label is a number.
func looksNumeric(s string) bool {
	last := s[strings.LastIndex(s, ".")+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}
