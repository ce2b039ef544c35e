package spec

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is docs/cluster-file.md: every field of the cluster file, from the
// same tags as the schema.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`# The cluster file

<!-- Written from the struct tags of internal/spec/cluster.go: change those, then run go test ./internal/spec -update. -->

One file describes one cluster. What follows is every key it may hold. A key that is left out has the default shown
here, or the one its description names. Unknown keys, second documents and secrets are errors; ` + "`imgforge validate`" + `
shows all of them at once, each with its place and what to write instead. ` + "`imgforge schema`" + ` prints the same as JSON
Schema for editors.

The shortest file:

`)
	b.WriteString("```yaml imgforge\n" + shortest + "```\n\n")
	b.WriteString(`Texts are taken as they are written: version 1.30 stays 1.30. An anchor may be repeated by an alias where the
anchored value holds no alias itself; merge keys and tags are not read.

`)
	section(&b, "The file", "", reflect.TypeFor[Cluster](), "", false)
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

// shortest leaves everything to the defaults that can have one.
const shortest = `apiVersion: imgforge/v1alpha1
kind: Cluster
name: nostromo
platform: {provider: scaleway}
roles:
  master: {count: 3}
  worker: {count: 3}
`

// section writes the table of one struct, then those of the structs below it.
func section(b *strings.Builder, title, doc string, t reflect.Type, path string, repeated bool) {
	if path != "" {
		title = "`" + strings.ReplaceAll(title, ", ", "`, `") + "`"
	}
	fmt.Fprintf(b, "## %s\n\n", title)
	if doc != "" {
		b.WriteString(cell(doc) + "\n\n")
	}
	if repeated {
		b.WriteString("A list; each entry has these keys.\n\n")
	}
	b.WriteString("| key | type | default | what it is |\n|---|---|---|---|\n")
	fields := fieldsOf(t)
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.key, typeName(f), defaultText(f), cell(f.doc)+notes(f))
	}
	b.WriteString("\n")
	seen := map[reflect.Type]bool{}
	for _, f := range fields {
		below, many := inner(f.typ)
		if below == nil || seen[below] {
			continue
		}
		seen[below] = true
		at, title, doc := join(path, f.key), join(path, f.key), f.doc
		if below == reflect.TypeFor[Role]() {
			at, title, doc = "roles.<role>", "roles.master, roles.proxy, roles.worker", "The keys are the same for every role."
		}
		if many {
			at += "[]"
		}
		section(b, title, doc, below, at, many)
	}
}

// inner is the struct below a field, and whether there is a list of them.
func inner(t reflect.Type) (below reflect.Type, many bool) {
	switch t.Kind() {
	case reflect.Struct:
		return t, false
	case reflect.Pointer:
		return inner(t.Elem())
	case reflect.Slice:
		below, _ = inner(t.Elem())
		return below, true
	}
	return nil, false
}

func typeName(f field) string {
	t := f.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		return "mapping"
	case reflect.Map:
		return "names to texts"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "list"
		}
		return "list of texts"
	case reflect.Int:
		return "number"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}

func defaultText(f field) string {
	switch {
	case f.required:
		return "*required*"
	case f.def != "":
		return "`" + f.def + "`"
	}
	return ""
}

// notes adds what a value may be, and an example where there is no default.
func notes(f field) string {
	out := ""
	if len(f.enum) > 1 {
		out += " One of `" + strings.Join(f.enum, "`, `") + "`."
	}
	if f.min != nil && f.max != nil {
		out += fmt.Sprintf(" From %d to %d.", *f.min, *f.max)
	}
	if f.eg != "" {
		out += " Example: `" + f.eg + "`."
	}
	return cell(out)
}

// cell keeps a bar from ending a table's cell, and <role> from being HTML.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s) }
