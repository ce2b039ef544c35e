package bootcode

// Codes of the endpoint.
const (
	EndpointDown      = 801
	ProxyDown         = 802
	CheckUnable       = 803
	NotifyUnknown     = 804
	NotifyUnrecorded  = 805
	PublicIPUnmoved   = 806
	PublicIPRefused   = 807
	PublicIPElsewhere = 808
	PublicIPUnable    = 809
)

var endpointCodes = [...]Code{
	{EndpointDown, "endpoint-down", "endpoint", false,
		"neither the API server nor haproxy of this node answers that the API is ready; another node takes the address",
		"nothing, when this lasts seconds; otherwise look at the other codes of this node (images, etcd, control-plane), and at those of the masters that its haproxy asks"},
	{ProxyDown, "proxy-down", "endpoint", false,
		"haproxy of this node does not answer; where it serves a floating address, another node takes that",
		"nothing, when this lasts seconds; otherwise whether haproxy's image is on this node (code 403), and what its container logs"},
	{CheckUnable, "check-unable", "endpoint", false,
		"the check cannot find out what to ask",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here"},
	{NotifyUnknown, "notify-unknown", "endpoint", false,
		"keepalived told something that this helper does not understand",
		"use the keepalived image that belongs to this imgforge"},
	{NotifyUnrecorded, "notify-unrecorded", "endpoint", true,
		"a change of the floating address could not be recorded, so the status of this node is stale; the address itself is not affected",
		"make /run/imgforge writable for keepalived"},
	{PublicIPUnmoved, "public-ip-unmoved", "public-ip", true,
		"the provider did not say where the public address is, or did not move it; this is tried again for as long as this node is to have it",
		"nothing, when this lasts seconds; otherwise whether this node reaches the provider's API (egress, DNS, proxy) and its metadata service"},
	{PublicIPRefused, "public-ip-refused", "public-ip", false,
		"the provider refuses to move the public address, so it does not follow the master",
		"make a key that may change instances in the project and zone of the address, set it with imgforge secret set under the name that platform.scaleway.publicIPKeyRef gives, and give the proxies their new payload; until then attach the address by hand"},
	{PublicIPElsewhere, "public-ip-elsewhere", "public-ip", true,
		"the public address is attached to a server that is none of this cluster's proxies, and is left there",
		"detach it from that server, and the master takes it; or restart imgforge-node.service on the master"},
	{PublicIPUnable, "public-ip-unable", "public-ip", false,
		"what says which public address to move, and with which key, cannot be read",
		"give this proxy a payload of this imgforge"},
}
