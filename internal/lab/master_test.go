//go:build lab

package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	caFile    = "/etc/kubernetes/pki/ca.crt"
	adminFile = "/etc/kubernetes/admin.conf"
)

// One master assembles itself from the payload of its role, and from its own.
func TestOneMaster(t *testing.T) {
	for _, payload := range []string{"roles/master.ign", "nodes/master-1.ign"} {
		t.Run(strings.ReplaceAll(payload, "/", "-"), func(t *testing.T) {
			ctx := signalled(t)
			b := newBench(t, ctx, "one-master")
			ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
			defer cancel()
			n := b.boot(t, ctx, "master-1", payload)
			must(t, b.becomesMaster(t, ctx, n))
			b.runsPods(t, ctx, n)
			unitsAreWell(t, ctx, n)
			powerCycle(t, ctx, []*Node{n})
			must(t, reaches(t, ctx, n, "node is registered", n.reportsTo(n)))
			must(t, reaches(t, ctx, n, "node is Ready", n.runs(isReady(n)...)))
			unitsAreWell(t, ctx, n)
		})
	}
}

// becomesMaster follows a master from power-on to a node that is known to the
// cluster and lacks nothing but a network for pods.
func (b *bench) becomesMaster(t *testing.T, ctx context.Context, n *Node) error {
	t.Helper()
	for _, step := range []struct {
		what string
		args []string
	}{
		{"firewall loaded", []string{"nft", "list", "table", "inet", "imgforge"}},
		{"identity claimed", []string{"test", "-e", "/var/lib/imgforge/claimed"}},
		{"mesh is up", []string{"systemctl", "is-active", "imgforge-mesh.service"}},
		{"containerd runs", []string{"systemctl", "is-active", "containerd.service"}},
		{"kubelet is healthy", []string{"curl", "-sf", "http://127.0.0.1:10248/healthz"}},
		{"etcd is ready", []string{"curl", "-sf", "http://127.0.0.1:2381/readyz"}},
		{"API server is ready", []string{"curl", "-sf", "--cacert", caFile, fmt.Sprintf("https://127.0.0.1:%d/readyz", b.plan.Endpoint.APIServerPort)}},
		{"endpoint answers", []string{"curl", "-sf", "--cacert", caFile, b.plan.Endpoint.URL + "/readyz"}},
		{"bindings are there", kubectl("apply", "-f", "/root/bindings.yaml")},
		{"controller manager leads", kubectl("get", "lease", "-n", "kube-system", "kube-controller-manager")},
		{"scheduler leads", kubectl("get", "lease", "-n", "kube-system", "kube-scheduler")},
	} {
		if err := reaches(t, ctx, n, step.what, n.runs(step.args...)); err != nil {
			return err
		}
	}
	if err := reaches(t, ctx, n, "node is registered", n.reportsTo(n)); err != nil {
		return err
	}
	lacks := strings.Join(kubectl("describe", "node", n.Name), " ") + " | grep 'Ready  *False' | grep 'cni plugin not initialized'"
	if err := reaches(t, ctx, n, "node lacks a network for pods alone", n.runs("sh", "-c", lacks)); err != nil {
		return err
	}
	for _, pod := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "haproxy"} {
		ready := kubectl("wait", "-n", "kube-system", "--timeout=1s", "--for=condition=Ready", "pod/"+pod+"-"+n.Name)
		if err := reaches(t, ctx, n, "pod "+pod+" is ready", n.runs(ready...)); err != nil {
			return err
		}
	}
	return nil
}

// runsPods gives a node that lacks nothing else a network for pods, and runs one.
func (b *bench) runsPods(t *testing.T, ctx context.Context, n *Node) {
	t.Helper()
	for _, step := range []struct {
		what string
		args []string
	}{
		{"a network for pods is configured", []string{"install", "-D", "-m", "0644", "/root/bridge.conflist", "/etc/cni/net.d/10-lab.conflist"}},
		{"node is Ready", isReady(n)},
		{"a pod is asked for", kubectl("run", "lab", "--image="+b.plan.Images.Pause, "--image-pull-policy=Never")},
		{"a pod runs", kubectl("wait", "--timeout=1s", "--for=condition=Ready", "pod/lab")},
		{"the pod answers a ping", []string{"sh", "-c", "ping -c 1 -W 1 $(kubectl --kubeconfig=" + adminFile + " get pod lab -o jsonpath={.status.podIP})"}},
	} {
		must(t, reaches(t, ctx, n, step.what, n.runs(step.args...)))
	}
}

func isReady(n *Node) []string {
	return kubectl("wait", "--timeout=1s", "--for=condition=Ready", "node/"+n.Name)
}

// reportsTo is a check that a master knows of the node since the node's last power-on.
func (n *Node) reportsTo(master *Node) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := master.Run(ctx, kubectl("get", "lease", "-n", "kube-node-lease", n.Name, "-o", "jsonpath={.spec.renewTime}")...)
		if err != nil {
			return err
		}
		renewed, err := time.Parse(time.RFC3339Nano, out)
		if err == nil && renewed.Before(n.PoweredOn) {
			err = fmt.Errorf("its lease is of %s, before it was powered on", renewed)
		}
		return err
	}
}

// kubectl is a command of the cluster's administrator on a master.
func kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig=" + adminFile}, args...)
}

// unitsAreWell refuses units that failed, and cycles that systemd broke.
func unitsAreWell(t *testing.T, ctx context.Context, n *Node) {
	t.Helper()
	failed, err := n.Run(ctx, "systemctl", "list-units", "--failed", "--no-legend", "--plain")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(failed) {
		t.Errorf("%s: failed unit: %s", n.Name, strings.TrimSpace(line))
	}
	journal, err := n.Run(ctx, "journalctl", "--no-pager", "--output=cat", "_PID=1")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(journal) {
		if slices.ContainsFunc([]string{"ordering cycle", "Unknown key", "Failed to parse", "Invalid", "not absolute"}, func(s string) bool { return strings.Contains(line, s) }) {
			t.Errorf("%s: systemd says: %s", n.Name, strings.TrimSpace(line))
		}
	}
}
