package bootcode

// Codes of the programs and container images that the image of a node brings.
const (
	ProgramMissing = 401
	ContainerdDown = 402
	ImageMissing   = 403
	ImportFailed   = 404
	NotFetched     = 405
)

var imageCodes = [...]Code{
	{ProgramMissing, "program-missing", "images", false,
		"programs that this node needs are not on it",
		"boot an image that brings them, or let the `extra` of the cluster file install them"},
	{ContainerdDown, "containerd-down", "images", false,
		"containerd does not answer, so nothing can run in a container",
		"see why: it is containerd's own last word; what imgforge sets of its configuration comes from registries and `extra` in the cluster file, and a full disk stops it as well"},
	{ImageMissing, "image-missing", "images", false,
		"container images that this node starts by itself are not in its store, and nothing fetches them",
		"boot an image that brings them under exactly these names: they follow from kubernetes.version and from the imgforge that rendered the payload, so image and payload have to be made by the same"},
	{ImportFailed, "import-failed", "images", false,
		"the container images that this node's image brings cannot be imported, so the kubelet does not start",
		"see why: a bundle that is damaged or of another imgforge is replaced by booting an image that was verified; a full disk needs room for containerd"},
	{NotFetched, "not-fetched", "images", false,
		"the programs and container images of this node cannot be fetched, so it does not become a part of the cluster yet; it tries again",
		"see why: nodes need a way to artifacts.url before they join the mesh, and find there, below files/, what `imgforge build` wrote with their payload; a full disk needs room for it"},
}
