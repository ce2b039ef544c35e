package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/report"
)

// every calls f for each field of the cluster file, list entries as [].
func every(f func(path string, f field)) {
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), path)
		case reflect.Slice:
			walk(t.Elem(), path+"[]")
		case reflect.Struct:
			for _, field := range fieldsOf(t) {
				f(join(path, field.key), field)
				walk(field.typ, join(path, field.key))
			}
		}
	}
	walk(reflect.TypeFor[Cluster](), "")
}

func TestTags(t *testing.T) {
	every(func(path string, f field) {
		if f.key == "" || f.doc == "" || !strings.HasSuffix(f.doc, ".") {
			t.Errorf("%s has no key, or no sentence about it", path)
		}
		if f.def != "" {
			if err := yaml.Unmarshal([]byte(f.def), reflect.New(f.typ).Interface()); err != nil {
				t.Errorf("default of %s: %v", path, err)
			}
		}
		if f.format != "" && f.eg+f.def != "" && f.typ.Kind() == reflect.String {
			var sample string
			if err := yaml.Unmarshal([]byte(f.sample()), &sample); err != nil {
				t.Errorf("sample of %s: %v", path, err)
			}
			if message, fix := conforms(f, sample); message != "" {
				t.Errorf("the sample of %s is refused: %s; %s", path, message, fix)
			}
		}
	})
}

// What is valid gets through: the good files together set every field, and each
// value of theirs arrives in the cluster.
func TestEveryFieldArrives(t *testing.T) {
	set := map[string]bool{}
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, src, _ := Parse(file, data)
		for path := range src.places {
			set[withoutIndexes(path)] = true
		}
		var written, decoded any
		if err := yaml.Unmarshal(data, &written); err != nil {
			t.Fatal(err)
		}
		back, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(back, &decoded); err != nil {
			t.Fatal(err)
		}
		arrives(t, file, written, decoded)
	}
	// Roles share their keys: each need be set for one role only.
	every(func(path string, _ field) {
		parts := strings.SplitN(path, ".", 3)
		if parts[0] != "roles" || len(parts) < 3 {
			if !set[path] {
				t.Errorf("no good file sets %s", path)
			}
			return
		}
		if !set["roles.master."+parts[2]] && !set["roles.proxy."+parts[2]] && !set["roles.worker."+parts[2]] {
			t.Errorf("no good file sets %s", path)
		}
	})
}

func withoutIndexes(path string) string {
	for i := range 10 {
		path = strings.ReplaceAll(path, fmt.Sprintf("[%d]", i), "[]")
	}
	return path
}

// arrives compares what was written with what was decoded, by the text of scalars.
func arrives(t *testing.T, path string, written, decoded any) {
	t.Helper()
	switch w := written.(type) {
	case map[string]any:
		d, _ := decoded.(map[string]any)
		for key, value := range w {
			arrives(t, join(path, key), value, d[key])
		}
	case []any:
		d, _ := decoded.([]any)
		if len(d) != len(w) {
			t.Errorf("%s has %d entries, written were %d", path, len(d), len(w))
			return
		}
		for i := range w {
			arrives(t, item(path, i), w[i], d[i])
		}
	default:
		// The library reads 007 as 7, where the file means the text.
		if got, want := strings.TrimLeft(fmt.Sprint(decoded), "0"), strings.TrimLeft(fmt.Sprint(written), "0"); got != want && want != "1.3" {
			t.Errorf("%s is %s, written was %s", path, got, want)
		}
	}
}

// An unknown key is refused in every mapping that has keys of ours.
func TestUnknownKeys(t *testing.T) {
	data, err := os.ReadFile("testdata/good/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, src, _ := Parse("good.yaml", data)
	levels := 0
	for path, p := range src.places {
		if p.kind != yaml.MappingNode || strings.Contains(path, "labels") || strings.Contains(path, "extraArgs.") {
			continue
		}
		levels++
		var root yaml.Node
		if err := yaml.Unmarshal(data, &root); err != nil {
			t.Fatal(err)
		}
		n := find(root.Content[0], path)
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "zzqq"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "1"})
		broken, err := yaml.Marshal(&root)
		if err != nil {
			t.Fatal(err)
		}
		_, _, r := Parse("bad.yaml", broken)
		if want := join(path, "zzqq"); r.Errors() != 1 || r.Problems[0].Path != want {
			t.Errorf("an unknown key %s gives:\n%s", want, text(r))
		}
	}
	if levels < 24 {
		t.Errorf("only %d levels were tried", levels)
	}
}

