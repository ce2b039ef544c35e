package node

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/step"
)

// machine is a folder that stands in for a booted machine.
type machine struct {
	t      *testing.T
	root   string
	stderr bytes.Buffer
	log    *step.Log
	later  []string // what was asked to run after cloud-init
	live   string   // what the kernel was told to be called

	service *metadataService // of its provider, if any
}

func newMachine(t *testing.T, hostname string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	m.log = &step.Log{Root: t.TempDir(), Stderr: &m.stderr, Now: time.Now} // elsewhere: a failed claim must change nothing here
	m.write("/proc/sys/kernel/hostname", hostname+"\n")
	m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\netcd:x:232:233::/:/bin/false\n")
	m.write("/etc/group", "root:x:0:\netcd:x:233:\n")
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(data)
}

// nodeJSON is the identity of a test node.
func nodeJSON(t testing.TB, node string) []byte {
	t.Helper()
	text, err := artifact.EncodeNodeFile(artifact.NodeFile{Cluster: "nostromo", Node: node, Role: "worker", Slot: 1, Address: "192.168.66.31",
		Endpoint: artifact.NodeEndpoint{Mode: "vip", Address: "192.168.66.253", Port: 6443}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// slotOf is the slot of a test node, with a file for each thing to check.
func slotOf(t testing.TB, node string, match ...string) artifact.Slot {
	return artifact.Slot{Node: node, Match: append([]string{node, node + ".nostromo.internal"}, match...), Files: []artifact.File{
		{Path: artifact.NodeFilePath, Mode: 0o600, Contents: nodeJSON(t, node)},
		{Path: "/etc/kubernetes/pki/kubelet.key", Mode: 0o600, Contents: []byte("key of " + node + "\n")},
		{Path: "/var/lib/etcd-client/cert", Mode: 0o640, User: "etcd", Group: "233", Contents: []byte("cert of " + node + "\n")},
	}}
}

// carry puts slots where a role document puts them.
func (m *machine) carry(slots ...artifact.Slot) {
	m.t.Helper()
	for _, s := range slots {
		data, err := artifact.EncodeSlot(s)
		if err != nil {
			m.t.Fatal(err)
		}
		m.write(artifact.SlotDir+"/"+s.Node+artifact.SlotSuffix, string(data))
	}
}

// seal puts a slot there sealed and returns its claim line.
func (m *machine) seal(s artifact.Slot, key [32]byte) string {
	m.t.Helper()
	data, err := artifact.SealSlot(s, key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(artifact.SlotDir+"/"+s.Node+artifact.SlotSuffix, string(data))
	line, err := artifact.EncodeClaim(s.Node, key)
	if err != nil {
		m.t.Fatal(err)
	}
	return line
}

// claimer is the claim as the machine runs it.
func (m *machine) claimer() Claim {
	return Claim{Root: m.root, Report: m.log, Again: time.Millisecond,
		SetHostname: func(name string) error { m.live = name; m.write("/proc/sys/kernel/hostname", name+"\n"); return nil },
		Later:       func(args ...string) error { m.later = append(m.later, args...); return nil }}
}

// complaints are the codes that the machine's operator sees, without what steps
// say of their progress.
func (m *machine) complaints() string {
	var out strings.Builder
	for line := range strings.Lines(m.stderr.String()) {
		if !strings.HasPrefix(line, "imgforge: step ") {
			out.WriteString(line)
		}
	}
	return strings.ReplaceAll(out.String(), m.root, "")
}

func (m *machine) claim() error { return m.claimer().Run(context.Background()) }

// snapshot lists path, mode and contents of every file.
func (m *machine) snapshot() map[string]string {
	m.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, m.root)] = info.Mode().String() + " " + string(data)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// mustBe fails the test unless the machine is node, wholly, and holds nothing of others.
func (m *machine) mustBe(node string) {
	m.t.Helper()
	for name, want := range map[string]string{
		artifact.NodeFilePath:             string(nodeJSON(m.t, node)),
		"/etc/kubernetes/pki/kubelet.key": "key of " + node + "\n",
		"/var/lib/etcd-client/cert":       "cert of " + node + "\n",
		"/etc/hostname":                   node + "\n",
	} {
		if got := m.read(name); got != want {
			m.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := m.read(artifact.ClaimedPath); !strings.Contains(got, fmt.Sprintf("%q", node)) {
		m.t.Errorf("%s is %q", artifact.ClaimedPath, got)
	}
	if m.live != "" && m.live != node {
		m.t.Errorf("the kernel was told %q", m.live)
	}
	files := m.snapshot()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(path, artifact.SlotDir) || strings.Contains(path, stagePrefix) || path == claimFile || path == claimRunFile {
			m.t.Errorf("%s is left", path)
		}
		for _, other := range []string{"worker-1", "worker-2", "worker-3"} {
			if other != node && strings.Contains(files[path], "key of "+other) {
				m.t.Errorf("%s holds the key of %s", path, other)
			}
		}
	}
}
