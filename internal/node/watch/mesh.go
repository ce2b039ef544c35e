package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// How often a look does what costs more than a packet.
const (
	probeRest = 10 * time.Second // while the node is not well; six times as long after
	meshUnit  = "imgforge-mesh.service"
)

// meshLooker looks at the cluster network.
type meshLooker struct {
	o         Options
	node      artifact.NodeFile
	kind      string
	intf      string // empty: any
	dir       string // of tinc's files on the node
	others    []artifact.ClusterNode
	answering string // who answered last: asked first, and alone while it answers
	turn      int    // of those that are asked in turns

	probed  time.Time
	taken   string
	read    time.Time // the journal
	refused []string
	unit    lastWord
	habits  habits
	met     bool // a member has answered: this machine's key is one of the cluster's
}

func newMeshLooker(o Options, n artifact.NodeFile, c artifact.ClusterFile) meshLooker {
	m := meshLooker{o: o, node: n, kind: none, habits: habits{}}
	for line := range bytes.Lines(contents(o.Root, "/etc/imgforge/mesh.env")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "MESH_INTERFACE="); ok {
			m.intf = strings.Trim(value, `"'`)
		}
	}
	if dirs, _ := filepath.Glob(filepath.Join(o.Root, "/etc/tinc/*/tinc.conf")); len(dirs) > 0 {
		m.kind, m.dir = tinc, filepath.Dir(dirs[0])
	}
	for _, path := range []string{"/etc/systemd/network/20-imgforge-mesh.netdev", "/etc/NetworkManager/system-connections/imgforge-mesh.nmconnection"} {
		if contents(o.Root, path) != nil {
			m.kind = wireguard
		}
	}
	for _, other := range c.Nodes {
		if other.Name != n.Node {
			m.others = append(m.others, other)
		}
	}
	// Founders are there from the first day; what else is planned may never be.
	slices.SortStableFunc(m.others, func(a, b artifact.ClusterNode) int { return rank(c, a) - rank(c, b) })
	return m
}

func rank(c artifact.ClusterFile, n artifact.ClusterNode) int {
	switch {
	case slices.Contains(c.Etcd.Founders, n.Name):
		return 0
	case n.Role == master:
		return 1
	}
	return 2
}

func contents(root, path string) []byte {
	data, _ := os.ReadFile(filepath.Join(root, path)) // nil where there is none
	return data
}

// onNode is a path below root as it is on the node.
func onNode(root, path string) string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, filepath.Clean(root)), "/")
}

func (m *meshLooker) look(ctx context.Context) Mesh {
	out := Mesh{Kind: m.kind, Interface: m.intf, Asked: len(m.others)}
	own := m.interfaceOf(m.node.Address)
	out.Address = own != nil
	if own == nil {
		out.Unit = m.unit.of(ctx, m.o, meshUnit)
	} else {
		out.Answered = m.askPeers(ctx)
	}
	switch m.kind {
	case tinc:
		m.lookTinc(ctx, &out)
	case wireguard:
		m.lookWireGuard(ctx, &out)
	}
	rest := probeRest
	if out.Answered > 0 && m.taken == "" {
		rest *= 6
	}
	if now := m.o.Now(); now.Sub(m.probed) >= rest {
		m.probed, m.taken = now, m.probe(own, out.Hubs)
	}
	out.Taken = m.taken
	return out
}

// interfaceOf is the interface that has the address; nil when none that may has.
func (m *meshLooker) interfaceOf(address string) *net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		if address == m.node.Address && m.intf != "" && i.Name != m.intf {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addresses {
			if p, ok := a.(*net.IPNet); ok && p.IP.String() == address {
				return &i
			}
		}
	}
	return nil
}

// peersAtOnce are asked in one look; the founders are few, and the others take turns.
const peersAtOnce = 6

// askPeers tells how many other nodes answer. Anything that comes back over the
// mesh is an answer, a refused connection too.
func (m *meshLooker) askPeers(ctx context.Context) int {
	if m.answering != "" && answers(ctx, m.answering) {
		return 1
	}
	m.answering = ""
	n := min(peersAtOnce, len(m.others))
	if n == 0 {
		return 0
	}
	var asked []string
	half := n / 2 // always the first ones, and the rest in turns
	for i := range n {
		at := i
		if i >= half {
			at = half + (m.turn+i-half)%(len(m.others)-half)
		}
		asked = append(asked, m.others[at].Address)
	}
	m.turn += n - half
	var all sync.WaitGroup
	heard := make([]bool, n)
	for i, address := range asked {
		all.Go(func() { heard[i] = answers(ctx, address) })
	}
	all.Wait()
	count := 0
	for i, yes := range heard {
		if yes {
			m.answering, count = asked[i], count+1
		}
	}
	return count
}

// answers asks a node at the port of its status page, which every other node may reach.
func answers(ctx context.Context, address string) bool {
	_, err := dial(ctx, net.JoinHostPort(address, strconv.Itoa(artifact.StatusPort)))
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// dial tells who is there, and hangs up.
func dial(ctx context.Context, where string) (remote netip.AddrPort, err error) {
	c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", where)
	if err != nil {
		return remote, err
	}
	defer c.Close()
	return netip.ParseAddrPort(c.RemoteAddr().String())
}

// probe asks whether another machine has an address of this node: that in the
// cluster network, and the one that this machine reaches its hubs, or all else, from.
func (m *meshLooker) probe(own *net.Interface, hubs []Hub) string {
	look := func(i *net.Interface, address string) string {
		a, err := netip.ParseAddr(address)
		if err != nil || i == nil {
			return ""
		}
		if mac := m.o.whoHas(*i, a); mac != "" {
			return fmt.Sprintf("the machine with hardware address %s on %s answers for %s", mac, i.Name, address)
		}
		return ""
	}
	if taken := look(own, m.node.Address); taken != "" {
		return taken
	}
	for _, h := range append(hubs, Hub{Where: anywhere}) {
		if from := source(h.Where); from != "" && from != m.node.Address {
			return look(m.interfaceOf(from), from)
		}
	}
	return ""
}

// anywhere is an address that nobody has, for the way that packets without a better
// one take.
const anywhere = "192.0.2.1:9"

// source is the address from which this machine would send there. Nothing is sent,
// and no name looked up.
func source(where string) string {
	to, err := netip.ParseAddrPort(where)
	if err != nil {
		return ""
	}
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return ""
	}
	defer c.Close()
	from, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return from.Addr().String()
}

// habits remember what the connections of the mesh looked like in the last minutes.
// One that is another again and again is fought over by two machines.
type habits map[string][]habit

type habit struct {
	looks string
	since time.Time
}

const (
	habitEnd = 4 * time.Minute
	tooMany  = 4 // different ones in that time
)

// twin remembers what is seen now, and tells whether it changes too often.
func (h habits) twin(name, seen string, now time.Time) bool {
	past := slices.DeleteFunc(h[name], func(p habit) bool { return now.Sub(p.since) > habitEnd })
	if seen != "" && (len(past) == 0 || past[len(past)-1].looks != seen) {
		past = append(past, habit{seen, now})
	}
	h[name] = past
	return len(past) >= tooMany
}

// sortHubs makes the same look give the same words.
func sortHubs(all []Hub) {
	slices.SortFunc(all, func(a, b Hub) int { return strings.Compare(a.Name+a.Where, b.Name+b.Where) })
}
