package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// unknown reports a key that this level does not have, with the key that was
// probably meant: a near one of the level, or the same one where it belongs.
func (d *decoder) unknown(key *yaml.Node, path string, fields []field) {
	below := join(path, pathKey(key))
	if secretKey(key.Value) {
		d.literal(key, below)
		return
	}
	keys := make([]string, 0, len(fields))
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	where := "at the top of a cluster file"
	if path != "" {
		where = "in " + path
	}
	message := fmt.Sprintf("there is no key %s %s", quote(key.Value), where)
	near, distance := nearest(key.Value, keys)
	homes := homesOf(key.Value)
	switch {
	case key.Value == "users" || strings.Contains(strings.ToLower(key.Value), "ssh"):
		d.fail(key, below, message, "remove it: nodes run no SSH server and nobody logs in")
	case near != "" && (distance <= 1 || len(homes) == 0):
		d.fail(key, below, message, "did you mean "+near+"?")
		d.meant(join(path, near))
	case len(homes) > 0:
		d.fail(key, below, message, "it belongs to "+strings.Join(homes[:min(len(homes), 3)], " or "))
		for _, home := range homes {
			d.meant(home)
		}
	default:
		d.fail(key, below, message, "the keys here are "+list(keys))
	}
}

// meant keeps a key that was written under another name from being reported as
// missing too.
func (d *decoder) meant(path string) {
	if !d.src.has(path) {
		d.src.broken[path] = true
	}
}

// homesOf lists the paths of the cluster file that end in key, whatever its case.
func homesOf(key string) []string {
	var out []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), path)
		case reflect.Slice:
			walk(t.Elem(), path+"[]")
		case reflect.Struct:
			for _, f := range fieldsOf(t) {
				if strings.EqualFold(f.key, key) {
					out = append(out, join(path, f.key))
				}
				walk(f.typ, join(path, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Cluster](), "")
	slices.SortStableFunc(out, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	return out
}

// nearest is the candidate with the smallest edit distance to word, or "" when
// none is near enough to have been meant.
func nearest(word string, candidates []string) (string, int) {
	best, least := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best, least
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	older, old := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old = old, row
	}
	return old[len(b)]
}

// list is words as a sentence has them: a, b and c.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// choice is words to choose from: a, b or c.
func choice(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// quote shows what somebody wrote: short, on one line, and never a secret.
func quote(s string) string {
	if what, _ := secretIn(s); what != "" {
		return "(hidden: it looks like " + what + ")"
	}
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:57]) + "..."
	}
	return strconv.Quote(s)
}

// truth is the YAML 1.2 form of what people write for true and false.
func truth(s string) string {
	if slices.Contains([]string{"no", "off", "n", "f", "0", "false"}, strings.ToLower(s)) {
		return "false"
	}
	return "true"
}

// ambiguous tells whether YAML 1.1 reads a plain scalar as something else than
// YAML 1.2 does: 04:00 as the number 240, no as false.
func ambiguous(s string) bool {
	if slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(s)) {
		return true
	}
	head, tail, ok := strings.Cut(s, ":")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return ok && digits(head) && digits(strings.ReplaceAll(tail, ":", ""))
}
