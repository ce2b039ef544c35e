package addons

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// variants are clusters that differ in what the templates ask.
func variants() map[string]artifact.ClusterFile {
	out := map[string]artifact.ClusterFile{}
	for _, minor := range minors() {
		out[fmt.Sprintf("1.%d", minor)] = cluster(fmt.Sprintf("1.%d.0", minor))
	}
	for _, mode := range []string{"iptables", "ipvs"} {
		c := cluster("1.36.3")
		c.Addons.ProxyMode = mode
		out[mode] = c
	}
	local := cluster("1.36.3")
	local.EndpointURL = "https://127.0.0.1:6443"
	out["local endpoint"] = local
	foreign := cluster("1.36.3")
	foreign.Addons.KubeProxy, foreign.Addons.ClusterDomain = false, "k8s.example.org"
	out["another kube-proxy"] = foreign
	return out
}

// Every object, and every configuration inside of a ConfigMap, is one that the
// Kubernetes API types take without an unknown or repeated field.
func TestKubernetesDecodesStrictly(t *testing.T) {
	program := testtool.Path(t, "k8s-strict")
	for name, c := range variants() {
		var stream bytes.Buffer
		want := 0
		for _, a := range rendered(t, c) {
			for _, o := range a.Objects {
				texts := append([]string{string(o.JSON)}, configurations(t, o)...)
				for _, text := range texts {
					fmt.Fprintf(&stream, "---\n%s\n", text)
				}
				want += len(texts)
			}
		}
		cmd := exec.Command(program)
		cmd.Stdin = &stream
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if got := bytes.Count(out, []byte("\n")); got != want || want < 20 {
			t.Errorf("%s: %d of %d objects were judged:\n%s", name, got, want, out)
		}
	}
}

// configurations are the Kubernetes objects that a ConfigMap holds as text.
func configurations(t *testing.T, o Object) []string {
	t.Helper()
	var out []string
	for name, text := range data(t, o) {
		if strings.HasSuffix(name, ".conf") {
			out = append(out, text)
		}
	}
	return out
}

// data is what a ConfigMap holds.
func data(t *testing.T, o Object) map[string]string {
	t.Helper()
	if o.Kind != "ConfigMap" {
		return nil
	}
	var c struct{ Data map[string]string }
	if err := json.Unmarshal(o.JSON, &c); err != nil {
		t.Fatal(err)
	}
	return c.Data
}

// podSpec is what the checks of pods look at.
type podSpec struct {
	HostNetwork                bool
	InitContainers, Containers []struct {
		Name, Image, ImagePullPolicy string
		Resources                    struct{ Requests map[string]string }
		ReadinessProbe               *struct{ HTTPGet struct{ Host string } }
		SecurityContext              struct {
			Privileged               bool
			AllowPrivilegeEscalation *bool
			Capabilities             struct{ Drop []string }
		}
	}
	SecurityContext struct{ SeccompProfile struct{ Type string } }
}

func pods(t *testing.T, a Addon) []podSpec {
	t.Helper()
	var out []podSpec
	for _, o := range a.Objects {
		if o.Kind != "DaemonSet" && o.Kind != "Deployment" {
			continue
		}
		var w struct {
			Spec struct{ Template struct{ Spec podSpec } }
		}
		if err := json.Unmarshal(o.JSON, &w); err != nil {
			t.Fatal(err)
		}
		out = append(out, w.Spec.Template.Spec)
	}
	return out
}

// Images are those of the plan's table, all of them, and nothing else: those are
// what an image bundle holds.
func TestImagesAreThePlans(t *testing.T) {
	c := cluster("1.36.3")
	var used []string
	for _, a := range rendered(t, c) {
		for _, p := range pods(t, a) {
			for _, container := range slices.Concat(p.InitContainers, p.Containers) {
				if container.ImagePullPolicy != "IfNotPresent" {
					t.Errorf("%s: container %s is pulled %q", a.Name, container.Name, container.ImagePullPolicy)
				}
				used = append(used, container.Image)
			}
		}
	}
	var want []string
	for _, ref := range c.Addons.Images {
		want = append(want, ref)
	}
	slices.Sort(used)
	slices.Sort(want)
	if !slices.Equal(used, want) {
		t.Errorf("images are %q, the plan names %q", used, want)
	}
}

// Pods ask for what they need, drop what they do not, and those in the host's
// network are probed on loopback, where alone they listen.
func TestPodsAreModest(t *testing.T) {
	for name, c := range variants() {
		for _, a := range rendered(t, c) {
			for _, p := range pods(t, a) {
				if p.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
					t.Errorf("%s, %s: seccomp profile %q", name, a.Name, p.SecurityContext.SeccompProfile.Type)
				}
				for _, container := range slices.Concat(p.InitContainers, p.Containers) {
					s := container.SecurityContext
					ipvs := a.Name == KubeProxy && c.Addons.ProxyMode == "ipvs"
					if s.Privileged != ipvs || !ipvs && (s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"})) {
						t.Errorf("%s, %s: container %s may do too much: %+v", name, a.Name, container.Name, s)
					}
				}
				for _, container := range p.Containers {
					if container.Resources.Requests["cpu"] == "" || container.Resources.Requests["memory"] == "" {
						t.Errorf("%s: container %s requests %v", a.Name, container.Name, container.Resources.Requests)
					}
					if probe := container.ReadinessProbe; probe == nil || (probe.HTTPGet.Host == "127.0.0.1") != p.HostNetwork {
						t.Errorf("%s: container %s is probed at %+v", a.Name, container.Name, probe)
					}
				}
			}
		}
	}
}

