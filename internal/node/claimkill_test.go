package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/step"
)

// TestMain lets the kill test run this binary as the claim that is killed.
func TestMain(m *testing.M) {
	if root := os.Getenv("IMGFORGE_TEST_ROOT"); root != "" {
		c := Claim{Root: root, Report: &step.Log{Root: root, Stderr: os.Stderr, Now: time.Now}, SetHostname: func(string) error { return nil },
			Later: func(...string) error { return nil }, Fault: func(step string) {
				if step == os.Getenv("IMGFORGE_TEST_STEP") {
					syscall.Kill(os.Getpid(), syscall.SIGKILL)
					select {} // the signal is on its way
				}
			}}
		if err := c.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Killed at any step, the machine is not claimed or is on its way; the next boot
// ends as if nothing had happened, whatever the first one got done.
func TestClaimSurvivesKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"slot opened", "staged /etc/kubernetes/pki/kubelet.key", "renamed /etc/imgforge/node.json", "renamed /etc/kubernetes/pki/kubelet.key",
		"files placed", "renamed /etc/hostname", "named", "staged /var/lib/imgforge/claimed", "recorded",
		"removed worker-1.slot", "removed worker-3.slot", "removed worker-2.slot", "slots removed"} {
		t.Run(step, func(t *testing.T) {
			m := newMachine(t, "worker-2")
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-3"))
			m.write(claimFile, m.seal(slotOf(t, "worker-2"), [32]byte{5}))
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), "IMGFORGE_TEST_ROOT="+m.root, "IMGFORGE_TEST_STEP="+step)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("not killed: %v\n%s", err, out)
			}
			if err := m.claim(); err != nil {
				t.Fatal(err)
			}
			m.mustBe("worker-2")
		})
	}
}

// A kill between the removal of two slots is completed even though the machine's
// own name has changed since.
func TestClaimFinishesRemovingSlots(t *testing.T) {
	m := newMachine(t, "worker-2")
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"), slotOf(t, "worker-3"))
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.carry(slotOf(t, "worker-2"), slotOf(t, "worker-3"))
	m.write("/proc/sys/kernel/hostname", "localhost\n")
	if err := m.claim(); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-2")
}
