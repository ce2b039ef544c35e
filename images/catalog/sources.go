// Package catalog knows what a cluster is made of and where that comes from:
// the operating systems, the programs and the Debian packages, how each is
// published and how it is verified. It holds data and parsers of what publishers
// write; it fetches nothing.
package catalog

import "fmt"

// Where things are downloaded from. This file alone names these places; a mirror
// that the user names stands in for any of them.
const (
	flatcarSite  = "https://%s.release.flatcar-linux.net/%s-usr" // channel, architecture
	fcosStreams  = "https://builds.coreos.fedoraproject.org/streams"
	debianImages = "https://cloud.debian.org/images/cloud"
	// debianSnapshot keeps every state that Debian's archive ever had, so that a
	// pinned URL stays valid.
	debianSnapshot = "https://snapshot.debian.org/archive"

	kubernetesSite = "https://dl.k8s.io/release"
	criToolsSite   = "https://github.com/kubernetes-sigs/cri-tools/releases/download"
	cniSite        = "https://github.com/containernetworking/plugins/releases/download"
	containerdSite = "https://github.com/containerd/containerd/releases/download"
	runcSite       = "https://github.com/opencontainers/runc/releases/download"
)

func flatcarBase(channel, arch string) string { return fmt.Sprintf(flatcarSite, channel, arch) }
