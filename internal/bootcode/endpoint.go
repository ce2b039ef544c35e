package bootcode

// Codes of the endpoint.
const (
	EndpointDown     = 801
	ProxyDown        = 802
	CheckUnable      = 803
	NotifyUnknown    = 804
	NotifyUnrecorded = 805
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
}
