package lab

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// balancer stands for a provider's load balancer, which is there before any machine
// has power: kubeadm's documentation begins with one. It takes connections on the
// wire and passes each on to an API server that says that it is ready, in turn.
type balancer struct {
	at       netip.AddrPort
	netns    string
	backends []netip.AddrPort
	listener net.Listener
	stop     context.CancelFunc

	mu    sync.Mutex
	ready []netip.AddrPort
	next  int
}

// balanceEvery is how often a balancer looks at API servers: as often as it takes to
// be no part of what is measured.
const balanceEvery = 200 * time.Millisecond

func (n *Network) balance(ctx context.Context, at netip.AddrPort, backends []netip.AddrPort) (*balancer, error) {
	b := &balancer{at: at, netns: n.netns, backends: backends}
	err := within(n.netns, func() (err error) {
		b.listener, err = net.Listen("tcp4", at.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, b.stop = context.WithCancel(ctx)
	go b.look(ctx)
	go b.serve()
	return b, nil
}

func (b *balancer) end() error {
	b.stop()
	return b.listener.Close()
}

// look keeps the list of API servers that are ready.
func (b *balancer) look(ctx context.Context) {
	// Who a server is matters to its clients; a balancer only asks how it does.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DialContext: dialler(b.netns), DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for {
		var ready []netip.AddrPort
		for _, backend := range b.backends {
			reply, err := client.Get("https://" + backend.String() + "/readyz")
			if err != nil {
				continue
			}
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				ready = append(ready, backend)
			}
		}
		b.mu.Lock()
		b.ready = ready
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(balanceEvery):
		}
	}
}

func (b *balancer) serve() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return // it was closed
		}
		go b.pass(client)
	}
}

// pick is the next API server; none while none is ready.
func (b *balancer) pick() (netip.AddrPort, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return netip.AddrPort{}, false
	}
	b.next++
	return b.ready[b.next%len(b.ready)], true
}

// pass connects a client with an API server until either of them ends it.
func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	to, ok := b.pick()
	if !ok {
		return
	}
	server, err := dialler(b.netns)(context.Background(), "tcp4", to.String())
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client) // an end of either is the end of both
		server.Close()
	}()
	io.Copy(client, server)
}
