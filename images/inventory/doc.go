// Package inventory finds what is inside of container images, programs and disks: the packages
// that a distribution's package manager has noted down, programs that none of them
// owns, and the modules that programs in Go were built from. It reads the layers
// themselves, as they are in a bundle, and holds none of them in memory.
package inventory
