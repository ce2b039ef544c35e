package profiles

import (
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// Files of unattended-upgrades' reboots.
const (
	rebootScriptPath = "/etc/imgforge/reboot.sh"
	rebootWindowPath = "/etc/imgforge/reboot-window.env"
)

// sharedReboots adds what a system needs besides the node's own window. A node
// without a window never reboots by itself.
func sharedReboots(s *shared) error {
	switch s.plan.OS.Updater {
	case "locksmith":
		s.updater("locksmithd.service", true)
		s.updater("update-engine.service", false)
	case "zincati":
		s.updater("zincati.service", true)
		s.updater("rpm-ostreed.service", false)
	case "unattended-upgrades":
		return s.unattendedUpgrades()
	default:
		return fmt.Errorf("no way is known to reboot in a window with %q", s.plan.OS.Updater)
	}
	return nil
}

// updater adds drop-ins to a unit of the OS that fetches updates or reboots for
// them: the cluster's HTTP proxy, and for one that reads the node's window at its
// start that the claim has written it. Without it the OS's own default, to reboot at
// any time, would hold until the second boot.
func (s *shared) updater(name string, readsWindow bool) {
	dropins := proxyDropin(s.plan.Settings)
	if readsWindow {
		dropins = append(dropins, payload.Dropin{Name: "10-imgforge-claim.conf", Contents: "[Unit]\nRequires=" + unitClaim + "\nAfter=" + unitClaim + "\n"})
	}
	if len(dropins) > 0 {
		s.unit(payload.Unit{Name: name, Dropins: dropins})
	}
}

// unattendedUpgrades installs at any time and reboots in the window alone: its
// own setting for reboots knows a time of day, but no day and no end.
func (s *shared) unattendedUpgrades() error {
	settings := s.plan.Settings
	if err := s.fill("/etc/apt/apt.conf.d/52imgforge", 0o644, "common/apt.conf", settings); err != nil {
		return err
	}
	return s.butane("common/reboot", map[string]string{
		"Claim": unitClaim, "Script": rebootScriptPath, "Window": rebootWindowPath,
	})
}

// ownReboots adds the node's own window in the language of its updater.
func ownReboots(o *own) error {
	w := newWindow(o.node.Window)
	switch o.plan.OS.Updater {
	case "locksmith":
		return o.fill(artifact.File{Path: "/etc/flatcar/update.conf"}, "common/update.conf", w)
	case "zincati":
		return o.fill(artifact.File{Path: "/etc/zincati/config.d/55-updates-strategy.toml"}, "common/zincati.toml", w)
	}
	return o.fill(artifact.File{Path: rebootWindowPath}, "common/reboot-window.env", w)
}

// window fills the templates of a node's reboot window.
type window struct {
	Open                    bool
	Start, Length, Timezone string
	Minutes                 int
	Days                    []string // all seven when it opens every day
	Weekday                 string   // the only day on which it opens, or empty
	ISODay                  int      // the same from Monday, 1; 0 is every day
}

func newWindow(w *plan.Window) window {
	if w == nil {
		return window{}
	}
	week := []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	out := window{Open: true, Start: w.Start, Length: w.Length, Timezone: w.Timezone, Minutes: w.Minutes, Days: week}
	if len(w.Days) > 0 {
		out.Days = w.Days
		out.Weekday = w.Days[0]
		out.ISODay = slices.Index(week, w.Days[0]) + 1
	}
	return out
}

// LocksmithStart is the opening in locksmith's notation: Thu 04:00.
func (w window) LocksmithStart() string {
	if w.Weekday == "" {
		return w.Start
	}
	return w.Weekday + " " + w.Start
}
