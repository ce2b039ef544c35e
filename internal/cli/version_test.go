package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

// A missing program is named with its package, and the exit code says so.
func TestMissingTool(t *testing.T) {
	var out, errs strings.Builder
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	err := printTools(cmd, []forge.Tool{{Name: "debugfs", For: "a", Version: "debugfs 1.47.0"}, {Name: "e2fsck", For: "b", Install: "e2fsprogs"},
		{Name: "mmdebstrap", For: "c", Install: "mmdebstrap", Optional: true}})
	if code := conclude(err, &errs); code != exitFailed || errs.String() != "imgforge: missing: e2fsck\n" {
		t.Errorf("code %d, %q", code, &errs)
	}
	if want := "debugfs     debugfs 1.47.0               for a\ne2fsck      missing: install e2fsprogs   for b\nmmdebstrap  missing: install mmdebstrap  for c\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}
