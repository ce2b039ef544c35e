package node

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

func partNames(parts []part) (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// Every part is also a command of its own, and the usage names it.
func TestEveryPartIsACommand(t *testing.T) {
	m := newMachine(t, "master-1")
	s := newService(options{root: m.root}, &m.stderr)
	all := partNames(s.parts("master"))
	for _, role := range []string{"proxy", "worker"} {
		for _, name := range partNames(s.parts(role)) {
			if !slices.Contains(all, name) {
				t.Errorf("%s runs %s, which no master does", role, name)
			}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range all {
		if _, known := s.do(ended, []string{name}); !known || !strings.Contains(usage, name) {
			t.Errorf("%s is no command, or the usage does not say so", name)
		}
	}
	if _, known := s.do(ended, []string{"other"}); known {
		t.Error("there is a command of any name")
	}
}

// Without an identity nothing runs, and the code says so.
func TestRunNeedsAnIdentity(t *testing.T) {
	m := newMachine(t, "master-1")
	if err := newService(options{root: m.root, config: m.path(artifact.NodeFilePath)}, &m.stderr).run(t.Context()); !errors.Is(err, bootcode.Fail(bootcode.IdentityDamaged, "")) {
		t.Error(err)
	}
}

// The guard holds the kubelet back while a manifest of etcd is there that it cannot
// judge, and no longer.
func TestGuardKeepsTrying(t *testing.T) {
	const manifest = "/etc/kubernetes/manifests/etcd.yaml"
	m := newMachine(t, "master-1")
	m.write(manifest, "--initial-cluster=a=b")
	heal := writerFunc(func(p []byte) (int, error) {
		if err := os.Remove(m.path(manifest)); err != nil {
			t.Error(err)
		}
		return m.stderr.Write(p)
	})
	s := newService(options{root: m.root, pause: time.Millisecond}, heal)
	if err := s.guard(t.Context()); !errors.Is(err, bootcode.Fail(bootcode.EtcdUnable, "")) {
		t.Errorf("without node.json: %v", err)
	}
	if _, err := os.Stat(m.path(guarded)); err == nil {
		t.Error("etcd may begin though the guard has seen nothing")
	}
	s.o.keepTrying = true
	if err := s.guard(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(m.path(guarded)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(m.stderr.String(), "522 etcd-unable") {
		t.Errorf("said %q", &m.stderr)
	}
}
