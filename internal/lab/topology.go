package lab

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

// topologyFiles are the cluster files of the topologies, as a user would write them.
//
//go:embed topology/*.yaml
var topologyFiles embed.FS

// Kinds of node.
const (
	Container = "systemd-nspawn" // native speed, on the machine's own kernel
	Machine   = "qemu"           // a kernel of its own, and Ignition in the initrd
)

// Topology is a cluster that the lab boots, and what it must show.
type Topology struct {
	Name  string
	About string // one line
	Kind  string // of its nodes
	// Cluster is the cluster file.
	Cluster string
	// Built is a cluster that was built already, instead.
	Built *Built
	// Play boots the cluster, notes the steps and makes the checks. An error ends
	// the trial; a check that fails does not.
	Play func(context.Context, *Trial) error
	// Payload names what a node boots, in the folder that was built. A topology that
	// has it is one that faults are shown on.
	Payload func(plan.Node) string
	// Row is what Play shows, where that is a row of the table of faults by itself.
	Row *Fault
}

// rolePayload is the payload of all nodes of a role, nodePayload that of one node.
func rolePayload(n plan.Node) string { return "roles/" + n.Role + ".ign" }
func nodePayload(n plan.Node) string { return "nodes/" + n.Name + ".ign" }

// Topologies lists every topology by its name.
func Topologies() []Topology {
	return []Topology{
		tincVIP(),
		wireGuardLocal(),
		cloudInit(),
		broken(),
		kubeadmPeer(),
		controlPlaneVM(),
		driveVM(),
		wireGuardVM(),
		tincVM(),
		clockVM(),
	}
}

// Find returns a topology by its name.
func Find(name string) (Topology, error) {
	var names []string
	for _, t := range Topologies() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Topology{}, fmt.Errorf("there is no topology %q: choose from %s", name, strings.Join(names, ", "))
}

// clusterFile is an embedded cluster file; topologies name those that exist.
func clusterFile(name string) string {
	data, err := topologyFiles.ReadFile("topology/" + name + ".yaml")
	if err != nil {
		return "# " + err.Error()
	}
	return string(data)
}

// existing are the nodes of a trial that are not reserved, in the plan's order.
func (t *Trial) existing() (names []string) {
	for _, n := range t.Plan.Nodes {
		if !n.Reserved {
			names = append(names, n.Name)
		}
	}
	return slices.Clip(names)
}
