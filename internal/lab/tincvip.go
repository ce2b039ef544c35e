package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

func tincVIP() Topology {
	return Topology{
		Name:    "tinc-vip",
		About:   "3 masters, 2 proxies, 2 workers; tinc, a floating API address, Ignition, role payloads claimed by host name",
		Kind:    Container,
		Cluster: clusterFile("tinc-vip"),
		Play:    playTincVIP,
		Payload: rolePayload,
	}
}

// bounds of a trial's parts; two cores with nothing else to do need a tenth.
const (
	boundBoot  = 8 * time.Minute
	boundTrial = 25 * time.Minute
)

func playTincVIP(ctx context.Context, t *Trial) error {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.Containers(ctx); err != nil {
		return err
	}
	for _, name := range t.existing() {
		made, _ := t.Plan.Node(name)
		if _, err := t.Make(ctx, name, t.Topology.Payload(made)); err != nil {
			return err
		}
	}
	return t.playContainers(ctx)
}

// playContainers boots the containers that were made, makes every check that fits
// the plan, and does so again after a power cycle.
func (t *Trial) playContainers(ctx context.Context) error {
	o, err := t.operator(ctx)
	if err != nil {
		return err
	}
	t.Phase("first boot")
	first, err := PowerOn(ctx, t.nodes)
	if err != nil {
		return err
	}
	if err := t.boots(ctx, o, t.nodes, first); err != nil {
		return err
	}
	t.checkCluster(ctx, o)
	if t.Plan.Endpoint.Mode == "vip" && len(t.nodesOf(plan.Master)) > 2 {
		if err := t.checkMove(ctx, o); err != nil {
			return err
		}
	}
	t.Phase("after a power cycle of all nodes")
	if first, err = t.powerCycle(ctx); err != nil {
		return err
	}
	if err := t.boots(ctx, o, t.nodes, first); err != nil {
		return err
	}
	t.Check(ctx, "a power cycle of all nodes ends Ready", soon, func(ctx context.Context) (string, error) { return t.allReady(ctx, o) })
	t.Check(ctx, fmt.Sprintf("etcd has %s again", counted(len(t.masters()), "voter")), soon, t.voters)
	t.Check(ctx, t.serviceCheck(), 2*time.Minute, func(ctx context.Context) (string, error) { return t.reachService(ctx, o, t.nodes[len(t.nodes)-1].Name) })
	return nil
}

// boots is follow within a bound.
func (t *Trial) boots(ctx context.Context, o *operator, nodes []*Node, first time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, boundBoot)
	defer cancel()
	err := t.follow(ctx, o, nodes, first)
	t.keepWords()
	return err
}
