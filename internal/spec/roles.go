package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxNodes is the size to which Kubernetes itself is tested.
const maxNodes = 5000

// counts checks how many nodes there are, and that lists of nodes fit.
func (k *check) counts() {
	k.masterCount()
	for _, r := range k.roles() {
		if k.src.doubtful(r.path + ".count") {
			continue
		}
		if r.Count == 0 && r.name != "master" && *r.Reserve == 0 && len(r.Nodes) > 0 {
			k.err(r.path+".nodes", fmt.Sprintf("the list has %d entries and count is 0", len(r.Nodes)), fmt.Sprintf("write %s.count: %d", r.path, len(r.Nodes)))
			continue
		}
		if slots := r.slots(); len(r.Nodes) > slots {
			k.err(item(r.path+".nodes", slots), fmt.Sprintf("the list has %d entries and the role %d slots (count %d, reserve %d)", len(r.Nodes), slots, r.Count, *r.Reserve),
				fmt.Sprintf("raise %s.count or shorten the list", r.path))
		}
	}
	if total, ok := k.slots(); ok && total > maxNodes {
		k.err("roles", fmt.Sprintf("%d nodes, the reserve included, are more than Kubernetes is made for", total), fmt.Sprintf("keep it at %d in one cluster", maxNodes))
	}
	k.edge()
}

func (k *check) masterCount() {
	n, path := k.Roles.Master.Count, "roles.master.count"
	switch {
	case !k.src.has(path):
		k.err(path, "is missing", "write roles.master.count: 3, or 1 for a cluster without high availability")
	case n < 1:
		k.err(path, "a cluster has at least one master", "write 3, or 1 for a cluster without high availability")
	case n > maxMasters:
		k.err(path, fmt.Sprintf("%d masters only slow etcd down", n), "write 3, 5 or 7")
	case n%2 == 0:
		k.err(path, fmt.Sprintf("%d masters survive no more failures than %d, and lose quorum more easily", n, n-1), fmt.Sprintf("write %d or %d", n-1, n+1))
	case n+*k.Roles.Master.Reserve > maxMasters:
		k.err("roles.master.reserve", fmt.Sprintf("%d masters and %d reserved ones are more than the %d that etcd carries well", n, *k.Roles.Master.Reserve, maxMasters), fmt.Sprintf("write %d", maxMasters-n))
	}
}

// edge checks what proxies and workers expect of each other.
func (k *check) edge() {
	proxy := k.Roles.Proxy
	if proxy.Count > 0 && k.none("worker") {
		k.warn("roles.proxy.count", "proxies forward to workers and there are none", "write roles.worker.count, or remove the proxies")
	}
	if k.none("proxy") {
		for _, field := range []string{"ingress.ports.http", "ingress.ports.https"} {
			if k.src.has(field) {
				k.warn(field, "only proxies forward to it and there are none", "write roles.proxy.count, or remove it")
			}
		}
	}
	for _, r := range k.roles() {
		if r.name != "proxy" && r.PublicIP != "" {
			k.warn(r.path+".publicIP", "only proxies hold a flexible address; here it stands in certificates alone", "write "+r.path+".nodes[].publicIP for the address of a machine")
		}
	}
	if proxy.Count == 0 || proxy.PublicIP != "" || slices.Contains([]string{"metal", "libvirt", "proxmox"}, k.Platform.Provider) {
		return
	}
	for _, n := range proxy.Nodes {
		if n.PublicIP != "" {
			return
		}
	}
	k.warn("roles.proxy", "no public address is named, so nothing moves to the living proxy when the other one dies", "write roles.proxy.publicIP")
}

// labels checks labels and taints of roles, and labels of nodes.
func (k *check) labels() {
	for _, r := range k.roles() {
		k.labelMap(r.path+".labels", r.Labels)
		for i, n := range r.Nodes {
			k.labelMap(item(r.path+".nodes", i)+".labels", n.Labels)
		}
		seen := map[string]int{}
		for i, t := range r.Taints {
			path := item(r.path+".taints", i)
			if t.Key != "" && !labelKey(t.Key) {
				k.err(path+".key", quote(t.Key)+" is not a taint key", "write [domain/]name with letters, digits, hyphens, dots and underscores")
			}
			if !labelValue(t.Value) {
				k.err(path+".value", quote(t.Value)+" is not a taint value", "write at most 63 letters, digits, hyphens, dots and underscores")
			}
			id := t.Key + ":" + t.Effect
			if first, twice := seen[id]; twice {
				k.err(path, quote(id)+" is listed twice, first as "+item(r.path+".taints", first), "remove one of them")
				continue
			}
			seen[id] = i
		}
	}
}

func (k *check) labelMap(path string, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		below := join(path, key)
		switch {
		case !labelKey(key):
			k.err(below, quote(key)+" is not a label key", "write [domain/]name with letters, digits, hyphens, dots and underscores")
		case !kubeletMaySet(key):
			k.err(below, quote(key)+" belongs to Kubernetes, and a kubelet may not set it", "write a domain of your own, as in example.org/"+key[strings.Index(key, "/")+1:])
		case !labelValue(labels[key]):
			k.err(below, quote(labels[key])+" is not a label value", "write at most 63 letters, digits, hyphens, dots and underscores")
		}
	}
}

// qualifiedForm is the name part of label and taint keys, and their values.
var qualifiedForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)

func labelKey(s string) bool {
	name := s
	if domain, rest, ok := strings.Cut(s, "/"); ok {
		if !isDomain(domain) || domain != strings.ToLower(domain) {
			return false
		}
		name = rest
	}
	return qualifiedForm.MatchString(name)
}

func labelValue(s string) bool { return s == "" || qualifiedForm.MatchString(s) }

// kubeletMaySet follows the NodeRestriction admission plugin and the kubelet's
// own check of --node-labels.
func kubeletMaySet(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return true
	}
	under := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	if !under("kubernetes.io") && !under("k8s.io") {
		return true
	}
	return under("kubelet.kubernetes.io") || under("node.kubernetes.io") ||
		key == "topology.kubernetes.io/zone" || key == "topology.kubernetes.io/region"
}
