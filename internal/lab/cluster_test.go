//go:build lab

package lab

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// Masters, proxies and workers assemble themselves from the payloads of their roles.
func TestSevenNodes(t *testing.T) {
	ctx := signalled(t)
	b := newBench(t, ctx, "seven-nodes")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var all, masters []*Node
	roles := map[*Node]string{}
	for _, made := range b.plan.Nodes {
		if made.Reserved {
			continue
		}
		n := b.boot(t, ctx, made.Name, "roles/"+made.Role+".ign")
		roles[n] = made.Role
		all = append(all, n)
		if made.Role == plan.Master {
			masters = append(masters, n)
		}
	}
	must(t, together(all, func(n *Node) error {
		if roles[n] == plan.Master {
			return b.becomesMaster(t, ctx, n)
		}
		return b.joins(t, ctx, n, masters[0])
	}))
	for _, n := range all {
		unitsAreWell(t, ctx, n)
		b.opensNothingElse(t, ctx, n, roles[n])
	}
}

// joins follows a proxy or worker from power-on to a node that a master knows.
func (b *bench) joins(t *testing.T, ctx context.Context, n, master *Node) error {
	t.Helper()
	for _, step := range []struct {
		what string
		args []string
	}{
		{"firewall loaded", []string{"nft", "list", "table", "inet", "imgforge"}},
		{"identity claimed", []string{"test", "-e", "/var/lib/imgforge/claimed"}},
		{"mesh is up", []string{"systemctl", "is-active", "imgforge-mesh.service"}},
		{"kubelet is healthy", []string{"curl", "-sf", "http://127.0.0.1:10248/healthz"}},
		{"endpoint answers", []string{"curl", "-sf", "--cacert", caFile, b.plan.Endpoint.URL + "/readyz"}},
	} {
		if err := reaches(t, ctx, n, step.what, n.runs(step.args...)); err != nil {
			return err
		}
	}
	return reaches(t, ctx, n, "node is registered", n.reportsTo(master))
}

// opensNothingElse refuses what listens on other than loopback addresses
// without a port of the plan.
func (b *bench) opensNothingElse(t *testing.T, ctx context.Context, n *Node, role string) {
	t.Helper()
	out, err := n.Run(ctx, "ss", "--listening", "--tcp", "--udp", "--numeric", "--processes", "--no-header")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // protocol, state, two queues, address:port, peer, process
		if len(fields) < 5 || strings.HasPrefix(fields[4], "127.") || strings.HasPrefix(fields[4], "[::1]") {
			continue
		}
		port, err := strconv.Atoi(fields[4][strings.LastIndex(fields[4], ":")+1:])
		if err != nil {
			t.Fatalf("%s: ss printed %q", n.Name, line)
		}
		named := slices.ContainsFunc(b.plan.Ports, func(p plan.Port) bool {
			return p.Role == role && p.Proto == fields[0] && p.Port <= port && port <= max(p.Port, p.To)
		})
		if !named {
			t.Errorf("%s listens at %s %s, which the plan does not name: %s", n.Name, fields[0], fields[4], fields[len(fields)-1])
		}
	}
}
