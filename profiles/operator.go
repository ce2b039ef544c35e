package profiles

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// Operator is the mesh configuration of a person's laptop, as files with paths
// relative to a folder: for WireGuard one wg-quick file, for tinc the folder
// that belongs at /etc/tinc/<net>. The laptop dials every hub and listens to nobody new.
func Operator(p *plan.Plan, name string, s payload.Secrets) ([]artifact.File, error) {
	p = fromOutside(p)
	for _, op := range p.Operators {
		if op.Name != name {
			continue
		}
		switch p.Network.Mesh {
		case "tinc":
			return operatorTinc(p, op, s)
		case "wireguard":
			return operatorWireGuard(p, op, s)
		}
	}
	return nil, fmt.Errorf("the plan has no operator %q", name)
}

// fromOutside is the plan as a laptop elsewhere sees it: names of the provider's
// private DNS do not resolve there, and a node's public address does.
func fromOutside(p *plan.Plan) *plan.Plan {
	if p.Platform.PrivateDomain == "" {
		return p
	}
	seen := *p
	seen.Nodes = slices.Clone(p.Nodes)
	for i := range seen.Nodes {
		n := &seen.Nodes[i]
		host, port := splitEndpoint(n.Endpoint, p.Network.Port)
		if n.PublicIP != "" && strings.HasSuffix(host, "."+p.Platform.PrivateDomain) {
			n.Endpoint = joinEndpoint(n.PublicIP, port)
		}
	}
	return &seen
}

func operatorTinc(p *plan.Plan, op plan.Operator, s payload.Secrets) ([]artifact.File, error) {
	n := p.Network
	dir := tincDir(n)
	conf := tincConf{Name: op.MeshName, Interface: n.Interface, Dir: dir, V11: n.TincVersion == "1.1", Family: "any"}
	hosts := []string{op.Name}
	for _, node := range p.Nodes {
		if node.Hub {
			conf.ConnectTo = append(conf.ConnectTo, node.MeshName)
			hosts = append(hosts, node.Name)
		}
	}
	keyFile, kind := "rsa_key.priv", "tinc-rsa"
	if conf.V11 {
		keyFile, kind = "ed25519_key.priv", "tinc-ed25519"
	}
	key, err := s.Secret("operator/" + op.Name + "/" + kind)
	if err != nil {
		return nil, err
	}
	mac, err := meshMAC(op.Address)
	if err != nil {
		return nil, err
	}
	var out []artifact.File
	// Paths under /etc/tinc/<net> become relative: the folder can be moved there whole.
	add := func(f artifact.File) {
		f.Path = f.Path[len(dir)+1:]
		out = append(out, f)
	}
	for _, t := range []struct {
		path, template string
		mode           uint32
		data           any
	}{
		{"/tinc.conf", "common/tinc.conf", 0o644, conf},
		{"/tinc-up", "common/tinc-up", 0o755, map[string]string{"MAC": mac, "MTU": fmt.Sprint(n.MTU.Mesh), "Address": withPrefix(op.Address, n)}},
	} {
		text, err := render(t.template, t.data)
		if err != nil {
			return nil, err
		}
		add(artifact.File{Path: dir + t.path, Mode: t.mode, Contents: []byte(text)})
	}
	add(artifact.File{Path: dir + "/" + keyFile, Mode: 0o600, Contents: ensureNewline(key), Secret: true})
	if err := eachHost(p, s, hosts, add); err != nil {
		return nil, err
	}
	sortFiles(out)
	return out, nil
}

func operatorWireGuard(p *plan.Plan, op plan.Operator, s payload.Secrets) ([]artifact.File, error) {
	key, err := s.Secret("operator/" + op.Name + "/wireguard")
	if err != nil {
		return nil, err
	}
	// The laptop sees the mesh as a node without an endpoint does.
	o := own{scope: &scope{plan: p, secrets: s}}
	for _, node := range p.Nodes {
		o.node.Peers = append(o.node.Peers, node.Name)
	}
	conf := wireguardConf{Interface: p.Network.Interface, Address: withPrefix(op.Address, p.Network),
		PrivateKey: string(bytes.TrimSpace(key)), MTU: p.Network.MTU.Mesh}
	if conf.Peers, err = o.wireguardPeers(); err != nil {
		return nil, err
	}
	text, err := render("common/wireguard-operator.conf", conf)
	if err != nil {
		return nil, err
	}
	return []artifact.File{{Path: p.Network.NetName + ".conf", Mode: 0o600, Contents: []byte(text), Secret: true}}, nil
}
