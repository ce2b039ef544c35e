package proof

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/spec"
	"github.com/imgforge/imgforge/profiles"
)

// Two files on which fields are changed one at a time: not every value goes with every mesh.
const (
	meshed = `
name: nostromo
platform: {provider: scaleway}
endpoint: {mode: vip, access: [203.0.113.0/24]}
network: {mesh: tinc}
proxy: {http: "http://proxy.example.org:3128"}
oidc: {issuer: "https://login.example.org", clientID: kubernetes}
registries: [{host: registry.example.org, username: robot, passwordRef: registry-password}]
etcd: {snapshot: {s3: {endpoint: "https://s3.example.org", bucket: nostromo-etcd, accessKeyRef: s3-access-key, secretKeyRef: s3-secret-key}}}
roles:
  master: {count: 3, reboot: {start: "04:00", length: 4h}, nodes: [{name: m1}]}
  proxy:  {count: 2, reserve: 1, publicIP: 51.15.132.63, reboot: {start: "06:00", length: 2h}, nodes: [{name: p1}]}
  worker: {count: 2, reserve: 2, reboot: {start: "12:00", length: 4h}, nodes: [{name: w1}]}
`
	onLAN = `
name: nostromo
os: {family: fcos}
platform: {provider: metal}
endpoint: {mode: vip}
network: {mesh: none, cidr: 192.168.1.0/24, interface: eth0}
roles:
  master: {count: 3, nodes: [{name: m1, address: 192.168.1.11}, {name: m2}, {name: m3}]}
  worker: {count: 2, nodes: [{name: w1}, {name: w2}]}
`
)

// change is another valid value of a field. A path with roles.* is tried for each role.
type change struct {
	path, value string
	base        string // meshed when empty
	// also are further fields that the value needs, as path: value pairs.
	also map[string]string
}

