package watch

import (
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Facts are one look at a node. [Decide] makes words of them.
type Facts struct {
	Node    artifact.NodeFile
	Cluster artifact.ClusterFile
	Now     time.Time
	// Others are the last words of the steps that other parts of the helper take.
	Others map[string]step.Record

	Mesh    Mesh
	Images  Images
	Disks   []Disk
	Leaves  []leaf.State
	Kubelet Kubelet
	API     API
	Parts   []Part // of the control plane, on masters
	HAProxy *Part  // where it is to run
	VRRP    string // what keepalived told last, in words; empty where it does not run
}

// Kinds of a mesh.
const (
	tinc      = "tinc"
	wireguard = "wireguard"
	none      = "none"
)

// Mesh is the cluster network as this node sees it.
type Mesh struct {
	Kind      string // tinc | wireguard | none
	Interface string // empty: any
	Address   bool   // the node has its address
	Unit      string // what systemd says of the mesh's unit while the address is missing
	OwnKey    string // why the node's own key cannot be right
	Taken     string // who answers for an address of this node

	Asked, Answered int // other nodes, in this look
	Hubs            []Hub
	Refused         []string // machines that were turned away, or turn this node away, in words
	Twins           []string // members of the mesh that are two machines, in words
}

// Hub is a machine that this node dials outside of the mesh.
type Hub struct {
	Name, Where string
	Reached     bool // something answers there
	Why         string
}

// Images are the programs and container images that the machine's image brings.
type Images struct {
	NoPrograms []string
	Containerd string // why it does not answer; empty: it does
	Missing    []string
	// Importing tells that they are being brought into the store, which keeps containerd
	// busy. Who does it says how far it is, and what goes wrong.
	Importing bool
	Count     int // of images that are needed
}

// Kubelet is the kubelet's own health.
type Kubelet struct {
	Healthy bool
	Why     string // its last word
}

// API is what the node hears of itself from the cluster's API.
type API struct {
	Status  int    // of the HTTP answer; 0: none
	Why     string // no answer, or not the wanted one
	Foreign bool   // who answers belongs to another authority
	Ready   bool
	Message string // of the node's condition while it is not ready
	// Clock is what the clock of the API server said in its answer; zero: not known.
	Clock time.Time
	// Twin is another machine whose kubelet writes this node's Node too, in words.
	Twin string
}

// Part is one static pod of the control plane.
type Part struct {
	Name    string
	Answers bool   // something serves on its port
	Ready   bool   // and says that all is well
	Why     string // its answer or the error
	Says    string // last error in its log
}
