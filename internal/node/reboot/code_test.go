package reboot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func theCluster() artifact.ClusterFile {
	window := &artifact.ClusterWindow{Start: "04:00", Minutes: 30}
	return artifact.ClusterFile{Cluster: "nostromo", Role: "master", Kubernetes: "1.36.3", Provider: "metal", Timezone: "UTC",
		Nodes: []artifact.ClusterNode{{Name: "master-1", Role: "master", Slot: 1, Window: window}, {Name: "worker-1", Role: "worker", Slot: 1, Window: window},
			{Name: "worker-2", Role: "worker", Slot: 2, Window: window}, {Name: "proxy-1", Role: "proxy", Slot: 1}}}
}

// rig is a master at work against a stand-in, with a clock that stands still.
type rig struct {
	t       *testing.T
	s       *apiserver.StandIn
	now     time.Time
	masters *arbiter
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, s: apiserver.NewStandIn(t, theCluster()), now: at(0)}
	o := Options{Root: r.s.Root, Now: func() time.Time { return r.now }, Spare: func(context.Context, string) (string, error) { return "", nil }}
	var err error
	if r.masters, err = newArbiter(o, theCluster()); err != nil {
		t.Fatal(err)
	}
	for _, n := range theCluster().Nodes {
		r.node(n.Name, "old", true, nil)
	}
	return r
}

func (r *rig) node(name, boot string, ready bool, notes map[string]any) {
	if notes == nil {
		notes = map[string]any{}
	}
	r.s.Put("/api/v1/nodes/"+name, map[string]any{"metadata": map[string]any{"name": name, "uid": name, "annotations": notes},
		"spec": map[string]any{}, "status": map[string]any{"nodeInfo": map[string]any{"bootID": boot},
			"conditions": []any{map[string]any{"type": "Ready", "status": map[bool]string{true: "True", false: "False"}[ready]}}}})
}

// until looks until the code is told; tick, when set, is called before each look.
func (r *rig) until(code int, tick func()) string {
	r.t.Helper()
	var said []string
	for range 40 {
		if tick != nil {
			tick()
		}
		w, _ := r.masters.look(r.t.Context())
		if w.failure != nil {
			said = append(said, w.failure.Error())
			if w.failure.Code.Number == code {
				return w.failure.Error()
			}
		}
		said = append(said, w.waiting)
	}
	r.t.Errorf("code %d does not come:\n%s", code, strings.Join(said, "\n"))
	return ""
}

func due(boot string) map[string]any { return map[string]any{dueKey: boot + " an update is installed"} }

// provoked makes each code come of what causes it.
func provoked(t *testing.T) map[int]string {
	out := map[int]string{}
	empty := t.TempDir()
	out[bootcode.RebootUnable] = strings.ReplaceAll(Run(t.Context(), Options{Root: empty}).Error(), empty, "")

	r := newRig(t)
	r.node("proxy-1", "old", true, due("old"))
	out[bootcode.RebootNoWindow] = r.until(bootcode.RebootNoWindow, nil)

	r = newRig(t)
	r.node("worker-1", "old", true, due("old"))
	r.node("worker-2", "old", false, nil)
	out[bootcode.RebootUnsafe] = r.until(bootcode.RebootUnsafe, nil)

	r = newRig(t)
	r.node("worker-1", "old", true, due("old"))
	r.s.Put("/api/v1/pods/web-0", map[string]any{"metadata": map[string]any{"name": "web-0", "namespace": "shop", "ownerReferences": []any{map[string]any{"kind": "StatefulSet", "controller": true}}}})
	r.s.No = func(method, path string) (int, string, string, []map[string]string) {
		if !strings.HasSuffix(path, "/eviction") {
			return 0, "", "", nil
		}
		return http.StatusTooManyRequests, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", nil
	}
	out[bootcode.DrainUnfinished] = r.until(bootcode.DrainUnfinished, func() { r.now = r.now.Add(time.Minute) })

	for code, ready := range map[int]bool{bootcode.RebootUnmade: true, bootcode.RebootLost: false} {
		r = newRig(t)
		r.node("worker-1", "old", true, due("old"))
		out[code] = r.until(code, func() {
			r.now = r.now.Add(time.Minute)
			if r.now.Equal(at(10)) && !ready {
				r.node("worker-1", "old", false, map[string]any{dueKey: "old an update is installed", oursKey: "yes", grantedKey: "old " + at(13).Format(time.RFC3339)})
			}
		})
	}

	r = newRig(t)
	r.s.No = func(string, string) (int, string, string, []map[string]string) {
		return http.StatusInternalServerError, "InternalError", "etcdserver: request timed out", nil
	}
	out[bootcode.RebootFailed] = r.until(bootcode.RebootFailed, nil)
	out[bootcode.RebootUnasked] = unasked(t)
	return out
}

// unasked is what a node says that cannot find the API.
func unasked(t *testing.T) string {
	root := t.TempDir()
	for path, text := range map[string]string{bootPath: "old\n", requiredPath: ""} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := newOwn(Options{Root: root, Now: time.Now}, "worker-1")
	if err != nil {
		t.Fatal(err)
	}
	for range patience {
		if said, _ := w.look(t.Context()); said.failure != nil {
			return strings.ReplaceAll(said.failure.Error(), root, "")
		}
	}
	t.Error("nothing is said")
	return ""
}

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	texts := provoked(t)
	for _, c := range bootcode.All() {
		if c.Step != "reboot" {
			continue
		}
		got := texts[c.Number]
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step reboot: ", c.Number, c.Name)) || !strings.Contains(got, "  why:    ") {
			t.Errorf("code %d was not provoked:\n%s", c.Number, got)
		}
		testtool.BootCode(t, c, got+"\n", *update)
	}
}
