//go:build lab

package watch

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// The real API server lets a kubelet read what its own Node was, and no other one, and
// tells all that two machines wrote while one of them could not ask.
func TestVersionsOfARealNode(t *testing.T) {
	c := apiserver.Start(t, "scaleway-ha")
	c.Wait()
	var me artifact.NodeFile
	apiserver.Rewrite(t, filepath.Join(c.Root, artifact.NodeFilePath), func(n *artifact.NodeFile) { me = *n })
	url := fmt.Sprintf("https://127.0.0.1:%d", me.APIServerPort)
	machine.Write(t, c.Root, "/etc/machine-id", thisMachine().Machine+"\n", 0o444)
	machine.Write(t, c.Root, "/proc/sys/kernel/random/boot_id", thisMachine().Boot+"\n", 0o444)
	admin, count := c.Admin(), 0
	for _, name := range []string{"master-1", "worker-1"} {
		admin.Must(t, http.MethodPost, "/api/v1/nodes", fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q}}`, name))
	}
	write := func(node string, p posting) {
		count++
		p = p.beat(count)
		admin.Must(t, http.MethodPatch, "/api/v1/nodes/"+node+"/status", fmt.Sprintf(`{"status":{"nodeInfo":{"machineID":%q,"bootID":%q,"systemUUID":%q},
			"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q,"lastTransitionTime":%q,"reason":"x","message":"x"}]}}`, p.Machine, p.Boot, p.System, p.Beat, p.Beat))
	}
	a := newAPIClient(Options{Root: c.Root}.orDefault())
	look := func() API {
		t.Helper()
		out := a.look(t.Context(), url, "master-1")
		if out.Status != http.StatusOK {
			t.Fatalf("%+v", out)
		}
		return out
	}
	write("master-1", thisMachine())
	if f := look(); f.Twin != "" || !f.Ready {
		t.Fatalf("%+v", f)
	}
	for range 3 {
		write("master-1", otherMachine())
		for range 60 {
			write("worker-1", otherMachine()) // versions of other nodes in between
		}
		write("master-1", thisMachine())
	}
	if f := look(); f.Twin == "" || len(a.rivals.past) != 3 {
		t.Errorf("%d writes of another machine: %+v", len(a.rivals.past), f)
	}
	a.seen = "1"
	if out := a.between(t.Context(), a.http, url, "worker-1", "none"); len(out) != 0 {
		t.Errorf("a node reads what another one was: %+v", out)
	}
}
