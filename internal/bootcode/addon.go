package bootcode

// Codes of what masters apply, label and approve.
const (
	AddonsUnable   = 701
	AddonsDenied   = 702
	AddonsFailed   = 703
	ObjectRefused  = 704
	ValueKept      = 705
	AddonsOlder    = 706
	AddonsDiffer   = 707
	LabelRefused   = 708
	ServingRefused = 711
)

var addonCodes = [...]Code{
	{AddonsUnable, "addons-unable", "addons", false,
		"this master lacks what it needs to speak to its API server, or to know what to apply",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here; otherwise render the payload again and boot it, unedited, with an empty disk"},
	{AddonsDenied, "addons-denied", "addons", false,
		"the API server of this master and the helper do not accept each other's certificates",
		"when codes 603 or 604 name leaves of this node, do what they say; otherwise render all master payloads from the same store, and replace the masters one at a time, each with an empty disk"},
	{AddonsFailed, "addons-failed", "addons", true,
		"the API server did not do what it was asked; this node tries again",
		"nothing, when this lasts seconds; otherwise look at etcd and kube-apiserver of this node"},
	{ObjectRefused, "object-refused", "addons", true,
		"the API server does not take an object of an add-on; the other objects are applied, and this one is tried again",
		"see why: something in the cluster that refuses it, such as an admission webhook or a quota, has to let it pass; or switch this add-on off in the cluster file"},
	{ValueKept, "value-kept", "addons", true,
		"a field of an add-on has another value, set by somebody else; that value stays, and the rest of the add-on is applied",
		"nothing, when the value is what you want; otherwise set it back, or delete the object, and delete the ConfigMap kube-system/imgforge-addons: masters then apply anew"},
	{AddonsOlder, "addons-older", "addons", true,
		"the add-ons in the cluster are those of a newer Kubernetes than this node's payload knows; this node leaves them alone",
		"nothing, while masters are being upgraded; otherwise boot this node, with an empty disk, from the payload that the other masters have"},
	{AddonsDiffer, "addons-differ", "addons", true,
		"another master has applied other contents of the same add-ons after this one; this node leaves them alone",
		"nothing, while masters are being replaced one by one; otherwise render all master payloads from the same cluster file, and replace the masters one at a time, each with an empty disk"},
	{LabelRefused, "label-refused", "addons", true,
		"a node could not be given the label of its role; this is tried again",
		"see why: something in the cluster that refuses it, such as an admission webhook, has to let it pass"},
	{ServingRefused, "serving-refused", "serving", true,
		"a request for a kubelet's serving certificate is not what the plan says of that node, and stays pending",
		"if the node was changed by hand, boot the payload of its own slot again with an empty disk; if nobody can say who asked, treat the named node as taken over: switch it off and renew what it held with `imgforge pki renew NODE`"},
}
