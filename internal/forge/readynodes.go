package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	clusterTimeout = 30 * time.Second // for one answer of a cluster's API
	maxNodesPage   = 64 << 20         // bytes of one; a node takes some 10 KB
	nodesPage      = 500
)

// nodeList is what is needed of the API's NodeList.
type nodeList struct {
	Metadata struct{ Continue string }
	Items    []struct {
		Metadata struct{ Name string }
		Status   struct {
			Conditions []struct {
				Type, Status       string
				LastTransitionTime time.Time
			}
		}
	}
}

// readyNodes asks a cluster which of its nodes are Ready, and since when.
func readyNodes(ctx context.Context, kubeconfig string) (map[string]time.Time, error) {
	at, err := readKubeconfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	defer at.client.CloseIdleConnections()
	out := map[string]time.Time{}
	for next := ""; ; {
		list, err := at.nodes(ctx, next)
		if err != nil {
			return nil, fmt.Errorf("ask %s which nodes are Ready: %w", at.server, err)
		}
		for _, n := range list.Items {
			for _, c := range n.Status.Conditions {
				if c.Type == "Ready" && c.Status == "True" {
					out[n.Metadata.Name] = c.LastTransitionTime
				}
			}
		}
		if next = list.Metadata.Continue; next == "" {
			return out, nil
		}
	}
}

// nodes is one page of them.
func (k *kubernetes) nodes(ctx context.Context, next string) (*nodeList, error) {
	query := url.Values{"limit": {fmt.Sprint(nodesPage)}}
	if next != "" {
		query.Set("continue", next)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(k.server, "/")+"/api/v1/nodes?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if k.token != "" {
		req.Header.Set("Authorization", "Bearer "+k.token)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxNodesPage))
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("it answers %d: the kubeconfig's user may not list nodes, or has expired; `imgforge kubeconfig` makes one that may", resp.StatusCode)
	default:
		return nil, fmt.Errorf("it answers %d", resp.StatusCode)
	}
	var list nodeList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("its answer is no list of nodes: %w", err)
	}
	return &list, nil
}
