package profiles

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestKubernetesDecodesStrictly: every object of a node is one that the
// Kubernetes API types take without an unknown or repeated field.
func TestKubernetesDecodesStrictly(t *testing.T) {
	program := testtool.Path(t, "k8s-strict")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := nodeDocument(t, p, p.NodesOf(role)[0].Name)
		var stream bytes.Buffer
		objects := 0
		for _, f := range doc.Files {
			if isKubernetesObject(f.Path) {
				fmt.Fprintf(&stream, "---\n%s\n", f.Contents)
				objects++
			}
		}
		cmd := exec.Command(program)
		cmd.Stdin = &stream
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := bytes.Count(out, []byte("\n")); got != objects || objects < 2 {
			t.Errorf("%d of %d objects were judged:\n%s", got, objects, out)
		}
	})
}

func isKubernetesObject(path string) bool {
	return path == kubeletConfigPath || strings.HasPrefix(path, "/etc/kubernetes/") && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".conf"))
}

// TestContainerdTakesConfiguration: containerd reads its configuration without
// a warning and with the values that the kubelet relies on.
func TestContainerdTakesConfiguration(t *testing.T) {
	program := testtool.Path(t, "containerd")
	p := full(t)
	path := filepath.Join(t.TempDir(), "config.toml")
	text := contents(t, nodeDocument(t, p, "master-1"), "/etc/containerd/config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.Command(program, "--config", path, "config", "dump")
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	for _, want := range []string{
		"SystemdCgroup = true", "config_path = '" + certsDir + "'", "sandbox = '" + p.Images.Pause + "'",
		"conf_dir = '/etc/cni/net.d'", "/opt/cni/bin", // where flannel and the CNI plugins put themselves
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("containerd does not see %s", want)
		}
	}
}

// TestRegistries: each registry has its folder, by the name that containerd looks up.
func TestRegistries(t *testing.T) {
	doc := nodeDocument(t, full(t), "worker-a")
	for path, want := range map[string]string{
		certsDir + "/docker.io/hosts.toml": `server = "https://registry-1.docker.io"
ca = "/etc/containerd/certs.d/docker.io/ca.crt"

[host."https://mirror.example.org"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/docker.io/ca.crt"

[host."http://10.0.0.9:5000"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/docker.io/ca.crt"
`,
		certsDir + "/registry.example.org_5000_/hosts.toml": `server = "https://registry.example.org:5000"
ca = "/etc/containerd/certs.d/registry.example.org_5000_/ca.crt"
`,
		certsDir + "/registry.example.org_5000_/ca.crt": "<authority of registry.example.org:5000>\n",
		"/var/lib/kubelet/config.json": `{"auths":{"registry.example.org:5000":{"auth":"cm9ib3Q6PHNlY3JldCB1c2VyL3JlZ2lzdHJ5LXBhc3N3b3JkPg=="}}}
`, // robot:<secret user/registry-password>
	} {
		if got := contents(t, doc, path); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
	i := slices.IndexFunc(doc.Files, func(f artifact.File) bool { return f.Path == "/var/lib/kubelet/config.json" })
	if f := doc.Files[i]; !f.Secret || f.Mode != 0o600 {
		t.Errorf("the password is carried with Secret %v and mode %04o", f.Secret, f.Mode)
	}
}
