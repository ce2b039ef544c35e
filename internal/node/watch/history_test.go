package watch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// body is a Node that is Ready.
func (p posting) body(version int) string {
	return fmt.Sprintf(`{"metadata":{"resourceVersion":"%d"},"status":{"nodeInfo":{"machineID":%q,"bootID":%q,"systemUUID":%q},
		"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`, version, p.Machine, p.Boot, p.System, p.Beat)
}

// versions keeps a Node and what it was before, as the API server does.
type versions struct {
	s        *site
	node     string
	all      []string
	forgets  bool
	replayed int
}

func (v *versions) write(p posting) {
	v.all = append(v.all, p.beat(len(v.all)).body(len(v.all)))
	v.s.answer("api /api/v1/nodes/"+v.node, "200 "+v.all[len(v.all)-1])
}

// ServeHTTP is the watch.
func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("watch") != "true" || q.Get("fieldSelector") != "metadata.name="+v.node || q.Get("timeoutSeconds") == "" {
		http.Error(w, "Forbidden", http.StatusForbidden) // a node may watch no other one
		return
	}
	v.replayed++
	if v.forgets {
		fmt.Fprintln(w, `{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}`)
		return
	}
	var from int
	fmt.Sscan(q.Get("resourceVersion"), &from)
	for _, body := range v.all[from+1:] {
		fmt.Fprintf(w, `{"type":"MODIFIED","object":%s}`+"\n", body)
	}
}

// newVersions is a worker of those ids and its API server.
func newVersions(t *testing.T) *versions {
	v := &versions{node: "worker-1"}
	v.s = newSite(t, v.node)
	v.s.nodes = v
	machine.Write(t, v.s.root, "/etc/machine-id", thisMachine().Machine+"\n", 0o444)
	machine.Write(t, v.s.root, "/proc/sys/kernel/random/boot_id", thisMachine().Boot+"\n", 0o444)
	return v
}

// What two machines wrote while this one could not ask is learned afterwards, and said
// by its code; what the API server has forgotten is not made up.
func TestVersionsOfTheNode(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		v := newVersions(t)
		v.forgets = forgets
		l, err := newLooker(v.s.o)
		if err != nil {
			t.Fatal(err)
		}
		look := func() string { return l.look(t.Context()).API.Twin }
		v.write(thisMachine())
		if words := look() + look(); words != "" || v.replayed != 0 {
			t.Fatalf("alone, %d times replayed: %s", v.replayed, words)
		}
		v.write(otherMachine())
		v.write(thisMachine())
		v.write(otherMachine())
		v.write(thisMachine())
		words := look()
		if (words != "") == forgets || v.replayed != 1 {
			t.Fatalf("forgets %v, %d times replayed: %q", forgets, v.replayed, words)
		}
		if forgets {
			continue
		}
		if words := Decide(l.look(t.Context())); words[2].Code != bootcode.NodeTwin || words[2].Outcome != Warned {
			t.Errorf("%+v", words)
		}
		v.s.stop["api"]()
		f := l.look(t.Context())
		if f.API.Twin == "" || f.API.Status != 0 {
			t.Errorf("it is forgotten with the API: %+v", f.API)
		}
	}
}

// A machine's own ids are where its kubelet reads them, and another's cannot steer a
// console.
func TestIDs(t *testing.T) {
	v := newVersions(t)
	if err := os.Remove(filepath.Join(v.s.root, "/etc/machine-id")); err != nil {
		t.Fatal(err)
	}
	machine.Write(t, v.s.root, "/var/lib/dbus/machine-id", "abc\n", 0o444)
	if id, boot := ownIDs(v.s.root); id != "abc" || boot != thisMachine().Boot {
		t.Errorf("%q %q", id, boot)
	}
	if got := tame("ab\x1b[31m-1\n" + strings.Repeat("x", 100)); got != ("ab31m-1" + strings.Repeat("x", 100))[:64] {
		t.Errorf("%q", got)
	}
}
