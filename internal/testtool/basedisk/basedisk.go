// Package basedisk makes small disks that stand in for images of operating systems:
// their partition table, and file systems with a few files.
package basedisk

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/images/squashfs"
)

// Where partitions of the disk begin, and their sizes, in sectors of 512 bytes.
const (
	first   = 2048
	usrSize = 1 << 11
	rootAt  = first + usrSize
	root    = 64 << 11
	total   = rootAt + root + 2048
)

// status is what the disk of [Imgforge] says of its packages, and statusBoot of those
// that are in what boots alone.
const (
	status = "Package: systemd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nDescription: stand-in\n of a package\n\n" +
		"Package: tinc\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0.36-2+b2\n\n" +
		"Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2025b-0+deb12u1\n"
	statusBoot = "Package: ignition\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n"
)

// Imgforge is a disk as `imgforge base` lays it out, as far as baking looks at it: a
// partition USR of squashfs with lists of packages, and a partition ROOT of 64 MiB with
// ext4, in which the files given lie. The same files give the same bytes.
func Imgforge(path string, files map[string]string) error {
	if err := Root(path, files); err != nil {
		return err
	}
	return usr(path)
}

// Root is [Imgforge] with nothing in its partition USR.
func Root(path string, files map[string]string) error {
	dir, err := os.MkdirTemp("", "imgforge-basedisk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(path, total*512); err != nil {
		return err
	}
	script := fmt.Sprintf("label: gpt\nlabel-id: 5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A2\nunit: sectors\nfirst-lba: 34\n\n"+
		"1 : start=%d, size=%d, type=8484680C-9521-48C6-9C11-B0720656F69E, uuid=5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A4, name=USR\n"+
		"2 : start=%d, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A3, name=ROOT\n", first, usrSize, rootAt, root)
	if err := run(script, nil, "sfdisk", "-q", path); err != nil {
		return err
	}
	return run("", []string{"E2FSPROGS_FAKE_TIME=1700000000"}, "mke2fs", "-q", "-F", "-t", "ext4", "-L", "ROOT", "-U", "96d15588-3596-4b3c-adca-a2ff7279ea64",
		"-E", fmt.Sprintf("offset=%d,hash_seed=96d15588-3596-4b3c-adca-a2ff7279ea65,root_owner=0:0", rootAt*512), "-d", dir, path, "64m")
}

// usr writes the partition USR.
func usr(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	entries := []squashfs.Entry{
		squashfs.Bytes("lib/os-release", 0o644, []byte("ID=debian\nVERSION_ID=\"12\"\nIMAGE_ID=imgforge\n")),
		squashfs.Bytes("lib/dpkg/status", 0o644, []byte(status)), squashfs.Bytes("lib/dpkg/status.d/boot", 0o644, []byte(statusBoot)),
	}
	size, err := squashfs.Write(io.NewOffsetWriter(f, first*512), entries, squashfs.Options{Time: 1700000000})
	if err == nil && size > usrSize*512 {
		err = fmt.Errorf("partition USR has %d bytes for %d", usrSize*512, size)
	}
	return err
}

func run(stdin string, env []string, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name // Debian keeps them out of a user's PATH
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
