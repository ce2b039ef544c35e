package scaleway

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// ready is a cluster of one proxy, and all of it there and running.
func ready() (*Cluster, *Observed) {
	n := Node{Name: "proxy-1", Role: "proxy", Slot: 1, Type: "PRO2-XXS", UserData: []byte("payload")}
	c := &Cluster{Name: "tiny", Zone: "fr-par-1", Network: "tiny", Image: "i", Groups: []Group{{Role: "proxy"}}, Nodes: []Node{n}, Edge: "proxy"}
	o := &Observed{
		Networks: []Network{{ID: "n", Name: "tiny"}}, Addresses: []Address{{ID: "a", Node: "proxy-1"}}, Groups: []SeenGroup{{ID: "g", Role: "proxy"}},
		IPs: []FlexibleIP{{ID: "f", Address: netip.MustParseAddr("203.0.113.10"), Ours: true, Server: "s"}}, Volumes: []Volume{{ID: "r", Name: "proxy-1-root", Node: "proxy-1", Server: "s"}},
		Servers: []Server{{ID: "s", Name: "proxy-1", Node: "proxy-1", Role: "proxy", State: stateRunning, NIC: true, Root: "r", RootTagged: true}},
	}
	return c, o
}

func TestUpByWhatIsThere(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*Cluster, *Observed)
		want string
	}{
		"all of it":                 {func(*Cluster, *Observed) {}, ""},
		"another payload, running":  {func(c *Cluster, _ *Observed) { c.Nodes[0].UserData = []byte("new") }, ""},
		"another type and image":    {func(c *Cluster, _ *Observed) { c.Nodes[0].Type, c.Image = "", "" }, ""},
		"off, nothing to boot from": {func(_ *Cluster, o *Observed) { o.Servers[0].State = stateStopped }, "set user-data of proxy-1 (7 bytes); power on proxy-1; wait until it runs: proxy-1"},
		"off, with its payload": {func(_ *Cluster, o *Observed) {
			o.Servers[0].State, o.Servers[0].UserData = stateInPlace, sum([]byte("payload"))
		}, "power on proxy-1; wait until it runs: proxy-1"},
		"off, with an older payload": {func(_ *Cluster, o *Observed) { o.Servers[0].State, o.Servers[0].UserData = stateStopped, "old" }, "set user-data of proxy-1 (7 bytes); power on proxy-1; wait until it runs: proxy-1"},
		"on its way":                 {func(_ *Cluster, o *Observed) { o.Servers[0].State = stateStarting }, "wait until it runs: proxy-1"},
		"on its way down":            {func(_ *Cluster, o *Observed) { o.Servers[0].State = stateStopping }, "wait until it is no longer on its way: proxy-1 (stopping); set user-data of proxy-1 (7 bytes); power on proxy-1; wait until it runs: proxy-1"},
		"other rules":                {func(_ *Cluster, o *Observed) { o.Groups[0].Rules = []Rule{{Proto: "TCP", Port: 22}} }, "set rules of security group tiny-proxy (let in: nothing)"},
		"no rules where there are": {func(c *Cluster, _ *Observed) {
			c.Groups[0].Rules = []Rule{{Proto: "TCP", Port: 80, From: netip.MustParsePrefix("0.0.0.0/0")}}
		}, "set rules of security group tiny-proxy (let in: TCP 80 from 0.0.0.0/0)"},
		"address with another server": {func(c *Cluster, o *Observed) {
			o.IPs[0].Server = "t"
			o.Servers = append(o.Servers, Server{ID: "t", Node: "proxy-2", Name: "proxy-2"})
		}, ""},
		"address with nobody":  {func(_ *Cluster, o *Observed) { o.IPs[0].Server = "" }, "attach flexible IP to proxy-1 (203.0.113.10)"},
		"a disk more, running": {func(c *Cluster, _ *Observed) { c.Nodes[0].Disks = []string{"proxy-1-data"} }, ""},
		"a disk more, off": {func(c *Cluster, o *Observed) {
			c.Nodes[0].Disks, o.Servers[0].State, o.Servers[0].UserData = []string{"proxy-1-data"}, stateStopped, sum([]byte("payload"))
		}, "create volume proxy-1-data (0 GB); attach volume proxy-1-data (to proxy-1); power on proxy-1; wait until it runs: proxy-1"},
		"the root of a server that is gone": {func(_ *Cluster, o *Observed) {
			o.Volumes = append(o.Volumes, Volume{ID: "old", Name: "proxy-1-root", Node: "proxy-1"})
		}, ""},
		"no interface": {func(_ *Cluster, o *Observed) { o.Servers[0].NIC = false }, "connect to the private network proxy-1"},
	} {
		c, o := ready()
		test.edit(c, o)
		changes, err := Up(c, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := words(changes); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
}

func words(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.String())
	}
	return strings.Join(out, "; ")
}

