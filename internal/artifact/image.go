package artifact

import "strings"

// ImageName is the name under which containerd keeps a container image that a
// manifest calls name:tag: with its registry, and with docker.io where none is named.
func ImageName(ref string) string {
	first, _, several := strings.Cut(ref, "/")
	switch {
	case !several:
		ref = "docker.io/library/" + ref
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		ref = "docker.io/" + ref
	}
	if !strings.Contains(ref[strings.LastIndexByte(ref, '/'):], ":") && !strings.Contains(ref, "@") {
		ref += ":latest"
	}
	return ref
}

// ExtensionPlace is where a system extension lies that a node fetches, in the folder of
// systemd-sysext for large ones: what is in /etc is copied with every version of Fedora
// CoreOS.
const ExtensionPlace = "/var/lib/extensions/imgforge.raw"

// A bundle of container images is an OCI image layout in a tar archive.
const (
	// BundleFolder is where a node looks for bundles, files that end in .tar.
	BundleFolder = "/var/lib/imgforge/images"
	// BundlePlace is that of a bundle which a node fetches.
	BundlePlace = BundleFolder + "/node.tar"
	// BundleIndex is the first file of a bundle.
	BundleIndex = "index.json"
	// ImageNameAnnotation is what containerd names an image by when it imports one.
	ImageNameAnnotation = "io.containerd.image.name"
)

// CNIPlugins is where an extension brings the plugins for networks of pods, and
// CNIFolder where containerd looks for them and network add-ons write their own.
const (
	CNIPlugins = "/usr/lib/imgforge/cni"
	CNIFolder  = "/opt/cni/bin"
)
