package profiles

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// No system reboots by itself, whether its nodes have a window or not: the file that
// says so is there before its updater starts, and nothing else of it is changed.
func TestNoUpdaterReboots(t *testing.T) {
	for name, want := range map[string]struct{ file, text string }{
		"scaleway-ha": {"/etc/flatcar/update.conf", `REBOOT_STRATEGY="off"`},
		"bare-metal": {"/etc/zincati/config.d/55-updates-strategy.toml", fmt.Sprintf(`strategy = "fleet_lock"

[updates.fleet_lock]
base_url = "http://127.0.0.1:%d/"`, artifact.FleetLockPort)},
		"single": {"/etc/apt/apt.conf.d/52imgforge", `Unattended-Upgrade::Automatic-Reboot "false";`},
	} {
		doc := roleDocument(t, example(t, name), plan.Master)
		i := slices.IndexFunc(doc.Files, func(f artifact.File) bool { return f.Path == want.file })
		if i < 0 || !strings.Contains(string(doc.Files[i].Contents), want.text) {
			t.Errorf("%s: %s does not say %s", name, want.file, want.text)
		}
		if slices.ContainsFunc(doc.Units, func(u payload.Unit) bool {
			return slices.Contains([]string{"locksmithd.service", "zincati.service", "unattended-upgrades.service"}, u.Name) && (u.Contents != "" || u.Enabled != nil)
		}) {
			t.Errorf("%s: a unit of the system is replaced", name)
		}
	}
}