// A switch takes away its add-on whole and changes no other, but that flannel
// waits for kube-proxy only where there is one. The bindings have no switch.
func TestSwitches(t *testing.T) {
	all := rendered(t, cluster("1.36.3"))
	for name, off := range map[string]func(*artifact.ClusterAddons){
		Flannel:       func(a *artifact.ClusterAddons) { a.CNI = "none" },
		KubeProxy:     func(a *artifact.ClusterAddons) { a.KubeProxy = false },
		CoreDNS:       func(a *artifact.ClusterAddons) { a.CoreDNS = false },
		MetricsServer: func(a *artifact.ClusterAddons) { a.MetricsServer = false },
	} {
		c := cluster("1.36.3")
		off(c.Addons)
		for image := range c.Addons.Images { // the plan leaves these out too
			if strings.HasPrefix(image, name) {
				delete(c.Addons.Images, image)
			}
		}
		var want, got []string
		for _, a := range all {
			if a.Name != name {
				want = append(want, a.Name)
			}
		}
		for _, a := range rendered(t, c) {
			got = append(got, a.Name)
			for _, o := range a.Objects {
				if label := branch(parsed(t, o), "metadata", "labels")[Label]; label != a.Name {
					t.Errorf("%s %s has label %v, not that of %s", o.Kind, o.Name, label, a.Name)
				}
			}
			same := slices.EqualFunc(a.Objects, all[slices.IndexFunc(all, func(b Addon) bool { return b.Name == a.Name })].Objects,
				func(x, y Object) bool { return bytes.Equal(x.JSON, y.JSON) })
			if !same && (a.Name != Flannel || name != KubeProxy) {
				t.Errorf("without %s, %s is another", name, a.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("without %s: %q, want %q", name, got, want)
		}
	}
}

func parsed(t *testing.T, o Object) map[string]any {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(o.JSON, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// A changed configuration rolls the pods that read it, and a new serving
// certificate does not: metrics-server reads that again by itself.
func TestConfigurationRollsPods(t *testing.T) {
	annotation := func(c artifact.ClusterFile, f Facts, addon string) string {
		all, err := Render(c, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			for _, o := range a.Objects {
				if a.Name == addon && (o.Kind == "DaemonSet" || o.Kind == "Deployment") {
					s, _ := branch(parsed(t, o), "spec", "template", "metadata", "annotations")[configAnnotation].(string)
					return s
				}
			}
		}
		return ""
	}
	before, changed, other := cluster("1.36.3"), cluster("1.36.3"), facts()
	changed.Addons.PodMTU, changed.Addons.ProxyMode, changed.Addons.ClusterDomain = 1280, "iptables", "example.org"
	other.MetricsCert, other.MetricsKey = []byte("(another)\n"), []byte("(another)\n")
	for _, addon := range []string{Flannel, KubeProxy, CoreDNS} {
		if a, b := annotation(before, facts(), addon), annotation(changed, facts(), addon); a == "" || a == b {
			t.Errorf("%s: %q before, %q after its configuration changed", addon, a, b)
		}
	}
	if a, b := annotation(before, facts(), MetricsServer), annotation(before, other, MetricsServer); a == "" || a != b {
		t.Errorf("metrics-server: %q before, %q after its certificate changed", a, b)
	}
	other.KubeletCA = []byte("(another)\n")
	if a, b := annotation(before, facts(), MetricsServer), annotation(before, other, MetricsServer); a == b {
		t.Errorf("metrics-server: %q before and after the kubelets' authority changed", a)
	}
}

// What no sound plan says is an error, not an object.
func TestRenderRefuses(t *testing.T) {
	for name, change := range map[string]func(*artifact.ClusterFile){
		"no add-ons":     func(c *artifact.ClusterFile) { c.Addons = nil },
		"unknown minor":  func(c *artifact.ClusterFile) { c.Kubernetes = "1.33.1" },
		"no version":     func(c *artifact.ClusterFile) { c.Kubernetes = "newest" },
		"no port":        func(c *artifact.ClusterFile) { c.EndpointURL = "https://192.168.66.253" },
		"pod network":    func(c *artifact.ClusterFile) { c.Addons.PodCIDR = "many" },
		"domain":         func(c *artifact.ClusterFile) { c.Addons.ClusterDomain = "cluster.local {\n" },
		"image is empty": func(c *artifact.ClusterFile) { delete(c.Addons.Images, "coredns") },
	} {
		c := cluster("1.36.3")
		change(&c)
		if all, err := Render(c, facts()); err == nil {
			t.Errorf("%s: %d add-ons, no error", name, len(all))
		}
	}
}
