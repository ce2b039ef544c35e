package spec

import (
	"bytes"
	"encoding/json"
	"reflect"

	"gopkg.in/yaml.v3"
)

// Schema is the cluster file as JSON Schema, draft 2020-12, for editors. It
// says what one value may be; what values mean together only Parse knows.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[Cluster](), field{})
	root = append(schema{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "imgforge cluster file"},
		{"description", "One Kubernetes cluster, " + reflect.TypeFor[Cluster]().Field(0).Tag.Get("enum") + "."},
	}, root...)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	// Texts, numbers, booleans and lists of them: nothing here can fail to encode.
	_ = enc.Encode(root)
	return out.Bytes()
}

// schema is a JSON object that keeps its keys in order.
type schema []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in their order.
func (s schema) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range s {
		if i > 0 {
			out.WriteByte(',')
		}
		var pair bytes.Buffer
		enc := json.NewEncoder(&pair)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.key); err != nil {
			return nil, err
		}
		pair.WriteByte(':')
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
		out.Write(pair.Bytes())
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func schemaOf(t reflect.Type, f field) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), f)
	case reflect.Struct:
		return objectSchema(t)
	case reflect.Slice:
		return schema{{"type", "array"}, {"items", schemaOf(t.Elem(), f)}}
	case reflect.Map:
		return schema{{"type", "object"}, {"additionalProperties", schema{{"type", []string{"string", "number", "boolean"}}}}}
	case reflect.Bool:
		return schema{{"type", "boolean"}}
	case reflect.Int:
		out := schema{{"type", "integer"}}
		if f.min != nil {
			out = append(out, member{"minimum", *f.min})
		}
		if f.max != nil {
			out = append(out, member{"maximum", *f.max})
		}
		return out
	}
	out := schema{{"type", "string"}}
	if len(f.enum) > 0 {
		out = append(out, member{"enum", f.enum})
	}
	if p := pattern(f.format); p != "" {
		out = append(out, member{"pattern", p})
	}
	return out
}

func objectSchema(t reflect.Type) schema {
	var properties schema
	var required []string
	for _, f := range fieldsOf(t) {
		p := append(schema{{"description", f.doc}}, schemaOf(f.typ, f)...)
		if f.def != "" {
			p = append(p, member{"default", constant(f.def)})
		}
		if f.eg != "" {
			p = append(p, member{"examples", []any{constant(f.eg)}})
		}
		properties = append(properties, member{f.key, p})
		if f.required {
			required = append(required, f.key)
		}
	}
	out := schema{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}}
	if required != nil {
		out = append(out, member{"required", required})
	}
	return out
}

// constant reads a tag's YAML as the JSON value of the schema. A text that
// looks like a number, as in channel 24.04, is quoted in its tag.
func constant(text string) any {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

// pattern is the part of a format that a regular expression can say. It is
// never stricter than [conforms].
func pattern(format string) string {
	switch format {
	case "cidr":
		return `^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$`
	case "ipv4":
		return `^\d{1,3}(\.\d{1,3}){3}$`
	case "name", "secret":
		return labelForm.String()
	case "peer":
		return peerForm.String()
	case "clock":
		return `^([01]\d|2[0-3]):[0-5]\d$`
	case "device":
		return `^/dev/`
	case "https":
		return `^https://`
	case "url":
		return `^https?://`
	case "version":
		return `^1\.\d+\.\d+$`
	case "mac":
		return macBytes.String()
	}
	return ""
}
