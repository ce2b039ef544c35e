package addons

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
)

var update = flag.Bool("update", false, "write goldens")

// cluster is a master's cluster.json with everything on.
func cluster(version string) artifact.ClusterFile {
	return artifact.ClusterFile{
		Cluster: "nostromo", Role: "master", Kubernetes: version, EndpointURL: "https://192.168.66.253:6443", APIServerPort: 8443,
		Addons: &artifact.ClusterAddons{
			CNI: "flannel", KubeProxy: true, CoreDNS: true, MetricsServer: true,
			PodCIDR: "10.244.0.0/16", ClusterDomain: "cluster.local", DNSIP: "10.96.0.10", ProxyMode: "nftables", PodMTU: 1346, Interface: "imgforge0",
			Images: map[string]string{
				"flannel": "ghcr.io/flannel-io/flannel:v0.28.9", "flannel-cni-plugin": "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
				"kube-proxy": "registry.k8s.io/kube-proxy:v" + version, "coredns": "registry.k8s.io/coredns/coredns:v1.14.2",
				"metrics-server": "registry.k8s.io/metrics-server/metrics-server:v0.8.1",
			},
		},
	}
}

// facts stand for what a master makes while it runs: no key is in a golden.
func facts() Facts {
	return Facts{KubeletCA: []byte("(kubelet-signer's certificate)\n"), MetricsCert: []byte("(certificate)\n"), MetricsKey: []byte("(key)\n")}
}

func rendered(t *testing.T, c artifact.ClusterFile) []Addon {
	t.Helper()
	all, err := Render(c, facts())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// asYAML is what people read: the objects in the order of applying.
func asYAML(t *testing.T, a Addon) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, o := range a.Objects {
		var d any
		if err := yaml.Unmarshal(o.JSON, &d); err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n")
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(d); err != nil {
			t.Fatal(err)
		}
		enc.Close()
	}
	return b.Bytes()
}

func TestGoldens(t *testing.T) {
	for _, version := range []string{"1.34.0", "1.35.0", "1.36.3"} {
		for _, a := range rendered(t, cluster(version)) {
			minor := version[:strings.LastIndex(version, ".")]
			path := filepath.Join("testdata", minor, a.Name+".yaml")
			got := asYAML(t, a)
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; run go test ./profiles/addons -update and read the difference", path)
			}
		}
	}
}
