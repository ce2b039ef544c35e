package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// names checks that every node and operator has a name of its own, in DNS and
// in the mesh alike.
func (k *check) names() {
	if len(k.Name) > 40 {
		k.err("name", fmt.Sprintf("%s has %d characters and host names are built on it", quote(k.Name), len(k.Name)), "write at most 40")
	}
	owners := map[string]owner{}
	for _, r := range k.roles() {
		for i := range clamp(max(len(r.Nodes), r.slots()), 0, maxNodes) {
			name, path, own := r.nodeName(i)
			if name == "" {
				continue
			}
			if own && slices.Contains([]string{"localhost", "cluster", "operator", "user"}, name) {
				k.err(path, quote(name)+" has a meaning of its own in certificates and keys", "write another name, as in "+r.name+"-"+strconv.Itoa(i+1))
			}
			k.claim(owners, name, path, own)
		}
	}
	for i, name := range k.Network.Operators {
		k.claim(owners, name, item("network.operators", i), true)
	}
}

// owner is who has a name already.
type owner struct {
	name, path string
	own        bool
}

// nodeName is the name of a slot, its path, and whether the file sets it.
func (r role) nodeName(i int) (name, path string, own bool) {
	path = item(r.path+".nodes", i) + ".name"
	if i < len(r.Nodes) && r.Nodes[i].Name != "" {
		return r.Nodes[i].Name, path, true
	}
	return r.name + "-" + strconv.Itoa(i+1), path, false
}

// claim takes a name, or reports who has it. tinc knows no hyphens, so names
// that differ in nothing else are one name in the mesh.
func (k *check) claim(owners map[string]owner, name, path string, own bool) {
	meshName := strings.ReplaceAll(name, "-", "_")
	first, taken := owners[meshName]
	if !taken {
		owners[meshName] = owner{name, path, own}
		return
	}
	if !own { // the name that was written gives way
		path, first.path = first.path, path
		name, first.name, first.own = first.name, name, false
	}
	by := "is " + first.path + " as well"
	if !first.own {
		by = "is what " + strings.TrimSuffix(first.path, ".name") + " is called by default"
	}
	switch {
	case name == first.name:
		k.err(path, quote(name)+" "+by, "write a name that no node and no operator has")
	default:
		k.err(path, fmt.Sprintf("%s and %s (%s) are both %s in the mesh, which knows no hyphens", quote(name), quote(first.name), first.path, meshName), "write names that differ in more than - and _")
	}
}
