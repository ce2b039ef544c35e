// Package machine lays a node's whole payload out below a folder, with keys and
// certificates of a real store, for tests of what runs on nodes.
package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/spec"
	"github.com/imgforge/imgforge/pki"
	"github.com/imgforge/imgforge/profiles"
)

// Cluster is a planned cluster with its store.
type Cluster struct {
	Plan  *plan.Plan
	Store *pki.Store
}

// New plans a cluster file and makes a store for it.
func New(t testing.TB, file string) Cluster {
	t.Helper()
	c, _, r := spec.Parse("cluster.yaml", []byte(file))
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	p, r := plan.New(c, plan.Facts{})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	ids, err := pki.NewIdentities()
	if err != nil {
		t.Fatal(err)
	}
	store, _, err := pki.Init(t.Context(), filepath.Join(t.TempDir(), "store"), p, pki.Options{Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	return Cluster{Plan: p, Store: store}
}

// Document is what a node boots.
func (c Cluster) Document(t testing.TB, node string) *payload.Document {
	t.Helper()
	doc, err := profiles.Node(c.Plan, node, c.Store)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Root lays the files of a node out in a new folder and returns it. Owners stay
// those of the test. rebase replaces pairs of words in every file.
func (c Cluster) Root(t testing.TB, node string, rebase ...string) string {
	t.Helper()
	root, words := t.TempDir(), strings.NewReplacer(rebase...)
	for _, f := range c.Document(t, node).Files {
		mode := os.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o644
		}
		Write(t, root, f.Path, words.Replace(string(f.Contents)), mode)
	}
	return root
}

// Write puts a file below root.
func Write(t testing.TB, root, path, text string, mode os.FileMode) {
	t.Helper()
	name := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// Copy puts a copy of one file below root in the place of another.
func Copy(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
