// Package btrfs adds files to a btrfs file system without mounting it, as far as
// Flatcar's OEM partition needs it: one device, mixed block groups, one subvolume.
// It reads every item of the file system, and lays out a new one with the same
// items, identifiers, label and stored data, compressed or not. The same input
// gives the same bytes.
package btrfs
