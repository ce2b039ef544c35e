package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// cachedPlaces are files as the programs of a first boot leave them.
func cachedPlaces() []string {
	return []string{
		// Ignition 2.27: internal/main.go (flags), internal/distro, providers/system.
		"/run/ignition.json", "/run/ignition/state", "/run/ignition/user.ign", "/run/ignition/base.d/10.ign", "/run/ignition/base.platform.d/qemu/10.ign",
		"/etc/ignition/user.ign",
		// Flatcar: a baked image's, and what flatcar-install and its elder wrote; Fedora CoreOS: coreos-installer --ignition-file.
		"/oem/config.ign", "/usr/share/oem/config.ign", "/var/lib/flatcar-install/user_data", "/var/lib/coreos-install/user_data", "/boot/ignition/config.ign",
		// cloud-init: helpers.Paths, user_data.py (urlcache), sources/ (seeds).
		"/var/lib/cloud/instances/i-1/user-data.txt", "/var/lib/cloud/instances/i-1/user-data.txt.i",
		"/var/lib/cloud/instances/i-1/vendor-data.txt", "/var/lib/cloud/instances/i-1/vendor-data.txt.i",
		"/var/lib/cloud/instances/i-1/vendor-data2.txt", "/var/lib/cloud/instances/i-1/vendor-data2.txt.i",
		"/var/lib/cloud/instances/i-1/cloud-config.txt", "/var/lib/cloud/instances/i-1/vendor-cloud-config.txt", "/var/lib/cloud/instances/i-1/vendor2-cloud-config.txt",
		"/var/lib/cloud/instances/i-1/obj.pkl", "/var/lib/cloud/instances/i-1/boothooks/part-001", "/var/lib/cloud/instances/i-1/handlers/part-handler-000.py",
		"/var/lib/cloud/instances/i-1/scripts/runcmd", "/var/lib/cloud/instances/i-1/scripts/vendor/part-001", "/var/lib/cloud/instances/i-1/data/urlcache/6f1ed0",
		"/var/lib/cloud/seed/nocloud/user-data", "/var/lib/cloud/seed/nocloud-net/vendor-data",
		"/var/lib/cloud/seed/config_drive/openstack/latest/user_data", "/var/lib/cloud/seed/config_drive/ec2/latest/user-data",
		"/run/cloud-init/instance-data.json", "/run/cloud-init/instance-data-sensitive.json", "/run/cloud-init/combined-cloud-config.json",
	}
}

// Every place in which first-boot programs keep user-data is emptied, and
// nothing beside them.
func TestWipe(t *testing.T) {
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	for _, name := range cachedPlaces() {
		m.write(name, "key of worker-2")
	}
	keep := []string{"/run/ignition.env", "/etc/.ignition-result.json", "/run/ignition/neednet", "/var/log/cloud-init.log",
		"/oem/grub.cfg", "/var/lib/cloud/instances/i-1/sem/config_ssh", "/var/lib/cloud/seed/nocloud/meta-data", "/var/lib/cloud/data/instance-id"}
	for _, name := range keep {
		m.write(name, "x")
	}
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
	for _, name := range append(keep, cloudInitOff) {
		if _, err := os.Stat(m.path(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A place without a test may be misspelt.
func TestEveryWipedPlaceIsTested(t *testing.T) {
	for _, pattern := range cachedPayloads {
		tested := slices.ContainsFunc(cachedPlaces(), func(name string) bool {
			for ; name != "/"; name = filepath.Dir(name) { // a folder goes with all that is in it
				if ok, err := filepath.Match(pattern, name); err != nil || ok {
					return err == nil
				}
			}
			return false
		})
		if !tested {
			t.Errorf("%s is wiped, and no test puts a file there", pattern)
		}
	}
}

// While cloud-init is at work its files stay; the helper is asked to come back.
func TestWipeLeavesARunningCloudInitAlone(t *testing.T) {
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	m.write("/run/cloud-init/enabled", "")
	m.write("/var/lib/cloud/instances/i-1/obj.pkl", "key of worker-2")
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	if got := m.read("/var/lib/cloud/instances/i-1/obj.pkl"); got != "key of worker-2" || !slices.Equal(m.later, []string{"wipe"}) {
		t.Errorf("obj.pkl is %q, asked for %q", got, m.later)
	}
	done := make(chan error)
	go func() { done <- wipeWhenDone(context.Background(), host{root: m.root}, time.Minute) }()
	m.write("/run/cloud-init/result.json", "{}")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
}

// The paths are those of the cloud-init that is installed: its own writer fills
// an instance folder, and nothing of it may be left.
func TestWipeKnowsWhatCloudInitWrites(t *testing.T) {
	script, err := os.ReadFile(testtool.Path(t, "cloud-init"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(script), "\n")
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	const program = `
import os, sys
from cloudinit import helpers, settings
p = helpers.Paths({"cloud_dir": sys.argv[1] + "/var/lib/cloud", "run_dir": sys.argv[1] + "/run/cloud-init"})
os.makedirs(p.run_dir)
iid = os.path.join(p.cloud_dir, "instances", "i-1")
os.makedirs(iid)
os.symlink(iid, os.path.join(p.cloud_dir, "instance"))
for name in ("cloud_config", "obj_pkl", "userdata", "userdata_raw", "vendordata", "vendordata_raw", "vendordata2", "vendordata2_raw", "vendor_cloud_config", "vendor2_cloud_config"):
    open(p.get_ipath_cur(name), "w").write("key of worker-2")
for name in ("boothooks", "handlers", "scripts", "vendor_scripts"):
    os.makedirs(p.get_ipath_cur(name), exist_ok=True)
    open(os.path.join(p.get_ipath_cur(name), "part-001"), "w").write("key of worker-2")
for name in ("instance_data", "instance_data_sensitive"):
    open(p.get_runpath(name), "w").write("key of worker-2")
`
	python := strings.TrimSpace(strings.TrimPrefix(line, "#!"))
	if out, err := exec.Command(python, "-c", program, m.root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(m.snapshot()) < 15 {
		t.Fatalf("cloud-init wrote only %v", m.snapshot())
	}
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
}
