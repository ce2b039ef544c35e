package watch

import "syscall"

// diskOf asks the kernel about the file system that a folder lies on, and for what
// tells it from others.
func diskOf(path string) (d Disk, device uint64, ok bool) {
	var at syscall.Stat_t
	var has syscall.Statfs_t
	if syscall.Stat(path, &at) != nil || syscall.Statfs(path, &has) != nil || has.Blocks == 0 {
		return Disk{}, 0, false
	}
	unit := uint64(has.Bsize)
	return Disk{Size: has.Blocks * unit, Free: has.Bavail * unit, Files: has.Files, FilesFree: has.Ffree}, uint64(at.Dev), true
}
