//go:build lab

package apply

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// word takes what an applier reports.
type word struct {
	mu     sync.Mutex
	begun  time.Time
	lines  []string
	done   int
	codes  map[int]string
	warned []string
}

func (w *word) note(text string) {
	w.lines = append(w.lines, fmt.Sprintf("%6.2fs %s", time.Since(w.begun).Seconds(), text))
}

func (w *word) Failed(f *bootcode.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.codes[f.Code.Number] = f.Error()
	w.note(f.Error())
}

func (w *word) Waiting(_, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("waits: " + what)
}

func (w *word) Done(_, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done++
	w.note("done: " + what)
}

func (w *word) warning(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warned = append(w.warned, what+": "+text)
}

func (w *word) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func (w *word) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done > 0
}

// begin runs an applier for a master of that name until the test ends it.
func begin(t *testing.T, c *apiserver.Cluster, name string, change func(a *applier)) (w *word, end func()) {
	t.Helper()
	w = &word{begun: time.Now(), codes: map[int]string{}}
	a, err := load(Options{Root: c.Root, Report: w, Rest: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	a.lock.identity, a.client.Warned = name, w.warning
	a.settled = map[string]bool{} // as on a machine of its own; see realMemory
	if change != nil {
		change(a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.run(ctx) })
	end = func() { cancel(); wait.Wait() }
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, w)
		}
	})
	return w, end
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for limit := time.Now().Add(90 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if met() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// once runs an applier until it is done, without a code or a warning of the API server.
func once(t *testing.T, c *apiserver.Cluster, name string, change func(a *applier)) *word {
	t.Helper()
	w, end := begin(t, c, name, change)
	until(t, name+" is done", w.finished)
	end()
	for _, text := range w.warned {
		t.Errorf("%s was warned: %s", name, text)
	}
	return w
}

func quiet(t *testing.T, w *word) {
	t.Helper()
	for _, text := range w.codes {
		t.Errorf("said without a reason:\n%s", text)
	}
}

// versions are the resourceVersions of all that is applied, and of the record.
func versions(t *testing.T, c *apiserver.Cluster) map[string]string {
	t.Helper()
	a, err := load(Options{Root: c.Root})
	if err != nil {
		t.Fatal(err)
	}
	refs := []api.Ref{recordRef(), {APIVersion: "v1", Kind: "Node", Name: "worker-1"}}
	for _, want := range a.wanted {
		for _, o := range want.Objects {
			refs = append(refs, ref(o))
		}
	}
	out := map[string]string{}
	for _, r := range refs {
		var o struct {
			Metadata struct {
				ResourceVersion string            `json:"resourceVersion"`
				Labels          map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := a.client.Get(t.Context(), r, &o); err != nil {
			t.Error(err)
		}
		out[r.String()] = o.Metadata.ResourceVersion
	}
	return out
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was changed: %s, then %s", name, version, after[name])
		}
	}
}

func node(name, labels string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q,"labels":{%s}}}`, name, labels)
}

func labelsOf(t *testing.T, c *apiserver.Cluster, name string) map[string]string {
	t.Helper()
	var m member
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, "/api/v1/nodes/"+name, ""), &m); err != nil {
		t.Fatal(err)
	}
	return m.Metadata.Labels
}

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

// realBindings asks with a kubelet's leaf for what the bindings grant.
func realBindings(t *testing.T, c *apiserver.Cluster) {
	c.Controllers()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:master-1", Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	c.Leaf("kubelet").Must(t, http.MethodPost, path, string(body(map[string]any{
		"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": "rotation"},
		"spec": map[string]any{"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": []string{"digital signature", "client auth"},
			"request": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}})))
	until(t, "the kubelet's next client certificate is signed", func() bool {
		return strings.Contains(string(c.Admin().Must(t, http.MethodGet, path+"/rotation", "")), `"certificate":`)
	})
	answer := c.Admin().Must(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", string(body(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{"user": "kube-apiserver-kubelet-client",
			"resourceAttributes": map[string]any{"verb": "create", "resource": "nodes", "subresource": "proxy"}}})))
	if !strings.Contains(string(answer), `"allowed":true`) {
		t.Errorf("the API server may not speak to kubelets: %s", answer)
	}
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

// realLease lets two masters want the lease while their clocks go on.
func realLease(t *testing.T, c *apiserver.Cluster) {
	client, err := api.New(c.Root)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	now := func() time.Time { return clock }
	one, two := &lock{client: client, identity: "one", now: now}, &lock{client: client, identity: "two", now: func() time.Time { return clock.Add(-time.Hour) }}
	expect := func(l *lock, want string) {
		t.Helper()
		if holder, err := l.take(t.Context()); err != nil || holder != want {
			t.Errorf("%s takes it at %v: %q %v, not %q", l.identity, clock, holder, err, want)
		}
	}
	expect(one, "one")
	expect(two, "one")
	clock = clock.Add(leaseTime - time.Second)
	expect(one, "one") // renewed
	clock = clock.Add(2 * time.Second)
	expect(two, "one")
	clock = clock.Add(leaseTime - time.Second)
	expect(two, "one")
	clock = clock.Add(time.Second)
	expect(two, "two") // not renewed for as long as it lasts, as seen from there
	expect(one, "two")
	if err := one.release(t.Context()); err != nil { // not its own any more
		t.Error(err)
	}
	expect(one, "two")
	if err := two.release(t.Context()); err != nil {
		t.Error(err)
	}
	expect(one, "one")

	// Work ends when the lease is lost.
	clock = clock.Add(time.Second)
	holder, err := one.during(t.Context(), func(ctx context.Context) error {
		have := lease{}
		if err := client.Get(ctx, leaseRef(), &have); err != nil {
			return err
		}
		have.Spec.Holder, have.Spec.Renewed = "two", "2026-01-01T00:00:00.000000Z"
		if err := client.Update(ctx, leaseRef(), "", body(have), nil); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if holder != "one" || err == nil || !strings.Contains(err.Error(), "two took the lease") {
		t.Errorf("after the loss: %q %v", holder, err)
	}
	if err := two.release(t.Context()); err != nil {
		t.Error(err)
	}
}

// realLeaf lets the leaf of metrics-server come near its end.
func realLeaf(t *testing.T, c *apiserver.Cluster) {
	const path = "/api/v1/namespaces/kube-system/secrets/metrics-server-tls"
	read := func() (s struct{ Data map[string][]byte }) {
		if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, path, ""), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := read().Data
	before := versions(t, c)
	later := func(a *applier) { a.o.Now = func() time.Time { return time.Now().AddDate(0, 0, 340) } }
	quietKept(t, once(t, c, "master-1", later))
	now := read().Data
	if bytes.Equal(old["tls.crt"], now["tls.crt"]) || bytes.Equal(old["tls.key"], now["tls.key"]) {
		t.Fatal("the leaf was not renewed")
	}
	if last := authority(old["tls.crt"]); last == nil || !bytes.Contains(now["tls.crt"], old["tls.crt"][bytes.LastIndex(old["tls.crt"], []byte("-----BEGIN")):]) {
		t.Error("the authority before is not trusted any more")
	}
	var s struct {
		Spec struct {
			CABundle []byte `json:"caBundle"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(c.Admin().Must(t, http.MethodGet, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", ""), &s); err != nil || !bytes.Equal(s.Spec.CABundle, now["tls.crt"]) {
		t.Errorf("the API server trusts something else: %v", err)
	}
	after := versions(t, c)
	same(t, map[string]string{recordRef().String(): before[recordRef().String()]}, after)
	quietKept(t, once(t, c, "master-2", later))
	same(t, after, versions(t, c))
}

// quietKept allows what users changed before.
func quietKept(t *testing.T, w *word) {
	t.Helper()
	delete(w.codes, bootcode.ValueKept)
	quiet(t, w)
}
