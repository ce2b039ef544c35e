// Package disk opens the images of disks in the forms in which they are published,
// and writes them in those that clouds and machines take: raw with holes, qcow2,
// and raw compressed with zstd.
package disk
