package bootcode

// Codes of the mesh, or of the network that stands in for it.
const (
	MeshDown     = 301
	NoPeer       = 302
	MeshRefused  = 303
	AddressTaken = 304
	PeerRefused  = 305
	MeshTwin     = 306
)

var meshCodes = [...]Code{
	{MeshDown, "mesh-down", "mesh", false,
		"this node does not have its address in the cluster network",
		"see why; with a mesh it is the last word of its service, and the image may lack what it needs (tinc and /dev/net/tun, or the kernel's wireguard); without one, give the interface of roles.<role>.nodes[].interface its address, or correct the address in the cluster file"},
	{NoPeer, "no-peer", "mesh", false,
		"no other node answers in the cluster network, and none can be reached",
		"start the other nodes, masters first; then look at the endpoint of each hub in the cluster file, and at the firewall between the machines: the mesh's port, TCP and UDP for tinc, UDP for WireGuard"},
	{MeshRefused, "mesh-refused", "mesh", false,
		"other machines of the mesh can be reached, and none of them lets this node in, as when keys differ",
		"render this node's payload, and those of the machines named here, from the same store, and boot the one that is older again, from the new payload with an empty disk"},
	{AddressTaken, "address-taken", "mesh", false,
		"another machine uses an address of this node",
		"switch the other machine off, or give it another address; this node goes on by itself"},
	{PeerRefused, "peer-refused", "mesh", true,
		"a machine that calls itself one of this cluster's was turned away, because its mesh key is another one",
		"render the payload of that machine from the store that this node's came from, and boot it with an empty disk; when it is no machine of yours, nothing"},
	{MeshTwin, "mesh-twin", "mesh", true,
		"two machines seem to be the same member of the mesh: they take its connections from each other",
		"find the machine that booted the same payload under the same name, and switch it off"},
}
