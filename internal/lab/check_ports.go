package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// ports refuses what listens on other than loopback addresses without a port of
// the plan, on every node.
func (t *Trial) ports(ctx context.Context) (string, error) {
	counts := make([]int, len(t.nodes))
	err := together(t.nodes, func(n *Node) (err error) {
		made, _ := t.Plan.Node(n.Name)
		counts[slices.Index(t.nodes, n)], err = t.portsOf(ctx, n, made.Role)
		return err
	})
	total := 0
	for _, c := range counts {
		total += c
	}
	return fmt.Sprintf("%s on %s, each named by the plan", counted(total, "listener"), counted(len(t.nodes), "node")), err
}

// portsOf counts the listeners of a node that others could reach.
func (t *Trial) portsOf(ctx context.Context, n *Node, role string) (count int, err error) {
	out, err := n.Run(ctx, listListeners()...)
	if err != nil {
		return 0, err
	}
	return t.namedOnly(n.Name, role, out)
}

func listListeners() []string {
	return []string{"ss", "--listening", "--tcp", "--udp", "--numeric", "--processes", "--no-header"}
}

// namedOnly counts those of what ss prints that others could reach.
func (t *Trial) namedOnly(node, role, out string) (count int, err error) {
	var errs []error
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // protocol, state, two queues, address:port, peer, process
		if len(fields) < 5 || strings.HasPrefix(fields[4], "127.") || strings.HasPrefix(fields[4], "[::1]") {
			continue
		}
		count++
		port, err := strconv.Atoi(fields[4][strings.LastIndex(fields[4], ":")+1:])
		if err != nil {
			return 0, fmt.Errorf("%s: ss printed %q", node, line)
		}
		named := slices.ContainsFunc(t.Plan.Ports, func(p plan.Port) bool {
			return p.Role == role && p.Proto == fields[0] && p.Port <= port && port <= max(p.Port, p.To)
		})
		if !named {
			errs = append(errs, fmt.Errorf("%s listens at %s %s: %s", node, fields[0], fields[4], fields[len(fields)-1]))
		}
	}
	return count, errors.Join(errs...)
}

// answersPort connects to a port of the node's own from inside of it.
func (n *Node) answersPort(port int) error {
	return within(n.netns, func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}
