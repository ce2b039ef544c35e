package lab

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// hands are those of a machine room: a container that ends because its system
// rebooted is started again, as a machine would start by itself.
type hands struct {
	mu      sync.Mutex
	wait    sync.WaitGroup
	down    int
	most    int // machines that were down at once
	turns   []string
	trouble error
}

// hold looks after nodes until stop is called, which returns when nobody touches them
// any more.
func (h *hands) hold(ctx context.Context, nodes []*Node) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	for _, n := range nodes {
		h.wait.Go(func() { h.watch(ctx, n) })
	}
	return func() {
		cancel()
		h.wait.Wait()
	}
}

func (h *hands) watch(ctx context.Context, n *Node) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.ended:
		}
		h.count(n.Name, 1)
		// A node that has begun to come back does so, whoever still looks.
		whole := context.WithoutCancel(ctx)
		err := n.PowerOff(whole)
		if err == nil {
			err = n.PowerOn(whole)
		}
		if err != nil {
			h.mu.Lock()
			h.trouble = errors.Join(h.trouble, err)
			h.mu.Unlock()
			return
		}
		h.count(n.Name, -1)
	}
}

func (h *hands) count(name string, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down += by
	if by > 0 {
		h.most, h.turns = max(h.most, h.down), append(h.turns, name)
	}
}

// seen are the machines that were started again, in their order, and how many were
// down at once.
func (h *hands) seen() (turns []string, most int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.turns), h.most, h.trouble
}
