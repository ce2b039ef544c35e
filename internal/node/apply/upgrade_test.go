package apply

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool/apiserver"
	"github.com/imgforge/imgforge/profiles/addons"
)

// running is a node with a kubelet of that version.
func running(name, version, ready string) (k kubelet) {
	k.Metadata.Name, k.Status.NodeInfo.KubeletVersion = name, version
	if ready != "" {
		k.Status.Conditions = append(k.Status.Conditions, struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		}{"Ready", ready})
	}
	return k
}

func TestWhoIsBehind(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []kubelet
		want  []string
	}{
		"no node yet":               {nil, nil},
		"all are there":             {[]kubelet{running("a", "v1.36.3", "True"), running("b", "v1.36.4", "True"), running("c", "v1.37.0", "True")}, nil},
		"minors are numbers":        {[]kubelet{running("a", "v1.100.0", "True"), running("b", "v1.9.9", "True")}, []string{"b (v1.9.9)"}},
		"a patch counts":            {[]kubelet{running("a", "v1.36.2", "True")}, []string{"a (v1.36.2)"}},
		"sorted":                    {[]kubelet{running("b", "v1.35.1", "True"), running("a", "v1.35.1", "True")}, []string{"a (v1.35.1)", "b (v1.35.1)"}},
		"not Ready":                 {[]kubelet{running("a", "v1.35.1", "False"), running("b", "v1.35.1", "Unknown"), running("c", "v1.35.1", "")}, nil},
		"a build of somebody":       {[]kubelet{running("a", "v1.36.3+k3s1", "True"), running("b", "v1.36.3-eks-1", "True"), running("c", "v1.35.9+k3s1.2", "True")}, []string{"c (v1.35.9+k3s1.2)"}},
		"says nothing of a version": {[]kubelet{running("a", "", "True")}, []string{"a ()"}},
	} {
		if got := behind(c.nodes, "1.36.3"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatIsAnUpgrade(t *testing.T) {
	for _, c := range []struct {
		have entry
		want bool
	}{
		{entry{}, false}, // a first apply
		{entry{Hash: "sha256:0", Kubernetes: "1.35.9"}, true},
		{entry{Hash: "sha256:0", Kubernetes: "1.36.2"}, true},
		{entry{Hash: "sha256:0", Kubernetes: "1.36.3"}, false},
		{entry{Hash: "sha256:0", Kubernetes: "1.37.0"}, false},
		{entry{Hash: "sha256:0"}, true}, // a record that does not say counts as old
	} {
		if got := upgrades(c.have, "1.36.3"); got != c.want {
			t.Errorf("%+v: %v", c.have, got)
		}
	}
}

// An add-on that is recorded of an older Kubernetes waits for the last node; one that
// is not recorded does not wait for anybody.
func TestUpgradeWaits(t *testing.T) {
	c := theCluster()
	c.Addons.KubeProxy, c.Addons.Images["kube-proxy"] = true, "kube-proxy:v1"
	s := apiserver.NewStandIn(t, c)
	s.Put(recordAt, recordOf(entry{Hash: "sha256:0", Kubernetes: "1.35.9", By: "master-2"}))
	worker := func(version string) {
		s.Put("/api/v1/nodes/worker-1", map[string]any{"metadata": map[string]any{"name": "worker-1", "uid": "1", "labels": map[string]any{"node-role.kubernetes.io/worker": ""}},
			"status": map[string]any{"nodeInfo": map[string]any{"kubeletVersion": version}, "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}})
	}
	worker("v1.35.9")
	w := &word{begun: time.Now(), codes: map[int]string{}}
	a, err := load(Options{Root: s.Root, Report: w, Pace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if pause := a.look(t.Context()); pause != a.o.Rest {
		t.Errorf("while it waits it looks again after %s", pause)
	}
	const want = "waits: for worker-1 (v1.35.9) to run Kubernetes 1.36.3, before flannel of it may be applied"
	if !strings.Contains(w.String(), want) || w.finished() {
		t.Errorf("said:\n%s", w)
	}
	have, err := a.recorded(t.Context())
	if err != nil || have.of("flannel").Kubernetes != "1.35.9" || have.of("kube-proxy").Kubernetes != "1.36.3" {
		t.Errorf("%v, recorded %v", err, have.Data)
	}
	s.No = func(method, path string) (int, string, string, []map[string]string) {
		if strings.Contains(path, "flannel") && method == http.MethodPatch {
			t.Errorf("%s %s", method, path)
		}
		return 0, "", "", nil
	}
	a.look(t.Context())
	s.No = nil
	worker("v1.36.3")
	a.look(t.Context())
	if have, err = a.recorded(t.Context()); err != nil || have.of("flannel").Kubernetes != "1.36.3" || !w.finished() {
		t.Errorf("%v, recorded %v; said:\n%s", err, have.Data, w)
	}
	if _, bound := have.Data[addons.Bindings]; bound {
		t.Error(fmt.Sprint("bindings are recorded: ", have.Data))
	}
}