func TestUpRefuses(t *testing.T) {
	for want, edit := range map[string]func(*Cluster, *Observed){
		"2 objects are server proxy-1":                           func(_ *Cluster, o *Observed) { o.Servers = append(o.Servers, Server{ID: "t", Node: "proxy-1"}) },
		"2 private networks carry the tag imgforge.cluster=tiny": func(_ *Cluster, o *Observed) { o.Networks = append(o.Networks, Network{ID: "m"}) },
		"without the tag imgforge.cluster=tiny":                  func(_ *Cluster, o *Observed) { o.Networks, o.Namesakes = nil, []string{"x"} },
		"and none that starts with imgforge.node=":               func(_ *Cluster, o *Observed) { o.Servers = append(o.Servers, Server{ID: "t", Name: "t"}) },
		"write roles.proxy.type":                                 func(c *Cluster, o *Observed) { c.Nodes[0].Type, o.Servers, o.IPs[0].Server = "", nil, "" },
		"write roles.proxy.image, ":                              func(c *Cluster, o *Observed) { c.Image, o.Servers, o.IPs[0].Server = "", nil, "" },
		"is no flexible IP of this project and zone":             func(c *Cluster, _ *Observed) { c.EdgeIP = netip.MustParseAddr("203.0.113.99") },
		"is attached to a server that is not of this cluster":    func(c *Cluster, o *Observed) { c.EdgeIP, o.IPs[0].Server = o.IPs[0].Address, "stranger" },
		"has 10.0.0.9 booked and the cluster file says 10.0.0.8": func(c *Cluster, o *Observed) {
			c.Nodes[0].Address, o.Addresses[0].Address = netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9")
		},
	} {
		c, o := ready()
		edit(c, o)
		changes, err := Up(c, o)
		if err == nil || !strings.Contains(err.Error(), want) || len(changes) > 0 {
			t.Errorf("wanted %q, got %v and %s", want, err, words(changes))
		}
	}
}

// A server that is only half removed takes its root volume along, tagged or not.
func TestDownByWhatIsThere(t *testing.T) {
	_, o := ready()
	o.Servers[0].RootTagged, o.Volumes = false, nil
	o.IPs = append(o.IPs, FlexibleIP{ID: "yours", Address: netip.MustParseAddr("203.0.113.99"), Server: "s"})
	want := "tag root volume of proxy-1; power off proxy-1; wait until it is off: proxy-1; delete server proxy-1; delete volume proxy-1-root; " +
		"delete flexible IP 203.0.113.10; delete security group of role proxy; release address invalid IP; delete private network tiny"
	if got := words(Down(o)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if slices.ContainsFunc(Down(o), func(c Change) bool { return c.ID == "yours" }) {
		t.Error("an address that somebody reserved is deleted")
	}
	if got := Down(&Observed{}); len(got) > 0 {
		t.Errorf("of nothing: %s", words(got))
	}
}
