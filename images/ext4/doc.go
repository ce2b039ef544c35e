// Package ext4 puts files into an ext4 file system inside an image without mounting
// it, with debugfs and e2fsck of e2fsprogs, which need neither root nor a loop
// device. Their clock is set, so that the same input gives the same bytes. Every
// change is read back and the file system checked: debugfs itself reports no failure.
package ext4
