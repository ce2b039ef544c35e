package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/ignition/v2/config/v3_5/types"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

func TestGolden(t *testing.T) {
	doc := worker()
	doc.Disks = nil
	doc.Filesystems = []Filesystem{{Device: "/dev/vdb", Format: "ext4", Label: "data", Path: "/var/lib/data", MountUnit: true}}
	doc.Extra = []Snippet{{Path: "extra.worker", File: "cluster.yaml", Line: 40, Text: "storage:\n  files:\n    - path: /etc/motd\n      contents: {inline: hello}\n"}}
	golden(t, "worker.bu", mustRender(t, doc, Options{Format: FormatButane}).Data)
	golden(t, "worker.cloud-config", mustRender(t, doc, Options{Format: FormatCloudInit}).Data)
	files, _, err := place(doc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := assemble(doc, files, readable)
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, append(a.json, '\n'), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "worker.ign", pretty.Bytes())
}

// inner is the config inside config.replace, or the payload itself.
func inner(t *testing.T, payload []byte) []byte {
	t.Helper()
	var c types.Config
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	if c.Ignition.Config.Replace.Source == nil {
		return payload
	}
	raw, err := decodeResource(c.Ignition.Config.Replace)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// validIgnition fails on any output of Ignition's own validator, which reports
// unknown keys as warnings with exit status 0.
func validIgnition(t *testing.T, config []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.ign")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testtool.Path(t, "ignition-validate"), path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ignition-validate: %v\n%s\n%s", err, out, config)
	}
}

func validCloudConfig(t *testing.T, config []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "user-data")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testtool.Path(t, "cloud-init"), "schema", "--config-file", path).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "Valid cloud-config: "+path {
		t.Errorf("cloud-init schema: %v\n%s\n%s", err, out, config)
	}
}

func TestValidatorsAccept(t *testing.T) {
	small := worker()
	small.Files, small.Slots = small.Files[:2], nil
	large := worker()
	large.Files = append(large.Files, artifact.File{Path: "/opt/big", Contents: bytes.Repeat([]byte("some line of text\n"), 5000)})
	user := worker()
	user.Extra = []Snippet{{Text: "passwd:\n  groups: [{name: crew}]\n  users: [{name: ripley, uid: 4711, groups: [crew], password_hash: $6$x, ssh_authorized_keys: [ssh-ed25519 AAAA]}]\n"}}
	for name, doc := range map[string]*Document{"small": small, "worker": worker(), "large": large, "user": user} {
		for variant, version := range map[string]string{"flatcar": "1.1.0", "fcos": "1.6.0"} {
			t.Run(name+" "+variant, func(t *testing.T) {
				doc := *doc
				doc.Variant, doc.Version = variant, version
				for _, o := range []Options{{}, {ArtifactsURL: "https://artifacts.example.org"}} {
					o.Format = FormatIgnition
					p := mustRender(t, &doc, o)
					validIgnition(t, p.Data)
					validIgnition(t, inner(t, p.Data))
					want := map[string]string{"flatcar": "3.4.0", "fcos": "3.5.0"}[variant]
					for _, raw := range [][]byte{p.Data, inner(t, p.Data)} {
						if got, err := versionOf(raw); err != nil || got != want {
							t.Errorf("spec %s (%v), want %s", got, err, want)
						}
					}
					o.Format = FormatCloudInit
					validCloudConfig(t, mustRender(t, &doc, o).Data)
				}
			})
		}
	}
}

