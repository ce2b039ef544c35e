package profiles

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/testtool"
)

// TestKubeletFlags: values of the user stay one word, and nothing in them is a
// variable or a specifier to systemd.
func TestKubeletFlags(t *testing.T) {
	doc := nodeDocument(t, full(t), "worker-a")
	unit := contents(t, doc, kubeletUnitPath)
	for _, want := range []string{
		`  "--system-reserved-cgroup=/odd %%n $$HOME \"name\"" \`,
		"  --hostname-override=${NODE} \\",
		"  --node-ip=${ADDRESS} \\",
		"  --node-labels=${LABELS}\n",
		" imgforge-disk@data.service\nWants=",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %s:\n%s", want, unit)
		}
	}
}

func TestKubeletKnowsItsNode(t *testing.T) {
	p := full(t)
	for node, labels := range map[string]string{
		"worker-a": "node.kubernetes.io/pool=a,tier=edge",
		"worker-b": "disk=ssd,node.kubernetes.io/pool=a,tier=edge,topology.kubernetes.io/zone=fr-par-1",
		"master-1": "",
	} {
		n, _ := p.Node(node)
		want := fmt.Sprintf("NODE=%s\nADDRESS=%s\nLABELS=%s\n", node, n.Address, labels)
		if got := contents(t, nodeDocument(t, p, node), kubeletEnvPath); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", node, got, want)
		}
	}
}

func TestKubeletTaints(t *testing.T) {
	p := full(t)
	for node, want := range map[string]string{
		"worker-a": "[{dedicated gpu NoExecute}]",
		"master-1": "[{node-role.kubernetes.io/control-plane  NoSchedule}]",
	} {
		var config struct {
			Taints []struct{ Key, Value, Effect string } `yaml:"registerWithTaints"`
		}
		if err := yaml.Unmarshal([]byte(contents(t, nodeDocument(t, p, node), kubeletConfigPath)), &config); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(config.Taints); got != want {
			t.Errorf("%s: %s, want %s", node, got, want)
		}
	}
}

// TestSystemdTakesKubeletUnit: a unit that is carried as a file for its mode is
// judged like the others. The programs that it starts come with the image.
func TestSystemdTakesKubeletUnit(t *testing.T) {
	program := testtool.Path(t, "systemd-analyze")
	path := filepath.Join(t.TempDir(), "kubelet.service")
	if err := os.WriteFile(path, []byte(contents(t, nodeDocument(t, full(t), "master-1"), kubeletUnitPath)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
	seen := false
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.Contains(line, "/usr/bin/kubelet is not executable"):
			seen = true // so the command line was read
		case strings.Contains(line, "kubelet.service"):
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil && !seen {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

func TestProxyDropin(t *testing.T) {
	p := full(t)
	p.Settings.HTTPProxy = "http://proxy.example.org/%7Euser"
	doc := nodeDocument(t, p, "worker-a")
	seen := 0
	for _, u := range doc.Units {
		if u.Name != unitKubelet && u.Name != unitContainerd {
			continue
		}
		seen++
		if len(u.Dropins) != 1 || !strings.Contains(u.Dropins[0].Contents, "Environment=HTTP_PROXY=http://proxy.example.org/%%7Euser\n") ||
			!strings.Contains(u.Dropins[0].Contents, "Environment=NO_PROXY=localhost,127.0.0.1,") {
			t.Errorf("%s: %+v", u.Name, u.Dropins)
		}
	}
	if seen != 2 {
		t.Errorf("%d of 2 units are there", seen)
	}
}
