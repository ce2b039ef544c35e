package pki

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each damage, and what a person reads. STORE is the folder.
func TestDamagedStores(t *testing.T) {
	const restored = "restore the folder from git or a backup; nothing was changed"
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string // of Open
	}{
		{"no folder", func(t *testing.T, dir string) { remove(t, dir) },
			"there is no store at STORE: " + restored + "; only for a new cluster run `imgforge pki init`"},
		{"no index", func(t *testing.T, dir string) { remove(t, dir, indexName) },
			"store STORE: store.json is missing: " + restored},
		{"an index cut short", func(t *testing.T, dir string) { truncate(t, dir, indexName, 300) },
			"store STORE: store.json is damaged (unexpected end of JSON input): " + restored},
		{"an empty index", func(t *testing.T, dir string) { truncate(t, dir, indexName, 0) },
			"store STORE: store.json is damaged (unexpected end of JSON input): " + restored},
		{"an index of a later version", func(t *testing.T, dir string) { replace(t, dir, indexName, `"version": 1`, `"version": 2`) },
			"store STORE: its format is version 2 and this imgforge knows version 1: use the imgforge that wrote it"},
		{"an index that leaves the store", func(t *testing.T, dir string) {
			replace(t, dir, indexName, `"id":"encryption"`, `"id":"../encryption"`)
		},
			"store STORE: store.json is damaged (\"../encryption\" cannot be kept in a store: names are of a-z, 0-9 and -, and no node is called user or operator): " + restored},
		{"an entry twice", func(t *testing.T, dir string) {
			replace(t, dir, indexName, `"id":"encryption"`, `"id":"master-1/admin"`)
		},
			"store STORE: store.json is damaged (master-1/admin is out of order or listed twice): " + restored},
		{"a merge conflict", func(t *testing.T, dir string) { replace(t, dir, indexName, "{", "<<<<<<< HEAD\n{") },
			"store STORE: store.json is damaged (invalid character '<' looking for beginning of value): " + restored},
		{"a certificate gone", func(t *testing.T, dir string) { remove(t, dir, "nodes/master-1/apiserver.crt") },
			"store STORE: nodes/master-1/apiserver.crt is missing: " + restored},
		{"a certificate cut short", func(t *testing.T, dir string) { truncate(t, dir, "nodes/master-1/apiserver.crt", 200) },
			"store STORE: nodes/master-1/apiserver.crt is not the file that store.json names, it was changed or exchanged: " + restored},
		{"a certificate exchanged", func(t *testing.T, dir string) {
			exchange(t, dir, "nodes/master-1/apiserver.crt", "nodes/master-1/admin.crt")
		},
			"store STORE: nodes/master-1/admin.crt is not the file that store.json names, it was changed or exchanged: " + restored},
		{"a key gone", func(t *testing.T, dir string) { remove(t, dir, "authorities/kubernetes.key.age") },
			"store STORE: authorities/kubernetes.key.age is missing: " + restored},
		{"a key cut short", func(t *testing.T, dir string) { truncate(t, dir, "cluster/encryption.age", 100) },
			"store STORE: cluster/encryption.age has 100 bytes instead of SIZE, it was cut short or exchanged: " + restored},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := cluster(1, 0)
			s := made(t, p, Options{})
			tt.damage(t, s.Dir())
			check := func(what string, err error) {
				t.Helper()
				want := strings.ReplaceAll(tt.want, "STORE", s.Dir())
				if err == nil || generalize(err.Error()) != want {
					t.Errorf("%s:\n%v\nwant\n%s", what, err, want)
				}
			}
			before := after(t, s.Dir())
			_, err := Open(s.Dir(), "nostromo", s.ids)
			check("open", err)
			if d := diff(before, after(t, s.Dir())); len(d) > 0 {
				t.Errorf("files changed: %v", d)
			}
		})
	}
}

// generalize hides the one number that depends on a name's length.
func generalize(s string) string {
	before, rest, ok := strings.Cut(s, " bytes instead of ")
	if !ok {
		return s
	}
	_, tail, _ := strings.Cut(rest, ",")
	return before + " bytes instead of SIZE," + tail
}

