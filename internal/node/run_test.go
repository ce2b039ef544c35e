package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

func TestRun(t *testing.T) {
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	tests := []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", exitUsage, "", "imgforge-node claim"},
		{"--help", exitDone, "imgforge-node claim", ""},
		{"-x", exitUsage, "", "flag provided but not defined: -x"},
		{"dance", exitUsage, "", `unknown command ["dance"]`},
		{"claim twice", exitUsage, "", "unknown command"},
		{"check", exitUsage, "", "unknown command"},
		{"version", exitDone, "imgforge-node ", ""},
		{"check endpoint", exitFailed, "", "code 803 check-unable"},
		{"check proxy", exitFailed, "", "code 803 check-unable"},
		{"claim", exitDone, "", "imgforge: step claim done: this is worker-1 (host name worker-1)\n"},
		{"wipe", exitDone, "", ""},
		{"notify INSTANCE imgforge MASTER 150", exitDone, "", ""},
		// keepalived puts its words behind those of its configuration.
		{"notify --config /etc/imgforge/node.json INSTANCE imgforge BACKUP", exitDone, "", ""},
		{"notify INSTANCE imgforge", exitFailed, "", "code 804 notify-unknown"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		args := strings.Fields(tt.args)
		if len(args) > 0 {
			args = append([]string{"--root", m.root, "--wait", "0"}, args...)
		}
		if code := Run(context.Background(), args, &stdout, &stderr); code != tt.code {
			t.Errorf("%q exits with %d, want %d: %s", tt.args, code, tt.code, &stderr)
		}
		for got, want := range map[*bytes.Buffer]string{&stdout: tt.stdout, &stderr: tt.stderr} {
			if want == "" && got.Len() > 0 || !strings.Contains(got.String(), want) {
				t.Errorf("%q prints %q, want %q", tt.args, got, want)
			}
		}
	}
	if got, want := m.read("/run/imgforge/vrrp/imgforge.json"), `{"type":"INSTANCE","name":"imgforge","state":"BACKUP"}`+"\n"; got != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestNotifyRefuses(t *testing.T) {
	m := newMachine(t, "master-1")
	for _, args := range []string{"", "INSTANCE a", "INSTANCE a MASTER 1 2", "NODE a MASTER", "INSTANCE ../a MASTER", "INSTANCE a MASTER! 1", "INSTANCE a MASTER x", "INSTANCE a MASTER 256"} {
		if err := Notify(m.root, strings.Fields(args)); !errors.Is(err, bootcode.Fail(bootcode.NotifyUnknown, "")) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := os.Stat(m.path("/run")); err == nil {
		t.Error("something was recorded")
	}
}

// A name that comes late, by DHCP, is waited for.
func TestClaimWaitsForAName(t *testing.T) {
	m := newMachine(t, "localhost")
	m.carry(slotOf(t, "worker-1"))
	c := m.claimer()
	c.Wait = time.Minute
	c.Fault = func(step string) {
		if step == "no name yet" {
			m.write("/proc/sys/kernel/hostname", "worker-1\n")
		}
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
}

// A cause that goes away later needs no power cycle: the unit keeps trying, and
// says why each time.
func TestClaimKeepsTrying(t *testing.T) {
	m := newMachine(t, "localhost")
	m.carry(slotOf(t, "worker-1"))
	var said bytes.Buffer
	heal := writerFunc(func(p []byte) (int, error) {
		m.write("/proc/sys/kernel/hostname", "worker-1\n")
		return said.Write(p)
	})
	o := options{root: m.root, keepTrying: true, pause: time.Millisecond}
	if err := claimOf(context.Background(), o, heal); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "102") {
		t.Errorf("the first try said %q, not its boot code", &said)
	}
	m.mustBe("worker-1")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The program itself: static, no dependency on the machine it runs on.
func TestProgramIsStatic(t *testing.T) {
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "imgforge-node")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/imgforge-node")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, _ := exec.Command("ldd", program).CombinedOutput(); !strings.Contains(string(out), "not a dynamic executable") {
		t.Errorf("ldd says %s", out)
	}
	m := newMachine(t, "worker-1")
	m.carry(slotOf(t, "worker-1"))
	if out, err := exec.Command(program, "claim", "--root", m.root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.mustBe("worker-1")
	if got := m.read(artifact.ClaimedPath); got != "{\n  \"node\": \"worker-1\",\n  \"by\": \"host name worker-1\"\n}\n" {
		t.Errorf("recorded %q", got)
	}
}
