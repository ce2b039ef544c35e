package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// soon is how long a check of a cluster that is Ready may take to hold.
const soon = time.Minute

// checkCluster makes the checks that every cluster of containers must pass.
func (t *Trial) checkCluster(ctx context.Context, o *operator) {
	t.Check(ctx, "all nodes are Ready", soon, func(ctx context.Context) (string, error) { return t.allReady(ctx, o) })
	t.Check(ctx, fmt.Sprintf("etcd has %s", counted(len(t.masters()), "voter")), soon, t.voters)
	t.Check(ctx, "no unit failed, and systemd has nothing to say about them", soon, t.unitsAreWell)
	t.checkWays(ctx, o)
	t.checkPods(ctx, o)
	if t.Plan.Addons.MetricsServer {
		t.Check(ctx, "kubectl top nodes", 2*time.Minute, func(ctx context.Context) (string, error) { return t.top(ctx, o) })
	}
	t.Check(ctx, "every certificate in use chains to the store", soon, func(ctx context.Context) (string, error) { return t.certificates(ctx, o) })
	t.Check(ctx, "no port is open that the plan does not name", soon, t.ports)
	t.Check(ctx, "sshd does not run", soon, t.noSSH)
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (t *Trial) allReady(ctx context.Context, o *operator) (string, error) {
	all := map[string]bool{} // seen before: nothing to note again
	ready := map[string]bool{}
	for _, n := range t.nodes {
		all[n.Name], ready[n.Name] = true, true
	}
	if err := t.lookAtNodes(ctx, o, t.nodes, all, ready); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d: %s", len(t.nodes), len(t.nodes), strings.Join(t.result.Nodes, ", ")), nil
}

// voters counts the started members of etcd, none of them a learner.
func (t *Trial) voters(ctx context.Context) (string, error) {
	masters := t.masters()
	return votersOf(ctx, len(masters), masters[0].Run)
}

// etcdctl is a command of an administrator of etcd on a master.
func etcdctl(args ...string) []string {
	const pki = "/etc/kubernetes/pki/etcd/"
	return append([]string{"etcdctl", "--cacert=" + pki + "ca.crt", "--cert=" + pki + "healthcheck-client.crt", "--key=" + pki + "healthcheck-client.key"}, args...)
}

// votersOf wants a number of voters and nothing else in the list that a master gives.
func votersOf(ctx context.Context, want int, run func(context.Context, ...string) (string, error)) (string, error) {
	out, err := run(ctx, etcdctl("member", "list")...)
	if err != nil {
		return "", err
	}
	var names []string
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ", ") // id, state, name, peers, clients, learner
		if len(fields) != 6 || fields[1] != "started" || fields[5] != "false" {
			return "", fmt.Errorf("a member is no voter: %s", strings.TrimSpace(line))
		}
		names = append(names, fields[2])
	}
	slices.Sort(names)
	if len(names) != want {
		return "", fmt.Errorf("members are %q", names)
	}
	return "started, no learner: " + strings.Join(names, ", "), nil
}

// unitsAreWell refuses units that failed, and what systemd had to correct.
func (t *Trial) unitsAreWell(ctx context.Context) (string, error) {
	err := together(t.nodes, func(n *Node) error { return unitsOf(ctx, n.Name, n.Run) })
	return fmt.Sprintf("on %s", counted(len(t.nodes), "node")), err
}

// unitsOf looks at the units of one node, inside of which run runs programs.
func unitsOf(ctx context.Context, node string, run func(context.Context, ...string) (string, error)) error {
	failed, err := run(ctx, "systemctl", "list-units", "--failed", "--no-legend", "--plain")
	if err != nil {
		return err
	}
	if failed != "" {
		return fmt.Errorf("%s: failed: %s", node, strings.TrimSpace(failed))
	}
	journal, err := run(ctx, "journalctl", "--boot", "--no-pager", "--output=cat", "_PID=1")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(journal) {
		if slices.ContainsFunc(complaints(), func(s string) bool { return strings.Contains(line, s) }) {
			errs = append(errs, fmt.Errorf("%s: systemd says: %s", node, strings.TrimSpace(line)))
		}
	}
	return errors.Join(errs...)
}

