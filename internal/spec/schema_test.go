package spec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/examples"
)

func schemaTree(t *testing.T) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(Schema(), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// below follows a path such as roles.master.nodes[].name through a schema.
func below(tree map[string]any, path string) map[string]any {
	for _, part := range strings.Split(path, ".") {
		key, many := strings.CutSuffix(part, "[]")
		properties, _ := tree["properties"].(map[string]any)
		tree, _ = properties[key].(map[string]any)
		if many {
			tree, _ = tree["items"].(map[string]any)
		}
	}
	return tree
}

func TestSchemaHoldsEveryField(t *testing.T) {
	tree := schemaTree(t)
	every(func(path string, f field) {
		got := below(tree, path)
		if got == nil || got["description"] != f.doc || got["type"] == nil {
			t.Errorf("the schema of %s is %v", path, got)
			return
		}
		if _, ok := got["default"]; ok != (f.def != "") {
			t.Errorf("the default of %s is %v", path, got["default"])
		}
		scalar := got
		if items, ok := got["items"].(map[string]any); ok {
			scalar = items
		}
		if enum, _ := scalar["enum"].([]any); len(enum) != len(f.enum) {
			t.Errorf("the enum of %s is %v", path, enum)
		}
		_, parent := f, below(tree, path[:max(strings.LastIndex(path, "."), 0)])
		if !strings.Contains(path, ".") {
			parent = tree
		}
		if parent["additionalProperties"] != false {
			t.Errorf("the mapping around %s takes unknown keys", path)
		}
		required, _ := parent["required"].([]any)
		if slices.Contains(required, any(f.key)) != f.required {
			t.Errorf("%s: required is %v in %v", path, f.required, required)
		}
	})
}

// The schema accepts what Parse accepts.
func TestSchemaAcceptsGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/every-field*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	for _, file := range files {
		if texts[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range examples.Names() {
		if texts[name], err = examples.Read(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range texts {
		var v any
		if err := yaml.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		accepts(t, name, schemaTree(t), v)
	}
}

// accepts checks the keywords that Schema uses.
func accepts(t *testing.T, path string, s map[string]any, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for key, value := range v {
			sub, ok := properties[key].(map[string]any)
			if !ok {
				if sub, ok = s["additionalProperties"].(map[string]any); !ok {
					t.Errorf("%s: the schema has no %s", path, key)
					continue
				}
			}
			accepts(t, join(path, key), sub, value)
		}
	case []any:
		items, ok := s["items"].(map[string]any)
		if !ok {
			t.Errorf("%s: the schema has no list", path)
			return
		}
		for i, value := range v {
			accepts(t, item(path, i), items, value)
		}
	case string:
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			t.Errorf("%s: %q does not match %s", path, v, p)
		}
		if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, any(v)) {
			t.Errorf("%s: %q is not in %v", path, v, enum)
		}
	case int:
		if low, ok := s["minimum"].(float64); ok && float64(v) < low {
			t.Errorf("%s: %d is below %v", path, v, low)
		}
		if high, ok := s["maximum"].(float64); ok && float64(v) > high {
			t.Errorf("%s: %d is above %v", path, v, high)
		}
	}
}

func TestSchemaGolden(t *testing.T) {
	if !bytes.Equal(Schema(), Schema()) {
		t.Error("two schemas differ")
	}
	golden(t, "testdata/schema.json", Schema())
}

// Every yaml block of the reference is a cluster file that parses.
func TestReferenceBlocks(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml imgforge\n(.*?)```").FindAllSubmatch(Reference(), -1)
	if len(blocks) == 0 {
		t.Fatal("no block")
	}
	for _, b := range blocks {
		if _, _, r := Parse("block.yaml", b[1]); len(r.Problems) > 0 {
			t.Errorf("a block of the reference has problems:\n%s\n%s", b[1], text(r))
		}
	}
	every(func(path string, f field) {
		if !bytes.Contains(Reference(), []byte("| `"+f.key+"` |")) {
			t.Errorf("the reference has no %s", path)
		}
	})
}

func TestReservedFlags(t *testing.T) {
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"} {
		names := reserved(component)
		if len(names) == 0 {
			t.Errorf("%s has no reserved flag", component)
		}
		form := flagForm
		for i, name := range names {
			if !form.MatchString(name) || slices.Index(names, name) != i || !ReservedFlag(component, name) {
				t.Errorf("%s: %s is no flag, or stands twice", component, name)
			}
		}
	}
	if ReservedFlag("kube-proxy", "v") || ReservedFlag("kubelet", "v") {
		t.Error("a free flag is reserved")
	}
	// The samples of extraArgs must be flags that people may set.
	args := reflect.TypeFor[ExtraArgs]()
	for i, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet"} {
		var sample map[string]string
		if err := yaml.Unmarshal([]byte(args.Field(i).Tag.Get("eg")), &sample); err != nil {
			t.Fatal(err)
		}
		for name := range sample {
			if ReservedFlag(component, name) {
				t.Errorf("the sample --%s of %s is reserved", name, component)
			}
		}
	}
}
