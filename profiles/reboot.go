package profiles

import (
	"fmt"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// sharedReboots keeps a system's own updater from rebooting by itself: `imgforge-node`
// does, when the masters let this node go; where only the updater can take an update,
// it asks there first. Windows are the masters' to know.
func sharedReboots(s *shared) error {
	switch s.plan.OS.Updater {
	case "locksmith":
		s.updater("update-engine.service")
		return s.fill("/etc/flatcar/update.conf", 0o644, "common/update.conf", nil)
	case "zincati":
		s.updater("zincati.service")
		s.updater("rpm-ostreed.service")
		return s.fill("/etc/zincati/config.d/55-updates-strategy.toml", 0o644, "common/zincati.toml", fmt.Sprintf("http://127.0.0.1:%d/", artifact.FleetLockPort))
	case "unattended-upgrades":
		return s.fill("/etc/apt/apt.conf.d/52imgforge", 0o644, "common/apt.conf", s.plan.Settings)
	}
	return fmt.Errorf("no way is known to keep %q from rebooting by itself", s.plan.OS.Updater)
}

// updater adds the cluster's HTTP proxy to a unit of the OS that fetches updates.
func (s *shared) updater(name string) {
	if dropins := proxyDropin(s.plan.Settings); len(dropins) > 0 {
		s.unit(payload.Unit{Name: name, Dropins: dropins})
	}
}
