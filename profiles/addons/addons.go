// Package addons renders what masters apply to a new cluster: the bindings that
// nodes need, flannel, kube-proxy, CoreDNS and metrics-server. It only makes
// objects; applying them is the node helper's work.
package addons

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Label marks every object with the add-on that it belongs to.
const Label = "imgforge.io/addon"

// Names of the add-ons, in the order in which they are applied.
const (
	Bindings      = "bindings"
	Flannel       = "flannel"
	KubeProxy     = "kube-proxy"
	CoreDNS       = "coredns"
	MetricsServer = "metrics-server"
)

// Addon is one of the base add-ons.
type Addon struct {
	Name    string
	Objects []Object // in the order of applying
}

// Object is one Kubernetes object.
type Object struct {
	APIVersion, Kind, Namespace, Name string
	JSON                              []byte // complete, deterministic
}

// Facts are what only a running master knows.
type Facts struct {
	// KubeletCA signs the kubelets' serving certificates, in PEM.
	KubeletCA []byte
	// MetricsCert and MetricsKey serve metrics-server, in PEM. What stands behind the
	// leaf in the certificate's file is what the API server trusts there.
	MetricsCert, MetricsKey []byte
}

// Render makes the add-ons that are switched on. The bindings always are.
func Render(c artifact.ClusterFile, f Facts) ([]Addon, error) {
	if c.Addons == nil {
		return nil, fmt.Errorf("cluster.json of role %s holds no add-ons: only masters apply them", c.Role)
	}
	if err := knownMinor(c.Kubernetes); err != nil {
		return nil, err
	}
	v, err := newValues(c, f)
	if err != nil {
		return nil, err
	}
	var out []Addon
	for _, name := range switchedOn(c.Addons) {
		objects, err := render(name, v)
		if err != nil {
			return nil, fmt.Errorf("add-on %s: %w", name, err)
		}
		out = append(out, Addon{Name: name, Objects: objects})
	}
	return out, nil
}

// switchedOn lists the add-ons in the order of applying: what nodes wait for first.
func switchedOn(a *artifact.ClusterAddons) []string {
	out := []string{Bindings}
	for _, addon := range []struct {
		name string
		on   bool
	}{
		{Flannel, a.CNI == Flannel}, {KubeProxy, a.KubeProxy}, {CoreDNS, a.CoreDNS}, {MetricsServer, a.MetricsServer},
	} {
		if addon.on {
			out = append(out, addon.name)
		}
	}
	return out
}

// minors are the Kubernetes minors that the manifests have been judged for. What
// differs between them is the images, which the plan chooses; a template asks
// for .Minor where its text has to differ.
func minors() []int { return []int{34, 35, 36} }

func knownMinor(version string) error {
	number, err := minorOf(version)
	if err != nil {
		return err
	}
	if !slices.Contains(minors(), number) {
		return fmt.Errorf("no add-ons are known for Kubernetes %s", version)
	}
	return nil
}

func minorOf(version string) (int, error) {
	parts := strings.Split(version, ".")
	if len(parts) != 3 || parts[0] != "1" {
		return 0, fmt.Errorf("%q is no version of Kubernetes", version)
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("%q is no version of Kubernetes", version)
	}
	return number, nil
}
