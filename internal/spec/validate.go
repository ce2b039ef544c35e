package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/imgforge/imgforge/internal/report"
)

// check is one pass over a cluster with its defaults; each room of this package
// adds what it finds.
type check struct {
	*Cluster
	src      *Source
	problems []report.Problem
}

func (k *check) err(path, message, fix string) {
	k.problems = append(k.problems, report.Problem{Path: path, Message: message, Fix: fix})
}

func (k *check) warn(path, message, fix string) {
	k.problems = append(k.problems, report.Problem{Severity: report.Warning, Path: path, Message: message, Fix: fix})
}

// set is the first of some paths that the file sets, so that a problem of two
// fields points at the one that was written.
func (k *check) set(paths ...string) string {
	for _, p := range paths {
		if k.src.has(p) {
			return p
		}
	}
	return paths[0]
}

// role is a role with its name, in the order in which roles are planned.
type role struct {
	*Role
	name, path string
}

func (k *check) roles() []role {
	return []role{
		{&k.Roles.Master, "master", "roles.master"},
		{&k.Roles.Proxy, "proxy", "roles.proxy"},
		{&k.Roles.Worker, "worker", "roles.worker"},
	}
}

// slots counts existing and reserved nodes, within what the tags allow.
func (r role) slots() int { return clamp(r.Count, 0, maxNodes) + clamp(*r.Reserve, 0, maxNodes) }

// slots counts those of all roles. It reports false when a count is no count,
// or when there are too many to say more about them.
func (k *check) slots() (total int, ok bool) {
	for _, r := range k.roles() {
		if r.slots() != r.Count+*r.Reserve || k.src.doubtful(r.path+".count") || k.src.doubtful(r.path+".reserve") {
			return 0, false
		}
		total += r.slots()
	}
	return total, true
}

// validate runs every check. Paths that could not be read, or have not the form
// of their field, are left out of the rest: what follows from them would repeat
// the first problem in other words.
func validate(c *Cluster, src *Source) []report.Problem {
	k := &check{Cluster: c, src: src}
	k.tags(reflect.ValueOf(c).Elem(), "", field{})
	malformed := map[string]bool{}
	for _, p := range k.problems {
		malformed[p.Path] = true
	}
	formal := len(k.problems)
	for _, room := range []func(){
		k.kubernetes, k.extraArgs, k.networks, k.mesh, k.endpoint, k.ports, k.counts, k.labels, k.windows,
		k.names, k.addresses, k.hubs, k.disks, k.platform, k.trust, k.lists, k.settings, k.extra,
	} {
		room()
	}
	var kept []report.Problem
	for i, p := range k.problems {
		if !src.doubtful(p.Path) && (i < formal || !malformed[p.Path]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// tags checks what the struct tags promise of single values.
func (k *check) tags(v reflect.Value, path string, f field) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			k.tags(v.Elem(), path, f)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			k.tags(v.Field(f.index), join(path, f.key), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			k.tags(v.Index(i), item(path, i), f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			k.control(join(path, key.String()), v.MapIndex(key).String(), "")
		}
	case reflect.Int:
		if n := int(v.Int()); k.src.has(path) && (f.min != nil && n < *f.min || f.max != nil && n > *f.max) {
			k.err(path, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write %d to %d", *f.min, *f.max))
		}
	case reflect.String:
		k.text(path, v.String(), f)
	}
}

func (k *check) text(path, value string, f field) {
	present := k.src.has(path)
	switch {
	case value == "" && f.required && !present:
		k.err(path, "is missing", "write "+f.key+": "+f.placeholder())
	case value == "" && present && f.required:
		k.err(path, "is empty", "write "+f.key+": "+f.placeholder())
	case value == "" && present && (f.format != "" || len(f.enum) > 0):
		k.err(path, "is empty", "write "+f.key+": "+f.placeholder()+", or remove the key")
	case value == "" || !present: // a default needs no check, and one that follows from a bad value is not the author's
	case k.control(path, value, f.format):
	case len(f.enum) > 0:
		k.oneOf(path, value, f.enum)
	case f.format != "":
		if message, fix := conforms(f, value); message != "" {
			k.err(path, message, fix)
		}
	}
}

// placeholder is a sample, or what the enum allows.
func (f field) placeholder() string {
	if s := f.sample(); s != "" && len(f.enum) < 2 {
		return s
	}
	if len(f.enum) > 0 {
		return choice(f.enum)
	}
	return "a value"
}

func (k *check) oneOf(path, value string, allowed []string) {
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	fix := "write " + choice(allowed)
	near, _ := nearest(value, allowed)
	for _, a := range allowed {
		if len(a) > 2 && strings.HasPrefix(strings.ToLower(value), strings.ToLower(a)) {
			near = a // Tuesday
		}
	}
	if near != "" {
		fix = "did you mean " + near + "? Allowed are " + list(allowed)
	}
	k.err(path, quote(value)+" is not known", fix)
}

// control refuses line breaks and control characters in what becomes one line
// of some file on a node.
func (k *check) control(path, value, format string) bool {
	if format == "pem" || format == "butane" {
		return false
	}
	for i, c := range value {
		if unicode.IsControl(c) {
			k.err(path, "holds the control character "+strconv.QuoteRune(c)+" at offset "+strconv.Itoa(i), "write one line of plain text")
			return true
		}
	}
	if strings.TrimSpace(value) != value {
		k.err(path, quote(value)+" begins or ends with a space", "write "+quote(strings.TrimSpace(value)))
		return true
	}
	return false
}
