// Package fat looks for names in a FAT32 or FAT16 file system and reads files there, and
// writes new ones. It changes nothing that is there: a boot partition is left as its
// distribution made it.
package fat
