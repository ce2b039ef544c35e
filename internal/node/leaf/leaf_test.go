package leaf_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

const file = `{name: a, platform: {provider: metal}, network: {mesh: none}, endpoint: {mode: local},
	roles: {master: {count: 1, reserve: 0}, worker: {count: 1, reserve: 0}}}`

// problems are the paths of all leaves that are not well, with the reason.
func problems(states []leaf.State) (out []string) {
	for _, s := range states {
		if s.Unread+s.Foreign != "" {
			out = append(out, s.Path+": "+s.Unread+s.Foreign)
		}
	}
	return out
}

// Every certificate of a rendered payload is known, fits its key and its authority,
// and what was changed behind its back is named.
func TestReadRenderedNodes(t *testing.T) {
	ours, theirs := machine.New(t, file), machine.New(t, file)
	for _, n := range ours.Plan.Nodes {
		root := ours.Root(t, n.Name)
		states := leaf.Read(root, n.Role, time.Now())
		if bad := problems(states); bad != nil {
			t.Errorf("%s: %q", n.Name, bad)
		}
		for _, f := range ours.Document(t, n.Name).Files {
			if strings.HasSuffix(f.Path, ".crt") && !slices.ContainsFunc(states, func(s leaf.State) bool { return s.Path == f.Path }) {
				t.Errorf("%s of %s is not looked at", f.Path, n.Name)
			}
		}
		end := leaf.LatestBoot(states)
		if days := time.Until(end).Hours() / 24; days < 300 || days > 400 {
			t.Errorf("%s can boot for %.0f days", n.Name, days)
		}
	}
	root := ours.Root(t, "master-1")
	foreign := theirs.Root(t, "master-1")
	machine.Copy(t, filepath.Join(foreign, "/etc/kubernetes/pki/etcd/ca.crt"), filepath.Join(root, "/etc/kubernetes/pki/etcd/ca.crt"))
	machine.Copy(t, filepath.Join(foreign, "/etc/kubernetes/pki/scheduler.key"), filepath.Join(root, "/etc/kubernetes/pki/scheduler.key"))
	machine.Write(t, root, "/etc/kubernetes/pki/admin.crt", "not a certificate", 0o644)
	if err := os.Remove(filepath.Join(root, "/etc/kubernetes/pki/apiserver.key")); err != nil {
		t.Fatal(err)
	}
	bad := problems(leaf.Read(root, "master", time.Now()))
	for path, why := range map[string]string{
		"etcd/server.crt": "not signed by", "etcd/peer.crt": "not signed by", "etcd/healthcheck-client.crt": "not signed by", "apiserver-etcd-client.crt": "not signed by",
		"scheduler.crt": "does not belong to the key", "admin.crt": "failed to find any PEM", "apiserver.crt": "/etc/kubernetes/pki/apiserver.key: no such file",
	} {
		if !slices.ContainsFunc(bad, func(s string) bool {
			return strings.HasPrefix(s, "/etc/kubernetes/pki/"+path+": ") && strings.Contains(s, why)
		}) {
			t.Errorf("%s is not said to be %q: %q", path, why, bad)
		}
	}
	if len(bad) != 7 || strings.Contains(strings.Join(bad, ""), root) {
		t.Errorf("%q", bad)
	}
}

// A kubelet that renewed its certificate can boot after its first one has ended.
func TestRenewedLeafDoesNotEnd(t *testing.T) {
	c := machine.New(t, strings.Replace(file, "roles:", "pki: {leafDays: 60}, roles:", 1))
	root := c.Root(t, "worker-1")
	later := time.Now().AddDate(0, 0, 300)
	end := func() (renewed bool) {
		for _, s := range leaf.Read(root, "worker", later) {
			renewed = renewed || s.Path == leaf.KubeletPath+".crt" && s.Renewed
		}
		return renewed
	}
	if end() {
		t.Error("renewed from nothing")
	}
	young := machine.New(t, file).Root(t, "worker-1") // lasts a year
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, leaf.Current)), 0o755); err != nil {
		t.Fatal(err)
	}
	machine.Copy(t, filepath.Join(young, leaf.KubeletPath+".crt"), filepath.Join(root, leaf.Current))
	if !end() {
		t.Error("the renewed certificate does not count")
	}
}

// On a node the root is /, and paths are whole there too.
func TestPathsOnNode(t *testing.T) {
	for _, s := range leaf.Read("/", "worker", time.Now()) {
		if !strings.HasPrefix(s.Path, "/etc/") || s.Unread != "" && !strings.HasPrefix(s.Unread, "/etc/") {
			t.Errorf("%+v", s)
		}
	}
}
