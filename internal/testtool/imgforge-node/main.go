// Imgforge-node stands in for the program of nodes where images are made and not
// booted: it is small, so that compressing it takes no time.
package main

func main() {}
