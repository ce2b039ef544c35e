package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"

	"github.com/imgforge/imgforge/packer/datasource/payload"
	"github.com/imgforge/imgforge/packer/post-processor/bake"
	"github.com/imgforge/imgforge/packer/post-processor/scalewayimport"
)

// components are all that the plugin brings, with what documents each.
var components = map[string]struct {
	config any
	spec   hcldec.ObjectSpec
	doc    string
}{
	"payload":         {payload.Config{}, new(payload.Datasource).ConfigSpec(), "docs/datasources/payload.mdx"},
	"payload output":  {payload.Output{}, new(payload.Datasource).OutputSpec(), "docs/datasources/payload.mdx"},
	"bake":            {bake.Config{}, new(bake.PostProcessor).ConfigSpec(), "docs/post-processors/bake.mdx"},
	"scaleway-import": {scalewayimport.Config{}, new(scalewayimport.PostProcessor).ConfigSpec(), "docs/post-processors/scaleway-import.mdx"},
}

// Every field is in the specs that packer-sdc generates (go generate ./...) and in the documentation.
func TestFieldsAreGeneratedAndDocumented(t *testing.T) {
	for name, c := range components {
		text, err := os.ReadFile(c.doc)
		if err != nil {
			t.Fatal(err)
		}
		of := reflect.TypeOf(c.config)
		for i := range of.NumField() {
			field, _, _ := strings.Cut(of.Field(i).Tag.Get("mapstructure"), ",")
			if field == "" {
				continue // Packer's own
			}
			if _, ok := c.spec[field]; !ok {
				t.Errorf("%s: %s is not in the generated spec: run go generate ./...", name, field)
			}
			if !strings.Contains(string(text), "- `"+field+"` (") {
				t.Errorf("%s does not document %s", c.doc, field)
			}
		}
		for field := range c.spec {
			if !strings.HasPrefix(field, "packer_") && !strings.Contains(string(text), "- `"+field+"` (") {
				t.Errorf("%s: %s is in the spec alone: run go generate ./...", name, field)
			}
		}
	}
}

// What can never work is refused by packer validate, with what to write instead.
func TestConfigureRefuses(t *testing.T) {
	for _, tc := range []struct {
		name      string
		component interface{ Configure(...any) error }
		fields    map[string]any
		want      string
	}{
		{"nobody's payload", new(payload.Datasource), nil, "either `role` or `node`"},
		{"two payloads", new(payload.Datasource), map[string]any{"role": "worker", "node": "worker-1"}, "either `role` or `node`"},
		{"sealed for a node", new(payload.Datasource), map[string]any{"node": "worker-1", "sealed": true}, "`sealed` goes with `role`"},
		{"nobody's disk", new(bake.PostProcessor), nil, "either `role` or `node`"},
		{"unknown format", new(bake.PostProcessor), map[string]any{"role": "worker", "format": "vmdk"}, "write one of raw, qcow2"},
		{"none stays", new(scalewayimport.PostProcessor), map[string]any{"keep": -1}, "write 1 or more"},
		{"unknown field", new(bake.PostProcessor), map[string]any{"role": "worker", "formt": "raw"}, "formt"},
		{"a payload", new(payload.Datasource), map[string]any{"node": "worker-1"}, ""},
		{"a disk", new(bake.PostProcessor), map[string]any{"role": "worker", "format": "raw.zst"}, ""},
		{"an image", new(scalewayimport.PostProcessor), nil, ""},
	} {
		err := tc.component.Configure(tc.fields)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
