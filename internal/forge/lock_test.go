package forge

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/sysext"
)

func app(t *testing.T) *App {
	t.Helper()
	return &App{Now: time.Now, Rand: nil, Getenv: func(string) string { return "" }, Log: io.Discard}
}

func written(t *testing.T, text string) Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return Source{File: file}
}

// Every example in every minor: what a lock has to hold follows from what is
// rendered, and no image comes from anywhere but the one table.
func TestWantedOfEveryExample(t *testing.T) {
	for _, example := range examples.Names() {
		data, err := examples.Read(example)
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"1.34.4", "1.35.4", "1.36.3"} {
			src := written(t, string(data))
			a := app(t)
			text, err := a.moveKubernetes(&src, version)
			if err != nil {
				t.Fatalf("%s %s: %v", example, version, err)
			}
			if text == nil && version != "1.36.3" {
				t.Fatalf("%s: the version was not moved", example)
			}
			c, err := a.load(src, noFacts)
			if err != nil {
				t.Fatal(err)
			}
			w, err := c.wanted()
			if err != nil {
				t.Fatal(err)
			}
			i := c.plan.Images
			table := []string{i.APIServer, i.ControllerManager, i.Scheduler, i.KubeProxy, i.Etcd, i.CoreDNS, i.Pause, i.HAProxy, i.Keepalived, i.Flannel, i.FlannelCNI, i.MetricsServer}
			for _, image := range w.Images {
				if !slices.Contains(table, image) {
					t.Errorf("%s %s: %s is not in the table", example, version, image)
				}
			}
			for _, image := range table {
				used := image != i.Keepalived || c.plan.Endpoint.Mode == "vip" || len(c.plan.NodesOf("proxy")) > 0
				if slices.Contains(w.Images, image) != used {
					t.Errorf("%s %s: %s is wanted: %v", example, version, image, !used)
				}
			}
			if w.Kubernetes != version {
				t.Errorf("%s: %s", example, w.Kubernetes)
			}
		}
	}
}

// Switched off, an add-on takes its images along.
func TestNoImageOfWhatIsOff(t *testing.T) {
	src := written(t, "name: a\nplatform: {provider: metal}\nroles: {master: {count: 1, nodes: [{name: master-1, endpoint: 192.0.2.1}]}}\n"+
		"addons: {cni: none, kubeProxy: false, coreDNS: false, metricsServer: false}\n")
	c, err := app(t).load(src, noFacts)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.wanted()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range w.Images {
		for _, off := range []string{"flannel", "kube-proxy", "coredns", "metrics-server", "keepalived"} {
			if strings.Contains(image, off) {
				t.Errorf("%s is wanted", image)
			}
		}
	}
	if len(w.Made) > 0 || len(w.Packages[catalog.UseKeepalived]) > 0 {
		t.Errorf("keepalived is made where no address floats: %v", w.Packages)
	}
}

// What an extension is made of is what the lock pins: both ask the catalogue.
func TestExtensionsAndCatalogueAgree(t *testing.T) {
	for _, b := range catalog.Bases() {
		var programs []string
		for _, p := range sysext.Programs(shipped(b.Ships)) {
			programs = append(programs, p.Name)
		}
		for name, ships := range map[string]bool{"containerd": b.Ships.Containerd, "runc": b.Ships.Containerd, "nft": b.Ships.Nft, "wg": b.Ships.WireGuard, "conntrack": b.Ships.Conntrack, "ethtool": b.Ships.Ethtool} {
			if slices.Contains(programs, name) == ships {
				t.Errorf("%s %s: %s is brought: %v", b.Family, b.Channel, name, !ships)
			}
		}
	}
}

// The version moves wherever a file has it, and nothing else does.
func TestVersionMovesAlone(t *testing.T) {
	const rest = "name: a # the name\nplatform: {provider: metal}\nroles: {master: {count: 1, nodes: [{name: master-1, endpoint: 192.0.2.1}]}}\n"
	for _, tc := range []struct{ name, before, after string }{
		{"plain", "kubernetes:\n  # why\n  version: 1.36.2 # tested\n" + rest, "kubernetes:\n  # why\n  version: 1.36.4 # tested\n" + rest},
		{"quoted", "kubernetes:\n  version: \"1.36.2\"\n" + rest, "kubernetes:\n  version: 1.36.4\n" + rest},
		{"in braces", "kubernetes: {version: 1.36.2, maxPods: 100}\n" + rest, "kubernetes: {version: 1.36.4, maxPods: 100}\n" + rest},
		{"without a version", "kubernetes: # ours\n    maxPods: 100\n" + rest, "kubernetes: # ours\n    version: 1.36.4\n    maxPods: 100\n" + rest},
		{"without anything", rest, rest + "kubernetes:\n  version: 1.36.4\n"},
		{"no end of line", strings.TrimSuffix(rest, "\n"), rest + "kubernetes:\n  version: 1.36.4\n"},
		{"Windows", strings.ReplaceAll("kubernetes:\n  version: 1.36.2 # x\n"+rest, "\n", "\r\n"), strings.ReplaceAll("kubernetes:\n  version: 1.36.4 # x\n"+rest, "\n", "\r\n")},
	} {
		src := written(t, tc.before)
		got, err := app(t).moveKubernetes(&src, "1.36.4")
		if err != nil || string(got) != tc.after {
			t.Errorf("%s: %v\n%s", tc.name, err, got)
		}
		if text, err := os.ReadFile(src.File); err != nil || string(text) != tc.before {
			t.Errorf("%s: the file was written before anything was resolved", tc.name)
		}
	}
	for name, text := range map[string]string{
		"in braces without a version": "kubernetes: {maxPods: 100}\n" + rest,
		"an alias":                    "kubernetes: &k {maxPods: 100}\n" + rest,
	} {
		src := written(t, text)
		_, err := app(t).moveKubernetes(&src, "1.36.4")
		if err == nil {
			t.Errorf("%s: it was moved", name)
		}
	}
	src := written(t, rest)
	if text, err := app(t).moveKubernetes(&src, "1.36.3"); text != nil || err != nil {
		t.Errorf("the version that it has: %q, %v", text, err)
	}
	if _, err := app(t).moveKubernetes(&Source{File: "-", In: strings.NewReader(rest)}, "1.36.4"); err == nil {
		t.Error("standard input was changed")
	}
}
