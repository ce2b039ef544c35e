// Package sparse moves the bytes of disks that are mostly holes: only what may
// hold something is read, and only what does is written.
package sparse
