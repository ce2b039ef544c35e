package profiles

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestDisksOfEachNode: nodes of one role may have their disks elsewhere, or none.
func TestDisksOfEachNode(t *testing.T) {
	p := full(t)
	for node, want := range map[string]string{
		"worker-a": "DEVICE=/dev/vdb\nFOLDER=/var/lib/data\nMODE=0755\n",
		"worker-b": "DEVICE=/dev/vdz\nFOLDER=/var/lib/data\nMODE=0755\n",
	} {
		if got := contents(t, nodeDocument(t, p, node), "/etc/imgforge/disks/data"); got != want {
			t.Errorf("%s: %s", node, got)
		}
	}
	if hasFile(nodeDocument(t, p, "worker-3"), "/etc/imgforge/disks/data") {
		t.Error("worker-3 has no data disk in the cluster file and one on the node")
	}
	master := nodeDocument(t, p, "master-1")
	if got := contents(t, master, "/etc/imgforge/disks/etcd"); got != "DEVICE=/dev/vdc\nFOLDER=/var/lib/etcd\nMODE=0700\n" {
		t.Errorf("etcd: %s", got)
	}
	if unit := contents(t, master, kubeletUnitPath); !strings.Contains(unit, " imgforge-etcd-guard.service imgforge-disk@data.service imgforge-disk@etcd.service\nWants=") {
		t.Errorf("the kubelet does not wait for etcd's disk:\n%s", unit)
	}
	i := slices.IndexFunc(master.Units, func(u payload.Unit) bool { return u.Name == unitGuard })
	if i < 0 || strings.Count(master.Units[i].Contents, "=imgforge-claim.service imgforge-disk@etcd.service\n") != 2 {
		t.Error("the guard does not wait for etcd's disk")
	}
}

// TestDiskScript runs the script on files in place of disks, with the real
// programs but for those that mount.
func TestDiskScript(t *testing.T) {
	for _, name := range []string{"mkfs.ext4", "blkid", "e2fsck"} {
		testtool.Path(t, name)
	}
	cases := map[string]struct {
		prepare func(t *testing.T, disk string)
		fails   string // what it says; "" mounts the disk
		keeps   bool   // the disk must not change
	}{
		"empty":           {prepare: func(t *testing.T, disk string) {}},
		"already ours":    {prepare: func(t *testing.T, disk string) { tool(t, "mkfs.ext4", "-q", "-L", "imgforge_data", disk) }},
		"another's ext4":  {prepare: func(t *testing.T, disk string) { tool(t, "mkfs.ext4", "-q", "-L", "photos", disk) }, fails: "left alone", keeps: true},
		"unlabelled ext4": {prepare: func(t *testing.T, disk string) { tool(t, "mkfs.ext4", "-q", disk) }, fails: "left alone", keeps: true},
		"swap":            {prepare: func(t *testing.T, disk string) { tool(t, "mkswap", disk) }, fails: "left alone", keeps: true},
		"similar label":   {prepare: func(t *testing.T, disk string) { tool(t, "mkfs.ext4", "-q", "-L", "imgforge_data2", disk) }, fails: "left alone", keeps: true},
	}
	script, err := render("common/disk.sh", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			disk := filepath.Join(dir, "disk with a space")
			if err := os.WriteFile(disk, make([]byte, 8<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, disk)
			before := sum(t, disk)
			out, err := runDisk(t, dir, script, disk)
			if c.fails != "" {
				if err == nil || !strings.Contains(out, c.fails) {
					t.Errorf("%v: %s", err, out)
				}
			} else if err != nil || !strings.Contains(out, "mounted "+disk) {
				t.Errorf("%v: %s", err, out)
			}
			if c.keeps && sum(t, disk) != before {
				t.Error("the disk was changed")
			}
			if c.fails == "" {
				if label := tool(t, "blkid", "-p", "-s", "LABEL", "-o", "value", disk); label != "imgforge_data\n" {
					t.Errorf("label %q", label)
				}
			}
		})
	}
}

// runDisk runs the script with stand-ins for the programs that need a real disk.
func runDisk(t *testing.T, dir, script, disk string) (string, error) {
	t.Helper()
	for name, text := range map[string]string{
		"findfs": "exit 1", "mountpoint": "exit 1", "mount": `[ "$1 $2 $3 $4" = "-t ext4 -o noatime" ] && echo "mounted $5"`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(dir, "folder")
	cmd := exec.Command("/bin/sh", "-c", script, "disk.sh", "data")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH")+":/usr/sbin:/sbin", "DEVICE="+disk, "FOLDER="+folder, "MODE=0700")
	out, err := cmd.CombinedOutput()
	if info, statErr := os.Stat(folder); err == nil && (statErr != nil || info.Mode().Perm() != 0o700) {
		t.Errorf("folder: %v %v", info, statErr)
	}
	return string(out), err
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var complaints bytes.Buffer
	cmd := exec.Command(testtool.Path(t, name), args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, complaints.String())
	}
	return string(out)
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
