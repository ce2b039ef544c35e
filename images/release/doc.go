// Package release is what an output folder shows to the world, as artifacts in a
// container registry (OCI image specification 1.1): one for each file, and an index
// that names all. It puts whatever it is given there and decides nothing about it.
package release
