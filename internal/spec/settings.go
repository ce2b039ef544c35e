package spec

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
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
	k.snapshot()
}

// leastEvery is the shortest time between two snapshots: each reads the whole database.
const leastEvery = 5 * time.Minute

// snapshot checks the schedule and the bucket.
func (k *check) snapshot() {
	s := k.Etcd.Snapshot
	if every, err := time.ParseDuration(s.Every); err == nil && every < leastEvery {
		k.err("etcd.snapshot.every", s.Every+" is too often: each snapshot reads the whole database", "write 5m or more")
	}
	if s.S3 == nil {
		return
	}
	if p := s.S3.Prefix; p != "" && (path.Clean(p) != p || strings.HasPrefix(p, "/") || strings.HasPrefix(p, "..")) {
		k.err("etcd.snapshot.s3.prefix", quote(p)+" is no plain folder", "write names with / between them, as in backups/nostromo")
	}
	if !bucketForm.MatchString(s.S3.Bucket) && s.S3.Bucket != "" {
		k.err("etcd.snapshot.s3.bucket", quote(s.S3.Bucket)+" is no name of a bucket", "write 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if u, err := url.Parse(s.S3.Endpoint); err == nil && strings.Trim(u.Path, "/") != "" {
		k.err("etcd.snapshot.s3.endpoint", quote(s.S3.Endpoint)+" has a path", "write the server alone, and bucket and prefix beside it")
	}
}

// clusterID is how etcdctl prints one.
var clusterID = regexp.MustCompile(`^[1-9a-f][0-9a-f]{0,15}$`)

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// restore checks where a snapshot comes from.
func (k *check) restore() {
	from := k.Etcd.RestoreFrom
	switch a := k.Etcd.Abandon; {
	case a != "" && from == "":
		k.err("etcd.abandon", "there is nothing to restore, so no data stands in its way", "remove it, or write etcd.restoreFrom")
	case a != "" && !clusterID.MatchString(a):
		k.err("etcd.abandon", quote(a)+" is no id of an etcd cluster", "write what boot code 520 names, 1 to 16 of 0-9 and a-f, in quotes")
	}
	if from == "" || strings.HasPrefix(from, "/") && path.Clean(from) == from && from != "/" {
		return
	}
	u, err := url.Parse(from)
	switch {
	case err != nil || u.Scheme != "s3" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/":
		k.err("etcd.restoreFrom", quote(from)+" is neither a path on the node nor an s3 or https URL", "write one such as /var/lib/imgforge/snapshots/latest.db.age")
	case u.User != nil:
		k.err("etcd.restoreFrom", "the URL holds a user name", keepSecret)
	case u.Scheme == "s3" && k.Etcd.Snapshot.S3 == nil && !k.src.has("etcd.snapshot.s3"):
		k.err("etcd.restoreFrom", "nothing says which server has the bucket "+u.Host, "write etcd.snapshot.s3 as well")
	case u.RawQuery != "": // a signed URL ends by itself and what it gives is sealed, so it is no error
		k.warn("etcd.restoreFrom", "whoever reads this file or a payload can fetch what the query of this URL opens", "write an s3 URL and etcd.snapshot.s3, whose keys are secrets by name, or let the signature end soon and commit no file that holds it")
	}
}
