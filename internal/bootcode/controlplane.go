package bootcode

// Codes of certificates, of the kubelet and of the control plane.
const (
	NodeUnread       = 601
	LeafUnread       = 602
	LeafForeign      = 603
	LeafEnded        = 604
	LeafExpiring     = 605
	DiskFull         = 606
	DiskFilling      = 607
	KubeletDown      = 611
	APISilent        = 612
	APIForeign       = 613
	NodeRefused      = 614
	NodeUnregistered = 615
	NodeNotReady     = 616
	NodeTwin         = 617
	PartDown         = 621
	APINotReady      = 622
)

var controlPlaneCodes = [...]Code{
	{NodeUnread, "node-unread", "kubelet", false,
		"the files that say which node this is and of which cluster are missing or damaged, so nothing can be watched or shown",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here"},
	{LeafUnread, "leaf-unread", "kubelet", false,
		"certificates of this node, or their keys, are missing or damaged",
		"render the payload again and boot it, complete and unedited, with an empty disk"},
	{LeafForeign, "leaf-foreign", "kubelet", false,
		"certificates of this node do not belong to the key or the authority beside them, so whoever is shown them refuses them",
		"render the payload from one store alone and boot it with an empty disk; put no certificate of another cluster, or of an older store, into the `extra` of the cluster file"},
	{LeafEnded, "leaf-ended", "kubelet", false,
		"certificates of this node have ended, so nobody accepts them any more",
		"run `imgforge pki renew`, render again, and boot this machine with an empty disk from the new payload; when its clock is wrong, set that instead"},
	{LeafExpiring, "leaf-expiring", "kubelet", true,
		"certificates of this node end within 30 days, and after that it cannot boot",
		"run `imgforge pki renew`, render again, and replace the machines one at a time, each with an empty disk and the new payload"},
	{DiskFull, "disk-full", "kubelet", false,
		"a file system of this node is full, so that etcd, containerd or the kubelet can write no more",
		"make room: enlarge the disk, or delete what fills it, such as a volume of a pod on this node; this node goes on by itself, etcd of a master too; or replace the machine by one with a larger disk and the same payload"},
	{DiskFilling, "disk-filling", "kubelet", true,
		"a file system of this node is nearly full: the kubelet evicts pods to make room",
		"see which pods write so much to this node, or replace the machine by one with a larger disk and the same payload"},
	{KubeletDown, "kubelet-down", "kubelet", false,
		"the kubelet of this node does not run, or is not healthy",
		"see why: it is the kubelet's own last word; a flag or setting in it is that of kubernetes.extraArgs in the cluster file"},
	{APISilent, "api-silent", "kubelet", false,
		"the API does not answer this node, although its mesh and its kubelet are well",
		"look at the codes of the masters (`imgforge doctor --all`); with a floating address, whether a master holds it; with local endpoints, whether the image of haproxy is on this node (code 403)"},
	{APIForeign, "api-foreign", "kubelet", false,
		"who answers at the API's address was not certified by this cluster's authority",
		"render this node's payload from the store of the cluster that it should join, and boot it with an empty disk; or find out which other machine has the API's address, and switch that off"},
	{NodeRefused, "node-refused", "kubelet", false,
		"the API does not accept this node's certificate for this node's name",
		"render this node's payload from the store of the cluster that it should join, and boot it with an empty disk"},
	{NodeUnregistered, "node-unregistered", "kubelet", false,
		"the API does not know this node: its kubelet has not registered it",
		"see why: it is the kubelet's own last word; forbidden means that its certificate is for another name or cluster, so render its payload from the store of this cluster and boot it with an empty disk"},
	{NodeNotReady, "node-not-ready", "kubelet", false,
		"this node is registered, and not Ready",
		"see why; when it is the network of the pods, look at the step addons of the masters, or apply a network of your own where addons.cni is none"},
	{NodeTwin, "node-twin", "kubelet", true,
		"two machines are this node: the kubelets of both write its Node, run its pods, and take them from each other",
		"find the machines by the ids named here, which the Node, `kubectl get node NAME -o yaml`, has in turns, and switch off the one that should not be this node; the other one goes on by itself"},
	{PartDown, "part-down", "control-plane", false,
		"a part of the control plane does not run on this master",
		"see why: it is the part's own last word; a flag in it is that of kubernetes.extraArgs in the cluster file"},
	{APINotReady, "api-not-ready", "control-plane", false,
		"the API server of this master runs, and is not ready",
		"see which check fails; etcd's is a matter of the step etcd (codes 501 to 522)"},
}
