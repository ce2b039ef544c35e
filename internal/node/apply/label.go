package apply

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
)

// member is what is read of a Node.
type member struct {
	Metadata struct {
		Name   string            `json:"name"`
		UID    string            `json:"uid"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
}

// label gives the nodes that exist the labels of their roles, which kubelets may
// not give to themselves, and tells whether nodes of the plan are missing. A label
// that is there stays, whatever its value.
func (a *applier) label(ctx context.Context) (missing bool, err error) {
	labels := map[string]map[string]string{}
	for _, n := range a.cluster.Nodes {
		labels[n.Name] = n.Labels
	}
	var lacking []member
	found := 0
	all := api.Ref{APIVersion: "v1", Kind: "Node"}
	_, err = a.client.List(ctx, all, api.Selection{Bare: true}, func(object json.RawMessage) error {
		var m member
		if err := json.Unmarshal(object, &m); err != nil {
			return fmt.Errorf("read a node: %w", err)
		}
		if ours, ok := labels[m.Metadata.Name]; ok {
			found++
			if lacks(m.Metadata.Labels, ours) {
				lacking = append(lacking, m)
			}
		}
		return nil
	})
	if err != nil {
		return true, err
	}
	var refused []string
	for _, m := range lacking {
		err := a.labelOne(ctx, m, labels[m.Metadata.Name])
		switch {
		case err == nil || api.Changed(err): // gone, or made anew
		case final(err):
			refused = append(refused, err.Error())
		default:
			return true, err
		}
	}
	return found < len(a.cluster.Nodes), a.refused(bootcode.LabelRefused, refused)
}

// lacks tells whether one of the labels is not there at all.
func lacks(have, want map[string]string) bool {
	for name := range want {
		if _, ok := have[name]; !ok {
			return true
		}
	}
	return false
}

// labelOne labels a node. Its uid is in what is applied: applying would otherwise
// make a node that was deleted meanwhile.
func (a *applier) labelOne(ctx context.Context, m member, labels map[string]string) error {
	r := api.Ref{APIVersion: "v1", Kind: "Node", Name: m.Metadata.Name}
	_, err := a.put(ctx, r, body(map[string]any{
		"apiVersion": r.APIVersion, "kind": r.Kind,
		"metadata": map[string]any{"name": r.Name, "uid": m.Metadata.UID, "labels": labels},
	}))
	return err
}
