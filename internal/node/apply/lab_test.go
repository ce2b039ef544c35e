//go:build lab

package apply

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

const recordPath = "/api/v1/namespaces/kube-system/configmaps/imgforge-addons"

// What masters apply is taken by the real API server, once, and users keep what
// they change. The parts build on one another.
func TestRealAPIServer(t *testing.T) {
	c := apiserver.Start(t, "scaleway-ha")
	first, end := begin(t, c, "master-1", nil)
	c.Wait()
	ready := time.Since(first.begun)
	until(t, "the first applier is done", first.finished)
	t.Logf("ready after %.2f s; the first applier, from its start:\n%s", ready.Seconds(), first)
	quiet(t, first)
	for _, text := range first.warned {
		t.Errorf("warned: %s", text)
	}

	t.Run("labels", func(t *testing.T) { realLabels(t, c) })
	end()
	t.Run("a second run changes nothing", func(t *testing.T) {
		before := versions(t, c)
		quiet(t, once(t, c, "master-2", nil))
		same(t, before, versions(t, c))
	})
	t.Run("users keep what they change", func(t *testing.T) { realConflicts(t, c) })
	t.Run("versions", func(t *testing.T) { realVersions(t, c) })
	t.Run("upgrade", func(t *testing.T) { realUpgrade(t, c) })
	t.Run("memory", func(t *testing.T) { realMemory(t, c) })
	t.Run("bindings", func(t *testing.T) { realBindings(t, c) })
	t.Run("two at once", func(t *testing.T) { realTwo(t, c) })
	t.Run("lease", func(t *testing.T) { realLease(t, c) })
	t.Run("leaf", func(t *testing.T) { realLeaf(t, c) })
	t.Run("restart", func(t *testing.T) {
		w, _ := begin(t, c, "master-1", nil)
		until(t, "done", w.finished)
		c.Restart()
		c.Wait()
		c.Admin().Must(t, http.MethodDelete, recordPath, "")
		until(t, "applied again", func() bool {
			status, _, err := c.Admin().Do(http.MethodGet, recordPath, "")
			return err == nil && status == http.StatusOK
		})
	})
}

// realLabels runs beside an applier.
func realLabels(t *testing.T, c *apiserver.Cluster) {
	admin := c.Admin()
	for name, labels := range map[string]string{"worker-1": "", "proxy-1": `"mine":"yes"`, "master-1": `"node-role.kubernetes.io/control-plane":"my-own"`, "stranger": ""} {
		admin.Must(t, http.MethodPost, "/api/v1/nodes", node(name, labels))
	}
	until(t, "worker-1 and proxy-1 have labels", func() bool {
		_, worker := labelsOf(t, c, "worker-1")["node-role.kubernetes.io/worker"]
		_, proxy := labelsOf(t, c, "proxy-1")["node-role.kubernetes.io/proxy"]
		return worker && proxy
	})
	if labelsOf(t, c, "proxy-1")["mine"] != "yes" || labelsOf(t, c, "master-1")["node-role.kubernetes.io/control-plane"] != "my-own" {
		t.Error("a user's label was changed")
	}
	if l := labelsOf(t, c, "stranger"); len(l) != 0 {
		t.Errorf("a node that is not the plan's got %v", l)
	}
	a, err := load(Options{Root: c.Root})
	if err != nil {
		t.Fatal(err)
	}
	var gone member
	gone.Metadata.Name, gone.Metadata.UID = "worker-2", "8d2bb4a8-1a8e-4d1e-9f5b-8a8d3b1c0f00"
	if err := a.labelOne(t.Context(), gone, map[string]string{"a": "b"}); !api.Changed(err) {
		t.Errorf("labelling a node that was deleted: %v", err)
	}
	if status, _, _ := admin.Do(http.MethodGet, "/api/v1/nodes/worker-2", ""); status != http.StatusNotFound {
		t.Errorf("labelling made the node anew: %d", status)
	}
}

// changed is the cluster file with another content of flannel.
func changed(t *testing.T) func(a *applier) {
	return func(a *applier) {
		a.cluster.Addons.PodMTU -= 10
		var err error
		if a.wanted, err = wanted(a.cluster, a.facts); err != nil {
			t.Fatal(err)
		}
	}
}

// realConflicts edits what two add-ons hold, then applies other contents.
func realConflicts(t *testing.T, c *apiserver.Cluster) {
	admin := c.Admin()
	edit := "?fieldManager=kubectl-edit"
	admin.Must(t, http.MethodPatch, "/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg"+edit, `{"data":{"net-conf.json":"{\"mine\":true}"}}`)
	admin.Must(t, http.MethodPatch, "/apis/apps/v1/namespaces/kube-system/deployments/coredns"+edit, `{"spec":{"replicas":7},"metadata":{"annotations":{"mine":"yes"}}}`)
	before := versions(t, c)
	// As long as contents are equal, nothing is even asked.
	quiet(t, once(t, c, "master-2", nil))
	same(t, before, versions(t, c))

	w := once(t, c, "master-2", changed(t))
	kept := w.codes[bootcode.ValueKept]
	if !strings.Contains(kept, "ConfigMap kube-flannel/kube-flannel-cfg .data.net-conf.json (kubectl-edit)") {
		t.Errorf("the field that stays is not named:\n%s", w)
	}
	t.Logf("\n%s", kept)
	data := string(admin.Must(t, http.MethodGet, "/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg", ""))
	if !strings.Contains(data, `"{\"mine\":true}"`) || !strings.Contains(data, "cni-conf.json") {
		t.Errorf("the user's value did not survive: %s", data)
	}
	// The rest of the add-on is the new one: its pods say which configuration they run.
	after := versions(t, c)
	if name := "DaemonSet kube-flannel/kube-flannel-ds"; before[name] == after[name] {
		t.Errorf("%s was not applied again", name)
	}
	if data := string(admin.Must(t, http.MethodGet, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "")); !strings.Contains(data, `"replicas":7`) || !strings.Contains(data, `"mine":"yes"`) {
		t.Error("the user's replicas or annotation did not survive")
	}
	// What stays is told again by those who come later, and the other way round nobody fights.
	if again := once(t, c, "master-3", changed(t)); again.codes[bootcode.ValueKept] == "" {
		t.Errorf("a later master does not tell what stays:\n%s", again)
	}
	// All of them applied anew: the Deployment's user value is a conflict now.
	admin.Must(t, http.MethodDelete, recordPath, "")
	w = once(t, c, "master-2", nil)
	if !strings.Contains(w.codes[bootcode.ValueKept], "Deployment kube-system/coredns .spec.replicas (kubectl-edit)") {
		t.Errorf("replicas are not named:\n%s", w)
	}
	if data := string(admin.Must(t, http.MethodGet, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "")); !strings.Contains(data, `"replicas":7`) {
		t.Error("the user's replicas did not survive")
	}
}