var changes = []change{
	{path: "name", value: "sulaco"},
	{path: "kubernetes.version", value: "1.35.1"},
	{path: "kubernetes.podCIDR", value: "10.200.0.0/16"},
	{path: "kubernetes.serviceCIDR", value: "10.97.0.0/16"},
	{path: "kubernetes.clusterDomain", value: "k8s.example.org"},
	{path: "kubernetes.proxyMode", value: "iptables"},
	{path: "kubernetes.maxPods", value: "60"},
	{path: "kubernetes.extraArgs.apiserver", value: "{event-ttl: 2h}"},
	{path: "kubernetes.extraArgs.controllerManager", value: "{node-monitor-grace-period: 20s}"},
	{path: "kubernetes.extraArgs.scheduler", value: `{v: "4"}`},
	{path: "kubernetes.extraArgs.etcd", value: `{quota-backend-bytes: "8589934592"}`},
	{path: "kubernetes.extraArgs.kubelet", value: `{v: "4"}`},
	{path: "endpoint.mode", value: "local"},
	{path: "endpoint.address", value: "192.168.66.250"},
	{path: "endpoint.port", value: "7443"},
	{path: "endpoint.sans", value: "[k8s.example.org]"},
	{path: "endpoint.access", value: "[198.51.100.0/24]"},
	{path: "network.mesh", value: "none", also: map[string]string{"network.interface": "eth0"}},
	{path: "network.cidr", value: "192.168.70.0/24"},
	{path: "network.port", value: "656"},
	{path: "network.operators", value: "[ana]"},
	{path: "network.interface", value: "eth1", base: onLAN},
	{path: "network.gateway", value: "192.168.1.1", base: onLAN},
	{path: "network.tincVersion", value: `"1.1"`},
	{path: "network.underlayMTU", value: "1450"},
	{path: "network.vrrpID", value: "7"},
	{path: "os.family", value: "debian"},
	{path: "os.channel", value: "beta"},
	{path: "platform.provider", value: "libvirt", also: map[string]string{"roles.master.nodes": "[{name: m1, endpoint: 203.0.113.10}]"}},
	{path: "platform.zone", value: "nl-ams-1"},
	{path: "platform.userDataBudget", value: "100000"},
	{path: "platform.privateDomain", value: "private.example.org"},
	{path: "platform.scaleway.egress", value: "none"},
	{path: "platform.scaleway.image", value: "debian_bookworm"},
	{path: "platform.scaleway.rootSize", value: "30"},
	{path: "platform.scaleway.dataSize", value: "100"},
	{path: "platform.scaleway.keepUserData", value: "true"},
	{path: "platform.scaleway.publicIPKeyRef", value: "registry-password", also: map[string]string{"platform.zone": "fr-par-1"}},
	{path: "roles.*.count", value: "1"},
	{path: "roles.*.reserve", value: "4"},
	{path: "roles.*.reboot.start", value: `"08:00"`},
	{path: "roles.*.reboot.length", value: "3h"},
	{path: "roles.*.reboot.days", value: "[Tue]"},
	{path: "roles.*.publicIP", value: "51.15.132.64"},
	{path: "roles.*.dataDisk", value: "/dev/sdb"},
	{path: "roles.*.rootDisk", value: "/dev/nvme0n1"},
	{path: "roles.*.type", value: "PRO2-XXS"},
	{path: "roles.*.image", value: "11111111-2222-4333-8444-555555555555"},
	{path: "roles.*.labels", value: "{tier: edge}"},
	{path: "roles.*.taints[0].key", value: "dedicated"},
	{path: "roles.*.taints[0].value", value: "gpu", also: map[string]string{"roles.*.taints[0].key": "dedicated"}},
	{path: "roles.*.taints[0].effect", value: "NoExecute", also: map[string]string{"roles.*.taints[0].key": "dedicated"}},
	{path: "roles.*.nodes[0].name", value: "ripley"},
	{path: "roles.*.nodes[0].endpoint", value: "203.0.113.10"},
	{path: "roles.*.nodes[0].address", value: "192.168.66.77"},
	{path: "roles.*.nodes[0].publicIP", value: "203.0.113.10"},
	{path: "roles.*.nodes[0].type", value: "PRO2-XXS"},
	{path: "roles.*.nodes[0].mac", value: "52:54:00:12:34:56"},
	{path: "roles.*.nodes[0].rootDisk", value: "/dev/sda"},
	// A role payload formats the same disk on every node, so only a role of one node may differ.
	{path: "roles.*.nodes[0].dataDisk", value: "/dev/sdb", also: map[string]string{"roles.*.count": "1", "roles.*.reserve": "0"}},
	{path: "roles.*.nodes[0].labels", value: "{disk: ssd}"},
	{path: "roles.*.nodes[0].interface", value: "enp1s0"},
	{path: "etcd.founded", value: "true"},
	{path: "etcd.restoreFrom", value: "/var/lib/imgforge/snapshots/latest.db.age", also: map[string]string{"etcd.founded": "true"}},
	{path: "etcd.abandon", value: "8c3f5a1be0d24c67", also: map[string]string{"etcd.restoreFrom": "/var/lib/imgforge/snapshots/latest.db.age"}},
	{path: "etcd.dataDisk", value: "/dev/sdc"},
	{path: "etcd.snapshot.enabled", value: "false"},
	{path: "etcd.snapshot.every", value: "2h"},
	{path: "etcd.snapshot.keep.last", value: "25"},
	{path: "etcd.snapshot.keep.daily", value: "8"},
	{path: "etcd.snapshot.keep.weekly", value: "4"},
	{path: "etcd.snapshot.s3.endpoint", value: "https://s3.example.net"},
	{path: "etcd.snapshot.s3.region", value: "fr-par"},
	{path: "etcd.snapshot.s3.bucket", value: "sulaco-etcd"},
	{path: "etcd.snapshot.s3.prefix", value: "backups/nostromo"},
	{path: "etcd.snapshot.s3.accessKeyRef", value: "other-access-key"},
	{path: "etcd.snapshot.s3.secretKeyRef", value: "other-secret-key"},
	{path: "etcd.snapshot.s3.ca", value: "$PEM"},
	{path: "ingress.ports.http", value: "30081"},
	{path: "ingress.ports.https", value: "30444"},
	{path: "addons.cni", value: "none"},
	{path: "addons.kubeProxy", value: "false"},
	{path: "addons.coreDNS", value: "false"},
	{path: "addons.metricsServer", value: "false"},
	{path: "pki.leafDays", value: "90"},
	{path: "delivery", value: "fetch", also: map[string]string{"artifacts.url": "https://artifacts.example.org/nostromo"}},
	{path: "artifacts.url", value: "https://artifacts.example.org/nostromo"},
	{path: "oidc.issuer", value: "https://accounts.example.org"},
	{path: "oidc.clientID", value: "imgforge"},
	{path: "oidc.usernameClaim", value: "sub"},
	{path: "oidc.usernamePrefix", value: `"people:"`},
	{path: "oidc.groupsClaim", value: "teams"},
	{path: "oidc.groupsPrefix", value: `"teams:"`},
	{path: "oidc.ca", value: "$PEM"},
	{path: "ntp", value: "[0.pool.ntp.org]"},
	{path: "dns", value: "[9.9.9.9]"},
	{path: "timezone", value: "Europe/Paris"},
	{path: "proxy.http", value: "http://other.example.org:3128"},
	{path: "proxy.https", value: "http://other.example.org:3128"},
	{path: "proxy.noProxy", value: "[.example.org]"},
	{path: "registries[0].host", value: "other.example.org"},
	{path: "registries[0].mirrors", value: "[https://mirror.example.org]"},
	{path: "registries[0].ca", value: "$PEM"},
	{path: "registries[0].username", value: "android"},
	{path: "registries[0].passwordRef", value: "other-password"},
	{path: "arch", value: "arm64"},
	{path: "extra.all", value: "$BUTANE"},
	{path: "extra.master", value: "$BUTANE"},
	{path: "extra.proxy", value: "$BUTANE"},
	{path: "extra.worker", value: "$BUTANE"},
}

