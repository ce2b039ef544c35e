// Package bake makes the disk of a node from a distribution's own image: the config
// where that distribution looks for it, and a partition with what the node needs
// beside it. The image is never booted or mounted, and one that is not what its
// layout says is refused untouched.
package bake
