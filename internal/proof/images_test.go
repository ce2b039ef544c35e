package proof

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/spec"
	"github.com/imgforge/imgforge/profiles"
	"github.com/imgforge/imgforge/profiles/addons"
)

// namedImage is how a manifest, as YAML or as JSON, and containerd's configuration
// name an image.
var namedImage = regexp.MustCompile(`(?m)(?:^\s*-?\s*image:\s*|"image":\s*|^\s*sandbox\s*=\s*)["']?([^\s"',}]+)`)

// Whatever a node may be asked to run is in the list of images that bundles are made
// from: in every example, with every minor, CNI and kind of proxy.
func TestEveryNamedImageIsPlanned(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range exampleNames(t) {
		for _, minor := range plan.Minors() {
			for _, proxy := range []string{"iptables", "nftables"} {
				t.Run(name+"/"+minor+"/"+proxy, func(t *testing.T) {
					p := planned(t, name, map[string]string{"kubernetes.version": minor + ".0", "kubernetes.proxyMode": proxy})
					list := plannedImages(t, p)
					for image, from := range named(t, p) {
						if !slices.Contains(list, image) {
							t.Errorf("%s names %s, which the plan's images have not: %q", from, image, list)
						}
						seen[strings.TrimLeft(image[:strings.LastIndexByte(image, ':')], "/")] = true
					}
				})
			}
		}
	}
	// A test that looks in the wrong places sees nothing.
	for _, image := range []string{"registry.k8s.io/kube-apiserver", "registry.k8s.io/pause", "imgforge/keepalived", "docker.io/library/haproxy",
		"registry.k8s.io/etcd", "registry.k8s.io/coredns/coredns", "ghcr.io/flannel-io/flannel", "ghcr.io/flannel-io/flannel-cni-plugin",
		"registry.k8s.io/kube-proxy", "registry.k8s.io/metrics-server/metrics-server"} {
		if !seen[image] {
			t.Errorf("no manifest names %s: %q", image, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// planned is the plan of an example with fields changed.
func planned(t *testing.T, name string, changes map[string]string) *plan.Plan {
	t.Helper()
	text, err := examples.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	file := &yaml.Node{}
	if err := yaml.Unmarshal(text, file); err != nil {
		t.Fatal(err)
	}
	for path, value := range changes {
		set(t, file, path, value)
	}
	if text, err = yaml.Marshal(file); err != nil {
		t.Fatal(err)
	}
	c, _, r := spec.Parse("cluster.yaml", text)
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p, r := plan.New(c, plan.Facts{})
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func plannedImages(t *testing.T, p *plan.Plan) []string {
	t.Helper()
	text, err := json.Marshal(p.Images)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Values(table))
}

// named lists every image that a file of a node names, or an add-on that masters apply.
func named(t *testing.T, p *plan.Plan) map[string]string {
	t.Helper()
	out := map[string]string{}
	look := func(from, text string) {
		for _, m := range namedImage.FindAllStringSubmatch(text, -1) {
			out[m[1]] = from
		}
	}
	for _, role := range p.Roles {
		nodes := p.NodesOf(role.Name)
		if len(nodes) == 0 {
			continue
		}
		doc, err := profiles.Node(p, nodes[0].Name, madeUp{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range doc.Files {
			look(role.Name+" "+f.Path, string(f.Contents))
			if f.Path != artifact.ClusterFilePath {
				continue
			}
			cluster, err := artifact.ParseClusterFile(f.Contents)
			if err != nil {
				t.Fatal(err)
			}
			if cluster.Addons == nil {
				continue
			}
			all, err := addons.Render(cluster, addons.Facts{KubeletCA: []byte("-"), MetricsCert: []byte("-"), MetricsKey: []byte("-")})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				for _, o := range a.Objects {
					look("an add-on's "+o.Name, string(o.JSON))
				}
			}
		}
	}
	return out
}
