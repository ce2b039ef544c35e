package node

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

func TestClaimOfARolePayload(t *testing.T) {
	const mac = "52:54:00:12:34:56"
	tests := map[string]struct {
		hostname string
		prepare  func(m *machine)
	}{
		"host name":           {"worker-2", func(*machine) {}},
		"qualified host name": {"worker-2.nostromo.internal", func(*machine) {}},
		"foreign domain":      {"worker-2.example.org", func(*machine) {}},
		"upper case":          {"WORKER-2", func(*machine) {}},
		"kernel argument":     {"localhost", func(m *machine) { m.write("/proc/cmdline", "root=LABEL=ROOT imgforge.node=worker-2 quiet\n") }},
		"hardware address":    {"localhost", func(m *machine) { m.write("/sys/class/net/eth0/address", mac+"\n") }},
		"all of them": {"worker-2", func(m *machine) {
			m.write("/proc/cmdline", `imgforge.node="worker-2"`)
			m.write("/sys/class/net/eth0/address", mac+"\n")
			m.write("/sys/class/net/lo/address", "00:00:00:00:00:00\n")
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, tt.hostname)
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2", "mac:"+mac), slotOf(t, "worker-3"))
			tt.prepare(m)
			if err := m.claim(); err != nil {
				t.Fatal(err)
			}
			m.mustBe("worker-2")
			if got := m.complaints(); got != "" {
				t.Errorf("complaints: %s", got)
			}
			if got := m.stderr.String(); !strings.HasPrefix(got, "imgforge: step claim done: this is worker-2 (") {
				t.Errorf("the claim said %q", got)
			}
			after := m.snapshot()
			if err := m.claim(); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(after, m.snapshot()) {
				t.Error("a second claim changes something")
			}
		})
	}
}

func TestClaimSetsModesAndOwners(t *testing.T) {
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(m.path("/var/lib/etcd-client/cert"))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (owner.Uid != 232 || owner.Gid != 233) {
		t.Errorf("owner %d:%d, want etcd's 232:233", owner.Uid, owner.Gid)
	}
}

func TestClaimOfASealedSlot(t *testing.T) {
	key := [32]byte{1, 2, 3}
	places := map[string]func(m *machine, line string){
		"kernel argument": func(m *machine, line string) { m.write("/proc/cmdline", "quiet imgforge.claim="+line+"\n") },
		"file":            func(m *machine, line string) { m.write(claimFile, line+"\n") },
		"run file":        func(m *machine, line string) { m.write(claimRunFile, line) },
		"both":            func(m *machine, line string) { m.write(claimFile, line); m.write(claimRunFile, line) },
	}
	for name, put := range places {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "localhost")
			m.seal(slotOf(t, "worker-1"), [32]byte{9})
			put(m, m.seal(slotOf(t, "worker-2"), key))
			if err := m.claim(); err != nil {
				t.Fatal(err)
			}
			m.mustBe("worker-2")
		})
	}
}

func TestClaimOfANodePayload(t *testing.T) {
	for hostname, warned := range map[string]bool{"worker-1": false, "worker-1.example.org": false, "localhost": false, "web-7": true} {
		m := newMachine(t, hostname)
		for _, f := range slotOf(t, "worker-1").Files {
			m.write(f.Path, string(f.Contents))
		}
		for range 2 {
			if err := m.claim(); err != nil {
				t.Fatal(err)
			}
		}
		m.mustBe("worker-1")
		if got := strings.Count(m.stderr.String(), "name-differs"); (got == 1) != warned || got > 1 {
			t.Errorf("host name %s: warned %d times: %s", hostname, got, &m.stderr)
		}
	}
}

// Whatever the machine is called later: it stays the node it is.
func TestClaimIsKept(t *testing.T) {
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.write("/proc/sys/kernel/hostname", "worker-2\n")
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
	if !strings.Contains(m.stderr.String(), "name-differs") {
		t.Error("nothing is said about the other name")
	}
}

// failure is a machine that cannot be claimed, and the code it ends with.
type failure struct {
	code    int
	prepare func(m *machine)
}