// after is tree of a folder that may be gone.
func after(t *testing.T, dir string) map[string]string {
	t.Helper()
	if !exists(dir) {
		return nil
	}
	return tree(t, dir)
}

// A store that has lost its index must never become a new cluster.
func TestInitRefusesWhatWasAStore(t *testing.T) {
	ctx := context.Background()
	p := cluster(1, 0)
	s := made(t, p, Options{})
	before := tree(t, s.Dir())
	_, _, err := Init(ctx, s.Dir(), p, Options{Identities: s.ids})
	want := "store " + s.Dir() + " holds a cluster already: run `imgforge pki issue` for what it lacks; a new cluster needs another folder"
	if err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	remove(t, s.Dir(), indexName)
	before = tree(t, s.Dir())
	_, _, err = Init(ctx, s.Dir(), p, Options{Identities: s.ids})
	want = "store " + s.Dir() + " has authorities but no store.json: restore it from git or a backup; a new cluster needs another folder"
	if err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
}

func TestForeignStore(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	want := "the store at " + s.Dir() + " belongs to cluster \"nostromo\", not \"sulaco\": name the store of this cluster; a new cluster needs a store folder of its own and `imgforge pki init`"
	if _, err := Open(s.Dir(), "sulaco", s.ids); err == nil || err.Error() != want {
		t.Errorf("open: %v", err)
	}
	other := cluster(1, 0)
	other.Cluster = "sulaco"
	if _, err := s.Issue(context.Background(), other); err == nil || err.Error() != want {
		t.Errorf("issue: %v", err)
	}
	if _, err := s.Missing(other); err == nil || err.Error() != want {
		t.Errorf("missing: %v", err)
	}
}

// A sealed file in the place of another has the right size and opens: only its
// label tells.
func TestExchangedSecrets(t *testing.T) {
	p := cluster(1, 0)
	leaf := identities(t)
	one, two := made(t, p, Options{Identities: leaf}), made(t, p, Options{Identities: leaf})
	mixed := func(from *Store, name string, to *Store, as string) error {
		data, err := os.ReadFile(from.path(name))
		if err != nil {
			t.Fatal(err)
		}
		to.files[as] = data
		e := to.index.entry("encryption")
		if as != e.sealedPath() {
			e = to.index.entry("master-1/claim")
		}
		_, err = to.open(*e)
		return err
	}
	const restored = ": restore the folder from git or a backup; nothing was changed"
	err := mixed(one, "nodes/master-1/claim.age", one, "cluster/encryption.age")
	if want := "store " + one.Dir() + ": open cluster/encryption.age: it is the private part of master-1/claim" + restored; err == nil || err.Error() != want {
		t.Errorf("of another entry: %v", err)
	}
	err = mixed(two, "cluster/encryption.age", one, "cluster/encryption.age")
	if want := "store " + one.Dir() + ": open cluster/encryption.age: it comes from another store, of cluster \"nostromo\"" + restored; err == nil || err.Error() != want {
		t.Errorf("of another store: %v", err)
	}
	one.files["nodes/master-1/claim.age"][90] ^= 1
	if _, err := one.Secret("master-1/claim"); err == nil || !strings.HasPrefix(err.Error(), "store "+one.Dir()+": open nodes/master-1/claim.age: ") {
		t.Errorf("with a bit flipped: %v", err)
	}
}

