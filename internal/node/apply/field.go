package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// without drops fields from an object. Their paths are as the API server writes
// them in a conflict: .data.Corefile, .spec.containers[name="dns"].args,
// .spec.finalizers[="x"].
func without(object []byte, paths []string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	for _, path := range paths {
		next, ok := drop(root, path)
		if !ok {
			return nil, fmt.Errorf("the API server minds the field %s, which was not applied", path)
		}
		root = next
	}
	return json.Marshal(root)
}

// drop returns node without what lies at path, which is not empty.
func drop(node any, path string) (any, bool) {
	switch n := node.(type) {
	case map[string]any:
		rest, ok := strings.CutPrefix(path, ".")
		if !ok {
			return nil, false
		}
		return dropKey(n, rest)
	case []any:
		selector, rest, ok := bracket(path)
		if !ok {
			return nil, false
		}
		i := slices.IndexFunc(n, func(e any) bool { return selector.selects(e) })
		if selector.index >= 0 {
			i = selector.index
		}
		if i < 0 || i >= len(n) {
			return nil, false
		}
		if rest == "" {
			return slices.Delete(n, i, i+1), true
		}
		n[i], ok = drop(n[i], rest)
		return n, ok
	}
	return nil, false
}

// dropKey finds the key that a path begins with. Keys hold dots and slashes, so the
// longest that fits and leads to something is it.
func dropKey(n map[string]any, path string) (any, bool) {
	var keys []string
	for k := range n {
		rest, ok := strings.CutPrefix(path, k)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return len(b) - len(a) })
	for _, k := range keys {
		rest := path[len(k):]
		if rest == "" {
			delete(n, k)
			return n, true
		}
		if next, ok := drop(n[k], rest); ok {
			n[k] = next
			return n, true
		}
	}
	return nil, false
}

// selector is what stands in brackets: keys of an element, its value, or its index.
type selector struct {
	keys  map[string]any
	value any
	index int // -1 when it is not by index
}

// bracket reads the selector that a path begins with.
func bracket(path string) (s selector, rest string, ok bool) {
	s.index = -1
	if !strings.HasPrefix(path, "[") {
		return s, "", false
	}
	rest = path[1:]
	if digits, after, closed := strings.Cut(rest, "]"); closed {
		if i, err := strconv.Atoi(digits); err == nil {
			s.index = i
			return s, after, true
		}
	}
	s.keys = map[string]any{}
	for {
		name, after, found := strings.Cut(rest, "=")
		if !found {
			return s, "", false
		}
		d := json.NewDecoder(strings.NewReader(after))
		d.UseNumber()
		var value any
		if err := d.Decode(&value); err != nil {
			return s, "", false
		}
		rest = after[d.InputOffset():]
		if name == "" {
			s.keys, s.value = nil, value
		} else {
			s.keys[name] = value
		}
		if rest == "" {
			return s, "", false
		}
		end := rest[0]
		rest = rest[1:]
		if end == ']' {
			return s, rest, true
		}
	}
}

// selects tells whether an element of a list is meant. A key that the element leaves
// to its default fits.
func (s selector) selects(element any) bool {
	if s.keys == nil {
		return element == s.value
	}
	fields, ok := element.(map[string]any)
	if !ok {
		return false
	}
	for name, want := range s.keys {
		if have, set := fields[name]; set && have != want {
			return false
		}
	}
	return true
}
