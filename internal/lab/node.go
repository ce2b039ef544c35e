package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// NodeOptions say what a node is made of.
type NodeOptions struct {
	// Name is the machine's, as a cloud console would give it: its host name, where
	// HostName does not say another.
	Name, HostName string
	// Payload is the Ignition config, as rendered; without one, Drive is the cidata
	// drive of a node that cloud-init sets up.
	Payload []byte
	Drive   string
	// Files, when set, makes the node's files below a folder instead of either.
	Files func(root string) error
	// Tree and Store are folders that Tree and ImageStore return, Extensions those that
	// Extensions does.
	Tree, Store string
	Extensions  []string
	Network     *Network
	// Address is the one that the provider gives to eth0; none when the payload sets it.
	Address netip.Prefix
}

// Node is a booted machine.
type Node struct {
	Name string
	// PoweredOn is when its first process started.
	PoweredOn time.Time

	lab   *Lab
	made  NodeOptions
	root  string // where its root is mounted
	state string // folders of its own that lie on no overlay

	// While it runs:
	netns   string
	port    string // on the switch
	cgroups []string
	cmd     *exec.Cmd
	ended   chan struct{}
	leader  int // its first process
}

// Boot makes a node and powers it on. It returns when its first process runs.
func (l *Lab) Boot(ctx context.Context, o NodeOptions) (*Node, error) {
	n, err := l.Make(ctx, o)
	if err != nil {
		return nil, err
	}
	return n, n.PowerOn(ctx)
}

// Make makes a node that is switched off.
func (l *Lab) Make(ctx context.Context, o NodeOptions) (*Node, error) {
	dir := filepath.Join(l.work, o.Name)
	n := &Node{Name: o.Name, lab: l, made: o, root: filepath.Join(dir, "root"), state: filepath.Join(dir, "state")}
	for _, old := range []string{dir, n.artifact("console.log")} { // the console goes on from boot to boot of one machine
		if err := os.RemoveAll(old); err != nil {
			return nil, err
		}
	}
	if err := n.furnish(ctx, dir, o); err != nil {
		return nil, fmt.Errorf("node %s: %w", o.Name, err)
	}
	l.later("node "+n.Name, n.PowerOff)
	return n, nil
}

// PowerOn boots a node, the first time or with what it kept on its disk.
func (n *Node) PowerOn(ctx context.Context) (err error) {
	if n.cmd != nil {
		return fmt.Errorf("node %s runs already", n.Name)
	}
	n.netns = n.lab.id + "-" + n.Name
	if n.port, err = n.made.Network.plug(ctx, n.netns, n.made.Address); err != nil {
		return fmt.Errorf("plug %s: %w", n.Name, err)
	}
	if n.cgroups, err = n.lab.cgroups(n.Name); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := n.start(); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := n.findLeader(ctx); err != nil {
		return fmt.Errorf("node %s: %w: see %s", n.Name, err, n.artifact("console.log"))
	}
	return nil
}

// enterCgroups puts a process into every cgroup that comes before "--" and
// becomes the command behind it.
const enterCgroups = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"`

// start starts the container.
func (n *Node) start() error {
	console, err := os.OpenFile(n.artifact("console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	nspawn, err := n.lab.Tool("systemd-nspawn")
	if err != nil {
		return err
	}
	args := append([]string{"-ec", enterCgroups, "sh"}, n.cgroups...)
	args = append(args, "--", nspawn, "--quiet", "--boot", "--directory="+n.root, "--machine="+n.lab.id+"-"+n.Name, "--hostname="+cmp.Or(n.made.HostName, n.Name),
		"--register=no", "--keep-unit", "--network-namespace-path=/run/netns/"+n.netns, "--capability=all", "--system-call-filter=@keyring bpf",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only", "--bind=/dev/kmsg", "--bind=/dev/net/tun")
	for _, folder := range stateFolders() {
		args = append(args, "--bind="+filepath.Join(n.state, filepath.Base(folder))+":/"+folder)
	}
	args = append(args, "--bind-ro="+filepath.Join(n.made.Store, bundlesFolder)+":"+artifact.BundleFolder)
	for _, dir := range n.made.Extensions {
		args = append(args, "--bind-ro="+dir+":/etc/extensions/"+filepath.Base(dir))
	}
	cmd := exec.Command("sh", args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0", "SYSTEMD_NSPAWN_LOCK=0")
	cmd.Stdout, cmd.Stderr = console, console
	ended := make(chan struct{})
	if err := cmd.Start(); err != nil {
		return err
	}
	n.PoweredOn, n.cmd, n.ended = time.Now(), cmd, ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	return nil
}

// findLeader waits for the first process of the container.
func (n *Node) findLeader(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	pid := strconv.Itoa(n.cmd.Process.Pid)
	return Await(ctx, "first process", func(context.Context) error {
		children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil {
			return err
		}
		for child := range strings.FieldsSeq(string(children)) {
			name, err := os.ReadFile("/proc/" + child + "/comm")
			if err == nil && strings.TrimSpace(string(name)) == "systemd" {
				n.leader, err = strconv.Atoi(child)
				return err
			}
		}
		return errors.New("systemd does not run yet")
	})
}

// Run is what a program prints inside the node.
func (n *Node) Run(ctx context.Context, args ...string) (string, error) {
	if n.leader == 0 {
		return "", fmt.Errorf("node %s does not run", n.Name)
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(n.leader), "--all", "--wd=/"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	out, err := output(cmd)
	if err != nil {
		err = fmt.Errorf("node %s: %w", n.Name, err)
	}
	return out, err
}

// PowerOff ends every process of the node at once, as a power cut does, and
// with them what the node's kernel knew. A node that is off stays so.
func (n *Node) PowerOff(ctx context.Context) error {
	ran := n.cmd != nil
	var errs []error
	if n.port != "" {
		errs = append(errs, n.made.Network.unplug(ctx, n.port))
	}
	if err := n.kill(ctx); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, dir := range n.cgroups {
		errs = append(errs, removeCgroup(ctx, dir))
	}
	if n.netns != "" {
		errs = append(errs, n.lab.removeNamespace(ctx, n.netns))
	}
	n.cgroups, n.netns, n.port = nil, "", ""
	if ran {
		errs = append(errs, n.keepLogs(ctx))
	}
	return errors.Join(errs...)
}

// kill ends the processes of the node.
func (n *Node) kill(ctx context.Context) error {
	if n.cmd == nil {
		return nil
	}
	victim := n.cmd.Process.Pid
	if n.leader != 0 {
		victim = n.leader // the kernel ends all others with it
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-n.ended:
	case <-ctx.Done():
		return errors.Join(n.cmd.Process.Kill(), ctx.Err())
	}
	n.cmd, n.leader = nil, 0
	return nil
}

// keepLogs saves what the node wrote about itself.
func (n *Node) keepLogs(ctx context.Context) error {
	journal := filepath.Join(n.root, "var/log/journal")
	if _, err := os.Stat(journal); err == nil {
		out, err := n.lab.run(ctx, "journalctl", "--directory="+journal, "--output=short-monotonic", "--no-pager", "--quiet")
		if err != nil {
			return err
		}
		if err := os.WriteFile(n.artifact("journal.log"), []byte(out), 0o600); err != nil {
			return err
		}
	}
	pods := filepath.Join(n.root, "var/log/pods")
	if _, err := os.Stat(pods); err != nil {
		return nil
	}
	to := n.artifact("pods")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	_, err := n.lab.run(ctx, "cp", "-a", pods, to)
	return err
}

func (n *Node) artifact(name string) string { return filepath.Join(n.lab.Artifacts, n.Name+"-"+name) }
