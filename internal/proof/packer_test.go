//go:build lab

// Behind the tag because Packer itself takes minutes to build the first time.

package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// packerHome is a folder with the plugin as Packer wants one installed by hand.
func packerHome(t *testing.T) string {
	t.Helper()
	return work.once(t, "packer", func(dir string) error {
		root, err := testtool.ModuleRoot()
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, "plugins", "github.com", "imgforge", "imgforge")
		path := filepath.Join(folder, "packer-plugin-imgforge_v0.1.0_x5.0_"+runtime.GOOS+"_"+runtime.GOARCH)
		cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
		cmd.Dir, cmd.Env = filepath.Join(root, "packer"), append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path+"_SHA256SUM", fmt.Appendf(nil, "%x", sha256.Sum256(data)), 0o644)
	})
}

// packer runs the real one on a folder of templates, with all that it would log. What
// would reach the network fails: its proxy is not there.
func packer(t *testing.T, c *cluster, args ...string) (string, error) {
	t.Helper()
	home := packerHome(t)
	cmd := exec.Command(testtool.Path(t, "packer"), args...)
	cmd.Dir = t.TempDir()
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "IMGFORGE_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+c.path("home"), "XDG_CONFIG_HOME="+c.path("home", ".config"), "PACKER_PLUGIN_PATH="+filepath.Join(home, "plugins"),
		"CHECKPOINT_DISABLE=1", "PACKER_LOG=1", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1", "PACKER_NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustPacker(t *testing.T, c *cluster, args ...string) string {
	t.Helper()
	out, err := packer(t, c, args...)
	if err != nil {
		t.Fatalf("packer %q: %v\n%s", args, err, out)
	}
	return out
}

// templates is a folder of ours.
func templates(t *testing.T, name string) string {
	t.Helper()
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "packer", "templates", name)
}

// A payload reaches a builder as imgforge prints it, and nothing of it the log.
func TestPackerPayload(t *testing.T) {
	c := lockedCluster(t)
	folder, output := templates(t, "user-data"), filepath.Join(t.TempDir(), "payload")
	vars := []string{"-var", "node=master-1", "-var", "cluster_file=" + c.path("cluster.yaml"), "-var", "imgforge=" + built(t, "imgforge"), "-var", "output=" + output}
	logged := mustPacker(t, c, "init", folder)
	logged += mustPacker(t, c, append(append([]string{"validate"}, vars...), folder)...)
	logged += mustPacker(t, c, append(append([]string{"validate", "-evaluate-datasources"}, vars...), folder)...)
	logged += mustPacker(t, c, append(append([]string{"build"}, vars...), folder)...)
	got, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	want := c.run(t, "render", "--node", "master-1")
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, and imgforge render prints %d", len(got), len(want))
	}
	if !strings.Contains(logged, "packer-plugin-imgforge") {
		t.Errorf("nothing was logged:\n%s", logged)
	}
	// Any piece of the payload, however it would be quoted or cut into lines.
	for at := 0; at+48 <= len(want); at += 48 {
		if strings.Contains(logged, string(want[at:at+48])) {
			t.Fatalf("bytes %d to %d of the payload are in what Packer wrote", at, at+48)
		}
	}
	for name, forms := range c.storeForms(t) {
		for _, form := range forms {
			if len(form) >= 16 && strings.Contains(logged, string(form)) {
				t.Errorf("%s is in what Packer wrote", name)
			}
		}
	}
}

// printing makes a builder of the template that prints what it was given.
const printing = `
build {
  sources = ["source.file.node"]
  post-processor "shell-local" {
    inline = ["cat <<'END'", local.user_data, "END"]
  }
}
`