// elsewhere are fields whose consumer is not a plan or a document, with the test that shows it.
var elsewhere = map[string]string{
	"apiVersion":        "has one value only",
	"kind":              "has one value only",
	"pki.algorithm":     "TestAuthorityFields",
	"pki.authorityDays": "TestAuthorityFields",
}

// Every field of the cluster file changes something: a key that nothing reads is a promise that nothing keeps.
func TestEveryFieldHasAConsumer(t *testing.T) {
	rows := map[string]change{}
	for _, c := range changes {
		for _, role := range rolesOf(c.path) {
			path := strings.ReplaceAll(c.path, "*", role)
			rows[path] = c
		}
	}
	for _, path := range leaves(reflect.TypeFor[spec.Cluster](), "") {
		if _, ok := elsewhere[path]; ok {
			continue
		}
		c, ok := rows[path]
		if !ok {
			t.Errorf("%s: no row says what reads this field: add another valid value of it", path)
			continue
		}
		delete(rows, path)
		t.Run(path, func(t *testing.T) { consumed(t, path, c) })
	}
	for path := range rows {
		t.Errorf("%s: the cluster file has no such field", path)
	}
}

func rolesOf(path string) []string {
	if strings.Contains(path, "*") {
		return []string{"master", "proxy", "worker"}
	}
	return []string{""}
}

func consumed(t *testing.T, path string, c change) {
	role := ""
	if parts := strings.Split(path, "."); parts[0] == "roles" {
		role = parts[1]
	}
	base := c.base
	if base == "" {
		base = meshed
	}
	file := &yaml.Node{}
	if err := yaml.Unmarshal([]byte(base), file); err != nil {
		t.Fatal(err)
	}
	// What the value needs besides belongs to both sides, so that only the field itself differs.
	for also, value := range c.also {
		set(t, file, strings.ReplaceAll(also, "*", role), value)
	}
	before := consumers(t, file)
	set(t, file, path, c.value)
	after := consumers(t, file)
	if before == after {
		t.Errorf("neither the plan nor a document changes with %s: %s", path, c.value)
	}
}

