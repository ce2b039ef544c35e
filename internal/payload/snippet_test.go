package payload

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

// snippetAt is the user's text at line 10 of cluster.yaml, indented by 4.
func snippetAt(text string) []Snippet {
	return []Snippet{{Path: "extra.worker", File: "cluster.yaml", Line: 10, Col: 5, Text: text}}
}

func TestSnippetProblemsStandAtTheUsersLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":      {"storage:\n  files:\n    - path: /etc/a\n      mod: 0644\n", "cluster.yaml:13:11: extra.worker: storage.files[0].mod: unused key mod"},
		"wrong type":       {"storage:\n  files:\n    - path: /etc/a\n      mode: rw\n", "cluster.yaml:13:5: extra.worker: cannot unmarshal !!str `rw` into int"},
		"bad syntax":       {"storage:\n  files: [\n", "cluster.yaml:11:5: extra.worker: did not find expected node content"},
		"not a mapping":    {"- storage\n", "cluster.yaml:10:5: extra.worker: not Butane: it starts with keys such as storage and systemd"},
		"two documents":    {"storage: {}\n---\nsystemd: {}\n", "cluster.yaml:11:5: extra.worker: a second YAML document; write one document"},
		"local file":       {"storage:\n  files:\n    - path: /etc/a\n      contents: {local: /etc/shadow}\n", "cluster.yaml:13:29: extra.worker: storage.files[0].contents.local: imgforge reads no file but the cluster file; write the contents with inline"},
		"tree":             {"storage:\n  trees:\n    - local: /etc\n", "cluster.yaml:12:11: extra.worker: storage.trees[0]"},
		"relative path":    {"storage:\n  files:\n    - path: etc/a\n", "cluster.yaml:12:17: extra.worker: storage.files[0].path: path not absolute"},
		"decimal mode":     {"storage:\n  files:\n    - path: /etc/a\n      mode: 644\n", "cluster.yaml:13:17: extra.worker: storage.files[0].mode: unreasonable mode"},
		"wrong variant":    {"variant: openshift\nversion: 4.14.0\nmetadata: {name: x, labels: {machineconfiguration.openshift.io/role: worker}}\n", "cluster.yaml:10:14: extra.worker: this variant does not make an Ignition config; write variant: flatcar and version: 1.1.0"},
		"too new":          {"variant: fcos\nversion: 1.7.0\n", "cluster.yaml:11:14: extra.worker: this version makes an Ignition config of spec 3.6.0, and nodes read at most 3.5.0"},
		"unknown variant":  {"variant: windows\nversion: 1.0.0\n", "cluster.yaml:10:5: extra.worker: No translator exists for variant windows"},
		"below our link":   {"storage:\n  files:\n    - path: /etc/localtime/x\n", "cluster.yaml:10:5: extra.worker: does not go together with the rest"},
		"alias bomb":       {bomb(), "extra.worker: "},
		"two at once":      {"storage:\n  files:\n    - path: a\n    - path: b\n", "cluster.yaml:13:17: extra.worker: storage.files[1].path: path not absolute"},
		"flow without one": {"{storage: {}}\n", "extra.worker: error parsing variant; must be specified"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := worker()
			doc.Extra = snippetAt(c.text)
			_, err := Render(doc, Options{Format: FormatIgnition})
			invalid, ok := errors.AsType[*Invalid](err)
			if !ok {
				t.Fatalf("got %v, want *Invalid", err)
			}
			if !strings.Contains(invalid.Error(), c.want) {
				t.Errorf("got\n%s\nwant\n%s", invalid, c.want)
			}
		})
	}
}

// bomb is a snippet whose aliases would expand to a billion entries.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		prev := string(n[0] - 1)
		b.WriteString("a" + n + ": &a" + n + " [" + strings.Repeat("*a"+prev+", ", 9) + "*a" + prev + "]\n")
	}
	return b.String()
}

