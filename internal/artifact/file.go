// Package artifact holds the values that move between the parts of imgforge,
// and onto a node (files, slots, manifests), and the one way to write them:
// whole or not at all.
package artifact

// File is one file of a node or of an output folder.
type File struct {
	// Path is absolute on a node, relative and slash-separated in an output folder.
	Path string
	// Mode is the permission bits; 0 means 0644.
	Mode uint32
	// User and Group own the file; "" means root.
	User, Group string
	Contents    []byte
	// Secret tells that the contents must never appear outside out/secret.
	Secret bool
	// Node tells that the contents differ between the nodes of a role.
	Node bool
}