// consumers is all that a cluster file turns into, as text.
func consumers(t *testing.T, file *yaml.Node) string {
	t.Helper()
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	c, _, r := spec.Parse("cluster.yaml", text)
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p, r := plan.New(c, plan.Facts{Secrets: []string{"registry-password", "s3-access-key", "s3-secret-key", "other-access-key", "other-secret-key", "other-password"}})
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var out bytes.Buffer
	encode := json.NewEncoder(&out)
	if err := encode.Encode(p); err != nil {
		t.Fatal(err)
	}
	for _, role := range p.Roles {
		if role.Slots == 0 {
			continue
		}
		doc, err := profiles.Role(p, role.Name, madeUp{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := encode.Encode(doc); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// madeUp answers for a store whose contents do not matter: each secret is its own name.
type madeUp struct{}

func (madeUp) Authority(name string) ([]byte, error) { return []byte("authority " + name + "\n"), nil }
func (madeUp) AuthorityKey(name string) ([]byte, error) {
	return []byte("authority key " + name + "\n"), nil
}
func (madeUp) Certificate(id string) ([]byte, error) { return []byte("certificate " + id + "\n"), nil }
func (madeUp) PrivateKey(id string) ([]byte, error)  { return []byte("private key " + id + "\n"), nil }
func (madeUp) Public(id string) ([]byte, error)      { return []byte("public " + id + "\n"), nil }
func (madeUp) Secret(id string) ([]byte, error)      { return []byte("secret " + id + "\n"), nil }
func (madeUp) Recipients() []string                  { return []string{"age1recipient"} }

// leaves lists the paths of every field that holds a value, lists of structs by their first element.
func leaves(typ reflect.Type, path string) []string {
	switch {
	case typ.Kind() == reflect.Pointer:
		return leaves(typ.Elem(), path)
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
		return leaves(typ.Elem(), path+"[0]")
	case typ.Kind() != reflect.Struct:
		return []string{path}
	}
	var out []string
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		out = append(out, leaves(typ.Field(i).Type, strings.TrimPrefix(path+"."+key, "."))...)
	}
	return out
}

// set gives the field at path a value, making what lies between.
func set(t *testing.T, file *yaml.Node, path, value string) {
	t.Helper()
	node := file.Content[0]
	for _, step := range strings.Split(path, ".") {
		key, index, isList := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		node = child(node, key, isList)
		if isList {
			n, err := strconv.Atoi(index)
			if err != nil {
				t.Fatal(err)
			}
			for len(node.Content) <= n {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.MappingNode})
			}
			node = node.Content[n]
		}
	}
	parsed := &yaml.Node{}
	switch value {
	case "$PEM":
		parsed.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: authorityPEM(t)}}
	case "$BUTANE":
		parsed.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "storage:\n  files:\n    - path: /etc/motd\n      contents: {inline: hello}\n"}}
	default:
		if err := yaml.Unmarshal([]byte(value), parsed); err != nil {
			t.Fatal(err)
		}
	}
	*node = *parsed.Content[0]
}

// child is the value of a key, made when it is not there or not of the right kind.
func child(node *yaml.Node, key string, list bool) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		*node = yaml.Node{Kind: yaml.MappingNode}
	}
	kind := yaml.MappingNode
	if list {
		kind = yaml.SequenceNode
	}
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	made := &yaml.Node{Kind: kind}
	node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, made)
	return made
}

// The exceptions stay true: a field that has one value only can show no change.
func TestElsewhere(t *testing.T) {
	all := leaves(reflect.TypeFor[spec.Cluster](), "")
	for path, why := range elsewhere {
		if !slices.Contains(all, path) {
			t.Errorf("%s: the cluster file has no such field", path)
		}
		if why != "has one value only" {
			continue
		}
		field, _ := reflect.TypeFor[spec.Cluster]().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, path) })
		if enum := field.Tag.Get("enum"); enum == "" || strings.Contains(enum, "|") {
			t.Errorf("%s has the values %q: give it a row", path, enum)
		}
	}
}
