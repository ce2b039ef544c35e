// Package sysext makes the system extension that brings the programs of a node: one
// squashfs image per Kubernetes version, architecture and family of systems, which
// systemd-sysext merges into /usr. It takes files and Debian packages as they are
// given, checks their digests, and knows nothing of where they come from.
package sysext
