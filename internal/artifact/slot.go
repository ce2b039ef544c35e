package artifact

// Slot is the part of a role payload that belongs to one node. imgforge-node
// claims it at first boot and writes its files.
type Slot struct {
	// Node is the node name.
	Node string
	// Match lists what claims the slot: host names (short and qualified), MAC
	// addresses as mac:52:54:..., provider tags as tag:imgforge.node=NAME.
	Match []string
	Files []File
}
