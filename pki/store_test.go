package pki

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

func TestIssueTwiceChangesNothing(t *testing.T) {
	p := cluster(3, 2)
	s := made(t, p, Options{})
	before := tree(t, s.Dir())
	for range 2 {
		issued, err := s.Issue(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if len(issued.Made)+len(issued.Unused) > 0 {
			t.Errorf("issued again: %v", issued)
		}
		s = reopen(t, s, s.ids)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
}

func TestAddingANodeIssuesOnlyItsOwn(t *testing.T) {
	s := made(t, cluster(3, 1), Options{})
	before := tree(t, s.Dir())
	issued, err := s.Issue(context.Background(), cluster(3, 2))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"+nodes/worker-2", "+nodes/worker-2/claim.age",
		"+nodes/worker-2/kubelet.crt", "+nodes/worker-2/kubelet.key.age",
		"+nodes/worker-2/tinc-ed25519.key.age", "+nodes/worker-2/tinc-ed25519.pub",
		"+nodes/worker-2/wireguard.key.age", "+nodes/worker-2/wireguard.pub", "~store.json"}
	if got := diff(before, tree(t, s.Dir())); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changed:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(issued.Made) != 4 {
		t.Errorf("made %v", issued.Made)
	}
}

func TestChangedRequestIsListedAndIssued(t *testing.T) {
	p := cluster(1, 0)
	s := made(t, p, Options{})
	p.Certificates[0].DNS = append(p.Certificates[0].DNS, "k8s.example.org")
	p.Certificates[0].IPs = p.Certificates[0].IPs[1:]
	p.Certificates[1].Days = 90
	p.Certificates[3].O = []string{"kubeadm:cluster-admins"}
	want := `master-1/apiserver: names changed: +k8s.example.org
master-1/etcd-peer: lifetime changed from 365 to 90 days
master-1/admin: groups changed: +kubeadm:cluster-admins -system:masters`
	missing, err := s.Missing(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(missing); got != want {
		t.Errorf("missing:\n%s\nwant:\n%s", got, want)
	}
	issued, err := s.Issue(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(issued.Made); got != want {
		t.Errorf("made:\n%s\nwant:\n%s", got, want)
	}
	if missing, _ := s.Missing(p); len(missing) > 0 {
		t.Errorf("still missing: %v", missing)
	}
	for _, gone := range []string{"nodes/master-1/apiserver.crt", "nodes/master-1/apiserver.key.age"} {
		if exists(s.path(gone)) {
			t.Errorf("%s of the old generation is still there", gone)
		}
	}
	if _, err := reopen(t, s, s.ids).PrivateKey("master-1/apiserver"); err != nil {
		t.Error(err)
	}
}

// A node that the plan no longer has keeps its files, stops counting for the
// latest boot date, and comes back as it was.
func TestRemovedNodeIsKeptAndNotCounted(t *testing.T) {
	small, large := cluster(1, 0), cluster(1, 1)
	for i := range large.Certificates {
		if large.Certificates[i].Node == "worker-1" {
			large.Certificates[i].Days = 30
		}
	}
	s := made(t, large, Options{})
	boot := func() string {
		t.Helper()
		f, err := s.Facts()
		if err != nil {
			t.Fatal(err)
		}
		return f.LatestBoot
	}
	if got := boot(); got != "2031-06-03T12:00:30Z" {
		t.Errorf("latest boot %s", got)
	}
	before := tree(t, s.Dir())
	issued, err := s.Issue(context.Background(), small)
	if err != nil {
		t.Fatal(err)
	}
	if len(issued.Made) != 0 || len(issued.Unused) != 4 {
		t.Errorf("issued %+v", issued)
	}
	if got := boot(); got != "2032-05-03T12:00:30Z" {
		t.Errorf("latest boot %s without the worker", got)
	}
	if _, err := s.Issue(context.Background(), large); err != nil {
		t.Fatal(err)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("the node did not come back as it was: %v", d)
	}
}

func TestAnchorsStayUntilTheSlotsChange(t *testing.T) {
	ctx := context.Background()
	p := cluster(3, 2) // workers: 2 and a reserve of 2
	s := made(t, p, Options{})
	steps := []struct {
		name         string
		count, slots int
		want         plan.Anchor
	}{
		{"first", 2, 4, plan.Anchor{Count: 2, Reserve: 2, Founding: 2}},
		{"within the reserve", 4, 4, plan.Anchor{Count: 2, Reserve: 2, Founding: 2}},
		{"fewer", 1, 4, plan.Anchor{Count: 2, Reserve: 2, Founding: 2}},
		{"beyond the reserve", 5, 7, plan.Anchor{Count: 5, Reserve: 2, Founding: 2}},
	}
	for _, step := range steps {
		p.Roles[1].Count, p.Roles[1].Slots = step.count, step.slots
		if _, err := s.Issue(ctx, p); err != nil {
			t.Fatal(err)
		}
		f, err := reopen(t, s, s.ids).Facts()
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Anchors["worker"]; got != step.want {
			t.Errorf("%s: anchor %+v, want %+v", step.name, got, step.want)
		}
	}
}

func TestRenew(t *testing.T) {
	p := cluster(1, 1)
	p.Certificates[0].Days = 20
	s := made(t, p, Options{})
	key, err := s.PrivateKey("master-1/apiserver")
	if err != nil {
		t.Fatal(err)
	}
	later := noon.Add(5 * 24 * time.Hour)
	s.Now = func() time.Time { return later }
	issued, err := s.Renew(context.Background(), p, func(e Entry) bool { return e.DaysLeft < 30 })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(issued.Made), "master-1/apiserver: renewed, it would have ended on 2031-05-24"; got != want {
		t.Errorf("renewed %q, want %q", got, want)
	}
	again, err := s.PrivateKey("master-1/apiserver")
	if err != nil {
		t.Fatal(err)
	}
	if string(key) == string(again) {
		t.Error("the key was not renewed with its certificate")
	}
	entries, err := s.Status(later)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.ID == "master-1/apiserver" && e.DaysLeft != 20 {
			t.Errorf("%s has %d days left", e.ID, e.DaysLeft)
		}
	}
}

func TestUserSecrets(t *testing.T) {
	ctx := context.Background()
	p := cluster(1, 0)
	p.Keys = append(p.Keys, plan.Key{ID: "user/registry-password", Kind: "user"})
	s := made(t, p, Options{})
	missing, err := s.Missing(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) != 1 || missing[0].Fix != "run `imgforge secret set registry-password`" {
		t.Errorf("missing %+v", missing)
	}
	set := func(s *Store, value string) bool {
		t.Helper()
		changed, err := s.SetSecret(ctx, "registry-password", []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	// Sealing needs no identity.
	blind := reopen(t, s, Identities{})
	if !set(blind, "one\x00two") {
		t.Error("a new secret changed nothing")
	}
	// The first store does not know yet; it must build on what the other left.
	before := tree(t, s.Dir())
	if set(s, "one\x00two") {
		t.Error("the same value was sealed again")
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("the same value changed %v", d)
	}
	if !set(s, "three") {
		t.Error("another value changed nothing")
	}
	got, err := reopen(t, s, s.ids).Secret("user/registry-password")
	if err != nil || string(got) != "three" {
		t.Errorf("secret %q, %v", got, err)
	}
	if names := s.Secrets(); len(names) != 1 || names[0] != "registry-password" {
		t.Errorf("names %v", names)
	}
	if missing, _ := s.Missing(p); len(missing) > 0 {
		t.Errorf("missing %v", missing)
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	s := made(t, cluster(1, 1), Options{})
	syscall.Umask(old)
	for path, entry := range tree(t, s.Dir()) {
		mode, _, _ := strings.Cut(entry, " ")
		want := "-rw-r--r--"
		switch {
		case path == ".": // the caller's folder
			continue
		case strings.HasPrefix(mode, "d"):
			want = "drwxr-xr-x"
		case strings.HasSuffix(path, ".age"):
			want = "-rw-------"
		}
		if mode != want {
			t.Errorf("%s is %s, want %s", path, mode, want)
		}
	}
	if info, err := os.Stat(s.path(lockName)); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
		t.Errorf("lock file: %v, %v", info, err)
	}
}

// Nothing in the clear, and no error, holds a secret.
func TestSecretsOnlyInSealedFiles(t *testing.T) {
	p := cluster(1, 1)
	s := made(t, p, Options{})
	if _, err := s.SetSecret(context.Background(), "token", []byte("hunter2hunter2")); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, e := range s.index.all() {
		secret, err := s.open(e)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(secret)) {
			if !strings.HasPrefix(line, "-----") {
				secrets = append(secrets, strings.TrimSpace(line))
				break // an EC key ends with its public half
			}
		}
	}
	for path, contents := range tree(t, s.Dir()) {
		for _, secret := range secrets {
			if strings.Contains(contents, secret) {
				t.Errorf("%s holds a secret in the clear", path)
			}
		}
	}
}

// A write that fails half way leaves the old store, and nothing of the new one.
func TestFailedWriteLeavesTheOldStore(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	blocked := s.path("nodes/worker-1/kubelet.crt/in the way")
	if err := os.MkdirAll(blocked, 0o755); err != nil {
		t.Fatal(err)
	}
	before, was := tree(t, s.Dir()), state(t, s.Dir(), s.ids)
	_, err := s.Issue(context.Background(), cluster(1, 1))
	if err == nil || !strings.HasPrefix(err.Error(), "store "+s.Dir()+": ") {
		t.Errorf("error %v", err)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	if d := diff(was, state(t, s.Dir(), s.ids)); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	if err := os.RemoveAll(s.path("nodes/worker-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Issue(context.Background(), cluster(1, 1)); err != nil {
		t.Error(err)
	}
}

// The store of one set of entropy and clock holds the same drawn keys, however
// many processors made them.
func TestEntropyIsDrawnInOrder(t *testing.T) {
	p := cluster(2, 3)
	secrets := func() string {
		t.Helper()
		s := made(t, p, Options{Rand: rand.NewChaCha8([32]byte{1})})
		var out strings.Builder
		for _, k := range p.Keys {
			if k.Kind == "ecdsa" {
				continue // drawn by the standard library
			}
			secret, err := s.Secret(k.ID)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(secret)
		}
		return out.String()
	}
	if first, second := secrets(), secrets(); first != second {
		t.Error("two stores of the same entropy differ")
	}
}

// A cluster whose file is still being written gets its authorities alone; the
// first issue then decides what is anchored.
func TestAuthoritiesFirstLeavesLater(t *testing.T) {
	s := made(t, &plan.Plan{Cluster: "nostromo"}, Options{})
	f, err := s.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Anchors) != 0 || f.LatestBoot != "" || f.Secrets == nil {
		t.Errorf("facts %+v of a store without leaves", f)
	}
	p := cluster(3, 1)
	before := tree(t, s.Dir())
	if _, err := s.Issue(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	for _, d := range diff(before, tree(t, s.Dir())) {
		if strings.Contains(d, "authorities") {
			t.Errorf("issuing changed %s", d)
		}
	}
	if f, err = reopen(t, s, s.ids).Facts(); err != nil || f.Anchors["master"].Founding != 3 {
		t.Errorf("facts %+v, %v", f, err)
	}
}
