package forge

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// A payload whose programs are not beside it would have its node wait for ever.
func TestVerifyMissesWhatPayloadsFetch(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	for _, format := range []string{payload.FormatIgnition, payload.FormatCloudInit} {
		doc := &payload.Document{Target: "worker-1", Node: "worker-1", Variant: "flatcar", Version: "1.1.0", Remotes: []payload.Remote{{Path: artifact.ExtensionPlace, SHA256: digest}}}
		p, err := payload.Render(doc, payload.Options{Format: format, ArtifactsURL: "https://artifacts.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "out")
		tree, err := artifact.NewTree(dir, artifact.TreeInfo{Cluster: "nostromo"})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Abort()
		if err := tree.AddBytes(artifact.Item{Path: "nodes/worker-1.x", Kind: "payload", Node: "worker-1", Format: format, Secret: true}, p.Data); err != nil {
			t.Fatal(err)
		}
		if err := tree.AddBytes(artifact.Item{Path: payload.FetchedPath(strings.Repeat("cd", 32)), Kind: "file"}, []byte("another")); err != nil {
			t.Fatal(err)
		}
		if err := tree.Commit(); err != nil {
			t.Fatal(err)
		}
		v := &Verification{}
		v.served(dir)
		want := "public/files/sha256-" + digest + ": secret/nodes/worker-1.x fetches it, and it is not there with this hash: build again"
		if len(v.Problems) != 1 || v.Problems[0] != want {
			t.Errorf("%s: %q, not %q", format, v.Problems, want)
		}
	}
}
