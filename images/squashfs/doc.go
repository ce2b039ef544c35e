// Package squashfs writes squashfs 4.0 file systems: what systemd-sysext merges and
// the kernel mounts. It decides nothing by itself: owners, times and names are the
// caller's, and the same entries give the same bytes with any number of workers. It
// writes folders, files and symbolic links, and no devices, hard links or sockets. Files
// are read back by their paths, out of images that others made too.
package squashfs
