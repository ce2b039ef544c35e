//go:build !linux

package watch

// diskOf needs Linux, which every node runs.
func diskOf(string) (Disk, uint64, bool) { return Disk{}, 0, false }
