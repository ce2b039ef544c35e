package payload

import "strings"

// quote makes one word of s for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, shellPlain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellPlain are the characters that need no quotes.
const shellPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-@:+,="

func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w)
	}
	return strings.Join(out, " ")
}

// semDir is gone with a new instance id, which makes everything run again.
const semDir = "/var/lib/cloud/instance/sem"

// oncePerInstance runs a script on every boot until it has succeeded once.
// cloud-init-per would not try again after a failure.
func oncePerInstance(name, script string) []string {
	sem := semDir + "/imgforge." + name
	return []string{"sh", "-euc", "[ ! -e " + sem + " ] || exit 0\numask 022\n" + script +
		"mkdir -p " + semDir + "\n: >" + sem + "\n"}
}
