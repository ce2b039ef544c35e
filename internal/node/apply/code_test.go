package apply

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func theCluster() artifact.ClusterFile {
	return artifact.ClusterFile{Cluster: "nostromo", Role: "master", Kubernetes: "1.36.3", EndpointURL: "https://192.168.66.253:6443", Provider: "metal",
		Nodes: []artifact.ClusterNode{{Name: "worker-1", Role: "worker", Slot: 1, Address: "192.168.66.31", Labels: map[string]string{"node-role.kubernetes.io/worker": ""}}},
		Addons: &artifact.ClusterAddons{CNI: "flannel", PodCIDR: "10.244.0.0/16", ClusterDomain: "cluster.local", DNSIP: "10.96.0.10",
			ProxyMode: "nftables", PodMTU: 1350, Interface: "mesh0", Images: map[string]string{"flannel": "flannel:v1", "flannel-cni-plugin": "flannel-cni:v1"}}}
}

// provoke runs an applier against a stand-in until it tells the code.
func provoke(t *testing.T, code int, s *apiserver.StandIn, change func(*applier)) string {
	t.Helper()
	w := &word{begun: time.Now(), codes: map[int]string{}}
	a, err := load(Options{Root: s.Root, Report: w, Pace: time.Millisecond, Rest: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.run(ctx) })
	defer wait.Wait()
	defer cancel()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if text := w.text(code); text != "" {
			return text
		}
	}
	t.Errorf("code %d does not come:\n%s", code, w)
	return ""
}

// refusing says no to one method on paths that end so.
func refusing(method, suffix string, status int, reason, message string) func(string, string) (int, string, string, []map[string]string) {
	return func(m, path string) (int, string, string, []map[string]string) {
		if m != method || !strings.HasSuffix(path, suffix) {
			return 0, "", "", nil
		}
		return status, reason, message, nil
	}
}

const recordAt = "/api/v1/namespaces/kube-system/configmaps/imgforge-addons"

func recordOf(e entry) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "imgforge-addons", "namespace": "kube-system"},
		"data": map[string]any{"flannel": string(body(e))}}
}

// provoked makes each code come of what causes it.
func provoked(t *testing.T) map[int]string {
	out := map[int]string{}
	root := t.TempDir()
	out[bootcode.AddonsUnable] = strings.ReplaceAll(Run(t.Context(), Options{Root: root}).Error(), root, "")

	s := apiserver.NewStandIn(t, theCluster())
	s.No = refusing(http.MethodGet, "/readyz", 401, "Unauthorized", "Unauthorized")
	out[bootcode.AddonsDenied] = provoke(t, bootcode.AddonsDenied, s, nil)
	s.No = refusing(http.MethodGet, "/imgforge-apply", 500, "InternalError", "etcdserver: request timed out")
	out[bootcode.AddonsFailed] = provoke(t, bootcode.AddonsFailed, s, nil)
	s.No = refusing(http.MethodPatch, "/kube-flannel-ds", 403, "Forbidden", `admission webhook "policy.example.org" denied the request: hostNetwork`)
	out[bootcode.ObjectRefused] = provoke(t, bootcode.ObjectRefused, s, nil)

	s.No = conflictOnce()
	out[bootcode.ValueKept] = provoke(t, bootcode.ValueKept, s, nil)
	s.No = nil
	s.Put(recordAt, recordOf(entry{Hash: "sha256:0", Kubernetes: "1.37.0", By: "master-2"}))
	out[bootcode.AddonsOlder] = provoke(t, bootcode.AddonsOlder, s, nil)
	s.Put(recordAt, recordOf(entry{Hash: "sha256:0", Kubernetes: "1.36.3", By: "master-2"}))
	out[bootcode.AddonsDiffer] = provoke(t, bootcode.AddonsDiffer, s, func(a *applier) { a.settled["flannel"] = true })
	s.Put("/api/v1/nodes/worker-1", map[string]any{"metadata": map[string]any{"name": "worker-1", "uid": "1"}})
	s.No = refusing(http.MethodPatch, "/nodes/worker-1", 403, "Forbidden", `admission webhook "policy.example.org" denied the request: labels are reserved`)
	out[bootcode.LabelRefused] = provoke(t, bootcode.LabelRefused, s, nil)
	return out
}

// conflictOnce is a field of somebody else, the first time that the object comes.
func conflictOnce() func(string, string) (int, string, string, []map[string]string) {
	first := true
	return func(method, path string) (int, string, string, []map[string]string) {
		if !first || method != http.MethodPatch || !strings.HasSuffix(path, "/kube-flannel-cfg") {
			return 0, "", "", nil
		}
		first = false
		return 409, "Conflict", "Apply failed with 1 conflict", []map[string]string{{
			"reason": "FieldManagerConflict", "message": `conflict with "kubectl-edit" using v1`, "field": ".data.net-conf.json"}}
	}
}

// Every code has one golden text, made by what causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	texts := provoked(t)
	for _, c := range bootcode.All() {
		if c.Number < bootcode.AddonsUnable || c.Number > bootcode.LabelRefused {
			continue
		}
		got := texts[c.Number]
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step addons: ", c.Number, c.Name)) || !strings.Contains(got, "  why:    ") {
			t.Errorf("code %d was not provoked:\n%s", c.Number, got)
		}
		testtool.BootCode(t, c, got+"\n", *update)
	}
}
