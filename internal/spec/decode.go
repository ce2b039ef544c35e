package spec

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// decoder fills the structs from YAML nodes. Texts are taken as they are
// written, so that version 1.30 stays 1.30 and 04:00 is no number; everything
// else must have exactly the type of its field.
type decoder struct {
	src    *Source
	report *report.Report
	fields map[reflect.Type][]field
}

// fail reports a problem of reading at a node, once per path.
func (d *decoder) fail(n *yaml.Node, path, message, fix string) {
	if d.src.broken[path] {
		return
	}
	d.src.broken[path] = true
	d.report.Add(report.Problem{Line: n.Line, Col: n.Column, Path: shown(path), Message: message, Fix: fix})
}

// shown is a path without the placeholder of a key that cannot stand in one.
func shown(path string) string { return strings.TrimSuffix(strings.TrimSuffix(path, "?"), ".") }

func (d *decoder) of(t reflect.Type) []field {
	if d.fields == nil {
		d.fields = map[reflect.Type][]field{}
	}
	if _, ok := d.fields[t]; !ok {
		d.fields[t] = fieldsOf(t)
	}
	return d.fields[t]
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, f field) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.fail(n, path, "has no value", instead("write one, as in "+f.key+": ", f.sample(), "write one")+", or remove the key")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, f)
	case reflect.Struct:
		if d.expect(n, yaml.MappingNode, path, f, "a mapping") {
			d.mapping(n, v, path)
		}
	case reflect.Map:
		if d.expect(n, yaml.MappingNode, path, f, "a mapping of names to texts") {
			d.table(n, v, path)
		}
	case reflect.Slice:
		if d.expect(n, yaml.SequenceNode, path, f, "a list") {
			d.list(n, v, path, f)
		}
	default:
		if d.expect(n, yaml.ScalarNode, path, f, "one "+kindOf(v.Kind())) {
			d.scalar(n, v, path, f)
		}
	}
}

func (d *decoder) expect(n *yaml.Node, want yaml.Kind, path string, f field, what string) bool {
	if n.Kind == want {
		return true
	}
	got := map[yaml.Kind]string{yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}[n.Kind]
	if path == "" {
		d.fail(n, path, "the file holds "+got+" where a cluster is "+what, "start from `imgforge init`")
		return false
	}
	if f.format == "butane" || f.format == "pem" {
		d.fail(n, path, fmt.Sprintf("is %s and must be one text", got), "write a bar behind the key, `"+f.key+": |`, and the text below it")
		return false
	}
	d.fail(n, path, fmt.Sprintf("is %s and must be %s", got, what), instead("write "+f.key+": ", f.sample(), "write "+what))
	return false
}

// instead is "write key: sample", or the fallback when there is no sample.
func instead(write, sample, fallback string) string {
	if sample == "" {
		return fallback
	}
	return write + sample
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	fields, first := d.of(v.Type()), map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, child := n.Content[i], n.Content[i+1]
		if !d.key(key, path, first) {
			continue
		}
		f, ok := lookup(fields, key.Value)
		if !ok {
			d.unknown(key, path, fields)
			continue
		}
		d.value(child, v.Field(f.index), join(path, f.key), f)
	}
}

// key refuses keys that are no plain text, merge keys, and keys set twice.
func (d *decoder) key(key *yaml.Node, path string, first map[string]int) bool {
	below := join(path, pathKey(key))
	switch {
	case key.Kind != yaml.ScalarNode:
		d.report.Add(report.Problem{Line: key.Line, Col: key.Column, Path: path, Message: "a key is not a plain text", Fix: "write key: value"})
		return false
	case key.Tag == "!!merge":
		d.fail(key, below, "merge keys are not read", "write the keys out")
		return false
	case first[key.Value] > 0:
		d.report.Add(report.Problem{Line: key.Line, Col: key.Column, Path: shown(below),
			Message: fmt.Sprintf("is set twice, first in line %d", first[key.Value]), Fix: "keep one of them"})
		return false
	}
	first[key.Value] = key.Line
	return true
}

