// Package profiles is what each role runs: it fills the templates under
// common/, master/, worker/ and proxy/ from a plan and a store into neutral
// documents of files and units. It decides nothing that the plan can decide.
package profiles

import (
	"fmt"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// Units that other units order themselves by.
const (
	unitClaim      = "imgforge-claim.service"      // the node knows who it is
	unitTime       = "imgforge-time.service"       // the clock can be right
	unitGuard      = "imgforge-etcd-guard.service" // on masters: no manifest of etcd is in place that may not be
	unitNode       = "imgforge-node.service"       // what the helper does while the node runs
	unitMesh       = "imgforge-mesh.service"       // the mesh address is on an interface; absent when mesh is none
	unitFirewall   = "imgforge-firewall.service"   // the nftables table is loaded
	unitContainerd = "containerd.service"
	unitKubelet    = "kubelet.service"
)

// A part is one concern of a node. Shared adds what is the same on every node
// of the role: files, units, disks. Own adds the files of a single node. Either
// may be nil. Units are always shared, so that a role payload fits every node.
type part struct {
	name   string
	shared func(*shared) error
	own    func(*own) error
}

// parts lists every concern in the order in which a reader meets them in a document.
func parts() []part {
	return append([]part{
		{name: "cluster", shared: sharedCluster, own: ownCluster},
		{name: "pki", shared: sharedPKI, own: ownPKI},
		{name: "disks", shared: sharedDisks, own: ownDisks},
		{name: "containerd", shared: sharedContainerd},
		{name: "kubelet", shared: sharedKubelet, own: ownKubelet},
		{name: "control plane", shared: sharedControlPlane, own: ownControlPlane},
		{name: "snapshots", shared: snapshotKeys},
	}, networkParts()...)
}

// scope is what every part may read.
type scope struct {
	plan    *plan.Plan
	role    plan.Role
	secrets payload.Secrets
	parts   []part
}

func (s *scope) isMaster() bool { return s.role.Name == "master" }

// shared collects what every node of a role has in common.
type shared struct {
	*scope
	doc payload.Document
}

// own collects the files of one node.
type own struct {
	*scope
	node  plan.Node
	files []artifact.File
}

// Role is the document that every node of a role can boot: the shared files
// and units, and one slot per node, the reserved ones included.
func Role(p *plan.Plan, role string, s payload.Secrets) (*payload.Document, error) {
	sc, err := newScope(p, role, s)
	if err != nil {
		return nil, err
	}
	sh, secret, err := sc.sharedParts()
	if err != nil {
		return nil, err
	}
	doc := sh.doc
	doc.Target = role
	for _, n := range p.NodesOf(role) {
		files, err := sc.ownParts(n, secret)
		if err != nil {
			return nil, err
		}
		doc.Slots = append(doc.Slots, artifact.Slot{Node: n.Name, Match: match(p, n), Files: files})
	}
	return finish(&doc)
}

// Node is the document bound to one node: the shared files and units with the
// node's own files placed directly.
func Node(p *plan.Plan, node string, s payload.Secrets) (*payload.Document, error) {
	n, ok := p.Node(node)
	if !ok {
		return nil, fmt.Errorf("the plan has no node %q: run `imgforge plan` for the list", node)
	}
	sc, err := newScope(p, n.Role, s)
	if err != nil {
		return nil, err
	}
	sh, secret, err := sc.sharedParts()
	if err != nil {
		return nil, err
	}
	files, err := sc.ownParts(n, secret)
	if err != nil {
		return nil, err
	}
	doc := sh.doc
	doc.Target, doc.Node = n.Name, n.Name
	doc.Files = append(doc.Files, files...)
	return finish(&doc)
}

func newScope(p *plan.Plan, role string, s payload.Secrets) (*scope, error) {
	r, ok := p.Role(role)
	if !ok {
		return nil, fmt.Errorf("the plan has no role %q: the roles are master, proxy and worker", role)
	}
	return &scope{plan: p, role: r, secrets: s, parts: parts()}, nil
}

// sharedParts runs every part's shared half. Secret files are returned apart
// from the rest: they belong into the slots, so that sealing a slot seals all
// that a node must keep to itself.
func (s *scope) sharedParts() (*shared, []artifact.File, error) {
	sh := &shared{scope: s, doc: payload.Document{
		Role: s.role.Name, Variant: s.plan.OS.Variant, Version: s.plan.OS.VariantVersion, Extra: snippets(s.plan, s.role.Name),
	}}
	for _, p := range s.parts {
		if p.shared == nil {
			continue
		}
		if err := p.shared(sh); err != nil {
			return nil, nil, fmt.Errorf("role %s: %s: %w", s.role.Name, p.name, err)
		}
	}
	var open, secret []artifact.File
	for _, f := range sh.doc.Files {
		if f.Secret {
			secret = append(secret, f)
		} else {
			open = append(open, f)
		}
	}
	sh.doc.Files = open
	return sh, secret, nil
}

// ownParts runs every part's own half for one node.
func (s *scope) ownParts(n plan.Node, secret []artifact.File) ([]artifact.File, error) {
	o := &own{scope: s, node: n}
	for _, p := range s.parts {
		if p.own == nil {
			continue
		}
		if err := p.own(o); err != nil {
			return nil, fmt.Errorf("node %s: %s: %w", n.Name, p.name, err)
		}
	}
	return append(o.files, secret...), nil
}

// file adds a file. Mode 0 is 0644. Secret files end up in the slots.
func (s *shared) file(f artifact.File) { s.doc.Files = append(s.doc.Files, f) }

// unit adds a systemd unit.
func (s *shared) unit(u payload.Unit) { s.doc.Units = append(s.doc.Units, u) }

// directory adds a directory that exists before any file is written.
func (s *shared) directory(path string, mode uint32) {
	s.doc.Directories = append(s.doc.Directories, payload.Directory{Path: path, Mode: mode})
}

// butane renders profiles/<name>.bu.tmpl with data and adds all it declares.
func (s *shared) butane(name string, data any) error {
	return addButane(&s.doc, name, data)
}

// file adds a file of this node alone.
func (o *own) file(f artifact.File) {
	f.Node = true
	o.files = append(o.files, f)
}

// match lists what claims a node's slot.
func match(p *plan.Plan, n plan.Node) []string {
	m := []string{n.Name, n.Name + "." + p.Cluster}
	if d := p.Platform.PrivateDomain; d != "" && d != p.Cluster {
		m = append(m, n.Name+"."+d)
	}
	if n.MAC != "" {
		m = append(m, "mac:"+n.MAC)
	}
	return append(m, "tag:imgforge.node="+n.Name)
}

// snippets are the user's own Butane for a role, the part for all nodes first.
func snippets(p *plan.Plan, role string) []payload.Snippet {
	e := p.Settings.Extra
	var out []payload.Snippet
	if e.All != "" {
		out = append(out, payload.Snippet{Path: "extra.all", Text: e.All})
	}
	if t := map[string]string{"master": e.Master, "proxy": e.Proxy, "worker": e.Worker}[role]; t != "" {
		out = append(out, payload.Snippet{Path: "extra." + role, Text: t})
	}
	return out
}
