package artifact

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the kill tests run this binary as the program that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("IMGFORGE_TEST_TREE"); dir != "" {
		step, dance := os.Getenv("IMGFORGE_TEST_STEP"), os.Getenv("IMGFORGE_TEST_DANCE") != ""
		if err := buildAndDie(dir, step, dance); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// buildAndDie writes the second version of a tree and is killed at step.
func buildAndDie(dir, step string, dance bool) error {
	t, err := NewTree(dir, TreeInfo{Cluster: "nostromo"})
	if err != nil {
		return err
	}
	t.dance = dance
	t.fault = func(at string) {
		if at == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
	if err := fill(t, "second"); err != nil {
		return err
	}
	return t.Commit()
}

// Killed at any step, the folder is the old one or the new one, whole; the next
// run ends with the new one and with nothing beside it.
func TestTreeSurvivesKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dance := range []string{"", "1"} {
		for _, step := range []string{"files written", "described", "moved away", "swapped"} {
			if step == "moved away" && dance == "" {
				continue
			}
			t.Run(step+dance, func(t *testing.T) {
				parent := t.TempDir()
				dir := filepath.Join(parent, "out")
				build(t, dir, "first")
				cmd := exec.Command(exe)
				cmd.Env = append(os.Environ(), "IMGFORGE_TEST_TREE="+dir, "IMGFORGE_TEST_STEP="+step, "IMGFORGE_TEST_DANCE="+dance)
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("not killed: %v\n%s", err, out)
				}
				if step != "moved away" { // the one moment without a folder, which recovery ends
					if v, err := Verify(dir, VerifyOptions{}); err != nil || !v.OK() {
						t.Errorf("after the kill: %v %q", err, v.Problems)
					}
				}
				if _, err := NewTree(filepath.Join(parent, "other"), TreeInfo{}); err != nil {
					t.Errorf("another folder beside it is refused: %v", err)
				}
				tree, err := NewTree(dir, TreeInfo{Cluster: "nostromo"})
				if err != nil {
					t.Fatal(err)
				}
				tree.Abort()
				if v, err := Verify(dir, VerifyOptions{}); err != nil || !v.OK() {
					t.Errorf("after recovery: %v %q", err, v.Problems)
				}
				build(t, dir, "third")
				if got := snapshot(t, dir)["/public/plan.json"]; got != "-rw-r--r-- third" {
					t.Errorf("plan.json is %q", got)
				}
				for _, name := range names(t, parent) {
					if strings.HasPrefix(name, ".out") {
						t.Errorf("left: %s", name)
					}
				}
			})
		}
	}
}