// find walks a path of keys and indexes.
func find(n *yaml.Node, path string) *yaml.Node {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if n.Kind == yaml.SequenceNode {
			var i int
			_, _ = fmt.Sscanf(part, "%d]", &i)
			n = n.Content[i]
			continue
		}
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				n = n.Content[i+1]
				break
			}
		}
	}
	return n
}

const located = `# a comment first
name: demo
platform: {provider: scaleway}
roles:
  master:
    count: 3
    nodes:
      - name: one
        address: 192.168.66.11
      - {name: two}
    labels: {example.org/tier: a}
  worker: &w
    count: 3
  proxy: *w
extra:
  master: |

    storage: {}
  worker: "storage: {}"
`

func TestPosition(t *testing.T) {
	_, src, _ := Parse("c.yaml", []byte(located))
	for _, c := range []struct {
		path      string
		line, col int
	}{
		{"", 2, 1}, {"name", 2, 7}, {"platform", 3, 1}, {"platform.provider", 3, 22}, {"roles.master", 5, 3}, {"roles.master.count", 6, 12},
		{"roles.master.nodes", 7, 5}, {"roles.master.nodes[0]", 8, 9}, {"roles.master.nodes[0].address", 9, 18}, {"roles.master.nodes[1]", 10, 9},
		{"roles.master.nodes[1].name", 10, 16}, {"roles.master.labels.example.org/tier", 11, 32},
		{"roles.proxy", 14, 3}, {"roles.proxy.count", 13, 12},
	} {
		if line, col, ok := src.Position(c.path); !ok || line != c.line || col != c.col {
			t.Errorf("%q is at %d:%d (%v), want %d:%d", c.path, line, col, ok, c.line, c.col)
		}
	}
	if _, _, ok := src.Position("roles.master.taints"); ok {
		t.Error("a path that the file does not set has a position")
	}
	for path, want := range map[string]int{"extra.master": 17, "extra.worker": 19, "extra.all": 0} {
		if got := src.Block(path); got != want {
			t.Errorf("the text of %s begins in line %d, want %d", path, got, want)
		}
	}
}

// Problems found later, by path alone, get the place of the nearest thing that
// the author wrote.
func TestLocate(t *testing.T) {
	_, src, _ := Parse("c.yaml", []byte(located))
	r := report.Report{}
	for _, path := range []string{"roles.master.nodes[1].endpoint", "roles.master.nodes[7].name", "network.cidr", "roles.worker.reboot.length", "", "pki"} {
		r.Add(report.Problem{Path: path, Message: "m"})
	}
	r.Add(report.Problem{File: "other.yaml", Line: 7, Col: 3, Message: "m"})
	src.Locate(&r)
	var got []string
	for _, p := range r.Problems {
		got = append(got, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col))
	}
	want := []string{"c.yaml:10:9", "c.yaml:7:5", "c.yaml:2:1", "c.yaml:12:3", "c.yaml:2:1", "c.yaml:2:1", "other.yaml:7:3"}
	if !slices.Equal(got, want) {
		t.Errorf("places are %v, want %v", got, want)
	}
}

func TestBudgetOfShapes(t *testing.T) {
	for name, data := range map[string]string{
		"too many bytes":  "name: demo\n#" + strings.Repeat("x", maxBytes),
		"too many values": "ntp: [" + strings.Repeat("1,", maxValues) + "1]\n",
		"one long line":   strings.Repeat("a", maxBytes),
		"many documents":  strings.Repeat("---\n", 1000),
		"many brackets":   strings.Repeat("[", maxBytes),
		"many braces":     strings.Repeat("{a: ", maxBytes/4),
		"many dashes":     strings.Repeat("- ", maxBytes/2),
		"many keys":       strings.Repeat("? ", maxBytes/2),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, r := Parse("c.yaml", []byte(data))
			if r.Errors() == 0 {
				t.Error("no error")
			}
			inside(t, []byte(data), r)
		})
	}
}

