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
)

// TestLocksmithStart: one day becomes its three letters, no day becomes none.
func TestLocksmithStart(t *testing.T) {
	for want, days := range map[string][]string{"04:15": nil, "Thu 04:15": {"Thu"}} {
		if got := newWindow(&plan.Window{Start: "04:15", Days: days}).LocksmithStart(); got != want {
			t.Errorf("%v: %q, want %q", days, got, want)
		}
	}
}

// TestNoWindowNoReboot: without a window every updater is told to keep still.
func TestNoWindowNoReboot(t *testing.T) {
	for template, want := range map[string]string{
		"common/update.conf":       `REBOOT_STRATEGY="off"`,
		"common/zincati.toml":      "enabled = false",
		"common/reboot-window.env": `WINDOW_OPEN="no"`,
	} {
		text, err := render(template, newWindow(nil))
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%s (%v):\n%s", template, err, text)
		}
	}
}

// TestRebootScript runs the script with a clock and a systemctl of its own.
func TestRebootScript(t *testing.T) {
	script, err := render("common/reboot.sh", nil)
	if err != nil {
		t.Fatal(err)
	}
	day := func(d ...string) *plan.Window {
		return &plan.Window{Start: "04:08", Minutes: 20, Days: d, Timezone: "UTC"}
	}
	midnight := func(d ...string) *plan.Window {
		return &plan.Window{Start: "23:50", Minutes: 20, Days: d, Timezone: "UTC"}
	}
	for _, c := range []struct {
		what   string
		window *plan.Window
		clock  string // as `date +%u:%H:%M` prints it
		due    bool
		want   bool
	}{
		{"it opens", day(), "1:04:08", true, true},
		{"nothing is due", day(), "1:04:08", false, false},
		{"a minute early", day(), "1:04:07", true, false},
		{"five minutes are left", day(), "1:04:23", true, true},
		{"four minutes are left", day(), "1:04:24", true, false},
		{"its day", day("Thu"), "4:04:10", true, true},
		{"another day", day("Thu"), "5:04:10", true, false},
		{"before midnight", midnight("Sun"), "7:23:55", true, true},
		{"after midnight it is still Sunday's", midnight("Sun"), "1:00:05", true, true},
		{"after midnight it is not Monday's", midnight("Mon"), "1:00:05", true, false},
		{"no window", nil, "1:04:08", true, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			bin := t.TempDir()
			for name, text := range map[string]string{"date": "#!/bin/sh\necho " + c.clock + "\n", "systemctl": "#!/bin/sh\necho $* >" + bin + "/rebooted\n"} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			due := filepath.Join(bin, "nothing")
			if c.due {
				due = scratch(t, "reboot-required", "")
			}
			env, err := render("common/reboot-window.env", newWindow(c.window))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", "set -a; . "+scratch(t, "env", env)+"; exec sh "+scratch(t, "reboot.sh", script))
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "REBOOT_REQUIRED="+due)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			_, err = os.Stat(filepath.Join(bin, "rebooted"))
			if got := err == nil; got != c.want {
				t.Errorf("rebooted is %v", got)
			}
		})
	}
}

// An updater that reads its window once, at its start, must not start before the
// claim has written it: its own default is to reboot at any time.
func TestUpdatersWaitForTheClaim(t *testing.T) {
	for name, unit := range map[string]string{"scaleway-ha": "locksmithd.service", "bare-metal": "zincati.service"} {
		doc := roleDocument(t, example(t, name), plan.Master)
		i := slices.IndexFunc(doc.Units, func(u payload.Unit) bool { return u.Name == unit })
		if i < 0 {
			t.Errorf("%s: %s is left as the OS has it", name, unit)
			continue
		}
		if doc.Units[i].Contents != "" || doc.Units[i].Enabled != nil {
			t.Errorf("%s: %s is replaced: only a drop-in may be added", name, unit)
		}
		if !slices.ContainsFunc(doc.Units[i].Dropins, func(d payload.Dropin) bool {
			return strings.Contains(d.Contents, "Requires="+unitClaim+"\nAfter="+unitClaim+"\n")
		}) {
			t.Errorf("%s: %s starts before %s", name, unit, unitClaim)
		}
	}
}
