package spec

import (
	"reflect"
	"strconv"
	"strings"
)

// field is one key of the cluster file, as the struct tags describe it.
type field struct {
	key, doc, def, format, eg string
	enum                      []string
	required                  bool
	min, max                  *int
	index                     int
	typ                       reflect.Type
}

// fieldsOf reads the tags of a struct in their order of declaration.
func fieldsOf(t reflect.Type) []field {
	out := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{
			key: sf.Tag.Get("yaml"), doc: sf.Tag.Get("doc"), def: sf.Tag.Get("default"),
			format: sf.Tag.Get("format"), eg: sf.Tag.Get("eg"), required: sf.Tag.Get("required") == "true",
			min: number(sf.Tag.Get("min")), max: number(sf.Tag.Get("max")), index: i, typ: sf.Type,
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, "|")
		}
		out = append(out, f)
	}
	return out
}

func number(tag string) *int {
	n, err := strconv.Atoi(tag)
	if err != nil {
		return nil
	}
	return &n
}

// sample is a value that the field would accept, for the "write" half of a
// problem; empty when the tags name none.
func (f field) sample() string {
	switch {
	case f.eg != "":
		return f.eg
	case f.def != "":
		return f.def
	case len(f.enum) > 0 && f.typ.Kind() == reflect.Slice:
		return "[" + f.enum[0] + "]"
	case len(f.enum) > 0:
		return f.enum[0]
	}
	return ""
}

// join puts a key below a path: roles + master is roles.master.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item is the path of a list's element.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent is the path one level up, and "" above the top.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
