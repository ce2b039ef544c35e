package forge

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
)

// wantedOf is what a cluster file asks of Scaleway.
func wantedOf(t *testing.T, text string) (*scaleway.Cluster, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := (&App{Log: io.Discard}).load(Source{File: file}, noFacts)
	if err != nil {
		t.Fatal(err)
	}
	return c.atScaleway(nil)
}

func TestWhatScalewayIsAskedFor(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"a mesh has addresses of its own": {`
name: tiny
platform: {provider: scaleway}
network: {operators: [ana]}
etcd: {dataDisk: /dev/sdb}
roles:
  master: {count: 3, dataDisk: /dev/sdc, nodes: [{publicIP: 203.0.113.7}]}
  worker: {count: 1, reserve: 4}
`, `network tiny, subnet invalid Prefix, VIP invalid IP, edge "" invalid IP
group master: TCP 655 from 0.0.0.0/0, UDP 655 from 0.0.0.0/0
group worker:
master-1 at invalid IP public 203.0.113.7 apart true disks master-1-etcd master-1-data
master-2 at invalid IP public invalid IP apart true disks master-2-etcd master-2-data
master-3 at invalid IP public invalid IP apart true disks master-3-etcd master-3-data
worker-1 at invalid IP public invalid IP apart false disks
`},
		"without a mesh they are the private network's": {`
name: tiny
platform: {provider: scaleway, privateDomain: pn.internal}
network: {mesh: none, cidr: 192.168.66.0/24, interface: ens6}
endpoint: {address: 192.168.66.253, access: [198.51.100.0/24]}
roles:
  master: {count: 3}
  proxy: {count: 1, publicIP: 203.0.113.63}
`, `network pn, subnet 192.168.66.0/24, VIP 192.168.66.253, edge "proxy" 203.0.113.63
group master:
group proxy: TCP 80 from 0.0.0.0/0, TCP 443 from 0.0.0.0/0, TCP 6443 from 198.51.100.0/24
master-1 at 192.168.66.11 public invalid IP apart true disks
master-2 at 192.168.66.12 public invalid IP apart true disks
master-3 at 192.168.66.13 public invalid IP apart true disks
proxy-1 at 192.168.66.31 public invalid IP apart false disks
`},
	} {
		c, err := wantedOf(t, test.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := told(c); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func told(c *scaleway.Cluster) string {
	var b strings.Builder
	line := func(words ...string) { b.WriteString(strings.TrimRight(strings.Join(words, " "), " ") + "\n") }
	line("network", c.Network+", subnet", c.Subnet.String()+", VIP", c.VIP.String()+", edge", `"`+c.Edge+`"`, c.EdgeIP.String())
	for _, g := range c.Groups {
		var rules []string
		for _, r := range g.Rules {
			rules = append(rules, r.String())
		}
		line("group", g.Role+":", strings.Join(rules, ", "))
	}
	for _, n := range c.Nodes {
		apart := "false"
		if n.Apart {
			apart = "true"
		}
		line(n.Name, "at", n.Address.String(), "public", n.PublicIP.String(), "apart", apart, "disks", strings.Join(n.Disks, " "))
	}
	return b.String()
}

// Nodes find each other by names in a domain that the network's name decides.
func TestPrivateDomainMustBeANetworks(t *testing.T) {
	_, err := wantedOf(t, `
name: tiny
platform: {provider: scaleway, privateDomain: lan.example.org}
roles: {master: {count: 1}}
`)
	if err == nil || !strings.Contains(err.Error(), `platform.privateDomain: "lan.example.org" is no domain that a private network has`) {
		t.Error(err)
	}
}
