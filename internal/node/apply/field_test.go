package apply

import (
	"testing"
)

// Paths are those that a real API server wrote into conflicts.
func TestWithout(t *testing.T) {
	for _, c := range []struct {
		name, object string
		paths        []string
		want         string
	}{
		{"a key", `{"spec":{"replicas":2,"x":1}}`, []string{".spec.replicas"}, `{"spec":{"x":1}}`},
		{"a key with dots", `{"data":{"net-conf.json":"a","net-conf":{"json":"b"}}}`, []string{".data.net-conf.json"}, `{"data":{"net-conf":{"json":"b"}}}`},
		{"a key with dots and slashes", `{"metadata":{"labels":{"node-role.kubernetes.io/worker":"","a":"b"}}}`,
			[]string{".metadata.labels.node-role.kubernetes.io/worker"}, `{"metadata":{"labels":{"a":"b"}}}`},
		{"a shorter key beside", `{"m":{"a":{"b":1,"c":2},"a.b":3}}`, []string{".m.a.c"}, `{"m":{"a":{"b":1},"a.b":3}}`},
		{"by name", `{"c":[{"name":"a","image":"1"},{"name":"b","image":"2","args":[]}]}`, []string{`.c[name="b"].image`},
			`{"c":[{"image":"1","name":"a"},{"args":[],"name":"b"}]}`},
		{"by two keys", `{"ports":[{"port":53,"protocol":"UDP","name":"u"},{"port":53,"protocol":"TCP","name":"t"}]}`, []string{`.ports[port=53,protocol="TCP"].name`},
			`{"ports":[{"name":"u","port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]}`},
		{"by a key with its default", `{"ports":[{"containerPort":53,"name":"dns"}]}`, []string{`.ports[containerPort=53,protocol="TCP"].name`}, `{"ports":[{"containerPort":53}]}`},
		{"a whole element", `{"c":[{"name":"a"},{"name":"b"}]}`, []string{`.c[name="a"]`}, `{"c":[{"name":"b"}]}`},
		{"of a set", `{"f":["x]","y"]}`, []string{`.f[="x]"]`}, `{"f":["y"]}`},
		{"by index", `{"f":["x","y"]}`, []string{`.f[1]`}, `{"f":["x"]}`},
		{"two", `{"a":1,"b":12345678901234567890,"c":3}`, []string{".a", ".c"}, `{"b":12345678901234567890}`},
	} {
		got, err := without([]byte(c.object), c.paths)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s %v, not %s", c.name, got, err, c.want)
		}
	}
}

// A field that was not applied is no reason to drop another.
func TestWithoutUnknown(t *testing.T) {
	for _, path := range []string{".b", ".a.b", ".l[name=\"x\"].y", ".l[7]", ".l[name=", ".l[]", "a", ".l.a", ".a[0]", ""} {
		if got, err := without([]byte(`{"a":1,"l":[{"name":"y"}]}`), []string{path}); err == nil {
			t.Errorf("%q: %s", path, got)
		}
	}
}

func FuzzWithout(f *testing.F) {
	f.Add(`{"c":[{"name":"b","image":"2"}]}`, `.c[name="b"].image`)
	f.Add(`{"f":["x]","y"]}`, `.f[="x]"]`)
	f.Fuzz(func(t *testing.T, object, path string) {
		_, _ = without([]byte(object), []string{path}) // what no server writes must not end the process
	})
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.36.3", "1.36.3", 0}, {"1.36.3", "1.36.10", -1}, {"1.37.0", "1.36.10", 1}, {"1.9.0", "1.10.0", -1}, {"v1.36.3", "1.36.3", 0}, {"1.36.3-rc.1", "1.36.2", 1},
	} {
		if got := compare(c.a, c.b); got != c.want {
			t.Errorf("compare(%s, %s) is %d, not %d", c.a, c.b, got, c.want)
		}
	}
}
