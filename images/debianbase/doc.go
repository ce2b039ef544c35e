// Package debianbase makes imgforge's own base image from Debian packages, as CoreOS
// has them: a disk with boot loaders for BIOS and UEFI, Ignition in its initrd, a
// read-only /usr of its own, and a root file system that is empty until the first
// boot fills it from /usr. It is given the packages and where they lie; what is run
// besides its own code is in [Tools].
package debianbase
