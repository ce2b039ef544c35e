package artifact

// Paths and ports on a node that the profiles write and the node helper reads.
const (
	NodeFilePath    = "/etc/imgforge/node.json"
	ClusterFilePath = "/etc/imgforge/cluster.json"
	SlotDir         = "/etc/imgforge/slots"
	SlotSuffix      = ".slot"
	ClaimedPath     = "/var/lib/imgforge/claimed"

	// HAProxyAlivePort answers /healthz on 127.0.0.1 for as long as haproxy lives.
	HAProxyAlivePort = 8404
	// FleetLockPort answers Fedora CoreOS's update agent on 127.0.0.1.
	FleetLockPort = 9441
)