// unsure are machines of which it cannot be told who they are.
func unsure() map[string]failure {
	return map[string]failure{
		"nothing": {bootcode.NothingToClaim, func(*machine) {}},
		"no match": {bootcode.NoSlot, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"))
		}},
		"unknown by argument": {bootcode.UnknownNode, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"))
			m.write("/proc/cmdline", "imgforge.node=worker-9")
		}},
		"unknown by claim line": {bootcode.UnknownNode, func(m *machine) {
			m.write(claimFile, m.seal(slotOf(m.t, "worker-9"), [32]byte{1}))
			if err := os.RemoveAll(m.path(artifact.SlotDir)); err != nil {
				m.t.Fatal(err)
			}
			m.carry(slotOf(m.t, "worker-1"))
		}},
		"argument against address": {bootcode.TwoSlots, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"), slotOf(m.t, "worker-2", "mac:52:54:00:00:00:01"))
			m.write("/proc/cmdline", "imgforge.node=worker-1")
			m.write("/sys/class/net/eth0/address", "52:54:00:00:00:01")
		}},
		"two arguments": {bootcode.TwoSlots, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"), slotOf(m.t, "worker-2"))
			m.write("/proc/cmdline", "imgforge.node=worker-1 imgforge.node=worker-2")
		}},
		"two claim lines": {bootcode.TwoSlots, func(m *machine) {
			m.write(claimFile, m.seal(slotOf(m.t, "worker-1"), [32]byte{1}))
			m.write(claimRunFile, m.seal(slotOf(m.t, "worker-2"), [32]byte{1}))
		}},
		"an address that two slots want": {bootcode.TwoSlots, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1", "mac:52:54:00:00:00:01"), slotOf(m.t, "worker-2", "mac:52:54:00:00:00:01"))
			m.write("/sys/class/net/eth0/address", "52:54:00:00:00:01")
		}},
	}
}

// unable are machines whose slot or files are not usable.
func unable() map[string]failure {
	return map[string]failure{
		"claim line cut": {bootcode.ClaimDamaged, func(m *machine) {
			line := m.seal(slotOf(m.t, "worker-1"), [32]byte{1})
			m.write(claimFile, line[:len(line)-2])
		}},
		"sealed without line": {bootcode.ClaimMissing, func(m *machine) {
			m.seal(slotOf(m.t, "worker-1"), [32]byte{1})
			m.write("/proc/cmdline", "imgforge.node=worker-1")
		}},
		"another key": {bootcode.ClaimWrong, func(m *machine) {
			m.write(claimFile, m.seal(slotOf(m.t, "worker-1"), [32]byte{2}))
			m.seal(slotOf(m.t, "worker-1"), [32]byte{1})
		}},
		"damaged slot": {bootcode.SlotDamaged, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"))
			m.write(artifact.SlotDir+"/worker-2.slot", "imgforge-slot-v1\n")
		}},
		"renamed slot": {bootcode.SlotDamaged, func(m *machine) {
			m.carry(slotOf(m.t, "worker-1"))
			m.write(artifact.SlotDir+"/worker-2.slot", m.read(artifact.SlotDir+"/worker-1.slot"))
		}},
		"unknown owner": {bootcode.CannotWrite, func(m *machine) {
			s := slotOf(m.t, "worker-1")
			s.Files[1].User = "nobody-knows"
			m.carry(s)
			m.write("/proc/cmdline", "imgforge.node=worker-1")
		}},
		"a folder in the way": {bootcode.CannotWrite, func(m *machine) {
			s := slotOf(m.t, "worker-1")
			s.Files = append(s.Files, artifact.File{Path: "/proc/cmdline/x"})
			m.carry(s)
			m.write("/proc/cmdline", "imgforge.node=worker-1")
		}},
		"identity damaged": {bootcode.IdentityDamaged, func(m *machine) { m.write(artifact.NodeFilePath, "{}") }},
		"record damaged":   {bootcode.IdentityDamaged, func(m *machine) { m.write(artifact.ClaimedPath, "{}") }},
		"identity gone":    {bootcode.IdentityDamaged, func(m *machine) { m.write(artifact.ClaimedPath, `{"node": "worker-1"}`) }},
	}
}

// A failed claim changes nothing: no file, no name, no slot.
func TestFailedClaimChangesNothing(t *testing.T) {
	tests := unsure()
	maps.Copy(tests, unable())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "localhost")
			tt.prepare(m)
			before := m.snapshot()
			err := m.claim()
			if !errors.Is(err, bootcode.Fail(tt.code, "")) {
				t.Errorf("got %v, want code %d", err, tt.code)
			}
			if !maps.Equal(before, m.snapshot()) || m.live != "" {
				t.Errorf("something changed: %v", slices.Sorted(maps.Keys(m.snapshot())))
			}
		})
	}
}
