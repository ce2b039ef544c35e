package lab

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// classPod is a class of rows.
const classPod = "kill -9 a static pod"

// where chooses the node that a row happens to, once its cluster runs.
type where func(ctx context.Context, b *bout) (*Node, error)

// called chooses a node by its name.
func called(name string) where {
	return func(_ context.Context, b *bout) (*Node, error) { return b.Named(name) }
}

// holding chooses the node that has the cluster's floating address, or its public one.
func holding(what string) where {
	return func(ctx context.Context, b *bout) (*Node, error) {
		for _, f := range b.floating() {
			if f.what == what {
				return holder(ctx, f.nodes, f.address)
			}
		}
		return nil, fmt.Errorf("there is no %s", what)
	}
}

// What floats.
const (
	floatingAddress = "floating address"
	publicAddress   = "public address"
)

// leading chooses the master whose etcd leads.
func leading(ctx context.Context, b *bout) (*Node, error) {
	for _, n := range b.mastersOf() {
		out, err := n.Run(ctx, etcdctl("endpoint", "status", "--write-out=fields")...)
		if err != nil {
			return nil, err
		}
		fields := map[string]string{}
		for line := range strings.Lines(out) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " : ")
			fields[strings.Trim(key, `"`)] = value
		}
		if fields["MemberID"] != "" && fields["MemberID"] == fields["Leader"] {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no etcd leads")
}

// podRows kill each static pod of each node.
func podRows(p *plan.Plan) (rows []Fault) {
	add := func(process, on string, at where, short bool) {
		rows = append(rows, Fault{Class: classPod, Name: fmt.Sprintf("kill -9 %s on %s", process, on), Short: short, Serves: true, Do: killProcess(process, at)})
	}
	add("etcd", "its leader", leading, true)
	if p.Endpoint.Mode == "vip" {
		for _, process := range []string{"keepalived", "haproxy", "kube-apiserver"} {
			add(process, "the holder of the "+floatingAddress, holding(floatingAddress), process == "haproxy")
		}
	}
	if role, ok := p.Role(plan.Proxy); ok && role.PublicIP != "" && role.Count > 0 {
		for _, process := range []string{"keepalived", "haproxy"} {
			add(process, "the holder of the "+publicAddress, holding(publicAddress), false)
		}
	}
	for _, n := range notReserved(p, "") {
		for _, process := range staticPods(p, n) {
			add(process, n.Name, called(n.Name), false)
		}
	}
	return rows
}

// staticPods are the programs of a node's static pods.
func staticPods(p *plan.Plan, n plan.Node) (processes []string) {
	if n.Role == plan.Master {
		processes = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	}
	if n.Role != plan.Worker || p.Endpoint.Mode == "local" {
		processes = append(processes, "haproxy")
	}
	role, _ := p.Role(n.Role)
	if n.Role == plan.Master && p.Endpoint.Mode == "vip" || n.Role == plan.Proxy && role.PublicIP != "" {
		processes = append(processes, "keepalived")
	}
	return processes
}

// soonAgain is how long something that was killed may take to run again.
const soonAgain = 3 * time.Minute

// killProcess kills all processes of a program, as a program's own fault or the kernel
// that is out of memory would, and waits until others run.
func killProcess(program string, at where) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := at(ctx, b)
		if err != nil {
			return "", err
		}
		old, err := n.processes(ctx, program)
		if err != nil {
			return "", err
		}
		if len(old) == 0 {
			return "", fmt.Errorf("%s does not run on %s", program, n.Name)
		}
		b.Begun()
		if _, err := n.Run(ctx, append([]string{"kill", "-KILL"}, numbers(old)...)...); err != nil {
			return "", err
		}
		took, err := b.Wait(ctx, program+" runs again", soonAgain, func(ctx context.Context) error { return n.runsAnew(ctx, program, old) })
		if err != nil {
			return "", err
		}
		b.Measure(program+" runs again", took, 0)
		return fmt.Sprintf("%s on %s was killed", program, n.Name), nil
	}
}

// processes are the numbers that a node's own processes of a program have on it.
func (n *Node) processes(ctx context.Context, program string) (pids []int, err error) {
	out, err := n.Run(ctx, "ps", "-e", "-o", "pid=,args=")
	if err != nil {
		return nil, err
	}
	return pidsOf(out, program), nil
}

// pidsOf reads what ps prints: a number and a command line for each process.
func pidsOf(out, program string) (pids []int) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 || path.Base(strings.TrimSuffix(fields[1], ":")) != program {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runsAnew refuses a program that does not run, or of which an old process does.
func (n *Node) runsAnew(ctx context.Context, program string, old []int) error {
	pids, err := n.processes(ctx, program)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("%s does not run on %s", program, n.Name)
	}
	for _, pid := range pids {
		if slices.Contains(old, pid) {
			return fmt.Errorf("process %d of %s still runs on %s", pid, program, n.Name)
		}
	}
	return nil
}

func numbers(pids []int) (words []string) {
	for _, pid := range pids {
		words = append(words, strconv.Itoa(pid))
	}
	return words
}
