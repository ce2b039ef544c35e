package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/signin"
)

// The library of oras gives every file its name back; skopeo reads the index and
// copies every file, with its digest checked. It writes the index of its copy anew:
// this version does not know the artifact type.
func TestReaders(t *testing.T) {
	oras, skopeo := testtool.Path(t, "oras-pull"), testtool.Path(t, "skopeo")
	h, s := start(t), someSet(t)
	t.Run("on loopback", func(t *testing.T) { readers(t, oras, skopeo, h.target(), s) })
	t.Run("docker-registry", func(t *testing.T) { readers(t, oras, skopeo, debianRegistry(t), s) })
}

func readers(t *testing.T, oras, skopeo string, target Target, s Set) {
	out := mustPush(t, target, s)
	if again := mustPush(t, target, s); !again.Already {
		t.Errorf("pushed again: %+v", again)
	}
	dir := t.TempDir()
	if text, err := exec.Command(oras, target.Repository, out.Digest, dir).CombinedOutput(); err != nil {
		t.Fatalf("oras: %v\n%s", err, text)
	}
	sameFiles(t, dir, s)
	ref := "docker://" + target.Repository + "@" + out.Digest
	raw, err := exec.Command(skopeo, "inspect", "--tls-verify=false", "--raw", ref).Output()
	if err != nil {
		t.Fatalf("skopeo inspect: %v", err)
	}
	var index document
	if err := json.Unmarshal(raw, &index); err != nil || len(index.Manifests) != 3 || index.ArtifactType != IndexType || index.Annotations[ClusterAnnotation] != "demo" {
		t.Errorf("skopeo inspect: %v\n%s", err, raw)
	}
	copied := filepath.Join(dir, "copied")
	if text, err := exec.Command(skopeo, "copy", "--all", "--src-tls-verify=false", "--insecure-policy", ref, "dir:"+copied).CombinedOutput(); err != nil {
		t.Fatalf("skopeo copy: %v\n%s", err, text)
	}
	for _, f := range s.Files {
		if _, err := os.Stat(filepath.Join(copied, f.SHA256)); err != nil {
			t.Errorf("skopeo did not copy %s: %v", f.Title, err)
		}
	}
}

// debianRegistry runs Debian's registry, which keeps its files in a folder.
func debianRegistry(t *testing.T) Target {
	t.Helper()
	return Target{Repository: signin.Open(t) + "/clusters/demo", Attempts: 3, Backoff: func(int) time.Duration { return 0 }}
}
