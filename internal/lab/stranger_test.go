//go:build lab

package lab

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A machine whose name is no slot's gets no identity, runs nothing of a
// master's, and says so on its console.
func TestStranger(t *testing.T) {
	ctx := signalled(t)
	b := newBench(t, ctx, "one-master")
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	n := b.boot(t, ctx, "stranger", "roles/master.ign")
	must(t, reaches(t, ctx, n, "the claim says what is wrong", func(ctx context.Context) error {
		said, err := n.Run(ctx, "journalctl", "--no-pager", "--output=cat", "--unit=imgforge-claim.service")
		if err == nil && !strings.Contains(said, "stranger") {
			err = errors.New("it said only:\n" + said)
		}
		if err == nil {
			t.Log(said)
		}
		return err
	}))
	must(t, reaches(t, ctx, n, "the firewall is loaded all the same", n.runs("nft", "list", "table", "inet", "imgforge")))
	for _, path := range []string{"/var/lib/imgforge/claimed", "/etc/imgforge/node.json"} {
		if _, err := n.Run(ctx, "test", "!", "-e", path); err != nil {
			t.Errorf("%s is there without a claim", path)
		}
	}
	if keys, err := n.Run(ctx, "grep", "--recursive", "--files-with-matches", "PRIVATE KEY", "/etc/kubernetes"); err == nil {
		t.Errorf("keys are in place without a claim: %s", keys)
	}
	if state, _ := n.Run(ctx, "systemctl", "is-active", "kubelet.service"); strings.TrimSpace(state) == "active" {
		t.Error("the kubelet runs without a claim")
	}
}
