//go:build lab

package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// Three masters found etcd by asking each other. One loses its disk, boots the same
// payload, and is a voter again under a new name, with nobody's help.
func TestWipedMasterRejoins(t *testing.T) {
	trial := newTrial(t, "tinc-vip")
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute)
	defer cancel()
	must(t, trial.Containers(ctx))
	for _, n := range trial.Plan.NodesOf(plan.Master) {
		if !n.Reserved {
			_, err := trial.Make(ctx, n.Name, "roles/master.ign")
			must(t, err)
		}
	}
	masters := trial.masters()
	o, err := trial.operator(ctx)
	must(t, err)
	trial.Phase("first boot")
	_, err = PowerOn(ctx, masters)
	must(t, err)
	must(t, trial.mastersServe(ctx, o, masters))
	before := trial.memberOf(t, ctx, "master-3")

	trial.Phase("master-3 has an empty disk")
	lost := masters[2]
	must(t, lost.PowerOff(ctx))
	must(t, lost.wipe(ctx))
	_, err = PowerOn(ctx, []*Node{lost})
	must(t, err)
	must(t, trial.mastersServe(ctx, o, []*Node{lost}))
	if after := trial.memberOf(t, ctx, "master-3"); after == before {
		t.Errorf("master-3 came back as the member %s that it had voted as", after)
	}
	for _, words := range []string{"remove its old member", "add a learner", "start as a learner", "is a voter of cluster"} {
		must(t, trial.Reach(ctx, lost.Name, lost.PoweredOn, "says: "+words, lost.says(words)))
	}
}

// mastersServe waits for etcd and API servers of masters, and for etcd's three voters.
func (t *Trial) mastersServe(ctx context.Context, o *operator, masters []*Node) error {
	err := together(masters, func(n *Node) error {
		own := fmt.Sprintf("https://127.0.0.1:%d", t.Plan.Endpoint.APIServerPort)
		for _, w := range []wait{
			{"identity claimed", n.has("var/lib/imgforge/claimed")},
			{"kubelet is healthy", n.answers("http://127.0.0.1:10248/healthz")},
			{"etcd is ready", n.answers("http://127.0.0.1:2381/readyz")},
			{"API server is ready", func(ctx context.Context) error { return o.through(ctx, n.netns, own, "/readyz", nil) }},
		} {
			if err := t.Reach(ctx, n.Name, n.PoweredOn, w.what, w.look); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.Reach(ctx, "", masters[0].PoweredOn, "etcd has its voters", func(ctx context.Context) error { _, err := t.voters(ctx); return err })
}

// memberOf is the id of a node's member of etcd.
func (t *Trial) memberOf(test *testing.T, ctx context.Context, name string) string {
	test.Helper()
	const pki = "/etc/kubernetes/pki/etcd/"
	out, err := t.masters()[0].Run(ctx, "etcdctl", "--cacert="+pki+"ca.crt", "--cert="+pki+"healthcheck-client.crt", "--key="+pki+"healthcheck-client.key", "member", "list")
	must(test, err)
	for line := range strings.Lines(out) {
		if fields := strings.Split(line, ", "); len(fields) > 2 && fields[2] == name {
			return fields[0]
		}
	}
	test.Fatalf("%s is no member:\n%s", name, out)
	return ""
}