func TestButaneTextTranslatesToTheSameFiles(t *testing.T) {
	doc := worker()
	doc.Extra = []Snippet{{Text: "storage:\n  files:\n    - {path: /opt/bin/tool, contents: {source: 'data:,other'}}\n"}}
	for _, url := range []string{"", "https://artifacts.example.org"} {
		o := Options{Format: FormatButane, ArtifactsURL: url}
		path := filepath.Join(t.TempDir(), "doc.bu")
		if err := os.WriteFile(path, mustRender(t, doc, o).Data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(testtool.Path(t, "butane"), "--strict", path).Output()
		if err != nil {
			t.Fatalf("butane: %v", err)
		}
		o.Format = FormatIgnition
		sameFiles(t, out, mustRender(t, doc, o).Data)
	}
}

func sameFiles(t *testing.T, a, b []byte) {
	t.Helper()
	left, err := Files(a)
	if err != nil {
		t.Fatal(err)
	}
	right, err := Files(b)
	if err != nil {
		t.Fatal(err)
	}
	got, want := listing(left), listing(right)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestEveryStepIsStable renders twice from documents built twice.
func TestEveryStepIsStable(t *testing.T) {
	for _, f := range []string{FormatButane, FormatIgnition, FormatCloudInit} {
		a, b := mustRender(t, worker(), Options{Format: f}), mustRender(t, worker(), Options{Format: f})
		if !bytes.Equal(a.Data, b.Data) {
			t.Errorf("%s differs between two runs", f)
		}
	}
}

func TestDocumentProblemsNameTheirPart(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		change func(*Document)
		want   string
	}{
		"relative file":       {func(d *Document) { d.Files[0].Path = "etc/x" }, "worker: file etc/x: path: path not absolute"},
		"twice":               {func(d *Document) { d.Files[1].Path = "/etc/hostname" }, "worker: file /etc/hostname: duplicate entry defined"},
		"unit name":           {func(d *Document) { d.Units[0].Name = "x" }, "worker: unit x: name: invalid systemd unit extension"},
		"no install section":  {func(d *Document) { d.Units[0] = Unit{Name: "y.service", Enabled: &yes, Contents: "[Service]\n"} }, "worker: unit y.service: contents"},
		"mode beyond spec":    {func(d *Document) { d.Files[0].Mode = 0o4755 }, "worker: file /etc/hostname: mode"},
		"link without target": {func(d *Document) { d.Links[0].Target = "" }, "worker: link /etc/localtime: target"},
		"unknown variant":     {func(d *Document) { d.Variant = "other" }, "worker: No translator exists for variant other"},
		"slot without node":   {func(d *Document) { d.Slots[0].Node = "../x" }, "a slot is named like its node"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := worker()
			c.change(doc)
			_, err := Render(doc, Options{Format: FormatIgnition})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestSealedSlots(t *testing.T) {
	doc := worker()
	key := [32]byte{1}
	p := mustRender(t, doc, Options{Format: FormatIgnition, Seal: func(string) ([32]byte, error) { return key, nil }})
	files, err := Files(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	if list := listing(files); strings.Contains(list, "node.json") {
		t.Errorf("a sealed slot shows its files:\n%s", list)
	}
	for _, bad := range []func(string) ([32]byte, error){
		func(string) ([32]byte, error) { return [32]byte{}, nil },
		func(string) ([32]byte, error) { return key, errors.New("no claim key") },
	} {
		if _, err := Render(doc, Options{Format: FormatIgnition, Seal: bad}); err == nil {
			t.Error("sealed without a key")
		}
	}
}

func TestFetched(t *testing.T) {
	doc := worker()
	big := bytes.Repeat([]byte("x"), 2000)
	doc.Files = append(doc.Files,
		artifact.File{Path: "/opt/public", Contents: big}, artifact.File{Path: "/opt/again", Contents: big},
		artifact.File{Path: "/opt/secret", Contents: append(big, '1'), Secret: true}, artifact.File{Path: "/opt/own", Contents: append(big, '2'), Node: true})
	p := mustRender(t, doc, Options{Format: FormatIgnition, ArtifactsURL: "https://a.example.org/"})
	if len(p.Fetched) != 1 || !bytes.Equal(p.Fetched[0].Contents, big) || !strings.HasPrefix(p.Fetched[0].Path, "files/sha256-") {
		t.Errorf("fetched %v, want the one public file", p.Fetched)
	}
	if !bytes.Contains(inner(t, p.Data), []byte(`"source":"https://a.example.org/`+p.Fetched[0].Path+`"`)) {
		t.Error("the payload does not refer to what is to be served")
	}
}
