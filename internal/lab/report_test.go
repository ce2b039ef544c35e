package lab

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// example is a report with one of everything.
func example() *Report {
	return &Report{
		Commit: "0123456789ab", Seconds: 321, Host: Host{Cores: 2, MemoryMiB: 24000, Kernel: "6.1.0", Cgroups: "v1", System: "Debian"},
		Programs:  []Program{{"kubelet", "v1.36.3", "k8s.io/kubernetes"}, {"tinc", "1.0.36", "Debian bookworm"}},
		Overrides: []Override{{"/etc/example.conf", "# why\nsetting = true\n"}},
		NotProven: []string{"Something."},
		Topologies: []*Outcome{
			{Topology: "two", About: "2 nodes", Kind: Container, Seconds: 61, Cluster: "name: two\n", Nodes: []string{"a", "b"},
				Steps:  []Step{{"first boot", "b", "claimed", 1.24}, {"first boot", "a", "claimed", 1.1}, {"first boot", "a", "ready", 2}, {"first boot", "", "all nodes are Ready", 7.5}},
				Words:  []Word{{"first boot", "a", "etcd", "warning", 501, "imgforge: warning 501\n  why: | silent", 3.5}},
				Checks: []Result{{"first boot", "DNS", true, "answers", 1}, {"first boot", "ports", false, "a | listens\nb too", 60}},
			},
			{Topology: "one", About: "1 node", Kind: Machine, Seconds: 300, Cluster: "name: one\n", Nodes: []string{"a"}, Error: "no power"},
		},
	}
}

// The report for people is a golden text; what failed is in it and in the verdict.
func TestReport(t *testing.T) {
	r := example()
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("%v; the report differs from %s (-update rewrites it):\n%s", err, golden, b.String())
	}
	if r.Passed() {
		t.Error("a failed check passes")
	}
	r.Topologies[0].Checks[1].Passed = true
	if r.Passed() {
		t.Error("a trial that ended early passes")
	}
	r.Topologies[1].Error = ""
	if !r.Passed() {
		t.Error("a report without a failure does not pass")
	}
	if lines := r.Summary(); len(lines) != 3 || !strings.Contains(lines[0], "2 of 2 checks hold") {
		t.Errorf("summary: %q", lines)
	}
}

// What the lab has no operating system or provider for is refused in words that
// say what it can show instead.
func TestBootable(t *testing.T) {
	all, own := plan.Addons{CNI: "flannel", KubeProxy: true}, plan.OS{Family: "imgforge", Format: "ignition", Arch: "amd64"}
	for _, tc := range []struct {
		name, says string
		plan       plan.Plan
	}{
		{name: "its own base", plan: plan.Plan{Addons: all, OS: own}},
		{name: "debian with a drive", plan: plan.Plan{Addons: all, OS: plan.OS{Family: "debian", Format: "cloud-init"}, Platform: plan.Platform{Drive: "cidata"}}},
		{name: "flatcar", says: "os.family: imgforge", plan: plan.Plan{OS: plan.OS{Family: "flatcar", Format: "ignition"}}},
		{name: "debian on a cloud", says: "platform.provider: libvirt",
			plan: plan.Plan{OS: plan.OS{Family: "debian", Format: "cloud-init"}, Platform: plan.Platform{Provider: "hetzner"}}},
		{name: "another network for pods", says: "addons.cni: flannel", plan: plan.Plan{Addons: plan.Addons{CNI: "none", KubeProxy: true}, OS: plan.OS{Family: "imgforge"}}},
		{name: "disks", says: "without etcd.dataDisk, roles.worker.dataDisk, roles.worker.nodes[1].rootDisk, roles.worker.nodes[2].dataDisk", plan: plan.Plan{Addons: all, OS: own,
			Etcd: plan.Etcd{DataDisk: "/dev/vdb"}, Roles: []plan.Role{{Name: "master"}, {Name: "worker", DataDisk: "/dev/vdb"}},
			Nodes: []plan.Node{{Role: "worker", Slot: 1, DataDisk: "/dev/vdb"}, {Role: "worker", Slot: 2, DataDisk: "/dev/vdb", RootDisk: "/dev/vda"}, {Role: "worker", Slot: 3, DataDisk: "/dev/vdc"}}}},
		{name: "arm64", says: "amd64, not arm64", plan: plan.Plan{OS: plan.OS{Family: "imgforge", Format: "ignition", Arch: "arm64"}}},
	} {
		err := bootable(&tc.plan)
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.says)
		}
	}
}

// A machine that lacks a program is told which package has it.
func TestUnable(t *testing.T) {
	err := Unable(Machine, true, func(name string) (string, error) {
		if strings.HasPrefix(name, "qemu") {
			return "", os.ErrNotExist
		}
		return "/usr/bin/" + name, nil
	})
	if err == nil || !strings.Contains(err.Error(), "apt-get install qemu-system-x86 qemu-utils") {
		t.Errorf("%v, want the packages of qemu", err)
	}
	if err := Unable(Machine, true, func(string) (string, error) { return "/bin/true", nil }); err != nil {
		t.Errorf("with everything there: %v", err)
	}
}
