package lab

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

// keptManifest is pods with a budget; ${IMAGE}, ${COUNT}, ${NODES} and ${APART} are filled.
//
//go:embed topology/kept.yaml
var keptManifest string

// Whether a pod without a place of its own runs beside another one.
const (
	apartAlways  = "DoNotSchedule"
	apartIfItCan = "ScheduleAnyway"
)

// kept are pods that a budget keeps, one on every worker.
type kept struct {
	*bout
	count int
	text  string
}

// runKept runs them and waits until all are Ready.
func (b *bout) runKept(ctx context.Context, apart string) (kept, error) {
	var workers []string
	for _, n := range b.members() {
		if made, ok := b.Plan.Node(n.Name); ok && made.Role == plan.Worker {
			workers = append(workers, n.Name)
		}
	}
	k := kept{bout: b, count: len(workers), text: strings.NewReplacer("${IMAGE}", ProbeImage, "${COUNT}", fmt.Sprint(len(workers)),
		"${NODES}", strings.Join(workers, ", "), "${APART}", apart).Replace(keptManifest)}
	if err := k.ask(ctx, "apply", "--server-side", "-f", "-"); err != nil {
		return k, err
	}
	_, err := b.Wait(ctx, "the pods with a budget are Ready", boundWhole, func(ctx context.Context) error { return k.readyBeside(ctx, "") })
	return k, err
}

// readyBeside refuses until all are Ready, and none of them on a node.
func (k kept) readyBeside(ctx context.Context, node string) error {
	pods, err := k.look(ctx)
	if err != nil {
		return err
	}
	if ready := len(slices.DeleteFunc(pods, func(p listedPod) bool { return !p.ready || p.node == node })); ready != k.count {
		return fmt.Errorf("%d of %d are Ready", ready, k.count)
	}
	return nil
}

// gone takes them away.
func (k kept) gone(ctx context.Context) error {
	return k.ask(ctx, "delete", "--wait=false", "-f", "-")
}

func (k kept) ask(ctx context.Context, args ...string) error {
	_, err := k.o.kubectlIn(ctx, k.standpoint(), k.text, append([]string{"--server=" + k.Plan.Endpoint.URL}, args...)...)
	return err
}

// look lists them. One that is on its way out is not Ready: so a budget counts too.
func (k kept) look(ctx context.Context) ([]listedPod, error) {
	var list podList
	if err := k.anyMaster(ctx, k.o, "/api/v1/namespaces/kept/pods", &list); err != nil {
		return nil, err
	}
	return list.pods(), nil
}
