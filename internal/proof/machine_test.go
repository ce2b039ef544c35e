package proof

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// machine stands for a booted node: network, mounts, processes and host name of
// its own, and this system's root with a node's tree laid over it. So the real
// programs run with the rendered files unchanged, at the paths they have on a
// node. Everything in it ends with its first process, also when the test is
// killed; nothing outside is changed.
type machine struct {
	name string
	pid  int
	cmd  *exec.Cmd
	// logs is the folder of what started programs print.
	logs string
}

// programs is where machine.sh mounts the folder of pinned programs.
const programs = "/opt/programs/"

// newMachine boots a tree. The names in tools are programs of testtool that the machine finds in programs.
func newMachine(t testing.TB, name, tree string, tools ...string) *machine {
	t.Helper()
	testtool.Root(t)
	m := &machine{name: name, logs: t.TempDir()}
	m.cmd = exec.Command("bash", "testdata/machine.sh", t.TempDir(), tree, name, shelf(t, tools))
	m.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	startHolder(t, m.cmd)
	m.pid = m.cmd.Process.Pid
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			m.dump(t)
		}
	})
	return m
}

// startHolder starts the first process of some namespaces and waits until it says that it is ready.
func startHolder(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("make namespaces: %v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("%v: said %q, %v\n%s", cmd.Args, line, err, &stderr)
	}
}

// shelf collects programs in one folder, by their names.
func shelf(t testing.TB, tools []string) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"proof": self, "imgforge-node": built(t, "imgforge-node")} {
		copyFile(t, path, filepath.Join(dir, name))
	}
	for _, name := range tools {
		copyFile(t, testtool.Path(t, name), filepath.Join(dir, name))
	}
	return dir
}

// copyFile makes an executable copy, as a link where it can.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	if os.Link(from, to) == nil {
		return
	}
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kill ends every process of the machine at once, as a power cut would.
func (m *machine) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// enter is a command line that runs inside the machine.
func (m *machine) enter(ctx context.Context, args ...string) *exec.Cmd {
	at := []string{"--target", strconv.Itoa(m.pid), "--mount", "--net", "--uts", "--pid", "--root", "--wd"}
	cmd := exec.CommandContext(ctx, "nsenter", append(at, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	return cmd
}

// try runs a program to its end, for at most a minute.
func (m *machine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := m.enter(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w\n%s", m.name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// run is try for what must work.
func (m *machine) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// start leaves a program running, with its output in a log that is shown when the test fails.
func (m *machine) start(t testing.TB, log string, args ...string) {
	t.Helper()
	f, err := os.Create(filepath.Join(m.logs, log))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := m.enter(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait() // it ends with the machine
}

// dump shows the last lines of every log.
func (m *machine) dump(t testing.TB) {
	paths, _ := filepath.Glob(filepath.Join(m.logs, "*"))
	for _, path := range paths {
		data, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
		t.Logf("%s: last lines of %s:\n%s", m.name, filepath.Base(path), strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
}

// wire is a switch in a network namespace of its own: the network below the mesh.
type wire struct {
	pid   int
	ports int
}

func newWire(t testing.TB) *wire {
	t.Helper()
	testtool.Root(t)
	cmd := exec.Command("sh", "-ec", "ip link add br0 type bridge; ip link set br0 up; echo ready; exec sleep infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	startHolder(t, cmd)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &wire{pid: cmd.Process.Pid}
}

// plug gives a machine eth0 with an address. Every other address is on the link.
func (w *wire) plug(t testing.TB, m *machine, address string) {
	t.Helper()
	w.ports++
	port := fmt.Sprintf("port%d", w.ports)
	for _, args := range [][]string{
		{"link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.pid)},
		{"link", "set", port, "master", "br0", "up"},
	} {
		at := append([]string{"--target", strconv.Itoa(w.pid), "--net", "ip"}, args...)
		if out, err := exec.Command("nsenter", at...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	m.run(t, "ip", "address", "add", address+"/32", "dev", "eth0")
	m.run(t, "ip", "link", "set", "eth0", "up")
	m.run(t, "ip", "route", "add", "default", "dev", "eth0")
}

// await repeats a check until it holds, for at most two minutes: how long it
// takes is no matter, that it comes is.
func await(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not after two minutes: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
