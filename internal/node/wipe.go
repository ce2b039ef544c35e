package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// cachedPayloads are the places where first-boot programs leave user-data, which
// holds keys. Removing a file does not erase the blocks it was on: whoever can
// read raw disks of a node reads the node's own keys anyway.
//
//   - Ignition keeps the merged configuration in /run/ignition.json (its
//     --config-cache) and files that a provider gave it in /run/ignition/state (its
//     --state-file). Both outlive the initrd because /run does. It reads
//     /run/ignition and /etc/ignition since 2.27. /etc/.ignition-result.json stays:
//     it holds times and sources, and the OS asks for it.
//   - Flatcar copies /oem/config.ign (formerly /usr/share/oem) of a baked image,
//     and flatcar-install keeps user-data in /var/lib/flatcar-install.
//   - Fedora CoreOS reads /boot/ignition/config.ign. Since version 34 its
//     coreos-ignition-firstboot-complete removes it, in basic.target and so before the
//     claim; an older one leaves it on a read-only /boot, and 112 then says so.
//   - cloud-init (helpers.Paths) keeps user-data, raw and processed, the merged
//     configuration, its pickled data source, boot hooks, part handlers, scripts and
//     what an #include fetched below /var/lib/cloud/instances/ID, seeds below
//     /var/lib/cloud/seed, and instance data in /run/cloud-init. Its logs stay: they
//     name what was done, not what it was made of, and they are what one reads when
//     a first boot failed.
var cachedPayloads = [...]string{
	"/run/ignition.json",
	"/run/ignition/state",
	"/run/ignition/*.ign",
	"/run/ignition/base.d",
	"/run/ignition/base.platform.d",
	"/etc/ignition/*.ign",
	"/oem/config.ign",
	"/usr/share/oem/config.ign",
	"/var/lib/flatcar-install/user_data",
	"/var/lib/coreos-install/user_data",
	"/boot/ignition/config.ign",
	"/var/lib/cloud/instances/*/user-data.txt*",
	"/var/lib/cloud/instances/*/vendor-data.txt*",
	"/var/lib/cloud/instances/*/vendor-data2.txt*",
	"/var/lib/cloud/instances/*/cloud-config.txt",
	"/var/lib/cloud/instances/*/vendor-cloud-config.txt",
	"/var/lib/cloud/instances/*/vendor2-cloud-config.txt",
	"/var/lib/cloud/instances/*/obj.pkl",
	"/var/lib/cloud/instances/*/boothooks",
	"/var/lib/cloud/instances/*/handlers",
	"/var/lib/cloud/instances/*/scripts/*",
	"/var/lib/cloud/instances/*/data/urlcache",
	"/var/lib/cloud/seed/*/user-data",
	"/var/lib/cloud/seed/*/vendor-data",
	"/var/lib/cloud/seed/*/openstack/*/user_data",
	"/var/lib/cloud/seed/*/ec2/*/user-data",
	"/run/cloud-init/instance-data*.json",
	"/run/cloud-init/combined-cloud-config.json",
}

// cloudInitOff stops cloud-init from the next boot on. Without it every boot
// would fetch user-data from the provider again and store it again; and as with
// Ignition, a node's configuration is applied once.
const (
	cloudInitOff     = "/etc/cloud/cloud-init.disabled"
	cloudInitOffText = "imgforge-node has claimed this node: its configuration is applied once, and no copy of it is kept.\n"
)

// cloudInitRuns tells that cloud-init is at work in this boot, and so still needs
// its files. The generator makes /run/cloud-init/enabled, the last stage result.json.
func (h host) cloudInitRuns() bool {
	return h.exists("/run/cloud-init/enabled") && !h.exists("/run/cloud-init/result.json")
}

// wipe removes every cached copy of the payload that is known. A *bootcode.Failure names
// those that stay.
func (h host) wipe() error {
	var left []string
	note := func(err error) {
		if err != nil {
			left = append(left, strings.ReplaceAll(err.Error(), strings.TrimSuffix(h.root, "/"), ""))
		}
	}
	if h.exists("/var/lib/cloud/instances") && !h.exists(cloudInitOff) {
		note(h.place([]artifact.File{{Path: cloudInitOff, Contents: []byte(cloudInitOffText)}}))
	}
	for _, pattern := range cachedPayloads {
		paths, err := filepath.Glob(h.path(pattern))
		note(err)
		for _, path := range paths {
			note(os.RemoveAll(path))
		}
	}
	if len(left) > 0 {
		return bootcode.Fail(bootcode.WipeIncomplete, "%s", strings.Join(left, "\n"))
	}
	return nil
}

// wipeWhenDone waits until cloud-init has ended, then wipes. It does not wait
// for ever: a cloud-init that hangs has read its files long before.
func wipeWhenDone(ctx context.Context, h host, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for h.cloudInitRuns() {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return h.wipe()
		case <-time.After(time.Second):
		}
	}
	return h.wipe()
}
