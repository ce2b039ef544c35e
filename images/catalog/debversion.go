package catalog

import (
	"cmp"
	"strings"
)

// CompareVersions orders Debian versions as deb-version(7) does: epoch, upstream
// version, revision; in each, texts and numbers take turns, and ~ sorts before the end.
func CompareVersions(a, b string) int {
	ae, au, ar := splitVersion(a)
	be, bu, br := splitVersion(b)
	return cmp.Or(compareParts(ae, be), compareParts(au, bu), compareParts(ar, br))
}

func splitVersion(v string) (epoch, upstream, revision string) {
	epoch = "0"
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, "0"
}

func compareParts(a, b string) int {
	for a != "" || b != "" {
		var ta, tb string
		ta, a = cutWhile(a, func(c byte) bool { return !digit(c) })
		tb, b = cutWhile(b, func(c byte) bool { return !digit(c) })
		if c := compareTexts(ta, tb); c != 0 {
			return c
		}
		ta, a = cutWhile(a, digit)
		tb, b = cutWhile(b, digit)
		ta, tb = strings.TrimLeft(ta, "0"), strings.TrimLeft(tb, "0")
		if c := cmp.Or(cmp.Compare(len(ta), len(tb)), cmp.Compare(ta, tb)); c != 0 {
			return c
		}
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func cutWhile(s string, f func(byte) bool) (head, tail string) {
	i := 0
	for i < len(s) && f(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func compareTexts(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// weight of the byte at i: ~ before the end, letters before everything else.
func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}