// A builder that prints its user-data shows no key, whether the payload is one line or many.
func TestPackerHidesPayload(t *testing.T) {
	c := lockedCluster(t)
	text, err := os.ReadFile(filepath.Join(templates(t, "user-data"), "user-data.pkr.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "\nbuild {")
	for _, format := range []string{"ignition", "cloud-init"} {
		template := filepath.Join(t.TempDir(), "print.pkr.hcl")
		hcl := strings.Replace(head, "node          = var.node", "node = var.node\n  format = \""+format+"\"", 1) + printing
		if err := os.WriteFile(template, []byte(hcl), 0o644); err != nil {
			t.Fatal(err)
		}
		logged := mustPacker(t, c, "build", "-var", "node=master-1", "-var", "cluster_file="+c.path("cluster.yaml"), "-var", "imgforge="+built(t, "imgforge"),
			"-var", "output="+filepath.Join(t.TempDir(), "payload"), template)
		if !strings.Contains(logged, "<sensitive>") {
			t.Errorf("%s: nothing was printed:\n%s", format, logged)
		}
		for line := range strings.Lines(string(c.run(t, "render", "--node", "master-1", "--format", format))) {
			line = strings.TrimSpace(line)
			for at := 0; at+48 <= len(line); at += 48 {
				if strings.Contains(logged, line[at:at+48]) {
					t.Fatalf("%s: a part of the payload was printed: line of %d bytes, at %d", format, len(line), at)
				}
			}
		}
	}
}

// fileDisk is the head of a template that takes a disk from one path and puts it at another.
const fileDisk = `packer {
  required_plugins {
    imgforge = {
      version = "0.1.0"
      source  = "github.com/imgforge/imgforge"
    }
  }
}

source "file" "base" {
  source = %q
  target = %q
}

`

const bakeTemplate = fileDisk + `build {
  sources = ["source.file.base"]
  post-processor "imgforge-bake" {
    cluster_file     = %q
    role             = "worker"
    output_directory = %q
    cache            = %q
    offline          = true
    helper           = %q
    imgforge_path    = %q
  }
}
`

// What Packer bakes from a builder's disk is what imgforge bakes from it.
func TestPackerBake(t *testing.T) {
	c := lockedCluster(t)
	dir := t.TempDir()
	out, from := filepath.Join(dir, "out"), filepath.Join(dir, "built.img")
	template := filepath.Join(dir, "bake.pkr.hcl")
	text := fmt.Sprintf(bakeTemplate, c.path("base.img"), from, c.path("cluster.yaml"), out, c.path("cache"), c.path("imgforge-node"), built(t, "imgforge"))
	if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	mustPacker(t, c, "init", template)
	mustPacker(t, c, "validate", template)
	logged := mustPacker(t, c, "build", template)
	if !strings.Contains(logged, "baked disk: "+out) {
		t.Errorf("it is not said where the disk is:\n%s", logged)
	}
	c.buildImages(t, filepath.Join(dir, "direct"), "--role", "worker", "--format", "qcow2")
	if digestFile(t, filepath.Join(out, "public", "images", "worker.qcow2")) != digestFile(t, filepath.Join(dir, "direct", "public", "images", "worker.qcow2")) {
		t.Error("the disk is another than imgforge build makes")
	}
	if text := string(c.run(t, "verify", out)); !strings.Contains(text, "nothing is wrong") {
		t.Error(text)
	}
	if _, err := os.Stat(from); !os.IsNotExist(err) {
		t.Errorf("the builder's disk, which was to go, is there: %v", err)
	}
	// What is there already is not replaced.
	if said, err := packer(t, c, "build", template); err == nil || !strings.Contains(said, "is there already") {
		t.Errorf("%v\n%s", err, said)
	}
}

func digestFile(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

// The templates that people start from are right, QEMU's for the plugin that this Packer brings.
func TestPackerTemplates(t *testing.T) {
	c := lockedCluster(t)
	key := sshKey(t)
	for name, vars := range map[string][]string{
		"scaleway": {"base=base.qcow2", "role=worker"},
		"qemu":     {"base=https://example.com/base.img", "base_checksum=none", "ssh_key=" + key, "role=worker"},
	} {
		args := []string{"validate"}
		for _, v := range vars {
			args = append(args, "-var", v)
		}
		mustPacker(t, c, "init", templates(t, name))
		mustPacker(t, c, append(args, templates(t, name))...)
		if said, err := packer(t, c, append(args, "-var", "role=", templates(t, name))...); err == nil || !strings.Contains(said, "whose disk is it") {
			t.Errorf("%s without a role: %v\n%s", name, err, said)
		}
	}
}

// sshKey is a key of SSH in a file, with what stands for its public key beside it.
func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := errors.Join(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(path+".pub", []byte("ssh-ed25519 AAAA\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}
