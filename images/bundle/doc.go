// Package bundle makes what nodes run containers from without a registry: one file
// with every image of a cluster for one architecture, as an OCI layout in a tar
// archive, and the image of keepalived that imgforge makes itself. Everything is
// verified on its way into the file.
package bundle
