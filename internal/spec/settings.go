package spec

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// lists refuses entries that stand twice.
func (k *check) lists() {
	k.repeats("ntp", k.NTP)
	k.repeats("dns", k.DNS)
	k.repeats("proxy.noProxy", k.Proxy.NoProxy)
}

// settings checks what nodes are told besides Kubernetes.
func (k *check) settings() {
	// glibc reads three name servers, and the kubelet warns about more.
	if len(k.DNS) > 3 {
		k.warn(item("dns", 3), fmt.Sprintf("only the first 3 of %d resolvers are asked", len(k.DNS)), "write at most 3")
	}
	services, ok := prefix(k.Kubernetes.ServiceCIDR)
	for i, s := range k.DNS {
		if a, err := netip.ParseAddr(s); err == nil && ok && services.Contains(a) {
			k.err(item("dns", i), s+" lies inside kubernetes.serviceCIDR: cluster DNS would ask itself", "write a resolver outside the cluster")
		}
	}
	if len(k.Proxy.NoProxy) > 0 && k.Proxy.HTTP == "" && k.Proxy.HTTPS == "" {
		k.warn("proxy.noProxy", "there is no proxy to go around", "write proxy.https, or remove it")
	}
	if k.Kubernetes.ClusterDomain != "" && k.Kubernetes.ClusterDomain == k.Platform.PrivateDomain {
		k.err("kubernetes.clusterDomain", quote(k.Kubernetes.ClusterDomain)+" is platform.privateDomain as well, so node names would be looked for among Services", "write cluster.local")
	}
	k.restore()
}

// restore checks where a snapshot comes from.
func (k *check) restore() {
	from := k.Etcd.RestoreFrom
	if from == "" || strings.HasPrefix(from, "/") && path.Clean(from) == from && from != "/" {
		return
	}
	u, err := url.Parse(from)
	switch {
	case err != nil || u.Scheme != "s3" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/":
		k.err("etcd.restoreFrom", quote(from)+" is neither a path on the node nor an s3 or https URL", "write one such as /var/lib/imgforge/snapshots/latest.db.age")
	case u.User != nil:
		k.err("etcd.restoreFrom", "the URL holds a user name", keepSecret)
	}
}
