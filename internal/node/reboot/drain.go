package reboot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/internal/node/api"
)

// mirrorKey is the kubelet's, on what it shows of static pods.
const mirrorKey = "kubernetes.io/config.mirror"

// most pods are named when they stay.
const most = 8

// pod is what is read of a Pod.
type pod struct {
	Metadata metadata `json:"metadata"`
	Status   struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// leaves tells whether a pod has to leave a node that reboots. A static pod and one
// of a DaemonSet belong there; one that nobody would make again elsewhere stays and
// is started again with the node; one that has ended is none.
func (p pod) leaves() bool {
	if _, mirror := p.Metadata.Annotations[mirrorKey]; mirror || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
		return false
	}
	for _, o := range p.Metadata.Owners {
		if o.Controller {
			return o.Kind != "DaemonSet" && o.Kind != "Node"
		}
	}
	return false
}

// pods are those of a node that have to leave it, by name.
func (a *arbiter) pods(ctx context.Context, node string) (out []pod, err error) {
	_, err = a.client.List(ctx, api.Ref{APIVersion: "v1", Kind: "Pod"}, api.Selection{Fields: "spec.nodeName=" + node}, func(object json.RawMessage) error {
		var p pod
		if err := json.Unmarshal(object, &p); err != nil {
			return err
		}
		if p.leaves() {
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

func names(pods []pod) (out []string) {
	for _, p := range pods {
		out = append(out, p.Metadata.Namespace+"/"+p.Metadata.Name)
	}
	slices.Sort(out)
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more", len(out)-most))
	}
	return out
}

// drain asks each pod to leave that does not yet. A budget that keeps one holds no
// other up, and neither does what else the API server says of one: the window ends it.
func (a *arbiter) drain(ctx context.Context, pods []pod) error {
	for _, p := range pods {
		m := p.Metadata
		if m.Deleted != "" {
			continue
		}
		err := a.client.Evict(ctx, api.Ref{APIVersion: "v1", Kind: "Pod", Namespace: m.Namespace, Name: m.Name}, body(map[string]any{
			"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": m.Name, "namespace": m.Namespace},
			"deleteOptions": map[string]any{"preconditions": map[string]any{"uid": m.UID}},
		}))
		if err != nil && api.Refused(err) == nil {
			return err // it did not answer at all
		}
	}
	return nil
}
