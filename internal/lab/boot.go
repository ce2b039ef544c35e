package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// follow watches nodes from power-on to Ready, with DNS, at once, and notes when
// each reached what. It only looks.
func (t *Trial) follow(ctx context.Context, o *operator, nodes []*Node, first time.Time) error {
	var wg sync.WaitGroup
	var apiErr error
	wg.Go(func() { apiErr = t.followAPI(ctx, o, nodes, first) })
	err := together(nodes, func(n *Node) error { return t.followNode(ctx, o, n) })
	wg.Wait()
	if err == nil {
		err = apiErr
	}
	if err == nil {
		t.Note("", time.Since(first), allOf(nodes)+"Ready, with DNS of the cluster")
	}
	return err
}

func allOf(nodes []*Node) string {
	if len(nodes) == 1 {
		return nodes[0].Name + " is "
	}
	return fmt.Sprintf("all %d nodes are ", len(nodes))
}

// wait is something to wait for on a node.
type wait struct {
	what string
	look func(context.Context) error
}

// followNode waits for what a node itself shows, in the order of its boot.
func (t *Trial) followNode(ctx context.Context, o *operator, n *Node) error {
	made, _ := t.Plan.Node(n.Name)
	k := t.Plan.Kubernetes
	waits := []wait{
		{"identity claimed", n.has("var/lib/imgforge/claimed")},
		{"containerd runs", n.has("run/containerd/containerd.sock")},
		{"kubelet is healthy", n.answers("http://127.0.0.1:10248/healthz")},
	}
	if made.Role == plan.Master {
		own := fmt.Sprintf("https://127.0.0.1:%d", t.Plan.Endpoint.APIServerPort)
		waits = append(waits,
			wait{"etcd is ready", n.answers("http://127.0.0.1:2381/readyz")},
			wait{"API server is ready", func(ctx context.Context) error { return o.through(ctx, n.netns, own, "/readyz", nil) }})
	}
	waits = append(waits,
		wait{"the API answers at its endpoint", func(ctx context.Context) error { return o.through(ctx, n.netns, t.Plan.Endpoint.URL, "/readyz", nil) }})
	if t.Plan.Addons.CoreDNS {
		waits = append(waits, wait{"DNS of the cluster answers", func(context.Context) error {
			return n.resolves(k.DNSIP, "kubernetes.default.svc."+k.ClusterDomain, k.ServiceIP)
		}})
	}
	for _, w := range waits {
		if err := t.Reach(ctx, n.Name, n.PoweredOn, w.what, w.look); err != nil {
			return err
		}
	}
	return nil
}

// has is a check that a node has a file, among those of its memory too.
func (n *Node) has(path string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(filepath.Join(fmt.Sprintf("/proc/%d/root", n.leader), path))
		return err
	}
}

// resolves asks a DNS server from inside the node.
func (n *Node) resolves(server, name, want string) error {
	return within(n.netns, func() error {
		conn, err := net.DialTimeout("udp4", net.JoinHostPort(server, "53"), time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		got, err := askName(conn, name)
		if err == nil && got != netip.MustParseAddr(want) {
			err = fmt.Errorf("%s is %s, want %s", name, got, want)
		}
		return err
	})
}

// nodeList is the API's list of nodes.
type nodeList struct {
	Items []struct {
		Metadata struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Status struct {
			Conditions []struct {
				Type          string    `json:"type"`
				Status        string    `json:"status"`
				Message       string    `json:"message"`
				LastHeartbeat time.Time `json:"lastHeartbeatTime"`
			} `json:"conditions"`
		} `json:"status"`
	} `json:"items"`
}

// pauseAPI keeps the lab's own questions from being the API's load.
const pauseAPI = 500 * time.Millisecond

// followAPI notes when the API has a node registered, and when Ready, by one
// question for all of them.
func (t *Trial) followAPI(ctx context.Context, o *operator, nodes []*Node, first time.Time) error {
	registered, ready := map[string]bool{}, map[string]bool{}
	for {
		err := t.lookAtNodes(ctx, o, nodes, registered, ready)
		if err == nil {
			t.Note("", time.Since(first), allOf(nodes)+"Ready")
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%sReady: %w", allOf(nodes), err)
		case <-time.After(pauseAPI):
		}
	}
}

// lookAtNodes notes nodes that are new in the API or newly Ready; an error until all are.
func (t *Trial) lookAtNodes(ctx context.Context, o *operator, nodes []*Node, registered, ready map[string]bool) error {
	var list nodeList
	if err := t.anyMaster(ctx, o, "/api/v1/nodes", &list); err != nil {
		return err
	}
	return t.judgeNodes(&list, t.nodes, nodes, registered, ready)
}

// judgeNodes is lookAtNodes for a list that the API gave, of a cluster of all nodes.
func (t *Trial) judgeNodes(list *nodeList, all, nodes []*Node, registered, ready map[string]bool) error {
	missing := map[string]string{}
	for _, n := range nodes {
		missing[n.Name] = "is not registered"
	}
	for _, item := range list.Items {
		i := slices.IndexFunc(all, func(n *Node) bool { return n.Name == item.Metadata.Name })
		if i < 0 {
			return fmt.Errorf("the API knows a node %s that nobody booted", item.Metadata.Name)
		}
		n := all[i]
		if !slices.Contains(nodes, n) {
			continue
		}
		missing[n.Name] = "says nothing"
		for _, c := range item.Status.Conditions {
			// What it said before its power-on counts for nothing.
			if c.Type != "Ready" || c.LastHeartbeat.Before(n.PoweredOn.Truncate(time.Second)) {
				continue
			}
			if !registered[n.Name] {
				registered[n.Name] = true
				t.Note(n.Name, time.Since(n.PoweredOn), "node reports to the API")
			}
			missing[n.Name] = c.Message
			if c.Status == "True" {
				delete(missing, n.Name)
			}
			if c.Status == "True" && !ready[n.Name] {
				ready[n.Name] = true
				t.Note(n.Name, time.Since(n.PoweredOn), "node is Ready")
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var words []string
	for name, why := range missing {
		words = append(words, name+": "+why)
	}
	slices.Sort(words)
	return fmt.Errorf("%s", strings.Join(words, "; "))
}

// anyMaster asks the masters' own API servers, the first that answers.
func (t *Trial) anyMaster(ctx context.Context, o *operator, path string, out any) (err error) {
	for _, n := range t.masters() {
		if n.leader == 0 {
			continue
		}
		if err = o.through(ctx, n.netns, fmt.Sprintf("https://127.0.0.1:%d", t.Plan.Endpoint.APIServerPort), path, out); err == nil {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("no master has power")
	}
	return err
}
