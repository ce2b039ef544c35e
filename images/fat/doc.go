// Package fat looks for names in a FAT32 or FAT16 file system. It neither reads
// files nor changes anything: a boot partition is left as its distribution made it.
package fat
