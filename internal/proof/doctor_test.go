package proof

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/cli"
	"github.com/imgforge/imgforge/internal/node/status"
	"github.com/imgforge/imgforge/internal/node/step"
	payloads "github.com/imgforge/imgforge/internal/testtool/machine"
	"github.com/imgforge/imgforge/pki"
)

const doctored = `apiVersion: imgforge/v1alpha1
kind: Cluster
name: ward
platform: {provider: metal}
network: {mesh: none, cidr: 192.168.66.0/24}
endpoint: {mode: local}
roles:
  master: {count: 1, reserve: 0}
  worker: {count: 1, reserve: 0}
`

// consult runs a doctor's command line.
func consult(t *testing.T, c *cluster, args ...string) (code int, out, messages string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"doctor", "-f", c.path("cluster.yaml")}, args...)
	code = cli.Run(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, c.env)
	return code, stdout.String(), stderr.String()
}

// serveStatus runs the status page of a node at a loopback address, with the files
// of its own payload but for that address, and waits until it answers somebody.
func serveStatus(t *testing.T, c *cluster, node, at string) *step.Log {
	t.Helper()
	ids, err := pki.Locations{Getenv: c.env, ConfigDir: c.path("home", ".config"), Cluster: c.plan.Cluster}.Load()
	if err != nil {
		t.Fatal(err)
	}
	store, err := pki.Open(c.path("store"), c.plan.Cluster, ids)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := c.plan.Node(node)
	if !ok {
		t.Fatalf("no node %s", node)
	}
	root := payloads.Cluster{Plan: c.plan, Store: store}.Root(t, node, `"address": "`+n.Address+`"`, `"address": "`+at+`"`)
	log := &step.Log{Root: root, Stderr: io.Discard, Now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- status.Run(ctx, status.Options{Root: root, Report: log, Version: "v1.2.3"}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(at, "9440"), time.Second)
		if err == nil {
			conn.Close()
			return log
		}
		if time.Now().After(deadline) {
			t.Fatalf("the status page never listens: %v", err)
		}
	}
}

// The doctor asks the status page that nodes serve, with a certificate of the
// store alone, and says what is to be done.
func TestDoctorAsksNodes(t *testing.T) {
	c := fromFile(t, doctored)
	log := serveStatus(t, c, "master-1", "127.66.7.1")
	log.Done(step.Claim, "this is master-1 (host name master-1)")
	log.Waiting(step.Mesh, "an answer of worker-1")
	log.Failed(bootcode.Fail(bootcode.EtcdSilent, "no answer from master-2\nand none from master-3"))
	code, out, messages := consult(t, c, "--node", "master-1", "--address", "127.66.7.1")
	for _, want := range []string{"warning 501 masters-silent in step etcd of master-1\n", "  why:    no answer from master-2\n          and none from master-3\n",
		"  change: nothing, while the others boot", "Waiting:\n  mesh of master-1: an answer of worker-1\n", "Done:\n  claim of master-1: this is master-1",
		"Nodes:\n  master-1: master, Kubernetes " + c.plan.Kubernetes.Version + ", imgforge-node v1.2.3; boots until " + c.plan.LatestBoot[:len(time.DateOnly)]} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit %d, and no %q in\n%s%s", code, want, out, messages)
		}
	}
	log.Done(step.Etcd, "member with a vote")
	log.Done(step.Mesh, "1 peer answers")
	if code, out, messages = consult(t, c, "--node", "master-1", "--address", "127.66.7.1:9440"); code != 0 || messages != "no code is open\n" {
		t.Errorf("exit %d:\n%s%s", code, out, messages)
	}
	code, out, _ = consult(t, c, "--node", "worker-1", "--address", "127.66.7.2")
	if code != 1 || !strings.HasPrefix(out, "worker-1 does not answer at 127.66.7.2:9440\n") || !strings.Contains(out, "it is reachable, but imgforge-node does not serve its status yet") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// Who answers must be the node that was meant, and who asks one that its store knows.
func TestDoctorTrustsNobodyElse(t *testing.T) {
	c, other := fromFile(t, doctored), fromFile(t, doctored)
	serveStatus(t, c, "master-1", "127.66.8.1").Done(step.Claim, "this is master-1 (host name master-1)")
	for who, node := range map[*cluster]string{c: "worker-1", other: "master-1"} {
		code, out, _ := consult(t, who, "--node", node, "--address", "127.66.8.1")
		if code != 1 || !strings.Contains(out, "check:  whether the address is this node's, and its payload from this store") || strings.Contains(out, "Done") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	}
}