func TestSnippetMergesLast(t *testing.T) {
	for name, c := range map[string]struct {
		text, path string
		want       artifact.File
		warnings   []string
	}{
		"new file": {
			"storage:\n  files:\n    - {path: /etc/new, contents: {inline: hi}}\n", "/etc/new",
			artifact.File{Mode: 0o644, Contents: []byte("hi")}, nil,
		},
		"contents of ours, mode kept": {
			"storage:\n  files:\n    - path: /etc/imgforge/binary\n      contents: {inline: hi}\n", "/etc/imgforge/binary",
			artifact.File{Mode: 0o640, Contents: []byte("hi")},
			[]string{"cluster.yaml:12:17: extra.worker: /etc/imgforge/binary is a file of imgforge, which this takes the place of"},
		},
		"mode of ours, contents kept": {
			"storage:\n  files:\n    - {path: /etc/hostname, mode: 0600}\n", "/etc/hostname",
			artifact.File{Mode: 0o600, Contents: []byte("worker-1\n")},
			[]string{"cluster.yaml:12:18: extra.worker: /etc/hostname is a file of imgforge, which this takes the place of"},
		},
		"compressed file by a plain source": {
			"storage:\n  files:\n    - {path: /etc/kubernetes/pki/ca.crt, contents: {source: 'data:,hi'}}\n", "/etc/kubernetes/pki/ca.crt",
			artifact.File{Mode: 0o644, Contents: []byte("hi")},
			[]string{"cluster.yaml:12:18: extra.worker: /etc/kubernetes/pki/ca.crt is a file of imgforge, which this takes the place of"},
		},
		"drop-in beside ours": {
			"systemd:\n  units:\n    - name: containerd.service\n      dropins: [{name: 50-user.conf, contents: \"[Service]\\n\"}]\n",
			"/etc/systemd/system/containerd.service.d/50-user.conf", artifact.File{Mode: 0o644, Contents: []byte("[Service]\n")}, nil,
		},
		"drop-in instead of ours": {
			"systemd:\n  units:\n    - name: containerd.service\n      dropins: [{name: 10-imgforge.conf, contents: \"[Service]\\n\"}]\n",
			"/etc/systemd/system/containerd.service.d/10-imgforge.conf", artifact.File{Mode: 0o644, Contents: []byte("[Service]\n")},
			[]string{"cluster.yaml:12:17: extra.worker: containerd.service has a drop-in 10-imgforge.conf of imgforge, which this takes the place of"},
		},
		"unit of ours off": {
			"systemd:\n  units:\n    - {name: imgforge-claim.service, enabled: false}\n", "/etc/systemd/system/imgforge-claim.service",
			artifact.File{Mode: 0o644, Contents: []byte(service)},
			[]string{"cluster.yaml:12:18: extra.worker: imgforge-claim.service is a unit of imgforge, whose enabled this takes the place of"},
		},
		"unit of ours unmasked": {
			"systemd:\n  units:\n    - {name: sshd.service, mask: false}\n", "/etc/hostname",
			artifact.File{Mode: 0o644, Contents: []byte("worker-1\n")},
			[]string{"cluster.yaml:12:18: extra.worker: sshd.service is a unit of imgforge, whose mask this takes the place of"},
		},
		"only a comment": {"# nothing yet\n", "/etc/hostname", artifact.File{Mode: 0o644, Contents: []byte("worker-1\n")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			doc := worker()
			doc.Extra = snippetAt(c.text)
			for _, f := range []string{FormatIgnition, FormatCloudInit} {
				p := mustRender(t, doc, Options{Format: f})
				var warnings []string
				for _, w := range p.Warnings {
					if !w.Warning {
						t.Errorf("%s is not marked as a warning", w)
					}
					warnings = append(warnings, w.String())
				}
				if !slices.Equal(warnings, c.warnings) {
					t.Errorf("%s: warnings\n%s\nwant\n%s", f, strings.Join(warnings, "\n"), strings.Join(c.warnings, "\n"))
				}
				checkFile(t, p.Data, c.path, c.want)
			}
		})
	}
}

func checkFile(t *testing.T, payload []byte, path string, want artifact.File) {
	t.Helper()
	files, err := Files(payload)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f artifact.File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("%s is missing", path)
	}
	if got := files[i]; got.Mode != want.Mode || string(got.Contents) != string(want.Contents) {
		t.Errorf("%s is %04o %q, want %04o %q", path, got.Mode, got.Contents, want.Mode, want.Contents)
	}
}

func TestLaterSnippetWins(t *testing.T) {
	doc := worker()
	doc.Extra = []Snippet{
		{Path: "extra.all", Text: "storage:\n  files:\n    - {path: /etc/new, mode: 0600, contents: {inline: all}}\n"},
		{Path: "extra.worker", Text: "variant: fcos\nversion: 1.6.0\nstorage:\n  files:\n    - {path: /etc/new, contents: {inline: worker}}\n"},
	}
	p := mustRender(t, doc, Options{Format: FormatIgnition})
	if len(p.Warnings) > 0 {
		t.Errorf("one snippet refining another is no conflict: %v", p.Warnings)
	}
	checkFile(t, p.Data, "/etc/new", artifact.File{Mode: 0o600, Contents: []byte("worker")})
	validIgnition(t, inner(t, p.Data))
}

// TestReplacedContentsInheritNothing: a hash belongs to the contents it is of.
func TestReplacedContentsInheritNothing(t *testing.T) {
	doc := worker()
	doc.Files = append(doc.Files, artifact.File{Path: "/opt/big", Contents: noise(1, 3000)})
	doc.Extra = snippetAt("storage:\n  files:\n    - &entry\n      path: /opt/big\n      contents: {source: 'data:,mine'}\n")
	for _, format := range []string{FormatButane, FormatIgnition, FormatCloudInit} {
		p := mustRender(t, doc, Options{Format: format, ArtifactsURL: "https://artifacts.example.org"})
		checkFile(t, p.Data, "/opt/big", artifact.File{Mode: 0o644, Contents: []byte("mine")})
	}
}

func TestConflictsAreSeenThroughAliases(t *testing.T) {
	doc := worker()
	doc.Extra = snippetAt("storage:\n  links:\n    - path: /etc/other\n      target: &path /etc/hostname\n  files:\n    - path: *path\n      mode: 0600\n")
	if got := mustRender(t, doc, Options{Format: FormatIgnition}).Warnings; len(got) != 1 {
		t.Errorf("got %v, want one warning for a path behind an alias", got)
	}
}
