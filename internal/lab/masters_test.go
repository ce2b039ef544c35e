//go:build lab

package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Three masters find each other over tinc, form etcd, and float the address of the API.
func TestThreeMasters(t *testing.T) {
	ctx := signalled(t)
	b := newBench(t, ctx, "three-masters")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var masters []*Node
	for _, n := range b.plan.Nodes {
		if !n.Reserved {
			masters = append(masters, b.boot(t, ctx, n.Name, "roles/master.ign"))
		}
	}
	must(t, together(masters, func(n *Node) error { return b.becomesMaster(t, ctx, n) }))
	for _, n := range masters {
		unitsAreWell(t, ctx, n)
	}
	must(t, reaches(t, ctx, masters[0], "etcd has three voters", func(ctx context.Context) error { return voters(ctx, masters[0], 3) }))

	must(t, together(masters, func(n *Node) error {
		const log = "cat /var/log/pods/kube-system_keepalived-*/keepalived/*.log | grep 'VRRP_Script(check) succeeded'"
		return reaches(t, ctx, n, "keepalived checks this node", n.runs("sh", "-c", log))
	}))
	holder := b.holdsAddress(t, ctx, masters)
	t.Logf("%s holds %s: power off", holder.Name, b.plan.Endpoint.Address)
	must(t, holder.PowerOff(ctx))
	cut := time.Now()
	var left []*Node
	for _, n := range masters {
		if n != holder {
			left = append(left, n)
		}
	}
	next := b.holdsAddress(t, ctx, left)
	t.Logf("%6.1f s after the cut: %s holds the address", time.Since(cut).Seconds(), next.Name)
	for _, n := range left {
		write := kubectl("annotate", "--overwrite", "node", n.Name, "lab=written")
		must(t, reaches(t, ctx, n, "the API takes a write at the floating address", n.runs(write...)))
		t.Logf("%6.1f s after the cut: %s could write", time.Since(cut).Seconds(), n.Name)
	}

	must(t, holder.PowerOn(ctx))
	must(t, b.becomesMaster(t, ctx, holder))
	powerCycle(t, ctx, masters)
	must(t, together(masters, func(n *Node) error { return b.becomesMaster(t, ctx, n) }))
	must(t, reaches(t, ctx, masters[0], "etcd has three voters", func(ctx context.Context) error { return voters(ctx, masters[0], 3) }))
}

// powerCycle cuts the power of all nodes, then gives it back.
func powerCycle(t *testing.T, ctx context.Context, nodes []*Node) {
	t.Helper()
	for _, n := range nodes {
		must(t, n.PowerOff(ctx))
	}
	t.Log("power is off for all nodes, and back")
	for _, n := range nodes {
		must(t, n.PowerOn(ctx))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs do for every node at once and joins what went wrong.
func together(nodes []*Node, do func(*Node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// holdsAddress waits until exactly one of nodes has the API's floating address, and returns it.
func (b *bench) holdsAddress(t *testing.T, ctx context.Context, nodes []*Node) *Node {
	t.Helper()
	var holder *Node
	err := Await(ctx, "one holder of "+b.plan.Endpoint.Address, func(ctx context.Context) error {
		var holders []string
		for _, n := range nodes {
			out, err := n.Run(ctx, "ip", "-4", "-oneline", "address", "show", "to", b.plan.Endpoint.Address)
			if err != nil {
				return err
			}
			if out != "" {
				holder, holders = n, append(holders, n.Name)
			}
		}
		if len(holders) != 1 {
			return fmt.Errorf("it is on %q", holders)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return holder
}

// voters checks how many started members etcd has, none of them a learner.
func voters(ctx context.Context, n *Node, want int) error {
	const pki = "/etc/kubernetes/pki/etcd/"
	out, err := n.Run(ctx, "etcdctl", "--cacert="+pki+"ca.crt", "--cert="+pki+"healthcheck-client.crt", "--key="+pki+"healthcheck-client.key", "member", "list")
	if err != nil {
		return err
	}
	if strings.Count(out, ", started, ") != want || strings.Contains(out, ", true") {
		return errors.New("members are:\n" + out)
	}
	return nil
}