// complaints are words of systemd about units that it could not take as they are.
func complaints() []string {
	return []string{"ordering cycle", "Unknown key", "Failed to parse", "Invalid", "not absolute"}
}

// checkWays asks the API by every way that people and nodes have to it.
func (t *Trial) checkWays(ctx context.Context, o *operator) {
	const command = "kubectl get nodes"
	ask := func(netns string, args ...string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			out, err := o.kubectlIn(ctx, netns, "", append([]string{"get", "nodes", "--no-headers"}, args...)...)
			if err == nil && strings.Count(out, "\n") != len(t.nodes) {
				err = fmt.Errorf("it printed:\n%s", out)
			}
			return fmt.Sprintf("%s lists %s", command, counted(len(t.nodes), "node")), err
		}
	}
	from := t.nodes[len(t.nodes)-1]
	if t.Plan.Endpoint.Mode == "vip" {
		t.Check(ctx, "kubectl through the floating address", soon, ask(from.netns, "--server="+t.Plan.Endpoint.URL))
	} else {
		t.Check(ctx, "kubectl through the node's own haproxy", soon, ask(from.netns, "--server="+t.Plan.Endpoint.URL))
	}
	for _, n := range t.nodesOf(plan.Proxy) {
		if len(t.Plan.Endpoint.Access) == 0 {
			break
		}
		server := fmt.Sprintf("https://%s:%d", n.made.Address.Addr(), t.Plan.Endpoint.Port)
		t.Check(ctx, "kubectl through haproxy on "+n.Name, soon, ask(o.netns, "--server="+server, "--tls-server-name=kubernetes"))
	}
	t.Check(ctx, "kubectl with imgforge kubeconfig, at "+o.server, soon, ask(o.netns))
}

// top waits for numbers of every node.
func (t *Trial) top(ctx context.Context, o *operator) (string, error) {
	out, err := o.kubectl(ctx, "top", "nodes", "--no-headers")
	if err != nil {
		return "", err
	}
	var rows []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.Contains(line, "unknown") {
			return "", fmt.Errorf("no numbers yet: %s", strings.TrimSpace(line))
		}
		rows = append(rows, fields[0]+" "+fields[1]+" "+fields[3])
	}
	if len(rows) != len(t.nodes) {
		return "", fmt.Errorf("it lists %q", rows)
	}
	return strings.Join(rows, ", "), nil
}

// noSSH refuses an SSH server in whatever form.
func (t *Trial) noSSH(ctx context.Context) (string, error) {
	var has atomic.Int32
	err := together(t.nodes, func(n *Node) error {
		err := sshOf(ctx, n.Name, n.Run)
		if n.has("usr/sbin/sshd")(ctx) == nil {
			has.Add(1)
		}
		if err == nil && n.answersPort(22) == nil {
			err = fmt.Errorf("%s: port 22 answers", n.Name)
		}
		return err
	})
	return fmt.Sprintf("no unit, no process and no port 22 on %s; the program is on %d of them", counted(len(t.nodes), "node"), has.Load()), err
}

// sshOf refuses units and processes of an SSH server on one node.
func sshOf(ctx context.Context, node string, run func(context.Context, ...string) (string, error)) error {
	state, _ := run(ctx, "systemctl", "is-active", "ssh.service", "sshd.service", "ssh.socket", "sshd.socket") // fails when none is
	if slices.Contains(strings.Fields(state), "active") {
		return fmt.Errorf("%s: a unit of sshd is active", node)
	}
	processes, err := run(ctx, "ps", "-e", "-o", "comm=")
	if err == nil && slices.Contains(strings.Fields(processes), "sshd") {
		err = fmt.Errorf("%s: sshd runs", node)
	}
	return err
}
