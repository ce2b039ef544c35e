package api

import (
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/profiles/addons"
)

// everything is a cluster with all add-ons.
func everything(version string) artifact.ClusterFile {
	images := map[string]string{}
	for _, name := range []string{"flannel", "flannel-cni-plugin", "kube-proxy", "coredns", "metrics-server"} {
		images[name] = name + ":v1"
	}
	return artifact.ClusterFile{Role: "master", Kubernetes: version, EndpointURL: "https://192.168.66.253:6443",
		Addons: &artifact.ClusterAddons{CNI: "flannel", KubeProxy: true, CoreDNS: true, MetricsServer: true, PodCIDR: "10.244.0.0/16",
			ClusterDomain: "cluster.local", DNSIP: "10.96.0.10", ProxyMode: "nftables", PodMTU: 1350, Interface: "mesh0", Images: images}}
}

// The table holds what the add-ons and this node use, all of it, and nothing else.
func TestKindsAreThoseThatAreUsed(t *testing.T) {
	used := map[[2]string]bool{}
	for _, r := range []Ref{
		{"v1", "Node", "", "n"}, {"v1", "Pod", "default", "n"}, {"v1", "ConfigMap", "kube-system", "n"}, {"coordination.k8s.io/v1", "Lease", "kube-system", "n"},
		{"certificates.k8s.io/v1", "CertificateSigningRequest", "", "n"},
	} {
		used[[2]string{r.APIVersion, r.Kind}] = true
	}
	for _, version := range []string{"1.34.9", "1.35.6", "1.36.3"} {
		rendered, err := addons.Render(everything(version), addons.Facts{KubeletCA: []byte("ca"), MetricsCert: []byte("cert"), MetricsKey: []byte("key")})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rendered {
			for _, o := range a.Objects {
				used[[2]string{o.APIVersion, o.Kind}] = true
				if err := (Ref{o.APIVersion, o.Kind, o.Namespace, o.Name}).Known(); err != nil {
					t.Errorf("%s, Kubernetes %s: %v", a.Name, version, err)
				}
			}
		}
	}
	for _, k := range kinds {
		if !used[[2]string{k.apiVersion, k.name}] {
			t.Errorf("nothing uses %s of %s", k.name, k.apiVersion)
		}
	}
}

func TestPaths(t *testing.T) {
	for want, r := range map[string]Ref{
		"/api/v1/nodes":       {"v1", "Node", "", ""},
		"/api/v1/nodes/a%2Fb": {"v1", "Node", "", "a/b"},
		"/api/v1/configmaps":  {"v1", "ConfigMap", "", ""},
		"/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy":          {"apps/v1", "DaemonSet", "kube-system", "kube-proxy"},
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node-proxier": {"rbac.authorization.k8s.io/v1", "ClusterRole", "", "system:node-proxier"},
	} {
		if got, err := r.path(); err != nil || got != want {
			t.Errorf("%v: %s %v, not %s", r, got, err, want)
		}
	}
	for _, r := range []Ref{{"v1", "Event", "default", "x"}, {"apps/v1", "Node", "", "x"}, {"v1", "ConfigMap", "", "x"}, {"v1", "Node", "default", "x"}} {
		if r.Known() == nil {
			t.Errorf("%+v has a path", r)
		}
	}
}
