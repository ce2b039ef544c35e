// Package bundle makes what nodes run containers from without a registry: one file
// with every image of a cluster for one architecture, as an OCI layout in a tar
// archive, and the images that imgforge makes itself: keepalived, and its own. Everything is
// verified on its way into the file.
package bundle
