package release

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
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
	program := testtool.Path(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\nhttp: {addr: %q, secret: loopback}\n", filepath.Join(dir, "files"), address)
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(said.String()[max(0, said.Len()-2000):])
		}
	})
	for range 1200 { // a minute, for machines that are busy
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			resp.Body.Close()
			return Target{Repository: address + "/clusters/demo", Attempts: 3, Backoff: func(int) time.Duration { return 0 }}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer:\n%s", &said)
	return Target{}
}
