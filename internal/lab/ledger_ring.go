package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// newLedger begins a ledger on a cluster: a client on a node writes and another reads
// through the endpoint as every node does, and the operator writes by the kubeconfig's
// way. They work until the lab ends.
func (r *ring) newLedger(ctx context.Context) (*ledger, error) {
	file, err := os.Create(filepath.Join(r.Artifacts, "ledger.log"))
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	var mu sync.Mutex
	l := newLedger(r.id+begun.String(), func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(file, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), line)
	})
	r.ledger = l
	if _, err := r.o.kubectlIn(ctx, r.standpoint(), "", "--server="+r.Plan.Endpoint.URL, "create", "namespace", l.namespace); err != nil {
		return nil, err
	}
	trust := &tls.Config{RootCAs: r.o.roots, Certificates: []tls.Certificate{r.o.leaf}}
	inside := func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialler(r.standpoint())(ctx, network, address)
	}
	outside := inside
	if r.o.outside() {
		outside = dialler(r.o.netns)
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var clients sync.WaitGroup
	clients.Go(func() {
		(&client{ledger: l, name: "node", what: writesThrough, server: r.Plan.Endpoint.URL, dial: inside, tls: trust}).write(working)
	})
	clients.Go(func() {
		(&client{ledger: l, name: "reader", what: readsThrough, server: r.Plan.Endpoint.URL, dial: inside, tls: trust}).read(working)
	})
	clients.Go(func() {
		(&client{ledger: l, name: "operator", what: writesOutside, server: r.o.server, dial: outside, tls: trust}).write(working)
	})
	r.later("ledger", func(context.Context) error {
		stop()
		clients.Wait()
		return file.Close()
	})
	return l, nil
}

// outside tells whether the operator's machine is one of its own.
func (o *operator) outside() bool { return o.netns == o.trial.id+"-operator" }

// standpoint is the namespace of a node that clients stand on: the last that has power
// and is not kept aside. Names do not change, so it needs to know no node's state.
func (r *ring) standpoint() string {
	r.ledger.mu.Lock()
	apart := r.ledger.apart
	r.ledger.mu.Unlock()
	for _, made := range slices.Backward(r.Plan.Nodes) {
		netns := r.id + "-" + made.Name
		if _, err := os.Stat("/run/netns/" + netns); err == nil && !made.Reserved && !slices.ContainsFunc(apart, func(n *Node) bool { return n.Name == made.Name }) {
			return netns
		}
	}
	return r.id + "-nobody"
}

// aside keeps clients off nodes: they go on over new connections.
func (l *ledger) aside(nodes []*Node) {
	l.mu.Lock()
	l.apart = nodes
	l.standing++
	l.mu.Unlock()
}

// stands counts how often clients were sent elsewhere.
func (l *ledger) stands() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standing
}

// mark writes a line into the ledger's log.
func (l *ledger) mark(text string) { l.log(text) }
