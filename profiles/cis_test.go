package profiles

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// cisItem is one recommendation of the CIS Kubernetes benchmark. Its check reads
// the rendered document of a node, not the plan that led to it.
type cisItem struct {
	id, title string
	// unmet says why an item is not met as it is written; "" is met.
	unmet string
	// check is what holds: the item itself or, when it is unmet, what the reason promises.
	check func(*cisNode) error
}

// cisNode is a rendered node with the parts that the benchmark looks at.
type cisNode struct {
	doc     *payload.Document
	flags   map[string]map[string]string // component to flag to value, from the manifests and the unit
	kubelet kubeletConfig
}

// kubeletConfig are the fields of KubeletConfiguration that the benchmark names.
type kubeletConfig struct {
	Authentication struct {
		Anonymous struct{ Enabled bool }
		Webhook   struct{ Enabled bool }
		X509      struct {
			ClientCAFile string `yaml:"clientCAFile"`
		} `yaml:"x509"`
	}
	Authorization                  struct{ Mode string }
	ReadOnlyPort                   *int     `yaml:"readOnlyPort"`
	StreamingConnectionIdleTimeout string   `yaml:"streamingConnectionIdleTimeout"`
	MakeIPTablesUtilChains         bool     `yaml:"makeIPTablesUtilChains"`
	EventRecordQPS                 int      `yaml:"eventRecordQPS"`
	RotateCertificates             bool     `yaml:"rotateCertificates"`
	ServerTLSBootstrap             bool     `yaml:"serverTLSBootstrap"`
	TLSCipherSuites                []string `yaml:"tlsCipherSuites"`
	PodPidsLimit                   int      `yaml:"podPidsLimit"`
	SeccompDefault                 bool     `yaml:"seccompDefault"`
}

func newCISNode(doc *payload.Document) (*cisNode, error) {
	c := &cisNode{doc: doc, flags: map[string]map[string]string{}}
	for _, f := range doc.Files {
		if !strings.HasPrefix(f.Path, manifestDir+"/") && f.Path != etcdManifestPath {
			continue
		}
		var pod struct {
			Spec struct {
				Containers []struct{ Command []string }
			}
		}
		if err := yaml.Unmarshal(f.Contents, &pod); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if command := pod.Spec.Containers[0].Command; len(command) > 0 {
			c.flags[command[0]] = splitFlags(command[1:])
		}
	}
	unit, _ := c.file(kubeletUnitPath)
	for line := range strings.Lines(strings.ReplaceAll(string(unit.Contents), "\\\n", "")) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			c.flags["kubelet"] = splitFlags(strings.Fields(command)[1:])
		}
	}
	config, _ := c.file(kubeletConfigPath)
	return c, yaml.Unmarshal(config.Contents, &c.kubelet)
}

// manifestOf is where the payload puts a component's pod specification. etcd's is
// copied from there by the helper, with the same mode and owner.
func manifestOf(component string) string {
	if component == "etcd" {
		return etcdManifestPath
	}
	return manifestDir + "/" + component + ".yaml"
}

func splitFlags(args []string) map[string]string {
	out := map[string]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		out[name] = value
	}
	return out
}

func (c *cisNode) file(path string) (artifact.File, bool) {
	i := slices.IndexFunc(c.doc.Files, func(f artifact.File) bool { return f.Path == path })
	if i < 0 {
		return artifact.File{}, false
	}
	return c.doc.Files[i], true
}

func (c *cisNode) master() bool { return c.doc.Role == "master" }

// mode checks that a file is there and grants nothing beyond most.
func mode(most uint32, paths ...string) func(*cisNode) error {
	return func(c *cisNode) error {
		for _, path := range paths {
			f, ok := c.file(path)
			if !ok {
				return fmt.Errorf("%s is missing", path)
			}
			if f.Mode == 0 || f.Mode&^most != 0 {
				return fmt.Errorf("%s has mode %04o", path, f.Mode)
			}
		}
		return nil
	}
}

// ownedByRoot checks files by path, or all under a folder that ends in a slash.
func ownedByRoot(paths ...string) func(*cisNode) error {
	return func(c *cisNode) error {
		for _, path := range paths {
			seen := false
			for _, f := range c.doc.Files {
				if f.Path != path && (!strings.HasSuffix(path, "/") || !strings.HasPrefix(f.Path, path)) {
					continue
				}
				seen = true
				if strings.TrimPrefix(f.User, "root") != "" || strings.TrimPrefix(f.Group, "root") != "" {
					return fmt.Errorf("%s is owned by %s:%s", f.Path, f.User, f.Group)
				}
			}
			if !seen {
				return fmt.Errorf("%s is missing", path)
			}
		}
		return nil
	}
}

// pkiModes checks every file of a kind under the PKI folder.
func pkiModes(suffix string, most uint32) func(*cisNode) error {
	return func(c *cisNode) error {
		seen := false
		for _, f := range c.doc.Files {
			if !strings.HasPrefix(f.Path, pkiDir+"/") || !strings.HasSuffix(f.Path, suffix) {
				continue
			}
			seen = true
			if f.Mode == 0 || f.Mode&^most != 0 {
				return fmt.Errorf("%s has mode %04o", f.Path, f.Mode)
			}
		}
		if !seen {
			return fmt.Errorf("no %s under %s", suffix, pkiDir)
		}
		return nil
	}
}

