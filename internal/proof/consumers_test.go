package proof

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// judges are the programs that a node runs, each with what it says against the
// files at the paths that they have there; "" is nothing.
var judges = map[string]func(m *machine, root string) string{
	"haproxy":         haproxySays,
	"keepalived":      keepalivedSays,
	"nft":             firewallSays,
	"systemd-analyze": unitsSay,
}

// One node of each role of each example stands for the others, whose files
// differ in names and addresses only.
func TestProgramsAcceptTheirFiles(t *testing.T) {
	for name := range judges {
		testtool.Path(t, name)
	}
	for _, name := range exampleNames(t) {
		c := example(t, name)
		for _, r := range c.roles() {
			n := c.plan.NodesOf(r.Name)[0]
			t.Run(name+"/"+n.Name, func(t *testing.T) {
				root := c.tree(t, n.Name)
				m := newMachine(t, n.Name, root)
				furnishMachine(t, m, c.plan, n)
				for program, says := range judges {
					if words := says(m, root); words != "" {
						t.Errorf("%s: %s", program, words)
					}
				}
			})
		}
	}
}

// A judge that accepts anything would pass the test above.
func TestProgramsRefuseBrokenFiles(t *testing.T) {
	c := example(t, "scaleway-ha")
	n := c.plan.NodesOf("master")[0]
	root := copyTree(t, c.tree(t, n.Name))
	for path, broken := range map[string]string{
		"etc/imgforge/haproxy/haproxy.cfg":        "    timeout nonsense 1s\n",
		"etc/imgforge/keepalived/keepalived.conf": "vrrp_nonsense {\n}\n",
		"etc/imgforge/nftables.nft":               "table inet nonsense { chain }\n",
		"etc/systemd/system/kubelet.service":      "[Service]\nNonsense=yes\n",
	} {
		f, err := os.OpenFile(filepath.Join(root, path), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(broken); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	m := newMachine(t, n.Name, root)
	furnishMachine(t, m, c.plan, n)
	for program, says := range judges {
		if says(m, root) == "" {
			t.Errorf("%s says nothing about a broken file", program)
		}
	}
}

// furnishMachine adds what the sysext, the OS and the network bring: the helper,
// the binaries that units name, and the interface of the mesh with its address.
func furnishMachine(t *testing.T, m *machine, p *plan.Plan, n plan.Node) {
	t.Helper()
	m.run(t, "cp", programs+"imgforge-node", "/usr/bin/imgforge-node")
	brought := []string{"kubelet", "kubectl", "containerd", "runc"}
	if p.OS.NetworkManager {
		brought = append(brought, "nmcli")
	}
	for _, binary := range brought {
		m.run(t, "sh", "-c", "[ -e /usr/bin/"+binary+" ] || install -m 0755 /dev/null /usr/bin/"+binary)
	}
	device := p.Network.Interface
	if n.Interface != "" {
		device = n.Interface
	}
	if device == "" {
		device = "eth0"
	}
	m.run(t, "ip", "tuntap", "add", device, "mode", "tap")
	m.run(t, "ip", "address", "add", n.Address+"/24", "dev", device)
	m.run(t, "ip", "link", "set", device, "up")
}

func haproxySays(m *machine, root string) string {
	const config = "/etc/imgforge/haproxy/haproxy.cfg"
	if !exists(root, config) {
		return missingFor(root, "haproxy", config)
	}
	out, err := m.try("haproxy", "-c", "-f", config)
	if err != nil || !strings.Contains(out, "Configuration file is valid") || strings.Contains(out, "[WARNING]") {
		return fmt.Sprint(err, "\n", out)
	}
	return ""
}

func keepalivedSays(m *machine, root string) string {
	const config = "/etc/imgforge/keepalived/keepalived.conf"
	if !exists(root, config) {
		return missingFor(root, "keepalived", config)
	}
	// It exits with 0 on some of what it does not like, and says so.
	out, err := m.try("keepalived", "--config-test", "--use-file", config)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

func missingFor(root, pod, config string) string {
	if exists(root, "/etc/kubernetes/manifests/"+pod+".yaml") {
		return "there is a pod but no " + config
	}
	return ""
}

func firewallSays(m *machine, _ string) string {
	out, err := m.try("nft", "--check", "--file", "/etc/imgforge/nftables.nft")
	if err != nil {
		return err.Error()
	}
	return out
}

// unitsSay verifies the units that are ours; what systemd says about others,
// which this system lacks or has, is noise.
func unitsSay(m *machine, root string) string {
	var units []string
	entries, err := os.ReadDir(filepath.Join(root, "etc/systemd/system"))
	if err != nil {
		return err.Error()
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue // masked, or a folder of drop-ins
		}
		name := e.Name()
		if stem, ok := strings.CutSuffix(name, "@.service"); ok {
			name = stem + "@etcd.service"
		}
		units = append(units, name)
	}
	if len(units) < 4 {
		return fmt.Sprintf("only the units %q are there", units)
	}
	out, err := m.try(append([]string{"systemd-analyze", "verify", "--man=no"}, units...)...)
	var words strings.Builder
	for line := range strings.Lines(out) {
		if slices.ContainsFunc(units, func(u string) bool {
			return strings.Contains(line, strings.Replace(u, "@etcd", "@", 1)) || strings.Contains(line, u)
		}) {
			words.WriteString(line)
		}
	}
	if err != nil && out == "" {
		return err.Error() // it did not run
	}
	return words.String()
}

func exists(root, path string) bool {
	_, err := os.Lstat(filepath.Join(root, path))
	return err == nil
}

// kubernetesObject opens a document of a Kubernetes API.
var kubernetesObject = regexp.MustCompile(`(?m)^apiVersion: `)

// Every manifest and configuration decodes strictly as the type it names, with
// the API types of the version that the examples run.
func TestKubernetesDecodesEveryObject(t *testing.T) {
	strict := testtool.Path(t, "k8s-strict")
	for _, name := range exampleNames(t) {
		c := example(t, name)
		for _, r := range c.roles() {
			n := c.plan.NodesOf(r.Name)[0].Name
			t.Run(name+"/"+n, func(t *testing.T) {
				found := map[string]string{}
				for path, e := range entries(t, c.tree(t, n), artifact.SlotDir) {
					if !e.mode.IsRegular() || !kubernetesObject.MatchString(e.contents) {
						continue
					}
					out, err := stdin([]byte(e.contents), strict)
					if err != nil {
						t.Errorf("%s: %s", path, out)
					}
					found[path] = out
				}
				want := map[string]string{"/var/lib/kubelet/config.yaml": "KubeletConfiguration", "/etc/kubernetes/kubelet.conf": "Config"}
				if r.Name == "master" {
					want["/etc/imgforge/etcd/etcd.yaml"] = "Pod/etcd"
					for _, pod := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "haproxy"} {
						want["/etc/kubernetes/manifests/"+pod+".yaml"] = "Pod/" + pod
					}
					for path, kind := range map[string]string{"authentication.yaml": "AuthenticationConfiguration", "encryption.yaml": "EncryptionConfiguration",
						"audit-policy.yaml": "Policy", "admin.conf": "Config", "scheduler.conf": "Config", "controller-manager.conf": "Config"} {
						want["/etc/kubernetes/"+path] = kind
					}
				}
				for path, kind := range want {
					if found[path] != kind {
						t.Errorf("%s holds %q, want %s", path, found[path], kind)
					}
				}
				manifests, _ := os.ReadDir(filepath.Join(c.tree(t, n), "etc/kubernetes/manifests"))
				for _, m := range manifests {
					if found["/etc/kubernetes/manifests/"+m.Name()] == "" {
						t.Errorf("%s is in the folder of static pods and is none", m.Name())
					}
				}
			})
		}
	}
}

// shellcheck reads the scripts that a node runs, each once.
func TestShellcheckReadsEveryScript(t *testing.T) {
	shellcheck := testtool.Path(t, "shellcheck")
	seen := map[string]bool{}
	for _, name := range exampleNames(t) {
		c := example(t, name)
		for _, r := range c.roles() {
			n := c.plan.NodesOf(r.Name)[0].Name
			for path, e := range entries(t, c.tree(t, n)) {
				if !strings.HasPrefix(e.contents, "#!/bin/sh\n") || seen[e.contents] {
					continue
				}
				seen[e.contents] = true
				if out, err := exec.Command(shellcheck, filepath.Join(c.tree(t, n), path)).CombinedOutput(); err != nil {
					t.Errorf("%s of %s: %v\n%s", path, n, err, out)
				}
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %d scripts were read", len(seen))
	}
}

// isoinfo finds on each drive the label that the OS looks for and the files
// that it reads, and the payload on it is that of the node.
func TestDrivesAreReadable(t *testing.T) {
	isoinfo := testtool.Path(t, "isoinfo")
	read := func(t *testing.T, args ...string) string {
		t.Helper()
		out, err := exec.Command(isoinfo, args...).Output()
		if err != nil {
			t.Fatalf("isoinfo %v: %v", args, err)
		}
		return string(out)
	}
	want := map[string][]string{
		"config-2": {"/openstack/latest/user_data", "/openstack/latest/meta_data.json"},
		"cidata":   {"/user-data", "/meta-data", "/network-config"},
	}
	judged := 0
	for _, c := range drives(t) {
		label := c.plan.Platform.Drive
		for _, n := range c.plan.Nodes {
			judged++
			iso := c.path("out", "secret", "drives", n.Name+".iso")
			if got := read(t, "-d", "-i", iso); !strings.Contains(got, "Volume id: "+label+"\n") {
				t.Errorf("%s: the label is not %s:\n%s", n.Name, label, got)
			}
			listing := strings.Fields(read(t, "-f", "-R", "-i", iso))
			for _, path := range want[label] {
				if !slices.Contains(listing, path) {
					t.Errorf("%s: %s is not among %q", n.Name, path, listing)
				}
			}
			if got := read(t, "-R", "-i", iso, "-x", want[label][0]); got != string(c.payloadOf(t, n.Name)) {
				t.Errorf("%s: %s is not the payload of the node", n.Name, want[label][0])
			}
		}
	}
	if judged < 2 {
		t.Errorf("only %d drives were read", judged)
	}
}

// drives are clusters on platforms that read a drive, one for each label.
func drives(t *testing.T) []*cluster {
	t.Helper()
	var out []*cluster
	for _, file := range []string{
		"name: pocket\nos: {family: debian}\nplatform: {provider: libvirt}\nendpoint: {mode: local}\nnetwork: {mesh: none, cidr: 192.168.122.0/24}\nroles: {master: {count: 1}, worker: {count: 2, reserve: 0}}\n",
		"name: narcissus\nos: {family: flatcar}\nplatform: {provider: openstack}\nendpoint: {mode: local}\nnetwork: {mesh: none, cidr: 192.168.122.0/24}\nroles: {master: {count: 1}}\n",
	} {
		c := fromFile(t, file)
		c.run(t, "build", "-o", c.path("out"))
		out = append(out, c)
	}
	if a, b := out[0].plan.Platform.Drive, out[1].plan.Platform.Drive; a != "cidata" || b != "config-2" {
		t.Fatalf("the drives are %q and %q, want both kinds", a, b)
	}
	return out
}
