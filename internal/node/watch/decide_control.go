package watch

import (
	"net/http"
	"strings"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// decideKubelet ends with the node being Ready, which is what the whole boot is for.
// Its order is that of causes.
func decideKubelet(f Facts, mesh, images, control Word) Word {
	if unfinished(f, step.Time) {
		return behind(step.Kubelet, step.Time)
	}
	leaves, well := decideLeaves(f)
	room := decideDisks(f.Disks)
	switch {
	case !well:
		return leaves
	case !room.well():
		return room
	case f.Images.Importing || !images.well() && (images.Code == bootcode.ContainerdDown || images.Code == bootcode.ProgramMissing):
		return behind(step.Kubelet, step.Images)
	case f.API.Twin != "" && f.Kubelet.Healthy: // a mesh and an API that fail are of its making
		return decideTwin(f)
	case !mesh.well(): // systemd starts the kubelet behind it
		return behind(step.Kubelet, step.Mesh)
	case !f.Kubelet.Healthy && f.Others[step.Etcd].State == step.Failed: // and behind the guard of etcd's data
		return behind(step.Kubelet, step.Etcd)
	case !f.Kubelet.Healthy:
		return passing(step.Kubelet, bootcode.KubeletDown, "the kubelet", "%s", f.Kubelet.Why)
	case f.API.Status != http.StatusOK && f.Node.Role == master && !control.well():
		return behind(step.Kubelet, step.ControlPlane)
	case f.API.Status == 0 && f.Node.Endpoint.Mode == "local" && f.HAProxy != nil && !f.HAProxy.Ready:
		return behind(step.Kubelet, step.Endpoint) // this node's own haproxy is its way to the API
	}
	if w := decideNode(f); w.Outcome != Reached {
		return w
	}
	for _, w := range []Word{room, leaves} {
		if w.Outcome == Warned {
			return w
		}
	}
	return decideNode(f)
}

// decideTwin is about another machine that is this node too: a warning while this one
// reaches what it should all the same.
func decideTwin(f Facts) Word {
	if decideNode(f).Outcome != Reached {
		return final(step.Kubelet, bootcode.NodeTwin, "%s", f.API.Twin)
	}
	return warned(step.Kubelet, bootcode.NodeTwin, "%s", f.API.Twin)
}

// decideNode is about what the API says of this node.
func decideNode(f Facts) Word {
	a, url := f.API, f.Cluster.EndpointURL
	switch {
	case a.Foreign:
		return passing(step.Kubelet, bootcode.APIForeign, "the API", "%s: %s", url, a.Why)
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return passing(step.Kubelet, bootcode.NodeRefused, "the API to accept this node", "%s answers %d: %s", url, a.Status, a.Why)
	case a.Status == http.StatusNotFound:
		return passing(step.Kubelet, bootcode.NodeUnregistered, "the kubelet to register", "%s knows no node %s%s", url, f.Node.Node, after("\n", f.Kubelet.Why))
	case a.Status != http.StatusOK:
		return passing(step.Kubelet, bootcode.APISilent, "the API", "%s: %s", url, a.Why)
	case !a.Ready:
		return passing(step.Kubelet, bootcode.NodeNotReady, "the node to be Ready", "%s", a.Message)
	}
	return reached(step.Kubelet, "%s is registered and Ready", f.Node.Node)
}

// decideParts is about the static pods of a master, in the order in which they need
// each other. Whether etcd may run at all is decided, and said, elsewhere.
func decideParts(f Facts, images Word) Word {
	_, leaves := decideLeaves(f)
	etcd, said := f.Others[step.Etcd]
	switch {
	case !leaves || unfinished(f, step.Time) || !f.Kubelet.Healthy:
		return behind(step.ControlPlane, step.Kubelet)
	case !images.well():
		return behind(step.ControlPlane, step.Images)
	case said && etcd.State != step.Done:
		return behind(step.ControlPlane, step.Etcd)
	}
	for _, p := range f.Parts {
		switch {
		case !p.Answers:
			return passing(step.ControlPlane, bootcode.PartDown, p.Name, "%s: %s%s", p.Name, p.Why, after("\n", p.Says))
		case !p.Ready && p.Name == apiServer:
			return passing(step.ControlPlane, bootcode.APINotReady, p.Name, "%s", p.Why)
		case !p.Ready:
			return passing(step.ControlPlane, bootcode.PartDown, p.Name, "%s: %s%s", p.Name, p.Why, after("\n", p.Says))
		}
	}
	names := make([]string, len(f.Parts))
	for i, p := range f.Parts {
		names[i] = p.Name
	}
	return reached(step.ControlPlane, "%s run", strings.Join(names, ", "))
}

// decideEndpoint is about haproxy, where this node has one. That the API does not
// answer is said by the step of the kubelet, which needs it.
func decideEndpoint(f Facts, images Word) Word {
	if p := f.HAProxy; p != nil && !p.Ready {
		switch {
		case !images.well():
			return behind(step.Endpoint, step.Images)
		case !f.Kubelet.Healthy:
			return behind(step.Endpoint, step.Kubelet)
		}
		return passing(step.Endpoint, bootcode.ProxyDown, "haproxy", "%s%s", p.Why, after("\n", p.Says))
	}
	if f.API.Status == 0 {
		return Word{Step: step.Endpoint, Outcome: Behind, Text: "the API at " + f.Cluster.EndpointURL}
	}
	return reached(step.Endpoint, "the API answers at %s%s", f.Cluster.EndpointURL, after("; ", f.VRRP))
}
