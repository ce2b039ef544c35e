package lock

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/registry"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

var update = flag.Bool("update", false, "rewrite the goldens")

const snapshot = "20261120T000000Z"

func today() time.Time { return time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC) }

func images() []string {
	return []string{"imgforge/keepalived:2.2.7", "registry.k8s.io/kube-apiserver:v1.36.3", "registry.k8s.io/pause:3.10.2", "docker.io/library/haproxy:3.2.22"}
}

func wantedCluster() Wanted {
	return Wanted{Cluster: "nostromo", Kubernetes: "1.36.3", Arch: "amd64", OS: OS{"flatcar", "stable"},
		Packages: map[string][]string{"keepalived": {"keepalived"}, "sysext": {"tinc"}},
		Images:   images(), Made: []string{"imgforge/keepalived:2.2.7"}}
}

// site is a stand-in for all publishers, and a resolver that asks it.
func site(t *testing.T) (*upstream.Site, *Resolver) {
	t.Helper()
	s, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Typical(snapshot, slices.DeleteFunc(images(), func(i string) bool { return strings.HasPrefix(i, "imgforge/") })); err != nil {
		t.Fatal(err)
	}
	s.Asked()
	return s, resolver(t, s)
}

func resolver(t *testing.T, s *upstream.Site) *Resolver {
	t.Helper()
	c := cache.Open(t.TempDir())
	c.Mirrors = []string{s.Mirror}
	c.MirrorsOnly = true // no test reaches a real place
	c.Attempts = 1
	var registries []registry.Registry
	for _, host := range []string{"registry.k8s.io", "docker.io", "ghcr.io"} {
		registries = append(registries, registry.Registry{Host: host, Mirrors: []string{s.Registry}})
	}
	reg, err := registry.New(c, registries)
	if err != nil {
		t.Fatal(err)
	}
	return &Resolver{Cache: c, Registry: reg, Now: today(), Keys: s.Keys}
}

func resolve(t *testing.T, r *Resolver, w Wanted, old *Lock, up Upgrade) *Lock {
	t.Helper()
	l, err := r.Resolve(t.Context(), w, old, up)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// decoded is the lock as it is read back from its file.
func decoded(t *testing.T, l *Lock) *Located {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Decode(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	again, err := out.Encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("%v: encoded again it is\n%s\nand was\n%s", err, again, data)
	}
	return out
}

func TestLockFile(t *testing.T) {
	for _, tc := range []struct {
		name string
		w    func(*Wanted)
	}{
		{"flatcar", func(*Wanted) {}},
		{"fcos", func(w *Wanted) { w.OS = OS{"fcos", "stable"}; w.Packages["sysext"] = []string{"conntrack", "ethtool"} }},
		{"debian", func(w *Wanted) {
			w.OS, w.Containerd = OS{"debian", "12"}, true
			w.Packages["sysext"] = []string{"conntrack", "ethtool", "nftables", "tinc"}
		}},
		{"imgforge-arm64", func(w *Wanted) {
			w.OS, w.Containerd, w.Arch = OS{"imgforge", "stable"}, true, "arm64"
			w.Packages, w.Made, w.Images = map[string][]string{}, nil, w.Images[1:]
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, r := site(t)
			w := wantedCluster()
			tc.w(&w)
			l := decoded(t, resolve(t, r, w, nil, nil))
			if p := l.Check(w); len(p) > 0 {
				t.Errorf("a new lock does not fit: %v", p)
			}
			golden(t, tc.name+".lock", masked(t, l, s))
			if err := r.Fetch(t.Context(), l.Lock); err != nil {
				t.Fatal(err)
			}
			offline := *r
			blobs := *r.Cache
			blobs.Offline = true
			offline.Cache = &blobs
			s.Asked()
			if err := offline.Fetch(t.Context(), l.Lock); err != nil {
				t.Errorf("offline: %v", err)
			}
			if asked := s.Asked(); len(asked) > 0 {
				t.Errorf("offline: %q", asked)
			}
		})
	}
}

// masked is the text without what differs in every run: the stand-in's own key,
// what it signed, and so the hash of that.
func masked(t *testing.T, l *Located, s *upstream.Site) []byte {
	t.Helper()
	copied := *l.Lock
	if copied.Base != nil {
		base := *copied.Base
		if base.SignedBy != "" {
			base.SignedBy = "FINGERPRINT"
		}
		if base.Signature != nil {
			signature := *base.Signature
			signature.Digest, signature.Size = "sha256:"+cache.Digest(strings.Repeat("0", 64)), 0
			base.Signature = &signature
		}
		base.Packages = slices.Clone(base.Packages)
		for i := range base.Packages {
			if base.Packages[i].SignedBy != "" {
				base.Packages[i].SignedBy = "FINGERPRINT"
			}
		}
		copied.Base = &base
	}
	data, err := copied.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is now\n%s", path, got)
	}
}