// realVersions lets an older payload, and one that merely differs, meet what is there.
func realVersions(t *testing.T, c *apiserver.Cluster) {
	older := func(a *applier) {
		a.cluster.Kubernetes = "1.35.9"
		changed(t)(a)
	}
	before := versions(t, c)
	w := once(t, c, "master-3", older)
	if w.codes[bootcode.AddonsOlder] == "" {
		t.Errorf("not told:\n%s", w)
	}
	same(t, before, versions(t, c))

	// A master that runs since before another applied other contents leaves those.
	w, end := begin(t, c, "master-1", nil)
	defer end()
	until(t, "master-1 is done", w.finished)
	once(t, c, "master-2", changed(t))
	until(t, "master-1 tells", func() bool { return strings.Contains(w.String(), " 707 ") })
	before = versions(t, c)
	time.Sleep(3 * time.Second) // some looks
	same(t, before, versions(t, c))
}

// realUpgrade takes what is recorded for that of the Kubernetes before, which a worker
// still runs.
func realUpgrade(t *testing.T, c *apiserver.Cluster) {
	quietKept(t, once(t, c, "master-1", nil))
	admin := c.Admin()
	runs := func(version string) {
		admin.Must(t, http.MethodPatch, "/api/v1/nodes/worker-1/status", `{"status":{"nodeInfo":{"kubeletVersion":"`+version+`"},
			"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"","lastHeartbeatTime":null,"lastTransitionTime":null}]}}`)
	}
	admin.Must(t, http.MethodPatch, recordPath, `{"data":{"kube-proxy":"{\"hash\":\"sha256:0\",\"kubernetes\":\"1.33.9\",\"by\":\"master-3\"}"}}`)
	runs("v1.33.9")
	before := versions(t, c)
	w, end := begin(t, c, "master-2", nil)
	defer end()
	until(t, "master-2 waits for worker-1", func() bool { return strings.Contains(w.String(), "waits: for worker-1 (v1.33.9) to run Kubernetes ") })
	time.Sleep(3 * time.Second) // some looks
	after := versions(t, c)
	before["Node worker-1"], after["Node worker-1"] = "", "" // which got its labels
	same(t, before, after)
	if w.finished() {
		t.Errorf("done, though a node is behind:\n%s", w)
	}
	runs("v1.99.0")
	until(t, "master-2 is done", w.finished)
	var r record
	if err := json.Unmarshal(admin.Must(t, http.MethodGet, recordPath, ""), &r); err != nil {
		t.Fatal(err)
	}
	if e := r.of("kube-proxy"); e.By != "master-2" || compare(e.Kubernetes, "1.33.9") <= 0 {
		t.Errorf("recorded: %+v", e)
	}
}

// realMemory reboots a master with the payload that it had, after another applied
// what its newer one holds.
func realMemory(t *testing.T, c *apiserver.Cluster) {
	once(t, c, "master-1", nil)
	once(t, c, "master-2", func(a *applier) {
		a.o.Root = t.TempDir() // another machine
		changed(t)(a)
	})
	before := versions(t, c)
	w := once(t, c, "master-1", func(a *applier) { a.remember() })
	if w.codes[bootcode.AddonsDiffer] == "" {
		t.Errorf("not told:\n%s", w)
	}
	same(t, before, versions(t, c))
	// Its own payload with new contents is applied: here, the first ones again.
	quietKept(t, once(t, c, "master-2", func(a *applier) { changed(t)(a); a.remember() }))
	quietKept(t, once(t, c, "master-1", nil))
}

// realTwo starts two appliers on a cluster without a record.
func realTwo(t *testing.T, c *apiserver.Cluster) {
	for _, path := range []string{recordPath, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy",
		"/apis/apps/v1/namespaces/kube-flannel/daemonsets/kube-flannel-ds", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/flannel"} {
		c.Admin().Must(t, http.MethodDelete, path, "")
	}
	one, _ := begin(t, c, "master-1", nil)
	two, _ := begin(t, c, "master-2", nil)
	until(t, "both are done", func() bool { return one.finished() && two.finished() })
	var r record
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, recordPath, ""), &r); err != nil {
		t.Fatal(err)
	}
	by := map[string]bool{}
	for name := range r.Data {
		by[r.of(name).By] = true
	}
	if len(r.Data) != 4 || len(by) != 1 {
		t.Errorf("applied by %v: %v", by, r.Data)
	}
	versions(t, c) // all of it is there
	quietKept(t, one)
	quietKept(t, two)
}
