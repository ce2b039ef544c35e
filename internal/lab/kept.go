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

// keptPod is one of them, as the API knows it.
type keptPod struct {
	name, node     string
	phase, reason  string
	ready, leaving bool
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
	if ready := len(slices.DeleteFunc(pods, func(p keptPod) bool { return !p.ready || p.node == node })); ready != k.count {
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
func (k kept) look(ctx context.Context) (out []keptPod, err error) {
	var list struct {
		Items []struct {
			Metadata struct {
				Name              string  `json:"name"`
				DeletionTimestamp *string `json:"deletionTimestamp"`
			} `json:"metadata"`
			Spec struct {
				NodeName string `json:"nodeName"`
			} `json:"spec"`
			Status struct {
				Phase, Reason string
				Conditions    []struct{ Type, Status string }
			} `json:"status"`
		} `json:"items"`
	}
	if err := k.anyMaster(ctx, k.o, "/api/v1/namespaces/kept/pods", &list); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		p := keptPod{name: item.Metadata.Name, node: item.Spec.NodeName, phase: item.Status.Phase, reason: item.Status.Reason,
			leaving: item.Metadata.DeletionTimestamp != nil}
		for _, c := range item.Status.Conditions {
			p.ready = p.ready || c.Type == "Ready" && c.Status == "True" && !p.leaving
		}
		out = append(out, p)
	}
	return out, nil
}
