package profiles

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What a baked disk adds, and what a node that fetches its programs does, is rendered
// for every role of every example in both formats, and systemd finds no fault and no
// cycle in the units that a node then has.
func TestBaked(t *testing.T) {
	analyze := testtool.Path(t, "systemd-analyze")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := nodeDocument(t, p, p.NodesOf(role)[0].Name)
		before := len(doc.Units)
		if err := Baked(doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Units) != before+3 {
			t.Errorf("%d units became %d", before, len(doc.Units))
		}
		claim := doc.Units[slices.IndexFunc(doc.Units, func(u payload.Unit) bool { return u.Name == unitClaim })]
		if !slices.ContainsFunc(claim.Dropins, func(d payload.Dropin) bool { return strings.Contains(d.Contents, "Wants=imgforge-programs.service\n") }) {
			t.Errorf("the claim may begin without its program: %+v", claim.Dropins)
		}
		for _, format := range []string{payload.FormatIgnition, payload.FormatCloudInit} {
			if _, err := payload.Render(doc, payload.Options{Format: format}); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
		faultless(t, analyze, doc)
	})
}

func TestFetched(t *testing.T) {
	analyze := testtool.Path(t, "systemd-analyze")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		added := map[string]int{payload.FormatIgnition: 2, payload.FormatCloudInit: 3}
		for _, format := range []string{payload.FormatIgnition, payload.FormatCloudInit} {
			p := *p
			p.OS.Format, p.Settings.HTTPProxy, p.Settings.NoProxy = format, "http://192.0.2.9:3128", []string{"10.0.0.0/8"}
			doc := nodeDocument(t, &p, p.NodesOf(role)[0].Name)
			before := len(doc.Units)
			if err := Fetched(doc, &p, strings.Repeat("a", 64), strings.Repeat("b", 64)); err != nil {
				t.Fatal(err)
			}
			if len(doc.Units) != before+added[format] {
				t.Errorf("%s: %d units became %d", format, before, len(doc.Units))
			}
			out, err := payload.Render(doc, payload.Options{Format: format, ArtifactsURL: "https://artifacts.example.org/x/"})
			if err != nil {
				t.Fatal(err)
			}
			names, err := payload.References(out.Data)
			for _, letter := range []string{"a", "b"} {
				if want := "files/sha256-" + strings.Repeat(letter, 64); !slices.Contains(names, want) {
					t.Errorf("%s: it fetches %q (%v), and not %s", format, names, err, want)
				}
			}
			if _, err := payload.Render(doc, payload.Options{Format: format}); err == nil {
				t.Errorf("%s: it fetches from nowhere", format)
			}
			if format == payload.FormatCloudInit { // which has all units of the other
				faultless(t, analyze, doc)
			}
		}
	})
}

// faultless has systemd judge the units of a document.
func faultless(t *testing.T, analyze string, doc *payload.Document) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for _, u := range doc.Units {
		text := u.Contents
		for _, d := range u.Dropins {
			if slices.Contains([]string{unitKubelet, unitClaim, unitContainerd}, u.Name) {
				text += d.Contents
			}
		}
		if u.Contents == "" {
			continue
		}
		path := filepath.Join(dir, u.Name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, path)
	}
	cmd := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=yes"}, names...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, _ := cmd.CombinedOutput() // fails for the absent programs
	for line := range strings.Lines(string(out)) {
		ours := strings.Contains(line, dir) || strings.Contains(line, "imgforge")
		if ours && !strings.Contains(line, "is not executable: No such file or directory") || strings.Contains(line, "cycle") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

// What the extension brings and what a payload says of it are one text: systemd takes
// whichever is there when it looks.
func TestUnitsOfTheExtension(t *testing.T) {
	for path, name := range map[string]string{"imgforge-images.service": "common/images.service", "10-imgforge-images.conf": "common/images.conf"} {
		want, err := os.ReadFile(filepath.Join("../images/sysext/units", path))
		if err != nil {
			t.Fatal(err)
		}
		text, err := render(name, "/place")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Replace(text, "RequiresMountsFor=/place\n", "", 1); got != withoutComments(string(want)) {
			t.Errorf("%s is\n%s\nand the extension's\n%s", name, got, want)
		}
	}
}
