package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// Certificate is a leaf to issue. Its ID is <node>/<name>, or cluster/<name>.
type Certificate struct {
	ID        string   `json:"id"`
	Authority string   `json:"authority"` // kubernetes | etcd | front-proxy | kubelet-signer
	Profile   string   `json:"profile"`   // server | client | peer (server+client)
	CN        string   `json:"cn"`
	O         []string `json:"o,omitempty"`
	DNS       []string `json:"dns,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Role      string   `json:"role"` // master | proxy | worker
	Node      string   `json:"node"` // "" for a cluster-wide one
	Days      int      `json:"days"`
}

// Key is a secret that is not a certificate.
type Key struct {
	// ID: service-account, encryption, signing, <node>/tinc-rsa, <node>/tinc-ed25519,
	// <node>/wireguard, <node>/claim, operator/<name>/..., user/<name>.
	ID   string `json:"id"`
	Kind string `json:"kind"` // rsa | ecdsa | ed25519 | tinc-rsa | tinc-ed25519 | wireguard | random32 | user
	Role string `json:"role,omitempty"`
	Node string `json:"node,omitempty"`
	// Public tells that the public half may be shown and stored in the clear.
	Public bool `json:"public,omitempty"`
}

// Authorities that sign leaves, and the profiles they sign with.
const (
	AuthorityKubernetes = "kubernetes"
	AuthorityEtcd       = "etcd"
	AuthorityFrontProxy = "front-proxy"

	ProfileServer = "server"
	ProfileClient = "client"
	ProfilePeer   = "peer"
)

// certificatesOf lists every leaf, by node. Subjects, usages and names are
// kubeadm's; unlike there, each master has leaves of its own, so that a node that
// is lost takes no other node's key with it. None depends on how many nodes exist.
func certificatesOf(c *spec.Cluster, p *Plan) []Certificate {
	names, ips := apiserverSANs(c, p)
	var out []Certificate
	for _, n := range p.Nodes {
		var leaves []Certificate
		if n.Role == Master {
			leaves = masterLeaves(n, names, ips)
		}
		leaves = append(leaves,
			Certificate{ID: "kubelet", Authority: AuthorityKubernetes, Profile: ProfileClient, CN: "system:node:" + n.Name, O: []string{"system:nodes"}},
			Certificate{ID: "status", Authority: AuthorityKubernetes, Profile: ProfileServer, CN: n.Name, DNS: []string{n.Name}, IPs: ownIPs(n)},
		)
		for _, leaf := range leaves {
			leaf.ID = n.Name + "/" + leaf.ID
			leaf.Role, leaf.Node, leaf.Days = n.Role, n.Name, c.PKI.LeafDays
			leaf.DNS, leaf.IPs = sortedNames(leaf.DNS), sortedIPs(leaf.IPs)
			out = append(out, leaf)
		}
	}
	return out
}

// masterLeaves are those of one master, without node, role and lifetime.
func masterLeaves(n Node, apiNames, apiIPs []string) []Certificate {
	etcdNames := []string{n.Name, "localhost"}
	return []Certificate{
		{ID: "apiserver", Authority: AuthorityKubernetes, Profile: ProfileServer, CN: "kube-apiserver",
			DNS: append([]string{n.Name}, apiNames...), IPs: append(ownIPs(n), apiIPs...)},
		{ID: "apiserver-kubelet-client", Authority: AuthorityKubernetes, Profile: ProfileClient, CN: "kube-apiserver-kubelet-client"},
		{ID: "apiserver-etcd-client", Authority: AuthorityEtcd, Profile: ProfileClient, CN: "kube-apiserver-etcd-client"},
		{ID: "front-proxy-client", Authority: AuthorityFrontProxy, Profile: ProfileClient, CN: "front-proxy-client"},
		// etcd's gateway dials its own server with the server's certificate, so that
		// it needs the client usage too.
		{ID: "etcd-server", Authority: AuthorityEtcd, Profile: ProfilePeer, CN: n.Name, DNS: etcdNames, IPs: ownIPs(n)},
		{ID: "etcd-peer", Authority: AuthorityEtcd, Profile: ProfilePeer, CN: n.Name, DNS: etcdNames, IPs: ownIPs(n)},
		{ID: "etcd-healthcheck-client", Authority: AuthorityEtcd, Profile: ProfileClient, CN: "kube-etcd-healthcheck-client"},
		{ID: "controller-manager", Authority: AuthorityKubernetes, Profile: ProfileClient, CN: "system:kube-controller-manager"},
		{ID: "scheduler", Authority: AuthorityKubernetes, Profile: ProfileClient, CN: "system:kube-scheduler"},
		{ID: "admin", Authority: AuthorityKubernetes, Profile: ProfileClient, CN: "kubernetes-super-admin", O: []string{"system:masters"}},
	}
}

// ownIPs are the addresses at which a node serves itself and its peers.
func ownIPs(n Node) []string { return []string{"127.0.0.1", "::1", n.Address} }

// apiserverSANs are the names and addresses by which any client may call any API
// server: haproxy passes TLS through to whichever master answers, so all share
// them. Public addresses of reserved slots are included.
func apiserverSANs(c *spec.Cluster, p *Plan) (names, ips []string) {
	names = []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + p.Kubernetes.ClusterDomain,
	}
	ips = []string{p.Kubernetes.ServiceIP, p.Endpoint.Address, c.Roles.Master.PublicIP, c.Roles.Proxy.PublicIP}
	for _, n := range p.Nodes {
		if n.Role != Worker {
			ips = append(ips, n.PublicIP)
		}
	}
	for _, s := range c.Endpoint.SANs {
		if _, err := netip.ParseAddr(s); err == nil {
			ips = append(ips, s)
		} else {
			names = append(names, s)
		}
	}
	return names, ips
}

// sortedNames makes the order in which a user lists names irrelevant.
func sortedNames(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// sortedIPs is sortedNames for addresses, in their canonical form; empty ones are dropped.
func sortedIPs(ips []string) []string {
	var addrs []netip.Addr
	for _, s := range ips {
		if a, err := netip.ParseAddr(s); err == nil {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	var out []string
	for _, a := range slices.Compact(addrs) {
		out = append(out, a.String())
	}
	return out
}

// keysOf lists every secret that is not a certificate: the cluster's, then each
// node's, each operator's and the user's own.
func keysOf(c *spec.Cluster, f Facts, p *Plan, r *report.Report) []Key {
	kind := "ecdsa" // a service account key may be RSA or ECDSA
	if strings.HasPrefix(c.PKI.Algorithm, "rsa-") {
		kind = "rsa"
	}
	out := []Key{
		{ID: "service-account", Kind: kind, Role: Master, Public: true},
		{ID: "encryption", Kind: "random32", Role: Master},
		{ID: "signing", Kind: "ed25519", Public: true}, // of manifests; no node carries it
	}
	mesh := meshKeyKind(p.Network)
	for _, n := range p.Nodes {
		if mesh != "" {
			out = append(out, Key{ID: n.Name + "/" + mesh, Kind: mesh, Role: n.Role, Node: n.Name, Public: true})
		}
		out = append(out, Key{ID: n.Name + "/claim", Kind: "random32", Role: n.Role, Node: n.Name})
	}
	for _, o := range p.Operators {
		out = append(out, Key{ID: "operator/" + o.Name + "/" + mesh, Kind: mesh, Public: true})
	}
	return append(out, userKeys(c, f, r)...)
}

// meshKeyKind is the kind of key that the mesh identifies peers with, "" without a mesh.
func meshKeyKind(n Network) string {
	switch {
	case n.Mesh == "wireguard":
		return "wireguard"
	case n.Mesh == "tinc" && n.TincVersion == "1.1":
		return "tinc-ed25519"
	case n.Mesh == "tinc":
		return "tinc-rsa"
	}
	return ""
}

// userKeys are the secrets that the cluster file refers to by name. Whether they
// are there is judged only when a store has answered.
func userKeys(c *spec.Cluster, f Facts, r *report.Report) []Key {
	var out []Key
	ask := func(name, path string) {
		if name == "" {
			return
		}
		out = append(out, Key{ID: "user/" + name, Kind: "user"})
		if f.Secrets != nil && !slices.Contains(f.Secrets, name) {
			r.Add(report.Problem{Path: path, Message: fmt.Sprintf("the store holds no secret %q", name), Fix: fmt.Sprintf("run `imgforge secret set %s`", name)})
		}
	}
	for i, reg := range c.Registries {
		ask(reg.PasswordRef, fmt.Sprintf("registries[%d].passwordRef", i))
	}
	if b := c.Etcd.Snapshot.S3; b != nil {
		ask(b.AccessKeyRef, "etcd.snapshot.s3.accessKeyRef")
		ask(b.SecretKeyRef, "etcd.snapshot.s3.secretKeyRef")
	}
	if c.Platform.Provider == "scaleway" {
		ask(c.Platform.Scaleway.PublicIPKeyRef, "platform.scaleway.publicIPKeyRef")
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return slices.Compact(out)
}
