package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// becomesWhole waits until nothing of a cluster is missing: see whole. What was missing
// last stays in r.last, "" when nothing was.
func (r *ring) becomesWhole(ctx context.Context, bound time.Duration) error {
	r.live("waiting until the cluster is whole")
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	r.last = ""
	return Await(ctx, "the cluster is whole", func(ctx context.Context) error {
		err := r.whole(ctx)
		if err != nil && err.Error() != r.last {
			r.last = err.Error()
			r.ledger.mark("not whole: " + r.last)
		}
		return err
	})
}

// whole asks every member of the cluster itself, at once; the API's word about nodes
// comes last, since it is the oldest.
func (r *ring) whole(ctx context.Context) error {
	members := r.members()
	if err := together(members, func(n *Node) error { return r.nodeIsWhole(ctx, n) }); err != nil {
		return err
	}
	for _, f := range r.floating() {
		if _, err := holder(ctx, f.nodes, f.address); err != nil {
			return err
		}
	}
	if _, err := r.sameEtcd(ctx); err != nil {
		return err
	}
	all := map[string]bool{} // nothing of it is to be noted
	for _, n := range r.nodes {
		all[n.Name] = true
	}
	return r.lookAtNodes(ctx, r.o, members, all, all)
}

// nodeIsWhole asks what a node of its role runs.
func (r *ring) nodeIsWhole(ctx context.Context, n *Node) error {
	if n.leader == 0 {
		return fmt.Errorf("%s has no power", n.Name)
	}
	for _, look := range r.wellness(n) {
		if err := look(ctx); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

// wellness is what is asked of a node.
func (r *ring) wellness(n *Node) []func(context.Context) error {
	made, _ := r.Plan.Node(n.Name)
	looks := []func(context.Context) error{
		n.answers("http://127.0.0.1:10248/healthz"),
		func(ctx context.Context) error { return n.unitsRun(ctx) },
	}
	if made.Role == plan.Master {
		for _, url := range []string{fmt.Sprintf("https://127.0.0.1:%d/readyz", r.Plan.Endpoint.APIServerPort), "https://127.0.0.1:10257/healthz", "https://127.0.0.1:10259/healthz"} {
			looks = append(looks, func(ctx context.Context) error { return r.answersTLS(ctx, n, url) })
		}
		looks = append(looks, n.answers("http://127.0.0.1:2381/readyz"))
	}
	if made.Role != plan.Worker || r.Plan.Endpoint.Mode == "local" {
		looks = append(looks, n.answers(fmt.Sprintf("http://127.0.0.1:%d/healthz", artifact.HAProxyAlivePort)))
	}
	looks = append(looks, func(ctx context.Context) error {
		return r.o.through(ctx, n.netns, r.Plan.Endpoint.URL, "/readyz", nil)
	})
	if k := r.Plan.Kubernetes; r.Plan.Addons.CoreDNS {
		looks = append(looks, func(context.Context) error {
			return n.resolves(k.DNSIP, "kubernetes.default.svc."+k.ClusterDomain, k.ServiceIP)
		})
	}
	return looks
}

// answersTLS is a check of a port that speaks TLS with a certificate of whoever's.
func (r *ring) answersTLS(ctx context.Context, n *Node, url string) error {
	client := r.o.anybody(n.netns)
	defer client.CloseIdleConnections()
	reply, err := client.Get(url)
	if err != nil {
		return err
	}
	reply.Body.Close()
	if reply.StatusCode != 200 {
		err = fmt.Errorf("GET %s: %s", url, reply.Status)
	}
	return err
}

// unitsRun refuses units that failed or are being started again.
func (n *Node) unitsRun(ctx context.Context) error {
	out, err := n.Run(ctx, "systemctl", "list-units", "--all", "--state=failed,auto-restart,activating,deactivating", "--no-legend", "--plain")
	if out = strings.TrimSpace(out); err == nil && out != "" {
		err = errors.New("units do not run: " + out)
	}
	return err
}

// reports waits until every kubelet has renewed its node's lease since a time: one that
// holds a connection to an API server that is gone would not.
func (r *ring) reports(ctx context.Context, since time.Time) error {
	var list struct {
		Items []struct {
			Metadata objectMeta `json:"metadata"`
			Spec     struct {
				RenewTime time.Time `json:"renewTime"`
			} `json:"spec"`
		} `json:"items"`
	}
	if err := r.anyMaster(ctx, r.o, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", &list); err != nil {
		return err
	}
	renewed := map[string]time.Time{}
	for _, item := range list.Items {
		renewed[item.Metadata.Name] = item.Spec.RenewTime
	}
	for _, n := range r.members() {
		if at := renewed[n.Name]; at.Before(since) {
			return fmt.Errorf("the kubelet of %s reported last at %s", n.Name, at.UTC().Format("15:04:05"))
		}
	}
	return nil
}

// floating is an address that one of some nodes has.
type floating struct {
	what    string
	address string
	nodes   []*Node
}

// floating are the addresses that move in this cluster.
func (r *ring) floating() (list []floating) {
	if r.Plan.Endpoint.Mode == "vip" {
		list = append(list, floating{"floating address", r.Plan.Endpoint.Address, r.mastersOf()})
	}
	for _, role := range r.Plan.Roles {
		if net.ParseIP(role.PublicIP) == nil {
			continue
		}
		var nodes []*Node
		for _, n := range r.members() {
			if made, ok := r.Plan.Node(n.Name); ok && made.Role == role.Name {
				nodes = append(nodes, n)
			}
		}
		list = append(list, floating{"public address", role.PublicIP, nodes})
	}
	return list
}
