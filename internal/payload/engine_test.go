package payload

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// node is a copy of this machine's root, with things in the way, that a real
// engine applies a payload to.
type node struct {
	t       *testing.T
	dir     string
	between string // shell, run before a second boot
}

func newNode(t *testing.T) *node {
	t.Helper()
	testtool.Root(t)
	n := &node{t: t, dir: t.TempDir()}
	for _, d := range []string{"layers", "base", "public"} {
		if err := os.Mkdir(filepath.Join(n.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n.write("base/etc/in-the-way/folder/inside", "x")
	n.write("base/usr/lib/systemd/system/victim.service", service)
	n.write("base/usr/lib/systemd/system/alias.service", service)
	n.write("base/etc/link-target", "must stay\n")
	n.link("base/etc/in-the-way/link", "/etc/link-target")
	n.link("base/etc/systemd/system/alias.service", "/usr/lib/systemd/system/alias.service")
	n.link("base/etc/systemd/system/unmask.service", "/dev/null")
	n.link("base/etc/systemd/system/multi-user.target.wants/victim.service", "/usr/lib/systemd/system/victim.service")
	return n
}

func (n *node) write(path, contents string) {
	n.t.Helper()
	path = filepath.Join(n.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) link(path, target string) {
	n.t.Helper()
	path = filepath.Join(n.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		n.t.Fatal(err)
	}
}

// apply runs an engine and returns one line per path that changed.
func (n *node) apply(engine string, payload []byte) []string {
	n.t.Helper()
	n.write("payload", string(payload))
	for _, f := range []string{"cloud.cfg", "systemctl"} {
		contents, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			n.t.Fatal(err)
		}
		n.write(f, string(contents))
	}
	if n.between != "" {
		n.write("between.sh", n.between)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
		"sh", filepath.Join("testdata", "apply.sh"), engine, n.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("%s: %v\n%s", engine, err, tail(stderr.Bytes()))
	}
	var lines []string
	for l := range strings.Lines(stdout.String()) {
		if !aside(l) {
			lines = append(lines, strings.TrimSuffix(l, "\n"))
		}
	}
	slices.Sort(lines)
	return lines
}

// aside tells of what the engines and the test write for themselves: cloud-init
// also turns passwords off in sshd_config, and locks a user with ! where Ignition
// writes *, and locks the password of root.
func aside(line string) bool {
	for _, own := range []string{"./etc/.ignition-result.json", "./etc/cloud", "./etc/ssh", "./etc/ssh/sshd_config", "./etc/shadow", "./etc/shadow-", "./etc/.pwd.lock", "./usr/local/sbin", "./usr/local", "./usr", "./var", "./var/lib", "./root"} {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " "+own) {
			return true
		}
	}
	return false
}

func (n *node) read(path string) string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(n.dir, path))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

func tail(b []byte) []byte { return b[max(0, len(b)-8000):] }

// sameTree applies the document through both engines and compares what each of
// them left behind.
func sameTree(t *testing.T, doc *Document, o Options) (cloud *node) {
	t.Helper()
	ignition := testtool.Path(t, "ignition")
	testtool.Path(t, "cloud-init")
	o.Format = FormatIgnition
	ign := mustRender(t, doc, o)
	o.Format = FormatCloudInit
	ci := mustRender(t, doc, o)
	a, b := newNode(t), newNode(t)
	for _, f := range ign.Fetched {
		a.write("public/"+f.Path, string(f.Contents))
		b.write("public/"+f.Path, string(f.Contents))
	}
	want, got := a.apply(ignition, ign.Data), b.apply("cloud-init", ci.Data)
	if complaints := b.read("complaints"); complaints != "" {
		t.Errorf("cloud-init complains:\n%s", complaints)
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("only Ignition: %s", l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("only cloud-init: %s", l)
		}
	}
	if len(want) < len(doc.Files) {
		t.Errorf("only %d paths changed for %d files:\n%s", len(want), len(doc.Files), strings.Join(want, "\n"))
	}
	return b
}

func TestSameTree(t *testing.T) {
	b := sameTree(t, worker(), Options{})
	golden(t, "systemctl.log", []byte(b.read("systemctl.log")))
}

func TestSameTreeWithSnippetsAndFetches(t *testing.T) {
	doc := worker()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/big", Mode: 0o755, Contents: bytes.Repeat([]byte("big\n"), 1000)})
	doc.Extra = []Snippet{{Path: "extra.all", Text: `
storage:
  directories:
    - {path: /srv/data, mode: 0750, user: {id: 7}, group: {name: adm}}
  files:
    - {path: /etc/sysctl.d/90-kube.conf, contents: {inline: "net.ipv4.ip_forward = 0\n"}}
    - {path: /etc/hosts, mode: 0640}
    - {path: /srv/new/only-made, group: {name: adm}}
  links:
    - {path: /srv/hard, target: /etc/sysctl.d/90-kube.conf, hard: true}
    - {path: /etc/in-the-way/folder, target: /nowhere, overwrite: true}
systemd:
  units:
    - {name: containerd.service, dropins: [{name: 10-imgforge.conf, contents: "[Service]\nNice=5\n"}, {name: 50-user.conf, contents: "[Service]\nNice=6\n"}]}
    - {name: unmask.service, mask: false}
    - {name: wg-quick@.service, mask: true}
`}}
	sameTree(t, doc, Options{ArtifactsURL: "http://127.0.0.1:8080/"})
}

// TestPackedLeavesTheSameTree: a payload that fits only packed is unpacked by
// cloud-init itself.
func TestPackedLeavesTheSameTree(t *testing.T) {
	doc := worker()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/text", Contents: noise(1, 4000)})
	plain := mustRender(t, doc, Options{Format: FormatCloudInit})
	packed := mustRender(t, doc, Options{Format: FormatCloudInit, Budget: Budget{Bytes: plain.Sizes.Total - 1}})
	if packed.Sizes.Total >= plain.Sizes.Total || bytes.HasPrefix(packed.Data, []byte(cloudHeader)) {
		t.Fatalf("not packed: %d and %d bytes", packed.Sizes.Total, plain.Sizes.Total)
	}
	sameFiles(t, packed.Data, plain.Data)
	budget := max(packed.Sizes.Total, mustRender(t, doc, Options{Format: FormatIgnition}).Sizes.Total)
	if budget >= plain.Sizes.Total {
		t.Fatalf("a budget of %d packs nothing", budget)
	}
	sameTree(t, doc, Options{Budget: Budget{Bytes: budget}})
}

func TestSecondBootKeepsWhatTheNodeChanged(t *testing.T) {
	testtool.Path(t, "cloud-init")
	n := newNode(t)
	n.between = "echo changed >/etc/sysctl.d/90-kube.conf; chmod 0711 /etc/kubernetes/pki; rm /etc/deep/er/link; rm /run/systemctl.log\n"
	lines := n.apply("cloud-init", mustRender(t, worker(), Options{Format: FormatCloudInit}).Data)
	for _, l := range lines {
		if strings.HasSuffix(l, "./etc/deep/er/link") {
			t.Errorf("the second boot made again what the node removed: %s", l)
		}
	}
	if !slices.Contains(lines, "d 0711 0:0 ./etc/kubernetes/pki") {
		t.Error("the second boot set a mode again that the node had changed")
	}
	if _, err := os.Stat(filepath.Join(n.dir, "systemctl.log")); err == nil {
		t.Errorf("the second boot ran systemctl:\n%s", n.read("systemctl.log"))
	}
}

func TestChangedDownloadIsRefused(t *testing.T) {
	testtool.Path(t, "cloud-init")
	doc := worker()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/big", Contents: bytes.Repeat([]byte("big\n"), 1000)})
	p := mustRender(t, doc, Options{Format: FormatCloudInit, ArtifactsURL: "http://127.0.0.1:8080"})
	n := newNode(t)
	n.write("public/"+p.Fetched[0].Path, "something else")
	for _, l := range n.apply("cloud-init", p.Data) {
		if strings.Contains(l, "./opt/big") {
			t.Errorf("a file with another hash is there: %s", l)
		}
	}
}

func TestSameUsers(t *testing.T) {
	doc := worker()
	doc.Extra = []Snippet{{Path: "extra.all", Text: `
passwd:
  groups: [{name: crew}]
  users:
    - {name: ripley, uid: 4711, home_dir: /srv/ripley, groups: [crew], shell: /bin/sh}
storage:
  directories:
    - {path: /srv/log, user: {name: ripley}, group: {name: crew}}
  files:
    - {path: /srv/log/entry, mode: 0600, user: {name: ripley}, contents: {inline: "day 1\n"}}
    - {path: /srv/log/touched, group: {name: crew}}
  links:
    - {path: /srv/log/last, target: entry, user: {name: ripley}}
`}}
	sameTree(t, doc, Options{})
}