func lookup(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, f field) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	one := f
	one.key, one.typ = "- ", v.Type().Elem()
	one.eg = strings.Trim(f.eg, "[]")
	for i, child := range n.Content {
		d.value(child, v.Index(i), item(path, i), one)
	}
}

// table reads a mapping whose keys are the author's own.
func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	first := map[string]int{}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, child := n.Content[i], n.Content[i+1]
		if !d.key(key, path, first) {
			continue
		}
		if child.Kind == yaml.AliasNode {
			child = child.Alias
		}
		below := join(path, pathKey(key))
		switch {
		case secretKey(key.Value) && child.Kind == yaml.ScalarNode && !strings.HasPrefix(child.Value, "/"):
			d.literal(key, below)
		case child.Kind != yaml.ScalarNode:
			d.fail(child, below, "must be one text", "write "+quote(key.Value)+": \"value\"")
		case child.Tag == "!!null":
			d.fail(child, below, "has no value", "write \"\" for an empty text, or remove the key")
		default:
			v.SetMapIndex(reflect.ValueOf(key.Value), reflect.ValueOf(child.Value))
		}
	}
}

func kindOf(k reflect.Kind) string {
	switch k {
	case reflect.Int:
		return "whole number"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, f field) {
	switch v.Kind() {
	case reflect.String:
		d.text(n, v, path, f)
	case reflect.Bool:
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 || n.Value != "true" && n.Value != "false" {
			d.fail(n, path, fmt.Sprintf("%s is neither true nor false", quote(n.Value)), "write "+f.key+": "+truth(n.Value))
			return
		}
		v.SetBool(n.Value == "true")
	case reflect.Int:
		d.integer(n, v, path, f)
	}
}

// text takes a scalar as written. true and false are refused, for whoever
// writes them bare means a switch that this field is not.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string, f field) {
	plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch {
	case plain && n.Tag == "!!bool":
		d.fail(n, path, fmt.Sprintf("%s is a truth value and this is a text", n.Value),
			instead("write "+f.key+": ", f.sample(), "write "+f.key+": "+strconv.Quote(n.Value)))
		return
	case plain && ambiguous(n.Value):
		d.report.Add(report.Problem{Severity: report.Warning, Line: n.Line, Col: n.Column, Path: path,
			Message: fmt.Sprintf("%s without quotes is no text to YAML 1.1 tools", n.Value), Fix: "write " + strconv.Quote(n.Value)})
	}
	v.SetString(n.Value)
}

func (d *decoder) integer(n *yaml.Node, v reflect.Value, path string, f field) {
	example := instead("write "+f.key+": ", f.sample(), "write digits only")
	if f.sample() == "" && f.min != nil && f.max != nil {
		example = fmt.Sprintf("write %d to %d", *f.min, *f.max)
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		if _, err := strconv.ParseInt(n.Value, 10, 32); err == nil {
			d.fail(n, path, fmt.Sprintf("%s is a text and must be a whole number", quote(n.Value)), "remove the quotes")
			return
		}
	}
	digits := strings.TrimPrefix(n.Value, "-")
	switch i, err := strconv.ParseInt(n.Value, 10, 64); {
	case err == nil && len(digits) > 1 && digits[0] == '0':
		d.fail(n, path, fmt.Sprintf("%s begins with 0, which some tools read as octal", quote(n.Value)), "write "+f.key+": "+strconv.FormatInt(i, 10))
	case err != nil || n.Value[0] == '+':
		d.fail(n, path, fmt.Sprintf("%s is not a whole number", quote(n.Value)), example)
	case i > math.MaxInt32 || i < math.MinInt32:
		d.fail(n, path, fmt.Sprintf("%s is out of range", n.Value), example)
	default:
		v.SetInt(i)
	}
}
