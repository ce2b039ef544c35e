package watch

import (
	"fmt"
	"path/filepath"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Disk is how much room a file system of the node has left, in bytes and in files.
type Disk struct {
	Path             string // the first folder of the node that lies on it
	Size, Free       uint64
	Files, FilesFree uint64 // both 0 where the file system has no such limit
}

// diskFull is what etcd asks for at once for the next part of its log
// (SegmentSizeBytes of go.etcd.io/etcd/server/v3/storage/wal); with less it ends.
const diskFull = 64 << 20

// Shares of a file system below which the kubelet evicts pods: evictionHard of its
// defaults, nodefs.available and nodefs.inodesFree.
const (
	freePercent  = 10
	filesPercent = 5
)

// diskFolders are those that a node's programs write to, each perhaps a disk of its own.
func diskFolders(role string) []string {
	folders := []string{"/", "/var", "/var/lib/containerd", "/var/lib/kubelet", "/var/log"}
	if role == master {
		folders = append(folders, "/var/lib/etcd")
	}
	return folders
}

// disks looks at each file system once.
func disks(root, role string) (out []Disk) {
	seen := map[uint64]bool{}
	for _, path := range diskFolders(role) {
		d, device, ok := diskOf(filepath.Join(root, path))
		if !ok || seen[device] {
			continue // a folder that is not there is not full
		}
		seen[device], d.Path = true, path
		out = append(out, d)
	}
	return out
}

// decideDisks is about room to write; a warning when there is soon none. The outcome
// is Reached when there is nothing to say.
func decideDisks(all []Disk) Word {
	var full, filling []string
	for _, d := range all {
		switch {
		case d.Free < diskFull:
			full = append(full, fmt.Sprintf("the file system of %s has %s left of %s", d.Path, mebibytes(d.Free), mebibytes(d.Size)))
		case d.Files > 0 && d.FilesFree == 0:
			full = append(full, fmt.Sprintf("the file system of %s takes no more files, it has %d", d.Path, d.Files))
		case d.Free < d.Size/100*freePercent:
			filling = append(filling, fmt.Sprintf("the file system of %s has %s left of %s", d.Path, mebibytes(d.Free), mebibytes(d.Size)))
		case d.Files > 0 && d.FilesFree < d.Files/100*filesPercent:
			filling = append(filling, fmt.Sprintf("the file system of %s takes %d more files, it has %d", d.Path, d.FilesFree, d.Files-d.FilesFree))
		}
	}
	switch {
	case full != nil:
		return final(step.Kubelet, bootcode.DiskFull, "%s", lines(append(full, filling...)))
	case filling != nil:
		return warned(step.Kubelet, bootcode.DiskFilling, "%s", lines(filling))
	}
	return Word{Step: step.Kubelet, Outcome: Reached}
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
