package forge

import (
	"fmt"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/pki"
)

// describe lists what a run changed: a first issue in one line, a new node in one
// line, and everything else with its reason.
func describe(p *plan.Plan, issued pki.Issued, nothing string) []string {
	if len(issued.Made) == 0 && len(issued.Unused) == 0 {
		return []string{nothing}
	}
	certificates, nodes := needs(p)
	if len(issued.Made) == needed(nodes) && allNew(issued.Made) && len(issued.Unused) == 0 {
		return []string{fmt.Sprintf("issued %s for %s; commit the store, then `imgforge build`", tally(p, issued.Made), Counted(len(p.Nodes), "node"))}
	}
	made := map[string]int{} // new ones, by node
	for _, m := range issued.Made {
		if m.New {
			made[owner(m.ID)]++
		}
	}
	var lines []string
	said := map[string]bool{}
	for _, m := range issued.Made {
		node := owner(m.ID)
		switch {
		case node != "" && m.New && made[node] == nodes[node]:
			if !said[node] {
				lines = append(lines, node+": new, "+tally(p, ofNode(node, issued.Made)))
			}
			said[node] = true
		case m.New && certificates[m.ID]:
			lines = append(lines, m.ID+": issued")
		case m.New:
			lines = append(lines, m.ID+": made")
		default:
			lines = append(lines, m.String())
		}
	}
	for _, id := range issued.Unused {
		lines = append(lines, id+": kept, but the cluster file no longer needs it")
	}
	return append(lines, fmt.Sprintf("%d made; commit the store, build, and boot the nodes they name with the new payloads", len(issued.Made)))
}

// needs are the certificates of a plan by ID, and how much each node has; "" is
// what belongs to no node.
func needs(p *plan.Plan) (certificates map[string]bool, nodes map[string]int) {
	certificates, nodes = map[string]bool{}, map[string]int{}
	for _, c := range p.Certificates {
		certificates[c.ID] = true
		nodes[owner(c.ID)]++
	}
	for _, k := range p.Keys {
		if k.Kind != "user" {
			nodes[owner(k.ID)]++
		}
	}
	return certificates, nodes
}

func needed(nodes map[string]int) (n int) {
	for _, count := range nodes {
		n += count
	}
	return n
}

func allNew(made []pki.Change) bool {
	for _, m := range made {
		if !m.New {
			return false
		}
	}
	return true
}

// owner is the node, or operator/<name>, whose an ID is; "" for the cluster's.
func owner(id string) string {
	at := strings.LastIndexByte(id, '/')
	if at < 0 {
		return ""
	}
	return id[:at]
}

func ofNode(node string, made []pki.Change) (out []pki.Change) {
	for _, m := range made {
		if owner(m.ID) == node {
			out = append(out, m)
		}
	}
	return out
}

// tally counts certificates and keys in words.
func tally(p *plan.Plan, made []pki.Change) string {
	certificates, _ := needs(p)
	n := 0
	for _, m := range made {
		if certificates[m.ID] {
			n++
		}
	}
	return Counted(n, "certificate") + ", " + Counted(len(made)-n, "key")
}
