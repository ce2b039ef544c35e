// Package deb reads Debian packages: the archive, its control data and its files. It
// verifies a package before it reads it, runs none of its scripts, and lets no path
// leave the place where the files go.
package deb
