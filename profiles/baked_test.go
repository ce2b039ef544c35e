package profiles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What a baked disk adds is rendered for every role of every example in both formats,
// and systemd finds no fault and no cycle in the units that a node then has.
func TestBaked(t *testing.T) {
	analyze := testtool.Path(t, "systemd-analyze")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc, dir := nodeDocument(t, p, p.NodesOf(role)[0].Name), t.TempDir()
		before := len(doc.Units)
		if err := Baked(doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Units) != before+3 {
			t.Errorf("%d units became %d", before, len(doc.Units))
		}
		for _, format := range []string{payload.FormatIgnition, payload.FormatCloudInit} {
			if _, err := payload.Render(doc, payload.Options{Format: format}); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
		var names []string
		for _, u := range doc.Units {
			text := u.Contents
			for _, d := range u.Dropins {
				if u.Name == unitKubelet {
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
	})
}
