// Package images makes what a node boots from. It writes every format itself:
// without root, mounts or external programs, and the same input gives the same bytes.
package images
