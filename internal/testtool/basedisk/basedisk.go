// Package basedisk makes small disks that stand in for images of operating systems:
// their partition table, and file systems with a few files.
package basedisk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Sizes of the disk, in sectors of 512 bytes.
const (
	first = 2048
	root  = 64 << 11
	total = first + root + 2048
)

// Imgforge is a disk as `imgforge base` lays it out, as far as baking looks at it: a
// partition ROOT of 64 MiB with ext4, in which the files given lie. The same files
// give the same bytes.
func Imgforge(path string, files map[string]string) error {
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
		"1 : start=%d, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=5DC1A2F3-6E7E-4E41-8E60-A5E5F2B2B5A3, name=ROOT\n", first, root)
	if err := run(script, nil, "sfdisk", "-q", path); err != nil {
		return err
	}
	return run("", []string{"E2FSPROGS_FAKE_TIME=1700000000"}, "mke2fs", "-q", "-F", "-t", "ext4", "-L", "ROOT", "-U", "96d15588-3596-4b3c-adca-a2ff7279ea64",
		"-E", fmt.Sprintf("offset=%d,hash_seed=96d15588-3596-4b3c-adca-a2ff7279ea65,root_owner=0:0", first*512), "-d", dir, path, "64m")
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