func TestIdentitiesThatDoNotFit(t *testing.T) {
	p, larger := cluster(1, 0), cluster(1, 1)
	s := made(t, p, Options{})
	other := identities(t)
	to := s.index.Recipients
	use := func(s *Store, what string) error {
		var err error
		switch what {
		case "key":
			_, err = s.PrivateKey("master-1/apiserver")
		case "issue":
			_, err = s.Issue(context.Background(), larger)
		}
		return err
	}
	tests := []struct {
		name, what string
		ids        Identities
		want       string
	}{
		{"no leaf identity", "key", Identities{Authority: s.ids.Authority},
			"store STORE: open nodes/master-1/apiserver.key.age: there is no leaf identity: set IMGFORGE_IDENTITY to its text or IMGFORGE_IDENTITY_FILE to a file"},
		{"another leaf identity", "key", other,
			"store STORE: open nodes/master-1/apiserver.key.age: the leaf identity of this run is not one of this store: use the one for " + to.Leaves[0]},
		{"CI without the authority identity", "issue", Identities{Leaf: s.ids.Leaf},
			"certificate worker-1/kubelet: store STORE: open authorities/kubernetes.key.age: there is no authority identity: set IMGFORGE_AUTHORITY_IDENTITY to its text or IMGFORGE_AUTHORITY_IDENTITY_FILE to a file"},
		{"another authority identity", "issue", other,
			"certificate worker-1/kubelet: store STORE: open authorities/kubernetes.key.age: the authority identity of this run is not one of this store: use the one for " + to.Authorities[0]},
		{"the leaf identity as authority", "issue", Identities{Leaf: s.ids.Leaf, Authority: s.ids.Leaf},
			"certificate worker-1/kubelet: store STORE: open authorities/kubernetes.key.age: the authority identity of this run is not one of this store: use the one for " + to.Authorities[0]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tree(t, s.Dir())
			err := use(reopen(t, s, tt.ids), tt.what)
			if want := strings.ReplaceAll(tt.want, "STORE", s.Dir()); err == nil || err.Error() != want {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
			if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
				t.Errorf("changed: %v", d)
			}
		})
	}
	// The leaf identity is all that a build needs, the kubelet-signer's key included.
	ci := reopen(t, s, Identities{Leaf: s.ids.Leaf})
	if _, err := ci.AuthorityKey(KubeletSigner); err != nil {
		t.Error(err)
	}
	for _, name := range []string{Kubernetes, Etcd, FrontProxy} {
		if _, err := s.AuthorityKey(name); err == nil || err.Error() != "the key of authority "+name+" never leaves the store: nodes carry that of kubelet-signer alone" {
			t.Errorf("key of %s: %v", name, err)
		}
	}
	if missing, err := ci.Missing(larger); err != nil || len(missing) == 0 || missing[0].Fix != "run `imgforge pki issue`" {
		t.Errorf("missing %v, %v", missing, err)
	}
}

func TestLookups(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	errs := map[string]func() ([]byte, error){
		"store STORE has no certificate worker-9/kubelet: run `imgforge pki issue`":                     func() ([]byte, error) { return s.Certificate("worker-9/kubelet") },
		"store STORE has no certificate encryption: run `imgforge pki issue`":                           func() ([]byte, error) { return s.PrivateKey("encryption") },
		"store STORE has no key master-1/apiserver: run `imgforge pki issue`":                           func() ([]byte, error) { return s.Secret("master-1/apiserver") },
		"store STORE has no key user/password: run `imgforge secret set password`":                      func() ([]byte, error) { return s.Secret("user/password") },
		"key encryption of kind random32 has no public half":                                            func() ([]byte, error) { return s.Public("encryption") },
		"authority \"x\" is not known: it must be one of etcd, front-proxy, kubelet-signer, kubernetes": func() ([]byte, error) { return s.Authority("x") },
	}
	for want, get := range errs {
		if _, err := get(); err == nil || err.Error() != strings.ReplaceAll(want, "STORE", s.Dir()) {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
}

func TestChangedKeyKindIsRefused(t *testing.T) {
	p := cluster(1, 0)
	s := made(t, p, Options{})
	p.Keys[0].Kind = "rsa"
	want := "store " + s.Dir() + ": service-account is of kind ecdsa and the cluster file now asks for rsa: keys are never replaced, so set it back"
	if _, err := s.Issue(context.Background(), p); err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

func remove(t *testing.T, dir string, name ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(append([]string{dir}, name...)...)); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, dir, name string, size int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, dir, name, old, new string) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s holds no %s", name, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func exchange(t *testing.T, dir, a, b string) {
	t.Helper()
	a, b = filepath.Join(dir, a), filepath.Join(dir, b)
	for _, m := range [][2]string{{a, a + "x"}, {b, a}, {a + "x", b}} {
		if err := os.Rename(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
}
