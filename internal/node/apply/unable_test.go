package apply

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// withMetrics is a cluster with metrics-server, whose leaf masters make.
func withMetrics() (s func(t *testing.T) *apiserver.StandIn) {
	c := theCluster()
	c.Addons.MetricsServer = true
	c.Addons.Images["metrics-server"] = "metrics-server:v1"
	return func(t *testing.T) *apiserver.StandIn { return apiserver.NewStandIn(t, c) }
}

// What this node itself lacks is told by code, and is no waiting for the API server.
func TestKeyThatIsMissingIsTold(t *testing.T) {
	s := withMetrics()(t)
	if err := os.Remove(filepath.Join(s.Root, kubeletCAKeyPath)); err != nil {
		t.Fatal(err)
	}
	s.No = refusing(http.MethodPatch, "/kube-flannel-ds", 403, "Forbidden", "hostNetwork") // which must not hide it
	text := provoke(t, bootcode.AddonsUnable, s, nil)
	if !strings.Contains(text, "kubelet-signer.key: no such file") {
		t.Errorf("told:\n%s", text)
	}
}

// A leaf that could not be applied is tried again at the next look.
func TestLeafThatWasNotTakenIsTriedAgain(t *testing.T) {
	s := withMetrics()(t)
	a, err := load(Options{Root: s.Root, Report: &word{codes: map[int]string{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range must(pick(a.wanted, "metrics-server")).Objects {
		if o.Kind == "Secret" {
			s.No = refusing(http.MethodPatch, "/"+o.Name, 500, "InternalError", "etcdserver: request timed out")
		}
	}
	if _, err := a.renewLeaf(t.Context()); err != nil {
		t.Fatal(err)
	}
	if due, err := a.leafDue(t.Context()); !due || err != nil {
		t.Errorf("after it was refused: due %v, %v", due, err)
	}
}

func must(a addon, ok bool) addon {
	if !ok {
		panic("no such add-on")
	}
	return a
}
