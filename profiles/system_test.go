package profiles

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestScripts: what is a script runs in any POSIX shell, and shellcheck has
// nothing to say about it.
func TestScripts(t *testing.T) {
	shellcheck := testtool.Path(t, "shellcheck")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		found := 0
		for _, f := range nodeDocument(t, p, p.NodesOf(role)[0].Name).Files {
			if !strings.HasPrefix(string(f.Contents), "#!") {
				continue
			}
			found++
			if f.Mode != 0o755 || !strings.HasPrefix(string(f.Contents), "#!/bin/sh\n") {
				t.Errorf("%s has mode %04o and begins with %.12q", f.Path, f.Mode, f.Contents)
			}
			if out, err := exec.Command(shellcheck, "--shell=sh", scratch(t, "script", string(f.Contents))).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", f.Path, out)
			}
		}
		if found == 0 {
			t.Error("there is no script to check")
		}
	})
}

// TestUnits asks systemd about every unit that we write. It also complains about
// programs that only a node has and about units of this machine: what counts is
// what it says about ours.
func TestUnits(t *testing.T) {
	analyze := testtool.Path(t, "systemd-analyze")
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc, dir := nodeDocument(t, p, p.NodesOf(role)[0].Name), t.TempDir()
		args := []string{"verify", "--man=no", "--recursive-errors=no"}
		for _, u := range doc.Units {
			if u.Contents == "" {
				continue
			}
			path := filepath.Join(dir, u.Name)
			if err := os.WriteFile(path, []byte(u.Contents), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		cmd := exec.Command(analyze, args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, _ := cmd.CombinedOutput() // fails for the absent programs
		for line := range strings.Lines(string(out)) {
			absent := strings.Contains(line, "is not executable: No such file or directory")
			if strings.Contains(line, dir) || strings.Contains(line, "imgforge-") {
				if !absent {
					t.Error(strings.TrimSpace(line))
				}
			}
		}
	})
}

// TestKubeletDefaults: protectKernelDefaults makes the kubelet stop at any other
// value. They are those of its pkg/kubelet/cm setupKernelTunables.
func TestKubeletDefaults(t *testing.T) {
	text := contents(t, nodeDocument(t, example(t, "scaleway-ha"), "worker-1"), "/etc/sysctl.d/90-imgforge.conf")
	for _, want := range []string{
		"vm.overcommit_memory = 1", "vm.panic_on_oom = 0", "kernel.panic = 10", "kernel.panic_on_oops = 1",
		"kernel.keys.root_maxkeys = 1000000", "kernel.keys.root_maxbytes = 25000000",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestNobodyLogsIn: on every node of every example.
func TestNobodyLogsIn(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		masked := map[string]bool{}
		for _, u := range nodeDocument(t, p, p.NodesOf(role)[0].Name).Units {
			masked[u.Name] = u.Mask
		}
		for _, name := range []string{"sshd.service", "sshd.socket", "ssh.service", "ssh.socket", "serial-getty@.service", "getty@.service"} {
			if !masked[name] {
				t.Errorf("%s is not masked", name)
			}
		}
	})
}

// TestWhatNeedsAClaim: a unit that reads a file of the node alone waits for the
// claim that writes it.
func TestWhatNeedsAClaim(t *testing.T) {
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := roleDocument(t, p, role)
		for _, u := range doc.Units {
			for _, f := range doc.Slots[0].Files {
				words := strings.FieldsFunc(u.Contents, func(r rune) bool { return strings.ContainsRune(" =\n\"", r) })
				if slices.Contains(words, f.Path) && !strings.Contains(u.Contents, unitClaim) && !strings.Contains(u.Contents, "Requires="+unitMesh) {
					t.Errorf("%s names %s and does not wait for %s", u.Name, f.Path, unitClaim)
				}
			}
		}
	})
}
