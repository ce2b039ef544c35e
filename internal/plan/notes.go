package plan

import (
	"fmt"
	"strings"

	"github.com/imgforge/imgforge/internal/spec"
)

// notesOf says in words what a careful operator would want to know. Notes may
// speak of counts: no payload carries them.
func notesOf(c *spec.Cluster, f Facts, sizes []roleSize, p *Plan) []string {
	var out []string
	for _, s := range sizes {
		if s.outgrown {
			a := f.Anchors[s.name]
			out = append(out, fmt.Sprintf("%s: %d nodes and a reserve of %d no longer fit the %d slots first issued (%d and %d): all payloads change.",
				s.name, s.count, s.slots-s.count, a.Slots(), a.Count, a.Reserve))
		}
	}
	if !p.Etcd.Founded && len(f.Anchors) > 0 {
		out = append(out, "etcd.founded is false: set it to true after the first Ready, so that no payload made later can found a second cluster.")
	}
	if late := unreachable(p); len(late) > 0 {
		out = append(out, fmt.Sprintf("%s: a reserved slot without endpoint; WireGuard peers carry endpoints, so that writing it later changes every payload. Write roles.<role>.nodes[].endpoint now if you know it.",
			strings.Join(late, ", ")))
	}
	if len(p.Endpoint.Access) == 0 {
		out = append(out, "endpoint.access is empty: the API is reached from inside the network only.")
	}
	if c.Platform.UserDataBudget == 0 && p.Platform.Provider == "scaleway" {
		out = append(out, "The user-data budget of scaleway is "+p.Platform.Budget.Source+".")
	}
	return out
}

// unreachable lists the reserved slots that no node of a WireGuard mesh can dial.
// Existing nodes without endpoint are refused when the file is read.
func unreachable(p *Plan) []string {
	if p.Network.Mesh != "wireguard" {
		return nil
	}
	var out []string
	for _, n := range p.Nodes {
		if n.Reserved && n.Endpoint == "" {
			out = append(out, n.Name)
		}
	}
	return out
}
