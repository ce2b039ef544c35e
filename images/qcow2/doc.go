// Package qcow2 writes version 3 images without compression, and reads what
// distributions publish. It refuses backing files, encryption, internal
// snapshots and features it does not know.
package qcow2