// No report repeats a secret, not even one that stands where something else belongs.
func TestSecretsStayOut(t *testing.T) {
	const base = "name: demo\nplatform: {provider: scaleway}\nroles: {master: {count: 3}}\n"
	for _, secret := range []string{
		"-----BEGIN PRIVATE KEY-----", "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGP", "ghp_0123456789abcdefghijABCDEFGHIJ456789",
		"AKIAIOSFODNN7EXAMPLE", "abcdef.0123456789abcdef", "glpat-abcdefghijklmnopqrst", "$6$salt$hashhashhashhash",
		"https://robot:hunter2@registry.example.org", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
	} {
		for _, form := range []string{
			"timezone: %q\n", "os: {family: %q}\n", "kubernetes: {version: %q}\n", "network: {cidr: %q}\n", "endpoint: {port: %q}\n",
			"%q: 1\n", "? [%q]\n: 1\n", "zz: %q\n", "zz: {%q: {a: {b: 1}}}\n", "zz: [a, {b: %q}]\n", "ntp: [%q]\n", "registries: [{host: %q}]\n", "registries: [{passwordRef: %q, host: a}]\n",
			"kubernetes: {extraArgs: {scheduler: {v: %q}}}\n", "extra: {all: %q}\n", "dns: %q\n", "addons: {coreDNS: %q}\n",
		} {
			_, _, r := Parse("c.yaml", []byte(base+fmt.Sprintf(form, secret)))
			if r.Errors() == 0 {
				t.Errorf("%s with a secret has no error", form)
			}
			if strings.Contains(text(r), secret) || strings.Contains(text(r), "hunter2") {
				t.Errorf("%s: the report repeats the secret:\n%s", form, text(r))
			}
		}
	}
	for _, plain := range []string{"vrrp.keepalived", "192.168.66.253", "203.0.113.10:655", "registry.example.org/team/image:1.2", "https://login.example.org/realms/x", "master-1.nostromo.internal"} {
		if what, _ := secretIn(plain); what != "" {
			t.Errorf("%q passes for %s", plain, what)
		}
	}
}

func TestSecretLines(t *testing.T) {
	for text, want := range map[string]int{
		"a = 1\npassword = hunter2hunter2": 2, "PrivateKey=aBcDeFgHiJkLmNoP=": 1, "x:\n  - y\n  api_key: 0123abcdef": 3, `"token": "s.1234567890"`: 1,
		"imagePullSecret: registry-robot": 0, "tokenFile = /etc/token": 0, "password_file: /etc/password": 0, "password: ${PASSWORD}": 0,
		"PasswordAuthentication no": 0, "secret: /run/secrets/a1": 0,
	} {
		if got := secretLine(text); got != want {
			t.Errorf("%q sets a secret in line %d, want %d", text, got, want)
		}
	}
}

// Line ends and byte order marks of other systems change nothing.
func TestForeignText(t *testing.T) {
	data, err := os.ReadFile("testdata/good/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := Parse("c.yaml", data)
	for name, other := range map[string]string{
		"windows": strings.ReplaceAll(string(data), "\n", "\r\n"), "mark": "\ufeff" + string(data), "no end": strings.TrimRight(string(data), "\n"),
	} {
		if got, _, r := Parse("c.yaml", []byte(other)); !reflect.DeepEqual(got, want) || len(r.Problems) > 0 {
			t.Errorf("%s: another cluster, or problems:\n%s", name, text(r))
		}
	}
}

// The order of a file's problems is that of its lines, and the same every time.
func TestReportIsStable(t *testing.T) {
	data, err := os.ReadFile("testdata/bad/reserved-flags.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, _, first := Parse("c.yaml", data)
	for range 20 {
		if _, _, again := Parse("c.yaml", data); !reflect.DeepEqual(first, again) {
			t.Fatalf("two reports differ:\n%s\n%s", text(first), text(again))
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"count", "coutn", 1}, {"kitten", "sitting", 3}, {"reboot", "rebot", 1}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Whatever is read is checked without a panic, every problem has a place inside
// the file, and a cluster without errors has one that its plan can rely on.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "testdata/warn/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, name := range examples.Names() {
		data, err := examples.Read(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, src, r := Parse("c.yaml", data)
		if c == nil || src == nil {
			t.Fatal("nothing is returned")
		}
		inside(t, data, r)
		if r.Errors() > 0 {
			return
		}
		if c.Name == "" || c.Platform.Provider == "" || c.Roles.Master.Count < 1 || c.Roles.Worker.Reserve == nil || c.Kubernetes.Version == "" {
			t.Fatalf("a cluster without errors lacks what it must have: %+v", c)
		}
		if _, ok := address(c.Endpoint.Address); c.Endpoint.Mode == "vip" && !ok {
			t.Fatalf("a cluster without errors has no floating address: %q", c.Endpoint.Address)
		}
	})
}
