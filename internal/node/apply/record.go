package apply

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/imgforge/imgforge/internal/node/api"
)

// record is the ConfigMap that says which contents of each add-on were applied.
type record struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Data       map[string]string `json:"data"`
}

// entry is what the record says of one add-on.
type entry struct {
	Hash       string `json:"hash"`
	Kubernetes string `json:"kubernetes"` // the version that the add-on was applied for
	By         string `json:"by"`
	// Kept are the fields that others had set to other values.
	Kept []string `json:"kept,omitempty"`
}

func recordRef() api.Ref {
	return api.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "kube-system", Name: "imgforge-addons"}
}

// recorded reads the record; where there is none it is empty.
func (a *applier) recorded(ctx context.Context) (record, error) {
	r := recordRef()
	out := record{APIVersion: r.APIVersion, Kind: r.Kind, Metadata: map[string]any{"name": r.Name, "namespace": r.Namespace}}
	err := a.client.Get(ctx, r, &out)
	if out.Data == nil {
		out.Data = map[string]string{}
	}
	if api.Missing(err) {
		err = nil
	}
	return out, err
}

// of returns what the record says of an add-on. What cannot be read counts as
// nothing: the add-on is applied again.
func (r record) of(name string) entry {
	var e entry
	if json.Unmarshal([]byte(r.Data[name]), &e) != nil {
		return entry{}
	}
	return e
}

// write adds an entry. The resourceVersion of the record guards it.
func (a *applier) write(ctx context.Context, name string, e entry) error {
	have, err := a.recorded(ctx)
	if err != nil {
		return err
	}
	have.Data[name] = string(body(e))
	text := body(have)
	if have.Metadata["resourceVersion"] == nil {
		err = a.client.Create(ctx, recordRef(), text, nil)
	} else {
		err = a.client.Update(ctx, recordRef(), "", text, nil)
	}
	if err != nil {
		return fmt.Errorf("record the add-on %s: %w", name, err)
	}
	return nil
}
