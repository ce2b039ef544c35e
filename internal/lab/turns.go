package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// turns watch a cluster whose nodes reboot: how many are cordoned at once, and how many
// of the pods that a budget keeps are there. The ledger's clients stay off the node
// whose turn it is.
type turns struct {
	*bout
	kept kept

	mu     sync.Mutex
	most   int      // nodes that were cordoned at once
	fewest int      // kept pods that were Ready at once
	holder string   // of the lease
	took   []string // who had it, in their order
	began  time.Time
	held   bool                     // a kept pod is on the holder
	waited map[string]time.Duration // from the begin of a node's turn until its kept pod was let go
}

func newTurns(b *bout, k kept) *turns {
	return &turns{bout: b, kept: k, fewest: k.count, waited: map[string]time.Duration{}}
}

// follow looks until stop is called.
func (s *turns) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		for ctx.Err() == nil {
			s.lookAtLease(ctx)
			s.countNodes(ctx)
			rest(ctx, 300*time.Millisecond)
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}

// lookAtLease finds out whose turn it is. What the API does not answer is looked at
// again.
func (s *turns) lookAtLease(ctx context.Context) {
	var lease struct {
		Spec struct {
			Holder string `json:"holderIdentity"`
		} `json:"spec"`
	}
	if s.anyMaster(ctx, s.o, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/imgforge-reboot", &lease) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lease.Spec.Holder == s.holder {
		return
	}
	s.holder, s.began, s.held = lease.Spec.Holder, time.Now(), false
	if n, err := s.Named(s.holder); err == nil {
		s.took = append(s.took, s.holder)
		s.Aside(n)
		s.logf("%6.1f s  %s has its turn", s.bout.since().Seconds(), s.holder)
	}
}

// countNodes counts the nodes that are cordoned and the kept pods that are Ready.
func (s *turns) countNodes(ctx context.Context) {
	all, err := s.rebooting(ctx)
	pods, podsErr := s.kept.look(ctx)
	if err != nil || podsErr != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cordoned := 0
	for _, n := range all {
		if n.cordoned {
			cordoned++
		}
	}
	s.most = max(s.most, cordoned)
	ready, there := 0, false
	for _, p := range pods {
		if p.ready {
			ready++
		}
		there = there || p.node == s.holder && !p.leaving
	}
	s.fewest = min(s.fewest, ready)
	if _, over := s.waited[s.holder]; s.held && !there && !over { // what comes later is another pod
		s.waited[s.holder] = time.Since(s.began)
	}
	s.held = there
}

func (s *turns) cordoned() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// judge wants everybody to have had one turn, and nobody two at once.
func (s *turns) judge(h *hands, asked []string) (string, error) {
	went, down, err := h.seen()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	errs = append(errs, err)
	sorted := func(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), " ") }
	if sorted(went) != sorted(asked) || sorted(s.took) != sorted(asked) {
		errs = append(errs, fmt.Errorf("%v rebooted and %v had a turn, of %v", went, s.took, asked))
	}
	if down != 1 || s.most != 1 {
		errs = append(errs, fmt.Errorf("%d machines were down and %d nodes cordoned at once", down, s.most))
	}
	if s.fewest != s.kept.count-1 {
		errs = append(errs, fmt.Errorf("of %d pods, which a budget lets be %d, %d were Ready", s.kept.count, s.kept.count-1, s.fewest))
	}
	longest := time.Duration(0)
	for _, d := range s.waited {
		longest = max(longest, d)
	}
	return fmt.Sprintf("nobody went while all windows were closed; when they were open: %s, one at a time; of %d pods with a budget for one to be away never fewer than %d were Ready, and one kept its node waiting for %.0f s",
		strings.Join(went, ", then "), s.kept.count, s.fewest, longest.Seconds()), errors.Join(errs...)
}