// What is pinned stays, however the publishers move: a second run asks nobody.
func TestPinnedStays(t *testing.T) {
	s, r := site(t)
	first := resolve(t, r, wantedCluster(), nil, nil)
	s.Asked()
	if err := s.Flatcar("stable", "amd64", "4459.2.2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Image("registry.k8s.io/pause:3.10.2", "2"); err != nil {
		t.Fatal(err)
	}
	s.Asked()
	second := resolve(t, r, wantedCluster(), first, nil)
	if c := Changes(first, second); len(c) > 0 {
		t.Errorf("changed: %q", c)
	}
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// An upgrade moves one thing and says so.
func TestUpgradeMovesOneThing(t *testing.T) {
	s, r := site(t)
	first := resolve(t, r, wantedCluster(), nil, nil)
	const later = "20261130T000000Z"
	for _, err := range []error{
		s.Flatcar("stable", "amd64", "4459.2.2"), s.Image("registry.k8s.io/pause:3.10.2", "2"), s.Program(catalog.CNIPlugins, "1.10.0", "amd64"),
		s.Debian("12", later, "Package: tinc\nVersion: 1.0.36-3\nDepends: libc6\n\nPackage: keepalived\nVersion: 1:2.2.8-1\nDepends: libc6\n\nPackage: libc6\nVersion: 2.36-9+deb12u10\n", ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		up   Upgrade
		want []string // beginnings of what changed
	}{
		{Upgrade{"base": ""}, []string{"changed base flatcar stable from 4459.2.1 "}},
		{Upgrade{"base": "4459.2.2"}, []string{"changed base flatcar stable from 4459.2.1 "}},
		{Upgrade{"cni-plugins": "v1.10.0"}, []string{"changed cni-plugins from 1.9.1 "}},
		{Upgrade{"images": ""}, []string{"changed image registry.k8s.io/pause:3.10.2 from "}},
		{Upgrade{"debian": later}, []string{
			"removed debian package iproute ", "changed debian package keepalived from 1:2.2.7-1+b2 ", "removed debian package libgcc-s1", "removed debian package libmnl0 ",
			"removed debian package libssl3 ", "changed debian package tinc from 1.0.36-2+b2 ", "changed debian snapshot from 20261120T000000Z to " + later}},
	} {
		got := Changes(first, resolve(t, r, wantedCluster(), first, tc.up))
		ok := len(got) == len(tc.want)
		for i := range min(len(got), len(tc.want)) {
			ok = ok && strings.HasPrefix(got[i], tc.want[i])
		}
		if !ok {
			t.Errorf("%v: %q", tc.up, got)
		}
	}
	w := wantedCluster()
	w.Kubernetes = "1.36.4"
	if got := Changes(first, resolve(t, r, w, first, nil)); len(got) != 3 || !strings.HasPrefix(got[0], "changed kubectl from 1.36.3 ") || got[2] != "changed kubernetes from 1.36.3 to 1.36.4" {
		t.Errorf("%q", got)
	}
}

// A program of another minor moves along with Kubernetes.
func TestCrictlFollowsTheMinor(t *testing.T) {
	_, r := site(t)
	w := wantedCluster()
	w.Kubernetes = "1.35.4"
	old := resolve(t, r, w, nil, nil)
	l := resolve(t, r, wantedCluster(), old, nil)
	if p, _ := l.program("crictl"); p.Version != "1.36.0" {
		t.Errorf("crictl %s", p.Version)
	}
}

// Other packages are taken from the snapshot that is pinned: nothing else moves.
func TestMorePackagesOfTheSameSnapshot(t *testing.T) {
	_, r := site(t)
	first := resolve(t, r, wantedCluster(), nil, nil)
	r.Now = r.Now.AddDate(0, 1, 0)
	w := wantedCluster()
	w.Packages["sysext"] = []string{"ethtool", "tinc"}
	got := Changes(first, resolve(t, r, w, first, nil))
	if len(got) != 1 || !strings.HasPrefix(got[0], "added debian package ethtool 1:6.1-1 ") {
		t.Errorf("%q", got)
	}
}
