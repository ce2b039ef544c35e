package addons

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"
)

//go:embed manifests/*.tmpl
var manifests embed.FS

// configAnnotation on pods makes a workload roll when its configuration has
// changed: flannel and kube-proxy read theirs once.
const configAnnotation = "imgforge.io/config"

func parseTemplate(name string) (*template.Template, error) {
	return template.New(name+".yaml.tmpl").Option("missingkey=error").
		Funcs(template.FuncMap{"quote": quote, "base64": base64Text, "text": text}).
		ParseFS(manifests, "manifests/endpoint.tmpl", "manifests/"+name+".yaml.tmpl")
}

// render fills one add-on's template and takes it apart into objects.
func render(name string, v *values) ([]Object, error) {
	t, err := parseTemplate(name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	documents, err := decode(&b)
	if err != nil {
		return nil, err
	}
	if err := finish(name, documents); err != nil {
		return nil, err
	}
	out := make([]Object, 0, len(documents))
	for _, d := range documents {
		o, err := object(d)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// quote is v as JSON, which YAML reads back as the same value whatever it holds.
func quote(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

func base64Text(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func text(data []byte) string { return string(data) }

func decode(r io.Reader) ([]map[string]any, error) {
	var out []map[string]any
	for dec := yaml.NewDecoder(r); ; {
		var d map[string]any
		err := dec.Decode(&d)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
}

// finish labels every object and ties workloads to their configuration.
func finish(addon string, documents []map[string]any) error {
	sum, err := configSum(documents)
	if err != nil {
		return err
	}
	for _, d := range documents {
		branch(d, "metadata", "labels")[Label] = addon
		if k := d["kind"]; sum != "" && (k == "DaemonSet" || k == "Deployment") {
			branch(d, "spec", "template", "metadata", "annotations")[configAnnotation] = sum
		}
	}
	return nil
}

// configSum is a hash of the data of all ConfigMaps, "" when there is none.
func configSum(documents []map[string]any) (string, error) {
	var all []any
	for _, d := range documents {
		if d["kind"] == "ConfigMap" {
			all = append(all, d["data"])
		}
	}
	if all == nil {
		return "", nil
	}
	data, err := json.Marshal(all) // keys of maps are sorted
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8]), nil
}

// branch is the map at a path below m, made where it is missing.
func branch(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	return m
}

func object(d map[string]any) (Object, error) {
	word := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	meta := branch(d, "metadata")
	o := Object{APIVersion: word(d, "apiVersion"), Kind: word(d, "kind"), Namespace: word(meta, "namespace"), Name: word(meta, "name")}
	if o.APIVersion == "" || o.Kind == "" || o.Name == "" {
		return Object{}, fmt.Errorf("an object without apiVersion, kind or name: %s", strings.Join([]string{o.APIVersion, o.Kind, o.Name}, " "))
	}
	data, err := json.Marshal(d)
	o.JSON = data
	return o, err
}
