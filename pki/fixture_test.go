package pki

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// noon is the clock of tests: certificates are judged at this instant, so that
// nothing here depends on the day it runs.
var noon = time.Date(2031, 5, 4, 12, 0, 30, 0, time.UTC)

// cluster is a plan with the certificates and keys of some nodes, as internal/plan lays
// them out, cut down to one of each sort.
func cluster(masters, workers int) *plan.Plan {
	p := &plan.Plan{
		Cluster: "nostromo",
		Keys:    []plan.Key{{ID: "service-account", Kind: "ecdsa", Role: "master", Public: true}, {ID: "encryption", Kind: "random32", Role: "master"}},
		Roles:   []plan.Role{{Name: "master", Count: masters, Slots: masters}, {Name: "worker", Count: workers, Slots: workers + 2}},
	}
	for i := range masters {
		addMaster(p, fmt.Sprintf("master-%d", i+1), fmt.Sprintf("192.168.66.%d", i+11))
	}
	for i := range workers {
		addNode(p, "worker", fmt.Sprintf("worker-%d", i+1), fmt.Sprintf("192.168.%d.%d", 70+i/200, i%200+1))
	}
	return p
}

func addMaster(p *plan.Plan, node, ip string) {
	server := func(name, authority, profile, cn string, o []string, dns, ips []string) {
		p.Certificates = append(p.Certificates, plan.Certificate{
			ID: node + "/" + name, Authority: authority, Profile: profile, CN: cn, O: o, DNS: dns, IPs: ips, Role: "master", Node: node, Days: 365,
		})
	}
	server("apiserver", Kubernetes, "server", "kube-apiserver", nil, []string{node, "kubernetes", "kubernetes.default.svc.cluster.local"}, []string{ip, "10.96.0.1", "127.0.0.1", "::1"})
	server("etcd-peer", Etcd, "peer", node, nil, []string{node, "localhost"}, []string{ip, "127.0.0.1", "::1"})
	server("front-proxy-client", FrontProxy, "client", "front-proxy-client", nil, nil, nil)
	server("admin", Kubernetes, "client", "kubernetes-super-admin", []string{"system:masters"}, nil, nil)
	addNode(p, "master", node, ip)
}

func addNode(p *plan.Plan, role, node, ip string) {
	p.Certificates = append(p.Certificates, plan.Certificate{
		ID: node + "/kubelet", Authority: Kubernetes, Profile: "client", CN: "system:node:" + node, O: []string{"system:nodes"}, Role: role, Node: node, Days: 365,
	})
	for _, kind := range []string{"wireguard", "tinc-ed25519"} {
		p.Keys = append(p.Keys, plan.Key{ID: node + "/" + kind, Kind: kind, Role: role, Node: node, Public: true})
	}
	p.Keys = append(p.Keys, plan.Key{ID: node + "/claim", Kind: "random32", Role: role, Node: node})
}

func identities(t testing.TB) Identities {
	t.Helper()
	ids, err := NewIdentities()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// made makes a store for p in a new folder.
func made(t testing.TB, p *plan.Plan, o Options) *Store {
	t.Helper()
	if !o.Identities.Leaf.Present() {
		o.Identities = identities(t)
	}
	o.Now = func() time.Time { return noon }
	s, _, err := Init(context.Background(), filepath.Join(t.TempDir(), "store"), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopen opens the same folder with other identities.
func reopen(t testing.TB, s *Store, ids Identities) *Store {
	t.Helper()
	again, err := Open(s.Dir(), "nostromo", ids)
	if err != nil {
		t.Fatal(err)
	}
	again.Now = s.Now
	return again
}

// tree reads a folder: path, mode and contents, the lock file apart, which is
// not part of the store.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == lockName {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data := []byte{}
		if !d.IsDir() {
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		out[filepath.ToSlash(rel)] = info.Mode().String() + " " + string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// diff lists what differs between two trees.
func diff(before, after map[string]string) []string {
	var out []string
	for path, b := range before {
		if a, ok := after[path]; !ok {
			out = append(out, "-"+path)
		} else if a != b {
			out = append(out, "~"+path)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			out = append(out, "+"+path)
		}
	}
	return sorted(out)
}

func ids(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.String())
	}
	return strings.Join(out, "\n")
}
