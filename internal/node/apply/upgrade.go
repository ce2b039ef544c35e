package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/node/api"
)

// kubelet is what is read of a Node to know which Kubernetes it runs.
type kubelet struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		NodeInfo struct {
			KubeletVersion string `json:"kubeletVersion"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

func (k kubelet) ready() bool {
	for _, c := range k.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// hold takes out of todo what has to wait for an upgrade to reach the last node, and
// tells whom it waits for. The first master of a newer Kubernetes finds API servers,
// kubelets and image stores of the older one: add-ons of the newer would run on nodes
// that have neither their images nor what they ask of the API server.
func (a *applier) hold(ctx context.Context, have record, todo []addon) (now []addon, held string, err error) {
	var later []string
	for _, want := range todo {
		if upgrades(have.of(want.Name), a.cluster.Kubernetes) {
			later = append(later, want.Name)
		} else {
			now = append(now, want)
		}
	}
	if len(later) == 0 {
		return todo, "", nil
	}
	var nodes []kubelet
	_, err = a.client.List(ctx, api.Ref{APIVersion: "v1", Kind: "Node"}, api.Selection{}, func(object json.RawMessage) error {
		var k kubelet
		if err := json.Unmarshal(object, &k); err != nil {
			return fmt.Errorf("read a node: %w", err)
		}
		nodes = append(nodes, k)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	names := behind(nodes, a.cluster.Kubernetes)
	if len(names) == 0 {
		return todo, "", nil
	}
	return now, fmt.Sprintf("for %s to run Kubernetes %s, before %s of it may be applied",
		strings.Join(shorten(names), ", "), a.cluster.Kubernetes, strings.Join(later, ", ")), nil
}

// upgrades tells whether what is recorded is of an older Kubernetes. Where nothing is
// recorded nothing runs that an upgrade could harm.
func upgrades(e entry, version string) bool {
	return e.Hash != "" && compare(e.Kubernetes, version) < 0
}

// behind names the nodes that are Ready with an older kubelet. One that is not Ready
// runs no pods, and may never come back.
func behind(nodes []kubelet, version string) (names []string) {
	for _, k := range nodes {
		if runs := k.Status.NodeInfo.KubeletVersion; k.ready() && compare(runs, version) < 0 {
			names = append(names, fmt.Sprintf("%s (%s)", k.Metadata.Name, runs))
		}
	}
	slices.Sort(names)
	return names
}
