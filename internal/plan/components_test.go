package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/spec"
)

func TestFlags(t *testing.T) {
	for _, version := range []string{"1.34.4", "1.35.4", "1.36.3"} {
		c := parse(t, nostromo)
		c.Kubernetes.Version = version
		p := mustPlan(t, c, Facts{})
		var b strings.Builder
		for _, component := range slices.Sorted(maps.Keys(p.Kubernetes.Flags)) {
			fmt.Fprintln(&b, component)
			for _, f := range p.Kubernetes.Flags[component] {
				fmt.Fprintf(&b, "  --%s=%s\n", f.Name, f.Value)
			}
		}
		golden(t, "flags-"+version[:4]+".txt", []byte(b.String()))
	}
}

func flagValue(p *Plan, component, name string) (string, bool) {
	for _, f := range p.Kubernetes.Flags[component] {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

func TestFlagsThatWouldOpenAClusterAreAbsent(t *testing.T) {
	p := mustPlan(t, parse(t, nostromo), Facts{})
	for component, names := range map[string][]string{
		ComponentAPIServer:         {"anonymous-auth", "token-auth-file", "enable-bootstrap-token-auth", "insecure-port", "etcd-prefix"},
		ComponentControllerManager: {"cluster-signing-cert-file", "cluster-signing-key-file"},
		ComponentKubelet:           {"pod-infra-container-image", "anonymous-auth", "node-labels"},
	} {
		for _, name := range names {
			if value, ok := flagValue(p, component, name); ok {
				t.Errorf("%s has --%s=%s", component, name, value)
			}
		}
	}
}

// A flag that we set and a user may replace would make the plan's promises void.
func TestEveryFlagIsReserved(t *testing.T) {
	for _, m := range minors() {
		c := parse(t, nostromo)
		c.Kubernetes.Version = fmt.Sprintf("1.%d.0", m.number)
		for component, flags := range mustPlan(t, c, Facts{}).Kubernetes.Flags {
			for _, f := range flags {
				if !spec.ReservedFlag(component, f.Name) {
					t.Errorf("1.%d %s: the cluster file may set --%s", m.number, component, f.Name)
				}
			}
		}
	}
}

func TestSpecAndPlanKnowTheSameMinors(t *testing.T) {
	var known []int
	for _, m := range minors() {
		known = append(known, m.number)
	}
	if !slices.Equal(known, spec.Minors()) {
		t.Errorf("the cluster file accepts %v, plans are made for %v", spec.Minors(), known)
	}
}

func TestExtraArgsAreMergedAndSorted(t *testing.T) {
	c := parse(t, nostromo)
	c.Kubernetes.ExtraArgs.APIServer = map[string]string{"event-ttl": "2h", "audit-log-maxage": "60"}
	c.Kubernetes.ExtraArgs.Etcd = map[string]string{"quota-backend-bytes": "8589934592"}
	c.Kubernetes.ExtraArgs.Scheduler = map[string]string{"v": "4"}
	c.Kubernetes.ExtraArgs.ControllerManager = map[string]string{"node-monitor-grace-period": "20s"}
	c.Kubernetes.ExtraArgs.Kubelet = map[string]string{"v": "4"}
	p := mustPlan(t, c, Facts{})
	for _, tc := range [][3]string{
		{ComponentAPIServer, "event-ttl", "2h"}, {ComponentAPIServer, "audit-log-maxage", "60"}, {ComponentEtcd, "quota-backend-bytes", "8589934592"},
		{ComponentScheduler, "v", "4"}, {ComponentControllerManager, "node-monitor-grace-period", "20s"}, {ComponentKubelet, "v", "4"},
	} {
		if got, _ := flagValue(p, tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s --%s=%s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
	for component, flags := range p.Kubernetes.Flags {
		names := make([]string, 0, len(flags))
		for _, f := range flags {
			names = append(names, f.Name)
		}
		if !slices.IsSorted(names) || len(slices.Compact(names)) != len(flags) {
			t.Errorf("%s: flags are not sorted and unique", component)
		}
	}
}

// Which members etcd starts with is not the plan's to say: a value that was true
// once would found a second cluster later.
func TestMembersAreLeftToTheNode(t *testing.T) {
	p := mustPlan(t, parse(t, nostromo), Facts{})
	for flag, want := range map[string]string{"initial-cluster": "${INITIAL_CLUSTER}", "initial-cluster-state": "${INITIAL_CLUSTER_STATE}"} {
		if got, _ := flagValue(p, ComponentEtcd, flag); got != want {
			t.Errorf("--%s=%s", flag, got)
		}
	}
}

func TestOverride(t *testing.T) {
	images := mustPlan(t, parse(t, nostromo), Facts{}).Images
	before := images
	pinned, err := images.Override(map[string]string{"pause": "registry.example.org/pause:9", "haproxy": "lab/haproxy:2.6"})
	if err != nil {
		t.Fatal(err)
	}
	if pinned.Pause != "registry.example.org/pause:9" || pinned.HAProxy != "lab/haproxy:2.6" || pinned.Etcd != before.Etcd {
		t.Errorf("%+v", pinned)
	}
	if images != before {
		t.Error("Override changed the table it was called on")
	}
	for _, bad := range []map[string]string{{"nginx": "nginx:1"}, {"pause": ""}} {
		if _, err := images.Override(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func TestEveryImageCanBeReplaced(t *testing.T) {
	var images Images
	fields := reflect.TypeOf(images)
	for i := range fields.NumField() {
		name := fields.Field(i).Tag.Get("json")
		got, err := images.Override(map[string]string{name: "x:1"})
		if err != nil || reflect.ValueOf(got).Field(i).String() != "x:1" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestImagesOfEveryMinor(t *testing.T) {
	for _, m := range minors() {
		v := reflect.ValueOf(imagesOf(Kubernetes{Version: fmt.Sprintf("1.%d.1", m.number), Minor: m.number}))
		for i := range v.NumField() {
			name, tag, ok := strings.Cut(v.Field(i).String(), ":")
			if !ok || name == "" || tag == "" || tag == "latest" {
				t.Errorf("1.%d: %s is %q", m.number, v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
}

func TestPorts(t *testing.T) {
	var b strings.Builder
	for _, tc := range []struct{ title, text string }{
		{"tinc, VIP, proxies", nostromo},
		{"the same with endpoint.access", strings.Replace(nostromo, "endpoint: {", "endpoint: {access: [203.0.113.0/24], ", 1)},
		{"WireGuard, local endpoint, no proxies", exoscale},
		{"the same with endpoint.access", strings.Replace(exoscale, "network:", "endpoint: {access: [203.0.113.0/24]}\nnetwork:", 1)},
		{"no mesh, no CNI", "{name: lan, platform: {provider: metal}, addons: {cni: none}, network: {mesh: none, interface: eth0}, roles: {master: {count: 3}}}"},
	} {
		fmt.Fprintf(&b, "%s\n", tc.title)
		for _, p := range mustPlan(t, parse(t, tc.text), Facts{}).Ports {
			fmt.Fprintf(&b, "  %-6s %-4s %-5d from %-8s for %s\n", p.Role, p.Proto, p.Port, p.From, p.For)
		}
		b.WriteString("\n")
	}
	golden(t, "ports.txt", []byte(strings.TrimSuffix(b.String(), "\n")))
}

func TestEveryProviderAndFamily(t *testing.T) {
	var b strings.Builder
	families := []string{"flatcar", "fcos", "imgforge", "debian", "ubuntu"}
	for _, family := range families {
		o := osOf(spec.OS{Family: family, Channel: "stable"}, "amd64")
		fmt.Fprintf(&b, "%-8s %s, butane %s %s, ignition %s, %s, NetworkManager %t\n", family,
			o.Format, o.Variant, o.VariantVersion, o.IgnitionVersion, o.Updater, o.NetworkManager)
	}
	for _, provider := range []string{"scaleway", "exoscale", "hetzner", "ec2", "openstack", "proxmox", "libvirt", "metal"} {
		fmt.Fprintf(&b, "\n%s\n", provider)
		last := ""
		for _, family := range families {
			c := parse(t, exoscale)
			c.Platform.Provider, c.OS.Family = provider, family
			p := mustPlan(t, c, Facts{}).Platform
			if last == "" {
				fmt.Fprintf(&b, "  budget %d, base64 %t: %s\n  metadata %v\n", p.Budget.Bytes, p.Budget.Base64, p.Budget.Source, p.Metadata)
			}
			if last != p.Drive+p.Delivery {
				fmt.Fprintf(&b, "  from %s: drive %q, %s\n", family, p.Drive, p.Delivery)
			}
			last = p.Drive + p.Delivery
		}
	}
	golden(t, "platforms.txt", []byte(b.String()))
}

func TestTheUsersBudgetWins(t *testing.T) {
	c := parse(t, nostromo)
	c.Platform.UserDataBudget = 4096
	if b := mustPlan(t, c, Facts{}).Platform.Budget; b.Bytes != 4096 || b.Source != "platform.userDataBudget" {
		t.Errorf("%+v", b)
	}
}

func TestNoProxyHoldsTheClusterItself(t *testing.T) {
	c := parse(t, nostromo)
	if p := mustPlan(t, c, Facts{}); p.Settings.NoProxy != nil {
		t.Errorf("without a proxy: %v", p.Settings.NoProxy)
	}
	c.Proxy.HTTPS, c.Proxy.NoProxy = "http://proxy.example.org:3128", []string{".example.org", "localhost"}
	p := mustPlan(t, c, Facts{})
	for _, want := range []string{"10.244.0.0/16", "10.96.0.0/16", "192.168.66.0/24", ".cluster.local", "127.0.0.1", ".nostromo.internal", "169.254.42.42", ".example.org"} {
		if !slices.Contains(p.Settings.NoProxy, want) {
			t.Errorf("%s is missing from %v", want, p.Settings.NoProxy)
		}
	}
}

func TestSettingsAreCopiedWhole(t *testing.T) {
	c := parse(t, nostromo)
	c.OIDC = &spec.OIDC{Issuer: "https://login.example.org", ClientID: "kubernetes", UsernameClaim: "email", UsernamePrefix: "o:", GroupsClaim: "groups", GroupsPrefix: "g:", CA: "pem"}
	c.Registries = []spec.Registry{{Host: "r.example.org", Mirrors: []string{"https://m.example.org"}, CA: "pem", Username: "robot", PasswordRef: "robot"}}
	s := mustPlan(t, c, Facts{}).Settings
	if got := (spec.OIDC)(*s.OIDC); got != *c.OIDC {
		t.Errorf("%+v", got)
	}
	want := Registry{Host: "r.example.org", Mirrors: []string{"https://m.example.org"}, CA: "pem", Username: "robot", SecretKey: "user/robot"}
	if !reflect.DeepEqual(s.Registries, []Registry{want}) {
		t.Errorf("%+v", s.Registries)
	}
}

func TestTaints(t *testing.T) {
	taints := func(edit func(*spec.Cluster), role string) []Taint {
		c := parse(t, nostromo)
		edit(c)
		r, _ := mustPlan(t, c, Facts{}).Role(role)
		return r.Taints
	}
	unset := func(c *spec.Cluster) { c.Roles.Master.Taints, c.Roles.Proxy.Taints = nil, nil }
	alone := func(c *spec.Cluster) { unset(c); c.Roles.Proxy, c.Roles.Worker = spec.Role{}, spec.Role{} }
	none := func(c *spec.Cluster) { c.Roles.Master.Taints = []spec.Taint{} }
	gpu := func(c *spec.Cluster) {
		c.Roles.Worker.Taints = []spec.Taint{{Key: "gpu", Value: "a", Effect: "NoExecute"}}
	}
	for name, tc := range map[string]struct {
		got  []Taint
		want string
	}{
		"masters":         {taints(unset, Master), "[{node-role.kubernetes.io/control-plane  NoSchedule}]"},
		"proxies":         {taints(unset, Proxy), "[{node-role.imgforge.io/proxy  NoSchedule}]"},
		"workers":         {taints(unset, Worker), "[]"},
		"masters alone":   {taints(alone, Master), "[]"},
		"none, as listed": {taints(none, Master), "[]"},
		"one, as listed":  {taints(gpu, Worker), "[{gpu a NoExecute}]"},
	} {
		if got := fmt.Sprint(tc.got); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