// set checks that a component's flag has a value that is judged good.
func set(component, flag string, good func(string) bool) func(*cisNode) error {
	return func(c *cisNode) error {
		if !c.master() && component != "kubelet" {
			return nil
		}
		value, ok := c.flags[component][flag]
		if !ok {
			return fmt.Errorf("%s has no --%s", component, flag)
		}
		if !good(value) {
			return fmt.Errorf("%s has --%s=%s", component, flag, value)
		}
		return nil
	}
}

func unset(component, flag string) func(*cisNode) error {
	return func(c *cisNode) error {
		if value, ok := c.flags[component][flag]; ok && c.master() {
			return fmt.Errorf("%s has --%s=%s", component, flag, value)
		}
		return nil
	}
}

// onDisk checks that flags name files that the document holds.
func onDisk(component string, flags ...string) func(*cisNode) error {
	return func(c *cisNode) error {
		for _, flag := range flags {
			if err := set(component, flag, func(path string) bool { _, ok := c.file(path); return ok })(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func is(want string) func(string) bool { return func(s string) bool { return s == want } }
func has(word string) func(string) bool {
	return func(s string) bool { return slices.Contains(strings.Split(s, ","), word) }
}
func atLeast(n int) func(string) bool {
	return func(s string) bool {
		var got int
		_, err := fmt.Sscanf(s, "%d", &got)
		return err == nil && got >= n
	}
}

func all(checks ...func(*cisNode) error) func(*cisNode) error {
	return func(c *cisNode) error {
		for _, check := range checks {
			if err := check(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// onMasters restricts a check to the nodes that have what it looks at.
func onMasters(check func(*cisNode) error) func(*cisNode) error {
	return func(c *cisNode) error {
		if !c.master() {
			return nil
		}
		return check(c)
	}
}

// kubeletHas checks a field of the kubelet's configuration.
func kubeletHas(what string, good func(kubeletConfig) bool) func(*cisNode) error {
	return func(c *cisNode) error {
		if !good(c.kubelet) {
			return fmt.Errorf("%s does not say %s", kubeletConfigPath, what)
		}
		return nil
	}
}

// strongSuites checks a list against the suites that the benchmark accepts.
func strongSuites(list []string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(cipherSuites(), s) })
}

// TestCIS checks every item of docs/cis.md on one node of each role of each example.
func TestCIS(t *testing.T) {
	for _, item := range cisItems() {
		t.Run(item.id, func(t *testing.T) {
			eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
				c, err := newCISNode(nodeDocument(t, p, p.NodesOf(role)[0].Name))
				if err != nil {
					t.Fatal(err)
				}
				if err := item.check(c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCISChecksCanFail: on a master that does everything wrong every check fails.
func TestCISChecksCanFail(t *testing.T) {
	wrong := []string{"--token-auth-file=/x", "--authorization-mode=AlwaysAllow", "--auto-tls=true", "--peer-auto-tls=true", "--anonymous-auth=true",
		"--profiling=true", "--bind-address=0.0.0.0", "--enable-admission-plugins=AlwaysAdmit", "--audit-log-maxage=1", "--audit-log-maxbackup=1", "--audit-log-maxsize=1",
		"--trusted-ca-file=/etc/kubernetes/pki/ca.crt", "--service-account-extend-token-expiration=true", "--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA"}
	doc := &payload.Document{Role: "master"}
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		text, err := yaml.Marshal(map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"command": append([]string{component}, wrong...)}}}})
		if err != nil {
			t.Fatal(err)
		}
		doc.Files = append(doc.Files, artifact.File{Path: manifestOf(component), Mode: 0o666, User: "nobody", Contents: text})
	}
	for _, path := range []string{"admin.conf", "super-admin.conf", "scheduler.conf", "controller-manager.conf", "pki/apiserver.key", "pki/apiserver.crt", "pki/ca.crt"} {
		doc.Files = append(doc.Files, artifact.File{Path: "/etc/kubernetes/" + path, Mode: 0o666, User: "nobody"})
	}
	doc.Files = append(doc.Files, artifact.File{Path: kubeletConfigPath, Mode: 0o666, Contents: []byte("authentication: {anonymous: {enabled: true}}\n")})
	doc.Directories = []payload.Directory{{Path: etcdDataDir, Mode: 0o755}}
	c, err := newCISNode(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range cisItems() {
		if item.check(c) == nil {
			t.Errorf("%s holds on a master that does everything wrong", item.id)
		}
	}
}

// TestCISDocument: docs/cis.md is this table, so that it cannot promise more.
func TestCISDocument(t *testing.T) {
	const path = "../docs/cis.md"
	want := cisDocument()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/cis.md differs from the table; run go test ./profiles -run CIS -update\n%s", firstDifference(got, want))
	}
}

func cisDocument() []byte {
	var b bytes.Buffer
	b.WriteString(cisIntroduction)
	for _, item := range cisItems() {
		met := "yes"
		if item.unmet != "" {
			met = "no: " + item.unmet
		}
		fmt.Fprintf(&b, "| %s | %s | %s | `TestCIS/%s` |\n", item.id, item.title, met, item.id)
	}
	return b.Bytes()
}

const cisIntroduction = `# CIS Kubernetes benchmark

Which recommendations of the CIS Kubernetes benchmark 1.12 (written for Kubernetes 1.32 to 1.34, the newest there is) the nodes meet
as imgforge makes them. Each row is checked on the rendered document of a node of every role of every example cluster by the test in
the last column, in the package profiles; where an item is not met, the test checks what the reason promises. A further test shows
that each check fails on a node that does everything wrong. Items about policies inside the cluster (section 5) are the users' own.

This page is made from the table of those tests: ` + "`go test ./profiles -run CIS -update`" + `.

| Item | Recommendation | Met | Checked by |
|---|---|---|---|
`
