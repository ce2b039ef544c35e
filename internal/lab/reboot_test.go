//go:build lab

package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hands are those of a machine room: a container that ends because its system
// rebooted is started again, as a machine would start by itself.
type hands struct {
	mu      sync.Mutex
	down    int
	most    int // machines that were down at once
	turns   []string
	trouble error
}

func (h *hands) watch(ctx context.Context, n *Node) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.ended:
		}
		h.count(n.Name, 1)
		err := n.PowerOff(ctx)
		if err == nil {
			err = n.PowerOn(ctx)
		}
		h.mu.Lock()
		h.trouble = err
		h.mu.Unlock()
		if err != nil {
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

// Every node is asked to reboot, all at once: they do, one after the other, each
// drained before and taking pods again after, and no two are ever down.
func TestNodesRebootInTurn(t *testing.T) {
	trial := newTrial(t, "tinc-vip")
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	must(t, trial.Containers(ctx))
	for _, name := range trial.existing() {
		made, _ := trial.Plan.Node(name)
		_, err := trial.Make(ctx, name, "roles/"+made.Role+".ign")
		must(t, err)
	}
	o, err := trial.operator(ctx)
	must(t, err)
	trial.Phase("first boot")
	first, err := PowerOn(ctx, trial.nodes)
	must(t, err)
	must(t, trial.boots(ctx, o, trial.nodes, first))

	trial.Phase("asked to reboot, all at once")
	asked := trial.existing()
	var h hands
	var wait sync.WaitGroup
	defer wait.Wait()
	watched, stop := context.WithCancel(ctx)
	defer stop()
	for _, n := range trial.nodes {
		wait.Go(func() { h.watch(watched, n) })
	}
	begun := time.Now()
	_, err = o.kubectl(ctx, slices.Concat([]string{"annotate", "node"}, asked, []string{"imgforge.io/reboot=now"})...)
	must(t, err)
	must(t, trial.Reach(ctx, "", begun, "all have rebooted, are Ready and take pods", func(ctx context.Context) error {
		h.mu.Lock()
		turns, trouble := slices.Clone(h.turns), h.trouble
		h.mu.Unlock()
		if trouble != nil || len(turns) < len(asked) {
			return fmt.Errorf("rebooted so far: %v %w", turns, trouble)
		}
		out, err := o.kubectl(ctx, "get", "nodes", "--no-headers",
			`-o=custom-columns=a:.metadata.name,b:.spec.unschedulable,c:.metadata.annotations.imgforge\.io/reboot,d:.status.conditions[?(@.type=="Ready")].status`)
		if err == nil && strings.Count(out, "<none>") != 2*len(trial.nodes) || strings.Count(out, "True") != len(trial.nodes) {
			err = fmt.Errorf("not yet:\n%s", out)
		}
		return err
	}))
	t.Logf("rebooted one after the other in %.0f s: %v", time.Since(begun).Seconds(), h.turns)
	slices.Sort(h.turns)
	slices.Sort(asked)
	if !slices.Equal(h.turns, asked) || h.most != 1 {
		t.Errorf("%v rebooted, %d at once", h.turns, h.most)
	}
}
