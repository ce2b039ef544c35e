package profiles

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imgforge/imgforge/internal/testtool"
)

// namespace is a network namespace of its own, in which real programs run
// against rendered files without touching the machine.
type namespace string

// newNamespace makes one with loopback up; it goes away with the test.
func newNamespace(t testing.TB, name string) namespace {
	t.Helper()
	testtool.Root(t)
	ns := namespace(fmt.Sprintf("imgforge-%d-%s", os.Getpid(), name))
	run(t, "ip", "netns", "add", string(ns))
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", string(ns)).CombinedOutput(); err != nil {
			t.Errorf("delete namespace: %v: %s", err, out)
		}
	})
	ns.ip(t, "link set lo up")
	return ns
}

// link joins two namespaces by a cable with the given interface names.
func link(t testing.TB, a namespace, aName string, b namespace, bName string) {
	t.Helper()
	a.ip(t, "link add "+aName+" type veth peer name "+bName+" netns "+string(b))
	a.ip(t, "link set "+aName+" up")
	b.ip(t, "link set "+bName+" up")
}

// ip runs ip(8) with words inside the namespace.
func (ns namespace) ip(t testing.TB, words string) {
	t.Helper()
	run(t, "ip", append([]string{"-n", string(ns)}, strings.Fields(words)...)...)
}

// command is a program that will run inside the namespace.
func (ns namespace) command(program string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(ns), program}, args...)...)
}

// do runs f on a thread inside the namespace. Sockets that f opens stay there.
func (ns namespace) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		result <- func() error {
			handle, err := os.Open(filepath.Join("/run/netns", string(ns)))
			if err != nil {
				return err
			}
			defer handle.Close()
			if err := unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-result
}

// run runs a program that must succeed and returns what it printed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// scratch writes text to a new file and returns its path.
func scratch(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
